//! What could not be brought in step.

use serde::Serialize;
use sqlx::Row as _;

use super::{Error, Journal};

const PUT: &str = "INSERT INTO trouble (path, what, since, tries, last) VALUES ($1, $2, $3, 1, $3)
    ON CONFLICT (path) DO UPDATE SET what = $2, tries = tries + 1, last = $3";
pub(super) const CLEAR: &str =
    "DELETE FROM trouble WHERE path IN (SELECT value FROM json_each($1))";
const OLD: &str = "DELETE FROM trouble WHERE last < $1";
const ALL: &str = "SELECT path, what, since, tries FROM trouble ORDER BY path LIMIT $1";

/// A path that is not in step, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Trouble {
    /// Where.
    pub path: String,
    /// Why, in words.
    pub what: String,
    /// Milliseconds since 1970 when it arose.
    pub since: i64,
    /// How often it was tried.
    pub tries: i64,
}

impl Journal {
    /// Notes that a path could not be brought in step at `now`.
    pub async fn note(&self, path: &str, what: &str, now: i64) -> Result<(), Error> {
        let query = sqlx::query(PUT).bind(path).bind(what).bind(now);
        query.execute(&mut *self.conn().await).await?;
        Ok(())
    }

    /// Forgets troubles that a look at everything, which began then, has not met.
    pub async fn well_since(&self, begin: i64) -> Result<(), Error> {
        sqlx::query(OLD)
            .bind(begin)
            .execute(&mut *self.conn().await)
            .await?;
        Ok(())
    }

    /// Troubles by path, at most so many.
    pub async fn troubles(&self, limit: u32) -> Result<Vec<Trouble>, Error> {
        let rows = sqlx::query(ALL)
            .bind(limit)
            .fetch_all(&mut *self.conn().await)
            .await?;
        let trouble = |row: &sqlx::sqlite::SqliteRow| {
            Ok(Trouble {
                path: row.try_get(0)?,
                what: row.try_get(1)?,
                since: row.try_get(2)?,
                tries: row.try_get(3)?,
            })
        };
        rows.iter().map(trouble).collect()
    }
}
