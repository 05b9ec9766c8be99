//! Methods, routes and ids that do not exist.

use std::collections::{BTreeMap, BTreeSet};

use webdav_tests::api::PREFIX;
use webdav_tests::http::Body;
use webdav_tests::{Api, Response};

use super::{Operation, Scene, refused};

const METHODS: [&str; 10] = [
    "GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "MKCOL", "PROPFIND", "NONSENSE",
];

/// Sends what an operation names by `id`, with the body or header that it wants.
#[track_caller]
fn ask(api: &Api, operation: &Operation, id: &str) -> Response {
    let route = operation.route(id);
    let headers = [("Upload-Offset", "0"), ("Content-Type", "application/json")];
    let body: &[u8] = match &operation.body {
        Some(_) if operation.path.starts_with("devices") => br#"{"name":"x"}"#,
        Some(_) => br#"{"keep":"both"}"#,
        None => b"",
    };
    api.send(&operation.method, &route, &headers, Body::Bytes(body))
}

#[test]
fn another_method_is_405_and_says_which_there_are() {
    let scene = Scene::new();
    let mut routes: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for operation in scene.operations() {
        routes
            .entry(operation.route("1"))
            .or_default()
            .insert(operation.method);
    }
    let nobody = Api::anonymous(&scene.server);
    for (route, known) in &routes {
        for method in METHODS.iter().filter(|method| !known.contains(**method)) {
            for client in [&scene.api, &nobody] {
                let answer = client.send(method, route, &[], Body::None);
                let what = format!("{method} {route}: {answer}");
                assert_eq!(answer.status, 405, "{what}");
                answer.problem("method-not-allowed", 405);
                let allow = answer.header("allow").expect("Allow").split(',');
                let allowed: BTreeSet<String> = allow.map(|name| name.trim().to_owned()).collect();
                assert!(known.is_subset(&allowed), "{what}");
                assert!(!allowed.contains(*method), "{what}");
            }
        }
    }
    scene.unharmed();
}

#[test]
fn a_route_that_does_not_exist_is_a_problem_like_any_other() {
    let scene = Scene::new();
    for route in [
        "",
        "nothing",
        "files",
        "files/",
        "files/1/2/3",
        "files/list/",
        "auth",
        "sync",
        "sync/",
        "devices/1/2",
        "../v1/usage",
        "v1/usage",
        "usage/x",
        "openapi.yaml",
        "uploads/1/2",
        "a/../usage",
        "%75sage%2f",
    ] {
        for method in ["GET", "POST", "DELETE"] {
            let answer = scene.api.send(method, route, &[], Body::None);
            let known = matches!(answer.status, 400 | 404 | 405);
            assert!(known, "{method} {route}: {answer}");
            answer.any_problem();
        }
    }
    // The prefix itself, and what only looks like it
    let answer = scene.api.http().get("/api/v1");
    refused(&answer, "the prefix");
    for path in [
        "/api",
        "/api/",
        "/api/v2/usage",
        "/api/v1x/usage",
        "/API/V1/usage",
    ] {
        scene.api.http().get(path).expect(&[404]);
    }
    scene.unharmed();
}

#[test]
fn an_id_that_is_none_is_refused_or_not_found() {
    let scene = Scene::new();
    let mut asked = 0;
    for operation in scene
        .operations()
        .iter()
        .filter(|operation| operation.has_id())
    {
        asked += 1;
        for id in [
            "x",
            "1x",
            "0x1",
            "1.5",
            "1e3",
            "%00",
            "%ff",
            "%zz",
            " ",
            "+",
            "-",
            "--1",
            "9223372036854775808",
            "-9223372036854775809",
            "99999999999999999999999999",
            "%31%",
            "1;2",
            "null",
            "NaN",
        ] {
            let answer = ask(&scene.api, operation, &id.replace(' ', "%20"));
            let what = format!("{} {}: {answer}", operation.method, operation.route(id));
            assert_eq!(answer.status, 400, "{what}");
            answer.problem("bad-request", 400);
        }
        for id in [
            "0",
            "-1",
            "-9223372036854775808",
            "9223372036854775807",
            "999999999",
        ] {
            let answer = ask(&scene.api, operation, id);
            let what = format!("{} {}: {answer}", operation.method, operation.route(id));
            assert_eq!(answer.status, 404, "{what}");
            answer.problem("not-found", 404);
        }
    }
    assert!(asked >= 12, "{asked} operations");
    scene.unharmed();
}

#[test]
fn a_url_or_a_header_without_end_is_refused() {
    let scene = Scene::new();
    let long = "x".repeat(1_000_000);
    let authorization = format!("Bearer {}", scene.api.access());
    let alike = scene.api.again();
    for (target, name, value) in [
        (format!("{PREFIX}files/info?path=/{long}"), "X-Nothing", "x"),
        (format!("{PREFIX}{long}"), "X-Nothing", "x"),
        (format!("{PREFIX}usage"), "X-Long", &*long),
        (
            format!("{PREFIX}usage"),
            "Authorization",
            &*format!("{authorization}{long}"),
        ),
    ] {
        let sent =
            alike
                .again()
                .http()
                .try_send("GET", &target, &[(name, value)], Body::None, None);
        // It may close before it has read all of it.
        if let Ok(answer) = sent {
            assert!((400..500).contains(&answer.status), "{name}: {answer}");
        }
    }
    let many: Vec<(String, String)> = (0..500)
        .map(|n| (format!("X-{n}"), "x".to_owned()))
        .collect();
    let many: Vec<(&str, &str)> = many
        .iter()
        .map(|(name, value)| (&**name, &**value))
        .collect();
    let path = format!("{PREFIX}usage");
    if let Ok(answer) = alike.http().try_send("GET", &path, &many, Body::None, None) {
        assert!(
            answer.status == 200 || (400..500).contains(&answer.status),
            "{answer}"
        );
    }
    scene.unharmed();
}

#[test]
fn what_is_a_websocket_says_so_to_those_who_speak_http() {
    let scene = Scene::new();
    scene
        .api
        .get("sync/events")
        .problem_at("upgrade-required", 426, "Upgrade");
    for headers in [
        [("Connection", "Upgrade"), ("Upgrade", "h2c")],
        [("Connection", "Upgrade"), ("Upgrade", "websocket")],
        [("Connection", "close"), ("Upgrade", "websocket")],
    ] {
        let answer = scene.api.again().get_with("sync/events", &headers);
        refused(&answer, "half a handshake");
    }
    scene.unharmed();
}
