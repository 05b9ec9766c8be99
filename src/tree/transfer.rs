//! Between spaces: bytes are sealed anew with the other space's keys, then named in one transaction.
//!
//! Each space has keys, dedup and ids of its own, so nothing can be shared across. A MOVE is such a
//! copy that sends the source to trash in the same transaction: versions stay with it there.

use std::sync::Arc;

use super::copy::Reach;
use super::locate::Place;
use super::model::{Node, Overwrite, Placed, Property};
use super::remove;
use super::turn::{Action, Deed};
use super::write::{self, Stamp, create_at, replace, signed};
use super::{Error, Result, Tree, With};
use crate::store::content::{Staged, Upload};
use crate::store::meta::nodes::{self, FILE, NewNode, NodeRow};
use crate::store::meta::{Alone, Conn, contents, props, subtree};
use crate::store::{Error as StoreError, Pin};
use crate::types::{ContentId, MAX_DEPTH, Mode, NodeId, NodeName, NodePath};

/// Most nodes one copy between spaces may make: their names are held in memory until the commit,
/// which everybody waits for.
const ACROSS_MAX: usize = 10_000;
/// Most bytes of dead properties one copy between spaces takes along, held in memory as well.
const PROPS_MAX: usize = 8 * 1024 * 1024;
/// Contents named at once while sealing anew; small ones are held in memory until then.
const NAMED_AT_ONCE: usize = 64;
/// Bytes read at once while sealing anew.
const READ_MAX: usize = 1024 * 1024;

/// How often a MOVE begins when somebody writes to its source meanwhile.
const TRIES: usize = 3;
const TOO_MANY: Error =
    Error::TooLarge("at most 10,000 nodes with 8 MiB of properties go to another space at once");

/// A node to be made in the other space; parents come before children.
struct Planned {
    /// Index of its parent in the plan; the top has none.
    parent: Option<usize>,
    node: Node,
    content: Option<(ContentId, i64)>,
    properties: Vec<Property>,
}

/// What a MOVE takes away: a place, and the node as it was copied.
struct Source {
    place: Place,
    known: Node,
}

impl Tree {
    /// MOVE into another space. When somebody writes to the source while it is copied, nothing has
    /// changed and the copy begins again; [`StoreError::Busy`] when that does not end.
    pub(super) async fn transfer(
        &self,
        from: &NodePath,
        to: &NodePath,
        target: &Place,
        overwrite: Overwrite,
    ) -> Result<Placed> {
        self.check_locks(from, true, false, &self.tokens).await?;
        for _ in 0..TRIES {
            let source = Source {
                place: self.source(from).await?,
                known: self.lookup(from).await?,
            };
            let plan = self
                .plan_across(from, to, target, overwrite, Reach::Deep)
                .await?;
            let moved = self.place_planned(target, overwrite, plan, Some(source));
            match moved.await {
                // Nothing else was held against an etag.
                Err(Error::PreconditionFailed) => {}
                moved => return moved,
            }
        }
        Err(StoreError::Busy.into())
    }

    /// COPY into another space.
    pub(super) async fn copy_across(
        &self,
        from: &NodePath,
        to: &NodePath,
        target: &Place,
        overwrite: Overwrite,
        reach: Reach,
    ) -> Result<Placed> {
        let plan = self.plan_across(from, to, target, overwrite, reach).await?;
        self.place_planned(target, overwrite, plan, None).await
    }

    /// Refuses what cannot be placed, and makes the rest ready for it.
    async fn plan_across(
        &self,
        from: &NodePath,
        to: &NodePath,
        target: &Place,
        overwrite: Overwrite,
        reach: Reach,
    ) -> Result<(Vec<Planned>, Arc<Pin>)> {
        let top = self.lookup(from).await?;
        let taken = self.lookup(to).await.is_ok();
        if taken && overwrite == Overwrite::No {
            return Err(Error::Exists);
        }
        self.refuse_over_quota(target, top.size).await?;
        self.refuse_too_many(&top).await?;
        // What gets rows on the way is named by nothing until the end.
        let pin = self.store.pin().await?;
        Ok((self.plan(top, target, reach, to.depth()).await?, pin))
    }

