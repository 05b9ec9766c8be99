//! Request bodies: they may not pause for ever, and an unread rest is read off.
//!
//! A handler that answers before the body is complete (401, 412, 507) drops it. A socket closed
//! with unread bytes makes the kernel send a reset, and most clients then report "connection
//! reset" instead of the status. So the rest is read and thrown away for a short while.

use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Version, header};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep, sleep_until, timeout};

/// Most bytes read off; a client that sends more has had the time to see the status.
const DISCARD_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Longest time spent on reading off.
const DISCARD_TIME_MAX: Duration = Duration::from_secs(5);

/// A request body.
pub(super) struct Received {
    body: Option<Incoming>,
    pause_max: Duration,
    timer: Option<Pin<Box<Sleep>>>,
    discard: Discard,
}

/// Whether an unread rest is to be read off.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Discard {
    /// The client sends it in any case.
    Rest,
    /// The client waits for `100 Continue`, which the first read sends; so do not start.
    RestOnceStarted,
    /// Nothing is left, or HTTP/2 can cancel the stream.
    Nothing,
}

impl Received {
    /// Takes over the body of `request`; no frame for `pause_max` is an error.
    pub(super) fn wrap(request: Request<Incoming>, pause_max: Duration) -> Request<Self> {
        let discard = match request.version() {
            Version::HTTP_2 => Discard::Nothing,
            _ if request.headers().contains_key(header::EXPECT) => Discard::RestOnceStarted,
            _ => Discard::Rest,
        };
        request.map(|body| Self {
            body: Some(body),
            pause_max,
            timer: None,
            discard,
        })
    }

    fn poll_pause(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        let end = Instant::now() + self.pause_max;
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(end)));
        timer.as_mut().poll(cx).map(|()| {
            self.discard = Discard::Nothing;
            io::Error::new(io::ErrorKind::TimedOut, "the request body does not arrive")
        })
    }
}

impl Body for Received {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let Some(body) = &mut self.body else {
            return Poll::Ready(None);
        };
        let polled = Pin::new(body).poll_frame(cx);
        if self.discard == Discard::RestOnceStarted {
            self.discard = Discard::Rest;
        }
        match polled {
            Poll::Pending => self.poll_pause(cx).map(|error| Some(Err(error))),
            Poll::Ready(Some(Ok(frame))) => {
                self.timer = None;
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(error))) => {
                self.discard = Discard::Nothing;
                Poll::Ready(Some(Err(io::Error::other(error))))
            }
            Poll::Ready(None) => {
                self.discard = Discard::Nothing;
                Poll::Ready(None)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body
            .as_ref()
            .map_or_else(SizeHint::default, Body::size_hint)
    }
}

impl Drop for Received {
    fn drop(&mut self) {
        if self.discard != Discard::Rest || self.is_end_stream() {
            return;
        }
        // The task ends with its connection, which the listener owns, or after a few seconds.
        if let (Some(body), Ok(runtime)) = (self.body.take(), tokio::runtime::Handle::try_current())
        {
            runtime.spawn(timeout(DISCARD_TIME_MAX, discard(body)));
        }
    }
}

async fn discard(body: Incoming) {
    let mut body = pin!(body);
    let mut left = DISCARD_BYTES_MAX;
    while let Some(Ok(frame)) = body.frame().await {
        let length = frame.data_ref().map_or(0, |data| data.len() as u64);
        let Some(rest) = left.checked_sub(length) else {
            return;
        };
        left = rest;
    }
}
