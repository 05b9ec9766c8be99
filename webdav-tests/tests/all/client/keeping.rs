//! Nothing is deleted by mistake.

use std::fs;
use std::path::{Path, PathBuf};

use webdav_tests::client::{Thing, assert_alike};
use webdav_tests::content::noise;
use webdav_tests::damage::flip;
use webdav_tests::process::run_ok;
use webdav_tests::server::ADMIN_PASSWORD;
use webdav_tests::{Api, Client, TestServer, postgres};

/// Exit code when somebody has to say that all that is meant to go.
const QUESTION: i32 = 3;

/// A server and two devices with twenty files each.
#[track_caller]
fn filled() -> (TestServer, Client, Client) {
    let (server, a, b) = super::pair();
    for nth in 0..20 {
        a.write(format!("dir{}/{nth}.txt", nth % 3), format!("file {nth}"));
    }
    Client::sync_all(&[&a, &b]);
    assert_alike(&a, &b);
    (server, a, b)
}

fn files(client: &Client) -> usize {
    let is_file = |path: &Path| client.path(path).is_file();
    client.tree().keys().filter(|path| is_file(path)).count()
}

/// Names of what is in trash, in order.
#[track_caller]
fn trash(server: &TestServer) -> Vec<String> {
    let api = Api::login(server, "admin", ADMIN_PASSWORD);
    let all = api.all("trash?limit=1000");
    let from = |item: &serde_json::Value| item["from"].as_str().expect("where it was").to_owned();
    let mut names: Vec<_> = all.iter().map(from).collect();
    names.sort();
    names
}

/// One `sync` that does its work or asks first, and does not fail. Whether it did its work.
#[track_caller]
fn done_or_a_question(client: &Client) -> bool {
    let said = client.run(&["sync"]);
    let (name, code) = (client.name(), said.code);
    assert!(
        matches!(code, 0 | QUESTION),
        "{name}: {code} {}",
        said.stderr
    );
    code == 0
}

fn empty(client: &Client) {
    for name in client.names("") {
        client.remove(&name);
    }
}

#[test]
fn an_emptied_folder_is_a_question_and_force_delete_the_answer() {
    let (server, a, b) = filled();
    empty(&a);
    for _ in 0..2 {
        let said = a.fails(&["sync"], QUESTION);
        assert!(
            said.contains("--force-delete") && said.contains("20"),
            "{said}"
        );
    }
    assert!(
        a.status()["last_error"]
            .as_str()
            .is_some_and(|said| said.contains("--force-delete"))
    );
    b.sync();
    assert_eq!(files(&b), 20);
    assert_eq!(trash(&server), [""; 0]);
    // When it is meant, it goes from the server, and the other device asks in its turn
    a.ok(&["sync", "--force-delete"]);
    assert!(!trash(&server).is_empty());
    b.fails(&["sync"], QUESTION);
    assert_eq!(files(&b), 20);
    b.ok(&["sync", "--force-delete"]);
    assert_eq!(files(&b), 0);
    Client::sync_all(&[&a, &b]);
    assert_alike(&a, &b);
}

#[test]
fn an_emptied_folder_that_is_filled_again_loses_nothing() {
    let (server, a, b) = filled();
    let away = server.dir().join("away");
    fs::create_dir(&away).unwrap();
    for name in a.names("") {
        // Not every folder there has to be on one file system with the test's.
        fs::rename(a.path(&name), away.join(&name)).unwrap();
    }
    a.fails(&["sync"], QUESTION);
    for entry in fs::read_dir(&away).unwrap() {
        let entry = entry.unwrap();
        fs::rename(entry.path(), a.path(entry.file_name())).unwrap();
    }
    a.sync();
    b.sync();
    assert_eq!(files(&b), 20);
    assert_alike(&a, &b);
    assert_eq!(trash(&server), [""; 0]);
}

#[test]
fn more_than_half_of_many_files_is_a_question() {
    let (_server, a, b) = super::pair();
    for nth in 0..150 {
        a.write(format!("d{}/{nth}", nth % 10), nth.to_string());
    }
    Client::sync_all(&[&a, &b]);
    for nth in 0..6 {
        a.remove(&format!("d{nth}"));
    }
    a.fails(&["sync"], QUESTION);
    b.sync();
    assert_eq!(files(&b), 150);
    // Less than that goes by itself
    a.ok(&["sync", "--force-delete"]);
    b.ok(&["sync", "--force-delete"]);
    a.remove("d6");
    Client::sync_all(&[&a, &b]);
    assert_alike(&a, &b);
    assert_eq!(files(&b), 45);
}

