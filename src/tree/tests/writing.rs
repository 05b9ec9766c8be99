//! Writing, listing, times, quota and names.

use super::fixture::{Fixture, path, put, read};
use crate::tree::{Error, Precondition, Times, Write};
use crate::types::{Millis, NodePath};

#[tokio::test]
async fn a_new_account_has_its_folders_and_the_shared_space() {
    let f = Fixture::new().await;
    assert_eq!(
        f.names("/").await,
        ["shared", "backups", "documents", "photos"]
    );
}

#[tokio::test]
async fn what_is_written_is_read_back_at_every_size() {
    let f = Fixture::new().await;
    for size in [0, 1, 8192, 8193, 700_000] {
        let bytes: Vec<u8> = (0..size)
            .map(|i: u32| (i.wrapping_mul(2_654_435_761) >> 24) as u8)
            .collect();
        let node = f.put("/a", &bytes).await;
        assert_eq!(node.size, u64::from(size));
        assert_eq!(read(&f.tree, "/a").await.unwrap(), bytes);
    }
}

#[tokio::test]
async fn a_write_reaches_the_etags_and_sizes_of_all_collections_above() {
    let f = Fixture::new().await;
    f.tree.mkdir(&path("/documents/a"), None).await.unwrap();
    let (root, above) = (
        f.tree.lookup(&NodePath::root()).await.unwrap(),
        path("/documents"),
    );
    let before = f.tree.lookup(&above).await.unwrap();
    let beside = f.tree.lookup(&path("/photos")).await.unwrap();

    f.put("/documents/a/x", b"12345").await;

    let after = f.tree.lookup(&above).await.unwrap();
    assert_ne!(after.etag, before.etag);
    assert_eq!(after.size, 5);
    assert_ne!(
        f.tree.lookup(&NodePath::root()).await.unwrap().etag,
        root.etag
    );
    assert_eq!(
        f.tree.lookup(&path("/photos")).await.unwrap().etag,
        beside.etag
    );
}

#[tokio::test]
async fn a_file_needs_an_existing_collection_above() {
    let f = Fixture::new().await;
    f.put("/file", b"x").await;
    for at in ["/none/x", "/file/x"] {
        let refused = put(&f.tree, at, b"x", Write::default()).await;
        assert!(matches!(refused, Err(Error::NoParent)), "{at}");
        assert!(matches!(
            f.tree.mkdir(&path(at), None).await,
            Err(Error::NoParent)
        ));
    }
    let onto = put(&f.tree, "/documents", b"x", Write::default()).await;
    assert!(matches!(onto, Err(Error::IsACollection)));
}

#[tokio::test]
async fn one_name_has_one_file_whatever_its_normal_form() {
    let f = Fixture::new().await;
    f.put("/a\u{308}", b"one").await;
    f.put("/\u{e4}", b"two").await;
    assert_eq!(f.text("/a\u{308}").await, "two");
    assert_eq!(
        f.names("/")
            .await
            .iter()
            .filter(|name| name.ends_with('\u{308}'))
            .count(),
        1
    );
}

#[tokio::test]
async fn preconditions_are_checked_in_the_transaction() {
    let f = Fixture::new().await;
    let first = f.put("/a", b"1").await;
    let how = |when| Write {
        when,
        ..Write::default()
    };
    let refused = put(&f.tree, "/a", b"2", how(Precondition::Absent)).await;
    assert!(matches!(refused, Err(Error::PreconditionFailed)));
    let refused = put(&f.tree, "/b", b"2", how(Precondition::Present)).await;
    assert!(matches!(refused, Err(Error::PreconditionFailed)));
    put(
        &f.tree,
        "/a",
        b"2",
        how(Precondition::Match(vec![first.etag.clone()])),
    )
    .await
    .unwrap();
    let stale = put(
        &f.tree,
        "/a",
        b"3",
        how(Precondition::Match(vec![first.etag])),
    )
    .await;
    assert!(matches!(stale, Err(Error::PreconditionFailed)));
    assert_eq!(f.text("/a").await, "2");
}

#[tokio::test]
async fn a_write_over_quota_is_refused_and_leaves_no_trace() {
    let f = Fixture::with_quota(Some(10_000)).await;
    f.put("/a", &[1; 5000]).await;
    let early = f.tree.upload(&path("/b"), Some(9000), None).await;
    assert!(matches!(
        early,
        Err(Error::QuotaExceeded {
            used: 14_000,
            quota: 10_000
        })
    ));
    let late = put(&f.tree, "/b", &[1; 5001], Write::default()).await;
    assert!(matches!(late, Err(Error::QuotaExceeded { .. })));
    assert!(matches!(
        f.tree.lookup(&path("/b")).await,
        Err(Error::NotFound)
    ));
    f.put("/a", &[2; 10_000]).await;
    let root = f.tree.lookup(&NodePath::root()).await.unwrap();
    let usage = f.tree.usage(&root).await.unwrap();
    assert_eq!((usage.used, usage.available), (10_000, Some(0)));
    f.tree.remove(&path("/a")).await.unwrap();
    assert_eq!(f.tree.usage(&root).await.unwrap().used, 0);
}

#[tokio::test]
async fn times_are_set_without_touching_the_etag() {
    let f = Fixture::new().await;
    let before = f.put("/a", b"1").await;
    let times = Times {
        modified: Some(Millis(5000)),
        created: Some(Millis(1000)),
        executable: None,
    };
    f.tree.touch(&path("/a"), times).await.unwrap();
    let after = f.tree.lookup(&path("/a")).await.unwrap();
    assert_eq!(
        (after.modified, after.created),
        (Millis(5000), Millis(1000))
    );
    assert_eq!(after.etag, before.etag);
}

#[tokio::test]
async fn a_long_listing_comes_in_pages_without_gaps() {
    let f = Fixture::new().await;
    let folder = f.tree.mkdir(&path("/many"), None).await.unwrap();
    for number in 0..1005 {
        f.tree
            .mkdir(&path(&format!("/many/{number:04}")), None)
            .await
            .unwrap();
    }
    let with = crate::tree::With::default();
    let first = f.tree.list(&folder, with, None).await.unwrap();
    assert_eq!(first.nodes.len(), 1000);
    let second = f.tree.list(&folder, with, first.next).await.unwrap();
    assert_eq!(second.nodes.first().unwrap().name, "1000");
    assert_eq!(second.nodes.len(), 5);
    assert!(second.next.is_none());
}
