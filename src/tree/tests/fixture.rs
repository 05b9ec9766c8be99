//! A tree in a temporary folder, with short ways to say what a test does.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use bytes::Bytes;
use tempfile::TempDir;

use crate::crypto::MasterKey;
use crate::store::Store;
use crate::store::meta::testing::database;
use crate::tree::{Node, Result, Tree, Write, Written, testing};
use crate::types::{Clock, Millis, NodePath, SpaceId};

/// Noon of some day.
pub(super) const START: i64 = 1_800_000_000_000;

pub(super) struct Fixture {
    pub(super) tree: Tree,
    pub(super) other: Tree,
    pub(super) clock: Arc<AtomicI64>,
    _folder: TempDir,
}

pub(super) fn path(text: &str) -> NodePath {
    NodePath::parse(text).unwrap()
}

impl Fixture {
    pub(super) async fn new() -> Self {
        Self::with_quota(None).await
    }

    pub(super) async fn with_quota(quota: Option<u64>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = open(folder.path()).await;
        let one = space(&store, "~one", false, quota).await;
        let two = space(&store, "~two", false, None).await;
        space(&store, "shared", true, None).await;
        let now = Arc::new(AtomicI64::new(START));
        let ticking = Arc::clone(&now);
        let clock = Clock::from_fn(move || Millis(ticking.load(Ordering::SeqCst)));
        Self {
            tree: Tree::new(
                Arc::clone(&store),
                testing::user(1, "one", one),
                clock.clone(),
            ),
            other: Tree::new(Arc::clone(&store), testing::user(2, "two", two), clock),
            clock: now,
            _folder: folder,
        }
    }

    pub(super) fn pass(&self, millis: i64) {
        self.clock.fetch_add(millis, Ordering::SeqCst);
    }

    pub(super) async fn put(&self, at: &str, bytes: &[u8]) -> Node {
        put(&self.tree, at, bytes, Write::default())
            .await
            .unwrap()
            .node
    }

    pub(super) async fn text(&self, at: &str) -> String {
        String::from_utf8(read(&self.tree, at).await.unwrap()).unwrap()
    }

    pub(super) async fn names(&self, at: &str) -> Vec<String> {
        names(&self.tree, at).await
    }
}

async fn open(folder: &Path) -> Arc<Store> {
    let key = MasterKey::generate().unwrap();
    let (database, data) = (database(folder), folder.join("data"));
    Store::open(
        &database,
        &data,
        key,
        crate::store::meta::versions::Keep::default(),
    )
    .await
    .unwrap()
}

pub(super) async fn space(
    store: &Arc<Store>,
    name: &str,
    everyone: bool,
    quota: Option<u64>,
) -> SpaceId {
    testing::space(store, name, everyone, quota, Millis(START)).await
}

pub(super) async fn put(tree: &Tree, at: &str, bytes: &[u8], how: Write) -> Result<Written> {
    let at = path(at);
    let mut upload = tree.upload(&at, Some(bytes.len() as u64), None).await?;
    upload.push(Bytes::copy_from_slice(bytes)).await?;
    tree.commit(&at, upload, how).await
}

pub(super) async fn read(tree: &Tree, at: &str) -> Result<Vec<u8>> {
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

pub(super) async fn names(tree: &Tree, at: &str) -> Vec<String> {
    let node = tree.lookup(&path(at)).await.unwrap();
    let page = tree
        .list(&node, crate::tree::With::default(), None)
        .await
        .unwrap();
    page.nodes.into_iter().map(|node| node.name).collect()
}
