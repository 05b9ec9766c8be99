//! How much may be under way, and what can be announced at all.

use serde_json::{Value, json};
use webdav_tests::api::id;
use webdav_tests::content::noise;
use webdav_tests::{Api, TestServer};

use super::{PASSWORD, complete, finish, open, send};

#[test]
fn what_is_announced_must_fit_into_the_quota_together() {
    let server = TestServer::start();
    server.add_user("bob", PASSWORD, Some("1000000"));
    let bob = Api::register(&server, "bob", PASSWORD, "laptop");
    let asks = |path: &str, size: usize| bob.post("uploads", &json!({"path": path, "size": size}));
    asks("/a", 1_000_001).problem("quota-exceeded", 507);
    let first = id(&asks("/a", 600_000).json(201));
    asks("/b", 600_000).problem("quota-exceeded", 507);
    asks("/b", 400_000).json(201);
    bob.delete(&format!("uploads/{first}")).expect(&[204]);
    asks("/b", 600_000).json(201);
    // What is shared is not in the quota
    asks("/shared/large", 2_000_000).json(201);
    assert_eq!(bob.get("usage").json(200)["spaces"][0]["used"], 0);
}

#[test]
fn an_end_over_quota_is_507_and_waits_for_room() {
    let server = TestServer::start();
    server.add_user("bob", PASSWORD, Some("1000000"));
    let bob = Api::register(&server, "bob", PASSWORD, "laptop");
    let content = noise(1, 700_000);
    let upload = open(&bob, "/a", content.len());
    send(&bob, upload, 0, &content).json(200);
    bob.upload("/b", &noise(2, 500_000));
    let before = bob.cursor();
    finish(&bob, upload).problem("quota-exceeded", 507);
    assert_eq!(bob.cursor(), before);
    bob.remove("/b");
    finish(&bob, upload).json(200);
    assert_eq!(bob.download("/a"), content);
}

#[test]
fn a_hundred_uploads_may_be_open_at_once() {
    let server = TestServer::start();
    let api = Api::admin(&server);
    let ids: Vec<i64> = (0..100).map(|n| open(&api, &format!("/{n}"), 10)).collect();
    let asked = json!({"path": "/more", "size": 10});
    for _ in 0..2 {
        api.post("uploads", &asked)
            .problem("too-many-requests", 429);
    }
    // Each that ends makes room, either way
    api.delete(&format!("uploads/{}", ids[0])).expect(&[204]);
    api.post("uploads", &asked).json(201);
    api.post("uploads", &asked)
        .problem("too-many-requests", 429);
    complete(&api, ids[1], b"0123456789");
    api.post("uploads", &asked).json(201);
    assert_eq!(
        api.get("uploads").json(200)["items"]
            .as_array()
            .map(Vec::len),
        Some(100)
    );
    // Others have a hundred of their own
    server.add_user("bob", PASSWORD, None);
    open(&Api::register(&server, "bob", PASSWORD, "laptop"), "/a", 10);
}

#[test]
fn what_cannot_be_is_refused_at_the_beginning() {
    let server = TestServer::start();
    let api = Api::admin(&server);
    api.upload("/file", b"x");
    let before = api.cursor();
    let path = |path: &str| json!({"path": path, "size": 10});
    for (asked, name, status) in [
        (path("/missing/a"), "no-parent", 409),
        (path("/file/a"), "no-parent", 409),
        (path("/documents"), "is-a-collection", 409),
        (path("/"), "forbidden", 403),
        (path("/shared"), "forbidden", 403),
        (path("/a/.."), "bad-path", 400),
        (path("/a\u{0}"), "bad-path", 400),
        (
            json!({"path": "/a", "size": (1_u64 << 44) + 1}),
            "too-large",
            413,
        ),
        (json!({"path": "/a", "size": i64::MAX}), "too-large", 413),
        (json!({"path": "/a", "size": u64::MAX}), "too-large", 413),
        (json!({"path": "/a", "size": -1}), "invalid", 422),
        (json!({"path": "/a", "size": "10"}), "invalid", 422),
        (json!({"path": "/a", "size": 1.5}), "invalid", 422),
        (json!({"path": "/a", "size": Value::Null}), "invalid", 422),
        (json!({"path": "/a"}), "invalid", 422),
        (json!({"size": 10}), "invalid", 422),
        (
            json!({"path": "/a", "size": 10, "offset": 0}),
            "invalid",
            422,
        ),
        (
            json!({"path": "/a", "size": 10, "base": "x"}),
            "invalid",
            422,
        ),
        (
            json!({"path": "/a", "size": 10, "checksum": "x"}),
            "invalid",
            422,
        ),
        (
            json!({"path": "/a", "size": 10, "mtime": i64::MAX}),
            "invalid",
            422,
        ),
        (
            json!({"path": "/a", "size": 10, "created": i64::MIN}),
            "invalid",
            422,
        ),
    ] {
        api.post("uploads", &asked).problem(name, status);
    }
    assert_eq!(api.cursor(), before);
    assert_eq!(api.get("uploads").json(200), json!({"items": []}));
}

#[test]
fn what_nobody_has_sent_takes_no_room() {
    // Sixteen TiB are easily announced.
    let server = TestServer::start();
    let api = Api::admin(&server);
    let upload = open(&api, "/a", 1 << 44);
    send(&api, upload, 0, b"only this").json(200);
    finish(&api, upload).problem("upload-state", 409);
    assert_eq!(api.get("usage").json(200)["spaces"][0]["used"], 0);
    api.upload("/b", b"others are not disturbed");
}
