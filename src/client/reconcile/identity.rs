//! Who is who: what was made on both sides at one place, and ids that mean two things.

use std::borrow::Cow;
use std::collections::HashMap;

use super::ops::Adopt;
use super::tree::Tree;
use crate::client::item::{Item, ItemId};

/// The three trees, after every item has one id in all of them.
pub(super) struct Trees<'a> {
    pub(super) local: Cow<'a, Tree>,
    pub(super) remote: &'a Tree,
    pub(super) synced: Cow<'a, Tree>,
}

impl<'a> Trees<'a> {
    pub(super) fn of(local: &'a Tree, remote: &'a Tree, synced: &'a Tree) -> Self {
        Self {
            local: Cow::Borrowed(local),
            remote,
            synced: Cow::Borrowed(synced),
        }
    }

    /// Every id in any of the trees, in order.
    pub(super) fn ids(&self) -> Vec<ItemId> {
        let trees = [&*self.local, self.remote, &*self.synced];
        let items = trees.into_iter().flat_map(Tree::items);
        let mut ids: Vec<_> = items.map(|item| item.id).collect();
        ids.sort_unstable();
        ids.dedup();
        ids
    }
}

/// Gives local items whose kind is not that of the same id elsewhere an id of their own, so that they count as made
/// here. Tells the old and the new ids.
pub(super) fn part_strangers(trees: &mut Trees<'_>) -> Vec<Adopt> {
    let kind = |item: Option<&Item>| item.map(|item| item.kind);
    let mut next = trees.ids().first().map_or(0, |id| id.0).min(0);
    let mut parted = Vec::new();
    let mut forgotten = Vec::new();
    for id in trees.ids() {
        let (there, synced) = (kind(trees.remote.get(id)), kind(trees.synced.get(id)));
        let turned = there.is_some() && synced.is_some() && there != synced;
        if turned {
            forgotten.push(id);
        }
        let local = kind(trees.local.get(id));
        if local.is_some() && (turned || synced.or(there).is_some_and(|kind| local != Some(kind))) {
            next -= 1;
            let to = ItemId(next);
            parted.push(Adopt { from: id, to });
        }
    }
    if !forgotten.is_empty() {
        let synced = trees.synced.to_mut();
        for id in forgotten {
            synced.remove(id);
        }
    }
    renumber(&mut trees.local, &parted);
    parted
}

/// Finds what lies on both sides at one place under two ids: made on both, or deleted there and made again.
/// `order` is the local tree's ids, parents first.
pub(super) fn adopt(trees: &mut Trees<'_>, order: &[ItemId]) -> Vec<Adopt> {
    let mut ids = HashMap::new();
    let mut adopted = Vec::new();
    for item in order.iter().filter_map(|id| trees.local.get(*id)) {
        if trees.remote.has(item.id) || !stayed(item, &trees.synced) {
            continue;
        }
        let parent = ids.get(&item.parent).copied().unwrap_or(item.parent);
        let Some(other) = trees.remote.at(parent, &item.name) else {
            continue;
        };
        let made_there = !trees.local.has(other) && !trees.synced.has(other);
        let kind = trees.remote.get(other).map(|other| other.kind);
        if made_there && kind == Some(item.kind) {
            ids.insert(item.id, other);
            adopted.push(Adopt {
                from: item.id,
                to: other,
            });
        }
    }
    renumber(&mut trees.local, &adopted);
    renumber(&mut trees.synced, &adopted);
    adopted
}

/// Whether an item was made here, or lies where it lay. A mount that is gone is nothing else under its name.
fn stayed(item: &Item, synced: &Tree) -> bool {
    synced
        .get(item.id)
        .is_none_or(|old| old.place() == item.place() && !old.mount && !item.mount)
}

fn renumber(tree: &mut Cow<'_, Tree>, changes: &[Adopt]) {
    if changes.is_empty() {
        return;
    }
    let ids: HashMap<_, _> = changes
        .iter()
        .map(|change| (change.from, change.to))
        .collect();
    let new = |id: ItemId| ids.get(&id).copied().unwrap_or(id);
    let Some(root) = tree.get(tree.root()) else {
        return;
    };
    let mut renumbered = Tree::new(root.clone());
    for item in tree.items().filter(|item| item.id != root.id) {
        renumbered.insert(Item {
            id: new(item.id),
            parent: new(item.parent),
            ..item.clone()
        });
    }
    *tree = Cow::Owned(renumbered);
}
