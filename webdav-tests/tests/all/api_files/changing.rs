//! Making collections, moving, copying, deleting.

use serde_json::{Value, json};
use webdav_tests::api::{id, text};
use webdav_tests::content::{assert_same, noise};
use webdav_tests::{Api, Response, TestServer};

use super::{PASSWORD, fetch, used};

#[track_caller]
fn transfer(api: &Api, verb: &str, from: &str, to: &str, overwrite: bool) -> Response {
    let asked = json!({"from": from, "to": to, "overwrite": overwrite});
    api.post(&format!("files/{verb}"), &asked)
}

/// The names of what lies in trash.
#[track_caller]
fn trashed(api: &Api) -> Vec<String> {
    let items = api.all("trash");
    items
        .iter()
        .map(|node| text(node, "name").to_owned())
        .collect()
}

#[test]
fn a_collection_is_made_where_its_parent_is() {
    let server = TestServer::start();
    let api = Api::admin(&server);
    let asked = json!({"path": "/documents/d", "mtime": 1_580_906_096_789_i64});
    let node = api.post("files/mkdir", &asked).json(201);
    assert_eq!(
        (&node["kind"], &node["mtime"]),
        (&json!("collection"), &json!(1_580_906_096_789_i64))
    );
    assert_eq!(api.info("/documents/d"), node);

    api.upload("/file", b"x");
    let before = api.cursor();
    for (path, name, status) in [
        ("/documents/d", "exists", 409),
        ("/file", "exists", 409),
        ("/", "exists", 409),
        ("/shared", "exists", 409),
        ("/missing/d", "no-parent", 409),
        ("/file/d", "no-parent", 409),
        ("/documents/..", "bad-path", 400),
    ] {
        api.post("files/mkdir", &json!({"path": path}))
            .problem(name, status);
    }
    assert_eq!(api.cursor(), before);
}

#[test]
fn with_parents_what_is_missing_above_is_made_too() {
    let server = TestServer::start();
    let api = Api::admin(&server);
    let made = |path: &str| api.post("files/mkdir", &json!({"path": path, "parents": true}));
    let node = made("/documents/a/b/c").json(201);
    assert_eq!(node["path"], "/documents/a/b/c");
    assert_eq!(made("/documents/a/b/c").json(200), node);
    made("/shared/x/y").json(201);
    assert_eq!(made("/").json(200)["path"], "/");
    assert_eq!(made("/shared").json(200)["path"], "/shared");

    api.upload("/documents/a/file", b"x");
    made("/documents/a/file").problem("exists", 409);
    made("/documents/a/file/d/e").expect(&[409]).any_problem();
    assert_eq!(api.download("/documents/a/file"), b"x");
    // Names of others stay as they were
    assert_eq!(api.names("/documents/a"), ["b", "file"]);
}

#[test]
fn a_file_that_is_moved_stays_the_same_file() {
    let server = TestServer::start();
    let api = Api::admin(&server);
    api.upload("/a", b"one");
    let before = api.upload("/a", b"two");
    let moved = api.rename("/a", "/documents/b.txt");
    for field in ["id", "etag", "version", "mtime", "created", "space", "size"] {
        assert_eq!(moved[field], before[field], "{field}");
    }
    assert_eq!(
        (&moved["path"], &moved["name"]),
        (&json!("/documents/b.txt"), &json!("b.txt"))
    );
    assert_eq!(api.info("/documents/b.txt"), moved);
    api.look("/a").problem("not-found", 404);
    assert_eq!(
        fetch(&api, &[("path", "/documents/b.txt"), ("version", "1")]).body,
        b"one"
    );
    assert_eq!(trashed(&api), Vec::<String>::new());
}

