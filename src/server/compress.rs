//! Content codings: responses are compressed when the client asks, request bodies decompressed.
//!
//! Works on streams; how large a body may become is for the handler to limit.

mod accept;

use std::io;

use async_compression::Level;
use async_compression::tokio::bufread::{GzipDecoder, GzipEncoder, ZstdDecoder, ZstdEncoder};
use async_compression::zstd::{CParameter, DParameter};
use axum::body::Body;
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::TryStreamExt;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use http_body::Body as _;
use tokio::io::{AsyncBufRead, AsyncRead};
use tokio_util::io::{ReaderStream, StreamReader};

use accept::Coding;

/// Bodies below this many bytes fit into one packet anyway.
const BYTES_MIN: u64 = 1024;
/// Fast; listings shrink to a tenth even so.
const GZIP_LEVEL: Level = Level::Precise(3);
/// Fast; the level decides over CPU, the window below over memory.
const ZSTD_LEVEL: Level = Level::Precise(1);
/// 128 KiB of history for each response being compressed.
const ZSTD_WINDOW_LOG: u32 = 17;
/// 8 MiB: the largest window RFC 8878 §3.1.1.1.2 asks receivers to support. Frames that want more
/// memory are refused.
const ZSTD_WINDOW_LOG_MAX: u32 = 23;
/// Bytes handed on at once.
const STEP: usize = 16 * 1024;

/// Compresses a response where that helps and the client understands it.
pub(super) async fn response(request: Request, next: Next) -> Response {
    let coding = accept::best(request.headers());
    let whole = *request.method() != Method::HEAD && !request.headers().contains_key(header::RANGE);
    let mut response = next.run(request).await;
    if !may_compress(&response) {
        return response;
    }
    add_vary(response.headers_mut());
    match coding {
        Some(coding) if whole => compress(response, coding),
        Some(_) | None => response,
    }
}

/// Undoes the content coding of a request body (RFC 9110 §8.4); unknown codings get 415.
pub(super) async fn request(mut request: Request, next: Next) -> Response {
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
    let request = request.map(|body| match coding {
        Coding::Gzip => {
            let mut decoder = GzipDecoder::new(reader(body));
            decoder.multiple_members(true);
            stream(decoder)
        }
        Coding::Zstd => {
            let limits = [DParameter::window_log_max(ZSTD_WINDOW_LOG_MAX)];
            let mut decoder = ZstdDecoder::with_params(reader(body), &limits);
            decoder.multiple_members(true);
            stream(decoder)
        }
    });
    next.run(request).await
}

