//! Each rule at its edge: what stays a millisecond before, and goes when its time has come.

use std::time::Duration;

use super::fixture::{DAY, Fixture, MONTH, MS, START, freed, path};
use crate::store::meta::{conflicts, locks, synclog, trash};
use crate::tree::retain::{self, Freed};
use crate::tree::{
    Base, Error, Keep, LockRequest, NewUpload, Precondition, UPLOAD_LIFETIME, Write,
};
use crate::types::Millis;

#[tokio::test]
async fn what_was_deleted_goes_after_its_time_and_not_before() {
    let f = Fixture::new().await;
    f.put("/a", b"12345").await;
    f.mkdir("/d").await;
    f.put("/d/b", b"1234567").await;
    f.put("/shared/c", b"123").await;
    f.remove("/a").await;
    f.pass(DAY);
    f.remove("/d").await;
    f.remove("/shared/c").await;

    f.pass_almost(MONTH.saturating_sub(DAY));
    assert_eq!(f.run("trash").await, freed(0, 0));
    f.pass(MS);
    assert_eq!(f.run("trash").await, freed(1, 5));
    assert_eq!(f.trash().await, ["d", "c"]);
    f.pass(DAY);
    assert_eq!(f.run("trash").await, freed(2, 10));
    assert!(f.trash().await.is_empty());
    assert_eq!(f.run("trash").await, freed(0, 0));
}

#[tokio::test]
async fn the_log_says_what_went_by_itself() {
    let f = Fixture::new().await;
    let node = f.put("/a", b"12345").await;
    f.remove("/a").await;
    f.pass(MONTH);
    f.run("trash").await;
    let mut conn = f.site.store.meta.read().await.unwrap();
    let last = synclog::page(&mut conn, None, None, 1).await.unwrap();
    let last = &last[0];
    assert_eq!((last.action.as_str(), last.account_id), ("purge", 0));
    assert_eq!((last.file_id, last.size), (node.id.0, 5));
}

#[tokio::test]
async fn what_was_restored_since_it_was_found_stays() {
    let f = Fixture::new().await;
    let node = f.put("/a", b"12345").await;
    f.remove("/a").await;
    f.pass(MONTH);
    let until = f.site.clock.now();
    let found = {
        let mut conn = f.site.store.meta.read().await.unwrap();
        trash::expired(&mut conn, until, 10).await.unwrap()[0]
    };
    let forget = async || {
        let now = f.site.clock.now();
        f.transaction(move |conn| {
            Box::pin(async move { Ok(retain::forget_expired(conn, &found, now).await?) })
        })
        .await
    };
    f.tree.restore(node.id).await.unwrap();
    assert_eq!(forget().await, Some(Freed::default()));
    f.tree.lookup(&path("/a")).await.unwrap();
    // Deleted once more, its time begins anew.
    f.remove("/a").await;
    assert_eq!(forget().await, Some(Freed::default()));
    assert_eq!(f.trash().await, ["a"]);
    f.tree.purge(node.id).await.unwrap();
    assert_eq!(forget().await, Some(Freed::default()));
}

#[tokio::test]
async fn what_was_deleted_before_its_folder_keeps_its_own_time() {
    let f = Fixture::new().await;
    f.mkdir("/d").await;
    f.put("/d/late", b"1").await;
    f.mkdir("/e").await;
    f.put("/e/early", b"1").await;
    f.remove("/e/early").await;
    f.pass(DAY);
    f.remove("/d").await;
    f.remove("/e").await;
    f.pass(MONTH.saturating_sub(DAY));
    assert_eq!(f.run("trash").await, freed(1, 1));
    assert_eq!(f.trash().await, ["d", "e"]);
}

/// A file with so many versions behind its head, each replaced when the clock stood at `START`.
async fn with_versions(f: &Fixture, at: &str, versions: usize) {
    for number in 0..=versions {
        f.put(at, format!("{number:02}").as_bytes()).await;
    }
}

#[tokio::test]
async fn five_versions_stay_for_good_and_the_others_for_a_month() {
    let f = Fixture::new().await;
    for (at, versions) in [("/five", 5), ("/six", 6), ("/ten", 10), ("/eleven", 11)] {
        with_versions(&f, at, versions).await;
    }
    // The eleventh went when it was written.
    assert_eq!(f.versions("/eleven").await, 1 + 10);
    f.pass(MONTH);
    assert_eq!(f.run("versions").await, freed(0, 0));
    f.pass(MS);
    let counted = super::cleaning::counted(&f, MONTH, "versions").await;
    assert_eq!(f.run("versions").await, freed(1 + 5 + 5, 22));
    assert_eq!(counted, freed(11, 22));
    for at in ["/five", "/six", "/ten", "/eleven"] {
        assert_eq!(f.versions(at).await, 1 + 5, "{at}");
    }
    assert_eq!(f.run("versions").await, freed(0, 0));
}

#[tokio::test]
async fn a_version_is_as_old_as_what_replaced_it() {
    let f = Fixture::new().await;
    with_versions(&f, "/a", 5).await;
    f.pass(MONTH * 2);
    // Replaces the sixth: it was current until now.
    f.put("/a", b"late").await;
    f.pass(MONTH);
    // The oldest was replaced three months ago, and went when the sixth was written.
    assert_eq!(f.versions("/a").await, 1 + 5);
    f.put("/a", b"later").await;
    assert_eq!(f.versions("/a").await, 1 + 5);
}

