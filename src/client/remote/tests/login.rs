use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use futures_util::stream;
use serde_json::Value;
use tempfile::tempdir;
use tokio::sync::Notify;
use tokio::time::sleep;

use super::stand::{Reply, Seen, Stand, Way, json, problem, with_status};
use super::{server, session, stored, tokens};
use crate::client::remote::{Error, Kept, Place, Session, Source};
use crate::protocol::files::Usage;

fn usage() -> Reply {
    json(&Usage { spaces: Vec::new() })
}

/// Answers to everybody who has the access token of the last refresh; each refresh gives one with the next
/// number, when it comes with the token of the one before.
fn renewing() -> impl Fn(Seen) -> Option<Reply> + Send + Sync {
    let last = AtomicUsize::new(1);
    move |seen| {
        let number = last.load(Ordering::SeqCst);
        if !seen.route.ends_with("auth/refresh") {
            let good = seen.header("x-access-token") == format!("access-{number}");
            return Some(if good {
                usage()
            } else {
                problem(401, "token-expired")
            });
        }
        let body: Value = serde_json::from_slice(&seen.body).unwrap();
        if body["refresh_token"] != format!("sr_{number}") {
            return Some(problem(401, "token-reused"));
        }
        last.store(number + 1, Ordering::SeqCst);
        Some(json(&tokens(&(number + 1).to_string(), 900)))
    }
}

/// How often the tokens were renewed.
fn refreshes(stand: &Stand) -> usize {
    let routes = stand.routes();
    let refreshes = routes.iter().filter(|route| *route == "auth/refresh");
    refreshes.count()
}

/// Somebody logged in whose access token is refused, although it is not over.
async fn with_wrong_access(stand: &Stand, directory: &Path) -> Session {
    let place = Place::File(directory.join("token.json"));
    let mut wrong = tokens("1", 900);
    wrong.access_token = "access-0".to_owned();
    Session::begin(server(&stand.address()), place, &wrong)
        .await
        .unwrap()
}

#[tokio::test]
async fn a_token_that_holds_is_used_and_one_about_to_end_is_renewed_first() {
    let directory = tempdir().unwrap();
    let stand = Stand::start(renewing()).await;
    let good = session(&stand.address(), directory.path(), 70).await;
    good.usage().await.unwrap();
    assert_eq!(stand.routes(), ["usage"]);
    let old = session(&stand.address(), directory.path(), 50).await;
    old.usage().await.unwrap();
    old.usage().await.unwrap();
    assert_eq!(stand.routes()[1..], ["auth/refresh", "usage", "usage"]);
    assert_eq!(stored(directory.path()).await.refresh, "sr_2");
    // A later process needs no refresh.
    let place = Place::File(directory.path().join("token.json"));
    let next = Session::open(server(&stand.address()), place)
        .await
        .unwrap();
    next.usage().await.unwrap();
    assert_eq!(stand.routes().len(), 5);
}

#[tokio::test]
async fn many_that_find_the_token_ended_make_one_refresh() {
    let directory = tempdir().unwrap();
    let stand = Stand::start(renewing()).await;
    let session = session(&stand.address(), directory.path(), 0).await;
    let all = join_all((0..20).map(|_| session.usage())).await;
    assert!(all.iter().all(Result::is_ok), "{all:?}");
    assert_eq!(refreshes(&stand), 1);
}

#[tokio::test]
async fn an_access_token_that_is_refused_is_renewed_and_the_request_sent_again() {
    let directory = tempdir().unwrap();
    let stand = Stand::start(renewing()).await;
    let session = with_wrong_access(&stand, directory.path()).await;
    let all = join_all((0..5).map(|_| session.usage())).await;
    assert!(all.iter().all(Result::is_ok), "{all:?}");
    assert_eq!(refreshes(&stand), 1);
}

#[tokio::test]
async fn a_stream_that_met_an_ended_token_is_to_be_sent_again_by_its_maker() {
    let directory = tempdir().unwrap();
    let stand = Stand::start(renewing()).await;
    let session = with_wrong_access(&stand, directory.path()).await;
    let source = Source::new(stream::iter([Ok(Bytes::from("a"))]), 1);
    let error = session.push(source).await.err().unwrap();
    assert!(matches!(error, Error::Renewed), "{error:?}");
    session.usage().await.unwrap();
    assert_eq!(stand.routes(), ["sync/push", "auth/refresh", "usage"]);
}

