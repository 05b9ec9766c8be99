//! `rekey --reseal` and the job that follows it, over a real store.

use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::timeout;

use super::begin::{path, space};
use crate::crypto::{Blinded, MasterKey, SegmentId};
use crate::jobs::{Lease, Site, reseal};
use crate::store::meta::versions::Keep;
use crate::store::meta::{Meta, seals, segments, testing};
use crate::store::{self, Rekeyed, Store, rekey};
use crate::tree::{Base, NewUpload, Tree, User, Write};
use crate::types::{AccountId, Clock, UploadId};
use tokio_util::sync::CancellationToken;

/// Bytes of the unfinished upload, and how many of them arrived: a chunk and some more.
const UPLOAD: usize = 700_000;
const ARRIVED: usize = 400_000;

/// A server that was started on a folder with one of several master keys.
struct Server {
    site: Site,
    tree: Tree,
}

fn master(folder: &Path, nth: u8) -> MasterKey {
    let file = folder.join(format!("key {nth}"));
    MasterKey::load_or_create(&file).unwrap().0
}

fn noise(bytes: usize) -> Vec<u8> {
    let mut noise = vec![0; bytes];
    getrandom::fill(&mut noise).unwrap();
    noise
}

impl Server {
    async fn start(folder: &Path, key: u8) -> Self {
        let (database, data) = (testing::database(folder), folder.join("data"));
        let store = Store::open(&database, &data, master(folder, key), Keep::default()).await;
        let store = store.unwrap();
        let space = space(&store, "~one", false).await;
        let user = User {
            account: AccountId(1),
            name: "one".to_owned(),
            space,
            device: None,
        };
        let clock = Clock::system();
        let site = Site {
            store: store.clone(),
            clock: clock.clone(),
            stop: CancellationToken::new(),
        };
        let tree = Tree::new(store, user, clock);
        Self { site, tree }
    }

    async fn stop(self) {
        self.site.store.close().await;
    }

    async fn put(&self, at: &str, bytes: &[u8]) {
        let at = path(at);
        let upload = self.tree.upload(&at, Some(bytes.len() as u64), None).await;
        let mut upload = upload.unwrap();
        upload.push(Bytes::copy_from_slice(bytes)).await.unwrap();
        self.tree
            .commit(&at, upload, Write::default())
            .await
            .unwrap();
    }

    async fn get(&self, at: &str) -> store::Result<Vec<u8>> {
        let node = self.tree.lookup(&path(at)).await.unwrap();
        let Ok(mut reader) = self.tree.read(&node).await else {
            return Err(store::Error::Gone);
        };
        let mut all = Vec::new();
        loop {
            let piece = reader.read(1 << 20).await?;
            if piece.is_empty() {
                return Ok(all);
            }
            all.extend_from_slice(&piece);
        }
    }

    async fn begin(&self, bytes: &[u8]) -> UploadId {
        let new = NewUpload {
            size: bytes.len() as u64,
            base: Base::Unstated,
            modified: None,
            created: None,
            checksum: None,
        };
        let upload = self
            .tree
            .upload_open(&path("/upload"), new)
            .await
            .unwrap()
            .id;
        self.send(upload, &bytes[..ARRIVED], 0).await;
        upload
    }

    async fn send(&self, upload: UploadId, bytes: &[u8], at: u64) {
        let mut appender = self.tree.upload_append(upload, at).await.unwrap();
        appender.push(Bytes::copy_from_slice(bytes)).await.unwrap();
        appender.pause().await.unwrap();
    }

    async fn reseal(&self, rate: Option<u64>) -> bool {
        let lease = Lease::take(&self.site, reseal::NAME, None).await.unwrap();
        let lease = lease.expect("nobody else has it");
        let done = reseal::run(&lease, rate).await;
        lease.end(None).await.unwrap();
        done.unwrap()
    }

    async fn is_left(&self) -> bool {
        reseal::under_way(&self.site.store.meta).await.unwrap()
    }

    /// What lies sealed in rows.
    async fn rows(&self) -> Vec<Vec<u8>> {
        let mut conn = self.site.store.meta.read().await.unwrap();
        let contents = seals::contents(&mut conn, 0, i64::MAX, 100).await.unwrap();
        let uploads = seals::uploads(&mut conn, 0, i64::MAX, 100).await.unwrap();
        let contents = contents.into_iter().map(|row| row.sealed);
        contents
            .chain(uploads.into_iter().map(|row| row.sealed))
            .collect()
    }

    async fn segments(&self) -> Vec<SegmentId> {
        let mut conn = self.site.store.meta.read().await.unwrap();
        let page = segments::page(&mut conn, 0, 100).await.unwrap();
        page.into_iter().map(|segment| segment.name).collect()
    }

    async fn keys(&self) -> usize {
        let mut conn = self.site.store.meta.read().await.unwrap();
        seals::all(&mut conn).await.unwrap().len()
    }
}

async fn change(folder: &Path, from: u8, to: u8) {
    let meta = Meta::open(&testing::database(folder)).await.unwrap();
    let keys = (master(folder, from), master(folder, to));
    let done = rekey(&meta, keys, true, Clock::system().now()).await;
    assert_eq!(done.unwrap(), Rekeyed::Done(1));
    meta.close().await;
}

