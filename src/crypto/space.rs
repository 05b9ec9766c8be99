//! stub

use super::Error;
use crate::types::SpaceId;

/// The random root key of one space.
pub struct SpaceKey(#[expect(dead_code, reason = "stub")] [u8; 32]);
/// BLAKE3 of a chunk's plaintext, keyed per space. Never stored in clear.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ChunkId(pub [u8; 32]);
/// What the database keeps in place of a chunk id or content root: a keyed one-way image of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Blinded(pub [u8; 16]);
/// Random name of a segment file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SegmentId(pub [u8; 16]);
/// The key of one segment.
pub struct RecordKey(#[expect(dead_code, reason = "stub")] ());
/// Everything derived from a space key.
pub struct SpaceKeys {
    /// The space.
    pub space: SpaceId,
}

impl SpaceKey {
    /// A fresh random key.
    pub fn generate() -> Result<Self, Error> {
        todo!()
    }
}

impl SegmentId {
    /// A fresh random id.
    pub fn generate() -> Result<Self, Error> {
        todo!()
    }
}

impl SpaceKeys {
    /// Derives all keys of `space`.
    pub fn derive(_space: SpaceId, _key: &SpaceKey) -> Self {
        todo!()
    }
    /// The id of a chunk.
    pub fn chunk_id(&self, _plain: &[u8]) -> ChunkId {
        todo!()
    }
    /// The database's stand-in for an id.
    pub fn blind(&self, _id: &ChunkId) -> Blinded {
        todo!()
    }
    /// The database's stand-in for a whole content: over its ordered (id, length) list.
    pub fn root(&self, _chunks: &[(ChunkId, u32)]) -> Blinded {
        todo!()
    }
    /// Seed of the content-defined cutter, secret so that chunk lengths reveal nothing.
    pub fn gear_seed(&self) -> u64 {
        todo!()
    }
    /// The key of one segment.
    pub fn record_key(&self, _segment: SegmentId) -> RecordKey {
        todo!()
    }
    /// Seals a small object for its database row; salted, so no nonce can repeat.
    pub fn seal_inline(&self, _root: Blinded, _plain: &[u8]) -> Result<Vec<u8>, Error> {
        todo!()
    }
    /// Opens what [`Self::seal_inline`] made.
    pub fn open_inline(&self, _root: Blinded, _sealed: &[u8]) -> Result<Vec<u8>, Error> {
        todo!()
    }
}
