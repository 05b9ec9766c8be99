//! Doing a verb to the tree and to the world, and holding one against the other.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use bytes::Bytes;
use futures_util::future::join_all;
use tempfile::TempDir;

use super::check::Mirror;
use super::crash::Life;
use super::given::{folder, open, property, trees};
use super::state::{self, DAY, World};
use super::uploads::Parked;
use super::verbs::{At, Body, SHARED, Verb, When};
use crate::jobs::snapshot::Snapshots;
use crate::store::Store;
use crate::store::fault::Plan;
use crate::tree::tests::fixture::{START, path, space};
use crate::tree::{
    BatchItem, Error, LockRequest, Overwrite, Precondition, PropertyChange, Reach, Result, Times,
    Tree, Write,
};
use crate::types::{ETag, NodeId, SpaceId};

/// Bytes the first account's own files may have.
const QUOTA: u64 = 150_000;

/// How a verb ended that the tree did not refuse: an error says that the world was stopped.
pub(super) type Acted<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

/// What may have been done that nobody was told of.
pub(super) enum Doubt {
    /// All of it, or nothing; and what is gone for good then.
    Whole(World, Option<NodeId>),
    /// Each of these files by itself.
    Each(Vec<(At, state::Bytes)>),
}

/// A store with two accounts, and the world that it must be like.
pub(super) struct Stage {
    pub(super) world: World,
    pub(super) trees: [Tree; 2],
    pub(super) store: Arc<Store>,
    pub(super) spaces: [SpaceId; 3],
    /// What the tree calls the items that verbs named.
    pub(super) ids: HashMap<usize, NodeId>,
    /// What is gone for good.
    pub(super) gone: HashSet<NodeId>,
    pub(super) mirrors: [Mirror; 2],
    /// How often each kind of verb changed something, and how often a quota refused one.
    pub(super) done: BTreeMap<String, u64>,
    pub(super) changes: u64,
    pub(super) parked: Vec<Parked>,
    pub(super) clock: Arc<AtomicI64>,
    pub(super) folder: TempDir,
    pub(super) plan: Arc<Plan>,
    pub(super) doubt: Option<Doubt>,
    /// Steps that verbs of each kind took the last time.
    pub(super) steps: BTreeMap<String, u64>,
    pub(super) snapshots: Option<Snapshots>,
}

impl Stage {
    pub(super) async fn new(life: &Life) -> Self {
        let folder = folder();
        let clock = Arc::new(AtomicI64::new(START));
        let store = open(&folder).await.unwrap();
        let spaces = [
            space(&store, "~one", false, Some(QUOTA)).await,
            space(&store, "~two", false, None).await,
            space(&store, "shared", true, None).await,
        ];
        Self {
            world: World::new(START),
            trees: trees(&store, spaces, &clock),
            store,
            spaces,
            ids: HashMap::new(),
            gone: HashSet::new(),
            mirrors: Default::default(),
            done: BTreeMap::new(),
            changes: 0,
            parked: Vec::new(),
            clock,
            folder,
            plan: Arc::clone(&life.plan),
            doubt: None,
            steps: BTreeMap::new(),
            snapshots: None,
        }
    }

    /// Whether the world has come to its end.
    pub(super) fn has_stopped(&self) -> bool {
        self.plan.stopped().is_some()
    }

    /// Does it, and counts it when something came of it.
    pub(super) async fn perform(&mut self, verb: &Verb) {
        let (before, steps) = (self.changes, self.plan.passed());
        if let Err(error) = self.act(verb).await {
            assert!(self.has_stopped(), "{verb:?}: {error}");
        }
        if self.changes > before {
            self.count(&verb.kind());
        }
        if !self.plan.ends() {
            self.steps.insert(verb.kind(), self.plan.passed() - steps);
        }
    }

    pub(super) fn count(&mut self, what: &str) {
        *self.done.entry(what.to_owned()).or_default() += 1;
    }

