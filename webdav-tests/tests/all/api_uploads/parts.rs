//! Parts, one after the other.

use serde_json::{Value, json};
use webdav_tests::api::{id, number};
use webdav_tests::content::{assert_same, noise, prose};
use webdav_tests::http::Body;
use webdav_tests::server::ADMIN_PASSWORD;
use webdav_tests::{Api, TestServer};

use super::{complete, finish, offset, open, open_with, send, settled, state};

/// How long an unfinished upload is kept: seven days, in ms.
const LIFETIME: i64 = 7 * 24 * 3600 * 1000;

#[test]
fn parts_of_any_size_make_the_file() {
    let server = TestServer::start();
    let api = Api::admin(&server);
    let content = noise(1, 20_000_000);
    let opened = api
        .post(
            "uploads",
            &json!({"path": "/documents/a", "size": content.len()}),
        )
        .json(201);
    assert_eq!(
        (&opened["offset"], &opened["finished"]),
        (&json!(0), &json!(false))
    );
    assert_eq!(
        (&opened["path"], &opened["size"]),
        (&json!("/documents/a"), &json!(content.len()))
    );
    let left = number(&opened, "expires") - number(&api.status(), "time");
    assert!((LIFETIME - 60_000..=LIFETIME).contains(&left), "{left} ms");
    let upload = id(&opened);

    let mut at = 0;
    for size in [
        1, 0, 16_383, 1, 65_536, 262_145, 1_000_000, 8_388_609, 3, 5_000_000,
    ] {
        let sent = send(&api, upload, at, &content[at..at + size]).json(200);
        at += size;
        assert_eq!((&sent["id"], &sent["offset"]), (&json!(upload), &json!(at)));
        assert_eq!(offset(&api, upload), at);
        // Nothing of it can be seen yet
        api.look("/documents/a").problem("not-found", 404);
        server.admin().get("/dav/documents/a").expect(&[404]);
    }
    let written = complete(&api, upload, &content);

    assert_eq!(
        (&written["created"], &written["conflict"]),
        (&json!(true), &Value::Null)
    );
    assert_eq!(api.info("/documents/a"), written["node"]);
    assert_same(&api.download("/documents/a"), &content, "the upload");
    assert_same(
        &server.admin().get("/dav/documents/a").body,
        &content,
        "for WebDAV",
    );
    assert_eq!(state(&api, upload)["finished"], true);
}

#[test]
fn small_and_empty_files_go_this_way_too() {
    let server = TestServer::start();
    let api = Api::admin(&server);
    for size in [0, 1, 16_384, 16_385] {
        let content = noise(7, size);
        let upload = open(&api, &format!("/{size}"), size);
        complete(&api, upload, &content);
        assert_same(&api.download(&format!("/{size}")), &content, "the upload");
    }
    // In one request or in several, it is the same content
    let one = api.upload("/one", &noise(9, 3_000_000));
    let upload = open(&api, "/several", 3_000_000);
    for part in 0..3 {
        send(
            &api,
            upload,
            part * 1_000_000,
            &noise(9, 3_000_000)[part * 1_000_000..][..1_000_000],
        )
        .json(200);
    }
    let several = finish(&api, upload).json(200);
    assert_eq!(several["node"]["etag"], one["etag"]);
}

#[test]
fn a_part_goes_where_the_last_one_ended_and_nowhere_else() {
    let server = TestServer::start();
    let api = Api::admin(&server);
    let content = noise(1, 100_000);
    let upload = open(&api, "/a", content.len());
    send(&api, upload, 0, &content[..40_000]).json(200);
    for wrong in [0, 39_999, 40_001, 100_000, usize::MAX / 2] {
        let refused = send(&api, upload, wrong, &content[..1000]);
        let refused = refused.problem_at("upload-offset", 409, "Upload-Offset");
        assert!(
            refused["detail"]
                .as_str()
                .is_some_and(|text| text.contains("40000")),
            "{refused}"
        );
    }
    let route = format!("uploads/{upload}");
    for wrong in [
        "",
        "x",
        "-1",
        "4e4",
        "40000.0",
        "18446744073709551616",
        "40000, 40000",
    ] {
        let refused = api.send(
            "PATCH",
            &route,
            &[("Upload-Offset", wrong)],
            Body::Bytes(b"x"),
        );
        refused.problem_at("bad-request", 400, "Upload-Offset");
    }
    let without = api.send("PATCH", &route, &[], Body::Bytes(b"x"));
    without.problem_at("bad-request", 400, "Upload-Offset");
    assert_eq!(offset(&api, upload), 40_000);
    complete(&api, upload, &content);
    assert_same(&api.download("/a"), &content, "the upload");
}

