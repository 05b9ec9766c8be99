//! A content built from another: what both have in common is named by its rows, not read.
//!
//! The result is what an upload of the same bytes would be, chunk by chunk. Whether a chunk ends at
//! a place is decided by the bytes since it began and by up to two behind its end (the cutter looks
//! at pairs). So a chunk of the base is taken over unread where the new content stands at a cut and
//! is equal to the base up to two bytes behind the chunk. Around an edit the bytes are read and cut
//! again, until a cut falls where the base has one.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::Semaphore;

use super::base::Base;
use super::read::read_chunk;
use super::upload::Upload;
use super::{INLINE_MAX, Staged};
use crate::chunk::{Class, patch};
use crate::crypto::{Blinded, SpaceKeys};
use crate::store::blob::blocking;
use crate::store::meta::chunks::{self, Located};
use crate::store::{Error, Store};
use crate::types::{ContentId, SpaceId};

/// Bytes behind a chunk that decide where it ends.
const LOOK_AHEAD: u64 = 2;
/// Operations that every content may be built of, however short it is.
const OPERATIONS_MIN: u64 = 1024;
/// One operation more for so many bytes: shorter ones cost more than the bytes they save.
const OPERATION_BYTES: u64 = 64;
/// Bytes of chunks that may be read for any content: each operation can ask for another 2 MiB.
const READ_MIN: u64 = 256 * 1024 * 1024;
/// Bytes that may be read for each byte of the content: single blocks of 4 KiB from chunks of 64.
const READ_TIMES: u64 = 16;
/// Longest part of the base that a patch may be made against, in bytes: it is held in memory.
const PATCH_BASE_MAX: u32 = 8 * 1024 * 1024;
/// Most bytes one patch may give; they are held in memory.
const PATCH_RAW_MAX: u32 = 4 * 1024 * 1024;
/// Patches opened at a time, each with up to 24 MiB of memory: one for each core of a small machine.
const PATCHES: usize = 2;

/// Memory, in KiB, of all patches on their way in while their senders take their time: six of the longest.
pub const PATCH_SHARES: usize = 24 * 1024;

static PATCHING: Semaphore = Semaphore::const_new(PATCHES);

/// Why a content cannot be built. All but [`RebuildError::Store`] are the fault of the operations.
#[derive(Debug, thiserror::Error)]
pub enum RebuildError {
    /// An operation refers to a base and none was given.
    #[error("there is no base to copy from")]
    NoBase,
    /// The base lies in another space.
    #[error("the base belongs to another space")]
    OtherSpace,
    /// An operation refers to bytes that the base does not have.
    #[error("an operation reaches beyond the end of the base")]
    OutsideBase,
    /// More bytes than were stated.
    #[error("the operations give more than the {size} bytes stated")]
    TooLong {
        /// Bytes stated.
        size: u64,
    },
    /// Fewer bytes than were stated.
    #[error("the operations give {written} of the {size} bytes stated")]
    TooShort {
        /// Bytes they give.
        written: u64,
        /// Bytes stated.
        size: u64,
    },
    /// More operations than a content of that size may have.
    #[error("more than {limit} operations for one content of that size")]
    TooMany {
        /// Operations it may have.
        limit: u64,
    },
    /// The operations ask for many times the bytes they give.
    #[error("the operations are too scattered over the base")]
    TooScattered,
    /// A patch is larger than any may be.
    #[error("a patch refers to more than 8 MiB or gives more than 4 MiB")]
    PatchTooLarge,
    /// A patch that does not open.
    #[error(transparent)]
    Patch(#[from] patch::Error),
    /// A chunk that the space does not have.
    #[error("the space does not have a chunk that is referred to")]
    Unknown(Blinded),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] Error),
}

type Result<T, E = RebuildError> = std::result::Result<T, E>;

/// A content being built from operations in the order of its bytes.
pub struct Rebuild {
    store: Arc<Store>,
    keys: Arc<SpaceKeys>,
    class: Class,
    upload: Upload,
    base: Option<Base>,
    /// Bytes stated.
    size: u64,
    /// Bytes the operations gave, those to be copied included.
    written: u64,
    /// Part of the base that is to be copied next; grows while copies follow each other.
    copying: Range<u64>,
    operations: u64,
    /// Whether the last operation was a literal, whose pieces count once.
    in_literal: bool,
    /// Bytes of chunks read by reference.
    referred: u64,
    /// The first chunk that was referred to and is not there.
    unknown: Option<Blinded>,
}

