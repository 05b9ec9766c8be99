//! `POST sync/fetch`: many files in one answer, those that cannot be given among them.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};
use sync_server::protocol::sync::{FETCH_MAX, FetchItem};
use webdav_tests::api::{self, Api};
use webdav_tests::client::within;
use webdav_tests::content::{assert_same, noise, prose};
use webdav_tests::damage::flip;
use webdav_tests::device::{BadDelta, Delta, Device, Push, fetched, put};
use webdav_tests::http::Body;
use webdav_tests::{Setup, TestServer};

const PASSWORD: &str = "a long password 1";
/// How long a line of the log may take that does not hold up its answer.
const LOGGED_WITHIN: Duration = Duration::from_secs(10);

/// Uploads a file whole; its id and etag.
#[track_caller]
fn write(api: &Api, path: &str, bytes: &[u8]) -> (i64, String) {
    let node = api.upload(path, bytes);
    (api::id(&node), api::text(&node, "etag").to_owned())
}

fn item(id: i64, from: Option<&str>, to: &str) -> FetchItem {
    FetchItem {
        id,
        from: from.map(ToOwned::to_owned),
        to: to.to_owned(),
    }
}

/// Many small files by one push; the bytes of each by its id and etag.
#[track_caller]
fn plant(device: &Device, count: usize, size: usize) -> BTreeMap<(i64, String), Vec<u8>> {
    let contents: Vec<_> = (0..count as u64).map(|n| noise(n, size)).collect();
    let mut push = Push::new();
    for (n, bytes) in contents.iter().enumerate() {
        push.whole(&put(&format!("/documents/{n:05}"), bytes.len()), bytes);
    }
    let nodes = device.results(&push).into_iter().map(|result| result.node);
    let named = nodes.map(|node| node.expect("it was stored"));
    named
        .map(|node| (node.id, node.etag))
        .zip(contents)
        .collect()
}

#[test]
fn many_files_come_in_one_answer_and_in_their_order() {
    let server = TestServer::start();
    let device = Device::admin(&server, "laptop");
    let mut planted = plant(&device, FETCH_MAX - 4, 4096);
    for size in [0, 8192, 8193, 700_000] {
        let bytes = noise(9, size);
        planted.insert(
            write(device.api(), &format!("/photos/{size}"), &bytes),
            bytes,
        );
    }
    // Not the order in which they were written.
    let (mut asked, mut rest): (Vec<_>, Vec<_>) =
        planted.iter().partition(|((id, _), _)| id % 3 == 0);
    asked.append(&mut rest);
    let items = asked
        .iter()
        .map(|((id, etag), _)| item(*id, None, etag))
        .collect();
    let given = device.fetched(items);
    assert_eq!(given.len(), FETCH_MAX);
    for (given, ((id, _), bytes)) in given.iter().zip(&asked) {
        let delta = given.as_ref().expect("it is there");
        assert_same(&delta.apply(&[]), bytes, &id.to_string());
        assert_eq!(delta.head.size, bytes.len() as u64);
    }
    // The answer does not wait for the log.
    let downloads = || {
        let log = device.api().get("sync/log?limit=1000").json(200);
        let entries = log["items"].as_array().expect("a list").iter();
        entries
            .filter(|entry| entry["action"] == "download")
            .count()
    };
    assert!(
        within(LOGGED_WITHIN, || downloads() == FETCH_MAX),
        "{} were logged",
        downloads()
    );
}

#[test]
fn files_with_and_without_a_base_come_together() {
    let server = TestServer::start();
    let mut device = Device::admin(&server, "laptop");
    let mut asked = Vec::new();
    for (n, size) in [100, 9000, 300_000, 2_000_000].into_iter().enumerate() {
        let path = format!("/documents/{size}");
        let old = prose(size);
        let mut new = old.clone();
        new.splice(size / 2..size / 2 + 10, noise(1, 30));
        let (_, from) = write(device.api(), &path, &old);
        let (id, to) = write(device.api(), &path, &new);
        asked.push((item(id, Some(&from), &to), old.clone(), new.clone()));
        asked.push((item(id, Some(&to), &from), new.clone(), old.clone()));
        if n % 2 == 0 {
            asked.push((item(id, None, &from), Vec::new(), old));
        }
        asked.push((item(id, None, &to), Vec::new(), new));
    }
    let items = asked.iter().map(|(item, ..)| item.clone()).collect();
    let space = api::number(&device.api().info("/documents"), "space");
    for (given, (item, base, new)) in device.fetched(items).into_iter().zip(&asked) {
        let delta = given.expect("it is there");
        assert_same(&delta.apply(base), new, &format!("{item:?}"));
        assert_eq!(delta.head.root, device.space(space).root(new));
        if item.from.is_some() && new.len() > 10_000 {
            assert!(delta.kinds().contains(&"COPY"), "{:?}", delta.kinds());
        }
    }
}

