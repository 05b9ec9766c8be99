//! Previous contents of files.

use super::nodes::NodeRow;
use super::{Conn, sql};
use crate::store::Result;
use crate::types::{ContentId, DeviceId, Millis, NodeId, SpaceId};

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
// A version's age counts from when it was replaced: when the next newer one arrived.
const PRUNE: &str = "DELETE FROM version WHERE node = $1 AND number IN (
        SELECT number FROM (
            SELECT number, row_number() OVER (ORDER BY number DESC) AS place,
                   COALESCE(lag(written) OVER (ORDER BY number DESC), $4) AS replaced
              FROM version WHERE node = $1) AS ranked
         WHERE place > $3 OR (place > $2 AND replaced < $5))
    RETURNING size";
const PAGE_END: &str = "SELECT max(node) FROM (SELECT DISTINCT node FROM version
    WHERE node > $1 ORDER BY node LIMIT $2) AS page";
const OVERDUE: &str = "SELECT node, count(*), CAST(SUM(size) AS BIGINT) FROM (
        SELECT v.node, v.size,
               row_number() OVER (PARTITION BY v.node ORDER BY v.number DESC) AS place,
               COALESCE(lag(v.written) OVER (PARTITION BY v.node ORDER BY v.number DESC),
                        n.written) AS replaced
          FROM version v JOIN node n ON n.id = v.node
         WHERE v.node > $1 AND v.node <= $2) AS ranked
    WHERE place > $4 OR (place > $3 AND replaced < $5)
    GROUP BY node ORDER BY node";
const OLDEST: &str = "SELECT node, number, replaced FROM (
        SELECT v.node, v.number,
               row_number() OVER (PARTITION BY v.node ORDER BY v.number DESC) AS place,
               COALESCE(lag(v.written) OVER (PARTITION BY v.node ORDER BY v.number DESC),
                        n.written) AS replaced
          FROM version v JOIN node n ON n.id = v.node WHERE n.space = $1) AS ranked
    WHERE place > $2 AND replaced <= $3 ORDER BY replaced, node, number LIMIT $4";
const FORGET: &str = "DELETE FROM version WHERE node = $1 AND number = $2
    AND (SELECT count(*) FROM version v WHERE v.node = $1 AND v.number > $2) >= $3
    RETURNING size";
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

/// Drops what `keep` does not hold, of a file whose newest version was replaced at `replaced`, and
/// returns the sizes of what went.
pub async fn prune(
    conn: &mut Conn,
    node: NodeId,
    keep: Keep,
    (replaced, now): (Millis, Millis),
) -> Result<Vec<i64>> {
    let query = sql::query_scalar(PRUNE)
        .bind(node.0)
        .bind(keep.always)
        .bind(keep.most);
    let query = query.bind(replaced.0).bind(now.0 - keep.max_age);
    Ok(query.fetch_all(conn).await?)
}

/// What a file has too much of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overdue {
    /// The file.
    pub node: NodeId,
    /// Versions that `keep` does not hold.
    pub versions: i64,
    /// Their bytes.
    pub bytes: i64,
}

/// The files among the next `limit` after `after` that have versions `keep` does not hold, and the
/// last one looked at; `None` when there is no next one.
pub async fn overdue(
    conn: &mut Conn,
    after: NodeId,
    keep: Keep,
    now: Millis,
    limit: i64,
) -> Result<Option<(Vec<Overdue>, NodeId)>> {
    let query = sql::query_scalar(PAGE_END).bind(after.0).bind(limit);
    let Some(last): Option<i64> = query.fetch_one(&mut *conn).await? else {
        return Ok(None);
    };
    let query = sql::query_as(OVERDUE)
        .bind(after.0)
        .bind(last)
        .bind(keep.always)
        .bind(keep.most);
    let query = query.bind(now.0 - keep.max_age);
    let rows: Vec<(i64, i64, i64)> = query.fetch_all(conn).await?;
    let overdue = |(node, versions, bytes)| Overdue {
        node: NodeId(node),
        versions,
        bytes,
    };
    Ok(Some((
        rows.into_iter().map(overdue).collect(),
        NodeId(last),
    )))
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

/// A version that others of its file have followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Replaced {
    /// The file.
    pub node: NodeId,
    /// Its number.
    pub number: i64,
    /// When the next newer one arrived.
    pub replaced: Millis,
}

/// Versions of a space that were replaced at `until` or before, all but the newest `always` of each
/// file, oldest first. Reads all versions of the space.
pub async fn oldest(
    conn: &mut Conn,
    space: SpaceId,
    (always, until): (i64, Millis),
    limit: i64,
) -> Result<Vec<Replaced>> {
    let query = sql::query_as(OLDEST).bind(space.0).bind(always);
    let query = query.bind(until.0).bind(limit);
    let rows: Vec<(i64, i64, i64)> = query.fetch_all(conn).await?;
    let version = |(node, number, replaced)| Replaced {
        node: NodeId(node),
        number,
        replaced: Millis(replaced),
    };
    Ok(rows.into_iter().map(version).collect())
}

/// Drops one version, if `always` newer ones are there, and returns its size.
pub async fn forget(
    conn: &mut Conn,
    node: NodeId,
    number: i64,
    always: i64,
) -> Result<Option<i64>> {
    let query = sql::query_scalar(FORGET)
        .bind(node.0)
        .bind(number)
        .bind(always);
    Ok(query.fetch_optional(conn).await?)
}

/// Every statement here, for the test that prepares them all.
#[cfg(test)]
pub(super) fn statements() -> Vec<&'static str> {
    vec![
        PUT, LIST, BY_NUMBER, PRUNE, PAGE_END, OVERDUE, OLDEST, FORGET, NAMES, EARLIER, ADOPT,
    ]
}
