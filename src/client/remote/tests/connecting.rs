use std::io;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use futures_util::stream;
use http::Version;
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::server;
use super::stand::{Stand, Way, json, problem, typed, with_header, with_status};
use crate::client::remote::request::Request;
use crate::client::remote::{Error, Reader, Server, Source, Speaks};

fn pieces(
    all: Vec<&'static str>,
) -> impl stream::Stream<Item = io::Result<Bytes>> + Send + 'static {
    stream::iter(all.into_iter().map(|piece| Ok(Bytes::from(piece))))
}

async fn ask(server: &Server, request: Request) -> Result<String, Error> {
    let bytes = server
        .send(request, None)
        .await?
        .reader()
        .collect(1 << 20)
        .await?;
    Ok(String::from_utf8(bytes).unwrap())
}

/// One that breaks the first connections of a request.
fn breaks(times: u32) -> impl Fn(super::stand::Seen) -> Option<super::stand::Reply> + Send + Sync {
    let left = AtomicU32::new(times);
    move |_| {
        let broken = left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
            left.checked_sub(1)
        });
        broken.is_err().then(|| typed("text/plain", "done"))
    }
}

#[tokio::test]
async fn http2_is_spoken_without_tls_where_the_server_does_over_one_connection() {
    let stand = Stand::start(|_| Some(typed("text/plain", "hello"))).await;
    let server = server(&stand.address());
    assert_eq!(server.speaks(), None);
    for _ in 0..3 {
        assert_eq!(ask(&server, Request::get("usage")).await.unwrap(), "hello");
    }
    assert_eq!(server.speaks(), Some(Speaks::Http2));
    for seen in stand.seen() {
        assert_eq!((seen.version, seen.connection), (Version::HTTP_2, 0));
        assert_eq!(seen.headers.len(), 0, "{:?}", seen.headers);
    }
}

#[tokio::test]
async fn many_first_requests_find_out_once_what_is_spoken() {
    let stand = Stand::start(|_| Some(typed("text/plain", "hello"))).await;
    let server = server(&stand.address());
    let all = join_all((0..8).map(|_| ask(&server, Request::get("usage")))).await;
    assert!(all.iter().all(Result::is_ok), "{all:?}");
    assert_eq!(stand.trials(), 1);
}

#[tokio::test]
async fn at_a_low_rate_http1_is_spoken_so_that_no_answer_waits_behind_others() {
    let stand = Stand::start(|_| Some(typed("text/plain", "hello"))).await;
    let server = server(&stand.address());
    for (rate, version) in [
        (None, Version::HTTP_2),
        (NonZeroU64::new(4096), Version::HTTP_11),
        (NonZeroU64::new(1 << 20), Version::HTTP_2),
    ] {
        server.limits().set(None, rate);
        ask(&server, Request::get("usage")).await.unwrap();
        assert_eq!(stand.seen().last().unwrap().version, version);
    }
}

#[tokio::test]
async fn a_proxy_that_only_speaks_http1_gets_that_and_is_remembered() {
    let old = Way {
        old: true,
        ..Way::default()
    };
    let stand = Stand::with(old, |_| Some(typed("text/plain", "hello"))).await;
    let first = server(&stand.address());
    first.connect().await.unwrap();
    let speaks = first.speaks().unwrap();
    assert_eq!(speaks, Speaks::Http1);
    let second = server(&stand.address());
    second.remember(speaks);
    for _ in 0..2 {
        assert_eq!(ask(&second, Request::get("usage")).await.unwrap(), "hello");
    }
    let seen = stand.seen();
    assert_eq!(seen[0].version, Version::HTTP_11);
    assert_eq!(seen[0].headers.keys().collect::<Vec<_>>(), ["host"]);
    // One for the trial of HTTP/2, one for that of HTTP/1.1, one that is kept.
    assert_eq!((seen[0].connection, seen[1].connection), (2, 2));
}

#[tokio::test]
async fn a_server_that_has_become_another_is_found_out_by_the_next_request() {
    let old = Way {
        old: true,
        ..Way::default()
    };
    let stand = Stand::with(old, |_| Some(typed("text/plain", "hello"))).await;
    let server = server(&stand.address());
    server.remember(Speaks::Http2);
    assert!(ask(&server, Request::post("auth/logout")).await.is_err());
    assert_eq!(ask(&server, Request::get("usage")).await.unwrap(), "hello");
    assert_eq!(server.speaks(), Some(Speaks::Http1));
}

