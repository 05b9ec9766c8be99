//! What one device does to files and folders is on the other one after both had their turn.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use webdav_tests::Client;
use webdav_tests::client::{Thing, assert_alike};
use webdav_tests::content::{noise, prose};

#[test]
fn new_changed_and_deleted_files_arrive() {
    let (_server, a, b) = super::pair();
    a.write("empty", "");
    a.write("small.txt", "small");
    a.write("middle.bin", noise(1, 100_000));
    a.write("docs/large.bin", noise(2, 3_000_000));
    a.write("docs/text.txt", prose(200_000));
    a.sync();
    b.sync();
    assert_alike(&a, &b);
    // Changed on either side, at the begin, in the middle, at the end
    let mut large = a.read("docs/large.bin");
    large.splice(1_000_000..1_000_010, *b"a few other bytes");
    a.write("docs/large.bin", &large);
    b.append("docs/text.txt", b"the end");
    b.write("small.txt", "");
    a.write("empty", "no more");
    Client::sync_all(&[&a, &b]);
    assert_alike(&a, &b);
    assert_eq!(b.read("docs/large.bin"), large);
    assert_eq!(b.read("empty"), b"no more");
    assert_eq!(a.read("small.txt"), b"");
    a.remove("middle.bin");
    b.remove("small.txt");
    Client::sync_all(&[&a, &b]);
    assert_alike(&a, &b);
    assert!(!b.has("middle.bin") && !a.has("small.txt"));
}

#[test]
fn a_small_change_of_a_large_file_sends_little_and_brings_little() {
    let (_server, a, b) = super::pair();
    let mut large = noise(1, 8_000_000);
    a.write("large.bin", &large);
    Client::sync_all(&[&a, &b]);
    large[4_000_000] ^= 1;
    a.write("large.bin", &large);
    let sent = a.json(&["sync"])["sent"].as_u64().unwrap();
    let received = b.json(&["sync"])["received"].as_u64().unwrap();
    println!("a byte of 8 MB: {sent} bytes sent, {received} received");
    assert_alike(&a, &b);
    assert!(
        sent < 600_000 && received < 600_000,
        "{sent} sent, {received} received"
    );
}

#[test]
fn renamed_and_moved_files_and_folders_arrive_without_their_bytes() {
    let (_server, a, b) = super::pair();
    a.write("one.bin", noise(1, 1_000_000));
    a.write("dir/deep/two.bin", noise(2, 1_000_000));
    a.write("dir/three.txt", "three");
    a.mkdir("to");
    Client::sync_all(&[&a, &b]);
    let inode = fs::metadata(b.path("dir/deep/two.bin")).unwrap().ino();
    a.rename("one.bin", "to/uno.bin");
    a.rename("dir", "to/dir");
    a.rename("to/dir/three.txt", "three.txt");
    let sent = a.json(&["sync"])["sent"].as_u64().unwrap();
    let received = b.json(&["sync"])["received"].as_u64().unwrap();
    assert_alike(&a, &b);
    assert_eq!(
        fs::metadata(b.path("to/dir/deep/two.bin")).unwrap().ino(),
        inode
    );
    assert!(
        sent < 50_000 && received < 50_000,
        "{sent} sent, {received} received"
    );
    // A folder that moves while the other side writes into it
    a.rename("to/dir", "again");
    b.write("to/dir/new.txt", "new");
    b.append("to/dir/deep/two.bin", b"more");
    Client::sync_all(&[&a, &b]);
    assert_alike(&a, &b);
    assert_eq!(a.read("again/new.txt"), b"new");
    assert_eq!(a.read("again/deep/two.bin").len(), 1_000_004);
    assert!(!a.has("to/dir"), "{:?}", a.tree());
}

#[test]
fn what_one_side_moved_out_of_a_folder_stays_when_the_other_deletes_the_folder() {
    let (_server, a, b) = super::pair();
    for name in ["kept", "gone"] {
        a.write(format!("folder/deep/{name}"), name);
    }
    Client::sync_all(&[&a, &b]);
    a.rename("folder/deep/kept", "kept");
    b.remove("folder");
    for _ in 0..2 {
        a.sync();
        b.sync();
    }
    assert_alike(&a, &b);
    assert_eq!(b.read("kept"), b"kept");
    assert!(!a.path("folder").exists());
    // What came belongs to where it lies now, and goes on as any other file does.
    b.rename("kept", "documents/kept");
    Client::sync_all(&[&a, &b]);
    assert_alike(&a, &b);
    assert_eq!(a.read("documents/kept"), b"kept");
}

