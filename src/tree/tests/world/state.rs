//! What must be there: two accounts' spaces and the shared one, kept by hand.

use std::collections::BTreeMap;
use std::rc::Rc;

use super::verbs::{At, SHARED};

pub(super) const DAY: i64 = 24 * 3600 * 1000;
/// As in `Keep::default()` and the default of `trash.keep`.
pub(super) const MONTH: i64 = 30 * DAY;
const ALWAYS: usize = 5;
const MOST: usize = 10;

pub(super) type Bytes = Rc<Vec<u8>>;

/// A previous content of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Past {
    pub(super) number: i64,
    pub(super) bytes: Bytes,
    written: i64,
}

/// What a file holds.
#[derive(Clone, Debug)]
pub(super) struct File {
    pub(super) head: Bytes,
    pub(super) number: i64,
    written: i64,
    /// Oldest first; `None` when the histories of two files became one.
    pub(super) past: Option<Vec<Past>>,
}

/// A file, or a collection when it holds nothing itself.
#[derive(Clone, Debug)]
pub(super) struct Item {
    parent: Option<usize>,
    pub(super) name: String,
    pub(super) space: usize,
    pub(super) file: Option<File>,
    pub(super) colour: Option<u8>,
    /// When it was deleted itself.
    pub(super) trashed: Option<i64>,
}

/// All items by number, the roots of the spaces first.
#[derive(Clone, Debug)]
pub(super) struct World {
    items: BTreeMap<usize, Item>,
    next: usize,
    pub(super) now: i64,
}

/// Refused: what the tree must say to it as well.
pub(super) type Outcome<T = ()> = Option<T>;

impl File {
    fn new(head: Bytes, now: i64) -> Self {
        Self {
            head,
            number: 1,
            written: now,
            past: Some(Vec::new()),
        }
    }

    /// Other bytes; the old ones become a version unless they are none.
    pub(super) fn replace(&mut self, bytes: Bytes, now: i64) {
        if bytes != self.head {
            if let Some(past) = &mut self.past
                && !self.head.is_empty()
            {
                past.push(Past {
                    number: self.number,
                    bytes: Rc::clone(&self.head),
                    written: self.written,
                });
                prune(past, now, now);
            }
            self.number += 1;
            self.head = bytes;
        }
        self.written = now;
    }
}

/// Forgets what the rules do not hold; the newest was replaced at a time.
fn prune(past: &mut Vec<Past>, replaced: i64, now: i64) {
    let mut replaced = replaced;
    let (mut nth, mut kept) = (0, Vec::new());
    while let Some(version) = past.pop() {
        nth += 1;
        let written = version.written;
        if nth <= ALWAYS || (nth <= MOST && replaced >= now - MONTH) {
            kept.push(version);
        }
        replaced = written;
    }
    kept.reverse();
    *past = kept;
}

impl World {
    /// The spaces of both accounts with their folders, and the shared one.
    pub(super) fn new(now: i64) -> Self {
        let mut world = Self {
            items: BTreeMap::new(),
            next: 0,
            now,
        };
        for space in 0..3 {
            world.add(None, "", space, None);
        }
        for space in 0..2 {
            for name in crate::tree::DEFAULT_FOLDERS {
                world.add(Some(space), name, space, None);
            }
        }
        world
    }

    fn add(
        &mut self,
        parent: Option<usize>,
        name: &str,
        space: usize,
        file: Option<File>,
    ) -> usize {
        let item = Item {
            parent,
            name: name.to_owned(),
            space,
            file,
            colour: None,
            trashed: None,
        };
        self.next += 1;
        self.items.insert(self.next - 1, item);
        self.next - 1
    }

    pub(super) fn item(&self, nth: usize) -> &Item {
        &self.items[&nth]
    }

    fn children(&self, of: usize) -> impl Iterator<Item = (usize, &Item)> {
        let below = self.items.iter().map(|(nth, item)| (*nth, item));
        below.filter(move |(_, item)| item.parent == Some(of) && item.trashed.is_none())
    }

    fn child(&self, of: usize, name: &str) -> Option<usize> {
        self.children(of)
            .find(|(_, item)| item.name == name)
            .map(|(nth, _)| nth)
    }

    /// What lies at a path of an account.
    pub(super) fn find(&self, at: &At) -> Option<usize> {
        at.names
            .iter()
            .try_fold(at.space(), |above, name| self.child(above, name))
    }

