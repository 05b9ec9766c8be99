//! What the server answers: a head, and a body that is read piece by piece.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use async_compression::tokio::bufread::ZstdDecoder;
use async_compression::zstd::DParameter;
use bytes::Bytes;
use futures_util::stream::{self, BoxStream, Stream, StreamExt, TryStreamExt};
use http::{HeaderMap, StatusCode, header};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde::de::DeserializeOwned;
use tokio::time::timeout;
use tokio_util::io::{ReaderStream, StreamReader};

use super::error::{Refusal, chain};
use super::limit::Limits;
use super::{Error, Result};
use crate::protocol::problem::{self, Problem, TYPE_PREFIX};

/// Longest pause within a body.
const IDLE_MAX: Duration = Duration::from_mins(1);
/// Bytes that come meanwhile over a line that is slow and busy; events alone are far less.
pub(super) const BUSY_MIN: u64 = 16 * 1024;
/// Largest window of a packed answer, 8 MiB: what RFC 8878 §3.1.1.1.2 asks receivers to support.
const WINDOW_LOG_MAX: u32 = 23;
/// Bytes handed on at once.
const STEP: usize = 64 * 1024;
/// Longest body of an error that is read, in bytes.
const ERROR_MAX: usize = 64 * 1024;
/// Characters of an answer that was not understood that are shown.
const SHOWN: usize = 80;

/// An answer that is no refusal.
pub(super) struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Incoming,
    limits: Arc<Limits>,
}

impl Answer {
    /// Takes the answer, or says why it is none.
    pub(super) async fn of(
        response: http::Response<Incoming>,
        limits: &Arc<Limits>,
    ) -> Result<Self> {
        let (head, body) = response.into_parts();
        let answer = Self {
            status: head.status,
            headers: head.headers,
            body,
            limits: Arc::clone(limits),
        };
        if answer.status.is_success() {
            return Ok(answer);
        }
        if answer.status.is_redirection() {
            let to = answer
                .header(header::LOCATION.as_str())
                .unwrap_or("another address");
            return Err(Error::Protocol(format!("it sends us to {to}")));
        }
        Err(answer.refusal().await)
    }

