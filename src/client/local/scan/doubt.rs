//! Known names under which something else lies.
//!
//! Mostly that is the same item: programs save a file by renaming another one over it. But when what was there lies
//! under another name by now, and what is there is something else that is known, then both have moved: somebody has
//! exchanged them, or a pass that did so was ended before the journal knew.

use std::collections::{HashMap, HashSet};
use std::mem;

use super::list::Entry;
use super::walk::{Dir, Gone, Node, Parent, State, Walk};
use super::{Known, ScanError};
use crate::client::item::{ItemId, Kind};
use crate::client::local::stamp::{Seen, Stamp};
use crate::client::local::{join, passing};

/// Things in a collection that are looked for where it may be by now.
const LOOKS: usize = 32;

/// Something known, and what lies under its name and is not what it was.
pub(super) struct Doubt {
    pub(super) dir: Dir,
    pub(super) known: Known,
    pub(super) entry: Entry,
}

impl Doubt {
    pub(super) fn is_collection(&self) -> bool {
        self.known.item.kind == Kind::Collection
    }

    /// Whether what is known may be found elsewhere by its inode. A file that was written to in its place has that still;
    /// one without a stamp is found elsewhere only where it lets others pass, in a collection that is known.
    fn is_astray(&self) -> bool {
        let inode = self.entry.seen.stamp.inode;
        self.is_collection() || self.known.stamp.is_some_and(|stamp| stamp.inode != inode)
    }
}

/// What may be the same thing under two names.
struct Place {
    kind: Kind,
    stamp: Stamp,
    /// The doubt that it is of, where it depends on one.
    on: Option<usize>,
    /// What it is known as, or where it was met.
    what: What,
}

enum What {
    Known(ItemId),
    Met(String),
}

/// By inodes.
type Places = HashMap<u64, Vec<Place>>;

impl<E> Walk<'_, '_, E> {
    /// Leaves one for later.
    pub(super) fn doubt(&mut self, doubt: Doubt) {
        self.astray |= doubt.is_astray();
        self.doubts.push(doubt);
    }

    /// Decides about known names under which something else lies, once all else was seen.
    pub(super) fn resolve(&mut self, which: impl Fn(&Doubt) -> bool) -> Result<(), ScanError<E>> {
        let (doubts, left) = mem::take(&mut self.doubts).into_iter().partition(which);
        self.doubts = left;
        self.astray = self.doubts.iter().any(Doubt::is_astray);
        let doubts: Vec<Doubt> = doubts;
        if doubts.is_empty() {
            return Ok(());
        }
        let moved = self.exchanged(&doubts)?;
        for (at, doubt) in doubts.into_iter().enumerate() {
            if moved.contains(&at) {
                self.part(doubt);
            } else if doubt.is_collection() {
                self.visit_other(&doubt)?;
            } else {
                self.compare(doubt.known, &doubt.entry.seen);
            }
        }
        Ok(())
    }

    /// What is known is elsewhere, and what is there is another one.
    fn part(&mut self, doubt: Doubt) {
        let Doubt { dir, known, entry } = doubt;
        if let Some(node) = entry.node {
            self.nodes[node].state = State::Fresh;
            if entry.kind == Kind::Collection {
                self.fresh.push(node);
            }
        }
        self.add_gone(known);
        self.add_new(Parent::Item(dir.id), &dir.path, entry);
    }

    /// Those of which both are certainly elsewhere. One that depends on another that stays, stays as well.
    fn exchanged(&mut self, doubts: &[Doubt]) -> Result<HashSet<usize>, ScanError<E>> {
        let (there, known) = (self.met(doubts), self.lost(doubts));
        let passing = self.passing();
        let passes = |known: &Known| {
            let (kind, inode) = passing.get(&known.item.id)?;
            let same = known.stamp.is_none_or(|stamp| stamp.inode == *inode);
            (*kind == known.item.kind && same).then_some(())
        };
        let mut moved = HashSet::new();
        for (at, doubt) in doubts.iter().enumerate() {
            let is_sure = !doubt.is_collection() || passes(&doubt.known).is_some();
            if is_sure || self.is_seen(doubt, at, &there, &known)? {
                moved.insert(at);
            }
        }
        loop {
            let goes = |at: &usize| {
                let Doubt {
                    known: was, entry, ..
                } = &doubts[*at];
                let free = |place: &&Place| {
                    place.on != Some(*at) && place.on.is_none_or(|on| moved.contains(&on))
                };
                let is_elsewhere = was.stamp.is_some_and(|stamp| {
                    places_of(&there, was.item.kind, stamp).any(|place| free(&place))
                });
                let stamp = entry.seen.stamp;
                let is_other = || places_of(&known, entry.kind, stamp).any(|place| free(&place));
                passes(was).is_some() || is_elsewhere && is_other()
            };
            let left: HashSet<usize> = moved.iter().copied().filter(goes).collect();
            if left.len() == moved.len() {
                return Ok(left);
            }
            moved = left;
        }
    }

