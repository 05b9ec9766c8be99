//! What a client that asks "what changed since?" is told.

use super::fixture::{Fixture, path};
use crate::tree::{ChangeKind, Changes, Cursor, Error, Overwrite};
use crate::types::NodePath;

async fn ask(f: &Fixture, since: Option<&Cursor>, deep: bool, limit: u32) -> Changes {
    let root = f.tree.lookup(&NodePath::root()).await.unwrap();
    f.tree.changes(&root, since, deep, limit).await.unwrap()
}

fn told(changes: &Changes) -> Vec<String> {
    let line = |change: &crate::tree::Change| match change.kind {
        ChangeKind::Present(_) => format!("+{}", change.path),
        ChangeKind::Gone => format!("-{}", change.path),
    };
    let mut lines: Vec<_> = changes.changes.iter().map(line).collect();
    lines.sort();
    lines
}

#[tokio::test]
async fn a_first_report_names_everything_and_the_next_nothing() {
    let f = Fixture::new().await;
    f.put("/documents/a", b"1").await;
    f.put("/shared/b", b"1").await;
    let first = ask(&f, None, true, 100).await;
    assert_eq!(
        told(&first),
        [
            "+/backups",
            "+/documents",
            "+/documents/a",
            "+/photos",
            "+/shared/b"
        ]
    );
    assert!(told(&ask(&f, Some(&first.cursor), true, 100).await).is_empty());
}

#[tokio::test]
async fn writes_moves_and_deletions_are_told_once_however_often_they_happened() {
    let f = Fixture::new().await;
    f.put("/documents/a", b"1").await;
    f.put("/documents/b", b"1").await;
    let start = ask(&f, None, true, 100).await.cursor;
    for text in ["2", "3", "4"] {
        f.put("/documents/a", text.as_bytes()).await;
    }
    f.tree
        .rename(&path("/documents/b"), &path("/photos/c"), Overwrite::No)
        .await
        .unwrap();
    f.put("/gone", b"1").await;
    f.tree.remove(&path("/gone")).await.unwrap();
    f.tree.remove(&path("/backups")).await.unwrap();
    let report = ask(&f, Some(&start), true, 100).await;
    assert_eq!(
        told(&report),
        [
            "+/documents/a",
            "+/photos/c",
            "-/backups",
            "-/documents/b",
            "-/gone"
        ]
    );
}

#[tokio::test]
async fn everything_below_a_moved_collection_is_new_at_its_place() {
    let f = Fixture::new().await;
    f.tree.mkdir(&path("/documents/d"), None).await.unwrap();
    f.put("/documents/d/x", b"1").await;
    let start = ask(&f, None, true, 100).await.cursor;
    f.tree
        .rename(&path("/documents/d"), &path("/photos/d"), Overwrite::No)
        .await
        .unwrap();
    let report = ask(&f, Some(&start), true, 100).await;
    assert_eq!(
        told(&report),
        ["+/photos/d", "+/photos/d/x", "-/documents/d"]
    );
}

#[tokio::test]
async fn pages_add_up_to_the_whole() {
    let f = Fixture::new().await;
    f.tree.mkdir(&path("/documents/d"), None).await.unwrap();
    for number in 0..7 {
        f.put(&format!("/documents/d/{number}"), b"1").await;
    }
    let start = ask(&f, None, true, 1000).await.cursor;
    f.tree
        .rename(&path("/documents/d"), &path("/photos/d"), Overwrite::No)
        .await
        .unwrap();
    let whole = told(&ask(&f, Some(&start), true, 1000).await);

    let (mut cursor, mut pages) = (start, Vec::new());
    loop {
        let page = ask(&f, Some(&cursor), true, 1).await;
        pages.extend(told(&page));
        let text = page.cursor.to_string();
        cursor = Cursor::parse(&text).unwrap();
        if !page.more {
            break;
        }
    }
    pages.sort();
    assert_eq!(pages, whole);
}

#[tokio::test]
async fn one_level_reports_direct_members_only() {
    let f = Fixture::new().await;
    let start = ask(&f, None, false, 100).await.cursor;
    f.put("/documents/deep", b"1").await;
    f.put("/flat", b"1").await;
    assert_eq!(told(&ask(&f, Some(&start), false, 100).await), ["+/flat"]);
}

