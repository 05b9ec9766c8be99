//! JSON bodies that are none, or none of those that are meant.

use std::time::Duration;

use serde_json::{Value, json};
use webdav_tests::http::Body;
use webdav_tests::raw::Raw;
use webdav_tests::{Api, Response};

use super::{Operation, Scene, refused, refused_naming};

/// Longest JSON body of a request, in bytes.
const JSON_MAX: usize = 64 * 1024;
/// Longest of a signature with all its ranges, or of a list of files.
const LIST_MAX: usize = 160 * 1024;
const JSON: [(&str, &str); 1] = [("Content-Type", "application/json")];

/// A body that an operation understands.
fn good(operation: &Operation) -> Value {
    match operation.path.as_str() {
        "auth/login" => json!({"account": "nobody", "password": "x"}),
        "auth/refresh" => json!({"refresh_token": "x"}),
        "auth/register" => {
            json!({"account": "nobody", "password": "x", "name": "x", "type": "linux"})
        }
        "conflicts/{id}/resolve" => json!({"keep": "both"}),
        "devices/confirm" => json!({"code": "000000"}),
        "devices/{id}" => json!({"name": "x"}),
        "files/copy" | "files/move" => json!({"from": "/a", "to": "/b"}),
        "files/mkdir" => json!({"path": "/d"}),
        "sync/fetch" => json!({"items": [{"id": 1, "to": "f1"}]}),
        "sync/signature" => json!({"id": 1, "block": 4096, "ranges": []}),
        "uploads" => json!({"path": "/u", "size": 1}),
        other => panic!("the document has a new JSON body: {other}"),
    }
}

/// Each operation that takes a JSON body.
#[track_caller]
fn operations(scene: &Scene) -> Vec<Operation> {
    let all = scene.operations().into_iter();
    let with_body: Vec<_> = all.filter(|operation| operation.body.is_some()).collect();
    assert!(with_body.len() >= 11, "{} operations", with_body.len());
    with_body
}

#[track_caller]
fn send(api: &Api, operation: &Operation, body: &[u8]) -> Response {
    api.send(
        &operation.method,
        &operation.route("1"),
        &JSON,
        Body::Bytes(body),
    )
}

