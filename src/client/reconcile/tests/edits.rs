//! What people do to a tree, drawn by chance.

use proptest::collection::vec;
use proptest::prelude::*;

use super::disk::{Disk, Node, ROOT};
use super::world::World;
use crate::client::item::{ItemId, Kind};

/// Few names, so that they meet; the last is one that a conflict gives.
const NAMES: [&str; 5] = ["a", "b", "c", "d", "a~0"];

/// One edit: what, of which item, where to, under which name, with which bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Edit {
    verb: u8,
    item: usize,
    other: usize,
    name: usize,
    bytes: u64,
}

fn edit() -> impl Strategy<Value = Edit> {
    let numbers = (
        0..15_u8,
        0..1000_usize,
        0..1000_usize,
        0..NAMES.len(),
        0..400_u64,
    );
    numbers.prop_map(|(verb, item, other, name, bytes)| Edit {
        verb,
        item,
        other,
        name,
        bytes,
    })
}

fn edits(count: usize) -> impl Strategy<Value = Vec<Edit>> {
    vec(edit(), 0..count)
}

/// One tree that both had, and what each side has done to it since.
pub(super) fn worlds() -> impl Strategy<Value = World> {
    (edits(30), edits(14), edits(14)).prop_map(|(common, here, there)| {
        let mut world = World::new();
        for edit in common {
            apply(&mut world, true, edit);
        }
        world.here = world.there.clone();
        world.synced = world.there.tree();
        for edit in here {
            apply(&mut world, false, edit);
        }
        for edit in there {
            apply(&mut world, true, edit);
        }
        world
    })
}

/// Three trees that share ids, names and versions by chance only.
pub(super) fn unrelated() -> impl Strategy<Value = World> {
    let node = (
        1..25_i64,
        0..3_u8,
        0..100_usize,
        0..NAMES.len(),
        0..40_u64,
        any::<bool>(),
    );
    let nodes = vec(node, 0..25);
    [nodes.clone(), nodes.clone(), nodes].prop_map(|trees| {
        let mut world = World::new();
        let [here, there, synced] = trees.map(|nodes| {
            let mut disk = Disk::new();
            for (id, kind, parent, name, bytes, flag) in nodes {
                let kind = [Kind::Collection, Kind::File, Kind::Link][usize::from(kind)];
                let parent = pick(&collections(&disk), parent);
                let id = ItemId(id + 1);
                if disk.nodes.contains_key(&id) || disk.at(parent, NAMES[name]).is_some() {
                    continue;
                }
                let mut node = Node::new(parent, NAMES[name], kind);
                node.mount = kind == Kind::Collection && id.0 % 5 == 0;
                node.executable = kind == Kind::File && flag;
                if kind != Kind::Collection {
                    node.bytes = bytes;
                    node.etag = Some(format!("v{bytes}").into());
                    world.versions.insert(format!("v{bytes}").into(), bytes);
                }
                disk.make(id, node);
            }
            disk
        });
        world.synced = synced.tree();
        world.here = here;
        world.there = there;
        let files: Vec<_> = world.here.files().map(|(id, _)| id).collect();
        for id in files.into_iter().filter(|id| id.0 % 3 == 0) {
            let node = world.here.nodes.get_mut(&id).unwrap();
            (node.etag, node.bytes) = (None, node.bytes + 100);
        }
        world
    })
}

fn collections(disk: &Disk) -> Vec<ItemId> {
    let nodes = disk.nodes.iter();
    let collections = nodes.filter(|(_, node)| node.kind == Kind::Collection);
    collections.map(|(id, _)| *id).collect()
}

fn pick(ids: &[ItemId], number: usize) -> ItemId {
    ids[number % ids.len()]
}

fn apply(world: &mut World, there: bool, edit: Edit) {
    let id = match world.next_id() {
        id if there => id,
        id => ItemId(-id.0),
    };
    let etag = there.then(|| world.version(edit.bytes));
    let disk = if there {
        &mut world.there
    } else {
        &mut world.here
    };
    let parent = pick(&collections(disk), edit.other);
    let name = NAMES[edit.name];
    let fresh = |kind| Node {
        bytes: if kind == Kind::Collection {
            0
        } else {
            edit.bytes
        },
        etag: etag.clone().filter(|_| kind != Kind::Collection),
        mount: there && edit.verb == 3,
        ..Node::new(parent, name, kind)
    };
    let kind = match edit.verb {
        0 | 1 => Some(Kind::File),
        2 | 3 => Some(Kind::Collection),
        4 => Some(Kind::Link),
        _ => None,
    };
    match kind {
        Some(kind) if disk.at(parent, name).is_none() => disk.make(id, fresh(kind)),
        Some(_) => {}
        None => change(disk, edit, id, &fresh),
    }
}

fn change(disk: &mut Disk, edit: Edit, fresh: ItemId, node: &dyn Fn(Kind) -> Node) {
    let items: Vec<_> = disk
        .nodes
        .keys()
        .copied()
        .filter(|id| *id != ROOT)
        .collect();
    if items.is_empty() {
        return;
    }
    let (id, other) = (pick(&items, edit.item), pick(&items, edit.other));
    let parent = pick(&collections(disk), edit.other);
    let kind = disk.nodes[&id].kind;
    match edit.verb {
        5 | 6 if kind != Kind::Collection => {
            let new = node(kind);
            let old = disk.nodes.get_mut(&id).unwrap();
            (old.bytes, old.etag) = (new.bytes, new.etag);
        }
        7 => disk.remove_all(id),
        8 | 9 => shift(disk, id, parent, NAMES[edit.name]),
        10 if parent != id => {
            if let Some(occupant) = disk.at(parent, NAMES[edit.name])
                && !disk.is_below(parent, occupant)
                && !disk.is_below(id, occupant)
                && !disk.is_below(parent, id)
            {
                disk.remove_all(occupant);
            }
            shift(disk, id, parent, NAMES[edit.name]);
        }
        11 => swap(disk, id, other),
        12 => {
            let old = disk.nodes[&id].clone();
            disk.remove_all(id);
            let turned = [Kind::File, Kind::Collection][usize::from(kind != Kind::Collection)];
            let new = Node {
                parent: old.parent,
                name: old.name,
                ..node(turned)
            };
            disk.make(fresh, new);
        }
        13 if kind == Kind::File => {
            let old = disk.nodes.get_mut(&id).unwrap();
            old.executable = !old.executable;
        }
        14 => invert(disk, id),
        _ => {}
    }
}

fn shift(disk: &mut Disk, id: ItemId, parent: ItemId, name: &str) {
    if disk.at(parent, name).is_none() && !disk.is_below(parent, id) {
        disk.move_to(id, parent, name);
    }
}

fn swap(disk: &mut Disk, one: ItemId, other: ItemId) {
    if disk.is_below(one, other) || disk.is_below(other, one) {
        return;
    }
    let (first, second) = (disk.nodes[&one].clone(), disk.nodes[&other].clone());
    disk.move_to(one, first.parent, "aside");
    disk.move_to(other, first.parent, &first.name);
    disk.move_to(one, second.parent, &second.name);
}

/// A collection and the one that it lies in change places.
fn invert(disk: &mut Disk, id: ItemId) {
    let inner = disk.nodes[&id].clone();
    let outer = disk.nodes[&inner.parent].clone();
    if inner.parent == ROOT || inner.kind != Kind::Collection {
        return;
    }
    if disk.at(id, &inner.name).is_none() {
        disk.move_to(id, outer.parent, "aside");
        disk.move_to(inner.parent, id, &inner.name);
        disk.move_to(id, outer.parent, &outer.name);
    }
}
