//! Setting a device up, and what commands say.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use webdav_tests::client::assert_alike;
use webdav_tests::process::run;
use webdav_tests::server::ADMIN_PASSWORD;
use webdav_tests::{Api, Client, TestServer};

/// Exit code of something that was asked wrongly, or of a device that is not set up.
const USAGE: i32 = 2;

/// Arguments that set a device up.
fn configure(client: &Client, url: &str, user: &str, more: &[&str]) -> Vec<String> {
    let folder = client.folder().display().to_string();
    let mut arguments = vec![
        "configure",
        "--server",
        url,
        "--user",
        user,
        "--sync-dir",
        &folder,
    ];
    arguments.extend(more);
    arguments.into_iter().map(ToOwned::to_owned).collect()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path)
        .expect("it is there")
        .permissions()
        .mode()
        & 0o777
}

#[test]
fn a_device_is_set_up_with_a_password_from_a_file_or_from_the_environment() {
    let server = TestServer::start();
    // By a file, of which the first line counts
    let a = Client::blank("A");
    let file = server.dir().join("password");
    fs::write(&file, format!("{ADMIN_PASSWORD}\nnot this\n")).unwrap();
    let file = file.display().to_string();
    a.ok(&configure(
        &a,
        &server.url(),
        "admin",
        &["--password-file", &file],
    ));
    a.write("a.txt", "one");
    a.sync();
    // By the environment
    let b = Client::admin(&server, "B");
    b.sync();
    assert_eq!(b.read("a.txt"), b"one");
    // Both are devices of the account, the first by the name of this machine
    let devices = Api::login(&server, "admin", ADMIN_PASSWORD)
        .get("devices")
        .json(200);
    let devices = devices["items"].as_array().expect("devices").clone();
    let names: Vec<_> = devices
        .iter()
        .map(|device| device["name"].as_str().unwrap())
        .collect();
    assert_eq!(devices.len(), 2, "{names:?}");
    assert!(names.contains(&"B"), "{names:?}");
    // By neither
    let c = Client::blank("C");
    let said = c.fails(&configure(&c, &server.url(), "admin", &[]), USAGE);
    assert!(said.contains("--password-file"), "{said}");
}

#[test]
fn nobody_else_may_read_tokens_and_journal() {
    let server = TestServer::start();
    let a = Client::admin(&server, "A");
    a.write("a.txt", "one");
    a.sync();
    assert_eq!(mode(&a.config()), 0o700);
    for entry in fs::read_dir(a.config()).unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
    }
    assert_eq!(mode(&a.path(".sync-client")), 0o700);
    for secret in ["token.json", "journal.db"] {
        assert!(a.config().join(secret).exists(), "{secret}");
    }
}

#[test]
fn a_wrong_password_or_address_sets_nothing_up() {
    let server = TestServer::start();
    let a = Client::blank("A");
    let file = server.dir().join("password");
    fs::write(&file, "Wrong-Horse-9-Battery").unwrap();
    let file = file.display().to_string();
    let more = ["--password-file", &*file];
    let nobody_there = "http://127.0.0.1:1".to_owned();
    let no_address = "nonsense".to_owned();
    for (url, user) in [
        (server.url(), "admin"),
        (nobody_there, "admin"),
        (no_address, "admin"),
        (server.url(), "eve"),
    ] {
        let said = run(&mut a.command(&configure(&a, &url, user, &more)), b"");
        assert!(matches!(said.code, 1 | 2), "{url} {user}: {}", said.code);
        assert!(said.stderr.starts_with("sync-client: "), "{}", said.stderr);
        assert!(!said.stderr.contains("Wrong-Horse"), "{}", said.stderr);
        assert!(!a.config().join("config.yaml").exists(), "{url}");
        assert!(!a.config().join("token.json").exists(), "{url}");
    }
    a.fails(&["status"], USAGE);
    // Nothing was left that stands in the way of the right one
    fs::write(&file, ADMIN_PASSWORD).unwrap();
    a.ok(&configure(&a, &server.url(), "admin", &more));
    a.sync();
}

#[test]
fn what_is_not_set_up_or_asked_wrongly_ends_with_exit_code_2() {
    let a = Client::blank("A");
    for command in [
        "sync",
        "status",
        "conflicts",
        "select",
        "limit",
        "pause",
        "resume",
        "daemon",
    ] {
        let said = a.fails(&[command], USAGE);
        assert!(said.contains("sync-client configure"), "{command}: {said}");
    }
    for wrong in [
        vec!["nonsense"],
        vec![],
        vec!["sync", "--nonsense"],
        vec!["limit", "--up", "fast"],
    ] {
        a.fails(&wrong, USAGE);
    }
    assert!(a.ok(&["--help"]).contains("daemon"));
    assert!(a.ok(&["--version"]).starts_with("sync-client "));
}

