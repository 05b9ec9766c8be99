//! When jobs run.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use super::fixture::{DAY, Fixture, MS, RULES, freed};
use crate::jobs::{Error, JOBS, Job, Schedule, Site};
use crate::tree;

fn schedule(site: &Site, jobs: &'static [Job]) -> Schedule {
    Schedule {
        site: site.clone(),
        rules: RULES,
        jobs,
    }
}

/// Runs what is due; each job that ended, and whether well.
async fn round(schedule: &Schedule) -> Vec<(&'static str, bool)> {
    let ended = Mutex::new(Vec::new());
    let note = |job, result: &Result<_, Error>| ended.lock().unwrap().push((job, result.is_ok()));
    schedule.round(&note).await;
    ended.into_inner().unwrap()
}

#[tokio::test]
async fn of_two_schedules_one_runs_each_job_that_is_due() {
    static RUNS: AtomicU32 = AtomicU32::new(0);
    static COUNTING: [Job; 2] = [
        Job {
            name: "a",
            every: DAY,
            run: |lease, _| {
                Box::pin(async move {
                    RUNS.fetch_add(1, Ordering::SeqCst);
                    lease.step(|_| Box::pin(async { Ok(()) })).await?;
                    Ok(freed(1, 0))
                })
            },
        },
        Job {
            name: "b",
            every: DAY,
            run: |_, _| {
                Box::pin(async {
                    RUNS.fetch_add(1, Ordering::SeqCst);
                    Ok(freed(0, 0))
                })
            },
        },
    ];
    let f = Fixture::new().await;
    let (one, two) = (schedule(&f.site, &COUNTING), schedule(&f.site, &COUNTING));
    for day in 1..=3 {
        let (here, there) = tokio::join!(round(&one), round(&two));
        let mut all = [here, there].concat();
        all.sort_unstable();
        assert_eq!(all, [("a", true), ("b", true)], "day {day}");
        assert!(round(&one).await.is_empty());
        f.pass_almost(DAY);
        assert!(round(&two).await.is_empty());
        f.pass(MS);
    }
    assert_eq!(RUNS.load(Ordering::SeqCst), 6);
}

#[tokio::test]
async fn a_job_that_fails_is_tried_again_before_it_would_be_due_and_holds_up_no_other() {
    static FAILING: [Job; 2] = [
        Job {
            name: "failing",
            every: DAY,
            run: |_, _| Box::pin(async { Err(tree::Error::NotFound.into()) }),
        },
        Job {
            name: "other",
            every: DAY,
            run: |_, _| Box::pin(async { Ok(freed(0, 0)) }),
        },
    ];
    let f = Fixture::new().await;
    let schedule = schedule(&f.site, &FAILING);
    assert_eq!(
        round(&schedule).await,
        [("failing", false), ("other", true)]
    );
    f.pass_almost(Duration::from_mins(10));
    assert!(round(&schedule).await.is_empty());
    f.pass(MS);
    assert_eq!(round(&schedule).await, [("failing", false)]);
}

#[tokio::test]
async fn a_job_that_was_stopped_is_due_for_whoever_comes_next() {
    static STOPPED: [Job; 1] = [Job {
        name: "stopped",
        every: DAY,
        run: |lease, _| {
            Box::pin(async move {
                lease.site().stop.cancel();
                lease.step(|_| Box::pin(async { Ok(()) })).await?;
                Ok(freed(1, 0))
            })
        },
    }];
    let f = Fixture::new().await;
    assert_eq!(
        round(&schedule(&f.site, &STOPPED)).await,
        [("stopped", false)]
    );
    let after_restart = Site {
        stop: tokio_util::sync::CancellationToken::new(),
        ..f.site.clone()
    };
    let ran = round(&schedule(&after_restart, &STOPPED)).await;
    assert_eq!(ran, [("stopped", false)]);
}

#[tokio::test]
async fn all_jobs_run_on_an_empty_store_and_have_names_of_their_own() {
    let f = Fixture::new().await;
    let ran = round(&schedule(&f.site, JOBS)).await;
    let names: std::collections::BTreeSet<_> = ran.iter().map(|(name, _)| name).collect();
    assert_eq!(names.len(), JOBS.len());
    assert!(ran.iter().all(|(_, well)| *well), "{ran:?}");
}

#[tokio::test]
async fn a_schedule_begins_after_the_time_set_and_ends_when_the_site_stops() {
    static STOPPING: [Job; 1] = [Job {
        name: "stopping",
        every: DAY,
        run: |lease, _| {
            Box::pin(async move {
                lease.site().stop.cancel();
                Ok(freed(0, 0))
            })
        },
    }];
    let f = Fixture::new().await;
    let began = std::time::Instant::now();
    let runs = AtomicU32::new(0);
    let wait = Duration::from_millis(50);
    let count = |_, _: &Result<_, _>| {
        runs.fetch_add(1, Ordering::SeqCst);
    };
    schedule(&f.site, &STOPPING).run(wait, count).await;
    assert!(began.elapsed() >= wait);
    assert_eq!(runs.load(Ordering::SeqCst), 1);

    let never = schedule(&f.site, &STOPPING).run(DAY, count);
    never.await;
    assert_eq!(runs.load(Ordering::SeqCst), 1);
}