#[test]
fn a_part_may_come_in_chunks_or_compressed() {
    let server = TestServer::start();
    let api = Api::admin(&server);
    let content = prose(300_000);
    let upload = open(&api, "/a", content.len());
    let route = format!("uploads/{upload}");
    api.send(
        "PATCH",
        &route,
        &[("Upload-Offset", "0")],
        Body::Chunked(&content[..100_000]),
    )
    .json(200);
    let packed = zstd::encode_all(&content[100_000..200_000], 3).expect("memory");
    let headers = [("Upload-Offset", "100000"), ("Content-Encoding", "zstd")];
    let sent = api
        .send("PATCH", &route, &headers, Body::Bytes(&packed))
        .json(200);
    assert_eq!(
        sent["offset"], 200_000,
        "offsets count the bytes of the file"
    );
    complete(&api, upload, &content);
    assert_same(&api.download("/a"), &content, "the upload");
}

#[test]
fn more_than_was_announced_is_refused_and_what_fits_can_still_be_finished() {
    let server = TestServer::start();
    let api = Api::admin(&server);
    let content = noise(1, 1_000_000);
    let upload = open(&api, "/a", content.len());
    send(&api, upload, 0, &content[..500_000]).json(200);
    let mut longer = content[500_000..].to_vec();
    longer.push(0);
    send(&api, upload, 500_000, &longer).problem("too-large", 413);
    // Whoever was refused goes on where it stands, as soon as the server has let go of the rest
    settled(&api, upload, |at| {
        let sent = send(&api, upload, at, &content[at..]).expect(&[200, 409]);
        sent.status == 200
    });
    finish(&api, upload).json(200);
    assert_same(&api.download("/a"), &content, "the upload");
    // And past the end there is nothing to add
    let done = open(&api, "/b", 3);
    send(&api, done, 0, b"abc").json(200);
    send(&api, done, 3, b"d").problem("too-large", 413);
    send(&api, done, 3, b"").json(200);
    finish(&api, done).json(200);
    assert_eq!(api.download("/b"), b"abc");
}

#[test]
fn unfinished_uploads_are_listed_oldest_first() {
    let server = TestServer::start();
    let api = Api::admin(&server);
    assert_eq!(api.get("uploads").json(200), json!({"items": []}));
    let ids: Vec<i64> = (0..4).map(|n| open(&api, &format!("/{n}"), 10)).collect();
    send(&api, ids[1], 0, b"0123").json(200);
    complete(&api, ids[2], b"0123456789");
    api.delete(&format!("uploads/{}", ids[3])).expect(&[204]);
    let list = api.get("uploads").json(200);
    assert_eq!(
        list,
        json!({"items": [state(&api, ids[0]), state(&api, ids[1])]})
    );
    assert_eq!(
        (id(&list["items"][0]), id(&list["items"][1])),
        (ids[0], ids[1])
    );
    assert_eq!(list["items"][1]["offset"], 4);
}

#[test]
fn another_device_of_the_account_may_go_on() {
    let server = TestServer::start();
    let laptop = Api::admin(&server);
    let phone = Api::register(&server, "admin", ADMIN_PASSWORD, "phone");
    let content = noise(1, 200_000);
    let upload = open(&laptop, "/a", content.len());
    send(&laptop, upload, 0, &content[..100_000]).json(200);
    complete(&phone, upload, &content);
    assert_same(&laptop.download("/a"), &content, "the upload");
}

#[test]
fn times_base_and_checksum_are_those_that_were_stated_first() {
    let server = TestServer::start();
    let api = Api::admin(&server);
    let checksum = "SHA256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
    let upload = open_with(
        &api,
        &json!({"path": "/a", "size": 5, "base": "none", "mtime": 1000, "created": 500, "checksum": checksum}),
    );
    let written = complete(&api, upload, b"hello");
    assert_eq!(
        (&written["node"]["mtime"], &written["node"]["created"]),
        (&json!(1000), &json!(500))
    );
    assert_eq!(api.info("/a")["checksum"], checksum);
}
