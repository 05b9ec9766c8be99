//! The bytes of files: whole, in part, by version, compressed, and not at all when nothing changed.

use std::io::Read as _;

use flate2::read::GzDecoder;
use serde_json::Value;
use webdav_tests::api::{encode, route, text};
use webdav_tests::content::{assert_same, noise, prose};
use webdav_tests::http::{Body, Headers};
use webdav_tests::{Api, Response, TestServer};

use super::fetch;

/// 2020-02-05 12:34:56.789 UTC.
const MTIME: &str = "1580906096789";
const AS_DATE: &str = "Wed, 05 Feb 2020 12:34:56 GMT";

#[track_caller]
fn get(api: &Api, path: &str, headers: Headers<'_>) -> Response {
    api.get_with(&route("files/download", &[("path", path)]), headers)
}

#[test]
fn a_file_is_found_by_path_id_and_version() {
    let server = TestServer::start();
    let api = Api::admin(&server);
    let contents: Vec<Vec<u8>> = (1..=3)
        .map(|n| noise(n, 100_000 * usize::try_from(n).expect("small")))
        .collect();
    let nodes: Vec<Value> = contents
        .iter()
        .map(|bytes| api.upload("/documents/a", bytes))
        .collect();
    let id = nodes[0]["id"].to_string();

    for by in [
        ("path", "/documents/a"),
        ("path", "/documents//a/"),
        ("id", &*id),
    ] {
        assert_same(&fetch(&api, &[by]).expect(&[200]).body, &contents[2], by.0);
        for (nth, content) in contents.iter().enumerate() {
            let number = (nth + 1).to_string();
            let version = fetch(&api, &[by, ("version", &number)]).expect(&[200]);
            assert_same(&version.body, content, &number);
            assert_eq!(version.etag(), format!("\"{}\"", text(&nodes[nth], "etag")));
        }
        for number in ["0", "4", "-1", "9223372036854775807"] {
            fetch(&api, &[by, ("version", number)]).problem_at("not-found", 404, "version");
        }
    }
    // By its id it is found wherever it goes
    api.rename("/documents/a", "/b");
    assert_same(
        &fetch(&api, &[("id", &id)]).expect(&[200]).body,
        &contents[2],
        "moved",
    );
    fetch(&api, &[("path", "/documents/a")]).problem("not-found", 404);
}

#[test]
fn what_is_no_file_cannot_be_downloaded() {
    let server = TestServer::start();
    let api = Api::admin(&server);
    let id = api.upload("/a", b"x")["id"].to_string();
    for path in ["/", "/documents", "/shared"] {
        fetch(&api, &[("path", path)]).problem("is-a-collection", 409);
    }
    for path in ["/missing", "/missing/b", "/a/b"] {
        fetch(&api, &[("path", path)]).problem("not-found", 404);
    }
    fetch(&api, &[]).problem_at("invalid", 422, "path");
    fetch(&api, &[("path", "/a"), ("id", &id)]).problem_at("invalid", 422, "id");
    api.remove("/a");
    fetch(&api, &[("path", "/a")]).problem("not-found", 404);
    fetch(&api, &[("id", &id)]).problem("not-found", 404);
}

