//! Listing a collection, page by page.

use std::collections::HashMap;

use super::model::{Lock, Node, Property};
use super::{Error, Result, Tree};
use crate::store::meta::nodes::NodeRow;
use crate::store::meta::{Conn, locks, nodes, props};
use crate::types::{NodeId, NodeName};

/// Children in one page: a few hundred KiB, and a fraction of a millisecond of the reader.
const PAGE: i64 = 1000;

/// What to bring along with the nodes.
#[derive(Clone, Copy, Debug, Default)]
pub struct With {
    /// Dead properties.
    pub properties: bool,
    /// Locks on the children themselves; deep ones from above are in `Tree::locks`.
    pub locks: bool,
}

/// Where a page ended.
#[derive(Clone, Debug)]
pub struct PageEnd(String);

/// Some children of a collection, in the order of their names.
#[derive(Debug)]
pub struct Page {
    /// The children.
    pub nodes: Vec<Node>,
    /// Their dead properties, when asked for.
    pub properties: HashMap<NodeId, Vec<Property>>,
    /// Locks on them, when asked for.
    pub locks: HashMap<NodeId, Vec<Lock>>,
    /// Where to go on; `None` at the end.
    pub next: Option<PageEnd>,
}

impl Tree {
    /// One page of at most 1000 children. What is mounted in the account's root comes first.
    pub async fn list(&self, of: &Node, with: With, after: Option<PageEnd>) -> Result<Page> {
        if !of.is_collection() {
            return Err(Error::NotACollection);
        }
        let mut conn = self.store.meta.read().await?;
        let first = after.is_none();
        let after = after.map_or(String::new(), |end| end.0);
        let rows = nodes::children(&mut conn, of.id, &after, PAGE).await?;
        let full = i64::try_from(rows.len()).is_ok_and(|count| count == PAGE);
        let upto = rows.last().map(key_of).unwrap_or_default();
        let mut page = Page {
            nodes: Vec::with_capacity(rows.len()),
            properties: HashMap::new(),
            locks: HashMap::new(),
            next: full.then(|| PageEnd(upto.clone())),
        };
        if first && of.parent.is_none() && of.space == self.user.space {
            page.nodes = self.mounted(&mut conn).await?;
        }
        page.nodes.extend(rows.into_iter().map(Node::from));
        if with.properties {
            page.properties = properties(&mut conn, of.id, &after, &upto).await?;
        }
        if with.locks {
            page.locks = self.child_locks(&mut conn, of, (&after, &upto)).await?;
        }
        Ok(page)
    }

    async fn child_locks(
        &self,
        conn: &mut Conn,
        of: &Node,
        range: (&str, &str),
    ) -> Result<HashMap<NodeId, Vec<Lock>>> {
        let mut found: HashMap<NodeId, Vec<Lock>> = HashMap::new();
        for row in locks::of_children(conn, of.id, range, self.clock.now()).await? {
            let lock = self.resolve_lock(conn, row).await?;
            found.entry(lock.node).or_default().push(lock);
        }
        Ok(found)
    }
}

async fn properties(
    conn: &mut Conn,
    of: NodeId,
    after: &str,
    upto: &str,
) -> Result<HashMap<NodeId, Vec<Property>>> {
    let mut found: HashMap<NodeId, Vec<Property>> = HashMap::new();
    for row in props::of_children(conn, of, after, upto).await? {
        found.entry(NodeId(row.node)).or_default().push(row.into());
    }
    Ok(found)
}

fn key_of(row: &NodeRow) -> String {
    NodeName::parse(&row.name).map_or_else(|_| row.name.clone(), |name| name.key())
}
