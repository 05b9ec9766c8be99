//! Fine signatures of parts of a content, for whoever has no older version at hand any more.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use super::Reader;
use super::diff::turn;
use crate::chunk::signature::{BLOCK_MAX, BLOCK_MIN, entry, signature_len};
use crate::store::blob::blocking;
use crate::store::{Error, Result, Store};
use crate::types::ContentId;

/// Most ranges of one question: 4 GB of changes a MiB apart, and 64 KiB to remember.
pub const RANGES_MAX: usize = 4096;
/// Bytes of the content signed at a time, rounded down to whole blocks.
const PART: usize = 1024 * 1024;

/// Why there are no signatures.
#[derive(Debug, thiserror::Error)]
pub enum SignatureError {
    /// The length of blocks is below [`BLOCK_MIN`] or above [`BLOCK_MAX`].
    #[error("blocks have {BLOCK_MIN} to {BLOCK_MAX} bytes, not {block}")]
    Block {
        /// Bytes asked for.
        block: u64,
    },
    /// More than [`RANGES_MAX`] ranges.
    #[error("{count} ranges are more than {RANGES_MAX}")]
    TooMany {
        /// Ranges asked for.
        count: usize,
    },
    /// A range is empty, begins before the one in front of it ends, or reaches beyond the content.
    #[error("range {nth} is empty, out of order or beyond the end")]
    Range {
        /// Its place in the list, from 0.
        nth: usize,
    },
    /// The store.
    #[error(transparent)]
    Store(#[from] Error),
}

/// The signatures of some ranges, one behind the other, made as they are asked for. Holds about 2 MiB.
pub struct Signatures {
    reader: Reader,
    block: usize,
    /// What was not signed yet, the last range first.
    left: Vec<Range<u64>>,
    len: u64,
}

impl Signatures {
    /// Signs ranges of a content, which must be in order and not overlap, in blocks of `block` bytes.
    pub async fn open(
        store: &Arc<Store>,
        content: ContentId,
        mut ranges: Vec<Range<u64>>,
        block: u64,
    ) -> Result<Self, SignatureError> {
        let blocks = BLOCK_MIN..=BLOCK_MAX;
        let block = usize::try_from(block)
            .ok()
            .filter(|block| blocks.contains(block))
            .ok_or(SignatureError::Block { block })?;
        if ranges.len() > RANGES_MAX {
            let count = ranges.len();
            return Err(SignatureError::TooMany { count });
        }
        let reader = Reader::open(store, content).await?;
        let (mut end, mut len) = (0, 0);
        for (nth, range) in ranges.iter().enumerate() {
            if range.is_empty() || range.start < end || range.end > reader.size() {
                return Err(SignatureError::Range { nth });
            }
            end = range.end;
            len += signature_len(range.end - range.start, block);
        }
        ranges.reverse();
        Ok(Self {
            reader,
            block,
            left: ranges,
            len,
        })
    }

    /// Bytes of all the signatures together.
    #[expect(
        clippy::len_without_is_empty,
        reason = "a length in bytes, not of a collection"
    )]
    pub fn len(&self) -> u64 {
        self.len
    }

    /// The next bytes; `None` at the end.
    pub async fn next(&mut self) -> Result<Option<Bytes>> {
        let Some(range) = self.left.last_mut() else {
            return Ok(None);
        };
        let block = self.block;
        let most = (PART / block * block) as u64;
        let part = range.start..range.end.min(range.start + most);
        let _turn = turn().await?;
        let bytes = self.reader.read_range(part.clone()).await?;
        let signed = blocking(move || {
            let entries: Vec<_> = bytes.chunks(block).map(entry).collect();
            Ok(entries.concat())
        })
        .await?;
        range.start = part.end;
        if range.is_empty() {
            self.left.pop();
        }
        Ok(Some(signed.into()))
    }
}
