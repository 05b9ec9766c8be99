//! What can go wrong below the rules.

use std::io::ErrorKind;

use crate::crypto;

/// Result of a store operation.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A failure of the store. None of these is the client's fault.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database.
    #[error("database: {0}")]
    Database(sqlx::Error),
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
    /// The disk is full.
    #[error("no space left on the disk")]
    DiskFull,
    /// The master key is not the one this store was made with.
    #[error("wrong master key: the store was made with key {expected}, this one is {found}")]
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
    #[error("too many are uploading or comparing at once")]
    Busy,
    /// The server is stopping; nothing was written.
    #[error("the store is closing")]
    Closing,
}

impl Error {
    /// Wraps an I/O error, telling a full disk from the rest.
    pub fn io(what: &'static str) -> impl FnOnce(std::io::Error) -> Self {
        move |source| {
            let kind = source.kind();
            if matches!(kind, ErrorKind::StorageFull | ErrorKind::QuotaExceeded) {
                return Self::DiskFull;
            }
            Self::Io { what, source }
        }
    }
}

/// SQLite's result code for a full disk.
const SQLITE_FULL: &str = "13";

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        let code = error
            .as_database_error()
            .and_then(|error| error.code().map(String::from));
        if code.as_deref() == Some(SQLITE_FULL) {
            Self::DiskFull
        } else {
            Self::Database(error)
        }
    }
}
