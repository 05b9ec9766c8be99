//! Segments that are mostly dead are emptied, under readers, and damaged ones are left alone.

use std::fs;
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

use tokio::time::sleep;

use super::fixture::{Fixture, PATIENCE, Side, noise, path, segment_files};
use crate::chunk::delta::Operation;
use crate::tree::Tree;

const LEN: usize = 400_000;
/// Bytes an upload collects before it cuts them: what may be missing of one that is given up.
const BUFFER: usize = 512 * 1024;

/// A closed segment of which `/kept` is the smaller part; the rest are records that got no rows.
pub(super) async fn half_dead(f: &Fixture) -> Vec<u8> {
    let kept = noise(1, 2 * LEN);
    f.side.put("/kept", &kept).await;
    given_up(f, 4 * LEN).await;
    f.side.close_segments().await;
    kept
}

/// An upload that ends before its chunks get rows. All but a buffer of them is in the segment by then:
/// one that is dropped sooner takes back what it was about to append.
async fn given_up(f: &Fixture, len: usize) {
    let before = f.stored();
    let mut upload = f
        .side
        .tree
        .upload(&path("/gone"), None, None)
        .await
        .unwrap();
    upload.push(noise(2, len).into()).await.unwrap();
    let since = Instant::now();
    while f.stored() < before + (len - BUFFER) as u64 {
        assert!(since.elapsed() < PATIENCE, "nothing is appended");
        sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn what_is_alive_moves_out_of_a_segment_that_is_mostly_dead() {
    let f = Fixture::new().await;
    let kept = half_dead(&f).await;
    let before = segment_files(f.folder.path());
    assert_eq!(before.len(), 1);

    let done = f.side.collect().await;

    assert_eq!(done.moved, 2 * LEN as u64);
    let after = segment_files(f.folder.path());
    assert_ne!(before, after);
    assert!(f.stored() < 3 * LEN as u64, "{}", f.stored());
    assert_eq!(f.side.read("/kept").await, kept);
    // Nothing moves twice.
    assert_eq!(f.side.collect().await.moved, 0);
}

#[tokio::test]
async fn a_segment_that_is_mostly_alive_stays() {
    let f = Fixture::new().await;
    f.side.put("/kept", &noise(1, 4 * LEN)).await;
    f.side.put("/gone", &noise(2, LEN)).await;
    f.side.close_segments().await;
    f.side.purge("/gone").await;
    let before = segment_files(f.folder.path());
    let done = f.side.collect().await;
    assert_eq!((done.moved, done.freed), (0, 0));
    assert_eq!(segment_files(f.folder.path()), before);
}

#[tokio::test]
async fn an_open_segment_is_closed_by_its_process_first() {
    let f = Fixture::new().await;
    let kept = noise(1, LEN);
    f.side.put("/kept", &kept).await;
    f.side.put("/gone", &noise(2, 4 * LEN)).await;
    f.side.purge("/gone").await;
    let far = f.another().await;
    for _ in 0..8 {
        far.round().await;
        f.side.beat().await;
    }
    assert!(f.stored() < 2 * LEN as u64, "{}", f.stored());
    assert_eq!(f.side.read("/kept").await, kept);
}

/// Reads a file in steps, with rounds of `collector` in between.
async fn read_slowly(tree: &Tree, collector: &Side) -> Vec<u8> {
    let node = tree.lookup(&path("/kept")).await.unwrap();
    let mut reader = tree.read(&node).await.unwrap();
    let mut all = Vec::new();
    loop {
        let bytes = reader.read(100_000).await.unwrap();
        if bytes.is_empty() {
            return all;
        }
        all.extend_from_slice(&bytes);
        collector.round().await;
    }
}

#[tokio::test]
async fn a_download_goes_on_while_its_chunks_move() {
    let f = Fixture::new().await;
    let kept = half_dead(&f).await;
    let far = f.another().await;
    let before = segment_files(f.folder.path());
    assert_eq!(read_slowly(&f.side.tree, &far).await, kept);
    assert_ne!(segment_files(f.folder.path()), before, "nothing moved");
}

#[tokio::test]
async fn a_download_of_another_process_goes_on_as_well() {
    let f = Fixture::new().await;
    let kept = half_dead(&f).await;
    let far = f.another().await;
    let before = segment_files(f.folder.path());
    assert_eq!(read_slowly(&far.tree, &f.side).await, kept);
    assert_ne!(segment_files(f.folder.path()), before, "nothing moved");
}

#[tokio::test]
async fn a_download_outlives_the_purge_of_its_file() {
    let f = Fixture::new().await;
    let side = &f.side;
    let bytes = noise(1, 2 * LEN);
    side.put("/a", &bytes).await;
    let node = side.tree.lookup(&path("/a")).await.unwrap();
    let mut reader = side.tree.read(&node).await.unwrap();
    let mut all = reader.read(1000).await.unwrap().to_vec();
    side.purge("/a").await;
    side.close_segments().await;
    side.collect().await;
    loop {
        let part = reader.read(100_000).await.unwrap();
        if part.is_empty() {
            break;
        }
        all.extend_from_slice(&part);
    }
    assert_eq!(all, bytes);
    drop(reader);
    side.collect().await;
    assert_eq!(f.stored(), 0);
}

#[tokio::test]
async fn a_delta_is_told_on_while_chunks_of_both_contents_move() {
    let f = Fixture::new().await;
    let side = &f.side;
    let old = noise(1, 4 * LEN);
    let mut new = old.clone();
    for at in [100_000, 700_000, 1_300_000] {
        new.splice(at..at + 10, noise(at as u64, 3000));
    }
    side.put("/a", &old).await;
    let from = side.tree.lookup(&path("/a")).await.unwrap().content;
    side.put("/a", &new).await;
    given_up(&f, 12 * LEN).await;
    let to = side
        .tree
        .lookup(&path("/a"))
        .await
        .unwrap()
        .content
        .unwrap();
    side.close_segments().await;

    let mut diff = side.tree.diff(from, to).await.unwrap();
    let (mut made, mut moved) = (Vec::new(), 0);
    while let Some(operation) = diff.next().await.unwrap() {
        match operation {
            Operation::Copy { offset, len } => {
                let at = usize::try_from(offset).unwrap();
                made.extend_from_slice(&old[at..at + usize::try_from(len).unwrap()]);
            }
            Operation::Literal(bytes) => made.extend_from_slice(&bytes),
            Operation::Patch {
                base_offset,
                base_len,
                raw_len,
                packed,
            } => {
                let at = usize::try_from(base_offset).unwrap();
                let prefix = &old[at..at + base_len as usize];
                let raw = crate::chunk::patch::decode(prefix, &packed, raw_len as usize);
                made.extend_from_slice(&raw.unwrap());
            }
        }
        moved += side.round().await.moved;
    }
    assert_eq!(made, new);
    assert!(moved > 0);
}

#[tokio::test]
async fn a_segment_with_a_chunk_that_does_not_open_stays_as_it_is() {
    let f = Fixture::new().await;
    half_dead(&f).await;
    let segment = segment_files(f.folder.path()).remove(0);
    let before = fs::metadata(&segment).unwrap().len();
    let file = fs::File::options().write(true).open(&segment).unwrap();
    file.write_all_at(b"damage", 5000).unwrap();

    let done = f.side.collect().await;

    assert_eq!(done.damaged, 1);
    assert_eq!(fs::metadata(&segment).unwrap().len(), before);
    assert!(super::fixture::read(&f.side.tree, "/kept").await.is_err());
}

#[tokio::test]
async fn many_small_segments_become_one() {
    let f = Fixture::new().await;
    for nth in 0..20 {
        f.side.put(&format!("/{nth}"), &noise(nth, 30_000)).await;
        f.side.close_segments().await;
    }
    assert_eq!(segment_files(f.folder.path()).len(), 20);
    f.side.collect().await;
    assert_eq!(segment_files(f.folder.path()).len(), 1);
    for nth in 0..20 {
        assert_eq!(f.side.read(&format!("/{nth}")).await, noise(nth, 30_000));
    }
}
