//! Two devices change the same between their turns.

use std::collections::BTreeSet;

use webdav_tests::Client;
use webdav_tests::client::{Thing, assert_alike, assert_same_bytes};
use webdav_tests::content::noise;

/// The contents of the files in a folder.
fn contents(client: &Client, folder: &str) -> BTreeSet<Vec<u8>> {
    let names = client.names(folder);
    names
        .iter()
        .map(|name| client.read(format!("{folder}/{name}")))
        .collect()
}

fn set<const N: usize>(contents: [&[u8]; N]) -> BTreeSet<Vec<u8>> {
    contents.iter().map(|content| content.to_vec()).collect()
}

#[test]
fn both_edits_of_a_file_are_on_both_devices_and_the_conflict_is_listed() {
    let (_server, a, b) = super::pair();
    a.write("dir/plan.txt", "one");
    Client::sync_all(&[&a, &b]);
    a.write("dir/plan.txt", "one by A");
    b.write("dir/plan.txt", "one by B");
    Client::sync_all(&[&a, &b]);
    assert_alike(&a, &b);
    assert_eq!(contents(&a, "dir"), set([b"one by A", b"one by B"]));
    let names = a.names("dir");
    assert_eq!(names.len(), 2, "{names:?}");
    let copy = names.iter().find(|name| *name != "plan.txt").unwrap();
    assert!(
        copy.starts_with("plan.conflict-") && copy.rsplit('.').next() == Some("txt"),
        "{copy}"
    );
    assert!(names.contains(&"plan.txt".to_owned()), "{names:?}");
    for device in [&a, &b] {
        let conflicts = device.json(&["conflicts"]);
        assert_eq!(conflicts.as_array().map(Vec::len), Some(1), "{conflicts}");
        assert_eq!(conflicts[0]["node"]["path"], "/dir/plan.txt");
        assert_eq!(conflicts[0]["copy"]["path"], format!("/dir/{copy}"));
        let text = device.ok(&["conflicts"]);
        assert!(
            text.contains("/dir/plan.txt") && text.contains(copy),
            "{text}"
        );
    }
    // It is no conflict of its own, and nothing more comes of it
    assert_eq!(a.json(&["sync"])["changes"], 0);
    assert_eq!(b.json(&["sync"])["changes"], 0);
    // And both files go on as such
    b.append("dir/plan.txt", b", more");
    a.remove(&format!("dir/{copy}"));
    Client::sync_all(&[&a, &b]);
    assert_alike(&a, &b);
    assert_eq!(a.names("dir"), ["plan.txt"]);
}

#[test]
fn equal_edits_are_no_conflict() {
    let (_server, a, b) = super::pair();
    a.write("dir/x", "one");
    a.write("dir/y", noise(1, 200_000));
    Client::sync_all(&[&a, &b]);
    for device in [&a, &b] {
        device.write("dir/x", "the same");
        device.write("dir/y", noise(2, 200_000));
        device.write("dir/new", "new and the same");
        device.write("new folder/in", "in");
    }
    Client::sync_all(&[&a, &b]);
    assert_eq!(a.names("dir"), ["new", "x", "y"]);
    assert_eq!(a.names("new folder"), ["in"]);
    assert_eq!(a.json(&["conflicts"]), serde_json::json!([]));
    assert_eq!(a.tree().len(), b.tree().len());
    assert!(a.ok(&["conflicts"]).contains("no conflicts"));
    assert_same_bytes(&a, &b);
}

#[test]
fn two_new_files_of_one_name_are_both_kept() {
    let (_server, a, b) = super::pair();
    a.write("new/x.txt", "by A");
    b.write("new/x.txt", "by B");
    a.write("new/only A", "A");
    b.write("new/only B", "B");
    Client::sync_all(&[&a, &b]);
    assert_alike(&a, &b);
    assert_eq!(contents(&a, "new"), set([b"by A", b"by B", b"A", b"B"]));
    assert!(a.has("new/x.txt"));
    assert_eq!(a.names("new").len(), 4);
}

