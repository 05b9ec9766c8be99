//! From paths to nodes: which space, which row.

use super::model::{Located, Node};
use super::{Error, Result, Tree};
use crate::store::meta::nodes::{self, COLLECTION, NodeRow};
use crate::store::meta::spaces::Space;
use crate::store::meta::{Conn, spaces, subtree};
use crate::types::{ETag, MAX_DEPTH, MAX_PATH_BYTES, NodeId, NodeName, NodePath, Seq, SpaceId};

/// A space and the rest of a path within it.
pub(super) struct Spot<'p> {
    /// The space.
    pub(super) space: SpaceId,
    /// Its root collection.
    pub(super) root: NodeId,
    /// The names below that root.
    pub(super) names: &'p [NodeName],
    /// The name it is mounted under; `None` for the account's own space.
    pub(super) mount: Option<String>,
}

/// A name in an existing collection: where something is or may come to be.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) space: SpaceId,
    pub(super) parent: NodeId,
    pub(super) name: NodeName,
}

/// The root collection of a space: the first node ever made in it.
pub(super) fn root_of(space: SpaceId) -> NodeId {
    NodeId::nth(space, 1)
}

impl Tree {
    /// The space a path leads into.
    pub(super) async fn space_at(&self, at: &NodePath) -> Result<SpaceId> {
        let mut conn = self.store.meta.read().await?;
        Ok(self.spot(&mut conn, at).await?.space)
    }

    /// The space a path leads into, and what is left of the path there.
    pub(super) async fn spot<'p>(&self, conn: &mut Conn, at: &'p NodePath) -> Result<Spot<'p>> {
        if let Some((first, rest)) = at.names().split_first() {
            let key = first.key();
            let mounts = self.store.mounts.all(conn).await?;
            if let Some(mount) = mounts.iter().find(|mount| mount.name == key) {
                let root = NodeId(mount.root);
                let name = Some(mount.name.clone());
                return Ok(Spot {
                    space: SpaceId(mount.id),
                    root,
                    names: rest,
                    mount: name,
                });
            }
        }
        let space = self.user.space;
        Ok(Spot {
            space,
            root: root_of(space),
            names: at.names(),
            mount: None,
        })
    }

    /// The node at a path.
    pub async fn lookup(&self, at: &NodePath) -> Result<Node> {
        let mut conn = self.store.meta.read().await?;
        let spot = self.spot(&mut conn, at).await?;
        let row = walk(&mut conn, spot.root, spot.names)
            .await?
            .ok_or(Error::NotFound)?;
        let mut node = Node::from(row);
        if at.is_root() {
            self.mount_all(&mut conn, &mut node).await?;
        } else if let (Some(mount), []) = (spot.mount, spot.names) {
            node.name = mount;
        }
        Ok(node)
    }

    /// Makes the account's root validate what is mounted in it, too.
    async fn mount_all(&self, conn: &mut Conn, root: &mut Node) -> Result<()> {
        let own = match nodes::by_id(conn, root.id).await? {
            Some(row) => row.tree_seq,
            None => return Err(Error::NotFound),
        };
        let mut seqs = vec![Seq(own)];
        for mount in self.store.mounts.all(conn).await?.iter() {
            let row = nodes::by_id(conn, NodeId(mount.root))
                .await?
                .ok_or(Error::NotFound)?;
            seqs.push(Seq(row.tree_seq));
        }
        root.etag = ETag::mounted(seqs);
        Ok(())
    }

    /// The spaces mounted in the account's root, as nodes.
    pub(super) async fn mounted(&self, conn: &mut Conn) -> Result<Vec<Node>> {
        let mut found = Vec::new();
        for Space { root, name, .. } in self.store.mounts.all(conn).await?.iter() {
            let row = nodes::by_id(conn, NodeId(*root))
                .await?
                .ok_or(Error::NotFound)?;
            found.push(Node {
                name: name.clone(),
                ..row.into()
            });
        }
        Ok(found)
    }

    /// The place a path names; its parent must exist. Roots and mounts are no places.
    pub(super) async fn place(&self, at: &NodePath) -> Result<Place> {
        let mut conn = self.store.meta.read().await?;
        let spot = self.spot(&mut conn, at).await?;
        let Some((name, above)) = spot.names.split_last() else {
            return Err(Error::Forbidden("the root of a space cannot be changed"));
        };
        let parent = collection(&mut conn, spot.root, above).await?;
        Ok(Place {
            space: spot.space,
            parent,
            name: name.clone(),
        })
    }

    /// The place of something that should be there already.
    pub(super) async fn source(&self, at: &NodePath) -> Result<Place> {
        match self.place(at).await {
            Err(Error::NoParent) => Err(Error::NotFound),
            place => place,
        }
    }

    /// The path of a node in this account's tree; `None` when it is not reachable from here.
    pub(super) async fn path_of(
        &self,
        conn: &mut Conn,
        id: NodeId,
        space: SpaceId,
    ) -> Result<Option<NodePath>> {
        let Some(names) = nodes::names_up(conn, id).await? else {
            return Ok(None);
        };
        let mut path = match self.mount_name(conn, space).await? {
            Some(mount) => NodePath::root().join(NodeName::parse(&mount)?),
            None => NodePath::root(),
        };
        for name in names {
            path = path.join(NodeName::parse(&name)?);
        }
        Ok(Some(path))
    }

    /// The name a space is mounted under; `None` for the account's own.
    pub(super) async fn mount_name(
        &self,
        conn: &mut Conn,
        space: SpaceId,
    ) -> Result<Option<String>> {
        if space == self.user.space {
            return Ok(None);
        }
        let mounts = self.store.mounts.all(conn).await?;
        Ok(mounts
            .iter()
            .find(|mount| mount.id == space.0)
            .map(|mount| mount.name.clone()))
    }

    /// A live node by its id, and where it is. A node the account may not see is not found.
    pub async fn by_id(&self, id: NodeId) -> Result<Located> {
        let mut conn = self.store.meta.read().await?;
        self.located(&mut conn, id).await?.ok_or(Error::NotFound)
    }

    /// The same; `None` when it is not there.
    pub(super) async fn located(&self, conn: &mut Conn, id: NodeId) -> Result<Option<Located>> {
        let Some(row) = nodes::by_id(conn, id).await? else {
            return Ok(None);
        };
        let space = SpaceId(row.space);
        if !self.may_see(conn, space).await? {
            return Ok(None);
        }
        // A node below something trashed is not trashed itself, so the way up decides.
        let Some(path) = self.path_of(conn, id, space).await? else {
            return Ok(None);
        };
        let mut node = Node::from(row);
        if let (None, Some(name)) = (node.parent, path.names().first()) {
            node.name = name.to_string();
        }
        Ok(Some(Located { node, path }))
    }

    /// The spaces the account sees: its own first.
    pub(super) async fn spaces(&self, conn: &mut Conn) -> Result<Vec<SpaceId>> {
        let mounts = self.store.mounts.all(conn).await?;
        let mounted = mounts.iter().map(|mount| SpaceId(mount.id));
        Ok(std::iter::once(self.user.space).chain(mounted).collect())
    }

    /// Whether the account may see a space.
    pub(super) async fn may_see(&self, conn: &mut Conn, space: SpaceId) -> Result<bool> {
        Ok(space == self.user.space || self.mount_name(conn, space).await?.is_some())
    }

    /// A space the account may see.
    pub(super) async fn space(&self, conn: &mut Conn, space: SpaceId) -> Result<Space> {
        spaces::by_id(conn, space).await?.ok_or(Error::NotFound)
    }
}

