//! Moving and copying collections.

use super::fixture::{Fixture, path};
use crate::tree::{Error, Overwrite, Property, PropertyChange, Reach, Times};

fn property(name: &str, text: &str) -> Property {
    let xml = format!("<{name} xmlns=\"urn:x\">{text}</{name}>").into_bytes();
    Property {
        namespace: "urn:x".to_owned(),
        name: name.to_owned(),
        xml,
    }
}

async fn tree_of_three(f: &Fixture) {
    f.tree.mkdir(&path("/a"), None).await.unwrap();
    f.tree.mkdir(&path("/a/b"), None).await.unwrap();
    f.put("/a/one", b"1").await;
    f.put("/a/b/two", b"22").await;
    let changes = vec![PropertyChange::Set(property("colour", "red"))];
    f.tree
        .patch_properties(&path("/a/b/two"), changes, Times::default())
        .await
        .unwrap();
}

#[tokio::test]
async fn a_moved_collection_brings_everything_along() {
    let f = Fixture::new().await;
    tree_of_three(&f).await;
    f.tree
        .rename(&path("/a"), &path("/documents/z"), Overwrite::No)
        .await
        .unwrap();
    assert_eq!(f.text("/documents/z/b/two").await, "22");
    assert!(matches!(
        f.tree.lookup(&path("/a")).await,
        Err(Error::NotFound)
    ));
    assert_eq!(f.tree.lookup(&path("/documents")).await.unwrap().size, 3);
    let node = f.tree.lookup(&path("/documents/z/b/two")).await.unwrap();
    assert_eq!(
        f.tree.properties(&node).await.unwrap(),
        [property("colour", "red")]
    );
}

#[tokio::test]
async fn a_copied_collection_is_whole_and_independent() {
    let f = Fixture::new().await;
    tree_of_three(&f).await;
    f.tree
        .copy(&path("/a"), &path("/c"), Overwrite::No, Reach::Deep)
        .await
        .unwrap();
    f.put("/a/b/two", b"changed").await;
    assert_eq!(f.text("/c/b/two").await, "22");
    assert_eq!(f.names("/c").await, ["b", "one"]);
    assert_eq!(f.tree.lookup(&path("/c")).await.unwrap().size, 3);
    let node = f.tree.lookup(&path("/c/b/two")).await.unwrap();
    assert_eq!(
        f.tree.properties(&node).await.unwrap(),
        [property("colour", "red")]
    );
}

#[tokio::test]
async fn a_shallow_copy_is_the_collection_alone() {
    let f = Fixture::new().await;
    tree_of_three(&f).await;
    f.tree
        .copy(&path("/a"), &path("/c"), Overwrite::No, Reach::Shallow)
        .await
        .unwrap();
    assert!(f.names("/c").await.is_empty());
}

#[tokio::test]
async fn nothing_goes_into_itself_or_over_what_holds_it() {
    let f = Fixture::new().await;
    tree_of_three(&f).await;
    for (from, to) in [("/a", "/a/b/x"), ("/a", "/a/x"), ("/a/b", "/a")] {
        let moved = f.tree.rename(&path(from), &path(to), Overwrite::Yes).await;
        assert!(
            matches!(moved, Err(Error::Forbidden(_))),
            "move {from} {to}"
        );
        let copied = f
            .tree
            .copy(&path(from), &path(to), Overwrite::Yes, Reach::Deep)
            .await;
        assert!(
            matches!(copied, Err(Error::Forbidden(_))),
            "copy {from} {to}"
        );
    }
    assert_eq!(f.text("/a/b/two").await, "22");
}

