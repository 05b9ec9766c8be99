//! The feed: nodes of a space in the order of their last change, and those that are no more.

use super::nodes::{NodeRow, select_node};
use super::{Conn, sql};
use crate::store::Result;
use crate::types::{Millis, NodeId, Seq, SpaceId};

/// A point in a space's feed: a turn and, within it, a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mark {
    /// The turn.
    pub seq: i64,
    /// The last node told of it.
    pub node: i64,
}

impl Mark {
    /// Before everything.
    pub const START: Self = Self { seq: 0, node: 0 };

    /// Behind all that a turn did.
    pub fn end_of(seq: i64) -> Self {
        let node = i64::MAX;
        Self { seq, node }
    }
}

/// A node as the feed tells it.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct FeedRow {
    /// The node as it is now.
    #[sqlx(flatten)]
    pub node: NodeRow,
    /// The turn in which it last came back from trash; 0 for never.
    pub restored: i64,
}

const SINCE: &str = "SELECT n.id, n.space, n.parent, n.name, n.kind, n.content, n.version, n.size,
        n.mtime, n.created, n.written, n.device, n.seq, n.tree_seq, n.tree_size, n.trashed,
        n.mode, c.checksum, n.restored
    FROM node n LEFT JOIN content c ON c.id = n.content
    WHERE n.space = $1 AND (n.seq, n.id) > ($2, $3) AND ($4 OR n.trashed IS NULL)
    ORDER BY n.seq, n.id LIMIT $5";
const BURIED_SINCE: &str = "SELECT seq, node FROM tombstone
    WHERE space = $1 AND (seq, node) > ($2, $3) ORDER BY seq, node LIMIT $4";
const BURY: &str = "INSERT INTO tombstone (space, seq, node) VALUES ($1, $2, $3)
    ON CONFLICT (space, seq, node) DO NOTHING";
const NOTE: &str = "INSERT INTO turn_at (space, at, seq) SELECT s.id, CAST($1 AS BIGINT), s.seq
    FROM space s
    WHERE s.seq > s.feed_floor
      AND NOT EXISTS (SELECT 1 FROM turn_at t WHERE t.space = s.id AND t.seq >= s.seq)
    ON CONFLICT (space, at) DO NOTHING";
const TURNS_UNTIL: &str = "SELECT space, MAX(seq) FROM turn_at WHERE at <= $1
    GROUP BY space ORDER BY space";
const RAISE_FLOOR: &str = "UPDATE space SET feed_floor = $2 WHERE id = $1 AND feed_floor < $2";
const FORGET_TURNS: &str = "DELETE FROM turn_at WHERE space = $1 AND at <= $2";
const FLOORS: &str = "SELECT id, feed_floor FROM space WHERE feed_floor > 0 ORDER BY id";
const FLOOR: &str = "SELECT feed_floor FROM space WHERE id = $1";
const FORGET_TOMBSTONES: &str = "DELETE FROM tombstone WHERE (space, seq, node) IN (
    SELECT space, seq, node FROM tombstone WHERE space = $1 AND seq <= $2 LIMIT $3)";
const FORGET_GONE: &str = "DELETE FROM gone WHERE (parent, name_key) IN (
    SELECT parent, name_key FROM gone WHERE space = $1 AND seq <= $2 LIMIT $3)";
const SEARCH: &str = select_node!(
    "WHERE n.space = $1 AND n.id > $2 AND n.trashed IS NULL AND n.parent IS NOT NULL
       AND lower(n.name_key) LIKE $3 ESCAPE '\\' ORDER BY n.id LIMIT $4"
);

/// Nodes that changed after a mark, oldest change first; with `trashed` also those in trash.
pub async fn since(
    conn: &mut Conn,
    space: SpaceId,
    after: Mark,
    trashed: bool,
    limit: i64,
) -> Result<Vec<FeedRow>> {
    let query = sql::query_as(SINCE)
        .bind(space.0)
        .bind(after.seq)
        .bind(after.node)
        .bind(trashed)
        .bind(limit);
    Ok(query.fetch_all(conn).await?)
}

