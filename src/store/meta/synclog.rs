//! The activity log.

use super::Conn;
use crate::store::Result;

/// One line of the log.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Who acted.
    pub account_id: i64,
    /// With which device.
    pub device_id: Option<i64>,
    /// Where.
    pub space_id: i64,
    /// On which node.
    pub file_id: i64,
    /// What: `upload`, `delete`, …
    pub action: &'static str,
    /// Bytes concerned.
    pub size: i64,
    /// When, ms.
    pub at: i64,
}

const APPEND: &str = "INSERT INTO sync_log
    (account_id, device_id, space_id, file_id, action, size, at)
    VALUES ($1, $2, $3, $4, $5, $6, $7)";

/// Adds a line.
pub async fn append(conn: &mut Conn, entry: &Entry) -> Result<()> {
    sqlx::query(APPEND)
        .bind(entry.account_id)
        .bind(entry.device_id)
        .bind(entry.space_id)
        .bind(entry.file_id)
        .bind(entry.action)
        .bind(entry.size)
        .bind(entry.at)
        .execute(conn)
        .await?;
    Ok(())
}
