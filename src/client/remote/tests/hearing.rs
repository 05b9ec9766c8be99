use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use tempfile::{TempDir, tempdir};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::{WebSocketStream, accept_hdr_async};

use super::stand::{Stand, json, problem};
use super::{session, stored, tokens};
use crate::client::remote::{Error, Events, Heard, Speaks};

type Socket = WebSocketStream<TcpStream>;

/// A server of events alone, which hands over each socket with what was asked for.
struct Sockets {
    address: String,
    accepted: mpsc::UnboundedReceiver<(Socket, String)>,
}

/// Refuses the first handshakes with these statuses.
async fn sockets(refusals: &[u16]) -> Sockets {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let (sender, accepted) = mpsc::unbounded_channel();
    let refusals = Arc::new(Mutex::new(VecDeque::from(refusals.to_vec())));
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut begin = [0; 4];
            stream.peek(&mut begin).await.unwrap();
            if &begin == b"POST" {
                refresh(&mut stream).await;
                continue;
            }
            let refusal = refusals.lock().unwrap().pop_front();
            let mut asked = String::new();
            #[expect(clippy::result_large_err, reason = "the type is not ours")]
            let shaken = accept_hdr_async(stream, |request: &Request, response: Response| {
                asked = format!(
                    "{} {:?}",
                    request.uri(),
                    request.headers().get("authorization")
                );
                refuse(refusal).map_or(Ok(response), Err)
            });
            if let Ok(socket) = shaken.await {
                drop(sender.send((socket, asked)));
            }
        }
    });
    Sockets { address, accepted }
}

/// Gives the tokens `2` to any request.
async fn refresh(stream: &mut TcpStream) {
    let tokens = serde_json::to_string(&tokens("2", 900)).unwrap();
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        tokens.len()
    );
    assert!(stream.read(&mut [0; 4096]).await.unwrap() > 0);
    stream
        .write_all(format!("{head}{tokens}").as_bytes())
        .await
        .unwrap();
}

fn refuse(status: Option<u16>) -> Option<ErrorResponse> {
    let mut refusal = ErrorResponse::new(None);
    *refusal.status_mut() = http::StatusCode::from_u16(status?).unwrap();
    Some(refusal)
}

impl Sockets {
    async fn next(&mut self) -> (Socket, String) {
        timeout(Duration::from_secs(20), self.accepted.recv())
            .await
            .unwrap()
            .unwrap()
    }
}

async fn listen(address: &str, directory: &TempDir, cursor: Option<&str>) -> Events {
    let session = session(address, directory.path(), 900).await;
    session.server().remember(Speaks::Http1);
    Events::listen(session, cursor.map(str::to_owned))
}

async fn next(events: &mut Events) -> Heard {
    timeout(Duration::from_secs(20), events.next())
        .await
        .unwrap()
        .unwrap()
}

