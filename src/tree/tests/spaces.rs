//! The shared space, and what crosses between spaces.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;

use futures_util::future::join;

use super::fixture::{Fixture, path, put, read};
use crate::tree::{Error, Overwrite, PageEnd, Reach, Tree, With, Write};
use crate::types::{NodeId, NodeName};

#[tokio::test]
async fn what_one_account_shares_the_other_sees() {
    let f = Fixture::new().await;
    f.put("/shared/a", b"for all").await;
    assert_eq!(read(&f.other, "/shared/a").await.unwrap(), b"for all");
    put(&f.other, "/shared/a", b"changed", Write::default())
        .await
        .unwrap();
    assert_eq!(f.text("/shared/a").await, "changed");
    f.put("/mine", b"mine").await;
    assert!(matches!(
        read(&f.other, "/mine").await,
        Err(Error::NotFound)
    ));
}

#[tokio::test]
async fn a_collection_moves_into_another_space_and_back() {
    let f = Fixture::new().await;
    f.tree.mkdir(&path("/a"), None).await.unwrap();
    f.tree.mkdir(&path("/a/b"), None).await.unwrap();
    let big = vec![7_u8; 300_000];
    f.put("/a/b/big", &big).await;
    f.put("/a/small", b"small").await;

    f.tree
        .rename(&path("/a"), &path("/shared/a"), Overwrite::No)
        .await
        .unwrap();

    assert_eq!(read(&f.other, "/shared/a/b/big").await.unwrap(), big);
    assert_eq!(f.tree.lookup(&path("/shared")).await.unwrap().size, 300_005);
    assert!(matches!(
        f.tree.lookup(&path("/a")).await,
        Err(Error::NotFound)
    ));

    f.tree
        .rename(&path("/shared/a/b"), &path("/b"), Overwrite::No)
        .await
        .unwrap();
    assert_eq!(read(&f.tree, "/b/big").await.unwrap(), big);
    assert_eq!(f.tree.lookup(&path("/shared")).await.unwrap().size, 5);
}

#[tokio::test]
async fn a_copy_into_another_space_over_a_file_is_its_next_version() {
    let f = Fixture::new().await;
    f.put("/shared/a", b"old").await;
    f.put("/a", b"new").await;
    let refused = f
        .tree
        .copy(&path("/a"), &path("/shared/a"), Overwrite::No, Reach::Deep)
        .await;
    assert!(matches!(refused, Err(Error::Exists)));
    f.tree
        .copy(&path("/a"), &path("/shared/a"), Overwrite::Yes, Reach::Deep)
        .await
        .unwrap();
    let node = f.tree.lookup(&path("/shared/a")).await.unwrap();
    assert_eq!(f.tree.versions(&node).await.unwrap().len(), 2);
    assert_eq!(f.text("/shared/a").await, "new");
    assert_eq!(f.text("/a").await, "new");
}

#[tokio::test]
async fn many_who_ask_at_once_do_not_wait_for_each_other() {
    let f = Fixture::new().await;
    let root = path("/");
    for _ in 0..20 {
        f.tree.store.mounts.forget();
        let asked = futures_util::future::join_all((0..16).map(|_| f.tree.lookup(&root)));
        let answered = tokio::time::timeout(std::time::Duration::from_secs(10), asked).await;
        assert!(answered.unwrap().iter().all(Result::is_ok));
    }
}

#[tokio::test]
async fn an_id_leads_to_what_the_account_sees_and_to_nothing_else() {
    let f = Fixture::new().await;
    let mine = f.put("/documents/mine", b"mine").await.id;
    let ours = f.put("/shared/ours", b"ours").await.id;

    assert_eq!(f.tree.by_id(mine).await.unwrap().node.name, "mine");
    for tree in [&f.tree, &f.other] {
        assert_eq!(tree.by_id(ours).await.unwrap().node.name, "ours");
    }
    for (tree, id) in [
        (&f.other, mine),
        (&f.tree, NodeId(-1)),
        (&f.tree, NodeId(i64::MAX)),
    ] {
        assert!(matches!(tree.by_id(id).await, Err(Error::NotFound)));
    }
    f.tree.remove(&path("/documents")).await.unwrap();
    assert!(matches!(f.tree.by_id(mine).await, Err(Error::NotFound)));
}

