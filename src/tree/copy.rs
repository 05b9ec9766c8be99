//! Copying: rows are copied, bytes are shared.

use super::locate::{Place, refuse_too_deep};
use super::model::{Node, Overwrite, Placed};
use super::turn::{Action, Deed};
use super::write::{Stamp, create_at, replace};
use super::{Error, Result, Tree};
use crate::store::meta::nodes::{self, COLLECTION, FILE, NewNode, NodeRow};
use crate::store::meta::subtree::{self, CopyTarget};
use crate::store::meta::{Alone, Conn, props};
use crate::types::{ContentId, Millis, Mode, NodeId, NodePath};

/// Most nodes one COPY may make: a second of the writer, which everybody waits for.
const COPY_MAX: i64 = 200_000;

/// How much of a collection is copied (RFC 4918 §9.8.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// `Depth: 0`: the collection and its properties.
    Shallow,
    /// `Depth: infinity`: everything below, too.
    Deep,
}

impl Tree {
    /// Copies `from` to `to` with its dead properties (RFC 4918 §9.8). A file copied over a file
    /// becomes its next version.
    pub async fn copy(
        &self,
        from: &NodePath,
        to: &NodePath,
        overwrite: Overwrite,
        reach: Reach,
    ) -> Result<Placed> {
        let source = self.source(from).await?;
        let target = self.place(to).await?;
        if source.space != target.space {
            return self.copy_across(from, to, &target, overwrite, reach).await;
        }
        let copy = Copy {
            source,
            target,
            overwrite,
            reach,
            place: (to.depth(), to.bytes()),
        };
        let tree = self.clone();
        let space = copy.source.space;
        self.write(space, move |conn| {
            Box::pin(async move { copy.run(conn, &tree).await })
        })
        .await
    }
}

struct Copy {
    source: Place,
    target: Place,
    overwrite: Overwrite,
    reach: Reach,
    /// Names and bytes of the target path.
    place: (usize, usize),
}

impl Copy {
    async fn run(&self, conn: &mut Conn, tree: &Tree) -> Result<Placed> {
        // Counted before the turn, because ids are drawn with it.
        conn.alone(Alone::Space(self.source.space)).await?;
        let source = nodes::child(conn, self.source.parent, &self.source.name).await?;
        let source = source.ok_or(Error::NotFound)?;
        let count = self.count(conn, &source).await?;
        let action = Action::begin(conn, tree, self.source.space, count).await?;
        let there = action.at(conn, &self.target).await?;
        self.refuse_impossible(conn, &source, there.as_ref())
            .await?;
        let saved = |there: &NodeRow| there.kind == FILE && source.kind == FILE;
        if let Some(there) = &there {
            action.guard_all(conn, tree, NodeId(there.id)).await?;
        }
        if !there.as_ref().is_some_and(saved) {
            action.guard(conn, tree, self.target.parent).await?;
        }
        let replaced = there.is_some();
        let node = match there {
            Some(there) if there.kind == FILE && source.kind == FILE => {
                self.over(conn, &action, &source, there).await?
            }
            Some(there) => {
                action.discard(conn, &there).await?;
                self.fresh(conn, &action, &source).await?
            }
            None => self.fresh(conn, &action, &source).await?,
        };
        action
            .log(conn, Deed::Copy, node.id.0, source.tree_size)
            .await?;
        Ok(Placed { node, replaced })
    }

    async fn count(&self, conn: &mut Conn, source: &NodeRow) -> Result<i64> {
        if source.kind == FILE || self.reach == Reach::Shallow {
            return Ok(1);
        }
        let count = subtree::count(conn, NodeId(source.id), COPY_MAX + 1).await?;
        if count > COPY_MAX {
            return Err(Error::TooLarge(
                "a COPY may make 200,000 files and collections at most",
            ));
        }
        Ok(count)
    }

