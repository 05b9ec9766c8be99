//! What changed below a collection since a point in the space's sequence.

use super::nodes::NodeRow;
use super::{Conn, sql};
use crate::store::Result;
use crate::types::{NodeId, SpaceId};

/// One change: where, and the node as it is now, or nothing when the name is gone.
#[derive(Clone, Debug)]
pub struct ChangeRow {
    /// The turn it happened in.
    pub seq: i64,
    /// Its place among the changes of the turn. A moved node has two: gone there, come here.
    pub mark: i64,
    /// Path below the collection, with a leading slash.
    pub path: String,
    /// The node; `None` = gone from that path.
    pub row: Option<NodeRow>,
}

/// Which changes are wanted.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    /// The collection.
    pub under: NodeId,
    /// After this turn …
    pub seq: i64,
    /// … and, within the turn, after this mark; `i64::MAX` = after all of it.
    pub mark: i64,
    /// Everything below, or only direct members.
    pub deep: bool,
    /// Also names that are gone (not wanted by a first, full report).
    pub gone: bool,
    /// At most so many.
    pub limit: i64,
}

// Walks down only where tree_seq says that something changed. A collection that came to its place
// since (moved, restored) makes everything below it new at that place: `inherited`.
macro_rules! with_walk {
    ($rest:literal) => {
        concat!(
            "WITH RECURSIVE walk (id, path, seq, kind, inherited) AS (
                SELECT CAST($1 AS BIGINT), '', CAST(0 AS BIGINT), CAST(0 AS BIGINT),
                       CAST(0 AS BIGINT)
                UNION ALL
                SELECT n.id, w.path || '/' || n.name,
                       CASE WHEN n.seq > w.inherited THEN n.seq ELSE w.inherited END,
                       n.kind,
                       CASE WHEN n.kind = 0 AND n.place_seq > $2 AND n.place_seq > w.inherited
                            THEN n.place_seq ELSE w.inherited END
                  FROM walk w JOIN node n ON n.parent = w.id AND n.trashed IS NULL
                 WHERE w.kind = 0 AND (w.path = '' OR $3)
                   AND (n.tree_seq > $2 OR w.inherited > $2))",
            $rest
        )
    };
}

const CHANGES: &str = with_walk!(
    ", change (seq, mark, path, gone) AS (
        SELECT seq, 2 * id + 1, path, FALSE FROM walk WHERE seq > $2
        UNION ALL
        SELECT g.seq, 2 * abs(g.node), w.path || '/' || g.name, TRUE
          FROM walk w JOIN gone g ON g.parent = w.id
         WHERE $4 AND w.kind = 0 AND (w.path = '' OR $3) AND g.seq > $2
           AND NOT EXISTS (SELECT 1 FROM node n WHERE n.parent = g.parent
                            AND n.name_key = g.name_key AND n.trashed IS NULL))
    SELECT x.seq AS at_seq, x.mark, x.path, x.gone,
           n.id, n.space, n.parent, n.name, n.kind, n.content, n.version, n.size, n.mtime,
           n.created, n.written, n.device, n.seq, n.tree_seq, n.tree_size, n.trashed, n.mode,
           c.checksum
      FROM change x JOIN node n ON n.id = CASE WHEN x.gone THEN $1 ELSE x.mark / 2 END
      LEFT JOIN content c ON c.id = n.content
     WHERE (x.seq, x.mark) > ($5, $6)
     ORDER BY x.seq, x.mark LIMIT $7"
);
const REPLACED: &str = with_walk!(
    "SELECT count(*) FROM walk w JOIN gone g ON g.parent = w.id AND g.kind = 0 AND g.seq > $2
       JOIN node n ON n.parent = g.parent AND n.name_key = g.name_key AND n.trashed IS NULL
        AND n.kind = 0 AND n.id <> g.node
     WHERE $3"
);
const SEQ: &str = "SELECT seq FROM space WHERE id = $1";

#[derive(sqlx::FromRow)]
struct Row {
    at_seq: i64,
    mark: i64,
    path: String,
    gone: bool,
    #[sqlx(flatten)]
    node: NodeRow,
}

/// Changes in the order of (seq, mark), at most `wanted.limit`.
pub async fn list(conn: &mut Conn, wanted: &Wanted) -> Result<Vec<ChangeRow>> {
    let whole_turns = wanted.mark == i64::MAX;
    let after = if whole_turns {
        wanted.seq
    } else {
        wanted.seq - 1
    };
    let rows: Vec<Row> = sql::query_as(CHANGES)
        .bind(wanted.under.0)
        .bind(after.max(0))
        .bind(wanted.deep)
        .bind(wanted.gone)
        .bind(wanted.seq)
        .bind(wanted.mark)
        .bind(wanted.limit)
        .fetch_all(conn)
        .await?;
    let change = |row: Row| ChangeRow {
        seq: row.at_seq,
        mark: row.mark,
        path: row.path,
        row: (!row.gone).then_some(row.node),
    };
    Ok(rows.into_iter().map(change).collect())
}

/// Whether a collection below took the name of another since: then members of the former cannot be
/// told gone one by one, and only a full listing tells the truth.
pub async fn replaced(conn: &mut Conn, under: NodeId, since: i64, deep: bool) -> Result<bool> {
    let query = sql::query_scalar::<i64>(REPLACED)
        .bind(under.0)
        .bind(since)
        .bind(deep);
    Ok(query.fetch_one(conn).await? > 0)
}

/// The last turn of a space.
pub async fn last_seq(conn: &mut Conn, space: SpaceId) -> Result<i64> {
    Ok(sql::query_scalar(SEQ).bind(space.0).fetch_one(conn).await?)
}

/// The last turn of a space; `None` when there is no such space.
pub async fn turn_of(conn: &mut Conn, space: SpaceId) -> Result<Option<i64>> {
    let query = sql::query_scalar(SEQ).bind(space.0);
    Ok(query.fetch_optional(conn).await?)
}

/// Every statement here, for the test that prepares them all.
#[cfg(test)]
pub(super) fn statements() -> Vec<&'static str> {
    vec![CHANGES, REPLACED, SEQ]
}