    /// The collection that a path goes into.
    fn above(&self, at: &At) -> Outcome<usize> {
        let (_, above) = at.names.split_last()?;
        let above = above
            .iter()
            .try_fold(at.space(), |above, name| self.child(above, name))?;
        self.item(above).file.is_none().then_some(above)
    }

    /// Whether nothing above it, nor it itself, was deleted.
    fn is_live(&self, nth: usize) -> bool {
        let Some(item) = self.items.get(&nth) else {
            return false;
        };
        item.trashed.is_none() && item.parent.is_none_or(|above| self.is_live(above))
    }

    /// Whether one is the other or lies below it.
    fn is_within(&self, nth: usize, other: usize) -> bool {
        nth == other
            || self
                .item(nth)
                .parent
                .is_some_and(|above| self.is_within(above, other))
    }

    fn subtree(&self, top: usize) -> Vec<usize> {
        let mut found = vec![top];
        let mut at = 0;
        while at < found.len() {
            let below: Vec<_> = self.children(found[at]).map(|(nth, _)| nth).collect();
            found.extend(below);
            at += 1;
        }
        found
    }

    /// Bytes of the live files of a space.
    pub(super) fn used(&self, space: usize) -> u64 {
        let all = self.subtree(space).into_iter();
        all.filter_map(|nth| self.item(nth).file.as_ref())
            .map(|file| file.head.len() as u64)
            .sum()
    }

    /// Every live node of a space: its path in the space and what it is.
    pub(super) fn listing(&self, space: usize) -> BTreeMap<String, &Item> {
        let (mut found, mut open) = (BTreeMap::new(), vec![(String::new(), space)]);
        while let Some((path, nth)) = open.pop() {
            for (child, item) in self.children(nth) {
                let path = format!("{path}/{}", item.name);
                open.push((path.clone(), child));
                found.insert(path, item);
            }
        }
        found
    }

    /// What was deleted on its own in the spaces an account sees, in the order of numbers.
    pub(super) fn trash(&self, who: usize) -> Vec<usize> {
        let all = self.items.iter();
        let seen =
            all.filter(|(_, item)| item.trashed.is_some() && [who, SHARED].contains(&item.space));
        seen.map(|(nth, _)| *nth).collect()
    }

    /// The distinct contents that anything names, by space; `None` when that is not known.
    pub(super) fn contents(&self) -> Option<usize> {
        let mut all = std::collections::BTreeSet::new();
        for item in self.items.values() {
            let Some(file) = &item.file else { continue };
            all.insert((item.space, &*file.head));
            all.extend(
                file.past
                    .as_ref()?
                    .iter()
                    .map(|past| (item.space, &*past.bytes)),
            );
        }
        Some(all.len())
    }
}

/// The verbs.
impl World {
    pub(super) fn put(&mut self, at: &At, bytes: &Bytes) -> Outcome<usize> {
        let (above, name) = (self.above(at)?, at.names.last()?);
        let now = self.now;
        let Some(there) = self.child(above, name) else {
            let file = File::new(Rc::clone(bytes), now);
            return Some(self.add(Some(above), name, at.space(), Some(file)));
        };
        let item = self.items.get_mut(&there)?;
        item.file.as_mut()?.replace(Rc::clone(bytes), now);
        Some(there)
    }

    pub(super) fn mkdir(&mut self, at: &At) -> Outcome {
        let (above, name) = (self.above(at)?, at.names.last()?);
        if self.child(above, name).is_some() {
            return None;
        }
        self.add(Some(above), name, at.space(), None);
        Some(())
    }

    pub(super) fn remove(&mut self, at: &At) -> Outcome {
        let there = self.find(at)?;
        self.discard(there)
    }

    fn discard(&mut self, nth: usize) -> Outcome {
        self.items.get_mut(&nth)?.trashed = Some(self.now);
        Some(())
    }

    pub(super) fn colour(&mut self, at: &At, colour: u8) -> Outcome {
        let there = self.find(at)?;
        self.items.get_mut(&there)?.colour = Some(colour);
        Some(())
    }

