//! stub

use std::sync::Arc;

use bytes::Bytes;

use crate::store::{Result, Store};
use crate::types::ContentId;

/// A seekable, decrypting reader of one content. Holds a few chunks at most.
pub struct Reader(());

impl Reader {
    /// Opens a content by its row.
    pub async fn open(_store: &Arc<Store>, _content: ContentId) -> Result<Self> {
        todo!()
    }
    /// Bytes of the whole content.
    pub fn size(&self) -> u64 {
        todo!()
    }
    /// Moves to a byte position; past the end reads nothing.
    pub fn seek(&mut self, _position: u64) {
        todo!()
    }
    /// Where the next read starts.
    pub fn position(&self) -> u64 {
        todo!()
    }
    /// The next bytes, 1..=`max` of them; empty only at the end of the content.
    pub async fn read(&mut self, _max: usize) -> Result<Bytes> {
        todo!()
    }
}
