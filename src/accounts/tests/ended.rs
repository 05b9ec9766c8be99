//! What is over and forgotten: log-ins, pairing codes, pairings of watches.

use std::time::Duration;

use super::fixture::{DAY, HOME, Server};
use crate::accounts::{LoginError, forget_ended};

const MS: Duration = Duration::from_millis(1);
const MINUTES: Duration = Duration::from_mins(10);

async fn forget(server: &Server) -> u64 {
    let now = server.now();
    let forgotten = server
        .store
        .meta
        .write(move |tx| Box::pin(async move { forget_ended(tx, now).await }));
    forgotten.await.unwrap()
}

#[tokio::test]
async fn codes_and_pairings_go_when_their_ten_minutes_are_over() {
    let (server, alice) = Server::alice().await;
    server.accounts.pairing_code(alice, None).await.unwrap();
    server.accounts.watch_pair(HOME, None).await.unwrap();
    server.pass(MINUTES.saturating_sub(MS));
    assert_eq!(forget(&server).await, 0);
    server.pass(MS);
    assert_eq!(forget(&server).await, 2);
    assert_eq!(forget(&server).await, 0);
}

#[tokio::test]
async fn a_log_in_goes_ninety_days_after_its_last_refresh() {
    let (server, _) = Server::alice().await;
    let (used, unused) = (server.phone().await, server.phone().await);
    server.pass(DAY);
    let used = server.accounts.refresh(&used.refresh).await.unwrap();
    server.pass((DAY * 89).saturating_sub(MS));
    assert_eq!(forget(&server).await, 0);
    server.pass(MS);
    assert_eq!(forget(&server).await, 1);
    let gone = server.accounts.refresh(&unused.refresh).await;
    assert!(matches!(gone, Err(LoginError::Ended)));
    server.accounts.refresh(&used.refresh).await.unwrap();
}