#[test]
fn a_device_that_is_set_up_again_goes_on_and_one_set_up_for_another_folder_refuses() {
    let (server, a, b) = super::pair();
    a.write("a.txt", "one");
    a.sync();
    let password = server.dir().join("password");
    fs::write(&password, ADMIN_PASSWORD).unwrap();
    let password = password.display().to_string();
    let more = ["--password-file", &*password, "--device-name", "A again"];
    a.ok(&configure(&a, &server.url(), "admin", &more));
    a.append("a.txt", b" two");
    Client::sync_all(&[&a, &b]);
    assert_eq!(b.read("a.txt"), b"one two");
    assert_eq!(a.status()["device"], "A again");
    // Another folder by the same settings
    let other = b.folder().display().to_string();
    let mut arguments = configure(&a, &server.url(), "admin", &more);
    let folder = arguments
        .iter()
        .position(|argument| *argument == "--sync-dir")
        .unwrap();
    arguments[folder + 1] = other;
    let said = a.fails(&arguments, USAGE);
    assert!(said.contains("already"), "{said}");
    a.sync();
}

#[test]
fn a_folder_whose_settings_are_lost_is_set_up_again_and_nothing_is_there_twice() {
    let (server, a, b) = super::pair();
    a.write("docs/a.txt", "one");
    a.write("docs/b.txt", "two");
    a.link("docs/link", "a.txt");
    Client::sync_all(&[&a, &b]);
    let before = a.tree();
    // Given that its settings are gone, and a file was changed here and another one there
    fs::remove_dir_all(a.config()).unwrap();
    a.configure(&server.url(), "admin", ADMIN_PASSWORD);
    a.sync();
    assert_eq!(a.tree(), before);
    b.append("docs/b.txt", b" more");
    Client::sync_all(&[&b, &a]);
    assert_eq!(a.read("docs/b.txt"), b"two more");
    assert_alike(&a, &b);
}

#[test]
fn a_device_is_let_in_by_a_pairing_code_of_its_account_only() {
    let server = TestServer::start();
    let code = || {
        let paired = Api::login(&server, "admin", ADMIN_PASSWORD).post_nothing("devices/pair");
        paired.json(201)["code"]
            .as_str()
            .expect("a code")
            .to_owned()
    };
    let a = Client::blank("A");
    let first = code();
    a.ok(&configure(&a, &server.url(), "admin", &["--code", &first]));
    a.sync();
    // A code works once, and for its account
    let b = Client::blank("B");
    b.fails(
        &configure(&b, &server.url(), "admin", &["--code", &first]),
        1,
    );
    server.add_user("eve", "Another-Horse-9-Battery", None);
    let said = b.fails(
        &configure(&b, &server.url(), "eve", &["--code", &code()]),
        USAGE,
    );
    assert!(said.contains("admin"), "{said}");
    b.ok(&configure(&b, &server.url(), "admin", &["--code", &code()]));
    b.sync();
    assert_alike(&a, &b);
}

#[test]
fn status_tells_how_a_device_stands_to_people_and_to_programs() {
    let server = TestServer::start();
    let a = Client::admin(&server, "A");
    let before = a.status();
    assert_eq!(before["in_step"], serde_json::Value::Null);
    a.write("a.txt", "one");
    a.write("b/c.txt", "two");
    let did = a.json(&["sync"]);
    assert_eq!(did["failed"], 0);
    assert!(did["changes"].as_u64() >= Some(3), "{did}");
    assert!(
        did["sent"].as_u64() > Some(0) && did["received"].as_u64() > Some(0),
        "{did}"
    );
    let status = a.status();
    assert_eq!(status["account"], "admin");
    assert_eq!(status["device"], "A");
    assert_eq!(status["server"], server.url());
    assert_eq!(status["folder"], a.folder().display().to_string());
    assert_eq!(status["files"], 2);
    assert_eq!(status["troubles"], serde_json::json!([]));
    assert_eq!(status["daemon"], serde_json::Value::Null);
    assert!(
        status["in_step"].as_i64() > Some(1_700_000_000_000),
        "{status}"
    );
    let text = a.ok(&["status"]);
    assert!(
        text.contains("2 files") && text.contains("not running"),
        "{text}"
    );
    // Nothing to do is said, and is cheap
    let idle = a.json(&["sync"]);
    assert_eq!((&idle["changes"], &idle["failed"]), (&0.into(), &0.into()));
    assert!(a.sync().contains("in step"));
}

#[test]
fn a_server_that_cannot_be_reached_is_told_and_nothing_is_lost() {
    let (mut server, a, b) = super::pair();
    server.keep_port();
    a.write("a.txt", "one");
    server.stop();
    let said = a.fails(&["sync"], 1);
    assert!(said.starts_with("sync-client: "), "{said}");
    assert!(a.status()["last_error"].is_string());
    server.start_again();
    Client::sync_all(&[&a, &b]);
    assert_eq!(b.read("a.txt"), b"one");
    assert_eq!(a.status()["last_error"], serde_json::Value::Null);
}

#[test]
fn a_device_that_was_revoked_is_told_and_keeps_its_files() {
    let (server, a, b) = super::pair();
    a.write("a.txt", "one");
    Client::sync_all(&[&a, &b]);
    let api = Api::login(&server, "admin", ADMIN_PASSWORD);
    let devices = api.get("devices").json(200);
    let items = devices["items"].as_array().expect("devices");
    let device = items
        .iter()
        .find(|device| device["name"] == "B")
        .expect("it is there");
    api.delete(&format!("devices/{}", device["id"]))
        .expect(&[204]);
    b.write("b.txt", "two");
    let said = b.fails(&["sync"], 1);
    assert!(said.contains("configure"), "what to do is not said: {said}");
    assert_eq!(
        (b.read("a.txt"), b.read("b.txt")),
        (b"one".to_vec(), b"two".to_vec())
    );
}
