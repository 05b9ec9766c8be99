//! Content codings: responses are compressed when the client asks, request bodies decompressed.
//!
//! Works on streams; how large a body may become is for the handler to limit. How much memory streams
//! hold whose client stands still is limited here.

mod accept;
mod frame;
#[cfg(any(test, fuzzing))]
pub(super) mod fuzzing;
mod short;
mod unpack;

use std::io;
use std::sync::Arc;

use async_compression::Level;
use async_compression::tokio::bufread::{GzipDecoder, GzipEncoder, ZstdEncoder};
use async_compression::zstd::CParameter;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::{StreamExt, TryStreamExt};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use http_body::Body as _;
use tokio::io::{AsyncBufRead, AsyncRead};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::io::{ReaderStream, StreamReader};

use accept::Coding;
pub(super) use unpack::Sender;

/// Bodies below this many bytes fit into one packet anyway. Of them only JSON is packed (`short`).
const BYTES_MIN: u64 = 1024;
/// Fast; listings shrink to a tenth even so.
const GZIP_LEVEL: Level = Level::Precise(3);
/// Fast; the level decides over CPU, the window below over memory.
const ZSTD_LEVEL: Level = Level::Precise(1);
/// 128 KiB of history for each response being compressed.
const ZSTD_WINDOW_LOG: u32 = 17;
/// Responses compressed at a time, each with up to 700 KiB until its client has read it. More than these
/// go as they are.
const ENCODERS_MAX: usize = 48;
/// Seconds after which a client may try again that found no memory for its body.
const BUSY_SECONDS: u64 = 2;
/// Bytes handed on at once.
const STEP: usize = 16 * 1024;

/// The memory of all codings in use.
pub(super) struct Codings {
    decoding: Arc<unpack::Decoding>,
    encoding: Arc<Semaphore>,
}

impl Codings {
    /// For one server.
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            decoding: Arc::new(unpack::Decoding::new(unpack::DECODING)),
            encoding: Arc::new(Semaphore::new(ENCODERS_MAX)),
        })
    }
}

/// Compresses a response where that helps and the client understands it.
pub(super) async fn response(
    State(codings): State<Arc<Codings>>,
    request: Request,
    next: Next,
) -> Response {
    let coding = accept::best(request.headers());
    let whole = *request.method() != Method::HEAD && !request.headers().contains_key(header::RANGE);
    let mut response = next.run(request).await;
    let short = short::is_short(&response);
    if !may_compress(&response) || (is_small(&response) && !short) {
        return response;
    }
    add_vary(response.headers_mut());
    let Some(coding) = coding.filter(|_| whole) else {
        return response;
    };
    if short {
        return match coding {
            Coding::Zstd => short::pack(response).await,
            Coding::Gzip => response,
        };
    }
    match Arc::clone(&codings.encoding).try_acquire_owned() {
        Ok(turn) => compress(response, coding, turn),
        Err(_all_taken) => response,
    }
}

/// Undoes the content coding of a request body (RFC 9110 §8.4); unknown codings get 415.
///
/// A body for which there is no memory in time breaks off, and then whatever a handler says to that
/// becomes 503.
pub(super) async fn request(
    State(codings): State<Arc<Codings>>,
    mut request: Request,
    next: Next,
) -> Response {
    let coding = match accept::applied(request.headers()) {
        Ok(None) => return next.run(request).await,
        Ok(Some(coding)) => coding,
        Err(accept::Unknown) => {
            let accepted = [(header::ACCEPT_ENCODING, "zstd, gzip")];
            let text = "this content coding is not understood\n";
            return (StatusCode::UNSUPPORTED_MEDIA_TYPE, accepted, text).into_response();
        }
    };
    request.headers_mut().remove(header::CONTENT_ENCODING);
    request.headers_mut().remove(header::CONTENT_LENGTH);
    let sender = Sender::default();
    request.extensions_mut().insert(sender.clone());
    let request = request.map(|body| match coding {
        // Its window is 32 KiB, so it holds about as much as any request does.
        Coding::Gzip => {
            let mut decoder = GzipDecoder::new(reader(body));
            decoder.multiple_members(true);
            stream(decoder)
        }
        Coding::Zstd => unpack::zstd(body, Arc::clone(&codings.decoding), sender.clone()),
    });
    let response = next.run(request).await;
    let failed = response.status().is_client_error() || response.status().is_server_error();
    if failed && sender.was_refused() {
        return busy();
    }
    response
}

