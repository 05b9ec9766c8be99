//! The content that another is built from: its chunks by their rows, its bytes only where needed.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use super::StagedBody;
use super::places::Places;
use super::read::{open_inline, read_chunk};
use crate::chunk::Class;
use crate::crypto::SpaceKeys;
use crate::store::meta::chunks::Located;
use crate::store::meta::contents;
use crate::store::shelf::Kept;
use crate::store::{Error, Result, Store};
use crate::types::ContentId;

/// Chunks left on the store's shelf: an edit asks for the one around it twice and for the one behind it.
const KEPT: usize = 2;

/// One content, opened to be copied from.
pub(super) struct Base {
    store: Arc<Store>,
    keys: Arc<SpaceKeys>,
    size: u64,
    class: Option<Class>,
    body: Body,
    kept: VecDeque<(Range<u64>, Kept)>,
    read: u64,
}

enum Body {
    Inline(Bytes),
    Chunks(Box<Places>),
}

/// Consecutive bytes of the base.
#[derive(Clone)]
pub(super) struct Piece {
    pub(super) start: u64,
    pub(super) bytes: Bytes,
}

impl Piece {
    /// The byte behind the last.
    pub(super) fn end(&self) -> u64 {
        self.start + self.bytes.len() as u64
    }

    /// Those of its bytes that lie in a range of the base.
    pub(super) fn within(&self, range: &Range<u64>) -> Bytes {
        let at = |position: u64| {
            let position = position.clamp(self.start, self.end());
            usize::try_from(position - self.start).unwrap_or(self.bytes.len())
        };
        self.bytes.slice(at(range.start)..at(range.end))
    }
}

impl Base {
    /// Opens a content of the space of these keys; `None` when it is another's.
    pub(super) async fn open(
        store: &Arc<Store>,
        keys: &Arc<SpaceKeys>,
        content: ContentId,
    ) -> Result<Option<Self>> {
        let row = contents::load(&mut *store.meta.read().await?, content).await?;
        if row.space != keys.space {
            return Ok(None);
        }
        let body = match row.body {
            StagedBody::Inline(sealed) => {
                Body::Inline(open_inline(keys, row.root, row.size, &sealed)?)
            }
            StagedBody::Chunks(manifest) => {
                Body::Chunks(Box::new(Places::new(row.space, row.size, manifest)))
            }
        };
        Ok(Some(Self {
            store: Arc::clone(store),
            keys: Arc::clone(keys),
            size: row.size,
            class: row.class_known.then_some(row.class),
            body,
            kept: VecDeque::new(),
            read: 0,
        }))
    }

    /// Bytes of the whole content.
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// How it is cut, if that is known.
    pub(super) fn class(&self) -> Option<Class> {
        self.class
    }

    /// Bytes of chunks read so far.
    pub(super) fn read(&self) -> u64 {
        self.read
    }

    /// The chunk that begins at a position, if one does.
    pub(super) async fn chunk_at(&mut self, position: u64) -> Result<Option<Located>> {
        let Body::Chunks(places) = &mut self.body else {
            return Ok(None);
        };
        if position >= self.size {
            return Ok(None);
        }
        let span = places.find(&self.store.meta, position).await?;
        Ok((span.start == position).then_some(span.chunk))
    }

    /// The bytes of the chunk that holds a position (less than the size).
    pub(super) async fn piece(&mut self, position: u64) -> Result<Piece> {
        let places = match &mut self.body {
            Body::Inline(bytes) => {
                return Ok(Piece {
                    start: 0,
                    bytes: bytes.clone(),
                });
            }
            Body::Chunks(places) => places,
        };
        let holds = |(range, _): &&mut (Range<u64>, Kept)| range.contains(&position);
        let known = self.kept.iter_mut().find(holds);
        let again = known.is_some();
        if let Some((range, kept)) = known
            && let Some(bytes) = kept.get()
        {
            let start = range.start;
            return Ok(Piece { start, bytes });
        }
        let span = places.find(&self.store.meta, position).await?;
        if again {
            self.kept.retain(|(range, _)| !range.contains(&position));
        }
        self.kept.truncate(KEPT - 1);
        let (store, keys) = (Arc::clone(&self.store), Arc::clone(&self.keys));
        let bytes = read_chunk(store, keys, span.chunk).await?;
        // That it was taken from the shelf is not the fault of the operations.
        if !again {
            self.read += bytes.len() as u64;
        }
        let kept = self.store.shelf.put(bytes.clone());
        self.kept.push_front((span.start..span.end(), kept));
        let start = span.start;
        Ok(Piece { start, bytes })
    }

    /// The bytes of a range, which must lie in the content.
    pub(super) async fn bytes(&mut self, range: Range<u64>) -> Result<Bytes> {
        let length = usize::try_from(range.end - range.start)
            .map_err(|_huge| Error::Corrupt("a range beyond memory"))?;
        let mut all = BytesMut::with_capacity(length);
        let mut at = range.start;
        while at < range.end {
            let piece = self.piece(at).await?;
            all.extend_from_slice(&piece.within(&(at..range.end)));
            at = piece.end();
        }
        Ok(all.freeze())
    }
}
