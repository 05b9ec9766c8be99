//! Changing the tree: making collections, moving, copying, deleting.

use http::StatusCode;
use serde::Deserialize;
use utoipa::IntoParams;

use super::super::extract::{self, Caller, Json, Path, Query};
use super::super::problem::Result;
use super::super::responses::Problems;
use super::super::show;
use crate::protocol::files::{Mkdir, Node, Placed, Transfer};
use crate::tree::{self, Overwrite, Reach, Tree};
use crate::types::{ETag, Millis, NodeId, NodePath};

/// Makes a collection.
#[utoipa::path(post, path = "/files/mkdir", tag = "files", request_body = Mkdir,
    responses((status = 201, body = Node), (status = 200, body = Node,
        description = "It was there already, and `parents` was set"), Problems))]
pub(in super::super) async fn mkdir(
    caller: Caller,
    Json(asked): Json<Mkdir>,
) -> Result<(StatusCode, Json<Node>)> {
    let path = extract::path("path", &asked.path)?;
    let mtime = extract::time("mtime", asked.mtime)?;
    if asked.parents {
        make_above(&caller.tree, &path).await?;
    }
    let made = match caller.tree.mkdir(&path, mtime).await {
        Ok(node) => (StatusCode::CREATED, node),
        Err(tree::Error::Exists) if asked.parents => {
            (StatusCode::OK, there(&caller.tree, &path).await?)
        }
        Err(error) => return Err(error.into()),
    };
    let path = extract::spelled(&caller.tree, &made.1, &path).await;
    Ok((made.0, Json(show::node(made.1, &path))))
}

/// Makes the collections above a path that are missing.
async fn make_above(tree: &Tree, path: &NodePath) -> Result<()> {
    let mut above = NodePath::root();
    let names = path.names();
    for name in &names[..names.len().saturating_sub(1)] {
        above = above.join(name.clone());
        make(tree, &above, None).await?;
    }
    Ok(())
}

/// Makes a collection unless it is there.
pub(in super::super) async fn make(
    tree: &Tree,
    path: &NodePath,
    mtime: Option<Millis>,
) -> Result<tree::Node> {
    match tree.mkdir(path, mtime).await {
        Err(tree::Error::Exists) => there(tree, path).await,
        made => Ok(made?),
    }
}

/// The collection that is there already; a file in its place is in the way.
async fn there(tree: &Tree, path: &NodePath) -> Result<tree::Node> {
    let node = tree.lookup(path).await?;
    if node.is_collection() {
        return Ok(node);
    }
    Err(tree::Error::Exists.into())
}

/// Moves or renames a node; versions and id stay. Into another space it is copied, and the source
/// goes to trash.
#[utoipa::path(post, path = "/files/move", tag = "files", request_body = Transfer,
    responses((status = 200, body = Placed), Problems))]
pub(in super::super) async fn rename(
    caller: Caller,
    Json(asked): Json<Transfer>,
) -> Result<Json<Placed>> {
    let (from, to) = ends(&asked)?;
    let over = overwrite(asked.overwrite);
    let placed = caller.tree.rename(&from, &to, over).await?;
    Ok(Json(show_placed(&caller.tree, placed, &to).await))
}

/// Copies a node with everything below; no bytes are moved within a space.
#[utoipa::path(post, path = "/files/copy", tag = "files", request_body = Transfer,
    responses((status = 200, body = Placed), Problems))]
pub(in super::super) async fn copy(
    caller: Caller,
    Json(asked): Json<Transfer>,
) -> Result<Json<Placed>> {
    let (from, to) = ends(&asked)?;
    let over = overwrite(asked.overwrite);
    let placed = caller.tree.copy(&from, &to, over, Reach::Deep).await?;
    Ok(Json(show_placed(&caller.tree, placed, &to).await))
}

/// What the node should be.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct RemoveQuery {
    /// The etag it should have; when it has another, nothing is changed (412).
    etag: Option<String>,
}

/// Sends a node to trash with everything below.
#[utoipa::path(delete, path = "/files/{id}", tag = "files",
    params(("id" = i64, Path, description = "The node"), RemoveQuery),
    responses((status = 204, description = "It is in trash"), Problems))]
pub(in super::super) async fn remove(
    caller: Caller,
    Path(id): Path<i64>,
    Query(query): Query<RemoveQuery>,
) -> Result<StatusCode> {
    let tag = query.etag.as_deref().map(ETag::parse);
    caller.tree.remove_node(NodeId(id), tag).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// What may be replaced.
pub(in super::super) fn overwrite(stated: bool) -> Overwrite {
    if stated {
        Overwrite::Yes
    } else {
        Overwrite::No
    }
}

fn ends(asked: &Transfer) -> Result<(NodePath, NodePath)> {
    let from = extract::path("from", &asked.from)?;
    Ok((from, extract::path("to", &asked.to)?))
}

async fn show_placed(tree: &Tree, placed: tree::Placed, to: &NodePath) -> Placed {
    let path = extract::spelled(tree, &placed.node, to).await;
    Placed {
        node: show::node(placed.node, &path),
        replaced: placed.replaced,
    }
}
