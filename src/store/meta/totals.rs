//! Figures about the whole database, for operators.

use super::{Conn, sql};
use crate::store::Result;
use crate::types::SpaceId;

const PROBE: &str = "SELECT COUNT(*) FROM setting";

const TOTALS: &str = "SELECT
    (SELECT COUNT(*) FROM account),
    (SELECT COUNT(*) FROM devices WHERE revoked_at IS NULL),
    (SELECT COUNT(*) FROM node WHERE kind = 1 AND trashed IS NULL),
    (SELECT CAST(COALESCE(SUM(size), 0) AS BIGINT) FROM node WHERE kind = 1 AND trashed IS NULL),
    (SELECT COUNT(*) FROM version),
    (SELECT COUNT(*) FROM node WHERE trashed IS NOT NULL),
    (SELECT COUNT(*) FROM conflict WHERE resolved_at IS NULL)";

const USED: &str = "SELECT space.name, node.tree_size, space.quota
    FROM space LEFT JOIN node ON node.id = space.root ORDER BY space.name";

const HELD: &str = "SELECT
    (SELECT CAST(COALESCE(SUM(v.size), 0) AS BIGINT)
       FROM version v JOIN node n ON n.id = v.node WHERE n.space = $1),
    (SELECT CAST(COALESCE(SUM(tree_size), 0) AS BIGINT)
       FROM node WHERE space = $1 AND trashed IS NOT NULL)";

// Of PostgreSQL only: SQLite's files are measured where they lie.
pub(super) const SERVED: &str = "SELECT pg_database_size(current_database())";

/// Counts of what there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Totals {
    /// Accounts.
    pub accounts: i64,
    /// Devices that are not revoked.
    pub devices: i64,
    /// Files not in trash themselves; those inside a deleted folder count until it is purged.
    pub files: i64,
    /// Their bytes.
    pub bytes: i64,
    /// Previous contents of files.
    pub versions: i64,
    /// Deleted files and folders, a folder as one.
    pub trashed: i64,
    /// Conflicts nobody has resolved.
    pub conflicts: i64,
}

/// What one space uses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Used {
    /// Its name.
    pub space: String,
    /// Bytes of its live files.
    pub bytes: i64,
    /// Most bytes it may use.
    pub quota: Option<i64>,
}

/// Reads something small, to see whether the database answers.
pub async fn probe(conn: &mut Conn) -> Result<()> {
    let _count: i64 = sql::query_scalar(PROBE).fetch_one(conn).await?;
    Ok(())
}

/// Bytes of the database as its server counts them; `None` for SQLite, which has none.
pub async fn database_bytes(conn: &mut Conn) -> Result<Option<u64>> {
    if !conn.is_postgres() {
        return Ok(None);
    }
    let bytes: i64 = sql::query_scalar(SERVED).fetch_one(conn).await?;
    Ok(Some(bytes.unsigned_abs()))
}

/// Counts everything; reads whole indexes, so it is for the command line, not for requests.
pub async fn totals(conn: &mut Conn) -> Result<Totals> {
    let (accounts, devices, files, bytes, versions, trashed, conflicts) =
        sql::query_as(TOTALS).fetch_one(conn).await?;
    Ok(Totals {
        accounts,
        devices,
        files,
        bytes,
        versions,
        trashed,
        conflicts,
    })
}

/// Bytes of previous versions and bytes in trash of a space. Reads all its versions.
pub async fn held(conn: &mut Conn, space: SpaceId) -> Result<(i64, i64)> {
    Ok(sql::query_as(HELD).bind(space.0).fetch_one(conn).await?)
}

/// What each space uses, by name.
pub async fn used(conn: &mut Conn) -> Result<Vec<Used>> {
    let rows: Vec<(String, Option<i64>, Option<i64>)> = sql::query_as(USED).fetch_all(conn).await?;
    let used = |(space, bytes, quota): (_, Option<i64>, _)| Used {
        space,
        bytes: bytes.unwrap_or_default(),
        quota,
    };
    Ok(rows.into_iter().map(used).collect())
}

/// Every statement here, for the test that prepares them all.
#[cfg(test)]
pub(super) fn statements() -> Vec<&'static str> {
    vec![PROBE, TOTALS, USED, HELD]
}
