//! How many bytes a second may go up and down, and how many did.
//!
//! Measured around the TCP socket, so that heads, TLS and events count as well. All connections of a
//! client share one rate for each direction.

use std::io::{self, IoSlice};
use std::num::NonZeroU64;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

/// Most bytes passed at once under a limit: what comes at once at high rates.
const PIECE_MAX: u64 = 64 * 1024;
/// Bytes passed at once at low rates: less would be mostly packet heads.
const PIECE_MIN: u64 = 1024;
/// Pieces a second, where the two limits above allow it.
const PIECES: u64 = 20;
/// Unused time that may be made up for: longer would give bursts.
const CREDIT: Duration = Duration::from_millis(100);
/// Below this rate, in bytes a second, a connection cannot be shared, nor its records be long.
const SLOW: u64 = 64 * 1024;
/// Longest record of TLS at such a rate, in bytes. The other side can read nothing of a record before its end: the
/// head of a request in one of 16 KiB came too late for the server.
const SLOW_RECORD: usize = 2048;
/// Longest sleep, so that a new rate is soon heeded.
const NAP: Duration = Duration::from_millis(250);

/// The rates of both directions and what has passed; all connections share it.
#[derive(Debug, Default)]
pub struct Limits {
    up: Rate,
    down: Rate,
}

impl Limits {
    /// Sets the rates, in bytes a second; `None` is as fast as it goes. Holds at once for what is running.
    pub fn set(&self, up: Option<NonZeroU64>, down: Option<NonZeroU64>) {
        self.up.set(up);
        self.down.set(down);
    }

    /// Whether so little comes that a shared connection does not do: what is small, and the pings by which the
    /// server knows that somebody is there, would wait for minutes behind what is not.
    pub(super) fn is_slow(&self) -> bool {
        self.down.is_slow()
    }

    /// Bytes sent so far, heads and TLS included.
    pub fn sent(&self) -> u64 {
        self.up.passed.load(Ordering::Relaxed)
    }

    /// Bytes received so far, heads and TLS included.
    pub fn received(&self) -> u64 {
        self.down.passed.load(Ordering::Relaxed)
    }
}

/// One direction.
#[derive(Debug, Default)]
struct Rate {
    pace: Mutex<Pace>,
    passed: AtomicU64,
}

#[derive(Debug, Default)]
struct Pace {
    bytes_per_second: Option<NonZeroU64>,
    /// How often the rate was set.
    settings: u64,
    /// When all that has passed is paid for.
    free: Option<Instant>,
}

/// What a connection has to wait for in one direction. Each waits for its own bytes and those that passed before
/// them: one that always asked first would keep all others waiting for ever.
#[derive(Debug, Default)]
struct Lane {
    /// When its bytes are paid for, at the rate of this setting.
    paid: Option<(Instant, u64)>,
    nap: Option<Pin<Box<Sleep>>>,
}

impl Rate {
    fn set(&self, bytes_per_second: Option<NonZeroU64>) {
        let mut pace = self.lock();
        if pace.bytes_per_second != bytes_per_second {
            // What was owed at the old rate may be hours of the new one.
            *pace = Pace {
                bytes_per_second,
                settings: pace.settings + 1,
                free: None,
            };
        }
    }

    fn is_slow(&self) -> bool {
        let rate = self.lock().bytes_per_second;
        rate.is_some_and(|rate| rate.get() < SLOW)
    }

    /// Most bytes that may pass now, or when to ask again.
    fn ask(&self, lane: &Lane, now: Instant) -> Result<usize, Instant> {
        let pace = self.lock();
        let Some(rate) = pace.bytes_per_second else {
            return Ok(usize::MAX);
        };
        match lane.paid {
            Some((paid, setting)) if setting == pace.settings && paid > now => {
                Err(paid.min(now + NAP))
            }
            _ => Ok(piece(rate)),
        }
    }

    /// So many bytes have passed. They are paid for behind all that passed before.
    fn pass(&self, lane: &mut Lane, bytes: usize, now: Instant) {
        let bytes = bytes as u64;
        self.passed.fetch_add(bytes, Ordering::Relaxed);
        let mut pace = self.lock();
        if let Some(rate) = pace.bytes_per_second {
            let earliest = now.checked_sub(CREDIT).unwrap_or(now);
            let from = pace.free.map_or(now, |free| free.max(earliest));
            let paid = from + cost(bytes, rate);
            pace.free = Some(paid);
            lane.paid = Some((paid, pace.settings));
        }
    }

    /// Waits until something may pass; gives how much.
    fn poll(&self, lane: &mut Lane, cx: &mut Context<'_>) -> Poll<usize> {
        loop {
            if let Some(sleep) = &mut lane.nap {
                ready!(sleep.as_mut().poll(cx));
                lane.nap = None;
            }
            match self.ask(lane, Instant::now()) {
                Ok(most) => return Poll::Ready(most),
                Err(later) => lane.nap = Some(Box::pin(sleep_until(later))),
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Pace> {
        self.pace.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn piece(rate: NonZeroU64) -> usize {
    let piece = (rate.get() / PIECES).clamp(PIECE_MIN, PIECE_MAX);
    usize::try_from(piece).unwrap_or(usize::MAX)
}

fn cost(bytes: u64, rate: NonZeroU64) -> Duration {
    let nanos = u128::from(bytes) * 1_000_000_000 / u128::from(rate.get());
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

/// A stream whose bytes are counted and slowed down.
#[derive(Debug)]
pub(super) struct Metered<S> {
    stream: S,
    limits: Arc<Limits>,
    reads: Lane,
    writes: Lane,
}

impl<S> Metered<S> {
    pub(super) fn new(stream: S, limits: Arc<Limits>) -> Self {
        Self {
            stream,
            limits,
            reads: Lane::default(),
            writes: Lane::default(),
        }
    }

    /// Most bytes to be made into a record of TLS now.
    pub(super) fn record_max(&self) -> usize {
        if self.limits.up.is_slow() {
            SLOW_RECORD
        } else {
            usize::MAX
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Metered<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let most = ready!(this.limits.down.poll(&mut this.reads, cx));
        let stream = Pin::new(&mut this.stream);
        let before = buffer.filled().len();
        if most >= buffer.remaining() {
            ready!(stream.poll_read(cx, buffer))?;
        } else {
            let mut part = ReadBuf::new(buffer.initialize_unfilled_to(most));
            ready!(stream.poll_read(cx, &mut part))?;
            let read = part.filled().len();
            buffer.advance(read);
        }
        let read = buffer.filled().len() - before;
        this.limits.down.pass(&mut this.reads, read, Instant::now());
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Metered<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        let most = ready!(this.limits.up.poll(&mut this.writes, cx)).min(bytes.len());
        let written = ready!(Pin::new(&mut this.stream).poll_write(cx, &bytes[..most]))?;
        this.limits
            .up
            .pass(&mut this.writes, written, Instant::now());
        Poll::Ready(Ok(written))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        let most = ready!(this.limits.up.poll(&mut this.writes, cx));
        let stream = Pin::new(&mut this.stream);
        let all: usize = parts.iter().map(|part| part.len()).sum();
        let written = if most >= all {
            ready!(stream.poll_write_vectored(cx, parts))?
        } else {
            let first = parts.iter().find(|part| !part.is_empty());
            let first = first.map_or(&[][..], |part| part);
            ready!(stream.poll_write(cx, &first[..most.min(first.len())]))?
        };
        this.limits
            .up
            .pass(&mut this.writes, written, Instant::now());
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
