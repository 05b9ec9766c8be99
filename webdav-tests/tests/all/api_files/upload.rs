//! Files in one request: what is stored, and what is refused without a trace.

use std::io::Write as _;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use webdav_tests::api::{number, route, text};
use webdav_tests::content::{assert_same, noise, prose, sha1_hex};
use webdav_tests::http::Body;
use webdav_tests::raw::Raw;
use webdav_tests::{Api, Response, TestServer};

use super::{PASSWORD, fetch, lock, used};

/// Of the five bytes `hello`.
const OF_HELLO: [&str; 4] = [
    "SHA256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824",
    "SHA1:aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d",
    "MD5:5d41402abc4b2a76b9719d911017c592",
    "ADLER32:062c0215",
];

/// A form with one part for each name and content.
fn form(parts: &[(&str, &[u8])]) -> Vec<u8> {
    let mut body = Vec::new();
    for (name, content) in parts {
        let head = format!(
            "--the boundary\r\nContent-Disposition: form-data; name=\"{name}\"; filename=\"x\"\r\n\
             Content-Type: application/octet-stream\r\n\r\n"
        );
        body.extend_from_slice(head.as_bytes());
        body.extend_from_slice(content);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(b"--the boundary--\r\n");
    body
}

#[track_caller]
fn upload_form(api: &Api, parameters: &[(&str, &str)], body: &[u8]) -> Response {
    let media = "multipart/form-data; boundary=\"the boundary\"";
    api.post_bytes(&route("files/upload", parameters), media, body)
}

#[test]
fn a_file_of_any_size_comes_back_as_it_was() {
    let server = TestServer::start();
    let api = Api::admin(&server);
    for (n, size) in [0, 1, 1000, 16_384, 16_385, 300_000, 5_000_003]
        .into_iter()
        .enumerate()
    {
        let bytes = noise(n as u64, size);
        let path = format!("/documents/{size} bytes.bin");
        let written = api.upload_with(&[("path", &path)], &bytes).json(201);

        assert_eq!(
            (&written["created"], &written["conflict"]),
            (&json!(true), &Value::Null)
        );
        let node = &written["node"];
        assert_eq!(
            (&node["path"], &node["kind"]),
            (&json!(path), &json!("file"))
        );
        assert_eq!((&node["size"], &node["version"]), (&json!(size), &json!(1)));
        assert_eq!(api.info(&path), *node);
        assert_same(&api.download(&path), &bytes, &path);
        assert_same(
            &server
                .admin()
                .get(&format!("/dav/documents/{size}%20bytes.bin"))
                .body,
            &bytes,
            &path,
        );
    }
}

#[test]
fn an_upload_to_the_same_path_is_its_next_version() {
    let server = TestServer::start();
    let api = Api::admin(&server);
    let first = api.upload("/a", b"one");
    let written = api.upload_with(&[("path", "/a")], b"three").json(200);
    assert_eq!(
        (&written["created"], &written["conflict"]),
        (&json!(false), &Value::Null)
    );
    let node = &written["node"];
    assert_eq!(
        (&node["id"], &node["version"], &node["size"]),
        (&first["id"], &json!(2), &json!(5))
    );
    assert_ne!(node["etag"], first["etag"]);
    assert!(number(node, "seq") > number(&first, "seq"));
    assert_eq!(used(&api), 5);
}

#[test]
fn a_body_may_come_in_chunks_or_compressed() {
    let server = TestServer::start();
    let api = Api::admin(&server);
    let bytes = prose(200_000);
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    gzip.write_all(&bytes).expect("memory");
    let gzip = gzip.finish().expect("memory");
    let zstd = zstd::encode_all(&*bytes, 3).expect("memory");

    api.send(
        "POST",
        "files/upload?path=/chunked",
        &[],
        Body::Chunked(&bytes),
    )
    .json(201);
    let coded = |name: &str, body: &[u8]| {
        let route = format!("files/upload?path=/{name}");
        api.send(
            "POST",
            &route,
            &[("Content-Encoding", name)],
            Body::Bytes(body),
        )
    };
    coded("gzip", &gzip).json(201);
    coded("zstd", &zstd).json(201);
    for path in ["/chunked", "/gzip", "/zstd"] {
        assert_same(&api.download(path), &bytes, path);
    }

    let before = api.cursor();
    coded("br", &bytes).problem("unsupported-media-type", 415);
    for (name, cut) in [
        ("gzip", &gzip[..gzip.len() / 2]),
        ("zstd", &zstd[..zstd.len() / 2]),
    ] {
        let refused = coded(name, cut).any_problem();
        assert_eq!(refused["status"], 400, "{refused}");
    }
    assert_eq!(api.cursor(), before);
    assert_same(&api.download("/zstd"), &bytes, "it stays as it was");
}

#[test]
fn a_form_carries_one_file() {
    let server = TestServer::start();
    let api = Api::admin(&server);
    let tricky = b"\r\n--the boundar\r\n--\r\n--another\r\nthe boundary\r\n".to_vec();
    let large = noise(1, 5_000_000);
    for (path, content) in [
        ("/tricky", &tricky),
        ("/large", &large),
        ("/empty", &Vec::new()),
    ] {
        let written = upload_form(&api, &[("path", path)], &form(&[("file", content)])).json(201);
        assert_eq!(written["node"]["size"], content.len());
        assert_same(&api.download(path), content, path);
    }
    let written = upload_form(&api, &[("path", "/tricky")], &form(&[("file", b"next")])).json(200);
    assert_eq!(written["node"]["version"], 2);
}

#[test]
fn a_form_that_is_not_one_whole_file_changes_nothing() {
    let server = TestServer::start();
    let api = Api::admin(&server);
    api.upload("/old", b"the old content");
    let before = api.cursor();
    let whole = form(&[("file", b"content")]);
    for path in ["/old", "/new"] {
        let at = [("path", path)];
        for body in [
            form(&[]),
            form(&[("data", b"x")]),
            form(&[("file", b"1"), ("file", b"2")]),
        ] {
            upload_form(&api, &at, &body).problem_at("invalid", 422, "file");
        }
        for cut in [0, 10, whole.len() / 2, whole.len() - 8] {
            let refused = upload_form(&api, &at, &whole[..cut]).any_problem();
            assert!(
                matches!(refused["status"].as_u64(), Some(400 | 422)),
                "{cut}: {refused}"
            );
        }
        let route = route("files/upload", &at);
        let refused = api.post_bytes(&route, "multipart/form-data", &whole);
        refused.problem("bad-request", 400);
    }
    assert_eq!(api.cursor(), before);
    assert_eq!(api.download("/old"), b"the old content");
}

#[test]
fn a_checksum_that_fits_is_kept_with_the_file() {
    let server = TestServer::start();
    let api = Api::admin(&server);
    for (n, checksum) in OF_HELLO.into_iter().enumerate() {
        let path = format!("/{n}");
        for spelling in [checksum.to_owned(), checksum.to_lowercase()] {
            let at = [("path", &*path), ("checksum", &spelling)];
            let written = api.upload_with(&at, b"hello");
            let written = written.json(written.status);
            let answered = text(&written["node"], "checksum");
            assert_eq!(answered, checksum, "what the upload answers");
            // The same bytes may be there already, with a checksum of another kind
            let kept = api.info(&path);
            assert!(OF_HELLO.contains(&text(&kept, "checksum")), "{kept}");
        }
        let at = [("path", "/form"), ("checksum", checksum)];
        upload_form(&api, &at, &form(&[("file", b"hello")])).expect(&[200, 201]);
        let chunked = route(
            "files/upload",
            &[("path", "/chunked"), ("checksum", checksum)],
        );
        api.send("POST", &chunked, &[], Body::Chunked(b"hello"))
            .expect(&[200, 201]);
    }
    // The listing tells, too; and a file whose bytes came without a checksum has none
    api.upload("/plain", b"never seen before");
    let listing = api.all("files/list?path=/");
    let of = |name: &str| {
        listing
            .iter()
            .find(|node| node["name"] == name)
            .map(|node| &node["checksum"])
    };
    assert!(of("0").is_some_and(Value::is_string), "{listing:?}");
    assert_eq!(of("plain"), Some(&Value::Null));
}

#[test]
fn a_checksum_that_does_not_fit_leaves_the_old_file() {
    let server = TestServer::start();
    let api = Api::admin(&server);
    api.upload("/old", b"the old content");
    let before = api.cursor();
    let large = noise(1, 1_000_000);
    let of_other = format!("SHA1:{}", sha1_hex(&noise(2, 1_000_000)));
    for path in ["/old", "/new"] {
        for checksum in OF_HELLO.into_iter().chain([&*of_other]) {
            let at = [("path", path), ("checksum", checksum)];
            for body in [b"hellp".as_slice(), b"", &large] {
                api.upload_with(&at, body)
                    .problem_at("checksum-mismatch", 400, "checksum");
            }
            let form = form(&[("file", b"hellp")]);
            upload_form(&api, &at, &form).problem_at("checksum-mismatch", 400, "checksum");
        }
        for checksum in [
            "",
            "SHA1",
            "SHA1:",
            "SHA1:zz",
            "MD5:aa",
            "SHA512:00",
            "ADLER32:",
            &OF_HELLO[0][..70],
        ] {
            let at = [("path", path), ("checksum", checksum)];
            api.upload_with(&at, b"hello")
                .problem_at("invalid", 422, "checksum");
        }
    }
    assert_eq!(api.cursor(), before);
    assert_eq!(api.download("/old"), b"the old content");
    api.look("/new").problem("not-found", 404);
}

#[test]
fn a_path_that_cannot_hold_a_file_is_refused() {
    let server = TestServer::start();
    let api = Api::admin(&server);
    api.upload("/file", b"x");
    let before = api.cursor();
    for (path, name, status) in [
        ("/missing/a", "no-parent", 409),
        ("/file/a", "no-parent", 409),
        ("/documents", "is-a-collection", 409),
        ("/documents/", "is-a-collection", 409),
        ("/", "forbidden", 403),
        ("", "bad-path", 400),
        ("a", "bad-path", 400),
        ("/shared", "forbidden", 403),
        ("/../a", "bad-path", 400),
        ("/a\0b", "bad-path", 400),
        ("/a\nb", "bad-path", 400),
    ] {
        api.upload_with(&[("path", path)], b"x")
            .problem(name, status);
        api.upload_with(&[("path", path)], &vec![1; 100_000])
            .problem(name, status);
    }
    assert_eq!(api.cursor(), before);
}

#[test]
fn an_upload_over_quota_is_507_and_leaves_the_old_file() {
    let server = TestServer::start();
    server.add_user("bob", PASSWORD, Some("1000000"));
    let bob = Api::register(&server, "bob", PASSWORD, "laptop");
    bob.upload("/a", &vec![1; 600_000]);
    let before = bob.cursor();
    let too_much = vec![2; 600_000];

    let refused = bob.upload_with(&[("path", "/b")], &too_much);
    refused.problem("quota-exceeded", 507);
    let chunked = bob.send(
        "POST",
        "files/upload?path=/b",
        &[],
        Body::Chunked(&too_much),
    );
    chunked.problem("quota-exceeded", 507);
    let by_form = upload_form(&bob, &[("path", "/b")], &form(&[("file", &too_much)]));
    by_form.problem("quota-exceeded", 507);
    let larger = bob.upload_with(&[("path", "/a")], &vec![3; 1_000_001]);
    larger.problem("quota-exceeded", 507);

    assert_eq!(bob.cursor(), before);
    assert_eq!(bob.download("/a"), vec![1; 600_000]);
    assert_eq!(used(&bob), 600_000);
    // The difference counts, and what is shared does not
    bob.upload("/a", &vec![4; 1_000_000]);
    bob.upload("/shared/b", &too_much);
}

#[test]
fn an_announced_length_over_quota_is_refused_before_the_body() {
    let server = TestServer::start();
    server.add_user("bob", PASSWORD, Some("1000000"));
    let bob = Api::register(&server, "bob", PASSWORD, "laptop");
    let mut raw = Raw::connect(&server.address());
    let headers = [("Content-Length", "5000000000"), ("Expect", "100-continue")];
    raw.send(bob.head("POST", "files/upload?path=/huge", &headers) + "\r\n");
    let answer = raw.answer(Duration::from_secs(20)).expect("an answer");
    answer.problem("quota-exceeded", 507);
}

#[test]
fn a_body_that_breaks_off_leaves_the_old_file() {
    let server = TestServer::start();
    let api = Api::admin(&server);
    let old = noise(1, 100_000);
    api.upload("/old", &old);
    let before = api.cursor();
    for path in ["/old", "/new"] {
        for (length, rest) in [
            (("Content-Length", "3000000"), ""),
            (("Transfer-Encoding", "chunked"), "f4240\r\n"),
        ] {
            let mut raw = Raw::connect(&server.address());
            let head = api.head("POST", &format!("files/upload?path={path}"), &[length]);
            raw.send(format!("{head}\r\n{rest}"));
            raw.send(noise(2, 1_000_000));
            raw.finish_sending();
            if let Some(answer) = raw.answer(Duration::from_secs(20)) {
                assert_eq!(answer.status, 400, "{answer}");
            }
        }
    }
    assert_eq!(api.cursor(), before);
    assert_same(&api.download("/old"), &old, "the old file");
}

#[test]
fn what_webdav_has_locked_is_423() {
    let server = TestServer::start();
    let api = Api::admin(&server);
    let dav = server.admin();
    api.upload("/documents/a", b"one");
    api.upload("/b", b"b");
    let id = api.info("/documents/a")["id"].clone();
    api.upload("/documents/a", b"two");
    let token = lock(&dav, "/dav/documents/");
    let before = api.cursor();

    let to = |from: &str, to: &str| json!({"from": from, "to": to, "overwrite": true});
    for refused in [
        api.upload_with(&[("path", "/documents/a")], b"three"),
        api.upload_with(&[("path", "/documents/a"), ("base", "none")], b"three"),
        api.upload_with(&[("path", "/documents/new")], b"three"),
        api.post("files/mkdir", &json!({"path": "/documents/d"})),
        api.post(
            "files/mkdir",
            &json!({"path": "/documents/d/e", "parents": true}),
        ),
        api.post("files/move", &to("/documents/a", "/a")),
        api.post("files/move", &to("/documents", "/d")),
        api.post("files/move", &to("/b", "/documents/a")),
        api.post("files/move", &to("/b", "/documents/b")),
        api.post("files/move", &to("/documents/a", "/shared/a")),
        api.post("files/copy", &to("/b", "/documents/b")),
        api.post("files/copy", &to("/b", "/documents")),
        api.delete(&format!("files/{id}")),
        api.post_nothing(&format!("files/{id}/versions/1/restore")),
    ] {
        refused.problem("locked", 423);
    }
    assert_eq!(api.cursor(), before);
    assert_eq!(api.download("/documents/a"), b"two", "reading is free");
    // And all of it goes once the lock is gone
    dav.request("UNLOCK", "/dav/documents/", &[("Lock-Token", &token)], b"")
        .expect(&[204]);
    api.upload("/documents/a", b"three");
    api.rename("/documents/a", "/documents/b");
}

#[test]
fn uploads_at_once_are_whole_versions_one_after_the_other() {
    let server = TestServer::start();
    let api = Api::admin(&server);
    let contents: Vec<Vec<u8>> = (0..8).map(|n| noise(n, 200_000)).collect();
    std::thread::scope(|scope| {
        for content in &contents {
            let api = api.again();
            scope.spawn(move || api.upload("/a", content));
        }
    });
    let node = api.info("/a");
    assert_eq!(node["version"], 8);
    let mut left = contents;
    for number in 1..=8 {
        let bytes = fetch(&api, &[("path", "/a"), ("version", &number.to_string())])
            .expect(&[200])
            .body;
        let nth = left.iter().position(|content| *content == bytes);
        left.remove(nth.expect("one of the contents, and each once"));
    }
}
