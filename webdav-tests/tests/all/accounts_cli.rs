//! Accounts and devices by the command line, while the server runs.

use std::thread;
use std::time::{Duration, Instant};

use webdav_tests::server::ADMIN_PASSWORD;
use webdav_tests::{Dav, TestServer};

const PASSWORD: &str = "a long password 1";

/// Longest time until a running server notices what another process changed.
const NOTICED: Duration = Duration::from_secs(20);

#[track_caller]
fn becomes(dav: &Dav, status: u16) {
    let until = Instant::now() + NOTICED;
    loop {
        let answer = dav
            .again()
            .request("PROPFIND", "/dav/", &[("Depth", "0")], b"");
        if answer.status == status {
            return;
        }
        assert!(
            Instant::now() < until,
            "still {} instead of {status}",
            answer.status
        );
        thread::sleep(Duration::from_millis(200));
    }
}

#[test]
fn an_added_account_works_at_once_with_its_folders() {
    let server = TestServer::start();
    let bob = server.add_user("bob", PASSWORD, None);
    assert_eq!(
        bob.names("/dav/"),
        ["backups", "documents", "photos", "shared"]
    );
    bob.put("/dav/documents/a", b"x").expect(&[201]);
    assert!(server.cli_ok(&["user", "list"], "").contains("bob"));
}

#[test]
fn a_password_comes_from_a_file_without_its_line_end() {
    let server = TestServer::start();
    let file = server.dir().join("password");
    std::fs::write(&file, format!("{PASSWORD}\n")).expect("a file");
    let path = file.to_str().expect("UTF-8");
    server.cli_ok(&["user", "add", "carol", "--password-file", path], "");
    becomes(&server.anonymous().login("carol", PASSWORD), 207);
}

#[test]
fn an_account_needs_a_possible_new_name_and_a_password() {
    let server = TestServer::start();
    server.add_user("bob", PASSWORD, None);
    for name in ["bob", "admin", "", "a/b", "..", "a:b", "a\nb", "a\\b"] {
        let refused = server.cli(&["user", "add", name, "--password-file", "-"], PASSWORD);
        assert!(!refused.status.success(), "{name:?} was added");
        assert!(
            !refused.stderr.is_empty(),
            "{name:?}: refused without a reason"
        );
    }
    let empty = server.cli(&["user", "add", "dora", "--password-file", "-"], "");
    assert!(!empty.status.success(), "an empty password was taken");
    assert!(!server.cli_ok(&["user", "list"], "").contains("dora"));
}

#[test]
fn a_new_password_replaces_the_old_one() {
    let server = TestServer::start();
    let old = server.add_user("bob", PASSWORD, None);
    old.put("/dav/a", b"x").expect(&[201]);

    server.cli_ok(
        &["user", "passwd", "bob", "--password-file", "-"],
        "another password 2",
    );

    becomes(&old, 401);
    let new = server.anonymous().login("bob", "another password 2");
    becomes(&new, 207);
    assert_eq!(new.get("/dav/a").body, b"x");
}

#[test]
fn a_removed_account_cannot_log_in() {
    let server = TestServer::start();
    let bob = server.add_user("bob", PASSWORD, None);
    bob.put("/dav/a", b"x").expect(&[201]);
    server.cli_ok(&["user", "remove", "bob"], "");
    becomes(&bob, 401);
    assert!(!server.cli_ok(&["user", "list"], "").contains("bob"));
    assert!(!server.cli(&["user", "remove", "bob"], "").status.success());
    // The name is free again, and does not bring the old files back to a new person.
    let again = server.add_user("bob", "another password 2", None);
    becomes(&again, 207);
    again.get("/dav/a").expect(&[404]);
}

#[test]
fn a_device_has_a_password_of_its_own_until_it_is_revoked() {
    let server = TestServer::start();
    server.add_user("bob", PASSWORD, None);
    let said = server.cli_ok(&["device", "add", "bob", "phone"], "");
    // The app password stands alone or at the end of a line; it is shown only once.
    let password = said
        .split_whitespace()
        .max_by_key(|word| word.len())
        .expect("a password")
        .to_owned();
    assert!(password.len() >= 16, "{said}");
    let phone = server.anonymous().login("bob", &password);
    becomes(&phone, 207);
    let listed = server.cli_ok(&["device", "list", "bob"], "");
    assert!(
        listed.contains("phone") && !listed.contains(&password),
        "{listed}"
    );

    let line = listed
        .lines()
        .find(|line| line.contains("phone"))
        .expect("its line");
    let id = line.split_whitespace().next().expect("its number");
    server.cli_ok(&["device", "revoke", "bob", id], "");

    becomes(&phone, 401);
    becomes(&server.anonymous().login("bob", PASSWORD), 207);
}

#[test]
fn commands_name_what_they_do_not_know() {
    let server = TestServer::start();
    for arguments in [
        &["user", "passwd", "nobody", "--password-file", "-"] as &[&str],
        &["user", "quota", "nobody", "10G"],
        &["user", "remove", "nobody"],
        &["user", "quota", "admin", "much"],
        &["device", "revoke", "nobody", "1"],
        &["device", "revoke", "admin", "999"],
        &["user", "dance"],
        &["--config", "/does/not/exist.yaml"],
    ] {
        let refused = server.cli(arguments, PASSWORD);
        assert!(!refused.status.success(), "{arguments:?} succeeded");
        assert!(
            !refused.stderr.is_empty(),
            "{arguments:?}: refused without a reason"
        );
    }
}

#[test]
fn passwords_are_not_said_aloud() {
    let server = TestServer::start();
    let bob = server.add_user("bob", PASSWORD, None);
    bob.put("/dav/documents/very private name.txt", b"x");
    bob.put("/dav/documents/private-name", b"x").expect(&[201]);
    server
        .anonymous()
        .login("bob", "a wrong password 3")
        .get("/dav/")
        .expect(&[401]);
    let log = server.log();
    for secret in [
        PASSWORD,
        ADMIN_PASSWORD,
        "a wrong password 3",
        "private-name",
    ] {
        assert!(!log.contains(secret), "the log says {secret:?}:\n{log}");
    }
}

#[test]
fn the_first_start_without_a_password_makes_one_and_says_it_once() {
    let mut server = webdav_tests::Setup::default()
        .without("SYNC_ADMIN_PASSWORD")
        .start();
    let log = server.log();
    let opens = |word: &&str| {
        let admin = server.anonymous().login("admin", word);
        admin
            .request("PROPFIND", "/dav/", &[("Depth", "0")], b"")
            .status
            == 207
    };
    let lines = log
        .lines()
        .filter(|line| line.to_lowercase().contains("password"));
    let mut words = lines
        .flat_map(str::split_whitespace)
        .map(|word| word.trim_matches(['"', '\'', '`', '.', ',']));
    let password = words.find(|word| word.len() >= 12 && opens(word));
    let password = password.unwrap_or_else(|| panic!("no password that works in:\n{log}"));
    server.restart();
    let said = server.log().matches(password).count();
    assert_eq!(said, 1, "it must be said at the first start only");
    becomes(&server.anonymous().login("admin", password), 207);
}
