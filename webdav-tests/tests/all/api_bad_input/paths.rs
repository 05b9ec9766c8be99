//! Paths that cannot be, in every place where a path is taken.

use serde_json::{Value, json};
use webdav_tests::api::route;
use webdav_tests::{Api, Response};

use super::Scene;

/// Every request that takes a path, with the field that it is in.
#[track_caller]
fn everywhere(api: &Api, path: &str) -> Vec<(&'static str, Response)> {
    let upload = |form: &str| {
        let route = route("files/upload", &[("path", path)]);
        let body = "--x\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\nx\r\n--x--\r\n";
        match form {
            "form" => api.post_bytes(&route, "multipart/form-data; boundary=x", body.as_bytes()),
            _ => api.post_bytes(&route, "application/octet-stream", b"x"),
        }
    };
    let get = |name: &str, rest: &[(&str, &str)]| {
        let mut parameters = vec![("path", path)];
        parameters.extend(rest);
        api.get(&route(name, &parameters))
    };
    vec![
        ("path", get("files/info", &[])),
        ("path", get("files/list", &[])),
        ("path", get("files/list", &[("recursive", "true")])),
        ("path", get("files/download", &[])),
        ("path", get("files/search", &[("q", "x")])),
        ("path", upload("raw")),
        ("path", upload("form")),
        ("path", api.post("files/mkdir", &json!({"path": path}))),
        (
            "path",
            api.post("files/mkdir", &json!({"path": path, "parents": true})),
        ),
        (
            "path",
            api.post("uploads", &json!({"path": path, "size": 1})),
        ),
        (
            "from",
            api.post("files/move", &json!({"from": path, "to": "/b"})),
        ),
        (
            "to",
            api.post("files/move", &json!({"from": "/a", "to": path})),
        ),
        (
            "from",
            api.post("files/copy", &json!({"from": path, "to": "/b"})),
        ),
        (
            "to",
            api.post(
                "files/copy",
                &json!({"from": "/a", "to": path, "overwrite": true}),
            ),
        ),
    ]
}

#[test]
fn a_path_that_cannot_be_is_refused_everywhere_and_named() {
    let scene = Scene::new();
    let too_deep = "/x".repeat(129);
    let too_long = format!("/{}", "x".repeat(250)).repeat(17);
    let name_too_long = format!("/{}", "ä".repeat(128));
    for path in [
        "..",
        "/..",
        "/.",
        "/a/..",
        "/a/./b",
        "../../etc/passwd",
        "/documents/../a",
        "/a\0",
        "/\0",
        "/a\nb",
        "/a\tb",
        "/\u{1b}[2J",
        "/a\u{7f}",
        "/\u{85}",
        &too_deep,
        &too_long,
        &name_too_long,
    ] {
        for (field, answer) in everywhere(&scene.api, path) {
            let shown: String = path.chars().take(40).collect();
            assert_eq!(answer.status, 400, "{shown:?} in {field}: {answer}");
            answer.problem_at("bad-path", 400, field);
        }
    }
    scene.unharmed();
}

#[test]
fn the_deepest_and_the_longest_path_can_be_used() {
    let scene = Scene::new();
    let api = &scene.api;
    let deep = "/x".repeat(127);
    api.post("files/mkdir", &json!({"path": deep, "parents": true}))
        .json(201);
    let file = format!("{deep}/f");
    api.upload(&file, b"deep");
    assert_eq!(api.download(&file), b"deep");
    assert_eq!(
        api.all("files/list?path=/x&recursive=true&limit=50").len(),
        127
    );
    // No move and no copy may put it deeper than that
    for verb in ["move", "copy"] {
        let asked = json!({"from": "/x", "to": "/documents/x"});
        api.post(&format!("files/{verb}"), &asked)
            .problem("too-large", 413);
        let asked = json!({"from": "/x", "to": "/shared/x"});
        api.post(&format!("files/{verb}"), &asked)
            .problem("too-large", 413);
    }
    assert_eq!(api.download(&file), b"deep");
    api.rename("/x", "/y");
    assert_eq!(api.download(&format!("/y{}/f", "/x".repeat(126))), b"deep");

    let long = format!("/documents/{}", "x".repeat(255));
    api.upload(&long, b"long");
    assert_eq!(api.download(&long), b"long");
    assert_eq!(api.names("/documents"), ["x".repeat(255)]);
}

#[test]
fn slashes_are_forgiven() {
    let scene = Scene::new();
    for path in ["//a", "/a/", "///a//"] {
        assert_eq!(scene.api.info(path)["path"], "/a", "{path}");
    }
    for path in ["/", "//", "///"] {
        assert_eq!(scene.api.info(path)["path"], "/", "{path}");
    }
    scene.unharmed();
}

#[test]
fn odd_but_possible_names_are_kept_as_they_are() {
    let scene = Scene::new();
    let api = &scene.api;
    let names = [
        "...",
        "..a",
        " ",
        " a ",
        "CON",
        "a:b",
        "a|b",
        "a*",
        "a\"b",
        "-rf",
        "~",
        "$HOME",
        "%2e%2e",
        "\u{202e}txt",
        "\u{200b}",
        "<script>",
        "a\\..\\b",
        "\u{feff}x",
        "\u{1f600}",
    ];
    for name in names {
        let path = format!("/documents/{name}");
        assert_eq!(api.upload(&path, name.as_bytes())["name"], name);
        assert_eq!(api.download(&path), name.as_bytes());
        assert_eq!(api.info(&path)["path"], path);
    }
    let found: Vec<Value> = api.all("files/list?path=/documents&limit=3");
    assert_eq!(found.len(), names.len());
    for node in &found {
        api.delete(&format!("files/{}", node["id"])).expect(&[204]);
    }
    assert_eq!(api.all("trash").len(), names.len());
}
