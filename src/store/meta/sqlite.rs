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
use super::writer::{Group, LOG_KEPT, Written};
use crate::store::Result;

/// Readers beside the one writer: two cores rarely have more than this many queries running.
const READERS: u32 = 4;
/// How long to wait for another process (the command line tool) that writes.
const BUSY_MAX: Duration = Duration::from_secs(10);
/// Page cache of the writer, in KiB (SQLite counts negative numbers that way).
const WRITER_CACHE: &str = "-8192";
/// Page cache of each reader, in KiB.
const READER_CACHE: &str = "-2048";
/// Prepared statements kept by each connection; above the number of statements there are.
const STATEMENTS: usize = 200;

/// What brings a schema up to date.
pub(super) static MIGRATIONS: Migrator = sqlx::migrate!("src/store/meta/migrations/sqlite");

/// Opens or creates the file and brings its schema up to date: the readers and the writer.
pub(super) async fn open(path: &Path) -> Result<(SqlitePool, Group)> {
    let (written, readers) = written(path).await?;
    Ok((readers, Group::start(written)))
}

/// The same before anybody can write.
pub(super) async fn written(path: &Path) -> Result<(Written, SqlitePool)> {
    let options = options(path).create_if_missing(true);
    let write = options
        .clone()
        .auto_vacuum(SqliteAutoVacuum::Incremental)
        .pragma("cache_size", WRITER_CACHE);
    let writers = SqlitePoolOptions::new()
        .max_connections(1)
        .idle_timeout(None)
        .max_lifetime(None)
        .connect_with(write.clone())
        .await?;
    let mut writing = writers.acquire().await?;
    MIGRATIONS.run_direct(None, &mut *writing, false).await?;
    let readers = readers(options).await?;
    let conn = Conn::lite(writing);
    let written = Written::new(path, write, readers.clone(), writers, conn)?;
    Ok((written, readers))
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
        // The writer does it, so that it learns of errors.
        .pragma("wal_autocheckpoint", "0")
        .pragma("journal_size_limit", LOG_KEPT.to_string())
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