#[test]
fn the_headers_tell_what_it_is() {
    let server = TestServer::start();
    let api = Api::admin(&server);
    for (name, media) in [
        ("a.txt", "text/plain"),
        ("Ferien – 1/2 \"quoted\" ä.jpg", "image/jpeg"),
        ("no extension", "application/octet-stream"),
        ("😀.unknown-thing", "application/octet-stream"),
    ] {
        let name = name.replace('/', "");
        let path = format!("/{name}");
        let at = [("path", &*path), ("mtime", MTIME)];
        let node = api.upload_with(&at, b"content").json(201)["node"].take();
        let answer = get(&api, &path, &[]).expect(&[200]);
        assert_eq!(answer.etag(), format!("\"{}\"", text(&node, "etag")));
        assert_eq!(answer.header("last-modified"), Some(AS_DATE));
        assert_eq!(answer.header("content-length"), Some("7"));
        assert_eq!(answer.header("accept-ranges"), Some("bytes"));
        // A browser must neither guess nor run what somebody has uploaded.
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        let media_is = answer.header("content-type").expect("Content-Type");
        assert_eq!(media_is.split(';').next(), Some(media), "{name}");
        let disposition = answer
            .header("content-disposition")
            .expect("Content-Disposition");
        let stated = disposition
            .strip_prefix("attachment; filename*=UTF-8''")
            .expect("attachment");
        assert!(
            stated
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"%-._~".contains(&byte))
        );
        assert_eq!(decoded(stated), name);
    }
}

/// Undoes percent-encoding.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, behind)) = rest.split_first() {
        rest = behind;
        if *first == b'%' {
            let digits = std::str::from_utf8(&rest[..2]).expect("two digits");
            bytes.push(u8::from_str_radix(digits, 16).expect("hexadecimal"));
            rest = &rest[2..];
        } else {
            bytes.push(*first);
        }
    }
    String::from_utf8(bytes).expect("UTF-8")
}

#[test]
fn a_part_is_exactly_what_was_asked_for() {
    let server = TestServer::start();
    let api = Api::admin(&server);
    let bytes = noise(1, 2_000_000);
    api.upload("/a", &bytes);
    for (range, from, to) in [
        ("bytes=0-0", 0, 0),
        ("bytes=0-99", 0, 99),
        ("bytes=65530-65550", 65_530, 65_550),
        ("bytes=1999999-", 1_999_999, 1_999_999),
        ("bytes=1000000-1999998", 1_000_000, 1_999_998),
        ("bytes=1999990-9999999", 1_999_990, 1_999_999),
        ("bytes=-5", 1_999_995, 1_999_999),
        ("bytes=-9999999", 0, 1_999_999),
        ("bytes=0-", 0, 1_999_999),
    ] {
        let part = get(
            &api,
            "/a",
            &[("Range", range), ("Accept-Encoding", "gzip, zstd")],
        )
        .expect(&[206]);
        assert_same(&part.body, &bytes[from..=to], range);
        let stated = format!("bytes {from}-{to}/2000000");
        assert_eq!(part.header("content-range"), Some(&*stated));
        assert_eq!(
            part.header("content-length"),
            Some(&*(to - from + 1).to_string())
        );
        assert_eq!(part.header("content-encoding"), None);
        assert_eq!(
            part.etag(),
            format!("\"{}\"", text(&api.info("/a"), "etag"))
        );
    }
}

#[test]
fn a_part_outside_of_the_file_is_416_and_says_how_long_it_is() {
    let server = TestServer::start();
    let api = Api::admin(&server);
    api.upload("/a", &noise(1, 2_000_000));
    for range in ["bytes=2000000-", "bytes=5000000-6000000"] {
        let refused = get(&api, "/a", &[("Range", range)]);
        refused.problem_at("range", 416, "Range");
        // RFC 9110 §15.5.17: it should say how long the file is.
        assert_eq!(
            refused.header("content-range"),
            Some("bytes */2000000"),
            "{range}"
        );
    }
}

#[test]
fn a_range_that_cannot_be_understood_gets_the_whole_file() {
    let server = TestServer::start();
    let api = Api::admin(&server);
    let bytes = noise(1, 10_000);
    api.upload("/a", &bytes);
    for range in [
        "bytes=5-1",
        "bytes=-0",
        "bytes=x-y",
        "bytes=",
        "lines=1-2",
        "bytes=0-1,3-4",
        "5-6",
        "bytes=1-2-3",
    ] {
        let answer = get(&api, "/a", &[("Range", range)]).expect(&[200, 206, 416]);
        match answer.status {
            // RFC 9110 §14.2 lets a server ignore or refuse what is malformed.
            416 => drop(answer.problem("range", 416)),
            206 => panic!("{range}: {answer}"),
            _ => assert_same(&answer.body, &bytes, range),
        }
    }
    let empty = api.upload("/empty", b"");
    assert_eq!(empty["size"], 0);
    for range in ["bytes=0-", "bytes=0-0", "bytes=-1"] {
        let answer = get(&api, "/empty", &[("Range", range)]).expect(&[200, 416]);
        assert!(answer.status == 416 || answer.body.is_empty(), "{answer}");
    }
    assert_eq!(
        get(&api, "/empty", &[])
            .expect(&[200])
            .header("content-length"),
        Some("0")
    );
}