#[test]
fn a_folder_that_is_not_mounted_stops_everything_with_an_error() {
    let (server, a, b) = filled();
    let away = server.dir().join("away");
    fs::rename(a.folder(), &away).unwrap();
    // Nothing at its place, an empty mount point, another folder with a marker, a link to nowhere
    let gone = a.fails(&["sync"], 1);
    assert!(gone.contains(&a.folder().display().to_string()), "{gone}");
    fs::create_dir(a.folder()).unwrap();
    let said = a.fails(&["sync"], 1);
    assert!(said.contains("folder"), "{said}");
    a.fails(&["sync", "--force-delete"], 1);
    fs::create_dir(a.path(".sync-client")).unwrap();
    fs::copy(b.path(".sync-client/folder"), a.path(".sync-client/folder")).unwrap();
    a.fails(&["sync", "--force-delete"], 1);
    fs::remove_dir_all(a.folder()).unwrap();
    let nowhere = server.dir().join("nowhere");
    std::os::unix::fs::symlink(&nowhere, a.folder()).unwrap();
    a.fails(&["sync"], 1);
    assert!(!nowhere.exists(), "nobody makes what a link leads to");
    fs::remove_file(a.folder()).unwrap();
    // Nothing came of it
    b.sync();
    assert_eq!(files(&b), 20);
    assert_eq!(trash(&server), [""; 0]);
    fs::rename(&away, a.folder()).unwrap();
    a.append("dir0/0.txt", b" more");
    Client::sync_all(&[&a, &b]);
    assert_eq!(files(&b), 20);
    assert_alike(&a, &b);
}

#[test]
fn a_marker_that_was_deleted_stops_everything_with_an_error() {
    let (server, a, b) = filled();
    a.remove(".sync-client");
    empty(&a);
    a.fails(&["sync"], 1);
    a.fails(&["sync", "--force-delete"], 1);
    b.sync();
    assert_eq!(files(&b), 20);
    assert_eq!(trash(&server), [""; 0]);
}

#[test]
fn a_server_that_was_emptied_is_a_question_at_every_device() {
    let (server, a, b) = filled();
    let dav = server.admin();
    for name in 0..3 {
        dav.delete(&format!("/dav/dir{name}/")).expect(&[204]);
    }
    for device in [&a, &b] {
        let said = device.fails(&["sync"], QUESTION);
        assert!(said.contains("--force-delete"), "{said}");
        assert_eq!(files(device), 20);
    }
    // An edit here is kept whatever is answered
    a.append("dir1/1.txt", b" edited");
    a.ok(&["sync", "--force-delete"]);
    assert_eq!(files(&a), 1);
    assert_eq!(a.read("dir1/1.txt"), b"file 1 edited");
    b.ok(&["sync", "--force-delete"]);
    Client::sync_all(&[&a, &b]);
    assert_alike(&a, &b);
}

#[test]
fn another_server_at_the_same_address_deletes_nothing() {
    let (mut server, a, _b) = filled();
    // Rules are met anew by each run, and must not be taken for a reason to forget how far it was heard
    a.write(".syncignore", "target/\n");
    a.sync();
    server.keep_port();
    server.stop();
    for name in ["db", "data"] {
        fs::remove_dir_all(server.dir().join(name)).unwrap();
        fs::create_dir(server.dir().join(name)).unwrap();
    }
    server.start_again();
    let before = a.tree();
    // The log-in holds no more
    let said = a.fails(&["sync"], 1);
    assert!(said.contains("configure"), "{said}");
    assert_eq!(a.tree(), before);
    // And when the device is set up again, with the folder it has, nothing goes without a question
    a.configure(&server.url(), "admin", ADMIN_PASSWORD);
    for _ in 0..2 {
        let in_step = done_or_a_question(&a);
        let there = server.admin().get("/dav/dir0/0.txt").body == b"file 0";
        assert!(there || !in_step, "in step with a server that has nothing");
        let after = a.tree();
        for (path, thing) in &before {
            assert_eq!(after.get(path), Some(thing), "{}", path.display());
        }
    }
    let there = server.admin().get("/dav/dir0/0.txt").expect(&[200]);
    assert_eq!(
        there.body, b"file 0",
        "the new server has what the folder has"
    );
}

