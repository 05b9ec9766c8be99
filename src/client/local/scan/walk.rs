//! Goes through known collections by name, and through new ones.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use rustix::io::Errno;
use unicode_normalization::UnicodeNormalization;

use super::doubt::{Doubt, is_itself};
use super::list::{Entry, Lister, Listing};
use super::{
    Found, Known, Local, Numbers, Reach, Scan, ScanError, Tell, Trouble, TroubleKind, unreadable,
};
use crate::client::item::{Content, Item, ItemId, Kind};
use crate::client::local::folder::Folder;
use crate::client::local::ignore::Ignore;
use crate::client::local::join;
use crate::client::local::stamp::{Seen, now_ns};

/// A scan on its way. What is untouched leaves nothing here.
pub(super) struct Walk<'a, 'k, E> {
    pub(super) folder: &'a Folder,
    pub(super) root: ItemId,
    pub(super) ignore: &'a mut Ignore,
    pub(super) known: &'a mut Tell<'k, E>,
    pub(super) numbers: &'a mut Numbers,
    pub(super) begin_ns: i64,
    pub(super) found: Found,
    pub(super) root_error: Option<Errno>,
    /// Known collections that are still to be listed.
    pub(super) dirs: Vec<Dir>,
    /// What was met and is not known by its name.
    pub(super) nodes: Vec<Node>,
    /// Of these, collections that are still to be looked at.
    pub(super) fresh: Vec<usize>,
    pub(super) fresh_dirs: HashMap<u64, usize>,
    /// What is known and was not met by its name.
    pub(super) gone: Vec<Gone>,
    pub(super) gone_dirs: HashMap<u64, usize>,
    /// Of these, collections whose children have not been told.
    pub(super) untold: Vec<usize>,
    /// Known names under which something else lies.
    pub(super) doubts: Vec<Doubt>,
    /// Whether what is known under any of them may be found elsewhere.
    pub(super) astray: bool,
    /// Inodes of what is there but cannot be synced.
    pub(super) held: HashSet<u64>,
    /// About how many new items are told at most.
    pub(super) most: usize,
}

/// A known collection at its place.
#[derive(Clone)]
pub(super) struct Dir {
    pub(super) id: ItemId,
    pub(super) path: Arc<str>,
    /// Whether known collections in it are to be listed too.
    pub(super) deep: bool,
}

/// Something that is not known by its name.
pub(super) struct Node {
    pub(super) parent: Parent,
    /// The path of the collection it lies in.
    pub(super) dir: Arc<str>,
    pub(super) name: String,
    pub(super) kind: Kind,
    pub(super) seen: Seen,
    pub(super) state: State,
    /// What lies in it, once that has been read.
    pub(super) listed: Option<Listed>,
}

/// Where in the list of nodes the children of one are, and what of them cannot be told.
pub(super) struct Listed {
    pub(super) nodes: std::ops::Range<usize>,
    pub(super) held: Vec<String>,
}

/// Where a node lies.
#[derive(Clone, Copy)]
pub(super) enum Parent {
    Item(ItemId),
    Node(usize),
}

/// What a node turned out to be.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Fresh,
    /// One that is gone elsewhere.
    Moved(usize),
    /// Known by its name after all.
    Known(ItemId),
    /// Cannot be read.
    Dropped,
}

/// Something known that was not met by its name.
pub(super) struct Gone {
    pub(super) known: Known,
    pub(super) taken: bool,
    /// Whether what lay in it was told as gone by itself.
    pub(super) told: bool,
}

impl<'a, 'k, E> Walk<'a, 'k, E> {
    pub(super) fn new(
        scan: &Scan<'a>,
        ignore: &'a mut Ignore,
        numbers: &'a mut Numbers,
        known: &'a mut Tell<'k, E>,
    ) -> Self {
        Self {
            folder: scan.folder,
            root: scan.root,
            ignore,
            known,
            numbers,
            begin_ns: now_ns(),
            found: Found::default(),
            root_error: None,
            dirs: Vec::new(),
            nodes: Vec::new(),
            fresh: Vec::new(),
            fresh_dirs: HashMap::new(),
            gone: Vec::new(),
            gone_dirs: HashMap::new(),
            untold: Vec::new(),
            doubts: Vec::new(),
            astray: false,
            held: HashSet::new(),
            most: scan.most,
        }
    }

    /// Everything is to be looked at.
    pub(super) fn begin(&mut self) {
        let path = Arc::from("");
        self.dirs.push(Dir {
            id: self.root,
            path,
            deep: true,
        });
    }

