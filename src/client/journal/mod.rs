//! What was in step when, in a SQLite file of its own.
//!
//! Losing its last moments does no harm: what is here and there alike is found to be so again. So it does not wait
//! for the disk. What it says of the server (`pending`, the cursor) changes in one transaction.

mod bulk;
mod changes;
mod entry;
mod items;
mod lists;
mod places;
mod state;
mod troubles;
mod uploads;

#[cfg(test)]
mod tests;

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::Duration;

use sqlx::error::DatabaseError;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions as _, Connection as _};
use tokio::sync::{Mutex, MutexGuard};
use tokio::time::{Instant, sleep};

pub use changes::{Intake, Pending};
pub use entry::Entry;
pub use items::Write;
#[cfg(test)]
pub(super) use lists::pack;
pub use lists::unpack;
pub use places::Side;
pub use state::Key;
pub use troubles::Trouble;
pub use uploads::Begun;

/// Layout of the tables; a later one is not opened.
const LAYOUT: i64 = 2;
/// Unfinished uploads begin anew: the first layout did not know which file they were of.
const FROM_1: &str = concat!(
    "DROP TABLE upload;",
    include_str!("upload.sql"),
    "PRAGMA user_version = 2"
);
const NEW: &str = concat!(
    include_str!("schema.sql"),
    include_str!("upload.sql"),
    "PRAGMA user_version = 2"
);
/// How long another process (`status`) may hold the file.
const BUSY: Duration = Duration::from_secs(10);
/// How long after one try to open it the next begins.
const AGAIN: Duration = Duration::from_millis(20);
/// Pages in memory: 1 MiB, so that 100,000 files do not make the daemon large.
const CACHE: &str = "-1024";

/// The journal cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// SQLite failed.
    #[error("the journal cannot be used: {0}")]
    Database(#[from] sqlx::Error),
    /// Made by another version.
    #[error(
        "the journal was made by another version of sync-client (layout {0}, this one has {LAYOUT})"
    )]
    Layout(i64),
    /// A row that this program does not write.
    #[error("the journal has a row that cannot be: {0}")]
    Row(&'static str),
}

/// The open journal.
pub struct Journal {
    conn: Mutex<SqliteConnection>,
}

impl Journal {
    /// Opens or makes the file.
    pub async fn open(path: &Path) -> Result<Self, Error> {
        // SQLite gives its other files the permissions of this one.
        OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o600)
            .open(path)
            .map_err(sqlx::Error::Io)?;
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Normal)
            .busy_timeout(BUSY)
            .pragma("cache_size", CACHE)
            .disable_statement_logging();
        let mut conn = connect(&options).await?;
        if layout(&mut conn).await? != LAYOUT {
            lay_out(&mut conn).await?;
        }
        Ok(Self {
            conn: Mutex::new(conn),
        })
    }

    async fn conn(&self) -> MutexGuard<'_, SqliteConnection> {
        self.conn.lock().await
    }

    /// Closes the file, so that its log is copied back.
    pub async fn close(self) -> Result<(), Error> {
        Ok(self.conn.into_inner().close().await?)
    }
}

/// Where two processes make it at once, one of them cannot begin its log, and SQLite does not let it wait for that.
async fn connect(options: &SqliteConnectOptions) -> Result<SqliteConnection, sqlx::Error> {
    let until = Instant::now() + BUSY;
    loop {
        match options.connect().await {
            Err(error) if is_busy(&error) && Instant::now() < until => sleep(AGAIN).await,
            connected => return connected,
        }
    }
}

/// Whether another process is in the way (`SQLITE_BUSY` and what SQLite makes of it by higher bits).
fn is_busy(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(DatabaseError::code);
    let number = code.and_then(|code| code.parse::<u32>().ok());
    number.is_some_and(|number| number & 0xff == 5)
}

async fn layout(conn: &mut SqliteConnection) -> Result<i64, Error> {
    let layout = sqlx::query_scalar("PRAGMA user_version");
    Ok(layout.fetch_one(conn).await?)
}

async fn lay_out(conn: &mut SqliteConnection) -> Result<(), Error> {
    let mut tx = conn.begin_with("BEGIN IMMEDIATE").await?;
    let tables = match layout(&mut tx).await? {
        0 => NEW,
        1 => FROM_1,
        // Another process has done it meanwhile.
        LAYOUT => return Ok(()),
        other => return Err(Error::Layout(other)),
    };
    sqlx::raw_sql(tables).execute(&mut *tx).await?;
    Ok(tx.commit().await?)
}
