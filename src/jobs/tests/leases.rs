//! Who may run a job, and for how long.

use std::time::Duration;

use super::fixture::{DAY, Fixture, MS};
use crate::jobs::lease::LEASE;
use crate::jobs::{Error, Lease};
use crate::store::meta::jobs;

async fn take(f: &Fixture) -> Option<Lease> {
    Lease::take(&f.site, "job", None).await.unwrap()
}

async fn take_if_due(f: &Fixture) -> Option<Lease> {
    Lease::take(&f.site, "job", Some(DAY)).await.unwrap()
}

async fn step(lease: &Lease) -> Result<u8, Error> {
    lease.step(|_| Box::pin(async { Ok(7) })).await
}

#[tokio::test]
async fn a_job_has_one_run_at_a_time_and_comes_free_when_that_ends() {
    let f = Fixture::new().await;
    let first = take(&f).await.unwrap();
    assert!(take(&f).await.is_none());
    let beside = Lease::take(&f.site, "another", None).await.unwrap();
    assert!(beside.is_some());

    assert_eq!(step(&first).await.unwrap(), 7);
    first.end(None).await.unwrap();

    assert!(take(&f).await.is_some());
}

#[tokio::test]
async fn a_run_that_does_not_move_for_a_minute_is_taken_over_and_does_no_more() {
    let f = Fixture::new().await;
    let slow = take(&f).await.unwrap();
    f.pass_almost(LEASE);
    assert!(take(&f).await.is_none());
    f.pass(MS);
    let next = take(&f).await.unwrap();

    let refused = step(&slow).await;
    assert!(matches!(refused, Err(Error::Lost)), "{refused:?}");
    // Neither does it take the job from the other when it ends.
    slow.end(Some(DAY)).await.unwrap();
    assert!(take(&f).await.is_none());
    assert_eq!(step(&next).await.unwrap(), 7);
}

#[tokio::test]
async fn a_run_that_moves_keeps_its_job() {
    let f = Fixture::new().await;
    let lease = take(&f).await.unwrap();
    for _ in 0..5 {
        f.pass_almost(LEASE);
        assert_eq!(step(&lease).await.unwrap(), 7);
    }
    // Late, but nobody else was there.
    f.pass(LEASE * 3);
    assert_eq!(step(&lease).await.unwrap(), 7);
    assert!(take(&f).await.is_none());
}

#[tokio::test]
async fn what_a_step_wrote_is_undone_with_the_step() {
    let f = Fixture::new().await;
    let lease = take(&f).await.unwrap();
    let failed = lease.step::<(), _>(|conn| {
        Box::pin(async move {
            crate::store::meta::settings::get_or_put(conn, "x", "1").await?;
            Err(Error::Taken("nothing"))
        })
    });
    assert!(failed.await.is_err());
    let kept = f.transaction(|conn| {
        Box::pin(async move { Ok(crate::store::meta::settings::get_or_put(conn, "x", "2").await?) })
    });
    assert_eq!(kept.await, "2");
}

#[tokio::test]
async fn a_process_that_stops_does_no_further_step() {
    let f = Fixture::new().await;
    let lease = take(&f).await.unwrap();
    f.site.stop.cancel();
    assert!(matches!(step(&lease).await, Err(Error::Stopping)));
}

#[tokio::test]
async fn a_job_is_due_at_first_and_then_when_its_time_has_come() {
    let f = Fixture::new().await;
    take_if_due(&f).await.unwrap().end(Some(DAY)).await.unwrap();
    f.pass_almost(DAY);
    assert!(take_if_due(&f).await.is_none());
    // Who does not ask whether it is due does not put it off either.
    take(&f).await.unwrap().end(None).await.unwrap();
    f.pass(MS);
    assert!(take_if_due(&f).await.is_some());
}

#[tokio::test]
async fn a_clock_that_was_years_ahead_blocks_nothing_for_years() {
    let f = Fixture::new().await;
    let years = DAY * 1000;
    f.pass(years);
    drop(take_if_due(&f).await.unwrap());
    f.now
        .fetch_sub(86_400_000 * 1000, std::sync::atomic::Ordering::SeqCst);
    let lease = take_if_due(&f).await.unwrap();
    f.pass(years);
    lease.end(Some(DAY)).await.unwrap();
    f.now
        .fetch_sub(86_400_000 * 1000, std::sync::atomic::Ordering::SeqCst);
    assert!(take_if_due(&f).await.is_some());
}

#[tokio::test]
async fn every_job_that_ran_can_be_listed_with_its_times() {
    let f = Fixture::new().await;
    let now = f.site.clock.now();
    take(&f).await.unwrap().end(Some(DAY)).await.unwrap();
    drop(Lease::take(&f.site, "held", None).await.unwrap());
    let mut conn = f.site.store.meta.read().await.unwrap();
    let mut all = jobs::all(&mut conn).await.unwrap();
    all.sort();
    let ended = ("job".to_owned(), crate::types::Millis(0), now.plus(DAY));
    let held = (
        "held".to_owned(),
        now.plus(Duration::from_mins(1)),
        crate::types::Millis(0),
    );
    assert_eq!(all, [held, ended]);
}
