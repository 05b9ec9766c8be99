//! Two rounds that both got on, and a database that is put back.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::fixture::{Fixture, at_once, noise, segment_files};
use super::moving::half_dead;
use crate::jobs::collect::bitmap::Bitmap;
use crate::jobs::collect::{Collect, Going, Round, begin, contents, mark, round, sweep};
use crate::jobs::pace::Pace;
use crate::store::Error;
use crate::store::meta::collect::last_chunk;

const LEN: usize = 400_000;

#[tokio::test]
async fn a_round_that_meets_another_ends_and_takes_nothing_away() {
    let f = Fixture::new().await;
    f.side.put("/a", &noise(1, LEN)).await;
    f.side.put("/kept", &noise(2, LEN)).await;
    f.side.purge("/a").await;
    // Flags the content, then takes it away and flags its chunks.
    f.side.round().await;
    f.side.round().await;
    f.side.beat().await;
    let (how, stop) = (at_once(), CancellationToken::new());
    let store = &f.side.store;
    let (floor, epoch) = begin(store, how.clock.now()).await.unwrap();
    let going = Going {
        store,
        how: &how,
        stop: &stop,
        pace: Pace::new(None),
        floor,
        epoch,
    };
    let last = last_chunk(&mut store.meta.read().await.unwrap()).await;
    let window = Bitmap::windows(last.unwrap()).next().unwrap();
    let marked = mark::mark(&going, window).await.unwrap();
    let far = f.another().await;
    begin(&far.store, how.clock.now()).await.unwrap();
    let rows = f.side.rows("chunk").await;

    let swept = sweep::sweep(&going, &marked, &mut sweep::Swept::default()).await;
    let contents = contents::collect(&going).await;

    assert!(matches!(swept, Err(Error::Busy)), "{swept:?}");
    assert!(matches!(contents, Err(Error::Busy)), "{contents:?}");
    assert_eq!(f.side.rows("chunk").await, rows);
    f.side.collect().await;
    assert_eq!(f.side.read("/kept").await, noise(2, LEN));
}

#[tokio::test]
async fn the_file_of_an_emptied_segment_stays_for_the_grace() {
    let f = Fixture::new().await;
    let kept = half_dead(&f).await;
    let before = segment_files(f.folder.path());
    let patient = Collect {
        grace: Duration::from_hours(1),
        ..at_once()
    };
    let mut done = Round::default();
    for _ in 0..6 {
        f.side.beat().await;
        let one = round(&f.side.store, &patient, &CancellationToken::new()).await;
        done.add(one.unwrap());
    }

    assert_eq!(done.moved, kept.len() as u64, "{done:?}");
    assert_eq!((done.freed, done.later), (0, 1), "{done:?}");
    assert!(before.iter().all(|file| file.exists()));

    assert!(f.side.collect().await.freed > 0);
    assert!(!before.iter().all(|file| file.exists()));
    assert_eq!(f.side.read("/kept").await, kept);
}
