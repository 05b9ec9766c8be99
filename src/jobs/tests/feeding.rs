//! What the feed remembers of things that are gone, and which cursors hold.

use std::time::Duration;

use super::fixture::{DAY, Fixture, MS, freed, path};
use crate::store::meta::{changes, feed};
use crate::tree::{Cursor, Error, FeedCursor};
use crate::types::{NodePath, SpaceId};

const KEEP: Duration = Duration::from_hours(90 * 24);

/// Whether a pull with a cursor at `position` is refused.
async fn pull_is_refused(f: &Fixture, position: &str) -> bool {
    let (epoch, space) = (f.site.store.epoch, f.tree.user().space);
    let cursor = FeedCursor::parse(&format!("{epoch}_{space}.{position}")).unwrap();
    let pulled = f.tree.pull(Some(&cursor), 100).await;
    let checked = f.tree.check_cursor(&cursor).await;
    let refused = matches!(pulled, Err(Error::ExpiredCursor));
    assert!(refused || pulled.is_ok());
    assert_eq!(
        refused,
        matches!(checked, Err(Error::ExpiredCursor)),
        "{position}"
    );
    refused
}

/// Whether a report on the root with a token at `position` is refused.
async fn report_is_refused(f: &Fixture, position: &str) -> bool {
    let (epoch, space) = (f.site.store.epoch, f.tree.user().space);
    let root = f.tree.lookup(&NodePath::root()).await.unwrap();
    let text = format!("{epoch}_{}_{space}.{position}", root.id);
    let cursor = Cursor::parse(&text).unwrap();
    let told = f.tree.changes(&root, Some(&cursor), true, 100).await;
    let refused = matches!(told, Err(Error::ExpiredCursor));
    assert!(refused || told.is_ok());
    refused
}

async fn last_seq(f: &Fixture) -> i64 {
    let mut conn = f.site.store.meta.read().await.unwrap();
    changes::last_seq(&mut conn, f.tree.user().space)
        .await
        .unwrap()
}

/// A file comes, goes to trash and is forgotten: one tombstone, one vanished name.
async fn come_and_go(f: &Fixture, at: &str) {
    let node = f.put(at, b"1").await;
    f.remove(at).await;
    f.tree.purge(node.id).await.unwrap();
}

#[tokio::test]
async fn what_is_gone_is_forgotten_after_its_time_and_cursors_hold_as_long() {
    let f = Fixture::new().await;
    come_and_go(&f, "/a").await;
    let floor = last_seq(&f).await;
    assert_eq!(f.run("feed").await, freed(0, 0));
    come_and_go(&f, "/b").await;
    f.pass_almost(KEEP);
    assert_eq!(f.run("feed").await, freed(0, 0));
    for position in [floor - 1, 1].map(|seq| seq.to_string()) {
        assert!(!pull_is_refused(&f, &position).await);
        assert!(!report_is_refused(&f, &position).await);
    }

    f.pass(MS);
    assert_eq!(f.run("feed").await, freed(2, 0));

    for (seq, refused) in [
        (1, true),
        (floor - 1, true),
        (floor, false),
        (floor + 1, false),
    ] {
        let position = seq.to_string();
        assert_eq!(pull_is_refused(&f, &position).await, refused, "{seq}");
        assert_eq!(report_is_refused(&f, &position).await, refused, "{seq}");
    }
    // What went later is remembered until its own time is over, counted from the second run.
    f.pass_almost(KEEP.saturating_sub(MS));
    assert_eq!(f.run("feed").await, freed(0, 0));
    f.pass(MS);
    assert_eq!(f.run("feed").await, freed(2, 0));
}

#[tokio::test]
async fn a_cursor_within_a_turn_needs_what_is_left_of_it() {
    let f = Fixture::new().await;
    come_and_go(&f, "/a").await;
    let floor = last_seq(&f).await;
    f.run("feed").await;
    f.put("/b", b"1").await;
    f.pass(KEEP);
    f.run("feed").await;
    for (seq, began, refused) in [
        // Of the floor's turn not everything was told.
        (floor, floor - 1, true),
        (floor + 1, floor - 1, false),
        // The client began when all of it was known, or knew nothing of what went before.
        (floor, floor, false),
        (1, floor, false),
        (1, floor - 1, true),
    ] {
        let position = format!("{seq}.1.{began}");
        assert_eq!(pull_is_refused(&f, &position).await, refused, "{position}");
        assert_eq!(
            report_is_refused(&f, &position).await,
            refused,
            "{position}"
        );
    }
}

#[tokio::test]
async fn whoever_begins_gets_everything_in_pages_whatever_is_forgotten() {
    let f = Fixture::new().await;
    for at in ["/1", "/2", "/3", "/4"] {
        f.put(at, b"1").await;
    }
    come_and_go(&f, "/a").await;
    f.run("feed").await;
    f.pass(KEEP);
    assert_eq!(f.run("feed").await, freed(2, 0));

    let mut told = 0;
    let mut cursor = None;
    loop {
        let feed = f.tree.pull(cursor.as_ref(), 1).await.unwrap();
        told += feed.changes.len();
        cursor = Some(FeedCursor::parse(&feed.cursor.to_string()).unwrap());
        if !feed.more {
            break;
        }
    }
    let root = f.tree.lookup(&NodePath::root()).await.unwrap();
    let mut token = None;
    let mut reported = 0;
    loop {
        let page = f
            .tree
            .changes(&root, token.as_ref(), true, 1)
            .await
            .unwrap();
        reported += page.changes.len();
        token = Some(Cursor::parse(&page.cursor.to_string()).unwrap());
        if !page.more {
            break;
        }
    }
    // Both roots, three folders and four files; the report leaves the roots out.
    assert_eq!((told, reported), (9, 7));
}

#[tokio::test]
async fn what_a_run_left_is_forgotten_by_the_next() {
    let f = Fixture::new().await;
    come_and_go(&f, "/a").await;
    let (space, seq, now) = (f.tree.user().space, last_seq(&f).await, f.site.clock.now());
    f.transaction(move |conn| {
        Box::pin(async move { Ok(feed::raise_floor(conn, space, seq, now).await?) })
    })
    .await;
    assert_eq!(f.run("feed").await, freed(2, 0));
    assert_eq!(f.run("feed").await, freed(0, 0));
}

#[tokio::test]
async fn a_space_where_nothing_happens_is_noted_once() {
    let f = Fixture::new().await;
    f.put("/a", b"1").await;
    for _ in 0..3 {
        f.run("feed").await;
        f.pass(DAY);
    }
    let noted = async |until| {
        let mut conn = f.site.store.meta.read().await.unwrap();
        feed::turns_until(&mut conn, until).await.unwrap()
    };
    let start = f.site.clock.now().plus(DAY);
    let both = noted(start).await;
    assert_eq!(both.len(), 2);
    assert_eq!(both[0], (f.tree.user().space, last_seq(&f).await));
    f.pass(KEEP);
    f.run("feed").await;
    f.pass(DAY);
    f.run("feed").await;
    // The floor has reached what there is, and nothing is left to translate.
    assert!(noted(f.site.clock.now()).await.is_empty());
    let mut conn = f.site.store.meta.read().await.unwrap();
    let floors = feed::floors(&mut conn).await.unwrap();
    assert_eq!(
        floors.iter().map(|(space, _)| *space).collect::<Vec<_>>(),
        [f.tree.user().space, SpaceId(2)]
    );
    drop(conn);
    f.put("/b", b"1").await;
    f.tree.lookup(&path("/b")).await.unwrap();
    assert!(!pull_is_refused(&f, &last_seq(&f).await.to_string()).await);
}