    pub(super) fn status(&self) -> StatusCode {
        self.status
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Reads JSON of at most `most` bytes.
    pub(super) async fn json<T: DeserializeOwned>(self, most: usize) -> Result<T> {
        self.is("application/json")?;
        let body = self.reader().collect(most).await?;
        serde_json::from_slice(&body)
            .map_err(|error| Error::Protocol(format!("{error} in `{}`", shown(&body))))
    }

    /// Reads an answer without a body.
    pub(super) async fn nothing(self) -> Result<()> {
        if self.status != StatusCode::NO_CONTENT {
            return Err(Error::Protocol(format!(
                "a status of {} where nothing is to be told",
                self.status
            )));
        }
        self.reader().collect(0).await.map(drop)
    }

    /// An error when it is of another media type: a portal's page, for example.
    pub(super) fn is(&self, wanted: &str) -> Result<()> {
        let kind = self
            .header(header::CONTENT_TYPE.as_str())
            .unwrap_or("nothing");
        let essence = kind.split(';').next().unwrap_or_default().trim();
        if essence.eq_ignore_ascii_case(wanted) {
            return Ok(());
        }
        Err(Error::Protocol(format!("{kind} in place of {wanted}")))
    }

    /// The body, with its packing undone.
    pub(super) fn reader(self) -> Reader {
        let packed = self.header(header::CONTENT_ENCODING.as_str()) == Some("zstd");
        let arriving = self.body.into_data_stream().map_err(io::Error::other);
        Reader::of(arriving, packed, self.limits)
    }

    async fn refusal(self) -> Error {
        let status = self.status;
        let after = self.header(header::RETRY_AFTER.as_str());
        let after = after
            .and_then(|text| text.trim().parse().ok())
            .map(Duration::from_secs);
        let stated = self.is(problem::MEDIA_TYPE).is_ok();
        let body = self.reader().collect(ERROR_MAX).await;
        let problem = match body {
            Ok(body) if stated => serde_json::from_slice(&body).ok(),
            Err(error @ Error::Broken(_)) => return error,
            _ => None,
        };
        let known = problem.is_some();
        let problem = problem.unwrap_or_else(|| bare(status));
        let refusal = Box::new(Refusal { problem });
        match status {
            StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS => Error::Busy {
                problem: refusal,
                after,
            },
            // Of a proxy that has lost its server, perhaps behind the request.
            StatusCode::BAD_GATEWAY | StatusCode::GATEWAY_TIMEOUT => {
                Error::Broken(format!("a proxy answers {status}"))
            }
            // The HTTP layer of the server refuses heads without a word.
            StatusCode::URI_TOO_LONG
            | StatusCode::PAYLOAD_TOO_LARGE
            | StatusCode::UNSUPPORTED_MEDIA_TYPE
            | StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => Error::Refused(refusal),
            _ if known => Error::Refused(refusal),
            _ => Error::Protocol(format!("it answers {status}")),
        }
    }
}

fn bare(status: StatusCode) -> Problem {
    let title = status.canonical_reason().unwrap_or("Refused").to_owned();
    let name = match status {
        StatusCode::PAYLOAD_TOO_LARGE => "too-large",
        StatusCode::SERVICE_UNAVAILABLE => "busy",
        StatusCode::TOO_MANY_REQUESTS => "too-many-requests",
        _ => "bad-request",
    };
    Problem {
        kind: format!("{TYPE_PREFIX}{name}"),
        title,
        status: status.as_u16(),
        detail: format!("status {status} and no more"),
        field: None,
    }
}

fn shown(body: &[u8]) -> String {
    String::from_utf8_lossy(body).chars().take(SHOWN).collect()
}

type Bodied = BoxStream<'static, io::Result<Bytes>>;

/// A body on its way in.
pub struct Reader {
    bytes: Bodied,
}

impl Reader {
    /// What arrives, with its packing undone.
    pub(super) fn of(
        arriving: impl Stream<Item = io::Result<Bytes>> + Send + 'static,
        packed: bool,
        limits: Arc<Limits>,
    ) -> Self {
        let bytes = patient(arriving.boxed(), limits);
        if !packed {
            return Self { bytes };
        }
        let window = [DParameter::window_log_max(WINDOW_LOG_MAX)];
        let mut decoder = ZstdDecoder::with_params(StreamReader::new(bytes), &window);
        // So it also reads the end of the body, and the connection is free again.
        decoder.multiple_members(true);
        let bytes = ReaderStream::with_capacity(decoder, STEP).boxed();
        Self { bytes }
    }

    /// The next bytes, at most some ten thousand; `None` at the end.
    pub async fn next(&mut self) -> Result<Option<Bytes>> {
        let bytes = self.bytes.next().await.transpose();
        bytes.map_err(|error| broken(&error))
    }

    /// All of it, when it is at most `most` bytes.
    pub async fn collect(mut self, most: usize) -> Result<Vec<u8>> {
        let mut all = Vec::new();
        while let Some(bytes) = self.next().await? {
            if all.len() + bytes.len() > most {
                return Err(Error::Protocol(format!(
                    "an answer of more than {most} bytes"
                )));
            }
            all.extend_from_slice(&bytes);
        }
        Ok(all)
    }
}

/// Gives up when nothing comes for long. It looks at the bytes as they arrive: of what is packed, a piece comes out
/// only when tens of KiB are there, which may take a minute over a slow line. As long as others come, these may be
/// waiting behind them.
fn patient(bytes: Bodied, limits: Arc<Limits>) -> Bodied {
    let next = move |mut bytes: Bodied| {
        let limits = Arc::clone(&limits);
        async move {
            loop {
                let before = limits.received();
                let why = match timeout(IDLE_MAX, bytes.next()).await {
                    Ok(next) => return Some((next?, bytes)),
                    Err(_) if limits.received() - before >= BUSY_MIN => continue,
                    Err(_) => format!("nothing came for {} s", IDLE_MAX.as_secs()),
                };
                return Some((Err(io::Error::new(io::ErrorKind::TimedOut, why)), bytes));
            }
        }
    };
    stream::unfold(bytes, next).boxed()
}

/// Whether the line broke or what came is not packed as it says.
fn broken(error: &io::Error) -> Error {
    let line = error
        .get_ref()
        .is_some_and(<dyn std::error::Error + Send + Sync>::is::<hyper::Error>);
    let ended = [io::ErrorKind::UnexpectedEof, io::ErrorKind::TimedOut];
    if line || ended.contains(&error.kind()) {
        return Error::Broken(chain(error));
    }
    Error::Protocol(format!("it cannot be unpacked: {error}"))
}
