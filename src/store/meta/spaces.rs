//! Spaces: counters, quota, keys.

use super::{Conn, sql};
use crate::store::{Error, Result};
use crate::types::{NodeId, Seq, SpaceId};

/// What every write to a space begins with.
#[derive(Clone, Copy, Debug)]
pub struct Turn {
    /// The sequence number of this write.
    pub seq: Seq,
    /// The first of the node ids drawn.
    pub first_node: NodeId,
    /// Bytes of live files allowed; `None` for no limit.
    pub quota: Option<i64>,
    /// Number of lock rows in the space.
    pub locks: i64,
}

/// A space as an account sees it.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct Space {
    /// Its id.
    pub id: i64,
    /// Its name; that of the mount when it belongs to everyone.
    pub name: String,
    /// Its root collection.
    pub root: i64,
    /// Bytes of live files allowed.
    pub quota: Option<i64>,
}

/// A space with a quota.
#[derive(Clone, Copy, Debug)]
pub struct Limited {
    /// The space.
    pub space: SpaceId,
    /// Its root collection.
    pub root: NodeId,
    /// Bytes of live files allowed.
    pub quota: i64,
}

const LIMITED: &str = "SELECT id, root, quota FROM space WHERE quota IS NOT NULL ORDER BY id";
const TURN: &str = "UPDATE space SET seq = seq + 1, last_node = last_node + $2
    WHERE id = $1 RETURNING seq, last_node, quota, locks";
const GIVE_BACK: &str = "UPDATE space SET seq = seq - 1, last_node = last_node - $2 WHERE id = $1";
const WRAPPED_KEY: &str = "SELECT wrapped_key FROM space WHERE id = $1";
const WRAPPED_KEYS: &str = "SELECT id, wrapped_key FROM space ORDER BY id";
const SET_KEY: &str = "UPDATE space SET wrapped_key = $2 WHERE id = $1";
const CREATE: &str = "INSERT INTO space (name, everyone, quota, wrapped_key)
    VALUES ($1, $2, $3, $4) RETURNING id";
const SET_KEY_AND_ROOT: &str = "UPDATE space SET wrapped_key = $2, root = $3 WHERE id = $1";
const SHARED: &str = "SELECT id, name, root, quota FROM space WHERE everyone ORDER BY id";
const BY_ID: &str = "SELECT id, name, root, quota FROM space WHERE id = $1";
const SET_QUOTA: &str = "UPDATE space SET quota = $2 WHERE id = $1";
const TURNS: &str = "SELECT id, seq FROM space";
const LOCKS: &str = "SELECT locks FROM space WHERE id = $1";
const COUNT_LOCKS: &str = "UPDATE space SET locks =
    (SELECT count(*) FROM lock WHERE space = $1) WHERE id = $1 RETURNING locks";

/// Takes the space's next turn and draws `nodes` ids. The row stays locked until the commit, so
/// this is also the per-space writer mutex; it must be a write's first statement.
pub async fn turn(conn: &mut Conn, space: SpaceId, nodes: i64) -> Result<Turn> {
    let row: Option<(i64, i64, Option<i64>, i64)> = sql::query_as(TURN)
        .bind(space.0)
        .bind(nodes)
        .fetch_optional(conn)
        .await?;
    let (seq, last, quota, locks) = row.ok_or(Error::Corrupt("a space has no row"))?;
    let first_node = NodeId::nth(space, last - nodes + 1);
    Ok(Turn {
        seq: Seq(seq),
        first_node,
        quota,
        locks,
    })
}

/// Gives back a turn and its `nodes` ids, in the transaction that took it and used neither.
pub async fn give_back(conn: &mut Conn, space: SpaceId, nodes: i64) -> Result<()> {
    let query = sql::query(GIVE_BACK).bind(space.0).bind(nodes);
    query.execute(conn).await?;
    Ok(())
}

/// The space's key, sealed by the master key.
pub async fn wrapped_key(conn: &mut Conn, space: SpaceId) -> Result<Vec<u8>> {
    let key = sql::query_scalar(WRAPPED_KEY)
        .bind(space.0)
        .fetch_optional(conn)
        .await?;
    key.ok_or(Error::Corrupt("a space has no row"))
}

