//! The devices of an account: who they are, and when they were last in step.

use serde_json::{Value, json};
use webdav_tests::api::number;
use webdav_tests::server::ADMIN_PASSWORD;
use webdav_tests::{Api, TestServer};

use super::{PASSWORD, add_bob, app_password, is_in};

/// The devices as `device` sees them.
#[track_caller]
fn devices(device: &Api) -> Vec<Value> {
    let list = device.get("devices").json(200);
    list["items"].as_array().expect("items").clone()
}

#[test]
fn all_devices_are_listed_and_the_own_one_is_marked() {
    let server = TestServer::start();
    add_bob(&server);
    Api::register(&server, "bob", PASSWORD, "not admin's");
    let (dav, _) = app_password(&server, "admin", "davx5");
    let laptop = Api::admin(&server);
    let phone = Api::register(&server, "admin", ADMIN_PASSWORD, "phone");
    laptop.delete(&format!("devices/{dav}")).expect(&[204]);

    let list = devices(&laptop);
    let shown: Vec<_> = list
        .iter()
        .map(|device| {
            let revoked = !device["revoked"].is_null();
            (
                number(device, "id"),
                &device["type"],
                &device["current"],
                revoked,
            )
        })
        .collect();
    let (yes, no) = (&json!(true), &json!(false));
    assert_eq!(
        shown,
        [
            (dav, &json!("webdav"), no, true),
            (laptop.device(), &json!("linux"), yes, false),
            (phone.device(), &json!("linux"), no, false),
        ]
    );
    for device in &list {
        let (created, now) = (number(device, "created"), number(&laptop.status(), "time"));
        assert!((now - 600_000..=now).contains(&created), "{device}");
    }
}

#[test]
fn a_device_gets_another_name() {
    let server = TestServer::start();
    let laptop = Api::admin(&server);
    let phone = Api::register(&server, "admin", ADMIN_PASSWORD, "phone");
    let route = format!("devices/{}", phone.device());

    let renamed = laptop.patch(&route, &json!({"name": "Pixel 📱"})).json(200);

    assert_eq!(renamed["id"], phone.device());
    assert_eq!(renamed["name"], "Pixel 📱");
    assert_eq!(renamed["current"], false);
    assert_eq!(devices(&laptop)[1], renamed);
    assert_eq!(phone.status()["device"]["name"], "Pixel 📱");
    for name in ["", "a\tb", &"ä".repeat(256)] {
        laptop
            .patch(&route, &json!({"name": name}))
            .problem_at("invalid", 422, "name");
    }
    assert_eq!(devices(&laptop)[1], renamed);
    let longest = "ä".repeat(255);
    let renamed = laptop.patch(&route, &json!({"name": longest})).json(200);
    assert_eq!(renamed["name"], longest);
    // One that is shut out is only listed
    laptop.delete(&route).expect(&[204]);
    laptop
        .patch(&route, &json!({"name": "again"}))
        .problem("not-found", 404);
    assert_eq!(devices(&laptop)[1]["name"], longest);
}

#[test]
fn devices_of_others_are_not_there() {
    let server = TestServer::start();
    add_bob(&server);
    let bob = Api::register(&server, "bob", PASSWORD, "laptop");
    let admin = Api::admin(&server);
    let before = devices(&bob);

    // Also for an administrator.
    let foreign = format!("devices/{}", bob.device());
    for route in [
        foreign.as_str(),
        "devices/0",
        "devices/-1",
        "devices/9007199254740993",
    ] {
        admin.delete(route).problem("not-found", 404);
        admin
            .patch(route, &json!({"name": "mine"}))
            .problem("not-found", 404);
    }
    assert_eq!(devices(&bob), before);
    assert!(is_in(&bob));
    assert_eq!(devices(&admin).len(), 1);
}

#[test]
fn a_pull_is_the_last_sync_of_its_device() {
    let server = TestServer::start();
    let laptop = Api::admin(&server);
    let phone = Api::register(&server, "admin", ADMIN_PASSWORD, "phone");
    assert_eq!(laptop.status()["last_sync"], Value::Null);
    assert!(
        devices(&laptop)
            .iter()
            .all(|device| device["last_sync"].is_null())
    );

    let before = number(&laptop.status(), "time");
    laptop.pull(None);
    let after = number(&laptop.status(), "time");

    let list = devices(&phone);
    let synced = number(&list[0], "last_sync");
    assert!(
        (before..=after).contains(&synced),
        "{before} {synced} {after}"
    );
    assert_eq!(laptop.status()["last_sync"], synced);
    assert_eq!(list[1]["last_sync"], Value::Null);
}

#[test]
fn a_watch_is_confirmed_with_the_digits_it_shows() {
    let server = TestServer::start();
    let laptop = Api::admin(&server);
    let http = server.anonymous();
    let json = [("Content-Type", "application/json")];
    let shown = http
        .request("POST", "/api/v1/garmin/pair", &json, b"{}")
        .json(200);
    let code = shown["c"].as_str().expect("c");

    let asked = json!({"code": code, "name": "Forerunner"});
    let watch = laptop.post("devices/confirm", &asked).json(200);

    assert_eq!(
        (&watch["name"], &watch["type"]),
        (&json!("Forerunner"), &json!("garmin"))
    );
    assert_eq!(devices(&laptop)[1], watch);
    // The watch asks with its key and is in; the digits are used up
    let key = json!({"k": shown["k"]}).to_string();
    let paired = http
        .request("POST", "/api/v1/garmin/pair", &json, key.as_bytes())
        .json(200);
    let token = paired["t"].as_str().expect("t");
    http.bearer(token)
        .get("/api/v1/garmin/status")
        .expect(&[200]);
    laptop
        .post("devices/confirm", &asked)
        .problem_at("invalid", 422, "code");
    // Its token is for its own face
    let elsewhere = http.bearer(token).get("/api/v1/sync/status");
    elsewhere.problem("unauthorized", 401);
}

#[test]
fn digits_that_no_watch_shows_are_refused_and_limited() {
    let server = TestServer::start();
    let laptop = Api::admin(&server);
    let slowed = (0..30).find_map(|n| {
        let asked = json!({"code": format!("{n:06}")});
        let answer = laptop.post("devices/confirm", &asked).expect(&[422, 429]);
        (answer.status == 429).then_some(answer)
    });
    let slowed = slowed.expect("30 guesses were not slowed down");
    slowed.problem("too-many-requests", 429);
    assert!(slowed.header("retry-after").is_some(), "{slowed}");
    for code in ["", "12345", "1234567", "abcdef", "123 456"] {
        let refused = laptop.post("devices/confirm", &json!({"code": code}));
        refused.expect(&[422, 429]).any_problem();
    }
}
