//! What comes back when the database is lost, and where.

use std::fs;

use super::fixture::{Opened, Site, collect, noise, path, rows};
use crate::jobs::recover::{RecoverError, Recovered, load};
use crate::store::Store;
use crate::store::meta::versions::Keep;
use crate::store::meta::{Meta, spaces};
use crate::store::snapshot::Folder;
use crate::tree;

async fn names(opened: &Opened, at: &str) -> Vec<String> {
    let node = opened.tree.lookup(&path(at)).await.unwrap();
    let page = opened.tree.list(&node, tree::With::default(), None).await;
    let nodes = page.unwrap().nodes.into_iter();
    nodes.map(|node| node.name).collect()
}

#[tokio::test]
async fn the_tree_comes_back_and_what_is_newer_lies_beside_it() {
    // given
    let mut site = Site::new().await;
    let (old, large) = (noise(1, 300_000), noise(2, 3_000_000));
    site.opened.put("/old", &old).await;
    site.opened.put("/small", b"a few bytes").await;
    site.take().await.unwrap();
    // When much came since, some of it with names that are known
    site.opened.put("/old", &noise(3, 50_000)).await;
    site.opened.put("/large.film", &large).await;
    site.opened
        .put("/shared/large.film", &noise(4, 20_000))
        .await;
    site.opened.tree.mkdir(&path("/d"), None).await.unwrap();
    site.opened.put("/d/large.film", &noise(5, 20_000)).await;
    site.opened.put("/too small", b"other bytes").await;
    let tag = site.opened.tree.lookup(&path("/large.film")).await.unwrap();
    let cursor = site.opened.tree.feed_end().await.unwrap();
    site.opened.store.close().await;
    let done = site.recover("anew").await.unwrap();
    // then
    assert_eq!((done.placed, done.torn, done.missing), (5, 0, 0));
    let opened = site.open("anew").await;
    assert!(opened.read("/old").await.unwrap() == old);
    assert_eq!(opened.read("/small").await.unwrap(), b"a few bytes");
    assert_eq!(
        names(&opened, "/recovered").await,
        ["large (2).film", "large.film", "old", "too small"]
    );
    assert!(opened.read("/recovered/old").await.unwrap() == noise(3, 50_000));
    assert!(opened.read("/recovered/large.film").await.unwrap() == large);
    assert!(opened.read("/recovered/large (2).film").await.unwrap() == noise(5, 20_000));
    let small = opened.read("/recovered/too small").await.unwrap();
    assert_eq!(small, b"other bytes");
    let shared = opened.read("/shared/recovered/large.film").await.unwrap();
    assert!(shared == noise(4, 20_000));
    // and nothing that was given out before means anything now
    let new = opened.tree.lookup(&path("/recovered/large.film")).await;
    let new = new.unwrap();
    assert!(new.id.0 > tag.id.0 + 1_000_000 && new.etag != tag.etag);
    let told = opened.tree.pull(Some(&cursor), 100).await;
    assert!(matches!(told, Err(tree::Error::StaleCursor)));
    let again = site.recover("anew").await;
    assert!(matches!(again, Err(RecoverError::Exists)));
}

#[tokio::test]
async fn chunks_that_moved_since_are_found() {
    let mut site = Site::new().await;
    let kept = noise(1, 900_000);
    site.opened.put("/kept", &kept).await;
    site.opened.put("/gone", &noise(2, 5_000_000)).await;
    site.take().await.unwrap();
    let gone = site.opened.tree.lookup(&path("/gone")).await.unwrap();
    site.opened.tree.remove(&path("/gone")).await.unwrap();
    site.opened.tree.purge(gone.id).await.unwrap();
    let freed = collect(&site.opened).await;
    assert!(freed > 5_000_000, "{freed}");
    site.opened.store.close().await;

    let done = site.recover("anew").await.unwrap();

    assert!(done.lost > done.missing && done.missing > 0, "{done:?}");
    let opened = site.open("anew").await;
    assert!(opened.read("/kept").await.unwrap() == kept);
    // What was purged and collected since has a name again, and no bytes.
    assert_eq!(done.broken, 1);
    assert!(opened.read("/gone").await.is_err());
    opened.put("/again", &noise(2, 5_000_000)).await;
    assert!(opened.read("/again").await.unwrap() == noise(2, 5_000_000));
}