/// Keeps what a server has at this moment.
fn back_up(server: &mut TestServer) -> PathBuf {
    server.keep_port();
    server.stop();
    let backup = server.dir().join("backup");
    fs::create_dir(&backup).unwrap();
    for name in ["db", "data"] {
        copy_all(&server.dir().join(name), &backup.join(name));
    }
    server.start_again();
    backup
}

fn put_back(server: &mut TestServer, backup: &Path) {
    server.stop();
    for name in ["db", "data"] {
        fs::remove_dir_all(server.dir().join(name)).unwrap();
        copy_all(&backup.join(name), &server.dir().join(name));
    }
    server.start_again();
}

fn copy_all(from: &Path, to: &Path) {
    run_ok("cp", &["-a".as_ref(), from.as_os_str(), to.as_os_str()]);
}

#[test]
fn a_server_that_was_restored_from_a_backup_deletes_nothing_that_it_did_not_have() {
    let (mut server, a, b) = filled();
    a.write(".syncignore", "target/\n");
    Client::sync_all(&[&a, &b]);
    let backup = back_up(&mut server);
    // Given what happened after the backup
    a.write("after/1.txt", "one");
    a.write("after/2.txt", "two");
    a.append("dir0/0.txt", b" edited");
    a.remove("dir1/1.txt");
    Client::sync_all(&[&a, &b]);
    // When the backup is put back
    put_back(&mut server, &backup);
    for device in [&a, &b, &a, &b] {
        done_or_a_question(device);
    }
    for path in ["after/1.txt", "after/2.txt", "dir0/0.txt"] {
        let found = [&a, &b].map(|device| device.has(path));
        assert!(found[0] || found[1], "{path} is lost");
    }
    // Every content is still somewhere
    let contents = |device: &Client| device.tree().into_values().collect::<Vec<_>>();
    let all = [contents(&a), contents(&b)].concat();
    for content in ["one", "two", "file 0 edited"] {
        let content = content.as_bytes();
        let is = |thing: &Thing| matches!(thing, Thing::File { bytes, .. } if bytes == content);
        assert!(
            all.iter().any(is),
            "{} is lost",
            String::from_utf8_lossy(content)
        );
    }
    // And all go on together
    Client::sync_all(&[&a, &b]);
    assert_alike(&a, &b);
    let there = server.admin().get("/dav/after/1.txt").expect(&[200]);
    assert_eq!(there.body, b"one");
}

#[test]
fn a_device_that_was_away_for_too_long_brings_nothing_back_that_was_deleted() {
    let (server, a, b) = filled();
    a.remove("dir0/0.txt");
    a.remove("dir1");
    a.append("dir2/2.txt", b" edited at A");
    a.sync();
    // Given that the server does not remember what went, and what was done here meanwhile
    let forget = "UPDATE space SET feed_floor = seq";
    postgres::execute(&server, forget);
    b.append("dir0/3.txt", b" edited at B");
    b.append("dir1/1.txt", b" edited at B");
    b.write("dir1/new.txt", "new");
    b.sync();
    Client::sync_all(&[&a, &b]);
    assert_alike(&a, &b);
    assert!(!a.has("dir0/0.txt"));
    assert_eq!(a.names("dir1"), ["1.txt", "new.txt"]);
    assert_eq!(a.read("dir0/3.txt"), b"file 3 edited at B");
    assert_eq!(a.read("dir1/1.txt"), b"file 1 edited at B");
    assert_eq!(b.read("dir2/2.txt"), b"file 2 edited at A");
}

#[test]
fn what_one_side_deleted_and_the_other_edited_is_kept() {
    let (_server, a, b) = filled();
    // The edit is told first, then the deletion
    a.append("dir0/0.txt", b" edited");
    b.remove("dir0/0.txt");
    // The other way round
    a.remove("dir1/1.txt");
    b.append("dir1/1.txt", b" edited");
    // A folder goes in which something is new, and one in which something was edited
    a.remove("dir2");
    b.write("dir2/new.txt", "new");
    b.append("dir2/2.txt", b" edited");
    Client::sync_all(&[&a, &b]);
    Client::sync_all(&[&a, &b]);
    assert_alike(&a, &b);
    assert_eq!(a.read("dir0/0.txt"), b"file 0 edited");
    assert_eq!(a.read("dir1/1.txt"), b"file 1 edited");
    assert_eq!(a.read("dir2/new.txt"), b"new");
    assert_eq!(a.read("dir2/2.txt"), b"file 2 edited");
    assert!(!a.has("dir2/5.txt"), "the rest of the folder is gone");
}

