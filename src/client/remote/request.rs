//! What is asked of the server, and the body that goes with it.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use async_compression::Level;
use async_compression::tokio::bufread::ZstdEncoder;
use async_compression::zstd::CParameter;
use bytes::Bytes;
use futures_util::stream::{BoxStream, Peekable, Stream, StreamExt};
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use http_body::{Body, Frame, SizeHint};
use serde::Serialize;
use tokio_util::io::{ReaderStream, StreamReader};

use super::{Error, Result};

/// Shorter JSON is not tried to be packed.
const PACK_MIN: usize = 200;
/// Bytes that packing has to save: it costs a line in the head.
const PACK_GAIN: usize = 32;
/// Level of zstd for bulk: from here on more costs much and gives little.
const PACK_LEVEL: i32 = 3;
/// Level for what was packed before: heads of files still become a fifth. Small files that are the same go twice.
const PACK_LEVEL_LIGHT: i32 = 1;
/// Level for what is short: most of a tenth of a second for the longest, and some hundredths less to send.
const PACK_LEVEL_SHORT: i32 = 12;
/// The largest window that the server takes, 8 MiB: small files a few MiB apart are often alike.
const PACK_WINDOW_LOG: u32 = 23;
/// Bytes handed on at once.
const STEP: usize = 64 * 1024;
/// From this many bytes on a body gets a connection of its own: the windows of a shared one would slow it
/// down over long lines, and it would make small requests wait.
const BULK_MIN: u64 = 1024 * 1024;

/// Bytes to be sent that are made while they are sent.
pub struct Source {
    bytes: Peekable<BoxStream<'static, io::Result<Bytes>>>,
    /// Whether nothing comes any more.
    ended: bool,
    length: Option<u64>,
    bulk: bool,
    packed: bool,
}

impl Source {
    /// About `estimate` bytes, of which the exact number is not known. An error of the stream breaks the
    /// request off.
    pub fn new(
        bytes: impl Stream<Item = io::Result<Bytes>> + Send + 'static,
        estimate: u64,
    ) -> Self {
        Self {
            bytes: bytes.boxed().peekable(),
            ended: false,
            length: None,
            bulk: estimate >= BULK_MIN,
            packed: false,
        }
    }

    /// Exactly `length` bytes.
    pub fn exact(
        bytes: impl Stream<Item = io::Result<Bytes>> + Send + 'static,
        length: u64,
    ) -> Self {
        Self {
            length: Some(length),
            ..Self::new(bytes, length)
        }
    }

    /// Packs the bytes on their way, as one frame of zstd. It holds up to 10 MiB while it lasts.
    #[must_use]
    pub fn packed(self) -> Self {
        let level = if self.bulk {
            PACK_LEVEL
        } else {
            PACK_LEVEL_SHORT
        };
        let parameters = [
            CParameter::window_log(PACK_WINDOW_LOG),
            CParameter::enable_long_distance_matching(true),
        ];
        self.packed_at(level, &parameters)
    }

    /// Packs bytes that hardly become fewer, with little work.
    #[must_use]
    pub fn packed_lightly(self) -> Self {
        self.packed_at(PACK_LEVEL_LIGHT, &[])
    }

    fn packed_at(self, level: i32, parameters: &[CParameter]) -> Self {
        let reader = StreamReader::new(self.bytes);
        let encoder =
            ZstdEncoder::with_quality_and_params(reader, Level::Precise(level), parameters);
        Self {
            bytes: ReaderStream::with_capacity(encoder, STEP)
                .boxed()
                .peekable(),
            ended: false,
            length: None,
            bulk: self.bulk,
            packed: true,
        }
    }
}

impl Source {
    /// The next piece. Looks whether another one follows, as far as that is known by now: the last frame of a
    /// body then says that it is the last, and no empty one has to.
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        let next = ready!(self.bytes.poll_next_unpin(cx));
        let following = Pin::new(&mut self.bytes).poll_peek(cx);
        self.ended = matches!(following, Poll::Ready(None));
        Poll::Ready(next)
    }
}

/// One request.
pub(super) struct Request {
    pub(super) method: Method,
    /// Below `/api/v1/`, with its query.
    pub(super) route: String,
    pub(super) headers: HeaderMap,
    pub(super) payload: Payload,
    /// Whether it may be sent once more when the connection breaks (`docs/API.md`, "Sending again").
    pub(super) again: bool,
    /// Whether much comes back.
    pub(super) bulk: bool,
}

/// What goes with a request.
pub(super) enum Payload {
    None,
    Bytes(Bytes),
    Source(Source),
}

impl Request {
    pub(super) fn new(method: Method, route: impl Into<String>) -> Self {
        let again = method == Method::GET;
        Self {
            method,
            route: route.into(),
            headers: HeaderMap::new(),
            payload: Payload::None,
            again,
            bulk: false,
        }
    }

    pub(super) fn get(route: impl Into<String>) -> Self {
        Self::new(Method::GET, route)
    }

    pub(super) fn post(route: impl Into<String>) -> Self {
        Self::new(Method::POST, route)
    }

    /// Takes the answer packed with zstd.
    pub(super) fn unpacks(self) -> Self {
        self.with(header::ACCEPT_ENCODING, HeaderValue::from_static("zstd"))
    }

    pub(super) fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    /// It does no harm twice.
    pub(super) fn again(self) -> Self {
        Self {
            again: true,
            ..self
        }
    }

    /// About so many bytes come back.
    pub(super) fn expects(self, bytes: u64) -> Self {
        Self {
            bulk: bytes >= BULK_MIN,
            ..self
        }
    }

