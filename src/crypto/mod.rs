//! Keys and sealing. Knows nothing of files or databases beyond the one key file.
//!
//! ```text
//! master key (a file, 0400)
//!   ├ one key per snapshot file (random 16-byte id)
//!   └ wraps one random key per space             AES-256-GCM, bound to the space
//!       └ HKDF-SHA256 → id key, blinding key, gear seed, inline key, segment key
//!                         └ one key per segment (random 16-byte id), one per inline object (salt)
//! ```

mod aead;
mod compress;
#[cfg(all(feature = "server", any(test, fuzzing)))]
pub(crate) mod fuzzing;
mod inline;
mod master;
mod record;
mod snapshot;
mod space;

pub use compress::{compress, decompress};
pub use master::{MasterKey, Origin, Wrapped};
pub use record::{RECORD_TAG_LEN, RecordContext, RecordKey};
pub use snapshot::{FRAME_TAG_LEN, FramePlace, SnapshotKey};
pub use space::{Blinded, ChunkId, ClientKeys, RootHasher, SegmentId, SpaceKey, SpaceKeys};

/// What can go wrong with keys and sealed bytes.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The key does not open what it is said to have sealed, or the bytes were changed.
    #[error("sealed data does not open: wrong key or damaged bytes")]
    Sealed,
    /// The key file cannot be read or written.
    #[error("key file {path}: {source}")]
    File {
        /// The file's path.
        path: std::path::PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The key file holds something else.
    #[error("key file {path}: not a sync-server key")]
    Format {
        /// The file's path.
        path: std::path::PathBuf,
    },
    /// The system gives no random bytes.
    #[error("no random bytes from the system")]
    Random,
}

/// `N` bytes from the system's random source.
fn random<const N: usize>() -> Result<[u8; N], Error> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|_unavailable| Error::Random)?;
    Ok(bytes)
}