    /// Names everything and takes the source away, if there is one, both or neither.
    async fn place_planned(
        &self,
        target: &Place,
        overwrite: Overwrite,
        (plan, pin): (Vec<Planned>, Arc<Pin>),
        source: Option<Source>,
    ) -> Result<Placed> {
        let (tree, target) = (self.clone(), target.clone());
        let left = source.as_ref().map(|source| source.place.space);
        let placed = self.write_contents(target.space, move |conn| {
            Box::pin(async move {
                if let Some(Source { place, known }) = source {
                    // In one order, or two moves in opposite directions wait for each other.
                    let (a, b) = (place.space, target.space);
                    conn.alone(Alone::Space(a.min(b))).await?;
                    conn.alone(Alone::Space(a.max(b))).await?;
                    let known = (known.id, known.seq, known.etag);
                    remove::discard(conn, &tree, &place, Some(known)).await?;
                }
                let placed = place_all(conn, &tree, &target, overwrite, plan).await;
                drop(pin);
                placed
            })
        });
        let placed = placed.await?;
        if let Some(space) = left {
            self.store.events.announce(space);
        }
        Ok(placed)
    }

    async fn refuse_too_many(&self, top: &Node) -> Result<()> {
        let mut conn = self.store.meta.read().await?;
        let most = i64::try_from(ACROSS_MAX).unwrap_or(i64::MAX);
        if subtree::count(&mut conn, top.id, most + 1).await? > most {
            return Err(TOO_MANY);
        }
        Ok(())
    }

    /// Reads the source and seals its bytes for the other space, top first.
    async fn plan(
        &self,
        top: Node,
        target: &Place,
        reach: Reach,
        depth: usize,
    ) -> Result<Vec<Planned>> {
        let (mut plan, mut staged, mut bytes) = (Vec::new(), Vec::new(), 0);
        let mut open = vec![(None, top, depth)];
        while let Some((parent, node, depth)) = open.pop() {
            let index = plan.len();
            if node.is_collection() && reach == Reach::Deep {
                self.open_children(&node, |child| open.push((Some(index), child, depth + 1)))
                    .await?;
            }
            let properties = self.properties(&node).await?;
            bytes += properties
                .iter()
                .map(|property| property.xml.len())
                .sum::<usize>();
            if plan.len() + open.len() > ACROSS_MAX || depth > MAX_DEPTH || bytes > PROPS_MAX {
                return Err(TOO_MANY);
            }
            if !node.is_collection() {
                staged.push((index, self.reseal(&node, target).await?));
            }
            plan.push(Planned {
                parent,
                node,
                content: None,
                properties,
            });
            if staged.len() >= NAMED_AT_ONCE {
                self.name_all(std::mem::take(&mut staged), &mut plan)
                    .await?;
            }
        }
        self.name_all(staged, &mut plan).await?;
        Ok(plan)
    }

    /// Gives contents their rows, so that they need not be held until the commit.
    async fn name_all(&self, staged: Vec<(usize, Staged)>, plan: &mut [Planned]) -> Result<()> {
        let Some(space) = staged.first().map(|(_, staged)| staged.space) else {
            return Ok(());
        };
        let meta = &self.store.meta;
        let named: Result<Vec<_>> = meta
            .write(move |conn| {
                Box::pin(async move {
                    // Others name the same contents in another order.
                    conn.alone(Alone::Space(space)).await?;
                    let mut named = Vec::with_capacity(staged.len());
                    for (index, staged) in &staged {
                        named.push((*index, write::name(conn, staged).await?));
                    }
                    Ok(named)
                })
            })
            .await;
        for (index, content) in named? {
            plan[index].content = Some(content);
        }
        Ok(())
    }

    async fn open_children(&self, of: &Node, mut take: impl FnMut(Node)) -> Result<()> {
        let mut after = None;
        loop {
            let page = self.list(of, With::default(), after).await?;
            page.nodes.into_iter().for_each(&mut take);
            match page.next {
                Some(end) => after = Some(end),
                None => return Ok(()),
            }
        }
    }

    async fn reseal(&self, node: &Node, target: &Place) -> Result<Staged> {
        let mut reader = self.read(node).await?;
        let mut upload = Upload::start(&self.store, target.space, Some(node.size), None).await?;
        upload.set_name(&node.name);
        loop {
            let bytes = reader.read(READ_MAX).await?;
            if bytes.is_empty() {
                break;
            }
            upload.push(bytes).await?;
        }
        upload.finish().await?.ok_or(Error::Checksum)
    }
}

