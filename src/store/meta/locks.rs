//! Write locks (RFC 4918 §6). A lock is on a node; expired rows count as absent everywhere.

use super::{Conn, sql};
use crate::store::Result;
use crate::types::{Millis, NodeId, SpaceId};

/// A row of `lock` with its holder's name.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct LockRow {
    /// `urn:uuid:…`
    pub token: String,
    /// The space.
    pub space: i64,
    /// The locked node.
    pub node: i64,
    /// Who holds it.
    pub account: i64,
    /// The holder's name.
    pub principal: String,
    /// Whether it covers everything below.
    pub deep: bool,
    /// Shared or exclusive.
    pub shared: bool,
    /// The client's owner element.
    pub owner: Option<Vec<u8>>,
    /// Seconds granted.
    pub timeout: i64,
    /// When it ends, ms.
    pub expires_at: i64,
}

macro_rules! select_lock {
    ($with:literal, $rest:literal) => {
        concat!(
            $with,
            " SELECT l.token, l.space, l.node, l.account, COALESCE(a.name, '') AS principal,
                l.deep, l.shared, l.owner, l.timeout, l.expires_at
            FROM lock l LEFT JOIN account a ON a.id = l.account ",
            $rest
        )
    };
}

const COVERING: &str = select_lock!(
    "WITH RECURSIVE up (id, parent, dist) AS (
        SELECT id, parent, CAST(0 AS BIGINT) FROM node WHERE id = $1
        UNION ALL
        SELECT n.id, n.parent, up.dist + 1 FROM node n JOIN up ON n.id = up.parent)",
    "JOIN up ON up.id = l.node WHERE l.expires_at > $2 AND (up.dist = 0 OR l.deep)
    ORDER BY up.dist, l.token"
);
const AT_OR_BELOW: &str = select_lock!(
    "WITH RECURSIVE up (token, id) AS (
        SELECT token, node FROM lock WHERE space = $1 AND expires_at > $3
        UNION ALL
        SELECT up.token, n.parent FROM up JOIN node n ON n.id = up.id
         WHERE n.parent IS NOT NULL)",
    "WHERE l.token IN (SELECT token FROM up WHERE id = $2)"
);
const OF_CHILDREN: &str = select_lock!(
    "",
    "JOIN node n ON n.id = l.node
    WHERE n.parent = $1 AND n.name_key > $2 AND n.name_key <= $3 AND n.trashed IS NULL
      AND l.expires_at > $4"
);
const INSERT: &str = "INSERT INTO lock (token, space, node, account, deep, shared, owner, timeout,
    expires_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
const REFRESH: &str =
    "UPDATE lock SET timeout = $2, expires_at = $3 WHERE token = $1 AND expires_at > $4";
const DELETE: &str = "DELETE FROM lock WHERE token = $1";
const EXPIRE: &str = "DELETE FROM lock WHERE space = $1 AND expires_at <= $2";
const EXPIRED: &str = "SELECT DISTINCT space FROM lock WHERE expires_at <= $1 ORDER BY space";

/// Locks on a node and deep ones above it, nearest first.
pub async fn covering(conn: &mut Conn, node: NodeId, now: Millis) -> Result<Vec<LockRow>> {
    Ok(sql::query_as(COVERING)
        .bind(node.0)
        .bind(now.0)
        .fetch_all(conn)
        .await?)
}

/// Locks on a node and on everything below it.
pub async fn at_or_below(
    conn: &mut Conn,
    space: SpaceId,
    node: NodeId,
    now: Millis,
) -> Result<Vec<LockRow>> {
    let query = sql::query_as(AT_OR_BELOW)
        .bind(space.0)
        .bind(node.0)
        .bind(now.0);
    Ok(query.fetch_all(conn).await?)
}

/// Locks on the live children with names in (`after`, `upto`].
pub async fn of_children(
    conn: &mut Conn,
    parent: NodeId,
    (after, upto): (&str, &str),
    now: Millis,
) -> Result<Vec<LockRow>> {
    let query = sql::query_as(OF_CHILDREN)
        .bind(parent.0)
        .bind(after)
        .bind(upto)
        .bind(now.0);
    Ok(query.fetch_all(conn).await?)
}

/// Adds a lock; `principal` of the row is not stored.
pub async fn insert(conn: &mut Conn, row: &LockRow) -> Result<()> {
    sql::query(INSERT)
        .bind(&row.token)
        .bind(row.space)
        .bind(row.node)
        .bind(row.account)
        .bind(row.deep)
        .bind(row.shared)
        .bind(&row.owner)
        .bind(row.timeout)
        .bind(row.expires_at)
        .execute(conn)
        .await?;
    Ok(())
}

/// Grants a lock a new end; `false` when it has ended `now` or is gone.
pub async fn refresh(
    conn: &mut Conn,
    token: &str,
    timeout: i64,
    (now, expires): (Millis, Millis),
) -> Result<bool> {
    let query = sql::query(REFRESH)
        .bind(token)
        .bind(timeout)
        .bind(expires.0)
        .bind(now.0);
    Ok(query.execute(conn).await?.rows_affected() > 0)
}

/// Removes a lock.
pub async fn delete(conn: &mut Conn, token: &str) -> Result<()> {
    sql::query(DELETE).bind(token).execute(conn).await?;
    Ok(())
}

/// Removes the locks of a space that have ended, and says how many.
pub async fn expire(conn: &mut Conn, space: SpaceId, now: Millis) -> Result<u64> {
    let query = sql::query(EXPIRE).bind(space.0).bind(now.0);
    Ok(query.execute(conn).await?.rows_affected())
}

/// The spaces with locks that have ended.
pub async fn expired(conn: &mut Conn, now: Millis) -> Result<Vec<SpaceId>> {
    let query = sql::query_scalar(EXPIRED).bind(now.0);
    let spaces: Vec<i64> = query.fetch_all(conn).await?;
    Ok(spaces.into_iter().map(SpaceId).collect())
}

/// Every statement here, for the test that prepares them all.
#[cfg(test)]
pub(super) fn statements() -> Vec<&'static str> {
    vec![
        COVERING,
        AT_OR_BELOW,
        OF_CHILDREN,
        INSERT,
        REFRESH,
        DELETE,
        EXPIRE,
        EXPIRED,
    ]
}
