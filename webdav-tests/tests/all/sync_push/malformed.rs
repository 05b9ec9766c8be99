//! Streams that cannot be read, and streams that break off: what was whole is there, nothing half.

use std::time::Duration;

use sync_server::protocol::stream::{self, MEDIA_TYPE};
use webdav_tests::content::{noise, prose};
use webdav_tests::device::{Device, Push, put, zstd_of};
use webdav_tests::http::Body;
use webdav_tests::raw::Raw;
use webdav_tests::{Response, TestServer};

use super::{based, begin, deleted, mkdir, new, refused, write};

#[track_caller]
fn post(device: &Device, coding: Option<&str>, body: &[u8]) -> Response {
    let mut headers = vec![("Content-Type", MEDIA_TYPE)];
    headers.extend(coding.map(|coding| ("Content-Encoding", coding)));
    let api = device.api();
    api.send("POST", "sync/push", &headers, Body::Bytes(body))
}

/// Bytes of the file at a path, if it is there.
fn file(server: &TestServer, path: &str) -> Option<Vec<u8>> {
    let answer = server.admin().get(&format!("/dav{path}"));
    (answer.status == 200).then_some(answer.body)
}

/// A record by hand: its kind and the bytes behind it.
fn record(kind: u8, rest: &[u8]) -> Vec<u8> {
    [&[kind][..], rest].concat()
}

/// A FILE record.
fn json(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    stream::file(&mut out, text.as_bytes());
    out
}

/// What comes behind the header of a file of four bytes.
fn begun(rest: &[u8]) -> Vec<u8> {
    let mut push = Push::new();
    push.begin(&new("/documents/half", 4));
    [&push.bytes()[4..], rest].concat()
}

