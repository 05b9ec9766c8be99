//! How full a space is (RFC 4331).

use super::locate::root_of;
use super::model::{Node, Usage};
use super::{Error, Result, Tree, row};
use crate::store::meta::nodes;

impl Tree {
    /// Bytes used and free in the space of a node.
    pub async fn usage(&self, node: &Node) -> Result<Usage> {
        let mut conn = self.store.meta.read().await?;
        let root = nodes::by_id(&mut conn, root_of(node.space))
            .await?
            .ok_or(Error::NotFound)?;
        let quota = self.space(&mut conn, node.space).await?.quota;
        let used = row::bytes(root.tree_size);
        let available = quota.map(|quota| row::bytes(quota).saturating_sub(used));
        Ok(Usage { used, available })
    }
}
