//! Previous contents of a file.

use serde_json::{Value, json};
use webdav_tests::api::{id, number, text};
use webdav_tests::content::{assert_same, noise};
use webdav_tests::server::ADMIN_PASSWORD;
use webdav_tests::{Api, TestServer};

use super::{PASSWORD, bytes_of, lock, numbers, versions};

#[test]
fn each_version_says_what_it_was_and_who_wrote_it() {
    let server = TestServer::start();
    let laptop = Api::admin(&server);
    let phone = Api::register(&server, "admin", ADMIN_PASSWORD, "phone");
    let started = number(&laptop.status(), "time");
    let first = laptop
        .upload_with(&[("path", "/a"), ("mtime", "1000")], b"one")
        .json(201);
    let second = phone
        .upload_with(&[("path", "/a"), ("mtime", "500")], b"twotwo")
        .json(200);
    server.admin().put("/dav/a", b"three").expect(&[204]);
    let third = laptop.info("/a");
    let ended = number(&laptop.status(), "time");

    let list = versions(&phone, id(&third));
    assert_eq!(list.len(), 3);
    let devices = [Value::Null, phone.device().into(), laptop.device().into()];
    let nodes = [&third, &second["node"], &first["node"]];
    for (nth, (version, node)) in list.iter().zip(nodes).enumerate() {
        assert_eq!(
            number(version, "number"),
            3 - i64::try_from(nth).expect("small")
        );
        for field in ["size", "mtime", "etag"] {
            assert_eq!(version[field], node[field], "{field} of {version}");
        }
        assert_eq!(version["device"], devices[nth], "{version}");
        assert_eq!(version["current"], nth == 0, "{version}");
        assert!(
            (started..=ended).contains(&number(version, "written")),
            "{version}"
        );
    }
    for (number, bytes) in [(1, b"one".as_slice()), (2, b"twotwo"), (3, b"three")] {
        assert_eq!(bytes_of(&laptop, id(&third), number), bytes);
    }
}

#[test]
fn a_restored_version_becomes_the_next_one_and_nothing_is_lost() {
    let server = TestServer::start();
    let api = Api::admin(&server);
    let large = noise(1, 2_000_000);
    let first = api
        .upload_with(&[("path", "/documents/a"), ("mtime", "1000")], &large)
        .json(201);
    let file = id(&first["node"]);
    api.upload("/documents/a", b"two");
    api.upload("/documents/a", b"three");

    let restored = api
        .post_nothing(&format!("files/{file}/versions/1/restore"))
        .json(200);

    assert_eq!(
        (&restored["id"], &restored["version"]),
        (&json!(file), &json!(4))
    );
    assert_eq!(
        (&restored["path"], &restored["mtime"]),
        (&json!("/documents/a"), &json!(1000))
    );
    assert_eq!(
        restored["etag"], first["node"]["etag"],
        "the bytes are the same"
    );
    assert_eq!(api.info("/documents/a"), restored);
    assert_same(&api.download("/documents/a"), &large, "restored");
    assert_same(
        &server.admin().get("/dav/documents/a").body,
        &large,
        "for WebDAV too",
    );
    assert_eq!(numbers(&api, file), [4, 3, 2, 1]);
    assert_eq!(bytes_of(&api, file, 3), b"three");
    assert_eq!(api.info("/documents")["size"], 2_000_000);
    // What was restored away can be restored again
    api.post_nothing(&format!("files/{file}/versions/3/restore"))
        .json(200);
    assert_eq!(api.download("/documents/a"), b"three");
}

#[test]
fn only_a_version_that_is_there_can_be_restored() {
    let server = TestServer::start();
    let api = Api::admin(&server);
    let file = id(&api.upload("/a", b"one"));
    api.upload("/a", b"two");
    let before = api.cursor();
    for version in ["0", "-1", "3", "9223372036854775807"] {
        let restore = format!("files/{file}/versions/{version}/restore");
        api.post_nothing(&restore).problem("not-found", 404);
    }
    assert_eq!(api.cursor(), before);
    assert_eq!(api.download("/a"), b"two");
}

#[test]
fn old_versions_make_room_for_new_ones() {
    let server = TestServer::start();
    let api = Api::admin(&server);
    let file = id(&api.upload("/a", b"0"));
    for n in 1..15_u8 {
        api.upload("/a", &[b'a' + n]);
    }
    // Ten stay beside the current one
    assert_eq!(numbers(&api, file), (5..=15).rev().collect::<Vec<_>>());
    assert_eq!(bytes_of(&api, file, 5), b"e");
    let gone = api.get(&format!("files/download?id={file}&version=4"));
    gone.problem_at("not-found", 404, "version");
    api.post_nothing(&format!("files/{file}/versions/4/restore"))
        .problem("not-found", 404);
}

