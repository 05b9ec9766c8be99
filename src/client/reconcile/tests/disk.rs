//! A disk that refuses what a real one would, and everything that would lose something.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use crate::client::item::{Content, Item, ItemId, Kind};
use crate::client::reconcile::Tree;

pub(super) const ROOT: ItemId = ItemId(1);

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Node {
    pub(super) parent: ItemId,
    pub(super) name: String,
    pub(super) kind: Kind,
    pub(super) bytes: u64,
    /// Of the version that the bytes are known to be.
    pub(super) etag: Option<Arc<str>>,
    pub(super) executable: bool,
    pub(super) mount: bool,
}

impl Node {
    pub(super) fn new(parent: ItemId, name: &str, kind: Kind) -> Self {
        Self {
            parent,
            name: name.to_owned(),
            kind,
            bytes: 0,
            etag: None,
            executable: false,
            mount: false,
        }
    }

    fn content(&self) -> Content {
        match (&self.etag, self.kind) {
            (_, Kind::Collection) => Content::None,
            (Some(etag), _) => Content::Version(Arc::clone(etag)),
            (None, _) => Content::Local(self.bytes),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Disk {
    pub(super) nodes: BTreeMap<ItemId, Node>,
    places: BTreeMap<(ItemId, String), ItemId>,
}

impl Disk {
    pub(super) fn new() -> Self {
        let root = Node::new(ItemId(0), "", Kind::Collection);
        Self {
            nodes: BTreeMap::from([(ROOT, root)]),
            places: BTreeMap::new(),
        }
    }

    pub(super) fn at(&self, parent: ItemId, name: &str) -> Option<ItemId> {
        self.places.get(&(parent, name.to_owned())).copied()
    }

    /// Whether `id` is `above`, or lies below it.
    pub(super) fn is_below(&self, id: ItemId, above: ItemId) -> bool {
        let mut next = Some(id);
        while let Some(id) = next {
            if id == above {
                return true;
            }
            next = self.nodes.get(&id).map(|node| node.parent);
        }
        false
    }

    pub(super) fn below(&self, id: ItemId) -> BTreeSet<ItemId> {
        let mut found = BTreeSet::new();
        let mut open = vec![id];
        while let Some(parent) = open.pop() {
            let first = (parent, String::new());
            let children = self
                .places
                .range(first..)
                .take_while(|((of, _), _)| *of == parent);
            for (_, child) in children {
                found.insert(*child);
                open.push(*child);
            }
        }
        found
    }

    pub(super) fn make(&mut self, id: ItemId, node: Node) {
        assert!(!self.nodes.contains_key(&id), "{id:?} is there already");
        self.take(id, node.parent, &node.name);
        self.nodes.insert(id, node);
    }

    fn take(&mut self, id: ItemId, parent: ItemId, name: &str) {
        let above = self.nodes.get(&parent).map(|node| node.kind);
        assert_eq!(above, Some(Kind::Collection), "{id:?} into {parent:?}");
        let before = self.places.insert((parent, name.to_owned()), id);
        assert_eq!(before, None, "{id:?} to {name} in {parent:?}");
    }

    pub(super) fn move_to(&mut self, id: ItemId, parent: ItemId, name: &str) {
        assert!(!self.is_below(parent, id), "{id:?} into itself");
        self.take(id, parent, name);
        let node = self.nodes.get_mut(&id).unwrap();
        let old = std::mem::replace(&mut node.name, name.to_owned());
        let from = std::mem::replace(&mut node.parent, parent);
        self.places.remove(&(from, old)).unwrap();
    }

    /// Removes an item and what is told to lie below it; something else must not be there.
    pub(super) fn remove(&mut self, id: ItemId, told: &[ItemId]) {
        let below: BTreeSet<_> = told.iter().copied().collect();
        assert_eq!(self.below(id), below, "below {id:?}");
        assert_eq!(below.len(), told.len(), "told twice");
        for (index, child) in told.iter().enumerate() {
            let parent = self.nodes[child].parent;
            assert!(
                parent == id || told[..index].contains(&parent),
                "parents first"
            );
        }
        for gone in told.iter().chain([&id]) {
            let node = self.nodes.remove(gone).unwrap();
            self.places.remove(&(node.parent, node.name)).unwrap();
        }
    }

    /// Removes it with all that lies below.
    pub(super) fn remove_all(&mut self, id: ItemId) {
        let below = self.below(id);
        for gone in below.into_iter().chain([id]) {
            let node = self.nodes.remove(&gone).unwrap();
            self.places.remove(&(node.parent, node.name)).unwrap();
        }
    }

    pub(super) fn renumber(&mut self, ids: &HashMap<ItemId, ItemId>) {
        let new = |id: ItemId| ids.get(&id).copied().unwrap_or(id);
        let nodes = std::mem::take(&mut self.nodes);
        let count = nodes.len();
        self.nodes = nodes
            .into_iter()
            .map(|(id, mut node)| {
                node.parent = new(node.parent);
                (new(id), node)
            })
            .collect();
        assert_eq!(self.nodes.len(), count, "two of one id");
        let others = self.nodes.iter().filter(|(id, _)| **id != ROOT);
        let places = others.map(|(id, node)| ((node.parent, node.name.clone()), *id));
        self.places = places.collect();
    }

    pub(super) fn item(&self, id: ItemId) -> Option<Item> {
        let node = self.nodes.get(&id)?;
        Some(Item {
            id,
            parent: node.parent,
            name: node.name.clone(),
            kind: node.kind,
            content: node.content(),
            executable: node.executable,
            mount: node.mount,
        })
    }

    pub(super) fn tree(&self) -> Tree {
        let mut tree = Tree::new(self.item(ROOT).unwrap());
        for id in self.nodes.keys().filter(|id| **id != ROOT) {
            tree.insert(self.item(*id).unwrap());
        }
        tree
    }

    /// The path of everything, with its kind, bytes, and whether it is executable.
    pub(super) fn paths(&self) -> BTreeSet<(String, Kind, u64, bool)> {
        let others = self.nodes.iter().filter(|(id, _)| **id != ROOT);
        others
            .map(|(id, node)| (self.path(*id), node.kind, node.bytes, node.executable))
            .collect()
    }

    pub(super) fn path(&self, id: ItemId) -> String {
        let node = &self.nodes[&id];
        if id == ROOT {
            return String::new();
        }
        format!("{}/{}", self.path(node.parent), node.name)
    }

    pub(super) fn files(&self) -> impl Iterator<Item = (ItemId, &Node)> {
        let files = self
            .nodes
            .iter()
            .filter(|(_, node)| node.kind != Kind::Collection);
        files.map(|(id, node)| (*id, node))
    }
}
