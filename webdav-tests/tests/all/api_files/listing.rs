//! Listings, page by page and all the way down.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use webdav_tests::api::{encode, id, number, route, text};
use webdav_tests::{Api, TestServer};

use super::{PASSWORD, paths};

/// Names whose order by bytes, with what lies below them, is easy to get wrong.
const TRICKY: [&str; 9] = ["a", "a b", "a.b", "a-b", "A", "ä", "a\u{308}x", "😀", "~"];

/// Makes `count` files in a collection, some at once.
#[track_caller]
fn fill(api: &Api, collection: &str, count: usize) {
    std::thread::scope(|scope| {
        for worker in 0..8 {
            let api = api.again();
            scope.spawn(move || {
                for n in (worker..count).step_by(8) {
                    api.upload(&format!("{collection}/file {n:04}"), b"x");
                }
            });
        }
    });
}

/// A tree with tricky names in the own space and in `/shared`; all paths but the root.
#[track_caller]
fn plant(api: &Api) -> BTreeSet<String> {
    for top in ["/documents", "/shared", "/shared/s"] {
        for name in TRICKY {
            let folder = format!("{top}/{name}");
            api.post("files/mkdir", &json!({"path": folder, "parents": true}))
                .expect(&[201]);
            api.upload(&format!("{folder}/z"), b"z");
            api.upload(&format!("{top}/{name}.txt"), b"t");
        }
    }
    api.post(
        "files/mkdir",
        &json!({"path": "/photos/1/2/3/4", "parents": true}),
    )
    .json(201);
    let mut all: BTreeSet<String> = ["/documents", "/shared", "/shared/s", "/backups", "/photos"]
        .map(Into::into)
        .into();
    all.extend(
        [
            "/photos/1",
            "/photos/1/2",
            "/photos/1/2/3",
            "/photos/1/2/3/4",
        ]
        .map(Into::into),
    );
    for top in ["/documents", "/shared", "/shared/s"] {
        for name in TRICKY {
            all.extend([
                format!("{top}/{name}"),
                format!("{top}/{name}/z"),
                format!("{top}/{name}.txt"),
            ]);
        }
    }
    all
}

/// Fails unless each collection comes before what it holds.
#[track_caller]
fn assert_top_down(paths: &[&str]) {
    for (nth, path) in paths.iter().enumerate() {
        let (above, _) = path.rsplit_once('/').expect("a slash");
        let known = above.is_empty() || paths[..nth].contains(&above);
        assert!(known, "{path} comes before {above}");
    }
}

#[test]
fn the_root_holds_the_own_collections_and_what_is_shared() {
    let server = TestServer::start();
    let api = Api::admin(&server);
    let items = api.all("files/list");
    assert_eq!(api.all("files/list?path=/"), items);
    let mut names: Vec<&str> = items.iter().map(|node| text(node, "name")).collect();
    names.sort_unstable();
    assert_eq!(names, ["backups", "documents", "photos", "shared"]);

    let spaces = api.status()["spaces"].take();
    for node in &items {
        let own = text(node, "name") != "shared";
        let space = &spaces[usize::from(!own)];
        assert_eq!(node["kind"], "collection");
        assert_eq!(node["space"], space["id"]);
        assert_eq!(node["path"], format!("/{}", text(node, "name")));
        // What is mounted has no parent in its own space
        let parent = if own {
            space["root"].clone()
        } else {
            Value::Null
        };
        assert_eq!(node["parent"], parent);
        assert_eq!(api.info(text(node, "path")), *node);
    }
    let root = api.info("/");
    assert_eq!(
        (&root["parent"], &root["path"], &root["kind"]),
        (&Value::Null, &json!("/"), &json!("collection"))
    );
    assert_eq!(api.all(&format!("files/list?id={}", root["id"])), items);
}

