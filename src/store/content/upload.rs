//! stub

use std::sync::Arc;

use bytes::Bytes;

use super::Checksum;
use crate::chunk::Manifest;
use crate::crypto::Blinded;
use crate::store::{Result, Store};
use crate::types::SpaceId;

/// A content whose bytes are safe and which no row names yet.
pub struct Staged {
    /// The space whose keys sealed it.
    pub space: SpaceId,
    /// Stand-in for the whole content.
    pub root: Blinded,
    /// Bytes.
    pub size: u64,
    /// Where the bytes are.
    pub body: StagedBody,
    /// The verified checksum, when the client stated one.
    pub checksum: Option<Checksum>,
}

/// The two places a content's bytes can be.
pub enum StagedBody {
    /// Sealed, to be put into the row itself.
    Inline(Vec<u8>),
    /// Durable chunks.
    Chunks(Manifest),
}

/// An upload in progress.
pub struct Upload(());

impl Upload {
    /// Starts an upload into `space`. `expected` (bytes) picks the chunk class; it is not enforced here.
    pub async fn start(
        _store: &Arc<Store>,
        _space: SpaceId,
        _expected: Option<u64>,
        _checksum: Option<Checksum>,
    ) -> Result<Self> {
        todo!()
    }
    /// Bytes pushed so far.
    pub fn written(&self) -> u64 {
        todo!()
    }
    /// Takes the next bytes; waits while earlier ones are being stored.
    pub async fn push(&mut self, _bytes: Bytes) -> Result<()> {
        todo!()
    }
    /// Makes everything durable. `Ok(None)` when the stated checksum does not match (nothing is kept).
    pub async fn finish(self) -> Result<Option<Staged>> {
        todo!()
    }
}
