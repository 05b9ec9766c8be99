//! `sync-client resolve` without a terminal: of two edits one stays, or both, or what an editor makes of them, and
//! it does so on all devices.

use std::collections::BTreeSet;
use std::fs;
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};
use webdav_tests::client::{assert_alike, binary, within};
use webdav_tests::process::{Said, run};
use webdav_tests::server::ADMIN_PASSWORD;
use webdav_tests::{Api, Client, TestServer};

use super::wait_until_alike;

const SOON: Duration = Duration::from_secs(20);
/// Exit codes of a command that was said wrongly, and of one that could not end all conflicts.
const SAID_WRONGLY: i32 = 2;
const UNRESOLVED: i32 = 4;

/// What each device makes of a file.
const EDITS: [&str; 2] = ["first\nby A\nlast\n", "first\nby B\nlast\n"];

/// Has both devices edit files; on the device with the index `later`, a minute later.
#[track_caller]
fn edit_on_both(devices: [&Client; 2], paths: &[(String, usize)]) {
    let now = SystemTime::now();
    for (path, _) in paths {
        devices[0].write(path, "first\nlast\n");
    }
    Client::sync_all(&devices);
    for (path, later) in paths {
        for (nth, device) in devices.iter().enumerate() {
            device.write(path, EDITS[nth]);
            let age = Duration::from_secs(if nth == *later { 60 } else { 120 });
            device.set_time(path, now - age);
        }
    }
    Client::sync_all(&devices);
}

/// A server with two devices and one file in conflict: A's edit is the file, B's lies beside it.
#[track_caller]
fn conflict() -> (TestServer, Client, Client) {
    let (server, a, b) = super::pair();
    edit_on_both([&a, &b], &[("dir/plan.txt".to_owned(), 0)]);
    assert_alike(&a, &b);
    assert_eq!(contents(&a, "dir"), set(&EDITS));
    (server, a, b)
}

/// The contents of the files in a folder.
#[track_caller]
fn contents(client: &Client, folder: &str) -> BTreeSet<String> {
    let names = client.names(folder).into_iter();
    let read = |name| client.read(format!("{folder}/{name}"));
    names
        .map(|name| String::from_utf8(read(name)).expect("a text"))
        .collect()
}

fn set(contents: &[&str]) -> BTreeSet<String> {
    contents.iter().map(|&content| content.to_owned()).collect()
}

/// The conflicts as a device lists them.
#[track_caller]
fn conflicts(client: &Client) -> Vec<Value> {
    let listed = client.json(&["conflicts"]);
    listed.as_array().expect("a list").clone()
}

#[track_caller]
fn conflict_of(client: &Client, path: &str) -> Value {
    let found = conflicts(client)
        .into_iter()
        .find(|conflict| conflict["node"]["path"] == path);
    found.unwrap_or_else(|| panic!("{path} is in no conflict"))
}

/// Runs `resolve --take editor` with a shell script for an editor, whose first argument is the text.
#[track_caller]
fn resolve_by_script(server: &TestServer, client: &Client, script: &str) -> Said {
    let path = server.dir().join("editor.sh");
    fs::write(&path, script).expect("room");
    let mut command = client.command(&["resolve", "dir/plan.txt", "--take", "editor"]);
    command.env_remove("VISUAL");
    command.env("EDITOR", format!("sh {}", path.display()));
    run(&mut command, b"")
}

/// Everything that can be told apart: who asks, whose edit was the later one and so is the file, and what is taken.
fn cases() -> Vec<(usize, usize, &'static str)> {
    let mut cases = Vec::new();
    for asks in [0, 1] {
        for later in [0, 1] {
            cases.extend(["local", "server", "both"].map(|take| (asks, later, take)));
        }
    }
    cases
}

