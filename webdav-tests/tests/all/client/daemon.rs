//! The daemon: how soon, at what cost, and what it does when it is told something or the server goes.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use webdav_tests::client::{Daemon, assert_alike, within};
use webdav_tests::content::noise;
use webdav_tests::memory::own_mib;
use webdav_tests::proxy::Proxy;
use webdav_tests::{Client, TestServer};

use super::{daemons, sent, wait_until_alike, wait_until_it_rests};

/// Long enough on a machine that is busy with other tests.
const SOON: Duration = Duration::from_secs(20);
/// Longest way from one device's disk to the other's, on a machine that is busy now and then.
const ARRIVES: Duration = Duration::from_secs(3);

#[test]
fn a_change_is_on_the_other_device_within_a_second_as_a_rule() {
    let (_server, (a, _running_a), (b, _running_b)) = daemons();
    let mut took = Vec::new();
    for nth in 0..20 {
        let (from, to) = if nth % 2 == 0 { (&a, &b) } else { (&b, &a) };
        let (name, content) = (format!("{}.txt", nth % 6), format!("content {nth}"));
        let since = Instant::now();
        from.write(&name, &content);
        assert!(
            within(ARRIVES, || to.holds(&name, &content)),
            "{name} did not arrive within {ARRIVES:?}"
        );
        took.push(since.elapsed());
        thread::sleep(Duration::from_millis(50));
    }
    took.sort();
    println!("from disk to disk: {took:?}");
    assert!(took[10] < Duration::from_secs(1), "{took:?}");
    // Deletions and renames too
    let since = Instant::now();
    a.remove("0.txt");
    b.rename("1.txt", "renamed.txt");
    assert!(within(ARRIVES, || !b.has("0.txt")
        && a.has("renamed.txt")
        && !a.has("1.txt")));
    println!("a deletion and a rename: {:?}", since.elapsed());
    wait_until_alike(&a, &b, SOON);
}

#[test]
fn a_daemon_that_has_nothing_to_do_does_nothing() {
    let (_server, (a, running_a), (b, running_b)) = daemons();
    for nth in 0..200 {
        a.write(format!("d{}/{nth}", nth % 7), nth.to_string());
    }
    wait_until_alike(&a, &b, SOON);
    wait_until_it_rests(&a);
    wait_until_it_rests(&b);
    let before = [&running_a, &running_b].map(Daemon::worked);
    let traffic = [&a, &b].map(sent);
    thread::sleep(Duration::from_secs(if crate::long() { 60 } else { 5 }));
    let after = [&running_a, &running_b].map(Daemon::worked);
    let sent = [&a, &b].map(sent);
    let worked = [0, 1].map(|nth| after[nth].saturating_sub(before[nth]));
    println!(
        "idle daemons worked {worked:?}; sent {:?}",
        [sent[0] - traffic[0], sent[1] - traffic[1]]
    );
    assert!(
        worked
            .iter()
            .all(|worked| *worked <= Duration::from_millis(20)),
        "{worked:?}"
    );
    assert_eq!(sent, traffic, "they do not talk");
}

#[test]
fn sigterm_ends_a_daemon_at_once_and_well_whatever_it_does() {
    let (server, (a, running_a), (b, running_b)) = daemons();
    a.write("a.txt", "one");
    wait_until_alike(&a, &b, SOON);
    let since = Instant::now();
    assert!(running_a.stop().success());
    // In the middle of a transfer
    b.ok(&["limit", "--up", "100KiB"]);
    b.write("noise.bin", noise(1, 2_000_000));
    let busy = || b.status()["daemon"]["sent"].as_u64() > Some(100_000);
    assert!(within(SOON, busy), "{}", b.status());
    let asked = Instant::now();
    assert!(running_b.stop().success());
    println!(
        "both ended within {:?}, the busy one {:?}",
        since.elapsed(),
        asked.elapsed()
    );
    assert!(
        asked.elapsed() < Duration::from_secs(5),
        "{:?}",
        asked.elapsed()
    );
    assert_eq!(a.status()["daemon"], serde_json::Value::Null);
    // And what was under way goes on later
    b.ok(&["limit", "--clear"]);
    Client::sync_all(&[&b, &a]);
    assert_alike(&a, &b);
    drop(server);
}