fn compress(mut response: Response, coding: Coding) -> Response {
    let headers = response.headers_mut();
    headers.remove(header::CONTENT_LENGTH);
    headers.remove(header::ACCEPT_RANGES);
    headers.insert(
        header::CONTENT_ENCODING,
        HeaderValue::from_static(coding.name()),
    );
    weaken_etag(headers);
    response.map(|body| match coding {
        Coding::Gzip => stream(GzipEncoder::with_quality(reader(body), GZIP_LEVEL)),
        Coding::Zstd => {
            let window = [CParameter::window_log(ZSTD_WINDOW_LOG)];
            stream(ZstdEncoder::with_quality_and_params(
                reader(body),
                ZSTD_LEVEL,
                &window,
            ))
        }
    })
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
    let small = length(response).is_some_and(|bytes| bytes < BYTES_MIN);
    response.status() != StatusCode::PARTIAL_CONTENT
        && !bodiless
        && !small
        && !fixed
        && !has(header::CONTENT_RANGE)
        && !has(header::CONTENT_ENCODING)
        && headers
            .get(header::CONTENT_TYPE)
            .is_some_and(is_compressible)
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
mod tests {
    use axum::Router;
    use axum::middleware::from_fn;
    use axum::routing::any;
    use bytes::Bytes;
    use http_body_util::BodyExt;
    use tokio::io::AsyncReadExt;
    use tower::ServiceExt;

    use super::*;

    /// Answers with the request's body, and with the headers it names as `x-header-…`.
    fn echo() -> Router {
        let handler = |request: Request| async move {
            let mut response = Response::builder();
            for (name, value) in request.headers() {
                if let Some(name) = name.as_str().strip_prefix("x-header-") {
                    response = response.header(name, value);
                }
            }
            let status = if request.headers().contains_key(header::RANGE) {
                206
            } else {
                200
            };
            match request.into_body().collect().await {
                Ok(body) => response
                    .status(status)
                    .body(Body::from(body.to_bytes()))
                    .unwrap(),
                Err(_) => StatusCode::BAD_REQUEST.into_response(),
            }
        };
        let routes = Router::new().route("/", any(handler));
        routes.layer(from_fn(response)).layer(from_fn(request))
    }

    async fn send(
        headers: &[(&str, &str)],
        body: impl Into<Body>,
    ) -> (StatusCode, HeaderMap, Bytes) {
        let mut request = Request::post("/");
        let text = [("x-header-content-type", "text/plain")];
        let typed = headers.iter().any(|(name, _)| *name == text[0].0);
        for (name, value) in text.iter().filter(|_| !typed).chain(headers) {
            request = request.header(*name, *value);
        }
        let response = echo()
            .oneshot(request.body(body.into()).unwrap())
            .await
            .unwrap();
        let (parts, body) = response.into_parts();
        (
            parts.status,
            parts.headers,
            body.collect().await.unwrap().to_bytes(),
        )
    }

    async fn all(mut reader: impl AsyncRead + Unpin) -> Vec<u8> {
        let mut bytes = Vec::new();
        reader.read_to_end(&mut bytes).await.unwrap();
        bytes
    }

    fn text() -> Vec<u8> {
        b"the same words again and again. ".repeat(4000)
    }

    #[tokio::test]
    async fn a_text_comes_compressed_as_asked_and_is_the_same_text() {
        let etag = ("x-header-etag", "\"abc\"");
        let ranges = ("x-header-accept-ranges", "bytes");
        for coding in ["gzip", "zstd"] {
            let asked = [("accept-encoding", coding), etag, ranges];
            let (_, headers, body) = send(&asked, text()).await;

            assert_eq!(headers["content-encoding"], coding);
            assert_eq!(headers["etag"], "W/\"abc\"");
            assert_eq!(headers["vary"], "accept-encoding");
            assert!(!headers.contains_key("content-length"));
            assert!(!headers.contains_key("accept-ranges"));
            assert!(body.len() < text().len() / 10);
            let plain = match coding {
                "gzip" => all(GzipDecoder::new(&body[..])).await,
                _ => all(ZstdDecoder::new(&body[..])).await,
            };
            assert_eq!(plain, text());
        }
    }

    #[tokio::test]
    async fn parts_small_bodies_and_finished_codings_stay_as_they_are() {
        let gzip = ("accept-encoding", "gzip");
        let cases: [(&[(&str, &str)], usize); 6] = [
            (&[gzip, ("range", "bytes=0-")], 4000),
            (&[gzip, ("x-header-content-encoding", "br")], 4000),
            (
                &[gzip, ("x-header-cache-control", "private, no-transform")],
                4000,
            ),
            (&[gzip, ("x-header-content-type", "image/jpeg")], 4000),
            (&[gzip], 1000),
            (&[], 4000),
        ];
        for (headers, length) in cases {
            let (_, answered, body) = send(headers, vec![b'x'; length]).await;
            assert_ne!(
                answered.get("content-encoding"),
                Some(&HeaderValue::from_static("gzip"))
            );
            assert_eq!(body.len(), length, "{headers:?}");
        }
    }

    #[tokio::test]
    async fn a_compressed_upload_arrives_plain() {
        let gzip = all(GzipEncoder::new(&text()[..])).await;
        let zstd = all(ZstdEncoder::new(&text()[..])).await;
        for (coding, packed) in [("gzip", gzip), ("zstd", zstd)] {
            let (status, _, body) = send(&[("content-encoding", coding)], packed.clone()).await;
            assert_eq!((status, &body[..]), (StatusCode::OK, &text()[..]));

            let half = packed[..packed.len() / 2].to_vec();
            let (status, _, _) = send(&[("content-encoding", coding)], half).await;
            assert_eq!(
                status,
                StatusCode::BAD_REQUEST,
                "a cut {coding} body must be an error"
            );
        }
    }

    #[tokio::test]
    async fn an_upload_that_wants_too_much_memory_is_an_error() {
        let wide = [
            CParameter::window_log(24),
            CParameter::enable_long_distance_matching(true),
        ];
        let plain = vec![7; 20 * 1024 * 1024];
        let encoder = ZstdEncoder::with_quality_and_params(&plain[..], ZSTD_LEVEL, &wide);
        let packed = all(encoder).await;
        let (status, _, _) = send(&[("content-encoding", "zstd")], packed).await;
        assert_eq!(status, StatusCode::BAD_REQUEST);
    }

    #[tokio::test]
    async fn an_unknown_coding_of_an_upload_is_refused() {
        let (status, headers, _) = send(&[("content-encoding", "br")], "x").await;
        assert_eq!(status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
        assert_eq!(headers["accept-encoding"], "zstd, gzip");
    }

    #[test]
    fn what_is_text_inside_is_compressible() {
        for yes in [
            "text/html",
            "application/xml; charset=utf-8",
            "image/svg+xml",
            "TEXT/CSS",
        ] {
            assert!(is_compressible(&HeaderValue::from_static(yes)), "{yes}");
        }
        for no in [
            "image/jpeg",
            "application/zip",
            "text/event-stream",
            "",
            "video/mp4",
        ] {
            assert!(!is_compressible(&HeaderValue::from_static(no)), "{no}");
        }
    }
}
