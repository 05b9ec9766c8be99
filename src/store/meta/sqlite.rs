//! Opening a file of SQLite: one connection that writes, some that read beside it.

use std::path::Path;
use std::time::Duration;

use sqlx::ConnectOptions as _;
use sqlx::migrate::Migrator;
use sqlx::sqlite::{
    SqliteAutoVacuum, SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions,
    SqliteSynchronous,
};

use super::Conn;
use super::writer::Group;
use crate::store::Result;

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

/// What brings a schema up to date.
pub(super) static MIGRATIONS: Migrator = sqlx::migrate!("src/store/meta/migrations/sqlite");

/// Opens or creates the file and brings its schema up to date: the readers and the writer.
pub(super) async fn open(path: &Path) -> Result<(SqlitePool, Group)> {
    let options = options(path).create_if_missing(true);
    let writers = SqlitePoolOptions::new()
        .max_connections(1)
        .idle_timeout(None)
        .max_lifetime(None)
        .connect_with(
            options
                .clone()
                .auto_vacuum(SqliteAutoVacuum::Incremental)
                .pragma("cache_size", WRITER_CACHE),
        )
        .await?;
    let mut writing = writers.acquire().await?;
    MIGRATIONS.run_direct(None, &mut *writing, false).await?;
    Ok((readers(options).await?, Group::start(Conn::lite(writing))))
}

/// How the file is opened, when it is there.
pub(super) fn options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(BUSY_MAX)
        .statement_cache_capacity(STATEMENTS)
        .pragma("temp_store", "memory")
        .pragma("wal_autocheckpoint", WAL_PAGES)
        .pragma("journal_size_limit", WAL_KEPT)
        .row_buffer_size(512)
        .disable_statement_logging()
}

/// Connections that only read.
pub(super) async fn readers(options: SqliteConnectOptions) -> Result<SqlitePool> {
    let readers = SqlitePoolOptions::new()
        .max_connections(READERS)
        .test_before_acquire(false)
        .connect_with(options.read_only(true).pragma("cache_size", READER_CACHE))
        .await?;
    Ok(readers)
}
