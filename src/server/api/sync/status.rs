//! Where the account stands: spaces, keys, activity.

use std::sync::Arc;

use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;

use super::super::Api;
use super::super::extract::{Caller, IDS, Json, Query};
use super::super::files::list::limit;
use super::super::problem::{Problem, Result};
use super::super::responses::Problems;
use super::super::show;
use crate::protocol::auth::{Account, DeviceName};
use crate::protocol::schema;
use crate::protocol::sync::{Log, LogEntry, SpaceKeys, SpaceStatus, Status};
use crate::tree::CONFLICTS_MAX;
use crate::types::{SpaceId, hex};

/// Tells where the account stands.
#[utoipa::path(get, path = "/sync/status", operation_id = "getSyncStatus", tag = "sync",
    responses((status = 200, body = Status, description = "Where the account stands"), Problems))]
pub(in super::super) async fn status(
    State(api): State<Arc<Api>>,
    caller: Caller,
) -> Result<Json<Status>> {
    let (tree, session) = (&caller.tree, &caller.session);
    // Asked first: what happens meanwhile is pulled again, never missed.
    let cursor = tree.feed_end().await?.to_string();
    let devices = api.accounts.device_list(session.account).await?;
    let device = devices
        .into_iter()
        .find(|device| Some(device.id) == session.device);
    let spaces = tree.standing().await?.into_iter().map(|space| SpaceStatus {
        id: space.space.0,
        path: space.path.to_string(),
        root: space.root.0,
        seq: space.seq,
    });
    Ok(Json(Status {
        account: Account {
            id: session.account.0,
            name: session.name.clone(),
            admin: session.admin,
        },
        last_sync: device
            .as_ref()
            .and_then(|device| device.last_sync)
            .map(|at| at.0),
        device: device.map(|device| DeviceName {
            id: device.id.0,
            name: device.name,
            kind: show::device_type(device.kind),
        }),
        spaces: spaces.collect(),
        cursor,
        conflicts: tree.conflicts(0, CONFLICTS_MAX).await?.len() as u64,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        time: api.clock.now().0,
    }))
}

/// Which space.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct KeysQuery {
    /// The space.
    #[param(value_type = schema::Id)]
    space: i64,
}

/// Gives the keys with which members of a space name its chunks and contents.
///
/// With them a device computes the chunks and the root of its own files. They open no sealed bytes.
#[utoipa::path(get, path = "/sync/keys", operation_id = "getSpaceKeys", tag = "sync",
    params(KeysQuery),
    responses((status = 200, body = SpaceKeys, description = "The keys"), Problems))]
pub(in super::super) async fn keys(
    caller: Caller,
    Query(query): Query<KeysQuery>,
) -> Result<Json<SpaceKeys>> {
    let keys = caller.tree.client_keys(SpaceId(query.space)).await?;
    Ok(Json(SpaceKeys {
        space: query.space,
        chunk: hex(&keys.chunk),
        blind: hex(&keys.blind),
        root: hex(&keys.root),
        gear: format!("{:016x}", keys.gear),
    }))
}

/// Which part of the log.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct LogQuery {
    /// The `next` of the answer before.
    #[param(value_type = Option<schema::Id>)]
    before: Option<i64>,
    /// Most lines in the answer, 1 to 1000; 200 when absent.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
}

/// Tells what the account's devices did, newest first.
#[utoipa::path(get, path = "/sync/log", operation_id = "getActivity", tag = "sync",
    params(LogQuery),
    responses((status = 200, body = Log, description = "A page"), Problems))]
pub(in super::super) async fn log(
    caller: Caller,
    Query(query): Query<LogQuery>,
) -> Result<Json<Log>> {
    if query.before.is_some_and(|before| !IDS.contains(&before)) {
        return Err(Problem::invalid("before", "this is no line of the log"));
    }
    let limit = limit(query.limit)?;
    let rows = caller.tree.activity(query.before, limit).await?;
    let full = rows.len() == limit as usize;
    let next = rows.last().filter(|_| full).map(|row| row.id);
    let items = rows.into_iter().map(|row| LogEntry {
        id: row.id,
        device: row.device_id,
        space: row.space_id,
        node: row.file_id,
        action: row.action,
        size: u64::try_from(row.size).unwrap_or(0),
        at: row.at,
    });
    Ok(Json(Log {
        items: items.collect(),
        next,
    }))
}
