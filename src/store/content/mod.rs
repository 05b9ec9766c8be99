//! Contents: from a stream of bytes to something a row can name, and back.
//!
//! An [`Upload`] takes bytes, cuts, seals and stores them as they come and holds a bounded buffer;
//! [`Upload::finish`] returns a [`Staged`] content whose bytes are durable (or inline, ≤ 8 KiB).
//! Dropping an upload leaves no trace that a reader could see. A [`Rebuild`] makes a content out of
//! another one and what was changed.

mod base;
mod checksum;
mod diff;
mod list;
mod listed;
mod park;
mod places;
mod prove;
mod read;
mod rebuild;
mod relocate;
mod settle;
mod signatures;
mod sound;
mod upload;

pub use checksum::Checksum;
pub use diff::{DIFF_CHUNKS_MAX, DIFF_SHARES, Diff, DiffError};
pub use list::ContentChunks;
pub use park::{Parked, reseal_tail};
pub use prove::{proves, staged_bytes};
pub use read::{Reader, check_chunk, open_inline};
pub use rebuild::{PATCH_SHARES, Rebuild, RebuildError};
pub use relocate::{Step, relocate};
pub use signatures::{RANGES_MAX, SignatureError, Signatures};
pub use sound::{Loaded, Rows, inline_damage, rows};
pub use upload::{Staged, StagedBody, UPLOAD_SHARES, Upload};

/// Objects up to this many bytes are sealed into their database row: one fsync, no segment record.
pub const INLINE_MAX: usize = 8 * 1024;

#[cfg(test)]
mod tests;