/// The files of a test, by name.
struct Files(Vec<(&'static str, Vec<u8>)>);

impl Files {
    async fn put(server: &Server) -> Self {
        let files = [
            ("/empty", Vec::new()),
            ("/small", b"small".to_vec()),
            ("/inline", noise(8000)),
            ("/chunk", noise(12_000)),
            ("/prose", b"prose ".repeat(50_000)),
            ("/large", noise(3_000_000)),
        ];
        for (at, bytes) in &files {
            server.put(at, &noise(20_000)).await;
            server.put(at, bytes).await;
        }
        Self(files.into())
    }

    async fn are_there(&self, server: &Server) {
        for (at, bytes) in &self.0 {
            assert!(server.get(at).await.unwrap() == *bytes, "{at}");
        }
    }
}

fn segment_file(folder: &Path, segment: SegmentId) -> PathBuf {
    let name = segment.to_string();
    folder.join(format!("data/seg/{}/{name}.seg", &name[..2]))
}

#[tokio::test]
async fn a_small_file_that_was_asked_for_before_it_is_sealed_anew_is_not_put_back_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let server = Server::start(folder, 1).await;
    server.put("/small", b"small").await;
    server.stop().await;
    change(folder, 1, 2).await;
    let server = Server::start(folder, 2).await;
    // Given a device that names what is there already
    let row = {
        let mut conn = server.site.store.meta.read().await.unwrap();
        let mut all = seals::contents(&mut conn, 0, i64::MAX, 100).await.unwrap();
        all.remove(0)
    };
    let root = Blinded(row.root.try_into().unwrap());
    let staged = server.tree.known_content(row.space, root, 5).await;
    let staged = staged.unwrap().expect("it is there");
    // when everything is sealed anew before it is done
    assert!(server.reseal(None).await);
    assert_eq!(server.keys().await, 1);
    let again = path("/again");
    let done = server.tree.commit_staged(&again, staged, Write::default());
    done.await.unwrap();
    // then both open, by the only key that is left
    for at in ["/small", "/again"] {
        assert_eq!(server.get(at).await.unwrap(), b"small", "{at}");
    }
}

#[tokio::test]
async fn everything_is_sealed_anew_and_stays_what_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let server = Server::start(folder, 1).await;
    let files = Files::put(&server).await;
    let bytes = noise(UPLOAD);
    let upload = server.begin(&bytes).await;
    let (rows, old) = (server.rows().await, server.segments().await);
    assert!(rows.len() >= 4 && !old.is_empty());
    server.stop().await;

    change(folder, 1, 2).await;

    let server = Server::start(folder, 2).await;
    files.are_there(&server).await;
    server.put("/later", &noise(100_000)).await;
    assert!(server.is_left().await);
    assert!(server.reseal(None).await);
    assert!(!server.is_left().await);
    files.are_there(&server).await;
    for row in server.rows().await {
        assert!(!rows.contains(&row));
    }
    for segment in server.segments().await {
        assert!(!old.contains(&segment));
    }
    assert_eq!(server.keys().await, 1);
    server.stop().await;

    // Ids and roots are as before, so that equal bytes are found and an upload goes on.
    let server = Server::start(folder, 2).await;
    let chunks = server.site.store.segments.reads();
    server.put("/again", &files.0[5].1).await;
    assert_eq!(server.segments().await.len(), 1, "nothing was stored twice");
    assert_eq!(server.site.store.segments.reads(), chunks);
    server.send(upload, &bytes[ARRIVED..], ARRIVED as u64).await;
    server.tree.upload_finish(upload, None).await.unwrap();
    assert!(server.get("/upload").await.unwrap() == bytes);
    server.stop().await;

    // The own key of the space, which sealed everything before, opens none of it.
    let meta = Meta::open(&testing::database(folder)).await.unwrap();
    let forgotten: store::Result<u64> = meta
        .write(|conn| {
            Box::pin(async move { testing::execute(conn, "DELETE FROM seal", &[]).await })
        })
        .await;
    assert_eq!(forgotten.unwrap(), 1);
    meta.close().await;
    let server = Server::start(folder, 2).await;
    for (at, _) in &files.0 {
        assert!(server.get(at).await.is_err(), "{at}");
    }
    server.stop().await;
}

#[tokio::test]
async fn what_was_stopped_half_way_goes_on_and_so_does_a_second_change_of_keys() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let server = Server::start(folder, 1).await;
    let files = Files::put(&server).await;
    server.stop().await;
    change(folder, 1, 2).await;

    let server = Server::start(folder, 2).await;
    // So slow that it hangs behind the first step.
    let stopped = timeout(Duration::from_millis(300), server.reseal(Some(1))).await;
    assert!(stopped.is_err());
    assert!(server.is_left().await);
    files.are_there(&server).await;
    server.put("/between", &noise(50_000)).await;
    server.stop().await;

    change(folder, 2, 3).await;
    let server = Server::start(folder, 3).await;
    assert_eq!(server.keys().await, 2);
    files.are_there(&server).await;
    reseal::free(&server.site.store.meta).await.unwrap();
    assert!(server.reseal(None).await);
    assert_eq!(server.keys().await, 1);
    files.are_there(&server).await;
    server.stop().await;
}

#[tokio::test]
async fn what_is_damaged_stays_and_keeps_the_keys_that_could_open_it() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let server = Server::start(folder, 1).await;
    let files = Files::put(&server).await;
    let old = server.segments().await;
    server.stop().await;
    change(folder, 1, 2).await;
    let file = segment_file(folder, old[0]);
    let whole = std::fs::read(&file).unwrap();
    let mut damaged = whole.clone();
    // In a chunk of the file that came last, before the list of its chunks.
    let at = damaged.len() - 100_000;
    damaged[at] ^= 1;
    std::fs::write(&file, damaged).unwrap();

    let server = Server::start(folder, 2).await;
    assert!(!server.reseal(None).await);
    assert!(server.is_left().await);
    assert!(server.segments().await.contains(&old[0]));
    assert_eq!(server.get("/small").await.unwrap(), b"small");
    assert!(server.get("/large").await.is_err());

    std::fs::write(&file, whole).unwrap();
    assert!(server.reseal(None).await);
    files.are_there(&server).await;
    server.stop().await;
}
