//! The way from one content to another, for whoever has the first. Chunks that both have are told by
//! their rows; no byte of them is read.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::{ContentChunks, Reader};
use crate::chunk::delta::{Differ, Operation, Want};
use crate::chunk::plan::{Base, Plan, Planner};
use crate::store::blob::blocking;
use crate::store::shares::Held;
use crate::store::{Error, Result, Store};
use crate::types::ContentId;

/// Most chunks of either content: 4 MiB of memory to plan with, 5 MiB for the longest plan. Contents of
/// 10 GB in small chunks and 80 GB in large ones have as many.
pub const DIFF_CHUNKS_MAX: u64 = 128 * 1024;
/// Memory, in KiB, of all diffs together while their readers take their time.
pub const DIFF_SHARES: usize = 64 * 1024;
/// What a diff holds in KiB, or whoever sends its operations: the longest of these and the planner's rest.
const HELD: u32 = 1280;
/// What it may hold for each chunk: a step of the plan, in bytes.
const HELD_CHUNK: u64 = 40;
/// Diffs and signatures that read and compute at the same time, each with up to 12 MiB besides.
const TURNS: usize = 3;

static TURN: Semaphore = Semaphore::const_new(TURNS);

/// Why there is no diff.
#[derive(Debug, thiserror::Error)]
pub enum DiffError {
    /// One of the contents has more chunks than [`DIFF_CHUNKS_MAX`]. It can be downloaded.
    #[error("{chunks} chunks are too many to compare")]
    TooLarge {
        /// Chunks of the larger content.
        chunks: u64,
    },
    /// The contents are of different spaces, whose chunks have nothing in common.
    #[error("the contents are of different spaces")]
    OtherSpace,
    /// The store.
    #[error(transparent)]
    Store(#[from] Error),
}

/// The operations that make one content from another, found as they are asked for.
pub struct Diff {
    /// Gone when a call was given up half way or has failed.
    differ: Option<Differ>,
    new: Reader,
    base: Option<Reader>,
    _held: Held,
}

impl Diff {
    /// Plans the way to `to`, from nothing when `from` is `None`. Waits while too many others are open.
    pub async fn open(
        store: &Arc<Store>,
        from: Option<ContentId>,
        to: ContentId,
    ) -> Result<Self, DiffError> {
        let new = ContentChunks::open(store, to).await?;
        let base = match from {
            Some(from) => Some(ContentChunks::open(store, from).await?),
            None => None,
        };
        if base
            .as_ref()
            .is_some_and(|base| base.space() != new.space())
        {
            return Err(DiffError::OtherSpace);
        }
        let chunks = base
            .as_ref()
            .map_or(0, ContentChunks::count)
            .max(new.count());
        if chunks > DIFF_CHUNKS_MAX {
            return Err(DiffError::TooLarge { chunks });
        }
        let held = held(chunks);
        let held = store.comparing.take(new.space(), held).await?;
        Ok(Self {
            differ: Some(Differ::new(plan(base, new).await?)),
            new: Reader::open(store, to).await?,
            base: match from {
                Some(from) => Some(Reader::open(store, from).await?),
                None => None,
            },
            _held: held,
        })
    }

    /// The next operation; `None` at the end. After an error, or when the call was given up half way,
    /// there is no more.
    pub async fn next(&mut self) -> Result<Option<Operation>> {
        let mut differ = self.differ.take().ok_or_else(torn)?;
        let mut my_turn = None;
        let operation = loop {
            match differ.next_want() {
                Want::Operation(operation) => break Some(operation),
                Want::End => break None,
                Want::Bytes { new, base, packs } => {
                    if my_turn.is_none() {
                        my_turn = Some(turn().await?);
                    }
                    let base = self.read_base(base, packs).await?;
                    let new = self.new.read_range(new).await?;
                    differ = give(differ, new, base, packs).await?;
                }
            }
        };
        if let Some(base) = &mut self.base {
            base.release();
        }
        self.differ = Some(differ);
        Ok(operation)
    }

    async fn read_base(&mut self, range: Range<u64>, packs: bool) -> Result<Bytes> {
        let Some(base) = &mut self.base else {
            return Ok(Bytes::new());
        };
        let bytes = base.read_range(range).await?;
        // Room for the new content's part and for what zstd needs.
        if packs {
            base.release();
        }
        Ok(bytes)
    }
}

/// Waits until no more than a few others read and compute. The permit must not outlive the call in
/// which it was got: the reader of the answer may be slow.
pub(super) async fn turn() -> Result<SemaphorePermit<'static>> {
    TURN.acquire().await.map_err(|_closed| Error::Closing)
}

fn held(chunks: u64) -> u32 {
    let steps = (chunks * HELD_CHUNK).div_ceil(1024);
    HELD + u32::try_from(steps).expect("there are few chunks")
}

async fn plan(base: Option<ContentChunks>, mut new: ContentChunks) -> Result<Plan> {
    let _turn = turn().await?;
    let mut listed = Vec::new();
    if let Some(mut base) = base {
        listed.reserve_exact(usize::try_from(base.count()).expect("there are few chunks"));
        loop {
            let batch = base.next_batch().await?;
            if batch.is_empty() {
                break;
            }
            listed.extend(batch);
        }
    }
    let mut planner = blocking(move || Ok(Planner::new(Base::new(listed)))).await?;
    loop {
        let batch = new.next_batch().await?;
        if batch.is_empty() {
            return Ok(planner.finish());
        }
        for chunk in batch {
            planner.push(chunk);
        }
    }
}

async fn give(mut differ: Differ, new: Bytes, base: Bytes, packs: bool) -> Result<Differ> {
    if packs {
        return blocking(move || {
            differ.give(&new, &base);
            Ok(differ)
        })
        .await;
    }
    differ.give(&new, &base);
    Ok(differ)
}

fn torn() -> Error {
    Error::io("comparing contents")(std::io::Error::other("an earlier part was given up"))
}