#[tokio::test]
async fn what_is_there_is_replaced_only_when_asked_and_goes_to_trash() {
    let f = Fixture::new().await;
    tree_of_three(&f).await;
    f.tree.mkdir(&path("/z"), None).await.unwrap();
    f.put("/z/old", b"old").await;
    let refused = f.tree.rename(&path("/a"), &path("/z"), Overwrite::No).await;
    assert!(matches!(refused, Err(Error::Exists)));
    let placed = f
        .tree
        .rename(&path("/a"), &path("/z"), Overwrite::Yes)
        .await
        .unwrap();
    assert!(placed.replaced);
    assert_eq!(f.names("/z").await, ["b", "one"]);
    let trash = f.tree.trash(&path("/"), None).await.unwrap();
    assert_eq!(trash.len(), 1);
    assert_eq!(trash[0].node.name, "z");
}

#[tokio::test]
async fn a_rename_to_another_spelling_of_the_same_name_only_renames() {
    let f = Fixture::new().await;
    let node = f.put("/a\u{308}", b"x").await;
    let placed = f
        .tree
        .rename(&path("/a\u{308}"), &path("/\u{e4}"), Overwrite::No)
        .await
        .unwrap();
    assert_eq!(placed.node.id, node.id);
    assert_eq!(placed.node.name, "\u{e4}");
    assert_eq!(f.text("/\u{e4}").await, "x");
}

#[tokio::test]
async fn no_tree_gets_deeper_than_a_path_can_say() {
    let f = Fixture::new().await;
    let mut deep = path("/d");
    f.tree.mkdir(&deep, None).await.unwrap();
    for _ in 1..100 {
        deep = deep.join(crate::types::NodeName::parse("d").unwrap());
        f.tree.mkdir(&deep, None).await.unwrap();
    }
    tree_of_three(&f).await;
    let mut target = deep;
    for _ in 0..27 {
        target = target.join(crate::types::NodeName::parse("e").unwrap());
        f.tree.mkdir(&target, None).await.unwrap();
    }
    let target = target.join(crate::types::NodeName::parse("a").unwrap());
    let moved = f.tree.rename(&path("/a"), &target, Overwrite::No).await;
    assert!(matches!(moved, Err(Error::TooLarge(_))));
    let copied = f
        .tree
        .copy(&path("/a"), &target, Overwrite::No, Reach::Deep)
        .await;
    assert!(matches!(copied, Err(Error::TooLarge(_))));
}

#[tokio::test]
async fn moving_asks_no_quota_because_nothing_grows() {
    let f = Fixture::with_quota(Some(10_000)).await;
    f.tree.mkdir(&path("/a"), None).await.unwrap();
    f.put("/a/x", &[1; 6000]).await;
    f.tree
        .rename(&path("/a"), &path("/documents/a"), Overwrite::No)
        .await
        .unwrap();
    assert_eq!(f.tree.lookup(&path("/")).await.unwrap().size, 6000);
    let over = f
        .tree
        .copy(
            &path("/documents/a"),
            &path("/b"),
            Overwrite::No,
            Reach::Deep,
        )
        .await;
    assert!(matches!(over, Err(Error::QuotaExceeded { .. })));
}

#[tokio::test]
async fn nothing_is_put_where_paths_below_would_be_too_long() {
    let f = Fixture::new().await;
    let long = "x".repeat(250);
    let mut chains = Vec::new();
    for top in ["/a", "/b"] {
        let mut at = top.to_owned();
        f.tree.mkdir(&path(&at), None).await.unwrap();
        for _ in 0..10 {
            at = format!("{at}/{long}");
            f.tree.mkdir(&path(&at), None).await.unwrap();
        }
        chains.push(at);
    }
    let into = path(&format!("{}/b", chains[0]));

    let moved = f.tree.rename(&path("/b"), &into, Overwrite::No).await;
    let copied = f
        .tree
        .copy(&path("/b"), &into, Overwrite::No, Reach::Deep)
        .await;

    assert!(matches!(moved, Err(Error::TooLarge(_))));
    assert!(matches!(copied, Err(Error::TooLarge(_))));
    f.tree
        .rename(&path("/b"), &path("/c"), Overwrite::No)
        .await
        .unwrap();
}
