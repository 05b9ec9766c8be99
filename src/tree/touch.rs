//! Setting what of a node is not its bytes. These, and so the tag, stay.

use super::locate::Place;
use super::model::{Node, Times};
use super::turn::{Action, Deed};
use super::write::Stamp;
use super::{Error, Result, Tree};
use crate::store::meta::Conn;
use crate::store::meta::nodes::{self, FILE, NodeRow};
use crate::types::{Millis, NodeId, NodePath};

impl Tree {
    /// Sets modification and creation time, and whether it can be run.
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
    let stamp = stamp_of(&row, times);
    let node = apply(conn, &action, row, stamp).await?;
    action.settle(conn, place.parent, 0).await?;
    action.log(conn, Deed::Edit, node.id.0, 0).await?;
    Ok(node)
}

/// What is stated, for a node that stays a link if it is one. Only files can be run.
pub(super) fn stamp_of(row: &NodeRow, times: Times) -> Stamp {
    Stamp {
        modified: times.modified,
        created: times.created,
        executable: times.executable.filter(|_| row.kind == FILE),
        link: row.mode().link,
    }
}

/// Sets what is stated in an action that has already been allowed.
pub(super) async fn apply(
    conn: &mut Conn,
    action: &Action,
    row: NodeRow,
    stamp: Stamp,
) -> Result<Node> {
    let modified = stamp.modified.unwrap_or(Millis(row.mtime));
    let created = stamp.created.unwrap_or(Millis(row.created));
    let mode = stamp.over(row.mode());
    let seq = action.turn.seq;
    nodes::set_looks(conn, NodeId(row.id), (modified, created, mode), seq).await?;
    let row = NodeRow {
        mode: mode.bits(),
        mtime: modified.0,
        created: created.0,
        seq: seq.0,
        tree_seq: seq.0,
        ..row
    };
    Ok(row.into())
}
