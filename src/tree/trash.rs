//! What was deleted: listing, restoring, forgetting.

use std::fmt;

use super::locate::{Place, refuse_too_deep, root_of};
use super::model::Node;
use super::turn::{Action, Deed};
use super::{Error, Result, Tree};
use crate::store::meta::nodes::{self, COLLECTION, NodeRow};
use crate::store::meta::trash::{self, GOING};
use crate::store::meta::{Conn, subtree};
use crate::types::{NodeId, NodeName, NodePath, SpaceId};

/// Trashed nodes in one page.
const PAGE: i64 = 1000;
/// Before all that was ever deleted, and after what is being forgotten.
const FIRST: (i64, i64) = (GOING.0, i64::MAX);
/// Most names tried for something whose old name is taken.
const NAMES_MAX: u32 = 1000;

/// A deleted node.
#[derive(Clone, Debug)]
pub struct Trashed {
    /// The node; `trashed` says when.
    pub node: Node,
    /// Where it was; `None` when that collection is no longer there either.
    pub from: Option<NodePath>,
}

/// Where a page of the trash ended. Opaque to clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrashMark {
    space: SpaceId,
    at: i64,
    id: i64,
}

impl TrashMark {
    /// Reads what [`fmt::Display`] wrote.
    pub fn parse(text: &str) -> Option<Self> {
        let numbers = text.split('.').map(|part| part.parse().ok());
        match numbers.collect::<Option<Vec<i64>>>()?[..] {
            [space, at, id] => Some(Self {
                space: SpaceId(space),
                at,
                id,
            }),
            _ => None,
        }
    }
}

impl fmt::Display for TrashMark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.space, self.at, self.id)
    }
}

impl Tree {
    /// One page of the trash of the space at `at`, oldest first, after a given trashed node.
    pub async fn trash(&self, at: &NodePath, after: Option<&Node>) -> Result<Vec<Trashed>> {
        let space = self.space_at(at).await?;
        let mut conn = self.store.meta.read().await?;
        let after = after
            .and_then(|node| node.trashed.map(|trashed| (trashed.0, node.id.0)))
            .unwrap_or(FIRST);
        self.trash_of(&mut conn, space, after, PAGE).await
    }

    /// At most `limit` deleted nodes of all spaces the account sees, of each oldest first, and where
    /// to go on.
    pub async fn trash_page(
        &self,
        after: Option<TrashMark>,
        limit: u32,
    ) -> Result<(Vec<Trashed>, Option<TrashMark>)> {
        let limit = limit.clamp(1, 1000) as usize;
        let mut conn = self.store.meta.read().await?;
        let mut spaces = self.spaces(&mut conn).await?;
        spaces.sort();
        let mut found = Vec::new();
        for space in spaces {
            let from = match after {
                Some(mark) if space < mark.space => continue,
                Some(mark) if space == mark.space => (mark.at, mark.id).max(FIRST),
                Some(_) | None => FIRST,
            };
            // One more than wanted tells whether anything follows.
            let room = i64::try_from(limit + 1 - found.len()).unwrap_or(PAGE);
            found.extend(self.trash_of(&mut conn, space, from, room).await?);
            if found.len() > limit {
                found.truncate(limit);
                let next = found.last().map(|last| TrashMark {
                    space: last.node.space,
                    at: last.node.trashed.map_or(0, |at| at.0),
                    id: last.node.id.0,
                });
                return Ok((found, next));
            }
        }
        Ok((found, None))
    }

    async fn trash_of(
        &self,
        conn: &mut Conn,
        space: SpaceId,
        after: (i64, i64),
        limit: i64,
    ) -> Result<Vec<Trashed>> {
        let mut found = Vec::new();
        for row in trash::list(conn, space, after, limit).await? {
            let above = row.parent.map(NodeId);
            let from = match above {
                Some(above) => self.path_of(conn, above, space).await?,
                None => None,
            };
            let name = NodeName::parse(&row.name)?;
            found.push(Trashed {
                node: row.into(),
                from: from.map(|path| path.join(name)),
            });
        }
        Ok(found)
    }

    /// Puts a deleted node back where it was, with its versions and everything below. When its
    /// collection is gone it goes to the root; when its name is taken it gets a number.
    pub async fn restore(&self, id: NodeId) -> Result<Node> {
        let space = self.trashed_space(id).await?;
        let tree = self.clone();
        self.write(space, move |conn| {
            Box::pin(async move { put_back(conn, &tree, space, id).await })
        })
        .await
    }