#[test]
fn a_collection_is_moved_with_everything_below() {
    let server = TestServer::start();
    let api = Api::admin(&server);
    api.post(
        "files/mkdir",
        &json!({"path": "/documents/a/b", "parents": true}),
    )
    .json(201);
    let file = api.upload("/documents/a/b/c", b"content");
    let top = api.info("/documents/a");
    let moved = api.rename("/documents/a", "/photos/z");
    assert_eq!(moved["id"], top["id"]);
    let below = api.info("/photos/z/b/c");
    assert_eq!((&below["id"], &below["etag"]), (&file["id"], &file["etag"]));
    assert_eq!(api.info("/documents")["size"], 0);
    assert_eq!(api.info("/photos")["size"], 7);
}

#[test]
fn a_move_replaces_only_when_told_to() {
    let server = TestServer::start();
    let api = Api::admin(&server);
    let there = api.upload("/b", b"was there");
    api.upload("/a", b"arrives");
    transfer(&api, "move", "/a", "/b", false).problem("exists", 409);
    transfer(&api, "copy", "/a", "/b", false).problem("exists", 409);
    assert_eq!(
        (api.download("/a"), api.download("/b")),
        (b"arrives".to_vec(), b"was there".to_vec())
    );

    // A file over a file is its next version, as programs save
    let placed = transfer(&api, "move", "/a", "/b", true).json(200);
    assert_eq!(
        (&placed["replaced"], &placed["node"]["id"]),
        (&json!(true), &there["id"])
    );
    assert_eq!(api.info("/b"), placed["node"]);
    assert_eq!(api.download("/b"), b"arrives");
    assert_eq!(
        fetch(&api, &[("path", "/b"), ("version", "1")]).body,
        b"was there"
    );
    api.look("/a").problem("not-found", 404);

    // All else goes to trash
    api.mkdir("/d");
    api.upload("/d/inside", b"x");
    api.mkdir("/e");
    let placed = transfer(&api, "move", "/e", "/d", true).json(200);
    assert_eq!(placed["replaced"], true);
    assert_eq!(api.names("/d"), Vec::<String>::new());
    assert_eq!(trashed(&api), ["d"]);
    let placed = transfer(&api, "move", "/b", "/d", true).json(200);
    assert_eq!(
        (&placed["node"]["kind"], &placed["node"]["path"]),
        (&json!("file"), &json!("/d"))
    );
    assert_eq!(trashed(&api), ["d", "d"]);
}

#[test]
fn a_copy_is_another_file_with_the_same_bytes() {
    let server = TestServer::start();
    let api = Api::admin(&server);
    let bytes = noise(1, 3_000_000);
    let source = api.upload("/a", &bytes);
    let placed = transfer(&api, "copy", "/a", "/documents/b", false).json(200);
    assert_eq!(placed["replaced"], false);
    let copy = &placed["node"];
    assert_ne!(copy["id"], source["id"]);
    for field in ["etag", "size", "mtime"] {
        assert_eq!(copy[field], source[field], "{field}");
    }
    api.upload("/a", b"changed");
    api.remove("/a");
    assert_same(&api.download("/documents/b"), &bytes, "the copy");
    // Over a file it is that file's next version
    let there = api.upload("/c", b"was there");
    let placed = transfer(&api, "copy", "/documents/b", "/c", true).json(200);
    assert_eq!(
        (&placed["node"]["id"], &placed["replaced"]),
        (&there["id"], &json!(true))
    );
    assert_eq!(
        fetch(&api, &[("path", "/c"), ("version", "1")]).body,
        b"was there"
    );
}

#[test]
fn a_collection_is_copied_with_everything_below() {
    let server = TestServer::start();
    let api = Api::admin(&server);
    api.post(
        "files/mkdir",
        &json!({"path": "/documents/a/b", "parents": true}),
    )
    .json(201);
    api.upload("/documents/a/b/c", b"content");
    transfer(&api, "copy", "/documents/a", "/photos/z", false).json(200);
    api.upload("/documents/a/b/c", b"changed");
    assert_eq!(api.download("/photos/z/b/c"), b"content");
    assert_eq!(api.info("/photos")["size"], 7);
    // Into itself it would never end
    for verb in ["copy", "move"] {
        for to in ["/documents/a/x", "/documents/a/b/x"] {
            transfer(&api, verb, "/documents/a", to, false).problem("forbidden", 403);
        }
        transfer(&api, verb, "/documents/a/b", "/documents/a", true).problem("forbidden", 403);
    }
    assert_eq!(api.download("/documents/a/b/c"), b"changed");
}

