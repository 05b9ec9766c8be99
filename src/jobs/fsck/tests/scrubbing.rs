//! Scrubbing: what it finds, where it goes on, how fast it goes.

use std::fs;
use std::time::{Duration, Instant};

use super::fixture::{Bench, flip, noise};
use crate::jobs::scrub::{How, Start, slice, standing, to_end};
use crate::store::meta::settings;

const FAST: How = How { rate: None };
const DAY: Duration = Duration::from_hours(24);

#[tokio::test]
async fn a_flipped_bit_in_every_region_of_a_record_is_found_and_its_end_too() {
    let bench = Bench::empty().await;
    let bytes = noise(1, 15_000);
    bench.put("/a", &bytes).await;
    let segment = bench.segments().remove(0);
    let whole = fs::read(&segment).unwrap();
    let stored = whole[32 + 12..32 + 16].try_into().unwrap();
    let end = 32 + u64::from(u32::from_be_bytes(stored));
    // Segment header; magic, flags, zeros, lengths; chunk id, text, tag.
    let regions = [0, 8, 20, 32, 36, 38, 41, 45, 50, 90, 10_000, end - 1];
    for at in regions {
        flip(&segment, at);

        let done = to_end(&bench.site(), &FAST, Start::Anew).await.unwrap();

        assert_eq!((done.found, done.damaged), (1, 1), "byte {at}");
        let again = to_end(&bench.site(), &FAST, Start::Anew).await.unwrap();
        assert_eq!((again.found, again.damaged), (0, 1), "known by then");
        assert!(bench.read("/a").await.is_err());
        flip(&segment, at);
        let mended = to_end(&bench.site(), &FAST, Start::Anew).await.unwrap();
        assert_eq!((mended.found, mended.damaged), (0, 0), "byte {at}");
        assert!(bench.read("/a").await.unwrap() == bytes);
    }
}

#[tokio::test]
async fn what_lies_in_rows_is_verified_as_well() {
    let bench = Bench::full().await;
    let small = bench.node("/a/small").await.content.unwrap().0;
    let done = to_end(&bench.site(), &FAST, Start::GoOn).await.unwrap();
    assert_eq!((done.found, done.damaged), (0, 0));
    assert!(done.ended.is_some());
    bench
        .plant("UPDATE content SET sealed = root WHERE id = $1", &[small])
        .await;
    bench.plant("UPDATE upload SET tail = manifest", &[]).await;
    bench
        .plant(
            "UPDATE space SET wrapped_key = (SELECT root FROM content LIMIT 1)
                WHERE id = 1",
            &[],
        )
        .await;

    let done = to_end(&bench.site(), &FAST, Start::GoOn).await.unwrap();

    assert_eq!((done.found, done.damaged), (3, 3));
    // Sending it again heals it; the others cannot be marked.
    bench.put("/again", b"a few bytes").await;
    assert_eq!(bench.read("/a/small").await.unwrap(), b"a few bytes");
    assert_eq!(standing(&bench.store).await.unwrap().damaged, 2);
}

#[tokio::test]
async fn a_pass_goes_on_where_it_was_and_the_next_begins_when_it_is_due() {
    let bench = Bench::full().await;
    let site = bench.site();
    let state = async || {
        let mut conn = bench.store.meta.read().await.unwrap();
        settings::get(&mut conn, "scrub").await.unwrap().unwrap()
    };
    let first = to_end(&site, &FAST, Start::GoOn).await.unwrap();
    // Nothing is due for a day.
    assert_eq!(slice(&site, &FAST, DAY).await.unwrap(), None);
    let again = slice(&site, &FAST, Duration::ZERO).await.unwrap().unwrap();
    assert_eq!(again.bytes, first.bytes);

    // Given a pass that has come to the contents in rows
    let text = state().await;
    let last = text.split_once("\"last\"").unwrap().1;
    let halfway = format!(
        "{{\"pass\":{{\"began\":1,\"stage\":\"Sealed\",\"behind\":[0,0,0],\"unmarked\":0}},\"last\"{last}"
    );
    let put = bench
        .store
        .meta
        .write(move |conn| Box::pin(async move { settings::put(conn, "scrub", &halfway).await }));
    let put: crate::store::Result<()> = put.await;
    put.unwrap();
    // When it goes on, also though none is due
    let rest = slice(&site, &FAST, DAY).await.unwrap().unwrap();
    // Then it opens only what is left.
    assert!(rest.bytes > 0 && rest.bytes < first.bytes / 2, "{rest:?}");
    assert!(state().await.contains("\"pass\":null"));
}

#[tokio::test]
async fn a_pass_keeps_to_its_rate() {
    let bench = Bench::empty().await;
    for nth in 0..8 {
        bench.put(&format!("/{nth}"), &noise(nth, 60_000)).await;
    }
    let how = How {
        rate: Some(600_000),
    };
    let began = Instant::now();

    let done = to_end(&bench.site(), &how, Start::GoOn).await.unwrap();

    assert!(done.bytes > 480_000, "{done:?}");
    let took = began.elapsed();
    assert!(took >= Duration::from_millis(790), "{took:?}");
}

#[tokio::test]
async fn two_do_not_scrub_at_once() {
    let bench = Bench::full().await;
    let (one, other) = (bench.site(), bench.site());
    let slow = How {
        rate: Some(1_000_000),
    };
    let (first, second) = tokio::join!(to_end(&one, &slow, Start::GoOn), async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        slice(&other, &FAST, Duration::ZERO).await
    });
    assert!(first.unwrap().bytes > 0);
    assert_eq!(second.unwrap(), None);
}
