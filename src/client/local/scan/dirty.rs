//! Where a scan begins that looks at some paths only.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use rustix::io::Errno;

use super::walk::{Dir, Walk};
use super::{Reach, ScanError};
use crate::client::item::{ItemId, Kind};
use crate::client::local::{join, split};

/// So many names of one collection are looked up one by one; with more it is listed.
const NAMES_MAX: usize = 64;

/// What is to be looked at in one collection.
#[derive(Default)]
struct Part {
    names: BTreeSet<String>,
    all: bool,
    deep: bool,
}

/// Looks at some paths.
struct Dirty<'w, 'a, 'k, E> {
    walk: &'w mut Walk<'a, 'k, E>,
    /// By depth and path: what is looked at as a whole is known before what lies in it.
    parts: BTreeMap<(usize, String), Part>,
    /// Collections by their paths; none when something in the path is not known.
    ids: HashMap<String, Option<ItemId>>,
    /// Paths that have been looked at, and collections all of whose names have.
    entries: HashSet<String>,
    whole: HashSet<String>,
    /// Collections that the walk looks at with all below.
    deep: HashSet<Arc<str>>,
}

/// Looks at the paths that something has happened to.
pub(super) fn begin<E>(
    walk: &mut Walk<'_, '_, E>,
    paths: &BTreeMap<String, Reach>,
) -> Result<(), ScanError<E>> {
    let ids = HashMap::from([(String::new(), Some(walk.root))]);
    let mut dirty = Dirty {
        walk,
        parts: BTreeMap::new(),
        ids,
        entries: HashSet::new(),
        whole: HashSet::new(),
        deep: HashSet::new(),
    };
    for (path, reach) in paths {
        dirty.add(path.trim_matches('/'), *reach)?;
    }
    while let Some(((_, path), part)) = dirty.parts.pop_first() {
        if let Some(id) = dirty.find(&path)?.filter(|_| !dirty.is_covered(&path)) {
            dirty.look(id, &path, part)?;
        }
    }
    Ok(())
}

impl<E> Dirty<'_, '_, '_, E> {
    fn add(&mut self, path: &str, reach: Reach) -> Result<(), ScanError<E>> {
        if !path.is_empty() {
            // The topmost that is not known: below it everything is new.
            let mut top = path;
            while self.find(split(top).0)?.is_none() {
                top = split(top).0;
            }
            let dir = split(top).0;
            if !dir.is_empty() && self.walk.ignore.skips(dir, true) {
                return Ok(());
            }
            self.part(dir).names.insert(split(top).1.to_owned());
        }
        let all = reach > Reach::Entry && self.find(path)?.is_some();
        if all && (path.is_empty() || !self.walk.ignore.skips(path, true)) {
            let part = self.part(path);
            part.all = true;
            part.deep |= reach == Reach::Below;
        }
        Ok(())
    }

    fn part(&mut self, dir: &str) -> &mut Part {
        let depth = if dir.is_empty() {
            0
        } else {
            1 + dir.matches('/').count()
        };
        self.parts.entry((depth, dir.to_owned())).or_default()
    }

    /// The id of a collection.
    fn find(&mut self, path: &str) -> Result<Option<ItemId>, ScanError<E>> {
        if let Some(id) = self.ids.get(path) {
            return Ok(*id);
        }
        let (dir, name) = split(path);
        let mut id = None;
        if let Some(above) = self.find(dir)? {
            let known = self.walk.tell(above, Some(name))?;
            let mut known: Vec<_> = known
                .into_iter()
                .filter(|known| known.item.name == name && known.item.kind == Kind::Collection)
                .collect();
            if known.len() > 1 {
                // Only the one that lies there.
                let seen = self.walk.folder.look(path).ok();
                let inode = seen.map(|seen| seen.stamp.inode);
                known.retain(|known| known.stamp.map(|stamp| stamp.inode) == inode);
            }
            id = known.first().map(|known| known.item.id);
        }
        self.ids.insert(path.to_owned(), id);
        Ok(id)
    }

    /// Whether the walk comes by anyway.
    fn is_covered(&self, path: &str) -> bool {
        let mut at = path;
        while !self.deep.contains(at) {
            if at.is_empty() {
                return false;
            }
            at = split(at).0;
        }
        true
    }

    fn look(&mut self, id: ItemId, path: &str, part: Part) -> Result<(), ScanError<E>> {
        // A name in other code points may be that of another one.
        let foreign = part.names.iter().any(|name| !name.is_ascii());
        let all = part.all || foreign || part.names.len() > NAMES_MAX;
        let names: Vec<String> = part.names.into_iter().collect();
        let mut lister = self.walk.lister();
        let names_there = if all {
            lister.list(path)
        } else {
            lister.list_some(path, &names)
        };
        let listing = match names_there {
            Ok(listing) => listing,
            Err(errno) => {
                self.not_listed(path, errno);
                return Ok(());
            }
        };
        let before = (self.walk.dirs.len(), self.walk.doubts.len());
        let deep = part.deep || listing.rules_changed;
        let dir = Dir {
            id,
            path: Arc::from(path),
            deep,
        };
        if listing.rules_changed && !all {
            // Other rules reach what has other names.
            self.walk.dirs.push(dir);
        } else if all {
            self.whole.insert(path.to_owned());
            let known = self.walk.tell(id, None)?;
            self.walk.settle(&dir, known, listing)?;
        } else {
            let mut known = Vec::new();
            for name in &names {
                known.extend(self.walk.tell(id, Some(name))?);
                self.entries.insert(join(path, name));
            }
            self.walk.settle(&dir, known, listing)?;
        }
        let deeper = self.walk.dirs[before.0..]
            .iter()
            .map(|dir| Arc::clone(&dir.path));
        self.deep.extend(deeper);
        // Whatever comes of these, all below is looked at.
        let doubts = self.walk.doubts[before.1..].iter();
        let doubts = doubts.filter(|doubt| doubt.is_collection());
        let paths = doubts.map(|doubt| join(&doubt.dir.path, &doubt.entry.name).into());
        self.deep.extend(paths);
        Ok(())
    }

    /// A known collection that cannot be opened: it went, or is something else now; its name tells.
    fn not_listed(&mut self, path: &str, errno: Errno) {
        let went = matches!(errno, Errno::NOENT | Errno::NOTDIR | Errno::LOOP);
        if !went || path.is_empty() {
            return self.walk.not_listed(path, errno);
        }
        let (dir, name) = split(path);
        if !self.entries.contains(path) && !self.whole.contains(dir) {
            self.part(dir).names.insert(name.to_owned());
            return;
        }
        let id = self.ids.get(path).copied().flatten();
        let is_gone = self
            .walk
            .gone
            .iter()
            .any(|gone| Some(gone.known.item.id) == id);
        if !is_gone {
            self.walk.not_listed(path, errno);
        }
    }
}
