//! Two servers on one PostgreSQL and one data folder: each sees what the other does. `postgres/run.sh`
//! runs these; on SQLite there is only one server.

use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;
use webdav_tests::api::{id, number};
use webdav_tests::content::{assert_same, noise};
use webdav_tests::device::Events;
use webdav_tests::http::Body;
use webdav_tests::raw::Raw;
use webdav_tests::server::ADMIN_PASSWORD;
use webdav_tests::{Api, Dav, Response, TestServer, postgres, xml};

/// How soon a server has to know what another did.
const SOON: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(20);

fn two() -> (TestServer, TestServer) {
    assert!(postgres::is_used(), "run this by postgres/run.sh");
    let one = TestServer::start();
    let other = one.beside();
    (one, other)
}

#[track_caller]
fn lock(dav: &Dav, path: &str) -> String {
    let headers = [("Depth", "0"), ("Timeout", "Second-600")];
    let locked = dav.request("LOCK", path, &headers, xml::lock("exclusive").as_bytes());
    let locked = locked.expect(&[200, 201]);
    locked.header("lock-token").expect("a token").to_owned()
}

#[test]
fn what_one_server_has_answered_the_other_serves() {
    let (one, other) = two();
    let (here, there) = (one.admin(), other.admin());
    let large: Vec<u8> = (0..3_000_000_u32).flat_map(u32::to_le_bytes).collect();
    for round in 0..20 {
        let path = format!("/dav/documents/{round}.txt");
        here.put(&path, path.as_bytes()).expect(&[201]);
        assert_eq!(there.get(&path).expect(&[200]).body, path.as_bytes());
        there.put(&path, b"changed").expect(&[204]);
        assert_eq!(here.get(&path).expect(&[200]).body, b"changed");
    }
    there.put("/dav/documents/large", &large).expect(&[201]);
    assert!(here.get("/dav/documents/large").expect(&[200]).body == large);
    here.rename("/dav/documents/large", "/dav/photos/large")
        .expect(&[201]);
    there.get("/dav/documents/large").expect(&[404]);
    assert!(there.get("/dav/photos/large").expect(&[200]).body == large);
}

#[test]
fn a_lock_taken_at_one_server_holds_at_the_other() {
    let (one, other) = two();
    let (here, there) = (one.admin(), other.admin());
    let path = "/dav/documents/locked.txt";
    here.put(path, b"x").expect(&[201]);
    let token = lock(&here, path);
    there.put(path, b"y").expect(&[423]);
    let condition = format!("({token})");
    let opened = there.request("PUT", path, &[("If", &condition)], b"z");
    opened.expect(&[204]);
    let ended = there.request("UNLOCK", path, &[("Lock-Token", &token)], b"");
    ended.expect(&[204]);
    here.put(path, b"free").expect(&[204]);
}

#[test]
fn a_change_at_one_server_is_told_at_the_other_within_a_second() {
    let (one, other) = two();
    let writer = one.admin();
    let listener = Api::admin(&other);
    let mut events = Events::open(&listener, None).expect("a socket");
    for round in 0..5 {
        let since = Instant::now();
        let path = format!("/dav/documents/{round}");
        writer.put(&path, b"x").expect(&[201]);
        let hint = events.hint(PATIENCE);
        let waited = since.elapsed();
        let space = listener.info("/documents")["space"].as_i64();
        assert_eq!(Some(hint.space), space);
        assert!(waited < SOON, "{waited:?}");
    }
    let cursor = listener.cursor();
    let polling = {
        let listener = listener.again();
        thread::spawn(move || {
            let route = format!("sync/poll?cursor={cursor}&timeout=20");
            listener.get(&route).json(200)
        })
    };
    thread::sleep(Duration::from_millis(200));
    let since = Instant::now();
    writer.delete("/dav/documents/0").expect(&[204]);
    let told = polling.join().expect("a poll");
    assert!(since.elapsed() < SOON, "{:?}", since.elapsed());
    assert_eq!(told["events"].as_array().map(Vec::len), Some(1), "{told}");
}

