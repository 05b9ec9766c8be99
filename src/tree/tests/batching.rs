//! Many files at once, and the same file twice.

use bytes::Bytes;

use super::fixture::{Fixture, START, path, put};
use crate::tree::{Base, BatchItem, Error, Keep, Precondition, Tree, Write};
use crate::types::Millis;

async fn item(tree: &Tree, at: &str, bytes: &[u8], how: Write) -> BatchItem {
    let mut upload = tree.upload(&path(at), None, None).await.unwrap();
    upload.push(Bytes::copy_from_slice(bytes)).await.unwrap();
    let staged = upload.finish().await.unwrap().unwrap();
    let at = path(at);
    BatchItem { at, staged, how }
}

#[tokio::test]
async fn a_batch_writes_what_it_can_and_refuses_the_rest_one_by_one() {
    let f = Fixture::with_quota(Some(20)).await;
    f.put("/documents/old", b"12345").await;
    let absent = Write {
        when: Precondition::Absent,
        ..Write::default()
    };
    let plain = Write::default;
    let items = vec![
        item(&f.tree, "/documents/a", b"1234", plain()).await,
        item(&f.tree, "/documents/old", b"1", absent).await,
        item(&f.tree, "/photos/big", b"123456789012", plain()).await,
        item(&f.tree, "/documents/old", b"1234567", plain()).await,
        item(&f.tree, "/photos", b"", plain()).await,
        item(&f.tree, "/shared/s", b"12345678901234567890123", plain()).await,
        item(&f.tree, "/documents/a", b"12", plain()).await,
    ];
    let results = f.tree.commit_batch(items).await.unwrap();

    let refused: Vec<_> = results.iter().map(Result::is_err).collect();
    assert_eq!(refused, [false, true, true, false, true, false, false]);
    assert!(matches!(results[1], Err(Error::PreconditionFailed)));
    assert!(matches!(
        results[2],
        Err(Error::QuotaExceeded {
            used: 21,
            quota: 20
        })
    ));
    assert!(matches!(results[4], Err(Error::IsACollection)));
    assert_eq!(f.text("/documents/a").await, "12");
    assert_eq!(f.text("/documents/old").await, "1234567");
    let root = f.tree.lookup(&path("/")).await.unwrap();
    assert_eq!(f.tree.usage(&root).await.unwrap().used, 9);
    let documents = f.tree.lookup(&path("/documents")).await.unwrap();
    assert_eq!(documents.size, 9);
    assert_eq!(f.tree.lookup(&path("/shared")).await.unwrap().size, 23);
}

#[tokio::test]
async fn many_new_files_in_several_collections_are_all_there_with_their_own_bytes() {
    let f = Fixture::new().await;
    let mut items = Vec::new();
    for n in 0..300 {
        let folder = ["/documents", "/photos"][n % 2];
        // Every tenth has the bytes of the one before.
        let bytes = format!("bytes {}", n - usize::from(n % 10 == 9));
        let at = format!("{folder}/{n}");
        items.push(item(&f.tree, &at, bytes.as_bytes(), Write::default()).await);
    }
    let results = f.tree.commit_batch(items).await.unwrap();

    let seqs: Vec<_> = results
        .into_iter()
        .map(|result| result.unwrap().node.seq)
        .collect();
    assert!(seqs.iter().all(|seq| *seq == seqs[0]));
    for n in [0, 8, 9, 150, 299] {
        let bytes = format!("bytes {}", n - usize::from(n % 10 == 9));
        let at = format!("{}/{n}", ["/documents", "/photos"][n % 2]);
        assert_eq!(f.text(&at).await, bytes);
        assert!(f.tree.lookup(&path(&at)).await.unwrap().created.0 >= START);
    }
    let root = f.tree.lookup(&path("/")).await.unwrap();
    let sizes = (0..300).map(|n| format!("bytes {}", n - usize::from(n % 10 == 9)).len());
    assert_eq!(
        f.tree.usage(&root).await.unwrap().used,
        sizes.sum::<usize>() as u64
    );
    assert_eq!(f.tree.activity(None, 1000).await.unwrap().len(), 300);
}

#[tokio::test]
async fn a_new_file_may_be_called_like_a_conflict_copy_of_its_own_batch() {
    let stale = |modified| Write {
        modified: Some(Millis(modified)),
        base: Base::Nothing,
        ..Write::default()
    };
    let mut called = "unknown".to_owned();
    for _ in 0..2 {
        let f = Fixture::new().await;
        f.put("/documents/a.txt", b"theirs").await;
        let items = vec![
            item(&f.tree, "/documents/a.txt", b"ours", stale(START - 5000)).await,
            item(
                &f.tree,
                &format!("/documents/{called}"),
                b"new",
                Write::default(),
            )
            .await,
        ];
        let mut results = f.tree.commit_batch(items).await.unwrap().into_iter();
        let copy = results.next().unwrap().unwrap().conflict.unwrap();
        let new = results.next().unwrap().unwrap();
        // The second time round the name is the copy's, and the file its next version.
        assert_eq!(new.created, new.node.id != copy.id);
        assert_eq!(new.node.name, called);
        called = copy.name;
    }
}

