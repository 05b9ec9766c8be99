//! Cursors, etags and keys from elsewhere.

use webdav_tests::Api;
use webdav_tests::api::{id, number, route, text};

use super::{Scene, refused_naming};

#[test]
fn a_cursor_that_is_none_is_refused() {
    let scene = Scene::new();
    let api = &scene.api;
    let long = "1.1_".repeat(2000);
    for cursor in [
        "",
        "x",
        "1",
        "1.",
        ".1",
        "1.x",
        "1.-1",
        "-1.1",
        "1.1_",
        "_1.1",
        "1.1.1",
        "1.1.1.1.1",
        "1,1",
        "1.1 ",
        "+1.1",
        "1.+1",
        "1.1e3",
        "9223372036854775808.1",
        "1.9223372036854775808",
        "\0",
        "1.1\0",
        "ä",
        &long,
    ] {
        for (name, rest) in [
            ("sync/pull", None),
            ("sync/poll", Some(("timeout", "0"))),
            ("sync/events", None),
        ] {
            let mut parameters = vec![("cursor", cursor)];
            parameters.extend(rest);
            let answer = api.get(&route(name, &parameters));
            answer.problem_at("invalid", 422, "cursor");
        }
    }
    scene.unharmed();
}

#[test]
fn a_cursor_from_elsewhere_or_from_the_future_is_410() {
    let scene = Scene::new();
    let api = &scene.api;
    scene.server.add_user("bob", "a long password 1", None);
    let bob = Api::register(&scene.server, "bob", "a long password 1", "laptop");
    let status = api.status();
    let (own, seq) = (
        id(&status["spaces"][0]),
        number(&status["spaces"][0], "seq"),
    );
    let of_bob = text(&bob.status(), "cursor").to_owned();
    let epoch = of_bob.split_once('_').unwrap().0.to_owned();
    for cursor in [
        of_bob,
        format!("{epoch}_{own}.{}", seq + 1),
        format!("{epoch}_{own}.{}", i64::MAX),
        format!("{epoch}_{own}.{}.1.1", i64::MAX),
        format!("{epoch}_{own}.{seq}_999.1"),
        format!("{epoch}_999.1"),
        format!("{epoch}_0.0"),
        format!("0123456789abcdef_{own}.{seq}"),
        format!("{own}.{seq}"),
    ] {
        for (name, rest) in [
            ("sync/pull", None),
            ("sync/poll", Some(("timeout", "0"))),
            ("sync/events", None),
        ] {
            let mut parameters = vec![("cursor", &*cursor)];
            parameters.extend(rest);
            let answer = api.get(&route(name, &parameters));
            assert_eq!(answer.status, 410, "{name} {cursor}: {answer}");
            answer.problem_at("stale-cursor", 410, "cursor");
        }
    }
    // The way out is always open
    assert!(!api.pull(None).0.is_empty());
    scene.unharmed();
}

#[test]
fn a_cursor_of_another_server_does_not_pass_for_ones_own() {
    // Both have the same spaces and turns, so nothing but the epoch tells them apart.
    let (old, new) = (Scene::new(), Scene::new());
    let (cursor, own) = (old.api.cursor(), new.api.cursor());
    let spaces = |cursor: &str| cursor.split_once('_').expect("an epoch").1.to_owned();
    assert_eq!(spaces(&cursor), spaces(&own));
    let asked = |cursor| new.api.get(&route("sync/pull", &[("cursor", cursor)]));
    asked(&cursor).problem_at("stale-cursor", 410, "cursor");
    asked(&own).expect(&[200]);
}

#[test]
fn an_etag_that_is_none_or_of_something_else_is_named() {
    let scene = Scene::new();
    let api = &scene.api;
    let (file, other) = (id(&api.info("/a")), api.info("/documents"));
    let id = file.to_string();
    for tag in ["", "x", "f", "f0", "F1", "none", text(&other, "etag")] {
        for (name, field) in [
            ("sync/delta", "from"),
            ("sync/delta", "to"),
            ("sync/manifest", "etag"),
        ] {
            let answer = api.get(&route(name, &[("id", &id), (field, tag)]));
            refused_naming(&answer, field, &format!("{name} {tag}"));
        }
    }
    // A content that is not a version of this file
    for (name, field) in [
        ("sync/delta", "from"),
        ("sync/delta", "to"),
        ("sync/manifest", "etag"),
    ] {
        let answer = api.get(&route(name, &[("id", &id), (field, "f7fffffff")]));
        answer.problem_at("not-found", 404, field);
    }
    scene.unharmed();
}

#[test]
fn collections_have_no_contents_to_compare() {
    let scene = Scene::new();
    let api = &scene.api;
    let folder = id(&api.info("/documents"));
    for name in ["sync/delta", "sync/manifest"] {
        api.get(&format!("{name}?id={folder}"))
            .problem("is-a-collection", 409);
    }
    let asked = serde_json::json!({"id": folder, "block": 512, "ranges": []});
    api.post("sync/signature", &asked)
        .problem("is-a-collection", 409);
    scene.unharmed();
}
