//! The changes that make one tree of another, and what each of them has to wait for.

use std::collections::HashMap;

use super::Names;
use super::tree::Tree;
use crate::client::item::{Item, ItemId, Kind};

/// What happens to an item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// It comes into being, with its content.
    Make(Item),
    /// It goes to another place.
    Move(Item),
    /// It lets others pass: the collection and the name to wait under.
    Park(ItemId, String),
    /// It gets this content.
    Write(Item),
    /// It becomes executable, or not.
    SetExecutable(bool),
    /// It goes, with all that is listed.
    Remove(Vec<ItemId>),
}

/// A change of one item, before it has its turn.
pub(super) struct Node {
    pub(super) id: ItemId,
    pub(super) change: Change,
    pub(super) needs: Vec<Need>,
}

/// Another change that has to come first.
#[derive(Clone, Copy)]
pub(super) struct Need {
    pub(super) on: usize,
    /// It is enough that the other item is out of the way; otherwise it has to be at its place.
    pub(super) leave: bool,
}

/// A change that has its turn, and which of those before it must have succeeded.
pub(super) struct Turn {
    pub(super) id: ItemId,
    pub(super) change: Change,
    pub(super) needs: Vec<usize>,
}

/// What makes `target` of `current`, in an order in which each change can be made.
pub(super) fn changes(
    current: &Tree,
    target: &Tree,
    ids: &[ItemId],
    names: &Names<'_>,
) -> Vec<Turn> {
    let mut nodes = Vec::new();
    for id in ids {
        list(current, target, *id, &mut nodes);
    }
    let moves = |node: &Node| {
        matches!(
            node.change,
            Change::Make(_) | Change::Move(_) | Change::Remove(_)
        )
    };
    let placing: HashMap<_, _> = nodes
        .iter()
        .enumerate()
        .filter(|(_, node)| moves(node))
        .map(|(index, node)| (node.id, index))
        .collect();
    for node in &mut nodes {
        let (change, needs) = needs(current, target, &placing, node);
        node.needs = needs;
        if let Some(change) = change {
            node.change = change;
        }
    }
    super::turns::turns(nodes, &|id| {
        let place = kept_above(current, target, id);
        Change::Park(place, (names.temporary)(id))
    })
}

fn list(current: &Tree, target: &Tree, id: ItemId, nodes: &mut Vec<Node>) {
    let mut push = |change| {
        nodes.push(Node {
            id,
            change,
            needs: Vec::new(),
        });
    };
    match (current.get(id), target.get(id)) {
        (None, Some(new)) => push(Change::Make(new.clone())),
        // What lies in a collection that goes, goes with it.
        (Some(old), None) if target.has(old.parent) => push(Change::Remove(Vec::new())),
        (Some(old), Some(new)) => {
            if old.place() != new.place() && id != target.root() {
                push(Change::Move(new.clone()));
            }
            if new.kind != Kind::Collection && old.content != new.content {
                push(Change::Write(new.clone()));
            } else if new.kind == Kind::File && old.executable != new.executable {
                push(Change::SetExecutable(new.executable));
            }
        }
        (Some(_) | None, None) => {}
    }
}

/// What a change has to wait for. A removal also learns what goes with it.
fn needs(
    current: &Tree,
    target: &Tree,
    placing: &HashMap<ItemId, usize>,
    node: &Node,
) -> (Option<Change>, Vec<Need>) {
    let done = |id: ItemId| {
        placing.get(&id).map(|on| Need {
            on: *on,
            leave: false,
        })
    };
    let gone = |id: ItemId| {
        placing.get(&id).map(|on| Need {
            on: *on,
            leave: true,
        })
    };
    let mut needs = Vec::new();
    match &node.change {
        Change::Make(new) | Change::Move(new) => {
            if !current.has(new.parent) {
                needs.extend(done(new.parent));
            }
            let moves_collection = new.kind == Kind::Collection && current.has(new.id);
            if moves_collection {
                needs.extend(moved_above(current, target, new).and_then(done));
            }
            let occupant = current.at(new.parent, &new.name);
            needs.extend(occupant.filter(|other| *other != new.id).and_then(gone));
        }
        Change::Remove(_) => {
            let (below, out) = below(current, target, node.id);
            needs.extend(out.into_iter().filter_map(gone));
            return (Some(Change::Remove(below)), needs);
        }
        Change::Write(_) | Change::SetExecutable(_) => needs.extend(done(node.id)),
        Change::Park(..) => {}
    }
    (None, needs)
}

/// The nearest collection above, in the target, that moves. A collection waits for it, so that it never moves into one
/// that is still below itself.
fn moved_above(current: &Tree, target: &Tree, item: &Item) -> Option<ItemId> {
    let mut above = target.get(item.parent);
    while let Some(parent) = above.filter(|parent| parent.id != target.root()) {
        if current
            .get(parent.id)
            .is_some_and(|old| old.place() != parent.place())
        {
            return Some(parent.id);
        }
        above = target.get(parent.parent);
    }
    None
}

/// What lies below a collection that goes: what goes with it, parents first, and what has to be moved out before.
fn below(current: &Tree, target: &Tree, id: ItemId) -> (Vec<ItemId>, Vec<ItemId>) {
    let (mut goes, mut out) = (vec![id], Vec::new());
    let mut next = 0;
    while let Some(parent) = goes.get(next).copied() {
        for child in current.children(parent) {
            if target.has(child) {
                out.push(child);
            } else {
                goes.push(child);
            }
        }
        next += 1;
    }
    goes.remove(0);
    (goes, out)
}

/// The nearest collection above an item that stays: it is there from the first change to the last.
fn kept_above(current: &Tree, target: &Tree, id: ItemId) -> ItemId {
    let mut above = current.get(id).map(|item| item.parent);
    while let Some(parent) = above.filter(|parent| *parent != target.root()) {
        if target.has(parent) {
            return parent;
        }
        above = current.get(parent).map(|item| item.parent);
    }
    target.root()
}
