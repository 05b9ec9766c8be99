//! Uploads in several requests: they go on after breaks of every kind, and end once.

mod killed;

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use tokio::runtime::Runtime;

use super::fixture::{Fixture, START, path, put, read};
use crate::crypto::{Blinded, MasterKey};
use crate::store::Store;
use crate::store::content::Checksum;
use crate::store::meta::testing;
use crate::store::meta::versions::Keep;
use crate::tree::{
    Base, Error, NewUpload, Precondition, Tree, UPLOAD_LIFETIME, UPLOADS_MAX, UploadError,
    UploadSession, Write, Written,
};
use crate::types::{Clock, Millis, SpaceId, UploadId};

const MIB: usize = 1 << 20;

fn of(size: usize) -> NewUpload {
    NewUpload {
        size: size as u64,
        base: Base::Unstated,
        modified: None,
        created: None,
        checksum: None,
    }
}

fn noise(size: usize) -> Vec<u8> {
    let mut bytes = vec![0; size];
    getrandom::fill(&mut bytes).unwrap();
    bytes
}

async fn begin(tree: &Tree, at: &str, size: usize) -> UploadId {
    tree.upload_open(&path(at), of(size)).await.unwrap().id
}

async fn send(tree: &Tree, id: UploadId, from: usize, bytes: &[u8]) -> UploadSession {
    let mut appender = tree.upload_append(id, from as u64).await.unwrap();
    for piece in bytes.chunks(99_991) {
        appender.push(Bytes::copy_from_slice(piece)).await.unwrap();
    }
    appender.pause().await.unwrap()
}

async fn refused<T>(verb: impl Future<Output = Result<T, UploadError>>) -> UploadError {
    verb.await.err().expect("a refusal")
}

fn is_not_found(error: &UploadError) -> bool {
    matches!(error, UploadError::Tree(Error::NotFound))
}

#[tokio::test]
async fn what_is_sent_in_parts_becomes_one_file_like_any_other() {
    let f = Fixture::new().await;
    for size in [0, 1, 8192, 8193, 700_000, 3 * MIB] {
        let bytes = noise(size);
        let whole = f.put("/whole", &bytes).await;
        let id = begin(&f.tree, "/parts", size).await;
        let cuts = [0, size / 3, size / 3, size / 2, size];
        for part in cuts.windows(2) {
            let session = send(&f.tree, id, part[0], &bytes[part[0]..part[1]]).await;
            assert_eq!(session.received, part[1] as u64);
            assert_eq!(f.tree.upload_get(id).await.unwrap(), session);
        }
        let written = f.tree.upload_finish(id, None).await.unwrap();
        // Equal bytes are one content, so the cuts are the same.
        assert_eq!(written.node.content, whole.content, "{size}");
        assert!(read(&f.tree, "/parts").await.unwrap() == bytes);
    }
}

#[tokio::test]
async fn nothing_is_seen_before_the_end_and_what_was_stated_at_the_beginning_holds_then() {
    let f = Fixture::new().await;
    let first = f.put("/documents/a", b"first").await;
    let new = NewUpload {
        base: Base::Content(first.content.unwrap()),
        modified: Some(Millis(5000)),
        created: Some(Millis(4000)),
        checksum: Checksum::parse("MD5:5d41402abc4b2a76b9719d911017c592"),
        ..of(5)
    };
    let at = path("/documents/a");
    let session = f.tree.upload_open(&at, new.clone()).await.unwrap();
    assert_eq!((session.received, session.size), (0, 5));
    assert_eq!(session.expires, Millis(START).plus(UPLOAD_LIFETIME));
    assert_eq!(session.path, at);
    send(&f.tree, session.id, 0, b"hello").await;
    assert_eq!(f.text("/documents/a").await, "first");
    assert_eq!(f.names("/documents").await, ["a"]);

    let written = f.tree.upload_finish(session.id, None).await.unwrap();

    assert!(!written.created && written.conflict.is_none());
    let node = f.tree.lookup(&at).await.unwrap();
    assert_eq!((node.modified, node.created), (Millis(5000), Millis(4000)));
    assert_eq!(
        node.checksum.unwrap(),
        "MD5:5d41402abc4b2a76b9719d911017c592"
    );
    assert_eq!(f.text("/documents/a").await, "hello");

    // The same base once more is one that was overtaken, as with any write.
    let again = NewUpload {
        modified: Some(Millis(9000)),
        checksum: None,
        ..new
    };
    let id = f.tree.upload_open(&at, again).await.unwrap().id;
    send(&f.tree, id, 0, b"other").await;
    let written = f.tree.upload_finish(id, None).await.unwrap();
    let copy = written.conflict.clone().unwrap();
    assert!(copy.name.contains(".conflict-"));
    same(&f.tree.upload_finish(id, None).await.unwrap(), &written);
}

