//! Tests of access tokens on requests.

use std::time::Duration;

use super::fixture::{DAY, HOME, PASSWORD, Server};
use crate::accounts::{Denied, DeviceKind, Failures, LoginError};
use crate::store;
use crate::store::meta::accounts;

#[tokio::test]
async fn an_access_token_is_good_for_fifteen_minutes_of_the_servers_clock() {
    let (server, _alice) = Server::alice().await;
    let phone = server.phone().await;
    let accounts = &server.accounts;
    server.pass(Duration::from_millis(899_999));
    assert!(server.is_in(&phone).await);

    server.pass(Duration::from_millis(1));

    let late = accounts.verify_bearer(HOME, &phone.access).await;
    assert!(matches!(late, Err(Denied::Expired)), "{late:?}");
    assert_eq!(accounts.failures().expired, 1);
}

#[tokio::test]
async fn what_is_no_access_token_of_this_server_is_counted_and_not_limited() {
    let ((server, _), (other, _)) = (Server::alice().await, Server::alice().await);
    let phone = server.phone().await;
    let foreign = other.phone().await;
    for token in ["", "x", &foreign.access, &phone.refresh, PASSWORD] {
        for _ in 0..20 {
            let refused = server.accounts.verify_bearer(HOME, token).await;
            assert!(matches!(refused, Err(Denied::Forged)), "{refused:?}");
        }
    }
    let expected = Failures {
        forged: 100,
        ..Failures::default()
    };
    assert_eq!(server.accounts.failures(), expected);
    assert!(server.is_in(&phone).await);
}

#[tokio::test]
async fn a_revoked_device_is_out_at_once_here_and_soon_elsewhere() {
    let (server, alice) = Server::alice().await;
    let phone = server.phone().await;
    let laptop = server.register(HOME, PASSWORD, "laptop").await.unwrap();
    let elsewhere = server.elsewhere();
    elsewhere.verify_bearer(HOME, &phone.access).await.unwrap();
    assert!(server.is_in(&phone).await);

    let id = phone.device.clone().unwrap().id;
    server.accounts.device_revoke(alice, id).await.unwrap();

    assert!(!server.is_in(&phone).await);
    assert_eq!(server.accounts.failures().ended, 1);
    let refreshed = server.accounts.refresh(&phone.refresh).await;
    assert!(matches!(refreshed, Err(LoginError::Ended)), "{refreshed:?}");
    let soon = server.accounts.recheck();
    server.pass(soon.saturating_sub(Duration::from_millis(1)));
    assert!(elsewhere.verify_bearer(HOME, &phone.access).await.is_ok());
    server.pass(Duration::from_millis(1));
    let late = elsewhere.verify_bearer(HOME, &phone.access).await;
    assert!(matches!(late, Err(Denied::Ended)), "{late:?}");
    assert!(server.is_in(&laptop).await);
}

#[tokio::test]
async fn a_changed_password_ends_all_log_ins_by_token_but_not_app_passwords() {
    let (server, alice) = Server::alice().await;
    server.add("bob").await.unwrap();
    let accounts = &server.accounts;
    let kind = DeviceKind::Webdav;
    let (_, secret) = accounts.device_add(alice, "reader", kind).await.unwrap();
    let bob = accounts.login(HOME, "bob", PASSWORD, None).await.unwrap();
    let all = [
        server.phone().await,
        accounts.login(HOME, "alice", PASSWORD, None).await.unwrap(),
        accounts.login(HOME, "alice", &secret, None).await.unwrap(),
    ];
    for tokens in &all {
        assert!(server.is_in(tokens).await);
    }

    accounts
        .set_password("alice", "another horse")
        .await
        .unwrap();

    for tokens in &all {
        assert!(!server.is_in(tokens).await);
        let refreshed = accounts.refresh(&tokens.refresh).await;
        assert!(matches!(refreshed, Err(LoginError::Ended)), "{refreshed:?}");
    }
    assert!(server.is_in(&bob).await);
    let phone = all[0].device.clone().unwrap().id;
    let again = accounts
        .login(HOME, "alice", "another horse", Some(phone))
        .await;
    assert!(server.is_in(&again.unwrap()).await);
    assert!(accounts.login(HOME, "alice", &secret, None).await.is_ok());
}

#[tokio::test]
async fn a_token_from_before_the_epoch_was_raised_is_refused() {
    let (server, _alice) = Server::alice().await;
    let phone = server.phone().await;
    assert!(server.is_in(&phone).await);

    // As a password change, but the log-in stays.
    let raised = server.store.meta.write::<_, store::Error, _>(|tx| {
        Box::pin(async move { accounts::set_password(tx, "alice", "$argon2id$").await })
    });
    raised.await.unwrap();
    server.pass(Duration::from_secs(5));

    assert!(!server.is_in(&phone).await);
    let next = server.accounts.refresh(&phone.refresh).await.unwrap();
    assert!(server.is_in(&next).await);
}

#[tokio::test]
async fn a_removed_account_is_out_even_when_its_name_is_used_again() {
    let (server, old) = Server::alice().await;
    let phone = server.phone().await;
    assert!(server.is_in(&phone).await);

    server.accounts.remove("alice").await.unwrap();

    assert!(!server.is_in(&phone).await);
    let again = server.add("alice").await.unwrap();
    assert_ne!(again, old);
    assert!(!server.is_in(&phone).await);
    let refreshed = server.accounts.refresh(&phone.refresh).await;
    assert!(matches!(refreshed, Err(LoginError::Ended)), "{refreshed:?}");
    let fresh = server.phone().await;
    assert_eq!(server.session(&fresh).await.unwrap().account, again);
}

#[tokio::test]
async fn whoever_holds_on_to_a_session_hears_of_its_end() {
    let (server, alice) = Server::alice().await;
    let accounts = &server.accounts;
    let (phone, other) = (server.phone().await, server.phone().await);
    let kind = DeviceKind::Webdav;
    let (reader, secret) = accounts.device_add(alice, "reader", kind).await.unwrap();
    let by_token = server.session(&phone).await.unwrap();
    let untouched = server.session(&other).await.unwrap();
    let by_basic = accounts.verify_basic(HOME, "alice", &secret).await.unwrap();
    for session in [&by_token, &by_basic, &untouched] {
        assert!(accounts.still_holds(session).await.unwrap());
    }

    accounts.logout(&by_token).await.unwrap();
    accounts.device_revoke(alice, reader).await.unwrap();

    for session in [&by_token, &by_basic] {
        assert!(!accounts.still_holds(session).await.unwrap());
    }
    // A held session outlives its access token.
    server.pass((90 * DAY).saturating_sub(Duration::from_millis(1)));
    assert!(accounts.still_holds(&untouched).await.unwrap());
    // It does not outlive the log-in; what was true a moment ago holds for five seconds.
    server.pass(Duration::from_secs(5));
    assert!(!accounts.still_holds(&untouched).await.unwrap());
}

#[tokio::test]
async fn a_failure_is_not_logged_with_the_token() {
    let (server, _alice) = Server::alice().await;
    let phone = server.phone().await;
    let log = tempfile::NamedTempFile::new().unwrap();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::DEBUG)
        .with_ansi(false)
        .with_writer(std::sync::Arc::new(log.reopen().unwrap()))
        .finish();
    let guard = tracing::subscriber::set_default(subscriber);

    server.pass(Duration::from_mins(15));
    assert!(!server.is_in(&phone).await);
    drop(guard);

    let text = std::fs::read_to_string(log.path()).unwrap();
    assert!(text.contains("access token from 192.0.2.1"), "{text}");
    assert!(!text.contains(&phone.access), "{text}");
}
