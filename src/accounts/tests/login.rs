//! Tests of devices that log in and out.

use std::net::IpAddr;
use std::time::Duration;

use super::fixture::{AWAY, HOME, PASSWORD, Server};
use crate::accounts::{Credentials, DeviceKind, LoginError, Tokens};
use crate::types::DeviceId;

async fn login(
    server: &Server,
    password: &str,
    device: Option<DeviceId>,
) -> Result<Tokens, LoginError> {
    let accounts = &server.accounts;
    accounts.login(HOME, "alice", password, device).await
}

fn id(tokens: &Tokens) -> DeviceId {
    tokens.device.as_ref().unwrap().id
}

#[tokio::test]
async fn a_device_registers_with_the_password_and_is_logged_in() {
    let (server, alice) = Server::alice().await;

    let tokens = server.register(HOME, PASSWORD, "Pixel").await.unwrap();

    let listed = server.accounts.device_list(alice).await.unwrap();
    let device = tokens.device.clone().unwrap();
    assert_eq!((listed.len(), listed[0].id), (1, device.id));
    assert_eq!(
        (device.name.as_str(), device.kind),
        ("Pixel", DeviceKind::Mobile)
    );
    assert_eq!(
        (tokens.account, tokens.name.as_str(), tokens.admin),
        (alice, "alice", true)
    );
    assert_eq!(tokens.expires_in, 900);
    let session = server.session(&tokens).await.unwrap();
    assert_eq!((session.account, session.device), (alice, Some(device.id)));
    assert_eq!(session.kind, Some(DeviceKind::Mobile));
    assert!(session.admin && session.family.is_some() && session.name == "alice");
    let basic = server.accounts.verify_basic(HOME, "alice", PASSWORD).await;
    assert_eq!(session.space, basic.unwrap().space);
}

#[tokio::test]
async fn watches_and_webdav_clients_come_in_other_ways() {
    let (server, alice) = Server::alice().await;
    let who = Credentials::Password {
        account: "alice",
        password: PASSWORD,
    };
    for kind in DeviceKind::ALL {
        let made = server.accounts.register(HOME, who, "x", kind).await;
        let refused = matches!(made, Err(LoginError::NotAllowed(_)));
        let elsewhere = matches!(kind, DeviceKind::Garmin | DeviceKind::Webdav);
        assert_eq!((refused, made.is_ok()), (elsewhere, !elsewhere), "{kind:?}");
    }
    assert_eq!(server.accounts.device_list(alice).await.unwrap().len(), 3);
}

#[tokio::test]
async fn a_wrong_password_or_name_makes_no_device() {
    let (server, alice) = Server::alice().await;
    let wrong = server.register(HOME, "wrong horse", "phone").await;
    assert!(matches!(wrong, Err(LoginError::Wrong)), "{wrong:?}");
    for name in ["", "a\nb", &"x".repeat(256)] {
        let unnamed = server.register(HOME, PASSWORD, name).await;
        assert!(
            matches!(unnamed, Err(LoginError::DeviceName)),
            "{unnamed:?}"
        );
    }
    assert!(server.accounts.device_list(alice).await.unwrap().is_empty());
    assert_eq!(server.accounts.failures().wrong, 1);
}

#[tokio::test]
async fn an_app_password_makes_no_further_devices() {
    let (server, alice) = Server::alice().await;
    let accounts = &server.accounts;
    let (_, secret) = accounts
        .device_add(alice, "old phone", DeviceKind::Webdav)
        .await
        .unwrap();

    let refused = server.register(HOME, &secret, "phone").await;

    let Err(LoginError::NotAllowed(reason)) = refused else {
        panic!("{refused:?}")
    };
    assert!(reason.contains("app password"), "{reason}");
    assert_eq!(accounts.device_list(alice).await.unwrap().len(), 1);
}

#[tokio::test]
async fn ten_wrong_passwords_stop_registering_and_logging_in_without_a_hash() {
    let (server, _alice) = Server::alice().await;
    for guess in 0..5 {
        let guess = format!("guess {guess}");
        assert!(server.register(HOME, &guess, "phone").await.is_err());
        assert!(login(&server, &guess.to_uppercase(), None).await.is_err());
    }
    let before = server.accounts.hashes();
    for refused in [
        server.register(HOME, PASSWORD, "phone").await,
        login(&server, PASSWORD, None).await,
    ] {
        let Err(LoginError::Limited { retry_after }) = refused else {
            panic!("{refused:?}")
        };
        assert_eq!(retry_after, Duration::from_mins(5));
    }
    assert_eq!(server.accounts.hashes(), before);
    assert_eq!(server.accounts.failures().limited, 2);
    assert!(server.register(AWAY, PASSWORD, "phone").await.is_ok());
}

#[tokio::test]
async fn a_log_in_with_the_password_alone_has_no_device() {
    let (server, _alice) = Server::alice().await;
    let tokens = login(&server, PASSWORD, None).await.unwrap();
    assert_eq!(tokens.device, None);
    let session = server.session(&tokens).await.unwrap();
    assert_eq!((session.device, session.kind), (None, None));
    assert!(session.family.is_some());
    let wrong = login(&server, "wrong horse", None).await;
    assert!(matches!(wrong, Err(LoginError::Wrong)), "{wrong:?}");
}

