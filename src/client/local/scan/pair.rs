//! Finds what is gone among what is new.
//!
//! A collection is known again by its inode when it is still like what it was, for file systems give the inode of what
//! was deleted to what is made next. A file is known by inode, size and time. Collections come first: what is in a
//! moved one is then found by name.

use std::collections::HashMap;
use std::sync::Arc;

use rustix::io::Errno;

use super::list::{Entry, Listing};
use super::walk::{Dir, Gone, Listed, Node, Parent, State, Walk};
use super::{Known, Reach, ScanError, Trouble, unreadable};
use crate::client::item::Kind;
use crate::client::local::join;

impl<E> Walk<'_, '_, E> {
    /// Something whose name is not known.
    pub(super) fn add_new(&mut self, parent: Parent, dir: &Arc<str>, entry: Entry) {
        if entry.node.is_some() {
            // Met before, and still new.
            return;
        }
        if self.ignore.is_unsure(dir) {
            self.held.insert(entry.seen.stamp.inode);
            return;
        }
        let Entry {
            name,
            kind,
            seen,
            node: _,
        } = entry;
        let at = self.nodes.len();
        if kind == Kind::Collection {
            self.fresh_dirs.insert(seen.stamp.inode, at);
            self.fresh.push(at);
        }
        let dir = Arc::clone(dir);
        self.nodes.push(Node {
            parent,
            dir,
            name,
            kind,
            seen,
            state: State::Fresh,
            listed: None,
        });
    }

    /// Something known that is not at its place.
    pub(super) fn add_gone(&mut self, known: Known) {
        let at = self.gone.len();
        if known.item.kind == Kind::Collection {
            self.untold.push(at);
            if let Some(stamp) = known.stamp {
                self.gone_dirs.insert(stamp.inode, at);
                // One that was taken for new before may be it.
                let node = self.fresh_dirs.get(&stamp.inode);
                self.fresh
                    .extend(node.filter(|&&node| self.nodes[node].listed.is_some()));
            }
        }
        self.gone.push(Gone {
            known,
            taken: false,
            told: false,
        });
    }

    /// A collection that is not known by its name: one that is gone elsewhere, or new.
    pub(super) fn meet_new(&mut self, at: usize) -> Result<(), ScanError<E>> {
        let node = &self.nodes[at];
        if node.state != State::Fresh {
            return Ok(());
        }
        let path: Arc<str> = Arc::from(join(&node.dir, &node.name));
        let inode = node.seen.stamp.inode;
        let passing = self.is_passing(node);
        let gone = passing.or_else(|| {
            let gone = self.gone_dirs.get(&inode).copied();
            gone.filter(|&gone| self.gone[gone].is_free())
        });
        if node.listed.is_some() {
            return match gone {
                Some(gone) => self.pair_listed(at, gone, &path),
                None => Ok(()),
            };
        }
        let listing = match self.lister().list(&path) {
            Ok(listing) => listing,
            Err(errno) => {
                self.cannot_list(at, &path, errno);
                return Ok(());
            }
        };
        if let Some(gone) = gone {
            let known = self.tell(self.gone[gone].known.item.id, None)?;
            if self.is_like(
                gone,
                at,
                &known,
                &mut listing
                    .entries
                    .iter()
                    .map(|entry| (&*entry.name, entry.kind)),
            ) {
                let dir = self.take(at, gone, path);
                return self.settle(&dir, known, listing);
            }
        }
        self.held.extend(&listing.inodes);
        let first = self.nodes.len();
        let room = self.room();
        if listing.entries.len() > room {
            self.leave(at);
        }
        for entry in listing.entries.into_iter().take(room) {
            self.add_new(Parent::Node(at), &path, entry);
        }
        let nodes = first..self.nodes.len();
        self.nodes[at].listed = Some(Listed {
            nodes,
            held: listing.held,
        });
        Ok(())
    }

    fn cannot_list(&mut self, at: usize, path: &str, errno: Errno) {
        self.nodes[at].state = State::Dropped;
        self.held.insert(self.nodes[at].seen.stamp.inode);
        if matches!(errno, Errno::NOENT | Errno::NOTDIR | Errno::LOOP) {
            self.found.again.insert(path.to_owned(), Reach::Entry);
        } else {
            self.found
                .troubles
                .push(Trouble::new(path, unreadable(errno)));
        }
    }