#[tokio::test]
async fn a_collection_that_took_anothers_name_asks_for_a_full_report() {
    let f = Fixture::new().await;
    f.tree.mkdir(&path("/d"), None).await.unwrap();
    f.put("/d/x", b"1").await;
    let start = ask(&f, None, true, 100).await.cursor;
    f.tree.remove(&path("/d")).await.unwrap();
    f.tree.mkdir(&path("/d"), None).await.unwrap();
    let root = f.tree.lookup(&NodePath::root()).await.unwrap();
    let expired = f.tree.changes(&root, Some(&start), true, 100).await;
    assert!(matches!(expired, Err(Error::ExpiredCursor)));
    // One that is from elsewhere as well is that.
    let ahead = Cursor::parse(&start.to_string().replace("_1.", "_1.99999")).unwrap();
    let ahead = f.tree.changes(&root, Some(&ahead), true, 100).await;
    assert!(matches!(ahead, Err(Error::StaleCursor)));
}

#[tokio::test]
async fn a_collection_that_takes_anothers_name_between_two_pages_asks_for_a_full_report() {
    let f = Fixture::new().await;
    f.tree.mkdir(&path("/d"), None).await.unwrap();
    f.put("/d/x", b"1").await;
    let start = ask(&f, None, true, 100).await.cursor;
    f.put("/a", b"1").await;
    f.tree.remove(&path("/d")).await.unwrap();
    let first = ask(&f, Some(&start), true, 1).await;
    assert!(first.more);
    // That `/d/x` is gone was not told yet, and cannot be told any more.
    f.tree.mkdir(&path("/d"), None).await.unwrap();
    let root = f.tree.lookup(&NodePath::root()).await.unwrap();
    let expired = f.tree.changes(&root, Some(&first.cursor), true, 1).await;
    assert!(matches!(expired, Err(Error::ExpiredCursor)));
}

#[tokio::test]
async fn a_token_means_nothing_for_another_collection_of_the_same_name() {
    let f = Fixture::new().await;
    f.tree.mkdir(&path("/old"), None).await.unwrap();
    f.put("/old/y", b"1").await;
    f.tree.mkdir(&path("/a"), None).await.unwrap();
    let a = f.tree.lookup(&path("/a")).await.unwrap();
    let token = f.tree.changes(&a, None, true, 100).await.unwrap().cursor;
    f.tree
        .rename(&path("/a"), &path("/b"), Overwrite::No)
        .await
        .unwrap();
    f.tree
        .rename(&path("/old"), &path("/a"), Overwrite::No)
        .await
        .unwrap();
    let a = f.tree.lookup(&path("/a")).await.unwrap();
    let expired = f.tree.changes(&a, Some(&token), true, 100).await;
    assert!(matches!(expired, Err(Error::ExpiredCursor)));
}

#[tokio::test]
async fn a_name_that_several_collections_have_left_asks_for_a_full_report() {
    let f = Fixture::new().await;
    f.tree.mkdir(&path("/d"), None).await.unwrap();
    f.put("/d/x", b"1").await;
    let start = ask(&f, None, true, 100).await.cursor;
    f.tree.remove(&path("/d")).await.unwrap();
    f.tree.mkdir(&path("/d"), None).await.unwrap();
    f.tree.remove(&path("/d")).await.unwrap();
    let trash = f.tree.trash(&path("/"), None).await.unwrap();
    f.tree.restore(trash.last().unwrap().node.id).await.unwrap();
    let root = f.tree.lookup(&NodePath::root()).await.unwrap();
    let expired = f.tree.changes(&root, Some(&start), true, 100).await;
    assert!(matches!(expired, Err(Error::ExpiredCursor)));
}

#[tokio::test]
async fn a_cursor_of_another_database_asks_for_a_full_report() {
    let f = Fixture::new().await;
    let start = ask(&f, None, true, 100).await.cursor.to_string();
    let other = ask(&Fixture::new().await, None, true, 100).await.cursor;
    let (_epoch, rest) = start.split_once('_').unwrap();
    assert_eq!(other.to_string().split_once('_').unwrap().1, rest);
    let root = f.tree.lookup(&NodePath::root()).await.unwrap();
    for text in [&*other.to_string(), rest] {
        let cursor = Cursor::parse(text).unwrap();
        let stale = f.tree.changes(&root, Some(&cursor), true, 100).await;
        assert!(matches!(stale, Err(Error::StaleCursor)), "{text}");
    }
}
