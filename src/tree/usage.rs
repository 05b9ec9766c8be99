//! How full a space is (RFC 4331).

use super::locate::root_of;
use super::model::{Node, Usage};
use super::{Error, Result, Tree, row};
use crate::store::meta::{nodes, totals};
use crate::types::{NodeId, NodePath, SpaceId};

/// What one space holds.
#[derive(Clone, Debug)]
pub struct Held {
    /// The space.
    pub space: SpaceId,
    /// Where it is in the account's tree.
    pub path: NodePath,
    /// Its root.
    pub root: NodeId,
    /// Bytes of live files.
    pub usage: Usage,
    /// Most bytes of live files.
    pub quota: Option<u64>,
    /// Bytes of previous versions.
    pub versions: u64,
    /// Bytes in trash.
    pub trash: u64,
}

impl Tree {
    /// What the account's spaces hold, its own first. Reads all versions of a space, so it is not
    /// for every request.
    pub async fn usage_of_spaces(&self) -> Result<Vec<Held>> {
        let mut conn = self.store.meta.read().await?;
        let mut found = Vec::new();
        for space in self.spaces(&mut conn).await? {
            let root = root_of(space);
            let row = nodes::by_id(&mut conn, root).await?;
            let used = row::bytes(row.ok_or(Error::NotFound)?.tree_size);
            let quota = self.space(&mut conn, space).await?.quota.map(row::bytes);
            let available = quota.map(|quota| quota.saturating_sub(used));
            let (versions, trash) = totals::held(&mut conn, space).await?;
            let path = self.path_of(&mut conn, root, space).await?;
            found.push(Held {
                space,
                path: path.ok_or(Error::NotFound)?,
                root,
                usage: Usage { used, available },
                quota,
                versions: row::bytes(versions),
                trash: row::bytes(trash),
            });
        }
        Ok(found)
    }

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
