//! What is left for the next scan when much is new.
//!
//! Only what is new for sure may wait: as long as something is gone, or may be elsewhere because another thing lies under
//! its name, any of it may be what that has become.

use super::Reach;
use super::walk::{Parent, Walk};
use crate::client::item::ItemId;
use crate::client::local::join;

impl<E> Walk<'_, '_, E> {
    /// How many more new items may be met.
    pub(super) fn room(&self) -> usize {
        if self.gone.is_empty() && !self.astray {
            self.most.saturating_sub(self.nodes.len())
        } else {
            usize::MAX
        }
    }

    /// Leaves what lies in a new collection, or some of it.
    pub(super) fn leave(&mut self, at: usize) {
        let node = &self.nodes[at];
        let path = join(&node.dir, &node.name);
        let above = self.known_above(at);
        self.found.left.insert(path, Reach::Children);
        self.found.short.insert(above);
    }

    /// Leaves what is too much in collections that are known. What lies in a new one comes behind it, so that all that is
    /// not left has its place.
    pub(super) fn leave_rest(&mut self) {
        if !self.gone.is_empty() {
            return;
        }
        for at in self.most..self.nodes.len() {
            let dir = &*self.nodes[at].dir;
            if !self.found.left.contains_key(dir) {
                self.found.left.insert(dir.to_owned(), Reach::Children);
            }
            let above = self.known_above(at);
            self.found.short.insert(above);
        }
        self.nodes.truncate(self.most);
    }

    /// The nearest collection above a new item that is known.
    fn known_above(&self, mut at: usize) -> ItemId {
        loop {
            match self.nodes[at].parent {
                Parent::Item(id) => return id,
                Parent::Node(above) => at = above,
            }
        }
    }
}
