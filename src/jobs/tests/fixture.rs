//! A store with two accounts, and the jobs that work on it.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

pub(in crate::jobs) use super::begin::path;
use crate::crypto::MasterKey;
use crate::jobs::{JOBS, Lease, Result, Rules, Site};
use crate::store::Store;
use crate::store::meta::Conn;
use crate::store::meta::testing;
use crate::store::meta::versions::Keep;
use crate::tree::retain::Freed;
use crate::tree::testing::{space, user};
use crate::tree::{Node, Tree, Write};
use crate::types::{Clock, Millis};

/// Noon of some day.
pub(in crate::jobs) const START: i64 = 1_800_000_000_000;
pub(in crate::jobs) const MS: Duration = Duration::from_millis(1);
pub(in crate::jobs) const DAY: Duration = Duration::from_hours(24);
pub(in crate::jobs) const MONTH: Duration = Duration::from_hours(30 * 24);

pub(in crate::jobs) const RULES: Rules = Rules {
    versions: Keep {
        always: 5,
        most: 10,
        max_age: 30 * 24 * 3600 * 1000,
    },
    trash: MONTH,
    activity: Duration::from_hours(365 * 24),
    feed: Duration::from_hours(90 * 24),
};

pub(in crate::jobs) struct Fixture {
    pub(in crate::jobs) tree: Tree,
    pub(in crate::jobs) site: Site,
    pub(in crate::jobs) now: Arc<AtomicI64>,
    pub(in crate::jobs) folder: TempDir,
}

impl Fixture {
    pub(in crate::jobs) async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (database, data) = (testing::database(folder.path()), folder.path().join("data"));
        let key = MasterKey::generate().unwrap();
        let store = Store::open(&database, &data, key, RULES.versions);
        let store = store.await.unwrap();
        let now = Arc::new(AtomicI64::new(START));
        let ticking = Arc::clone(&now);
        let clock = Clock::from_fn(move || Millis(ticking.load(Ordering::SeqCst)));
        let one = space(&store, "~one", false, None, Millis(START)).await;
        space(&store, "shared", true, None, Millis(START)).await;
        let site = Site {
            store: Arc::clone(&store),
            clock: clock.clone(),
            stop: CancellationToken::new(),
        };
        Self {
            tree: Tree::new(store, user(1, "one", one), clock),
            site,
            now,
            folder,
        }
    }

    pub(in crate::jobs) fn pass(&self, time: Duration) {
        let millis = i64::try_from(time.as_millis()).unwrap();
        self.now.fetch_add(millis, Ordering::SeqCst);
    }

    /// All of the time but a millisecond.
    pub(in crate::jobs) fn pass_almost(&self, time: Duration) {
        self.pass(time.saturating_sub(MS));
    }

    pub(in crate::jobs) async fn put(&self, at: &str, bytes: &[u8]) -> Node {
        self.write(at, bytes, Write::default()).await
    }

    pub(in crate::jobs) async fn write(&self, at: &str, bytes: &[u8], how: Write) -> Node {
        let at = path(at);
        let size = Some(bytes.len() as u64);
        let mut upload = self.tree.upload(&at, size, None).await.unwrap();
        upload.push(Bytes::copy_from_slice(bytes)).await.unwrap();
        self.tree.commit(&at, upload, how).await.unwrap().node
    }

    pub(in crate::jobs) async fn mkdir(&self, at: &str) {
        self.tree.mkdir(&path(at), None).await.unwrap();
    }

    pub(in crate::jobs) async fn remove(&self, at: &str) {
        self.tree.remove(&path(at)).await.unwrap();
    }

    /// The names of what lies in trash, oldest first.
    pub(in crate::jobs) async fn trash(&self) -> Vec<String> {
        let (found, next) = self.tree.trash_page(None, 1000).await.unwrap();
        assert!(next.is_none());
        found.into_iter().map(|found| found.node.name).collect()
    }

    /// How many versions a file has, the current one included.
    pub(in crate::jobs) async fn versions(&self, at: &str) -> usize {
        let node = self.tree.lookup(&path(at)).await.unwrap();
        self.tree.versions(&node).await.unwrap().len()
    }

    /// Runs a job by the usual rules, due or not.
    pub(in crate::jobs) async fn run(&self, job: &str) -> Freed {
        self.run_by(job, &RULES).await.unwrap()
    }

    pub(in crate::jobs) async fn run_by(&self, job: &str, rules: &Rules) -> Result<Freed> {
        let job = JOBS.iter().find(|known| known.name == job).unwrap();
        let lease = Lease::take(&self.site, job.name, None).await?.unwrap();
        let freed = (job.run)(&lease, rules).await;
        lease.end(None).await?;
        freed
    }

    pub(in crate::jobs) async fn transaction<T, F>(&self, work: F) -> T
    where
        F: for<'t> FnOnce(&'t mut Conn) -> BoxFuture<'t, Result<T>> + Send + 'static,
        T: Send + 'static,
    {
        self.site.store.meta.write(work).await.unwrap()
    }
}

pub(in crate::jobs) fn freed(items: u64, bytes: u64) -> Freed {
    Freed { items, bytes }
}
