//! What has to be done on each side so that both have the same: three trees in, a plan out, nothing else.
//!
//! An item has a place (parent and name), a content, and a file may be executable. Each of these goes by itself: what
//! one side changed goes to the other, and where both changed it differently, the server's place and executable hold.
//! Besides:
//!
//! - **Contents changed on both sides**: the local one goes up with the base that it was made from. The server keeps
//!   both, and the next pass hears what came of it.
//! - **Made on both sides at one place**: two of one kind are one item, which takes the server's id ([`Plan::adopt`]);
//!   so it is with what was deleted there and made again. Otherwise the local one gets out of the way, to a conflict
//!   name, and goes up as that; also where a move met something.
//! - **Deleted on one side**: deleted on the other, unless that has touched it. A collection that was moved is touched
//!   with all that it holds; one that was not is kept for what lies in it, as long as something does.
//! - **Moves of both sides that put collections into each other**: the server's hold.
//! - **Mounts and the root** are where the server says. What lies in them goes the normal way.
//! - **One id, two kinds**: the local item counts as another one, made here ([`Plan::strangers`]).
//!
//! # What the trees must hold
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
//! cannot tell is whether a name is free: [`Names::conflict`] has to look at what is left out, too.
//!
//! # What becomes of the synced tree
//!
//! When all steps about an item succeeded, on both sides, it is synced as in the merged tree, under the id that the
//! server gave it. After an upload its content is the version under whose etag the server keeps the bytes that were
//! sent, be it at the item or in a copy beside it, and its executable is that of the server's node: when the server's
//! content won, the next pass fetches it. When a step failed or was left out, what is synced of its items (those of
//! `below`, too) stays as it was, and the next pass does the rest. Then two synced items may have one place.

use std::collections::HashSet;

use crate::client::item::{Content, Item, ItemId, Kind};

use self::fate::{Fates, decide};
use self::identity::Trees;
pub use self::ops::{Adopt, LocalOp, RemoteOp, Step};
pub use self::tree::Tree;

mod apply;
mod fate;
pub mod guard;
mod identity;
mod ops;
mod order;
mod settle;
#[cfg(test)]
mod tests;
mod tree;
mod turns;

/// How names are made up. Both are pure: the same arguments give the same name.
#[derive(Clone, Copy)]
pub struct Names<'a> {
    /// What something gets in place of its name, in the collection that will hold it, because another one has that
    /// name. A name that is in the trees is asked for again, with the next attempt (from 0 on), which has to give
    /// another one.
    pub conflict: &'a dyn Fn(ItemId, &str, u32) -> String,
    /// What an item is called while others pass it by. Nothing else is ever called so. An item that is left with this
    /// name by a pass that broke off counts as not moved.
    pub temporary: &'a dyn Fn(ItemId) -> String,
}

impl Names<'_> {
    fn is_temporary(&self, item: &Item) -> bool {
        item.name == (self.temporary)(item.id)
    }
}

/// What to do. First the changes of ids, strangers before adoptions; then the steps of each side in their order. The
/// two sides do not wait for each other, because steps name items by id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// What both sides have afterwards, as far as it can be known.
    pub merged: Tree,
    /// Local items that only look like those that had their id: here, not in the synced tree, `to` takes the place of
    /// `from`.
    pub strangers: Vec<Adopt>,
    /// Items that take the server's id.
    pub adopt: Vec<Adopt>,
    /// What to do here.
    pub here: Vec<Step<LocalOp>>,
    /// What to do on the server.
    pub there: Vec<Step<RemoteOp>>,
    /// Items that need no step and that only the synced tree has otherwise: they are as in the merged tree, or gone
    /// when that does not have them.
    pub settled: Vec<ItemId>,
    /// What is removed here.
    pub removed_here: guard::Count,
    /// What is deleted there.
    pub removed_there: guard::Count,
}

impl Plan {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.adopt.is_empty()
            && self.strangers.is_empty()
            && self.here.is_empty()
            && self.there.is_empty()
            && self.settled.is_empty()
    }
}

/// Why there is no plan.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unsound {
    /// The trees do not have one root, or it is no collection.
    #[error("the trees do not have one collection as their root")]
    Root,
    /// Something in the local tree has no way to the root, or its place is another one's.
    #[error("item {} has no place of its own in the local tree", .0.0)]
    Local(ItemId),
    /// The same in the remote tree.
    #[error("item {} has no place of its own in the remote tree", .0.0)]
    Remote(ItemId),
    /// The same in what came out. That is a mistake in here.
    #[error("item {} has no place of its own in the merged tree", .0.0)]
    Merged(ItemId),
}

