//! A round that ends anywhere leaves nothing that the next one does not clear, and nothing missing.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;

use tokio_util::sync::CancellationToken;

use super::fixture::{Fixture, Side, at_once, noise};
use crate::jobs::collect::round;

const LEN: usize = 300_000;

/// Lets a future go on for so many steps, each up to where it waits, and gives it up then.
async fn steps<F: Future>(future: F, mut left: usize) -> Option<F::Output> {
    let mut future = pin!(future);
    poll_fn(move |context| match future.as_mut().poll(context) {
        Poll::Ready(done) => Poll::Ready(Some(done)),
        Poll::Pending if left == 0 => Poll::Ready(None),
        Poll::Pending => {
            left -= 1;
            Poll::Pending
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_round_that_is_killed_at_any_step_loses_nothing_and_is_made_up_for() {
    let f = Fixture::new().await;
    let (kept, mut nth) = (noise(0, LEN), 0);
    f.side.put("/kept", &kept).await;
    f.side.store.close().await;
    let mut finished = 0;
    // Each life of the server does a part of a round more than the one before, until it does all four.
    while finished < 4 {
        let side = Side::open(f.folder.path()).await;
        side.believe_dead().await;
        side.put("/gone", &noise(1 + nth as u64, 2 * LEN)).await;
        side.close_segments().await;
        side.purge("/gone").await;
        let stop = CancellationToken::new();
        let how = at_once();
        let rounds = async {
            for _ in 0..4 {
                round(&side.store, &how, &stop).await.unwrap();
                side.beat().await;
            }
        };
        finished += usize::from(steps(rounds, nth).await.is_some());
        // no clean stop: nothing is said, nothing closed
        drop(side);
        let again = Side::open(f.folder.path()).await;
        again.believe_dead().await;
        assert_eq!(again.read("/kept").await, kept, "after {nth} steps");
        again.store.close().await;
        nth += 3;
        assert!(nth < 3000, "it never ends");
    }
    let side = Side::open(f.folder.path()).await;
    side.believe_dead().await;
    side.collect().await;
    assert!(f.stored() < 2 * LEN as u64, "{}", f.stored());
    assert_eq!(side.read("/kept").await, kept);
}
