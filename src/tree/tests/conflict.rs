//! Two writers, one base.

use super::fixture::{Fixture, START, path, put};
use crate::tree::{Base, Keep, Write};
use crate::types::{ContentId, Millis};

async fn diverged(modified: i64) -> (Fixture, crate::tree::Written) {
    let f = Fixture::new().await;
    let base = f.put("/a.txt", b"base").await.content.unwrap();
    let theirs = Write {
        modified: Some(Millis(START + 1000)),
        ..Write::default()
    };
    put(&f.tree, "/a.txt", b"theirs", theirs).await.unwrap();
    let ours = write(base, modified);
    let written = put(&f.tree, "/a.txt", b"ours", ours).await.unwrap();
    (f, written)
}

fn write(base: ContentId, modified: i64) -> Write {
    Write {
        base: Base::Content(base),
        modified: Some(Millis(modified)),
        ..Write::default()
    }
}

#[tokio::test]
async fn the_later_modification_wins_and_the_other_stays_beside_it() {
    let (f, written) = diverged(START + 2000).await;
    assert_eq!(f.text("/a.txt").await, "ours");
    let copy = written.conflict.unwrap();
    assert_eq!(copy.name, "a.conflict-20270115-080000-web.txt");
    assert_eq!(f.text(&format!("/{}", copy.name)).await, "theirs");
    assert_eq!(f.tree.conflicts(0, 10).await.unwrap().len(), 1);
}

#[tokio::test]
async fn an_earlier_modification_loses_and_is_kept_as_the_copy() {
    let (f, written) = diverged(START + 500).await;
    assert_eq!(f.text("/a.txt").await, "theirs");
    let copy = written.conflict.unwrap();
    assert_eq!(f.text(&format!("/{}", copy.name)).await, "ours");
}

#[tokio::test]
async fn a_clock_that_runs_ahead_wins_by_five_minutes_at_most() {
    let (f, _) = diverged(START + 1_000_000_000).await;
    let node = f.tree.lookup(&path("/a.txt")).await.unwrap();
    assert_eq!(node.modified, Millis(START + 300_000));
}

#[tokio::test]
async fn a_conflict_is_listed_until_it_is_resolved() {
    let (f, _) = diverged(START + 2000).await;
    let id = f.tree.conflicts(0, 10).await.unwrap()[0].id;
    f.tree.resolve_conflict(id, Keep::Both).await.unwrap();
    assert!(f.tree.conflicts(0, 10).await.unwrap().is_empty());
    assert!(f.tree.resolve_conflict(id, Keep::Both).await.is_err());
}

#[tokio::test]
async fn a_writer_whose_base_is_the_head_makes_no_conflict() {
    let f = Fixture::new().await;
    let base = f.put("/a", b"base").await.content.unwrap();
    let written = put(&f.tree, "/a", b"next", write(base, START))
        .await
        .unwrap();
    assert!(written.conflict.is_none());
}

#[tokio::test]
async fn a_conflict_is_resolved_by_keeping_one_or_both_and_nothing_is_lost() {
    for (keep, text, files, versions) in [
        (Keep::Both, "ours", 2, 3),
        (Keep::Node, "ours", 1, 3),
        (Keep::Copy, "theirs", 1, 4),
    ] {
        let (f, written) = diverged(START + 2000).await;
        let id = f.tree.conflicts(0, 10).await.unwrap()[0].id;
        f.tree.resolve_conflict(id, keep).await.unwrap();

        assert!(f.tree.conflicts(0, 10).await.unwrap().is_empty());
        assert_eq!(f.text("/a.txt").await, text, "{keep:?}");
        let names = f.names("/").await;
        let kept = names.iter().filter(|name| name.starts_with('a')).count();
        assert_eq!(kept, files, "{keep:?}: {names:?}");
        let trashed = f.tree.trash(&path("/"), None).await.unwrap().len();
        assert_eq!(kept + trashed, 2);
        let history = f.tree.versions(&written.node).await.unwrap();
        assert_eq!(history.len(), versions, "{keep:?}");
        let (root, top) = (f.tree.lookup(&path("/")).await.unwrap(), "/a.txt");
        let used = f.tree.usage(&root).await.unwrap().used;
        let copy = if files == 2 { 6 } else { 0 };
        assert_eq!(used, f.tree.lookup(&path(top)).await.unwrap().size + copy);
        assert!(f.tree.resolve_conflict(id, keep).await.is_err());
    }
}

#[tokio::test]
async fn a_winner_that_comes_again_is_told_of_the_same_copy() {
    let f = Fixture::new().await;
    f.put("/a.txt", b"theirs").await;
    f.pass(1000);
    let ours = || Write {
        base: Base::Nothing,
        modified: Some(Millis(START + 2000)),
        ..Write::default()
    };
    let first = put(&f.tree, "/a.txt", b"ours", ours()).await.unwrap();
    let copy = first.conflict.unwrap();
    f.pass(1000);

    let again = put(&f.tree, "/a.txt", b"ours", ours()).await.unwrap();

    assert_eq!(again.conflict.map(|copy| copy.id), Some(copy.id));
    assert_eq!(f.tree.conflicts(0, 10).await.unwrap().len(), 1);
    let other = put(&f.tree, "/b.txt", b"ours", ours()).await.unwrap();
    assert!(other.conflict.is_none());
    let other = put(&f.tree, "/b.txt", b"ours", ours()).await.unwrap();
    assert!(other.conflict.is_none(), "it met nobody");
}

#[tokio::test]
async fn a_write_that_comes_again_is_no_turn_and_no_news() {
    let f = Fixture::new().await;
    let mine = |base, modified| Write {
        base,
        modified: Some(Millis(modified)),
        ..Write::default()
    };
    let base = f.put("/a", b"base").await.content.unwrap();
    let next = || mine(Base::Content(base), START + 1000);
    let lost = || mine(Base::Nothing, START + 10);
    let plain = || mine(Base::Nothing, START);
    put(&f.tree, "/a", b"next", next()).await.unwrap();
    put(&f.tree, "/a", b"lost", lost()).await.unwrap();
    put(&f.tree, "/b", b"plain", plain()).await.unwrap();
    let end = f.tree.feed_end().await.unwrap();
    let top = f.tree.lookup(&path("/")).await.unwrap();

    put(&f.tree, "/a", b"next", next()).await.unwrap();
    put(&f.tree, "/a", b"lost", lost()).await.unwrap();
    put(&f.tree, "/b", b"plain", plain()).await.unwrap();

    assert_eq!(f.tree.feed_end().await.unwrap(), end);
    assert_eq!(f.tree.lookup(&path("/")).await.unwrap().etag, top.etag);
    let new = f.put("/c", b"new").await;
    assert_eq!(
        f.tree.changed_since(&end).await.unwrap(),
        [(f.tree.user().space, new.seq.0)]
    );
    assert_eq!(f.text("/c").await, "new");
}
