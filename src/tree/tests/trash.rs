//! Deleting, restoring, forgetting.

use super::fixture::{Fixture, path};
use crate::tree::{Error, remove};

#[tokio::test]
async fn a_deleted_collection_comes_back_whole_with_its_versions() {
    let f = Fixture::new().await;
    f.tree.mkdir(&path("/a"), None).await.unwrap();
    f.put("/a/x", b"one").await;
    f.put("/a/x", b"two").await;
    f.tree.remove(&path("/a")).await.unwrap();
    assert!(matches!(
        f.tree.lookup(&path("/a/x")).await,
        Err(Error::NotFound)
    ));

    let trash = f.tree.trash(&path("/"), None).await.unwrap();
    assert_eq!(trash[0].from, Some(path("/a")));
    f.tree.restore(trash[0].node.id).await.unwrap();

    assert_eq!(f.text("/a/x").await, "two");
    let node = f.tree.lookup(&path("/a/x")).await.unwrap();
    assert_eq!(f.tree.versions(&node).await.unwrap().len(), 2);
    assert!(f.tree.trash(&path("/"), None).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_taken_name_gets_a_number_and_a_lost_collection_the_root() {
    let f = Fixture::new().await;
    f.tree.mkdir(&path("/d"), None).await.unwrap();
    f.put("/d/a.txt", b"old").await;
    f.tree.remove(&path("/d/a.txt")).await.unwrap();
    f.put("/d/a.txt", b"new").await;
    let trash = f.tree.trash(&path("/"), None).await.unwrap();
    let back = f.tree.restore(trash[0].node.id).await.unwrap();
    assert_eq!(back.name, "a (restored 1).txt");

    f.tree.remove(&path("/d/a.txt")).await.unwrap();
    f.tree.remove(&path("/d")).await.unwrap();
    let trash = f.tree.trash(&path("/"), None).await.unwrap();
    let file = trash
        .iter()
        .find(|trashed| trashed.node.name == "a.txt")
        .unwrap();
    f.tree.restore(file.node.id).await.unwrap();
    assert_eq!(f.text("/a.txt").await, "new");
}

#[tokio::test]
async fn what_is_purged_is_gone_for_good() {
    let f = Fixture::new().await;
    f.tree.mkdir(&path("/a"), None).await.unwrap();
    f.put("/a/x", b"one").await;
    f.tree.remove(&path("/a")).await.unwrap();
    let id = f.tree.trash(&path("/"), None).await.unwrap()[0].node.id;
    f.tree.purge(id).await.unwrap();
    assert!(matches!(f.tree.restore(id).await, Err(Error::NotFound)));
    assert!(f.tree.trash(&path("/"), None).await.unwrap().is_empty());
}

#[tokio::test]
async fn nobody_reaches_into_the_trash_of_another_account() {
    let f = Fixture::new().await;
    f.put("/a", b"mine").await;
    f.tree.remove(&path("/a")).await.unwrap();
    let id = f.tree.trash(&path("/"), None).await.unwrap()[0].node.id;
    assert!(matches!(f.other.restore(id).await, Err(Error::NotFound)));
    assert!(matches!(f.other.purge(id).await, Err(Error::NotFound)));
}

#[tokio::test]
async fn roots_and_mounts_cannot_be_deleted() {
    let f = Fixture::new().await;
    for at in ["/", "/shared"] {
        assert!(
            matches!(f.tree.remove(&path(at)).await, Err(Error::Forbidden(_))),
            "{at}"
        );
    }
    assert!(matches!(
        f.tree.mkdir(&path("/shared"), None).await,
        Err(Error::Exists)
    ));
}

#[tokio::test]
async fn purging_a_collection_leaves_what_was_deleted_from_it_before() {
    let f = Fixture::new().await;
    f.tree.mkdir(&path("/d"), None).await.unwrap();
    f.put("/d/a", b"earlier").await;
    f.tree.remove(&path("/d/a")).await.unwrap();
    f.tree.remove(&path("/d")).await.unwrap();
    let trash = f.tree.trash(&path("/"), None).await.unwrap();
    let id = |name: &str| {
        trash
            .iter()
            .find(|found| found.node.name == name)
            .unwrap()
            .node
            .id
    };
    f.tree.purge(id("d")).await.unwrap();
    f.tree.restore(id("a")).await.unwrap();
    assert_eq!(f.text("/a").await, "earlier");
}

#[tokio::test]
async fn what_went_to_trash_with_its_collection_meanwhile_is_not_found() {
    let f = Fixture::new().await;
    f.tree.mkdir(&path("/a"), None).await.unwrap();
    f.put("/a/x", b"one").await;
    let place = f.tree.source(&path("/a/x")).await.unwrap();
    f.tree.remove(&path("/a")).await.unwrap();
    let end = f.tree.feed_end().await.unwrap();

    let tree = f.tree.clone();
    let discarded = f.tree.write(place.space, move |conn| {
        Box::pin(async move { remove::discard(conn, &tree, &place, None).await })
    });

    assert!(matches!(discarded.await, Err(Error::NotFound)));
    assert_eq!(f.tree.feed_end().await.unwrap(), end);
}
