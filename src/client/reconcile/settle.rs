//! Makes one tree of what was decided item by item: parents are there, nothing is below itself, and every place has
//! one item.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use super::Names;
use super::fate::{Fate, Fates, Side};
use super::identity::Trees;
use crate::client::item::ItemId;

/// Keeps the collections that something kept lies in, and undoes local moves that would put one below itself.
pub(super) fn connect<'a>(fates: &mut Fates<'a>, trees: &'a Trees<'_>, ids: &[ItemId]) {
    let root = trees.remote.root();
    let kept = ids.iter().copied().filter(|id| fates.contains_key(id));
    let mut open: Vec<ItemId> = kept.collect();
    loop {
        revive(fates, trees, open);
        // Each round undoes a local move at least, because the remote tree alone has no circle.
        open = circles(fates, ids, root)
            .into_iter()
            .filter(|id| undo(fates, trees, *id))
            .collect();
        if open.is_empty() {
            return;
        }
    }
}

/// A parent that was to go is on the side that has its child there.
fn revive<'a>(fates: &mut Fates<'a>, trees: &'a Trees<'_>, mut open: Vec<ItemId>) {
    while let Some(id) = open.pop() {
        let Some(parent) = fates.get(&id).map(|fate| fate.parent) else {
            continue;
        };
        if id == trees.remote.root() || fates.contains_key(&parent) {
            continue;
        }
        let here = trees
            .local
            .get(parent)
            .map(|item| Fate::of(item, Side::Here));
        let there = || {
            trees
                .remote
                .get(parent)
                .map(|item| Fate::of(item, Side::There))
        };
        if let Some(fate) = here.or_else(there) {
            fates.insert(parent, fate);
            open.push(parent);
        }
    }
}

/// The items that are below themselves.
fn circles(fates: &Fates<'_>, ids: &[ItemId], root: ItemId) -> Vec<ItemId> {
    let mut walks = HashMap::with_capacity(fates.len());
    let mut found = Vec::new();
    for (walk, start) in ids.iter().enumerate() {
        let mut id = *start;
        let mut path = Vec::new();
        while id != root && !walks.contains_key(&id) {
            let Some(fate) = fates.get(&id) else { break };
            walks.insert(id, walk);
            path.push(id);
            id = fate.parent;
        }
        if walks.get(&id) == Some(&walk) {
            let circle = path.iter().skip_while(|on_path| **on_path != id);
            found.extend(circle.copied());
        }
    }
    found
}

fn undo<'a>(fates: &mut Fates<'a>, trees: &'a Trees<'_>, id: ItemId) -> bool {
    let (Some(fate), Some(remote)) = (fates.get_mut(&id), trees.remote.get(id)) else {
        return false;
    };
    let undone = fate.from == Side::Here;
    *fate = Fate::of(remote, Side::There);
    undone
}

/// Gives the local one another name where two items are to have one place.
pub(super) fn give_way<'a>(
    fates: &mut Fates<'a>,
    trees: &'a Trees<'_>,
    ids: &[ItemId],
    names: &Names<'_>,
) {
    let mut taken: HashSet<(ItemId, Cow<'a, str>)> = HashSet::with_capacity(fates.len());
    let place = |fate: &Fate<'a>| (fate.parent, fate.name.clone());
    let there = |fate: &Fate<'_>| fate.from == Side::There;
    taken.extend(fates.values().filter(|fate| there(fate)).map(place));
    for id in ids {
        let Some(fate) = fates.get_mut(id).filter(|fate| !there(fate)) else {
            continue;
        };
        if taken.insert(place(fate)) {
            continue;
        }
        let mut attempt = 0;
        loop {
            let name = (names.conflict)(fate.parent, &fate.name, attempt);
            let lies = |name| {
                trees.local.at(fate.parent, name).is_some()
                    || trees.remote.at(fate.parent, name).is_some()
            };
            if !lies(&name) && taken.insert((fate.parent, Cow::Owned(name.clone()))) {
                fate.name = Cow::Owned(name);
                break;
            }
            attempt += 1;
        }
    }
}
