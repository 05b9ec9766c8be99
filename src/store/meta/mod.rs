//! Names: the database. One file per table group; every statement is a constant beside its function.
//!
//! Statements are written so that SQLite and PostgreSQL take the same text (`$1`, `ON CONFLICT …
//! RETURNING`, 64-bit integers). Functions take a [`Conn`]: a pooled reader or the writer's own
//! connection. All writes go through [`Meta::write`], which is the only way to a transaction.

pub mod accounts;
pub mod changes;
pub mod chunks;
pub mod collect;
pub mod conflicts;
pub mod contents;
pub mod feed;
pub mod jobs;
pub mod locks;
pub mod nodes;
#[cfg(test)]
pub mod peek;
pub mod process;
pub mod props;
mod rows;
pub mod segments;
pub mod settings;
mod shrink;
pub mod spaces;
pub mod subtree;
pub mod synclog;
pub mod tokens;
pub mod totals;
pub mod trash;
pub mod uploads;
pub mod versions;
pub mod watch;
mod writer;

use std::path::Path;
use std::time::Duration;

use futures_util::future::BoxFuture;
use sqlx::pool::PoolConnection;
use sqlx::sqlite::{
    SqliteAutoVacuum, SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions,
    SqliteSynchronous,
};
use sqlx::{ConnectOptions, Sqlite};

use super::{Error, Result};

/// A connection, with or without a transaction around it.
pub type Conn = sqlx::SqliteConnection;

/// Readers beside the one writer: two cores rarely have more than this many queries running.
const READERS: u32 = 4;
/// How long to wait for another process (the command line tool) that writes.
const BUSY_MAX: Duration = Duration::from_secs(10);
/// Page cache of the writer, in KiB (SQLite counts negative numbers that way).
const WRITER_CACHE: &str = "-8192";
/// Page cache of each reader, in KiB.
const READER_CACHE: &str = "-2048";
/// Pages in the WAL before a checkpoint runs: 16 MiB, so that bursts do not pay for one each.
const WAL_PAGES: &str = "4000";
/// Largest WAL file kept after a checkpoint, in bytes.
const WAL_KEPT: &str = "33554432";
/// Prepared statements kept by each connection; above the number of statements there are.
const STATEMENTS: usize = 200;

/// The opened database.
pub struct Meta {
    readers: SqlitePool,
    writer: writer::Writer,
}

impl Meta {
    /// Opens or creates the database and brings its schema up to date.
    pub async fn open(path: &Path) -> Result<Self> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(BUSY_MAX)
            .statement_cache_capacity(STATEMENTS)
            .pragma("temp_store", "memory")
            .pragma("wal_autocheckpoint", WAL_PAGES)
            .pragma("journal_size_limit", WAL_KEPT)
            .row_buffer_size(512)
            .disable_statement_logging();
        let mut writing = options
            .clone()
            .auto_vacuum(SqliteAutoVacuum::Incremental)
            .pragma("cache_size", WRITER_CACHE)
            .connect()
            .await?;
        sqlx::migrate!("src/store/meta/migrations/sqlite")
            .run_direct(None, &mut writing, false)
            .await?;
        let readers = SqlitePoolOptions::new()
            .max_connections(READERS)
            .test_before_acquire(false)
            .connect_with(options.read_only(true).pragma("cache_size", READER_CACHE))
            .await?;
        Ok(Self {
            readers,
            writer: writer::Writer::start(writing),
        })
    }

    /// A connection to read with. It sees every write that was answered before.
    pub async fn read(&self) -> Result<PoolConnection<Sqlite>> {
        Ok(self.readers.acquire().await?)
    }

    /// Runs `work` in a transaction and returns once it is durable.
    ///
    /// Works queued at the same time share one commit; each has its own savepoint, so a failing
    /// one undoes only itself. `work` must not wait for anything but the connection.
    pub async fn write<T, E, F>(&self, work: F) -> Result<T, E>
    where
        F: for<'t> FnOnce(&'t mut Conn) -> BoxFuture<'t, Result<T, E>> + Send + 'static,
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        self.writer.run(work).await
    }

    /// Lets queued writes finish, then closes all connections.
    pub async fn close(&self) {
        // The last one writes the log into the file, which readers cannot.
        self.readers.close().await;
        self.writer.close().await;
    }
}
