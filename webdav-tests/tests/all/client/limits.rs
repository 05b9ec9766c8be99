//! Settings that a device is given later: folders it does not keep, rates, pauses.

use std::time::{Duration, Instant};

use webdav_tests::client::assert_alike;
use webdav_tests::content::noise;
use webdav_tests::{Client, TestServer};

#[test]
fn a_folder_that_is_excluded_goes_away_here_and_stays_everywhere_else_until_it_is_included() {
    let (_server, a, b) = super::pair();
    a.write("big/deep/one.bin", noise(1, 3000));
    a.write("big/two.txt", "two");
    a.write("bigger/three.txt", "three");
    Client::sync_all(&[&a, &b]);
    let whole = a.tree();
    // When B does not want it
    let shown = b.ok(&["select", "--exclude", "big"]);
    assert!(shown.contains("/big"), "{shown}");
    b.sync();
    assert!(!b.has("big"), "{:?}", b.tree());
    assert_eq!(b.read("bigger/three.txt"), b"three");
    // Then A keeps it, and what A does there does not come to B
    a.append("big/two.txt", b" and more");
    a.write("big/new.txt", "new");
    a.write("other.txt", "other");
    Client::sync_all(&[&a, &b]);
    assert!(!b.has("big") && b.has("other.txt"));
    assert!(a.has("big/deep/one.bin"));
    assert_eq!(a.tree().len(), whole.len() + 2);
    // And what B makes there by itself stays with B
    b.write("big/mine.txt", "mine");
    Client::sync_all(&[&b, &a]);
    assert!(!a.has("big/mine.txt"));
    assert_eq!(b.json(&["select"]), serde_json::json!(["/big"]));
    // When it is included again it comes back, beside what lies there
    b.ok(&["select", "--include", "/big"]);
    Client::sync_all(&[&b, &a]);
    assert_eq!(b.read("big/two.txt"), b"two and more");
    assert_eq!(a.read("big/mine.txt"), b"mine");
    assert_alike(&a, &b);
    b.fails(&["select", "--include", "/big"], 2);
    b.fails(&["select", "--exclude", "/../x"], 2);
}

#[test]
fn a_file_that_was_edited_in_a_folder_that_is_excluded_is_not_lost() {
    let (_server, a, b) = super::pair();
    a.write("big/one.txt", "one");
    a.write("big/two.txt", "two");
    a.write("else.txt", "else");
    Client::sync_all(&[&a, &b]);
    b.append("big/one.txt", b" edited");
    b.write("big/new.txt", "new");
    b.ok(&["select", "--exclude", "/big"]);
    // What cannot go is told, by exit code 4 or by doing it
    let code = b.run(&["sync"]).code;
    assert!(matches!(code, 0 | 4), "{code}");
    a.sync();
    assert!(b.holds("big/one.txt", "one edited") || a.holds("big/one.txt", "one edited"));
    assert!(b.has("big/new.txt") || a.has("big/new.txt"));
    assert_eq!(a.read("big/two.txt"), b"two");
}

#[test]
fn an_upload_takes_as_long_as_its_limit_says_and_no_longer() {
    let server = TestServer::start();
    let a = Client::admin(&server, "A");
    a.sync();
    let shown = a.ok(&["limit", "--up", "400KiB"]);
    assert!(shown.contains("400"), "{shown}");
    a.write("noise.bin", noise(1, 1_000_000));
    let since = Instant::now();
    a.sync();
    let limited = since.elapsed();
    a.ok(&["limit", "--clear"]);
    a.write("noise.bin", noise(2, 1_000_000));
    let since = Instant::now();
    a.sync();
    let free = since.elapsed();
    println!("1 MB at 400 KiB/s took {limited:?}, without a limit {free:?}");
    assert!(limited > Duration::from_millis(1700), "{limited:?}");
    assert!(
        limited < Duration::from_millis(4500) + free * 2,
        "{limited:?}"
    );
    assert!(free < limited);
}

#[test]
fn a_download_takes_as_long_as_its_limit_says() {
    let (_server, a, b) = super::pair();
    a.write("noise.bin", noise(1, 1_000_000));
    a.sync();
    b.ok(&["limit", "--down", "400KiB"]);
    let since = Instant::now();
    b.sync();
    let limited = since.elapsed();
    println!("1 MB at 400 KiB/s took {limited:?}");
    assert!(limited > Duration::from_millis(1700), "{limited:?}");
    assert_alike(&a, &b);
}

#[test]
fn limits_are_shown_kept_and_forgotten() {
    let server = TestServer::start();
    let a = Client::admin(&server, "A");
    a.ok(&["limit", "--up", "1MiB/s", "--down", "2MiB"]);
    a.ok(&["limit", "--up", "100KiB", "--at", "08:00-18:00"]);
    let shown = a.ok(&["limit"]);
    assert!(shown.contains("08:00-18:00"), "{shown}");
    assert_eq!(
        a.json(&["limit"])["schedule"].as_array().map(Vec::len),
        Some(1)
    );
    a.ok(&["limit", "--up", "none"]);
    assert!(a.ok(&["limit"]).contains("no limit up"));
    a.ok(&["limit", "--at", "08:00-18:00"]);
    assert!(!a.ok(&["limit"]).contains("08:00"));
    for wrong in ["--up=1", "--up=quick", "--at=8-18", "--at=25:00-01:00"] {
        a.fails(&["limit", wrong], 2);
    }
    a.ok(&["limit", "--clear"]);
    assert_eq!(
        a.ok(&["limit"]).trim(),
        "always: no limit up, no limit down"
    );
}

#[test]
fn a_paused_device_does_nothing_until_it_is_told_to_go_on() {
    let (_server, a, b) = super::pair();
    a.write("a.txt", "one");
    a.sync();
    b.ok(&["pause"]);
    assert_eq!(b.status()["paused"], true);
    let said = b.fails(&["sync"], 2);
    assert!(said.contains("resume"), "{said}");
    assert!(!b.has("a.txt"));
    b.ok(&["resume"]);
    b.sync();
    assert_alike(&a, &b);
}