#[test]
fn if_range_gives_the_part_of_the_same_version_only() {
    let server = TestServer::start();
    let api = Api::admin(&server);
    let at = [("path", "/a"), ("mtime", MTIME)];
    let old = api.upload_with(&at, b"0123456789").json(201);
    let old_tag = format!("\"{}\"", text(&old["node"], "etag"));
    let part = |condition: &str| {
        let headers = [("Range", "bytes=2-4"), ("If-Range", condition)];
        get(&api, "/a", &headers).expect(&[200, 206])
    };
    assert_eq!(part(&old_tag).body, b"234");
    assert_eq!(part(&old_tag).status, 206);
    // A weak tag proves nothing here (RFC 9110 §13.1.5)
    assert_eq!(part(&format!("W/{old_tag}")).body, b"0123456789");
    assert_eq!(part("\"f0\"").body, b"0123456789");

    api.upload("/a", b"abcdefghij");
    for condition in [&*old_tag, AS_DATE] {
        let answer = part(condition);
        assert_eq!(
            (answer.status, &*answer.body),
            (200, b"abcdefghij".as_slice()),
            "{condition}"
        );
    }
}

#[test]
fn what_has_not_changed_is_304() {
    let server = TestServer::start();
    let api = Api::admin(&server);
    let node = api.upload("/a.txt", &prose(5000));
    let tag = format!("\"{}\"", text(&node, "etag"));
    for matching in [
        &*tag,
        &format!("W/{tag}"),
        &format!("\"x\", {tag}"),
        &format!("W/\"x\" , W/{tag}"),
        "*",
    ] {
        let answer = get(&api, "/a.txt", &[("If-None-Match", matching)]).expect(&[304]);
        assert_eq!(answer.etag(), tag, "{matching}");
        assert!(
            answer
                .header("content-length")
                .is_none_or(|length| length != "0"),
            "{answer}"
        );
        let both = [("If-None-Match", matching), ("Range", "bytes=0-1")];
        get(&api, "/a.txt", &both).expect(&[304]);
    }
    let bare = tag.trim_matches('"');
    for other in ["\"x\"", bare, "", "\"\""] {
        get(&api, "/a.txt", &[("If-None-Match", other)]).expect(&[200]);
    }
    // What came compressed is validated all the same
    let compressed = get(&api, "/a.txt", &[("Accept-Encoding", "gzip")]).expect(&[200]);
    let weak = compressed.etag();
    get(
        &api,
        "/a.txt",
        &[("If-None-Match", &weak), ("Accept-Encoding", "gzip")],
    )
    .expect(&[304]);
    api.upload("/a.txt", b"new");
    get(&api, "/a.txt", &[("If-None-Match", &weak)]).expect(&[200]);
    // Nothing is no version of anything
    get(&api, "/missing", &[("If-None-Match", "*")]).problem("not-found", 404);
}

#[test]
fn two_lines_of_tags_are_one_list() {
    let server = TestServer::start();
    let api = Api::admin(&server);
    let tag = format!("\"{}\"", text(&api.upload("/a.txt", b"x"), "etag"));
    let lines = [("If-None-Match", "\"x\""), ("If-None-Match", &*tag)];
    get(&api, "/a.txt", &lines).expect(&[304]);
}