/// The collection that names lead to. A root is always one.
async fn collection(conn: &mut Conn, root: NodeId, names: &[NodeName]) -> Result<NodeId> {
    if names.is_empty() {
        return Ok(root);
    }
    let found = walk(conn, root, names)
        .await?
        .filter(|row| row.kind == COLLECTION);
    Ok(NodeId(found.ok_or(Error::NoParent)?.id))
}

/// Refuses to put a collection where paths below it would become too long or too deep.
pub(super) async fn refuse_too_deep(
    conn: &mut Conn,
    top: NodeId,
    (depth, bytes): (usize, usize),
) -> Result<()> {
    let (deeper, longer) = subtree::extent(conn, top).await?;
    let sum = |here: usize, below: i64| here.saturating_add(usize::try_from(below).unwrap_or(0));
    if sum(depth, deeper) > MAX_DEPTH {
        return Err(Error::TooLarge("paths below would be over 128 names deep"));
    }
    if sum(bytes, longer) > MAX_PATH_BYTES {
        return Err(Error::TooLarge("paths below would be over 4096 bytes long"));
    }
    Ok(())
}

/// Follows names down from a collection.
pub(super) async fn walk(
    conn: &mut Conn,
    root: NodeId,
    names: &[NodeName],
) -> Result<Option<NodeRow>> {
    let Some((last, above)) = names.split_last() else {
        return Ok(nodes::by_id(conn, root).await?);
    };
    let mut parent = root;
    for name in above {
        match nodes::child(conn, parent, name).await? {
            Some(row) if row.kind == COLLECTION => parent = NodeId(row.id),
            Some(_) | None => return Ok(None),
        }
    }
    Ok(nodes::child(conn, parent, last).await?)
}
