//! A full disk: what goes on, and how it is made empty again.

use std::fs::{self, File};
use std::io::Read as _;
use std::path::Path;

use webdav_tests::api::id;
use webdav_tests::content::noise;
use webdav_tests::faults::call::{CREATE, WRITE};
use webdav_tests::faults::class::ALL;
use webdav_tests::faults::{Fault, Faults, How};
use webdav_tests::{Api, Dav, TestServer};

const FULL: Fault = Fault {
    classes: ALL,
    calls: CREATE | WRITE,
    how: How::FullForMore,
    evict: false,
};
/// Large files that are there before the disk is full, and bytes of each.
const LARGE: u64 = 12;
const BYTES: usize = 2_000_000;
/// Bytes of the head of SQLite's log, which is another one each time the log is begun anew.
const LOG_HEAD: usize = 32;

fn log_head(server: &TestServer) -> Vec<u8> {
    let mut log = File::open(server.dir().join("db/sync.db-wal")).expect("the log");
    let mut head = vec![0; LOG_HEAD];
    log.read_exact(&mut head).expect("the head of the log");
    head
}

fn used(folder: &Path) -> u64 {
    let mut sum = 0;
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sum += used(&path);
        } else {
            // It may have gone meanwhile.
            sum += fs::metadata(path).map_or(0, |file| file.len());
        }
    }
    sum
}

fn fill(dav: &Dav, files: std::ops::Range<u64>) {
    for nth in files {
        dav.put(&format!("/dav/large{nth}"), &noise(nth, BYTES))
            .expect(&[201]);
    }
    dav.put("/dav/small", &noise(99, 3000)).expect(&[201, 204]);
}

#[track_caller]
fn all_can_be_read(dav: &Dav, files: std::ops::Range<u64>) {
    for nth in files {
        let got = dav.get(&format!("/dav/large{nth}")).expect(&[200]);
        assert!(got.body == noise(nth, BYTES));
    }
    assert!(dav.get("/dav/small").expect(&[200]).body == noise(99, 3000));
    dav.names("/dav/");
}

#[test]
fn on_a_full_disk_files_are_read_deleted_and_purged_and_their_room_comes_back() {
    // Given a server that has been at work: its log has its length, and is used from its beginning again
    let faults = Faults::new();
    let mut server = faults.setup().start();
    fill(&server.admin(), 0..2);
    // Another process has segments of its own, so that some will be empty as a whole.
    server.restart();
    let (dav, api) = (server.admin(), Api::admin(&server));
    fill(&dav, 2..LARGE);
    let (mut turns, head) = (0, log_head(&server));
    while log_head(&server) == head {
        dav.put("/dav/busy", &noise(turns, 7000))
            .expect(&[201, 204]);
        turns += 1;
    }
    // When the disk is full
    faults.begin(FULL);
    let refused = dav.put("/dav/more", &noise(777, BYTES)).expect(&[507]);
    assert!(refused.text().contains("disk"), "{refused}");
    api.upload_with(&[("path", "/more")], &noise(777, BYTES))
        .problem("disk-full", 507);
    // Then everything is read
    all_can_be_read(&dav, 0..LARGE);
    dav.get("/health").expect(&[200]);
    // And files go, from trash too, and give their room back
    // Snapshots, which are written beside them, take a little.
    let contents = server.dir().join("data/seg");
    let before = used(&contents);
    for nth in 2..LARGE {
        dav.delete(&format!("/dav/large{nth}")).expect(&[204]);
    }
    for node in api.all("trash") {
        api.delete(&format!("trash/{}", id(&node))).expect(&[204]);
    }
    let said = server.cli_ok(&["gc", "--grace", "0s"], "");
    let back = before - used(&contents);
    println!("{back} bytes given back on a full disk");
    assert!(back >= (LARGE - 2) * BYTES as u64, "{back}: {said}");
    all_can_be_read(&dav, 0..2);
    assert!(faults.hits() > 0, "nothing was refused");
    // When there is room again
    faults.end();
    // Then nothing has to be done
    dav.put("/dav/more", &noise(777, BYTES)).expect(&[201]);
    all_can_be_read(&dav, 0..2);
}

#[test]
fn on_a_disk_that_was_full_from_the_start_files_are_read() {
    let faults = Faults::new();
    let mut server = faults.setup().start();
    fill(&server.admin(), 0..LARGE);
    assert!(server.stop().success());
    server.start_again();
    let dav = server.admin();
    faults.begin(FULL);
    all_can_be_read(&dav, 0..LARGE);
    // The log has no room yet, so there is none to write even that something is gone.
    dav.delete("/dav/large0").expect(&[507]);
    all_can_be_read(&dav, 0..LARGE);
    faults.end();
    dav.delete("/dav/large0").expect(&[204]);
    all_can_be_read(&dav, 1..LARGE);
}
