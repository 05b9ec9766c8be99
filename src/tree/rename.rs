//! Moving and renaming: one row, whatever lies below.

use super::locate::{Place, refuse_too_deep};
use super::model::{Node, Overwrite, Placed};
use super::turn::{Action, Deed};
use super::write::{Stamp, replace};
use super::{Error, Result, Tree};
use crate::store::meta::nodes::{self, COLLECTION, FILE, NodeRow};
use crate::store::meta::{Conn, conflicts, feed, locks, props, spaces, versions};
use crate::types::{ContentId, Millis, NodeId, NodePath};

impl Tree {
    /// Moves `from` to `to` (RFC 4918 §9.9). A file moved over a file becomes its next version, so
    /// that programs which save by renaming a temporary file keep the history.
    pub async fn rename(
        &self,
        from: &NodePath,
        to: &NodePath,
        overwrite: Overwrite,
    ) -> Result<Placed> {
        let source = self.source(from).await?;
        let target = self.place(to).await?;
        if source.space != target.space {
            return self.transfer(from, to, &target, overwrite).await;
        }
        let move_ = Move {
            source,
            target,
            overwrite,
            grows: to.depth() > from.depth() || to.bytes() > from.bytes(),
            reach: (to.depth(), to.bytes()),
        };
        let (tree, space) = (self.clone(), move_.source.space);
        self.write(space, move |conn| {
            Box::pin(async move { move_.run(conn, &tree).await })
        })
        .await
    }
}

struct Move {
    source: Place,
    target: Place,
    overwrite: Overwrite,
    /// Whether paths below become longer or deeper.
    grows: bool,
    /// Names and bytes of the target path.
    reach: (usize, usize),
}

impl Move {
    async fn run(&self, conn: &mut Conn, tree: &Tree) -> Result<Placed> {
        let action = Action::begin(conn, tree, self.source.space, 0).await?;
        let row = action
            .at(conn, &self.source)
            .await?
            .ok_or(Error::NotFound)?;
        let there = action.at(conn, &self.target).await?;
        self.refuse_impossible(conn, &row, there.as_ref()).await?;
        action.guard(conn, tree, self.source.parent).await?;
        action.guard_all(conn, tree, NodeId(row.id)).await?;
        let there = there.filter(|there| there.id != row.id);
        let saved = |there: &NodeRow| there.kind == FILE && row.kind == FILE;
        if let Some(there) = &there {
            action.guard_all(conn, tree, NodeId(there.id)).await?;
        }
        if !there.as_ref().is_some_and(saved) {
            action.guard(conn, tree, self.target.parent).await?;
        }
        release(conn, &action, &row).await?;
        let replaced = there.is_some();
        let node = match there {
            Some(there) if there.kind == FILE && row.kind == FILE => {
                self.save(conn, &action, row, there).await?
            }
            Some(there) => {
                action.discard(conn, &there).await?;
                self.shift(conn, &action, row).await?
            }
            None => self.shift(conn, &action, row).await?,
        };
        action.log(conn, Deed::Move, node.id.0, 0).await?;
        Ok(Placed { node, replaced })
    }

    async fn refuse_impossible(
        &self,
        conn: &mut Conn,
        row: &NodeRow,
        there: Option<&NodeRow>,
    ) -> Result<()> {
        let id = NodeId(row.id);
        if there.is_some_and(|there| there.id != row.id) && self.overwrite == Overwrite::No {
            return Err(Error::Exists);
        }
        if row.kind == COLLECTION && nodes::is_below(conn, self.target.parent, id).await? {
            return Err(Error::Forbidden("a collection cannot be moved into itself"));
        }
        if let Some(there) = there
            && there.id != row.id
            && nodes::is_below(conn, self.source.parent, NodeId(there.id)).await?
        {
            return Err(Error::Forbidden(
                "a collection cannot be replaced by its own member",
            ));
        }
        if row.kind == COLLECTION && self.grows {
            refuse_too_deep(conn, id, self.reach).await?;
        }
        Ok(())
    }

    /// Puts the node at a free place.
    async fn shift(&self, conn: &mut Conn, action: &Action, row: NodeRow) -> Result<Node> {
        let (id, seq) = (NodeId(row.id), action.turn.seq);
        nodes::place(conn, id, self.target.parent, &self.target.name, seq).await?;
        // A move adds nothing to the space, so the quota is not asked.
        action
            .carry(conn, self.target.parent, row.tree_size)
            .await?;
        action
            .carry(conn, self.source.parent, -row.tree_size)
            .await?;
        nodes::put_gone(conn, &row, seq).await?;
        let moved = nodes::by_id(conn, id).await?.ok_or(Error::NotFound)?;
        Ok(moved.into())
    }

    /// Makes the source's bytes the target's next version; the source's own history comes along.
    async fn save(
        &self,
        conn: &mut Conn,
        action: &Action,
        row: NodeRow,
        there: NodeRow,
    ) -> Result<Node> {
        let (from, to) = (NodeId(row.id), NodeId(there.id));
        let content = (
            ContentId(row.content.ok_or(Error::IsACollection)?),
            row.size,
        );
        let stamp = Stamp {
            modified: Some(Millis(row.mtime)),
            created: Some(Millis(there.created.min(row.created))),
            ..Stamp::default().like(row.mode())
        };
        // The source's earlier versions go behind what is replaced now: that is the last to be pruned.
        let mut old = there.clone();
        if row.version > 1 {
            versions::adopt(conn, from, to, there.version - 1).await?;
            old.version = there.version + row.version - 1;
        }
        let (mut node, _) = replace(conn, action, old, content, stamp).await?;
        node.name.clone_from(&there.name);
        props::clear(conn, to).await?;
        props::copy(conn, from, to).await?;
        props::clear(conn, from).await?;
        nodes::delete(conn, from).await?;
        feed::bury(conn, action.space, action.turn.seq, from).await?;
        nodes::put_gone(conn, &row, action.turn.seq).await?;
        conflicts::forget(conn, from).await?;
        action
            .carry(conn, self.target.parent, row.size - there.size)
            .await?;
        action.carry(conn, self.source.parent, -row.size).await?;
        Ok(node)
    }
}

/// Locks do not move with what they locked (RFC 4918 §7.5).
async fn release(conn: &mut Conn, action: &Action, row: &NodeRow) -> Result<()> {
    if action.turn.locks == 0 {
        return Ok(());
    }
    for lock in locks::at_or_below(conn, action.space, NodeId(row.id), action.now).await? {
        locks::delete(conn, &lock.token).await?;
    }
    spaces::count_locks(conn, action.space).await?;
    Ok(())
}
