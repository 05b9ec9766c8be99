//! Rows of chunks: made once, found, located, listed.

use std::time::Duration;

use super::*;
use crate::store::meta::{Meta, process, segments, spaces, testing};
use crate::types::Millis;

fn chunk(nth: u8, segment: u8) -> NewChunk {
    let segment = SegmentId([segment; 16]);
    let place = Place {
        segment,
        offset: u64::from(nth) * 1000,
        stored: 500,
    };
    NewChunk {
        blinded: Blinded([nth; 16]),
        place,
        raw: u32::from(nth) + 1,
    }
}

/// The process that the tests are; the first of its database.
const US: ProcessId = ProcessId(1);

async fn opened() -> (tempfile::TempDir, Meta, SpaceId) {
    let folder = tempfile::tempdir().unwrap();
    let meta = Meta::open(&testing::database(folder.path())).await.unwrap();
    let made = meta.write(|tx| Box::pin(async move { spaces::create(tx, "s", false, None).await }));
    let space = made.await.unwrap();
    let entered =
        meta.write(|tx| Box::pin(async move { process::enter(tx, Millis(i64::MAX)).await }));
    assert_eq!(entered.await.unwrap().0, US);
    (folder, meta, space)
}

async fn insert_all(meta: &Meta, space: SpaceId, new: Vec<NewChunk>) -> HashMap<Blinded, ChunkRow> {
    let made = meta.write(move |tx| Box::pin(async move { insert(tx, US, space, &new).await }));
    made.await.unwrap()
}

#[tokio::test]
async fn rows_are_consecutive_found_again_and_located() {
    // given: more than one batch of each size
    let (_folder, meta, space) = opened().await;
    let new: Vec<_> = (0..100).map(|nth| chunk(nth, nth / 60)).collect();
    // when
    let rows = insert_all(&meta, space, new.clone()).await;
    // then
    let mut conn = meta.read().await.unwrap();
    let first = rows[&new[0].blinded];
    for (nth, chunk) in new.iter().enumerate() {
        assert_eq!(
            rows[&chunk.blinded].0,
            first.0 + i64::try_from(nth).unwrap()
        );
    }
    let asked: Vec<_> = (0..=255).map(|nth| Blinded([nth; 16])).collect();
    let found = find(&mut conn, space, &asked).await.unwrap();
    assert_eq!(found.len(), 100);
    assert_eq!(found[&Blinded([9; 16])], (rows[&Blinded([9; 16])], 10));
    assert_eq!(find(&mut conn, space, &asked[..3]).await.unwrap().len(), 3);
    assert_eq!(find(&mut conn, space, &[]).await.unwrap().len(), 0);
    assert_eq!(find(&mut conn, SpaceId(99), &asked).await.unwrap().len(), 0);
    let located = located(&mut conn, space, first, 100).await.unwrap();
    for (chunk, located) in new.iter().zip(located) {
        assert_eq!((chunk.place, chunk.raw), (located.place, located.raw));
        let one = by_blinded(&mut conn, space, &chunk.blinded).await.unwrap();
        assert_eq!(one.unwrap().row, located.row);
    }
    for (space, blinded) in [(space, [200; 16]), (SpaceId(99), [9; 16])] {
        let none = by_blinded(&mut conn, space, &Blinded(blinded)).await;
        assert!(none.unwrap().is_none());
    }
    let listed = listed(&mut conn, space, first, 100).await.unwrap();
    let expected: Vec<_> = new.iter().map(|new| (new.blinded, new.raw)).collect();
    assert_eq!(listed, expected);
    assert_eq!(
        raw_lens(&mut conn, space, &[(first, 100)])
            .await
            .unwrap()
            .iter()
            .sum::<u64>(),
        (1..=100).sum::<u64>()
    );
}

#[tokio::test]
async fn a_chunk_that_somebody_else_stored_first_keeps_its_row_and_place() {
    let (_folder, meta, space) = opened().await;
    let first = insert_all(&meta, space, vec![chunk(1, 1)]).await;
    let again = insert_all(&meta, space, vec![chunk(2, 2), chunk(1, 2), chunk(3, 2)]).await;
    assert_eq!(again.len(), 3);
    assert_eq!(again[&Blinded([1; 16])], first[&Blinded([1; 16])]);
    let mut conn = meta.read().await.unwrap();
    let kept = located(&mut conn, space, first[&Blinded([1; 16])], 1)
        .await
        .unwrap();
    assert_eq!(kept[0].place.segment, SegmentId([1; 16]));
}

#[tokio::test]
async fn lengths_of_runs_are_added_up_each_for_itself() {
    let (_folder, meta, space) = opened().await;
    let new: Vec<_> = (0..100).map(|nth| chunk(nth, 1)).collect();
    let first = insert_all(&meta, space, new).await[&Blinded([0; 16])];
    let run = |from: i64, rows| (ChunkRow(first.0 + from), rows);
    let mut conn = meta.read().await.unwrap();

    let runs = [run(5, 1), run(0, 3), run(5, 1), run(98, 2)];
    let lengths = raw_lens(&mut conn, space, &runs).await.unwrap();

    assert_eq!(lengths, [6, 1 + 2 + 3, 6, 99 + 100]);
    let beyond = raw_lens(&mut conn, space, &[run(0, 1), run(99, 2)]).await;
    assert!(matches!(beyond, Err(Error::Corrupt(_))));
}

#[tokio::test]
async fn a_missing_row_is_an_error() {
    let (_folder, meta, space) = opened().await;
    let rows = insert_all(&meta, space, vec![chunk(1, 1)]).await;
    let row = rows[&Blinded([1; 16])];
    let mut conn = meta.read().await.unwrap();
    assert!(matches!(
        located(&mut conn, space, row, 2).await,
        Err(Error::Corrupt(_))
    ));
    assert!(matches!(
        raw_lens(&mut conn, space, &[(row, 2)]).await,
        Err(Error::Corrupt(_))
    ));
    assert!(listed(&mut conn, space, row, 2).await.is_err());
    assert!(located(&mut conn, SpaceId(99), row, 1).await.is_err());
    assert!(listed(&mut conn, SpaceId(99), row, 1).await.is_err());
}

#[tokio::test]
async fn whoever_begins_a_segment_and_whoever_fills_it_do_not_wait_for_each_other() {
    let (_folder, meta, space) = opened().await;
    // Given one who names a segment and then goes on with its chunks
    let new = vec![chunk(1, 1)];
    let named = meta.write(move |tx| {
        Box::pin(async move {
            let places = new.iter().map(|chunk| chunk.place).collect();
            segments::name(tx, US, space, places).await?;
            tokio::time::sleep(Duration::from_millis(200)).await;
            insert(tx, US, space, &new).await
        })
    });
    // when another comes in between
    let other = async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        insert_all(&meta, space, vec![chunk(2, 1)]).await
    };
    let (named, other): (Result<_>, _) = tokio::join!(named, other);
    // then both are done
    assert_eq!((named.unwrap().len(), other.len()), (1, 1));
}