#[tokio::test]
async fn bytes_that_have_not_the_stated_root_become_no_file() {
    let f = Fixture::new().await;
    for size in [5, 200_000] {
        let bytes = noise(size);
        let written = put(&f.tree, "/whole", &bytes, Write::default())
            .await
            .unwrap();
        let facts = f.tree.content_facts(written.content).await.unwrap();
        for (root, fits) in [(Blinded([7; 16]), false), (facts.root, true)] {
            let id = begin(&f.tree, "/a", size).await;
            send(&f.tree, id, 0, &bytes).await;
            let finished = f.tree.upload_finish(id, Some(root)).await;
            let found = f.tree.lookup(&path("/a")).await;
            if fits {
                assert_eq!(found.unwrap().id, finished.unwrap().node.id);
                f.tree.remove(&path("/a")).await.unwrap();
            } else {
                let refused = finished.unwrap_err();
                assert!(matches!(refused, UploadError::Tree(Error::Checksum)));
                assert!(found.is_err());
                assert!(f.tree.upload_get(id).await.is_err(), "it is of no use");
            }
        }
    }
}

fn same(one: &Written, other: &Written) {
    assert_eq!(one.created, other.created);
    let all = |written: &Written| {
        [Some(&written.node), written.conflict.as_ref()].map(|node| format!("{node:?}"))
    };
    assert_eq!(all(one), all(other));
}

#[tokio::test]
async fn finishing_again_gives_the_first_answer_and_changes_nothing() {
    let f = Fixture::new().await;
    let id = begin(&f.tree, "/a", 5).await;
    send(&f.tree, id, 0, b"hello").await;
    let written = f.tree.upload_finish(id, None).await.unwrap();
    assert!(written.created);
    f.put("/a", b"somebody else").await;
    f.pass(1000);

    same(&f.tree.upload_finish(id, None).await.unwrap(), &written);

    assert_eq!(f.text("/a").await, "somebody else");
    assert!(f.tree.upload_get(id).await.unwrap().finished);
    assert!(f.tree.upload_list().await.unwrap().is_empty());
    let more = refused(f.tree.upload_append(id, 5)).await;
    assert!(matches!(more, UploadError::Finished), "{more}");
}

#[tokio::test]
async fn one_who_gives_up_waiting_for_the_end_and_asks_again_gets_one_file() {
    let f = Fixture::new().await;
    for micros in (0..6000).step_by(300) {
        let name = format!("/{micros}");
        let id = begin(&f.tree, &name, 5).await;
        send(&f.tree, id, 0, b"hello").await;
        let patience = Duration::from_micros(micros);
        let first = tokio::time::timeout(patience, f.tree.upload_finish(id, None)).await;
        let (one, other) = tokio::join!(
            f.tree.upload_finish(id, None),
            f.tree.upload_finish(id, None)
        );
        let (one, other) = (one.unwrap(), other.unwrap());
        same(&one, &other);
        if let Ok(first) = first {
            same(&one, &first.unwrap());
        }
        assert!(one.created && one.node.version == 1);
        assert_eq!(f.tree.lookup(&path(&name)).await.unwrap().id, one.node.id);
    }
}

