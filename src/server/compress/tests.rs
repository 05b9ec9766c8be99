//! Tests of the codings as requests and responses meet them.

use async_compression::tokio::bufread::ZstdDecoder;
use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::any;
use bytes::Bytes;
use http_body_util::BodyExt;
use tokio::io::AsyncReadExt;
use tower::ServiceExt;

use super::*;

/// Answers with the request's body, and with the headers it names as `x-header-…`.
fn echo(codings: &Arc<Codings>) -> Router {
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
    routes
        .layer(from_fn_with_state(Arc::clone(codings), response))
        .layer(from_fn_with_state(Arc::clone(codings), request))
}

async fn send(headers: &[(&str, &str)], body: impl Into<Body>) -> (StatusCode, HeaderMap, Bytes) {
    send_to(&Codings::new(), headers, body).await
}

async fn send_to(
    codings: &Arc<Codings>,
    headers: &[(&str, &str)],
    body: impl Into<Body>,
) -> (StatusCode, HeaderMap, Bytes) {
    let mut request = Request::post("/");
    let text = [("x-header-content-type", "text/plain")];
    let typed = headers.iter().any(|(name, _)| *name == text[0].0);
    for (name, value) in text.iter().filter(|_| !typed).chain(headers) {
        request = request.header(*name, *value);
    }
    let response = echo(codings)
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

/// A frame with a window of 8 MiB that lacks its end.
async fn wide(plain: &[u8]) -> Vec<u8> {
    let wide = [CParameter::window_log(23)];
    let encoder = ZstdEncoder::with_quality_and_params(plain, ZSTD_LEVEL, &wide);
    let mut packed = all(encoder).await;
    packed.truncate(packed.len() - 3);
    packed
}

/// A request whose body never ends, on its way.
fn stall(codings: &Arc<Codings>, begun: Vec<u8>) -> tokio::task::JoinHandle<StatusCode> {
    let codings = Arc::clone(codings);
    tokio::spawn(async move {
        let begun = futures_util::stream::iter([Ok::<_, io::Error>(begun)]);
        let body = Body::from_stream(begun.chain(futures_util::stream::pending()));
        let coding = [("content-encoding", "zstd")];
        send_to(&codings, &coding, body).await.0
    })
}

#[tokio::test(start_paused = true)]
async fn bodies_that_stand_still_leave_a_bounded_memory_and_others_are_told_to_come_again() {
    let codings = Codings::new();
    let plain = vec![7; 9 * 1024 * 1024];
    let first = stall(&codings, wide(&plain).await);
    let second = stall(&codings, wide(&plain).await);
    assert_eq!(second.await.unwrap(), StatusCode::SERVICE_UNAVAILABLE);

    let (coding, small) = ([("content-encoding", "zstd")], vec![7; 3000]);
    let packed = all(ZstdEncoder::new(&small[..])).await;
    let (status, _, body) = send_to(&codings, &coding, packed).await;
    assert_eq!((status, &body[..]), (StatusCode::OK, &small[..]));
    let whole = all(ZstdEncoder::with_quality_and_params(
        &plain[..],
        ZSTD_LEVEL,
        &[CParameter::window_log(23)],
    ))
    .await;
    let (status, headers, _) = send_to(&codings, &coding, whole.clone()).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(headers["retry-after"], "2");

    first.abort();
    assert!(first.await.is_err());
    let (status, _, body) = send_to(&codings, &coding, whole).await;
    assert_eq!((status, body.len()), (StatusCode::OK, plain.len()));
}

#[tokio::test(start_paused = true)]
async fn who_has_logged_in_does_not_wait_for_strangers() {
    let memory = Arc::new(unpack::Decoding::new(unpack::DECODING));
    let open = |sender: Sender, packed: Vec<u8>| {
        let mut body = unpack::zstd(Body::from(packed), Arc::clone(&memory), sender);
        async move {
            let begun = body.frame().await.unwrap().is_ok();
            (body, begun)
        }
    };
    let packed = wide(&vec![7; 9 * 1024 * 1024]).await;
    let (_held, begun) = open(Sender::default(), packed.clone()).await;
    assert!(begun);
    let stranger = Sender::default();
    let (_refused, begun) = open(stranger.clone(), packed.clone()).await;
    assert!(!begun && stranger.was_refused());

    let known = Sender::default();
    known.is(crate::types::AccountId(1));
    let (_held, begun) = open(known, packed).await;
    assert!(begun);
}

#[tokio::test]
async fn frames_behind_each_other_are_one_body_whatever_windows_they_have() {
    let small = all(ZstdEncoder::new(&text()[..9])).await;
    let large = vec![7; 9 * 1024 * 1024];
    let window = [CParameter::window_log(23)];
    let encoder = ZstdEncoder::with_quality_and_params(&large[..], ZSTD_LEVEL, &window);
    let skipped = [&[0x53, 0x2a, 0x4d, 0x18, 5, 0, 0, 0][..], b"12345"].concat();
    let packed = [&skipped[..], &small, &all(encoder).await, &skipped, &small].concat();
    for piece in [1, 7, packed.len()] {
        let pieces: Vec<_> = packed.chunks(piece).map(<[u8]>::to_vec).collect();
        let pieces = futures_util::stream::iter(pieces.into_iter().map(Ok::<_, io::Error>));
        let coding = [("content-encoding", "zstd")];
        let (status, _, body) = send(&coding, Body::from_stream(pieces)).await;
        assert_eq!(status, StatusCode::OK);
        assert!(body[..] == [&text()[..9], &large, &text()[..9]].concat()[..]);
    }
    for garbage in [&b""[..], b"(\xb5", b"no zstd at all", &skipped[..9]] {
        let (status, ..) = send(&[("content-encoding", "zstd")], garbage.to_vec()).await;
        assert_eq!(status, StatusCode::BAD_REQUEST);
    }
}

#[tokio::test]
async fn a_frame_that_is_shorter_than_it_says_is_an_error_however_it_comes() {
    // Eleven bytes are announced; the only block is the last and empty.
    let packed = [0x28, 0xb5, 0x2f, 0xfd, 0x20, 11, 1, 0, 0];
    for piece in [1, packed.len()] {
        let pieces: Vec<_> = packed.chunks(piece).map(<[u8]>::to_vec).collect();
        let pieces = futures_util::stream::iter(pieces.into_iter().map(Ok::<_, io::Error>));
        let coding = [("content-encoding", "zstd")];
        let (status, ..) = send(&coding, Body::from_stream(pieces)).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{piece}");
    }
}

#[tokio::test]
async fn when_too_many_are_compressed_the_next_comes_as_it_is() {
    let codings = Codings::new();
    let all = Arc::clone(&codings.encoding)
        .try_acquire_many_owned(u32::try_from(ENCODERS_MAX).unwrap())
        .unwrap();
    let asked = [("accept-encoding", "zstd")];
    let (_, headers, body) = send_to(&codings, &asked, text()).await;
    assert!(!headers.contains_key("content-encoding"));
    assert_eq!(
        (&headers["vary"], &body[..]),
        (&HeaderValue::from_static("accept-encoding"), &text()[..])
    );
    drop(all);
    let (_, headers, _) = send_to(&codings, &asked, text()).await;
    assert_eq!(headers["content-encoding"], "zstd");
    assert_eq!(codings.encoding.available_permits(), ENCODERS_MAX);
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

fn short_json() -> String {
    let node = |nth| format!(r#"{{"id":{nth},"kind":"file","name":"n{nth}","etag":"f{nth}"}}"#);
    format!(
        r#"{{"nodes":[{}]}}"#,
        (1..9).map(node).collect::<Vec<_>>().join(",")
    )
}

const JSON: (&str, &str) = ("x-header-content-type", "application/json");
const ZSTD: (&str, &str) = ("accept-encoding", "zstd");

#[tokio::test]
async fn short_json_comes_packed_and_is_the_same_json() {
    let json = short_json();
    assert!((json.len() as u64) < BYTES_MIN);
    let tag = ("x-header-etag", "\"a\"");
    let (status, headers, packed) = send(&[JSON, ZSTD, tag], json.clone()).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(headers[header::CONTENT_ENCODING], "zstd");
    assert_eq!(headers[header::VARY], "accept-encoding");
    assert_eq!(headers[header::ETAG], "W/\"a\"");
    assert!(packed.len() + 24 <= json.len(), "{}", packed.len());
    assert_eq!(all(ZstdDecoder::new(&packed[..])).await, json.as_bytes());
}

#[tokio::test]
async fn short_json_goes_as_it_is_where_packing_gains_nothing() {
    let json = short_json();
    let mut noise = [0; 200];
    blake3::Hasher::new().finalize_xof().fill(&mut noise);
    let range = ("range", "bytes=0-9");
    let fixed = ("x-header-cache-control", "no-transform");
    for (headers, body) in [
        (&[JSON, ZSTD][..], &b"{}"[..]),
        (&[JSON, ZSTD][..], &noise),
        (&[JSON, ("accept-encoding", "gzip")][..], json.as_bytes()),
        (&[JSON][..], json.as_bytes()),
        (&[ZSTD][..], json.as_bytes()),
        (&[JSON, ZSTD, range][..], json.as_bytes()),
        (&[JSON, ZSTD, fixed][..], json.as_bytes()),
    ] {
        let (_, answer, bytes) = send(headers, body.to_owned()).await;
        assert!(
            !answer.contains_key(header::CONTENT_ENCODING),
            "{headers:?}"
        );
        assert_eq!(bytes, body);
    }
}