#[tokio::test]
async fn a_device_that_logs_in_again_ends_its_log_in_before_and_no_other() {
    let (server, _alice) = Server::alice().await;
    let phone = server.phone().await;
    let laptop = server.register(HOME, PASSWORD, "laptop").await.unwrap();
    assert!(server.is_in(&phone).await);

    let again = login(&server, PASSWORD, Some(id(&phone))).await.unwrap();

    assert_eq!(again.device, phone.device);
    assert!(server.is_in(&again).await && server.is_in(&laptop).await);
    assert!(!server.is_in(&phone).await);
    let old = server.accounts.refresh(&phone.refresh).await;
    assert!(matches!(old, Err(LoginError::Ended)), "{old:?}");
    server.accounts.refresh(&again.refresh).await.unwrap();
}

#[tokio::test]
async fn an_app_password_logs_in_as_its_device_and_no_other() {
    let (server, alice) = Server::alice().await;
    let phone = server.phone().await;
    let accounts = &server.accounts;
    let kind = DeviceKind::Webdav;
    let (reader, secret) = accounts.device_add(alice, "reader", kind).await.unwrap();

    for asked in [None, Some(reader)] {
        let tokens = login(&server, &secret, asked).await.unwrap();
        assert_eq!(id(&tokens), reader);
    }
    let other = login(&server, &secret, Some(id(&phone))).await;
    assert!(matches!(other, Err(LoginError::NotAllowed(_))), "{other:?}");
    assert!(server.is_in(&phone).await);
}

#[tokio::test]
async fn only_devices_of_ones_own_that_are_not_revoked_log_in() {
    let (server, alice) = Server::alice().await;
    let bob = server.add("bob").await.unwrap();
    let accounts = &server.accounts;
    let kind = DeviceKind::Webdav;
    let (foreign, _) = accounts.device_add(bob, "bob's", kind).await.unwrap();
    let (revoked, _) = accounts.device_add(alice, "lost", kind).await.unwrap();
    accounts.device_revoke(alice, revoked).await.unwrap();

    for device in [foreign, revoked, DeviceId(999)] {
        let refused = login(&server, PASSWORD, Some(device)).await;
        assert!(matches!(refused, Err(LoginError::NotFound)), "{refused:?}");
    }
}

#[tokio::test]
async fn a_log_out_ends_access_and_refresh_tokens_of_this_log_in_only() {
    let (server, _alice) = Server::alice().await;
    let (phone, browser) = (
        server.phone().await,
        login(&server, PASSWORD, None).await.unwrap(),
    );
    let session = server.session(&phone).await.unwrap();
    let elsewhere = server.elsewhere();
    elsewhere.verify_bearer(HOME, &phone.access).await.unwrap();

    server.accounts.logout(&session).await.unwrap();
    server.accounts.logout(&session).await.unwrap();

    assert!(!server.is_in(&phone).await);
    let refreshed = server.accounts.refresh(&phone.refresh).await;
    assert!(matches!(refreshed, Err(LoginError::Ended)), "{refreshed:?}");
    assert!(server.is_in(&browser).await);
    assert!(server.accounts.refresh(&browser.refresh).await.is_ok());
    // Other processes notice within five seconds.
    assert!(elsewhere.verify_bearer(HOME, &phone.access).await.is_ok());
    server.pass(Duration::from_secs(5));
    assert!(elsewhere.verify_bearer(HOME, &phone.access).await.is_err());
}

#[tokio::test]
async fn a_log_out_without_a_token_ends_nothing() {
    let (server, _alice) = Server::alice().await;
    let phone = server.phone().await;
    let basic = server.accounts.verify_basic(HOME, "alice", PASSWORD).await;
    server.accounts.logout(&basic.unwrap()).await.unwrap();
    assert!(server.is_in(&phone).await);
}

#[tokio::test]
async fn a_password_changed_while_a_device_logs_in_keeps_it_out() {
    let (server, alice) = Server::alice().await;
    server.phone().await;

    // The other process still remembers the old password, for less than five seconds.
    let elsewhere = server.elsewhere();
    let peer: IpAddr = HOME;
    elsewhere
        .login(peer, "alice", PASSWORD, None)
        .await
        .unwrap();
    let accounts = &server.accounts;
    accounts
        .set_password("alice", "another horse")
        .await
        .unwrap();
    let late = elsewhere.login(peer, "alice", PASSWORD, None).await;

    assert!(matches!(late, Err(LoginError::Wrong)), "{late:?}");
    let who = Credentials::Password {
        account: "alice",
        password: PASSWORD,
    };
    let late = elsewhere.register(peer, who, "late", DeviceKind::Web).await;
    assert!(matches!(late, Err(LoginError::Wrong)), "{late:?}");
    assert_eq!(accounts.device_list(alice).await.unwrap().len(), 1);
}

#[tokio::test]
async fn log_ins_without_a_device_end_the_oldest_when_there_are_too_many() {
    let (server, _alice) = Server::alice().await;
    let phone = server.phone().await;
    let mut all = Vec::new();
    for _ in 0..33 {
        server.pass(Duration::from_secs(1));
        all.push(login(&server, PASSWORD, None).await.unwrap());
    }
    assert!(!server.is_in(&all[0]).await);
    for tokens in &all[1..] {
        assert!(server.is_in(tokens).await);
    }
    assert!(server.is_in(&phone).await);
}

#[tokio::test]
async fn tokens_are_not_shown_by_debug_output() {
    let (server, _alice) = Server::alice().await;
    let tokens = server.phone().await;
    let shown = format!("{tokens:?}");
    assert!(shown.contains("phone"), "{shown}");
    assert!(!shown.contains(&tokens.access) && !shown.contains(&tokens.refresh));
}