/// Streams whose records cannot be read or stand in the wrong place.
fn bad_records() -> Vec<(&'static str, Vec<u8>)> {
    let huge = [0xff; 9];
    vec![
        ("an unknown kind", record(0, b"")),
        ("an unknown kind", record(8, b"")),
        ("a file that does not begin", record(7, b"")),
        ("an operation without a file", record(4, b"\x01x")),
        ("an operation without a file", record(2, b"\x00\x00")),
        ("an operation without a file", record(6, b"")),
        (
            "END behind an item without content",
            [
                json(r#"{"op":"mkdir","path":"/documents/d"}"#),
                record(7, b""),
            ]
            .concat(),
        ),
        (
            "a file in a file",
            begun(&json(r#"{"op":"mkdir","path":"/documents/d"}"#)),
        ),
        ("no END", begun(b"\x04\x04half")),
        ("a literal that ends early", begun(b"\x04\x04ha")),
        ("an overlong length", begun(b"\x04\x84\x00half\x07")),
        ("a length of 2^63", begun(&[&[4][..], &huge, &[1]].concat())),
        ("an overlong offset", begun(b"\x02\x80\x00\x01\x07")),
        (
            "offset and length beyond 2^63",
            begun(&[&[2][..], &huge[..8], &[0x7f, 1, 7]].concat()),
        ),
        ("a stand-in that ends early", begun(b"\x03abc")),
        (
            "a prefix above 8 MiB",
            begun(b"\x05\x00\x81\x80\x80\x04\x01\x01x\x07"),
        ),
        (
            "a patch above 4 MiB",
            begun(b"\x05\x00\x00\x81\x80\x80\x02\x01x\x07"),
        ),
        (
            "a frame above its limit",
            begun(b"\x05\x00\x00\x01\x81\x80\x84\x02x\x07"),
        ),
    ]
}

/// Streams whose headers cannot be.
fn bad_headers() -> Vec<(&'static str, Vec<u8>)> {
    let long = format!(
        "{{\"op\":\"mkdir\",\"path\":\"/{}\"}}",
        "x".repeat(16 * 1024)
    );
    vec![
        ("JSON above 16 KiB", json(&long)),
        ("no JSON", json("{")),
        ("JSON that is no object", json("[]")),
        ("an empty header", json("")),
        (
            "no operation",
            json(r#"{"path":"/documents/half","size":4}"#),
        ),
        (
            "an unknown operation",
            json(r#"{"op":"chmod","path":"/documents/half"}"#),
        ),
        (
            "an unknown field",
            json(r#"{"op":"put","path":"/documents/half","size":4,"mode":7}"#),
        ),
        (
            "a size below zero",
            json(r#"{"op":"put","path":"/documents/half","size":-4}"#),
        ),
        (
            "a size that is a text",
            json(r#"{"op":"put","path":"/documents/half","size":"4"}"#),
        ),
        ("no size", json(r#"{"op":"put","path":"/documents/half"}"#)),
    ]
}

#[test]
fn streams_that_cannot_be_read_are_refused_and_what_came_before_may_be_done() {
    let (server, device) = begin();
    let cases = bad_records().into_iter().chain(bad_headers());
    for (nth, (what, wrong)) in cases.enumerate() {
        let before = format!("/documents/{nth}");
        let mut push = Push::new();
        push.whole(&put(&before, 4), b"kept");
        push.raw().extend(wrong);
        let answer = post(&device, None, push.bytes());
        assert_eq!(answer.status, 400, "{what}: {answer}");
        answer.problem("bad-stream", 400);
        // The items before were whole; nothing of what came then is there.
        assert_eq!(
            file(&server, &before).as_deref(),
            Some(&b"kept"[..]),
            "{what}"
        );
        assert_eq!(file(&server, "/documents/half"), None, "{what}");
    }
}

#[test]
fn another_magic_is_refused_whatever_follows() {
    let (_server, device) = begin();
    let mut push = Push::new();
    push.whole(&new("/documents/a", 1), b"x");
    let rest = &push.bytes()[4..];
    for magic in [&b""[..], b"SYN2", b"syn1", b"PK\x03\x04", b"SY", b"\0"] {
        let answer = post(&device, None, &[magic, rest].concat());
        answer.problem("bad-stream", 400);
    }
    post(&device, None, b"").problem("bad-stream", 400);
    assert_eq!(device.api().look("/documents/a").status, 404);
}

#[test]
fn nothing_follows_same_but_the_end() {
    let (_server, mut device) = begin();
    let bytes = noise(1, 50_000);
    let node = write(&device, &new("/documents/a", bytes.len()), &bytes);
    let root = Some(device.space(node.space).root(&bytes));
    let header = sync_server::protocol::sync::PushPut {
        root,
        ..new("/documents/b", bytes.len())
    };
    let mut push = Push::new();
    push.begin(&header).same().lit(b"x").end();
    push.begin(&header).same().same().end();
    push.begin(&header).lit(&bytes).same().end();
    let results = device.results(&push);
    assert_eq!(results.len(), 3);
    for result in &results {
        refused(result, "bad-stream", Some("SAME"));
    }
    let look = device.api().look("/documents/b");
    look.problem("not-found", 404);
}

/// A stream with every record; the first item is whole, the second an edit of `/documents/old`.
fn every_record(device: &mut Device, old: &[u8], etag: &str) -> (Push, Vec<usize>, Vec<u8>) {
    let own = device.mirror().at("/documents").expect("a folder").space;
    let space = device.space(own);
    let chunk = &space.cut(old).chunks[0];
    let end = chunk.1 as usize;
    let edited = [&old[..20], b"literal", &old[..end], b"patched"].concat();
    let mut push = Push::new();
    let mut ends = vec![4];
    push.item(&mkdir("/documents/d"));
    ends.push(push.bytes().len());
    push.whole(&put("/documents/d/a", 300), &old[..300]);
    ends.push(push.bytes().len());
    let header = sync_server::protocol::sync::PushPut {
        root: Some(space.root(&edited)),
        ..based(etag, "/documents/old", edited.len())
    };
    push.begin(&header)
        .copy(0, 20)
        .lit(b"literal")
        .reference(&chunk.0.0)
        .patch(old, 0..100, b"patched")
        .end();
    ends.push(push.bytes().len());
    push.item(&deleted("/documents/gone", None));
    ends.push(push.bytes().len());
    (push, ends, edited)
}

#[test]
fn a_stream_cut_anywhere_leaves_only_whole_files() {
    let (server, mut device) = begin();
    let old = noise(1, 30_000);
    let node = write(&device, &new("/documents/old", old.len()), &old);
    let (push, ends, edited) = every_record(&mut device, &old, &node.etag);
    let bytes = push.bytes();
    let step = if crate::long() { 1 } else { 3 };
    for cut in (4..bytes.len()).step_by(step).chain(ends.clone()) {
        let answer = post(&device, None, &bytes[..cut]);
        if ends.contains(&cut) {
            answer.expect(&[200]);
        } else {
            answer.problem("bad-stream", 400);
        }
        let small = file(&server, "/documents/d/a");
        assert!(
            small.is_none_or(|small| small == old[..300]),
            "cut at {cut}"
        );
        let now = file(&server, "/documents/old").expect("it is there");
        let whole = cut >= ends[3];
        assert!(
            now == if whole { &edited[..] } else { &old[..] },
            "cut at {cut}"
        );
        if whole {
            // Back to the beginning.
            write(&device, &put("/documents/old", old.len()), &old);
        }
    }
}

#[test]
fn a_connection_cut_in_the_middle_leaves_what_was_whole() {
    let (server, mut device) = begin();
    let dav = server.admin();
    for (nth, zstd) in [false, true, false, true].into_iter().enumerate() {
        let large = noise(nth as u64, 3_000_000);
        let mut push = Push::new();
        for n in 0..300 {
            let bytes = prose(500 + n);
            push.whole(&new(&format!("/documents/{nth}-{n}"), bytes.len()), &bytes);
        }
        push.whole(
            &new(&format!("/documents/{nth}-large"), large.len()),
            &large,
        );
        let body = if zstd {
            zstd_of(push.bytes())
        } else {
            push.bytes().to_vec()
        };
        let cut = if nth < 2 {
            body.len() - 1_000_000
        } else {
            body.len() - 1
        };
        let mut raw = Raw::connect(&server.address());
        let length = body.len().to_string();
        let mut headers = vec![("Content-Type", MEDIA_TYPE), ("Content-Length", &length)];
        headers.extend(zstd.then_some(("Content-Encoding", "zstd")));
        raw.send(device.api().head("POST", "sync/push", &headers) + "\r\n");
        raw.send(&body[..cut]);
        raw.finish_sending();
        assert!(raw.is_closed_within(Duration::from_mins(1)));
        drop(raw);
        // The server may still be naming what was whole.
        let last = format!("/dav/documents/{nth}-299");
        let there = (0..600).any(|_| {
            std::thread::sleep(Duration::from_millis(10));
            dav.get(&last).status == 200
        });
        assert!(there, "what had arrived whole was thrown away");
        for n in 0..300 {
            let got = dav.get(&format!("/dav/documents/{nth}-{n}")).expect(&[200]);
            assert!(got.body == prose(500 + n), "{nth}-{n}");
        }
        dav.get(&format!("/dav/documents/{nth}-large"))
            .expect(&[404]);
    }
    device.pull();
    webdav_tests::device::assert_in_step(&device, &dav);
}

#[test]
fn more_than_ten_thousand_items_are_refused() {
    let (server, device) = begin();
    let mut push = Push::new();
    for _ in 0..9_999 {
        push.item(&deleted("/documents/missing", None));
    }
    push.whole(&new("/documents/last", 1), b"x");
    assert_eq!(device.results(&push).len(), 10_000);
    server.admin().delete("/dav/documents/last").expect(&[204]);
    push.whole(&new("/documents/beyond", 1), b"x");
    device.send(&push).problem("too-large", 413);
    assert_eq!(file(&server, "/documents/beyond"), None);
    assert_eq!(file(&server, "/documents/last").as_deref(), Some(&b"x"[..]));
}

#[test]
fn bodies_of_another_kind_or_coding_are_refused() {
    let (server, device) = begin();
    let mut push = Push::new();
    push.whole(&new("/documents/a", 1), b"x");
    let api = device.api();
    for media in ["application/json", "application/octet-stream", ""] {
        let answer = api.post_bytes("sync/push", media, push.bytes());
        answer.problem_at("unsupported-media-type", 415, "Content-Type");
    }
    post(&device, Some("br"), push.bytes()).problem("unsupported-media-type", 415);
    let packed = zstd_of(push.bytes());
    for wrong in [push.bytes(), &packed[..packed.len() - 2], &packed[1..], b""] {
        let answer = post(&device, Some("zstd"), wrong);
        assert_eq!(answer.status, 400, "{answer}");
        answer.any_problem();
    }
    assert_eq!(file(&server, "/documents/a"), None);
    // A window of more than 8 MiB is more memory than the server gives.
    let mut wide = Vec::new();
    let mut encoder = zstd::stream::Encoder::new(&mut wide, 1).expect("memory");
    encoder.window_log(27).expect("a parameter");
    std::io::Write::write_all(&mut encoder, push.bytes()).expect("memory");
    encoder.finish().expect("memory");
    let answer = post(&device, Some("zstd"), &wide);
    assert_eq!(answer.status, 400, "{answer}");
    assert_eq!(file(&server, "/documents/a"), None);
    post(&device, Some("zstd"), &packed).expect(&[200]);
}