#[tokio::test]
async fn new_tokens_are_stored_before_they_are_used_or_nothing_is_asked() {
    let directory = tempdir().unwrap();
    let file = directory.path().join("token.json");
    let looked = file.clone();
    let inner = renewing();
    let stand = Stand::start(move |seen| {
        if seen.header("x-access-token") == "access-2" {
            let stored: Kept = serde_json::from_slice(&std::fs::read(&looked).unwrap()).unwrap();
            assert_eq!(stored.refresh, "sr_2");
        }
        if seen.route.ends_with("refresh") {
            // A directory in its place cannot be replaced by a file.
            std::fs::remove_file(&looked).unwrap();
            std::fs::create_dir(&looked).unwrap();
        }
        inner(seen)
    })
    .await;
    let session = session(&stand.address(), directory.path(), 0).await;
    for _ in 0..2 {
        let error = session.usage().await.unwrap_err();
        assert!(
            matches!(error, Error::Store(_)) && error.passes(),
            "{error:?}"
        );
    }
    assert_eq!(stand.routes(), ["auth/refresh"]);
    std::fs::remove_dir(&file).unwrap();
    session.usage().await.unwrap();
    assert_eq!(stand.routes(), ["auth/refresh", "usage"]);
    assert_eq!(stored(directory.path()).await.access, "access-2");
}

