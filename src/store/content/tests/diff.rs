//! Tests of the way from one content to another.

use super::*;
use crate::chunk::delta::Operation;
use crate::chunk::{Manifest, patch};
use crate::types::ChunkRow;

async fn all(diff: &mut Diff) -> Vec<Operation> {
    let mut operations = Vec::new();
    while let Some(operation) = diff.next().await.unwrap() {
        operations.push(operation);
    }
    assert!(diff.next().await.unwrap().is_none());
    operations
}

fn apply(old: &[u8], operations: &[Operation]) -> Vec<u8> {
    let part = |offset: u64, len: u64| {
        &old[usize::try_from(offset).unwrap()..usize::try_from(offset + len).unwrap()]
    };
    let mut made = Vec::new();
    for operation in operations {
        match operation {
            Operation::Copy { offset, len } => made.extend_from_slice(part(*offset, *len)),
            Operation::Literal(bytes) => made.extend_from_slice(bytes),
            Operation::Patch {
                base_offset,
                base_len,
                raw_len,
                packed,
            } => {
                let prefix = part(*base_offset, u64::from(*base_len));
                made.extend(patch::decode(prefix, packed, *raw_len as usize).unwrap());
            }
        }
    }
    made
}

/// Bytes that the operations carry.
fn carried(operations: &[Operation]) -> usize {
    let len = |operation: &Operation| match operation {
        Operation::Copy { .. } => 0,
        Operation::Literal(bytes) | Operation::Patch { packed: bytes, .. } => bytes.len(),
    };
    operations.iter().map(len).sum()
}

impl Fixture {
    async fn diff(&self, old: &[u8], new: &[u8]) -> Vec<Operation> {
        let (from, to) = (self.put(old).await, self.put(new).await);
        let mut diff = Diff::open(&self.store, Some(from), to).await.unwrap();
        let operations = all(&mut diff).await;
        assert!(apply(old, &operations) == new);
        operations
    }
}

#[tokio::test]
async fn edits_carry_what_is_new() {
    let fixture = fixture().await;
    let old = noise(6 * MIB);
    let mut new = old.clone();
    new[3 * MIB] ^= 1;
    assert_eq!(carried(&fixture.diff(&old, &new).await), 1);
    new.splice(MIB..MIB, noise(70_000));
    assert!((70_001..70_100).contains(&carried(&fixture.diff(&old, &new).await)));
    // An edit a page: nothing of the middle is an anchor.
    (0..5 * MIB).step_by(4096).for_each(|at| new[at] ^= 1);
    assert!(carried(&fixture.diff(&old, &new).await) < 70_000 + 1280 * 12);
    let old = text(3 * MIB);
    let mut new = old.clone();
    new.splice(MIB..MIB, *b"a line that was put in\n");
    assert!(carried(&fixture.diff(&old, &new).await) < 40);
}

#[tokio::test]
async fn small_contents_in_rows_go_both_ways() {
    let fixture = fixture().await;
    let (small, large) = (text(8000), text(MIB));
    // Far more than there was: it is left to the answer's own compression.
    assert_eq!(carried(&fixture.diff(&small, &large).await), MIB - 8000);
    assert_eq!(carried(&fixture.diff(&large, &small).await), 0);
    let mut edited = small.clone();
    edited[4000] ^= 1;
    assert_eq!(carried(&fixture.diff(&small, &edited).await), 1);
    assert_eq!(fixture.diff(&small, &small).await.len(), 1);
    assert_eq!(fixture.diff(&small, b"").await, []);
    assert_eq!(carried(&fixture.diff(b"", &small).await), 8000);
}

#[tokio::test]
async fn without_an_old_content_all_is_literal() {
    let fixture = fixture().await;
    for size in [0, 100, 3 * MIB] {
        let new = noise(size);
        let to = fixture.put(&new).await;
        let mut diff = Diff::open(&fixture.store, None, to).await.unwrap();
        let operations = all(&mut diff).await;
        assert_eq!(carried(&operations), size);
        assert!(apply(b"", &operations) == new);
    }
}

