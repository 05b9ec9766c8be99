//! Hears that something has changed on the server: by a WebSocket, or by long polls where a proxy lets none
//! through.
//!
//! A task keeps the connection; what it heard waits, one hint for each space, until [`Events::next`] is asked.

mod socket;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep, timeout};

use super::login::Session;
use super::{Error, Result};
use crate::client::pauses::{self, Pauses};
use crate::protocol::sync::Event;
use socket::{End, Socket};

/// The first pause between connections is at most this,
const PAUSE: Duration = Duration::from_secs(2);
/// and no pause is longer.
const PAUSE_MAX: Duration = Duration::from_mins(1);
/// A connection that held for so long was a good one: its end does not count as a failure.
const LONG: Duration = Duration::from_mins(1);
/// Handshakes that fail, or sockets that stay silent, one after the other, before long polls are tried.
const BLOCKED_AFTER: u32 = 2;
/// How long to keep to long polls before the WebSocket is tried again.
const POLLING: Duration = Duration::from_mins(30);
/// Seconds of a long poll; proxies cut at a minute.
const POLL_SECONDS: u64 = 50;
/// Time that is left for a pull after a hint, before the next long poll would tell the same.
const PULL_TIME: Duration = Duration::from_secs(10);

/// What was heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// A space has changed up to this turn.
    Changed {
        /// The space.
        space: i64,
        /// The turn of its last change.
        seq: i64,
    },
    /// The connection was lost and is there again: pull, to be sure.
    Reconnected,
}

/// Hears of changes until it is dropped.
pub struct Events {
    shared: Arc<Shared>,
    task: AbortHandle,
}

impl Drop for Events {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Events {
    /// Begins to listen, from a cursor of the last pull on.
    pub fn listen(session: Session, cursor: Option<String>) -> Self {
        let shared = Arc::new(Shared::default());
        shared.lock().cursor = cursor;
        let listener = Listener {
            session,
            shared: Arc::clone(&shared),
            pauses: Pauses::new(PAUSE, PAUSE_MAX),
            blocked: 0,
            polling: None,
            lost: false,
        };
        let task = tokio::spawn(listener.run()).abort_handle();
        Self { shared, task }
    }

    /// What was heard next. Nothing is lost when this is dropped before it is ready. An error ends it: the
    /// log-in is over.
    pub async fn next(&mut self) -> Result<Heard> {
        loop {
            let heard = self.shared.heard.notified();
            if let Some(next) = self.shared.lock().take() {
                return next;
            }
            heard.await;
        }
    }

    /// The cursor of the last pull: what came before need not be told again.
    pub fn pulled(&self, cursor: &str) {
        self.shared.lock().cursor = Some(cursor.to_owned());
        self.shared.pulled.notify_one();
    }
}

/// Between the task and who asks it.
#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    heard: Notify,
    pulled: Notify,
}

#[derive(Default)]
struct State {
    cursor: Option<String>,
    reconnected: bool,
    changed: BTreeMap<i64, i64>,
    ended: Option<Error>,
}

impl State {
    fn take(&mut self) -> Option<Result<Heard>> {
        if std::mem::take(&mut self.reconnected) {
            return Some(Ok(Heard::Reconnected));
        }
        if let Some((space, seq)) = self.changed.pop_first() {
            return Some(Ok(Heard::Changed { space, seq }));
        }
        let ended = self.ended.take()?;
        self.ended = ended.again();
        Some(Err(ended))
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, event: &Event) {
        self.lock().changed.insert(event.space, event.seq);
        self.heard.notify_one();
    }

    fn reconnected(&self) {
        self.lock().reconnected = true;
        self.heard.notify_one();
    }

    fn cursor(&self) -> Option<String> {
        self.lock().cursor.clone()
    }
}

struct Listener {
    session: Session,
    shared: Arc<Shared>,
    pauses: Pauses,
    /// Sockets that failed in a way that proxies cause, one after the other.
    blocked: u32,
    /// When the WebSocket is tried again.
    polling: Option<Instant>,
    /// Whether changes may have been missed, or are not told from a cursor on.
    lost: bool,
}

impl Listener {
    async fn run(mut self) {
        loop {
            let ended = self.attempt().await;
            self.lost = true;
            if let Err(error) = ended {
                self.shared.lock().ended = Some(error);
                self.shared.heard.notify_one();
                return;
            }
        }
    }

