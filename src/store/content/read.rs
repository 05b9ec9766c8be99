//! Giving the bytes of one content back.

use std::ops::Range;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use tokio_util::task::AbortOnDropHandle;

use super::StagedBody;
use super::places::{Places, Span};
use crate::crypto::{Blinded, SpaceKeys};
use crate::store::meta::chunks::{self, Located};
use crate::store::meta::contents::{self, Content};
use crate::store::{Error, Pin, Result, Store};
use crate::types::ContentId;

/// A seekable, decrypting reader of one content. Holds two chunks at most.
pub struct Reader {
    size: u64,
    position: u64,
    body: Body,
}

enum Body {
    Inline(Bytes),
    Chunks(Box<Chunks>),
}

struct Chunks {
    /// Keeps the rows, also when nothing names the content any more.
    _pin: Arc<Pin>,
    store: Arc<Store>,
    keys: Arc<SpaceKeys>,
    places: Places,
    current: Option<Chunk>,
    /// The chunk behind the current one, being read.
    ahead: Option<(Span, AbortOnDropHandle<Result<Bytes>>)>,
}

struct Chunk {
    start: u64,
    bytes: Bytes,
}

impl Chunk {
    fn end(&self) -> u64 {
        self.start + self.bytes.len() as u64
    }
}

impl Reader {
    /// Opens a content by its row.
    pub async fn open(store: &Arc<Store>, content: ContentId) -> Result<Self> {
        let row = contents::load(&mut *store.meta.read().await?, content).await?;
        Self::over(store, row).await
    }

    /// A reader of a content that may not have a row.
    pub(super) async fn over(store: &Arc<Store>, row: Content) -> Result<Self> {
        let keys = store.keys.of(&store.meta, row.space).await?;
        let body = match row.body {
            StagedBody::Inline(sealed) => {
                Body::Inline(open_inline(&keys, row.root, row.size, &sealed)?)
            }
            StagedBody::Chunks(manifest) => {
                let places = Places::new(row.space, row.size, manifest);
                let (_pin, store) = (store.pin().await?, Arc::clone(store));
                Body::Chunks(Box::new(Chunks {
                    _pin,
                    store,
                    keys,
                    places,
                    current: None,
                    ahead: None,
                }))
            }
        };
        Ok(Self {
            size: row.size,
            position: 0,
            body,
        })
    }

    /// Bytes of the whole content.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Moves to a byte position; past the end reads nothing.
    pub fn seek(&mut self, position: u64) {
        self.position = position;
    }

    /// Where the next read starts.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Lets go of the chunks held in memory; the next read gets them again.
    pub fn release(&mut self) {
        if let Body::Chunks(chunks) = &mut self.body {
            (chunks.current, chunks.ahead) = (None, None);
        }
    }

    /// All bytes of a range, which must be small enough for memory; an error when it reaches beyond
    /// the end of the content.
    pub async fn read_range(&mut self, range: Range<u64>) -> Result<Bytes> {
        let len = usize::try_from(range.end.saturating_sub(range.start))
            .map_err(|_huge| Error::Corrupt("a range larger than memory"))?;
        if len == 0 {
            return Ok(Bytes::new());
        }
        self.seek(range.start);
        let first = self.read(len).await?;
        if first.len() == len {
            return Ok(first);
        }
        let mut all = BytesMut::with_capacity(len);
        let mut part = first;
        while !part.is_empty() {
            all.extend_from_slice(&part);
            if all.len() == len {
                return Ok(all.freeze());
            }
            part = self.read(len - all.len()).await?;
        }
        Err(Error::Corrupt("a range beyond the end of its content"))
    }

    /// The next bytes, 1..=`max` of them; empty only at the end of the content.
    pub async fn read(&mut self, max: usize) -> Result<Bytes> {
        if self.position >= self.size {
            return Ok(Bytes::new());
        }
        let (start, bytes) = match &mut self.body {
            Body::Inline(bytes) => (0, &*bytes),
            Body::Chunks(chunks) => {
                let chunk = chunks.at(self.position, self.size).await?;
                (chunk.start, &chunk.bytes)
            }
        };
        let from = usize::try_from(self.position - start)
            .map_err(|_beyond| Error::Corrupt("a position outside of its chunk"))?;
        let part = bytes.slice(from..bytes.len().min(from.saturating_add(max.max(1))));
        self.position += part.len() as u64;
        Ok(part)
    }
}

