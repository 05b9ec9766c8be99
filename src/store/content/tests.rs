//! Tests of contents on a real database and real files.

use std::fs;
use std::path::Path;

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::crypto::MasterKey;
use crate::store::meta::versions::Keep;
use crate::store::meta::{Database, contents, peek, spaces, testing};
use crate::store::{Error, Result, Store};
use crate::types::{ContentId, NodeId, SpaceId};
use std::sync::Arc;

mod crowd;
mod diff;
mod park;
mod rebuild;
mod signatures;

const MIB: usize = 1 << 20;
/// The list of chunks is written again when no file has the content, as none has in these tests.
const LIST_MAX: u64 = 8 * 1024;

pub(super) struct Fixture {
    folder: tempfile::TempDir,
    pub(super) store: Arc<Store>,
    pub(super) space: SpaceId,
}

async fn open(folder: &Path) -> Result<Arc<Store>> {
    let (key, _) = MasterKey::load_or_create(&folder.join("key")).unwrap();
    Store::open(
        &testing::database(folder),
        &folder.join("data"),
        key,
        Keep::default(),
    )
    .await
}

pub(super) async fn fixture() -> Fixture {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await.unwrap();
    let ring = Arc::clone(&store);
    let space = store.meta.write(move |tx| {
        Box::pin(async move {
            let space = spaces::create(tx, "test", false, None).await?;
            let key = ring.keys.new_space_key(tx, space).await?;
            spaces::set_key_and_root(tx, space, &key, NodeId(0)).await?;
            Ok::<_, Error>(space)
        })
    });
    let space = space.await.unwrap();
    Fixture {
        folder,
        store,
        space,
    }
}

impl Fixture {
    async fn stage(&self, bytes: &[u8], checksum: Option<&str>) -> Option<Staged> {
        let checksum = checksum.map(|text| Checksum::parse(text).unwrap());
        let mut upload = Upload::start(&self.store, self.space, None, checksum)
            .await
            .unwrap();
        // Pieces as odd as the network's.
        for piece in bytes.chunks(48_611) {
            upload.push(Bytes::copy_from_slice(piece)).await.unwrap();
        }
        assert_eq!(upload.written(), bytes.len() as u64);
        upload.finish().await.unwrap()
    }

    async fn put(&self, bytes: &[u8]) -> ContentId {
        let staged = self.stage(bytes, None).await.unwrap();
        assert_eq!(staged.size, bytes.len() as u64);
        let put = self
            .store
            .meta
            .write(move |tx| Box::pin(async move { contents::insert(tx, &staged).await }));
        put.await.unwrap()
    }

    async fn get(&self, content: ContentId) -> Vec<u8> {
        read_all(&mut Reader::open(&self.store, content).await.unwrap()).await
    }

    /// Bytes of all segment files.
    fn stored(&self) -> u64 {
        segment_files(self.folder.path())
            .map(|path| fs::metadata(path).unwrap().len())
            .sum()
    }
}

fn segment_files(folder: &Path) -> impl Iterator<Item = std::path::PathBuf> {
    fs::read_dir(folder.join("data").join("seg"))
        .unwrap()
        .flat_map(|xx| fs::read_dir(xx.unwrap().path()).unwrap())
        .map(|file| file.unwrap().path())
}

async fn read_all(reader: &mut Reader) -> Vec<u8> {
    let mut all = Vec::new();
    loop {
        let part = reader.read(64 * 1024).await.unwrap();
        if part.is_empty() {
            return all;
        }
        all.extend_from_slice(&part);
    }
}

fn noise(size: usize) -> Vec<u8> {
    let mut bytes = vec![0; size];
    getrandom::fill(&mut bytes).unwrap();
    bytes
}

fn text(size: usize) -> Vec<u8> {
    let lines = (0..).flat_map(|nth: u64| format!("line {nth} of a text\n").into_bytes());
    lines.take(size).collect()
}

#[tokio::test]
async fn contents_of_all_sizes_come_back_as_they_were() {
    let fixture = fixture().await;
    for size in [0, 1, 8192, 8193, 64 * 1024, MIB + 1, 20 * MIB] {
        for bytes in [noise(size), text(size)] {
            let content = fixture.put(&bytes).await;
            assert!(fixture.get(content).await == bytes, "{size}");
        }
    }
}