#[test]
fn what_happens_while_the_server_is_away_is_made_up_for_when_it_is_back() {
    let (mut server, (a, _running_a), (b, _running_b)) = daemons();
    server.keep_port();
    a.write("before.txt", "before");
    a.write("stays.txt", "stays");
    wait_until_alike(&a, &b, SOON);
    server.stop();
    a.write("meanwhile/a.txt", "by A");
    b.write("meanwhile/b.txt", "by B");
    a.remove("before.txt");
    thread::sleep(Duration::from_millis(1500));
    assert!(!a.status()["daemon"].is_null() && !b.status()["daemon"].is_null());
    server.start_again();
    let since = Instant::now();
    wait_until_alike(&a, &b, SOON);
    assert!(within(SOON, || a.has("meanwhile/b.txt")
        && b.has("meanwhile/a.txt")
        && !b.has("before.txt")));
    println!("in step {:?} after the server was back", since.elapsed());
    // Also when it dies
    server.kill9();
    b.write("more.txt", "more");
    server.start_again();
    assert!(within(SOON, || a.has("more.txt")), "{}", a.status());
}

#[test]
fn a_daemon_that_starts_before_its_server_waits_for_it() {
    let (mut server, a, b) = super::pair();
    server.keep_port();
    server.stop();
    a.write("a.txt", "one");
    let mut running = a.daemon();
    thread::sleep(Duration::from_millis(300));
    assert!(running.is_alive());
    assert_eq!(a.status()["daemon"]["online"], false);
    server.start_again();
    let sent = || a.status()["in_step"].is_i64() && server.admin().get("/dav/a.txt").status == 200;
    assert!(within(SOON, sent), "{}\n{}", a.status(), running.log());
    b.sync();
    assert_eq!(b.read("a.txt"), b"one");
    assert!(running.stop().success());
}

#[test]
fn a_line_that_is_cut_is_noticed_and_mended() {
    let server = TestServer::start();
    let way = Proxy::to(&server.address());
    let url = format!("http://{}", way.address());
    let (a, b) = (Client::at(&url, "A"), Client::admin(&server, "B"));
    a.sync();
    b.sync();
    let (_running_a, _running_b) = (a.daemon(), b.daemon());
    a.ok(&["limit", "--up", "4MiB"]);
    a.write("large.bin", noise(1, 20_000_000));
    for _ in 0..3 {
        let before = sent(&a);
        assert!(
            within(SOON, || sent(&a) > before + 1_000_000),
            "{}",
            a.status()
        );
        way.cut();
        thread::sleep(Duration::from_millis(50));
        way.mend();
    }
    assert!(!b.has("large.bin"), "it was over before the line was cut");
    a.ok(&["limit", "--clear"]);
    b.write("b.txt", "by B");
    wait_until_alike(&a, &b, SOON * 2);
    assert!(a.has("b.txt") && b.has("large.bin"));
}

#[test]
fn commands_reach_a_daemon_at_work() {
    let (server, (a, _running_a), (b, running_b)) = daemons();
    a.write("a.txt", "one");
    wait_until_alike(&a, &b, SOON);
    // `sync` has it look, `status` shows it, a second daemon is refused
    assert!(b.sync().contains("daemon"));
    let live = b.status()["daemon"].clone();
    assert_eq!(live["online"], true, "{live}");
    assert!(b.ok(&["status"]).contains("daemon"));
    let said = b.fails(&["daemon"], 1);
    assert!(said.contains("another sync-client"), "{said}");
    // A pause holds until it is over
    b.ok(&["pause"]);
    a.write("a.txt", "two");
    b.write("b.txt", "b");
    let there = || server.admin().get("/dav/a.txt").body == b"two";
    assert!(within(SOON, there), "{}", a.status());
    thread::sleep(Duration::from_millis(1500));
    assert_eq!(b.read("a.txt"), b"one");
    assert!(!a.has("b.txt"));
    assert_eq!(b.status()["paused"], true);
    let since = Instant::now();
    b.ok(&["resume"]);
    wait_until_alike(&a, &b, SOON);
    assert_eq!(b.read("a.txt"), b"two");
    println!("in step {:?} after the pause", since.elapsed());
    // So does a folder that is not kept any more
    a.write("big/one.bin", noise(1, 100_000));
    wait_until_alike(&a, &b, SOON);
    b.ok(&["select", "--exclude", "/big"]);
    assert!(within(SOON, || !b.has("big")), "{}", running_b.log());
    a.write("big/two.bin", "two");
    a.write("c.txt", "c");
    assert!(within(SOON, || b.has("c.txt")));
    assert!(!b.has("big") && a.has("big/one.bin"));
    b.ok(&["select", "--include", "/big"]);
    wait_until_alike(&a, &b, SOON);
}

