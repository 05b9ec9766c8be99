//! The end of an upload: made once, whatever happens around it.

use serde_json::{Value, json};
use webdav_tests::api::{id, text};
use webdav_tests::content::{assert_same, noise, sha1_hex};
use webdav_tests::{Api, TestServer, xml};

use super::{PASSWORD, complete, finish, offset, open, open_with, send, state};

#[test]
fn it_is_not_finished_before_all_has_arrived() {
    let server = TestServer::start();
    let api = Api::admin(&server);
    let upload = open(&api, "/a", 10);
    finish(&api, upload).problem("upload-state", 409);
    send(&api, upload, 0, b"123456789").json(200);
    let before = api.cursor();
    finish(&api, upload).problem("upload-state", 409);
    assert_eq!(api.cursor(), before);
    complete(&api, upload, b"1234567890");
    assert_eq!(api.download("/a"), b"1234567890");
}

#[test]
fn finishing_again_answers_the_same_whatever_became_of_the_file() {
    let server = TestServer::start();
    let api = Api::admin(&server);
    let upload = open(&api, "/documents/a", 3);
    let first = complete(&api, upload, b"abc");
    assert_eq!(finish(&api, upload).json(200), first);
    let before = api.cursor();
    send(&api, upload, 3, b"d").problem("upload-state", 409);
    assert_eq!(api.cursor(), before);

    api.upload("/documents/a", b"changed since");
    let again = finish(&api, upload).json(200);
    for field in ["id", "etag", "version", "size"] {
        assert_eq!(again["node"][field], first["node"][field], "{field}");
    }
    assert_eq!(again["created"], true);
    assert_eq!(api.download("/documents/a"), b"changed since");
    api.remove("/documents/a");
    assert_eq!(
        finish(&api, upload).json(200)["node"]["id"],
        first["node"]["id"]
    );
    api.look("/documents/a").problem("not-found", 404);
    // Forgetting the upload forgets no file
    let kept = open(&api, "/b", 1);
    complete(&api, kept, b"x");
    api.delete(&format!("uploads/{kept}")).expect(&[204]);
    assert_eq!(api.download("/b"), b"x");
    finish(&api, kept).problem("not-found", 404);
}

#[test]
fn those_who_finish_at_once_make_one_file() {
    let server = TestServer::start();
    let api = Api::admin(&server);
    let content = noise(1, 3_000_000);
    let upload = open(&api, "/a", content.len());
    send(&api, upload, 0, &content).json(200);
    let answers: Vec<Value> = std::thread::scope(|scope| {
        let asking: Vec<_> = (0..4)
            .map(|_| {
                let api = api.again();
                scope.spawn(move || {
                    let answer = finish(&api, upload).expect(&[200, 409]);
                    if answer.status == 409 {
                        answer.problem("upload-state", 409);
                        return finish(&api, upload).expect(&[200]).json(200);
                    }
                    answer.json(200)
                })
            })
            .collect();
        asking
            .into_iter()
            .map(|thread| thread.join().expect("an answer"))
            .collect()
    });
    assert!(
        answers.iter().all(|answer| *answer == answers[0]),
        "{answers:?}"
    );
    assert_eq!(api.info("/a")["version"], 1);
    assert_same(&api.download("/a"), &content, "the upload");
}

#[test]
fn it_meets_what_was_written_meanwhile() {
    let server = TestServer::start();
    let api = Api::admin(&server);
    let base = api.upload("/a.txt", b"common");
    let asked = json!({"path": "/a.txt", "size": 5, "base": base["etag"], "mtime": 1000});
    let upload = open_with(&api, &asked);
    send(&api, upload, 0, b"slow ").json(200);
    server
        .admin()
        .put("/dav/a.txt", b"meanwhile")
        .expect(&[204]);

    let written = finish(&api, upload).json(200);

    assert_eq!(api.download("/a.txt"), b"meanwhile", "it was the later one");
    assert_eq!(api.download(text(&written["conflict"], "path")), b"slow ");
    assert_eq!(api.all("conflicts").len(), 1);
    assert_eq!(finish(&api, upload).json(200), written);
    assert_eq!(api.all("conflicts").len(), 1);
    // Without a base it is the next version, whatever is there
    let plain = open(&api, "/a.txt", 1);
    assert_eq!(complete(&api, plain, b"x")["conflict"], Value::Null);
    assert_eq!(api.download("/a.txt"), b"x");
}

