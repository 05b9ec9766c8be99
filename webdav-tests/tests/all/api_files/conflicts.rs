//! What an upload may be based on, and what becomes of two that were made from the same version.

use serde_json::{Value, json};
use webdav_tests::api::{number, text};
use webdav_tests::server::ADMIN_PASSWORD;
use webdav_tests::{Api, TestServer};

/// Uploads on a base, and returns what the server says it did.
#[track_caller]
fn upload_on(api: &Api, path: &str, base: &str, mtime: i64, bytes: &[u8]) -> Value {
    let mtime = mtime.to_string();
    let parameters = [("path", path), ("base", base), ("mtime", &mtime)];
    let written = api.upload_with(&parameters, bytes).expect(&[200, 201]);
    written.json(written.status)
}

/// The etag of a node.
fn etag(node: &Value) -> &str {
    text(node, "etag")
}

#[test]
fn an_upload_on_the_current_version_is_the_next_one() {
    let server = TestServer::start();
    let api = Api::admin(&server);
    let mut node = api
        .upload_with(&[("path", "/a"), ("base", "none")], b"0")
        .json(201)["node"]
        .take();
    for n in 1..4_i64 {
        // Times do not matter as long as nobody else wrote.
        let written = upload_on(&api, "/a", etag(&node), 1000 - n, n.to_string().as_bytes());
        assert_eq!(written["conflict"], Value::Null);
        assert_eq!(written["node"]["version"], n + 1);
        node = written["node"].clone();
    }
    assert_eq!(api.download("/a"), b"3");
    assert_eq!(api.all("conflicts"), Vec::<Value>::new());
    // With quotes it is the same tag, as headers carry it.
    let quoted = format!("\"{}\"", etag(&node));
    assert_eq!(
        upload_on(&api, "/a", &quoted, 5, b"4")["conflict"],
        Value::Null
    );
}

#[test]
fn of_two_writers_the_later_modification_wins_and_the_other_lies_beside_it() {
    let server = TestServer::start();
    let laptop = Api::admin(&server);
    let phone = Api::register(&server, "admin", ADMIN_PASSWORD, "phone");
    for (name, phone_time, winner) in [
        ("later", 3000, "phone's"),
        ("earlier", 1000, "laptop's"),
        ("same", 2000, "phone's"),
    ] {
        let path = format!("/documents/{name}.txt");
        let base = laptop
            .upload_with(&[("path", &path), ("mtime", "500")], b"common")
            .json(201);
        let base = etag(&base["node"]).to_owned();
        upload_on(&laptop, &path, &base, 2000, b"laptop's");

        let written = upload_on(&phone, &path, &base, phone_time, b"phone's");

        let loser = if winner == "phone's" {
            "laptop's"
        } else {
            "phone's"
        };
        let copy = &written["conflict"];
        assert_eq!(laptop.download(&path), winner.as_bytes(), "{name}");
        assert_eq!(
            laptop.download(text(copy, "path")),
            loser.as_bytes(),
            "{name}"
        );
        assert_eq!(laptop.info(text(copy, "path")), *copy);
        assert_eq!(laptop.info(&path), written["node"]);
        // The name tells when and from which device the bytes came
        let (start, end) = (
            format!("{name}.conflict-"),
            format!("-{}.txt", loser.trim_end_matches("'s")),
        );
        let marker = text(copy, "name")
            .strip_prefix(&*start)
            .and_then(|rest| rest.strip_suffix(&*end));
        let marker = marker.unwrap_or_else(|| panic!("{copy}"));
        assert!(
            marker.len() == 15 && marker.as_bytes()[8] == b'-',
            "{marker}"
        );
        // And the one who wins keeps the times it has
        let time = if winner == "phone's" {
            phone_time
        } else {
            2000
        };
        assert_eq!(number(&written["node"], "mtime"), time);
        assert_eq!(
            number(copy, "mtime"),
            if winner == "phone's" {
                2000
            } else {
                phone_time
            }
        );
    }
    assert_eq!(laptop.all("conflicts").len(), 3);
    assert_eq!(laptop.status()["conflicts"], 3);
}

#[test]
fn an_upload_that_expected_nothing_meets_what_is_there() {
    let server = TestServer::start();
    let api = Api::admin(&server);
    let there = api
        .upload_with(&[("path", "/a"), ("mtime", "9000")], b"was there")
        .json(201);
    let written = upload_on(&api, "/a", "none", 1000, b"came later");
    assert_eq!(written["node"], there["node"]);
    assert_eq!(
        api.download(text(&written["conflict"], "path")),
        b"came later"
    );
    // When it is of one mind there is no conflict, and when nothing is there it is simply made
    assert_eq!(
        upload_on(&api, "/a", "none", 9000, b"was there")["conflict"],
        Value::Null
    );
    assert_eq!(upload_on(&api, "/b", "none", 1, b"b")["created"], true);
    assert_eq!(api.all("conflicts").len(), 1);
}

