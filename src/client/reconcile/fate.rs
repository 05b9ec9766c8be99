//! Which items there are afterwards, and which side says where each one lies.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use super::Names;
use super::identity::Trees;
use super::tree::Tree;
use crate::client::item::{Item, ItemId, Kind};

/// One side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Here,
    There,
}

/// Where an item lies afterwards.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fate<'a> {
    pub(super) parent: ItemId,
    pub(super) name: Cow<'a, str>,
    /// Whose place it is; there, when both sides agree.
    pub(super) from: Side,
}

impl<'a> Fate<'a> {
    pub(super) fn of(item: &'a Item, from: Side) -> Self {
        Self {
            parent: item.parent,
            name: Cow::Borrowed(&item.name),
            from,
        }
    }
}

/// The items that are kept, by id.
pub(super) type Fates<'a> = HashMap<ItemId, Fate<'a>>;

/// Decides about every item by itself. `orders` are the ids of the local and the remote tree, parents first.
pub(super) fn decide<'a>(
    trees: &'a Trees<'_>,
    ids: &[ItemId],
    orders: [&[ItemId]; 2],
    names: &Names<'_>,
) -> Fates<'a> {
    let here = carried(orders[0], &trees.local, trees.remote, &trees.synced, names);
    let there = carried(orders[1], trees.remote, &trees.local, &trees.synced, names);
    let mut fates = Fates::with_capacity(ids.len());
    for id in ids {
        let synced = trees.synced.get(*id);
        let fate = match (trees.local.get(*id), trees.remote.get(*id)) {
            (Some(local), Some(remote)) => place(local, remote, synced, names),
            (Some(local), None) => {
                // The server has unmounted it: what was done to it here does not keep it.
                let mount = local.mount || synced.is_some_and(|item| item.mount);
                let keep = synced
                    .is_none_or(|synced| !mount && (here.contains(id) || changed(local, synced)));
                if !keep {
                    continue;
                }
                Fate::of(local, Side::Here)
            }
            (None, Some(remote)) => {
                let keep = synced.is_none_or(|synced| {
                    remote.mount || there.contains(id) || changed(remote, synced)
                });
                if !keep {
                    continue;
                }
                Fate::of(remote, Side::There)
            }
            (None, None) => continue,
        };
        fates.insert(*id, fate);
    }
    fates
}

/// What one side moved, by itself or with a collection above it, and the other has deleted.
fn carried(
    order: &[ItemId],
    tree: &Tree,
    other: &Tree,
    synced: &Tree,
    names: &Names<'_>,
) -> HashSet<ItemId> {
    let mut carried = HashSet::new();
    for item in order.iter().filter_map(|id| tree.get(*id)) {
        let Some(old) = synced.get(item.id) else {
            continue;
        };
        if item.mount || old.mount || other.has(item.id) {
            continue;
        }
        if moved(item, old, names) || carried.contains(&item.parent) {
            carried.insert(item.id);
        }
    }
    carried
}

/// Whether an item is elsewhere than it was. Under a temporary name it is on its way only.
fn moved(item: &Item, old: &Item, names: &Names<'_>) -> bool {
    item.place() != old.place() && !names.is_temporary(item)
}

/// Whether what is in an item, or how, is not as it was. Where it lies is for [`carried`].
fn changed(item: &Item, old: &Item) -> bool {
    let executable = item.kind == Kind::File && item.executable != old.executable;
    item.content != old.content || executable
}

/// Which place an item takes that both sides have.
fn place<'a>(
    local: &'a Item,
    remote: &'a Item,
    synced: Option<&Item>,
    names: &Names<'_>,
) -> Fate<'a> {
    let there = Fate::of(remote, Side::There);
    if remote.mount || local.place() == remote.place() || names.is_temporary(local) {
        return there;
    }
    let unmoved = synced.is_some_and(|synced| synced.place() == remote.place());
    if unmoved || names.is_temporary(remote) {
        return Fate::of(local, Side::Here);
    }
    there
}
