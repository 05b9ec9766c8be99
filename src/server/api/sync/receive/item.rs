//! Items of a push without content.

use super::super::super::extract;
use super::super::super::files::change::{make, overwrite};
use super::super::super::problem::{Problem, Result};
use super::super::super::show;
use super::refused;
use crate::protocol::sync::{PushItem, PushResult, PushStatus};
use crate::tree::{self, Node, Reach, Tree};
use crate::types::{ETag, NodeId, NodeName, NodePath};

/// Does one item.
pub(super) async fn run(tree: &Tree, item: PushItem) -> PushResult {
    match act(tree, item).await {
        Ok(result) => result,
        Err(problem) => refused(&problem),
    }
}

async fn act(tree: &Tree, item: PushItem) -> Result<PushResult> {
    match item {
        PushItem::Put(_) => Err(Problem::invalid("op", "a file needs its operations")),
        PushItem::Mkdir { path, mtime } => {
            let path = extract::path("path", &path)?;
            let mtime = extract::time("mtime", mtime)?;
            Ok(done(make(tree, &path, mtime).await?, &path))
        }
        PushItem::Move {
            from,
            to,
            overwrite: over,
        } => {
            let (from, to) = (extract::path("from", &from)?, extract::path("to", &to)?);
            let placed = tree.rename(&from, &to, overwrite(over)).await?;
            Ok(done(placed.node, &to))
        }
        PushItem::Copy {
            from,
            to,
            overwrite: over,
        } => {
            let (from, to) = (extract::path("from", &from)?, extract::path("to", &to)?);
            let placed = tree.copy(&from, &to, overwrite(over), Reach::Deep).await?;
            Ok(done(placed.node, &to))
        }
        PushItem::Delete {
            path,
            id,
            parent,
            base,
        } => {
            let path = extract::path("path", &path)?;
            let (id, parent) = (node("id", id)?, node("parent", parent)?);
            match id {
                Some(id) => delete_node(tree, &path, (id, parent), base.as_deref()).await,
                None => delete(tree, &path, base.as_deref()).await,
            }
        }
    }
}

fn node(field: &str, id: Option<i64>) -> Result<Option<NodeId>> {
    match id {
        Some(id) if extract::IDS.contains(&id) => Ok(Some(NodeId(id))),
        Some(_) => Err(Problem::invalid(field, "an id is a number below 2^53")),
        None => Ok(None),
    }
}

/// What is not there needs no deleting: the item may come a second time.
async fn delete(tree: &Tree, path: &NodePath, base: Option<&str>) -> Result<PushResult> {
    match tree.lookup(path).await {
        Ok(node) => remove(tree, path, node.id, base).await,
        Err(tree::Error::NotFound | tree::Error::NoParent) => {
            Ok(PushResult::bare(PushStatus::Done))
        }
        Err(error) => Err(error.into()),
    }
}

/// The same for a node wherever it lies, or only where it was. `path` is where it was.
async fn delete_node(
    tree: &Tree,
    path: &NodePath,
    (id, parent): (NodeId, Option<NodeId>),
    base: Option<&str>,
) -> Result<PushResult> {
    let found = match tree.by_id(id).await {
        Ok(found) => found,
        Err(tree::Error::NotFound) => return Ok(PushResult::bare(PushStatus::Done)),
        Err(error) => return Err(error.into()),
    };
    let name = path.split_last().map(|(_above, name)| name.key());
    let other_name = NodeName::parse(&found.node.name)
        .map(|name| name.key())
        .ok()
        != name;
    let has_moved = other_name || found.node.parent != parent;
    if found.node.trashed.is_none() && parent.is_some() && has_moved {
        return Ok(stale(tree, &found.path).await);
    }
    remove(tree, &found.path, id, base).await
}

async fn remove(
    tree: &Tree,
    path: &NodePath,
    id: NodeId,
    base: Option<&str>,
) -> Result<PushResult> {
    match tree.remove_node(id, base.map(ETag::parse)).await {
        Ok(()) | Err(tree::Error::NotFound) => Ok(PushResult::bare(PushStatus::Done)),
        Err(tree::Error::PreconditionFailed) => Ok(stale(tree, path).await),
        Err(error) => Err(error.into()),
    }
}

/// Says that something else is at a path by now, and what.
pub(super) async fn stale(tree: &Tree, path: &NodePath) -> PushResult {
    match tree.lookup(path).await {
        Ok(head) => PushResult {
            node: Some(show::node(head, path)),
            ..PushResult::bare(PushStatus::Stale)
        },
        Err(tree::Error::NotFound) => PushResult::bare(PushStatus::Stale),
        Err(error) => refused(&error.into()),
    }
}

fn done(node: Node, path: &NodePath) -> PushResult {
    PushResult {
        node: Some(show::node(node, path)),
        ..PushResult::bare(PushStatus::Done)
    }
}
