//! Locks: who is kept out of what, and for how long.

use std::time::Duration;

use super::fixture::{Fixture, path, put};
use crate::tree::{Base, Error, Keep, LOCK_SECONDS_MAX, LockRequest, Overwrite, Write};

fn request(deep: bool, shared: bool) -> LockRequest {
    LockRequest {
        owner: None,
        timeout: Some(Duration::from_mins(10)),
        shared,
        deep,
    }
}

#[tokio::test]
async fn a_lock_keeps_everybody_out_who_has_not_its_token() {
    let f = Fixture::new().await;
    f.put("/shared/a", b"1").await;
    let (lock, made) = f
        .tree
        .lock(&path("/shared/a"), request(false, false))
        .await
        .unwrap();
    assert!(!made);
    for tree in [&f.other, &f.tree] {
        let refused = put(tree, "/shared/a", b"2", Write::default()).await;
        assert!(matches!(refused, Err(Error::Locked(found)) if found.token == lock.token));
    }
    let stolen = f.other.with_tokens(std::slice::from_ref(&lock.token));
    let refused = put(&stolen, "/shared/a", b"2", Write::default()).await;
    assert!(
        matches!(refused, Err(Error::Locked(_))),
        "a token serves its owner only"
    );
    let holder = f.tree.with_tokens(std::slice::from_ref(&lock.token));
    put(&holder, "/shared/a", b"2", Write::default())
        .await
        .unwrap();
    let foreign = f.other.unlock(&path("/shared/a"), &lock.token).await;
    assert!(matches!(foreign, Err(Error::Locked(_))));
    f.tree
        .unlock(&path("/shared/a"), &lock.token)
        .await
        .unwrap();
    put(&f.other, "/shared/a", b"3", Write::default())
        .await
        .unwrap();
}

#[tokio::test]
async fn locking_nothing_makes_an_empty_file_with_a_lasting_etag() {
    let f = Fixture::new().await;
    let (lock, made) = f
        .tree
        .lock(&path("/new"), request(false, false))
        .await
        .unwrap();
    assert!(made);
    let node = f.tree.lookup(&path("/new")).await.unwrap();
    assert_eq!(node.size, 0);
    assert_eq!(f.tree.lookup(&path("/new")).await.unwrap().etag, node.etag);
    assert_eq!(lock.root, path("/new"));
}

#[tokio::test]
async fn a_deep_lock_covers_what_lies_below_and_what_comes() {
    let f = Fixture::new().await;
    f.tree.mkdir(&path("/shared/d"), None).await.unwrap();
    f.put("/shared/d/a", b"1").await;
    let (lock, _) = f
        .tree
        .lock(&path("/shared/d"), request(true, false))
        .await
        .unwrap();
    for at in ["/shared/d/a", "/shared/d/new"] {
        assert!(matches!(
            put(&f.other, at, b"2", Write::default()).await,
            Err(Error::Locked(_))
        ));
        assert!(
            f.other
                .check_locks(&path(at), false, false, &[])
                .await
                .is_err()
        );
        let held = std::slice::from_ref(&lock.token);
        f.tree
            .check_locks(&path(at), false, false, held)
            .await
            .unwrap();
    }
    assert_eq!(
        f.other.locks(&path("/shared/d/a")).await.unwrap()[0].root,
        path("/shared/d")
    );
}

#[tokio::test]
async fn a_locked_member_keeps_its_collection_from_going() {
    let f = Fixture::new().await;
    f.tree.mkdir(&path("/d"), None).await.unwrap();
    f.put("/d/a", b"1").await;
    let (lock, _) = f
        .tree
        .lock(&path("/d/a"), request(false, false))
        .await
        .unwrap();
    assert!(matches!(
        f.tree.remove(&path("/d")).await,
        Err(Error::Locked(_))
    ));
    let moved = f.tree.rename(&path("/d"), &path("/e"), Overwrite::No).await;
    assert!(matches!(moved, Err(Error::Locked(_))));
    let holder = f.tree.with_tokens(&[lock.token]);
    holder
        .rename(&path("/d"), &path("/e"), Overwrite::No)
        .await
        .unwrap();
    assert!(
        f.tree.locks(&path("/e/a")).await.unwrap().is_empty(),
        "locks do not move"
    );
    f.put("/e/a", b"2").await;
}

