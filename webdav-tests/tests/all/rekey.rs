//! Another master key: `sync-server rekey`.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;

use serde_json::json;
use webdav_tests::content::noise;
use webdav_tests::server::binary;
use webdav_tests::{Api, TestServer};

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
    let since = std::time::Instant::now();
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
