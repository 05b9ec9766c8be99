//! The parts of the three trees that matter in a pass: see [`crate::client::reconcile::part`].

use std::collections::{BTreeSet, HashMap};

use super::{Engine, Error, Outcome};
use crate::client::item::{Content, Item, ItemId, Kind};
use crate::client::journal::{Entry, Pending};
use crate::client::local::Stamp;
use crate::client::local::read::List;
use crate::client::local::scan::Found;
use crate::client::reconcile::Tree;

/// The parts of the trees, and what else is known of their items.
pub(super) struct Parts {
    pub(super) local: Tree,
    pub(super) remote: Tree,
    pub(super) synced: Tree,
    /// What the server says of each.
    pub(super) heads: HashMap<ItemId, Entry>,
    /// What was in step.
    pub(super) rows: HashMap<ItemId, Entry>,
    /// Stamps of what is here.
    pub(super) stamps: HashMap<ItemId, Stamp>,
    /// How files here are cut that have this stamp.
    pub(super) cuts: HashMap<ItemId, (List, Stamp)>,
    /// Ids that others have taken the place of during the pass.
    pub(super) aliases: HashMap<ItemId, ItemId>,
    /// Those that cannot be relied on later.
    pub(super) racy: BTreeSet<ItemId>,
}

impl Engine {
    /// Puts together what was found here and what is pending.
    pub(super) async fn gather(&self, found: Found, outcome: &mut Outcome) -> Result<Parts, Error> {
        let whole = self.touched(&found).await?;
        let Pending {
            list: pending,
            rest,
        } = self.journal.pending(self.most, &whole).await?;
        outcome.rest |= rest;
        let mut wanted: BTreeSet<ItemId> = pending.iter().map(|(entry, _)| entry.id).collect();
        wanted.extend(
            pending
                .iter()
                .filter(|(_, gone)| !gone)
                .map(|(entry, _)| entry.parent),
        );
        wanted.extend(self.journal.occupants().await?);
        wanted.extend(found.missing.iter().map(|known| known.item.id));
        wanted.extend(
            found
                .changed
                .iter()
                .flat_map(|local| [local.item.id, local.item.parent]),
        );
        let mut parts = Parts::new(self.root);
        self.load(&mut parts, wanted).await?;
        parts.begin();
        for (entry, gone) in pending {
            parts.hear(entry, gone);
        }
        parts.see(found);
        Ok(parts)
    }

    /// Reads rows, and those of the collections above them.
    async fn load(&self, parts: &mut Parts, mut wanted: BTreeSet<ItemId>) -> Result<(), Error> {
        wanted.retain(|id| id.is_known() && *id != self.root);
        while !wanted.is_empty() {
            let asked: Vec<_> = wanted.iter().copied().collect();
            wanted.clear();
            for (entry, stamp) in self.journal.items(&asked).await? {
                if entry.parent != self.root && !parts.rows.contains_key(&entry.parent) {
                    wanted.insert(entry.parent);
                }
                parts.stamps.extend(stamp.map(|stamp| (entry.id, stamp)));
                parts.rows.insert(entry.id, entry);
            }
            wanted.retain(|id| !parts.rows.contains_key(id));
        }
        Ok(())
    }
}

impl Parts {
    fn new(root: ItemId) -> Self {
        let tree = Tree::new(Item {
            id: root,
            parent: ItemId(0),
            name: String::new(),
            kind: Kind::Collection,
            content: Content::None,
            executable: false,
            mount: true,
        });
        Self {
            local: tree.clone(),
            remote: tree.clone(),
            synced: tree,
            heads: HashMap::new(),
            rows: HashMap::new(),
            stamps: HashMap::new(),
            cuts: HashMap::new(),
            aliases: HashMap::new(),
            racy: BTreeSet::new(),
        }
    }

    /// All three trees as they were in step.
    fn begin(&mut self) {
        for entry in self.rows.values() {
            self.synced.insert(entry.item());
            self.heads.insert(entry.id, entry.clone());
        }
        self.local = self.synced.clone();
        self.remote = self.synced.clone();
    }

    /// What the server says now.
    fn hear(&mut self, entry: Entry, gone: bool) {
        if gone {
            self.remote.remove(entry.id);
            self.heads.remove(&entry.id);
        } else {
            self.remote.insert(entry.item());
            self.heads.insert(entry.id, entry);
        }
    }

    /// What is here now.
    fn see(&mut self, found: Found) {
        for known in found.missing {
            self.local.remove(known.item.id);
            self.stamps.remove(&known.item.id);
        }
        for local in found.changed {
            self.stamps.insert(local.item.id, local.stamp);
            if local.racy {
                self.racy.insert(local.item.id);
            }
            self.local.insert(local.item);
        }
    }

    /// The path of an item in a tree, without a leading slash.
    pub(super) fn path(tree: &Tree, id: ItemId) -> Option<String> {
        let (mut names, mut at) = (Vec::new(), id);
        while at != tree.root() {
            let item = tree.get(at)?;
            names.push(item.name.as_str());
            at = item.parent;
        }
        names.reverse();
        Some(names.join("/"))
    }

    /// The path of a place in a tree, without a leading slash.
    pub(super) fn place(tree: &Tree, parent: ItemId, name: &str) -> Option<String> {
        let dir = Self::path(tree, parent)?;
        Some(crate::client::local::join(&dir, name))
    }

    /// The stamp for the journal.
    pub(super) fn stamp(&self, id: ItemId) -> Option<Stamp> {
        self.stamps
            .get(&id)
            .copied()
            .filter(|_| !self.racy.contains(&id))
    }

    /// The stamp for the journal when the bytes here are those that were in step.
    pub(super) fn stamp_in_step(&self, id: ItemId) -> Option<Stamp> {
        let same = |item: &Item| {
            self.synced
                .get(id)
                .is_some_and(|synced| synced.content == item.content)
        };
        self.stamp(id)
            .filter(|_| self.local.get(id).is_some_and(same))
    }

    /// The id that an item has by now.
    pub(super) fn alias(&self, id: ItemId) -> ItemId {
        self.aliases.get(&id).copied().unwrap_or(id)
    }

    /// Gives an item another id, in what is known of this side.
    pub(super) fn rename(&mut self, from: ItemId, to: ItemId) {
        let moved: Vec<_> = self.local.children(from).collect();
        if let Some(item) = self.local.remove(from) {
            self.local.insert(Item { id: to, ..item });
        }
        for child in moved {
            if let Some(item) = self.local.remove(child) {
                self.local.insert(Item { parent: to, ..item });
            }
        }
        // Only what was in step has a row, and lies in something that was.
        if let Some(row) = self.rows.remove(&from) {
            self.rows.insert(to, Entry { id: to, ..row });
            for row in self.rows.values_mut().filter(|row| row.parent == from) {
                row.parent = to;
            }
        }
        if let Some(stamp) = self.stamps.remove(&from) {
            self.stamps.insert(to, stamp);
        }
        if self.racy.remove(&from) {
            self.racy.insert(to);
        }
    }
}
