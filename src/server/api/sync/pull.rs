//! What changed since a cursor.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;
use utoipa::IntoParams;

use super::super::Api;
use super::super::answer::Room;
use super::super::extract::{Caller, Query};
use super::super::problem::{Problem, Result};
use super::super::responses::{Problems, Stale};
use super::super::show;
use crate::protocol::schema;
use crate::protocol::sync::{Change, Changes};
use crate::tree::{FEED_MAX, FeedChange, FeedCursor};

/// Changes in one answer when the client does not say.
const LIMIT: u32 = 1000;

/// Where to begin, and how much.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct PullQuery {
    /// The `cursor` of the answer before; everything that is there when absent.
    #[param(value_type = Option<schema::Cursor>)]
    cursor: Option<String>,
    /// Most changes in the answer, 1 to 10,000; 1000 when absent.
    #[param(minimum = 1, maximum = 10000)]
    limit: Option<u32>,
}

/// Tells what changed in all spaces of the account since a cursor.
///
/// A change is a node as it is now, so ten saves of a file are one change and a moved collection is
/// one change, whatever lies below it. A node may come before the collection it lies in. 410 means
/// that the cursor is not valid: pull again without one. After `expired-cursor` what is not told then is gone; after
/// `stale-cursor` nothing can be concluded from that.
#[utoipa::path(get, path = "/sync/pull", operation_id = "pullChanges", tag = "sync",
    params(PullQuery),
    responses((status = 200, body = Changes, description = "The next changes"), Problems, Stale))]
pub(in super::super) async fn pull(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Query(query): Query<PullQuery>,
) -> Result<Response> {
    let since = query.cursor.as_deref().map(cursor).transpose()?;
    let limit = query.limit.unwrap_or(LIMIT);
    if !(1..=FEED_MAX).contains(&limit) {
        return Err(Problem::invalid(
            "limit",
            "a limit lies between 1 and 10,000",
        ));
    }
    let room = Room::take(&api, &caller, limit).await?;
    let feed = caller.tree.pull(since.as_ref(), limit).await?;
    if let Some(device) = caller.session.device {
        api.accounts.device_synced(device).await?;
    }
    room.json(&Changes {
        changes: feed.changes.into_iter().map(change).collect(),
        cursor: feed.cursor.to_string(),
        more: feed.more,
    })
}

/// A cursor as a client sends it back.
pub(super) fn cursor(text: &str) -> Result<FeedCursor> {
    let unknown = || Problem::invalid("cursor", "this is no cursor of a pull");
    FeedCursor::parse(text).ok_or_else(unknown)
}

fn change(change: FeedChange) -> Change {
    match change {
        FeedChange::Present { located, restored } => Change {
            id: located.node.id.0,
            space: located.node.space.0,
            deleted: false,
            restored,
            node: Some(show::located(*located)),
        },
        FeedChange::Gone { id, space } => Change {
            id: id.0,
            space: space.0,
            deleted: true,
            restored: false,
            node: None,
        },
    }
}
