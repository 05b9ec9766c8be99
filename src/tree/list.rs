//! Listing a collection, page by page.

use std::collections::HashMap;

use super::model::{Lock, Node, Property};
use super::{Error, Result, Tree, row};
use crate::store::meta::nodes::Member;
use crate::store::meta::{Conn, locks, nodes, props};
use crate::types::{ContentId, Millis, Mode, NodeId, NodeName, Seq};

/// Children in one page: a few hundred KiB, and a fraction of a millisecond of the reader.
const PAGE: i64 = 1000;

/// What to bring along with the nodes.
#[derive(Clone, Copy, Debug, Default)]
pub struct With {
    /// Dead properties.
    pub properties: bool,
    /// Locks on the children themselves; deep ones from above are in `Tree::locks`.
    pub locks: bool,
    /// Checksums.
    pub checksums: bool,
}

/// Where a page ended.
#[derive(Clone, Debug)]
pub struct PageEnd(pub(super) String);

impl PageEnd {
    /// Behind a name, whether or not a child has it (any more).
    pub fn after(name: &NodeName) -> Self {
        Self(name.key())
    }
}

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
        self.list_some(of, with, after, PAGE).await
    }

    /// The same with at most `limit` children.
    pub(super) async fn list_some(
        &self,
        of: &Node,
        with: With,
        after: Option<PageEnd>,
        limit: i64,
    ) -> Result<Page> {
        if !of.is_collection() {
            return Err(Error::NotACollection);
        }
        let mut conn = self.store.meta.read().await?;
        let first = after.is_none();
        let after = after.map_or(String::new(), |end| end.0);
        let rows = nodes::members(&mut conn, of.id, &after, limit).await?;
        let full = i64::try_from(rows.len()).is_ok_and(|count| count == limit);
        let upto = rows
            .last()
            .map(|(_, name, ..)| key_of(name))
            .unwrap_or_default();
        let mut page = Page {
            nodes: Vec::with_capacity(rows.len()),
            properties: HashMap::new(),
            locks: HashMap::new(),
            next: full.then(|| PageEnd(upto.clone())),
        };
        if first && of.parent.is_none() && of.space == self.user.space {
            page.nodes = self.mounted(&mut conn).await?;
        }
        page.nodes
            .extend(rows.into_iter().map(|row| member(of, row)));
        if with.checksums {
            add_checksums(&mut conn, of.id, (&after, &upto), &mut page.nodes).await?;
        }
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

async fn add_checksums(
    conn: &mut Conn,
    of: NodeId,
    range: (&str, &str),
    found: &mut [Node],
) -> Result<()> {
    let mut known: HashMap<i64, String> = nodes::checksums(conn, of, range)
        .await?
        .into_iter()
        .collect();
    for node in found {
        node.checksum = known.remove(&node.id.0);
    }
    Ok(())
}

fn member(of: &Node, row: Member) -> Node {
    let (id, name, kind, content, version, size, mtime, created, seq, tree_seq, mode) = row;
    Node {
        id: NodeId(id),
        space: of.space,
        parent: Some(of.id),
        name,
        kind: row::kind(kind),
        size: row::bytes(size),
        modified: Millis(mtime),
        created: Millis(created),
        etag: row::etag(content, tree_seq),
        content: content.map(ContentId),
        version,
        seq: Seq(seq),
        trashed: None,
        mode: Mode::read(mode),
        checksum: None,
    }
}

fn key_of(name: &str) -> String {
    NodeName::parse(name).map_or_else(|_| name.to_owned(), |name| name.key())
}
