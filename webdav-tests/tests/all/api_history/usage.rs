//! What the spaces hold, in bytes.

use serde_json::{Value, json};
use webdav_tests::api::id;
use webdav_tests::{Api, TestServer};

use super::{PASSWORD, bob};

/// Used, in versions, and in trash, of the own space.
#[track_caller]
fn held(api: &Api) -> (Value, Value, Value) {
    let mut usage = api.get("usage").json(200);
    let own = &mut usage["spaces"][0];
    (
        own["used"].take(),
        own["versions"].take(),
        own["trash"].take(),
    )
}

fn figures(used: u64, versions: u64, trash: u64) -> (Value, Value, Value) {
    (used.into(), versions.into(), trash.into())
}

#[test]
fn the_own_space_comes_first_and_then_what_is_shared() {
    let server = TestServer::start();
    let api = Api::admin(&server);
    let usage = api.get("usage").json(200);
    let spaces = api.status()["spaces"].take();
    let paths: Vec<_> = (0..2)
        .map(|nth| usage["spaces"][nth]["path"].clone())
        .collect();
    assert_eq!(paths, [json!("/"), json!("/shared")]);
    assert_eq!(usage["spaces"].as_array().map(Vec::len), Some(2));
    for nth in 0..2 {
        assert_eq!(usage["spaces"][nth]["id"], spaces[nth]["id"]);
        assert_eq!(usage["spaces"][nth]["quota"], Value::Null);
        assert_eq!(usage["spaces"][nth]["available"], Value::Null);
    }
}

#[test]
fn every_byte_is_counted_where_it_is() {
    let server = TestServer::start();
    let api = Api::admin(&server);
    assert_eq!(held(&api), figures(0, 0, 0));
    let file = id(&api.upload("/documents/a", &[1; 1000]));
    assert_eq!(held(&api), figures(1000, 0, 0));
    api.upload("/documents/a", &[2; 300]);
    assert_eq!(held(&api), figures(300, 1000, 0));
    api.upload("/documents/b", &[3; 50]);
    api.post("files/copy", &json!({"from": "/documents/b", "to": "/c"}))
        .json(200);
    assert_eq!(held(&api), figures(400, 1000, 0));
    api.remove("/documents/b");
    assert_eq!(held(&api), figures(350, 1000, 50));
    api.post_nothing(&format!("files/{file}/versions/1/restore"))
        .json(200);
    assert_eq!(held(&api), figures(1050, 1300, 50));
    // Its versions stay with a file in trash
    api.remove("/documents/a");
    assert_eq!(held(&api), figures(50, 1300, 1050));
    api.post_nothing(&format!("trash/{file}/restore")).json(200);
    assert_eq!(held(&api), figures(1050, 1300, 50));
    api.remove("/documents/a");
    api.delete(&format!("trash/{file}")).expect(&[204]);
    assert_eq!(held(&api), figures(50, 0, 50));
    // What is shared is counted there
    api.upload("/shared/s", &[4; 77]);
    assert_eq!(held(&api), figures(50, 0, 50));
    assert_eq!(api.get("usage").json(200)["spaces"][1]["used"], 77);
}

#[test]
fn the_quota_is_told_and_what_is_left_of_it() {
    let server = TestServer::start();
    server.add_user("carol", PASSWORD, Some("1000"));
    let carol = Api::register(&server, "carol", PASSWORD, "laptop");
    carol.upload("/a", &[1; 400]);
    let own = |api: &Api| api.get("usage").json(200)["spaces"][0].take();
    assert_eq!(
        (&own(&carol)["quota"], &own(&carol)["available"]),
        (&json!(1000), &json!(600))
    );
    server.cli_ok(&["user", "quota", "carol", "300B"], "");
    assert_eq!(
        (&own(&carol)["quota"], &own(&carol)["available"]),
        (&json!(300), &json!(0))
    );
    server.cli_ok(&["user", "quota", "carol", "none"], "");
    assert_eq!(
        (&own(&carol)["quota"], &own(&carol)["available"]),
        (&Value::Null, &Value::Null)
    );
}

#[test]
fn others_see_only_what_is_shared() {
    let server = TestServer::start();
    let (admin, bob) = (Api::admin(&server), bob(&server));
    admin.upload("/documents/a", &[1; 1000]);
    admin.upload("/shared/a", &[1; 10]);
    let usage = bob.get("usage").json(200);
    assert_eq!(
        (&usage["spaces"][0]["used"], &usage["spaces"][1]["used"]),
        (&json!(0), &json!(10))
    );
    assert_ne!(
        usage["spaces"][0]["id"],
        admin.get("usage").json(200)["spaces"][0]["id"]
    );
}
