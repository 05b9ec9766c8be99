//! Tests of Basic against a database, with a clock that only moves when told to.

use argon2::Params;
use futures_util::future::join_all;

use super::*;
use crate::accounts::fixture::{Fixture, HOME, PASSWORD, alice, is_wrong, login};
use crate::accounts::{DeviceKind, devices, directory, recheck};

#[tokio::test]
async fn the_right_password_opens_the_account_whatever_the_case_of_the_name() {
    let (fixture, basic, account) = alice().await;
    let expected = Session {
        account,
        name: "Alice".to_owned(),
        space: fixture.space_of("alice").await,
        admin: false,
        device: None,
        kind: None,
        family: None,
    };
    for user in ["Alice", "alice", "ALICE"] {
        let session = login(&fixture, &basic, HOME, user, PASSWORD).await.unwrap();
        assert_eq!(session, expected);
    }
    assert_eq!(basic.failures(), Failures::default());
}

#[tokio::test]
async fn wrong_passwords_and_unknown_users_cost_the_same_and_are_counted() {
    let (fixture, basic, _account) = alice().await;
    let before = fixture.hasher.hashes();

    for (user, password) in [
        ("alice", "wrong horse"),
        ("mallory", PASSWORD),
        ("alice", ""),
        ("", ""),
    ] {
        assert!(is_wrong(
            &login(&fixture, &basic, HOME, user, password).await
        ));
    }

    assert_eq!(fixture.hasher.hashes() - before, 4);
    assert_eq!(basic.failures().wrong, 4);
}

