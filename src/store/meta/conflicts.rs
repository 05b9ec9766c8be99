//! Conflicts that nobody has resolved yet.

use super::Conn;
use crate::store::Result;
use crate::types::{DeviceId, Millis, NodeId, SpaceId};

const INSERT: &str = "INSERT INTO conflict (space, node, copy, device, created_at)
    VALUES ($1, $2, $3, $4, $5)";
const OPEN: &str = "SELECT id, node, copy, created_at FROM conflict
    WHERE space = $1 AND resolved_at IS NULL ORDER BY id";
const RESOLVE: &str = "UPDATE conflict SET resolved_at = $3
    WHERE space = $1 AND id = $2 AND resolved_at IS NULL";
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
    let query = sqlx::query(INSERT).bind(space.0).bind(node.0).bind(copy.0);
    query
        .bind(device.map(|device| device.0))
        .bind(at.0)
        .execute(conn)
        .await?;
    Ok(())
}

/// Open conflicts of a space: (id, winner, copy, when).
pub async fn open(conn: &mut Conn, space: SpaceId) -> Result<Vec<(i64, i64, i64, i64)>> {
    Ok(sqlx::query_as(OPEN).bind(space.0).fetch_all(conn).await?)
}

/// Marks one as resolved; `false` when there is no such open one.
pub async fn resolve(conn: &mut Conn, space: SpaceId, id: i64, at: Millis) -> Result<bool> {
    let done = sqlx::query(RESOLVE)
        .bind(space.0)
        .bind(id)
        .bind(at.0)
        .execute(conn)
        .await?;
    Ok(done.rows_affected() > 0)
}

/// Forgets the conflicts of a node that is no more.
pub async fn forget(conn: &mut Conn, node: NodeId) -> Result<()> {
    sqlx::query(FORGET).bind(node.0).execute(conn).await?;
    Ok(())
}

/// The name of a device, for the name of a conflict copy.
pub async fn device_name(conn: &mut Conn, device: DeviceId) -> Result<Option<String>> {
    Ok(sqlx::query_scalar(DEVICE_NAME)
        .bind(device.0)
        .fetch_optional(conn)
        .await?)
}
