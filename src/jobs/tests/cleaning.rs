//! Cleaning up by an age that somebody states.

use std::time::Duration;

use super::fixture::{DAY, Fixture, MONTH, MS, RULES, freed, path};
use crate::jobs::lease::LEASE;
use crate::jobs::{Cleaned, Cleanup, Lease};
use crate::tree::retain::Freed;
use crate::tree::{Base, NewUpload};

fn older_than(age: Duration) -> Cleanup {
    Cleanup {
        older_than: age,
        keep: RULES.versions,
    }
}

/// What one of the jobs would free.
pub(super) async fn counted(f: &Fixture, age: Duration, job: &str) -> Freed {
    let all = older_than(age).count(&f.site).await.unwrap();
    all.iter().find(|one| one.job == job).unwrap().freed
}

/// A week's work: trash, versions, an upload.
async fn week() -> Fixture {
    let f = Fixture::new().await;
    for number in 0..9 {
        f.put("/a", format!("{number}").as_bytes()).await;
    }
    f.put("/old", b"12").await;
    f.put("/new", b"123").await;
    f.remove("/old").await;
    let upload = NewUpload {
        size: 3,
        base: Base::Unstated,
        modified: None,
        created: None,
        checksum: None,
    };
    f.tree.upload_open(&path("/b"), upload).await.unwrap();
    f.pass(DAY * 7 + MS);
    f.remove("/new").await;
    f
}

#[tokio::test]
async fn what_is_counted_goes_and_what_is_younger_stays() {
    let f = week().await;
    let cleanup = older_than(DAY * 7);
    let counted = cleanup.count(&f.site).await.unwrap();
    let lines = u64::try_from(f.tree.activity(None, 100).await.unwrap().len()).unwrap() - 1;
    let expected = [
        ("trash", freed(1, 2)),
        ("versions", freed(3, 3)),
        ("uploads", freed(1, 0)),
        ("log", freed(lines, 0)),
    ];
    assert_eq!(counted, expected.map(|(job, freed)| Cleaned { job, freed }));
    // Counting changes nothing.
    assert_eq!(f.trash().await, ["old", "new"]);
    assert_eq!(f.versions("/a").await, 9);

    let cleaned = cleanup.run(&f.site).await.unwrap();

    assert_eq!(cleaned, counted);
    assert_eq!(f.trash().await, ["new"]);
    assert_eq!(f.versions("/a").await, 1 + 5);
    assert_eq!(f.tree.activity(None, 100).await.unwrap().len(), 1);
    let again = cleanup.run(&f.site).await.unwrap();
    assert!(
        again
            .iter()
            .all(|one| one.freed.items == 0 || one.job == "log"),
        "{again:?}"
    );
}

#[tokio::test]
async fn no_age_at_all_keeps_the_newest_versions_and_uploads_that_go_on() {
    let f = week().await;
    f.pass(MS);
    older_than(Duration::ZERO).run(&f.site).await.unwrap();
    assert!(f.trash().await.is_empty());
    assert_eq!(f.versions("/a").await, 1 + 5);
}

#[tokio::test]
async fn an_age_beyond_all_time_finds_nothing() {
    let f = week().await;
    let cleaned = older_than(Duration::MAX).run(&f.site).await.unwrap();
    let uploads = freed(1, 0);
    for Cleaned { job, freed } in cleaned {
        let expected = if job == "uploads" {
            uploads
        } else {
            Freed::default()
        };
        assert_eq!(freed, expected, "{job}");
    }
}

#[tokio::test]
async fn a_job_that_runs_elsewhere_is_waited_for_and_stays_due_as_it_was() {
    let f = week().await;
    let elsewhere = Lease::take(&f.site, "versions", Some(DAY)).await.unwrap();
    let ending = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        elsewhere.unwrap().end(Some(MONTH)).await.unwrap();
    };
    let cleanup = older_than(MS);
    let (cleaned, ()) = tokio::join!(cleanup.run(&f.site), ending);
    assert_eq!(cleaned.unwrap()[1].freed, freed(3, 3));
    let soon = Lease::take(&f.site, "versions", Some(MONTH)).await.unwrap();
    assert!(soon.is_none(), "it was put off for a month");
    let never_ran = Lease::take(&f.site, "trash", Some(DAY)).await.unwrap();
    assert!(never_ran.is_some());
}

#[tokio::test]
async fn a_job_whose_process_died_is_taken_over_within_a_minute() {
    let f = week().await;
    drop(Lease::take(&f.site, "trash", None).await.unwrap().unwrap());
    let waiting = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert_eq!(f.trash().await.len(), 2, "nobody has taken it over yet");
        f.pass(LEASE);
    };
    let cleanup = older_than(Duration::ZERO);
    let (cleaned, ()) = tokio::join!(cleanup.run(&f.site), waiting);
    assert_eq!(cleaned.unwrap()[0].freed, freed(2, 5));
}
