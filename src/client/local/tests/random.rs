//! Random trees and random edits: what is found makes the journal equal to what is there.

use std::collections::BTreeMap;
use std::fs;

use proptest::prelude::*;

use super::world::World;
use crate::client::item::Kind;
use crate::client::local::join;
use crate::client::local::scan::{Found, Reach, Scope, look_again};

/// An edit, with numbers that choose among what there is.
#[derive(Clone, Debug)]
enum Edit {
    Write(usize, usize, usize),
    Mkdir(usize, usize),
    Remove(usize),
    Move(usize, usize, usize),
    /// As an editor saves: a new file, renamed over the old one.
    Save(usize, usize),
    Swap(usize, usize),
    Chmod(usize, bool),
    Link(usize, usize),
}

fn edit() -> impl Strategy<Value = Edit> {
    let n = 0..64_usize;
    prop_oneof![
        3 => (n.clone(), n.clone(), 0..40_usize).prop_map(|(a, b, c)| Edit::Write(a, b, c)),
        2 => (n.clone(), n.clone()).prop_map(|(a, b)| Edit::Mkdir(a, b)),
        2 => n.clone().prop_map(Edit::Remove),
        4 => (n.clone(), n.clone(), n.clone()).prop_map(|(a, b, c)| Edit::Move(a, b, c)),
        1 => (n.clone(), 0..40_usize).prop_map(|(a, b)| Edit::Save(a, b)),
        1 => (n.clone(), n.clone()).prop_map(|(a, b)| Edit::Swap(a, b)),
        1 => (n.clone(), any::<bool>()).prop_map(|(a, b)| Edit::Chmod(a, b)),
        1 => (n.clone(), n).prop_map(|(a, b)| Edit::Link(a, b)),
    ]
}

const NAMES: &[&str] = &["a", "b", "c", "d", "ä", "longer name", "x.txt", "B"];

/// What is there, and a note of everything that is touched.
struct Hand<'a> {
    world: &'a World,
    dirty: BTreeMap<String, Reach>,
    count: usize,
}

impl Hand<'_> {
    fn pick(&self, nth: usize, only: Option<Kind>) -> Option<String> {
        let real = self.world.real();
        let paths: Vec<_> = real
            .iter()
            .filter(|(_, what)| only.is_none_or(|kind| kind == what.0))
            .collect();
        (!paths.is_empty()).then(|| paths[nth % paths.len()].0.clone())
    }

    fn place(&self, dir: usize, name: usize) -> String {
        let real = self.world.real();
        let dirs = real
            .iter()
            .filter(|(_, what)| what.0 == Kind::Collection)
            .map(|(path, _)| path.as_str());
        let dirs: Vec<&str> = dirs.chain([""]).collect();
        join(dirs[dir % dirs.len()], NAMES[name % NAMES.len()])
    }

    fn note(&mut self, path: &str, reach: Reach) {
        look_again(&mut self.dirty, path.to_owned(), reach);
    }

    /// Bytes that no file had before.
    fn bytes(&mut self, len: usize) -> String {
        self.count += 1;
        format!("{}{}", self.count, ".".repeat(len))
    }

    fn act_all(&mut self, edits: &[Edit]) {
        for edit in edits {
            self.act(edit);
        }
    }

    fn act(&mut self, edit: &Edit) {
        match *edit {
            Edit::Write(dir, name, len) => {
                let (path, bytes) = (self.place(dir, name), self.bytes(len));
                if !self.world.at(&path).is_symlink()
                    && fs::write(self.world.at(&path), bytes).is_ok()
                {
                    self.note(&path, Reach::Entry);
                }
            }
            Edit::Mkdir(dir, name) => {
                let path = self.place(dir, name);
                if fs::create_dir(self.world.at(&path)).is_ok() {
                    self.note(&path, Reach::Below);
                }
            }
            Edit::Remove(nth) => {
                if let Some(path) = self.pick(nth, None) {
                    self.world.remove(&path);
                    self.note(&path, Reach::Entry);
                }
            }
            Edit::Move(nth, dir, name) => {
                let to = self.place(dir, name);
                if let Some(from) = self.pick(nth, None) {
                    self.shift(&from, &to);
                }
            }
            Edit::Save(nth, len) => {
                let (path, bytes) = (self.pick(nth, Some(Kind::File)), self.bytes(len));
                if let Some(path) = path {
                    fs::write(self.world.outside("new"), bytes).unwrap();
                    fs::rename(self.world.outside("new"), self.world.at(&path)).unwrap();
                    self.note(&path, Reach::Entry);
                }
            }
            Edit::Swap(one, other) => {
                let (Some(one), Some(other)) = (self.pick(one, None), self.pick(other, None))
                else {
                    return;
                };
                let within = |a: &str, b: &str| format!("{a}/").starts_with(&format!("{b}/"));
                if !within(&one, &other) && !within(&other, &one) {
                    let spare = self.world.outside("spare");
                    fs::rename(self.world.at(&one), &spare).unwrap();
                    fs::rename(self.world.at(&other), self.world.at(&one)).unwrap();
                    fs::rename(spare, self.world.at(&other)).unwrap();
                    self.note(&one, Reach::Below);
                    self.note(&other, Reach::Below);
                }
            }
            Edit::Chmod(nth, run) => {
                if let Some(path) = self.pick(nth, Some(Kind::File)) {
                    self.world.chmod(&path, if run { 0o755 } else { 0o644 });
                    self.note(&path, Reach::Entry);
                }
            }
            Edit::Link(dir, name) => {
                let path = self.place(dir, name);
                if std::os::unix::fs::symlink("nowhere", self.world.at(&path)).is_ok() {
                    self.note(&path, Reach::Entry);
                }
            }
        }
    }

    fn shift(&mut self, from: &str, to: &str) {
        let free = self.world.at(to).symlink_metadata().is_err();
        if free && fs::rename(self.world.at(from), self.world.at(to)).is_ok() {
            self.note(from, Reach::Entry);
            self.note(to, Reach::Below);
        }
    }
}