#[tokio::test]
async fn fewer_versions_stay_once_the_settings_say_so() {
    let f = Fixture::new().await;
    with_versions(&f, "/a", 9).await;
    let mut rules = super::fixture::RULES;
    rules.versions.always = 2;
    rules.versions.most = 4;
    assert_eq!(f.run_by("versions", &rules).await.unwrap(), freed(5, 10));
    assert_eq!(f.versions("/a").await, 1 + 4);
}

#[tokio::test]
async fn uploads_that_nobody_can_go_on_with_are_forgotten() {
    let f = Fixture::new().await;
    let new = |size| NewUpload {
        size,
        base: Base::Unstated,
        modified: None,
        created: None,
        checksum: None,
    };
    let old = f.tree.upload_open(&path("/a"), new(3)).await.unwrap();
    let mut appender = f.tree.upload_append(old.id, 0).await.unwrap();
    appender
        .push(bytes::Bytes::from_static(b"12"))
        .await
        .unwrap();
    appender.pause().await.unwrap();
    f.pass(DAY);
    let young = f.tree.upload_open(&path("/b"), new(2)).await.unwrap();
    f.pass(UPLOAD_LIFETIME.saturating_sub(DAY));
    assert_eq!(f.run("uploads").await, freed(0, 0));
    f.tree.upload_get(old.id).await.unwrap();
    f.pass(MS);
    assert_eq!(f.run("uploads").await, freed(1, 2));
    f.tree.upload_get(young.id).await.unwrap();
}

#[tokio::test]
async fn lines_of_the_log_go_after_a_year() {
    let f = Fixture::new().await;
    f.put("/a", b"1").await;
    f.pass(DAY);
    f.put("/b", b"1").await;
    f.pass_almost(DAY * 364);
    assert_eq!(f.run("log").await, freed(0, 0));
    f.pass(MS);
    assert_eq!(f.run("log").await, freed(1, 0));
    assert_eq!(f.tree.activity(None, 10).await.unwrap().len(), 1);
}

#[tokio::test]
async fn locks_that_have_ended_leave_the_space_without_locks() {
    let f = Fixture::new().await;
    f.put("/a", b"1").await;
    f.put("/b", b"1").await;
    let request = |minutes| LockRequest {
        owner: None,
        timeout: Some(Duration::from_mins(minutes)),
        shared: false,
        deep: false,
    };
    f.tree.lock(&path("/a"), request(10)).await.unwrap();
    f.tree.lock(&path("/b"), request(20)).await.unwrap();
    let left = async || {
        let mut conn = f.site.store.meta.read().await.unwrap();
        let all = Millis(i64::MAX);
        let spaces = locks::expired(&mut conn, all).await.unwrap();
        let space = f.tree.user().space;
        (
            spaces.len(),
            crate::store::meta::spaces::has_locks(&mut conn, space)
                .await
                .unwrap(),
        )
    };
    f.pass_almost(Duration::from_mins(10));
    assert_eq!(f.run("locks").await, freed(0, 0));
    f.pass(MS);
    assert_eq!(f.run("locks").await, freed(1, 0));
    assert_eq!(left().await, (1, true));
    f.pass(Duration::from_mins(10));
    assert_eq!(f.run("locks").await, freed(1, 0));
    assert_eq!(left().await, (0, false));
}

#[tokio::test]
async fn resolved_conflicts_are_forgotten_after_ninety_days_and_open_ones_never() {
    let f = Fixture::new().await;
    for at in ["/a", "/b"] {
        let base = f.put(at, b"base").await.content.unwrap();
        f.put(at, b"theirs").await;
        let ours = Write {
            when: Precondition::None,
            base: Base::Content(base),
            modified: Some(Millis(START + 1)),
            ..Write::default()
        };
        f.write(at, b"ours", ours).await;
    }
    let open = f.tree.conflicts(0, 10).await.unwrap();
    f.tree
        .resolve_conflict(open[0].id, Keep::Both)
        .await
        .unwrap();
    f.pass_almost(DAY * 90);
    assert_eq!(f.run("conflicts").await, freed(0, 0));
    f.pass(MS);
    assert_eq!(f.run("conflicts").await, freed(1, 0));
    assert_eq!(f.tree.conflicts(0, 10).await.unwrap().len(), 1);
    let mut conn = f.site.store.meta.read().await.unwrap();
    assert_eq!(conflicts::of_all(&mut conn, 0, 10).await.unwrap().len(), 1);
}

#[tokio::test]
async fn what_is_in_trash_is_refused_to_nobody_while_its_time_lasts() {
    let f = Fixture::new().await;
    let node = f.put("/a", b"1").await;
    f.remove("/a").await;
    f.pass_almost(MONTH);
    f.run("trash").await;
    f.tree.restore(node.id).await.unwrap();
    f.pass(MONTH);
    f.run("trash").await;
    f.tree.lookup(&path("/a")).await.unwrap();
    let gone = f.tree.restore(node.id).await;
    assert!(matches!(gone, Err(Error::NotFound)));
}
