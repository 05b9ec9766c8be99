//! Trees and plans in few words.

use super::disk::{Disk, Node, ROOT};
use crate::client::item::{ItemId, Kind};
use crate::client::reconcile::{LocalOp, Plan, RemoteOp, Step, Tree};

/// What an item is.
#[derive(Clone, Copy)]
pub(super) enum What {
    Collection,
    Mount,
    /// A file with this version.
    File(&'static str),
    /// One that may be run.
    Program(&'static str),
    /// A file with bytes that are only here.
    Edited(u64),
    Link(&'static str),
}

/// A tree of items: id, parent (0 is the root), name, and what it is.
pub(super) fn tree(items: &[(i64, i64, &str, What)]) -> Tree {
    let mut disk = Disk::new();
    for (id, parent, name, what) in items {
        let (kind, etag) = match what {
            What::Collection | What::Mount => (Kind::Collection, None),
            What::File(etag) | What::Program(etag) => (Kind::File, Some(*etag)),
            What::Edited(_) => (Kind::File, None),
            What::Link(etag) => (Kind::Link, Some(*etag)),
        };
        let parent = if *parent == 0 { ROOT } else { ItemId(*parent) };
        let mut node = Node::new(parent, name, kind);
        node.etag = etag.map(Into::into);
        node.mount = matches!(what, What::Mount);
        node.executable = matches!(what, What::Program(_));
        if let What::Edited(bytes) = what {
            node.bytes = *bytes;
        }
        disk.make(ItemId(*id), node);
    }
    disk.tree()
}

fn place(parent: ItemId, name: &str) -> String {
    match parent {
        ROOT => format!("/{name}"),
        ItemId(parent) => format!("{parent}/{name}"),
    }
}

fn list(ids: &[ItemId]) -> String {
    let mut list = String::new();
    for id in ids {
        list = format!("{list} {}", id.0);
    }
    list
}

fn local(op: &LocalOp) -> String {
    let id = op.id().0;
    match op {
        LocalOp::MakeCollection { parent, name, .. } => {
            format!("make {id} {}", place(*parent, name))
        }
        LocalOp::Fetch {
            parent,
            name,
            replaces,
            ..
        } => {
            let verb = if *replaces { "replace" } else { "fetch" };
            format!("{verb} {id} {}", place(*parent, name))
        }
        LocalOp::Move {
            parent,
            name,
            temporary,
            ..
        } => {
            let verb = if *temporary { "park" } else { "move" };
            format!("{verb} {id} {}", place(*parent, name))
        }
        LocalOp::Remove { below, .. } => format!("remove {id}{}", list(below)),
        LocalOp::SetExecutable { executable, .. } => format!("executable {id} {executable}"),
    }
}

fn remote(op: &RemoteOp) -> String {
    let id = op.id().0;
    match op {
        RemoteOp::MakeCollection { parent, name, .. } => {
            format!("make {id} {}", place(*parent, name))
        }
        RemoteOp::Upload {
            parent, name, base, ..
        } => {
            let base = base.as_deref().unwrap_or("none");
            format!("upload {id} {} {base}", place(*parent, name))
        }
        RemoteOp::Move {
            parent,
            name,
            temporary,
            ..
        } => {
            let verb = if *temporary { "park" } else { "move" };
            format!("{verb} {id} {}", place(*parent, name))
        }
        RemoteOp::Delete { below, .. } => format!("remove {id}{}", list(below)),
        RemoteOp::SetExecutable { executable, .. } => format!("executable {id} {executable}"),
    }
}

fn words<Op>(steps: &[Step<Op>], one: impl Fn(&Op) -> String) -> Vec<String> {
    steps.iter().map(|step| one(&step.op)).collect()
}

/// The steps here, in words.
pub(super) fn here(plan: &Plan) -> Vec<String> {
    words(&plan.here, local)
}

/// The steps on the server, in words.
pub(super) fn there(plan: &Plan) -> Vec<String> {
    words(&plan.there, remote)
}

/// Both, for plans of which all is known.
pub(super) fn both(plan: &Plan) -> (Vec<String>, Vec<String>) {
    (here(plan), there(plan))
}

/// What [`both`] gives.
pub(super) fn steps(here: &[&str], there: &[&str]) -> (Vec<String>, Vec<String>) {
    let owned = |words: &[&str]| words.iter().map(ToString::to_string).collect();
    (owned(here), owned(there))
}

/// Ids that take the place of others.
pub(super) fn adopted(plan: &Plan) -> Vec<(i64, i64)> {
    plan.adopt
        .iter()
        .map(|one| (one.from.0, one.to.0))
        .collect()
}
