//! A deleted collection of so many nodes that it goes in parts.

use std::collections::BTreeSet;

use super::fixture::{DAY, Fixture, MONTH, RULES, freed, path};
use crate::store::meta::{subtree, trash};
use crate::tree::retain::{self, PART_MAX};
use crate::tree::{Error, FeedChange, FeedCursor, Overwrite, Reach};
use crate::types::NodeId;

/// Files and collections below `/big`: more than two parts.
const BELOW: usize = 12 * 101 * 10 + 12;

/// `/big` with twelve collections of ten with a hundred files each, and `/small` beside it.
async fn grown() -> (Fixture, NodeId) {
    let f = Fixture::new().await;
    for at in ["/big", "/big/0", "/big/0/0"] {
        f.mkdir(at).await;
    }
    for file in 0..100 {
        f.put(&format!("/big/0/0/{file}"), b"1").await;
    }
    let copy = async |from: &str, to: &str| {
        let (from, to) = (path(from), path(to));
        let copied = f.tree.copy(&from, &to, Overwrite::No, Reach::Deep);
        copied.await.unwrap();
    };
    for nth in 1..10 {
        copy("/big/0/0", &format!("/big/0/{nth}")).await;
    }
    for nth in 1..12 {
        copy("/big/0", &format!("/big/{nth}")).await;
    }
    f.put("/small", b"1").await;
    let big = f.tree.lookup(&path("/big")).await.unwrap();
    assert_eq!(big.size, 12_000);
    (f, big.id)
}

/// What a device knows that hears of every change.
#[derive(Default)]
struct Device {
    known: BTreeSet<NodeId>,
    cursor: Option<FeedCursor>,
}

impl Device {
    async fn pull(&mut self, f: &Fixture, limit: u32) {
        loop {
            let feed = f.tree.pull(self.cursor.as_ref(), limit).await.unwrap();
            for change in feed.changes {
                match change {
                    FeedChange::Gone { id, .. } => drop(self.known.remove(&id)),
                    FeedChange::Present { located, .. } => drop(self.known.insert(located.node.id)),
                }
            }
            self.cursor = Some(feed.cursor);
            if !feed.more {
                return;
            }
        }
    }
}

#[tokio::test]
async fn a_large_collection_goes_in_parts_while_devices_hear_of_all_of_it() {
    let (f, big) = grown().await;
    let mut device = Device::default();
    device.pull(&f, 10_000).await;
    assert!(device.known.len() > BELOW && BELOW > 2 * PART_MAX);
    // This one goes on its own, a day later.
    f.pass(DAY);
    f.remove("/big/3/3/33").await;
    f.pass(DAY);
    f.remove("/big").await;
    f.pass(MONTH.saturating_sub(DAY));

    // What was deleted before its collection is as old as it is.
    assert_eq!(f.run("trash").await, freed(1, 1));
    f.pass(DAY);
    let running = f.run("trash");
    let pulling = async {
        for _ in 0..50 {
            device.pull(&f, 777).await;
            tokio::task::yield_now().await;
        }
    };
    let (gone, ()) = tokio::join!(running, pulling);
    assert_eq!(gone, freed(1, 11_999));

    device.pull(&f, 777).await;
    let mut there = Device::default();
    there.pull(&f, 10_000).await;
    assert_eq!(device.known, there.known);
    assert!(!device.known.contains(&big));
    let mut conn = f.site.store.meta.read().await.unwrap();
    let left = subtree::deepest(&mut conn, big, 10).await.unwrap();
    assert_eq!(left, [big], "nothing lies below it any more");
}

#[tokio::test]
async fn what_is_half_gone_is_seen_and_restored_by_nobody_and_the_next_run_ends_it() {
    let (f, big) = grown().await;
    f.remove("/big").await;
    f.pass(MONTH);
    let now = f.site.clock.now();
    let found = {
        let mut conn = f.site.store.meta.read().await.unwrap();
        trash::expired(&mut conn, now, 10).await.unwrap()[0]
    };
    let begun = f.transaction(move |conn| {
        Box::pin(async move { Ok(retain::forget_expired(conn, &found, now).await?) })
    });
    assert_eq!(begun.await, None);
    let part = {
        let mut conn = f.site.store.meta.read().await.unwrap();
        subtree::deepest(&mut conn, big, 5000).await.unwrap()
    };
    let done = f.transaction(move |conn| {
        Box::pin(async move { Ok(retain::forget_part(conn, &found, &part, now).await?) })
    });
    assert!(done.await);

    assert!(f.trash().await.is_empty());
    assert!(matches!(f.tree.restore(big).await, Err(Error::NotFound)));
    assert!(matches!(f.tree.purge(big).await, Err(Error::NotFound)));
    // However long things stay by then, what was begun is ended.
    let mut rules = RULES;
    rules.trash = DAY * 100_000;
    assert_eq!(f.run_by("trash", &rules).await.unwrap(), freed(1, 12_000));
    assert_eq!(f.run("trash").await, freed(0, 0));
    f.tree.lookup(&path("/small")).await.unwrap();
}

#[tokio::test]
async fn a_part_is_not_forgotten_of_what_is_not_going() {
    let f = Fixture::new().await;
    f.mkdir("/d").await;
    let file = f.put("/d/a", b"1").await.id;
    f.remove("/d").await;
    f.pass(MONTH);
    let now = f.site.clock.now();
    let found = {
        let mut conn = f.site.store.meta.read().await.unwrap();
        trash::expired(&mut conn, now, 10).await.unwrap()[0]
    };
    let done = f.transaction(move |conn| {
        Box::pin(async move { Ok(retain::forget_part(conn, &found, &[file], now).await?) })
    });
    assert!(!done.await);
    f.tree.restore(found.id).await.unwrap();
    f.tree.lookup(&path("/d/a")).await.unwrap();
}
