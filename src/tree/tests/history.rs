//! Versions: what overwriting and saving by rename keep.

use super::fixture::{Fixture, path, put};
use crate::tree::{Error, Overwrite, Reach, Write};

const DAY: i64 = 24 * 3600 * 1000;

async fn versions(f: &Fixture, at: &str) -> Vec<(i64, String)> {
    let node = f.tree.lookup(&path(at)).await.unwrap();
    let mut found = Vec::new();
    for version in f.tree.versions(&node).await.unwrap() {
        let mut reader = f.tree.read_version(&node, version.number).await.unwrap();
        let bytes = reader.read(1000).await.unwrap();
        found.push((version.number, String::from_utf8(bytes.to_vec()).unwrap()));
    }
    found
}

fn texts(found: &[(i64, String)]) -> Vec<&str> {
    found.iter().map(|(_, text)| text.as_str()).collect()
}

#[tokio::test]
async fn every_overwrite_keeps_what_was_there() {
    let f = Fixture::new().await;
    for text in ["one", "two", "three"] {
        f.put("/a", text.as_bytes()).await;
    }
    let found = versions(&f, "/a").await;
    assert_eq!(texts(&found), ["three", "two", "one"]);
    assert_eq!(
        found.iter().map(|(number, _)| *number).collect::<Vec<_>>(),
        [3, 2, 1]
    );
}

#[tokio::test]
async fn the_same_bytes_again_are_no_new_version() {
    let f = Fixture::new().await;
    let first = f.put("/a", b"same").await;
    let second = f.put("/a", b"same").await;
    assert_eq!(first.etag, second.etag);
    assert_eq!(texts(&versions(&f, "/a").await), ["same"]);
}

#[tokio::test]
async fn an_empty_beginning_is_not_history() {
    let f = Fixture::new().await;
    f.put("/a", b"").await;
    f.put("/a", b"text").await;
    assert_eq!(texts(&versions(&f, "/a").await), ["text"]);
}

#[tokio::test]
async fn ten_versions_stay_for_a_month_and_five_for_good() {
    let f = Fixture::new().await;
    for number in 0..14 {
        f.put("/a", format!("v{number}").as_bytes()).await;
    }
    assert_eq!(
        versions(&f, "/a").await.len(),
        11,
        "the head and ten before it"
    );

    f.pass(31 * DAY);
    f.put("/a", b"a month later").await;

    let found = versions(&f, "/a").await;
    assert_eq!(
        texts(&found),
        ["a month later", "v13", "v12", "v11", "v10", "v9"]
    );
}

#[tokio::test]
async fn a_restored_version_is_a_new_one_and_loses_nothing() {
    let f = Fixture::new().await;
    f.put("/a", b"one").await;
    f.put("/a", b"two").await;
    let id = f.tree.lookup(&path("/a")).await.unwrap().id;
    f.tree.restore_version(id, 1).await.unwrap();
    assert_eq!(texts(&versions(&f, "/a").await), ["one", "two", "one"]);
    let missing = f.tree.restore_version(id, 77).await;
    assert!(matches!(missing, Err(Error::NotFound)));
}

#[tokio::test]
async fn saving_by_rename_keeps_the_history() {
    let f = Fixture::new().await;
    let original = f.put("/a", b"one").await;
    f.put("/.a.tmp", b"two").await;

    let placed = f
        .tree
        .rename(&path("/.a.tmp"), &path("/a"), Overwrite::Yes)
        .await
        .unwrap();

    assert!(placed.replaced);
    assert_eq!(placed.node.id, original.id, "it is still the same file");
    assert_eq!(texts(&versions(&f, "/a").await), ["two", "one"]);
    assert!(matches!(
        f.tree.lookup(&path("/.a.tmp")).await,
        Err(Error::NotFound)
    ));
}

#[tokio::test]
async fn a_file_with_history_moved_over_another_brings_it_along() {
    let f = Fixture::new().await;
    f.put("/a", b"a1").await;
    f.put("/a", b"a2").await;
    f.put("/b", b"b1").await;
    f.put("/b", b"b2").await;
    f.tree
        .rename(&path("/b"), &path("/a"), Overwrite::Yes)
        .await
        .unwrap();
    assert_eq!(texts(&versions(&f, "/a").await), ["b2", "a2", "b1", "a1"]);
    f.put("/a", b"a5").await;
    assert_eq!(
        texts(&versions(&f, "/a").await),
        ["a5", "b2", "a2", "b1", "a1"]
    );
}

#[tokio::test]
async fn moving_a_file_over_one_with_the_same_bytes_keeps_version_numbers_apart() {
    let f = Fixture::new().await;
    f.put("/a", b"same").await;
    f.put("/b", b"b1").await;
    f.put("/b", b"same").await;
    f.tree
        .rename(&path("/b"), &path("/a"), Overwrite::Yes)
        .await
        .unwrap();
    f.put("/a", b"next").await;
    assert_eq!(texts(&versions(&f, "/a").await), ["next", "same", "b1"]);
}

#[tokio::test]
async fn copying_over_a_file_makes_a_version_and_shares_the_etag() {
    let f = Fixture::new().await;
    f.put("/a", b"one").await;
    let source = f.put("/b", b"two").await;
    let placed = f
        .tree
        .copy(&path("/b"), &path("/a"), Overwrite::Yes, Reach::Deep)
        .await
        .unwrap();
    assert_eq!(placed.node.etag, source.etag);
    assert_eq!(texts(&versions(&f, "/a").await), ["two", "one"]);
    assert_eq!(f.text("/b").await, "two");
}

#[tokio::test]
async fn an_etag_survives_moving_and_copying_back() {
    let f = Fixture::new().await;
    let tag = f.put("/a", b"text").await.etag;
    let moved = f
        .tree
        .rename(&path("/a"), &path("/b"), Overwrite::No)
        .await
        .unwrap();
    assert_eq!(moved.node.etag, tag);
    f.tree
        .copy(&path("/b"), &path("/c"), Overwrite::No, Reach::Deep)
        .await
        .unwrap();
    let back = f
        .tree
        .copy(&path("/c"), &path("/b"), Overwrite::Yes, Reach::Deep)
        .await
        .unwrap();
    assert_eq!(back.node.etag, tag);
    let written = put(&f.tree, "/b", b"other", Write::default())
        .await
        .unwrap();
    assert_ne!(written.node.etag, tag);
}

#[tokio::test]
async fn what_a_move_replaces_is_the_last_version_to_go() {
    let f = Fixture::new().await;
    f.put("/final", b"last year").await;
    f.pass(365 * DAY);
    for number in 0..12 {
        f.put("/draft", format!("draft {number}").as_bytes()).await;
    }
    f.tree
        .rename(&path("/draft"), &path("/final"), Overwrite::Yes)
        .await
        .unwrap();
    assert_eq!(
        texts(&versions(&f, "/final").await)[..2],
        ["draft 11", "last year"]
    );
}

#[tokio::test]
async fn a_version_ages_from_when_it_was_replaced() {
    let f = Fixture::new().await;
    f.put("/a", b"untouched for a year").await;
    f.pass(365 * DAY);
    for number in 0..7 {
        f.put("/a", format!("autosave {number}").as_bytes()).await;
    }
    assert_eq!(
        versions(&f, "/a").await.last().unwrap().1,
        "untouched for a year"
    );
    f.pass(31 * DAY);
    f.put("/a", b"later").await;
    assert_eq!(versions(&f, "/a").await.last().unwrap().1, "autosave 2");
}