    /// One connection, and the pause behind it. An error is one that no pause helps against.
    async fn attempt(&mut self) -> Result<()> {
        let begun = Instant::now();
        let end = if self.blocked < BLOCKED_AFTER {
            self.socket().await
        } else {
            self.polls().await
        };
        let held = begun.elapsed() >= LONG;
        if held {
            self.pauses.reset();
        }
        let end = self.renewed(end).await;
        tracing::debug!("no events for now: {end:?}");
        match end {
            End::Failed(error @ (Error::LoggedOut(_) | Error::Address(_))) => {
                return Err(error);
            }
            End::Failed(Error::Busy {
                after: Some(after), ..
            })
            | End::Busy(after) => {
                sleep(after.min(PAUSE_MAX) + pauses::part(PAUSE)).await;
            }
            // Nobody else was thrown out with us.
            End::Gone(_) | End::Failed(_) | End::Again | End::Stale if held => {}
            End::Gone(_)
            | End::Failed(_)
            | End::Blocked(_)
            | End::Stopping
            | End::Ended(_)
            | End::Again
            | End::Stale => sleep(self.pauses.next()).await,
        }
        Ok(())
    }

    /// Hears by a WebSocket until it ends.
    async fn socket(&mut self) -> End {
        let cursor = self.shared.cursor();
        let mut socket = match Socket::open(&self.session, cursor.as_deref()).await {
            Ok(socket) => socket,
            // It would be so for ever.
            Err(End::Stale) if cursor.is_none() => {
                return End::Gone("no cursor is stale".to_owned());
            }
            Err(end) => return self.ended(end),
        };
        self.connected(cursor.is_none());
        loop {
            match socket.next().await {
                Ok(event) => {
                    self.blocked = 0;
                    self.shared.tell(&event);
                }
                Err(end) => return self.ended(end),
            }
        }
    }

    fn ended(&mut self, end: End) -> End {
        match &end {
            End::Blocked(why) => {
                self.blocked += 1;
                tracing::debug!("the WebSocket: {why}");
            }
            // A pull will say so, too.
            End::Stale => self.shared.lock().cursor = None,
            End::Gone(_)
            | End::Ended(_)
            | End::Stopping
            | End::Busy(_)
            | End::Again
            | End::Failed(_) => self.blocked = 0,
        }
        end
    }

    /// Renews a log-in that the server has ended, where it lets us.
    async fn renewed(&self, end: End) -> End {
        let End::Ended(access) = end else {
            return end;
        };
        match self.session.renew(access).await {
            Ok(_access) => End::Again,
            Err(error) => End::Failed(error),
        }
    }

    /// Hears by long polls for a while.
    async fn polls(&mut self) -> End {
        let until = *self.polling.get_or_insert_with(|| Instant::now() + POLLING);
        let mut first = true;
        while Instant::now() < until {
            let Some(cursor) = self.shared.cursor() else {
                self.shared.reconnected();
                self.shared.pulled.notified().await;
                continue;
            };
            let (seconds, begun) = (if first { 0 } else { POLL_SECONDS }, Instant::now());
            match self.session.poll(&cursor, seconds).await {
                Ok(heard) => {
                    let at_once = !first && begun.elapsed() < PULL_TIME;
                    if std::mem::take(&mut first) {
                        self.connected(false);
                    }
                    if at_once && heard.events.is_empty() {
                        // Somebody on the way answers in the server's place.
                        sleep(self.pauses.next()).await;
                    } else {
                        self.pauses.reset();
                    }
                    self.polled(&heard.events).await;
                }
                Err(error)
                    if matches!(error.problem(), Some("stale-cursor" | "expired-cursor")) =>
                {
                    self.shared.lock().cursor = None;
                }
                Err(error) => return End::Failed(error),
            }
        }
        self.try_sockets();
        End::Gone("time to try a WebSocket again".to_owned())
    }

    fn try_sockets(&mut self) {
        self.blocked = 0;
        self.polling = None;
    }

    /// Tells, and waits until what was told has been pulled: the next poll would tell it again.
    async fn polled(&self, events: &[Event]) {
        for event in events {
            self.shared.tell(event);
        }
        if !events.is_empty() {
            let pulled = timeout(PULL_TIME, self.shared.pulled.notified());
            drop(pulled.await);
        }
    }

    fn connected(&mut self, without_cursor: bool) {
        if self.lost || without_cursor {
            self.shared.reconnected();
        }
        self.lost = false;
    }
}
