//! Another master key: `sync-server rekey`.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;
use webdav_tests::content::noise;
use webdav_tests::server::binary;
use webdav_tests::{Api, TestServer};

/// Longest time until a few files are sealed anew.
const PATIENCE: Duration = Duration::from_mins(1);

fn text(path: &Path) -> String {
    path.to_str().expect("UTF-8").to_owned()
}

#[track_caller]
fn refused(server: &TestServer, file: &Path, why: &str) {
    let output = server.cli(&["rekey", "--new-key-file", &text(file)], "");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains(why), "{said}");
}

/// The files of snapshots of the database.
fn snapshots(server: &TestServer) -> Vec<String> {
    let all = fs::read_dir(server.dir().join("data/snapshot")).expect("a folder");
    let names = all.map(|entry| entry.expect("an entry").file_name().into_string());
    let names = names.map(|name| name.expect("UTF-8"));
    names.filter(|name| !name.starts_with('.')).collect()
}

/// The name of a key after a word.
fn named<'a>(said: &'a str, before: &str) -> &'a str {
    let rest = said
        .split_once(before)
        .unwrap_or_else(|| panic!("{said}"))
        .1;
    &rest[..16]
}

#[test]
fn everything_opens_with_the_new_key_and_nothing_with_the_old_one() {
    let mut server = TestServer::start();
    let device = Api::admin(&server);
    let large = noise(1, 2_000_000);
    device.upload("/documents/large", &large);
    device.upload("/documents/small", b"small");
    let code = server.cli_ok(&["device", "pair", "admin"], "");
    let code = code
        .strip_prefix("code ")
        .and_then(|rest| rest.split(',').next());
    let new = server.dir().join("elsewhere/new.key");
    refused(&server, &new, "another sync-server is running");
    assert!(!new.exists(), "nothing is made that is of no use");
    server.stop();

    let said = server.cli_ok(&["rekey", "--new-key-file", &text(&new)], "");

    let snapshots = snapshots(&server);
    assert_eq!(
        snapshots.len(),
        1,
        "what the old key opens goes: {snapshots:?}"
    );
    assert!(
        said.contains(&format!("set SYNC_KEY_FILE={}\n", new.display())),
        "{said}"
    );
    let mode = fs::metadata(&new).expect("a key").permissions().mode();
    assert_eq!(mode & 0o777, 0o400);
    let (was, is) = (named(&said, "old key\t"), named(&said, "new key\t"));
    let old = server.key_file();
    let refusal = server.refuses_to_start();
    let told = format!("opens with key {is}, this one is {was}");
    assert!(refusal.contains(&told), "{refusal}");
    // Asked again by one who did not see the answer.
    let again = server.cli_ok(&["rekey", "--new-key-file", &text(&new)], "");
    assert!(again.contains("already"), "{again}");

    server.set("SYNC_KEY_FILE", &text(&new));
    server.start_again();
    let dav = server.admin();
    assert!(dav.get("/dav/documents/large").expect(&[200]).body == large);
    assert_eq!(
        dav.get("/dav/documents/small").expect(&[200]).body,
        b"small"
    );
    dav.put("/dav/documents/later", &large).expect(&[201]);
    // A device goes on by itself: its access token ended, what renews it did not.
    let refresh = json!({ "refresh_token": device.refresh_token() });
    let anonymous = Api::anonymous(&server);
    anonymous.post("auth/refresh", &refresh).expect(&[200]);
    let pairing = json!({ "code": code.expect("a code"), "name": "phone", "type": "mobile" });
    let late = anonymous.post("auth/register", &pairing);
    late.problem("unauthorized", 401);
    server.stop();
    refused(&server, &new, "already");
    server.set("SYNC_KEY_FILE", &text(&old));
    server.refuses_to_start();
}

