//! What a device knows of the server's tree, by the ids of its nodes.

use std::collections::BTreeMap;

use sync_server::protocol::files::{Kind, Node};
use sync_server::protocol::sync::Change;

/// The tree as far as it was told.
#[derive(Clone, Debug, Default)]
pub struct Mirror(BTreeMap<i64, Node>);

impl Mirror {
    /// Takes all changes up to `more: false`; returns collections that came back from trash, whose
    /// members must be listed.
    ///
    /// Only the last word about a node counts, and what is gone goes last: a node that moved out of
    /// a deleted collection may be told behind it.
    pub fn take(&mut self, changes: Vec<Change>) -> Vec<i64> {
        let last: BTreeMap<i64, Change> = changes.into_iter().map(|c| (c.id, c)).collect();
        let (mut gone, mut restored) = (Vec::new(), Vec::new());
        for (id, change) in last {
            match change.node {
                Some(node) if !change.deleted => self.put(node),
                Some(_) | None => gone.push(id),
            }
            if change.restored {
                restored.push(id);
            }
        }
        for id in gone {
            self.remove(id);
        }
        restored
    }

    /// Takes a node as it is now.
    pub fn put(&mut self, node: Node) {
        self.0.insert(node.id, node);
    }

    fn remove(&mut self, id: i64) {
        let mut open = vec![id];
        while let Some(id) = open.pop() {
            self.0.remove(&id);
            let below = self.0.values().filter(|node| node.parent == Some(id));
            open.extend(below.map(|node| node.id));
        }
    }

    /// A node.
    pub fn get(&self, id: i64) -> Option<&Node> {
        self.0.get(&id)
    }

    /// The node at a path.
    pub fn at(&self, path: &str) -> Option<&Node> {
        self.0
            .values()
            .find(|node| self.path(node).as_deref() == Some(path))
    }

    /// All nodes.
    pub fn nodes(&self) -> impl Iterator<Item = &Node> {
        self.0.values()
    }

    /// Where a node is, from the names of those above it; `None` when one of them is not known.
    pub fn path(&self, node: &Node) -> Option<String> {
        let Some(parent) = node.parent else {
            return Some(node.path.clone());
        };
        let above = self.path(self.0.get(&parent)?)?;
        Some(format!("{}/{}", above.trim_end_matches('/'), node.name))
    }

    /// The tree by paths, roots left out.
    #[track_caller]
    pub fn tree(&self) -> BTreeMap<String, &Node> {
        let mut tree = BTreeMap::new();
        for node in self.0.values().filter(|node| node.parent.is_some()) {
            let Some(path) = self.path(node) else {
                panic!("nothing is known above {node:?}");
            };
            let other = tree.insert(path, node);
            assert!(
                other.is_none(),
                "two nodes at one path: {other:?}, {node:?}"
            );
        }
        tree
    }

    /// The files.
    pub fn files(&self) -> impl Iterator<Item = &Node> {
        self.0.values().filter(|node| node.kind == Kind::File)
    }
}