#[test]
fn an_upload_whose_answer_was_lost_can_be_sent_again() {
    let server = TestServer::start();
    let api = Api::admin(&server);
    let base = api
        .upload_with(&[("path", "/a"), ("mtime", "1")], b"common")
        .json(201);
    let base = etag(&base["node"]).to_owned();
    let plain = upload_on(&api, "/a", &base, 2000, b"mine");
    let before = api.cursor();
    let again = upload_on(&api, "/a", &base, 2000, b"mine");
    assert_eq!(
        (&again["node"], &again["conflict"]),
        (&plain["node"], &Value::Null)
    );
    assert_eq!(
        api.pull(Some(&before)).0,
        Vec::<Value>::new(),
        "nothing new has happened"
    );

    // The same where it was a conflict, whoever won
    for (time, bytes) in [(1000, b"lost".as_slice()), (3000, b"won")] {
        let first = upload_on(&api, "/a", &base, time, bytes);
        assert_ne!(first["conflict"], Value::Null);
        let names = api.names("/");
        let again = upload_on(&api, "/a", &base, time, bytes);
        assert_eq!(again["node"], first["node"]);
        assert_eq!(api.names("/"), names, "no second copy");
    }
    assert_eq!(api.all("conflicts").len(), 2);
}

#[test]
fn the_same_bytes_are_no_conflict() {
    let server = TestServer::start();
    let api = Api::admin(&server);
    let base = api.upload("/a", b"common");
    api.upload("/a", b"both made this");
    let written = upload_on(&api, "/a", etag(&base), 1000, b"both made this");
    assert_eq!(written["conflict"], Value::Null);
    assert_eq!(written["node"]["version"], 2);
    assert_eq!(api.all("conflicts"), Vec::<Value>::new());
}

#[test]
fn what_was_deleted_meanwhile_comes_back_with_the_upload() {
    let server = TestServer::start();
    let api = Api::admin(&server);
    let base = api.upload("/a", b"common");
    api.remove("/a");
    let written = upload_on(&api, "/a", etag(&base), 1000, b"edited");
    assert_eq!(
        (&written["created"], &written["conflict"]),
        (&json!(true), &Value::Null)
    );
    assert_eq!(api.download("/a"), b"edited");
}

#[test]
fn a_webdav_client_that_wrote_meanwhile_is_a_writer_like_any_other() {
    let server = TestServer::start();
    let api = Api::admin(&server);
    let dav = server.admin();
    dav.put("/dav/a.txt", b"common").expect(&[201]);
    let base = dav.head_of("/dav/a.txt").etag();
    let base = base.trim_matches('"');
    assert_eq!(etag(&api.info("/a.txt")), base, "one tag for both");
    dav.put("/dav/a.txt", b"by WebDAV").expect(&[204]);

    let written = upload_on(&api, "/a.txt", base, 1000, b"by a device");

    assert_eq!(
        dav.get("/dav/a.txt").body,
        b"by WebDAV",
        "it was the later one"
    );
    let copy = text(&written["conflict"], "path");
    assert_eq!(
        dav.get(&format!("/dav{copy}")).expect(&[200]).body,
        b"by a device"
    );
    assert_eq!(api.all("conflicts")[0]["node"]["path"], "/a.txt");
}

#[test]
fn a_long_name_has_room_for_the_marker() {
    let server = TestServer::start();
    let api = Api::admin(&server);
    let path = format!("/{}.txt", "ä".repeat(125));
    let base = api.upload(&path, b"common");
    api.upload(&path, b"one");
    let written = upload_on(&api, &path, etag(&base), 1000, b"other");
    let name = text(&written["conflict"], "name");
    assert!(
        name.len() <= 255 && name.strip_suffix(".txt").is_some(),
        "{name}"
    );
    assert_eq!(api.download(text(&written["conflict"], "path")), b"other");
}

#[test]
fn a_base_that_is_no_tag_of_a_file_is_refused() {
    let server = TestServer::start();
    let api = Api::admin(&server);
    api.upload("/a", b"x");
    let collection = text(&api.info("/documents"), "etag").to_owned();
    let before = api.cursor();
    for base in [
        "",
        "x",
        "None",
        "*",
        "f",
        "f0",
        "F1",
        "f01",
        "f-1",
        "f8000000000000000",
        &collection,
    ] {
        let refused = api.upload_with(&[("path", "/a"), ("base", base)], b"y");
        refused.problem_at("invalid", 422, "base");
    }
    assert_eq!(api.cursor(), before);
    // One of another file is a tag, only not of this one
    let other = api.upload("/b", b"of another file");
    let written = upload_on(&api, "/a", etag(&other), 1000, b"y");
    assert_ne!(written["conflict"], Value::Null);
}