    /// Does it to both; they must agree whether it can be done.
    async fn act(&mut self, verb: &Verb) -> Acted {
        match verb {
            Verb::Put(at, body, when) => self.put(at, &body.bytes(), *when).await,
            Verb::Parts(at, body, cuts) => self.parts(at, &body.bytes(), *cuts).await?,
            Verb::Park(at, body) => self.park(at, body.bytes()).await,
            Verb::Finish(nth) => self.finish(usize::from(*nth)).await,
            Verb::Batch(items) => self.batch(items).await?,
            Verb::Together(items) => self.together(items).await,
            Verb::Mkdir(at) => {
                let done = self.trees[at.who].mkdir(&path(&at.text()), None).await;
                self.agree(verb, &done.map(drop), |world| world.mkdir(at));
            }
            Verb::Move(from, to, over) => self.place(verb, (from, to), *over, true).await,
            Verb::Copy(from, to, over) => self.place(verb, (from, to), *over, false).await,
            Verb::Remove(at) => {
                self.learn(at).await;
                let done = self.trees[at.who].remove(&path(&at.text())).await;
                self.agree(verb, &done, |world| world.remove(at));
            }
            Verb::Restore(who, nth) => self.restore(*who, usize::from(*nth)).await,
            Verb::Purge(who, nth) => self.purge(*who, usize::from(*nth)).await,
            Verb::RestoreVersion(at, nth) => self.restore_version(at, usize::from(*nth)).await,
            Verb::Colour(at, colour) => {
                let changes = vec![PropertyChange::Set(property(*colour))];
                let tree = &self.trees[at.who];
                let done = tree
                    .patch_properties(&path(&at.text()), changes, Times::default())
                    .await;
                self.agree(verb, &done.map(drop), |world| world.colour(at, *colour));
            }
            Verb::Lock(at) => self.lock(at).await?,
            Verb::Pass(days) => {
                self.world.now =
                    self.clock.fetch_add(days * DAY + 1, Ordering::SeqCst) + days * DAY + 1;
            }
            Verb::Collect => self.collect().await?,
            Verb::Snapshot => self.snapshot().await?,
            Verb::Reopen => self.reopen().await?,
            Verb::Sync => self.check().await,
            Verb::Crash(..) => unreachable!("no process outlives it"),
        }
        Ok(())
    }

    /// What was done to the tree is done to the world, and was refused by both or neither. A quota may
    /// refuse anything that makes its space grow.
    pub(super) fn agree(
        &mut self,
        what: &dyn std::fmt::Debug,
        got: &Result<()>,
        apply: impl FnOnce(&mut World) -> Option<()>,
    ) {
        let mut after = self.world.clone();
        let expected = apply(&mut after);
        if let Err(Error::QuotaExceeded { used, quota }) = got {
            assert!(used > quota, "{what:?} was refused for {used} of {quota}");
            self.count("Quota");
            return;
        }
        if got.is_err() && self.has_stopped() {
            self.doubt = expected.map(|()| Doubt::Whole(after, None));
            return;
        }
        assert_eq!(got.is_ok(), expected.is_some(), "{what:?}: {got:?}");
        if expected.is_some() {
            let (before, used) = (self.world.used(0), after.used(0));
            assert!(
                used <= QUOTA || used <= before,
                "{what:?} went over the quota to {used}"
            );
            self.world = after;
            self.changes += 1;
        }
    }

    /// Remembers what the tree calls what lies somewhere.
    async fn learn(&mut self, at: &At) {
        if let (Some(nth), Ok(node)) = (
            self.world.find(at),
            self.trees[at.who].lookup(&path(&at.text())).await,
        ) {
            self.ids.insert(nth, node.id);
        }
    }

    async fn put(&mut self, at: &At, bytes: &state::Bytes, when: When) {
        let (tree, to) = (&self.trees[at.who], path(&at.text()));
        let there = self
            .world
            .find(at)
            .map(|nth| self.world.item(nth).file.is_some());
        let precondition = match when {
            When::Always => Precondition::None,
            When::Absent => Precondition::Absent,
            When::Other => Precondition::Match(vec![ETag::parse("fffffff")]),
            When::Current => {
                let known = tree
                    .lookup(&to)
                    .await
                    .map_or(ETag::parse("none"), |node| node.etag);
                Precondition::Match(vec![known])
            }
        };
        let how = Write {
            when: precondition,
            ..Write::default()
        };
        let done = send(tree, at, bytes, how).await;
        let holds = match when {
            When::Always => true,
            When::Absent => there.is_none(),
            When::Current => there == Some(true),
            When::Other => false,
        };
        self.agree(&(at, when), &done, |world| {
            if holds {
                world.put(at, bytes).map(drop)
            } else {
                None
            }
        });
    }

    async fn together(&mut self, items: &[(At, Body)]) {
        let trees = self.trees.clone();
        let all = items.iter().map(async |(at, body)| {
            let bytes = body.bytes();
            let done = send(&trees[at.who], at, &bytes, Write::default()).await;
            (at, done, bytes)
        });
        let mut unheard = Vec::new();
        for (at, done, bytes) in join_all(all).await {
            if done.is_err() && self.has_stopped() {
                unheard.push((at.clone(), bytes));
            } else {
                self.agree(&("together", at), &done, |world| {
                    world.put(at, &bytes).map(drop)
                });
            }
        }
        self.doubt = Some(Doubt::Each(unheard));
    }

    async fn batch(&mut self, items: &[(At, Body)]) -> Acted {
        let mut sent = Vec::new();
        let mut batch = Vec::new();
        for (at, body) in items {
            let (tree, to, bytes) = (&self.trees[at.who], path(&at.text()), body.bytes());
            let staged = async {
                let mut upload = tree.upload(&to, Some(bytes.len() as u64), None).await?;
                upload.push(Bytes::copy_from_slice(&bytes)).await?;
                upload.finish().await?.ok_or(Error::Checksum)
            };
            // A place that does not exist is refused here already.
            if let Ok(staged) = staged.await {
                batch.push(BatchItem {
                    at: to,
                    staged,
                    how: Write::default(),
                });
                sent.push((at, bytes));
            }
        }
        let Some((first, _)) = items.first() else {
            return Ok(());
        };
        let results = self.trees[first.who].commit_batch(batch).await;
        if results.is_err() {
            let mut after = self.world.clone();
            for (at, bytes) in &sent {
                after.put(at, bytes);
            }
            self.doubt = Some(Doubt::Whole(after, None));
        }
        let results = results?;
        assert_eq!(results.len(), sent.len());
        for ((at, bytes), result) in sent.into_iter().zip(results) {
            self.agree(&("batch", at), &result.map(drop), |world| {
                world.put(at, &bytes).map(drop)
            });
        }
        Ok(())
    }

