//! The binary stream `application/vnd.sync-server.stream`: files as operations on bytes the other
//! side has.
//!
//! ```text
//! "SYN1" | record …          record: kind u8 | fields
//! 0x01 FILE   length, JSON                    0x05 PATCH  base offset, base length, raw length,
//! 0x02 COPY   base offset, length                         packed length, zstd frame
//! 0x03 REF    stand-in of a chunk, 16 bytes   0x06 SAME
//! 0x04 LIT    length, bytes                   0x07 END
//! ```
//! Numbers are LEB128 varints in their shortest form, below 2^63. Which records may follow which is
//! not looked at here: whoever applies them knows.

mod decode;
mod encode;
mod error;

use bytes::Bytes;

pub use decode::Decoder;
pub use encode::{copy, end, file, lit, lit_head, magic, operation, patch, reference, same};
pub use error::{Problem, StreamError};

/// Media type of the stream.
pub const MEDIA_TYPE: &str = "application/vnd.sync-server.stream";
/// First bytes of the stream: name and version.
pub const MAGIC: [u8; 4] = *b"SYN1";
/// Longest JSON of a FILE record, in bytes: room for two paths and what is said of them.
pub const FILE_MAX: u64 = 16 * 1024;
/// Longest part of the base a PATCH may need, in bytes: both sides hold it in memory.
pub const PATCH_BASE_MAX: u64 = 8 * 1024 * 1024;
/// Most bytes one PATCH gives: they are held in memory, and it caps what a small frame can become.
pub const PATCH_RAW_MAX: u64 = 4 * 1024 * 1024;
/// Longest zstd frame of a PATCH, in bytes: above what the most bytes take when they do not shrink.
pub const PATCH_PACKED_MAX: u64 = PATCH_RAW_MAX + 64 * 1024;
/// Numbers are below this, so that they fit the signed integers of other languages and of SQL.
pub const NUMBER_MAX: u64 = (1 << 63) - 1;

/// One record, or a piece of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// What file the operations behind it make: JSON, at most [`FILE_MAX`] bytes, not looked into here.
    File(Bytes),
    /// These bytes of the base. `offset + len` is below 2^63.
    Copy {
        /// First byte in the base.
        offset: u64,
        /// Bytes.
        len: u64,
    },
    /// A chunk that the space has: its stand-in.
    Ref([u8; 16]),
    /// Literal bytes begin: [`Record::LitPart`]s of this many bytes together follow.
    Lit {
        /// Bytes.
        len: u64,
    },
    /// The next bytes of the literal, at least one.
    LitPart(Bytes),
    /// Bytes packed with a part of the base as zstd prefix. `base_offset + base_len` is below 2^63.
    Patch {
        /// First byte of the prefix in the base.
        base_offset: u64,
        /// Bytes of the prefix, at most [`PATCH_BASE_MAX`].
        base_len: u32,
        /// Bytes that come out, at most [`PATCH_RAW_MAX`].
        raw_len: u32,
        /// The zstd frame, at most [`PATCH_PACKED_MAX`] bytes.
        packed: Bytes,
    },
    /// The space has a content with the root that FILE states.
    Same,
    /// End of the file.
    End,
}

/// Kind bytes.
mod kind {
    pub(super) const FILE: u8 = 1;
    pub(super) const COPY: u8 = 2;
    pub(super) const REF: u8 = 3;
    pub(super) const LIT: u8 = 4;
    pub(super) const PATCH: u8 = 5;
    pub(super) const SAME: u8 = 6;
    pub(super) const END: u8 = 7;
}

#[cfg(test)]
mod tests;