fn busy() -> Response {
    let later = [(header::RETRY_AFTER, HeaderValue::from(BUSY_SECONDS))];
    let text = "too many compressed requests at once\n";
    (StatusCode::SERVICE_UNAVAILABLE, later, text).into_response()
}

fn compress(mut response: Response, coding: Coding, turn: OwnedSemaphorePermit) -> Response {
    let headers = response.headers_mut();
    headers.remove(header::CONTENT_LENGTH);
    headers.remove(header::ACCEPT_RANGES);
    headers.insert(
        header::CONTENT_ENCODING,
        HeaderValue::from_static(coding.name()),
    );
    weaken_etag(headers);
    response.map(|body| {
        let packed = match coding {
            Coding::Gzip => stream(GzipEncoder::with_quality(reader(body), GZIP_LEVEL)),
            Coding::Zstd => {
                let window = [CParameter::window_log(ZSTD_WINDOW_LOG)];
                stream(ZstdEncoder::with_quality_and_params(
                    reader(body),
                    ZSTD_LEVEL,
                    &window,
                ))
            }
        };
        while_held(packed, turn)
    })
}

/// A body that keeps its turn for as long as it lives.
fn while_held(body: Body, turn: OwnedSemaphorePermit) -> Body {
    Body::from_stream(body.into_data_stream().map(move |piece| {
        let _held = &turn;
        piece
    }))
}

fn may_compress(response: &Response) -> bool {
    let headers = response.headers();
    let has = |name| headers.contains_key(name);
    let fixed = headers.get(header::CACHE_CONTROL).is_some_and(|value| {
        value
            .as_bytes()
            .windows(12)
            .any(|part| part == b"no-transform")
    });
    let bodiless = response.status().is_informational()
        || matches!(
            response.status(),
            StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED
        );
    response.status() != StatusCode::PARTIAL_CONTENT
        && !bodiless
        && !fixed
        && !has(header::CONTENT_RANGE)
        && !has(header::CONTENT_ENCODING)
        && headers
            .get(header::CONTENT_TYPE)
            .is_some_and(is_compressible)
}

fn is_small(response: &Response) -> bool {
    length(response).is_some_and(|bytes| bytes < BYTES_MIN)
}

fn length(response: &Response) -> Option<u64> {
    let stated = response.headers().get(header::CONTENT_LENGTH);
    let stated = stated.and_then(|value| value.to_str().ok()?.parse().ok());
    stated.or_else(|| response.body().size_hint().exact())
}

fn is_compressible(content_type: &HeaderValue) -> bool {
    let Ok(text) = content_type.to_str() else {
        return false;
    };
    let essence = text
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    match essence.split_once('/') {
        Some(("text", subtype)) => subtype != "event-stream",
        Some((
            _,
            "vnd.sync-server.stream"
            | "xml"
            | "json"
            | "javascript"
            | "wasm"
            | "x-ndjson"
            | "rtf"
            | "sql",
        )) => true,
        Some((_, subtype)) => subtype.ends_with("+xml") || subtype.ends_with("+json"),
        None => false,
    }
}

/// The bytes differ from the uncompressed ones, and a strong tag promises that they do not
/// (RFC 9110 §8.8.3.3).
fn weaken_etag(headers: &mut HeaderMap) {
    let Some(etag) = headers.get(header::ETAG) else {
        return;
    };
    if etag.as_bytes().starts_with(b"W/") {
        return;
    }
    let weak = HeaderValue::from_bytes(&[b"W/", etag.as_bytes()].concat());
    headers.insert(header::ETAG, weak.expect("it was a header before"));
}

fn add_vary(headers: &mut HeaderMap) {
    headers.append(header::VARY, HeaderValue::from_static("accept-encoding"));
}

fn reader(body: Body) -> impl AsyncBufRead + Send + 'static {
    StreamReader::new(body.into_data_stream().map_err(io::Error::other))
}

fn stream(reader: impl AsyncRead + Send + 'static) -> Body {
    Body::from_stream(ReaderStream::with_capacity(reader, STEP))
}

#[cfg(test)]
mod tests;
