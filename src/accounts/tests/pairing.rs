//! Tests of pairing codes.

use std::time::Duration;

use futures_util::future::join_all;

use super::fixture::{AWAY, HOME, PASSWORD, Server};
use crate::accounts::{DeviceKind, Error, Failures, LoginError, Tokens};
use crate::types::AccountId;

const WRONG: &str = "AAAAAAAA";

async fn code(server: &Server, account: AccountId) -> String {
    server
        .accounts
        .pairing_code(account, None)
        .await
        .unwrap()
        .code
}

fn is_wrong(result: &Result<Tokens, LoginError>) -> bool {
    matches!(result, Err(LoginError::Wrong))
}

fn is_limited(result: &Result<Tokens, LoginError>) -> bool {
    matches!(result, Err(LoginError::Limited { .. }))
}

#[tokio::test]
async fn a_code_lets_one_device_in_to_its_account() {
    let (server, alice) = Server::alice().await;
    let bob = server.add("bob").await.unwrap();
    let made = server.accounts.pairing_code(alice, None).await.unwrap();
    assert_eq!((made.code.len(), made.expires_in), (8, 600));

    let tokens = server.pair(AWAY, &made.code).await.unwrap();

    let device = tokens.device.clone().unwrap();
    assert_eq!(
        (device.name.as_str(), device.kind),
        ("laptop", DeviceKind::Linux)
    );
    assert_eq!((tokens.account, tokens.name.as_str()), (alice, "alice"));
    assert_eq!(
        server.session(&tokens).await.unwrap().device,
        Some(device.id)
    );
    assert!(is_wrong(&server.pair(AWAY, &made.code).await));
    let devices = server.accounts.device_list(alice).await.unwrap();
    assert_eq!(devices.len(), 1);
    assert!(server.accounts.device_list(bob).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_code_works_as_people_type_it() {
    let (server, alice) = Server::alice().await;
    let code = code(&server, alice).await.to_lowercase();
    let typed = format!("{} - {}", &code[..4], &code[4..]);
    assert!(server.pair(HOME, &typed).await.is_ok());
}

#[tokio::test]
async fn a_code_holds_for_ten_minutes() {
    let (server, alice) = Server::alice().await;
    let (early, late) = (code(&server, alice).await, code(&server, alice).await);
    server.pass(Duration::from_millis(599_999));
    assert!(server.pair(HOME, &early).await.is_ok());
    server.pass(Duration::from_millis(1));
    assert!(is_wrong(&server.pair(HOME, &late).await));
}

#[tokio::test]
async fn a_fourth_code_ends_the_first_of_this_account_only() {
    let (server, alice) = Server::alice().await;
    let bob = server.add("bob").await.unwrap();
    let foreign = code(&server, bob).await;
    let mut codes = Vec::new();
    for _ in 0..4 {
        server.pass(Duration::from_secs(1));
        codes.push(code(&server, alice).await);
    }
    assert!(is_wrong(&server.pair(HOME, &codes[0]).await));
    for code in &codes[1..] {
        assert!(server.pair(HOME, code).await.is_ok());
    }
    assert_eq!(server.pair(HOME, &foreign).await.unwrap().account, bob);
}

#[tokio::test]
async fn a_code_made_by_one_process_is_taken_by_another_and_after_a_restart() {
    let (server, alice) = Server::alice().await;
    let made = server
        .elsewhere()
        .pairing_code(alice, None)
        .await
        .unwrap()
        .code;
    assert!(server.pair(HOME, &made).await.is_ok());
    let kept = code(&server, alice).await;
    let server = server.restart().await;
    assert!(server.pair(HOME, &kept).await.is_ok());
}

#[tokio::test]
async fn five_wrong_codes_stop_pairing_from_a_network_for_ten_minutes() {
    let (server, alice) = Server::alice().await;
    let (kept, other) = (code(&server, alice).await, code(&server, alice).await);
    for _ in 0..5 {
        assert!(is_wrong(&server.pair(HOME, WRONG).await));
    }

    let refused = server.pair(HOME, &kept).await;

    let Err(LoginError::Limited { retry_after }) = refused else {
        panic!("{refused:?}")
    };
    assert_eq!(retry_after, Duration::from_mins(10));
    let expected = Failures {
        wrong: 5,
        limited: 1,
        ..Failures::default()
    };
    assert_eq!(server.accounts.failures(), expected);
    assert!(server.pair(AWAY, &other).await.is_ok());
    assert!(server.register(HOME, PASSWORD, "phone").await.is_ok());
    server.pass(Duration::from_mins(10));
    let fresh = code(&server, alice).await;
    assert!(server.pair(HOME, &fresh).await.is_ok());
}

#[tokio::test]
async fn codes_at_once_do_not_slip_past_the_limit() {
    let (server, _alice) = Server::alice().await;
    let all = join_all((0..30).map(|_| server.pair(HOME, WRONG))).await;
    assert_eq!(all.iter().filter(|result| is_wrong(result)).count(), 5);
    assert_eq!(all.iter().filter(|result| is_limited(result)).count(), 25);
}

#[tokio::test]
async fn right_codes_neither_count_nor_forgive_wrong_ones() {
    let (server, alice) = Server::alice().await;
    for _ in 0..4 {
        assert!(is_wrong(&server.pair(HOME, WRONG).await));
    }
    for _ in 0..6 {
        let code = code(&server, alice).await;
        assert!(server.pair(HOME, &code).await.is_ok());
    }
    assert!(is_wrong(&server.pair(HOME, WRONG).await));
    assert!(is_limited(&server.pair(HOME, WRONG).await));
}

#[tokio::test]
async fn a_changed_password_ends_open_codes() {
    let (server, alice) = Server::alice().await;
    let code = code(&server, alice).await;
    let accounts = &server.accounts;
    accounts
        .set_password("alice", "another horse")
        .await
        .unwrap();
    assert!(is_wrong(&server.pair(HOME, &code).await));
}

#[tokio::test]
async fn a_removed_account_has_no_codes() {
    let (server, alice) = Server::alice().await;
    let code = code(&server, alice).await;
    server.accounts.remove("alice").await.unwrap();
    assert!(is_wrong(&server.pair(HOME, &code).await));
    let none = server.accounts.pairing_code(alice, None).await;
    assert!(matches!(none, Err(Error::NotFound)));
}

#[tokio::test]
async fn a_log_in_that_has_ended_elsewhere_makes_no_codes_any_more() {
    let (server, alice) = Server::alice().await;
    let session = server.session(&server.phone().await).await.unwrap();
    let others = server.elsewhere();
    others.set_password("alice", "another horse").await.unwrap();

    let refused = server.accounts.pairing_code(alice, session.family).await;

    assert!(matches!(refused, Err(Error::LoggedOut)));
}
