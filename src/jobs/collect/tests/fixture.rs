//! Processes on one data folder, each with the trees of two accounts.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use crate::crypto::MasterKey;
use crate::jobs::collect::{Collect, Round, round};
use crate::jobs::tests::begin::space;
pub(super) use crate::jobs::tests::begin::{noise, path};
use crate::store::meta::versions::Keep;
use crate::store::meta::{peek, process, testing};
use crate::store::{Error, Store};
use crate::tree::{self, Tree, User, Write};
use crate::types::{AccountId, Clock, Millis};

/// Enough for more than one of everything to pass by.
const ROUNDS: usize = 6;
/// How long a busy machine may take.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

/// One process.
pub(super) struct Side {
    pub(super) store: Arc<Store>,
    pub(super) tree: Tree,
    /// Somebody who sees the shared space and has another one.
    pub(super) other: Tree,
}

/// A data folder, and the process that opened it first.
pub(super) struct Fixture {
    pub(super) folder: TempDir,
    pub(super) side: Side,
}

/// How tests collect: at once.
pub(super) fn at_once() -> Collect {
    Collect {
        grace: Duration::ZERO,
        rate: None,
        clock: Clock::system(),
    }
}

impl Side {
    pub(super) async fn open(folder: &Path) -> Self {
        let (key, _) = MasterKey::load_or_create(&folder.join("key")).unwrap();
        let (database, data) = (testing::database(folder), folder.join("data"));
        let store = Store::open(&database, &data, key, Keep::default()).await;
        let store = store.unwrap();
        let one = space(&store, "~one", false).await;
        let two = space(&store, "~two", false).await;
        space(&store, "shared", true).await;
        let user = |account, space| User {
            account: AccountId(account),
            name: format!("u{account}"),
            space,
            device: None,
        };
        Self {
            tree: Tree::new(Arc::clone(&store), user(1, one), Clock::system()),
            other: Tree::new(Arc::clone(&store), user(2, two), Clock::system()),
            store,
        }
    }

    pub(super) async fn round(&self) -> Round {
        self.try_round().await.unwrap()
    }

    pub(super) async fn try_round(&self) -> Result<Round, Error> {
        self.beat().await;
        round(&self.store, &at_once(), &CancellationToken::new()).await
    }

    /// More rounds than anything needs that nobody holds.
    pub(super) async fn collect(&self) -> Round {
        let mut all = Round::default();
        for _ in 0..ROUNDS {
            all.add(self.round().await);
        }
        all
    }

    /// Lets closed segments get to the disk, and tells of them.
    pub(super) async fn beat(&self) {
        self.store.process.beat(&self.store).await.unwrap();
        tokio::time::sleep(Duration::from_millis(5)).await;
        self.store.process.beat(&self.store).await.unwrap();
    }

    /// Lets go of the segments that are appended to, so that they can be collected.
    pub(super) async fn close_segments(&self) {
        self.store.segments.close_all().await.unwrap();
        while !self.store.segments.all_closed() {
            self.beat().await;
        }
    }

    /// What others do when this process says nothing for long.
    pub(super) async fn believe_dead(&self) {
        let gone = self
            .store
            .meta
            .write(|conn| Box::pin(async move { process::expire(conn, Millis(i64::MAX)).await }));
        let gone: Result<(), Error> = gone.await;
        gone.unwrap();
    }

    pub(super) async fn put(&self, at: &str, bytes: &[u8]) {
        put(&self.tree, at, bytes).await.unwrap();
    }

    pub(super) async fn read(&self, at: &str) -> Vec<u8> {
        read(&self.tree, at).await.unwrap()
    }

    pub(super) async fn delete(&self, at: &str) {
        self.tree.remove(&path(at)).await.unwrap();
    }

    /// Deletes for good.
    pub(super) async fn purge(&self, at: &str) {
        let node = self.tree.lookup(&path(at)).await.unwrap();
        self.delete(at).await;
        self.tree.purge(node.id).await.unwrap();
    }

    pub(super) async fn rows(&self, table: &'static str) -> i64 {
        let conn = &mut *self.store.meta.read().await.unwrap();
        peek::count(conn, table).await.unwrap()
    }
}

impl Fixture {
    pub(super) async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let side = Side::open(folder.path()).await;
        Self { folder, side }
    }

    /// Another process on the same folder.
    pub(super) async fn another(&self) -> Side {
        Side::open(self.folder.path()).await
    }

    /// Bytes of all segment files.
    pub(super) fn stored(&self) -> u64 {
        segment_files(self.folder.path())
            .iter()
            .map(|path| fs::metadata(path).unwrap().len())
            .sum()
    }
}

pub(super) fn segment_files(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder.join("data").join("seg"))
        .unwrap()
        .flat_map(|folder| fs::read_dir(folder.unwrap().path()).unwrap())
        .map(|file| file.unwrap().path())
        .collect()
}

pub(super) async fn put(tree: &Tree, at: &str, bytes: &[u8]) -> tree::Result<()> {
    let at = path(at);
    let mut upload = tree.upload(&at, Some(bytes.len() as u64), None).await?;
    for piece in bytes.chunks(100_000) {
        upload.push(Bytes::copy_from_slice(piece)).await?;
    }
    tree.commit(&at, upload, Write::default()).await?;
    Ok(())
}

pub(super) async fn read(tree: &Tree, at: &str) -> tree::Result<Vec<u8>> {
    let node = tree.lookup(&path(at)).await?;
    let mut reader = tree.read(&node).await?;
    let mut found = Vec::new();
    loop {
        let bytes = reader.read(64 * 1024).await?;
        if bytes.is_empty() {
            return Ok(found);
        }
        found.extend_from_slice(&bytes);
    }
}

/// Numbers that look random and are the same in every run with the same seed.
pub(super) struct Dice(AtomicU64);

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self(AtomicU64::new(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1))
    }

    /// From 0 up to `below`.
    pub(super) fn roll(&self, below: u64) -> u64 {
        let mut at = self.0.load(Ordering::Relaxed);
        at ^= at << 13;
        at ^= at >> 7;
        at ^= at << 17;
        self.0.store(at, Ordering::Relaxed);
        (at >> 11) % below
    }
}

/// Whether a write was refused because its bytes were collected.
pub(super) fn is_stale(result: &tree::Result<tree::Written>) -> bool {
    matches!(result, Err(tree::Error::Store(Error::Stale)))
}