#[tokio::test]
async fn bytes_must_follow_those_that_are_there_and_be_as_many_as_announced() {
    let f = Fixture::new().await;
    let id = begin(&f.tree, "/a", 10).await;
    send(&f.tree, id, 0, b"hello").await;
    for wrong in [0, 4, 6, 11, u64::MAX] {
        let refused = refused(f.tree.upload_append(id, wrong)).await;
        assert!(
            matches!(refused, UploadError::Offset { received: 5 }),
            "{refused}"
        );
    }
    let early = refused(f.tree.upload_finish(id, None)).await;
    let all = matches!(
        early,
        UploadError::Incomplete {
            received: 5,
            size: 10
        }
    );
    assert!(all, "{early}");

    let mut appender = f.tree.upload_append(id, 5).await.unwrap();
    appender.push(Bytes::from_static(b" wo")).await.unwrap();
    let long = refused(appender.push(Bytes::from_static(b"rld"))).await;
    assert!(matches!(long, UploadError::TooLong { size: 10 }), "{long}");
    assert_eq!(appender.pause().await.unwrap().received, 8);
    send(&f.tree, id, 8, b"rl").await;
    f.tree.upload_finish(id, None).await.unwrap();
    assert_eq!(f.text("/a").await, "hello worl");
}

#[tokio::test]
async fn what_arrived_of_a_broken_body_counts() {
    let f = Fixture::new().await;
    let bytes = noise(2 * MIB);
    let id = begin(&f.tree, "/a", bytes.len()).await;
    let mut appender = f.tree.upload_append(id, 0).await.unwrap();
    for piece in bytes[..MIB + 17].chunks(50_000) {
        appender.push(Bytes::copy_from_slice(piece)).await.unwrap();
    }
    drop(appender);
    // The next request waits until that is saved.
    let early = refused(f.tree.upload_append(id, 0)).await;
    assert!(
        matches!(early, UploadError::Offset { received } if received == MIB as u64 + 17),
        "{early}"
    );
    send(&f.tree, id, MIB + 17, &bytes[MIB + 17..]).await;
    f.tree.upload_finish(id, None).await.unwrap();
    assert!(read(&f.tree, "/a").await.unwrap() == bytes);
}

#[tokio::test]
async fn one_sends_at_a_time_and_one_who_sends_nothing_is_put_off() {
    let f = Fixture::new().await;
    let id = begin(&f.tree, "/a", 10).await;
    let mut first = f.tree.upload_append(id, 0).await.unwrap();
    first.push(Bytes::from_static(b"hello")).await.unwrap();
    let second = refused(f.tree.upload_append(id, 0)).await;
    assert!(matches!(second, UploadError::Busy), "{second}");
    let finish = refused(f.tree.upload_finish(id, None)).await;
    assert!(matches!(finish, UploadError::Busy), "{finish}");
    // Another upload is not concerned.
    let beside = begin(&f.tree, "/b", 1).await;
    send(&f.tree, beside, 0, b"b").await;

    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(61)).await;
    tokio::time::resume();

    let mut second = f.tree.upload_append(id, 5).await.unwrap();
    let late = refused(first.push(Bytes::from_static(b"x"))).await;
    assert!(matches!(late, UploadError::Paused), "{late}");
    second.push(Bytes::from_static(b"12345")).await.unwrap();
    second.pause().await.unwrap();
    f.tree.upload_finish(id, None).await.unwrap();
    assert_eq!(f.text("/a").await, "hello12345");
}