#[test]
fn what_is_taken_is_on_both_devices_whoever_asks_and_whosever_edit_is_the_file() {
    let (server, a, b) = super::pair();
    let devices = [&a, &b];
    let folder = |(asks, later, take): (usize, usize, &str)| format!("{asks}{later}{take}");
    let paths: Vec<_> = cases()
        .iter()
        .map(|&case| (format!("{}/plan.txt", folder(case)), case.1))
        .collect();
    edit_on_both(devices, &paths);
    assert_alike(&a, &b);
    for (path, later) in &paths {
        assert_eq!(a.read(path), EDITS[*later].as_bytes(), "{path}");
        assert_eq!(
            contents(&a, path.trim_end_matches("/plan.txt")),
            set(&EDITS)
        );
    }
    for (nth, case) in cases().into_iter().enumerate() {
        assert_eq!(conflicts(&b).len(), 12 - nth);
        let (asks, later, take) = case;
        let path = format!("/{}/plan.txt", folder(case));
        let found = conflict_of(&a, &path);
        // By its path there and here, by the copy's path and by its number
        let named = match nth % 4 {
            0 => path.clone(),
            1 => devices[asks].path(&path[1..]).display().to_string(),
            2 => found["copy"]["path"].as_str().expect("a path").to_owned(),
            _ => found["id"].to_string(),
        };
        let outcome = devices[asks].json(&["resolve", &named, "--take", take]);
        let keep = match take {
            "both" => "both",
            "local" if asks == later => "node",
            "server" if asks != later => "node",
            _ => "copy",
        };
        let wanted = json!([
            {"conflict": found["id"], "path": path, "took": take, "keep": keep, "error": null}
        ]);
        assert_eq!(outcome, wanted);
    }
    Client::sync_all(&devices);
    assert_alike(&a, &b);
    for case in cases() {
        let stays: &[&str] = match case {
            (asks, _, "local") => &EDITS[asks..=asks],
            (asks, _, "server") => &EDITS[1 - asks..=1 - asks],
            _ => &EDITS,
        };
        let folder = folder(case);
        assert_eq!(contents(&b, &folder), set(stays), "{folder}");
        assert_eq!(b.names(&folder).len(), stays.len(), "{folder}");
        assert!(b.has(format!("{folder}/plan.txt")), "{folder}");
    }
    // Eight copies went, and can be had back
    let trash = Api::login(&server, "admin", ADMIN_PASSWORD).all("trash");
    assert_eq!(trash.len(), 8, "{trash:?}");
    for device in devices {
        assert_eq!(conflicts(device), [] as [Value; 0]);
        assert_eq!(device.json(&["resolve", "--take", "local"]), json!([]));
    }
}

#[test]
fn without_a_name_all_conflicts_are_ended() {
    let (_server, a, b) = super::pair();
    let paths = [("dir/x", 0), ("dir/y", 1)].map(|(path, later)| (path.to_owned(), later));
    edit_on_both([&a, &b], &paths);
    let said = b.ok(&["resolve", "--take", "server"]);
    for line in ["/dir/x  server", "/dir/y  server", "sync-client sync"] {
        assert!(said.contains(line), "{said}");
    }
    assert!(
        b.ok(&["resolve", "--take", "server"])
            .contains("no conflicts")
    );
    Client::sync_all(&[&a, &b]);
    assert_alike(&a, &b);
    assert_eq!(b.names("dir"), ["x", "y"]);
    assert_eq!(contents(&b, "dir"), set(&EDITS[..1]));
}

#[test]
fn what_is_in_no_conflict_is_refused_and_changes_nothing() {
    let (_server, a, b) = conflict();
    a.write("dir/other.txt", "other");
    Client::sync_all(&[&a, &b]);
    let (before, listed) = (a.tree(), conflicts(&a));
    let other = a.path("dir/other.txt").display().to_string();
    for named in [
        "dir/other.txt",
        &other,
        "dir",
        "plan.txt",
        "nowhere",
        "1000000",
        "",
    ] {
        for take in ["local", "server", "both", "editor"] {
            let said = a.fails(&["resolve", named, "--take", take], SAID_WRONGLY);
            assert!(
                said.contains(&format!("`{named}` is not in conflict")),
                "{said}"
            );
        }
    }
    // Nor is anything decided where nobody can be asked
    let said = a.fails(&["resolve"], SAID_WRONGLY);
    assert!(said.contains("--take"), "{said}");
    a.fails(&["resolve", "dir/plan.txt", "--take", "mine"], SAID_WRONGLY);
    Client::sync_all(&[&a, &b]);
    assert_eq!(a.tree(), before);
    assert_alike(&a, &b);
    assert_eq!(conflicts(&b), listed);
    // One that was ended is none any more
    b.ok(&["resolve", "dir/plan.txt", "--take", "both"]);
    a.fails(
        &["resolve", "dir/plan.txt", "--take", "local"],
        SAID_WRONGLY,
    );
    Client::sync_all(&[&a, &b]);
    assert_eq!(a.tree(), before);
    assert_alike(&a, &b);
}

#[test]
fn a_daemon_brings_what_was_taken_without_being_asked() {
    let (_server, a, b) = conflict();
    let (_running_a, _running_b) = (a.daemon(), b.daemon());
    let said = b.ok(&["resolve", "dir/plan.txt", "--take", "local"]);
    assert!(!said.contains("sync-client sync"), "{said}");
    for device in [&a, &b] {
        let there = || device.holds("dir/plan.txt", EDITS[1]) && device.names("dir").len() == 1;
        assert!(within(SOON, there), "{}", device.status());
    }
    wait_until_alike(&a, &b, SOON);
    assert_eq!(conflicts(&a), [] as [Value; 0]);
}

