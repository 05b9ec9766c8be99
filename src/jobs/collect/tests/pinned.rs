//! Uploads and readers under way keep what they found, and one that was believed dead is refused.

use std::time::Duration;

use super::fixture::{Fixture, is_stale, noise, path};
use crate::tree::{NewUpload, Write};

const LEN: usize = 400_000;

fn new_upload(size: usize) -> NewUpload {
    NewUpload {
        size: size as u64,
        base: crate::tree::Base::Unstated,
        modified: None,
        created: None,
        checksum: None,
    }
}

#[tokio::test]
async fn an_upload_that_found_chunks_keeps_them_until_it_is_named() {
    let f = Fixture::new().await;
    let (side, bytes) = (&f.side, noise(1, LEN));
    side.put("/a", &bytes).await;
    let at = path("/b");
    let mut upload = side.tree.upload(&at, None, None).await.unwrap();
    upload.push(bytes.clone().into()).await.unwrap();
    upload.send().await.unwrap();

    side.purge("/a").await;
    let done = side.collect().await;

    assert_eq!(done.chunks, 0);
    assert!(done.waiting > 0);
    side.tree
        .commit(&at, upload, Write::default())
        .await
        .unwrap();
    side.collect().await;
    assert_eq!(side.read("/b").await, bytes);
}

#[tokio::test]
async fn an_upload_of_another_process_is_waited_for_as_well() {
    let f = Fixture::new().await;
    let (side, bytes) = (&f.side, noise(1, LEN));
    side.put("/a", &bytes).await;
    let far = f.another().await;
    let at = path("/b");
    let mut upload = far.tree.upload(&at, None, None).await.unwrap();
    upload.push(bytes.clone().into()).await.unwrap();
    side.purge("/a").await;
    for _ in 0..4 {
        side.round().await;
        far.beat().await;
    }
    far.tree
        .commit(&at, upload, Write::default())
        .await
        .unwrap();
    side.collect().await;
    assert_eq!(side.read("/b").await, bytes);
    assert_eq!(far.read("/b").await, bytes);
}

#[tokio::test]
async fn an_upload_that_begins_behind_the_flag_stores_again_and_brings_the_rows_back() {
    let f = Fixture::new().await;
    let (side, bytes) = (&f.side, noise(1, LEN));
    side.put("/a", &bytes).await;
    side.purge("/a").await;
    // contents are flagged, then go; chunks are flagged
    side.round().await;
    side.round().await;
    let (chunks, before) = (side.rows("chunk").await, f.stored());
    assert!(chunks > 0);

    side.put("/b", &bytes).await;

    assert_eq!(side.rows("chunk").await, chunks);
    assert!(f.stored() >= before + LEN as u64);
    side.collect().await;
    assert_eq!(side.read("/b").await, bytes);
    assert_eq!(side.rows("chunk").await, chunks);
}

#[tokio::test]
async fn an_upload_at_rest_keeps_its_chunks_and_a_dropped_one_does_not() {
    let f = Fixture::new().await;
    let (side, bytes) = (&f.side, noise(1, 2 * LEN));
    let mut ids = Vec::new();
    for at in ["/kept", "/dropped"] {
        let session = side
            .tree
            .upload_open(&path(at), new_upload(2 * LEN))
            .await
            .unwrap();
        let mut appender = side.tree.upload_append(session.id, 0).await.unwrap();
        let part = if at == "/kept" {
            &bytes
        } else {
            &noise(2, 2 * LEN)
        };
        appender.push(part[..LEN].to_vec().into()).await.unwrap();
        appender.pause().await.unwrap();
        ids.push(session.id);
    }
    side.collect().await;
    side.tree.upload_abort(ids[1]).await.unwrap();
    let before = side.rows("chunk").await;
    side.collect().await;
    assert!(side.rows("chunk").await < before);

    let mut appender = side.tree.upload_append(ids[0], LEN as u64).await.unwrap();
    appender.push(bytes[LEN..].to_vec().into()).await.unwrap();
    side.collect().await;
    appender.pause().await.unwrap();
    side.collect().await;
    side.tree.upload_finish(ids[0], None).await.unwrap();
    side.collect().await;
    assert_eq!(side.read("/kept").await, bytes);
}

