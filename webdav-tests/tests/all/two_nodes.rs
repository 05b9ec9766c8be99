//! Two servers on one PostgreSQL and one data folder: each sees what the other does. `postgres/run.sh`
//! runs these; on SQLite there is only one server.

use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;
use webdav_tests::device::Events;
use webdav_tests::{Api, Dav, TestServer, postgres, xml};

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