#[test]
fn a_listing_says_of_each_member_what_info_says() {
    let server = TestServer::start();
    let api = Api::admin(&server);
    let checksum = "SHA1:aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d";
    api.upload_with(
        &[("path", "/documents/a"), ("checksum", checksum)],
        b"hello",
    )
    .json(201);
    api.mkdir("/documents/d");
    api.upload("/documents/d/b", &vec![1; 1234]);
    api.upload("/shared/c", b"c");
    for list in [
        "files/list?path=/documents",
        "files/list?path=/shared",
        "files/list?recursive=true",
    ] {
        for node in api.all(list) {
            assert_eq!(api.info(text(&node, "path")), node);
            assert_eq!(
                api.get(&format!("files/{}/info", node["id"])).json(200),
                node
            );
        }
    }
    let folder = api.info("/documents/d");
    assert_eq!(
        (&folder["size"], &folder["version"]),
        (&json!(1234), &json!(0))
    );
    assert_eq!(api.info("/documents")["size"], 1239);
}

#[test]
fn pages_of_any_size_make_the_whole_listing() {
    let server = TestServer::start();
    let api = Api::admin(&server);
    api.mkdir("/documents/many");
    fill(&api, "/documents/many", 330);
    let whole = api
        .get("files/list?path=/documents/many&limit=1000")
        .json(200);
    assert_eq!(whole["next"], Value::Null);
    let whole = whole["items"].as_array().expect("items");
    let names: Vec<&str> = whole.iter().map(|node| text(node, "name")).collect();
    assert_eq!(names.len(), 330);
    assert!(names.is_sorted(), "not in order: {names:?}");

    for limit in [1, 7, 110, 128, 129, 329, 330] {
        let list = format!("files/list?path=/documents/many&limit={limit}");
        let first = api.get(&list).json(200);
        assert_eq!(first["items"].as_array().map(Vec::len), Some(limit));
        assert_eq!(api.all(&list), *whole, "pages of {limit}");
        assert_eq!(
            first["next"].is_null(),
            limit == 330,
            "a cursor at the very end of {limit}"
        );
    }
    // Without a limit a page is not endless
    let first = api.get("files/list?path=/documents/many").json(200);
    assert_eq!(first["items"].as_array().map(Vec::len), Some(200));
    for limit in ["0", "1001", "4294967295"] {
        let refused = api.get(&format!("files/list?limit={limit}"));
        refused.problem_at("invalid", 422, "limit");
    }
}

#[test]
fn a_walk_all_the_way_down_tells_each_node_once_and_what_holds_it_first() {
    let server = TestServer::start();
    let api = Api::admin(&server);
    let expected = plant(&api);
    for limit in [1, 2, 7, 50, 1000] {
        let items = api.all(&format!("files/list?path=/&recursive=true&limit={limit}"));
        let found = paths(&items);
        assert_eq!(found.len(), expected.len(), "pages of {limit}: {found:?}");
        assert_eq!(
            found
                .iter()
                .map(|path| (*path).to_owned())
                .collect::<BTreeSet<_>>(),
            expected
        );
        assert_top_down(&found);
    }
    // The same below a collection, of the own space and of the shared one
    for top in ["/documents", "/shared", "/shared/s", "/photos/1/2"] {
        let below: BTreeSet<String> = expected
            .iter()
            .filter(|path| path.starts_with(&format!("{top}/")))
            .cloned()
            .collect();
        for limit in [1, 5, 1000] {
            let list = route(
                "files/list",
                &[
                    ("path", top),
                    ("recursive", "true"),
                    ("limit", &limit.to_string()),
                ],
            );
            let items = api.all(&list);
            let found: BTreeSet<String> =
                paths(&items).into_iter().map(ToOwned::to_owned).collect();
            assert_eq!(found, below, "{top}, pages of {limit}");
        }
    }
    assert_eq!(
        api.all("files/list?path=/photos/1/2/3/4&recursive=true"),
        Vec::<Value>::new()
    );
    let flat = api.all("files/list?path=/shared&recursive=false&limit=2");
    assert_eq!(flat.len(), 2 * TRICKY.len() + 1);
}

#[test]
fn a_walk_over_hundreds_of_nodes_crosses_collections_between_pages() {
    let server = TestServer::start();
    let api = Api::admin(&server);
    for collection in ["/documents/1", "/documents/2", "/shared/3"] {
        api.mkdir(collection);
        fill(&api, collection, 140);
    }
    let whole = api.all("files/list?recursive=true&limit=1000");
    assert_eq!(whole.len(), 3 * 140 + 7);
    for limit in [13, 100, 200] {
        let list = format!("files/list?recursive=true&limit={limit}");
        assert_eq!(api.all(&list), whole, "pages of {limit}");
    }
}