#[test]
fn what_an_editor_makes_of_both_is_on_both_devices() {
    let (server, a, b) = conflict();
    let seen = server.dir().join("seen");
    let script = format!(
        "cp \"$1\" '{}'\nprintf 'first\\nby both\\nlast\\n' > \"$1\"\n",
        seen.display()
    );
    let said = resolve_by_script(&server, &b, &script);
    assert_eq!(said.code, 0, "{}", said.stderr);
    let marked = "first\n<<<<<<< local\nby B\n=======\nby A\n>>>>>>> server\nlast\n";
    assert_eq!(fs::read_to_string(&seen).unwrap(), marked);
    Client::sync_all(&[&a, &b]);
    assert_alike(&a, &b);
    assert_eq!(a.names("dir"), ["plan.txt"]);
    assert_eq!(a.read("dir/plan.txt"), b"first\nby both\nlast\n");
    assert_eq!(conflicts(&a), [] as [Value; 0]);
}

#[test]
fn an_editor_that_fails_or_leaves_marks_or_changes_nothing_resolves_nothing() {
    let (server, a, b) = conflict();
    let (before, listed) = (a.tree(), conflicts(&a));
    let scripts = [
        ("printf 'by both' > \"$1\"; exit 1\n", "the editor failed"),
        ("echo more >> \"$1\"\n", "marks"),
        ("true\n", "nothing was changed"),
        ("rm \"$1\"\n", "No such file"),
    ];
    for (script, why) in scripts {
        let said = resolve_by_script(&server, &b, script);
        let all = said.text() + &said.stderr;
        assert!(
            said.code == UNRESOLVED && all.contains(why),
            "{}: {all}",
            said.code
        );
    }
    Client::sync_all(&[&a, &b]);
    assert_eq!(a.tree(), before);
    assert_alike(&a, &b);
    assert_eq!(conflicts(&b), listed);
}

#[test]
fn what_changed_while_it_was_edited_is_not_touched() {
    let (server, a, b) = conflict();
    let script = format!(
        "echo 'by A again' > '{}'\n'{}' --config-dir '{}' sync || exit 1\necho merged > \"$1\"\n",
        a.path("dir/plan.txt").display(),
        binary().display(),
        a.config().display(),
    );
    let said = resolve_by_script(&server, &b, &script);
    let all = said.text() + &said.stderr;
    assert!(
        said.code == UNRESOLVED && all.contains("changed meanwhile"),
        "{}: {all}",
        said.code
    );
    Client::sync_all(&[&a, &b]);
    assert_alike(&a, &b);
    assert_eq!(contents(&b, "dir"), set(&["by A again\n", EDITS[1]]));
    assert_eq!(conflicts(&b).len(), 1);
}

#[test]
fn a_side_that_was_deleted_since_cannot_be_taken_and_the_other_stays() {
    let (_server, a, b) = conflict();
    let names = a.names("dir");
    let copy = names
        .iter()
        .find(|name| *name != "plan.txt")
        .expect("a copy");
    a.remove(&format!("dir/{copy}"));
    Client::sync_all(&[&a, &b]);
    // B's own edit lay in it
    let said = b.run(&["resolve", "dir/plan.txt", "--take", "local"]);
    let all = said.text() + &said.stderr;
    assert!(
        said.code == UNRESOLVED && all.contains("deleted since"),
        "{}: {all}",
        said.code
    );
    assert_eq!(conflicts(&b).len(), 1);
    b.ok(&["resolve", "dir/plan.txt", "--take", "both"]);
    Client::sync_all(&[&a, &b]);
    assert_alike(&a, &b);
    assert_eq!(b.names("dir"), ["plan.txt"]);
    assert_eq!(b.read("dir/plan.txt"), EDITS[0].as_bytes());
    assert_eq!(conflicts(&b), [] as [Value; 0]);
}

#[test]
fn a_file_in_two_conflicts_has_to_be_named_by_number() {
    let (server, a, b) = super::pair();
    let c = Client::admin(&server, "C");
    a.write("dir/plan.txt", "one");
    let devices = [&a, &b, &c];
    Client::sync_all(&devices);
    for device in devices {
        device.write("dir/plan.txt", format!("one by {}", device.name()));
    }
    Client::sync_all(&devices);
    let (before, listed) = (a.tree(), conflicts(&c));
    let ids: Vec<_> = listed
        .iter()
        .map(|conflict| conflict["id"].to_string())
        .collect();
    assert_eq!(ids.len(), 2, "{listed:?}");
    let said = c.fails(
        &["resolve", "dir/plan.txt", "--take", "server"],
        SAID_WRONGLY,
    );
    assert!(
        said.contains("several conflicts") && said.contains(&ids.join(", ")),
        "{said}"
    );
    assert_eq!(conflicts(&a), listed);
    c.ok(&["resolve", &ids[0], "--take", "both"]);
    assert_eq!(conflicts(&a), listed[1..]);
    c.ok(&["resolve", "dir/plan.txt", "--take", "both"]);
    Client::sync_all(&devices);
    assert_eq!(a.tree(), before);
    assert_alike(&a, &b);
    assert_alike(&a, &c);
    assert_eq!(conflicts(&b), [] as [Value; 0]);
}
