//! Other accounts, and servers with certificates of their own.

use std::fs;
use std::thread;
use std::time::Duration;

use webdav_tests::api::route;
use webdav_tests::client::{assert_alike, within};
use webdav_tests::process::run;
use webdav_tests::server::ADMIN_PASSWORD;
use webdav_tests::tls::Certificate;
use webdav_tests::{Api, Client, Setup, TestServer, postgres};

const EVES: &str = "Another-Horse-9-Battery";

#[test]
fn what_lies_in_the_shared_space_arrives_at_other_accounts_and_nothing_else_does() {
    let server = TestServer::start();
    server.add_user("eve", EVES, None);
    let a = Client::admin(&server, "A");
    let e = Client::of_account(&server.url(), "E", "eve", EVES);
    a.sync();
    e.sync();
    a.write("own.txt", "own");
    a.write("shared/dir/both.txt", "for both");
    Client::sync_all(&[&a, &e]);
    assert_eq!(e.read("shared/dir/both.txt"), b"for both");
    assert!(!e.has("own.txt"));
    // Both edit it, and move things from one space to the other
    e.append("shared/dir/both.txt", b", edited by E");
    a.rename("own.txt", "shared/given.txt");
    e.write("taken.txt", "taken");
    Client::sync_all(&[&a, &e]);
    assert_eq!(a.read("shared/dir/both.txt"), b"for both, edited by E");
    assert_eq!(e.read("shared/given.txt"), b"own");
    assert!(!a.has("taken.txt"));
    e.rename("shared/dir", "mine");
    Client::sync_all(&[&e, &a]);
    assert!(!a.has("shared/dir"));
    assert_eq!(e.read("mine/both.txt"), b"for both, edited by E");
    assert_eq!(e.json(&["sync"])["changes"], 0);
}

#[test]
fn the_folder_of_a_mounted_space_cannot_be_renamed_here_and_what_lies_in_it_stays() {
    let server = TestServer::start();
    server.add_user("eve", EVES, None);
    let a = Client::admin(&server, "A");
    let e = Client::of_account(&server.url(), "E", "eve", EVES);
    a.write("a.txt", "a");
    a.write("shared/both.txt", "for both");
    Client::sync_all(&[&a, &e]);
    a.rename("shared", "elsewhere");
    for _ in 0..3 {
        // What is told is up to it; nothing may get lost.
        let code = a.run(&["sync"]).code;
        assert!(matches!(code, 0 | 3 | 4), "{code}");
        e.sync();
    }
    for device in [&a, &e] {
        assert_eq!(device.read("shared/both.txt"), b"for both");
    }
    a.write("shared/new.txt", "new");
    a.run(&["sync"]);
    e.sync();
    assert_eq!(e.read("shared/new.txt"), b"new");
}

#[test]
fn a_space_that_is_taken_away_goes_from_the_device_and_what_was_edited_in_it_stays() {
    let (server, a, b) = super::pair();
    for name in ["1", "2", "3", "4", "5", "6"] {
        a.write(format!("own{name}.txt"), name);
    }
    a.write("shared/kept/1.txt", "for all");
    a.write("shared/edited/1.txt", "for all");
    a.write("shared/edited/2.txt", "for all");
    Client::sync_all(&[&a, &b]);
    let mut own = a.names("");
    own.retain(|name| name != "shared");
    take_away_the_shared_space(&server);
    // Given one edit that was not sent, and one file that is only here
    b.append("shared/edited/1.txt", b", edited by B");
    b.write("shared/edited/new.txt", "new");
    a.sync();
    assert_eq!(a.names(""), own, "nothing of it is left");
    b.sync();
    assert_eq!(b.names("shared"), ["edited"]);
    assert_eq!(b.names("shared/edited"), ["1.txt", "new.txt"]);
    // It is an ordinary folder of the account now, with what was saved and no more
    Client::sync_all(&[&a, &b]);
    assert_alike(&a, &b);
    assert_eq!(a.read("shared/edited/1.txt"), b"for all, edited by B");
    assert_eq!(a.read("shared/edited/new.txt"), b"new");
    assert!(!a.has("shared/kept"));
}

/// Takes the shared space from all accounts, and waits until the server has noticed.
#[track_caller]
fn take_away_the_shared_space(server: &TestServer) {
    let api = Api::admin(server);
    let cursor = api.cursor();
    postgres::execute(server, "UPDATE space SET everyone = false WHERE everyone");
    let refused = || {
        thread::sleep(Duration::from_millis(200));
        let answer = api.get(&route("sync/pull", &[("cursor", &*cursor)]));
        answer.status == 410
    };
    assert!(within(Duration::from_secs(20), refused));
}

#[test]
fn a_certificate_is_trusted_by_a_file_or_by_its_fingerprint_and_no_other_one_is() {
    let certificate = Certificate::generate();
    let server = Setup::default().tls(&certificate).start();
    let other = Certificate::generate();
    let dir = server.dir();
    let (ca, wrong) = (dir.join("tls.crt"), dir.join("other.crt"));
    let others = tempfile::tempdir().expect("a folder");
    other.write_to(others.path());
    fs::copy(others.path().join("tls.crt"), &wrong).expect("a file");
    let (ca, wrong) = (ca.display().to_string(), wrong.display().to_string());
    let zeros = "00".repeat(32);
    let url = server.url();
    let configure = |client: &Client, trust: &[&str]| {
        let folder = client.folder().display().to_string();
        let mut command = client.command(&[
            "configure",
            "--server",
            &url,
            "--user",
            "admin",
            "--secrets",
            "file",
        ]);
        command.args(["--sync-dir", &folder]).args(trust);
        run(command.env("SYNC_PASSWORD", ADMIN_PASSWORD), b"")
    };
    let a = Client::blank("A");
    for trust in [
        vec![],
        vec!["--ca-file", &*wrong],
        vec!["--fingerprint", &*zeros],
    ] {
        let said = configure(&a, &trust);
        assert_eq!(said.code, 1, "{trust:?}: {}", said.stderr);
        assert!(
            said.stderr.contains("certificate"),
            "{trust:?}: {}",
            said.stderr
        );
        assert!(!a.config().join("token.json").exists());
    }
    assert_eq!(configure(&a, &["--fingerprint", "12"]).code, 2);
    configure(&a, &["--ca-file", &ca]).expect_success("configure");
    a.write("a.txt", "one");
    a.sync();
    let fingerprint = certificate.fingerprint();
    let b = Client::blank("B");
    configure(&b, &["--fingerprint", &fingerprint]).expect_success("configure");
    b.sync();
    assert_eq!(b.read("a.txt"), b"one");
}
