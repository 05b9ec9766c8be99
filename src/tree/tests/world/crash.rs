//! The end of a process before some step of a verb, and what the next one finds: what was acknowledged is
//! there, and what was interrupted is there as a whole or not at all.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;

use super::given::{open, trees};
use super::perform::{Doubt, Stage};
use super::state::Past;
use super::verbs::{At, SHARED, Verb};
use crate::crypto::MasterKey;
use crate::jobs::fsck::{How, check};
use crate::store::fault::{Loss, Plan};
use crate::store::meta::spaces;
use crate::store::snapshot::{Folder, Reader};
use crate::tree::free_uploads;
use crate::tree::tests::fixture::path;
use crate::types::{Clock, NodeId, NodePath, SpaceId};

/// More than any step waits for.
const PATIENCE: Duration = Duration::from_secs(20);
/// What is leased to a process is free again after that long, in ms.
const LEASE: i64 = 2 * 60 * 1000;

/// A process: the threads that follow one plan.
pub(super) struct Life {
    pub(super) plan: Arc<Plan>,
    runtime: Option<Runtime>,
}

/// How a process ended.
pub(super) struct End {
    /// Before which step; `None` when there were fewer.
    pub(super) before: Option<String>,
    /// Whether a power cut would have taken bytes from it.
    pub(super) owed: bool,
}

impl Life {
    pub(super) fn begin() -> Self {
        let plan = Arc::new(Plan::default());
        let followed = Arc::clone(&plan);
        plan.follow();
        let runtime = Builder::new_current_thread()
            .enable_all()
            .on_thread_start(move || followed.follow())
            .build()
            .unwrap();
        let runtime = Some(runtime);
        Self { plan, runtime }
    }

    pub(super) fn run<F: Future>(&self, work: F) -> F::Output {
        self.runtime.as_ref().unwrap().block_on(work)
    }

    /// Waits until no thread and no task of it is left.
    fn end(&mut self) {
        self.runtime.take().unwrap().shutdown_timeout(PATIENCE);
    }
}

impl Stage {
    /// Ends the process before a step of a verb, and holds the next one against the world.
    pub(super) fn crash(&mut self, life: &mut Life, verb: &Verb, step: u64, loss: Loss) -> End {
        let turns = life.run(self.turns());
        life.plan.stop_after(step);
        life.run(self.perform(verb));
        let before = life.plan.stopped();
        // At rest it ends as well.
        life.plan.stop_after(0);
        self.snapshots = None;
        let closed = life.run(async { timeout(PATIENCE, self.store.meta.close()).await });
        closed.expect("the connections are given back");
        life.end();
        let owed = life.plan.owes();
        life.plan.lose(loss).unwrap();
        *life = Life::begin();
        self.plan = Arc::clone(&life.plan);
        life.run(self.rise(verb, turns));
        self.count("Crash");
        End { before, owed }
    }

    async fn turns(&self) -> Vec<(SpaceId, i64)> {
        let conn = &mut *self.store.meta.read().await.unwrap();
        let mut turns = spaces::turns(conn).await.unwrap();
        turns.sort_unstable();
        turns
    }

    /// Begins the next process, as the server does that finds no other.
    async fn rise(&mut self, verb: &Verb, before: Vec<(SpaceId, i64)>) {
        self.store = open(&self.folder).await.unwrap();
        self.trees = trees(&self.store, self.spaces, &self.clock);
        self.store
            .process
            .bury_others(&self.store.meta)
            .await
            .unwrap();
        free_uploads(&self.store).await.unwrap();
        let turned = self.turns().await != before;
        match self.doubt.take() {
            Some(Doubt::Whole(after, gone)) if turned => {
                self.world = after;
                self.gone.extend(gone);
            }
            Some(Doubt::Each(files)) => self.adopt_files(files).await,
            Some(Doubt::Whole(..)) | None => {}
        }
        self.world.now = self.clock.fetch_add(LEASE, Ordering::SeqCst) + LEASE;
        if let Verb::Lock(at) = verb {
            self.unlock(at).await;
        } else if let Verb::Collect = verb {
            self.adopt_what_went().await;
        }
        self.look_at_parked().await;
        self.check().await;
        self.check_store(false).await;
    }

    /// Of files that were written at the same time, each may be there.
    async fn adopt_files(&mut self, files: Vec<(At, super::state::Bytes)>) {
        for (at, bytes) in files {
            let tree = &self.trees[at.who];
            let Ok(node) = tree.lookup(&path(&at.text())).await else {
                continue;
            };
            if node.is_collection() {
                continue;
            }
            let reader = tree.read(&node).await.unwrap();
            if super::check::read(reader).await == **bytes {
                self.world.put(&at, &bytes);
            }
        }
    }

    /// Whoever locked it does not know its token.
    async fn unlock(&mut self, at: &At) {
        let (tree, to) = (&self.trees[at.who], path(&at.text()));
        for lock in tree.locks(&to).await.unwrap_or_default() {
            tree.unlock(&to, &lock.token).await.unwrap();
        }
    }

    /// Of what goes with time, each may have gone.
    async fn adopt_what_went(&mut self) {
        let mut tidied = self.world.clone();
        tidied.tidy();
        for who in [0, 1] {
            let (page, _) = self.trees[who].trash_page(None, 1000).await.unwrap();
            let there: HashSet<NodeId> = page.into_iter().map(|found| found.node.id).collect();
            let stay = tidied.trash(who);
            for nth in self.world.trash(who) {
                if !stay.contains(&nth) && !there.contains(&self.ids[&nth]) {
                    self.world.purge(nth);
                }
            }
            for space in [who, SHARED] {
                self.adopt_versions(who, space, &tidied).await;
            }
        }
    }

    async fn adopt_versions(&mut self, who: usize, space: usize, tidied: &super::state::World) {
        let stay = tidied.listing(space);
        let paths: Vec<String> = self.world.listing(space).into_keys().collect();
        for at in paths {
            let tree = &self.trees[who];
            let full = NodePath::parse(&format!("{}{at}", Self::mount(space))).unwrap();
            let node = tree.lookup(&full).await.unwrap();
            let Some(past) = stay
                .get(&at)
                .and_then(|item| item.file.as_ref()?.past.clone())
            else {
                continue;
            };
            let there = tree.versions(&node).await.unwrap();
            let held = |past: &Past| there.iter().any(|version| version.number == past.number);
            let must: HashSet<i64> = past.iter().map(|past| past.number).collect();
            self.world
                .forget_past(space, &at, |past| held(past) || must.contains(&past.number));
        }
    }

    /// Nothing in the store contradicts anything else, and what snapshots there are is whole.
    pub(super) async fn check_store(&self, deep: bool) {
        let data = self.folder.path().join("data");
        let how = How {
            deep,
            repair: false,
            data: data.clone(),
            clock: Clock::system(),
        };
        let mut found = Vec::new();
        let mut told = |finding: &crate::jobs::fsck::Finding| {
            if !finding.kind.is_harmless() {
                found.push(finding.clone());
            }
        };
        check(&self.store, &how, &mut told).await.unwrap();
        assert!(found.is_empty(), "{found:#?}");
        let (key, _) = MasterKey::load_or_create(&self.folder.path().join("key")).unwrap();
        for entry in Folder::of(&data).entries().unwrap() {
            let mut reader = Reader::open(&entry.path, &key).unwrap();
            while reader.next_frame().unwrap().is_some() {}
        }
    }
}