#[test]
fn names_that_are_exchanged_and_rings_of_names_arrive() {
    let (_server, a, b) = super::pair();
    for name in ["1", "2", "3", "x/1", "y/1"] {
        a.write(name, name);
    }
    Client::sync_all(&[&a, &b]);
    a.rename("1", "t");
    a.rename("2", "1");
    a.rename("3", "2");
    a.rename("t", "3");
    b.rename("x", "t");
    b.rename("y", "x");
    b.rename("t", "y");
    Client::sync_all(&[&a, &b]);
    assert_alike(&a, &b);
    let read = |name| String::from_utf8(b.read(name)).unwrap();
    assert_eq!([read("1"), read("2"), read("3")], ["2", "3", "1"]);
    assert_eq!([read("x/1"), read("y/1")], ["y/1", "x/1"]);
}

#[test]
fn copies_are_files_of_their_own_and_send_next_to_nothing() {
    let (_server, a, b) = super::pair();
    a.write("one.bin", noise(1, 2_000_000));
    Client::sync_all(&[&a, &b]);
    fs::copy(a.path("one.bin"), a.path("two.bin")).unwrap();
    a.mkdir("dir");
    fs::copy(a.path("one.bin"), a.path("dir/three.bin")).unwrap();
    let sent = a.json(&["sync"])["sent"].as_u64().unwrap();
    assert!(sent < 100_000, "{sent}");
    let received = b.json(&["sync"])["received"].as_u64().unwrap();
    println!("two copies of 2 MB: {sent} bytes sent, {received} received");
    assert!(received < 100_000, "{received}");
    assert_alike(&a, &b);
    b.append("two.bin", b"other");
    Client::sync_all(&[&b, &a]);
    assert_alike(&a, &b);
    assert_ne!(a.read("one.bin"), a.read("two.bin"));
    assert_eq!(a.read("one.bin"), a.read("dir/three.bin"));
}

#[test]
fn empty_folders_come_and_go() {
    let (_server, a, b) = super::pair();
    a.write("file", "file");
    a.mkdir("empty/in/empty");
    a.sync();
    b.sync();
    assert_alike(&a, &b);
    assert!(b.path("empty/in/empty").is_dir());
    b.remove("empty/in");
    b.mkdir("other");
    Client::sync_all(&[&b, &a]);
    assert_alike(&a, &b);
    assert!(a.has("empty") && !a.has("empty/in"));
}

#[test]
fn whether_a_file_may_be_run_arrives_and_costs_no_bytes() {
    let (_server, a, b) = super::pair();
    let mode = |client: &Client, name: &str| {
        fs::metadata(client.path(name))
            .unwrap()
            .permissions()
            .mode()
    };
    let change = |client: &Client, name: &str, mode| {
        fs::set_permissions(client.path(name), fs::Permissions::from_mode(mode)).unwrap();
    };
    a.write("run.sh", "#!/bin/sh\n");
    a.write("plain.bin", noise(1, 500_000));
    change(&a, "run.sh", 0o755);
    Client::sync_all(&[&a, &b]);
    assert_alike(&a, &b);
    assert_eq!(
        mode(&b, "run.sh") & 0o111,
        0o111,
        "{:o}",
        mode(&b, "run.sh")
    );
    change(&b, "run.sh", 0o644);
    change(&b, "plain.bin", 0o755);
    let bytes = b.json(&["sync"])["sent"].as_u64().unwrap();
    assert!(bytes < 50_000, "{bytes}");
    a.sync();
    assert_alike(&a, &b);
    // A change of bytes on one side and of the permission on the other
    change(&a, "run.sh", 0o755);
    b.append("run.sh", b"true\n");
    Client::sync_all(&[&a, &b]);
    assert_alike(&a, &b);
    assert_eq!(a.read("run.sh"), b"#!/bin/sh\ntrue\n");
    assert_eq!(mode(&b, "run.sh") & 0o100, 0o100);
}

#[test]
fn times_are_kept_to_the_millisecond() {
    let (_server, a, b) = super::pair();
    let times = [
        0,
        1,
        999,
        1_000,
        946_684_799_999,
        1_764_081_549_123,
        4_102_444_800_001,
    ];
    for millis in times {
        let name = format!("t{millis}");
        a.write(&name, &name);
        let time = SystemTime::UNIX_EPOCH + Duration::from_millis(millis);
        a.set_time(&name, time);
    }
    let before = SystemTime::UNIX_EPOCH - Duration::from_millis(1_500);
    a.write("before", "before");
    a.set_time("before", before);
    a.sync();
    b.sync();
    for millis in times {
        let Some(Thing::File { mtime, .. }) = b
            .tree()
            .remove(format!("t{millis}").as_ref() as &std::path::Path)
        else {
            panic!("no file t{millis}");
        };
        assert_eq!(mtime, i64::try_from(millis).unwrap());
    }
    // A time before 1970 need not be kept, the file must be
    assert_eq!(b.read("before"), b"before");
    // A second look finds nothing to do
    assert_eq!(b.json(&["sync"])["changes"], 0);
    assert_eq!(a.json(&["sync"])["changes"], 0);
}

