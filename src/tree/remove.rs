//! Deleting: to trash, one row whatever lies below.

use super::locate::Place;
use super::model::Node;
use super::turn::{Action, Deed};
use super::{Error, Result, Tree};
use crate::store::meta::Conn;
use crate::types::{ETag, NodeId, NodePath, Seq};

impl Tree {
    /// Sends a node to trash with everything below it (RFC 4918 §9.6).
    pub async fn remove(&self, at: &NodePath) -> Result<()> {
        self.remove_if(at, None).await
    }

    /// The same, if nothing about it has changed since it was looked up.
    pub(super) async fn remove_unchanged(&self, at: &NodePath, known: &Node) -> Result<()> {
        self.remove_if(at, Some((known.id, known.seq, known.etag.clone())))
            .await
    }

    async fn remove_if(&self, at: &NodePath, known: Option<(NodeId, Seq, ETag)>) -> Result<()> {
        let place = self.source(at).await?;
        let tree = self.clone();
        let meta = &self.store.meta;
        meta.write(move |conn| Box::pin(async move { discard(conn, &tree, &place, known).await }))
            .await
    }
}

async fn discard(
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
    action.guard(conn, tree, place.parent).await?;
    action.guard_all(conn, tree, NodeId(row.id)).await?;
    action.discard(conn, &row).await?;
    action.log(conn, Deed::Delete, row.id, row.tree_size).await
}