    /// Sends JSON, packed where that helps.
    pub(super) fn json<T: Serialize>(mut self, body: &T) -> Result<Self> {
        let json = serde_json::to_vec(body).map_err(|error| Error::Source(error.into()))?;
        let kind = HeaderValue::from_static("application/json");
        self.headers.insert(header::CONTENT_TYPE, kind);
        let mut body = json;
        if body.len() >= PACK_MIN {
            let packed = zstd::bulk::compress(&body, PACK_LEVEL_SHORT).map_err(Error::Source)?;
            if packed.len() + PACK_GAIN <= body.len() {
                self.packed();
                body = packed;
            }
        }
        self.payload = Payload::Bytes(body.into());
        Ok(self)
    }

    /// Sends a stream.
    pub(super) fn source(mut self, source: Source, kind: Option<&'static str>) -> Self {
        if let Some(kind) = kind {
            self.headers
                .insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
        }
        if source.packed {
            self.packed();
        }
        self.payload = Payload::Source(source);
        self
    }

    fn packed(&mut self) {
        let zstd = HeaderValue::from_static("zstd");
        self.headers.insert(header::CONTENT_ENCODING, zstd);
    }

    /// Whether it should have a connection of its own.
    pub(super) fn is_bulk(&self) -> bool {
        match &self.payload {
            Payload::Source(source) => self.bulk || source.bulk,
            Payload::None | Payload::Bytes(_) => self.bulk,
        }
    }

    /// The same request, when its body is still there.
    pub(super) fn copy(&self) -> Option<Self> {
        let payload = match &self.payload {
            Payload::None => Payload::None,
            Payload::Bytes(bytes) => Payload::Bytes(bytes.clone()),
            Payload::Source(_) => return None,
        };
        Some(Self {
            method: self.method.clone(),
            route: self.route.clone(),
            headers: self.headers.clone(),
            payload,
            again: self.again,
            bulk: self.bulk,
        })
    }
}

/// How a body gets on.
#[derive(Debug, Default)]
pub(super) struct Progress {
    steps: AtomicU64,
    failed: Mutex<Option<io::Error>>,
}

impl Progress {
    /// Rises as long as the body moves on.
    pub(super) fn steps(&self) -> u64 {
        self.steps.load(Ordering::Relaxed)
    }

    /// The error of the caller's stream, once. HTTP/2 only tells that the request was given up.
    pub(super) fn failed(&self) -> Option<io::Error> {
        self.lock().take()
    }

    fn lock(&self) -> MutexGuard<'_, Option<io::Error>> {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A body on its way out.
pub(super) struct Outgoing {
    payload: Payload,
    progress: Arc<Progress>,
}

impl Outgoing {
    pub(super) fn new(payload: Payload) -> (Self, Arc<Progress>) {
        let progress = Arc::new(Progress::default());
        let outgoing = Self {
            payload,
            progress: Arc::clone(&progress),
        };
        (outgoing, progress)
    }
}

/// What is to be sent cannot be read; [`Progress`] knows why.
#[derive(Debug, thiserror::Error)]
#[error("what is to be sent cannot be read")]
pub(super) struct SourceFailed;

impl Body for Outgoing {
    type Data = Bytes;
    type Error = SourceFailed;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, SourceFailed>>> {
        let this = &mut *self;
        this.progress.steps.fetch_add(1, Ordering::Relaxed);
        let next = match &mut this.payload {
            Payload::None => None,
            Payload::Bytes(bytes) if bytes.is_empty() => None,
            Payload::Bytes(bytes) => Some(Ok(Frame::data(std::mem::take(bytes)))),
            Payload::Source(source) => ready!(source.poll_next(cx)).map(|bytes| match bytes {
                Ok(bytes) => Ok(Frame::data(bytes)),
                Err(error) => {
                    *this.progress.lock() = Some(error);
                    Err(SourceFailed)
                }
            }),
        };
        Poll::Ready(next)
    }

    fn is_end_stream(&self) -> bool {
        match &self.payload {
            Payload::None => true,
            Payload::Bytes(bytes) => bytes.is_empty(),
            Payload::Source(source) => source.ended,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.payload {
            Payload::None => SizeHint::with_exact(0),
            Payload::Bytes(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Payload::Source(source) => source
                .length
                .map_or_else(SizeHint::default, SizeHint::with_exact),
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::stream;
    use http_body_util::BodyExt as _;

    use super::*;

    #[tokio::test]
    async fn the_last_piece_of_a_body_says_that_nothing_follows() {
        let pieces = ["first", "last"].map(|piece| Ok(Bytes::from(piece)));
        let source = Source::new(stream::iter(pieces), 9);
        let (mut body, _) = Outgoing::new(Payload::Source(source));
        for (piece, ends) in [("first", false), ("last", true)] {
            let frame = body.frame().await.unwrap().unwrap();
            assert_eq!(frame.into_data().unwrap(), piece);
            assert_eq!(body.is_end_stream(), ends);
        }
        assert!(body.frame().await.is_none());
    }

    #[tokio::test]
    async fn an_error_that_follows_a_piece_is_told_after_it() {
        let broken = || Err(io::ErrorKind::InvalidData.into());
        let source = Source::new(stream::iter([Ok(Bytes::from("first")), broken()]), 9);
        let (mut body, progress) = Outgoing::new(Payload::Source(source));
        let frame = body.frame().await.unwrap().unwrap();
        assert_eq!(frame.into_data().unwrap(), "first");
        assert!(!body.is_end_stream() && progress.failed().is_none());
        assert!(body.frame().await.unwrap().is_err());
        let told = progress.failed().unwrap();
        assert_eq!(told.kind(), io::ErrorKind::InvalidData);
    }
}