/// Names everything in one transaction.
async fn place_all(
    conn: &mut Conn,
    tree: &Tree,
    target: &Place,
    overwrite: Overwrite,
    plan: Vec<Planned>,
) -> Result<Placed> {
    let ids = i64::try_from(plan.len()).unwrap_or(i64::MAX);
    let action = Action::begin(conn, tree, target.space, ids).await?;
    for (content, _) in plan.iter().filter_map(|planned| planned.content) {
        contents::keep(conn, target.space, content).await?;
    }
    let there = action.at(conn, target).await?;
    let single = plan.len() == 1 && plan[0].content.is_some();
    let saved = single && there.as_ref().is_some_and(|there| there.kind == FILE);
    match &there {
        Some(_) if overwrite == Overwrite::No => return Err(Error::Exists),
        Some(there) => action.guard_all(conn, tree, NodeId(there.id)).await?,
        None => {}
    }
    if !saved {
        action.guard(conn, tree, target.parent).await?;
    }
    let replaced = there.is_some();
    if let (Some(there), true) = (&there, saved) {
        let node = over(conn, &action, target, there.clone(), &plan[0]).await?;
        return Ok(Placed { node, replaced });
    }
    if let Some(there) = &there {
        action.discard(conn, there).await?;
    }
    for (index, planned) in plan.iter().enumerate() {
        put(conn, &action, target, (index, planned)).await?;
    }
    let top = action.turn.first_node;
    fill_sizes(conn, &action, &plan).await?;
    action
        .log(conn, Deed::Copy, top.0, signed(plan[0].node.size))
        .await?;
    Ok(Placed {
        node: nodes::by_id(conn, top)
            .await?
            .ok_or(Error::NotFound)?
            .into(),
        replaced,
    })
}

async fn over(
    conn: &mut Conn,
    action: &Action,
    target: &Place,
    there: NodeRow,
    planned: &Planned,
) -> Result<Node> {
    let to = NodeId(there.id);
    let content = planned.content.ok_or(Error::IsACollection)?;
    let stamp = Stamp {
        modified: Some(planned.node.modified),
        ..Stamp::default().like(planned.node.mode)
    };
    let (node, grown) = replace(conn, action, there, content, stamp).await?;
    props::clear(conn, to).await?;
    put_props(conn, to, planned).await?;
    action.settle(conn, target.parent, grown).await?;
    Ok(node)
}

/// Makes one planned node; sizes of collections follow in [`fill_sizes`].
async fn put(
    conn: &mut Conn,
    action: &Action,
    target: &Place,
    (index, planned): (usize, &Planned),
) -> Result<()> {
    let nth = |index: usize| NodeId(action.turn.first_node.0 + i64::try_from(index).unwrap_or(0));
    let (parent, name) = match planned.parent {
        None => (target.parent, target.name.clone()),
        Some(parent) => (nth(parent), NodeName::parse(&planned.node.name)?),
    };
    let (id, node) = (nth(index), &planned.node);
    if let Some(content) = planned.content {
        let place = Place {
            space: target.space,
            parent,
            name,
        };
        let stamp = Stamp {
            modified: Some(node.modified),
            created: Some(node.created),
            ..Stamp::default().like(node.mode)
        };
        create_at(conn, action, &place, id, content, stamp).await?;
    } else {
        let new = NewNode {
            id,
            space: target.space,
            parent: Some(parent),
            name: Some(&name),
            content: None,
            mtime: node.modified,
            created: node.created,
            written: action.now,
            device: action.device,
            seq: action.turn.seq,
            mode: Mode::default(),
        };
        nodes::insert(conn, &[new]).await?;
    }
    put_props(conn, id, planned).await
}

/// Each file's bytes count in all collections above it.
async fn fill_sizes(conn: &mut Conn, action: &Action, plan: &[Planned]) -> Result<()> {
    let mut size = vec![0_i64; plan.len()];
    for (index, planned) in plan.iter().enumerate().rev() {
        if planned.content.is_some() {
            size[index] = signed(planned.node.size);
        } else if size[index] != 0 {
            let id = NodeId(action.turn.first_node.0 + i64::try_from(index).unwrap_or(0));
            nodes::set_tree_size(conn, id, size[index]).await?;
        }
        if let Some(parent) = planned.parent {
            size[parent] += size[index];
        }
    }
    let top = nodes::by_id(conn, action.turn.first_node)
        .await?
        .ok_or(Error::NotFound)?;
    let parent = NodeId(top.parent.ok_or(Error::NotFound)?);
    action.settle(conn, parent, size[0]).await
}

async fn put_props(conn: &mut Conn, id: NodeId, planned: &Planned) -> Result<()> {
    for property in &planned.properties {
        let name = (property.namespace.as_str(), property.name.as_str());
        props::put(conn, id, name, &property.xml).await?;
    }
    Ok(())
}
