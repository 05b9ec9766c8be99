//! stub: append-only sealed segment files.

use std::path::Path;

use bytes::Bytes;

use super::Result;
use crate::crypto::{ChunkId, SegmentId, SpaceKeys};

/// One chunk on its way into a segment.
pub struct Piece {
    /// Its id.
    pub id: ChunkId,
    /// Its plaintext, at most 2 MiB.
    pub plain: Bytes,
}

/// Where a sealed record lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The segment.
    pub segment: SegmentId,
    /// Byte offset of the record in it.
    pub offset: u64,
    /// Bytes of the whole record on disk.
    pub stored: u32,
}

/// The segment files of a data folder.
pub struct Segments(());

impl Segments {
    /// Opens the folder; never appends to segments that are already there.
    pub async fn open(_folder: &Path) -> Result<Self> {
        Ok(Self(()))
    }
    /// Compresses, seals and appends; **not yet durable**, see [`Self::sync`].
    pub async fn append(
        &self,
        _keys: &std::sync::Arc<SpaceKeys>,
        _pieces: Vec<Piece>,
    ) -> Result<Vec<Place>> {
        todo!()
    }
    /// Returns once everything up to these places is on the disk; concurrent callers share one fdatasync.
    pub async fn sync(&self, _places: &[Place]) -> Result<()> {
        todo!()
    }
    /// Reads, verifies and decompresses one record.
    pub async fn read(
        &self,
        _keys: &std::sync::Arc<SpaceKeys>,
        _place: Place,
    ) -> Result<(ChunkId, Bytes)> {
        todo!()
    }
}