    /// One that was taken for new, and listed, before it was seen what is gone.
    fn pair_listed(&mut self, at: usize, gone: usize, path: &Arc<str>) -> Result<(), ScanError<E>> {
        let known = self.tell(self.gone[gone].known.item.id, None)?;
        let nodes = self.nodes[at]
            .listed
            .as_ref()
            .map_or(0..0, |listed| listed.nodes.clone());
        let mut names = self.nodes[nodes]
            .iter()
            .map(|node| (&*node.name, node.kind));
        if self.is_like(gone, at, &known, &mut names) {
            let dir = self.take(at, gone, Arc::clone(path));
            self.settle_nodes(&dir, at)?;
        }
        Ok(())
    }

    /// Whether a new collection with the inode of one that is gone has anything of it.
    fn is_like(
        &self,
        gone: usize,
        node: usize,
        known: &[Known],
        there: &mut dyn Iterator<Item = (&str, Kind)>,
    ) -> bool {
        let time = self.gone[gone].known.stamp.map(|stamp| stamp.mtime_ns);
        let same_time = time == Some(self.nodes[node].seen.stamp.mtime_ns);
        let passing = self.is_passing(&self.nodes[node]) == Some(gone);
        if known.is_empty() || same_time || passing {
            return true;
        }
        let there: HashMap<&str, Kind> = there.collect();
        known
            .iter()
            .any(|known| there.get(&*known.item.name) == Some(&known.item.kind))
    }

    fn take(&mut self, node: usize, gone: usize, path: Arc<str>) -> Dir {
        self.nodes[node].state = State::Moved(gone);
        self.gone[gone].taken = true;
        Dir {
            id: self.gone[gone].known.item.id,
            path,
            deep: true,
        }
    }

    /// Finds by name what is known of a collection among nodes that were taken for new.
    pub(super) fn settle_nodes(&mut self, dir: &Dir, at: usize) -> Result<(), ScanError<E>> {
        let known = self.tell(dir.id, None)?;
        let Some(listed) = self.nodes[at].listed.take() else {
            return Ok(());
        };
        let fresh = |&at: &usize| self.nodes[at].state == State::Fresh;
        let mut entries: Vec<_> = listed
            .nodes
            .filter(fresh)
            .map(|at| {
                let node = &self.nodes[at];
                Entry {
                    name: node.name.clone(),
                    kind: node.kind,
                    seen: node.seen,
                    node: Some(at),
                }
            })
            .collect();
        entries.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        let listing = Listing {
            entries,
            held: listed.held,
            ..Listing::default()
        };
        self.settle(dir, known, listing)
    }

    /// Tells what was in collections that are gone, one level deeper.
    pub(super) fn tell_gone(&mut self) -> Result<(), ScanError<E>> {
        for at in std::mem::take(&mut self.untold) {
            let gone = &self.gone[at];
            let held = gone
                .known
                .stamp
                .is_some_and(|stamp| self.held.contains(&stamp.inode));
            if gone.taken || held {
                continue;
            }
            self.gone[at].told = true;
            let gone = &self.gone[at];
            for known in self.tell(gone.known.item.id, None)? {
                self.add_gone(known);
            }
        }
        Ok(())
    }

    /// Finds files and links that are gone among those that are new.
    pub(super) fn pair_files(&mut self) {
        let mut by_inode: HashMap<u64, Vec<usize>> = HashMap::new();
        for (at, gone) in self.gone.iter().enumerate() {
            if let (false, Some(stamp)) =
                (gone.known.item.kind == Kind::Collection, gone.known.stamp)
            {
                by_inode.entry(stamp.inode).or_default().push(at);
            }
        }
        for at in 0..self.nodes.len() {
            let node = &self.nodes[at];
            if !is_new_file(node) {
                continue;
            }
            let fits = |gone: &usize| self.fits(*gone, node);
            let gone = self.is_passing(node).or_else(|| {
                let gone = by_inode.get(&node.seen.stamp.inode)?;
                gone.iter().copied().find(fits)
            });
            if let Some(gone) = gone {
                self.nodes[at].state = State::Moved(gone);
                self.gone[gone].taken = true;
            }
        }
    }

    fn fits(&self, gone: usize, node: &Node) -> bool {
        let Gone { known, taken, .. } = &self.gone[gone];
        let same = known
            .stamp
            .is_some_and(|stamp| stamp.same_bytes(&node.seen.stamp));
        !taken && known.item.kind == node.kind && same
    }
}

impl Gone {
    /// Whether it may yet be found elsewhere, with all that lay in it.
    pub(super) fn is_free(&self) -> bool {
        !self.taken && !self.told
    }
}

fn is_new_file(node: &Node) -> bool {
    node.state == State::Fresh && node.kind != Kind::Collection
}