#[tokio::test]
async fn not_a_byte_of_copied_chunks_is_read() {
    // given: a content that ends where a chunk of the other does, and no segments any more
    let fixture = fixture().await;
    let old = text(4 * MIB);
    let from = fixture.put(&old).await;
    let mut chunks = ContentChunks::open(&fixture.store, from).await.unwrap();
    let listed = chunks.next_batch().await.unwrap();
    let len: usize = listed[..20].iter().map(|(_, len)| *len as usize).sum();
    let to = fixture.put(&old[..len]).await;
    fs::rename(
        fixture.folder.path().join("data"),
        fixture.folder.path().join("away"),
    )
    .unwrap();
    // when
    let mut diff = Diff::open(&fixture.store, Some(from), to).await.unwrap();
    // then
    let len = len as u64;
    assert_eq!(all(&mut diff).await, [Operation::Copy { offset: 0, len }]);
}

#[tokio::test]
async fn many_diffs_are_open_at_once_while_their_readers_pause() {
    let fixture = fixture().await;
    let old = noise(2 * MIB);
    let mut new = old.clone();
    (0..2 * MIB).step_by(300_000).for_each(|at| new[at] ^= 1);
    let (from, to) = (fixture.put(&old).await, fixture.put(&new).await);
    let mut open = Vec::new();
    for _ in 0..12 {
        let mut diff = Diff::open(&fixture.store, Some(from), to).await.unwrap();
        let first = diff.next().await.unwrap().unwrap();
        open.push((diff, vec![first]));
    }
    for (mut diff, mut operations) in open {
        operations.extend(all(&mut diff).await);
        assert!(apply(&old, &operations) == new);
    }
}

#[tokio::test]
async fn a_diff_given_up_half_way_does_not_go_on() {
    let fixture = fixture().await;
    let to = fixture.put(&noise(2 * MIB)).await;
    let mut diff = Diff::open(&fixture.store, None, to).await.unwrap();
    let now = std::time::Duration::ZERO;
    tokio::time::timeout(now, diff.next()).await.unwrap_err();
    assert!(diff.next().await.is_err());
}

#[tokio::test]
async fn contents_of_too_many_chunks_are_not_compared() {
    let fixture = fixture().await;
    let from = fixture.put(&noise(100)).await;
    let to = fixture.put(&noise(20_000)).await;
    let mut manifest = Manifest::default();
    (1..=131_073).for_each(|row| manifest.push(ChunkRow(row)));
    let set = peek::set_manifest(&fixture.store.meta, to, manifest.encode());
    set.await.unwrap();
    for (from, to) in [(Some(from), to), (Some(to), from), (None, to)] {
        let refused = Diff::open(&fixture.store, from, to).await;
        assert!(matches!(
            refused,
            Err(DiffError::TooLarge { chunks: 131_073 })
        ));
    }
}

#[tokio::test]
async fn contents_of_other_spaces_are_not_compared() {
    let mut fixture = fixture().await;
    let from = fixture.put(&noise(100)).await;
    let ring = Arc::clone(&fixture.store);
    let other = fixture.store.meta.write(move |tx| {
        Box::pin(async move {
            let space = spaces::create(tx, "other", false, None).await?;
            let key = ring.keys.new_space_key(tx, space).await?;
            spaces::set_key_and_root(tx, space, &key, NodeId(0)).await?;
            Ok::<_, Error>(space)
        })
    });
    fixture.space = other.await.unwrap();
    let to = fixture.put(&noise(100)).await;
    let refused = Diff::open(&fixture.store, Some(from), to).await;
    assert!(matches!(refused, Err(DiffError::OtherSpace)));
}

#[tokio::test]
async fn the_list_of_a_content_adds_up_to_it() {
    let fixture = fixture().await;
    let keys = fixture
        .store
        .keys
        .of(&fixture.store.meta, fixture.space)
        .await
        .unwrap();
    for size in [0, 1, 8192, 8193, 100 * MIB] {
        let bytes = text(size);
        let content = fixture.put(&bytes).await;
        let mut chunks = ContentChunks::open(&fixture.store, content).await.unwrap();
        let mut listed = Vec::new();
        loop {
            let batch = chunks.next_batch().await.unwrap();
            listed.extend_from_slice(&batch);
            if batch.is_empty() {
                break;
            }
        }
        assert_eq!(
            (chunks.size(), chunks.count()),
            (size as u64, listed.len() as u64)
        );
        let mut rest = &bytes[..];
        for (blinded, len) in listed {
            let (chunk, others) = rest.split_at(len as usize);
            assert_eq!(keys.blind(&keys.chunk_id(chunk)), blinded);
            rest = others;
        }
        assert!(rest.is_empty());
    }
}