    async fn place(&mut self, verb: &Verb, (from, to): (&At, &At), over: bool, moves: bool) {
        self.learn(from).await;
        self.learn(to).await;
        let (tree, source, target) = (&self.trees[from.who], path(&from.text()), path(&to.text()));
        let overwrite = if over { Overwrite::Yes } else { Overwrite::No };
        let done = if moves {
            tree.rename(&source, &target, overwrite).await
        } else {
            tree.copy(&source, &target, overwrite, Reach::Deep).await
        };
        self.agree(verb, &done.map(drop), |world| {
            world.place(from, to, over, moves)
        });
    }

    fn trashed(&self, who: usize, nth: usize) -> Option<(usize, NodeId)> {
        let trash = self.world.trash(who);
        let item = *trash.get(nth % trash.len().max(1))?;
        Some((item, self.ids[&item]))
    }

    async fn restore(&mut self, who: usize, nth: usize) {
        let Some((item, id)) = self.trashed(who, nth) else {
            return;
        };
        let done = self.trees[who].restore(id).await;
        let mut name = None;
        let got = done.map(|node| name = Some(node.name));
        self.agree(&("restore", item), &got, |world| {
            let given = world.restore(item);
            assert_eq!(name.unwrap_or_else(|| given.clone()), given);
            Some(())
        });
    }

    async fn purge(&mut self, who: usize, nth: usize) {
        let Some((item, id)) = self.trashed(who, nth) else {
            return;
        };
        let done = self.trees[who].purge(id).await;
        self.agree(&("purge", item), &done, |world| {
            world.purge(item);
            Some(())
        });
        if let Some(Doubt::Whole(_, gone)) = &mut self.doubt {
            *gone = Some(id);
        } else {
            self.gone.insert(id);
        }
    }

    async fn restore_version(&mut self, at: &At, nth: usize) {
        let mut after = self.world.clone();
        let Some(number) = after.restore_version(at, nth) else {
            return;
        };
        let tree = &self.trees[at.who];
        let id = tree.lookup(&path(&at.text())).await.unwrap().id;
        let done = tree.restore_version(id, number).await.map(drop);
        self.agree(&("version", at, number), &done, |world| {
            world.restore_version(at, nth).map(drop)
        });
    }

    /// Nobody writes to what is locked without its token, and its holder does.
    async fn lock(&mut self, at: &At) -> Acted {
        let Some(nth) = self.world.find(at) else {
            return Ok(());
        };
        let (tree, to) = (self.trees[at.who].clone(), path(&at.text()));
        let request = LockRequest {
            owner: None,
            timeout: None,
            shared: false,
            deep: true,
        };
        let (lock, made) = tree.lock(&to, request).await?;
        assert!(!made);
        let changes = || vec![PropertyChange::Set(property(7))];
        let mut others = vec![tree.clone()];
        if at.shared {
            others.push(self.trees[1 - at.who].clone());
        }
        for other in others {
            let refused = other
                .patch_properties(&to, changes(), Times::default())
                .await;
            self.must_be_locked(refused.map(drop))?;
            self.must_be_locked(other.remove(&to).await)?;
        }
        let holder = tree.with_tokens(std::slice::from_ref(&lock.token));
        let held = holder
            .patch_properties(&to, changes(), Times::default())
            .await;
        self.agree(&("locked", at), &held.map(drop), |world| {
            world.colour(at, 7)
        });
        assert!(self.has_stopped() || self.world.item(nth).colour == Some(7));
        tree.unlock(&to, &lock.token).await?;
        Ok(())
    }

    fn must_be_locked(&self, refused: Result<()>) -> Acted {
        match refused {
            Err(Error::Locked(_)) => Ok(()),
            Err(error) if self.has_stopped() => Err(error.into()),
            other => panic!("{other:?}"),
        }
    }

    /// Where the space of a number is in the tree of an account that sees it.
    pub(super) fn mount(space: usize) -> &'static str {
        if space == SHARED { "/shared" } else { "" }
    }
}

/// Writes a file.
async fn send(tree: &Tree, at: &At, bytes: &[u8], how: Write) -> Result<()> {
    let to = path(&at.text());
    let mut upload = tree.upload(&to, Some(bytes.len() as u64), None).await?;
    for piece in bytes.chunks(50_000) {
        upload.push(Bytes::copy_from_slice(piece)).await?;
    }
    tree.commit(&to, upload, how).await.map(drop)
}