#[tokio::test]
async fn nobody_there_is_offline_and_says_where() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    drop(listener);
    let error = server(&format!("http://{at}")).connect().await.unwrap_err();
    assert!(
        matches!(&error, Error::Offline(why) if why.contains("127.0.0.1") && why.contains("refused")),
        "{error:?}"
    );
    assert!(error.passes());
    // A label may have 63 letters: nobody has to be asked for one with more.
    let name = format!("{}.invalid", "n".repeat(64));
    let error = server(&format!("http://{name}"))
        .connect()
        .await
        .unwrap_err();
    assert!(
        matches!(&error, Error::Offline(why) if why.contains(&name)),
        "{error:?}"
    );
}

#[tokio::test]
async fn refusals_are_problems_with_what_the_head_says() {
    let stand = Stand::start(|seen| {
        Some(match seen.route.trim_start_matches("/api/v1/") {
            "busy" => with_header(problem(503, "busy"), "retry-after", "7"),
            "bare" => with_header(
                with_status(typed("text/plain", "later"), 503),
                "retry-after",
                "2",
            ),
            "offset" => with_header(problem(409, "upload-offset"), "upload-offset", "4096"),
            "portal" => with_status(typed("text/html", "<html>pay first"), 403),
            "moved" => with_header(
                with_status(typed("text/html", ""), 302),
                "location",
                "http://portal.example/",
            ),
            "gateway" => with_status(typed("text/html", "<html>"), 502),
            _ => typed("text/html", "<html>"),
        })
    })
    .await;
    let server = server(&stand.address());
    let get = async |route: &str| ask(&server, Request::get(route)).await.unwrap_err();
    let error = get("busy").await;
    assert!(
        matches!(error, Error::Busy { after: Some(after), .. } if after == Duration::from_secs(7)),
        "{error:?}"
    );
    let error = get("bare").await;
    assert!(
        matches!(error, Error::Busy { after: Some(after), .. } if after == Duration::from_secs(2)),
        "{error:?}"
    );
    let error = get("offset").await;
    assert_eq!(error.problem(), Some("upload-offset"));
    assert!(!error.passes());
    assert!(matches!(error, Error::Refused(_)));
    assert!(matches!(get("portal").await, Error::Protocol(_)));
    assert!(matches!(get("moved").await, Error::Protocol(why) if why.contains("portal.example")));
    assert!(matches!(get("gateway").await, Error::Broken(_)));
    let page = server
        .send(Request::get("page"), None)
        .await
        .unwrap()
        .json::<i32>(100)
        .await;
    assert!(matches!(page, Err(Error::Protocol(why)) if why.contains("text/html")));
}

#[tokio::test]
async fn only_what_is_harmless_twice_is_sent_again_and_only_once() {
    for (request, times, done) in [
        (Request::get("usage"), 1, true),
        (Request::get("usage"), 2, false),
        (Request::post("files/move"), 1, false),
        (Request::post("uploads/1/finish").again(), 1, true),
    ] {
        let stand = Stand::start(breaks(times)).await;
        let server = server(&stand.address());
        server.connect().await.unwrap();
        let answer = ask(&server, request).await;
        assert_eq!(answer.is_ok(), done, "{answer:?}");
        assert!(
            done || matches!(answer, Err(Error::Broken(_))),
            "{answer:?}"
        );
    }
}

