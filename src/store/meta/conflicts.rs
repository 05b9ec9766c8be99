//! Conflicts that nobody has resolved yet.

use super::nodes::{NodeRow, select_node};
use super::{Conn, sql};
use crate::store::Result;
use crate::types::{ContentId, DeviceId, Millis, NodeId, SpaceId};

/// An open conflict.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct ConflictRow {
    /// Its id.
    pub id: i64,
    /// The space both nodes lie in.
    pub space: i64,
    /// The winner.
    pub node: i64,
    /// The node that keeps the loser.
    pub copy: i64,
    /// The device whose write met another's.
    pub device: Option<i64>,
    /// When, ms.
    pub created_at: i64,
}

/// An open conflict, for the operator.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct Listed {
    /// Its id.
    pub id: i64,
    /// The name of the space.
    pub space: String,
    /// The winner.
    pub node: i64,
    /// The node that keeps the loser.
    pub copy: i64,
    /// The name of the device whose write met another's.
    pub device: Option<String>,
    /// When, ms.
    pub created_at: i64,
}

const INSERT: &str = "INSERT INTO conflict (space, node, copy, device, created_at)
    VALUES ($1, $2, $3, $4, $5)";
const OPEN: &str = "SELECT id, space, node, copy, device, created_at FROM conflict
    WHERE space = $1 AND id > $2 AND resolved_at IS NULL ORDER BY id LIMIT $3";
const BY_ID: &str = "SELECT id, space, node, copy, device, created_at FROM conflict
    WHERE id = $1 AND resolved_at IS NULL";
const KEPT: &str = select_node!(
    "JOIN conflict x ON x.copy = n.id
    WHERE x.node = $1 AND x.resolved_at IS NULL AND n.content = $2 AND n.trashed IS NULL LIMIT 1"
);
const WON: &str = select_node!(
    "JOIN conflict x ON x.copy = n.id
    WHERE x.node = $1 AND x.created_at = $2 AND x.device IS NOT DISTINCT FROM $3
        AND x.resolved_at IS NULL AND n.trashed IS NULL ORDER BY x.id DESC LIMIT 1"
);
const RESOLVE: &str = "UPDATE conflict SET resolved_at = $3
    WHERE space = $1 AND id = $2 AND resolved_at IS NULL";
const OF_ALL: &str = "SELECT x.id, s.name AS space, x.node, x.copy, d.name AS device, x.created_at
    FROM conflict x JOIN space s ON s.id = x.space LEFT JOIN devices d ON d.id = x.device
    WHERE x.id > $1 AND x.resolved_at IS NULL ORDER BY x.id LIMIT $2";
const FORGET_RESOLVED: &str = "DELETE FROM conflict WHERE resolved_at <= $1";
const FORGET: &str = "DELETE FROM conflict WHERE node = $1 OR copy = $1";
const DEVICE_NAME: &str = "SELECT name FROM devices WHERE id = $1";

/// Notes a conflict: `copy` keeps what lost against `node`.
pub async fn insert(
    conn: &mut Conn,
    space: SpaceId,
    (node, copy): (NodeId, NodeId),
    device: Option<DeviceId>,
    at: Millis,
) -> Result<()> {
    let query = sql::query(INSERT).bind(space.0).bind(node.0).bind(copy.0);
    query
        .bind(device.map(|device| device.0))
        .bind(at.0)
        .execute(conn)
        .await?;
    Ok(())
}

/// Open conflicts of a space after an id, at most `limit`.
pub async fn open(
    conn: &mut Conn,
    space: SpaceId,
    after: i64,
    limit: usize,
) -> Result<Vec<ConflictRow>> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let query = sql::query_as(OPEN).bind(space.0).bind(after).bind(limit);
    Ok(query.fetch_all(conn).await?)
}

/// An open conflict.
pub async fn by_id(conn: &mut Conn, id: i64) -> Result<Option<ConflictRow>> {
    Ok(sql::query_as(BY_ID).bind(id).fetch_optional(conn).await?)
}

/// The copy that keeps this content as the loser of an open conflict with a node.
pub async fn kept(conn: &mut Conn, node: NodeId, content: ContentId) -> Result<Option<NodeRow>> {
    let query = sql::query_as(KEPT).bind(node.0).bind(content.0);
    Ok(query.fetch_optional(conn).await?)
}

/// The copy that keeps what lost when this device wrote a node at this time.
pub async fn won(
    conn: &mut Conn,
    node: NodeId,
    written: Millis,
    device: Option<DeviceId>,
) -> Result<Option<NodeRow>> {
    let query = sql::query_as(WON).bind(node.0).bind(written.0);
    let query = query.bind(device.map(|device| device.0));
    Ok(query.fetch_optional(conn).await?)
}

/// Marks one as resolved; `false` when there is no such open one.
pub async fn resolve(conn: &mut Conn, space: SpaceId, id: i64, at: Millis) -> Result<bool> {
    let done = sql::query(RESOLVE)
        .bind(space.0)
        .bind(id)
        .bind(at.0)
        .execute(conn)
        .await?;
    Ok(done.rows_affected() > 0)
}

/// Open conflicts of all spaces after an id, at most `limit`.
pub async fn of_all(conn: &mut Conn, after: i64, limit: i64) -> Result<Vec<Listed>> {
    let query = sql::query_as(OF_ALL).bind(after).bind(limit);
    Ok(query.fetch_all(conn).await?)
}

/// Forgets the conflicts that were resolved at `until` or before, and says how many.
pub async fn forget_resolved(conn: &mut Conn, until: Millis) -> Result<u64> {
    let query = sql::query(FORGET_RESOLVED).bind(until.0);
    Ok(query.execute(conn).await?.rows_affected())
}

/// Forgets the conflicts of a node that is no more.
pub async fn forget(conn: &mut Conn, node: NodeId) -> Result<()> {
    sql::query(FORGET).bind(node.0).execute(conn).await?;
    Ok(())
}

/// The name of a device, for the name of a conflict copy.
pub async fn device_name(conn: &mut Conn, device: DeviceId) -> Result<Option<String>> {
    Ok(sql::query_scalar(DEVICE_NAME)
        .bind(device.0)
        .fetch_optional(conn)
        .await?)
}

/// Every statement here, for the test that prepares them all.
#[cfg(test)]
pub(super) fn statements() -> Vec<&'static str> {
    vec![
        INSERT,
        OPEN,
        BY_ID,
        KEPT,
        WON,
        RESOLVE,
        OF_ALL,
        FORGET_RESOLVED,
        FORGET,
        DEVICE_NAME,
    ]
}
