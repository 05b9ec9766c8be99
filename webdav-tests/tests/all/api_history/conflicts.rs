//! Conflicts that nobody has resolved, and resolving them.

use serde_json::{Value, json};
use webdav_tests::api::{id, number, text};
use webdav_tests::server::ADMIN_PASSWORD;
use webdav_tests::{Api, Response, TestServer};

use super::{bob, bytes_of, lock, numbers};

/// Makes a conflict at `path`: `later` is the file, `earlier` the copy beside it, which comes last.
/// Returns what the upload of the loser answered.
#[track_caller]
fn clash(api: &Api, path: &str) -> Value {
    let common = api
        .upload_with(&[("path", path), ("mtime", "1000")], b"common")
        .json(201);
    let base = text(&common["node"], "etag").to_owned();
    let later = [("path", path), ("base", &*base), ("mtime", "3000")];
    api.upload_with(&later, b"later").json(200);
    let earlier = [("path", path), ("base", &*base), ("mtime", "2000")];
    let written = api.upload_with(&earlier, b"earlier").json(200);
    assert_ne!(written["conflict"], Value::Null);
    written
}

#[track_caller]
fn resolve(api: &Api, conflict: &Value, keep: &str) -> Response {
    api.post(
        &format!("conflicts/{}/resolve", id(conflict)),
        &json!({"keep": keep}),
    )
}

#[test]
fn a_conflict_tells_of_both_files_and_of_who_met_whom() {
    let server = TestServer::start();
    let laptop = Api::admin(&server);
    let phone = Api::register(&server, "admin", ADMIN_PASSWORD, "phone");
    assert_eq!(
        laptop.get("conflicts").json(200),
        json!({"items": [], "next": null})
    );
    let started = number(&laptop.status(), "time");
    let first = clash(&laptop, "/documents/a.txt");
    let second = clash(&phone, "/shared/b.txt");
    let ended = number(&laptop.status(), "time");

    let list = laptop.all("conflicts");
    assert_eq!(list.len(), 2);
    for ((conflict, written), device) in list.iter().zip([&first, &second]).zip([&laptop, &phone]) {
        assert_eq!(conflict["node"], written["node"]);
        assert_eq!(conflict["copy"], written["conflict"]);
        assert_eq!(conflict["device"], device.device());
        assert!(
            (started..=ended).contains(&number(conflict, "at")),
            "{conflict}"
        );
    }
    assert!(id(&list[0]) < id(&list[1]));
    let behind = laptop
        .get(&format!("conflicts?cursor={}", id(&list[0])))
        .json(200);
    assert_eq!(behind["items"], json!([list[1]]));
}

#[test]
fn keeping_the_file_sends_the_copy_to_trash() {
    let server = TestServer::start();
    let api = Api::admin(&server);
    let written = clash(&api, "/documents/a");
    resolve(&api, &api.all("conflicts")[0], "node").expect(&[204]);
    assert_eq!(api.names("/documents"), ["a"]);
    assert_eq!(api.info("/documents/a"), written["node"]);
    assert_eq!(api.all("trash")[0]["id"], written["conflict"]["id"]);
    assert_eq!(api.all("conflicts"), Vec::<Value>::new());
    assert_eq!(api.status()["conflicts"], 0);
}

#[test]
fn keeping_the_copy_makes_it_the_next_version() {
    let server = TestServer::start();
    let api = Api::admin(&server);
    let written = clash(&api, "/documents/a");
    let (file, version) = (id(&written["node"]), number(&written["node"], "version"));
    resolve(&api, &api.all("conflicts")[0], "copy").expect(&[204]);
    assert_eq!(api.names("/documents"), ["a"]);
    let node = api.info("/documents/a");
    assert_eq!((id(&node), number(&node, "version")), (file, version + 1));
    assert_eq!((&node["mtime"], &node["size"]), (&json!(2000), &json!(7)));
    assert_eq!(api.download("/documents/a"), b"earlier");
    assert_eq!(numbers(&api, file), [version + 1, version, version - 1]);
    assert_eq!(bytes_of(&api, file, version), b"later");
    assert_eq!(api.all("trash")[0]["id"], written["conflict"]["id"]);
    assert_eq!(api.info("/documents")["size"], 7);
    assert_eq!(api.all("conflicts"), Vec::<Value>::new());
}

#[test]
fn keeping_both_leaves_both_where_they_are() {
    let server = TestServer::start();
    let api = Api::admin(&server);
    let written = clash(&api, "/documents/a");
    let names = api.names("/documents");
    resolve(&api, &api.all("conflicts")[0], "both").expect(&[204]);
    assert_eq!(api.names("/documents"), names);
    assert_eq!(api.download("/documents/a"), b"later");
    assert_eq!(api.download(text(&written["conflict"], "path")), b"earlier");
    assert_eq!(api.all("conflicts"), Vec::<Value>::new());
}

#[test]
fn a_conflict_is_resolved_once() {
    let server = TestServer::start();
    let api = Api::admin(&server);
    clash(&api, "/documents/a");
    let conflict = api.all("conflicts")[0].clone();
    for keep in ["", "neither", "Both", "a"] {
        resolve(&api, &conflict, keep).problem("invalid", 422);
    }
    resolve(&api, &conflict, "both").expect(&[204]);
    let before = api.cursor();
    for keep in ["both", "node", "copy"] {
        resolve(&api, &conflict, keep).problem("not-found", 404);
    }
    assert_eq!(api.cursor(), before);
    assert_eq!(api.names("/documents").len(), 2);
}