#[test]
fn head_tells_the_same_without_the_bytes() {
    let server = TestServer::start();
    let api = Api::admin(&server);
    api.upload("/a.txt", &prose(5000));
    let target = format!("files/download?path={}", encode("/a.txt"));
    let whole = api.get(&target).expect(&[200]);
    let head = api.send("HEAD", &target, &[], Body::None).expect(&[200]);
    for name in [
        "content-length",
        "content-type",
        "etag",
        "last-modified",
        "accept-ranges",
        "content-disposition",
    ] {
        assert_eq!(head.header(name), whole.header(name), "{name}");
    }
    assert!(head.body.is_empty());
    // Nothing of it was sent, so the connection is at the next answer
    assert_same(&api.get(&target).body, &whole.body, "after HEAD");
    let missing = api.send("HEAD", "files/download?path=/missing", &[], Body::None);
    assert_eq!(missing.status, 404);
}

#[test]
fn texts_come_compressed_to_those_who_ask() {
    let server = TestServer::start();
    let api = Api::admin(&server);
    let (words, dense) = (prose(300_000), noise(1, 300_000));
    let node = api.upload("/words.txt", &words);
    api.upload("/dense.jpg", &dense);
    let strong = format!("\"{}\"", text(&node, "etag"));

    for coding in ["gzip", "zstd"] {
        let answer = get(&api, "/words.txt", &[("Accept-Encoding", coding)]).expect(&[200]);
        assert_eq!(answer.header("content-encoding"), Some(coding));
        assert_eq!(answer.etag(), format!("W/{strong}"));
        assert!(
            answer
                .header("vary")
                .is_some_and(|vary| vary.eq_ignore_ascii_case("accept-encoding"))
        );
        assert!(
            answer.body.len() < words.len() / 4,
            "{} bytes",
            answer.body.len()
        );
        let mut plain = Vec::new();
        match coding {
            "gzip" => GzDecoder::new(&*answer.body)
                .read_to_end(&mut plain)
                .expect("gzip"),
            _ => zstd::Decoder::new(&*answer.body)
                .expect("zstd")
                .read_to_end(&mut plain)
                .expect("zstd"),
        };
        assert_same(&plain, &words, coding);

        let dense_answer = get(&api, "/dense.jpg", &[("Accept-Encoding", coding)]).expect(&[200]);
        assert_eq!(dense_answer.header("content-encoding"), None);
        assert_same(&dense_answer.body, &dense, coding);
    }
    let plain = get(&api, "/words.txt", &[]).expect(&[200]);
    assert_eq!(
        (plain.header("content-encoding"), plain.etag()),
        (None, strong)
    );
    // Listings shrink as well
    let listing = api
        .get_with("files/list", &[("Accept-Encoding", "gzip")])
        .expect(&[200]);
    assert_eq!(listing.header("content-encoding"), Some("gzip"));
}

#[test]
fn a_download_goes_on_while_the_file_is_replaced_and_deleted() {
    let server = TestServer::start();
    let api = Api::admin(&server);
    let old = noise(1, 30_000_000);
    api.upload("/a", &old);
    let mut sink = Slow {
        got: Vec::new(),
        meanwhile: Some(|| {
            let other = api.again();
            other.upload("/a", b"new");
            other.remove("/a");
        }),
    };
    let path = format!("{}files/download?path=/a", webdav_tests::api::PREFIX);
    api.again().http().download(&path, &mut sink).expect(&[200]);
    assert_same(
        &sink.got,
        &old,
        "the version that was current when it began",
    );
    api.look("/a").problem("not-found", 404);
}

/// Takes the first bytes, then does something, then takes the rest.
struct Slow<F> {
    got: Vec<u8>,
    meanwhile: Option<F>,
}

impl<F: FnOnce()> std::io::Write for Slow<F> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.got.extend_from_slice(bytes);
        if let Some(meanwhile) = self.meanwhile.take() {
            meanwhile();
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