#[test]
fn what_both_write_at_once_is_all_there_and_in_one_order() {
    const FILES: usize = 40;
    let (one, other) = two();
    let device = Api::admin(&one);
    let (_, cursor) = device.pull(None);
    let writers: Vec<_> = [&one, &other, &one, &other]
        .iter()
        .enumerate()
        .map(|(nth, server)| {
            let dav = server.admin();
            thread::spawn(move || {
                for n in 0..FILES {
                    let own = format!("/dav/documents/{nth}-{n}.txt");
                    // Equal bytes at equal times: the same rows for contents and chunks.
                    let bytes = vec![u8::try_from(n).expect("few"); 40_000];
                    dav.put(&own, &bytes).expect(&[201]);
                    dav.put("/dav/documents/all.txt", own.as_bytes())
                        .expect(&[201, 204]);
                }
            })
        })
        .collect();
    for writer in writers {
        writer.join().expect("a writer");
    }
    let (here, there) = (one.admin(), other.admin());
    assert_eq!(here.names("/dav/documents/").len(), 4 * FILES + 1);
    assert!(here.tree("/dav/documents/") == there.tree("/dav/documents/"));
    let id = device.info("/documents/all.txt")["id"].clone();
    let versions = device.get(&format!("files/{id}/versions")).json(200);
    let newest = versions["items"][0]["number"].as_u64();
    assert_eq!(newest, Some(4 * FILES as u64), "{versions}");
    let (changes, _) = Api::admin(&other).pull(Some(&cursor));
    assert_eq!(changes.len(), 4 * FILES + 1);
}

#[test]
fn a_refresh_token_sent_to_both_at_once_has_no_more_successors_than_at_one() {
    let (one, other) = two();
    for _ in 0..5 {
        let device = Api::admin(&one);
        let token = json!({ "refresh_token": device.refresh_token() });
        let sent: Vec<_> = [&one, &other, &one, &other]
            .iter()
            .map(|server| {
                let (api, token) = (Api::anonymous(server), token.clone());
                thread::spawn(move || api.post("auth/refresh", &token).status)
            })
            .collect();
        let mut answers: Vec<_> = sent
            .into_iter()
            .map(|sent| sent.join().expect("an answer"))
            .collect();
        answers.sort_unstable();
        // The successor, one more for a lost answer, and no third.
        assert_eq!(answers, [200, 200, 401, 401]);
    }
}

#[test]
fn one_server_killed_leaves_the_other_at_work() {
    let (mut one, other) = two();
    let there = other.admin();
    one.admin()
        .put("/dav/documents/a", b"answered")
        .expect(&[201]);
    one.kill9();
    assert_eq!(
        there.get("/dav/documents/a").expect(&[200]).body,
        b"answered"
    );
    there.put("/dav/documents/b", b"b").expect(&[201]);
    one.start_again();
    let names = one.admin().names("/dav/documents/");
    assert_eq!(names, ["a", "b"]);
}

/// Sends a part of an upload, whatever comes.
fn part(api: &Api, upload: i64, at: usize, bytes: &[u8]) -> Response {
    let (route, at) = (format!("uploads/{upload}"), at.to_string());
    api.send(
        "PATCH",
        &route,
        &[("Upload-Offset", &*at)],
        Body::Bytes(bytes),
    )
}

/// Asks both at the same time, on connections of their own.
fn at_once<T: Send>(both: [&Api; 2], ask: impl Fn(&Api) -> T + Sync) -> [T; 2] {
    let ask = &ask;
    thread::scope(|scope| {
        let asked = both.map(|api| {
            let api = api.again();
            scope.spawn(move || ask(&api))
        });
        asked.map(|asked| asked.join().expect("an answer"))
    })
}

fn arrived(api: &Api, upload: i64) -> usize {
    let state = api.get(&format!("uploads/{upload}")).json(200);
    usize::try_from(number(&state, "offset")).expect("not negative")
}

#[test]
fn parts_of_one_upload_that_come_to_both_at_once_are_all_kept_or_refused() {
    const PART: usize = 150_000;
    let (one, other) = two();
    let here = Api::admin(&one);
    let there = here.on(&other);
    let content = noise(1, 20 * PART);
    let asked = json!({"path": "/documents/large", "size": content.len()});
    let upload = id(&here.post("uploads", &asked).json(201));
    let (mut at, mut refusals) = (0, 0);
    while at < content.len() {
        let bytes = &content[at..(at + PART).min(content.len())];
        let answers = at_once([&here, &there], |api| part(api, upload, at, bytes).status);
        let taken = answers.iter().filter(|status| **status == 200).count();
        refusals += answers.iter().filter(|status| **status == 409).count();
        assert_eq!(taken, 1, "{answers:?}");
        at += bytes.len();
        // What was answered is there, for both.
        assert_eq!([&here, &there].map(|api| arrived(api, upload)), [at, at]);
    }
    assert_eq!(refusals, 20);
    let finish = format!("uploads/{upload}/finish");
    let made = at_once([&here, &there], |api| api.post_nothing(&finish).json(200));
    assert_eq!(made[0]["id"], made[1]["id"]);
    assert_same(&there.download("/documents/large"), &content, "the upload");
}

