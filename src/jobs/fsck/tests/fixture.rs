//! A store with files of every kind, ways to damage it, and checks.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use crate::crypto::MasterKey;
use crate::jobs::Site;
use crate::jobs::collect::{Collect, settle};
use crate::jobs::fsck::{Finding, How, Kind, Summary, check};
use crate::jobs::tests::begin::space;
pub(super) use crate::jobs::tests::begin::{noise, path};
use crate::store::meta::testing;
use crate::store::meta::versions::Keep;
use crate::store::{Error, Store};
use crate::tree::{self, NewUpload, Node, Tree, User, Write};
use crate::types::{AccountId, Clock, SpaceId};

/// The space of the tests.
pub(super) const SPACE: &str = "user:one";
/// Its id: the first of its database.
pub(super) const ID: SpaceId = SpaceId(1);

pub(super) struct Bench {
    pub(super) folder: TempDir,
    pub(super) store: Arc<Store>,
    pub(super) tree: Tree,
}

impl Bench {
    /// An empty store.
    pub(super) async fn empty() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self::open(folder).await
    }

    pub(super) async fn open(folder: TempDir) -> Self {
        let (key, _) = MasterKey::load_or_create(&folder.path().join("key")).unwrap();
        let (database, data) = (testing::database(folder.path()), folder.path().join("data"));
        let store = Store::open(&database, &data, key, Keep::default()).await;
        let store = store.unwrap();
        assert_eq!(space(&store, SPACE, false).await, ID);
        space(&store, "user:two", false).await;
        let user = User {
            account: AccountId(1),
            name: "one".to_owned(),
            space: ID,
            device: None,
        };
        let tree = Tree::new(Arc::clone(&store), user, Clock::system());
        Self {
            folder,
            store,
            tree,
        }
    }

    /// Files of every kind: small and large, in collections, with versions, deleted, under way.
    pub(super) async fn full() -> Self {
        let bench = Self::empty().await;
        for folder in ["/a", "/a/b", "/c"] {
            bench.tree.mkdir(&path(folder), None).await.unwrap();
        }
        bench.put("/a/small", b"a few bytes").await;
        bench.put("/a/b/large", &noise(1, 100_000)).await;
        bench.put("/a/b/other", &noise(2, 60_000)).await;
        bench.put("/c/kept", &noise(3, 30_000)).await;
        bench.put("/c/changed", &noise(4, 20_000)).await;
        bench.put("/c/changed", &noise(5, 21_000)).await;
        bench.put("/c/gone", &noise(6, 12_000)).await;
        bench.tree.remove(&path("/c/gone")).await.unwrap();
        bench.upload().await;
        bench
    }

    /// An upload that has chunks and a tail, and rests.
    async fn upload(&self) {
        let new = NewUpload {
            size: 900_000,
            modified: None,
            created: None,
            base: tree::Base::Unstated,
            checksum: None,
        };
        let session = self.tree.upload_open(&path("/c/rests"), new).await.unwrap();
        let mut appender = self.tree.upload_append(session.id, 0).await.unwrap();
        appender.push(Bytes::from(noise(7, 700_000))).await.unwrap();
        appender.pause().await.unwrap();
    }

    pub(super) async fn put(&self, at: &str, bytes: &[u8]) -> Node {
        self.try_put(at, bytes).await.unwrap()
    }

    pub(super) async fn try_put(&self, at: &str, bytes: &[u8]) -> tree::Result<Node> {
        let at = path(at);
        let size = Some(bytes.len() as u64);
        let mut upload = self.tree.upload(&at, size, None).await?;
        upload.push(Bytes::copy_from_slice(bytes)).await?;
        Ok(self.tree.commit(&at, upload, Write::default()).await?.node)
    }

    pub(super) async fn node(&self, at: &str) -> Node {
        self.tree.lookup(&path(at)).await.unwrap()
    }

    pub(super) async fn read(&self, at: &str) -> tree::Result<Vec<u8>> {
        let node = self.tree.lookup(&path(at)).await?;
        let mut reader = self.tree.read(&node).await?;
        let mut found = Vec::new();
        loop {
            let bytes = reader.read(64 * 1024).await?;
            if bytes.is_empty() {
                return Ok(found);
            }
            found.extend_from_slice(&bytes);
        }
    }

    /// Runs a statement behind everybody's back; it must change something.
    pub(super) async fn plant(&self, text: &'static str, numbers: &[i64]) {
        let changed = self.execute(text, numbers).await;
        assert!(changed > 0, "{text} changed nothing");
    }

    /// Runs a statement that changes no rows.
    pub(super) async fn do_not_count(&self, text: &'static str) {
        self.execute(text, &[]).await;
    }

    async fn execute(&self, text: &'static str, numbers: &[i64]) -> u64 {
        let numbers = numbers.to_vec();
        let changed = self.store.meta.write(move |conn| {
            Box::pin(async move { testing::execute(conn, text, &numbers).await })
        });
        let changed: Result<u64, Error> = changed.await;
        changed.unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    pub(super) async fn fsck(&self, deep: bool, repair: bool) -> (Vec<Finding>, Summary) {
        let how = How {
            deep,
            repair,
            data: self.folder.path().join("data"),
            clock: Clock::system(),
        };
        let mut found = Vec::new();
        let mut told = |finding: &Finding| found.push(finding.clone());
        let summary = check(&self.store, &how, &mut told).await.unwrap();
        (found, summary)
    }

    /// Gives back all that can be.
    pub(super) async fn collect(&self) {
        let how = Collect {
            grace: Duration::ZERO,
            rate: None,
            clock: Clock::system(),
        };
        self.store.segments.close_all().await.unwrap();
        // Closed segments are let go of a moment later.
        for _ in 0..4 {
            self.store.process.beat(&self.store).await.unwrap();
            tokio::time::sleep(Duration::from_millis(5)).await;
            let stop = CancellationToken::new();
            let settled = settle(&self.store, &how, Duration::from_secs(1), &stop).await;
            settled.unwrap();
        }
    }

    /// The kinds of what a deep check finds, in the order they are told.
    pub(super) async fn kinds(&self) -> Vec<Kind> {
        let (found, _) = self.fsck(true, false).await;
        found.iter().map(|finding| finding.kind).collect()
    }

    #[track_caller]
    pub(super) fn site(&self) -> Site {
        Site {
            store: Arc::clone(&self.store),
            clock: Clock::system(),
            stop: CancellationToken::new(),
        }
    }

    /// The segment files.
    pub(super) fn segments(&self) -> Vec<PathBuf> {
        segments(&self.folder.path().join("data"))
    }
}

fn segments(data: &Path) -> Vec<PathBuf> {
    let folders = fs::read_dir(data.join("seg")).unwrap();
    let mut files: Vec<_> = folders
        .flat_map(|folder| fs::read_dir(folder.unwrap().path()).unwrap())
        .map(|file| file.unwrap().path())
        .collect();
    files.sort();
    files
}

/// Flips one bit of a file.
pub(super) fn flip(path: &Path, at: u64) {
    let file = fs::File::options()
        .read(true)
        .write(true)
        .open(path)
        .unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    byte[0] ^= 1;
    file.write_all_at(&byte, at).unwrap();
}

/// The finding of a kind that names a file.
#[track_caller]
pub(super) fn only<'f>(found: &'f [Finding], kind: Kind, file: &str) -> &'f Finding {
    let names = |named: &String| named.contains(file);
    let fits = |finding: &&Finding| {
        finding.kind == kind && (file.is_empty() || finding.files.iter().any(names))
    };
    let finding = found.iter().find(fits);
    finding.unwrap_or_else(|| panic!("no {kind:?} that names {file:?} in {found:#?}"))
}