async fn tell(socket: &mut Socket, space: i64, seq: i64) {
    let text = format!(r#"{{"space":{space},"seq":{seq}}}"#);
    socket.send(Message::text(text)).await.unwrap();
}

#[tokio::test]
async fn hints_arrive_and_those_of_one_space_that_nobody_took_become_one() {
    let directory = tempdir().unwrap();
    let mut sockets = sockets(&[]).await;
    let mut events = listen(&sockets.address, &directory, Some("c_2.1")).await;
    let (mut socket, asked) = sockets.next().await;
    assert_eq!(
        asked,
        "/api/v1/sync/events?cursor=c_2.1 Some(\"Bearer access-1\")"
    );
    tell(&mut socket, 2, 5).await;
    assert_eq!(next(&mut events).await, Heard::Changed { space: 2, seq: 5 });
    for seq in 6..9 {
        tell(&mut socket, 2, seq).await;
    }
    tell(&mut socket, 1, 1).await;
    // The answer to the ping comes behind all of them.
    socket.send(Message::Ping("now".into())).await.unwrap();
    assert_eq!(
        socket.next().await.unwrap().unwrap(),
        Message::Pong("now".into())
    );
    assert_eq!(next(&mut events).await, Heard::Changed { space: 1, seq: 1 });
    assert_eq!(next(&mut events).await, Heard::Changed { space: 2, seq: 8 });
    assert!(
        timeout(Duration::from_millis(50), events.next())
            .await
            .is_err()
    );
}

#[tokio::test]
async fn a_lost_connection_comes_back_from_the_last_cursor_on_and_says_so() {
    let directory = tempdir().unwrap();
    let mut sockets = sockets(&[]).await;
    let mut events = listen(&sockets.address, &directory, Some("1")).await;
    let (socket, _) = sockets.next().await;
    events.pulled("2");
    drop(socket);
    let (mut socket, asked) = sockets.next().await;
    assert!(asked.contains("cursor=2"), "{asked}");
    assert_eq!(next(&mut events).await, Heard::Reconnected);
    tell(&mut socket, 1, 1).await;
    assert_eq!(next(&mut events).await, Heard::Changed { space: 1, seq: 1 });
}

#[tokio::test]
async fn a_stale_cursor_is_given_up_and_a_pull_will_tell() {
    let directory = tempdir().unwrap();
    let mut sockets = sockets(&[410]).await;
    let mut events = listen(&sockets.address, &directory, Some("old")).await;
    let (_socket, asked) = sockets.next().await;
    assert!(asked.starts_with("/api/v1/sync/events Some"), "{asked}");
    assert_eq!(next(&mut events).await, Heard::Reconnected);
}

#[tokio::test(start_paused = true)]
async fn a_socket_without_pings_is_dead_after_three_of_them() {
    let directory = tempdir().unwrap();
    let mut sockets = sockets(&[]).await;
    let mut events = listen(&sockets.address, &directory, Some("1")).await;
    let (mut first, _) = sockets.next().await;
    first.send(Message::Ping("".into())).await.unwrap();
    assert!(matches!(first.next().await, Some(Ok(Message::Pong(_)))));
    let begun = tokio::time::Instant::now();
    let second = sockets.accepted.recv();
    let (_second, _) = timeout(Duration::from_secs(200), second)
        .await
        .unwrap()
        .unwrap();
    let quiet = begun.elapsed().as_secs();
    assert!((74..80).contains(&quiet), "{quiet} s");
    assert_eq!(events.next().await.unwrap(), Heard::Reconnected);
}

#[tokio::test]
async fn the_end_of_a_log_in_that_cannot_be_renewed_is_told() {
    let directory = tempdir().unwrap();
    let stand = Stand::start(|_| Some(problem(401, "unauthorized"))).await;
    let mut events = listen(&stand.address(), &directory, Some("1")).await;
    let error = timeout(Duration::from_secs(20), events.next())
        .await
        .unwrap()
        .unwrap_err();
    assert!(matches!(error, Error::LoggedOut(_)), "{error:?}");
    assert!(stand.routes().contains(&"auth/refresh".to_owned()));
    let again = timeout(Duration::from_secs(20), events.next())
        .await
        .unwrap()
        .unwrap_err();
    assert!(matches!(again, Error::LoggedOut(_)), "{again:?}");
}

#[tokio::test]
async fn a_socket_that_is_closed_with_4401_renews_the_log_in_and_comes_back() {
    let directory = tempdir().unwrap();
    let mut sockets = sockets(&[]).await;
    let mut events = listen(&sockets.address, &directory, Some("1")).await;
    let (mut socket, _) = sockets.next().await;
    let frame = CloseFrame {
        code: 4401.into(),
        reason: "".into(),
    };
    socket.close(Some(frame)).await.unwrap();
    let (_socket, asked) = sockets.next().await;
    assert!(asked.contains("Bearer access-2"), "{asked}");
    assert_eq!(next(&mut events).await, Heard::Reconnected);
    assert_eq!(stored(directory.path()).await.refresh, "sr_2");
}

#[tokio::test]
async fn a_server_that_ends_each_log_in_at_once_gets_no_hail_of_requests() {
    let directory = tempdir().unwrap();
    let mut sockets = sockets(&[]).await;
    let _events = listen(&sockets.address, &directory, Some("1")).await;
    let mut times = 0;
    let until = tokio::time::Instant::now() + Duration::from_secs(3);
    while let Ok(Some((mut socket, _))) =
        tokio::time::timeout_at(until, sockets.accepted.recv()).await
    {
        times += 1;
        let frame = CloseFrame {
            code: 4401.into(),
            reason: "".into(),
        };
        drop(socket.close(Some(frame)).await);
    }
    assert!((2..=3).contains(&times), "{times}");
}

#[tokio::test]
async fn polls_that_are_answered_by_somebody_on_the_way_do_not_spin() {
    let directory = tempdir().unwrap();
    let stand = Stand::start(|seen| {
        Some(if seen.route.contains("sync/poll") {
            json(&serde_json::json!({"events": []}))
        } else {
            problem(426, "upgrade-required")
        })
    })
    .await;
    let mut events = listen(&stand.address(), &directory, Some("1")).await;
    assert_eq!(next(&mut events).await, Heard::Reconnected);
    tokio::time::sleep(Duration::from_secs(2)).await;
    let routes = stand.routes();
    let polls = routes.iter().filter(|route| route.contains("poll")).count();
    assert!((2..=4).contains(&polls), "{routes:?}");
}

#[tokio::test]
async fn where_no_websocket_gets_through_long_polls_do() {
    let directory = tempdir().unwrap();
    let polls = Arc::new(Mutex::new(0));
    let stand = Stand::start(move |seen| {
        if !seen.route.contains("sync/poll") {
            // The proxy took the handshake out.
            return Some(problem(426, "upgrade-required"));
        }
        *polls.lock().unwrap() += 1;
        let events = match *polls.lock().unwrap() {
            1 => vec![],
            _ => vec![serde_json::json!({"space": 2, "seq": 7})],
        };
        Some(json(&serde_json::json!({"events": events})))
    })
    .await;
    let mut events = listen(&stand.address(), &directory, Some("1")).await;
    assert_eq!(next(&mut events).await, Heard::Reconnected);
    assert_eq!(next(&mut events).await, Heard::Changed { space: 2, seq: 7 });
    // It waits for the pull before it asks again.
    assert!(
        timeout(Duration::from_millis(100), events.next())
            .await
            .is_err()
    );
    events.pulled("2");
    assert_eq!(next(&mut events).await, Heard::Changed { space: 2, seq: 7 });
    let polls: Vec<_> = stand
        .routes()
        .into_iter()
        .filter(|route| route.contains("poll"))
        .collect();
    assert_eq!(
        polls[..2],
        [
            "sync/poll?cursor=1&timeout=0",
            "sync/poll?cursor=1&timeout=50"
        ]
    );
    assert_eq!(polls[2], "sync/poll?cursor=2&timeout=50");
}
