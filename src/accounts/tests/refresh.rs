//! Tests of refresh tokens that replace one another.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;

use super::fixture::{DAY, HOME, PASSWORD, Server};
use crate::accounts::{Failures, LoginError, Tokens};

async fn refresh(server: &Server, tokens: &Tokens) -> Result<Tokens, LoginError> {
    server.accounts.refresh(&tokens.refresh).await
}

fn is_replaced(result: &Result<Tokens, LoginError>) -> bool {
    matches!(result, Err(LoginError::Replaced))
}

fn is_reused(result: &Result<Tokens, LoginError>) -> bool {
    matches!(result, Err(LoginError::Reused))
}

#[tokio::test]
async fn a_refresh_token_gives_the_next_one_and_new_access() {
    let (server, alice) = Server::alice().await;
    let first = server.phone().await;
    server.pass(Duration::from_mins(15));
    assert!(!server.is_in(&first).await);

    let second = refresh(&server, &first).await.unwrap();
    let third = refresh(&server, &second).await.unwrap();

    assert!(server.is_in(&second).await && server.is_in(&third).await);
    assert_ne!(second.refresh, first.refresh);
    assert_ne!(third.refresh, second.refresh);
    assert_eq!((&second.device, second.account), (&first.device, alice));
    assert_eq!((second.name.as_str(), second.expires_in), ("alice", 900));
}

#[tokio::test]
async fn a_token_that_was_used_before_ends_its_log_in_and_no_other() {
    let (server, _alice) = Server::alice().await;
    let first = server.phone().await;
    let laptop = server.register(HOME, PASSWORD, "laptop").await.unwrap();
    let second = refresh(&server, &first).await.unwrap();
    let third = refresh(&server, &second).await.unwrap();
    let fourth = refresh(&server, &third).await.unwrap();
    assert!(server.is_in(&fourth).await);

    assert!(is_reused(&refresh(&server, &first).await));

    assert!(!server.is_in(&fourth).await);
    let ended = refresh(&server, &fourth).await;
    assert!(matches!(ended, Err(LoginError::Ended)), "{ended:?}");
    assert!(server.is_in(&laptop).await);
    let expected = Failures {
        reused: 1,
        ended: 2,
        ..Failures::default()
    };
    assert_eq!(server.accounts.failures(), expected);
}

#[tokio::test]
async fn a_lost_answer_is_given_again_once() {
    let (server, _alice) = Server::alice().await;
    let first = server.phone().await;
    refresh(&server, &first).await.unwrap();
    server.pass(Duration::from_mins(1));

    let again = refresh(&server, &first).await.unwrap();
    assert!(is_replaced(&refresh(&server, &first).await));

    assert!(server.is_in(&again).await);
    let next = refresh(&server, &again).await.unwrap();
    assert!(refresh(&server, &next).await.is_ok());
}

#[tokio::test]
async fn no_answer_is_given_again_after_a_minute() {
    let (server, _alice) = Server::alice().await;
    let first = server.phone().await;
    let second = refresh(&server, &first).await.unwrap();
    server.pass(Duration::from_millis(60_001));

    assert!(is_reused(&refresh(&server, &first).await));
    assert!(!server.is_in(&second).await);
}

#[tokio::test]
async fn no_answer_is_given_again_once_the_next_token_was_used() {
    let (server, _alice) = Server::alice().await;
    let first = server.phone().await;
    let second = refresh(&server, &first).await.unwrap();
    let third = refresh(&server, &second).await.unwrap();

    assert!(is_reused(&refresh(&server, &first).await));
    assert!(!server.is_in(&third).await);
}

#[tokio::test]
async fn of_two_answers_to_one_token_only_the_one_used_first_goes_on() {
    for keep_first in [true, false] {
        let (server, _alice) = Server::alice().await;
        let first = server.phone().await;
        let twins = [
            refresh(&server, &first).await.unwrap(),
            refresh(&server, &first).await.unwrap(),
        ];
        let (kept, other) = match (keep_first, &twins) {
            (true, [kept, other]) | (false, [other, kept]) => (kept, other),
        };

        let next = refresh(&server, kept).await.unwrap();
        assert!(server.is_in(&next).await);
        assert!(is_reused(&refresh(&server, other).await));
        assert!(!server.is_in(&next).await);
    }
}

