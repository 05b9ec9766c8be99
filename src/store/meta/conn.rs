//! A connection to either database, as the functions of this module take it.

use std::ops::{Deref, DerefMut};
use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::{Postgres, Sqlite};

use super::sql;
use crate::store::Result;
use crate::types::SpaceId;

/// A connection, with or without a transaction around it.
pub struct Conn {
    pub(super) inner: Inner,
    /// Whether a statement failed: then PostgreSQL answers a COMMIT by undoing everything.
    pub(super) failed: bool,
    /// Whether SQLite met an I/O error.
    pub(super) broken: bool,
    /// Whether SQLite found the disk full.
    pub(super) full: bool,
    /// How long PostgreSQL may take for an answer; no time at all once one did not come.
    pub(super) patience: Duration,
}

/// How long PostgreSQL may take for an answer before its machine counts as gone: it gives up statements by
/// itself earlier than that (`statement_timeout`), but nobody tells us when the way to it is cut.
const ANSWER_MAX: Duration = Duration::from_secs(130);

pub(super) enum Inner {
    Lite(PoolConnection<Sqlite>),
    Post(PoolConnection<Postgres>),
}

/// What a transaction can have for itself. Whoever wants several takes them in this order, and spaces
/// in that of their ids, so that no two wait for each other.
#[derive(Clone, Copy, Debug)]
pub enum Alone {
    /// Accounts, devices, log-ins and pairings.
    Accounts,
    /// A space: what [`super::spaces::turn`] takes as well.
    Space(SpaceId),
    /// The right to name contents, chunks and segments, with all others who name some, while nobody is
    /// [`Self::Collecting`].
    Naming,
    /// The right to take away what nothing names; nobody is [`Self::Naming`] meanwhile.
    Collecting,
    /// The chunk rows of a space.
    Chunks(SpaceId),
}

/// The upper byte of the number that PostgreSQL knows [`Alone::Accounts`] by.
const ACCOUNTS: i64 = 1 << 56;
/// The number of [`Alone::Naming`] and [`Alone::Collecting`].
const NAMES: i64 = 3 << 56;
/// The upper byte for [`Alone::Chunks`]; the id of the space is added.
const CHUNKS: i64 = 2 << 56;

pub(super) const LOCK_NUMBER: &str = "SELECT CAST(pg_advisory_xact_lock($1) AS TEXT)";
pub(super) const SHARE_NUMBER: &str = "SELECT CAST(pg_advisory_xact_lock_shared($1) AS TEXT)";
pub(super) const LOCK_SPACE: &str = "SELECT id FROM space WHERE id = $1 FOR NO KEY UPDATE";

impl Conn {
    pub(super) fn lite(conn: PoolConnection<Sqlite>) -> Self {
        Self::new(Inner::Lite(conn))
    }

    pub(super) fn post(conn: PoolConnection<Postgres>) -> Self {
        Self::new(Inner::Post(conn))
    }

    fn new(inner: Inner) -> Self {
        Self {
            inner,
            failed: false,
            broken: false,
            full: false,
            patience: ANSWER_MAX,
        }
    }

    /// Makes others who want the same wait until this transaction ends; the statements after it see
    /// all that was committed before. On SQLite nothing is needed: it has one writer.
    ///
    /// A work that relies on what it reads begins with this, or with its turn in the space.
    pub async fn alone(&mut self, with: Alone) -> Result<()> {
        if !self.is_postgres() {
            return Ok(());
        }
        let query = match with {
            Alone::Accounts => sql::query(LOCK_NUMBER).bind(ACCOUNTS),
            Alone::Naming => sql::query(SHARE_NUMBER).bind(NAMES),
            Alone::Collecting => sql::query(LOCK_NUMBER).bind(NAMES),
            Alone::Chunks(space) => sql::query(LOCK_NUMBER).bind(CHUNKS | space.0),
            Alone::Space(space) => sql::query(LOCK_SPACE).bind(space.0),
        };
        query.execute(self).await?;
        Ok(())
    }

    /// Whether it leads to PostgreSQL, for the few statements that only one of the two has.
    pub(super) fn is_postgres(&self) -> bool {
        matches!(self.inner, Inner::Post(_))
    }

    /// Whether an answer did not come.
    pub(super) fn is_silent(&self) -> bool {
        self.patience.is_zero()
    }

    /// Closes the connection instead of giving it back, because nobody knows what state it is in.
    pub(super) fn discard(&mut self) {
        match &mut self.inner {
            Inner::Lite(conn) => conn.close_on_drop(),
            Inner::Post(conn) => conn.close_on_drop(),
        }
    }
}

/// A connection to read with; gives itself back.
pub struct Reading(pub(super) Conn);

impl Deref for Reading {
    type Target = Conn;

    fn deref(&self) -> &Conn {
        &self.0
    }
}

impl DerefMut for Reading {
    fn deref_mut(&mut self) -> &mut Conn {
        &mut self.0
    }
}

/// A connection to read with that sees one state of the database. Closed unless [`Self::end`] is called:
/// nobody else may get it in the middle of a transaction.
pub struct View(Option<Reading>);

impl View {
    pub(super) async fn begin(mut reading: Reading) -> Result<Self> {
        let begun = if reading.is_postgres() {
            sql::query("BEGIN ISOLATION LEVEL REPEATABLE READ").execute(&mut reading)
        } else {
            sql::query("BEGIN").execute(&mut reading)
        };
        let begun = begun.await;
        let view = Self(Some(reading));
        begun?;
        Ok(view)
    }

    /// Gives the connection back.
    pub async fn end(mut self) -> Result<()> {
        sql::query("COMMIT").execute(&mut self).await?;
        self.0 = None;
        Ok(())
    }
}

impl Deref for View {
    type Target = Conn;

    fn deref(&self) -> &Conn {
        self.0.as_ref().expect("it has a connection until it ends")
    }
}

impl DerefMut for View {
    fn deref_mut(&mut self) -> &mut Conn {
        self.0.as_mut().expect("it has a connection until it ends")
    }
}

impl Drop for View {
    fn drop(&mut self) {
        if let Some(reading) = &mut self.0 {
            reading.discard();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Error;
    use crate::store::meta::{Meta, testing};

    #[tokio::test]
    async fn a_server_that_does_not_answer_counts_as_away_and_is_asked_on_another_connection() {
        let folder = tempfile::tempdir().unwrap();
        let database = testing::database(folder.path());
        let meta = Meta::open(&database).await.unwrap();
        let mut conn = meta.read().await.unwrap();
        conn.patience = Duration::from_millis(50);

        // SQLite has nobody who could be silent.
        let slow = if conn.is_postgres() {
            "SELECT CAST(pg_sleep(20) AS TEXT)"
        } else {
            "SELECT ''"
        };
        let answered = sql::query_scalar::<String>(slow).fetch_one(&mut conn).await;

        assert_eq!(answered.is_err(), meta.is_shared());
        assert_eq!(conn.is_silent(), meta.is_shared());
        if let Err(error) = answered {
            assert!(matches!(Error::from(error), Error::Away(_)));
        }
        drop(conn);
        let mut again = meta.read().await.unwrap();
        let one = sql::query_scalar::<i64>("SELECT CAST(1 AS BIGINT)");
        assert_eq!(one.fetch_one(&mut again).await.unwrap(), 1);
        drop(again);
        meta.close().await;
    }
}
