//! What goes, and what stays because something names it.

use std::time::{Duration, Instant};

use tokio::time::sleep;

use super::fixture::{Fixture, PATIENCE, noise, path, put, read};
use crate::jobs::collect::traces;
use crate::store::meta::versions::Keep;
use crate::store::meta::{Database, testing};
use crate::tree::retain::{Freed, prune_versions};
use crate::tree::{Base, Overtaken, Precondition, Write};
use crate::types::{ETag, Millis};

const LEN: usize = 400_000;

#[tokio::test]
async fn what_was_purged_gives_its_room_back() {
    let f = Fixture::new().await;
    let side = &f.side;
    side.put("/a", &noise(1, LEN)).await;
    side.put("/small", b"inline").await;
    let before = f.stored();

    side.purge("/a").await;
    side.purge("/small").await;
    let done = side.collect().await;

    assert_eq!(done.freed, before);
    assert_eq!((done.contents, done.waiting), (2, 0));
    assert_eq!(f.stored(), 0);
    assert_eq!(side.rows("chunk").await, 0);
    assert_eq!(side.rows("content").await, 0);
    assert_eq!(side.rows("segment").await, 0);
}

#[tokio::test]
async fn trash_versions_and_copies_keep_their_bytes() {
    let f = Fixture::new().await;
    let side = &f.side;
    let (one, two) = (noise(1, LEN), noise(2, LEN));
    side.put("/a", &one).await;
    side.put("/a", &two).await;
    side.put("/t", &noise(3, LEN)).await;
    side.put("/c", &noise(4, LEN)).await;
    side.tree
        .copy(
            &path("/c"),
            &path("/copy"),
            crate::tree::Overwrite::No,
            crate::tree::Reach::Deep,
        )
        .await
        .unwrap();
    side.delete("/t").await;
    side.purge("/c").await;

    let done = side.collect().await;

    assert_eq!((done.contents, done.chunks, done.freed), (0, 0, 0));
    assert_eq!(side.read("/copy").await, noise(4, LEN));
    let trash = side.tree.trash(&path("/"), None).await.unwrap();
    side.tree.restore(trash[0].node.id).await.unwrap();
    assert_eq!(side.read("/t").await, noise(3, LEN));
    let node = side.tree.lookup(&path("/a")).await.unwrap();
    side.tree.restore_version(node.id, 1).await.unwrap();
    assert_eq!(side.read("/a").await, one);
    side.tree.restore_version(node.id, 2).await.unwrap();
    assert_eq!(side.read("/a").await, two);
}

#[tokio::test]
async fn a_chunk_that_two_files_have_stays_with_the_second() {
    let f = Fixture::new().await;
    let side = &f.side;
    let shared = noise(1, LEN);
    let longer = [shared.clone(), noise(2, LEN)].concat();
    side.put("/a", &shared).await;
    side.put("/b", &longer).await;
    side.purge("/a").await;
    side.collect().await;
    assert_eq!(side.read("/b").await, longer);
}

#[tokio::test]
async fn a_content_stays_for_the_grace_and_can_be_named_again_meanwhile() {
    let f = Fixture::new().await;
    let side = &f.side;
    side.put("/a", &noise(1, LEN)).await;
    side.purge("/a").await;
    let how = crate::jobs::collect::Collect {
        grace: Duration::from_mins(1),
        ..super::fixture::at_once()
    };
    let stop = tokio_util::sync::CancellationToken::new();
    for _ in 0..4 {
        side.beat().await;
        let round = crate::jobs::collect::round(&side.store, &how, &stop)
            .await
            .unwrap();
        assert_eq!((round.contents, round.waiting, round.later), (0, 0, 1));
    }
    side.put("/b", &noise(1, LEN)).await;
    side.collect().await;
    assert_eq!(side.read("/b").await, noise(1, LEN));
}

