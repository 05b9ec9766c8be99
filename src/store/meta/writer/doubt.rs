//! What a file of SQLite is worth after an I/O error, and when its log goes into it.
//!
//! A sync that fails says so once. The pages it did not write count as clean from then on, so that a later
//! sync that succeeds proves nothing about them. SQLite does not look at it that way: what it once copied
//! from its log into the file it does not copy again, and a part that it copies while somebody reads is
//! not synced at all. So after an I/O error nothing is written until the whole log, which was synced
//! before anybody was answered, has been read anew and copied anew, and that was synced.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteLockingMode, SqlitePool, SqlitePoolOptions};
use tokio::sync::{RwLock, RwLockReadGuard};
use tokio::time::{Instant, sleep, sleep_until};

use crate::store::meta::conn::Inner;
use crate::store::meta::{Conn, sql};
use crate::store::{Error, Result};

/// Bytes of the log from which on it is copied into the file; as much of it is kept, to be used again.
pub(in crate::store::meta) const LOG_KEPT: u64 = 16 * 1024 * 1024;
/// How long after one try the next begins.
const AGAIN: Duration = Duration::from_secs(1);
/// How long to wait for those who read.
const READING_MAX: Duration = Duration::from_secs(5);
/// How long to wait for another process (the command line tool) that has the file open.
const ALONE_MAX: Duration = Duration::from_millis(200);

// Nothing of this is for both databases.
const COPY: &str = "PRAGMA wal_checkpoint(PASSIVE)";
const COPY_ALL: &str = "PRAGMA wal_checkpoint(TRUNCATE)";
/// Writes a page and changes nothing.
const WRITE: &str = "PRAGMA user_version = 0";
/// Grows with every change of every tree.
const TURNS: &str = "SELECT CAST(COALESCE(SUM(seq), 0) AS BIGINT) FROM space";

/// How far this process trusts its database.
#[derive(Default)]
pub(in crate::store::meta) struct Trust {
    level: AtomicU8,
    /// Held by who opens a connection, and alone by who opens the file anew.
    opening: RwLock<()>,
}

const WHOLE: u8 = 0;
/// What was answered can be read; nothing is written.
const READ: u8 = 1;
/// What is read may not be what was answered, or not be on the disk.
const NOTHING: u8 = 2;
/// Something that was answered is gone.
const BROKEN: u8 = 3;

impl Trust {
    pub(in crate::store::meta) fn is_whole(&self) -> bool {
        self.level() == WHOLE
    }

    /// Lets pass who wants to read; waits while the file is opened anew.
    pub(in crate::store::meta) async fn to_read(&self) -> Result<RwLockReadGuard<'_, ()>> {
        let pass = self.opening.read().await;
        if self.level() < NOTHING {
            Ok(pass)
        } else {
            Err(Error::Suspect)
        }
    }

    fn level(&self) -> u8 {
        self.level.load(Ordering::Acquire)
    }

    fn set(&self, level: u8) {
        self.level.store(level, Ordering::Release);
    }
}

/// The file, as its writer sees it.
pub(in crate::store::meta) struct Written {
    file: PathBuf,
    options: SqliteConnectOptions,
    readers: SqlitePool,
    writers: SqlitePool,
    /// `None` when it was closed and could not be opened again.
    conn: Option<Conn>,
    trust: Arc<Trust>,
    /// Whether a part of the log was copied that no sync came after.
    unsynced: bool,
    /// The most turns that were seen.
    turns: i64,
    again: Instant,
}

impl Written {
    pub(in crate::store::meta) fn new(
        file: &Path,
        options: SqliteConnectOptions,
        readers: SqlitePool,
        writers: SqlitePool,
        conn: Conn,
    ) -> Result<Self> {
        sync_folder(file)?;
        Ok(Self {
            file: file.to_owned(),
            options,
            readers,
            writers,
            conn: Some(conn),
            trust: Arc::default(),
            unsynced: false,
            turns: 0,
            again: Instant::now(),
        })
    }

    pub(in crate::store::meta) fn trust(&self) -> Arc<Trust> {
        Arc::clone(&self.trust)
    }

    /// The connection to write with, when what is written can be relied on.
    pub(super) fn conn(&mut self) -> Option<&mut Conn> {
        self.conn.as_mut().filter(|_| self.trust.is_whole())
    }

