//! What an export reads: spaces and collections, a page at a time.

use sqlx::FromRow;

use super::{Conn, sql};
use crate::store::Result;
use crate::types::{NodeId, SpaceId};

/// A space and its root.
#[derive(Clone, Debug, FromRow)]
pub struct Whole {
    /// Its id.
    pub id: i64,
    /// Its name.
    pub name: String,
    /// Its root collection.
    pub root: i64,
    /// Modification time of the root, ms; `None` when that has no row.
    pub mtime: Option<i64>,
}

/// A file or collection.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct Entry {
    /// Its id.
    pub id: i64,
    /// What pages are ordered by.
    pub name_key: String,
    /// Its name.
    pub name: String,
    /// [`super::nodes::COLLECTION`] or [`super::nodes::FILE`].
    pub kind: i64,
    /// The bytes of a file; none of a collection.
    pub content: Option<i64>,
    /// Number of the current version of a file.
    pub version: i64,
    /// Bytes of a file.
    pub size: i64,
    /// Modification time, ms.
    pub mtime: i64,
    /// Last change of its own.
    pub seq: i64,
    /// Bits of [`crate::types::Mode`].
    pub mode: Option<i64>,
}

const SPACES: &str = "SELECT s.id, s.name, s.root, n.mtime
    FROM space s LEFT JOIN node n ON n.id = s.root ORDER BY s.id";
const TURN: &str = "SELECT seq FROM space WHERE id = $1";
const ENTRIES: &str = "SELECT id, name_key, name, kind, content, version, size, mtime, seq, mode
    FROM node WHERE parent = $1 AND name_key > $2 AND trashed IS NULL
    ORDER BY name_key LIMIT $3";
const AGAIN: &str = "SELECT id, name_key, name, kind, content, version, size, mtime, seq, mode
    FROM node WHERE id = $1 AND parent = $2 AND trashed IS NULL";

/// All spaces.
pub async fn spaces(conn: &mut Conn) -> Result<Vec<Whole>> {
    Ok(sql::query_as(SPACES).fetch_all(conn).await?)
}

/// The last turn of a space; `None` when there is no such space.
pub async fn turn(conn: &mut Conn, space: SpaceId) -> Result<Option<i64>> {
    Ok(sql::query_scalar(TURN)
        .bind(space.0)
        .fetch_optional(conn)
        .await?)
}

/// The next at most `limit` live children of a collection behind a `name_key`.
pub async fn entries(
    conn: &mut Conn,
    parent: NodeId,
    behind: &str,
    limit: i64,
) -> Result<Vec<Entry>> {
    let query = sql::query_as(ENTRIES).bind(parent.0).bind(behind);
    Ok(query.bind(limit).fetch_all(conn).await?)
}

/// A live child of a collection as it is now; `None` when it is not there any more.
pub async fn again(conn: &mut Conn, parent: NodeId, id: NodeId) -> Result<Option<Entry>> {
    let query = sql::query_as(AGAIN).bind(id.0).bind(parent.0);
    Ok(query.fetch_optional(conn).await?)
}

/// Every statement here, for the test that prepares them all.
#[cfg(test)]
pub(super) fn statements() -> Vec<&'static str> {
    vec![SPACES, TURN, ENTRIES, AGAIN]
}
