//! Dead properties.

use super::locate::walk;
use super::model::{Node, Property, PropertyChange, Times};
use super::turn::{Action, Deed};
use super::{Error, Result, Tree, touch};
use crate::store::meta::{Conn, nodes, props};
use crate::types::{NodeId, NodePath, SpaceId};

/// Most dead properties of one node; real clients keep fewer than twenty.
const PROPS_MAX: i64 = 256;
/// Most bytes of dead properties of one node: listings carry them all.
const PROP_BYTES_MAX: i64 = 256 * 1024;
/// Longest namespace and name of a property together, in bytes: what an index of PostgreSQL takes.
const PROP_NAME_MAX: usize = 2048;

impl Tree {
    /// The dead properties of a node.
    pub async fn properties(&self, node: &Node) -> Result<Vec<Property>> {
        let rows = props::list(&mut *self.store.meta.read().await?, node.id).await?;
        Ok(rows.into_iter().map(Property::from).collect())
    }

    /// Applies all changes and sets `times`, or does nothing (RFC 4918 §9.2).
    pub async fn patch_properties(
        &self,
        at: &NodePath,
        changes: Vec<PropertyChange>,
        times: Times,
    ) -> Result<Node> {
        let mut conn = self.store.meta.read().await?;
        let spot = self.spot(&mut conn, at).await?;
        let row = walk(&mut conn, spot.root, spot.names).await?;
        drop(conn);
        let row = row.ok_or(Error::NotFound)?;
        let (tree, space) = (self.clone(), spot.space);
        let spot = (space, NodeId(row.id));
        self.write(space, move |conn| {
            Box::pin(async move { patch(conn, &tree, spot, &changes, times).await })
        })
        .await
    }
}

async fn patch(
    conn: &mut Conn,
    tree: &Tree,
    (space, id): (SpaceId, NodeId),
    changes: &[PropertyChange],
    times: Times,
) -> Result<Node> {
    let action = Action::begin(conn, tree, space, 0).await?;
    let row = nodes::by_id(conn, id)
        .await?
        .filter(|row| row.trashed.is_none());
    let row = row.ok_or(Error::NotFound)?;
    action.guard(conn, tree, id).await?;
    for change in changes {
        apply(conn, id, change).await?;
    }
    let (count, bytes) = props::used(conn, id).await?;
    if count > PROPS_MAX || bytes > PROP_BYTES_MAX {
        return Err(Error::TooLarge(
            "more than 256 properties or 256 KiB of them",
        ));
    }
    let parent = row.parent.map_or(id, NodeId);
    let stamp = touch::stamp_of(&row, times);
    let node = touch::apply(conn, &action, row, stamp).await?;
    action.settle(conn, parent, 0).await?;
    action.log(conn, Deed::Edit, id.0, 0).await?;
    Ok(node)
}

async fn apply(conn: &mut Conn, id: NodeId, change: &PropertyChange) -> Result<()> {
    match change {
        PropertyChange::Set(Property {
            namespace,
            name,
            xml,
        }) => {
            if namespace.len() + name.len() > PROP_NAME_MAX {
                return Err(Error::TooLarge("a property's name is over 2 KiB"));
            }
            props::put(conn, id, (namespace, name), xml).await?;
        }
        PropertyChange::Remove { namespace, name } => {
            props::delete(conn, id, (namespace, name)).await?;
        }
    }
    Ok(())
}