#[test]
fn a_walk_goes_on_when_things_move_between_its_pages() {
    let server = TestServer::start();
    let api = Api::admin(&server);
    for name in ["a", "b", "c", "d", "e"] {
        api.mkdir(&format!("/documents/{name}"));
        api.upload(&format!("/documents/{name}/1"), b"1");
        api.upload(&format!("/documents/{name}/2"), b"2");
    }
    let list = "files/list?path=/documents&recursive=true&limit=5";
    let page = api.get(list).json(200);
    let first = page["items"].as_array().expect("items");
    // a, a/1, a/2, b, b/1: the cursor is at b/1
    assert_eq!(text(&first[4], "path"), "/documents/b/1");
    api.remove("/documents/b");
    api.rename("/documents/d", "/documents/z");
    let mut rest = Vec::new();
    let mut next = text(&page, "next").to_owned();
    loop {
        let page = api
            .get(&format!("{list}&cursor={}", encode(&next)))
            .json(200);
        rest.extend(page["items"].as_array().expect("items").iter().cloned());
        match page["next"].as_str() {
            Some(cursor) => next = cursor.to_owned(),
            None => break,
        }
    }
    assert_eq!(
        paths(&rest),
        [
            "/documents/c",
            "/documents/c/1",
            "/documents/c/2",
            "/documents/e",
            "/documents/e/1",
            "/documents/e/2",
            "/documents/z",
            "/documents/z/1",
            "/documents/z/2"
        ]
    );
}

#[test]
fn only_collections_can_be_listed() {
    let server = TestServer::start();
    let api = Api::admin(&server);
    let file = api.upload("/a", b"x");
    api.get("files/list?path=/a")
        .problem("not-a-collection", 409);
    api.get(&format!("files/list?id={}", id(&file)))
        .problem("not-a-collection", 409);
    api.get("files/list?path=/missing")
        .problem("not-found", 404);
    api.get("files/list?id=12345").problem("not-found", 404);
    api.get("files/list?path=/&id=1")
        .problem_at("invalid", 422, "id");
    for cursor in ["..", "a/../b", "a\0", "a\nb"] {
        let refused = api.get(&route("files/list", &[("cursor", cursor)]));
        let refused = refused.any_problem();
        assert_eq!(
            (&refused["status"], &refused["field"]),
            (&json!(400), &json!("cursor"))
        );
    }
}

#[test]
fn what_is_shared_is_one_for_all() {
    let server = TestServer::start();
    server.add_user("bob", PASSWORD, None);
    let (admin, bob) = (
        Api::admin(&server),
        Api::register(&server, "bob", PASSWORD, "laptop"),
    );
    let node = admin.upload("/shared/plan", b"sea");
    assert_eq!(bob.info("/shared/plan"), node);
    assert_eq!(
        bob.all("files/list?path=/shared"),
        std::slice::from_ref(&node)
    );
    assert_eq!(bob.download("/shared/plan"), b"sea");
    let next = bob.upload("/shared/plan", b"mountains");
    assert_eq!((&next["id"], number(&next, "version")), (&node["id"], 2));
    assert_eq!(admin.download("/shared/plan"), b"mountains");
    // And nothing else is
    admin.upload("/documents/diary", b"mine");
    bob.look("/documents/diary").problem("not-found", 404);
    assert_ne!(bob.info("/documents")["id"], admin.info("/documents")["id"]);
}

#[test]
fn a_name_is_found_however_its_letters_are_composed() {
    // macOS sends NFD for names that others made in NFC.
    let server = TestServer::start();
    let api = Api::admin(&server);
    let node = api.upload("/documents/ä", b"composed");
    assert_eq!(api.info("/documents/a\u{308}"), node);
    assert_eq!(api.download("/documents/a\u{308}"), b"composed");
    let next = api.upload("/documents/a\u{308}", b"the same file");
    assert_eq!((&next["id"], &next["version"]), (&node["id"], &json!(2)));
    assert_eq!(api.names("/documents"), ["ä"]);
}
