//! Makes of what was met what was found: new, moved, missing.

use std::collections::{HashMap, HashSet};

use rustix::io::Errno;

use super::walk::{Node, Parent, State, Walk};
use super::{Found, Known, Local};
use crate::client::item::{Content, Item, ItemId, Kind};
use crate::client::local::stamp::Stamp;

impl<E> Walk<'_, '_, E> {
    /// Gives what was found, and why the root could not be read.
    pub(super) fn finish(mut self) -> (Found, Option<Errno>) {
        self.leave_rest();
        let mut ids: Vec<Option<ItemId>> = Vec::with_capacity(self.nodes.len());
        for node in std::mem::take(&mut self.nodes) {
            let parent = match node.parent {
                Parent::Item(id) => Some(id),
                Parent::Node(at) => ids[at],
            };
            let id = match node.state {
                State::Fresh => parent.map(|parent| self.is_new(&node, parent)),
                State::Moved(at) => {
                    if parent.is_none() {
                        // Where it is now is not synced for now: so it stays where it was.
                        self.gone[at].taken = false;
                        self.held.insert(node.seen.stamp.inode);
                    }
                    parent.map(|parent| self.has_moved(&node, parent, at))
                }
                State::Known(id) => Some(id),
                State::Dropped => None,
            };
            ids.push(id);
        }
        let kept = self.kept();
        let missing = self
            .gone
            .into_iter()
            .filter(|gone| !gone.taken)
            .map(|gone| gone.known);
        self.found.missing = missing
            .filter(|known| !kept.contains(&known.item.id))
            .collect();
        // One that was changed below a collection that went a moment later.
        let missing: HashSet<ItemId> = self
            .found
            .missing
            .iter()
            .map(|known| known.item.id)
            .collect();
        self.found
            .changed
            .retain(|local| !missing.contains(&local.item.id));
        (self.found, self.root_error)
    }

    /// What is gone and yet does not count as deleted: what is held, and the collections above it, without which it
    /// would have no place.
    fn kept(&self) -> HashSet<ItemId> {
        let gone = || self.gone.iter().filter(|gone| !gone.taken);
        let above: HashMap<ItemId, ItemId> = gone()
            .map(|gone| (gone.known.item.id, gone.known.item.parent))
            .collect();
        let mut kept = HashSet::new();
        for gone in gone() {
            let stamp = gone.known.stamp;
            if !stamp.is_some_and(|stamp| self.held.contains(&stamp.inode)) {
                continue;
            }
            let mut at = Some(gone.known.item.id);
            while let Some(id) = at.filter(|id| above.contains_key(id)) {
                at = kept.insert(id).then(|| above[&id]);
            }
        }
        kept
    }

    fn is_new(&mut self, node: &Node, parent: ItemId) -> ItemId {
        self.numbers.id -= 1;
        let id = ItemId(self.numbers.id);
        let content = if node.kind == Kind::Collection {
            Content::None
        } else {
            self.numbers.content += 1;
            Content::Local(self.numbers.content)
        };
        let executable = self.folder.has_modes() && node.seen.executable();
        let (name, kind) = (node.name.clone(), node.kind);
        let item = Item {
            id,
            parent,
            name,
            kind,
            content,
            executable,
            mount: false,
        };
        self.push(item, node.seen.stamp);
        id
    }

    fn has_moved(&mut self, node: &Node, parent: ItemId, gone: usize) -> ItemId {
        let Known {
            item: mut known,
            stamp,
        } = self.gone[gone].known.clone();
        let same = stamp.is_some_and(|stamp| stamp.same_bytes(&node.seen.stamp));
        if node.kind != Kind::Collection && !same {
            self.numbers.content += 1;
            known.content = Content::Local(self.numbers.content);
        }
        let executable = self.executable(&known, &node.seen);
        let item = Item {
            parent,
            name: node.name.clone(),
            executable,
            ..known
        };
        let id = item.id;
        self.push(item, node.seen.stamp);
        id
    }

    fn push(&mut self, item: Item, stamp: Stamp) {
        let racy = stamp.is_racy(self.begin_ns);
        self.found.changed.push(Local { item, stamp, racy });
    }
}