/// The keys of all spaces, sealed by the master key.
pub async fn wrapped_keys(conn: &mut Conn) -> Result<Vec<(SpaceId, Vec<u8>)>> {
    let rows: Vec<(i64, Vec<u8>)> = sql::query_as(WRAPPED_KEYS).fetch_all(conn).await?;
    let key = |(id, key)| (SpaceId(id), key);
    Ok(rows.into_iter().map(key).collect())
}

/// Puts the space's key, sealed by another master key.
pub async fn set_key(conn: &mut Conn, space: SpaceId, key: &[u8]) -> Result<()> {
    let query = sql::query(SET_KEY).bind(space.0).bind(key);
    query.execute(conn).await?;
    Ok(())
}

/// Makes a space row without key and root; [`set_key_and_root`] completes it in the same transaction.
pub async fn create(
    conn: &mut Conn,
    name: &str,
    everyone: bool,
    quota: Option<i64>,
) -> Result<SpaceId> {
    let query = sql::query_scalar(CREATE)
        .bind(name)
        .bind(everyone)
        .bind(quota);
    Ok(SpaceId(query.bind(&[][..] as &[u8]).fetch_one(conn).await?))
}

/// Completes a new space.
pub async fn set_key_and_root(
    conn: &mut Conn,
    space: SpaceId,
    key: &[u8],
    root: NodeId,
) -> Result<()> {
    sql::query(SET_KEY_AND_ROOT)
        .bind(space.0)
        .bind(key)
        .bind(root.0)
        .execute(conn)
        .await?;
    Ok(())
}

/// The spaces mounted in every account's root.
pub async fn shared(conn: &mut Conn) -> Result<Vec<Space>> {
    Ok(sql::query_as(SHARED).fetch_all(conn).await?)
}

/// One space.
pub async fn by_id(conn: &mut Conn, space: SpaceId) -> Result<Option<Space>> {
    Ok(sql::query_as(BY_ID)
        .bind(space.0)
        .fetch_optional(conn)
        .await?)
}

/// The last turn of every space.
pub async fn turns(conn: &mut Conn) -> Result<Vec<(SpaceId, i64)>> {
    let rows: Vec<(i64, i64)> = sql::query_as(TURNS).fetch_all(conn).await?;
    Ok(rows
        .into_iter()
        .map(|(id, seq)| (SpaceId(id), seq))
        .collect())
}

/// The spaces that have a quota.
pub async fn limited(conn: &mut Conn) -> Result<Vec<Limited>> {
    let rows: Vec<(i64, i64, i64)> = sql::query_as(LIMITED).fetch_all(conn).await?;
    let limited = |(id, root, quota)| Limited {
        space: SpaceId(id),
        root: NodeId(root),
        quota,
    };
    Ok(rows.into_iter().map(limited).collect())
}

/// Sets the space's quota in bytes.
pub async fn set_quota(conn: &mut Conn, space: SpaceId, quota: Option<i64>) -> Result<()> {
    sql::query(SET_QUOTA)
        .bind(space.0)
        .bind(quota)
        .execute(conn)
        .await?;
    Ok(())
}

/// Whether there may be locks in the space.
pub async fn has_locks(conn: &mut Conn, space: SpaceId) -> Result<bool> {
    Ok(sql::query_scalar::<i64>(LOCKS)
        .bind(space.0)
        .fetch_one(conn)
        .await?
        > 0)
}

/// Brings the space's number of locks up to date after a change to them, and returns it.
pub async fn count_locks(conn: &mut Conn, space: SpaceId) -> Result<i64> {
    Ok(sql::query_scalar(COUNT_LOCKS)
        .bind(space.0)
        .fetch_one(conn)
        .await?)
}

/// Every statement here, for the test that prepares them all.
#[cfg(test)]
pub(super) fn statements() -> Vec<&'static str> {
    vec![
        LIMITED,
        TURN,
        GIVE_BACK,
        WRAPPED_KEY,
        WRAPPED_KEYS,
        SET_KEY,
        CREATE,
        SET_KEY_AND_ROOT,
        SHARED,
        BY_ID,
        SET_QUOTA,
        TURNS,
        LOCKS,
        COUNT_LOCKS,
    ]
}