/// Plans what brings both sides together.
pub fn reconcile(
    local: &Tree,
    remote: &Tree,
    synced: &Tree,
    names: &Names<'_>,
) -> Result<Plan, Unsound> {
    for tree in [local, remote, synced] {
        let root = tree.get(remote.root());
        if tree.root() != remote.root() || root.is_none_or(|root| root.kind != Kind::Collection) {
            return Err(Unsound::Root);
        }
    }
    let mut local_order = local.top_down().map_err(Unsound::Local)?;
    let remote_order = remote.top_down().map_err(Unsound::Remote)?;
    let mut trees = Trees::of(local, remote, synced);
    let strangers = identity::part_strangers(&mut trees);
    if !strangers.is_empty() {
        local_order = trees.local.top_down().map_err(Unsound::Local)?;
    }
    let adopt = identity::adopt(&mut trees, &local_order);
    if !adopt.is_empty() {
        local_order = trees.local.top_down().map_err(Unsound::Local)?;
    }

    let ids = trees.ids();
    let mut fates = decide(&trees, &ids, [&local_order, &remote_order], names);
    settle::connect(&mut fates, &trees, &ids);
    settle::give_way(&mut fates, &trees, &ids, names);
    let merged = merged(&fates, &trees, &ids);
    merged.top_down().map_err(Unsound::Merged)?;

    let here = order::changes(&trees.local, &merged, &ids, names);
    let there = order::changes(remote, &merged, &ids, names);
    let here = apply::here(here, &trees);
    let there = apply::there(there, &trees);
    let settled = settled(&trees, &merged, &ids, [&here.busy, &there.busy]);
    Ok(Plan {
        merged,
        strangers,
        adopt,
        here: here.list,
        there: there.list,
        settled,
        removed_here: here.removed,
        removed_there: there.removed,
    })
}

fn merged(fates: &Fates<'_>, trees: &Trees<'_>, ids: &[ItemId]) -> Tree {
    let mut merged: Option<Tree> = None;
    let root = [trees.remote.root()];
    for id in root.iter().chain(ids) {
        let (local, remote) = (trees.local.get(*id), trees.remote.get(*id));
        let (Some(fate), Some(either)) = (fates.get(id), remote.or(local)) else {
            continue;
        };
        let synced = trees.synced.get(*id);
        let item = Item {
            id: *id,
            parent: fate.parent,
            name: fate.name.clone().into_owned(),
            kind: either.kind,
            content: content(local, remote, synced),
            executable: match either.kind {
                Kind::File => executable(local, remote, synced),
                Kind::Collection | Kind::Link => either.executable,
            },
            mount: remote.is_some_and(|remote| remote.mount),
        };
        match &mut merged {
            None => merged = Some(Tree::new(item)),
            Some(merged) => merged.insert(item),
        }
    }
    merged.unwrap_or_else(|| trees.remote.clone())
}

fn content(local: Option<&Item>, remote: Option<&Item>, synced: Option<&Item>) -> Content {
    match (local, remote) {
        (Some(local), Some(remote)) => {
            let unchanged = synced.is_some_and(|synced| synced.content == local.content);
            let from = if unchanged { remote } else { local };
            from.content.clone()
        }
        (Some(item), None) | (None, Some(item)) => item.content.clone(),
        (None, None) => Content::None,
    }
}

fn executable(local: Option<&Item>, remote: Option<&Item>, synced: Option<&Item>) -> bool {
    let flag = |item: Option<&Item>| item.map(|item| item.executable);
    match (flag(local), flag(remote)) {
        (Some(local), Some(remote)) if flag(synced) == Some(remote) => local,
        (_, Some(remote)) => remote,
        (local, None) => local.unwrap_or_default(),
    }
}

fn settled(
    trees: &Trees<'_>,
    merged: &Tree,
    ids: &[ItemId],
    busy: [&HashSet<ItemId>; 2],
) -> Vec<ItemId> {
    let still = |id: &ItemId| busy.iter().all(|busy| !busy.contains(id));
    let changed = |id: &ItemId| merged.get(*id) != trees.synced.get(*id);
    let ids = ids.iter().copied();
    ids.filter(|id| still(id) && changed(id)).collect()
}