#[test]
fn a_wrong_checksum_makes_no_file_and_ends_the_upload() {
    let server = TestServer::start();
    let api = Api::admin(&server);
    let content = noise(1, 1_000_000);
    for (size, sent) in [(content.len(), content.as_slice()), (3, b"abc")] {
        let checksum = format!("SHA1:{}", sha1_hex(b"something else"));
        let upload = open_with(
            &api,
            &json!({"path": "/a", "size": size, "checksum": checksum}),
        );
        send(&api, upload, 0, sent).json(200);
        let before = api.cursor();
        finish(&api, upload).problem_at("checksum-mismatch", 400, "checksum");
        assert_eq!(api.cursor(), before);
        api.look("/a").problem("not-found", 404);
        finish(&api, upload).problem("not-found", 404);
    }
    let checksum = format!("SHA1:{}", sha1_hex(&content));
    let upload = open_with(
        &api,
        &json!({"path": "/a", "size": content.len(), "checksum": checksum}),
    );
    send(&api, upload, 0, &content[..333_333]).json(200);
    complete(&api, upload, &content);
    assert_eq!(api.info("/a")["checksum"], checksum);
}

#[test]
fn what_is_refused_at_the_end_can_be_tried_again() {
    let server = TestServer::start();
    let api = Api::admin(&server);
    let dav = server.admin();
    api.mkdir("/documents/d");
    let folder = id(&api.info("/documents/d"));
    let upload = open(&api, "/documents/d/a", 3);
    send(&api, upload, 0, b"abc").json(200);

    api.remove("/documents/d");
    finish(&api, upload).problem("no-parent", 409);
    api.post_nothing(&format!("trash/{folder}/restore"))
        .json(200);

    let asked = xml::lock("exclusive");
    let locked = dav
        .request("LOCK", "/dav/documents/d/", &[], asked.as_bytes())
        .expect(&[200]);
    let token = locked.header("lock-token").expect("Lock-Token").to_owned();
    finish(&api, upload).problem("locked", 423);
    dav.request(
        "UNLOCK",
        "/dav/documents/d/",
        &[("Lock-Token", &token)],
        b"",
    )
    .expect(&[204]);

    api.mkdir("/documents/d/a");
    finish(&api, upload).problem("is-a-collection", 409);
    api.remove("/documents/d/a");

    assert_eq!(offset(&api, upload), 3);
    finish(&api, upload).json(200);
    assert_eq!(api.download("/documents/d/a"), b"abc");
}

#[test]
fn an_upload_into_the_shared_space_is_there_for_all() {
    let server = TestServer::start();
    server.add_user("bob", PASSWORD, Some("1000"));
    let bob = Api::register(&server, "bob", PASSWORD, "laptop");
    let content = noise(1, 2_000_000);
    let upload = open(&bob, "/shared/a", content.len());
    send(&bob, upload, 0, &content[..1_500_000]).json(200);
    complete(&bob, upload, &content);
    assert_same(
        &Api::admin(&server).download("/shared/a"),
        &content,
        "the upload",
    );
}

#[test]
fn what_was_given_up_is_gone() {
    let server = TestServer::start();
    let api = Api::admin(&server);
    let upload = open(&api, "/a", 10);
    send(&api, upload, 0, b"12345").json(200);
    let before = api.cursor();
    let route = format!("uploads/{upload}");
    api.delete(&route).expect(&[204]);
    api.get(&route).problem("not-found", 404);
    send(&api, upload, 5, b"67890").problem("not-found", 404);
    finish(&api, upload).problem("not-found", 404);
    api.delete(&route).problem("not-found", 404);
    assert_eq!(api.cursor(), before);
    api.look("/a").problem("not-found", 404);
}

#[test]
fn what_lies_at_the_path_stays_until_the_end() {
    let server = TestServer::start();
    let api = Api::admin(&server);
    let old = api.upload("/a", b"the old content");
    let content = noise(1, 500_000);
    let upload = open(&api, "/a", content.len());
    send(&api, upload, 0, &content).json(200);
    assert_eq!(api.info("/a"), old);
    assert_eq!(api.download("/a"), b"the old content");
    let written = finish(&api, upload).json(200);
    assert_eq!(
        (&written["created"], &written["node"]["version"]),
        (&json!(false), &json!(2))
    );
    assert_eq!(written["node"]["id"], old["id"]);
    assert_eq!(state(&api, upload)["finished"], true);
}
