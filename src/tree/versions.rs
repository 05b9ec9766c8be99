//! Previous contents of a file.

use super::model::{Node, Version};
use super::read::open;
use super::turn::{Action, Deed};
use super::write::{Stamp, replace};
use super::{Error, Result, Tree, row};
use crate::store::content::Reader;
use crate::store::meta::versions::{self, VersionRow};
use crate::store::meta::{Conn, nodes};
use crate::types::{ContentId, DeviceId, Millis, NodeId, SpaceId};

impl Tree {
    /// The versions of a file, newest first; the first is what it holds now.
    pub async fn versions(&self, node: &Node) -> Result<Vec<Version>> {
        let mut conn = self.store.meta.read().await?;
        let head = nodes::by_id(&mut conn, node.id)
            .await?
            .ok_or(Error::NotFound)?;
        let head = Version {
            number: head.version,
            content: ContentId(head.content.ok_or(Error::IsACollection)?),
            size: row::bytes(head.size),
            modified: Millis(head.mtime),
            written: Millis(head.written),
            device: head.device.map(DeviceId),
        };
        let older = versions::list(&mut conn, node.id).await?;
        Ok(std::iter::once(head)
            .chain(older.into_iter().map(Version::from))
            .collect())
    }

    /// A reader of one version.
    pub async fn read_version(&self, node: &Node, number: i64) -> Result<Reader> {
        let versions = self.versions(node).await?;
        let found = versions
            .into_iter()
            .find(|version| version.number == number);
        let found = found.ok_or(Error::NotFound)?;
        open(&self.store, found.content, found.size).await
    }

    /// Makes a previous version of a file its current content; what was current becomes a version. Versions
    /// do not know whether they were links, so the file is none.
    pub async fn restore_version(&self, id: NodeId, number: i64) -> Result<Node> {
        let space = self.by_id(id).await?.node.space;
        let tree = self.clone();
        self.write(space, move |conn| {
            Box::pin(async move { restore(conn, &tree, space, (id, number)).await })
        })
        .await
    }
}

async fn restore(
    conn: &mut Conn,
    tree: &Tree,
    space: SpaceId,
    (id, number): (NodeId, i64),
) -> Result<Node> {
    let action = Action::begin(conn, tree, space, 0).await?;
    let head = nodes::by_id(conn, id).await?;
    let head = head.filter(|row| row.trashed.is_none());
    let head = head.ok_or(Error::NotFound)?;
    let parent = NodeId(head.parent.ok_or(Error::NotFound)?);
    action.guard(conn, tree, id).await?;
    let wanted = versions::by_number(conn, id, number).await?;
    let wanted = wanted.ok_or(Error::NotFound)?;
    let stamp = Stamp {
        modified: Some(Millis(wanted.mtime)),
        ..Stamp::default()
    };
    let content = (ContentId(wanted.content), wanted.size);
    let (node, grown) = replace(conn, &action, head, content, stamp).await?;
    // Fails when what it lies in went to trash meanwhile.
    action.settle(conn, parent, grown).await?;
    action
        .log(conn, Deed::Restore, node.id.0, wanted.size)
        .await?;
    Ok(nodes::by_id(conn, id).await?.ok_or(Error::NotFound)?.into())
}

impl From<VersionRow> for Version {
    fn from(found: VersionRow) -> Self {
        Self {
            number: found.number,
            content: ContentId(found.content),
            size: row::bytes(found.size),
            modified: Millis(found.mtime),
            written: Millis(found.written),
            device: found.device.map(DeviceId),
        }
    }
}
