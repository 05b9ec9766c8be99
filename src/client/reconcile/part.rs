//! What the trees must hold.
//!
//! A tree of everything is large, and little of it matters in a pass. The plan is the same when all three trees hold
//!
//! - every item that is not the same in all three (each of the trees that has it, has it whole), and
//! - the collections above it, up to the root, in each of the trees,
//!
//! and nothing else. In particular that is:
//!
//! - everything below a collection that is missing on one side, because it is missing there, too, or moved; whoever
//!   only hears that a collection was deleted has to add what he knows to lie below;
//! - whoever lies, in any of the trees, at a place that something moved or was made into: he is not there on both
//!   sides.
//!
//! What lies below a collection that merely moved is the same in all three and stays out. The one thing that a part
//! cannot tell is whether a name is free: [`super::Names::conflict`] has to look at what is left out, too.

use std::collections::BTreeSet;

use super::tree::Tree;
use crate::client::item::ItemId;

/// The ids that parts of these trees have to hold.
pub fn relevant(local: &Tree, remote: &Tree, synced: &Tree) -> BTreeSet<ItemId> {
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
pub fn part(tree: &Tree, ids: &BTreeSet<ItemId>) -> Option<Tree> {
    let mut part = Tree::new(tree.get(tree.root())?.clone());
    for item in ids.iter().filter_map(|id| tree.get(*id)) {
        part.insert(item.clone());
    }
    Some(part)
}
