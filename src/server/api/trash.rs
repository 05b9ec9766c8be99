//! What was deleted.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use serde::Deserialize;
use utoipa::IntoParams;

use super::Api;
use super::answer::Room;
use super::extract::{Caller, Json, Path, Query};
use super::files::list::limit;
use super::problem::{Problem, Result};
use super::responses::{InTheWay, Problems};
use super::show;
use crate::protocol::files::{Node, Trash, Trashed};
use crate::protocol::schema;
use crate::tree::{self, TrashMark};
use crate::types::NodeId;

/// Which part of the trash.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct PageQuery {
    /// Most entries in the answer, 1 to 1000; 200 when absent.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
    /// The `next` of the answer before.
    #[param(value_type = Option<schema::Cursor>)]
    cursor: Option<String>,
}

/// Lists the trash of all spaces of the account.
#[utoipa::path(get, path = "/trash", operation_id = "listTrash", tag = "trash", params(PageQuery),
    responses((status = 200, body = Trash, description = "A page"), Problems))]
pub(super) async fn list(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Query(query): Query<PageQuery>,
) -> Result<Response> {
    let unknown = || Problem::invalid("cursor", "this is no cursor of the trash");
    let after = query.cursor.as_deref();
    let after = after
        .map(|text| TrashMark::parse(text).ok_or_else(unknown))
        .transpose()?;
    let limit = limit(query.limit)?;
    let room = Room::take(&api, &caller, limit).await?;
    let (found, next) = caller.tree.trash_page(after, limit).await?;
    room.json(&Trash {
        items: found.into_iter().map(trashed).collect(),
        next: next.map(|mark| mark.to_string()),
    })
}

/// Puts a deleted node back with its versions and everything below: where it was, in the root when
/// that is gone, under a numbered name when its own is taken.
#[utoipa::path(post, path = "/trash/{id}/restore", operation_id = "restoreFromTrash", tag = "trash",
    params(("id" = schema::Id, Path, description = "The node")),
    responses(
        (status = 200, body = Node, description = "The node where it is now"),
        Problems, InTheWay,
    ))]
pub(super) async fn restore(caller: Caller, Path(id): Path<i64>) -> Result<Json<Node>> {
    let node = caller.tree.restore(NodeId(id)).await?;
    Ok(Json(show::located(caller.tree.by_id(node.id).await?)))
}

/// Forgets a deleted node for good, with its versions and everything below.
#[utoipa::path(delete, path = "/trash/{id}", operation_id = "purgeFromTrash", tag = "trash",
    params(("id" = schema::Id, Path, description = "The node")),
    responses((status = 204, description = "It is gone"), Problems, InTheWay))]
pub(super) async fn purge(caller: Caller, Path(id): Path<i64>) -> Result<StatusCode> {
    caller.tree.purge(NodeId(id)).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn trashed(found: tree::Trashed) -> Trashed {
    Trashed {
        id: found.node.id.0,
        space: found.node.space.0,
        kind: show::kind(&found.node),
        name: found.node.name,
        size: found.node.size,
        mtime: found.node.modified.0,
        deleted: found.node.trashed.map_or(0, |at| at.0),
        from: found.from.map(|path| path.to_string()),
    }
}