#[test]
fn a_daemon_that_has_a_question_asks_it_and_goes_on_when_it_is_answered() {
    let (_server, (a, mut running_a), (b, _running_b)) = daemons();
    for nth in 0..10 {
        a.write(format!("{nth}.txt"), nth.to_string());
    }
    wait_until_alike(&a, &b, SOON);
    assert!(running_a.stop().success());
    for nth in 0..10 {
        a.remove(&format!("{nth}.txt"));
    }
    running_a = a.daemon();
    let asked = || {
        a.status()["last_error"]
            .as_str()
            .is_some_and(|said| said.contains("--force-delete"))
    };
    assert!(within(SOON, asked), "{}", a.status());
    thread::sleep(Duration::from_millis(500));
    assert_eq!(
        b.names("")
            .iter()
            .filter(|name| name.contains(".txt"))
            .count(),
        10
    );
    a.ok(&["sync", "--force-delete"]);
    // The other one asks in its turn, unless it heard of them one by one
    let asked = || {
        let said = b.status()["last_error"].to_string();
        said.contains("--force-delete") || !b.has("9.txt") && !b.has("0.txt")
    };
    assert!(within(SOON, asked), "{}", b.status());
    b.ok(&["sync", "--force-delete"]);
    wait_until_alike(&a, &b, SOON);
    assert!(!b.has("0.txt"));
    // It goes on as usual then
    b.write("new.txt", "new");
    assert!(within(SOON, || a.has("new.txt")));
    assert!(running_a.is_alive());
}

#[test]
fn a_folder_that_is_unmounted_under_a_daemon_deletes_nothing_and_comes_back() {
    let (server, (a, mut running_a), (b, _running_b)) = daemons();
    for nth in 0..10 {
        a.write(format!("dir/{nth}.txt"), nth.to_string());
    }
    wait_until_alike(&a, &b, SOON);
    let away = server.dir().join("away");
    fs::rename(a.folder(), &away).unwrap();
    fs::create_dir(a.folder()).unwrap();
    thread::sleep(Duration::from_secs(1));
    b.write("new.txt", "new");
    thread::sleep(Duration::from_secs(1));
    assert_eq!(b.names("dir").len(), 10);
    assert_eq!(
        fs::read_dir(a.folder()).unwrap().count(),
        0,
        "nothing is written into what is not the folder"
    );
    fs::remove_dir(a.folder()).unwrap();
    fs::rename(&away, a.folder()).unwrap();
    // It may end meanwhile: systemd would start it again.
    let mut starts = 0;
    let came = within(SOON, || {
        if !running_a.is_alive() {
            running_a = a.daemon();
            starts += 1;
        }
        a.has("new.txt")
    });
    assert!(came && starts < 2, "{starts} starts\n{}", running_a.log());
    wait_until_alike(&a, &b, SOON);
    assert_eq!((a.names("dir").len(), b.names("dir").len()), (10, 10));
}

#[test]
fn a_daemon_with_thousands_of_files_needs_little_memory() {
    let (_server, a, b) = super::pair();
    let files = if crate::long() { 100_000 } else { 5_000 };
    for nth in 0..files {
        a.write(
            format!("d{}/e{}/{nth}.txt", nth % 10, nth % 100),
            format!("file {nth}"),
        );
    }
    let running = a.daemon();
    let limit = SOON * if crate::long() { 30 } else { 3 };
    let done = || a.status()["in_step"].as_i64().is_some() && a.status()["files"] == files;
    assert!(within(limit, done), "{}", a.status());
    let rss = |what: &str| {
        let status = fs::read_to_string(format!("/proc/{}/status", running.pid())).unwrap();
        let line = |name: &str| {
            status
                .lines()
                .find(|line| line.starts_with(name))
                .unwrap_or_default()
                .to_owned()
        };
        println!(
            "{what}: {} {} own {} MiB",
            line("VmRSS"),
            line("VmHWM"),
            own_mib(running.pid())
        );
    };
    rss("after sending all");
    thread::sleep(Duration::from_secs(2));
    rss("two seconds later");
    assert!(own_mib(running.pid()) < 30);
    let since = Instant::now();
    a.write("d1/e1/one more", "more");
    assert!(within(SOON, || a.status()["files"] == files + 1));
    println!("one more file after {:?}", since.elapsed());
    drop(b);
}

#[test]
fn a_daemon_answers_every_question_however_busy_it_is() {
    let (_server, (a, _running_a), (b, _running_b)) = daemons();
    for nth in 0..100 {
        a.write("a.txt", nth.to_string());
        b.sync();
        let status = b.status();
        assert!(!status["daemon"].is_null(), "question {nth}: {status}");
    }
    wait_until_alike(&a, &b, SOON);
}