#[test]
fn a_key_is_not_changed_while_something_collects_or_by_who_does_not_have_it() {
    let mut server = TestServer::start();
    server.admin().put("/dav/documents/a", b"x").expect(&[201]);
    server.stop();
    let new = server.dir().join("new.key");
    let lock = File::create(server.dir().join("data/.collect")).expect("a file");
    lock.lock().expect("a lock");
    refused(&server, &new, "a collection is under way");
    drop(lock);
    let open = File::create(server.dir().join("data/.open")).expect("a file");
    open.lock_shared().expect("a lock");
    refused(&server, &new, "a command of this program uses the store");
    drop(open);

    let (right, stranger) = (server.key_file(), server.dir().join("stranger.key"));
    server.set("SYNC_KEY_FILE", &text(&stranger));
    refused(&server, &new, "does not");
    let line = format!("sync-server-key-1:{}=\n", "A".repeat(43));
    fs::write(&stranger, line).expect("written");
    refused(&server, &new, "wrong master key");
    assert!(!new.exists());
    server.set("SYNC_KEY_FILE", &text(&right));
    refused(
        &server,
        &right,
        "this is the master key of the store already",
    );
    server.start_again();
    assert_eq!(
        server.admin().get("/dav/documents/a").expect(&[200]).body,
        b"x"
    );
}

#[test]
fn killed_at_any_moment_it_leaves_a_store_that_one_of_the_two_keys_opens() {
    const ROUNDS: u32 = 14;
    let mut server = TestServer::start();
    let bytes = noise(1, 100_000);
    server
        .admin()
        .put("/dav/documents/a", &bytes)
        .expect(&[201]);
    for name in ["anna", "bert", "cara", "dora"] {
        server.add_user(name, "a long password 1", None);
    }
    server.stop();
    // How long it takes, undisturbed: the rounds are spread over it.
    let first = server.dir().join("0.key");
    let since = Instant::now();
    server.cli_ok(&["rekey", "--new-key-file", &text(&first)], "");
    let takes = since.elapsed();
    let (mut current, mut changed) = (first, 0);
    for round in 1..=ROUNDS {
        server.set("SYNC_KEY_FILE", &text(&current));
        let next = server.dir().join(format!("{round}.key"));
        let mut command = Command::new(binary());
        server.prepare(&mut command);
        command.args(["rekey", "--new-key-file", &text(&next)]);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let mut rekey = command.spawn().expect("the binary starts");
        thread::sleep(takes * round / ROUNDS);
        rekey.kill().expect("our own child");
        rekey.wait().expect("our own child");

        let by_old = server.cli(&["status"], "");
        if by_old.status.success() {
            if next.exists() {
                server.set("SYNC_KEY_FILE", &text(&next));
                let by_new = server.cli(&["status"], "");
                let said = String::from_utf8_lossy(&by_new.stderr).into_owned();
                assert!(said.contains("the store opens with key"), "{said}");
            }
            continue;
        }
        let said = String::from_utf8_lossy(&by_old.stderr).into_owned();
        assert!(said.contains("the store opens with key"), "{said}");
        server.set("SYNC_KEY_FILE", &text(&next));
        server.cli_ok(&["status"], "");
        (current, changed) = (next, changed + 1);
    }
    println!("{changed} of {ROUNDS} came through within {takes:?}");
    server.set("SYNC_KEY_FILE", &text(&current));
    server.start_again();
    assert!(server.admin().get("/dav/documents/a").expect(&[200]).body == bytes);
}

#[test]
fn everything_is_sealed_anew_while_the_server_works() {
    let mut server = TestServer::start();
    let device = Api::admin(&server);
    let files: Vec<_> = [100, 8000, 9000, 70_000, 4_000_000]
        .into_iter()
        .enumerate()
        .map(|(nth, size)| (format!("/documents/{nth}"), noise(nth as u64, size)))
        .collect();
    for (path, bytes) in &files {
        device.upload(path, bytes);
    }
    let keys = device.get(&format!(
        "sync/keys?space={}",
        device.info("/documents")["space"]
    ));
    let keys = keys.json(200);
    let cursor = device.cursor();
    server.stop();
    let before = segments(&server);
    assert!(!before.is_empty());
    let new = server.dir().join("new.key");
    server.cli_ok(&["rekey", "--new-key-file", &text(&new), "--reseal"], "");
    server.set("SYNC_KEY_FILE", &text(&new));

    server.start_again();
    let device = Api::admin(&server);
    let since = Instant::now();
    let mut rounds = 0_u64;
    while server.cli_ok(&["status"], "").contains("resealing") || rounds < 3 {
        for (path, bytes) in &files {
            assert!(device.download(path) == *bytes, "{path}");
        }
        device.upload("/documents/busy", &noise(100 + rounds, 60_000));
        rounds += 1;
        assert!(since.elapsed() < PATIENCE, "{}", server.log());
    }
    // It is said when it is done.
    while !server.log().contains("everything is sealed anew") {
        assert!(since.elapsed() < PATIENCE, "{}", server.log());
        thread::sleep(Duration::from_millis(5));
    }
    server.cli_ok(&["gc", "--grace", "0s"], "");
    let after = segments(&server);
    assert!(
        before.iter().all(|old| !after.contains(old)),
        "{before:?} {after:?}"
    );
    for (path, bytes) in &files {
        assert!(device.download(path) == *bytes, "{path}");
    }
    // What clients know chunks and contents by is as before, and they hear of no change.
    let space = device.info("/documents")["space"].clone();
    assert_eq!(
        device.get(&format!("sync/keys?space={space}")).json(200),
        keys
    );
    let (changes, _) = device.pull(Some(&cursor));
    for (path, _) in &files {
        let id = &device.info(path)["id"];
        assert!(changes.iter().all(|change| change["id"] != *id), "{path}");
    }
}

