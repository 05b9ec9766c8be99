//! What the devices of an account did.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use webdav_tests::api::{id, number, route, text};
use webdav_tests::http::Body;
use webdav_tests::{Api, TestServer};

use super::bob;

/// How long a line may take that does not hold up its answer.
const WRITTEN_WITHIN: Duration = Duration::from_secs(10);

/// The log, oldest first.
#[track_caller]
fn log(api: &Api) -> Vec<Value> {
    let mut page = api.get("sync/log?limit=1000").json(200);
    assert_eq!(page["next"], Value::Null);
    let Value::Array(mut lines) = page["items"].take() else {
        panic!("no items in {page}")
    };
    lines.reverse();
    lines
}

/// The actions in the log, oldest first.
#[track_caller]
fn actions(api: &Api) -> Vec<String> {
    let lines = log(api);
    lines
        .iter()
        .map(|line| text(line, "action").to_owned())
        .collect()
}

/// Waits until so many downloads are in the log.
#[track_caller]
fn downloads(api: &Api, wanted: usize) -> Vec<Value> {
    let since = Instant::now();
    loop {
        let lines = log(api).into_iter();
        let found: Vec<Value> = lines.filter(|line| line["action"] == "download").collect();
        if found.len() >= wanted {
            assert_eq!(found.len(), wanted, "{found:?}");
            return found;
        }
        assert!(since.elapsed() < WRITTEN_WITHIN, "{found:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn every_deed_is_one_line_in_its_order() {
    let server = TestServer::start();
    let api = Api::admin(&server);
    let (last, started) = (log(&api).len(), number(&api.status(), "time"));
    let file = id(&api.upload("/documents/a", b"12345"));
    api.upload("/documents/a", b"123");
    api.download("/documents/a");
    downloads(&api, 1);
    let folder = id(&api.mkdir("/documents/d"));
    api.rename("/documents/a", "/documents/d/a");
    let asked = json!({"from": "/documents/d/a", "to": "/b"});
    let copy = id(&api.post("files/copy", &asked).json(200)["node"]);
    let restore = format!("files/{file}/versions/1/restore");
    api.post_nothing(&restore).json(200);
    api.remove("/documents/d");
    api.post_nothing(&format!("trash/{folder}/restore"))
        .json(200);
    api.remove("/b");
    api.delete(&format!("trash/{copy}")).expect(&[204]);
    let ended = number(&api.status(), "time");

    let lines = log(&api).split_off(last);
    let told = |line: &Value| {
        (
            text(line, "action").to_owned(),
            number(line, "node"),
            number(line, "size"),
        )
    };
    let found: Vec<_> = lines.iter().map(told).collect();
    let expected = [
        ("upload", file, 5),
        ("upload", file, 3),
        ("download", file, 3),
        ("mkdir", folder, 0),
        ("move", file, 0),
        ("copy", copy, 3),
        ("restore", file, 5),
        ("delete", folder, 5),
        ("restore", folder, 5),
        ("delete", copy, 3),
        ("purge", copy, 3),
    ];
    assert_eq!(
        found,
        expected.map(|(action, node, size)| (action.to_owned(), node, size))
    );
    let space = &api.status()["spaces"][0]["id"];
    for line in &lines {
        assert_eq!(
            (&line["device"], &line["space"]),
            (&json!(api.device()), space),
            "{line}"
        );
        assert!((started..=ended).contains(&number(line, "at")), "{line}");
    }
    assert!(lines.windows(2).all(|pair| id(&pair[0]) < id(&pair[1])));
}

#[test]
fn a_download_is_one_line_however_it_is_fetched() {
    let server = TestServer::start();
    let api = Api::admin(&server);
    let node = api.upload("/a", &vec![7; 100_000]);
    let target = route("files/download", &[("path", "/a")]);
    api.get(&target).expect(&[200]);
    let lines = downloads(&api, 1);
    assert_eq!(
        (&lines[0]["node"], &lines[0]["size"]),
        (&node["id"], &json!(100_000))
    );
    assert_eq!(lines[0]["device"], api.device());

    // One that goes on where it broke off is the same download, and looking takes no bytes
    api.get_with(&target, &[("Range", "bytes=0-49999")])
        .expect(&[206]);
    api.get_with(&target, &[("Range", "bytes=50000-")])
        .expect(&[206]);
    downloads(&api, 2);
    let tag = format!("\"{}\"", text(&node, "etag"));
    api.get_with(&target, &[("If-None-Match", &tag)])
        .expect(&[304]);
    api.send("HEAD", &target, &[], Body::None).expect(&[200]);
    api.get_with(&target, &[("Range", "bytes=70000-")])
        .expect(&[206]);
    // Comes behind whatever the three would have written
    api.get(&target).expect(&[200]);
    downloads(&api, 3);
    std::thread::sleep(Duration::from_millis(300));
    downloads(&api, 3);
}

#[test]
fn what_webdav_does_is_told_with_its_device() {
    let server = TestServer::start();
    let api = Api::admin(&server);
    let said = server.cli_ok(&["device", "add", "admin", "davx5"], "");
    let rest = said.trim().strip_prefix("device ").expect("device ID");
    let (device, password) = rest.split_once(", password ").expect("a password");
    let dav = server.anonymous().login("admin", password);
    dav.put("/dav/a", b"123").expect(&[201]);
    server.admin().delete("/dav/a").expect(&[204]);
    let lines = log(&api);
    let shown: Vec<_> = lines
        .iter()
        .map(|line| (text(line, "action"), line["device"].clone()))
        .collect();
    let device: Value = device.parse::<i64>().expect("an id").into();
    assert!(
        shown.ends_with(&[("upload", device), ("delete", Value::Null)]),
        "{shown:?}"
    );
}

#[test]
fn pages_of_any_size_make_the_whole_log() {
    let server = TestServer::start();
    let api = Api::admin(&server);
    for n in 0..30 {
        api.upload("/a", n.to_string().as_bytes());
    }
    let mut whole = log(&api);
    whole.reverse();
    for limit in [1, 7, 29, 1000] {
        let mut found = Vec::new();
        let mut asked = format!("sync/log?limit={limit}");
        loop {
            let page = api.get(&asked).json(200);
            found.extend(page["items"].as_array().expect("items").iter().cloned());
            let Some(next) = page["next"].as_i64() else {
                break;
            };
            asked = format!("sync/log?limit={limit}&before={next}");
        }
        assert_eq!(found, whole, "pages of {limit}");
    }
    for (before, lines) in [
        ("0", 0),
        ("-1", 0),
        ("-9223372036854775808", 0),
        ("9223372036854775807", 30),
    ] {
        let page = api.get(&format!("sync/log?before={before}")).json(200);
        let uploads = page["items"].as_array().expect("items").iter();
        assert_eq!(
            uploads.filter(|line| line["action"] == "upload").count(),
            lines,
            "{before}"
        );
    }
}

#[test]
fn each_account_sees_what_it_did_itself() {
    let server = TestServer::start();
    let (admin, bob) = (Api::admin(&server), bob(&server));
    admin.upload("/shared/a", b"x");
    admin.upload("/documents/a", b"x");
    let before = actions(&bob).len();
    bob.download("/shared/a");
    downloads(&bob, 1);
    assert_eq!(actions(&bob).len(), before + 1);
    assert!(!actions(&bob).contains(&"upload".to_owned()));
    assert!(!actions(&admin).contains(&"download".to_owned()));
}

#[test]
fn the_log_survives_a_restart() {
    let mut server = TestServer::start();
    let api = Api::admin(&server);
    api.upload("/a", b"x");
    api.download("/a");
    // The server finishes what it has begun before it ends
    server.restart();
    let lines = actions(&api.on(&server));
    assert!(
        lines.ends_with(&["upload".to_owned(), "download".to_owned()]),
        "{lines:?}"
    );
}