#[test]
fn what_goes_to_the_shared_space_is_there_for_all() {
    let server = TestServer::start();
    server.add_user("bob", PASSWORD, Some("10000000"));
    let (admin, bob) = (
        Api::admin(&server),
        Api::register(&server, "bob", PASSWORD, "laptop"),
    );
    let bytes = noise(1, 2_000_000);
    bob.mkdir("/documents/d");
    bob.upload("/documents/d/large", &bytes);
    bob.upload("/documents/d/small", b"small");
    let source = bob.info("/documents/d");

    let copied = transfer(&bob, "copy", "/documents/d", "/shared/copied", false).json(200);
    assert_eq!(copied["node"]["path"], "/shared/copied");
    assert_ne!(copied["node"]["space"], source["space"]);
    assert_same(&admin.download("/shared/copied/large"), &bytes, "copied");

    let moved = transfer(&bob, "move", "/documents/d", "/shared/moved", false).json(200);
    assert_eq!(admin.info("/shared/moved"), moved["node"]);
    assert_same(&admin.download("/shared/moved/large"), &bytes, "moved");
    assert_eq!(admin.download("/shared/moved/small"), b"small");
    bob.look("/documents/d").problem("not-found", 404);
    assert_eq!(used(&bob), 0);
    // The source lies in the trash of its owner, with its versions
    let trash = bob.all("trash");
    assert_eq!(
        (&trash[0]["name"], &trash[0]["space"]),
        (&json!("d"), &source["space"])
    );
    assert!(!trashed(&admin).contains(&"d".to_owned()));

    // And back, over something that is there
    admin.upload("/documents/there", b"was there");
    let back = transfer(
        &admin,
        "move",
        "/shared/moved/small",
        "/documents/there",
        true,
    )
    .json(200);
    assert_eq!(back["replaced"], true);
    assert_eq!(admin.download("/documents/there"), b"small");
    assert_eq!(
        fetch(&admin, &[("path", "/documents/there"), ("version", "1")]).body,
        b"was there"
    );
}

#[test]
fn roots_stay_and_nothing_comes_from_nowhere() {
    let server = TestServer::start();
    let api = Api::admin(&server);
    api.upload("/a", b"x");
    let before = api.cursor();
    for verb in ["move", "copy"] {
        for (from, to, name, status) in [
            ("/", "/b", "forbidden", 403),
            ("/shared", "/b", "forbidden", 403),
            ("/a", "/", "forbidden", 403),
            ("/a", "/shared", "forbidden", 403),
            ("/missing", "/b", "not-found", 404),
            ("/missing/x", "/b", "not-found", 404),
            ("/missing", "/a", "not-found", 404),
            ("/missing", "/shared/b", "not-found", 404),
            ("/a", "/missing/b", "no-parent", 409),
            ("/a", "/a/b", "no-parent", 409),
            ("/a", "/shared/missing/b", "no-parent", 409),
        ] {
            transfer(&api, verb, from, to, true).problem(name, status);
        }
        transfer(&api, verb, "/a", "/b/..", false).problem_at("bad-path", 400, "to");
        transfer(&api, verb, "/a\0", "/b", false).problem_at("bad-path", 400, "from");
    }
    transfer(&api, "copy", "/a", "/a", true).problem("forbidden", 403);
    assert_eq!(api.cursor(), before);
    // To where it is it may go
    let node = transfer(&api, "move", "/a", "/a", false).json(200)["node"].take();
    assert_eq!(api.info("/a")["id"], node["id"]);
}