    async fn refuse_impossible(
        &self,
        conn: &mut Conn,
        source: &NodeRow,
        there: Option<&NodeRow>,
    ) -> Result<()> {
        let id = NodeId(source.id);
        if there.is_some_and(|there| there.id == source.id) {
            return Err(Error::Forbidden("source and destination are the same"));
        }
        if there.is_some() && self.overwrite == Overwrite::No {
            return Err(Error::Exists);
        }
        if source.kind == COLLECTION && nodes::is_below(conn, self.target.parent, id).await? {
            return Err(Error::Forbidden(
                "a collection cannot be copied into itself",
            ));
        }
        if let Some(there) = there
            && nodes::is_below(conn, self.source.parent, NodeId(there.id)).await?
        {
            return Err(Error::Forbidden(
                "a collection cannot be replaced by its own member",
            ));
        }
        if source.kind == COLLECTION && self.reach == Reach::Deep {
            refuse_too_deep(conn, id, self.place).await?;
        }
        Ok(())
    }

    /// Copies to a free place.
    async fn fresh(&self, conn: &mut Conn, action: &Action, source: &NodeRow) -> Result<Node> {
        if source.kind == FILE {
            return self.file(conn, action, source).await;
        }
        let (id, first) = (NodeId(source.id), action.turn.first_node);
        let (top, size) = match self.reach {
            Reach::Shallow => (self.collection(conn, action, source).await?, 0),
            Reach::Deep => {
                let to = CopyTarget {
                    first,
                    parent: self.target.parent,
                    name: &self.target.name,
                    written: action.now,
                    device: action.device.map(|device| device.0),
                    seq: action.turn.seq,
                };
                (subtree::copy(conn, id, &to).await?, source.tree_size)
            }
        };
        action.settle(conn, self.target.parent, size).await?;
        Ok(nodes::by_id(conn, top)
            .await?
            .ok_or(Error::NotFound)?
            .into())
    }

    async fn collection(
        &self,
        conn: &mut Conn,
        action: &Action,
        source: &NodeRow,
    ) -> Result<NodeId> {
        let new = NewNode {
            id: action.turn.first_node,
            space: action.space,
            parent: Some(self.target.parent),
            name: Some(&self.target.name),
            content: None,
            mtime: Millis(source.mtime),
            created: Millis(source.created),
            written: action.now,
            device: action.device,
            seq: action.turn.seq,
            mode: Mode::default(),
        };
        nodes::insert(conn, &[new]).await?;
        props::copy(conn, NodeId(source.id), new.id).await?;
        Ok(new.id)
    }

    async fn file(&self, conn: &mut Conn, action: &Action, source: &NodeRow) -> Result<Node> {
        let (id, content) = (action.turn.first_node, content_of(source)?);
        let node = create_at(conn, action, &self.target, id, content, stamp_of(source)).await?;
        props::copy(conn, NodeId(source.id), id).await?;
        action.settle(conn, self.target.parent, source.size).await?;
        Ok(node)
    }

    /// Makes the source's bytes the next version of an existing file.
    async fn over(
        &self,
        conn: &mut Conn,
        action: &Action,
        source: &NodeRow,
        there: NodeRow,
    ) -> Result<Node> {
        let to = NodeId(there.id);
        let stamp = Stamp {
            created: None,
            ..stamp_of(source)
        };
        let (node, grown) = replace(conn, action, there, content_of(source)?, stamp).await?;
        props::clear(conn, to).await?;
        props::copy(conn, NodeId(source.id), to).await?;
        action.settle(conn, self.target.parent, grown).await?;
        Ok(node)
    }
}

fn content_of(row: &NodeRow) -> Result<(ContentId, i64)> {
    Ok((
        ContentId(row.content.ok_or(Error::IsACollection)?),
        row.size,
    ))
}

fn stamp_of(row: &NodeRow) -> Stamp {
    Stamp {
        modified: Some(Millis(row.mtime)),
        created: Some(Millis(row.created)),
        ..Stamp::default().like(row.mode())
    }
}
