//! What was deleted, and getting it back.

use serde_json::{Value, json};
use webdav_tests::api::{id, number, text};
use webdav_tests::content::{assert_same, noise};
use webdav_tests::{Api, TestServer};

use super::{PASSWORD, bob, bytes_of, lock, numbers};

/// Names in trash, in the order of the answer.
#[track_caller]
fn trashed(api: &Api) -> Vec<String> {
    let items = api.all("trash");
    items
        .iter()
        .map(|node| text(node, "name").to_owned())
        .collect()
}

#[track_caller]
fn restore(api: &Api, node: i64) -> Value {
    api.post_nothing(&format!("trash/{node}/restore")).json(200)
}

#[test]
fn the_trash_tells_what_was_where_and_when() {
    let server = TestServer::start();
    let api = Api::admin(&server);
    let file = api
        .upload_with(&[("path", "/documents/a.txt"), ("mtime", "1000")], b"12345")
        .json(201);
    api.mkdir("/photos/d");
    api.upload("/photos/d/inside", b"123");
    let folder = api.info("/photos/d");
    let shared = api.upload("/shared/s", b"1");
    let started = number(&api.status(), "time");
    for node in [&file["node"], &folder, &shared] {
        api.delete(&format!("files/{}", id(node))).expect(&[204]);
    }
    let ended = number(&api.status(), "time");

    let list = api.all("trash");
    assert_eq!(list.len(), 3);
    for node in [&file["node"], &folder, &shared] {
        let found = list.iter().find(|item| item["id"] == node["id"]);
        let found = found.unwrap_or_else(|| panic!("{node} is not in {list:?}"));
        for field in ["space", "name", "kind", "size", "mtime"] {
            assert_eq!(found[field], node[field], "{field} of {found}");
        }
        assert_eq!(found["from"], node["path"], "{found}");
        assert!(
            (started..=ended).contains(&number(found, "deleted")),
            "{found}"
        );
    }
}

#[test]
fn pages_of_any_size_make_the_whole_trash_of_all_spaces() {
    let server = TestServer::start();
    let api = Api::admin(&server);
    assert_eq!(
        api.get("trash").json(200),
        json!({"items": [], "next": null})
    );
    for n in 0..20 {
        let top = if n % 3 == 0 { "/shared" } else { "/documents" };
        let path = format!("{top}/{n}");
        api.upload(&path, b"x");
        api.remove(&path);
    }
    let whole = api.all("trash?limit=1000");
    assert_eq!(whole.len(), 20);
    // One space after the other, of each the oldest first
    for pair in whole.windows(2) {
        let same = pair[0]["space"] == pair[1]["space"];
        assert!(!same || number(&pair[0], "deleted") <= number(&pair[1], "deleted"));
    }
    let changes = whole
        .windows(2)
        .filter(|pair| pair[0]["space"] != pair[1]["space"]);
    assert_eq!(changes.count(), 1);
    for limit in [1, 2, 7, 13, 19, 20] {
        assert_eq!(
            api.all(&format!("trash?limit={limit}")),
            whole,
            "pages of {limit}"
        );
        let first = api.get(&format!("trash?limit={limit}")).json(200);
        assert_eq!(first["items"].as_array().map(Vec::len), Some(limit));
        assert_eq!(first["next"].is_null(), limit == 20);
    }
    for limit in ["0", "1001"] {
        api.get(&format!("trash?limit={limit}"))
            .problem_at("invalid", 422, "limit");
    }
    for cursor in [
        "",
        "x",
        "1.2",
        "1.2.3.4",
        "1.2.x",
        "9223372036854775808.0.0",
    ] {
        api.get(&format!("trash?cursor={cursor}"))
            .problem_at("invalid", 422, "cursor");
    }
}

#[test]
fn what_is_restored_is_the_same_node_where_it_was() {
    let server = TestServer::start();
    let api = Api::admin(&server);
    let large = noise(1, 2_000_000);
    api.mkdir("/documents/d");
    api.upload("/documents/d/a", b"one");
    let file = id(&api.upload("/documents/d/a", &large));
    let folder = id(&api.info("/documents/d"));

    api.remove("/documents/d/a");
    let back = restore(&api, file);
    assert_eq!(
        (&back["id"], &back["path"]),
        (&json!(file), &json!("/documents/d/a"))
    );
    assert_eq!(api.info("/documents/d/a"), back);
    assert_eq!(numbers(&api, file), [2, 1]);
    assert_eq!(bytes_of(&api, file, 1), b"one");

    // A collection comes with everything below
    api.remove("/documents/d");
    let back = restore(&api, folder);
    assert_eq!(
        (&back["id"], &back["kind"]),
        (&json!(folder), &json!("collection"))
    );
    assert_same(&api.download("/documents/d/a"), &large, "restored");
    assert_eq!(id(&api.info("/documents/d/a")), file);
    assert_eq!(api.info("/documents")["size"], 2_000_000);
    assert_eq!(trashed(&api), Vec::<String>::new());
    api.post_nothing(&format!("trash/{folder}/restore"))
        .problem("not-found", 404);
    api.post_nothing(&format!("trash/{file}/restore"))
        .problem("not-found", 404);
}