#[tokio::test]
async fn false_bytes_end_an_upload_and_a_false_time_does_not() {
    let f = Fixture::new().await;
    let claimed = NewUpload {
        checksum: Checksum::parse("MD5:5d41402abc4b2a76b9719d911017c592"),
        ..of(5)
    };
    let at = path("/a");
    let id = f.tree.upload_open(&at, claimed).await.unwrap().id;
    send(&f.tree, id, 0, b"hellp").await;
    let refusal = refused(f.tree.upload_finish(id, None)).await;
    assert!(
        matches!(refusal, UploadError::Tree(Error::Checksum)),
        "{refusal}"
    );
    assert!(is_not_found(&refused(f.tree.upload_get(id)).await));
    assert!(matches!(f.tree.lookup(&at).await, Err(Error::NotFound)));

    // What another can put right is tried again.
    f.tree.mkdir(&path("/folder"), None).await.unwrap();
    let id = begin(&f.tree, "/folder/b", 1).await;
    send(&f.tree, id, 0, b"b").await;
    f.tree.remove(&path("/folder")).await.unwrap();
    let refusal = refused(f.tree.upload_finish(id, None)).await;
    assert!(
        matches!(refusal, UploadError::Tree(Error::NoParent)),
        "{refusal}"
    );
    f.tree.mkdir(&path("/folder"), None).await.unwrap();
    f.tree.upload_finish(id, None).await.unwrap();
    assert_eq!(f.text("/folder/b").await, "b");
}

#[tokio::test]
async fn an_upload_can_be_given_up_even_while_somebody_sends() {
    let f = Fixture::new().await;
    let id = begin(&f.tree, "/a", 10).await;
    let mut appender = f.tree.upload_append(id, 0).await.unwrap();
    appender.push(Bytes::from_static(b"hello")).await.unwrap();
    f.tree.upload_abort(id).await.unwrap();
    assert!(is_not_found(&refused(appender.pause()).await));
    for refusal in [
        refused(f.tree.upload_get(id)).await,
        refused(f.tree.upload_append(id, 0)).await,
        refused(f.tree.upload_abort(id)).await,
        refused(f.tree.upload_finish(id, None)).await,
    ] {
        assert!(is_not_found(&refusal), "{refusal}");
    }
    assert!(f.tree.upload_list().await.unwrap().is_empty());
}

#[tokio::test]
async fn uploads_belong_to_their_account() {
    let f = Fixture::new().await;
    let id = begin(&f.tree, "/shared/a", 1).await;
    for refusal in [
        refused(f.other.upload_get(id)).await,
        refused(f.other.upload_append(id, 0)).await,
        refused(f.other.upload_finish(id, None)).await,
        refused(f.other.upload_abort(id)).await,
    ] {
        assert!(is_not_found(&refusal), "{refusal}");
    }
    assert!(f.other.upload_list().await.unwrap().is_empty());
    send(&f.tree, id, 0, b"x").await;
    f.tree.upload_finish(id, None).await.unwrap();
    assert_eq!(read(&f.other, "/shared/a").await.unwrap(), b"x");
}

#[tokio::test]
async fn an_upload_nobody_uses_is_forgotten_after_its_lifetime() {
    let f = Fixture::new().await;
    let week = i64::try_from(UPLOAD_LIFETIME.as_millis()).unwrap();
    let (used, unused) = (begin(&f.tree, "/a", 2).await, begin(&f.tree, "/b", 2).await);
    f.pass(week / 2);
    send(&f.tree, used, 0, b"1").await;
    f.pass(week / 2 + 1);
    assert!(is_not_found(&refused(f.tree.upload_get(unused)).await));
    assert!(is_not_found(
        &refused(f.tree.upload_append(unused, 0)).await
    ));
    let listed = f.tree.upload_list().await.unwrap();
    assert_eq!(listed.iter().map(|one| one.id).collect::<Vec<_>>(), [used]);
    send(&f.tree, used, 1, b"2").await;
    f.tree.upload_finish(used, None).await.unwrap();
    // A finished one is remembered for as long.
    f.pass(week);
    f.tree.upload_finish(used, None).await.unwrap();
    f.pass(1);
    assert!(is_not_found(
        &refused(f.tree.upload_finish(used, None)).await
    ));
}

