//! What accounts do, drawn at random from small domains, so that they meet each other.

use std::rc::Rc;

use proptest::prelude::*;

use super::state::Bytes;
use crate::store::fault::Loss;

/// The number of the shared space; the others have those of their accounts.
pub(super) const SHARED: usize = 2;

/// A place in the tree of one of the accounts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct At {
    pub(super) who: usize,
    pub(super) shared: bool,
    pub(super) names: Vec<String>,
}

/// A content: noise of a seed, with some bytes put in.
#[derive(Clone, Debug)]
pub(super) struct Body {
    seed: u8,
    len: usize,
    edit: Option<u16>,
}

/// What a write relies on.
#[derive(Clone, Copy, Debug)]
pub(super) enum When {
    Always,
    Absent,
    Current,
    Other,
}

#[derive(Clone, Debug)]
pub(super) enum Verb {
    Put(At, Body, When),
    /// An upload in parts, finished at once.
    Parts(At, Body, u8),
    /// The first half of one, left alone.
    Park(At, Body),
    /// The rest of one that was left alone.
    Finish(u8),
    /// Some files in one commit.
    Batch(Vec<(At, Body)>),
    /// Some files at the same time, each at a place of its own.
    Together(Vec<(At, Body)>),
    Mkdir(At),
    Move(At, At, bool),
    Copy(At, At, bool),
    Remove(At),
    Restore(usize, u8),
    Purge(usize, u8),
    RestoreVersion(At, u8),
    Colour(At, u8),
    /// A lock, tried by everybody, and its end.
    Lock(At),
    Pass(i64),
    /// What goes with time goes, then what nothing names.
    Collect,
    /// A copy of the database beside the segments, or what changed since the last.
    Snapshot,
    /// The store is closed and opened again.
    Reopen,
    /// The process ends before some step of a verb, and another goes on.
    Crash(Box<Verb>, u16, Loss),
    /// Clients pull what changed.
    Sync,
}

impl Verb {
    /// Its name; moves and copies from one space to another have one of their own.
    pub(super) fn kind(&self) -> String {
        let mut across = "";
        if let Self::Move(from, to, _) | Self::Copy(from, to, _) = self
            && from.shared != to.shared
        {
            across = "Across";
        }
        let text = format!("{self:?}");
        let name = text
            .split(|c: char| !c.is_alphanumeric())
            .next()
            .unwrap_or_default();
        format!("{name}{across}")
    }
}

impl At {
    pub(super) fn of(who: usize, shared: bool, names: &str) -> Self {
        let names = names.split('/').map(ToOwned::to_owned).collect();
        Self { who, shared, names }
    }

    /// The collection that every life begins with, in each space.
    pub(super) fn first() -> [Self; 3] {
        [(0, false), (1, false), (0, true)].map(|(who, shared)| Self::of(who, shared, "a"))
    }

    /// The space it lies in.
    pub(super) fn space(&self) -> usize {
        if self.shared { SHARED } else { self.who }
    }

    /// As the account says it.
    pub(super) fn text(&self) -> String {
        let mount = if self.shared { "/shared" } else { "" };
        format!("{mount}/{}", self.names.join("/"))
    }
}

impl Body {
    pub(super) fn of(seed: u8, len: usize) -> Self {
        let edit = None;
        Self { seed, len, edit }
    }

    /// With a few bytes put in.
    pub(super) fn edited(self, edit: u16) -> Self {
        let edit = Some(edit);
        Self { edit, ..self }
    }

    pub(super) fn bytes(&self) -> Bytes {
        let key = blake3::derive_key("contents of the model", &[self.seed]);
        let mut bytes = vec![0; self.len];
        blake3::Hasher::new_keyed(&key)
            .finalize_xof()
            .fill(&mut bytes);
        if let Some(edit) = self.edit {
            let at = usize::from(edit) * 7 % (self.len + 1);
            bytes.splice(at..at, *b"put in here");
        }
        Rc::new(bytes)
    }
}