/// The bytes of a content that lies in its row.
pub(super) fn open_inline(
    keys: &SpaceKeys,
    root: Blinded,
    size: u64,
    sealed: &[u8],
) -> Result<Bytes> {
    let bytes = keys.open_inline(root, sealed)?;
    if bytes.len() as u64 != size {
        return Err(Error::Corrupt(
            "a content has another size than its row says",
        ));
    }
    Ok(bytes.into())
}

impl Chunks {
    /// The chunk that holds `position`.
    async fn at(&mut self, position: u64, size: u64) -> Result<&Chunk> {
        let holds = |chunk: &Chunk| (chunk.start..chunk.end()).contains(&position);
        let again = self.current.as_ref().is_some_and(holds);
        // Whoever reads on within a chunk will want the next; a small range ends with its first read.
        let mut reads_on = again;
        if !again {
            let (chunk, was_ahead) = self.fetch(position).await?;
            self.current = Some(chunk);
            reads_on = was_ahead;
        }
        let current = self
            .current
            .as_ref()
            .ok_or(Error::Corrupt("no current chunk"))?;
        if reads_on && self.ahead.is_none() && current.end() < size {
            // What is wrong with the next chunk is told when it is asked for.
            if let Ok(next) = self.places.find(&self.store.meta, current.end()).await {
                let (store, keys) = (Arc::clone(&self.store), Arc::clone(&self.keys));
                let task = read_chunk(store, keys, next.chunk);
                self.ahead = Some((next, AbortOnDropHandle::new(tokio::spawn(task))));
            }
        }
        Ok(current)
    }

    /// The chunk that holds `position`, and whether it was read ahead.
    async fn fetch(&mut self, position: u64) -> Result<(Chunk, bool)> {
        if let Some((span, task)) = self.ahead.take()
            && (span.start..span.end()).contains(&position)
        {
            let bytes = task.await.map_err(|_stopped| Error::Closing)??;
            return Ok((
                Chunk {
                    start: span.start,
                    bytes,
                },
                true,
            ));
        }
        // One chunk less in memory while the other comes.
        let follows = self
            .current
            .take()
            .is_some_and(|chunk| chunk.end() == position);
        let span = self.places.find(&self.store.meta, position).await?;
        let (store, keys) = (Arc::clone(&self.store), Arc::clone(&self.keys));
        let bytes = read_chunk(store, keys, span.chunk).await?;
        Ok((
            Chunk {
                start: span.start,
                bytes,
            },
            follows,
        ))
    }
}

/// Reads a chunk and holds it against its row. One that was moved meanwhile is read where it is now.
pub(super) async fn read_chunk(
    store: Arc<Store>,
    keys: Arc<SpaceKeys>,
    mut chunk: Located,
) -> Result<Bytes> {
    let (id, bytes) = loop {
        match store.segments.read(&keys, chunk.place).await {
            Err(Error::Gone) => chunk = moved(&store, &keys, chunk).await?,
            read => break read?,
        }
    };
    if keys.blind(&id) != chunk.blinded {
        return Err(Error::Corrupt("another chunk lies where the row says"));
    }
    if bytes.len() != chunk.raw as usize {
        return Err(Error::Corrupt(
            "a chunk has another length than its row says",
        ));
    }
    Ok(bytes)
}

/// Where a chunk is whose segment is gone. Collection moves chunks before it takes a segment away.
async fn moved(store: &Store, keys: &SpaceKeys, chunk: Located) -> Result<Located> {
    let mut conn = store.meta.read().await?;
    let now = chunks::located(&mut conn, keys.space, chunk.row, 1).await?;
    let now = now
        .first()
        .filter(|now| now.place != chunk.place && now.blinded == chunk.blinded);
    now.copied().ok_or(Error::Gone)
}
