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

// Each table is read once, whatever the number of spaces.
const USED: &str = "SELECT s.name AS space, s.quota,
        CAST(COALESCE(r.tree_size, 0) AS BIGINT) AS live,
        CAST(COALESCE(v.bytes, 0) AS BIGINT) AS versions,
        CAST(COALESCE(t.bytes, 0) AS BIGINT) AS trash,
        CAST(COALESCE(k.bytes, 0) AS BIGINT) AS chunks,
        CAST(COALESCE(c.bytes, 0) AS BIGINT) AS inline
    FROM space s LEFT JOIN node r ON r.id = s.root
        LEFT JOIN (SELECT n.space, SUM(v.size) AS bytes
                     FROM version v JOIN node n ON n.id = v.node GROUP BY n.space) v
            ON v.space = s.id
        LEFT JOIN (SELECT space, SUM(tree_size) AS bytes
                     FROM node WHERE trashed IS NOT NULL GROUP BY space) t ON t.space = s.id
        LEFT JOIN (SELECT space, SUM(stored) AS bytes FROM chunk GROUP BY space) k
            ON k.space = s.id
        LEFT JOIN (SELECT space, SUM(octet_length(sealed)) AS bytes
                     FROM content WHERE sealed IS NOT NULL GROUP BY space) c ON c.space = s.id
    ORDER BY s.name";

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

/// What one space uses, in bytes.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct Used {
    /// Its name.
    pub space: String,
    /// Most that its live files may have.
    pub quota: Option<i64>,
    /// Live files.
    pub live: i64,
    /// Previous versions, those of deleted files included.
    pub versions: i64,
    /// Deleted files.
    pub trash: i64,
    /// What its chunks take in segments, sealed and compressed.
    pub chunks: i64,
    /// What its small contents take in the database.
    pub inline: i64,
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

/// What each space uses, by name. Reads whole tables, so it is for the command line.
pub async fn used(conn: &mut Conn) -> Result<Vec<Used>> {
    Ok(sql::query_as(USED).fetch_all(conn).await?)
}

/// Every statement here, for the test that prepares them all.
#[cfg(test)]
pub(super) fn statements() -> Vec<&'static str> {
    vec![PROBE, TOTALS, USED, HELD]
}