#[test]
fn a_file_becomes_a_folder_and_a_folder_a_file() {
    let (_server, a, b) = super::pair();
    a.write("x", "file");
    a.write("y/in", "in");
    a.write("else", "else");
    Client::sync_all(&[&a, &b]);
    a.remove("x");
    a.write("x/in/deep", "folder");
    a.remove("y");
    a.write("y", "file");
    a.sync();
    b.sync();
    assert_alike(&a, &b);
    b.remove("x");
    b.write("x", "file again");
    b.remove("y");
    b.link("y", "x");
    b.sync();
    a.sync();
    assert_alike(&a, &b);
    assert_eq!(a.read("y"), b"file again");
}

#[test]
fn deep_and_wide_folders_arrive() {
    let (_server, a, b) = super::pair();
    let deep = vec!["d"; 120].join("/");
    a.write(format!("{deep}/file"), "deep");
    for nth in 0..300 {
        a.write(format!("wide/{nth}"), nth.to_string());
    }
    a.sync();
    b.sync();
    assert_alike(&a, &b);
    // What lies too deep for the server is told, and the rest goes on
    let too_deep = vec!["e"; 130].join("/");
    a.write(format!("{too_deep}/file"), "too deep");
    a.write("more", "more");
    a.fails(&["sync"], 4);
    assert_ne!(a.status()["troubles"], serde_json::json!([]));
    b.sync();
    assert_eq!(b.read("more"), b"more");
}

#[test]
fn thousands_of_small_files_arrive() {
    let (_server, a, b) = super::pair();
    let files = if crate::long() { 50_000 } else { 5_000 };
    for nth in 0..files {
        a.write(format!("d{}/{nth}.txt", nth % 50), format!("file {nth}"));
    }
    let since = Instant::now();
    a.sync();
    let sent = since.elapsed();
    b.sync();
    let fetched = since.elapsed().saturating_sub(sent);
    let again = Instant::now();
    a.sync();
    println!(
        "{files} files: {sent:?} up, {fetched:?} down, {:?} for a look",
        again.elapsed()
    );
    assert_alike(&a, &b);
    // A folder of them goes elsewhere, and another one goes
    a.rename("d1", "moved");
    a.remove("d2");
    Client::sync_all(&[&a, &b]);
    assert_alike(&a, &b);
}

#[test]
fn a_large_file_arrives() {
    let (_server, a, b) = super::pair();
    let len = if crate::long() { 1 << 30 } else { 40 << 20 };
    a.write("large.bin", noise(1, len));
    let since = Instant::now();
    a.sync();
    let sent = since.elapsed();
    b.sync();
    println!(
        "{len} bytes: {sent:?} up, {:?} down",
        since.elapsed().saturating_sub(sent)
    );
    assert_alike(&a, &b);
}

#[test]
fn a_file_that_is_written_to_while_it_is_sent_arrives_whole_in_the_end() {
    let (_server, a, b) = super::pair();
    a.write("log", noise(1, 2_000_000));
    a.write("else.txt", "else");
    thread::scope(|scope| {
        let writing = scope.spawn(|| {
            let until = Instant::now() + Duration::from_secs(2);
            let mut nth = 0;
            while Instant::now() < until {
                a.append("log", format!("line {nth}\n").as_bytes());
                nth += 1;
                thread::sleep(Duration::from_millis(3));
            }
        });
        while !writing.is_finished() {
            // What is written at the moment may have to wait for the next turn.
            let said = a.run(&["sync"]);
            assert!(
                matches!(said.code, 0 | 2 | 4),
                "{}: {}",
                said.code,
                said.stderr
            );
            b.sync();
        }
    });
    assert_eq!(b.read("else.txt"), b"else");
    a.sync();
    b.sync();
    assert_alike(&a, &b);
    assert_eq!(
        b.names(""),
        [
            "backups",
            "documents",
            "else.txt",
            "log",
            "photos",
            "shared"
        ]
    );
}

#[test]
fn what_a_webdav_client_does_arrives_too() {
    let (server, a, _b) = super::pair();
    let dav = server.admin();
    dav.put("/dav/documents/dav.txt", b"by WebDAV")
        .expect(&[201]);
    dav.mkcol("/dav/made/").expect(&[201]);
    a.write("made here.txt", "here");
    a.sync();
    assert_eq!(a.read("documents/dav.txt"), b"by WebDAV");
    assert!(a.path("made").is_dir());
    assert_eq!(dav.get("/dav/made%20here.txt").expect(&[200]).body, b"here");
    a.append("documents/dav.txt", b" and here");
    a.sync();
    assert_eq!(
        dav.get("/dav/documents/dav.txt").expect(&[200]).body,
        b"by WebDAV and here"
    );
}
