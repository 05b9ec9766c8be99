//! What belongs to another account is not there, whatever route asks for its id.

use serde_json::{Value, json};
use webdav_tests::api::{id, text};
use webdav_tests::http::Body;
use webdav_tests::{Api, Response, TestServer};

use super::PASSWORD;

/// What bob has: ids of everything that has one.
struct Belongings {
    folder: i64,
    file: i64,
    trashed: i64,
    conflict: i64,
    upload: i64,
    device: i64,
    space: i64,
}

#[track_caller]
fn settle_in(bob: &Api) -> Belongings {
    let folder = id(&bob.info("/documents"));
    let base = bob.upload("/documents/a", b"common");
    bob.upload("/documents/a", b"two");
    let at = [("path", "/documents/a"), ("base", text(&base, "etag"))];
    bob.upload_with(&at, b"three").json(200);
    let trashed = id(&bob.upload("/documents/b", b"deleted"));
    bob.remove("/documents/b");
    let upload = bob
        .post("uploads", &json!({"path": "/documents/c", "size": 10}))
        .json(201);
    Belongings {
        folder,
        file: id(&base),
        trashed,
        conflict: id(&bob.all("conflicts")[0]),
        upload: id(&upload),
        device: bob.device(),
        space: id(&bob.status()["spaces"][0]),
    }
}

/// Every request that names something by its id, and how the ids of the account's own look in it.
#[track_caller]
fn ask_for(api: &Api, of: &Belongings) -> Vec<(String, Response)> {
    let mut answers = Vec::new();
    let Belongings {
        folder,
        file,
        trashed,
        conflict,
        upload,
        device,
        space,
    } = of;
    for route in [
        format!("files/{file}/info"),
        format!("files/{folder}/info"),
        format!("files/{trashed}/info"),
        format!("files/list?id={folder}"),
        format!("files/download?id={file}"),
        format!("files/download?id={file}&version=1"),
        format!("files/{file}/versions"),
        format!("uploads/{upload}"),
        format!("sync/delta?id={file}"),
        format!("sync/manifest?id={file}"),
        format!("sync/keys?space={space}"),
    ] {
        answers.push((format!("GET {route}"), api.get(&route)));
    }
    for route in [
        format!("files/{file}/versions/1/restore"),
        format!("trash/{trashed}/restore"),
        format!("uploads/{upload}/finish"),
    ] {
        answers.push((format!("POST {route}"), api.post_nothing(&route)));
    }
    for (route, body) in [
        (
            format!("conflicts/{conflict}/resolve"),
            json!({"keep": "both"}),
        ),
        (
            "sync/signature".to_owned(),
            json!({"id": file, "block": 4096, "ranges": [[0, 5]]}),
        ),
    ] {
        answers.push((format!("POST {route}"), api.post(&route, &body)));
    }
    let part = [("Upload-Offset", "0")];
    let route = format!("uploads/{upload}");
    answers.push((
        format!("PATCH {route}"),
        api.send("PATCH", &route, &part, Body::Bytes(b"x")),
    ));
    let name = json!({"name": "mine"});
    let route = format!("devices/{device}");
    answers.push((format!("PATCH {route}"), api.patch(&route, &name)));
    for route in [
        format!("uploads/{upload}"),
        format!("trash/{trashed}"),
        format!("devices/{device}"),
        format!("files/{file}"),
        format!("files/{folder}"),
    ] {
        answers.push((format!("DELETE {route}"), api.delete(&route)));
    }
    answers
}

/// All that bob sees of his own.
#[track_caller]
fn view(bob: &Api) -> Vec<Value> {
    let lists = [
        "files/list?recursive=true",
        "trash",
        "conflicts",
        "uploads",
        "devices",
    ];
    let mut seen: Vec<Value> = lists.iter().map(|list| bob.get(list).json(200)).collect();
    let mut status = bob.status();
    status["time"].take();
    seen.push(status);
    seen
}

#[test]
fn nothing_of_another_account_is_found_by_its_id() {
    let server = TestServer::start();
    server.add_user("bob", PASSWORD, None);
    let bob = Api::register(&server, "bob", PASSWORD, "laptop");
    let of_bob = settle_in(&bob);
    let before = view(&bob);

    // Not even by an administrator, and exactly as if it had never been
    let admin = Api::admin(&server);
    let nowhere = Belongings {
        folder: of_bob.folder + 1_000_000,
        file: of_bob.file + 1_000_000,
        trashed: of_bob.trashed + 1_000_000,
        conflict: of_bob.conflict + 1_000_000,
        upload: of_bob.upload + 1_000_000,
        device: of_bob.device + 1_000_000,
        space: of_bob.space + 1_000_000,
    };
    let foreign = ask_for(&admin, &of_bob);
    let missing = ask_for(&admin, &nowhere);
    for ((asked, answer), (_, other)) in foreign.into_iter().zip(missing) {
        assert_eq!(answer.status, 404, "{asked}: {answer}");
        let problem = answer.problem("not-found", 404);
        assert_eq!(
            problem,
            other.problem("not-found", 404),
            "{asked} tells that it is there"
        );
    }
    assert_eq!(view(&bob), before);
    // Bob himself finds all of it
    for (asked, answer) in ask_for(&bob, &of_bob) {
        let trashed = format!("GET files/{}/info", of_bob.trashed);
        let known = answer.status != 404 || asked == trashed;
        // What he purged, gave up or deleted on the way is gone at the end of the list
        let late = asked.starts_with("DELETE") || asked.contains("finish");
        assert!(known || late, "{asked}: {answer}");
    }
}

#[test]
fn an_id_of_one_kind_is_not_taken_for_another() {
    let server = TestServer::start();
    let api = Api::admin(&server);
    let of = settle_in(&api);
    let live = of.file;
    api.post_nothing(&format!("trash/{live}/restore"))
        .problem("not-found", 404);
    api.delete(&format!("trash/{live}"))
        .problem("not-found", 404);
    api.delete(&format!("files/{}", of.trashed))
        .problem("not-found", 404);
    api.get(&format!("files/{}/versions", of.folder))
        .problem("is-a-collection", 409);
    api.get(&format!("files/download?id={}", of.folder))
        .problem("is-a-collection", 409);
    api.get(&format!("files/list?id={live}"))
        .problem("not-a-collection", 409);
    api.post_nothing(&format!("files/{live}/versions/99/restore"))
        .problem("not-found", 404);
    api.post_nothing(&format!("files/{}/versions/1/restore", of.folder))
        .expect(&[404, 409])
        .any_problem();
    assert_eq!(api.download("/documents/a").len(), 5);
}
