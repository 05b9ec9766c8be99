//! Tests of changes to accounts.

use std::time::Duration;

use super::fixture::{HOME, PASSWORD, Server};
use crate::accounts::{Accounts, Denied, DeviceKind, Error, PasswordError, Result, Session};

async fn login(accounts: &Accounts, password: &str) -> Result<Session, Denied> {
    accounts.verify_basic(HOME, "alice", password).await
}

#[tokio::test]
async fn an_account_is_made_with_its_space_and_can_be_removed_and_made_again() {
    let server = Server::new().await;
    let accounts = &server.accounts;
    assert!(accounts.is_empty().await.unwrap());
    let alice = server.add("alice").await.unwrap();

    assert!(!accounts.is_empty().await.unwrap());
    assert!(matches!(server.add("alice").await, Err(Error::Taken)));
    let session = login(accounts, PASSWORD).await.unwrap();
    assert_eq!((session.account, session.admin), (alice, true));
    let listed = accounts.list().await.unwrap();
    assert_eq!(
        (listed.len(), listed[0].quota, listed[0].used),
        (1, Some(10), 0)
    );

    accounts.remove("alice").await.unwrap();
    assert!(accounts.is_empty().await.unwrap());
    assert!(matches!(
        login(accounts, PASSWORD).await,
        Err(Denied::Wrong)
    ));
    let again = server.add("alice").await.unwrap();
    let fresh = login(accounts, PASSWORD).await.unwrap();
    assert_eq!((fresh.account, fresh.space != session.space), (again, true));
}

#[tokio::test]
async fn a_change_made_here_is_seen_by_the_next_request() {
    let server = Server::new().await;
    let accounts = &server.accounts;
    let alice = server.add("alice").await.unwrap();
    let (phone, secret) = accounts
        .device_add(alice, "phone", DeviceKind::Mobile)
        .await
        .unwrap();
    login(accounts, PASSWORD).await.unwrap();
    assert_eq!(login(accounts, &secret).await.unwrap().device, Some(phone));

    accounts
        .set_password("ALICE", "another horse")
        .await
        .unwrap();
    assert!(matches!(
        login(accounts, PASSWORD).await,
        Err(Denied::Wrong)
    ));
    assert!(login(accounts, "another horse").await.is_ok());
    assert!(login(accounts, &secret).await.is_ok());

    accounts.device_revoke(alice, phone).await.unwrap();
    assert!(matches!(login(accounts, &secret).await, Err(Denied::Wrong)));
    assert!(
        accounts.device_list(alice).await.unwrap()[0]
            .revoked
            .is_some()
    );
}

#[tokio::test]
async fn names_and_passwords_that_cannot_be_make_no_account() {
    let server = Server::new().await;
    let accounts = &server.accounts;
    assert!(matches!(server.add("a/b").await, Err(Error::Name(_))));
    server.add("alice").await.unwrap();
    let short = accounts.set_password("alice", "1234567").await;
    assert!(matches!(
        short,
        Err(Error::Password(PasswordError::TooShort))
    ));
    assert!(login(accounts, PASSWORD).await.is_ok());
}

#[tokio::test]
async fn a_device_that_syncs_all_the_time_is_noted_once_a_minute() {
    let (server, alice) = Server::alice().await;
    let accounts = &server.accounts;
    let phone = server.phone().await.device.unwrap().id;
    let last_sync = async || {
        accounts.device_list(alice).await.unwrap()[0]
            .last_sync
            .unwrap()
    };

    accounts.device_synced(phone).await.unwrap();
    let first = last_sync().await;
    server.pass(Duration::from_millis(59_999));
    accounts.device_synced(phone).await.unwrap();
    assert_eq!(last_sync().await, first);

    server.pass(Duration::from_millis(1));
    accounts.device_synced(phone).await.unwrap();
    assert_eq!(last_sync().await, first.plus(Duration::from_mins(1)));
}

#[tokio::test]
async fn a_renamed_device_is_listed_by_its_new_name() {
    let (server, alice) = Server::alice().await;
    let phone = server.phone().await.device.unwrap().id;

    let accounts = &server.accounts;
    accounts.device_rename(alice, phone, "Pixel").await.unwrap();

    let listed = accounts.device_list(alice).await.unwrap();
    assert_eq!((listed.len(), listed[0].name.as_str()), (1, "Pixel"));
    accounts.device_revoke(alice, phone).await.unwrap();
    let again = accounts.device_rename(alice, phone, "again").await;
    assert!(matches!(again, Err(Error::NotFound)));
}
