//! A check beside others who write, delete and collect: it finds nothing.

use std::sync::atomic::{AtomicBool, Ordering};

use super::fixture::{Bench, noise, path};

/// How often it is checked.
const CHECKS: usize = 12;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn checks_beside_writers_and_collection_find_nothing() {
    let bench = Bench::full().await;
    let done = AtomicBool::new(false);
    let writing = async |nth: u64| {
        let mut round = 0;
        while !done.load(Ordering::Relaxed) {
            let at = format!("/a/{nth}");
            let len = 9_000 + usize::try_from(round % 5).unwrap() * 30_000;
            bench.put(&at, &noise(100 * nth + round % 7, len)).await;
            bench.put(&format!("/c/s{nth}"), &noise(round, 50)).await;
            if round % 3 == 0 {
                let node = bench.node(&at).await;
                bench.tree.remove(&path(&at)).await.unwrap();
                bench.tree.purge(node.id).await.unwrap();
            }
            let folder = path(&format!("/a/b/f{nth}"));
            bench.tree.mkdir(&folder, None).await.unwrap();
            bench.tree.remove(&folder).await.unwrap();
            round += 1;
        }
        assert!(round > 0);
    };
    let collecting = async {
        let mut rounds = 0;
        while !done.load(Ordering::Relaxed) {
            bench.collect().await;
            rounds += 1;
        }
        assert!(rounds > 0);
    };
    let checking = async {
        for nth in 0..CHECKS {
            let (found, _) = bench.fsck(nth % 2 == 0, nth % 3 == 0).await;
            assert_eq!(found, [], "check {nth}");
        }
        done.store(true, Ordering::Relaxed);
    };
    tokio::join!(writing(1), writing(2), collecting, checking);
    assert_eq!(bench.kinds().await, []);
}
