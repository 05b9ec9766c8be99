//! What lies in trash.

use super::nodes::{NodeRow, select_node};
use super::{Conn, sql};
use crate::store::Result;
use crate::types::{Millis, NodeId, SpaceId};

/// When something went to trash that is being forgotten part by part: nobody sees it any more.
pub const GOING: Millis = Millis(0);

/// A node that has been in trash for long enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expired {
    /// The node.
    pub id: NodeId,
    /// The space it lies in.
    pub space: SpaceId,
    /// When it went to trash, or [`GOING`].
    pub trashed: Millis,
    /// Bytes of the files in it.
    pub size: i64,
}

const LIST: &str = select_node!(
    "WHERE n.space = $1 AND n.trashed IS NOT NULL AND (n.trashed, n.id) > ($2, $3)
    ORDER BY n.trashed, n.id LIMIT $4"
);
const EXPIRED: &str = "SELECT id, space, trashed, tree_size FROM node
    WHERE trashed IS NOT NULL AND trashed <= $1 ORDER BY trashed, id LIMIT $2";
const EXPIRED_TOTAL: &str = "SELECT count(*), CAST(COALESCE(SUM(tree_size), 0) AS BIGINT)
    FROM node WHERE trashed IS NOT NULL AND trashed <= $1";
const OLDEST: &str = "SELECT id, space, trashed, tree_size FROM node
    WHERE space = $1 AND trashed IS NOT NULL AND trashed <= $2 ORDER BY trashed, id LIMIT $3";
const SET_GOING: &str = "UPDATE node SET trashed = $2 WHERE id = $1";

/// Trashed nodes, oldest first, those after (time, id).
pub async fn list(
    conn: &mut Conn,
    space: SpaceId,
    after: (i64, i64),
    limit: i64,
) -> Result<Vec<NodeRow>> {
    let query = sql::query_as(LIST)
        .bind(space.0)
        .bind(after.0)
        .bind(after.1)
        .bind(limit);
    Ok(query.fetch_all(conn).await?)
}

/// What went to trash at `until` or before, in all spaces, oldest first.
pub async fn expired(conn: &mut Conn, until: Millis, limit: i64) -> Result<Vec<Expired>> {
    let query = sql::query_as(EXPIRED).bind(until.0).bind(limit);
    Ok(expired_rows(query.fetch_all(conn).await?))
}

/// How many that are, and their bytes.
pub async fn expired_total(conn: &mut Conn, until: Millis) -> Result<(i64, i64)> {
    let query = sql::query_as(EXPIRED_TOTAL).bind(until.0);
    Ok(query.fetch_one(conn).await?)
}

/// What went to trash in a space at `until` or before, oldest first.
pub async fn oldest(
    conn: &mut Conn,
    space: SpaceId,
    until: Millis,
    limit: i64,
) -> Result<Vec<Expired>> {
    let query = sql::query_as(OLDEST)
        .bind(space.0)
        .bind(until.0)
        .bind(limit);
    Ok(expired_rows(query.fetch_all(conn).await?))
}

/// Marks a trashed node as [`GOING`].
pub async fn set_going(conn: &mut Conn, id: NodeId) -> Result<()> {
    let query = sql::query(SET_GOING).bind(id.0).bind(GOING.0);
    query.execute(conn).await?;
    Ok(())
}

fn expired_rows(rows: Vec<(i64, i64, i64, i64)>) -> Vec<Expired> {
    let row = |(id, space, trashed, size)| Expired {
        id: NodeId(id),
        space: SpaceId(space),
        trashed: Millis(trashed),
        size,
    };
    rows.into_iter().map(row).collect()
}

/// Every statement here, for the test that prepares them all.
#[cfg(test)]
pub(super) fn statements() -> Vec<&'static str> {
    vec![LIST, EXPIRED, EXPIRED_TOTAL, OLDEST, SET_GOING]
}