#[tokio::test]
async fn what_is_too_long_is_refused_without_a_hash() {
    let (fixture, basic, _account) = alice().await;
    let before = fixture.hasher.hashes();
    let long = "x".repeat(1025);

    assert!(is_wrong(
        &login(&fixture, &basic, HOME, "alice", &long).await
    ));
    assert!(is_wrong(
        &login(&fixture, &basic, HOME, &long, PASSWORD).await
    ));
    assert_eq!(fixture.hasher.hashes(), before);

    assert!(is_wrong(
        &login(&fixture, &basic, HOME, "alice", &long[1..]).await
    ));
    assert_eq!(fixture.hasher.hashes(), before + 1);
    assert_eq!(basic.failures().wrong, 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn eight_requests_at_once_and_all_that_follow_cost_one_hash() {
    let (fixture, basic, _account) = alice().await;
    let before = fixture.hasher.hashes();
    let shared = Arc::new((fixture, basic));

    let requests = (0..8).map(|_| {
        let shared = Arc::clone(&shared);
        tokio::spawn(async move { login(&shared.0, &shared.1, HOME, "alice", PASSWORD).await })
    });
    for request in join_all(requests).await {
        request.unwrap().unwrap();
    }
    let (fixture, basic) = &*shared;
    login(fixture, basic, HOME, "alice", PASSWORD)
        .await
        .unwrap();

    assert_eq!(fixture.hasher.hashes() - before, 1);
}

#[tokio::test]
async fn failures_are_not_remembered() {
    let (fixture, basic, _account) = alice().await;
    assert!(is_wrong(
        &login(&fixture, &basic, HOME, "alice", "new password").await
    ));
    fixture
        .set_password_elsewhere("alice", "new password")
        .await;
    assert!(
        login(&fixture, &basic, HOME, "alice", "new password")
            .await
            .is_ok()
    );
}

#[tokio::test]
async fn users_with_the_same_password_do_not_share_an_entry() {
    let (fixture, basic, alice) = alice().await;
    let bob = fixture.add("bob", PASSWORD).await;

    for _ in 0..2 {
        for (user, account) in [("alice", alice), ("bob", bob)] {
            let session = login(&fixture, &basic, HOME, user, PASSWORD).await.unwrap();
            assert_eq!(session.account, account);
        }
    }
    // The same bytes, cut elsewhere.
    assert!(is_wrong(
        &login(&fixture, &basic, HOME, "alic", "ecorrect horse").await
    ));
}

#[tokio::test]
async fn a_password_changed_elsewhere_ends_soon() {
    let (fixture, basic, _account) = alice().await;
    login(&fixture, &basic, HOME, "alice", PASSWORD)
        .await
        .unwrap();

    fixture
        .set_password_elsewhere("alice", "another horse")
        .await;

    fixture.pass(recheck(&fixture.meta).saturating_sub(Duration::from_millis(1)));
    assert!(
        login(&fixture, &basic, HOME, "alice", PASSWORD)
            .await
            .is_ok()
    );
    fixture.pass(Duration::from_millis(1));
    assert!(is_wrong(
        &login(&fixture, &basic, HOME, "alice", PASSWORD).await
    ));
    assert!(
        login(&fixture, &basic, HOME, "alice", "another horse")
            .await
            .is_ok()
    );
}

#[tokio::test]
async fn a_password_changed_here_ends_at_once() {
    let (fixture, basic, _account) = alice().await;
    login(&fixture, &basic, HOME, "alice", PASSWORD)
        .await
        .unwrap();

    fixture
        .set_password_elsewhere("alice", "another horse")
        .await;
    basic.forget_all();

    assert!(is_wrong(
        &login(&fixture, &basic, HOME, "alice", PASSWORD).await
    ));
}

#[tokio::test]
async fn an_unchanged_password_is_confirmed_without_another_hash() {
    let (fixture, basic, _account) = alice().await;
    login(&fixture, &basic, HOME, "alice", PASSWORD)
        .await
        .unwrap();
    let before = fixture.hasher.hashes();
    for _ in 0..3 {
        fixture.pass(Duration::from_secs(6));
        assert!(
            login(&fixture, &basic, HOME, "alice", PASSWORD)
                .await
                .is_ok()
        );
    }
    assert_eq!(fixture.hasher.hashes(), before);
}

#[tokio::test]
async fn a_removed_account_is_shut_out_even_when_its_name_is_used_again() {
    let (fixture, basic, old) = alice().await;
    login(&fixture, &basic, HOME, "alice", PASSWORD)
        .await
        .unwrap();

    directory::remove(&fixture.meta, "alice").await.unwrap();
    fixture.pass(Duration::from_secs(5));
    assert!(is_wrong(
        &login(&fixture, &basic, HOME, "alice", PASSWORD).await
    ));

    fixture.add("alice", PASSWORD).await;
    let session = login(&fixture, &basic, HOME, "alice", PASSWORD)
        .await
        .unwrap();
    assert_ne!(session.account, old);
}

#[tokio::test]
async fn an_app_password_opens_its_account_without_a_hash() {
    let (fixture, basic, account) = alice().await;
    fixture.add("bob", PASSWORD).await;
    let (phone, secret) = fixture.add_device(account, "phone").await;
    let before = fixture.hasher.hashes();

    let session = login(&fixture, &basic, HOME, "ALICE", &secret)
        .await
        .unwrap();
    assert_eq!((session.account, session.device), (account, Some(phone)));
    assert_eq!(
        (session.kind, session.family),
        (Some(DeviceKind::Webdav), None)
    );
    assert_eq!(fixture.hasher.hashes(), before);

    assert!(is_wrong(
        &login(&fixture, &basic, HOME, "bob", &secret).await
    ));
}

#[tokio::test]
async fn a_password_that_looks_like_an_app_password_works() {
    let fixture = Fixture::new().await;
    let password = app_password::generate();
    fixture.add("alice", &password).await;
    let session = login(&fixture, &fixture.basic(), HOME, "alice", &password)
        .await
        .unwrap();
    assert_eq!(session.device, None);
}

#[tokio::test]
async fn a_revoked_device_is_shut_out_within_five_seconds_and_not_counted() {
    let (fixture, basic, account) = alice().await;
    let (phone, secret) = fixture.add_device(account, "phone").await;
    let (_laptop, other) = fixture.add_device(account, "laptop").await;
    login(&fixture, &basic, HOME, "alice", &secret)
        .await
        .unwrap();

    devices::revoke(&fixture.meta, fixture.now(), account, phone)
        .await
        .unwrap();
    assert!(
        login(&fixture, &basic, HOME, "alice", &secret)
            .await
            .is_ok()
    );
    fixture.pass(Duration::from_secs(5));
    let before = fixture.hasher.hashes();
    for _ in 0..100 {
        assert!(is_wrong(
            &login(&fixture, &basic, HOME, "alice", &secret).await
        ));
    }

    assert_eq!(fixture.hasher.hashes(), before);
    assert_eq!(
        basic.failures(),
        Failures {
            revoked: 100,
            ..Failures::default()
        }
    );
    assert!(login(&fixture, &basic, HOME, "alice", &other).await.is_ok());
    assert!(
        login(&fixture, &basic, HOME, "alice", PASSWORD)
            .await
            .is_ok()
    );
}

#[tokio::test]
async fn a_login_makes_a_weak_hash_stronger_and_stays_valid() {
    let (fixture, basic, _account) = alice().await;
    let weak = Hasher::new(Params::new(8, 1, 1, None).unwrap())
        .hash(PASSWORD)
        .await
        .unwrap();
    fixture.replace_hash("alice", &weak).await;

    assert!(is_wrong(
        &login(&fixture, &basic, HOME, "alice", "wrong horse").await
    ));
    assert_eq!(fixture.stored_hash("alice").await, weak);
    login(&fixture, &basic, HOME, "alice", PASSWORD)
        .await
        .unwrap();

    let stored = fixture.stored_hash("alice").await;
    assert!(stored.starts_with("$argon2id$v=19$m=16,"), "{stored}");
    let before = fixture.hasher.hashes();
    fixture.pass(Duration::from_secs(6));
    login(&fixture, &basic, HOME, "alice", PASSWORD)
        .await
        .unwrap();
    assert_eq!(fixture.hasher.hashes(), before);
}

#[tokio::test]
async fn a_damaged_hash_is_the_stores_fault_and_not_the_users() {
    let (fixture, basic, _account) = alice().await;
    fixture.replace_hash("alice", "nonsense").await;
    let failed = login(&fixture, &basic, HOME, "alice", PASSWORD).await;
    assert!(matches!(failed, Err(Denied::Store(_))));
    assert_eq!(basic.failures(), Failures::default());
}

#[tokio::test]
async fn when_all_turns_are_taken_logins_are_busy_and_not_wrong() {
    let (fixture, basic, _account) = alice().await;
    let mut taken = Vec::new();
    for _ in 0..2 {
        taken.push(fixture.hasher.turn().await.unwrap());
    }
    let mut waiting = Vec::new();
    for _ in 0..32 {
        let mut turn = Box::pin(fixture.hasher.turn());
        assert!(futures_util::poll!(&mut turn).is_pending());
        waiting.push(turn);
    }

    let refused = login(&fixture, &basic, HOME, "alice", PASSWORD).await;

    assert!(matches!(refused, Err(Denied::Busy)));
    assert_eq!(
        basic.failures(),
        Failures {
            busy: 1,
            ..Failures::default()
        }
    );
}