fn check(world: &mut World, scope: &Scope) {
    let found = world.scan_in(scope);
    assert!(
        found.troubles.is_empty() && found.again.is_empty(),
        "{found:?}"
    );
    let mut ids: Vec<_> = found.changed.iter().map(|local| local.item.id).collect();
    ids.extend(found.missing.iter().map(|known| known.item.id));
    let all = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), all, "one thing is told twice: {found:?}");
    world.apply(&found);
    assert_eq!(world.modelled(), world.real());
    assert_eq!(world.scan(), Found::default());
}

/// Scans in portions of so many new items.
fn check_portions(world: &mut World, most: usize, scope: Scope) {
    let mut next = scope;
    world.most = most;
    loop {
        let found = world.scan_in(&next);
        world.apply(&found);
        let new = found
            .changed
            .iter()
            .filter(|local| !local.item.id.is_known());
        assert!(
            found.left.is_empty() || new.count() > 0,
            "it comes to no end: {found:?}"
        );
        if found.left.is_empty() {
            break;
        }
        next = Scope::Dirty(found.left);
    }
    world.most = usize::MAX;
    assert_eq!(world.modelled(), world.real());
    assert_eq!(world.scan(), Found::default());
}

fn cases() -> ProptestConfig {
    let long = std::env::var_os("SYNC_TEST_LONG").is_some();
    ProptestConfig::with_cases(if long { 1000 } else { 96 })
}

/// Edits, with a scan after each round.
fn play(first: &[Edit], rounds: &[Vec<Edit>], scope: fn(BTreeMap<String, Reach>) -> Scope) {
    let mut world = World::new();
    let mut count = 0;
    for edits in std::iter::once(first).chain(rounds.iter().map(Vec::as_slice)) {
        let mut hand = Hand {
            world: &world,
            dirty: BTreeMap::new(),
            count,
        };
        hand.act_all(edits);
        count = hand.count;
        let scope = scope(hand.dirty);
        check(&mut world, &scope);
    }
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn a_scan_of_everything_finds_everything(
        first in prop::collection::vec(edit(), 5..40),
        rounds in prop::collection::vec(prop::collection::vec(edit(), 1..10), 1..4),
    ) {
        play(&first, &rounds, |_| Scope::All);
    }

    #[test]
    fn a_scan_of_what_is_dirty_finds_the_same(
        first in prop::collection::vec(edit(), 5..40),
        rounds in prop::collection::vec(prop::collection::vec(edit(), 1..10), 1..4),
    ) {
        play(&first, &rounds, Scope::Dirty);
    }

    #[test]
    fn scans_in_portions_find_the_same(
        first in prop::collection::vec(edit(), 5..40),
        rounds in prop::collection::vec(prop::collection::vec(edit(), 1..20), 1..4),
        most in 1..6_usize,
    ) {
        let mut world = World::new();
        let mut count = 0;
        for edits in std::iter::once(&first).chain(&rounds) {
            let mut hand = Hand { world: &world, dirty: BTreeMap::new(), count };
            hand.act_all(edits);
            count = hand.count;
            let scope = Scope::Dirty(hand.dirty);
            check_portions(&mut world, most, scope);
        }
    }

    #[test]
    fn whatever_is_only_moved_keeps_its_id(
        first in prop::collection::vec(edit(), 5..40),
        moves in prop::collection::vec((0..64_usize, 0..64_usize, 0..64_usize), 1..6),
    ) {
        let mut world = World::new();
        let mut hand = Hand { world: &world, dirty: BTreeMap::new(), count: 0 };
        hand.act_all(&first);
        world.settle();
        for (nth, dir, name) in moves {
            let mut hand = Hand { world: &world, dirty: BTreeMap::new(), count: 0 };
            hand.act(&Edit::Move(nth, dir, name));
            let scope = Scope::Dirty(hand.dirty);
            let found = world.scan_in(&scope);
            prop_assert!(found.missing.is_empty() && found.changed.len() <= 1, "{:?}", found);
            prop_assert!(found.changed.iter().all(|local| local.item.id.is_known()));
            check(&mut world, &scope);
        }
    }
}
