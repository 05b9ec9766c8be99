//! Giving the bytes of one content back.

use std::ops::Range;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use tokio_util::task::AbortOnDropHandle;

use super::StagedBody;
use super::places::{Places, Span};
use super::sound;
use crate::crypto::{Blinded, SpaceKeys};
use crate::store::meta::chunks::{self, Located};
use crate::store::meta::contents::{self, Content};
use crate::store::shelf::Kept;
use crate::store::{Error, Pin, Result, Store, damage};
use crate::types::ContentId;

/// A seekable, decrypting reader of one content. Leaves two chunks on the store's shelf at most, and
/// holds none itself.
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
    _pin: Option<Arc<Pin>>,
    store: Arc<Store>,
    keys: Arc<SpaceKeys>,
    places: Places,
    /// The chunk read last: which bytes of the content it is.
    last: Range<u64>,
    /// That chunk, while some of it was not read.
    current: Option<Kept>,
    /// The chunk behind it, being read.
    ahead: Option<(Span, AbortOnDropHandle<Result<Kept>>)>,
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
        let pin = match &row.body {
            StagedBody::Inline(_) => None,
            StagedBody::Chunks(_) => store.pin_to_read().await?,
        };
        sound::prove(store, &keys, &row).await?;
        let body = match row.body {
            StagedBody::Inline(sealed) => {
                Body::Inline(open_inline(&keys, row.root, row.size, &sealed)?)
            }
            StagedBody::Chunks(manifest) => {
                let places = Places::new(row.space, row.size, manifest);
                Body::Chunks(Box::new(Chunks {
                    _pin: pin,
                    store: Arc::clone(store),
                    keys,
                    places,
                    last: 0..0,
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

    /// Lets go of the chunks on the shelf; the next read gets them again.
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
        let first = self.piece(len).await?;
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
            part = self.piece(len - all.len()).await?;
        }
        Err(Error::Corrupt("a range beyond the end of its content"))
    }

    /// The next bytes, 1..=`max` of them; empty only at the end of the content.
    pub async fn read(&mut self, max: usize) -> Result<Bytes> {
        let piece = self.piece(max).await?;
        // A piece waits in the buffers of a slow client, where it must not keep a whole chunk alive.
        Ok(match &self.body {
            Body::Chunks(chunks) if !chunks.is_whole(&piece) => Bytes::copy_from_slice(&piece),
            Body::Chunks(_) | Body::Inline(_) => piece,
        })
    }

    /// The next bytes, as a part of their chunk.
    async fn piece(&mut self, max: usize) -> Result<Bytes> {
        if self.position >= self.size {
            return Ok(Bytes::new());
        }
        let part = match &mut self.body {
            Body::Inline(bytes) => part_of(bytes, 0, self.position, max)?,
            Body::Chunks(chunks) => chunks.part(self.position, self.size, max).await?,
        };
        self.position += part.len() as u64;
        Ok(part)
    }
}

/// At most `max` bytes of a chunk that begins at `start`.
fn part_of(chunk: &Bytes, start: u64, position: u64, max: usize) -> Result<Bytes> {
    let from = usize::try_from(position - start)
        .map_err(|_beyond| Error::Corrupt("a position outside of its chunk"))?;
    Ok(chunk.slice(from..chunk.len().min(from.saturating_add(max.max(1)))))
}

/// The bytes of a content that lies in its row.
pub fn open_inline(keys: &SpaceKeys, root: Blinded, size: u64, sealed: &[u8]) -> Result<Bytes> {
    let bytes = keys.open_inline(root, sealed)?;
    if bytes.len() as u64 != size {
        return Err(Error::Corrupt(
            "a content has another size than its row says",
        ));
    }
    Ok(bytes.into())
}

impl Chunks {
    /// Bytes from `position` on; what is left of their chunk goes to the shelf.
    async fn part(&mut self, position: u64, size: u64, max: usize) -> Result<Bytes> {
        let chunk = self.at(position, size).await?;
        let part = part_of(&chunk, self.last.start, position, max)?;
        if position + part.len() as u64 == self.last.end {
            self.current = None;
        } else if self.current.is_none() {
            self.current = Some(self.store.shelf.put(chunk));
        }
        Ok(part)
    }

    /// Whether this is all of the chunk read last.
    fn is_whole(&self, piece: &Bytes) -> bool {
        piece.len() as u64 == self.last.end - self.last.start
    }

    /// The chunk that holds `position`.
    async fn at(&mut self, position: u64, size: u64) -> Result<Bytes> {
        let again = self.last.contains(&position);
        // Whoever reads on within a chunk will want the next; a small range ends with its first read.
        let reads_on = again || (self.last.end == position && position > 0);
        let kept = self.current.as_mut().filter(|_| again);
        let chunk = match kept.and_then(Kept::get) {
            Some(chunk) => chunk,
            None => self.fetch(position).await?,
        };
        if reads_on && self.ahead.is_none() && self.last.end < size {
            self.read_ahead().await;
        }
        Ok(chunk)
    }

    /// Begins to read the chunk behind the last one, when there is room to wait for it.
    async fn read_ahead(&mut self) {
        if self.store.shelf.is_crowded() {
            return;
        }
        // What is wrong with the next chunk is told when it is asked for.
        let Ok(next) = self.places.find(&self.store.meta, self.last.end).await else {
            return;
        };
        let (store, keys) = (Arc::clone(&self.store), Arc::clone(&self.keys));
        let task = async move {
            let chunk = read_chunk(Arc::clone(&store), keys, next.chunk).await?;
            Ok(store.shelf.put(chunk))
        };
        self.ahead = Some((next, AbortOnDropHandle::new(tokio::spawn(task))));
    }

    /// The chunk that holds `position`, from wherever it is.
    async fn fetch(&mut self, position: u64) -> Result<Bytes> {
        // One chunk less in memory while the other comes.
        self.current = None;
        let holds = |(span, _): &mut (Span, _)| (span.start..span.end()).contains(&position);
        if let Some((span, task)) = self.ahead.take_if(holds) {
            let mut kept = task.await.map_err(|_stopped| Error::Closing)??;
            if let Some(chunk) = kept.get() {
                (self.last, self.current) = (span.start..span.end(), Some(kept));
                return Ok(chunk);
            }
        }
        let span = self.places.find(&self.store.meta, position).await?;
        let (store, keys) = (Arc::clone(&self.store), Arc::clone(&self.keys));
        let chunk = read_chunk(store, keys, span.chunk).await?;
        self.last = span.start..span.end();
        // What is read ahead is still wanted when only the chunk before it had to be read again.
        self.ahead.take_if(|(ahead, _)| ahead.start != span.end());
        Ok(chunk)
    }
}

/// Reads a chunk and holds it against its row. One that was moved or stored anew meanwhile is read
/// where it is now. What does not open is noted, so that it is offered to nobody who uploads.
pub(super) async fn read_chunk(
    store: Arc<Store>,
    keys: Arc<SpaceKeys>,
    mut chunk: Located,
) -> Result<Bytes> {
    loop {
        let error = match read_at(&store, &keys, &chunk).await {
            Err(error) if error.is_damage() => error,
            read => return read,
        };
        let Some(moved) = moved(&store, &keys, &chunk).await? else {
            damage::found(&store, keys.space, &chunk, &error).await;
            return Err(error);
        };
        chunk = moved;
    }
}

/// Whether the record of a chunk opens to what its row says; nothing is noted.
pub async fn check_chunk(store: &Store, keys: &Arc<SpaceKeys>, chunk: &Located) -> Result<()> {
    read_at(store, keys, chunk).await.map(drop)
}

async fn read_at(store: &Store, keys: &Arc<SpaceKeys>, chunk: &Located) -> Result<Bytes> {
    let (id, bytes) = store.segments.read(keys, chunk.place).await?;
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

/// Where a chunk is that does not open where it was, if that is elsewhere. Collection moves chunks
/// before it takes a segment away.
async fn moved(store: &Store, keys: &SpaceKeys, chunk: &Located) -> Result<Option<Located>> {
    let mut conn = store.meta.read().await?;
    let now = match chunks::located(&mut conn, keys.space, chunk.row, 1).await {
        Err(error) if error.is_damage() => return Ok(None),
        now => now?.into_iter().next(),
    };
    Ok(now.filter(|now| now.place != chunk.place && now.blinded == chunk.blinded))
}

#[cfg(test)]
mod tests {
    use super::super::tests::fixture;
    use super::*;
    use crate::store::blob::Place;
    use crate::store::meta::testing;
    use crate::types::ChunkRow;

    /// An error of the database would else count as damage of the chunk.
    #[tokio::test]
    async fn a_chunk_that_cannot_be_looked_for_is_not_believed_to_be_where_it_was() {
        let fixture = fixture().await;
        let (store, space) = (&fixture.store, fixture.space);
        let keys = store.keys.of(&store.meta, space).await.unwrap();
        let chunk = Located {
            row: ChunkRow(1),
            blinded: Blinded([0; 16]),
            place: Place {
                segment: crate::crypto::SegmentId([0; 16]),
                offset: 32,
                stored: 100,
            },
            raw: 10,
            damaged: false,
        };
        assert!(moved(store, &keys, &chunk).await.unwrap().is_none());
        let hide = "ALTER TABLE chunk RENAME TO hidden";
        let hidden: Result<u64> = store
            .meta
            .write(move |conn| Box::pin(async move { testing::execute(conn, hide, &[]).await }))
            .await;
        hidden.unwrap();

        let looked = moved(store, &keys, &chunk).await;

        assert!(matches!(looked, Err(Error::Database(_))), "{looked:?}");
    }
}
