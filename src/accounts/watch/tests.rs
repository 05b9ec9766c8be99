//! Tests of pairing and tokens against a database, with a clock that only moves when told to.

use super::*;
use crate::accounts::fixture::{AWAY, Fixture, HOME, alice, is_wrong, login};
use crate::accounts::{Denied, Session};
use crate::types::DeviceId;

async fn start(fixture: &Fixture) -> WatchPairing {
    start_at(fixture, HOME).await.unwrap()
}

async fn start_at(fixture: &Fixture, peer: &str) -> Result<WatchPairing, WatchError> {
    begin(&fixture.meta, fixture.now(), peer.parse().unwrap(), None).await
}

async fn ask(fixture: &Fixture, secret: &str) -> WatchAnswer {
    poll(&fixture.meta, fixture.now(), secret).await.unwrap()
}

async fn say_yes(
    fixture: &Fixture,
    tries: &Tries,
    account: AccountId,
    code: &str,
) -> Result<DeviceInfo, WatchError> {
    let (now, home) = (fixture.now(), HOME.parse().unwrap());
    confirm(
        &fixture.meta,
        tries,
        now,
        Some((home, None)),
        account,
        (code, None),
    )
    .await
}

/// The token of a watch paired with the account.
async fn paired(fixture: &Fixture, account: AccountId) -> (DeviceId, String) {
    let WatchPairing { code, secret, .. } = start(fixture).await;
    let device = say_yes(fixture, &Tries::new(), account, &code).await;
    let WatchAnswer::Paired { token, .. } = ask(fixture, &secret).await else {
        panic!("it was confirmed")
    };
    (device.unwrap().id, token)
}

fn tokens(fixture: &Fixture) -> Tokens {
    Tokens::new(fixture.clock())
}

async fn verify(fixture: &Fixture, tokens: &Tokens, token: &str) -> Result<Session, Denied> {
    tokens
        .verify(&fixture.meta, HOME.parse().unwrap(), token)
        .await
}

/// Another code than `code`.
fn wrong(code: &str, n: u32) -> String {
    let code: u32 = code.parse().unwrap();
    format!("{:06}", (code + 1 + n) % 1_000_000)
}

#[tokio::test]
async fn a_watch_gets_its_token_once_its_owner_has_confirmed_the_digits() {
    let (fixture, _basic, account) = alice().await;
    let WatchPairing { code, secret, .. } = start(&fixture).await;
    assert_eq!((code.len(), secret.len()), (6, 43));
    let left = CODE_LIFE;
    assert_eq!(ask(&fixture, &secret).await, WatchAnswer::Waiting { left });

    let spaced = format!(" {} {} ", &code[..3], &code[3..]);
    let device = say_yes(&fixture, &Tries::new(), account, &spaced).await;
    let device = device.unwrap();

    assert_eq!(
        (device.kind, &*device.name),
        (DeviceKind::Garmin, DEFAULT_NAME)
    );
    let WatchAnswer::Paired { token, account } = ask(&fixture, &secret).await else {
        panic!("it was confirmed")
    };
    assert_eq!((token.len(), &*account), (43, "Alice"));
    let session = verify(&fixture, &tokens(&fixture), &token).await.unwrap();
    assert_eq!(session.device, Some(device.id));
    assert_eq!(session.space, fixture.space_of("alice").await);
}

#[tokio::test]
async fn a_lost_answer_can_be_fetched_again_for_a_minute() {
    let (fixture, _basic, account) = alice().await;
    let WatchPairing { code, secret, .. } = start(&fixture).await;
    let device = say_yes(&fixture, &Tries::new(), account, &code).await;
    device.unwrap();
    let first = ask(&fixture, &secret).await;
    assert!(matches!(first, WatchAnswer::Paired { .. }));

    fixture.pass(Duration::from_secs(59));
    assert_eq!(ask(&fixture, &secret).await, first);
    fixture.pass(Duration::from_secs(1));
    assert_eq!(ask(&fixture, &secret).await, WatchAnswer::Over);
}