#[tokio::test]
async fn whoever_stores_what_a_lost_segment_held_has_it_stored_again() {
    let mut site = Site::new().await;
    let bytes = noise(1, 500_000);
    site.opened.put("/a", &bytes).await;
    site.take().await.unwrap();
    site.opened.store.close().await;
    for group in fs::read_dir(site.folder.path().join("data/seg")).unwrap() {
        fs::remove_dir_all(group.unwrap().path()).unwrap();
    }
    let done = site.recover("anew").await.unwrap();
    assert_eq!((done.broken, done.placed), (1, 0));
    let opened = site.open("anew").await;
    assert!(opened.read("/a").await.is_err());
    opened.put("/b", &bytes).await;
    assert!(opened.read("/b").await.unwrap() == bytes);
    opened.put("/a", &bytes).await;
    assert!(opened.read("/a").await.unwrap() == bytes);
}

#[tokio::test]
async fn a_recovery_that_was_killed_begins_again() {
    let mut site = Site::new().await;
    site.opened.put("/a", &noise(1, 100_000)).await;
    site.take().await.unwrap();
    site.opened.put("/b", &noise(2, 100_000)).await;
    site.opened.store.close().await;
    // given a database that has all rows and belongs to nobody
    let data = site.folder.path().join("data");
    let meta = Meta::open(&site.database("anew")).await.unwrap();
    let master = super::fixture::key(site.folder.path());
    let half = Store::recovering(meta, &data, master, Keep::default()).await;
    let half = half.unwrap();
    let mut done = Recovered::default();
    assert!(
        load::load(&half, &Folder::of(&data), &mut done)
            .await
            .unwrap()
    );
    let before = rows(&half).await.len();
    half.meta.close().await;

    let done = site.recover("anew").await.unwrap();

    assert!(before > 4);
    assert_eq!((done.files, done.placed), (1, 1));
    let opened = site.open("anew").await;
    assert!(opened.read("/a").await.unwrap() == noise(1, 100_000));
    assert!(opened.read("/recovered/b").await.unwrap() == noise(2, 100_000));
}

#[tokio::test]
async fn a_quota_does_not_keep_what_is_newer_from_coming_back() {
    let mut site = Site::new().await;
    let space = site.opened.tree.user().space;
    let meta = &site.opened.store.meta;
    let set = meta.write(move |conn| {
        Box::pin(async move { spaces::set_quota(conn, space, Some(100_000)).await })
    });
    let set: crate::store::Result<()> = set.await;
    set.unwrap();
    site.opened.put("/a", &noise(1, 60_000)).await;
    site.take().await.unwrap();
    site.opened.tree.remove(&path("/a")).await.unwrap();
    site.opened.put("/b", &noise(2, 90_000)).await;
    site.opened.store.close().await;

    site.recover("anew").await.unwrap();

    let opened = site.open("anew").await;
    assert!(opened.read("/a").await.unwrap() == noise(1, 60_000));
    assert!(opened.read("/recovered/b").await.unwrap() == noise(2, 90_000));
    let mut conn = opened.store.meta.read().await.unwrap();
    let limited = spaces::limited(&mut conn).await.unwrap();
    assert_eq!(limited[0].quota, 100_000);
}

#[tokio::test]
async fn nothing_is_written_when_nothing_changed() {
    let mut site = Site::new().await;
    site.opened.put("/a", b"a").await;
    let base = site.take().await.unwrap();
    assert_eq!(site.take().await, None);
    site.opened.read("/a").await.unwrap();
    assert_eq!(site.take().await, None);
    site.opened.put("/b", b"b").await;
    let delta = site.take().await.unwrap();
    assert_eq!(site.take().await, None);
    assert!(delta.bytes <= base.bytes * 2, "{base:?} {delta:?}");
    assert_eq!(site.snapshot_files().len(), 2);
}

/// The row of a content stays for a while when nothing names it any more.
#[tokio::test]
async fn bytes_that_nothing_named_when_the_snapshot_was_taken_come_back_with_a_name() {
    let mut site = Site::new().await;
    let bytes = noise(1, 300_000);
    site.opened.put("/a", &bytes).await;
    let node = site.opened.tree.lookup(&path("/a")).await.unwrap();
    site.opened.tree.remove(&path("/a")).await.unwrap();
    site.opened.tree.purge(node.id).await.unwrap();
    site.take().await.unwrap();
    assert!(collect(&site.opened).await > 300_000);
    site.opened.put("/a", &bytes).await;
    site.opened.store.close().await;

    let done = site.recover("anew").await.unwrap();

    assert_eq!((done.placed, done.torn), (1, 0), "{done:?}");
    let opened = site.open("anew").await;
    assert!(opened.read("/recovered/a").await.unwrap() == bytes);
}