#[tokio::test]
async fn a_lost_answer_after_a_twin_was_used_is_given_again() {
    let (server, _alice) = Server::alice().await;
    let first = server.phone().await;
    refresh(&server, &first).await.unwrap();
    let twin = refresh(&server, &first).await.unwrap();
    refresh(&server, &twin).await.unwrap();

    let again = refresh(&server, &twin).await.unwrap();

    assert!(refresh(&server, &again).await.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_used_many_times_at_once_goes_on_and_does_not_end_its_log_in() {
    let (server, _alice) = Server::alice().await;
    let first = server.phone().await;
    let server = Arc::new(server);

    let requests = (0..8).map(|_| {
        let (server, first) = (Arc::clone(&server), first.clone());
        tokio::spawn(async move { refresh(&server, &first).await })
    });
    let answers: Vec<_> = join_all(requests).await;
    let answers: Vec<_> = answers.into_iter().map(Result::unwrap).collect();

    let replaced = answers.iter().filter(|answer| is_replaced(answer));
    assert_eq!(replaced.count(), 6);
    let given: Vec<_> = answers.into_iter().filter_map(Result::ok).collect();
    let [one, other] = &given[..] else {
        panic!("{given:?}")
    };
    assert_ne!(one.refresh, other.refresh);
    assert!(server.is_in(one).await && server.is_in(other).await);
    assert!(refresh(&server, one).await.is_ok());
}

#[tokio::test]
async fn a_log_in_lasts_ninety_days_from_its_last_refresh() {
    let (server, _alice) = Server::alice().await;
    let first = server.phone().await;
    server.pass((90 * DAY).saturating_sub(Duration::from_millis(1)));
    let second = refresh(&server, &first).await.unwrap();
    server.pass(90 * DAY);

    let late = refresh(&server, &second).await;

    assert!(matches!(late, Err(LoginError::Expired)), "{late:?}");
    assert_eq!(server.accounts.failures().expired, 1);
    let later = refresh(&server, &second).await;
    assert!(matches!(later, Err(LoginError::Ended)), "{later:?}");
}

#[tokio::test]
async fn a_log_in_lasts_a_year_at_most() {
    let (server, _alice) = Server::alice().await;
    let mut tokens = server.phone().await;
    for _ in 0..4 {
        server.pass(73 * DAY);
        tokens = refresh(&server, &tokens).await.unwrap();
    }
    server.pass((73 * DAY).saturating_sub(Duration::from_secs(10)));

    let last = refresh(&server, &tokens).await.unwrap();
    assert_eq!(last.expires_in, 10);
    server.pass(Duration::from_secs(10));

    assert!(!server.is_in(&last).await);
    let late = refresh(&server, &last).await;
    assert!(matches!(late, Err(LoginError::Expired)), "{late:?}");
}

#[tokio::test]
async fn invented_tokens_are_wrong() {
    let (server, _alice) = Server::alice().await;
    let phone = server.phone().await;
    let cut = &phone.refresh[..66];
    let invented = format!("sr_{}", "A".repeat(64));
    for token in ["", "sr_", cut, &invented, &phone.access] {
        let refused = server.accounts.refresh(token).await;
        assert!(matches!(refused, Err(LoginError::Ended)), "{refused:?}");
    }
    assert!(refresh(&server, &phone).await.is_ok());
    assert_eq!(server.accounts.failures().ended, 5);
}

#[tokio::test]
async fn a_restart_ends_no_log_in() {
    let (server, _alice) = Server::alice().await;
    let first = server.phone().await;
    let second = refresh(&server, &first).await.unwrap();

    let server = server.restart().await;

    assert!(server.is_in(&first).await && server.is_in(&second).await);
    let again = refresh(&server, &first).await.unwrap();
    assert!(refresh(&server, &again).await.is_ok());
    assert!(is_reused(&refresh(&server, &second).await));
}

#[tokio::test]
async fn a_token_used_twice_is_one_log_line_without_secrets() {
    let (server, _alice) = Server::alice().await;
    let first = server.phone().await;
    let second = refresh(&server, &first).await.unwrap();
    let third = refresh(&server, &second).await.unwrap();
    let log = tempfile::NamedTempFile::new().unwrap();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::DEBUG)
        .with_ansi(false)
        .with_writer(Arc::new(log.reopen().unwrap()))
        .finish();
    let guard = tracing::subscriber::set_default(subscriber);

    assert!(is_reused(&refresh(&server, &first).await));
    assert!(!server.is_in(&third).await);
    drop(guard);

    let text = std::fs::read_to_string(log.path()).unwrap();
    let lines: Vec<_> = text.lines().filter(|line| line.contains("WARN")).collect();
    assert_eq!(lines.len(), 1, "{text}");
    assert!(
        lines[0].contains("refresh token used twice, log-in ended"),
        "{text}"
    );
    for tokens in [&first, &second, &third] {
        assert!(!text.contains(&tokens.refresh[3..]), "{text}");
        assert!(!text.contains(&tokens.access), "{text}");
    }
    assert!(!text.contains("alice"), "{text}");
}
