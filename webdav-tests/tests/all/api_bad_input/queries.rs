//! Query parameters that are unknown, of the wrong type, twice there, or not text at all.

use std::fmt::Write as _;

use webdav_tests::Response;
use webdav_tests::api::encode;

use super::{Operation, Scene, refused, refused_naming};

/// Values of required parameters with which an operation would do something.
fn good(name: &str) -> &'static str {
    match name {
        "path" => "/a",
        "q" => "a",
        "space" | "id" => "1",
        "cursor" => "1.0",
        other => panic!("the document has a new required parameter: {other}"),
    }
}

/// The route with its required parameters but one, and then `rest`.
fn asked(operation: &Operation, without: &str, rest: &str) -> String {
    let mut route = operation.route("1");
    let mut sign = '?';
    for parameter in &operation.query {
        if parameter.required && parameter.name != without {
            let (name, value) = (&parameter.name, good(&parameter.name));
            write!(route, "{sign}{name}={value}").expect("memory");
            sign = '&';
        }
    }
    if !rest.is_empty() {
        route.push(sign);
        route.push_str(rest);
    }
    route
}

#[track_caller]
fn send(scene: &Scene, operation: &Operation, route: &str) -> Response {
    match operation.method.as_str() {
        "GET" => scene.api.get(route),
        "DELETE" => scene.api.delete(route),
        _ => scene
            .api
            .post_bytes(route, "application/octet-stream", b"changed"),
    }
}

/// Each operation that has query parameters.
#[track_caller]
fn operations(scene: &Scene) -> Vec<Operation> {
    let all = scene.operations().into_iter();
    let with_query: Vec<_> = all
        .filter(|operation| !operation.query.is_empty())
        .collect();
    assert!(with_query.len() >= 14, "{} operations", with_query.len());
    with_query
}

#[test]
fn a_parameter_that_does_not_exist_is_named() {
    let scene = Scene::new();
    for operation in operations(&scene) {
        for unknown in [
            "unknown=1",
            "Path=/a",
            "unknown",
            "path[]=/a",
            "=x&unknown=1",
        ] {
            let route = asked(&operation, "", unknown);
            let answer = send(&scene, &operation, &route);
            refused(&answer, &route);
            if unknown.starts_with("unknown") {
                refused_naming(&answer, "unknown", &route);
            }
        }
    }
    scene.unharmed();
}

#[test]
fn a_parameter_that_is_missing_or_there_twice_is_named() {
    let scene = Scene::new();
    for operation in operations(&scene) {
        for parameter in &operation.query {
            let name = &parameter.name;
            if parameter.required {
                let route = asked(&operation, name, "");
                refused_naming(&send(&scene, &operation, &route), name, &route);
            }
            let twice = format!("{name}=1&{name}=1");
            let route = asked(&operation, name, &twice);
            refused_naming(&send(&scene, &operation, &route), name, &route);
        }
    }
    scene.unharmed();
}

#[test]
fn a_parameter_of_the_wrong_type_is_named() {
    let scene = Scene::new();
    for operation in operations(&scene) {
        for parameter in &operation.query {
            let values: &[&str] = match parameter.kind.as_str() {
                "integer" => &[
                    "",
                    "x",
                    "1.5",
                    "1e3",
                    "0x1",
                    " 1",
                    "1 ",
                    "9223372036854775808",
                    "-9223372036854775809",
                    "null",
                    "true",
                    "1,2",
                    "\u{0661}",
                    "\0",
                ],
                "boolean" => &["", "maybe", "1", "0", "TRUE", "yes", "null"],
                // Texts are looked at by what they mean.
                _ => &[],
            };
            for value in values {
                let rest = format!("{}={}", parameter.name, encode(value));
                let route = asked(&operation, &parameter.name, &rest);
                refused_naming(&send(&scene, &operation, &route), &parameter.name, &route);
            }
        }
    }
    scene.unharmed();
}

#[test]
fn a_number_out_of_its_bounds_is_named() {
    let scene = Scene::new();
    for list in ["files/list", "files/search?q=x", "trash", "sync/log"] {
        let sign = if list.contains('?') { '&' } else { '?' };
        for limit in ["0", "1001", "4294967295", "4294967296", "-1"] {
            let route = format!("{list}{sign}limit={limit}");
            refused_naming(&scene.api.get(&route), "limit", &route);
        }
        scene.api.get(&format!("{list}{sign}limit=1000")).json(200);
    }
    for limit in ["0", "10001", "-1"] {
        let route = format!("sync/pull?limit={limit}");
        refused_naming(&scene.api.get(&route), "limit", &route);
    }
    let cursor = encode(&scene.api.cursor());
    for timeout in ["56", "-1", "18446744073709551615", "18446744073709551616"] {
        let route = format!("sync/poll?cursor={cursor}&timeout={timeout}");
        refused_naming(&scene.api.get(&route), "timeout", &route);
    }
    scene
        .api
        .get(&format!("sync/poll?cursor={cursor}&timeout=0"))
        .json(200);
    scene.unharmed();
}

#[test]
fn bad_percent_encoding_is_refused_and_makes_no_other_name_of_it() {
    let scene = Scene::new();
    for broken in [
        "%",
        "%a",
        "%zz",
        "%%",
        "%1",
        "%u00e4",
        "%ff",
        "%c3%28",
        "%c0%af",
        "%ed%a0%80",
        "%f8%88%80%80%80",
        "%e4",
        "%C3",
    ] {
        for route in [
            format!("files/info?path=/{broken}"),
            format!("files/list?path=/{broken}"),
            format!("files/list?cursor={broken}"),
            format!("files/download?path=/{broken}"),
            format!("files/search?q={broken}"),
            format!("files/search?q=x&{broken}=x"),
            format!("trash?cursor={broken}"),
            format!("sync/pull?cursor={broken}"),
        ] {
            refused(&scene.api.get(&route), &route);
        }
        for rest in [
            format!("path=/{broken}"),
            format!("path=/documents/x{broken}y"),
            format!("path=/b&base={broken}"),
            format!("path=/b&checksum={broken}"),
            format!("path=/b&{broken}=1"),
        ] {
            let route = format!("files/upload?{rest}");
            let answer = scene
                .api
                .post_bytes(&route, "application/octet-stream", b"x");
            refused(&answer, &route);
        }
    }
    scene.unharmed();
}

#[test]
fn what_is_encoded_well_is_the_name_that_was_meant() {
    let scene = Scene::new();
    let api = &scene.api;
    for name in [
        "a b", "a+b", "a%20b", "100%", "a&b=c", "a#b", "a?b", "ä😀", "a;b", "\u{fffd}", "'\"<>",
        "a\\b", "…",
    ] {
        let path = format!("/documents/{name}");
        assert_eq!(api.upload(&path, name.as_bytes())["name"], name);
        assert_eq!(api.download(&path), name.as_bytes());
    }
    assert_eq!(api.names("/documents").len(), 13);
}