#[tokio::test]
async fn small_contents_touch_no_segment_and_text_takes_little_room() {
    let fixture = fixture().await;
    let small = fixture.stage(&noise(INLINE_MAX), None).await.unwrap();
    assert!(matches!(small.body, StagedBody::Inline(_)));
    assert_eq!(fixture.stored(), 0);
    fixture.put(&text(4 * MIB)).await;
    assert!((1..MIB as u64).contains(&fixture.stored()));
}

#[tokio::test]
async fn equal_bytes_are_stored_once() {
    let fixture = fixture().await;
    let bytes = noise(12 * MIB);
    let first = fixture.put(&bytes).await;
    let stored = fixture.stored();
    assert_eq!(fixture.put(&bytes).await, first);
    assert!(fixture.stored() - stored < LIST_MAX);
    // Twice the same in one content, across several groups and within one.
    let twice = [&bytes[..], &bytes[..]].concat();
    let content = fixture.put(&twice).await;
    assert!(fixture.stored() - stored < MIB as u64);
    assert!(fixture.get(content).await == twice);
    let zeroes = fixture.put(&vec![0; 9 * MIB]).await;
    assert_eq!(fixture.get(zeroes).await, vec![0; 9 * MIB]);
    let small = fixture.put(b"small").await;
    assert_eq!(fixture.put(b"small").await, small);
}

#[tokio::test(flavor = "multi_thread")]
async fn equal_bytes_at_the_same_time_are_one_content() {
    let fixture = Arc::new(fixture().await);
    let bytes = Arc::new(noise(3 * MIB));
    let puts = (0..4).map(|_| {
        let (fixture, bytes) = (Arc::clone(&fixture), Arc::clone(&bytes));
        tokio::spawn(async move { fixture.put(&bytes).await })
    });
    let contents = futures_util::future::try_join_all(puts).await.unwrap();
    assert!(contents.iter().all(|content| *content == contents[0]));
    assert!(fixture.get(contents[0]).await == *bytes);
}

#[tokio::test]
async fn a_true_checksum_is_kept_and_a_false_one_stops_the_upload() {
    let fixture = fixture().await;
    let sha1 = |bytes: &[u8]| {
        use sha1::Digest;
        let digest = sha1::Sha1::digest(bytes);
        digest
            .iter()
            .fold("SHA1:".to_owned(), |text, byte| format!("{text}{byte:02x}"))
    };
    for size in [5, 3 * MIB + 7] {
        let bytes = noise(size);
        let claim = sha1(&bytes);
        let staged = fixture.stage(&bytes, Some(&claim)).await.unwrap();
        assert_eq!(staged.checksum.unwrap().as_str(), claim);
        assert!(fixture.stage(&bytes, Some(&sha1(b"other"))).await.is_none());
    }
}

#[tokio::test]
async fn a_checksum_learnt_later_is_added_and_never_replaced() {
    let fixture = fixture().await;
    let content = fixture.put(b"hello").await;
    let put_with = async |claim| {
        let staged = fixture.stage(b"hello", Some(claim)).await.unwrap();
        let put = fixture
            .store
            .meta
            .write(move |tx| Box::pin(async move { contents::insert(tx, &staged).await }));
        assert_eq!(put.await.unwrap(), content);
        let mut conn = fixture.store.meta.read().await.unwrap();
        contents::load(&mut conn, content)
            .await
            .unwrap()
            .checksum
            .unwrap()
    };
    let md5 = "MD5:5d41402abc4b2a76b9719d911017c592";
    assert_eq!(put_with(md5).await, md5);
    assert_eq!(put_with("ADLER32:62c0215").await, md5);
}

#[tokio::test]
async fn a_large_class_upload_comes_back() {
    let fixture = fixture().await;
    let expected = Some(2 << 30);
    let mut upload = Upload::start(&fixture.store, fixture.space, expected, None)
        .await
        .unwrap();
    let bytes = noise(13 * MIB);
    upload.push(Bytes::from(bytes.clone())).await.unwrap();
    let staged = upload.finish().await.unwrap().unwrap();
    let StagedBody::Chunks(manifest) = &staged.body else {
        panic!("inline")
    };
    let chunks: u32 = manifest.runs().iter().map(|(_, rows)| rows).sum();
    assert!((7..=104).contains(&chunks), "{chunks}");
    let put = fixture
        .store
        .meta
        .write(move |tx| Box::pin(async move { contents::insert(tx, &staged).await }));
    assert!(fixture.get(put.await.unwrap()).await == bytes);
}