#[test]
fn killed_twice_and_given_other_keys_it_is_sealed_anew_in_the_end() {
    const SLOW: &str = "1KiB";
    let mut server = TestServer::start();
    let files: Vec<_> = [100, 9000, 300_000, 6_000_000]
        .into_iter()
        .enumerate()
        .map(|(nth, size)| (format!("/dav/documents/{nth}"), noise(nth as u64, size)))
        .collect();
    let mut old = Vec::new();
    for (path, bytes) in &files {
        server.admin().put(path, bytes).expect(&[201]);
        // Each has a segment of its own.
        server.restart();
    }
    // At this rate each run does one step: some small files, or a few MiB of a segment.
    server.set("SYNC_COLLECT__RATE", SLOW);
    for (nth, reseal) in [true, false, true].into_iter().enumerate() {
        server.stop();
        old.extend(segments(&server));
        let next = server.dir().join(format!("{nth}.key"));
        let mut command = vec!["rekey".to_owned(), "--new-key-file".to_owned(), text(&next)];
        if reseal {
            command.push("--reseal".to_owned());
        }
        let command: Vec<_> = command.iter().map(String::as_str).collect();
        let said = server.cli_ok(&command, "");
        assert!(said.contains("anew in the background"), "{said}");
        server.set("SYNC_KEY_FILE", &text(&next));
        server.start_again();
        let path = format!("/dav/documents/new-{nth}");
        server
            .admin()
            .put(&path, &noise(nth as u64, 50_000))
            .expect(&[201]);
        thread::sleep(Duration::from_millis(300));
    }
    for _ in 0..2 {
        server.kill9();
        server.start_again();
        for (path, bytes) in &files {
            assert!(
                server.admin().get(path).expect(&[200]).body == *bytes,
                "{path}"
            );
        }
        assert!(server.cli_ok(&["status"], "").contains("resealing"));
    }
    // Whoever reads meets what three generations of keys have sealed.
    let exported = server.dir().join("exported");
    server.cli_ok(&["fsck", "--deep"], "");
    server.cli_ok(&["scrub"], "");
    server.cli_ok(&["export", &text(&exported)], "");
    server.kill9();

    server.set("SYNC_COLLECT__RATE", "1GiB");
    server.start_again();

    let since = Instant::now();
    while server.cli_ok(&["status"], "").contains("resealing") {
        assert!(since.elapsed() < PATIENCE, "{}", server.log());
    }
    server.cli_ok(&["gc", "--grace", "0s"], "");
    let after = segments(&server);
    let left: Vec<_> = old.iter().filter(|file| after.contains(file)).collect();
    assert!(left.is_empty(), "{left:?}");
    let checked = server.cli(&["fsck", "--deep"], "");
    assert!(checked.status.success(), "{checked:?}");
    server.restart();
    for (path, bytes) in &files {
        assert!(
            server.admin().get(path).expect(&[200]).body == *bytes,
            "{path}"
        );
    }
}

/// The files of segments.
fn segments(server: &TestServer) -> Vec<PathBuf> {
    let folders = fs::read_dir(server.dir().join("data/seg")).expect("segments");
    let files = folders.flat_map(|folder| {
        let folder = folder.expect("a folder").path();
        fs::read_dir(folder).expect("a folder")
    });
    files.map(|file| file.expect("a file").path()).collect()
}
