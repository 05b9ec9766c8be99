//! Changes as steps of either side.

use std::collections::HashSet;

use super::guard::Count;
use super::identity::Trees;
use super::ops::{LocalOp, RemoteOp, Step};
use super::order::{Change, Turn};
use super::tree::Tree;
use crate::client::item::{Item, ItemId, Kind};

/// The steps of one side, the items that they are about, and how much they remove.
pub(super) struct Steps<Op> {
    pub(super) list: Vec<Step<Op>>,
    pub(super) busy: HashSet<ItemId>,
    pub(super) removed: Count,
}

pub(super) fn here(turns: Vec<Turn>, trees: &Trees<'_>) -> Steps<LocalOp> {
    steps(turns, &trees.local, local_op)
}

pub(super) fn there(turns: Vec<Turn>, trees: &Trees<'_>) -> Steps<RemoteOp> {
    steps(turns, trees.remote, |id, change| {
        remote_op(trees, id, change)
    })
}

fn steps<Op>(turns: Vec<Turn>, current: &Tree, op: impl Fn(ItemId, Change) -> Op) -> Steps<Op> {
    let mut busy = HashSet::with_capacity(turns.len());
    let mut removed = Count::default();
    let mut steps = Vec::with_capacity(turns.len());
    for Turn { id, change, needs } in turns {
        busy.insert(id);
        if let Change::Remove(below) = &change {
            for gone in below.iter().chain([&id]) {
                busy.insert(*gone);
                removed.items += 1;
                let kind = current.get(*gone).map(|item| item.kind);
                removed.files += u64::from(kind != Some(Kind::Collection));
            }
        }
        steps.push(Step {
            op: op(id, change),
            needs,
        });
    }
    Steps {
        list: steps,
        busy,
        removed,
    }
}

fn local_op(id: ItemId, change: Change) -> LocalOp {
    match change {
        Change::Make(Item {
            kind: Kind::Collection,
            parent,
            name,
            ..
        }) => LocalOp::MakeCollection { id, parent, name },
        Change::Make(Item { parent, name, .. }) => LocalOp::Fetch {
            id,
            parent,
            name,
            replaces: false,
        },
        Change::Write(Item { parent, name, .. }) => LocalOp::Fetch {
            id,
            parent,
            name,
            replaces: true,
        },
        Change::Move(Item { parent, name, .. }) => LocalOp::Move {
            id,
            parent,
            name,
            temporary: false,
        },
        Change::Park(parent, name) => LocalOp::Move {
            id,
            parent,
            name,
            temporary: true,
        },
        Change::Remove(below) => LocalOp::Remove { id, below },
        Change::SetExecutable(executable) => LocalOp::SetExecutable { id, executable },
    }
}

fn remote_op(trees: &Trees<'_>, id: ItemId, change: Change) -> RemoteOp {
    match change {
        Change::Make(Item {
            kind: Kind::Collection,
            parent,
            name,
            ..
        }) => RemoteOp::MakeCollection { id, parent, name },
        Change::Make(Item { parent, name, .. }) | Change::Write(Item { parent, name, .. }) => {
            RemoteOp::Upload {
                id,
                parent,
                name,
                base: trees.synced.get(id).and_then(Item::etag).cloned(),
            }
        }
        Change::Move(Item { parent, name, .. }) => RemoteOp::Move {
            id,
            parent,
            name,
            temporary: false,
        },
        Change::Park(parent, name) => RemoteOp::Move {
            id,
            parent,
            name,
            temporary: true,
        },
        Change::Remove(below) => RemoteOp::Delete {
            id,
            base: trees.remote.get(id).and_then(Item::etag).cloned(),
            below,
        },
        Change::SetExecutable(executable) => RemoteOp::SetExecutable { id, executable },
    }
}