#[test]
fn what_cannot_go_where_it_was_goes_to_the_root() {
    let server = TestServer::start();
    let api = Api::admin(&server);
    for (top, root) in [("/documents", ""), ("/shared", "/shared")] {
        api.mkdir(&format!("{top}/d"));
        let path = format!("{top}/d/file");
        let file = id(&api.upload(&path, b"x"));
        api.remove(&path);
        let folder = id(&api.info(&format!("{top}/d")));
        api.remove(&format!("{top}/d"));

        let list = api.all("trash");
        let found = list.iter().find(|item| item["id"] == file);
        let from = found.map(|item| &item["from"]);
        assert_eq!(
            from,
            Some(&Value::Null),
            "its collection is in trash itself"
        );
        api.delete(&format!("trash/{folder}")).expect(&[204]);

        assert_eq!(restore(&api, file)["path"], format!("{root}/file"));
    }
}

#[test]
fn what_was_deleted_before_its_collection_comes_back_alone() {
    let server = TestServer::start();
    let api = Api::admin(&server);
    api.mkdir("/documents/d");
    api.upload("/documents/d/first", b"1");
    api.upload("/documents/d/second", b"2");
    let first = id(&api.info("/documents/d/first"));
    api.remove("/documents/d/first");
    let folder = id(&api.info("/documents/d"));
    api.remove("/documents/d");

    restore(&api, folder);
    assert_eq!(api.names("/documents/d"), ["second"]);
    // Now its collection is there again, so it goes where it was
    assert_eq!(restore(&api, first)["path"], "/documents/d/first");
    assert_eq!(api.names("/documents/d"), ["first", "second"]);
}

#[test]
fn a_name_that_is_taken_gets_a_number() {
    let server = TestServer::start();
    let api = Api::admin(&server);
    let mut ids = Vec::new();
    for n in 0..3_u8 {
        ids.push(id(&api.upload("/documents/a.tar.gz", &[b'0' + n])));
        api.remove("/documents/a.tar.gz");
    }
    api.upload("/documents/a.tar.gz", b"there");
    let paths: Vec<String> = ids
        .iter()
        .map(|id| text(&restore(&api, *id), "path").to_owned())
        .collect();
    assert_eq!(api.download("/documents/a.tar.gz"), b"there");
    for (n, path) in (0_u8..).zip(&paths) {
        assert_eq!(api.download(path), [b'0' + n]);
        assert_eq!(
            std::path::Path::new(path)
                .extension()
                .expect("an extension"),
            "gz",
            "{path}"
        );
    }
    assert_eq!(api.names("/documents").len(), 4);
}

#[test]
fn what_is_purged_is_gone_for_good() {
    let server = TestServer::start();
    let api = Api::admin(&server);
    api.mkdir("/documents/d");
    let file = id(&api.upload("/documents/d/a", &noise(1, 100_000)));
    let folder = id(&api.info("/documents/d"));
    api.remove("/documents/d");
    api.delete(&format!("trash/{folder}")).expect(&[204]);
    for node in [folder, file] {
        api.delete(&format!("trash/{node}"))
            .problem("not-found", 404);
        api.post_nothing(&format!("trash/{node}/restore"))
            .problem("not-found", 404);
        api.get(&format!("files/{node}/info"))
            .problem("not-found", 404);
        api.get(&format!("files/download?id={node}"))
            .problem("not-found", 404);
    }
    assert_eq!(trashed(&api), Vec::<String>::new());
    let usage = api.get("usage").json(200);
    assert_eq!(usage["spaces"][0]["trash"], 0);
}

#[test]
fn what_webdav_deletes_lies_here_too() {
    let server = TestServer::start();
    let api = Api::admin(&server);
    let dav = server.admin();
    dav.put("/dav/documents/a", b"content").expect(&[201]);
    let file = id(&api.info("/documents/a"));
    dav.delete("/dav/documents/a").expect(&[204]);
    assert_eq!(trashed(&api), ["a"]);
    restore(&api, file);
    assert_eq!(dav.get("/dav/documents/a").body, b"content");
}

#[test]
fn the_trash_of_the_shared_space_belongs_to_all() {
    let server = TestServer::start();
    let (admin, bob) = (Api::admin(&server), bob(&server));
    let shared = id(&admin.upload("/shared/a", b"shared"));
    admin.upload("/documents/b", b"own");
    admin.remove("/shared/a");
    admin.remove("/documents/b");
    assert_eq!(trashed(&bob), ["a"]);
    restore(&bob, shared);
    assert_eq!(admin.download("/shared/a"), b"shared");
    assert_eq!(trashed(&admin), ["b"]);
}

#[test]
fn a_restore_keeps_to_quota_and_locks() {
    let server = TestServer::start();
    server.add_user("bob", PASSWORD, Some("1000000"));
    let bob = Api::register(&server, "bob", PASSWORD, "laptop");
    let file = id(&bob.upload("/documents/a", &vec![1; 700_000]));
    bob.remove("/documents/a");
    bob.upload("/b", &vec![2; 700_000]);
    let before = bob.cursor();
    bob.post_nothing(&format!("trash/{file}/restore"))
        .problem("quota-exceeded", 507);
    bob.remove("/b");
    let dav = server.anonymous().login("bob", PASSWORD);
    let token = lock(&dav, "/dav/documents/");
    bob.post_nothing(&format!("trash/{file}/restore"))
        .problem("locked", 423);
    assert_ne!(bob.cursor(), before, "only the delete");
    dav.request("UNLOCK", "/dav/documents/", &[("Lock-Token", &token)], b"")
        .expect(&[204]);
    assert_eq!(restore(&bob, file)["path"], "/documents/a");
}
