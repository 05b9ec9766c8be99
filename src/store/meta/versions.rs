//! Previous contents of files.

use super::nodes::NodeRow;
use super::{Conn, sql};
use crate::store::Result;
use crate::types::{ContentId, DeviceId, Millis, NodeId};

/// A row of `version`.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct VersionRow {
    /// From 1, rising.
    pub number: i64,
    /// Its bytes.
    pub content: i64,
    /// Bytes.
    pub size: i64,
    /// Modification time it had, ms.
    pub mtime: i64,
    /// When it arrived, ms.
    pub written: i64,
    /// Device that wrote it.
    pub device: Option<i64>,
}

/// Which previous contents stay (`versions.*` of the configuration). The current one is not counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keep {
    /// The newest so many stay whatever their age.
    pub always: i64,
    /// Never more than so many.
    pub most: i64,
    /// Those between stay until they were replaced so many milliseconds ago.
    pub max_age: i64,
}

impl Default for Keep {
    fn default() -> Self {
        Self {
            always: 5,
            most: 10,
            max_age: 30 * 24 * 3600 * 1000,
        }
    }
}

const PUT: &str = "INSERT INTO version (node, number, content, size, mtime, written, device)
    VALUES ($1, $2, $3, $4, $5, $6, $7)";
const LIST: &str = "SELECT number, content, size, mtime, written, device FROM version
    WHERE node = $1 ORDER BY number DESC";
const BY_NUMBER: &str = "SELECT number, content, size, mtime, written, device FROM version
    WHERE node = $1 AND number = $2";
// A version's age counts from when it was replaced: when the next newer one arrived, or now.
const PRUNE: &str = "DELETE FROM version WHERE node = $1 AND number IN (
        SELECT number FROM (
            SELECT number, row_number() OVER (ORDER BY number DESC) AS place,
                   COALESCE(lag(written) OVER (ORDER BY number DESC), $4) AS replaced
              FROM version WHERE node = $1) AS ranked
         WHERE place > $3 OR (place > $2 AND replaced < $5))";
const NAMES: &str = "SELECT
    (SELECT count(*) FROM node WHERE id = $1 AND content = $2)
    + (SELECT count(*) FROM version WHERE node = $1 AND content = $2)";
// A base that is not kept any more proves nothing: then the number compares with NULL.
const EARLIER: &str = "SELECT count(*) FROM version WHERE node = $1 AND content = $2
    AND number > CASE WHEN CAST($3 AS BIGINT) IS NULL THEN 0 ELSE
        (SELECT max(number) FROM version WHERE node = $1 AND content = $3) END
    AND device IS NOT DISTINCT FROM CAST($4 AS BIGINT)
    AND (CAST($5 AS BIGINT) IS NULL OR mtime = $5)";
const ADOPT: &str = "UPDATE version SET node = $2, number = number + $3 WHERE node = $1";

/// What is known of a write that may have come before.
#[derive(Clone, Copy, Debug)]
pub struct Earlier {
    /// Its bytes.
    pub content: ContentId,
    /// What it was made from; `None` for nothing.
    pub base: Option<ContentId>,
    /// The device that sends it.
    pub device: Option<DeviceId>,
    /// The modification time it states.
    pub mtime: Option<Millis>,
}

/// Whether a write was made already and others went on from it: a version of the file has its bytes,
/// its device and its time, and is newer than what it was made from.
pub async fn has_earlier(conn: &mut Conn, node: NodeId, write: Earlier) -> Result<bool> {
    let query = sql::query_scalar::<i64>(EARLIER)
        .bind(node.0)
        .bind(write.content.0)
        .bind(write.base.map(|base| base.0))
        .bind(write.device.map(|device| device.0))
        .bind(write.mtime.map(|mtime| mtime.0));
    Ok(query.fetch_one(conn).await? > 0)
}

/// Keeps a file's present content as a version.
pub async fn put(conn: &mut Conn, row: &NodeRow) -> Result<()> {
    let query = sql::query(PUT)
        .bind(row.id)
        .bind(row.version)
        .bind(row.content)
        .bind(row.size);
    query
        .bind(row.mtime)
        .bind(row.written)
        .bind(row.device)
        .execute(conn)
        .await?;
    Ok(())
}

/// The previous versions of a file, newest first.
pub async fn list(conn: &mut Conn, node: NodeId) -> Result<Vec<VersionRow>> {
    Ok(sql::query_as(LIST).bind(node.0).fetch_all(conn).await?)
}

/// One previous version.
pub async fn by_number(conn: &mut Conn, node: NodeId, number: i64) -> Result<Option<VersionRow>> {
    Ok(sql::query_as(BY_NUMBER)
        .bind(node.0)
        .bind(number)
        .fetch_optional(conn)
        .await?)
}

/// Whether a file holds a content now or did in one of its versions.
pub async fn names_content(conn: &mut Conn, node: NodeId, content: ContentId) -> Result<bool> {
    let query = sql::query_scalar::<i64>(NAMES).bind(node.0).bind(content.0);
    Ok(query.fetch_one(conn).await? > 0)
}

/// Drops what `keep` does not hold.
pub async fn prune(conn: &mut Conn, node: NodeId, keep: Keep, now: Millis) -> Result<()> {
    let query = sql::query(PRUNE)
        .bind(node.0)
        .bind(keep.always)
        .bind(keep.most);
    query
        .bind(now.0)
        .bind(now.0 - keep.max_age)
        .execute(conn)
        .await?;
    Ok(())
}

/// Gives the versions of `from` to `to`, numbered on from `after`.
pub async fn adopt(conn: &mut Conn, from: NodeId, to: NodeId, after: i64) -> Result<()> {
    sql::query(ADOPT)
        .bind(from.0)
        .bind(to.0)
        .bind(after)
        .execute(conn)
        .await?;
    Ok(())
}

/// Every statement here, for the test that prepares them all.
#[cfg(test)]
pub(super) fn statements() -> Vec<&'static str> {
    vec![PUT, LIST, BY_NUMBER, PRUNE, NAMES, EARLIER, ADOPT]
}