#[tokio::test]
async fn a_dropped_upload_leaves_nothing_that_can_be_read() {
    let fixture = fixture().await;
    let mut upload = Upload::start(&fixture.store, fixture.space, None, None)
        .await
        .unwrap();
    upload.push(Bytes::from(noise(20 * MIB))).await.unwrap();
    drop(upload);
    let mut conn = fixture.store.meta.read().await.unwrap();
    for id in 1..10 {
        assert!(contents::load(&mut conn, ContentId(id)).await.is_err());
    }
}

#[tokio::test]
async fn an_upload_torn_by_a_given_up_push_cannot_be_finished() {
    let fixture = fixture().await;
    let mut upload = Upload::start(&fixture.store, fixture.space, None, None)
        .await
        .unwrap();
    {
        let push = upload.push(Bytes::from(noise(4 * MIB)));
        let mut push = Box::pin(push);
        assert!(futures_util::poll!(&mut push).is_pending());
    }
    assert!(upload.push(Bytes::from_static(b"more")).await.is_err());
    assert!(upload.finish().await.is_err());
}

#[tokio::test]
async fn contents_survive_a_restart() {
    let fixture = fixture().await;
    let (small, large) = (noise(100), noise(2 * MIB));
    let ids = [fixture.put(&small).await, fixture.put(&large).await];
    fixture.store.close().await;
    let store = open(fixture.folder.path()).await.unwrap();
    let again = Fixture { store, ..fixture };
    assert!(again.get(ids[0]).await == small);
    assert!(again.get(ids[1]).await == large);
    // And what is known is still known.
    let stored = again.stored();
    assert_eq!(again.put(&large).await, ids[1]);
    assert!(again.stored() - stored < LIST_MAX);
}

#[tokio::test]
async fn a_store_opens_only_with_its_own_key() {
    let fixture = fixture().await;
    fixture.store.close().await;
    let folder = fixture.folder.path();
    let stranger = MasterKey::generate().unwrap();
    let opened = Store::open(
        &testing::database(folder),
        &folder.join("data"),
        stranger,
        Keep::default(),
    )
    .await;
    assert!(matches!(opened, Err(Error::WrongKey { .. })));
}

#[tokio::test]
async fn damage_is_an_error_and_never_an_early_end() {
    let fixture = fixture().await;
    let content = fixture.put(&noise(2 * MIB)).await;
    for path in segment_files(fixture.folder.path()) {
        let bytes = fs::read(&path).unwrap();
        // More than the list of the chunks, which lies behind them.
        fs::write(&path, &bytes[..bytes.len() - 2000]).unwrap();
    }
    let mut reader = Reader::open(&fixture.store, content).await.unwrap();
    let mut read = 0;
    let error = loop {
        match reader.read(MIB).await {
            Ok(part) if part.is_empty() => panic!("an end after {read} bytes"),
            Ok(part) => read += part.len(),
            Err(error) => break error,
        }
    };
    assert!(matches!(error, Error::Corrupt(_)));
}

#[tokio::test]
async fn a_row_that_lies_about_the_size_is_found_out() {
    let fixture = fixture().await;
    for wrong in [-1, 1] {
        for size in [100, MIB] {
            let content = fixture.put(&noise(size)).await;
            let lie = i64::try_from(size).unwrap() + wrong;
            peek::set_size(&fixture.store.meta, content, lie)
                .await
                .unwrap();
            let failed = match Reader::open(&fixture.store, content).await {
                Err(_) => true,
                Ok(mut reader) => loop {
                    match reader.read(MIB).await {
                        Ok(part) if part.is_empty() => break false,
                        Ok(_) => {}
                        Err(_) => break true,
                    }
                },
            };
            assert!(failed, "{size} {wrong:+}");
        }
    }
}

