//! The activity log: what verbs do not write by themselves, and reading it.

use super::model::Node;
use super::{Result, Tree};
use crate::store::meta::synclog::{self, Entry, Logged};
use crate::types::{NodeId, SpaceId};

impl Tree {
    /// Notes that somebody took the bytes of a file.
    pub async fn note_download(&self, node: &Node, bytes: u64) -> Result<()> {
        self.note_downloads([(node.space, node.id, bytes)]).await
    }

    /// Notes that somebody took the bytes of files: their spaces, their ids, and how many bytes.
    pub async fn note_downloads(
        &self,
        files: impl IntoIterator<Item = (SpaceId, NodeId, u64)>,
    ) -> Result<()> {
        let now = self.clock.now();
        let entry = |(space, node, bytes): (SpaceId, NodeId, u64)| Entry {
            account_id: self.user.account.0,
            device_id: self.user.device.map(|device| device.0),
            space_id: space.0,
            file_id: node.0,
            action: "download",
            size: super::write::signed(bytes),
            at: now.0,
        };
        let entries: Vec<_> = files.into_iter().map(entry).collect();
        let meta = &self.store.meta;
        let noted =
            meta.write(move |conn| Box::pin(async move { synclog::append(conn, &entries).await }));
        Ok(noted.await?)
    }

    /// What the account did, newest first: rows below the id `before`, at most `limit` and 1000.
    pub async fn activity(&self, before: Option<i64>, limit: u32) -> Result<Vec<Logged>> {
        let mut conn = self.store.meta.read().await?;
        Ok(synclog::page(&mut conn, Some(self.user.account), before, limit).await?)
    }

    /// Each space the account sees, with its root, where it is, and its last turn.
    pub async fn standing(&self) -> Result<Vec<Standing>> {
        let mut conn = self.store.meta.read().await?;
        let mut found = Vec::new();
        for space in self.spaces(&mut conn).await? {
            let root = super::locate::root_of(space);
            let path = self.path_of(&mut conn, root, space).await?;
            let seq = crate::store::meta::changes::last_seq(&mut conn, space).await?;
            let path = path.ok_or(super::Error::NotFound)?;
            found.push(Standing {
                space,
                root,
                path,
                seq,
            });
        }
        Ok(found)
    }
}

/// A space as an account sees it, and its last turn.
#[derive(Clone, Debug)]
pub struct Standing {
    /// The space.
    pub space: SpaceId,
    /// Its root.
    pub root: NodeId,
    /// Where it is in the account's tree.
    pub path: crate::types::NodePath,
    /// The turn of its last change.
    pub seq: i64,
}