#[tokio::test]
async fn digits_are_over_after_ten_minutes_and_after_they_were_confirmed() {
    let (fixture, _basic, account) = alice().await;
    let tries = Tries::new();
    let old = start(&fixture).await;
    fixture.pass(Duration::from_mins(10));
    let refused = say_yes(&fixture, &tries, account, &old.code).await;
    assert!(matches!(refused, Err(WatchError::Code)));
    assert_eq!(ask(&fixture, &old.secret).await, WatchAnswer::Over);

    let new = start(&fixture).await;
    say_yes(&fixture, &tries, account, &new.code).await.unwrap();
    let again = say_yes(&fixture, &tries, account, &new.code).await;
    assert!(matches!(again, Err(WatchError::Code)));
}

#[tokio::test]
async fn digits_confirmed_at_the_last_moment_leave_time_to_fetch_the_token() {
    let (fixture, _basic, account) = alice().await;
    let WatchPairing { code, secret, .. } = start(&fixture).await;
    fixture.pass(Duration::from_secs(599));
    let device = say_yes(&fixture, &Tries::new(), account, &code).await;
    device.unwrap();
    fixture.pass(Duration::from_secs(119));
    let answer = ask(&fixture, &secret).await;
    assert!(matches!(answer, WatchAnswer::Paired { .. }));
}

#[tokio::test]
async fn codes_cannot_be_tried_more_than_five_times_by_an_account_nor_all_at_once() {
    let (fixture, _basic, account) = alice().await;
    let tries = Tries::new();
    let code = start(&fixture).await.code;
    let guesses: Vec<_> = (0..20).map(|n| wrong(&code, n)).collect();
    let all = guesses
        .iter()
        .map(|guess| say_yes(&fixture, &tries, account, guess));
    let answers = futures_util::future::join_all(all).await;

    let looked_at = |answer: &&Result<_, WatchError>| matches!(answer, Err(WatchError::Code));
    assert_eq!(answers.iter().filter(looked_at).count(), 5);
    let refused = say_yes(&fixture, &tries, account, &code).await;
    assert!(matches!(refused, Err(WatchError::Limited { .. })));
    // The command line goes on.
    let (meta, now) = (&fixture.meta, fixture.now());
    let named = (&*code, Some("Anna's fenix"));
    let made = confirm(meta, &tries, now, None, account, named).await;
    assert_eq!(made.unwrap().name, "Anna's fenix");
}

#[tokio::test]
async fn a_network_has_twenty_tries_whoever_is_logged_in() {
    let (fixture, _basic, account) = alice().await;
    let tries = Tries::new();
    let code = start(&fixture).await.code;
    for n in 0..20 {
        let somebody = AccountId(1000 + i64::from(n));
        let guess = say_yes(&fixture, &tries, somebody, &wrong(&code, n)).await;
        assert!(matches!(guess, Err(WatchError::Code)));
    }
    let refused = say_yes(&fixture, &tries, account, &code).await;
    let Err(WatchError::Limited { retry_after }) = refused else {
        panic!("{refused:?}")
    };
    assert_eq!(retry_after, Duration::from_mins(10));
}

#[tokio::test]
async fn what_cannot_be_a_code_or_a_name_costs_no_try() {
    let (fixture, _basic, account) = alice().await;
    let tries = Tries::new();
    let code = start(&fixture).await.code;
    for text in ["", "12345", "1234567", "12345a", "１２３４５６"] {
        let refused = say_yes(&fixture, &tries, account, text).await;
        assert!(matches!(refused, Err(WatchError::Code)), "{text}");
    }
    for name in ["", "a\nb", &"x".repeat(256)] {
        let (now, named) = (fixture.now(), (&*code, Some(name)));
        let refused = confirm(&fixture.meta, &tries, now, None, account, named).await;
        assert!(matches!(refused, Err(WatchError::Name)), "{name:?}");
    }
    say_yes(&fixture, &tries, account, &code).await.unwrap();
}