#[test]
fn what_cannot_be_given_says_why_and_the_others_come() {
    let server = Setup::default()
        .env("SYNC_VERSIONS__KEEP", "2")
        .env("SYNC_VERSIONS__KEEP_ALWAYS", "1")
        .start();
    server.add_user("bob", PASSWORD, None);
    let device = Device::admin(&server, "laptop");
    let api = device.api();
    let bob = Api::register(&server, "bob", PASSWORD, "phone");
    let theirs = write(&bob, "/documents/diary", b"secret");
    let shared = write(&bob, "/shared/for all", b"for all");
    let trashed = write(api, "/documents/gone", b"gone");
    api.remove("/documents/gone");
    api.mkdir("/documents/folder");
    let below = write(api, "/documents/folder/below", b"below");
    api.remove("/documents/folder");
    let other = write(api, "/documents/other", b"other");
    let (id, pruned) = write(api, "/documents/a", b"0");
    let kept = (1..6).map(|n| write(api, "/documents/a", format!("{n}").as_bytes()).1);
    let kept: Vec<_> = kept.collect();
    let folder = api::id(&api.info("/documents"));

    let refused = [
        (item(theirs.0, None, &theirs.1), "not-found", None),
        (item(trashed.0, None, &trashed.1), "not-found", None),
        (item(below.0, None, &below.1), "not-found", None),
        (item(1 << 50, None, "f1"), "not-found", None),
        (item(folder, None, "f1"), "is-a-collection", None),
        (item(id, None, &pruned), "not-found", Some("to")),
        (item(id, None, &other.1), "not-found", Some("to")),
        (item(id, None, &theirs.1), "not-found", Some("to")),
        (item(id, Some(&pruned), &kept[4]), "not-found", Some("from")),
        (
            item(id, Some(&other.1), &kept[4]),
            "not-found",
            Some("from"),
        ),
        (
            item(id, Some(&theirs.1), &kept[4]),
            "not-found",
            Some("from"),
        ),
        (
            item(id, Some("f7fffffff"), &kept[4]),
            "not-found",
            Some("from"),
        ),
    ];
    let good = [
        (item(id, None, &kept[4]), &b"5"[..]),
        (item(id, Some(&kept[3]), &kept[4]), b"5"),
        (item(shared.0, None, &shared.1), b"for all"),
        // Twice is no mistake.
        (item(other.0, None, &other.1), b"other"),
        (item(other.0, None, &other.1), b"other"),
    ];
    let mut asked = Vec::new();
    for (n, (refused, name, field)) in refused.into_iter().enumerate() {
        asked.push((refused, Err((name, field))));
        let (good, bytes) = &good[n % good.len()];
        asked.push((good.clone(), Ok(*bytes)));
    }
    check(&device, &asked);
}

/// Bytes, or the problem with its field.
type Expected<'a> = Result<&'a [u8], (&'a str, Option<&'a str>)>;