#[test]
fn a_file_and_a_folder_of_one_name_are_both_kept() {
    let (_server, a, b) = super::pair();
    a.write("dir/x", "file");
    b.write("dir/x/in", "in a folder");
    a.write("dir/y/in", "in another folder");
    b.link("dir/y", "elsewhere");
    Client::sync_all(&[&a, &b]);
    Client::sync_all(&[&b, &a]);
    assert_alike(&a, &b);
    let all: Vec<_> = a
        .tree()
        .into_iter()
        .filter(|(path, _)| path.starts_with("dir"))
        .collect();
    assert_eq!(all.len(), 7, "{all:?}");
    let has = |bytes: &[u8]| {
        let is =
            |thing: &Thing| matches!(thing, Thing::File { bytes: there, .. } if there == bytes);
        all.iter().any(|(_, thing)| is(thing))
    };
    assert!(
        has(b"file") && has(b"in a folder") && has(b"in another folder"),
        "{all:?}"
    );
}

#[test]
fn edits_of_a_file_that_the_other_side_moved_follow_it() {
    let (_server, a, b) = super::pair();
    a.write("from/x", "one");
    a.write("from/y", "one");
    a.mkdir("to");
    Client::sync_all(&[&a, &b]);
    a.rename("from/x", "to/x");
    b.append("from/x", b" edited");
    b.rename("from", "renamed");
    a.append("from/y", b" edited");
    Client::sync_all(&[&a, &b]);
    Client::sync_all(&[&a, &b]);
    assert_alike(&a, &b);
    assert_eq!(a.read("to/x"), b"one edited");
    assert_eq!(a.read("renamed/y"), b"one edited");
    assert!(!a.has("from"));
}

#[test]
fn moves_of_one_thing_to_two_places_end_at_one() {
    let (_server, a, b) = super::pair();
    a.write("x", "one");
    a.write("d/in", "in");
    a.mkdir("p");
    a.mkdir("q");
    Client::sync_all(&[&a, &b]);
    a.rename("x", "p/x");
    b.rename("x", "q/x");
    a.rename("d", "p/d");
    b.rename("d", "q/d");
    Client::sync_all(&[&a, &b]);
    Client::sync_all(&[&a, &b]);
    assert_alike(&a, &b);
    assert_eq!(
        usize::from(a.has("p/x")) + usize::from(a.has("q/x")),
        1,
        "{:?}",
        a.tree()
    );
    assert_eq!(
        usize::from(a.has("p/d/in")) + usize::from(a.has("q/d/in")),
        1,
        "{:?}",
        a.tree()
    );
}

#[test]
fn folders_that_were_moved_into_each_other_lose_nothing() {
    let (_server, a, b) = super::pair();
    a.write("x/in x", "in x");
    a.write("y/in y", "in y");
    Client::sync_all(&[&a, &b]);
    a.rename("x", "y/x");
    b.rename("y", "x/y");
    Client::sync_all(&[&a, &b]);
    Client::sync_all(&[&a, &b]);
    assert_alike(&a, &b);
    for name in ["in x", "in y"] {
        let found: Vec<_> = a
            .tree()
            .into_keys()
            .filter(|path| path.ends_with(name))
            .collect();
        assert_eq!(found.len(), 1, "{:?}", a.tree());
    }
}

#[test]
fn three_edits_are_three_files() {
    let (server, a, b) = super::pair();
    let c = Client::admin(&server, "C");
    a.write("dir/x.txt", "one");
    Client::sync_all(&[&a, &b, &c]);
    for device in [&a, &b, &c] {
        device.write("dir/x.txt", format!("one by {}", device.name()));
    }
    Client::sync_all(&[&a, &b, &c]);
    assert_alike(&a, &b);
    assert_alike(&a, &c);
    assert_eq!(
        contents(&a, "dir"),
        set([b"one by A", b"one by B", b"one by C"])
    );
    assert_eq!(a.names("dir").len(), 3);
    assert_eq!(c.json(&["conflicts"]).as_array().map(Vec::len), Some(2));
}
