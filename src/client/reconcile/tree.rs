//! Items by id, and by the place they lie at.

use std::collections::{BTreeMap, HashMap};

use crate::client::item::{Item, ItemId};

/// A tree of items, or the part of one that [`super`] says is enough.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tree {
    root: ItemId,
    items: HashMap<ItemId, Item>,
    children: HashMap<ItemId, BTreeMap<String, ItemId>>,
}

impl Tree {
    /// A tree that holds its root only. What the root says about its own place does not matter.
    pub fn new(root: Item) -> Self {
        Self {
            root: root.id,
            items: HashMap::from([(root.id, root)]),
            children: HashMap::new(),
        }
    }

    /// The collection that everything lies below.
    pub fn root(&self) -> ItemId {
        self.root
    }

    /// Puts an item in, in whatever order, in place of what it was before.
    ///
    /// When another one lies at its place, both stay and the place leads to this one. Only the synced tree may end like
    /// that (after a swap of which one half failed); [`Self::top_down`] finds it.
    pub fn insert(&mut self, item: Item) {
        self.remove(item.id);
        if item.id != self.root {
            self.children
                .entry(item.parent)
                .or_default()
                .insert(item.name.clone(), item.id);
        }
        self.items.insert(item.id, item);
    }

    /// Takes one item out; what lies below it stays.
    pub fn remove(&mut self, id: ItemId) -> Option<Item> {
        let item = self.items.remove(&id)?;
        if let Some(names) = self.children.get_mut(&item.parent)
            && names.get(&item.name) == Some(&id)
        {
            names.remove(&item.name);
            if names.is_empty() {
                self.children.remove(&item.parent);
            }
        }
        Some(item)
    }

    /// The item of this id.
    pub fn get(&self, id: ItemId) -> Option<&Item> {
        self.items.get(&id)
    }

    /// Whether it is there.
    pub fn has(&self, id: ItemId) -> bool {
        self.items.contains_key(&id)
    }

    /// The item that lies at a place.
    pub fn at(&self, parent: ItemId, name: &str) -> Option<ItemId> {
        self.children.get(&parent)?.get(name).copied()
    }

    /// What lies in a collection, by name.
    pub fn children(&self, parent: ItemId) -> impl Iterator<Item = ItemId> + '_ {
        let names = self.children.get(&parent);
        names.into_iter().flat_map(|names| names.values().copied())
    }

    /// All items, in no order.
    pub fn items(&self) -> impl Iterator<Item = &Item> {
        self.items.values()
    }

    /// All ids, each collection before what it holds.
    ///
    /// Fails with an id that the root does not lead to: its parent is absent, or below itself, or another item has its
    /// place.
    pub fn top_down(&self) -> Result<Vec<ItemId>, ItemId> {
        let mut order = Vec::with_capacity(self.items.len());
        order.push(self.root);
        let mut next = 0;
        while let Some(&parent) = order.get(next) {
            order.extend(self.children(parent));
            next += 1;
        }
        if order.len() == self.items.len() {
            return Ok(order);
        }
        let led: std::collections::HashSet<_> = order.into_iter().collect();
        let lost = self.items.keys().filter(|id| !led.contains(id)).min();
        Err(lost.copied().unwrap_or(self.root))
    }
}