#[test]
fn an_empty_beginning_is_no_history() {
    // Windows and davfs2 create a file, lock it, and write then.
    let server = TestServer::start();
    let api = Api::admin(&server);
    let file = id(&api.upload("/a", b""));
    api.upload("/a", b"content");
    assert_eq!(numbers(&api, file), [2]);
}

#[test]
fn versions_go_with_the_file_and_not_with_its_copy() {
    let server = TestServer::start();
    let api = Api::admin(&server);
    let file = id(&api.upload("/a", b"one"));
    api.upload("/a", b"two");
    let asked = json!({"from": "/a", "to": "/copy"});
    let copy = api.post("files/copy", &asked).json(200);
    assert_eq!(numbers(&api, id(&copy["node"])), [1]);

    api.rename("/a", "/documents/b");
    assert_eq!(numbers(&api, file), [2, 1]);
    api.remove("/documents/b");
    api.get(&format!("files/{file}/versions"))
        .problem("not-found", 404);
    api.post_nothing(&format!("trash/{file}/restore")).json(200);
    assert_eq!(numbers(&api, file), [2, 1]);
    assert_eq!(bytes_of(&api, file, 1), b"one");
}

#[test]
fn a_version_that_needs_more_than_the_quota_stays_a_version() {
    let server = TestServer::start();
    server.add_user("bob", PASSWORD, Some("1000000"));
    let bob = Api::register(&server, "bob", PASSWORD, "laptop");
    let file = id(&bob.upload("/a", &vec![1; 800_000]));
    bob.upload("/a", b"small");
    bob.upload("/b", &vec![2; 300_000]);
    let restore = format!("files/{file}/versions/1/restore");
    let before = bob.cursor();
    bob.post_nothing(&restore).problem("quota-exceeded", 507);
    assert_eq!(
        (bob.cursor(), bob.download("/a")),
        (before, b"small".to_vec())
    );
    bob.remove("/b");
    bob.post_nothing(&restore).json(200);
    assert_eq!(bob.download("/a").len(), 800_000);
}

#[test]
fn a_locked_file_is_restored_by_nobody_else() {
    let server = TestServer::start();
    let api = Api::admin(&server);
    let file = id(&api.upload("/a", b"one"));
    api.upload("/a", b"two");
    lock(&server.admin(), "/dav/a");
    api.post_nothing(&format!("files/{file}/versions/1/restore"))
        .problem("locked", 423);
    assert_eq!(api.download("/a"), b"two");
}

#[test]
fn versions_survive_a_kill() {
    let mut server = TestServer::start();
    let api = Api::admin(&server);
    let file = id(&api.upload("/a", &noise(1, 300_000)));
    api.upload("/a", &noise(2, 300_000));
    api.post_nothing(&format!("files/{file}/versions/1/restore"))
        .json(200);
    let before = versions(&api, file);
    server.kill9();
    server.start_again();
    let api = api.on(&server);
    assert_eq!(versions(&api, file), before);
    for (version, seed) in [(1, 1), (2, 2), (3, 1)] {
        assert_same(
            &bytes_of(&api, file, version),
            &noise(seed, 300_000),
            "after the kill",
        );
    }
    assert_eq!(text(&api.info("/a"), "etag"), text(&before[0], "etag"));
}

#[test]
fn a_restore_that_meets_a_delete_spoils_no_sizes() {
    let server = TestServer::start();
    let api = Api::admin(&server);
    let file = id(&api.upload("/documents/a", &[1; 1000]));
    let restore = format!("files/{file}/versions/1/restore");
    for round in 0..40_u8 {
        api.upload("/documents/a", &[round; 10]);
        let oldest = *numbers(&api, file).last().expect("a version");
        let restore = restore.replace("/1/", &format!("/{oldest}/"));
        std::thread::scope(|scope| {
            let (one, other) = (api.again(), api.again());
            scope.spawn(move || one.post_nothing(&restore).expect(&[200, 404, 409]));
            scope.spawn(move || other.delete(&format!("files/{file}")).expect(&[204]));
        });
        assert_eq!(
            api.info("/documents")["size"],
            0,
            "round {round}: it is in trash"
        );
        let back = api.post_nothing(&format!("trash/{file}/restore")).json(200);
        assert_eq!(
            api.info("/documents")["size"],
            back["size"],
            "round {round}"
        );
        assert_eq!(
            api.get("usage").json(200)["spaces"][0]["used"],
            back["size"]
        );
        assert_eq!(versions(&api, file)[0]["etag"], back["etag"]);
    }
}