#[tokio::test]
async fn a_listing_goes_on_behind_any_name() {
    let f = Fixture::new().await;
    for name in ["a", "c"] {
        f.put(&format!("/documents/{name}"), b"x").await;
    }
    let folder = f.tree.lookup(&path("/documents")).await.unwrap();
    for (after, expected) in [("a", &["c"][..]), ("b", &["c"]), ("c", &[])] {
        let after = PageEnd::after(&NodeName::parse(after).unwrap());
        let page = f
            .tree
            .list(&folder, With::default(), Some(after))
            .await
            .unwrap();
        let names: Vec<_> = page.nodes.iter().map(|node| &*node.name).collect();
        assert_eq!(names, expected);
    }
}

/// Writes files into `/a` until `done` is set or the collection is gone; the names of those that were
/// acknowledged.
async fn write_meanwhile(tree: Tree, done: Arc<AtomicBool>) -> Vec<String> {
    let mut written = Vec::new();
    while !done.load(Ordering::SeqCst) {
        let name = format!("n{}", written.len());
        match put(&tree, &format!("/a/{name}"), b"new", Write::default()).await {
            Ok(_) => written.push(name),
            Err(Error::NoParent) => break,
            Err(error) => panic!("{error}"),
        }
    }
    written
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_move_into_another_space_takes_all_that_was_written_meanwhile_or_changes_nothing() {
    let f = Fixture::new().await;
    f.tree.mkdir(&path("/a"), None).await.unwrap();
    f.put("/a/big", &vec![7_u8; 3_000_000]).await;
    let done = Arc::new(AtomicBool::new(false));
    let writer = tokio::spawn(write_meanwhile(f.tree.clone(), Arc::clone(&done)));
    while f.tree.lookup(&path("/a/n1")).await.is_err() {
        tokio::task::yield_now().await;
    }

    let to = path("/shared/a");
    let moved = f.tree.rename(&path("/a"), &to, Overwrite::No).await;

    done.store(true, Ordering::SeqCst);
    let written = writer.await.unwrap();
    let (there, gone) = match moved {
        Ok(_) => ("/shared/a", "/a"),
        Err(Error::Store(crate::store::Error::Busy)) => ("/a", "/shared/a"),
        Err(error) => panic!("{error}"),
    };
    assert!(matches!(
        f.tree.lookup(&path(gone)).await,
        Err(Error::NotFound)
    ));
    for name in ["big"]
        .into_iter()
        .chain(written.iter().map(String::as_str))
    {
        let at = path(&format!("{there}/{name}"));
        assert!(f.tree.lookup(&at).await.is_ok(), "{at}");
    }
    f.tree
        .rename(&path(there), &path("/documents/a"), Overwrite::No)
        .await
        .unwrap();
}

/// Goes on with a future until it has waited so many times; what it gave when it ended before.
async fn begin<F: Future + Unpin>(future: &mut F, mut waits: usize) -> Option<F::Output> {
    let step = poll_fn(|context| match Pin::new(&mut *future).poll(context) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending if waits == 0 => Poll::Ready(None),
        Poll::Pending => {
            waits -= 1;
            Poll::Pending
        }
    });
    step.await
}

#[tokio::test]
async fn a_move_into_another_space_succeeds_although_somebody_writes_once_meanwhile() {
    let f = Fixture::new().await;
    let mut written = 0;
    // Each time the write begins a step later, until the move is over by then.
    for waits in 0.. {
        let (from, to) = (format!("/{waits}"), format!("/shared/{waits}"));
        f.tree.mkdir(&path(&from), None).await.unwrap();
        f.put(&format!("{from}/big"), &vec![7; 300_000]).await;
        let (source, target) = (path(&from), path(&to));
        let mut moving = Box::pin(f.tree.rename(&source, &target, Overwrite::No));
        if let Some(moved) = begin(&mut moving, waits).await {
            moved.unwrap();
            break;
        }
        let new = format!("{from}/new");
        let writing = put(&f.tree, &new, b"new", Write::default());

        let (put, moved) = join(writing, moving).await;

        moved.unwrap();
        match put {
            Ok(_) => {
                assert_eq!(f.text(&format!("{to}/new")).await, "new");
                written += 1;
            }
            Err(Error::NoParent) => {}
            Err(error) => panic!("{error}"),
        }
        let left = f.tree.lookup(&source).await;
        assert!(matches!(left, Err(Error::NotFound)));
    }
    assert!(written > 0);
}