#[tokio::test]
async fn what_is_under_way_counts_against_the_quota() {
    let f = Fixture::with_quota(Some(10_000)).await;
    f.put("/a", &[1; 5000]).await;
    let first = begin(&f.tree, "/b", 4000).await;
    let over = refused(f.tree.upload_open(&path("/c"), of(1001))).await;
    let UploadError::Tree(Error::QuotaExceeded { used, quota }) = over else {
        panic!("{over}");
    };
    assert_eq!((used, quota), (10_001, 10_000));
    // What it would replace does not count, nor does what lies elsewhere.
    begin(&f.tree, "/shared/d", 50_000).await;
    let replacing = begin(&f.tree, "/a", 6000).await;
    f.tree.upload_abort(replacing).await.unwrap();

    // Whoever writes meanwhile is not held up; the end has the last word.
    send(&f.tree, first, 0, &[2; 4000]).await;
    f.put("/e", &[3; 2000]).await;
    let over = refused(f.tree.upload_finish(first, None)).await;
    assert!(
        matches!(over, UploadError::Tree(Error::QuotaExceeded { .. })),
        "{over}"
    );
    f.tree.remove(&path("/e")).await.unwrap();
    f.tree.upload_finish(first, None).await.unwrap();
    begin(&f.tree, "/c", 1000).await;
}

#[tokio::test]
async fn uploads_are_limited_in_number_and_go_only_where_a_file_can_be() {
    let f = Fixture::new().await;
    for (at, size) in [("/none/a", 1), ("/documents", 1), ("/", 1), ("/a", 1 << 45)] {
        let refusal = refused(f.tree.upload_open(&path(at), of(size))).await;
        let as_told = match at {
            "/none/a" => matches!(refusal, UploadError::Tree(Error::NoParent)),
            "/documents" => matches!(refusal, UploadError::Tree(Error::IsACollection)),
            "/" => matches!(refusal, UploadError::Tree(Error::Forbidden(_))),
            _ => matches!(refusal, UploadError::Tree(Error::TooLarge(_))),
        };
        assert!(as_told, "{at}: {refusal}");
    }
    let mut last = None;
    for _ in 0..UPLOADS_MAX {
        last = Some(begin(&f.tree, "/a", 1).await);
    }
    let refusal = refused(f.tree.upload_open(&path("/a"), of(1))).await;
    assert!(matches!(refusal, UploadError::TooMany), "{refusal}");
    f.other.upload_open(&path("/a"), of(1)).await.unwrap();
    // A finished one is not under way.
    send(&f.tree, last.unwrap(), 0, b"x").await;
    f.tree.upload_finish(last.unwrap(), None).await.unwrap();
    begin(&f.tree, "/a", 1).await;
}

#[tokio::test]
async fn the_bytes_of_an_unfinished_upload_never_lie_in_clear() {
    let folder = tempfile::tempdir().unwrap();
    let tree = killed::opened(folder.path(), None).await;
    let bytes = noise(100_000);
    let id = begin(&tree, "/a", 200_000).await;
    send(&tree, id, 0, &bytes).await;
    let mut files = vec![folder.path().to_owned()];
    let mut read = 0;
    while let Some(file) = files.pop() {
        if file.is_dir() {
            files.extend(
                std::fs::read_dir(&file)
                    .unwrap()
                    .map(|one| one.unwrap().path()),
            );
            continue;
        }
        let found = std::fs::read(&file).unwrap();
        read += found.len();
        for at in [0, 50_000, 99_984] {
            let secret = &bytes[at..at + 16];
            assert!(
                !found.windows(16).any(|window| window == secret),
                "{file:?}"
            );
        }
    }
    // What waits for its chunk is in a row, and those of PostgreSQL lie elsewhere.
    let elsewhere = testing::database(folder.path()).is_shared();
    assert!(
        elsewhere || read > 100_000,
        "the search sees what was stored"
    );
}

#[tokio::test]
async fn conditions_of_other_writers_see_only_finished_uploads() {
    let f = Fixture::new().await;
    let id = begin(&f.tree, "/a", 1).await;
    send(&f.tree, id, 0, b"1").await;
    let absent = || Write {
        when: Precondition::Absent,
        ..Write::default()
    };
    put(&f.tree, "/a", b"2", absent()).await.unwrap();
    f.tree.remove(&path("/a")).await.unwrap();
    f.tree.upload_finish(id, None).await.unwrap();
    let refused = put(&f.tree, "/a", b"2", absent()).await;
    assert!(matches!(refused, Err(Error::PreconditionFailed)));
}