#[tokio::test]
async fn a_refresh_token_is_not_used_up_where_the_next_one_could_not_be_stored() {
    let directory = tempdir().unwrap();
    let stand = Stand::start(renewing()).await;
    let session = session(&stand.address(), directory.path(), 0).await;
    // A directory that is not empty where the new file is made.
    let taken = directory.path().join("token.new");
    std::fs::create_dir(&taken).unwrap();
    let error = session.usage().await.unwrap_err();
    assert!(matches!(error, Error::Store(_)), "{error:?}");
    assert_eq!(stand.routes(), [""; 0]);
    std::fs::remove_dir(&taken).unwrap();
    session.usage().await.unwrap();
    assert_eq!(stand.routes(), ["auth/refresh", "usage"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn processes_with_one_log_in_do_not_use_a_refresh_token_twice() {
    let directory = tempdir().unwrap();
    let stand = Stand::start(renewing()).await;
    let first = session(&stand.address(), directory.path(), 0).await;
    let mut all = vec![first];
    for _ in 0..7 {
        let place = Place::File(directory.path().join("token.json"));
        let server = server(&stand.address());
        all.push(Session::open(server, place).await.unwrap());
    }
    let answers = join_all(all.iter().map(Session::usage)).await;
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    // The token of all was refused: the first that is told renews it for all.
    let refused = tokens("2", 900).access_token;
    let renewed = join_all(all.iter().map(|session| session.renew(refused.clone()))).await;
    for access in renewed {
        assert_eq!(access.unwrap(), "access-3");
    }
    assert_eq!(refreshes(&stand), 2);
}

#[tokio::test]
async fn a_log_in_whose_tokens_were_removed_or_spoilt_is_over() {
    let directory = tempdir().unwrap();
    let stand = Stand::start(renewing()).await;
    let session = session(&stand.address(), directory.path(), 0).await;
    let file = directory.path().join("token.json");
    std::fs::remove_file(&file).unwrap();
    for _ in 0..2 {
        let error = session.usage().await.unwrap_err();
        assert!(matches!(error, Error::LoggedOut(_)), "{error:?}");
    }
    std::fs::write(&file, "{").unwrap();
    let spoilt = Session::open(server(&stand.address()), Place::File(file)).await;
    assert!(matches!(spoilt, Err(Error::LoggedOut(_))));
    assert_eq!(stand.routes(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_is_asked_for_again_while_the_network_is_away() {
    let directory = tempdir().unwrap();
    let times = AtomicUsize::new(0);
    let stand = Stand::start(move |seen| {
        if !seen.route.ends_with("refresh") {
            return Some(usage());
        }
        match times.fetch_add(1, Ordering::SeqCst) {
            0 => None,
            1 => Some(problem(503, "busy")),
            _ => Some(json(&tokens("2", 900))),
        }
    })
    .await;
    let session = session(&stand.address(), directory.path(), 0).await;
    session.usage().await.unwrap();
    let refreshes = ["auth/refresh"; 3];
    assert_eq!(stand.routes()[..3], refreshes);
}

#[tokio::test]
async fn a_refresh_whose_answer_was_lost_is_sent_again_with_the_same_token() {
    let directory = tempdir().unwrap();
    let times = AtomicUsize::new(0);
    let stand = Stand::start(move |seen| {
        if seen.route.ends_with("refresh") && times.fetch_add(1, Ordering::SeqCst) == 0 {
            return None;
        }
        let refreshes = seen.route.ends_with("refresh");
        Some(if refreshes {
            json(&tokens("2", 900))
        } else {
            usage()
        })
    })
    .await;
    let session = session(&stand.address(), directory.path(), 0).await;
    session.usage().await.unwrap();
    let seen = stand.seen();
    assert_eq!(seen[0].body, seen[1].body);
    assert_eq!(stand.routes(), ["auth/refresh", "auth/refresh", "usage"]);
}

#[tokio::test]
async fn nobody_waiting_for_a_refresh_loses_no_tokens() {
    let directory = tempdir().unwrap();
    let (asked, answer) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (heard, may) = (Arc::clone(&asked), Arc::clone(&answer));
    let stand = Stand::slow(Way::default(), move |_| {
        let (heard, may) = (Arc::clone(&heard), Arc::clone(&may));
        Box::pin(async move {
            heard.notify_one();
            may.notified().await;
            Some(json(&tokens("2", 900)))
        })
    })
    .await;
    let session = session(&stand.address(), directory.path(), 0).await;
    tokio::select! {
        usage = session.usage() => panic!("{usage:?} before the tokens came"),
        () = asked.notified() => {}
    }
    assert_eq!(stored(directory.path()).await.refresh, "sr_1");
    answer.notify_one();
    let arrived = async {
        while stored(directory.path()).await.refresh != "sr_2" {
            sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), arrived)
        .await
        .unwrap();
}

#[tokio::test]
async fn the_end_of_a_log_in_is_told_once_and_then_known() {
    for name in [
        "token-reused",
        "unauthorized",
        "token-expired",
        "token-replaced",
    ] {
        let directory = tempdir().unwrap();
        let stand = Stand::start(move |_| Some(problem(401, name))).await;
        let session = session(&stand.address(), directory.path(), 0).await;
        for _ in 0..3 {
            let error = session.usage().await.unwrap_err();
            let words = error.to_string();
            assert!(matches!(error, Error::LoggedOut(_)), "{error:?}");
            assert!(
                words.contains("sync-client configure") && words.contains(name),
                "{words}"
            );
        }
        assert_eq!(stand.routes(), ["auth/refresh"]);
    }
}

#[tokio::test]
async fn tokens_that_another_process_has_stored_are_used_when_the_own_are_replaced() {
    let directory = tempdir().unwrap();
    let stand = Stand::start(|seen| {
        Some(
            match (
                seen.route.ends_with("refresh"),
                seen.header("x-access-token"),
            ) {
                (true, _) => problem(401, "token-replaced"),
                (false, "access-9") => usage(),
                (false, _) => problem(401, "unauthorized"),
            },
        )
    })
    .await;
    let own = session(&stand.address(), directory.path(), 0).await;
    let place = Place::File(directory.path().join("token.json"));
    let other = Session::begin(server(&stand.address()), place.clone(), &tokens("9", 900))
        .await
        .unwrap();
    own.usage().await.unwrap();
    other.usage().await.unwrap();
    // Also after the end was told: somebody has logged in anew.
    let out = session(&stand.address(), directory.path(), 0).await;
    assert!(matches!(out.usage().await, Err(Error::LoggedOut(_))));
    Session::begin(server(&stand.address()), place, &tokens("9", 900))
        .await
        .unwrap();
    out.usage().await.unwrap();
}

#[tokio::test]
async fn a_busy_server_does_not_end_a_log_in() {
    let directory = tempdir().unwrap();
    let busy = Arc::new(AtomicUsize::new(1));
    let inner = renewing();
    let asked = Arc::clone(&busy);
    let stand = Stand::start(move |seen| {
        match asked.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| {
            left.checked_sub(1)
        }) {
            Ok(_) => Some(problem(503, "busy")),
            Err(_) => inner(seen),
        }
    })
    .await;
    let session = session(&stand.address(), directory.path(), 0).await;
    assert!(matches!(session.usage().await, Err(Error::Busy { .. })));
    session.usage().await.unwrap();
}

#[tokio::test]
async fn logging_out_removes_the_tokens_even_when_the_server_has_ended_it_before() {
    for status in [204, 401] {
        let directory = tempdir().unwrap();
        let stand = Stand::start(move |_| {
            Some(match status {
                204 => with_status(super::stand::typed("text/plain", ""), 204),
                _ => problem(401, "unauthorized"),
            })
        })
        .await;
        let session = session(&stand.address(), directory.path(), 900).await;
        session.logout().await.unwrap();
        assert!(!directory.path().join("token.json").exists());
        assert!(matches!(session.usage().await, Err(Error::LoggedOut(_))));
    }
}