#[tokio::test]
async fn an_upload_whose_row_was_dropped_under_it_cannot_be_finished() {
    let f = Fixture::new().await;
    let (side, bytes) = (&f.side, noise(1, LEN));
    let session = side
        .tree
        .upload_open(&path("/a"), new_upload(LEN))
        .await
        .unwrap();
    let mut appender = side.tree.upload_append(session.id, 0).await.unwrap();
    appender.push(bytes.into()).await.unwrap();
    side.tree.upload_abort(session.id).await.unwrap();
    side.collect().await;
    assert!(appender.pause().await.is_err());
    assert!(side.tree.upload_finish(session.id, None).await.is_err());
    side.collect().await;
    assert_eq!(side.rows("chunk").await, 0);
}

#[tokio::test]
async fn one_who_was_believed_dead_is_refused_before_the_answer_and_can_send_again() {
    let f = Fixture::new().await;
    let (side, bytes) = (&f.side, noise(1, LEN));
    side.put("/a", &bytes).await;
    let far = f.another().await;
    let at = path("/b");
    let mut upload = far.tree.upload(&at, None, None).await.unwrap();
    upload.push(bytes.clone().into()).await.unwrap();
    upload.send().await.unwrap();
    side.purge("/a").await;
    // It does not beat for a minute, and nothing waits for it any more.
    far.believe_dead().await;
    side.collect().await;
    assert_eq!(side.rows("chunk").await, 0);

    let refused = far.tree.commit(&at, upload, Write::default()).await;

    assert!(is_stale(&refused), "{refused:?}");
    far.beat().await;
    far.put("/b", &bytes).await;
    side.collect().await;
    assert_eq!(side.read("/b").await, bytes);
}

#[tokio::test]
async fn records_of_one_who_was_believed_dead_get_no_rows() {
    let f = Fixture::new().await;
    let (side, far) = (&f.side, f.another().await);
    // Its segment gets a row, then loses all chunks and goes, while it still appends to it.
    far.put("/a", &noise(1, LEN)).await;
    let at = path("/b");
    let mut upload = far.tree.upload(&at, None, None).await.unwrap();
    upload.push(noise(2, 2 * LEN).into()).await.unwrap();
    far.purge("/a").await;
    far.believe_dead().await;
    side.collect().await;
    assert_eq!(f.stored(), 0);

    let refused = far.tree.commit(&at, upload, Write::default()).await;

    assert!(is_stale(&refused), "{refused:?}");
    far.beat().await;
    far.put("/b", &noise(2, LEN)).await;
    assert_eq!(side.read("/b").await, noise(2, LEN));
}

#[tokio::test]
async fn a_segment_is_let_go_only_when_no_record_in_it_waits_for_a_row() {
    let f = Fixture::new().await;
    let side = &f.side;
    let at = path("/b");
    let mut upload = side.tree.upload(&at, None, None).await.unwrap();
    // Appended, but too little to get rows yet.
    upload.push(noise(1, 2 * LEN).into()).await.unwrap();
    side.put("/a", &noise(2, LEN)).await;
    side.purge("/a").await;
    side.store.segments.close_all().await.unwrap();
    side.collect().await;
    side.tree
        .commit(&at, upload, Write::default())
        .await
        .unwrap();
    side.collect().await;
    assert_eq!(side.read("/b").await, noise(1, 2 * LEN));
}

#[tokio::test]
async fn a_process_that_holds_nothing_leaves_no_trace_and_comes_back() {
    let f = Fixture::new().await;
    let side = &f.side;
    assert_eq!(side.rows("process").await, 0);
    side.put("/inline", b"small").await;
    assert_eq!(side.rows("process").await, 0);
    side.put("/a", &noise(1, LEN)).await;
    assert_eq!(side.rows("process").await, 1);
    side.close_segments().await;
    side.beat().await;
    assert_eq!(side.rows("process").await, 1, "it may be wanted again soon");
    let leave = async || {
        let left = side
            .store
            .process
            .beat_and_stay(&side.store, Duration::ZERO);
        left.await.unwrap();
        side.rows("process").await
    };
    assert_eq!(leave().await, 0);
    assert_eq!(side.read("/a").await, noise(1, LEN));
    assert_eq!(side.rows("process").await, 1);
    assert_eq!(leave().await, 0);
    side.put("/b", &noise(2, LEN)).await;
    assert_eq!(side.rows("process").await, 1);
    side.store.close().await;
    let again = f.another().await;
    assert_eq!(again.rows("process").await, 0);
    assert_eq!(again.read("/b").await, noise(2, LEN));
}