#[tokio::test]
async fn what_refused_and_given_up_writes_left_goes() {
    let f = Fixture::new().await;
    let side = &f.side;
    side.put("/a", &noise(1, LEN)).await;
    let before = f.stored();
    let at = path("/a");
    // refused by its precondition
    let mut upload = side.tree.upload(&at, None, None).await.unwrap();
    upload.push(noise(2, LEN).into()).await.unwrap();
    let how = Write {
        when: Precondition::Absent,
        ..Write::default()
    };
    assert!(side.tree.commit(&at, upload, how).await.is_err());
    // overtaken, and told to keep nothing
    let mut upload = side.tree.upload(&at, None, None).await.unwrap();
    upload.push(noise(3, LEN).into()).await.unwrap();
    let how = Write {
        base: Base::Content(ETag::parse("f999999").content().unwrap()),
        overtaken: Overtaken::Refuse,
        ..Write::default()
    };
    assert!(side.tree.commit(&at, upload, how).await.is_err());
    // given up behind a group that has its rows
    let mut upload = side.tree.upload(&at, None, None).await.unwrap();
    upload.push(noise(4, 2 * LEN).into()).await.unwrap();
    upload.send().await.unwrap();
    let since = Instant::now();
    // Of 512 KiB that are cut up to 256 are left for the next chunk.
    while f.stored() <= before + LEN as u64 * 5 / 2 {
        assert!(since.elapsed() < PATIENCE, "nothing is stored");
        sleep(Duration::from_millis(5)).await;
    }
    drop(upload);
    side.close_segments().await;

    // What was on its way when it was given up is held until the database has answered.
    let since = Instant::now();
    side.collect().await;
    while f.stored() > before {
        let stored = f.stored();
        assert!(since.elapsed() < PATIENCE, "{stored} > {before}");
        side.collect().await;
    }

    assert_eq!(side.read("/a").await, noise(1, LEN));
}

#[tokio::test]
async fn spaces_do_not_keep_each_others_bytes() {
    let f = Fixture::new().await;
    let side = &f.side;
    side.put("/a", &noise(1, LEN)).await;
    put(&side.other, "/a", &noise(1, LEN)).await.unwrap();
    side.purge("/a").await;
    side.close_segments().await;
    side.collect().await;
    assert_eq!(read(&side.other, "/a").await.unwrap(), noise(1, LEN));
    assert!(f.stored() < 2 * LEN as u64);
}

#[tokio::test]
async fn small_files_give_the_database_file_its_room_back() {
    let f = Fixture::new().await;
    let side = &f.side;
    side.tree.mkdir(&path("/d"), None).await.unwrap();
    let all = (0..3000).map(|nth| {
        let tree = side.tree.clone();
        async move { put(&tree, &format!("/d/{nth}"), &noise(nth, 6000)).await }
    });
    futures_util::future::try_join_all(all).await.unwrap();
    side.purge("/d").await;
    side.collect().await;
    side.store.close().await;
    // PostgreSQL looks after its files itself.
    if let Database::File(file) = testing::database(f.folder.path()) {
        let bytes = std::fs::metadata(file).unwrap().len();
        assert!(bytes < 8 << 20, "{bytes}");
    }
}

#[tokio::test]
async fn a_manifest_that_does_not_decode_stops_everything() {
    let f = Fixture::new().await;
    let side = &f.side;
    side.put("/a", &noise(1, LEN)).await;
    side.put("/b", &noise(2, LEN)).await;
    side.purge("/a").await;
    crate::store::meta::peek::break_manifests(&side.store.meta)
        .await
        .unwrap();
    for _ in 0..4 {
        side.beat().await;
        let stop = tokio_util::sync::CancellationToken::new();
        let how = super::fixture::at_once();
        let round = crate::jobs::collect::round(&side.store, &how, &stop).await;
        assert!(round.is_err());
    }
    assert!(side.rows("chunk").await > 6);
}

#[tokio::test]
async fn a_version_that_goes_is_reason_enough_for_a_round() {
    let f = Fixture::new().await;
    let side = &f.side;
    side.put("/a", &noise(1, LEN)).await;
    side.put("/a", &noise(2, LEN)).await;
    side.collect().await;
    let before = traces(&side.store).await.unwrap();
    let file = side.tree.lookup(&path("/a")).await.unwrap().id;
    let keep = Keep {
        always: 0,
        most: 0,
        max_age: 0,
    };
    let pruned = side.store.meta.write(move |conn| {
        Box::pin(async move { prune_versions(conn, &[file], keep, Millis(i64::MAX)).await })
    });
    let pruned: crate::tree::Result<Freed> = pruned.await;
    assert_eq!(pruned.unwrap().items, 1);
    assert_ne!(traces(&side.store).await.unwrap(), before);
}