#[tokio::test]
async fn a_shallow_lock_protects_the_membership_of_its_collection() {
    let f = Fixture::new().await;
    f.tree.mkdir(&path("/shared/d"), None).await.unwrap();
    f.put("/shared/d/a", b"1").await;
    f.tree
        .lock(&path("/shared/d"), request(false, false))
        .await
        .unwrap();
    let refused = put(&f.other, "/shared/d/new", b"1", Write::default()).await;
    assert!(matches!(refused, Err(Error::Locked(_))));
    assert!(matches!(
        f.other.remove(&path("/shared/d/a")).await,
        Err(Error::Locked(_))
    ));
    put(&f.other, "/shared/d/a", b"2", Write::default())
        .await
        .unwrap();
}

#[tokio::test]
async fn shared_locks_stand_beside_each_other_but_no_exclusive_one() {
    let f = Fixture::new().await;
    f.put("/shared/a", b"1").await;
    let at = path("/shared/a");
    let (mine, _) = f.tree.lock(&at, request(false, true)).await.unwrap();
    f.other.lock(&at, request(false, true)).await.unwrap();
    assert!(matches!(
        f.other.lock(&at, request(false, false)).await,
        Err(Error::Locked(_))
    ));
    assert!(matches!(
        put(&f.tree, "/shared/a", b"2", Write::default()).await,
        Err(Error::Locked(_))
    ));
    let holder = f.tree.with_tokens(&[mine.token]);
    put(&holder, "/shared/a", b"2", Write::default())
        .await
        .unwrap();
}

#[tokio::test]
async fn a_lock_ends_by_itself_and_is_refreshed_by_its_holder() {
    let f = Fixture::new().await;
    f.put("/a", b"1").await;
    let (lock, _) = f
        .tree
        .lock(&path("/a"), request(false, false))
        .await
        .unwrap();
    f.pass(599_000);
    let wanted = Some(Duration::from_secs(u64::MAX / 2000));
    let lock = f
        .tree
        .refresh_lock(&path("/a"), &lock.token, wanted)
        .await
        .unwrap();
    assert_eq!(lock.timeout_secs, LOCK_SECONDS_MAX);
    f.pass(3_599_000);
    assert!(matches!(
        put(&f.tree, "/a", b"2", Write::default()).await,
        Err(Error::Locked(_))
    ));
    f.pass(2000);
    f.put("/a", b"2").await;
    let late = f.tree.refresh_lock(&path("/a"), &lock.token, None).await;
    assert!(matches!(late, Err(Error::NoSuchLock)));
}

#[tokio::test]
async fn locks_that_have_ended_leave_room_for_new_ones() {
    let f = Fixture::new().await;
    f.put("/a", b"1").await;
    for _ in 0..1000 {
        f.tree
            .lock(&path("/a"), request(false, true))
            .await
            .unwrap();
    }
    let full = f.tree.lock(&path("/a"), request(false, true)).await;
    assert!(matches!(full, Err(Error::TooLarge(_))));
    f.pass(601_000);
    f.tree
        .lock(&path("/a"), request(false, true))
        .await
        .unwrap();
}

#[tokio::test]
async fn a_holder_of_a_shared_lock_may_delete_beside_others() {
    let f = Fixture::new().await;
    f.put("/shared/a", b"1").await;
    let at = path("/shared/a");
    let (mine, _) = f.tree.lock(&at, request(false, true)).await.unwrap();
    f.other.lock(&at, request(false, true)).await.unwrap();
    f.tree.with_tokens(&[mine.token]).remove(&at).await.unwrap();
}

#[tokio::test]
async fn a_shallow_lock_keeps_a_conflict_copy_in_its_collection() {
    let f = Fixture::new().await;
    f.tree.mkdir(&path("/d"), None).await.unwrap();
    f.put("/d/a", b"one").await;
    let other = Write {
        base: Base::Nothing,
        ..Write::default()
    };
    let written = put(&f.tree, "/d/a", b"other", other).await.unwrap();
    let copy = format!("/d/{}", written.conflict.unwrap().name);
    let (lock, _) = f
        .tree
        .lock(&path("/d"), request(false, false))
        .await
        .unwrap();
    let id = f.tree.conflicts(0, 10).await.unwrap()[0].id;

    for keep in [Keep::Node, Keep::Copy] {
        let refused = f.tree.resolve_conflict(id, keep).await;
        assert!(matches!(refused, Err(Error::Locked(_))), "{keep:?}");
    }
    assert!(f.tree.lookup(&path(&copy)).await.is_ok());

    let holder = f.tree.with_tokens(&[lock.token]);
    holder.resolve_conflict(id, Keep::Node).await.unwrap();
    assert!(f.tree.lookup(&path(&copy)).await.is_err());
}
