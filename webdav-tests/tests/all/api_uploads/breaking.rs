//! Connections, servers and machines that break in the middle of a part.

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use webdav_tests::api::PREFIX;
use webdav_tests::content::{assert_same, noise};
use webdav_tests::http::Body;
use webdav_tests::raw::Raw;
use webdav_tests::{Api, TestServer};

use super::{NOTICED_WITHIN, complete, finish, offset, open, send, settled};

/// What the offset may lag behind while somebody sends, in bytes: two groups that become durable together.
const LAG: usize = 32 * 1024 * 1024;
/// What lies in sockets and buffers on the way to the server, at most, in bytes.
const ON_THE_WAY: usize = 16 * 1024 * 1024;

/// Begins a part of `announced` bytes on a connection of its own, and sends `part` of it.
#[track_caller]
fn begin(
    server: &TestServer,
    api: &Api,
    upload: i64,
    at: usize,
    announced: usize,
    part: &[u8],
) -> Raw {
    let mut raw = Raw::connect(&server.address());
    let (at, announced) = (at.to_string(), announced.to_string());
    let headers = [("Upload-Offset", &*at), ("Content-Length", &announced)];
    raw.send(api.head("PATCH", &format!("uploads/{upload}"), &headers) + "\r\n");
    assert!(raw.send(part), "the server takes the part");
    raw
}

#[test]
fn what_arrived_of_a_part_that_broke_off_counts() {
    let server = TestServer::start();
    let api = Api::admin(&server);
    let content = noise(1, 3_000_000);
    let upload = open(&api, "/a", content.len());
    let mut at = 0;
    for sent in [1, 100_000, 1_234_567] {
        let raw = begin(
            &server,
            &api,
            upload,
            at,
            content.len() - at,
            &content[at..at + sent],
        );
        drop(raw);
        at += sent;
        // Everything that was sent has arrived, the kernel sees to that
        assert_eq!(settled(&api, upload, |now| now == at), at);
    }
    complete(&api, upload, &content);
    assert_same(&api.download("/a"), &content, "the upload");
}

#[test]
fn a_sender_that_only_stops_sending_is_told_and_loses_nothing() {
    let server = TestServer::start();
    let api = Api::admin(&server);
    let content = noise(1, 1_000_000);
    let upload = open(&api, "/a", content.len());
    let mut raw = begin(&server, &api, upload, 0, content.len(), &content[..400_000]);
    raw.finish_sending();
    if let Some(answer) = raw.answer(NOTICED_WITHIN) {
        answer.problem("bad-length", 400);
    }
    settled(&api, upload, |at| at == 400_000);
    complete(&api, upload, &content);
    assert_same(&api.download("/a"), &content, "the upload");
}

#[test]
fn only_one_sends_at_a_time() {
    let server = TestServer::start();
    let api = Api::admin(&server);
    let content = noise(1, 1_000_000);
    let upload = open(&api, "/a", content.len());
    let mut raw = begin(&server, &api, upload, 0, content.len(), &content[..500_000]);
    // It takes a moment until the first one is known to be there.
    let since = Instant::now();
    let refused = loop {
        let answer = send(&api, upload, 0, b"").expect(&[200, 409]);
        if answer.status == 409 {
            break answer;
        }
        assert!(since.elapsed() < NOTICED_WITHIN);
    };
    refused.problem("upload-state", 409);
    finish(&api, upload).problem("upload-state", 409);
    raw.send(&content[500_000..]);
    let answer = raw.answer(NOTICED_WITHIN).expect("an answer");
    assert_eq!(answer.json(200)["offset"], 1_000_000);
    finish(&api, upload).json(200);
    assert_same(&api.download("/a"), &content, "the upload");
}

#[test]
fn giving_up_stops_the_one_who_sends() {
    let server = TestServer::start();
    let api = Api::admin(&server);
    let content = noise(1, 1_000_000);
    let upload = open(&api, "/a", content.len());
    let mut raw = begin(&server, &api, upload, 0, content.len(), &content[..500_000]);
    api.delete(&format!("uploads/{upload}")).expect(&[204]);
    raw.send(&content[500_000..]);
    if let Some(answer) = raw.answer(NOTICED_WITHIN) {
        answer.problem("not-found", 404);
    }
    finish(&api, upload).problem("not-found", 404);
    api.look("/a").problem("not-found", 404);
}

/// Bytes that are counted on their way out.
struct Counted<'a> {
    bytes: &'a [u8],
    sent: Arc<AtomicUsize>,
}

