//! Deleting: to trash, one row whatever lies below.

use super::locate::Place;
use super::turn::{Action, Deed};
use super::{Error, Result, Tree};
use crate::store::meta::Conn;
use crate::types::{NodeId, NodePath};

impl Tree {
    /// Sends a node to trash with everything below it (RFC 4918 §9.6).
    pub async fn remove(&self, at: &NodePath) -> Result<()> {
        let place = match self.place(at).await {
            Err(Error::NoParent) => return Err(Error::NotFound),
            place => place?,
        };
        let tree = self.clone();
        let meta = &self.store.meta;
        meta.write(move |conn| Box::pin(async move { discard(conn, &tree, &place).await }))
            .await
    }
}

async fn discard(conn: &mut Conn, tree: &Tree, place: &Place) -> Result<()> {
    let action = Action::begin(conn, tree, place.space, 0).await?;
    let row = action.at(conn, place).await?.ok_or(Error::NotFound)?;
    action.guard(conn, tree, place.parent).await?;
    action.guard_all(conn, tree, NodeId(row.id)).await?;
    action.discard(conn, &row).await?;
    action.log(conn, Deed::Delete, row.id, row.tree_size).await
}
