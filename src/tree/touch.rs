//! Setting the times of a node. Bytes, and so the tag, stay.

use super::locate::Place;
use super::model::{Node, Times};
use super::turn::{Action, Deed};
use super::{Error, Result, Tree};
use crate::store::meta::Conn;
use crate::store::meta::nodes::{self, NodeRow};
use crate::types::{Millis, NodeId, NodePath};

impl Tree {
    /// Sets modification and creation time.
    pub async fn touch(&self, at: &NodePath, times: Times) -> Result<Node> {
        let place = self.place(at).await?;
        let (tree, space) = (self.clone(), place.space);
        self.write(space, move |conn| {
            Box::pin(async move { set(conn, &tree, &place, times).await })
        })
        .await
    }
}

async fn set(conn: &mut Conn, tree: &Tree, place: &Place, times: Times) -> Result<Node> {
    let action = Action::begin(conn, tree, place.space, 0).await?;
    let row = action.at(conn, place).await?.ok_or(Error::NotFound)?;
    action.guard(conn, tree, NodeId(row.id)).await?;
    let node = apply(conn, &action, row, times).await?;
    action.settle(conn, place.parent, 0).await?;
    action.log(conn, Deed::Edit, node.id.0, 0).await?;
    Ok(node)
}

/// Sets the times in an action that has already been allowed.
pub(super) async fn apply(
    conn: &mut Conn,
    action: &Action,
    row: NodeRow,
    times: Times,
) -> Result<Node> {
    let modified = times.modified.unwrap_or(Millis(row.mtime));
    let created = times.created.unwrap_or(Millis(row.created));
    let seq = action.turn.seq;
    nodes::set_times(conn, NodeId(row.id), (modified, created), seq).await?;
    let row = NodeRow {
        mtime: modified.0,
        created: created.0,
        seq: seq.0,
        tree_seq: seq.0,
        ..row
    };
    Ok(row.into())
}
