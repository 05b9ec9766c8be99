//! Deleting: to trash, one row whatever lies below.

use super::locate::Place;
use super::model::Node;
use super::turn::{Action, Deed};
use super::{Error, Result, Tree};
use crate::store::meta::Conn;
use crate::store::meta::nodes::{self, NodeRow};
use crate::types::{ETag, NodeId, NodePath, Seq, SpaceId};

impl Tree {
    /// Sends a node to trash with everything below it (RFC 4918 §9.6).
    pub async fn remove(&self, at: &NodePath) -> Result<()> {
        let place = self.source(at).await?;
        let tree = self.clone();
        self.write(place.space, move |conn| {
            Box::pin(async move { discard(conn, &tree, &place, None).await })
        })
        .await
    }

    /// Sends the node with this id to trash if, when `tag` is stated, that is still its tag.
    pub async fn remove_node(&self, id: NodeId, tag: Option<ETag>) -> Result<()> {
        let space = self.by_id(id).await?.node.space;
        let tree = self.clone();
        self.write(space, move |conn| {
            Box::pin(async move { discard_node(conn, &tree, space, id, tag).await })
        })
        .await
    }
}

/// Sends what is at a place to trash, if it is what is known when something is.
pub(super) async fn discard(
    conn: &mut Conn,
    tree: &Tree,
    place: &Place,
    known: Option<(NodeId, Seq, ETag)>,
) -> Result<()> {
    let action = Action::begin(conn, tree, place.space, 0).await?;
    let row = action.at(conn, place).await?.ok_or(Error::NotFound)?;
    let now = Node::from(row.clone());
    if known.is_some_and(|known| known != (now.id, now.seq, now.etag)) {
        return Err(Error::PreconditionFailed);
    }
    take_away(conn, tree, &action, place.parent, &row).await
}

async fn discard_node(
    conn: &mut Conn,
    tree: &Tree,
    space: SpaceId,
    id: NodeId,
    tag: Option<ETag>,
) -> Result<()> {
    let action = Action::begin(conn, tree, space, 0).await?;
    let row = nodes::by_id(conn, id).await?.ok_or(Error::NotFound)?;
    let Some(parent) = row.parent.map(NodeId) else {
        return Err(Error::Forbidden("the root of a space cannot be changed"));
    };
    if row.trashed.is_some() {
        return Err(Error::NotFound);
    }
    if tag.is_some_and(|tag| tag != Node::from(row.clone()).etag) {
        return Err(Error::PreconditionFailed);
    }
    take_away(conn, tree, &action, parent, &row).await
}

async fn take_away(
    conn: &mut Conn,
    tree: &Tree,
    action: &Action,
    parent: NodeId,
    row: &NodeRow,
) -> Result<()> {
    action.guard(conn, tree, parent).await?;
    action.guard_all(conn, tree, NodeId(row.id)).await?;
    match action.discard(conn, row).await {
        // Somebody has sent a collection above it to trash, and it went along.
        Err(Error::NoParent) => return Err(Error::NotFound),
        discarded => discarded?,
    }
    action.log(conn, Deed::Delete, row.id, row.tree_size).await
}