    /// MOVE and COPY, also from space to space.
    pub(super) fn place(&mut self, from: &At, to: &At, overwrite: bool, moves: bool) -> Outcome {
        let source = self.find(from)?;
        let (above, name) = (self.above(to)?, to.names.last()?.clone());
        let there = self.child(above, &name);
        let across = from.space() != to.space();
        if there == Some(source) {
            return moves.then_some(());
        }
        let over = there.is_some_and(|there| self.is_within(source, there));
        if (there.is_some() && !overwrite) || self.is_within(above, source) || over {
            return None;
        }
        if let Some(there) = there.filter(|there| self.item(*there).file.is_some())
            && self.item(source).file.is_some()
        {
            self.save(source, there, moves && !across);
        } else {
            if let Some(there) = there {
                self.discard(there)?;
            }
            if moves && !across {
                let item = self.items.get_mut(&source)?;
                (item.parent, item.name) = (Some(above), name);
                return Some(());
            }
            self.copy(source, above, &name, to.space());
        }
        if moves && across {
            self.discard(source)?;
        }
        Some(())
    }

    /// A file over a file; one that moves is no more then, and its history goes along.
    fn save(&mut self, source: usize, there: usize, moves: bool) {
        let (from, now) = (self.item(source).clone(), self.now);
        let Some(file) = from.file else { return };
        if let Some(target) = self.items.get_mut(&there) {
            target.colour = from.colour;
            if let Some(target) = &mut target.file {
                target.replace(file.head, now);
                if moves && file.number > 1 {
                    target.past = None;
                }
            }
        }
        if moves {
            self.items.remove(&source);
        }
    }

    fn copy(&mut self, source: usize, above: usize, name: &str, space: usize) {
        let item = self.item(source).clone();
        let file = item.file.map(|file| File::new(file.head, self.now));
        let below: Vec<_> = self
            .children(source)
            .map(|(nth, item)| (nth, item.name.clone()))
            .collect();
        let made = self.add(Some(above), name, space, file);
        if let Some(made) = self.items.get_mut(&made) {
            made.colour = item.colour;
        }
        for (child, name) in below {
            self.copy(child, made, &name, space);
        }
    }

    /// Back from trash; the name it gets there.
    pub(super) fn restore(&mut self, nth: usize) -> String {
        let item = self.item(nth).clone();
        let above = item
            .parent
            .filter(|above| self.is_live(*above))
            .unwrap_or(item.space);
        let mut name = item.name.clone();
        let mut number = 0;
        while self.child(above, &name).is_some() {
            number += 1;
            name = format!("{} (restored {number})", item.name);
        }
        if let Some(item) = self.items.get_mut(&nth) {
            (item.parent, item.trashed) = (Some(above), None);
            item.name.clone_from(&name);
        }
        name
    }

    /// Forgets it with all that went with it; what was deleted on its own before stays in trash.
    pub(super) fn purge(&mut self, nth: usize) {
        for gone in self.subtree(nth) {
            self.items.remove(&gone);
        }
    }

    /// Makes a previous content the current one; which it is, or nothing when that is not known.
    pub(super) fn restore_version(&mut self, at: &At, nth: usize) -> Outcome<i64> {
        let (there, now) = (self.find(at)?, self.now);
        let file = self.items.get_mut(&there)?.file.as_mut()?;
        let past = file.past.as_ref().filter(|past| !past.is_empty())?;
        let wanted = past[nth % past.len()].clone();
        file.replace(wanted.bytes, now);
        Some(wanted.number)
    }

    /// Forgets previous contents that are not held any more.
    pub(super) fn forget_past(&mut self, space: usize, path: &str, held: impl Fn(&Past) -> bool) {
        let names = path.split('/').skip(1);
        let found = names
            .into_iter()
            .try_fold(space, |above, name| self.child(above, name));
        let item = found.and_then(|nth| self.items.get_mut(&nth));
        if let Some(past) = item.and_then(|item| item.file.as_mut()?.past.as_mut()) {
            past.retain(held);
        }
    }

    /// What goes with time.
    pub(super) fn tidy(&mut self) {
        let now = self.now;
        let overdue = |item: &Item| item.trashed.is_some_and(|at| at < now - MONTH);
        let old: Vec<_> = self
            .items
            .iter()
            .filter(|(_, item)| overdue(item))
            .map(|(nth, _)| *nth)
            .collect();
        for nth in old {
            self.purge(nth);
        }
        for file in self
            .items
            .values_mut()
            .filter_map(|item| item.file.as_mut())
        {
            let written = file.written;
            if let Some(past) = &mut file.past {
                prune(past, written, now);
            }
        }
    }
}
