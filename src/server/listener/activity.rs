//! What one connection is doing, and until when it may go on doing it.
//!
//! hyper's own head timeout also runs while a kept-alive connection is idle, and it has none for
//! clients that stop reading. So the sockets and bodies report here and [`Activity::judge`] says.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http::Version;
use http_body::{Frame, SizeHint};
use tokio::sync::Notify;
use tokio::time::Instant;

/// How long each state of a connection may last.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    pub(super) head: Duration,
    pub(super) idle: Duration,
    pub(super) send: Duration,
}

/// What is to be done about a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing before this time.
    WaitUntil(Instant),
    /// It was idle for long enough: say good-bye.
    Idle,
    /// Its request head takes too long, or it does not read its responses: cut it.
    Cut,
}

/// Shared by a connection's socket, its requests and the task that judges it.
pub(super) struct Activity {
    state: Mutex<State>,
    changed: Notify,
}

struct State {
    /// Requests whose response is not fully handed over.
    running: u32,
    /// Those of them whose next bytes wait for the client to read the previous ones.
    unread: u32,
    idle_since: Instant,
    /// When the first byte of the coming request head arrived.
    head_since: Option<Instant>,
    /// When a response last moved on.
    moved: Instant,
    /// HTTP/2, where bytes outside of requests (pings, windows) are not the start of a head.
    multiplexed: bool,
}

impl Activity {
    /// A connection that has just been accepted; its first request head is due.
    pub(super) fn new() -> Arc<Self> {
        let now = Instant::now();
        let state = State {
            running: 0,
            unread: 0,
            idle_since: now,
            head_since: Some(now),
            moved: now,
            multiplexed: false,
        };
        Arc::new(Self {
            state: Mutex::new(state),
            changed: Notify::new(),
        })
    }

    /// The socket gave some bytes.
    pub(super) fn received(&self) {
        let mut state = self.lock();
        if state.running == 0 && state.head_since.is_none() && !state.multiplexed {
            state.head_since = Some(Instant::now());
            self.changed.notify_one();
        }
    }

    /// A request head is complete. The request runs until the ticket is dropped.
    pub(super) fn begin(self: &Arc<Self>, version: Version) -> Ticket {
        let mut state = self.lock();
        state.running += 1;
        state.head_since = None;
        state.moved = Instant::now();
        state.multiplexed |= version == Version::HTTP_2;
        drop(state);
        self.changed.notify_one();
        Ticket {
            activity: Arc::clone(self),
            unread: false,
        }
    }

    /// Returns when the verdict may have become stricter than the last one.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// What is to be done at `now`.
    pub(super) fn judge(&self, patience: Patience, now: Instant) -> Verdict {
        let state = self.lock();
        let (end, verdict) = match (state.running, state.head_since) {
            (0, Some(head)) => (head + patience.head, Verdict::Cut),
            (0, None) => (state.idle_since + patience.idle, Verdict::Idle),
            (running, _) if running == state.unread => (state.moved + patience.send, Verdict::Cut),
            // A handler is at work, or waits for a body that has its own timeout.
            (_, _) => return Verdict::WaitUntil(now + patience.send),
        };
        if end <= now {
            verdict
        } else {
            Verdict::WaitUntil(end)
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One running request.
pub(super) struct Ticket {
    activity: Arc<Activity>,
    unread: bool,
}

impl Ticket {
    fn set_unread(&mut self, unread: bool) {
        if self.unread != unread {
            self.unread = unread;
            let mut state = self.activity.lock();
            state.moved = Instant::now();
            state.unread = if unread {
                state.unread + 1
            } else {
                state.unread - 1
            };
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.set_unread(false);
        let mut state = self.activity.lock();
        state.running -= 1;
        if state.running == 0 {
            state.idle_since = Instant::now();
            drop(state);
            self.activity.changed.notify_one();
        }
    }
}

/// A response body that tells its connection's [`Activity`] how it gets on.
pub(super) struct Sent {
    body: Body,
    ticket: Ticket,
}

impl Sent {
    /// Wraps the response body of the request that `ticket` stands for.
    pub(super) fn new(body: Body, ticket: Ticket) -> Self {
        Self { body, ticket }
    }
}

impl http_body::Body for Sent {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        self.ticket.set_unread(false);
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        // hyper asks for the next frame once the client has made room for it.
        self.ticket
            .set_unread(matches!(polled, Poll::Ready(Some(Ok(_)))));
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    const PATIENCE: Patience = Patience {
        head: Duration::from_secs(10),
        idle: Duration::from_secs(75),
        send: Duration::from_mins(5),
    };

    fn after(activity: &Activity, seconds: u64) -> Verdict {
        activity.judge(PATIENCE, Instant::now() + Duration::from_secs(seconds))
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_new_connection_is_cut_after_the_head_timeout() {
        let activity = Activity::new();
        assert!(matches!(after(&activity, 9), Verdict::WaitUntil(_)));
        assert_eq!(after(&activity, 10), Verdict::Cut);
    }

    #[tokio::test(start_paused = true)]
    async fn between_requests_there_is_the_idle_timeout_until_a_byte_arrives() {
        let activity = Activity::new();
        drop(activity.begin(Version::HTTP_11));
        assert!(matches!(after(&activity, 74), Verdict::WaitUntil(_)));
        assert_eq!(after(&activity, 75), Verdict::Idle);
        activity.received();
        assert_eq!(after(&activity, 10), Verdict::Cut);
    }

    #[tokio::test(start_paused = true)]
    async fn pings_of_an_idle_http2_connection_are_no_request_head() {
        let activity = Activity::new();
        drop(activity.begin(Version::HTTP_2));
        activity.received();
        assert!(matches!(after(&activity, 74), Verdict::WaitUntil(_)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_handler_may_take_its_time() {
        let activity = Activity::new();
        let _ticket = activity.begin(Version::HTTP_11);
        assert!(matches!(after(&activity, 100_000), Verdict::WaitUntil(_)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_does_not_read_is_cut_after_the_send_timeout() {
        let activity = Activity::new();
        let frames = futures_util::stream::iter(["a", "b"].map(Ok::<_, std::io::Error>));
        let mut body = Sent::new(Body::from_stream(frames), activity.begin(Version::HTTP_11));
        body.frame().await.unwrap().unwrap();
        assert!(matches!(after(&activity, 299), Verdict::WaitUntil(_)));
        assert_eq!(after(&activity, 300), Verdict::Cut);
        body.frame().await.unwrap().unwrap();
        assert!(body.frame().await.is_none());
        assert!(matches!(after(&activity, 100_000), Verdict::WaitUntil(_)));
    }
}
