//! What versions and trash may take of a space with a quota.

use super::fixture::{DAY, Fixture, freed, path};
use crate::store::meta::spaces;

async fn set_quota(f: &Fixture, quota: i64) {
    let space = f.tree.user().space;
    f.transaction(move |conn| {
        Box::pin(async move { Ok(spaces::set_quota(conn, space, Some(quota)).await?) })
    })
    .await;
}

/// Ten bytes each, deleted one a day.
async fn deleted(f: &Fixture, names: &[&str]) {
    for name in names {
        f.put(name, b"0123456789").await;
        f.remove(name).await;
        f.pass(DAY);
    }
}

#[tokio::test]
async fn trash_takes_at_most_half_of_what_is_free_and_the_oldest_leaves() {
    let f = Fixture::new().await;
    f.put("/live", &[0; 20]).await;
    deleted(&f, &["/a", "/b", "/c"]).await;
    assert_eq!(f.run("quota").await, freed(0, 0), "no quota");
    set_quota(&f, 20 + 60).await;
    assert_eq!(f.run("quota").await, freed(0, 0), "30 of 60 free");
    set_quota(&f, 20 + 59).await;
    assert_eq!(f.run("quota").await, freed(1, 10));
    assert_eq!(f.trash().await, ["b", "c"]);
    // Live files that grow leave less.
    f.put("/more", &[0; 20]).await;
    assert_eq!(f.run("quota").await, freed(1, 10));
    assert_eq!(f.trash().await, ["c"]);
}

#[tokio::test]
async fn what_was_deleted_today_stays_as_long_as_it_fits_in() {
    let f = Fixture::new().await;
    set_quota(&f, 100).await;
    f.put("/a", &[0; 60]).await;
    f.remove("/a").await;
    f.pass_almost(DAY);
    f.put("/b", &[0; 30]).await;
    f.remove("/b").await;
    assert_eq!(f.run("quota").await, freed(0, 0), "90 of 100 free");
    // Written over more than there is: the oldest leaves at once.
    f.put("/c", &[0; 11]).await;
    assert_eq!(f.run("quota").await, freed(1, 60));
    assert_eq!(f.trash().await, ["b"]);

    let f = Fixture::new().await;
    set_quota(&f, 100).await;
    f.put("/a", &[0; 60]).await;
    f.remove("/a").await;
    f.pass(DAY);
    assert_eq!(
        f.run("quota").await,
        freed(1, 60),
        "half of what is free is 50"
    );
}

#[tokio::test]
async fn versions_and_trash_leave_in_the_order_of_their_age_and_five_versions_stay() {
    let f = Fixture::new().await;
    for number in 0..7 {
        f.put("/v", format!("{number:04}").as_bytes()).await;
    }
    f.pass(DAY);
    deleted(&f, &["/x", "/y"]).await;
    // 4 bytes live; 24 in six versions and 20 in trash.
    set_quota(&f, 4 + 88).await;
    assert_eq!(f.run("quota").await, freed(0, 0));
    set_quota(&f, 4 + 87).await;
    assert_eq!(f.run("quota").await, freed(1, 4));
    assert_eq!((f.versions("/v").await, f.trash().await.len()), (1 + 5, 2));
    set_quota(&f, 4 + 79).await;
    assert_eq!(f.run("quota").await, freed(1, 10));
    assert_eq!(f.trash().await, ["y"]);
    set_quota(&f, 4).await;
    assert_eq!(f.run("quota").await, freed(1, 10));
    assert_eq!(f.versions("/v").await, 1 + 5);
    assert_eq!(f.run("quota").await, freed(0, 0));
}

#[tokio::test]
async fn what_leaves_with_a_deleted_file_counts_as_gone() {
    let f = Fixture::new().await;
    f.put("/edited", &[0; 100]).await;
    f.put("/edited", &[1; 10]).await;
    f.remove("/edited").await;
    f.pass(DAY);
    deleted(&f, &["/younger"]).await;
    // 120 bytes held, of which 110 are those of the older one.
    set_quota(&f, 2 * 69).await;
    assert_eq!(f.run("quota").await, freed(1, 10));
    assert_eq!(f.trash().await, ["younger"]);
}

#[tokio::test]
async fn a_space_without_a_quota_keeps_what_others_must_let_go() {
    let f = Fixture::new().await;
    set_quota(&f, 1).await;
    f.put("/shared/a", &[0; 100]).await;
    f.tree.remove(&path("/shared/a")).await.unwrap();
    f.pass(DAY);
    assert_eq!(f.run("quota").await, freed(0, 0));
}