#[test]
fn an_upload_that_one_server_gets_a_part_of_is_busy_at_the_other_until_then() {
    let (one, other) = two();
    let here = Api::admin(&one);
    let there = here.on(&other);
    let content = noise(1, 1_000_000);
    let asked = json!({"path": "/documents/large", "size": content.len()});
    let upload = id(&here.post("uploads", &asked).json(201));
    let mut raw = Raw::connect(&one.address());
    let length = content.len().to_string();
    let headers = [("Upload-Offset", "0"), ("Content-Length", &*length)];
    raw.send(here.head("PATCH", &format!("uploads/{upload}"), &headers) + "\r\n");
    assert!(raw.send(&content[..400_000]), "the server takes the part");
    let since = Instant::now();
    while part(&there, upload, 0, b"").status != 409 {
        assert!(since.elapsed() < PATIENCE, "the other never hears of it");
    }
    // Whoever had it is gone: what had arrived counts, and the other goes on at once.
    drop(raw);
    let since = Instant::now();
    let at = loop {
        let at = arrived(&there, upload);
        if at == 400_000 && part(&there, upload, at, b"").status == 200 {
            break at;
        }
        assert!(since.elapsed() < PATIENCE, "{at}");
    };
    part(&there, upload, at, &content[at..]).expect(&[200]);
    here.post_nothing(&format!("uploads/{upload}/finish"))
        .expect(&[200]);
    assert_same(&here.download("/documents/large"), &content, "the upload");
}

#[test]
fn an_upload_that_a_killed_server_had_goes_on_at_the_other() {
    if !super::long() {
        // Half a minute passes until the killed one is missed.
        return;
    }
    let (mut one, other) = two();
    let here = Api::admin(&one);
    let there = here.on(&other);
    let asked = json!({"path": "/documents/a", "size": 100_000});
    let upload = id(&here.post("uploads", &asked).json(201));
    let mut raw = Raw::connect(&one.address());
    let headers = [("Upload-Offset", "0"), ("Content-Length", "100000")];
    raw.send(here.head("PATCH", &format!("uploads/{upload}"), &headers) + "\r\n");
    assert!(raw.send(&[1; 1000][..]), "the server takes the part");
    let since = Instant::now();
    while part(&there, upload, 0, b"").status != 409 {
        assert!(since.elapsed() < PATIENCE, "the other never hears of it");
    }
    one.kill9();
    let (since, all) = (Instant::now(), vec![2; 100_000]);
    while part(&there, upload, 0, &all).status != 200 {
        assert!(since.elapsed() < Duration::from_secs(40), "it stays taken");
    }
    there
        .post_nothing(&format!("uploads/{upload}/finish"))
        .expect(&[200]);
    assert!(there.download("/documents/a") == all);
}

#[test]
fn a_device_revoked_at_one_server_is_out_at_the_other_within_a_second() {
    let (one, other) = two();
    let owner = Api::admin(&one);
    let phone = Api::register(&one, "admin", ADMIN_PASSWORD, "phone");
    let there = phone.on(&other);
    let said = one.cli_ok(&["device", "add", "admin", "camera"], "");
    let (camera, secret) = said.trim().split_once(", password ").expect("a device");
    let camera = camera.strip_prefix("device ").expect("its number");
    let dav = other.anonymous().login("admin", secret);
    // Known to the other, both of them, and one holds a socket.
    there.get("sync/status").expect(&[200]);
    assert_eq!(dav.names("/dav/documents/").len(), 0);
    let mut events = Events::open(&there, None).expect("a socket");

    let since = Instant::now();
    owner
        .delete(&format!("devices/{}", phone.device()))
        .expect(&[204]);
    owner.delete(&format!("devices/{camera}")).expect(&[204]);
    let mut out = [None, None];
    while out.contains(&None) {
        let answers = [
            there.get("sync/status").status,
            dav.again()
                .request("PROPFIND", "/dav/", &[("Depth", "0")], b"")
                .status,
        ];
        for (out, status) in out.iter_mut().zip(answers) {
            if status == 401 {
                out.get_or_insert(since.elapsed());
            }
        }
        assert!(since.elapsed() < PATIENCE, "{out:?}");
        thread::sleep(Duration::from_millis(10));
    }
    assert!(out.iter().flatten().all(|waited| *waited < SOON), "{out:?}");
    assert_eq!(events.closed(PATIENCE), 4401);
    assert!(since.elapsed() < SOON * 2, "the socket stays open");
}