#[tokio::test]
async fn a_network_may_have_five_pairings_open_and_all_together_a_hundred() {
    let fixture = Fixture::new().await;
    for _ in 0..OPEN_NETWORK_MAX {
        start(&fixture).await;
    }
    let refused = start_at(&fixture, HOME).await;
    assert!(matches!(refused, Err(WatchError::TooMany)));
    for n in OPEN_NETWORK_MAX..OPEN_MAX {
        let elsewhere = format!("203.0.113.{n}");
        start_at(&fixture, &elsewhere).await.unwrap();
    }
    let refused = start_at(&fixture, AWAY).await;
    assert!(matches!(refused, Err(WatchError::TooMany)));
    fixture.pass(CODE_LIFE);
    start(&fixture).await;
}

#[tokio::test]
async fn a_watch_may_say_what_it_is() {
    let (fixture, _basic, account) = alice().await;
    for (model, name) in [
        (Some("fenix 7"), "fenix 7"),
        (Some("a\nb"), DEFAULT_NAME),
        (Some(&*"x".repeat(65)), DEFAULT_NAME),
        (None, DEFAULT_NAME),
    ] {
        let (now, home) = (fixture.now(), HOME.parse().unwrap());
        let pairing = begin(&fixture.meta, now, home, model).await.unwrap();
        let device = say_yes(&fixture, &Tries::new(), account, &pairing.code).await;
        assert_eq!(device.unwrap().name, name);
    }
}

#[tokio::test]
async fn a_token_is_no_password_and_a_password_no_token() {
    let (fixture, basic, account) = alice().await;
    let (_device, token) = paired(&fixture, account).await;
    let before = fixture.hasher.hashes();
    assert!(is_wrong(
        &login(&fixture, &basic, HOME, "alice", &token).await
    ));
    assert_eq!(
        fixture.hasher.hashes(),
        before + 1,
        "it is tried as a password of people"
    );

    let (_phone, secret) = fixture.add_device(account, "phone").await;
    let tokens = tokens(&fixture);
    for text in [&*secret, "", "x", &"x".repeat(43), &"é".repeat(43)] {
        assert!(is_wrong(&verify(&fixture, &tokens, text).await), "{text}");
    }
    assert!(verify(&fixture, &tokens, &token).await.is_ok());
}

#[tokio::test]
async fn a_revoked_watch_is_out_at_once_here_and_after_five_seconds_elsewhere() {
    let (fixture, _basic, account) = alice().await;
    let (device, token) = paired(&fixture, account).await;
    let here = tokens(&fixture);
    let elsewhere = tokens(&fixture);
    for tokens in [&here, &elsewhere] {
        assert!(verify(&fixture, tokens, &token).await.is_ok());
    }

    devices::revoke(&fixture.meta, fixture.now(), account, device)
        .await
        .unwrap();
    here.recheck_all();

    assert!(is_wrong(&verify(&fixture, &here, &token).await));
    assert!(verify(&fixture, &elsewhere, &token).await.is_ok());
    fixture.pass(Duration::from_secs(5));
    assert!(is_wrong(&verify(&fixture, &elsewhere, &token).await));
}

#[tokio::test]
async fn a_new_password_leaves_the_watch_in() {
    let (fixture, _basic, account) = alice().await;
    let (_device, token) = paired(&fixture, account).await;
    let tokens = tokens(&fixture);
    assert!(verify(&fixture, &tokens, &token).await.is_ok());
    fixture
        .set_password_elsewhere("alice", "another horse")
        .await;
    tokens.recheck_all();
    assert!(verify(&fixture, &tokens, &token).await.is_ok());
}

#[tokio::test]
async fn a_watch_revoked_before_it_has_fetched_its_token_gets_none() {
    let (fixture, _basic, account) = alice().await;
    let WatchPairing { code, secret, .. } = start(&fixture).await;
    let device = say_yes(&fixture, &Tries::new(), account, &code).await;
    devices::revoke(&fixture.meta, fixture.now(), account, device.unwrap().id)
        .await
        .unwrap();
    assert_eq!(ask(&fixture, &secret).await, WatchAnswer::Over);
}

#[test]
fn codes_are_six_digits_of_all_kinds() {
    let codes: Vec<String> = (0..2000).map(|_| digits()).collect();
    assert!(codes.iter().all(|code| code.len() == 6));
    for first in '0'..='9' {
        assert!(codes.iter().any(|code| code.starts_with(first)), "{first}");
    }
}
