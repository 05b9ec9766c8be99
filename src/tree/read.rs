//! Reading a file.

use std::sync::Arc;

use super::model::Node;
use super::{Error, Result, Tree};
use crate::store::content::Reader;
use crate::store::{self, Store};
use crate::types::ContentId;

impl Tree {
    /// A reader of a file's current bytes.
    pub async fn read(&self, node: &Node) -> Result<Reader> {
        let content = node.content.ok_or(Error::IsACollection)?;
        open(&self.store, content, node.size).await
    }
}

/// A reader of the bytes that a row names, if they are as many as it says.
pub(super) async fn open(store: &Arc<Store>, content: ContentId, size: u64) -> Result<Reader> {
    let reader = Reader::open(store, content).await?;
    if reader.size() != size {
        return Err(store::Error::Corrupt("a file has another size than its content").into());
    }
    Ok(reader)
}