/// Asks for all at once; deltas begin with `4`.
#[track_caller]
fn check(device: &Device, asked: &[(FetchItem, Expected<'_>)]) {
    let items = asked.iter().map(|(item, _)| item.clone()).collect();
    for (given, (item, expected)) in device.fetched(items).iter().zip(asked) {
        match (given, expected) {
            (Ok(delta), Ok(bytes)) => {
                let base = if item.from.is_some() { &b"4"[..] } else { b"" };
                assert_same(&delta.apply(base), bytes, &format!("{item:?}"));
            }
            (Err(refusal), Err(expected)) => {
                let problem = &refusal.problem;
                let told = (problem.name(), problem.field.as_deref());
                assert_eq!(told, *expected, "{item:?}");
            }
            (given, expected) => panic!("{item:?}: {given:?} and {expected:?}"),
        }
    }
}

#[test]
fn lists_that_are_empty_too_long_or_none_are_refused_as_a_whole() {
    let server = TestServer::start();
    let api = Api::admin(&server);
    let (id, etag) = write(&api, "/documents/a", b"a");
    let one = json!({"id": id, "to": etag});
    let ask = |items: Value| api.post("sync/fetch", &json!({ "items": items }));
    ask(json!(vec![one.clone(); FETCH_MAX])).expect(&[200]);
    for items in [json!([]), json!(vec![one.clone(); FETCH_MAX + 1])] {
        ask(items).problem_at("invalid", 422, "items");
    }
    for wrong in [0, -1, 1_i64 << 53] {
        ask(json!([one, {"id": wrong, "to": etag}])).problem_at("invalid", 422, "id");
    }
    for wrong in ["", "d1", "x", "f", "f-1", "none"] {
        ask(json!([one, {"id": id, "to": wrong}])).problem_at("invalid", 422, "to");
        ask(json!([one, {"id": id, "to": etag, "from": wrong}])).problem_at("invalid", 422, "from");
    }
    for wrong in [
        json!({"id": id}),
        json!({"to": etag}),
        json!({"id": id, "to": etag, "x": 1}),
        json!(7),
    ] {
        ask(json!([one, wrong])).problem("invalid", 422);
    }
}

#[test]
fn an_answer_is_compressed_as_a_whole_when_the_client_asks() {
    let server = TestServer::start();
    let api = Api::admin(&server);
    let text = prose(4000);
    let mut items = Vec::new();
    for n in 0..100 {
        let (id, to) = write(
            &api,
            &format!("/documents/{n}"),
            &[format!("{n} ").as_bytes(), &text].concat(),
        );
        items.push(json!({"id": id, "to": to}));
    }
    let body = json!({ "items": items }).to_string();
    let headers = [
        ("Content-Type", "application/json"),
        ("Accept-Encoding", "zstd"),
    ];
    let answer = api.send("POST", "sync/fetch", &headers, Body::Bytes(body.as_bytes()));
    let answer = answer.expect(&[200]);
    assert_eq!(answer.header("content-encoding"), Some("zstd"));
    assert!(
        answer.body.len() < 100 * text.len() / 10,
        "{}",
        answer.body.len()
    );
    let stream = zstd::decode_all(&*answer.body).expect("a frame");
    assert_eq!(fetched(&stream).expect("files").len(), 100);
}

#[test]
fn damage_is_told_before_a_file_begins_and_ends_the_answer_within_it() {
    for (part, whole) in [(0, true), (1, false)] {
        let server = TestServer::start();
        let device = Device::admin(&server, "laptop");
        // Cut into a few chunks, of which the first or one in the middle is damaged.
        let bytes = noise(1, 1_000_000);
        let large = write(device.api(), "/documents/large", &bytes);
        flip(
            &server,
            |size| if part == 0 { 32 + 16 + 5000 } else { size / 2 },
        );
        let small = write(device.api(), "/documents/small", b"small");
        let items: Vec<_> = [&small, &large, &small]
            .map(|(id, to)| json!({"id": id, "to": to}))
            .into();
        let body = json!({ "items": items }).to_string();
        let headers = [
            ("Content-Type", "application/json"),
            (
                "Authorization",
                &*format!("Bearer {}", device.api().access()),
            ),
        ];
        let mut got = Vec::new();
        let sent = device.api().http().again().try_send(
            "POST",
            "/api/v1/sync/fetch",
            &headers,
            Body::Bytes(body.as_bytes()),
            Some(&mut got),
        );
        assert_eq!(sent.is_ok(), whole, "{sent:?}");
        if whole {
            let given = fetched(&got).expect("files");
            let refusal = given[1].as_ref().expect_err("damaged");
            assert_eq!(refusal.problem.name(), "internal");
            for n in [0, 2] {
                assert_eq!(given[n].as_ref().expect("sound").apply(&[]), b"small");
            }
        } else {
            assert!(matches!(
                fetched(&got),
                Err(BadDelta::Stream(_) | BadDelta::Unfinished)
            ));
            let at = got.windows(1000).position(|part| part == &bytes[..1000]);
            let at = at.expect("the sound bytes come");
            let known = &bytes[..got.len() - at];
            assert_eq!(&got[at..], known, "none that are not the file's");
        }
        let given: Delta = device
            .fetched(vec![item(small.0, None, &small.1)])
            .remove(0)
            .expect("sound");
        assert_eq!(given.apply(&[]), b"small");
    }
}