    /// Forgets a deleted node for good, with its versions and everything below.
    pub async fn purge(&self, id: NodeId) -> Result<()> {
        let space = self.trashed_space(id).await?;
        let tree = self.clone();
        self.write(space, move |conn| {
            Box::pin(async move { forget(conn, &tree, space, id).await })
        })
        .await
    }

    async fn trashed_space(&self, id: NodeId) -> Result<SpaceId> {
        let mut conn = self.store.meta.read().await?;
        let space = SpaceId(trashed(nodes::by_id(&mut conn, id).await?)?.space);
        if self.may_see(&mut conn, space).await? {
            Ok(space)
        } else {
            Err(Error::NotFound)
        }
    }
}

fn trashed(row: Option<NodeRow>) -> Result<NodeRow> {
    row.filter(|row| row.trashed.is_some_and(|at| at != GOING.0))
        .ok_or(Error::NotFound)
}

async fn put_back(conn: &mut Conn, tree: &Tree, space: SpaceId, id: NodeId) -> Result<Node> {
    let action = Action::begin(conn, tree, space, 0).await?;
    let row = trashed(nodes::by_id(conn, id).await?)?;
    let place = free_place(conn, tree, space, &row).await?;
    action.guard(conn, tree, place.parent).await?;
    nodes::place(conn, id, place.parent, &place.name, action.turn.seq).await?;
    if row.kind == COLLECTION {
        let above = tree.path_of(conn, place.parent, space).await?;
        let path = above.ok_or(Error::NoParent)?.join(place.name.clone());
        refuse_too_deep(conn, id, (path.depth(), path.bytes())).await?;
        nodes::set_restored(conn, id, action.turn.seq).await?;
    }
    action.settle(conn, place.parent, row.tree_size).await?;
    action
        .log(conn, Deed::Restore, row.id, row.tree_size)
        .await?;
    Ok(nodes::by_id(conn, id).await?.ok_or(Error::NotFound)?.into())
}

async fn forget(conn: &mut Conn, tree: &Tree, space: SpaceId, id: NodeId) -> Result<()> {
    let action = Action::begin(conn, tree, space, 0).await?;
    let row = trashed(nodes::by_id(conn, id).await?)?;
    subtree::forget(conn, id, action.turn.seq).await?;
    action.log(conn, Deed::Purge, row.id, row.tree_size).await
}

async fn free_place(conn: &mut Conn, tree: &Tree, space: SpaceId, row: &NodeRow) -> Result<Place> {
    let parent = match row.parent.map(NodeId) {
        Some(parent) if is_live_collection(conn, parent).await? => parent,
        Some(_) | None => root_of(space),
    };
    for number in 0..NAMES_MAX {
        let name = if number == 0 {
            NodeName::parse(&row.name)?
        } else {
            numbered(&row.name, number)?
        };
        if is_free(conn, tree, parent, &name).await? {
            return Ok(Place {
                space,
                parent,
                name,
            });
        }
    }
    Err(Error::Exists)
}

/// Whether neither a node nor, in a root, a mounted space has the name.
async fn is_free(conn: &mut Conn, tree: &Tree, parent: NodeId, name: &NodeName) -> Result<bool> {
    let mounts = tree.store.mounts.all(conn).await?;
    let shadowed =
        parent == root_of(tree.user.space) && mounts.iter().any(|mount| mount.name == name.key());
    Ok(!shadowed && nodes::child(conn, parent, name).await?.is_none())
}

async fn is_live_collection(conn: &mut Conn, id: NodeId) -> Result<bool> {
    let collection = nodes::by_id(conn, id)
        .await?
        .is_some_and(|row| row.kind == COLLECTION);
    Ok(collection && nodes::names_up(conn, id).await?.is_some())
}

/// `name (restored 1).ext`, shortened to fit.
fn numbered(name: &str, number: u32) -> Result<NodeName> {
    let (stem, extension) = match name.rfind('.') {
        Some(dot) if dot > 0 && name.len() - dot <= 32 => name.split_at(dot),
        _ => (name, ""),
    };
    let marker = format!(" (restored {number})");
    let room = crate::types::MAX_NAME_BYTES - marker.len() - extension.len();
    let stem = &stem[..stem.floor_char_boundary(room)];
    Ok(NodeName::parse(&format!("{stem}{marker}{extension}"))?)
}
