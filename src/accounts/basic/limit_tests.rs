//! Tests of what Basic does with those who guess.

use futures_util::future::join_all;

use super::*;
use crate::accounts::fixture::{AWAY, HOME, PASSWORD, alice, is_limited, is_wrong, login};

#[tokio::test]
async fn after_ten_failures_nothing_is_hashed_for_five_minutes() {
    let (fixture, basic, account) = alice().await;
    let (_phone, secret) = fixture.add_device(account, "phone").await;
    for guess in 0..10 {
        assert!(is_wrong(
            &login(&fixture, &basic, HOME, "alice", &format!("guess {guess}")).await
        ));
    }
    let before = fixture.hasher.hashes();

    let refused = login(&fixture, &basic, HOME, "alice", PASSWORD).await;
    let Err(Denied::Limited { retry_after }) = refused else {
        panic!("{refused:?}")
    };
    assert_eq!(retry_after, Duration::from_mins(5));
    assert_eq!(fixture.hasher.hashes(), before);
    assert_eq!((basic.failures().wrong, basic.failures().limited), (10, 1));

    assert!(
        login(&fixture, &basic, HOME, "alice", &secret)
            .await
            .is_ok()
    );
    assert!(
        login(&fixture, &basic, AWAY, "alice", PASSWORD)
            .await
            .is_ok()
    );
    fixture.pass(Duration::from_mins(5));
    assert!(
        login(&fixture, &basic, HOME, "alice", PASSWORD)
            .await
            .is_ok()
    );
}

#[tokio::test]
async fn a_success_clears_the_failures_before_it() {
    let (fixture, basic, _account) = alice().await;
    for round in 0..3 {
        for guess in 0..9 {
            let password = format!("guess {round}.{guess}");
            assert!(is_wrong(
                &login(&fixture, &basic, HOME, "alice", &password).await
            ));
        }
        basic.forget_all();
        assert!(
            login(&fixture, &basic, HOME, "alice", PASSWORD)
                .await
                .is_ok()
        );
    }
}

#[tokio::test]
async fn guesses_at_once_do_not_slip_past_the_limit() {
    let (fixture, basic, _account) = alice().await;
    let before = fixture.hasher.hashes();
    let guesses: Vec<_> = (0..30).map(|guess| format!("guess {guess}")).collect();

    let all = join_all(
        guesses
            .iter()
            .map(|guess| login(&fixture, &basic, HOME, "alice", guess)),
    );
    let all = all.await;

    assert!(
        all.iter()
            .all(|result| is_wrong(result) || is_limited(result))
    );
    // One more may have had its turn when the tenth failed.
    assert!(fixture.hasher.hashes() - before <= 11);
}

#[tokio::test]
async fn a_remembered_password_is_not_limited_by_the_failures_of_others() {
    let (fixture, basic, _account) = alice().await;
    login(&fixture, &basic, HOME, "alice", PASSWORD)
        .await
        .unwrap();
    for guess in 0..20 {
        let refused = login(&fixture, &basic, HOME, "alice", &format!("guess {guess}")).await;
        assert!(refused.is_err());
    }
    assert!(
        login(&fixture, &basic, HOME, "alice", PASSWORD)
            .await
            .is_ok()
    );
}

#[tokio::test]
async fn the_memory_of_one_network_does_not_answer_guesses_from_another() {
    let (fixture, basic, _account) = alice().await;
    login(&fixture, &basic, HOME, "alice", PASSWORD)
        .await
        .unwrap();
    for guess in 0..10 {
        assert!(is_wrong(
            &login(&fixture, &basic, AWAY, "alice", &format!("guess {guess}")).await
        ));
    }
    assert!(is_limited(
        &login(&fixture, &basic, AWAY, "alice", PASSWORD).await
    ));
    assert!(
        login(&fixture, &basic, HOME, "alice", PASSWORD)
            .await
            .is_ok()
    );
}

#[tokio::test]
async fn endless_guesses_close_the_memory_for_passwords_but_not_for_devices() {
    let (fixture, basic, account) = alice().await;
    let (_phone, secret) = fixture.add_device(account, "phone").await;
    login(&fixture, &basic, HOME, "alice", PASSWORD)
        .await
        .unwrap();
    login(&fixture, &basic, HOME, "alice", &secret)
        .await
        .unwrap();

    for guess in 0..300 {
        assert!(
            login(&fixture, &basic, HOME, "alice", &format!("guess {guess}"))
                .await
                .is_err()
        );
    }

    assert!(is_limited(
        &login(&fixture, &basic, HOME, "alice", PASSWORD).await
    ));
    assert!(
        login(&fixture, &basic, HOME, "alice", &secret)
            .await
            .is_ok()
    );
    fixture.pass(Duration::from_mins(5));
    assert!(
        login(&fixture, &basic, HOME, "alice", PASSWORD)
            .await
            .is_ok()
    );
}

#[tokio::test]
async fn a_failure_is_one_log_line_with_the_address_and_without_the_name() {
    let (fixture, basic, _account) = alice().await;
    let log = tempfile::NamedTempFile::new().unwrap();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::INFO)
        .with_ansi(false)
        .with_writer(Arc::new(log.reopen().unwrap()))
        .finish();
    let guard = tracing::subscriber::set_default(subscriber);

    login(&fixture, &basic, HOME, "alice", PASSWORD)
        .await
        .unwrap();
    assert!(is_wrong(
        &login(&fixture, &basic, HOME, "alice", "wrong horse").await
    ));
    assert!(is_wrong(
        &login(&fixture, &basic, "::ffff:192.0.2.9", "alice", "wrong horse").await
    ));
    drop(guard);

    let text = std::fs::read_to_string(log.path()).unwrap();
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines.len(), 2, "{text}");
    assert!(
        lines[0].ends_with("authentication failed from 192.0.2.1"),
        "{text}"
    );
    assert!(
        lines[1].ends_with("authentication failed from 192.0.2.9"),
        "{text}"
    );
    assert!(!text.contains("alice") && !text.contains("horse"), "{text}");
}