#[test]
fn two_who_resolve_at_once_do_not_lose_both() {
    let server = TestServer::start();
    let api = Api::admin(&server);
    clash(&api, "/documents/a");
    let conflict = api.all("conflicts")[0].clone();
    let done: Vec<u16> = std::thread::scope(|scope| {
        let asking: Vec<_> = ["node", "copy", "node", "copy"]
            .into_iter()
            .map(|keep| {
                let (api, conflict) = (api.again(), &conflict);
                scope.spawn(move || resolve(&api, conflict, keep).expect(&[204, 404]).status)
            })
            .collect();
        asking
            .into_iter()
            .map(|thread| thread.join().expect("an answer"))
            .collect()
    });
    assert_eq!(
        done.iter().filter(|status| **status == 204).count(),
        1,
        "{done:?}"
    );
    assert_eq!(api.names("/documents"), ["a"]);
    let bytes = api.download("/documents/a");
    assert!(bytes == b"later" || bytes == b"earlier");
}

#[test]
fn what_was_deleted_since_is_told_and_the_rest_can_be_kept() {
    let server = TestServer::start();
    let api = Api::admin(&server);
    let written = clash(&api, "/documents/a");
    api.remove(text(&written["conflict"], "path"));
    let conflict = api.all("conflicts")[0].clone();
    assert_eq!(
        (&conflict["node"], &conflict["copy"]),
        (&written["node"], &Value::Null)
    );
    let before = api.cursor();
    resolve(&api, &conflict, "copy").problem("not-found", 404);
    assert_eq!(
        (api.cursor(), api.all("conflicts").len()),
        (before, 1),
        "it can be tried otherwise"
    );
    resolve(&api, &conflict, "node").expect(&[204]);

    let written = clash(&api, "/documents/b");
    api.remove("/documents/b");
    let conflict = api.all("conflicts")[0].clone();
    assert_eq!(
        (&conflict["node"], &conflict["copy"]),
        (&Value::Null, &written["conflict"])
    );
    resolve(&api, &conflict, "both").expect(&[204]);
    assert_eq!(api.download(text(&written["conflict"], "path")), b"earlier");
}

#[test]
fn both_files_are_found_wherever_they_went() {
    let server = TestServer::start();
    let api = Api::admin(&server);
    let written = clash(&api, "/documents/a");
    api.rename("/documents/a", "/photos/renamed");
    api.rename(text(&written["conflict"], "path"), "/backups/copy");
    let conflict = api.all("conflicts")[0].clone();
    assert_eq!(conflict["node"]["path"], "/photos/renamed");
    assert_eq!(conflict["copy"]["path"], "/backups/copy");
    resolve(&api, &conflict, "copy").expect(&[204]);
    assert_eq!(api.download("/photos/renamed"), b"earlier");
    assert_eq!(api.names("/backups"), Vec::<String>::new());
    assert_eq!(
        (&api.info("/photos")["size"], &api.info("/backups")["size"]),
        (&json!(7), &json!(0))
    );
}

#[test]
fn a_conflict_in_the_shared_space_is_for_all_and_others_are_for_nobody() {
    let server = TestServer::start();
    let (admin, bob) = (Api::admin(&server), bob(&server));
    clash(&admin, "/documents/own");
    clash(&admin, "/shared/a");
    assert_eq!(
        (admin.all("conflicts").len(), bob.all("conflicts").len()),
        (2, 1)
    );
    let (own, shared) = (
        admin.all("conflicts")[0].clone(),
        bob.all("conflicts")[0].clone(),
    );
    assert_eq!(shared["node"]["path"], "/shared/a");
    resolve(&bob, &own, "both").problem("not-found", 404);
    resolve(&bob, &shared, "copy").expect(&[204]);
    assert_eq!(admin.download("/shared/a"), b"earlier");
    assert_eq!(admin.all("conflicts"), [own]);
}

#[test]
fn what_is_locked_cannot_be_resolved_yet() {
    let server = TestServer::start();
    let api = Api::admin(&server);
    let dav = server.admin();
    clash(&api, "/documents/a");
    let conflict = api.all("conflicts")[0].clone();
    let token = lock(&dav, "/dav/documents/a");
    resolve(&api, &conflict, "copy").problem("locked", 423);
    assert_eq!(api.all("conflicts"), std::slice::from_ref(&conflict));
    dav.request("UNLOCK", "/dav/documents/a", &[("Lock-Token", &token)], b"")
        .expect(&[204]);
    resolve(&api, &conflict, "copy").expect(&[204]);
}

#[test]
fn the_list_goes_on_behind_its_cursor() {
    let server = TestServer::start();
    let api = Api::admin(&server);
    for n in 0..5 {
        clash(&api, &format!("/documents/{n}"));
    }
    let list = api.all("conflicts");
    for (nth, conflict) in list.iter().enumerate() {
        let rest = api
            .get(&format!("conflicts?cursor={}", id(conflict)))
            .json(200);
        assert_eq!(rest["items"].as_array().expect("items"), &list[nth + 1..]);
    }
    for cursor in ["", "x", "1.5", "9223372036854775808"] {
        api.get(&format!("conflicts?cursor={cursor}"))
            .problem_at("invalid", 422, "cursor");
    }
}
