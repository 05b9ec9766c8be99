//! The database is lost: what comes back from the data folder, with the real server under load.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::process::Stdio;
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use webdav_tests::content::noise;
use webdav_tests::server::{Setup, binary};
use webdav_tests::{Dav, TestServer, postgres};

/// What files hold: the seed and length of their noise.
type Files = HashMap<String, (u64, usize)>;

const WRITERS: u64 = 4;
/// Longest wait for a snapshot.
const PATIENCE: Duration = Duration::from_mins(1);

/// Puts a file of another kind each time: small, of some chunks, of some megabytes.
fn put(dav: &Dav, path: &str, seed: u64) -> Option<(u64, usize)> {
    let limits = [300, 6_000, 40_000, 300_000, 2_500_000];
    let limit = limits[usize::try_from(seed % 5).expect("small")];
    let len = usize::try_from(seed.wrapping_mul(7919) % limit).expect("small") + 1;
    let body = webdav_tests::http::Body::Bytes(&noise(seed, len));
    let answer = dav.try_send("PUT", path, &[], body, None).ok()?;
    assert!(matches!(answer.status, 201 | 204), "{path}: {answer}");
    Some((seed, len))
}

/// When a snapshot was last up to date, in seconds since 1970.
fn up_to_date(server: &TestServer) -> Option<u64> {
    let page = server.anonymous().get("/metrics").expect(&[200]);
    let page = String::from_utf8(page.body).expect("metrics are text");
    let of = "sync_job_last_success_timestamp_seconds{job=\"snapshot\"} ";
    let line = page.lines().find_map(|line| line.strip_prefix(of))?;
    Some(line.trim().parse().expect("seconds"))
}

/// Returns once a snapshot began and was taken from now on.
fn wait_for_snapshot(server: &TestServer) {
    let since = Instant::now();
    // One may be under way; it says when it ended, and the next begins after that.
    let mut before = up_to_date(server);
    for _ in 0..2 {
        while up_to_date(server) == before {
            assert!(since.elapsed() < PATIENCE, "no snapshot\n{}", server.log());
            thread::sleep(Duration::from_millis(50));
        }
        before = up_to_date(server);
    }
}

/// Throws the database away.
fn lose_database(server: &mut TestServer) {
    match postgres::fresh() {
        Some(address) => server.set("SYNC_DB_PATH", &address),
        None => fs::remove_dir_all(server.dir().join("db")).expect("a database"),
    }
}

fn check(dav: &Dav, files: &Files) {
    for (path, (seed, len)) in files {
        let found = dav.get(path).expect(&[200]);
        assert!(found.body == noise(*seed, *len), "{path} has other bytes");
    }
}

/// Starts a recovery and ends it as a power cut would.
fn kill_recovery_after(server: &TestServer, time: Duration) {
    let mut command = std::process::Command::new(binary());
    server.prepare(&mut command);
    let command = command.arg("recover").stdout(Stdio::null());
    let mut child = command.stderr(Stdio::null()).spawn().expect("it starts");
    thread::sleep(time);
    child.kill().expect("our own child");
    child.wait().expect("our own child");
}

/// Files that several clients wrote until the server was killed.
fn write_until_killed(server: &mut TestServer) -> Files {
    let (report, acknowledged) = channel();
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let (dav, report) = (server.admin(), report.clone());
            thread::spawn(move || {
                let mut later = Files::new();
                for nth in 0.. {
                    let path = format!("/dav/then/later-{writer}-{nth}");
                    let Some(file) = put(&dav, &path, 1000 * (writer + 1) + nth) else {
                        break;
                    };
                    later.insert(path, file);
                    let _seen = report.send(());
                }
                later
            })
        })
        .collect();
    for _ in 0..100 {
        acknowledged.recv().expect("they write");
    }
    server.kill9();
    let later = writers
        .into_iter()
        .map(|writer| writer.join().expect("a writer"));
    later.flatten().collect()
}

/// Recovers, after some tries that were killed; once and not twice.
fn recover_at_last(server: &TestServer) {
    for millis in [3, 30, 90] {
        kill_recovery_after(server, Duration::from_millis(millis));
    }
    let said = server.cli(&["recover"], "");
    // The last of them may have come to its end.
    let said = [said.stdout, said.stderr].concat();
    let said = String::from_utf8(said).expect("text");
    assert!(
        said.contains("newer files") || said.contains("in use"),
        "{said}"
    );
    let again = server.cli(&["recover"], "");
    let refusal = String::from_utf8_lossy(&again.stderr).into_owned();
    assert!(
        !again.status.success() && refusal.contains("in use"),
        "{refusal}"
    );
}

#[test]
fn the_tree_comes_back_and_what_came_later_lies_under_recovered() {
    let mut server = Setup::default()
        .env("SYNC_SNAPSHOT__EVERY", "100ms")
        .start();
    // Given files in the snapshot
    let dav = server.admin();
    dav.mkcol("/dav/then/").expect(&[201]);
    let mut then = Files::new();
    for seed in 0..40 {
        let path = format!("/dav/then/{seed}");
        then.insert(path.clone(), put(&dav, &path, seed).expect("it runs"));
    }
    then.insert(
        "/dav/shared/all".to_owned(),
        put(&dav, "/dav/shared/all", 99).expect("it runs"),
    );
    dav.put("/dav/then/old", b"first").expect(&[201]);
    dav.put("/dav/then/old", b"second").expect(&[204]);
    dav.delete("/dav/then/old").expect(&[204]);
    wait_for_snapshot(&server);
    // and many that came later, up to a power cut
    server.set("SYNC_SNAPSHOT__EVERY", "1h");
    server.restart();
    let later = write_until_killed(&mut server);
    // When the database is gone
    lose_database(&mut server);
    let said = server.refuses_to_start();
    assert!(said.contains("sync-server recover"), "{said}");
    // and a recovery is killed some times
    recover_at_last(&server);
    // Then all is there
    server.start_again();
    let dav = server.admin();
    check(&dav, &then);
    let recovered = dav.tree("/dav/recovered/").into_values();
    let recovered: HashSet<_> = recovered.flatten().collect();
    for (path, (seed, len)) in &later {
        assert!(recovered.contains(&noise(*seed, *len)), "{path} is lost");
    }
    let count = |is_small| {
        let lengths = later.values().map(|(_, len)| *len);
        lengths.filter(|len| (*len <= 8 * 1024) == is_small).count()
    };
    let (small, large) = (count(true), count(false));
    println!(
        "{} files in place, {small} small and {large} large ones recovered",
        then.len()
    );
    assert!(small > 20 && large > 30);
    // and it goes on as ever
    put(&dav, "/dav/then/new", 5).expect("it runs");
    server.restart();
    check(&server.admin(), &then);
    let running = server.cli(&["recover"], "");
    assert!(!running.status.success());
}