    /// To be called after each commit: notes an I/O error, and copies the log when it has grown, or cannot
    /// grow: afterwards it is used again from its beginning.
    pub(super) async fn look_after(&mut self) {
        let Some(conn) = self.conn.as_mut().filter(|_| self.trust.is_whole()) else {
            return;
        };
        if std::mem::take(&mut conn.broken) {
            return self.doubt(READ);
        }
        let log = std::fs::metadata(log_of(&self.file)).map_or(0, |log| log.len());
        let is_due = std::mem::take(&mut conn.full) || log > LOG_KEPT;
        // One that failed may have written all of the log for nothing.
        if !is_due || Instant::now() < self.again {
            return;
        }
        if self.unsynced
            && let Ok(turns) = turns(conn).await
        {
            // To be compared with, when the sync behind this copy fails.
            self.turns = self.turns.max(turns);
        }
        if let Err(error) = copy(conn, &mut self.unsynced).await {
            tracing::error!("copying the log of the database into its file: {error}");
            conn.full = false;
            self.again = Instant::now() + AGAIN;
            if std::mem::take(&mut conn.broken) {
                self.doubt(if self.unsynced { NOTHING } else { READ });
            }
        }
    }

    fn doubt(&mut self, level: u8) {
        tracing::error!(
            "an I/O error in the database: nothing is written until it is proved sound"
        );
        self.trust.set(level.max(self.trust.level()));
        self.again = Instant::now();
    }

    /// Returns when it is time to prove it sound again.
    pub(super) async fn is_due(&self) {
        match self.trust.level() {
            READ | NOTHING => sleep_until(self.again).await,
            _ => std::future::pending().await,
        }
    }

    /// Tries to get at a state that was answered and is on the disk.
    pub(super) async fn prove(&mut self) {
        match self.try_to_prove().await {
            Ok(()) => tracing::warn!("the database is sound again"),
            Err(error) => tracing::error!("the database cannot be relied on yet: {error}"),
        }
        self.again = Instant::now() + AGAIN;
    }

    async fn try_to_prove(&mut self) -> Result<()> {
        self.try_the_disk().await?;
        let trust = self.trust();
        let _nobody_else = trust.opening.write().await;
        self.close_all().await?;
        // The log may hold what nobody was told of and no sync came after.
        trust.set(NOTHING);
        self.copy_anew().await?;
        let conn = Conn::lite(self.writers.acquire().await?);
        sync_folder(&self.file)?;
        self.conn = Some(conn);
        self.unsynced = false;
        trust.set(WHOLE);
        Ok(())
    }

    /// While the disk fails, others go on reading. What is written here also takes the place of what
    /// was in the log without an answer.
    ///
    /// Not when what was copied may be lost: SQLite would call it done, and begin its log anew.
    async fn try_the_disk(&mut self) -> Result<()> {
        let Some(conn) = self.conn.as_mut().filter(|_| self.trust.level() < NOTHING) else {
            return Ok(());
        };
        // A transaction that could not be undone before; there is none most of the time.
        let _undone = sql::query("ROLLBACK").execute(&mut *conn).await;
        conn.broken = false;
        let mut tried = sql::query(WRITE).execute(&mut *conn).await.map(drop);
        if tried.is_ok() {
            tried = copy(conn, &mut self.unsynced).await;
        }
        let broken = std::mem::take(&mut conn.broken);
        if broken && self.unsynced {
            self.trust.set(NOTHING);
        }
        match tried {
            Err(error) if !is_damage(&error) => Err(error.into()),
            // What is damaged only in memory will be read anew.
            _ => Ok(()),
        }
    }

    /// Closes every connection, none of which copies the log: what was copied before would count.
    async fn close_all(&mut self) -> Result<()> {
        let mut reading = hold(&self.readers).await?;
        if self.conn.is_some() && reading.is_empty() {
            // Before the other is taken: an error must leave it where it is.
            reading.push(Conn::lite(self.readers.acquire().await?));
        }
        if let Some(mut writing) = self.conn.take() {
            // Holds the file from now on, and cannot write to it.
            match turns(&mut reading[0]).await {
                Ok(turns) if self.trust.level() < NOTHING => self.turns = self.turns.max(turns),
                Err(error) if !is_damage(&error) => {
                    writing.broken = false;
                    self.conn = Some(writing);
                    return Err(error.into());
                }
                _ => {}
            }
            close(writing).await;
        }
        for conn in reading {
            close(conn).await;
        }
        Ok(())
    }

