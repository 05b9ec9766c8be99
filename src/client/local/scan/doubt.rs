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
use crate::client::local::passing;
use crate::client::local::stamp::Stamp;

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
}

/// What may be the same thing under two names; the number is that of a doubt, where it depends on one.
type Places = HashMap<u64, Vec<(Kind, Stamp, Option<usize>)>>;

impl<E> Walk<'_, '_, E> {
    /// Decides about known names under which something else lies, once all else was seen.
    pub(super) fn resolve(&mut self, which: impl Fn(&Doubt) -> bool) -> Result<(), ScanError<E>> {
        let (doubts, left) = mem::take(&mut self.doubts).into_iter().partition(which);
        self.doubts = left;
        let doubts: Vec<Doubt> = doubts;
        let moved = self.exchanged(&doubts);
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
    fn exchanged(&self, doubts: &[Doubt]) -> HashSet<usize> {
        let (there, known) = (self.met(doubts), self.lost(doubts));
        let mut moved: HashSet<usize> = (0..doubts.len()).collect();
        let passing = self.passing();
        loop {
            let goes = |at: &usize| {
                let Doubt {
                    known: was, entry, ..
                } = &doubts[*at];
                let free =
                    |on: Option<usize>| on != Some(*at) && on.is_none_or(|on| moved.contains(&on));
                let stamp = entry.seen.stamp;
                let is_elsewhere = was
                    .stamp
                    .is_some_and(|stamp| finds(&there, was.item.kind, &stamp, free));
                let passes = passing.get(&was.item.id).is_some_and(|(kind, inode)| {
                    *kind == was.item.kind && was.stamp.is_none_or(|stamp| stamp.inode == *inode)
                });
                passes || is_elsewhere && finds(&known, entry.kind, &stamp, free)
            };
            let left: HashSet<usize> = moved.iter().copied().filter(goes).collect();
            if left.len() == moved.len() {
                return left;
            }
            moved = left;
        }
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
        let nodes = self.nodes.iter().filter(|node| node.state == State::Fresh);
        let nodes = nodes.map(|node| (node.kind, node.seen.stamp, None));
        let entries = doubts.iter().enumerate();
        let entries =
            entries.map(|(at, doubt)| (doubt.entry.kind, doubt.entry.seen.stamp, Some(at)));
        places(&asked, nodes.chain(entries))
    }

    /// What is known and not at its place, of which an entry may be one.
    fn lost(&self, doubts: &[Doubt]) -> Places {
        let asked = doubts
            .iter()
            .map(|doubt| doubt.entry.seen.stamp.inode)
            .collect();
        let of = |known: &Known, at| Some((known.item.kind, known.stamp?, at));
        let gone = self.gone.iter().filter(|gone| gone.is_free());
        let gone = gone.filter_map(|gone| of(&gone.known, None));
        let known = doubts.iter().enumerate();
        let known = known.filter_map(|(at, doubt)| of(&doubt.known, Some(at)));
        places(&asked, gone.chain(known))
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

fn places(asked: &HashSet<u64>, all: impl Iterator<Item = (Kind, Stamp, Option<usize>)>) -> Places {
    let mut places = Places::new();
    for place in all.filter(|(_, stamp, _)| asked.contains(&stamp.inode)) {
        places.entry(place.1.inode).or_default().push(place);
    }
    places
}

fn finds(places: &Places, kind: Kind, stamp: &Stamp, free: impl Fn(Option<usize>) -> bool) -> bool {
    let same = |other: &Stamp| kind == Kind::Collection || other.same_bytes(stamp);
    let mut places = places.get(&stamp.inode).into_iter().flatten();
    places.any(|(other, at, on)| *other == kind && same(at) && free(*on))
}

/// Whether something known is what lies under its name, as far as a look tells.
pub(super) fn is_itself(known: &Known, entry: &Entry) -> bool {
    let same = |stamp: Stamp| match known.item.kind {
        Kind::Collection => stamp.inode == entry.seen.stamp.inode,
        Kind::File | Kind::Link => stamp.same_bytes(&entry.seen.stamp),
    };
    known.stamp.is_some_and(same)
}