    /// Whether something that lies in a collection, or in the one that has its name now, is seen where they are to be by
    /// now. Their inodes alone say little when the whole folder is a copy of what it was.
    fn is_seen(
        &mut self,
        doubt: &Doubt,
        at: usize,
        there: &Places,
        known: &Places,
    ) -> Result<bool, ScanError<E>> {
        let other = |place: &&Place| place.on != Some(at);
        if let Some(stamp) = doubt.known.stamp {
            for place in places_of(there, Kind::Collection, stamp).filter(other) {
                if let What::Met(path) = &place.what
                    && self.has_of(doubt.known.item.id, path)?
                {
                    return Ok(true);
                }
            }
        }
        let path = join(&doubt.dir.path, &doubt.entry.name);
        for place in places_of(known, Kind::Collection, doubt.entry.seen.stamp).filter(other) {
            if let What::Known(id) = place.what
                && self.has_of(id, &path)?
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether something of a known collection lies in another place as it was.
    fn has_of(&mut self, id: ItemId, path: &str) -> Result<bool, ScanError<E>> {
        let known = self.tell(id, None)?;
        let lies_there = |known: &Known| {
            let seen = self.folder.look(&join(path, &known.item.name));
            seen.is_ok_and(|seen| seen.kind == Some(known.item.kind) && is_itself(known, &seen))
        };
        let known = known.iter().filter(|known| known.stamp.is_some());
        Ok(known.take(LOOKS).any(lies_there))
    }

    /// Items that seem to lie under the names with which they let others pass, and the inodes there.
    fn passing(&self) -> HashMap<ItemId, (Kind, u64)> {
        let nodes = self.nodes.iter().filter(|node| node.state == State::Fresh);
        let is_it = |node: &Node| Some((passing(&node.name)?, (node.kind, node.seen.stamp.inode)));
        nodes.filter_map(is_it).collect()
    }

    /// What was met, of which an item may be one that is not at its place.
    fn met(&self, doubts: &[Doubt]) -> Places {
        let asked: HashSet<u64> = doubts
            .iter()
            .filter_map(|doubt| Some(doubt.known.stamp?.inode))
            .collect();
        let mut places = Places::new();
        for node in self.nodes.iter().filter(|node| node.state == State::Fresh) {
            let met = || What::Met(join(&node.dir, &node.name));
            add(&mut places, &asked, node.kind, node.seen.stamp, None, met);
        }
        for (at, Doubt { dir, entry, .. }) in doubts.iter().enumerate() {
            let met = || What::Met(join(&dir.path, &entry.name));
            add(
                &mut places,
                &asked,
                entry.kind,
                entry.seen.stamp,
                Some(at),
                met,
            );
        }
        places
    }

    /// What is known and not at its place, of which an entry may be one.
    fn lost(&self, doubts: &[Doubt]) -> Places {
        let inode = |doubt: &Doubt| doubt.entry.seen.stamp.inode;
        let asked = doubts.iter().map(inode).collect();
        let mut places = Places::new();
        let gone = self.gone.iter().filter(|gone| gone.is_free());
        let gone = gone.map(|gone| (&gone.known, None));
        let doubts = doubts.iter().enumerate();
        for (known, on) in gone.chain(doubts.map(|(at, doubt)| (&doubt.known, Some(at)))) {
            if let Some(stamp) = known.stamp {
                let what = || What::Known(known.item.id);
                add(&mut places, &asked, known.item.kind, stamp, on, what);
            }
        }
        places
    }

    /// Which of what is gone has let others pass under this name.
    pub(super) fn is_passing(&self, node: &Node) -> Option<usize> {
        let id = passing(&node.name)?;
        let is_it = |gone: &Gone| {
            let Known { item, stamp } = &gone.known;
            let same = stamp.is_none_or(|stamp| stamp.inode == node.seen.stamp.inode);
            gone.is_free() && item.id == id && item.kind == node.kind && same
        };
        self.gone.iter().position(is_it)
    }
}

fn add(
    places: &mut Places,
    asked: &HashSet<u64>,
    kind: Kind,
    stamp: Stamp,
    on: Option<usize>,
    what: impl FnOnce() -> What,
) {
    if asked.contains(&stamp.inode) {
        let what = what();
        let place = Place {
            kind,
            stamp,
            on,
            what,
        };
        places.entry(stamp.inode).or_default().push(place);
    }
}

/// Those that may be the same thing.
fn places_of(places: &Places, kind: Kind, stamp: Stamp) -> impl Iterator<Item = &Place> {
    let same = move |place: &&Place| {
        place.kind == kind && (kind == Kind::Collection || place.stamp.same_bytes(&stamp))
    };
    places.get(&stamp.inode).into_iter().flatten().filter(same)
}

/// Whether something known is what lies under its name, as far as a look tells.
pub(super) fn is_itself(known: &Known, seen: &Seen) -> bool {
    let same = |stamp: Stamp| match known.item.kind {
        Kind::Collection => stamp.inode == seen.stamp.inode,
        Kind::File | Kind::Link => stamp.same_bytes(&seen.stamp),
    };
    known.stamp.is_some_and(same)
}
