//! Conflicts that nobody has resolved.

use http::StatusCode;
use serde::Deserialize;
use utoipa::IntoParams;

use super::extract::{Caller, Json, Path, Query};
use super::problem::{Problem, Result};
use super::responses::Problems;
use super::show;
use crate::protocol::files::{Conflict, Conflicts, Keep, Resolve};
use crate::tree::{self, CONFLICTS_MAX};

/// Which part of the list.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct PageQuery {
    /// The `next` of the answer before.
    cursor: Option<String>,
}

/// Lists the conflicts of all spaces of the account, oldest first.
#[utoipa::path(get, path = "/conflicts", tag = "conflicts", params(PageQuery),
    responses((status = 200, body = Conflicts), Problems))]
pub(super) async fn list(
    caller: Caller,
    Query(query): Query<PageQuery>,
) -> Result<Json<Conflicts>> {
    let after = match query.cursor.as_deref().map(str::parse) {
        None => 0,
        Some(Ok(id)) => id,
        Some(Err(_)) => return Err(Problem::invalid("cursor", "this is no cursor of this list")),
    };
    let found = caller.tree.conflicts(after, CONFLICTS_MAX).await?;
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
#[utoipa::path(post, path = "/conflicts/{id}/resolve", tag = "conflicts",
    params(("id" = i64, Path, description = "The conflict")), request_body = Resolve,
    responses((status = 204, description = "It is resolved"), Problems))]
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