#[tokio::test]
async fn a_stream_arrives_as_it_was_given_and_packed_as_one_frame() {
    let stand = Stand::start(|_| Some(json(&1))).await;
    let server = server(&stand.address());
    let text = ["a long text, ".repeat(10_000), "and more".to_owned()].map(|text| &*text.leak());
    let length: usize = text.iter().map(|text| text.len()).sum();
    for source in [
        Source::new(pieces(text.to_vec()), 10),
        Source::exact(pieces(text.to_vec()), length as u64),
        Source::new(pieces(text.to_vec()), 1 << 20),
        Source::new(pieces(text.to_vec()), 10).packed(),
    ] {
        let request = Request::post("sync/push").source(source, Some("a/b"));
        ask(&server, request).await.unwrap();
    }
    let seen = stand.seen();
    for plain in &seen[..3] {
        assert_eq!(plain.body, text.concat().as_bytes());
        assert_eq!(
            (
                plain.header("content-type"),
                plain.header("content-encoding")
            ),
            ("a/b", "")
        );
    }
    assert_eq!(seen[1].header("content-length"), length.to_string());
    let versions: Vec<_> = seen.iter().map(|seen| seen.version).collect();
    assert_eq!(
        versions,
        [
            Version::HTTP_2,
            Version::HTTP_2,
            Version::HTTP_11,
            Version::HTTP_2
        ]
    );
    assert_eq!(seen[3].header("content-encoding"), "zstd");
    assert!(seen[3].body.len() < 1000, "{}", seen[3].body.len());
    assert_eq!(
        zstd::bulk::decompress(&seen[3].body, length).unwrap(),
        text.concat().as_bytes()
    );
}

#[tokio::test]
async fn a_stream_that_fails_breaks_the_request_off_and_is_to_blame() {
    let stand = Stand::start(|_| Some(json(&1))).await;
    let server = server(&stand.address());
    for estimate in [10, 1 << 20] {
        let failing = stream::iter([
            Ok(Bytes::from("begun")),
            Err(io::Error::other("it was touched")),
        ]);
        let request = Request::post("sync/push").source(Source::new(failing, estimate), None);
        let error = ask(&server, request).await.unwrap_err();
        assert!(
            matches!(&error, Error::Source(why) if why.to_string().contains("touched")),
            "{error:?}"
        );
    }
}