    /// Alone with the file, and so with nothing that others know of the log.
    async fn copy_anew(&mut self) -> Result<()> {
        let alone = self.options.clone();
        let alone = alone
            .locking_mode(SqliteLockingMode::Exclusive)
            .busy_timeout(ALONE_MAX);
        let pool = SqlitePoolOptions::new()
            .max_connections(1)
            .connect_with(alone)
            .await?;
        let mut conn = Conn::lite(pool.acquire().await?);
        let (busy, _, _): (i64, i64, i64) = sql::query_as(COPY_ALL).fetch_one(&mut conn).await?;
        let turns = turns(&mut conn).await?;
        close(conn).await;
        pool.close().await;
        if busy != 0 {
            return Err(Error::Busy);
        }
        if turns < self.turns {
            self.trust.set(BROKEN);
            return Err(Error::Corrupt(
                "the database lost what was answered; restore it",
            ));
        }
        Ok(())
    }

    /// Closes the connection. One that is in doubt is left to the end of the process: closing it would
    /// copy the log, and call it done.
    pub(super) async fn close(self) {
        let Some(conn) = self.conn else { return };
        if self.trust.is_whole() {
            close(conn).await;
        } else {
            std::mem::forget(conn);
        }
    }
}

/// All connections that are open, once nobody uses them. No other can be opened meanwhile.
async fn hold(readers: &SqlitePool) -> Result<Vec<Conn>> {
    let until = Instant::now() + READING_MAX;
    let mut held = Vec::new();
    while held.len() < readers.size() as usize {
        match readers.try_acquire() {
            Some(conn) => held.push(Conn::lite(conn)),
            None if Instant::now() < until => sleep(Duration::from_millis(1)).await,
            None => return Err(Error::Busy),
        }
    }
    Ok(held)
}

async fn turns(conn: &mut Conn) -> Result<i64, sqlx::Error> {
    sql::query_scalar(TURNS).fetch_one(conn).await
}

/// Copies what it can of the log into the file, and syncs that when it was all.
async fn copy(conn: &mut Conn, unsynced: &mut bool) -> Result<(), sqlx::Error> {
    let (_busy, log, copied): (i64, i64, i64) = sql::query_as(COPY).fetch_one(conn).await?;
    if log >= 0 {
        *unsynced = copied < log;
    }
    Ok(())
}

async fn close(conn: Conn) {
    let closed = match conn.inner {
        Inner::Lite(conn) => conn.close().await,
        Inner::Post(conn) => conn.close().await,
    };
    if let Err(error) = closed {
        tracing::warn!("closing the database: {error}");
    }
}

fn log_of(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push("-wal");
    name.into()
}

/// SQLite makes its log without asking whether its name is on the disk.
fn sync_folder(file: &Path) -> Result<()> {
    let folder = match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let synced = File::open(folder).and_then(|folder| folder.sync_all());
    synced.map_err(Error::writing("syncing the folder of the database"))
}

/// SQLite's result codes for a file that is malformed, or none of its own.
const DAMAGED: [u32; 2] = [11, 26];

fn is_damage(error: &sqlx::Error) -> bool {
    sql::sqlite_code(error).is_some_and(|code| DAMAGED.contains(&code))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::meta::{spaces, sqlite};

    /// A file with a space of one turn, in doubt.
    async fn in_doubt(folder: &Path) -> Written {
        let file = folder.join("db");
        let (mut written, _readers) = sqlite::written(&file).await.unwrap();
        let conn = written.conn().unwrap();
        let space = spaces::create(conn, "s", false, None).await.unwrap();
        spaces::turn(conn, space, 1).await.unwrap();
        written.doubt(READ);
        written
    }

    #[tokio::test]
    async fn a_file_that_holds_what_was_answered_is_sound_again() {
        let folder = tempfile::tempdir().unwrap();
        let mut written = in_doubt(folder.path()).await;
        assert!(written.conn().is_none());

        written.prove().await;

        assert!(written.trust.is_whole());
        assert_eq!(turns(written.conn().unwrap()).await.unwrap(), 1);
        written.close().await;
    }

    #[tokio::test]
    async fn a_file_that_holds_less_than_was_answered_is_not_served() {
        let folder = tempfile::tempdir().unwrap();
        let mut written = in_doubt(folder.path()).await;
        written.turns = 2;

        written.prove().await;

        assert!(matches!(written.trust.to_read().await, Err(Error::Suspect)));
        assert_eq!(written.trust.level(), BROKEN);
    }

    #[tokio::test]
    async fn a_proof_that_cannot_begin_leaves_the_writer_where_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let mut written = in_doubt(folder.path()).await;
        written.readers.close().await;

        written.prove().await;

        assert!(written.conn.is_some(), "it would hold the file for ever");
        assert_eq!(written.trust.level(), READ);
    }
}