/// Nodes that ceased to be after a mark.
pub async fn buried_since(
    conn: &mut Conn,
    space: SpaceId,
    after: Mark,
    limit: i64,
) -> Result<Vec<Mark>> {
    let query = sql::query_as(BURIED_SINCE)
        .bind(space.0)
        .bind(after.seq)
        .bind(after.node)
        .bind(limit);
    let rows: Vec<(i64, i64)> = query.fetch_all(conn).await?;
    let mark = |(seq, node)| Mark { seq, node };
    Ok(rows.into_iter().map(mark).collect())
}

/// Notes that a node is no more.
pub async fn bury(conn: &mut Conn, space: SpaceId, seq: Seq, node: NodeId) -> Result<()> {
    let query = sql::query(BURY).bind(space.0).bind(seq.0).bind(node.0);
    query.execute(conn).await?;
    Ok(())
}

/// Notes the last turns of all spaces that had any since the last time.
pub async fn note_turns(conn: &mut Conn, now: Millis) -> Result<()> {
    sql::query(NOTE).bind(now.0).execute(conn).await?;
    Ok(())
}

/// The last turn of each space at a time or before, as far as it was noted.
pub async fn turns_until(conn: &mut Conn, until: Millis) -> Result<Vec<(SpaceId, i64)>> {
    let query = sql::query_as(TURNS_UNTIL).bind(until.0);
    let rows: Vec<(i64, i64)> = query.fetch_all(conn).await?;
    Ok(rows.into_iter().map(spaced).collect())
}

/// Notes that what was gone by turn `seq`, which was the last at `until`, is not remembered any more.
pub async fn raise_floor(conn: &mut Conn, space: SpaceId, seq: i64, until: Millis) -> Result<()> {
    let query = sql::query(RAISE_FLOOR).bind(space.0).bind(seq);
    query.execute(&mut *conn).await?;
    let query = sql::query(FORGET_TURNS).bind(space.0).bind(until.0);
    query.execute(conn).await?;
    Ok(())
}

/// The floor of each space that has one: what was gone by that turn is not remembered.
pub async fn floors(conn: &mut Conn) -> Result<Vec<(SpaceId, i64)>> {
    let rows: Vec<(i64, i64)> = sql::query_as(FLOORS).fetch_all(conn).await?;
    Ok(rows.into_iter().map(spaced).collect())
}

/// The floor of a space; 0 when it has none.
pub async fn floor(conn: &mut Conn, space: SpaceId) -> Result<i64> {
    let query = sql::query_scalar(FLOOR).bind(space.0);
    Ok(query.fetch_one(conn).await?)
}

/// Forgets what was gone by a turn that the floor has reached, at most `limit` nodes and as many
/// names, and says how many.
pub async fn forget_until(conn: &mut Conn, space: SpaceId, floor: i64, limit: i64) -> Result<u64> {
    let mut forgotten = 0;
    for statement in [FORGET_TOMBSTONES, FORGET_GONE] {
        let query = sql::query(statement).bind(space.0).bind(floor);
        let done = query.bind(limit).execute(&mut *conn).await?;
        forgotten += done.rows_affected();
    }
    Ok(forgotten)
}

fn spaced((space, seq): (i64, i64)) -> (SpaceId, i64) {
    (SpaceId(space), seq)
}

/// Live nodes of a space whose lower-case name is like `pattern` (SQL LIKE, `\` escapes), in the
/// order of ids, after `after`. Their collections may lie in trash. Reads the whole space.
pub async fn named(
    conn: &mut Conn,
    space: SpaceId,
    pattern: &str,
    after: NodeId,
    limit: i64,
) -> Result<Vec<NodeRow>> {
    let query = sql::query_as(SEARCH)
        .bind(space.0)
        .bind(after.0)
        .bind(pattern)
        .bind(limit);
    Ok(query.fetch_all(conn).await?)
}

/// Every statement here, for the test that prepares them all.
#[cfg(test)]
pub(super) fn statements() -> Vec<&'static str> {
    vec![
        SINCE,
        BURIED_SINCE,
        BURY,
        NOTE,
        TURNS_UNTIL,
        RAISE_FLOOR,
        FORGET_TURNS,
        FLOORS,
        FLOOR,
        FORGET_TOMBSTONES,
        FORGET_GONE,
        SEARCH,
    ]
}