/// Few places, so that things meet; `a` is a collection in the beginning.
fn at() -> impl Strategy<Value = At> {
    let name = || prop::sample::select(vec!["a", "b", "c"]);
    let names = prop_oneof![
        5 => name().prop_map(|one| vec![one]),
        5 => name().prop_map(|one| vec!["a", one]),
        1 => name().prop_map(|one| vec!["b", one]),
        2 => name().prop_map(|one| vec!["a", "b", one]),
    ];
    (0..2_usize, prop::bool::weighted(0.4), names).prop_map(|(who, shared, names)| At {
        who,
        shared,
        names: names.into_iter().map(ToOwned::to_owned).collect(),
    })
}

/// Mostly small, on both sides of what is kept in the row, and some of several chunks.
fn body() -> impl Strategy<Value = Body> {
    let len = prop_oneof![
        1 => Just(0_usize), 4 => Just(100), 2 => Just(8192), 2 => Just(8193), 2 => Just(70_000), 1 => Just(400_000),
    ];
    let edit = prop::option::weighted(0.5, any::<u16>());
    (0..3_u8, len, edit).prop_map(|(seed, len, edit)| Body { seed, len, edit })
}

fn when() -> impl Strategy<Value = When> {
    prop_oneof![6 => Just(When::Always), 1 => Just(When::Absent), 1 => Just(When::Current), 1 => Just(When::Other)]
}

/// A batch goes into one space.
fn batch() -> impl Strategy<Value = Vec<(At, Body)>> {
    let items = prop::collection::vec((at(), body()), 1..5);
    (0..2_usize, items).prop_map(|(who, mut items)| {
        for (at, _) in &mut items {
            (at.who, at.shared) = (who, who == 0);
        }
        items
    })
}

/// Each to a place of its own.
fn together() -> impl Strategy<Value = Vec<(At, Body)>> {
    let items = prop::collection::vec((at(), body()), 2..5);
    items.prop_map(|items| {
        let mut all: Vec<(At, Body)> = Vec::new();
        for (at, body) in items {
            if all
                .iter()
                .all(|(known, _)| known.text() != at.text() || known.space() != at.space())
            {
                all.push((at, body));
            }
        }
        all
    })
}

fn loss() -> impl Strategy<Value = Loss> {
    prop::sample::select(vec![Loss::Nothing, Loss::Unsynced, Loss::Torn])
}

pub(super) fn verb() -> impl Strategy<Value = Verb> {
    let crash = (deed(), any::<u16>(), loss())
        .prop_map(|(deed, step, loss)| Verb::Crash(Box::new(deed), step, loss));
    prop_oneof![
        45 => deed(),
        4 => crash,
        2 => (0..20_i64).prop_map(Verb::Pass),
        2 => Just(Verb::Sync),
    ]
}

/// What takes steps.
fn deed() -> impl Strategy<Value = Verb> {
    prop_oneof![
        8 => (at(), body(), when()).prop_map(|(at, body, when)| Verb::Put(at, body, when)),
        2 => (at(), body(), any::<u8>()).prop_map(|(at, body, cuts)| Verb::Parts(at, body, cuts)),
        1 => (at(), body()).prop_map(|(at, body)| Verb::Park(at, body)),
        1 => any::<u8>().prop_map(Verb::Finish),
        2 => batch().prop_map(Verb::Batch),
        1 => together().prop_map(Verb::Together),
        6 => at().prop_map(Verb::Mkdir),
        5 => (at(), at(), any::<bool>()).prop_map(|(from, mut to, over)| {
            to.who = from.who;
            Verb::Move(from, to, over)
        }),
        4 => (at(), at(), any::<bool>()).prop_map(|(from, mut to, over)| {
            to.who = from.who;
            Verb::Copy(from, to, over)
        }),
        4 => at().prop_map(Verb::Remove),
        3 => (0..2_usize, any::<u8>()).prop_map(|(who, nth)| Verb::Restore(who, nth)),
        2 => (0..2_usize, any::<u8>()).prop_map(|(who, nth)| Verb::Purge(who, nth)),
        2 => (at(), any::<u8>()).prop_map(|(at, nth)| Verb::RestoreVersion(at, nth)),
        2 => (at(), any::<u8>()).prop_map(|(at, colour)| Verb::Colour(at, colour)),
        1 => at().prop_map(Verb::Lock),
        2 => Just(Verb::Collect),
        1 => Just(Verb::Snapshot),
        1 => Just(Verb::Reopen),
    ]
}
