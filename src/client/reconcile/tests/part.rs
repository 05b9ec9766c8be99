//! The parts of trees that a plan needs.

use std::collections::BTreeSet;

use crate::client::item::ItemId;
use crate::client::reconcile::Tree;

/// The ids that parts of these trees have to hold.
pub(super) fn relevant(local: &Tree, remote: &Tree, synced: &Tree) -> BTreeSet<ItemId> {
    let trees = [local, remote, synced];
    let mut found = BTreeSet::from([local.root()]);
    let mut open: Vec<ItemId> = trees
        .iter()
        .flat_map(|tree| tree.items())
        .map(|item| item.id)
        .filter(|id| local.get(*id) != remote.get(*id) || local.get(*id) != synced.get(*id))
        .collect();
    while let Some(id) = open.pop() {
        if found.insert(id) {
            let above = trees.iter().filter_map(|tree| tree.get(id));
            open.extend(above.map(|item| item.parent));
        }
    }
    found
}

/// The part of a tree that holds these ids.
pub(super) fn part(tree: &Tree, ids: &BTreeSet<ItemId>) -> Option<Tree> {
    let mut part = Tree::new(tree.get(tree.root())?.clone());
    for item in ids.iter().filter_map(|id| tree.get(*id)) {
        part.insert(item.clone());
    }
    Some(part)
}
