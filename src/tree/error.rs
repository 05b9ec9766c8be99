//! Why a verb was refused, by what a caller can do about it.

use crate::store;
use crate::types::PathError;

/// Result of a verb.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A refused or failed verb. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nothing is there.
    #[error("not found")]
    NotFound,
    /// The collection that should hold it is not there (or is a file).
    #[error("the parent collection does not exist")]
    NoParent,
    /// Something is already there.
    #[error("already exists")]
    Exists,
    /// It is a file, a collection was needed.
    #[error("not a collection")]
    NotACollection,
    /// It is a collection, a file was needed.
    #[error("is a collection")]
    IsACollection,
    /// A name or path that cannot be.
    #[error(transparent)]
    Path(#[from] PathError),
    /// Moving or copying something into itself, or touching a root or mount.
    #[error("{0}")]
    Forbidden(&'static str),
    /// A stated precondition does not hold.
    #[error("the precondition does not hold")]
    PreconditionFailed,
    /// A lock of somebody else covers it.
    #[error("locked")]
    Locked(Box<super::Lock>),
    /// No such lock, or not on this resource.
    #[error("no such lock")]
    NoSuchLock,
    /// The space would hold more than its quota.
    #[error("over quota: {used} of {quota} bytes used")]
    QuotaExceeded {
        /// Bytes that would be used.
        used: u64,
        /// Bytes allowed.
        quota: u64,
    },
    /// One operation would touch more than it may.
    #[error("too large: {0}")]
    TooLarge(&'static str),
    /// The stated checksum is not that of the bytes.
    #[error("the checksum does not match the bytes received")]
    Checksum,
    /// A sync cursor of another database, or of a later state of this one: nobody knows what its client was
    /// told, so what a listing does not name may never have been there.
    #[error("the sync token is not valid")]
    StaleCursor,
    /// A sync cursor of this database since when not everything can be told any more: a listing from the beginning
    /// is the whole truth.
    #[error("the sync token has expired")]
    ExpiredCursor,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] store::Error),
}
