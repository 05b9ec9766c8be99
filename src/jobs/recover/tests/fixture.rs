//! A store with snapshots, and databases made anew from them.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use crate::crypto::MasterKey;
use crate::jobs::collect::{Collect, round};
use crate::jobs::recover::{self, RecoverError, Recovered, load};
use crate::jobs::snapshot::{Snapshots, Taken};
use crate::jobs::tests::begin::space;
pub(super) use crate::jobs::tests::begin::{noise, path};
use crate::store::meta::versions::Keep;
use crate::store::meta::{Database, Meta, dump, testing};
use crate::store::snapshot::{Folder, Head, Kind, Page};
use crate::store::{Rekeyed, Store, rekey};
use crate::tree::{self, Tree, User, Write};
use crate::types::{AccountId, Clock, Millis};

pub(super) struct Site {
    pub(super) folder: TempDir,
    pub(super) opened: Opened,
    snapshots: Snapshots,
}

/// A store on the data folder, whatever its database.
pub(super) struct Opened {
    pub(super) store: Arc<Store>,
    pub(super) tree: Tree,
}

impl Site {
    pub(super) async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let opened = Opened::open(folder.path(), &database(folder.path(), "first")).await;
        let snapshots = Snapshots::new(&folder.path().join("data"), Clock::system());
        snapshots.keep_small(&opened.store);
        Self {
            folder,
            opened,
            snapshots,
        }
    }

    /// Where the database of a name is.
    pub(super) fn database(&self, name: &str) -> Database {
        database(self.folder.path(), name)
    }

    pub(super) async fn take(&mut self) -> Option<Taken> {
        self.snapshots.take(&self.opened.store).await.unwrap()
    }

    /// The next snapshot is the first of its process.
    pub(super) fn begin_anew(&mut self) {
        self.snapshots = Snapshots::new(&self.folder.path().join("data"), Clock::system());
    }

    /// Makes a database anew.
    pub(super) async fn recover(&self, name: &str) -> Result<Recovered, RecoverError> {
        let meta = Meta::open(&self.database(name)).await.unwrap();
        let data = self.folder.path().join("data");
        recover::recover(meta, &data, key(self.folder.path()), Clock::system()).await
    }

    /// Opens the store with another database.
    pub(super) async fn open(&self, name: &str) -> Opened {
        Opened::open(self.folder.path(), &self.database(name)).await
    }

    /// Gives the store another master key and the spaces others that seal, as `rekey --reseal` does.
    pub(super) async fn rekey(&mut self) {
        self.opened.store.close().await;
        let (folder, now) = (self.folder.path(), Clock::system().now());
        let next = MasterKey::load_or_create(&folder.join("next")).unwrap().0;
        let meta = Meta::open(&self.database("first")).await.unwrap();
        let done = rekey(&meta, (key(folder), next), true, now).await.unwrap();
        assert_eq!(done, Rekeyed::Done(2));
        meta.close().await;
        std::fs::rename(folder.join("next"), folder.join("key")).unwrap();
        self.opened = self.open("first").await;
        self.begin_anew();
        self.snapshots.renew(&self.opened.store).await.unwrap();
    }

    /// A site without a database that has what lies on the disk of this one.
    pub(super) async fn copy(&self) -> (TempDir, Recovered) {
        let copy = tempfile::tempdir().unwrap();
        for what in ["data", "key"] {
            copy_all(&self.folder.path().join(what), &copy.path().join(what));
        }
        let meta = Meta::open(&database(copy.path(), "anew")).await.unwrap();
        let (data, master) = (copy.path().join("data"), key(copy.path()));
        let done = recover::recover(meta, &data, master, Clock::system()).await;
        (copy, done.unwrap())
    }

    pub(super) fn snapshot_files(&self) -> Vec<PathBuf> {
        let folder = Folder::of(&self.folder.path().join("data"));
        let files = folder.entries().unwrap().into_iter();
        files.map(|entry| entry.path).collect()
    }
}

fn copy_all(from: &Path, to: &Path) {
    if from.is_file() {
        std::fs::copy(from, to).unwrap();
        return;
    }
    std::fs::create_dir(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        copy_all(&entry.path(), &to.join(entry.file_name()));
    }
}

pub(super) fn key(folder: &Path) -> MasterKey {
    MasterKey::load_or_create(&folder.join("key")).unwrap().0
}

pub(super) fn database(folder: &Path, name: &str) -> Database {
    let folder = folder.join(name);
    std::fs::create_dir_all(&folder).unwrap();
    testing::database(&folder)
}

impl Opened {
    pub(super) async fn open(folder: &Path, database: &Database) -> Self {
        let keep = Keep {
            always: 1,
            most: 2,
            ..Keep::default()
        };
        let data = folder.join("data");
        let store = Store::open(database, &data, key(folder), keep);
        let store = store.await.unwrap();
        let one = space(&store, "~one", false).await;
        space(&store, "shared", true).await;
        let user = User {
            account: AccountId(1),
            name: "one".to_owned(),
            space: one,
            device: None,
        };
        let tree = Tree::new(Arc::clone(&store), user, Clock::system());
        Self { store, tree }
    }

    pub(super) async fn put(&self, at: &str, bytes: &[u8]) {
        self.put_as(at, bytes, Write::default()).await.unwrap();
    }

    pub(super) async fn put_as(
        &self,
        at: &str,
        bytes: &[u8],
        how: Write,
    ) -> tree::Result<tree::Written> {
        let at = path(at);
        let mut upload = self
            .tree
            .upload(&at, Some(bytes.len() as u64), None)
            .await?;
        for piece in bytes.chunks(100_000) {
            upload.push(Bytes::copy_from_slice(piece)).await?;
        }
        self.tree.commit(&at, upload, how).await
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

    /// Lets go of the segments that are appended to, so that they can be collected.
    pub(super) async fn close_segments(&self) {
        self.store.segments.close_all().await.unwrap();
        while !self.store.segments.all_closed() {
            self.store.process.beat(&self.store).await.unwrap();
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
}

/// Collects what nothing names until its room is given back; the bytes that were.
pub(super) async fn collect(opened: &Opened) -> u64 {
    let how = Collect {
        grace: Duration::ZERO,
        rate: None,
        clock: Clock::system(),
    };
    let mut freed = 0;
    for _ in 0..6 {
        opened.close_segments().await;
        let done = round(&opened.store, &how, &CancellationToken::new()).await;
        freed += done.unwrap().freed;
    }
    freed
}

/// The head of a base.
pub(super) fn base(number: u64) -> Head {
    Head {
        kind: Kind::Base,
        number,
        id: [1; 16],
        before: [0; 16],
        taken: Millis(5),
    }
}

/// A store over an empty database with what the snapshots of a data folder hold, and nothing else.
pub(super) async fn load_into(folder: &Path, data: &Path, database: &Database) -> Arc<Store> {
    let meta = Meta::open(database).await.unwrap();
    let keep = Keep::default();
    let store = Store::recovering(meta, data, key(folder), keep).await;
    let store = store.unwrap();
    let mut done = Recovered::default();
    let loaded = load::load(&store, &Folder::of(data), &mut done).await;
    assert!(loaded.unwrap() && done.refused == 0);
    store
}

/// All rows that snapshots hold.
pub(super) async fn rows(store: &Store) -> Vec<Page> {
    let mut view = store.meta.view().await.unwrap();
    let mut all = Vec::new();
    for window in dump::probes(&mut view).await.unwrap().into_keys() {
        all.push(dump::page(&mut view, window).await.unwrap());
    }
    view.end().await.unwrap();
    all
}
