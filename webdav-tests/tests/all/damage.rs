//! What the disk has changed: it is never served, `fsck` and `scrub` find it, and the same bytes heal it.

use std::fs;
use std::process::Output;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use webdav_tests::content::{assert_same, noise};
use webdav_tests::damage::{flip, segments};
use webdav_tests::http::Body;
use webdav_tests::{Dav, Setup, TestServer};

/// Longest wait for a scrub that is due.
const SOON: Duration = Duration::from_secs(30);

/// In the text of the first record of a segment.
const FIRST: u64 = 32 + 16 + 5_000;

/// Whether the whole answer came, with the bytes that were stored.
fn is_served(dav: &Dav, path: &str, bytes: &[u8]) -> bool {
    let got = dav.again().try_send("GET", path, &[], Body::None, None);
    let Ok(got) = got else {
        return false;
    };
    if got.status == 200 {
        assert_same(&got.body, bytes, path);
    }
    got.status == 200
}

fn said(output: &Output) -> (i32, String) {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    (output.status.code().expect("it ended by itself"), text)
}

fn metric(server: &TestServer, name: &str) -> u64 {
    let page = server.anonymous().get("/metrics").expect(&[200]).text();
    let line = page.lines().find(|line| line.starts_with(name));
    let figure = line.and_then(|line| line.rsplit(' ').next());
    let figure = figure.and_then(|figure| figure.parse().ok());
    figure.unwrap_or_else(|| panic!("no {name} in\n{page}"))
}

#[track_caller]
fn wait_for(what: &str, is_so: impl Fn() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < SOON, "{what}");
        thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_flipped_byte_is_not_served_but_found_named_and_healed_by_the_same_bytes() {
    let setup = Setup::default()
        .env("SYNC_JOBS__START_AFTER", "100ms")
        .env("SYNC_SCRUB__EVERY", "200ms");
    let server = setup.start();
    let dav = server.admin();
    let (hurt, whole) = (noise(1, 100_000), noise(2, 100_000));
    dav.put("/dav/documents/hurt", &hurt).expect(&[201]);
    dav.put("/dav/documents/whole", &whole).expect(&[201]);
    wait_for("a pass ends", || {
        metric(&server, "sync_scrub_last_pass_timestamp_seconds") > 0
    });
    assert_eq!(metric(&server, "sync_scrub_damaged"), 0);
    let (code, text) = said(&server.cli(&["fsck", "--deep"], ""));
    assert_eq!(code, 0, "{text}");

    flip(&server, |_| FIRST);

    wait_for("scrubbing finds it", || {
        metric(&server, "sync_scrub_damaged") == 1
    });
    assert!(metric(&server, "sync_scrub_verified_bytes_total") > 200_000);
    assert!(!is_served(&dav, "/dav/documents/hurt", &hurt));
    assert!(is_served(&dav, "/dav/documents/whole", &whole));
    let (code, text) = said(&server.cli(&["fsck", "--deep", "--json"], ""));
    assert_eq!(code, 3, "{text}");
    let told: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    let [finding, summary] = told.as_slice() else {
        panic!("{text}")
    };
    assert_eq!(finding["kind"], "record");
    assert_eq!(finding["files"].as_array().map(Vec::len), Some(1));
    assert_eq!(finding["files"][0], "user:admin/documents/hurt");
    assert_eq!(summary["summary"]["damaged"], 1);
    assert_eq!(said(&server.cli(&["scrub", "--from-start"], "")).0, 3);

    dav.put("/dav/documents/hurt", &hurt).expect(&[204]);

    assert!(is_served(&dav, "/dav/documents/hurt", &hurt));
    wait_for("it is healed", || {
        metric(&server, "sync_scrub_damaged") == 0
    });
    let (code, text) = said(&server.cli(&["fsck", "--deep"], ""));
    assert_eq!(code, 0, "{text}");
    assert_eq!(said(&server.cli(&["scrub", "--from-start"], "")).0, 0);
}

#[test]
fn without_a_server_a_missing_segment_is_named_and_repairing_lets_uploads_heal_it() {
    let mut server = TestServer::start();
    let bytes = noise(3, 300_000);
    server
        .admin()
        .put("/dav/documents/a", &bytes)
        .expect(&[201]);
    assert!(server.stop().success());
    let segment = segments(&server).remove(0);
    let aside = server.dir().join("aside");
    fs::rename(&segment, &aside).expect("the same disk");

    let (code, text) = said(&server.cli(&["fsck"], ""));
    assert_eq!(code, 3, "{text}");
    assert!(text.starts_with("segment: segment "), "{text}");
    assert!(text.contains("  file user:admin/documents/a\n"), "{text}");
    // It is offered to nobody any more; that cannot make it whole.
    let (code, text) = said(&server.cli(&["fsck", "--repair"], ""));
    assert_eq!(code, 3, "{text}");
    assert!(text.contains("done: offered to nobody"), "{text}");
    server.start_again();
    let dav = server.admin();
    assert!(!is_served(&dav, "/dav/documents/a", &bytes));
    dav.put("/dav/documents/b", &bytes).expect(&[201]);

    for file in ["a", "b"] {
        assert!(is_served(&dav, &format!("/dav/documents/{file}"), &bytes));
    }
    assert_eq!(said(&server.cli(&["fsck", "--deep"], "")).0, 0);
}

#[test]
fn wrong_usage_of_the_checks_ends_with_code_2() {
    let server = TestServer::start();
    for arguments in [&["fsck", "--loud"][..], &["scrub", "--rate", "1 B"]] {
        assert_eq!(said(&server.cli(arguments, "")).0, 2, "{arguments:?}");
    }
}
