//! What can go wrong below the rules.

use std::borrow::Cow;
use std::io::ErrorKind;

use rustix::io::Errno;

use crate::crypto;

/// Result of a store operation.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A failure of the store. None of these is the client's fault.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database.
    #[error("database: {0}")]
    Database(sqlx::Error),
    /// The database does not answer, or has no connection for us. Of a commit on its way nobody
    /// knows whether it was made.
    #[error("the database does not answer: {0}")]
    Away(sqlx::Error),
    /// The database cannot keep what we have to give it.
    #[error("the database cannot be used: {0}")]
    Unfit(&'static str),
    /// A migration of the database's schema.
    #[error("database schema: {0}")]
    Migrate(#[from] sqlx::migrate::MigrateError),
    /// The disk, while doing what is named.
    #[error("{what}: {source}")]
    Io {
        /// What was being done.
        what: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
    /// The disk or the system, in a way that may be over soon. Nothing of a write is kept.
    #[error("{what}: {source}")]
    Later {
        /// What was being done.
        what: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
    /// The database met an I/O error, and what it says is not relied on until it is proved sound.
    #[error("the database met an I/O error and is not proved sound yet")]
    Suspect,
    /// The disk is full.
    #[error("no space left on the disk")]
    DiskFull,
    /// The master key is not the one that opens this store.
    #[error("wrong master key: the store opens with key {expected}, this one is {found}")]
    WrongKey {
        /// Fingerprint in the database.
        expected: String,
        /// Fingerprint of the key given.
        found: String,
    },
    /// Keys or sealed bytes.
    #[error(transparent)]
    Crypto(#[from] crypto::Error),
    /// Stored data contradicts itself.
    #[error("damaged data: {0}")]
    Corrupt(&'static str),
    /// A segment has no file (any more).
    #[error("a segment is missing")]
    Gone,
    /// What a write was made from was collected before it was named; nothing was written.
    #[error("the bytes were collected before they got a name; send them again")]
    Stale,
    /// Too much is going on already; nothing was written.
    #[error("too many are writing or comparing at once")]
    Busy,
    /// The server is stopping; nothing was written.
    #[error("the store is closing")]
    Closing,
}

impl Error {
    /// Whether what is stored is not what was stored; other errors may be over the next time.
    pub fn is_damage(&self) -> bool {
        matches!(
            self,
            Self::Corrupt(_) | Self::Gone | Self::Crypto(crypto::Error::Sealed)
        )
    }

    /// Wraps an error of reading, telling a full disk and too many open files from the rest.
    pub fn io(what: &'static str) -> impl FnOnce(std::io::Error) -> Self {
        move |source| match source.raw_os_error() {
            _ if is_full(&source) => Self::DiskFull,
            Some(code) if is_too_many(code) => Self::Later { what, source },
            _ => Self::Io { what, source },
        }
    }

    /// Wraps an error of writing, telling a full disk from the rest. Whoever repeats the write may well
    /// succeed, so it is none of those that make clients put a file aside.
    pub fn writing(what: &'static str) -> impl FnOnce(std::io::Error) -> Self {
        move |source| {
            if is_full(&source) {
                return Self::DiskFull;
            }
            Self::Later { what, source }
        }
    }
}

/// Too many open files, of the process or of the system.
fn is_too_many(code: i32) -> bool {
    [Errno::MFILE, Errno::NFILE]
        .map(Errno::raw_os_error)
        .contains(&code)
}

fn is_full(error: &std::io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded
    )
}

/// SQLite's result code for a full disk.
const SQLITE_FULL: &str = "13";
/// PostgreSQL's for the same.
const POSTGRES_FULL: &str = "53100";
/// PostgreSQL's for works that were in each other's way or took too long (a deadlock, a
/// serialization failure, a lock or a statement that ran out of time), and for no memory.
const POSTGRES_BUSY: [&str; 5] = ["40P01", "40001", "55P03", "57014", "53200"];
/// PostgreSQL's while it stops, starts or has too many connections.
const POSTGRES_AWAY: [&str; 5] = ["57P01", "57P02", "57P03", "57P05", "53300"];
/// PostgreSQL's for a file it cannot read or write.
const POSTGRES_IO: &str = "58030";
/// How PostgreSQL's for a broken connection begin.
const POSTGRES_BROKEN: &str = "08";

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        match code_of(&error).as_deref() {
            Some(SQLITE_FULL | POSTGRES_FULL) => return Self::DiskFull,
            Some(code) if POSTGRES_BUSY.contains(&code) => return Self::Busy,
            _ => {}
        }
        if is_away(&error) {
            Self::Away(error)
        } else if code_of(&error).as_deref() == Some(POSTGRES_IO) {
            let (what, source) = ("the disk of the database", std::io::Error::other(error));
            Self::Later { what, source }
        } else if matches!(error, sqlx::Error::PoolClosed) {
            Self::Closing
        } else {
            Self::Database(error)
        }
    }
}

/// What the database calls it.
fn code_of(error: &sqlx::Error) -> Option<Cow<'_, str>> {
    let error = error.as_database_error()?;
    error.code()
}

fn is_away(error: &sqlx::Error) -> bool {
    let said = code_of(error).is_some_and(|code| {
        POSTGRES_AWAY.contains(&&*code) || code.len() == 5 && code.starts_with(POSTGRES_BROKEN)
    });
    said || matches!(
        error,
        sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut | sqlx::Error::WorkerCrashed
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_over_soon_is_told_from_what_cannot_be_read() {
        let system = std::io::Error::from_raw_os_error;
        let full = 28;
        for full in [
            Error::io("x")(system(full)),
            Error::writing("x")(system(full)),
        ] {
            assert!(matches!(full, Error::DiskFull));
        }
        let broken = 5;
        assert!(matches!(Error::io("x")(system(broken)), Error::Io { .. }));
        for later in [
            Error::writing("x")(system(broken)),
            Error::io("x")(Errno::MFILE.into()),
        ] {
            assert!(matches!(later, Error::Later { .. }));
        }
    }

    #[test]
    fn a_connection_that_breaks_is_told_from_a_statement_that_fails() {
        let broken = std::io::Error::from(ErrorKind::ConnectionReset);
        for away in [sqlx::Error::Io(broken), sqlx::Error::PoolTimedOut] {
            assert!(matches!(Error::from(away), Error::Away(_)));
        }
        let closed = Error::from(sqlx::Error::PoolClosed);
        assert!(matches!(closed, Error::Closing));
        let missing = Error::from(sqlx::Error::RowNotFound);
        assert!(matches!(missing, Error::Database(_)));
    }
}
