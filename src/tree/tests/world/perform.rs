//! Doing a verb to the tree and to the world, and holding one against the other.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use super::check::Mirror;
use super::given::{append, begin, open, plain, property, rules, trees};
use super::state::{self, DAY, World};
use super::verbs::{At, Body, SHARED, Verb, When};
use crate::jobs::collect::{Collect, round};
use crate::jobs::{JOBS, Lease, Site};
use crate::store::Store;
use crate::store::meta::peek;
use crate::tree::tests::fixture::{START, path, space};
use crate::tree::{
    BatchItem, Error, LockRequest, Overwrite, Precondition, PropertyChange, Reach, Result, Times,
    Tree, UploadError, Write,
};
use crate::types::{Clock, ETag, NodeId, SpaceId, UploadId};

/// Bytes the first account's own files may have.
const QUOTA: u64 = 150_000;
/// More rounds than any collection needs.
const ROUNDS: usize = 5;

/// An upload that somebody left alone.
struct Parked {
    at: At,
    bytes: state::Bytes,
    id: UploadId,
    used: i64,
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
    changes: u64,
    parked: Vec<Parked>,
    clock: Arc<AtomicI64>,
    folder: TempDir,
}

impl Stage {
    pub(super) async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(AtomicI64::new(START));
        let store = open(&folder).await;
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
        }
    }

    /// Does it, and counts it when something came of it.
    pub(super) async fn perform(&mut self, verb: &Verb) {
        let before = self.changes;
        self.act(verb).await;
        if self.changes > before {
            self.count(&verb.kind());
        }
    }

    fn count(&mut self, what: &str) {
        *self.done.entry(what.to_owned()).or_default() += 1;
    }

    /// Does it to both; they must agree whether it can be done.
    async fn act(&mut self, verb: &Verb) {
        match verb {
            Verb::Put(at, body, when) => self.put(at, &body.bytes(), *when).await,
            Verb::Parts(at, body, cuts) => self.parts(at, &body.bytes(), *cuts).await,
            Verb::Park(at, body) => self.park(at, body.bytes()).await,
            Verb::Finish(nth) => self.finish(usize::from(*nth)).await,
            Verb::Batch(items) => self.batch(items).await,
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
            Verb::Lock(at) => self.lock(at).await,
            Verb::Pass(days) => {
                self.world.now =
                    self.clock.fetch_add(days * DAY + 1, Ordering::SeqCst) + days * DAY + 1;
            }
            Verb::Collect => self.collect().await,
            Verb::Reopen => self.reopen().await,
            Verb::Sync => self.check().await,
        }
    }

    /// What was done to the tree is done to the world, and was refused by both or neither. A quota may
    /// refuse anything that makes its space grow.
    fn agree(
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
        let written = async {
            let mut upload = tree.upload(&to, Some(bytes.len() as u64), None).await?;
            for piece in bytes.chunks(50_000) {
                upload.push(Bytes::copy_from_slice(piece)).await?;
            }
            tree.commit(&to, upload, how).await
        };
        let done = written.await.map(drop);
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

    async fn parts(&mut self, at: &At, bytes: &state::Bytes, cuts: u8) {
        let done = async {
            let id = begin(&self.trees[at.who], at, bytes.len()).await?;
            let step = bytes.len().div_ceil(usize::from(cuts % 5) + 1).max(1);
            for (nth, part) in bytes.chunks(step).enumerate() {
                append(&self.trees[at.who], id, nth * step, part).await?;
            }
            let finished = self.trees[at.who].upload_finish(id).await;
            if finished.is_err() {
                self.trees[at.who].upload_abort(id).await?;
            }
            finished.map(drop)
        };
        let done = done.await.map_err(plain);
        self.agree(&("parts", at), &done, |world| {
            world.put(at, bytes).map(drop)
        });
    }

    async fn park(&mut self, at: &At, bytes: state::Bytes) {
        let begun = async {
            let id = begin(&self.trees[at.who], at, bytes.len()).await?;
            append(&self.trees[at.who], id, 0, &bytes[..bytes.len() / 2]).await?;
            Ok(id)
        };
        if let Ok::<_, UploadError>(id) = begun.await {
            self.parked.push(Parked {
                at: at.clone(),
                bytes,
                id,
                used: self.world.now,
            });
        }
    }

    /// An upload that is older than a week is gone.
    async fn finish(&mut self, nth: usize) {
        if self.parked.is_empty() {
            return;
        }
        let Parked {
            at,
            bytes,
            id,
            used,
        } = self.parked.remove(nth % self.parked.len());
        let tree = self.trees[at.who].clone();
        let done = async {
            append(&tree, id, bytes.len() / 2, &bytes[bytes.len() / 2..]).await?;
            tree.upload_finish(id).await.map(drop)
        };
        let done = done.await.map_err(plain);
        if self.world.now - used > 7 * DAY {
            assert!(matches!(done, Err(Error::NotFound)), "{done:?}");
            return;
        }
        if done.is_err() {
            tree.upload_abort(id).await.unwrap();
        }
        self.agree(&("finish", &at), &done, |world| {
            world.put(&at, &bytes).map(drop)
        });
    }

    async fn batch(&mut self, items: &[(At, Body)]) {
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
            return;
        };
        let results = self.trees[first.who].commit_batch(batch).await.unwrap();
        assert_eq!(results.len(), sent.len());
        for ((at, bytes), result) in sent.into_iter().zip(results) {
            self.agree(&("batch", at), &result.map(drop), |world| {
                world.put(at, &bytes).map(drop)
            });
        }
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
        self.trees[who].purge(id).await.unwrap();
        self.world.purge(item);
        self.gone.insert(id);
        self.changes += 1;
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
    async fn lock(&mut self, at: &At) {
        let Some(nth) = self.world.find(at) else {
            return;
        };
        let (tree, to) = (self.trees[at.who].clone(), path(&at.text()));
        let request = LockRequest {
            owner: None,
            timeout: None,
            shared: false,
            deep: true,
        };
        let (lock, made) = tree.lock(&to, request).await.unwrap();
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
            assert!(matches!(refused, Err(Error::Locked(_))), "{refused:?}");
            let refused = other.remove(&to).await;
            assert!(matches!(refused, Err(Error::Locked(_))), "{refused:?}");
        }
        let holder = tree.with_tokens(std::slice::from_ref(&lock.token));
        let held = holder
            .patch_properties(&to, changes(), Times::default())
            .await;
        self.agree(&("locked", at), &held.map(drop), |world| {
            world.colour(at, 7)
        });
        assert!(self.world.item(nth).colour == Some(7));
        tree.unlock(&to, &lock.token).await.unwrap();
    }

    /// The jobs that go by time, then collection until nothing is left to do.
    async fn collect(&mut self) {
        let site = Site {
            store: Arc::clone(&self.store),
            clock: self.trees[0].clock.clone(),
            stop: CancellationToken::new(),
        };
        for name in ["trash", "versions", "uploads"] {
            let job = JOBS.iter().find(|job| job.name == name).unwrap();
            let lease = Lease::take(&site, name, None).await.unwrap().unwrap();
            (job.run)(&lease, &rules()).await.unwrap();
            lease.end(None).await.unwrap();
        }
        self.world.tidy();
        let how = Collect {
            grace: Duration::ZERO,
            rate: None,
            clock: Clock::system(),
        };
        for _ in 0..ROUNDS {
            self.store.process.beat(&self.store).await.unwrap();
            round(&self.store, &how, &site.stop).await.unwrap();
        }
        if let Some(contents) = self.world.contents() {
            let conn = &mut *self.store.meta.read().await.unwrap();
            let kept = peek::count(conn, "content").await.unwrap();
            assert_eq!(
                usize::try_from(kept).unwrap(),
                contents,
                "contents after collection"
            );
        }
        self.changes += 1;
        self.check().await;
    }

    async fn reopen(&mut self) {
        self.store.close().await;
        self.store = open(&self.folder).await;
        self.trees = trees(&self.store, self.spaces, &self.clock);
        self.check().await;
    }

    /// Where the space of a number is in the tree of an account that sees it.
    pub(super) fn mount(space: usize) -> &'static str {
        if space == SHARED { "/shared" } else { "" }
    }
}