    /// Until nothing is left to be looked at: known collections first, so that it is seen what is gone before new ones
    /// are taken for new; then new ones; then what is doubtful, files last; then what was in those that are gone.
    pub(super) fn run(&mut self) -> Result<(), ScanError<E>> {
        loop {
            if let Some(dir) = self.dirs.pop() {
                self.visit(&dir)?;
            } else if let Some(node) = self.fresh.pop() {
                if self.room() == 0 {
                    self.leave(node);
                } else {
                    self.meet_new(node)?;
                }
            } else if self.doubts.iter().any(Doubt::is_collection) {
                self.resolve(Doubt::is_collection)?;
            } else if !self.untold.is_empty() {
                self.tell_gone()?;
            } else {
                return self.resolve(|_| true);
            }
        }
    }

    pub(super) fn lister(&mut self) -> Lister<'_> {
        Lister {
            folder: self.folder,
            ignore: self.ignore,
            found: &mut self.found,
        }
    }

    pub(super) fn tell(
        &mut self,
        id: ItemId,
        name: Option<&str>,
    ) -> Result<Vec<Known>, ScanError<E>> {
        (self.known)(id, name).map_err(ScanError::Known)
    }

    /// Compares what is known of a collection with what is there.
    fn visit(&mut self, dir: &Dir) -> Result<(), ScanError<E>> {
        let listing = match self.lister().list(&dir.path) {
            Ok(listing) => listing,
            Err(errno) => {
                self.not_listed(&dir.path, errno);
                return Ok(());
            }
        };
        let known = self.tell(dir.id, None)?;
        // Other rules reach everything below.
        let deep = dir.deep || listing.rules_changed;
        let dir = Dir {
            id: dir.id,
            path: Arc::clone(&dir.path),
            deep,
        };
        self.settle(&dir, known, listing)
    }

    /// A collection that was there a moment ago.
    pub(super) fn not_listed(&mut self, path: &str, errno: Errno) {
        if path.is_empty() {
            self.root_error = Some(errno);
        } else if matches!(errno, Errno::NOENT | Errno::NOTDIR | Errno::LOOP) {
            self.found.again.insert(path.to_owned(), Reach::Below);
        } else {
            self.found
                .troubles
                .push(Trouble::new(path, unreadable(errno)));
        }
    }

    /// Finds by their names what is known and what is there; both lists are in the order of names then.
    pub(super) fn settle(
        &mut self,
        dir: &Dir,
        mut known: Vec<Known>,
        listing: Listing,
    ) -> Result<(), ScanError<E>> {
        self.held.extend(&listing.inodes);
        sort(&mut known, &listing.entries);
        let mut entries = listing.entries.into_iter().peekable();
        let (mut fresh, mut lost) = (Vec::new(), Vec::new());
        // Names in other code points are looked for only where there are any.
        let foreign: Vec<String> = known
            .iter()
            .map(|known| &known.item.name)
            .filter(|name| !name.is_ascii())
            .cloned()
            .collect();
        for known in known {
            while let Some(entry) = entries.next_if(|entry| entry.name < known.item.name) {
                fresh.push(entry);
            }
            match entries.next_if(|entry| entry.name == known.item.name) {
                Some(entry) => self.meet(dir, known, entry, &mut fresh)?,
                None if listing.held.binary_search(&known.item.name).is_ok() => {}
                None => lost.push(known),
            }
        }
        fresh.extend(entries);
        if fresh.iter().any(|entry| !entry.name.is_ascii()) {
            self.same_names(dir, &foreign, &mut fresh, &mut lost)?;
        }
        for known in lost {
            self.lose(&dir.path, known)?;
        }
        for entry in fresh {
            self.add_new(Parent::Item(dir.id), &dir.path, entry);
        }
        Ok(())
    }

    /// Something known under its name.
    fn meet(
        &mut self,
        dir: &Dir,
        known: Known,
        entry: Entry,
        fresh: &mut Vec<Entry>,
    ) -> Result<(), ScanError<E>> {
        if known.item.kind != entry.kind {
            fresh.push(entry);
            return self.lose(&dir.path, known);
        }
        if let Some(node) = entry.node {
            self.nodes[node].state = State::Known(known.item.id);
        }
        if !is_itself(&known, &entry.seen) {
            let dir = dir.clone();
            self.doubt(Doubt { dir, known, entry });
        } else if known.item.kind != Kind::Collection {
            self.compare(known, &entry.seen);
        } else if dir.deep {
            self.visit_later(dir, known.item.id, &entry)?;
        }
        Ok(())
    }

    /// A collection in the place of another one.
    pub(super) fn visit_other(&mut self, doubt: &Doubt) -> Result<(), ScanError<E>> {
        let Doubt { dir, known, entry } = doubt;
        let id = known.item.id;
        self.found.restamped.push((id, entry.seen.stamp));
        self.visit_later(dir, id, entry)
    }

    fn visit_later(&mut self, dir: &Dir, id: ItemId, entry: &Entry) -> Result<(), ScanError<E>> {
        let path = Arc::from(join(&dir.path, &entry.name));
        let below = Dir {
            id,
            path,
            deep: true,
        };
        match entry.node {
            Some(node) if self.nodes[node].listed.is_some() => self.settle_nodes(&below, node),
            _ => {
                self.dirs.push(below);
                Ok(())
            }
        }
    }

    /// Compares a file or link with what is known of it.
    pub(super) fn compare(&mut self, known: Known, seen: &Seen) {
        let Known { mut item, stamp } = known;
        let same = stamp.is_some_and(|known| known.same_bytes(&seen.stamp));
        let executable = self.executable(&item, seen);
        let flipped = executable != item.executable;
        item.executable = executable;
        if !same {
            self.numbers.content += 1;
            item.content = Content::Local(self.numbers.content);
        }
        let racy = seen.stamp.is_racy(self.begin_ns);
        let other_inode_time = stamp.is_some_and(|known| known.ctime_ns != seen.stamp.ctime_ns);
        let is_file = item.kind == Kind::File;
        let local = Local {
            item,
            stamp: seen.stamp,
            racy,
        };
        if !same || flipped {
            self.found.changed.push(local);
        } else if other_inode_time && is_file {
            self.found.suspects.push(local);
        } else if other_inode_time {
            self.found.restamped.push((local.item.id, seen.stamp));
        }
    }

    /// Whether a file may be run; as it was known where the file system does not keep it.
    pub(super) fn executable(&self, known: &Item, seen: &Seen) -> bool {
        if self.folder.has_modes() {
            seen.executable()
        } else {
            known.executable
        }
    }

    /// New names that are others in other code points only.
    fn same_names(
        &mut self,
        dir: &Dir,
        known: &[String],
        fresh: &mut Vec<Entry>,
        lost: &mut Vec<Known>,
    ) -> Result<(), ScanError<E>> {
        let key = |name: &str| name.nfc().collect::<String>();
        let mut keys: HashSet<String> = known
            .iter()
            .filter(|name| !lost.iter().any(|lost| lost.item.name == **name))
            .map(|name| key(name))
            .chain(
                fresh
                    .iter()
                    .filter(|entry| entry.name.is_ascii())
                    .map(|entry| entry.name.clone()),
            )
            .collect();
        let mut left = Vec::new();
        for entry in std::mem::take(fresh) {
            let form = key(&entry.name);
            let path = join(&dir.path, &entry.name);
            if entry.name.is_ascii() || known.contains(&entry.name) {
                left.push(entry);
            } else if let Some(at) = self.normalised(dir, &form, &entry, lost) {
                let known = lost.swap_remove(at);
                keys.insert(form);
                self.meet(dir, known, entry, &mut left)?;
            } else if keys.insert(form) {
                left.push(entry);
            } else {
                self.found
                    .troubles
                    .push(Trouble::new(path, TroubleKind::SameName));
                self.held.insert(entry.seen.stamp.inode);
                entry
                    .node
                    .inspect(|&node| self.nodes[node].state = State::Dropped);
            }
        }
        *fresh = left;
        Ok(())
    }

    /// The one that is known by a name which the file system itself has put into other code points.
    fn normalised(&self, dir: &Dir, key: &str, entry: &Entry, lost: &[Known]) -> Option<usize> {
        let at = lost
            .iter()
            .position(|known| known.item.name.nfc().eq(key.chars()))?;
        let seen = self
            .folder
            .look(&join(&dir.path, &lost[at].item.name))
            .ok()?;
        (seen.stamp.inode == entry.seen.stamp.inode).then_some(at)
    }

    /// Something known that is not there.
    fn lose(&mut self, dir: &str, known: Known) -> Result<(), ScanError<E>> {
        if self.is_forgotten(dir, &known) {
            return self.forget(known);
        }
        self.add_gone(known);
        Ok(())
    }

    fn is_forgotten(&self, dir: &str, known: &Known) -> bool {
        let path = join(dir, &known.item.name);
        !self.ignore.is_unsure(dir)
            && self
                .ignore
                .skips_last(&path, known.item.kind == Kind::Collection)
    }

    /// Something that is not synced any more, with everything below.
    fn forget(&mut self, known: Known) -> Result<(), ScanError<E>> {
        let mut left = vec![known];
        while let Some(known) = left.pop() {
            if known.item.kind == Kind::Collection {
                left.extend(self.tell(known.item.id, None)?);
            }
            self.found.forgotten.push(known.item.id);
        }
        Ok(())
    }
}

/// By name; of several with one name the one first that lies there.
fn sort(known: &mut [Known], entries: &[Entry]) {
    let lies_there = |known: &Known| {
        let at = entries.binary_search_by(|entry| entry.name.cmp(&known.item.name));
        let inode = at.ok().map(|at| entries[at].seen.stamp.inode);
        inode.is_some() && inode == known.stamp.map(|stamp| stamp.inode)
    };
    known.sort_unstable_by(|a, b| {
        let names = a.item.name.cmp(&b.item.name);
        names.then_with(|| lies_there(b).cmp(&lies_there(a)))
    });
}
