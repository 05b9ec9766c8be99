//! The ordered list of a content's chunks: what a manifest is outside of the database.

use std::sync::Arc;

use super::StagedBody;
use crate::chunk::Manifest;
use crate::chunk::plan::Listed;
use crate::store::meta::{chunks, contents};
use crate::store::{Error, Pin, Result, Store};
use crate::types::{ChunkRow, ContentId, SpaceId};

/// Chunks of a batch: 20 KiB of them.
const BATCH: u32 = 1024;

/// The chunks of one content, to be taken in batches.
pub struct ContentChunks {
    store: Arc<Store>,
    space: SpaceId,
    size: u64,
    count: u64,
    left: Left,
}

/// What was not given yet.
enum Left {
    /// The bytes lie in the row: one chunk, or none when there are no bytes.
    Inline(Option<Listed>),
    Rows {
        /// Keeps them.
        _pin: Option<Arc<Pin>>,
        manifest: Manifest,
        run: usize,
        /// Rows of the run that were given.
        in_run: u32,
    },
}

impl ContentChunks {
    /// Opens the list of a content by its row.
    pub async fn open(store: &Arc<Store>, content: ContentId) -> Result<Self> {
        let row = contents::load(&mut *store.meta.read().await?, content).await?;
        let (count, left) = match row.body {
            StagedBody::Inline(sealed) => {
                let keys = store.keys.of(&store.meta, row.space).await?;
                let bytes = keys.open_inline(row.root, &sealed)?;
                let len = u32::try_from(bytes.len())
                    .map_err(|_huge| Error::Corrupt("an inline content's size"))?;
                let chunk = (len > 0).then(|| (keys.blind(&keys.chunk_id(&bytes)), len));
                (u64::from(chunk.is_some()), Left::Inline(chunk))
            }
            StagedBody::Chunks(manifest) => {
                let count = manifest.runs().iter().map(|(_, rows)| u64::from(*rows));
                let count = count.sum();
                let (run, in_run) = (0, 0);
                let left = Left::Rows {
                    _pin: store.pin_to_read().await?,
                    manifest,
                    run,
                    in_run,
                };
                (count, left)
            }
        };
        Ok(Self {
            store: Arc::clone(store),
            space: row.space,
            size: row.size,
            count,
            left,
        })
    }

    /// The space of the content.
    pub fn space(&self) -> SpaceId {
        self.space
    }

    /// Bytes of the content.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Chunks of the content.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The next chunks, up to 1024; none only at the end.
    pub async fn next_batch(&mut self) -> Result<Vec<Listed>> {
        let (manifest, run, in_run) = match &mut self.left {
            Left::Inline(chunk) => return Ok(chunk.take().into_iter().collect()),
            Left::Rows {
                manifest,
                run,
                in_run,
                ..
            } => (manifest, run, in_run),
        };
        let mut batch = Vec::new();
        let mut room = BATCH;
        let mut conn = self.store.meta.read().await?;
        while let Some((first, rows)) = manifest.runs().get(*run)
            && room > 0
        {
            let first = ChunkRow(first.0 + i64::from(*in_run));
            let take = room.min(rows - *in_run);
            batch.extend(chunks::listed(&mut conn, self.space, first, take).await?);
            room -= take;
            *in_run += take;
            if *in_run == *rows {
                (*run, *in_run) = (*run + 1, 0);
            }
        }
        Ok(batch)
    }
}
