//! Reading a file.

use super::model::Node;
use super::{Error, Result, Tree};
use crate::store::content::Reader;

impl Tree {
    /// A reader of a file's current bytes.
    pub async fn read(&self, node: &Node) -> Result<Reader> {
        let content = node.content.ok_or(Error::IsACollection)?;
        Ok(Reader::open(&self.store, content).await?)
    }
}
