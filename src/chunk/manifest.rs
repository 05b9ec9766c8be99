//! stub: a content's ordered chunk rows as runs.

use crate::types::ChunkRow;

/// The ordered chunks of one content, as runs of consecutive chunk rows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Manifest {
    runs: Vec<(ChunkRow, u32)>,
}

impl Manifest {
    /// Appends a chunk.
    pub fn push(&mut self, _row: ChunkRow) {
        todo!()
    }
    /// The runs: first row and number of rows.
    pub fn runs(&self) -> &[(ChunkRow, u32)] {
        &self.runs
    }
    /// Varint form for the database.
    pub fn encode(&self) -> Vec<u8> {
        todo!()
    }
    /// Reads [`Self::encode`]; `None` when malformed.
    pub fn decode(_bytes: &[u8]) -> Option<Self> {
        todo!()
    }
}
