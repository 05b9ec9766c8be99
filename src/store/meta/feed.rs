//! The feed: nodes of a space in the order of their last change, and those that are no more.

use super::nodes::{NodeRow, select_node};
use super::{Conn, sql};
use crate::store::Result;
use crate::types::{NodeId, Seq, SpaceId};

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
        c.checksum, n.restored
    FROM node n LEFT JOIN content c ON c.id = n.content
    WHERE n.space = $1 AND (n.seq, n.id) > ($2, $3) AND ($4 OR n.trashed IS NULL)
    ORDER BY n.seq, n.id LIMIT $5";
const BURIED_SINCE: &str = "SELECT seq, node FROM tombstone
    WHERE space = $1 AND (seq, node) > ($2, $3) ORDER BY seq, node LIMIT $4";
const BURY: &str = "INSERT INTO tombstone (space, seq, node) VALUES ($1, $2, $3)
    ON CONFLICT (space, seq, node) DO NOTHING";
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
    vec![SINCE, BURIED_SINCE, BURY, SEARCH]
}