#[tokio::test]
async fn a_write_that_comes_twice_is_one_write() {
    let f = Fixture::new().await;
    let base = f.put("/a", b"base").await.content.unwrap();
    let ours = |base| Write {
        modified: Some(Millis(START - 5000)),
        base,
        ..Write::default()
    };
    let new = put(&f.tree, "/new", b"x", ours(Base::Nothing))
        .await
        .unwrap();
    let again = put(&f.tree, "/new", b"x", ours(Base::Nothing))
        .await
        .unwrap();
    assert!(new.created && !again.created && again.conflict.is_none());
    assert_eq!((again.node.seq, again.node.version), (new.node.seq, 1));

    // An older edit loses against what came in between, once.
    f.put("/a", b"theirs").await;
    let lost = put(&f.tree, "/a", b"ours", ours(Base::Content(base)))
        .await
        .unwrap();
    let again = put(&f.tree, "/a", b"ours", ours(Base::Content(base)))
        .await
        .unwrap();
    let copies = (lost.conflict.unwrap().id, again.conflict.unwrap().id);
    assert_eq!(copies.0, copies.1);
    assert_eq!(f.tree.conflicts(0, 10).await.unwrap().len(), 1);
    assert_eq!(f.text("/a").await, "theirs");
}

#[tokio::test]
async fn a_file_that_two_devices_make_is_a_conflict_and_an_edit_of_a_deleted_one_is_not() {
    let f = Fixture::new().await;
    let base = f.put("/a", b"1").await.content.unwrap();
    let new = |base| Write {
        base,
        ..Write::default()
    };
    let written = put(&f.tree, "/a", b"2", new(Base::Nothing)).await.unwrap();
    assert!(written.conflict.is_some());
    assert_eq!(f.text("/a").await, "2");

    f.tree.remove(&path("/a")).await.unwrap();
    let written = put(&f.tree, "/a", b"3", new(Base::Content(base)))
        .await
        .unwrap();
    assert!(written.created && written.conflict.is_none());
}

#[tokio::test]
async fn a_write_that_comes_again_after_others_went_on_from_it_changes_nothing() {
    let f = Fixture::new().await;
    let first = f.put("/a", b"base").await.content.unwrap();
    for (at, base) in [("/a", Base::Content(first)), ("/new", Base::Nothing)] {
        for mtime in [START - 5000, START + 5000] {
            let ours = Write {
                modified: Some(Millis(mtime)),
                base,
                ..Write::default()
            };
            put(&f.tree, at, b"ours", ours.clone()).await.unwrap();
            let theirs = f.put(at, b"theirs").await;

            let again = put(&f.tree, at, b"ours", ours.clone()).await.unwrap();

            assert!(again.conflict.is_none());
            assert_eq!(again.node.etag, theirs.etag);
            // Another edit with the same bytes is no repetition.
            let other = Write {
                modified: Some(Millis(mtime + 1)),
                ..ours
            };
            assert!(
                put(&f.tree, at, b"ours", other)
                    .await
                    .unwrap()
                    .conflict
                    .is_some()
            );
            for conflict in f.tree.conflicts(0, 10).await.unwrap() {
                f.tree
                    .resolve_conflict(conflict.id, Keep::Both)
                    .await
                    .unwrap();
            }
            f.tree.remove(&path(at)).await.unwrap();
            put(&f.tree, at, b"base", Write::default()).await.unwrap();
            if at == "/new" {
                f.tree.remove(&path(at)).await.unwrap();
            }
        }
    }
}

#[tokio::test]
async fn a_batch_that_comes_again_is_no_turn_and_no_news() {
    let f = Fixture::new().await;
    let send = async || {
        let mut items = Vec::new();
        for at in ["/documents/a", "/documents/b", "/photos/c"] {
            let mine = Write {
                base: Base::Nothing,
                modified: Some(Millis(START)),
                ..Write::default()
            };
            items.push(item(&f.tree, at, at.as_bytes(), mine).await);
        }
        let results = f.tree.commit_batch(items).await.unwrap().into_iter();
        results
            .map(|result| result.unwrap().node.seq.0)
            .collect::<Vec<_>>()
    };
    let first = send().await;
    let end = f.tree.feed_end().await.unwrap();
    let top = f.tree.lookup(&path("/")).await.unwrap();

    assert_eq!(send().await, first);

    assert_eq!(f.tree.feed_end().await.unwrap(), end);
    assert_eq!(f.tree.lookup(&path("/")).await.unwrap().etag, top.etag);
    assert_eq!(f.put("/new", b"new").await.seq.0, first[0] + 1);
}