#[test]
fn what_is_no_json_is_refused() {
    let scene = Scene::new();
    for operation in operations(&scene) {
        let good = good(&operation).to_string();
        let cut = &good.as_bytes()[..good.len() - 1];
        let mut not_utf8 = good.clone().into_bytes();
        let at = good.rfind('"').expect("a text");
        not_utf8.insert(at, 0xff);
        let nested = format!("{}1{}", "[".repeat(30_000), "]".repeat(30_000));
        let deep = format!("{}1{}", r#"{"a":"#.repeat(8000), "}".repeat(8000));
        let twice = format!("{good}{good}");
        let bom = format!("\u{feff}{good}");
        let commented = format!("/* */{good}");
        for body in [
            b"".as_slice(),
            b"x",
            b"\0",
            b"{",
            b"}",
            b"nul",
            b"'x'",
            b"{\"a\":NaN}",
            cut,
            &not_utf8,
            nested.as_bytes(),
            deep.as_bytes(),
            twice.as_bytes(),
            bom.as_bytes(),
            commented.as_bytes(),
        ] {
            let shown = String::from_utf8_lossy(&body[..body.len().min(60)]).into_owned();
            let answer = send(&scene.api, &operation, body);
            let problem = refused(&answer, &format!("{} {shown}", operation.path));
            assert!(
                matches!(answer.status, 400 | 422),
                "{} {shown}: {problem}",
                operation.path
            );
        }
    }
    scene.unharmed();
}

#[test]
fn what_is_another_kind_of_json_is_refused() {
    let scene = Scene::new();
    for operation in operations(&scene) {
        // The values of the fields without their names: a list is no object
        let good = good(&operation);
        let positional: Vec<Value> = good
            .as_object()
            .expect("an object")
            .values()
            .cloned()
            .collect();
        let mut padded = positional.clone();
        padded.extend([Value::Null, Value::Null, Value::Null, Value::Null]);
        for body in [
            json!(null),
            json!(1),
            json!("x"),
            json!(true),
            json!([]),
            json!([good]),
            json!(positional),
            json!(padded),
        ] {
            let answer = send(&scene.api, &operation, body.to_string().as_bytes());
            assert_eq!(answer.status, 422, "{} {body}: {answer}", operation.path);
            answer.problem("invalid", 422);
        }
    }
    for body in [r#"["/d",null,false]"#, r#"["/d",1,true]"#] {
        let answer = scene
            .api
            .send("POST", "files/mkdir", &JSON, Body::Bytes(body.as_bytes()));
        answer.problem("invalid", 422);
    }
    scene.unharmed();
}

#[test]
fn a_field_that_does_not_exist_or_is_there_twice_is_named() {
    let scene = Scene::new();
    for operation in operations(&scene) {
        let mut body = good(&operation);
        body["unknown"] = json!(1);
        let answer = send(&scene.api, &operation, body.to_string().as_bytes());
        assert_eq!(answer.status, 422, "{}: {answer}", operation.path);
        refused_naming(&answer, "unknown", &operation.path);

        let good = good(&operation).to_string();
        let field = good.split('"').nth(1).expect("a field").to_owned();
        let twice = format!("{},\"{field}\":1}}", good.trim_end_matches('}'));
        let answer = send(&scene.api, &operation, twice.as_bytes());
        refused_naming(&answer, &field, &format!("{} {twice}", operation.path));
    }
    scene.unharmed();
}

#[test]
fn a_field_that_is_missing_or_of_the_wrong_type_is_named() {
    let scene = Scene::new();
    for operation in operations(&scene) {
        let schema = operation.body.as_ref().expect("a body");
        let required = schema["required"].as_array().cloned().unwrap_or_default();
        for (field, described) in schema["properties"].as_object().expect("properties") {
            let needed = required.contains(&json!(field));
            if needed {
                let mut body = good(&operation);
                body.as_object_mut().expect("an object").remove(field);
                let answer = send(&scene.api, &operation, body.to_string().as_bytes());
                assert_eq!(
                    answer.status, 422,
                    "{} without {field}: {answer}",
                    operation.path
                );
                refused_naming(&answer, field, &operation.path);
            }
            let mut wrong = vec![json!({}), json!([[]]), json!(1.5)];
            wrong.extend(match described["type"].as_str() {
                Some("integer") => vec![json!("1"), json!(true), json!(1e30), json!(u64::MAX)],
                Some("boolean") => vec![json!("true"), json!(1)],
                Some("array") => vec![
                    json!("x"),
                    json!([1]),
                    json!([["x", 1]]),
                    json!([[1, 2, 3]]),
                ],
                _ => vec![json!(1), json!(true), json!(["x"])],
            });
            if needed {
                wrong.push(Value::Null);
            }
            for value in wrong {
                let mut body = good(&operation);
                body[field] = value;
                let what = format!("{} {body}", operation.path);
                let answer = send(&scene.api, &operation, body.to_string().as_bytes());
                // What is a number fits the type, and may be a size too large, or an id of nothing.
                if matches!(answer.status, 404 | 413) && described["type"] == "integer" {
                    refused(&answer, &what);
                    continue;
                }
                assert!(matches!(answer.status, 400 | 422), "{what}: {answer}");
                refused_naming(&answer, field, &what);
            }
        }
    }
    scene.unharmed();
}

#[test]
fn a_body_of_another_type_is_415() {
    let scene = Scene::new();
    for operation in operations(&scene) {
        let body = good(&operation).to_string();
        for media in [
            "text/plain",
            "application/x-www-form-urlencoded",
            "multipart/form-data; boundary=x",
            "application/octet-stream",
            "application/xml",
            "",
            "json",
            "application/json-seq",
            "text/json",
        ] {
            let headers = [("Content-Type", media)];
            let body = Body::Bytes(body.as_bytes());
            let answer = scene
                .api
                .send(&operation.method, &operation.route("1"), &headers, body);
            answer.problem("unsupported-media-type", 415);
        }
        let answer = scene.api.send(
            &operation.method,
            &operation.route("1"),
            &[],
            Body::Bytes(body.as_bytes()),
        );
        answer.problem("unsupported-media-type", 415);
    }
    for media in [
        "text/plain",
        "application/json",
        "",
        "application/vnd.sync-server.streams",
    ] {
        scene
            .api
            .post_bytes("sync/push", media, b"SYN1")
            .problem("unsupported-media-type", 415);
    }
    scene.unharmed();
    // What a browser or a library adds does not matter
    let scene = Scene::new();
    for (n, media) in [
        "application/json; charset=utf-8",
        "Application/JSON",
        "application/json;charset=UTF-8",
    ]
    .into_iter()
    .enumerate()
    {
        let body = json!({"path": format!("/documents/{n}")}).to_string();
        let headers = [("Content-Type", media)];
        scene
            .api
            .send(
                "POST",
                "files/mkdir",
                &headers,
                Body::Bytes(body.as_bytes()),
            )
            .json(201);
    }
}

#[test]
fn a_body_without_end_is_413_before_it_ends() {
    let scene = Scene::new();
    for operation in operations(&scene) {
        let most = match operation.path.as_str() {
            "sync/fetch" | "sync/signature" => LIST_MAX,
            _ => JSON_MAX,
        };
        // One space too many
        let mut large = good(&operation).to_string();
        large.push_str(&" ".repeat(most + 1 - large.len()));
        let route = operation.route("1");
        send(&scene.api, &operation, large.as_bytes()).problem("too-large", 413);
        let chunked = scene.api.send(
            &operation.method,
            &route,
            &JSON,
            Body::Chunked(large.as_bytes()),
        );
        chunked.problem("too-large", 413);
        // A megabyte of spaces in a kilobyte
        let bomb = zstd::encode_all(&*vec![b' '; 1_000_000], 3).expect("memory");
        let headers = [JSON[0], ("Content-Encoding", "zstd")];
        let answer =
            scene
                .api
                .again()
                .send(&operation.method, &route, &headers, Body::Bytes(&bomb));
        answer.problem("too-large", 413);
    }
    // Ten gigabytes that were only announced are not waited for
    let mut raw = Raw::connect(&scene.server.address());
    let headers = [JSON[0], ("Content-Length", "10000000000")];
    raw.send(scene.api.head("POST", "files/mkdir", &headers) + "\r\n");
    raw.send(" ".repeat(2 * JSON_MAX));
    let answer = raw.answer(Duration::from_secs(20)).expect("an answer");
    answer.problem("too-large", 413);
    scene.unharmed();
}

#[test]
fn as_much_as_may_be_needed_is_taken() {
    let scene = Scene::new();
    // Two paths of 4 KiB whose every character is escaped
    let name = "\\u0061".repeat(255);
    let path = format!("/{name}").repeat(15);
    let body = format!(r#"{{"from":"{path}","to":"{path}"}}"#);
    assert!(body.len() > 40_000 && body.len() < JSON_MAX);
    let answer = scene
        .api
        .send("POST", "files/move", &JSON, Body::Bytes(body.as_bytes()));
    answer.expect(&[404, 409]).any_problem();
    scene.unharmed();
}

#[test]
fn a_signature_of_what_is_not_there_is_refused() {
    let scene = Scene::new();
    let node = scene.api.info("/a");
    let ask = |block: u64, ranges: Value| {
        let asked = json!({"id": node["id"], "block": block, "ranges": ranges});
        scene.api.post("sync/signature", &asked)
    };
    for block in [0, 1, 511, 65_537, 4_294_967_295] {
        ask(block, json!([[0, 11]])).problem_at("invalid", 422, "block");
    }
    for ranges in [
        json!([[0, 12]]),
        json!([[11, 1]]),
        json!([[0, u64::MAX]]),
        json!([[u64::MAX, 1]]),
        json!([[1, u64::MAX]]),
        json!(vec![[0, 1]; 1025]),
    ] {
        ask(512, ranges).problem_at("invalid", 422, "ranges");
    }
    for etag in ["x", "d1", "f0", ""] {
        let asked = json!({"id": node["id"], "block": 512, "ranges": [[0, 11]], "etag": etag});
        refused_naming(&scene.api.post("sync/signature", &asked), "etag", etag);
    }
    ask(512, json!([[0, 11]])).expect(&[200]);
    scene.unharmed();
}