#[tokio::test]
async fn long_json_is_packed_and_short_json_is_not() {
    let stand = Stand::start(|_| Some(json(&1))).await;
    let server = server(&stand.address());
    let (short, long) = (vec!["short"], vec!["long"; 50]);
    ask(&server, Request::post("a").json(&short).unwrap())
        .await
        .unwrap();
    ask(&server, Request::post("a").json(&long).unwrap())
        .await
        .unwrap();
    let seen = stand.seen();
    assert_eq!(
        (seen[0].header("content-encoding"), &seen[0].body[..]),
        ("", &br#"["short"]"#[..])
    );
    assert_eq!(seen[1].header("content-encoding"), "zstd");
    let unpacked = zstd::bulk::decompress(&seen[1].body, 1 << 16).unwrap();
    assert_eq!(unpacked, serde_json::to_vec(&long).unwrap());
}

#[tokio::test]
async fn packed_answers_are_unpacked_within_a_window_and_to_their_end() {
    let text = "all of it ".repeat(100_000);
    let pack = |window: u32| {
        let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
        encoder.window_log(window).unwrap();
        io::Write::write_all(&mut encoder, text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    };
    let (good, wide) = (pack(23), pack(24));
    let short = good[..good.len() / 2].to_vec();
    let stand = Stand::start(move |seen| {
        assert_eq!(seen.header("accept-encoding"), "zstd");
        let body = match seen.route.trim_start_matches("/api/v1/") {
            "good" => good.clone(),
            "wide" => wide.clone(),
            _ => short.clone(),
        };
        Some(with_header(
            typed("text/plain", body),
            "content-encoding",
            "zstd",
        ))
    })
    .await;
    let server = server(&stand.address());
    assert_eq!(
        ask(&server, Request::get("good").unpacks()).await.unwrap(),
        text
    );
    let wide = ask(&server, Request::get("wide").unpacks()).await;
    assert!(matches!(wide, Err(Error::Protocol(_))), "{wide:?}");
    let short = ask(&server, Request::get("short").unpacks()).await;
    assert!(matches!(short, Err(Error::Broken(_))), "{short:?}");
    let bomb = server
        .send(Request::get("good").unpacks(), None)
        .await
        .unwrap();
    assert!(matches!(
        bomb.reader().collect(1000).await,
        Err(Error::Protocol(_))
    ));
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_broken_by_both_protocols() {
    for old in [true, false] {
        let way = Way {
            old,
            ..Way::default()
        };
        let stand = Stand::with(way, |_| {
            let parts = [
                Ok(Frame::data(Bytes::from("begun"))),
                Err(io::Error::other("broken")),
            ];
            let mut reply = typed("text/plain", "");
            *reply.body_mut() = BodyExt::boxed(StreamBody::new(stream::iter(parts)));
            Some(reply)
        })
        .await;
        let server = server(&stand.address());
        let error = ask(&server, Request::post("a")).await.unwrap_err();
        assert!(matches!(error, Error::Broken(_)), "{error:?}");
    }
}

/// Ten pieces, each so long behind the one before.
fn slowly(bytes: &[u8], pause: Duration) -> impl stream::Stream<Item = io::Result<Bytes>> + use<> {
    let length = bytes.len().div_ceil(10);
    let pieces: Vec<_> = bytes.chunks(length).map(Bytes::copy_from_slice).collect();
    stream::unfold(pieces.into_iter(), move |mut pieces| async move {
        tokio::time::sleep(pause).await;
        Some((Ok(pieces.next()?), pieces))
    })
}

#[tokio::test(start_paused = true)]
async fn a_packed_answer_may_come_slowly_as_long_as_it_comes() {
    // No piece of it can be unpacked before all is there.
    let mut noise = vec![0; 100_000];
    blake3::Hasher::new().finalize_xof().fill(&mut noise);
    let packed = zstd::bulk::compress(&noise, 1).unwrap();
    for (pause, comes) in [(59, true), (61, false)] {
        let arriving = slowly(&packed, Duration::from_secs(pause));
        let read = Reader::of(arriving, true, Arc::default())
            .collect(1 << 20)
            .await;
        match read {
            Ok(read) => assert!(comes && read == noise),
            Err(error) => assert!(!comes && matches!(error, Error::Broken(_)), "{error:?}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_falls_silent_is_given_up() {
    let stand = Stand::slow(Way::default(), |_| Box::pin(std::future::pending())).await;
    let server = server(&stand.address());
    server.remember(Speaks::Http2);
    let begun = tokio::time::Instant::now();
    let error = ask(&server, Request::post("a")).await.unwrap_err();
    assert!(
        matches!(&error, Error::Broken(why) if why.contains("120 s")),
        "{error:?}"
    );
    let took = begun.elapsed().as_secs();
    assert!((120..130).contains(&took), "{took} s");
}

#[tokio::test]
async fn something_that_is_not_http_is_no_answer() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = [0; 16];
            drop(stream.read(&mut head).await);
            drop(stream.write_all(b"220 mail.example ESMTP\r\n").await);
        }
    });
    let error = server(&address).connect().await.unwrap_err();
    assert!(matches!(error, Error::Protocol(_)), "{error:?}");
}

#[tokio::test]
async fn what_goes_over_the_wire_is_counted() {
    let stand = Stand::start(|_| Some(typed("text/plain", vec![0; 100_000]))).await;
    let server = server(&stand.address());
    server.connect().await.unwrap();
    let before = server.limits().received();
    let request = Request::post("a").source(Source::new(pieces(vec!["hello"]), 5), None);
    let answer = server.send(request, None).await.unwrap();
    answer.reader().collect(100_000).await.unwrap();
    let received = server.limits().received() - before;
    assert!((100_000..102_000).contains(&received), "{received}");
    assert!(
        (5..2000).contains(&server.limits().sent()),
        "{}",
        server.limits().sent()
    );
}

#[tokio::test]
async fn a_refusal_that_comes_before_the_body_was_sent_is_heard() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = server(&format!("http://{}", listener.local_addr().unwrap()));
    server.remember(Speaks::Http1);
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut head = [0; 4096];
        assert!(stream.read(&mut head).await.unwrap() > 0);
        let refusal =
            "HTTP/1.1 413 Payload Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
        stream.write_all(refusal.as_bytes()).await.unwrap();
        // As a server does that gives its client time to hear it.
        tokio::io::copy(&mut stream, &mut tokio::io::sink())
            .await
            .unwrap();
    });
    let endless = stream::iter((0..10_000).map(|_| Ok(Bytes::from(vec![0; 65536]))));
    let request = Request::post("sync/push").source(Source::new(endless, 1 << 30), None);
    let error = ask(&server, request).await.unwrap_err();
    assert_eq!(error.problem(), Some("too-large"), "{error:?}");
}