#[test]
fn what_one_side_deleted_and_the_other_moved_is_kept() {
    let (_server, a, b) = filled();
    a.remove("dir0/0.txt");
    b.rename("dir0/0.txt", "dir1/moved.txt");
    a.remove("dir2");
    b.rename("dir2", "dir1/dir2");
    Client::sync_all(&[&a, &b]);
    Client::sync_all(&[&b, &a]);
    assert_alike(&a, &b);
    assert_eq!(a.read("dir1/moved.txt"), b"file 0");
    assert_eq!(a.read("dir1/dir2/2.txt"), b"file 2");
}

#[test]
fn what_was_deleted_here_is_in_trash_there_and_comes_back_from_it() {
    let (server, a, b) = filled();
    a.remove("dir0/0.txt");
    a.remove("dir1");
    Client::sync_all(&[&a, &b]);
    assert!(!b.has("dir1") && !b.has("dir0/0.txt"));
    let api = Api::login(&server, "admin", ADMIN_PASSWORD);
    for item in api.all("trash?limit=1000") {
        let id = webdav_tests::api::id(&item);
        api.post_nothing(&format!("trash/{id}/restore"))
            .expect(&[200]);
    }
    Client::sync_all(&[&a, &b]);
    assert_alike(&a, &b);
    assert_eq!(files(&a), 20);
    assert_eq!(a.read("dir1/1.txt"), b"file 1");
}

#[test]
fn a_file_that_was_edited_after_the_last_look_is_not_overwritten_by_one_from_the_server() {
    let (_server, a, b) = filled();
    // Same length, and the time put back: only the inode's change time tells
    let before = fs::metadata(b.path("dir0/0.txt"))
        .unwrap()
        .modified()
        .unwrap();
    b.write("dir0/0.txt", "FILE 0");
    b.set_time("dir0/0.txt", before);
    a.write("dir0/0.txt", "changed at A");
    a.sync();
    Client::sync_all(&[&b, &a]);
    assert_alike(&a, &b);
    let contents: Vec<_> = a
        .names("dir0")
        .iter()
        .map(|name| a.read(format!("dir0/{name}")))
        .collect();
    assert!(contents.contains(&b"FILE 0".to_vec()) && contents.contains(&b"changed at A".to_vec()));
}

#[test]
fn a_server_that_was_restored_while_the_rules_changed_deletes_nothing_either() {
    let (mut server, a, b) = filled();
    let backup = back_up(&mut server);
    a.write("after/1.txt", "one");
    Client::sync_all(&[&a, &b]);
    put_back(&mut server, &backup);
    // Another rule makes it hear everything anew, from a server that has forgotten
    for device in [&a, &b] {
        device.write(".syncignore", "target/\n");
        done_or_a_question(device);
        assert_eq!(device.read("after/1.txt"), b"one");
    }
    Client::sync_all(&[&a, &b]);
    assert_eq!(server.admin().get("/dav/after/1.txt").body, b"one");
}

#[test]
fn files_that_are_damaged_on_the_server_do_not_keep_the_others_away() {
    for size in [1_000_000, 20_000_000] {
        let server = TestServer::start();
        let a = Client::admin(&server, "A");
        // One that is sound comes before, between and behind
        for name in ["0.txt", "1.bin", "2.bin", "3.txt", "4.bin", "5.txt"] {
            if name.ends_with("bin") {
                server.admin().put(
                    &format!("/dav/{name}"),
                    &noise(size as u64 + u64::from(name.as_bytes()[0]), size),
                );
            } else {
                server.admin().put(&format!("/dav/{name}"), b"sound");
            }
        }
        // In the middle of each: they lie one behind the other.
        for nth in [1, 3, 5] {
            flip(&server, |length| length / 6 * nth);
        }
        // It may be the line's fault as long as more comes each time: what was on its way when it breaks may be lost.
        let told = (0..20).any(|_| a.run(&["sync"]).code == 4);
        assert!(told, "the line is blamed for ever");
        for name in ["0.txt", "3.txt", "5.txt"] {
            assert_eq!(a.read(name), b"sound");
        }
        let troubles = a.status()["troubles"].clone();
        let paths: Vec<_> = troubles
            .as_array()
            .unwrap()
            .iter()
            .map(|trouble| trouble["path"].clone())
            .collect();
        assert_eq!(paths, ["1.bin", "2.bin", "4.bin"], "{troubles}");
        assert!(
            !a.has("1.bin") && !a.has("2.bin") && !a.has("4.bin"),
            "half a file"
        );
    }
}
