//! A PostgreSQL that goes away for a while. `postgres/run.sh` runs these.

use std::thread;
use std::time::{Duration, Instant};

use webdav_tests::proxy::Proxy;
use webdav_tests::{Api, Dav, Setup, TestServer, postgres};

/// How long after its return the database may still count as away.
const BACK_WITHIN: Duration = Duration::from_secs(10);

/// A server, and its way to the database.
fn behind_a_proxy() -> (TestServer, Proxy) {
    let address = postgres::fresh().expect("run this by postgres/run.sh");
    let (user, rest) = address.split_once('@').expect("a user");
    let (target, path) = rest.split_once('/').expect("a database");
    let proxy = Proxy::to(target);
    let database = format!("{user}@{}/{path}", proxy.address());
    let server = Setup::default().env("SYNC_DB_PATH", &database).start();
    (server, proxy)
}

#[track_caller]
fn comes_back(dav: &Dav) {
    let since = Instant::now();
    while dav.get("/health").status != 200 {
        assert!(since.elapsed() < BACK_WITHIN, "it is not well again");
        thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_database_that_is_away_is_a_503_and_nothing_answered_is_lost() {
    let (server, proxy) = behind_a_proxy();
    let (dav, api) = (server.admin(), Api::admin(&server));
    dav.put("/dav/documents/before", b"answered").expect(&[201]);
    for round in 0..3 {
        let path = format!("/dav/documents/{round}");
        proxy.cut();
        let refused = dav.put(&path, b"x").expect(&[503]);
        assert!(refused.header("retry-after").is_some(), "{refused}");
        dav.get("/dav/documents/before").expect(&[503]);
        dav.get("/health").expect(&[503]);
        let refused = api.get("files/list?path=%2F");
        refused.problem("busy", 503);
        assert!(refused.header("retry-after").is_some(), "{refused}");

        proxy.mend();
        comes_back(&dav);
        dav.get(&path).expect(&[404]);
        dav.put(&path, b"x").expect(&[201]);
        let kept = dav.get("/dav/documents/before").expect(&[200]);
        assert_eq!(kept.body, b"answered");
    }
    let names = dav.names("/dav/documents/");
    assert_eq!(names, ["0", "1", "2", "before"]);
}

#[test]
fn writes_that_are_cut_off_are_there_or_not_and_those_answered_are() {
    let (server, proxy) = behind_a_proxy();
    let writers: Vec<_> = (0..4)
        .map(|nth| {
            let dav = server.admin();
            thread::spawn(move || {
                let mut answered = Vec::new();
                for n in 0..60 {
                    let name = format!("{nth}-{n}");
                    let path = format!("/dav/documents/{name}");
                    let answer = dav.put(&path, name.as_bytes()).expect(&[201, 503]);
                    if answer.status == 201 {
                        answered.push(name);
                    } else {
                        thread::sleep(Duration::from_millis(20));
                    }
                }
                answered
            })
        })
        .collect();
    for _ in 0..3 {
        thread::sleep(Duration::from_millis(150));
        proxy.cut();
        thread::sleep(Duration::from_millis(100));
        proxy.mend();
    }
    let mut answered = Vec::new();
    for writer in writers {
        answered.extend(writer.join().expect("a writer"));
    }
    let dav = server.admin();
    comes_back(&dav);
    assert!(!answered.is_empty());
    let there = dav.tree("/dav/documents/");
    for name in &answered {
        let bytes = there.get(&format!("/{name}")).cloned().flatten();
        assert_eq!(bytes.as_deref(), Some(name.as_bytes()), "{name}");
    }
    for (path, bytes) in there {
        assert_eq!(
            bytes.as_deref(),
            Some(&path.as_bytes()[1..]),
            "whole or not at all"
        );
    }
}