impl Rebuild {
    /// Begins a content of exactly `size` bytes, cut as `class`. Of a base cut otherwise only bytes
    /// are taken; one of another space is refused.
    pub async fn start(
        store: &Arc<Store>,
        space: SpaceId,
        base: Option<ContentId>,
        class: Class,
        size: u64,
    ) -> Result<Self> {
        let keys = store.keys.of(&store.meta, space).await?;
        let mut upload = Upload::begin(store, Arc::clone(&keys), class);
        // Chunks of the base may become chunks of the new content.
        if base.is_some() {
            upload.hold().await?;
        }
        let base = match base {
            None => None,
            Some(base) => match Base::open(store, &keys, base).await? {
                Some(base) => Some(base),
                None => return Err(RebuildError::OtherSpace),
            },
        };
        Ok(Self {
            store: Arc::clone(store),
            upload,
            keys,
            class,
            base,
            size,
            written: 0,
            copying: 0..0,
            operations: 0,
            in_literal: false,
            referred: 0,
            unknown: None,
        })
    }

    /// Says what the file will be called.
    pub fn set_name(&mut self, name: &str) {
        self.upload.set_name(name);
    }

    /// Bytes the operations gave so far.
    pub fn written(&self) -> u64 {
        self.written
    }

    /// The next `len` bytes are those of the base from `offset` on.
    pub async fn copy(&mut self, offset: u64, len: u64) -> Result<()> {
        self.count()?;
        let range = self.range_of_base(offset, len)?;
        self.admit(len)?;
        if self.copying.end == range.start && !self.copying.is_empty() {
            self.copying.end = range.end;
            return Ok(());
        }
        self.settle_copy(false).await?;
        self.copying = range;
        Ok(())
    }

    /// The next bytes are given; in as many pieces as they come.
    pub async fn literal(&mut self, bytes: Bytes) -> Result<()> {
        if !self.in_literal {
            self.count()?;
            self.in_literal = true;
        }
        self.admit(bytes.len() as u64)?;
        self.settle_copy(false).await?;
        self.push(bytes).await
    }

    /// The next bytes are those of a chunk that the space has.
    ///
    /// [`RebuildError::Unknown`] says that it has not. Then the content cannot be finished any more,
    /// and nothing more is stored, but operations are still checked: so a caller can go on to learn
    /// what else is missing.
    pub async fn reference(&mut self, chunk: Blinded) -> Result<()> {
        self.count()?;
        self.upload.hold().await?;
        let row = {
            let mut conn = self.store.meta.read().await?;
            chunks::by_blinded(&mut conn, self.keys.space, &chunk).await?
        };
        let Some(row) = row else {
            self.unknown.get_or_insert(chunk);
            return Err(RebuildError::Unknown(chunk));
        };
        self.admit(u64::from(row.raw))?;
        self.settle_copy(false).await?;
        if self.unknown.is_some() {
            return Ok(());
        }
        // Read, because the row does not say whether a cut would fall here in this content.
        self.referred += u64::from(row.raw);
        self.refuse_scattered()?;
        let bytes = read_chunk(Arc::clone(&self.store), Arc::clone(&self.keys), row).await?;
        self.push(bytes).await
    }

    /// The next `raw_len` bytes come out of a zstd frame that has a part of the base as its prefix.
    pub async fn patch(
        &mut self,
        base_offset: u64,
        base_len: u32,
        raw_len: u32,
        packed: Bytes,
    ) -> Result<()> {
        self.count()?;
        if base_len > PATCH_BASE_MAX || raw_len > PATCH_RAW_MAX {
            return Err(RebuildError::PatchTooLarge);
        }
        let range = self.range_of_base(base_offset, u64::from(base_len))?;
        self.admit(u64::from(raw_len))?;
        self.settle_copy(false).await?;
        let (Some(base), None) = (&mut self.base, self.unknown) else {
            return Ok(());
        };
        let _patching = PATCHING.acquire().await.map_err(|_closed| Error::Closing)?;
        let prefix = base.bytes(range).await?;
        self.refuse_scattered()?;
        let raw_len = raw_len as usize;
        let raw = blocking(move || Ok(patch::decode(&prefix, &packed, raw_len))).await??;
        self.push(raw.into()).await
    }

