//! Real-time hints that a space has changed: a WebSocket, and a long poll for those who cannot.
//!
//! A hint names a space and its last turn; what changed is pulled. Hints of one space that a slow
//! client has not taken yet become one, so nothing piles up.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade, close_code};
use axum::response::Response;
use futures_util::future::select_all;
use serde::Deserialize;
use tokio::sync::watch::Receiver;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep_until, timeout};
use utoipa::IntoParams;

use super::super::Api;
use super::super::extract::{Caller, Json, Query};
use super::super::problem::{self, Problem, Result};
use super::super::responses::{NoHandshake, Problems, Stale};
use super::pull::cursor;
use crate::protocol::schema;
use crate::protocol::sync::{Event, Poll};
use crate::tree::{FeedCursor, Tree};
use crate::types::SpaceId;

/// Devices that wait for events at once; each holds a socket and about 20 KiB.
const WAITING_MAX: usize = 2048;
/// How often a silent socket is pinged; phones and proxies forget silent connections after a minute.
const PING: Duration = Duration::from_secs(25);
/// A client that has answered no ping for so long is gone.
const SILENCE_MAX: Duration = Duration::from_mins(1);
/// Longest time a message may take to leave: then the client does not read any more.
const SEND_MAX: Duration = Duration::from_secs(20);
/// Longest message a client may send, in bytes: it has nothing to say but pongs.
const MESSAGE_MAX: usize = 4096;
/// Buffers of a socket, in bytes: hints are short.
const BUFFER: usize = 4096;
/// Bytes of answers to pings that a client may leave unread before it is cut off.
const UNREAD_MAX: usize = 64 * 1024;
/// Longest long poll; proxies cut at a minute.
const POLL_MAX: u64 = 55;

/// Who may wait for events.
#[derive(Clone)]
pub(crate) struct Waiting(Arc<Semaphore>);

impl Waiting {
    /// Nobody waits yet.
    pub(crate) fn new() -> Self {
        Self(Arc::new(Semaphore::new(WAITING_MAX)))
    }

    fn enter(&self) -> Result<OwnedSemaphorePermit> {
        let place = Arc::clone(&self.0).try_acquire_owned();
        let full = |_full| Problem::new(problem::BUSY, "too many devices wait for events");
        place
            .map_err(full)
            .map_err(|problem| problem.retry_after(30))
    }
}

/// Since when.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct EventsQuery {
    /// The cursor of the last pull: what changed since is told at once. From now on when absent.
    #[param(value_type = Option<schema::Cursor>)]
    cursor: Option<String>,
}

/// Opens a WebSocket that sends `{"space", "seq"}` whenever a space of the account has changed.
///
/// The server pings; it closes the socket when the log-in ends (code 4401) or the server stops
/// (1001): connect again with the last cursor.
#[utoipa::path(get, path = "/sync/events", operation_id = "openEvents", tag = "sync",
    params(EventsQuery),
    responses(
        (status = 101, description = "The socket is open; messages are `Event`s"),
        Problems, Stale, NoHandshake,
    ))]
