//! Conflicts that nobody has resolved.

use http::StatusCode;
use serde::Deserialize;
use utoipa::IntoParams;

use super::extract::{Caller, Json, Path, Query, row_cursor};
use super::problem::Result;
use super::responses::{InTheWay, Problems};
use super::show;
use crate::protocol::files::{Conflict, Conflicts, Keep, Resolve};
use crate::protocol::schema;
use crate::tree::{self, CONFLICTS_MAX};

/// Which part of the list.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct PageQuery {
    /// The `next` of the answer before.
    #[param(value_type = Option<schema::Cursor>)]
    cursor: Option<String>,
}

/// Lists the conflicts of all spaces of the account, oldest first.
#[utoipa::path(get, path = "/conflicts", operation_id = "listConflicts", tag = "conflicts",
    params(PageQuery),
    responses((status = 200, body = Conflicts, description = "A page"), Problems))]
pub(super) async fn list(
    caller: Caller,
    Query(query): Query<PageQuery>,
) -> Result<Json<Conflicts>> {
    let after = query.cursor.as_deref().map(row_cursor).transpose()?;
    let found = caller
        .tree
        .conflicts(after.unwrap_or(0), CONFLICTS_MAX)
        .await?;
    let full = found.len() == CONFLICTS_MAX as usize;
    let next = found
        .last()
        .filter(|_| full)
        .map(|last| last.id.to_string());
    let items = found.into_iter().map(conflict).collect();
    Ok(Json(Conflicts { items, next }))
}

/// Ends a conflict by keeping one of the two or both. What is not kept stays as a version or in
/// trash.
#[utoipa::path(post, path = "/conflicts/{id}/resolve", operation_id = "resolveConflict",
    tag = "conflicts", params(("id" = schema::Id, Path, description = "The conflict")),
    request_body = Resolve,
    responses((status = 204, description = "It is resolved"), Problems, InTheWay))]
pub(super) async fn resolve(
    caller: Caller,
    Path(id): Path<i64>,
    Json(asked): Json<Resolve>,
) -> Result<StatusCode> {
    let keep = match asked.keep {
        Keep::Both => tree::Keep::Both,
        Keep::Node => tree::Keep::Node,
        Keep::Copy => tree::Keep::Copy,
    };
    caller.tree.resolve_conflict(id, keep).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn conflict(found: tree::Conflict) -> Conflict {
    Conflict {
        id: found.id,
        at: found.at.0,
        node: found.node.map(show::located),
        copy: found.copy.map(show::located),
        device: found.device.map(|device| device.0),
    }
}