    /// Makes everything durable. The caller holds the root against the one that was stated.
    pub async fn finish(mut self) -> Result<Staged> {
        if let Some(unknown) = self.unknown {
            return Err(RebuildError::Unknown(unknown));
        }
        if self.written < self.size {
            let (written, size) = (self.written, self.size);
            return Err(RebuildError::TooShort { written, size });
        }
        self.settle_copy(true).await?;
        if self.upload.written() != self.size {
            // An operation failed or was given up half way, and the caller went on.
            return Err(Error::Corrupt("a part of a rebuilt content is missing").into());
        }
        let staged = self.upload.finish().await?;
        Ok(staged.ok_or(Error::Corrupt("a checksum that nobody stated"))?)
    }

    /// Counts an operation.
    fn count(&mut self) -> Result<()> {
        let limit = OPERATIONS_MIN + self.size / OPERATION_BYTES;
        self.operations += 1;
        self.in_literal = false;
        if self.operations > limit {
            return Err(RebuildError::TooMany { limit });
        }
        Ok(())
    }

    /// Counts bytes before they are taken.
    fn admit(&mut self, bytes: u64) -> Result<()> {
        let written = self.written.checked_add(bytes);
        match written.filter(|written| *written <= self.size) {
            Some(written) => self.written = written,
            None => return Err(RebuildError::TooLong { size: self.size }),
        }
        Ok(())
    }

    fn range_of_base(&self, offset: u64, len: u64) -> Result<Range<u64>> {
        let base = self.base.as_ref().ok_or(RebuildError::NoBase)?;
        match offset.checked_add(len) {
            Some(end) if end <= base.size() => Ok(offset..end),
            Some(_) | None => Err(RebuildError::OutsideBase),
        }
    }

    fn refuse_scattered(&self) -> Result<()> {
        let read = self.referred + self.base.as_ref().map_or(0, Base::read);
        if read > READ_MIN.saturating_add(self.size.saturating_mul(READ_TIMES)) {
            return Err(RebuildError::TooScattered);
        }
        Ok(())
    }

    async fn push(&mut self, bytes: Bytes) -> Result<()> {
        if self.unknown.is_none() {
            self.upload.push(bytes).await?;
        }
        Ok(())
    }

    /// Does the copy that was put off. `last` says that nothing follows it.
    async fn settle_copy(&mut self, last: bool) -> Result<()> {
        let mut left = std::mem::take(&mut self.copying);
        let Some(mut base) = self.base.take() else {
            return Ok(());
        };
        if self.unknown.is_some() {
            left = 0..0;
        }
        let mut done = Ok(());
        while !left.is_empty() && done.is_ok() {
            done = self.copy_chunk(&mut base, &mut left, last).await;
        }
        self.base = Some(base);
        done?;
        self.refuse_scattered()
    }

    /// Copies up to the end of a chunk of the base, unread if that can be.
    async fn copy_chunk(
        &mut self,
        base: &mut Base,
        left: &mut Range<u64>,
        last: bool,
    ) -> Result<()> {
        if let Some(chunk) = self.reusable(base, left, last).await? {
            if self.upload.at_cut() {
                self.upload.push_known(&chunk).await?;
                left.start += u64::from(chunk.raw);
                return Ok(());
            }
            // Whether the new content is cut here as well is decided by the bytes that follow.
            let ahead = base.piece(left.start).await?;
            let ahead = ahead.within(&(left.start..left.end.min(left.start + LOOK_AHEAD)));
            let length = ahead.len();
            self.upload.push(ahead).await?;
            if self.upload.cut().await? == length {
                self.upload.take_back(length);
            } else {
                left.start += length as u64;
            }
            return Ok(());
        }
        let piece = base.piece(left.start).await?;
        self.upload.push(piece.within(left)).await?;
        left.start = piece.end().min(left.end);
        Ok(())
    }

    /// The chunk of the base that begins where the copy does, if it would be one of the new content
    /// in case that is cut here.
    async fn reusable(
        &self,
        base: &mut Base,
        left: &Range<u64>,
        last: bool,
    ) -> Result<Option<Located>> {
        if base.class() != Some(self.class) || self.size <= INLINE_MAX as u64 {
            return Ok(None);
        }
        let Some(chunk) = base.chunk_at(left.start).await? else {
            return Ok(None);
        };
        if chunk.damaged {
            return Ok(None);
        }
        let (end, longest) = (left.start + u64::from(chunk.raw), self.class.max() as u64);
        // The last one may be short; any other of such a length was cut by other rules.
        let possible = (chunk.raw as usize >= self.class.min() || end == base.size())
            && u64::from(chunk.raw) <= longest;
        let ends_alike = end + LOOK_AHEAD <= left.end
            || (end <= left.end && u64::from(chunk.raw) == longest)
            || (end == left.end && last);
        Ok((possible && ends_alike).then_some(chunk))
    }
}