pub(in super::super) async fn events(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Query(query): Query<EventsQuery>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response> {
    let since = start(&caller.tree, query.cursor.as_deref()).await?;
    let upgrade = upgrade.map_err(|rejection| refused(&rejection))?;
    let place = api.waiting.enter()?;
    let upgrade = upgrade
        .max_message_size(MESSAGE_MAX)
        .read_buffer_size(BUFFER)
        .write_buffer_size(0)
        .max_write_buffer_size(UNREAD_MAX);
    let owned = api.tasks.token();
    Ok(upgrade.on_upgrade(async move |socket| {
        let _held = (place, owned);
        let mut stream = Stream {
            api,
            caller,
            since,
            socket,
        };
        if let Err(end) = stream.run().await {
            stream.close(end).await;
        }
    }))
}

fn refused(rejection: &WebSocketUpgradeRejection) -> Problem {
    Problem::new(problem::UPGRADE, rejection.body_text()).at("Upgrade")
}

/// Where a client starts; a cursor that is not valid any more is refused as a pull would.
async fn start(tree: &Tree, text: Option<&str>) -> Result<FeedCursor> {
    let Some(text) = text else {
        return Ok(tree.feed_end().await?);
    };
    let since = cursor(text)?;
    tree.check_cursor(&since).await?;
    Ok(since)
}

/// Why a socket ends.
enum End {
    /// The client has gone or does not read.
    Gone,
    /// The log-in has ended.
    LoggedOut,
    /// The server stops.
    Stopping,
    /// The store failed.
    Failed,
}

struct Stream {
    api: Arc<Api>,
    caller: Caller,
    since: FeedCursor,
    socket: WebSocket,
}

impl Stream {
    async fn run(&mut self) -> Result<(), End> {
        // Watched before the first look, so that nothing falls in between.
        let mut watched = self.watch().await?;
        let mut log_ins = self.api.accounts.changes();
        self.tell().await?;
        let (mut ping, mut heard) = (Instant::now() + PING, Instant::now());
        let every = self.api.accounts.recheck();
        let mut recheck = Instant::now() + every;
        let stop = self.api.stop.clone();
        loop {
            tokio::select! {
                () = stop.cancelled() => return Err(End::Stopping),
                () = changed(&mut watched) => self.tell().await?,
                // Its sender lives as long as the accounts.
                Ok(()) = log_ins.changed() => self.check().await?,
                received = self.socket.recv() => {
                    hear(received.as_ref())?;
                    heard = Instant::now();
                }
                () = sleep_until(ping.min(recheck)) => {
                    if heard.elapsed() > SILENCE_MAX {
                        return Err(End::Gone);
                    }
                    if ping <= Instant::now() {
                        self.send(Message::Ping(bytes::Bytes::new())).await?;
                        ping = Instant::now() + PING;
                    }
                    if recheck <= Instant::now() {
                        self.check().await?;
                        recheck = Instant::now() + every;
                    }
                }
            }
        }
    }

    async fn watch(&mut self) -> Result<Vec<(SpaceId, Receiver<()>)>, End> {
        self.caller
            .tree
            .watch()
            .await
            .map_err(|error| failed(&error))
    }

    /// Sends a hint for each space that has moved on, to nobody who is shut out.
    async fn tell(&mut self) -> Result<(), End> {
        self.check().await?;
        let changed = self.caller.tree.changed_since(&self.since).await;
        for (space, seq) in changed.map_err(|error| failed(&error))? {
            let event = Event {
                space: space.0,
                seq,
            };
            let text = serde_json::to_string(&event).map_err(|_never| End::Failed)?;
            self.send(Message::text(text)).await?;
            self.since.advance(space, seq);
        }
        Ok(())
    }

    async fn send(&mut self, message: Message) -> Result<(), End> {
        match timeout(SEND_MAX, self.socket.send(message)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(End::Gone),
        }
    }

    async fn check(&mut self) -> Result<(), End> {
        let holds = self.api.accounts.still_holds(&self.caller.session).await;
        match holds {
            Ok(true) => Ok(()),
            Ok(false) => Err(End::LoggedOut),
            Err(error) => {
                tracing::error!(%error, "a log-in could not be checked");
                Err(End::Failed)
            }
        }
    }

    /// Says good-bye to whoever still listens.
    async fn close(mut self, end: End) {
        let (code, reason) = match end {
            End::Gone => return,
            End::LoggedOut => (4401, "the log-in has ended"),
            End::Stopping => (close_code::AWAY, "the server stops"),
            End::Failed => (close_code::ERROR, "the server failed"),
        };
        let frame = CloseFrame {
            code,
            reason: reason.into(),
        };
        let _gone = self.send(Message::Close(Some(frame))).await;
    }
}

fn failed(error: &crate::tree::Error) -> End {
    tracing::error!(%error, "events could not be read");
    End::Failed
}

fn hear(received: Option<&Result<Message, axum::Error>>) -> Result<(), End> {
    match received {
        Some(Ok(Message::Ping(_) | Message::Pong(_))) => Ok(()),
        // A client has nothing to say.
        Some(Ok(Message::Text(_) | Message::Binary(_) | Message::Close(_)) | Err(_)) | None => {
            Err(End::Gone)
        }
    }
}

/// Returns when one of the spaces has changed since it was looked at.
async fn changed(watched: &mut [(SpaceId, Receiver<()>)]) {
    let all = watched.iter_mut().map(|(_, told)| Box::pin(told.changed()));
    let (_first, _nth, _others) = select_all(all).await;
}

/// Since when, and how long.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct PollQuery {
    /// The cursor of the last pull.
    #[param(value_type = schema::Cursor)]
    cursor: String,
    /// Longest wait in seconds, 0 to 55; 30 when absent.
    #[param(minimum = 0, maximum = 55)]
    timeout: Option<u64>,
}

/// Waits until a space of the account has changed since a cursor, at most for a time.
#[utoipa::path(get, path = "/sync/poll", operation_id = "pollEvents", tag = "sync",
    params(PollQuery),
    responses((status = 200, body = Poll, description = "What was heard"), Problems, Stale))]
pub(in super::super) async fn poll(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Query(query): Query<PollQuery>,
) -> Result<Json<Poll>> {
    let seconds = query.timeout.unwrap_or(30);
    if seconds > POLL_MAX {
        return Err(Problem::invalid(
            "timeout",
            "a poll waits 55 seconds at most",
        ));
    }
    let since = start(&caller.tree, Some(&query.cursor)).await?;
    let _place = api.waiting.enter()?;
    let mut watched = caller.tree.watch().await?;
    let mut log_ins = api.accounts.changes();
    let end = Instant::now() + Duration::from_secs(seconds);
    loop {
        if !api.accounts.still_holds(&caller.session).await? {
            return Err(Problem::new(problem::UNAUTHORIZED, "the log-in has ended"));
        }
        let events = caller.tree.changed_since(&since).await?;
        if !events.is_empty() {
            let event = |(space, seq): (SpaceId, i64)| Event {
                space: space.0,
                seq,
            };
            let events = events.into_iter().map(event).collect();
            return Ok(Json(Poll { events }));
        }
        tokio::select! {
            () = changed(&mut watched) => {}
            Ok(()) = log_ins.changed() => {}
            () = sleep_until(end) => return Ok(Json(Poll { events: vec![] })),
            () = api.stop.cancelled() => return Ok(Json(Poll { events: vec![] })),
        }
    }
}