#[test]
fn a_name_changes_its_case_and_its_composition() {
    let server = TestServer::start();
    let api = Api::admin(&server);
    let node = api.upload("/documents/readme", b"x");
    for to in [
        "/documents/README",
        "/documents/ä",
        "/documents/a\u{308}",
        "/documents/readme",
    ] {
        let from = text(
            &api.get(&format!("files/{}/info", id(&node))).json(200),
            "path",
        )
        .to_owned();
        let moved = api.rename(&from, to);
        assert_eq!((&moved["id"], &moved["path"]), (&node["id"], &json!(to)));
        assert_eq!(
            api.names("/documents"),
            [to.strip_prefix("/documents/").expect("below")]
        );
    }
}

#[test]
fn a_deleted_node_is_in_trash_and_gone_from_everywhere_else() {
    let server = TestServer::start();
    let api = Api::admin(&server);
    api.mkdir("/documents/d");
    let inside = api.upload("/documents/d/inside", b"x");
    let folder = api.info("/documents/d");

    api.delete(&format!("files/{}", id(&folder))).expect(&[204]);

    for node in [&folder, &inside] {
        api.look(text(node, "path")).problem("not-found", 404);
        api.get(&format!("files/{}/info", id(node)))
            .problem("not-found", 404);
        api.delete(&format!("files/{}", id(node)))
            .problem("not-found", 404);
        api.get(&format!("files/{}/versions", id(node)))
            .problem("not-found", 404);
    }
    assert_eq!(trashed(&api), ["d"]);
    assert_eq!(used(&api), 0);
}

#[test]
fn a_delete_with_an_etag_spares_what_has_changed() {
    let server = TestServer::start();
    let api = Api::admin(&server);
    let old = api.upload("/documents/a", b"old");
    let new = api.upload("/documents/a", b"new");
    let delete = |node: &Value, etag: &str| {
        let route = format!("files/{}", id(node));
        api.delete(&webdav_tests::api::route(&route, &[("etag", etag)]))
    };
    for etag in [text(&old, "etag"), "nonsense", "", "*"] {
        delete(&new, etag).problem("precondition-failed", 412);
    }
    assert_eq!(api.download("/documents/a"), b"new");
    delete(&new, text(&new, "etag")).expect(&[204]);

    // A collection's tag is that of everything below
    api.mkdir("/documents/d");
    let before = api.info("/documents/d");
    api.upload("/documents/d/late", b"x");
    delete(&before, text(&before, "etag")).problem("precondition-failed", 412);
    let after = api.info("/documents/d");
    delete(&after, &format!("\"{}\"", text(&after, "etag"))).expect(&[204]);
}

#[test]
fn roots_cannot_be_deleted() {
    let server = TestServer::start();
    let api = Api::admin(&server);
    let before = api.cursor();
    for path in ["/", "/shared"] {
        let root = api.info(path);
        api.delete(&format!("files/{}", id(&root)))
            .problem("forbidden", 403);
    }
    assert_eq!(api.cursor(), before);
}

#[test]
fn a_copy_over_quota_is_507_and_a_move_needs_no_room() {
    let server = TestServer::start();
    server.add_user("bob", PASSWORD, Some("1000000"));
    let bob = Api::register(&server, "bob", PASSWORD, "laptop");
    bob.mkdir("/documents/d");
    bob.upload("/documents/d/a", &vec![1; 600_000]);
    bob.upload("/shared/large", &vec![2; 600_000]);
    let before = bob.cursor();
    for (from, to) in [
        ("/documents/d", "/copy"),
        ("/documents/d/a", "/copy"),
        ("/shared/large", "/copy"),
    ] {
        transfer(&bob, "copy", from, to, false).problem("quota-exceeded", 507);
    }
    transfer(&bob, "move", "/shared/large", "/moved", false).problem("quota-exceeded", 507);
    assert_eq!(bob.cursor(), before);
    bob.rename("/documents/d", "/photos/d");
    assert_eq!(used(&bob), 600_000);
}