#[tokio::test]
async fn seeking_finds_every_place_of_a_content_of_many_batches_and_runs() {
    // given: known and new chunks in turn, so that the manifest has many runs
    let fixture = fixture().await;
    let known = noise(6 * MIB);
    fixture.put(&known).await;
    let mut bytes = Vec::new();
    for part in known.chunks(MIB / 2) {
        bytes.extend_from_slice(part);
        bytes.extend_from_slice(&noise(MIB / 2));
    }
    let content = fixture.put(&bytes).await;
    let mut reader = Reader::open(&fixture.store, content).await.unwrap();
    assert_eq!(reader.size(), bytes.len() as u64);
    // when, then: forwards, backwards, at both ends
    let last = bytes.len() - 1;
    for at in [
        last,
        0,
        last / 2,
        last / 2 + 100_000,
        5,
        last - 70_000,
        3 * MIB,
        last,
        1,
    ] {
        reader.seek(at as u64);
        let part = reader.read(1000).await.unwrap();
        assert!(!part.is_empty() && part.len() <= 1000);
        assert_eq!(part, bytes[at..at + part.len()], "at {at}");
        assert_eq!(reader.position(), (at + part.len()) as u64);
    }
    reader.seek(bytes.len() as u64 + 5);
    assert!(reader.read(10).await.unwrap().is_empty());
    reader.seek(7 * MIB as u64);
    assert!(read_all(&mut reader).await == bytes[7 * MIB..]);
}

#[test]
fn reading_anywhere_gives_the_bytes_of_the_source() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let fixture = runtime.block_on(fixture());
    let bytes = noise(3 * MIB + 17);
    let content = runtime.block_on(fixture.put(&bytes));
    let steps = prop::collection::vec((0..bytes.len() + 10, 1..300_000_usize), 1..20);
    proptest!(ProptestConfig::with_cases(40), |(steps in steps)| {
        runtime.block_on(async {
            let mut reader = Reader::open(&fixture.store, content).await.unwrap();
            for (at, max) in steps {
                reader.seek(at as u64);
                for _ in 0..3 {
                    let at = usize::try_from(reader.position()).unwrap();
                    let part = reader.read(max).await.unwrap();
                    assert_eq!(part.is_empty(), at >= bytes.len());
                    assert!(part.len() <= max);
                    assert!(part == bytes[at.min(bytes.len())..][..part.len()]);
                }
            }
        });
    });
}

#[tokio::test]
async fn neither_contents_nor_chunk_ids_lie_in_clear_in_any_file() {
    let f = fixture().await;
    let Database::File(database) = testing::database(f.folder.path()) else {
        // The same rows in files that are not ours to read.
        return;
    };
    // One in its row, one as a chunk (up to 16 KiB are cut as one, so its id is known here).
    let (small, large) = (noise(3000), noise(12_000));
    f.put(&small).await;
    f.put(&large).await;
    let keys = f.store.keys.of(&f.store.meta, f.space).await.unwrap();
    let secrets: Vec<Vec<u8>> = [&small, &large]
        .into_iter()
        .flat_map(|plain| [plain[..16].to_vec(), keys.chunk_id(plain).0[..16].to_vec()])
        .collect();

    let mut files: Vec<_> = segment_files(f.folder.path()).collect();
    files.extend([database.with_extension("db-wal"), database]);
    let read: Vec<_> = files.iter().map(|path| fs::read(path).unwrap()).collect();

    let blinded = keys.blind(&keys.chunk_id(&large)).0;
    let holds = |wanted: &[u8]| {
        read.iter()
            .any(|bytes| bytes.windows(16).any(|at| at == wanted))
    };
    assert!(holds(&blinded), "the search finds what is there");
    assert!(!secrets.iter().any(|secret| holds(secret)));
}

#[tokio::test]
async fn a_proof_holds_until_something_is_found_damaged() {
    let fixture = fixture().await;
    let content = fixture.put(&noise(200_000)).await;
    Reader::open(&fixture.store, content).await.unwrap();
    let spoil = "UPDATE chunk SET blinded = (SELECT root FROM content LIMIT 1)
        WHERE id = (SELECT min(id) FROM chunk)";
    let spoilt: Result<u64> = fixture
        .store
        .meta
        .write(move |conn| Box::pin(async move { testing::execute(conn, spoil, &[]).await }))
        .await;
    assert_eq!(spoilt.unwrap(), 1);

    // It is believed for a moment, and what is read is looked at all the same.
    let mut reader = Reader::open(&fixture.store, content).await.unwrap();
    assert!(reader.read(100).await.unwrap_err().is_damage());

    let error = Reader::open(&fixture.store, content).await.err().unwrap();
    assert!(error.is_damage(), "{error}");
}
