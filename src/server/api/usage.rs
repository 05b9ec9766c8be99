//! How full the spaces are.

use super::extract::{Caller, Json};
use super::problem::Result;
use super::responses::Problems;
use crate::protocol::files::{SpaceUsage, Usage};

/// Tells what the account's spaces hold, and how much they may.
#[utoipa::path(get, path = "/usage", operation_id = "getUsage", tag = "files",
    responses((status = 200, body = Usage, description = "What the spaces hold"), Problems))]
pub(super) async fn show(caller: Caller) -> Result<Json<Usage>> {
    let spaces = caller.tree.usage_of_spaces().await?.into_iter();
    let spaces = spaces.map(|held| SpaceUsage {
        id: held.space.0,
        path: held.path.to_string(),
        used: held.usage.used,
        versions: held.versions,
        trash: held.trash,
        quota: held.quota,
        available: held.usage.available,
    });
    Ok(Json(Usage {
        spaces: spaces.collect(),
    }))
}
