//! Previous contents of a file.

use super::super::extract::{Caller, Json, Path};
use super::super::problem::Result;
use super::super::responses::{InTheWay, NoFile, Problems};
use super::super::show;
use crate::protocol::files::{Node, Versions};
use crate::protocol::schema;
use crate::tree::Located;
use crate::types::NodeId;

/// Lists the versions of a file, newest first.
#[utoipa::path(get, path = "/files/{id}/versions", operation_id = "listVersions", tag = "files",
    params(("id" = schema::Id, Path, description = "The file")),
    responses((status = 200, body = Versions, description = "The versions"), Problems, NoFile))]
pub(in super::super) async fn list(caller: Caller, Path(id): Path<i64>) -> Result<Json<Versions>> {
    let located = caller.tree.by_id(NodeId(id)).await?;
    let found = caller.tree.versions(&located.node).await?.into_iter();
    let show = |(nth, version)| show::version(&version, nth == 0);
    let items = found.enumerate().map(show).collect();
    Ok(Json(Versions { items }))
}

/// Makes a previous version the current one; what was current becomes a version.
#[utoipa::path(post, path = "/files/{id}/versions/{number}/restore",
    operation_id = "restoreVersion", tag = "files",
    params(
        ("id" = schema::Id, Path, description = "The file"),
        ("number" = schema::VersionNumber, Path, description = "The version"),
    ),
    responses(
        (status = 200, body = Node, description = "The file as it is now"),
        Problems, InTheWay,
    ))]
pub(in super::super) async fn restore(
    caller: Caller,
    Path((id, number)): Path<(i64, i64)>,
) -> Result<Json<Node>> {
    let path = caller.tree.by_id(NodeId(id)).await?.path;
    let node = caller.tree.restore_version(NodeId(id), number).await?;
    Ok(Json(show::located(Located { node, path })))
}