impl Read for Counted<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let taken = self.bytes.read(into)?;
        self.sent.fetch_add(taken, Ordering::Relaxed);
        Ok(taken)
    }
}

/// Sends all that is missing and does `then` to the server once `enough` bytes are on their way.
/// Returns where the part began and how much of it was sent.
#[track_caller]
fn interrupt(
    server: &mut TestServer,
    api: &Api,
    upload: i64,
    content: &[u8],
    enough: usize,
    then: impl FnOnce(&mut TestServer),
) -> (usize, usize) {
    let at = offset(api, upload);
    let sent = Arc::new(AtomicUsize::new(0));
    let sender = api.again();
    std::thread::scope(|scope| {
        let counted = Arc::clone(&sent);
        let sending = scope.spawn(move || {
            let mut body = Counted {
                bytes: &content[at..],
                sent: counted,
            };
            let path = format!("{PREFIX}uploads/{upload}");
            let at = at.to_string();
            let length = body.bytes.len() as u64;
            let body = Body::Stream(&mut body, length);
            sender
                .http()
                .try_send("PATCH", &path, &[("Upload-Offset", &at)], body, None)
        });
        let since = Instant::now();
        while sent.load(Ordering::Relaxed) < enough {
            assert!(
                since.elapsed() < Duration::from_mins(2),
                "nothing is sent any more"
            );
            std::thread::sleep(Duration::from_millis(1));
        }
        then(server);
        let answer = sending.join().expect("the sender");
        assert!(
            !answer.is_ok_and(|answer| answer.status == 200),
            "it was not interrupted"
        );
    });
    (at, sent.load(Ordering::Relaxed))
}

#[test]
fn what_was_durable_survives_a_kill_in_the_middle_of_a_part() {
    let mut server = TestServer::start();
    let api = Api::admin(&server);
    let size = if crate::long() {
        400_000_000
    } else {
        120_000_000
    };
    let content = noise(1, size);
    let upload = open(&api, "/documents/large", content.len());
    send(&api, upload, 0, &content[..1_000_000]).json(200);
    let mut api = api;
    for enough in [10_000, 30_000_000, 40_000_000] {
        let (at, sent) = interrupt(
            &mut server,
            &api,
            upload,
            &content,
            enough,
            TestServer::kill9,
        );
        server.start_again();
        api = api.on(&server);
        let kept = offset(&api, upload);
        assert!(
            (at..=at + sent).contains(&kept),
            "{kept} of {at} and {sent}"
        );
        assert!(
            kept + LAG + ON_THE_WAY >= at + sent,
            "{kept} of {at} and {sent}"
        );
    }
    complete(&api, upload, &content);
    assert_same(&api.download("/documents/large"), &content, "the upload");
    // And what is finished is finished
    server.kill9();
    server.start_again();
    let api = api.on(&server);
    assert_same(
        &api.download("/documents/large"),
        &content,
        "after one more kill",
    );
    assert_eq!(
        finish(&api, upload).json(200)["node"],
        api.info("/documents/large")
    );
}

#[test]
fn a_restart_in_the_middle_of_a_part_loses_nothing_that_was_answered() {
    let mut server = TestServer::start();
    let api = Api::admin(&server);
    let content = noise(1, 60_000_000);
    let upload = open(&api, "/a", content.len());
    send(&api, upload, 0, &content[..5_000_000]).json(200);
    server.restart();
    let api = api.on(&server);
    assert_eq!(offset(&api, upload), 5_000_000);

    // A sender that has stopped does not hold up the end
    let part = begin(
        &server,
        &api,
        upload,
        5_000_000,
        20_000_000,
        &content[5_000_000..7_000_000],
    );
    server.restart();
    drop(part);
    let api = api.on(&server);
    let kept = offset(&api, upload);
    assert!((5_000_000..=7_000_000).contains(&kept), "{kept}");
    complete(&api, upload, &content);
    assert_same(&api.download("/a"), &content, "the upload");
}

#[test]
fn a_kill_between_the_last_part_and_the_end_is_no_harm() {
    let mut server = TestServer::start();
    let api = Api::admin(&server);
    let content = noise(1, 2_000_000);
    let upload = open(&api, "/a", content.len());
    send(&api, upload, 0, &content).json(200);
    server.kill9();
    server.start_again();
    let api = api.on(&server);
    assert_eq!(offset(&api, upload), content.len());
    let written = finish(&api, upload).json(200);
    server.kill9();
    server.start_again();
    let api = api.on(&server);
    assert_eq!(finish(&api, upload).json(200), written);
    assert_eq!(api.info("/a"), written["node"]);
    assert_same(&api.download("/a"), &content, "the upload");
}
