//! Giving room back: `gc` beside a running server and without one, under load, and killed.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use webdav_tests::api::id;
use webdav_tests::content::{Noise, assert_same, noise};
use webdav_tests::http::Body;
use webdav_tests::{Api, Dav, TestServer, postgres, server};

const MIB: u64 = 1 << 20;

/// Bytes below a folder.
fn bytes_below(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).expect("a folder");
    let sizes = entries.map(|entry| {
        let path = entry.expect("an entry").path();
        match fs::metadata(&path) {
            Ok(data) if data.is_dir() => bytes_below(&path),
            Ok(data) => data.len(),
            // Taken away while we look.
            Err(_) => 0,
        }
    });
    sizes.sum()
}

/// Bytes of the contents and of the database. Its log is left out: that has a size of its own, up to
/// 32 MiB, whatever is stored.
fn used(server: &TestServer) -> u64 {
    let contents = bytes_below(&server.dir().join("data"));
    if postgres::is_used() {
        // It looks after its files itself.
        return contents;
    }
    let database = fs::metadata(server.dir().join("db/sync.db")).expect("a database");
    contents + database.len()
}

/// Puts `mib` MiB into four files of a collection.
fn put_big(dav: &Dav, mib: u64) {
    dav.mkcol("/dav/big/").expect(&[201]);
    for nth in 0..4 {
        let len = mib * MIB / 4;
        let mut source = Noise::new(nth, len);
        let body = Body::Stream(&mut source, len);
        let path = format!("/dav/big/{nth}");
        dav.send("PUT", &path, &[], body).expect(&[201]);
    }
}

/// Deletes the collection, also from trash.
fn purge_big(dav: &Dav, api: &Api) {
    dav.delete("/dav/big/").expect(&[204]);
    let trash = api.all("trash");
    let found = trash.iter().find(|node| node["name"] == "big");
    let found = id(found.expect("it is in trash"));
    api.delete(&format!("trash/{found}")).expect(&[204]);
}

fn gc(server: &TestServer) -> String {
    server.cli_ok(&["gc", "--grace", "0s"], "")
}

/// Fails unless 95 % of so many MiB were given back.
#[track_caller]
fn expect_back(server: &TestServer, before: u64, mib: u64, said: &str) {
    let back = before.saturating_sub(used(server));
    println!("{mib} MiB purged, {} MiB given back", back / MIB);
    assert!(
        back * 100 >= mib * MIB * 95,
        "{back} bytes of {mib} MiB: {said}"
    );
}

#[test]
fn a_purge_gives_the_disk_its_room_back_while_the_server_goes_on() {
    let mib = if crate::long() { 1024 } else { 256 };
    let server = TestServer::start();
    let (dav, api) = (server.admin(), Api::admin(&server));
    let kept = noise(77, 3_000_000);
    dav.put("/dav/kept", &kept).expect(&[201]);
    put_big(&dav, mib);
    dav.put("/dav/kept.too", &kept[..2_000_000]).expect(&[201]);
    let before = used(&server);
    purge_big(&dav, &api);

    // Given somebody who writes and reads all the time
    let done = AtomicBool::new(false);
    let (said, writes) = thread::scope(|scope| {
        let busy = scope.spawn(|| {
            let dav = server.admin();
            let mut writes = 0;
            while !done.load(Ordering::Relaxed) {
                let bytes = noise(1000 + writes % 7, 50_000);
                dav.put("/dav/busy", &bytes).expect(&[201, 204]);
                let back = dav.get("/dav/busy").expect(&[200]);
                assert_same(&back.body, &bytes, "what was just written");
                writes += 1;
                thread::sleep(Duration::from_millis(20));
            }
            writes
        });
        // When
        let said = gc(&server);
        done.store(true, Ordering::Relaxed);
        (said, busy.join().expect("nothing was refused"))
    });
    // Then
    assert!(writes > 0);
    // The server lets go of unlinked files within two seconds.
    expect_back(&server, before, mib, &said);
    assert_same(&dav.get("/dav/kept").expect(&[200]).body, &kept, "kept");
    let too = dav.get("/dav/kept.too").expect(&[200]);
    assert_same(&too.body, &kept[..2_000_000], "kept.too");
}

#[test]
fn a_purge_gives_the_disk_its_room_back_without_a_server() {
    let mut server = TestServer::start();
    let (dav, api) = (server.admin(), Api::admin(&server));
    put_big(&dav, 64);
    let before = used(&server);
    purge_big(&dav, &api);
    assert!(server.stop().success());

    let said = gc(&server);

    expect_back(&server, before, 64, &said);
    server.start_again();
    server
        .admin()
        .put("/dav/a", &noise(1, 100_000))
        .expect(&[201]);
}

#[test]
fn what_lies_in_trash_and_what_has_not_waited_long_enough_stays() {
    let server = TestServer::start();
    let (dav, api) = (server.admin(), Api::admin(&server));
    dav.put("/dav/a", &noise(1, 500_000)).expect(&[201]);
    dav.put("/dav/b", &noise(2, 500_000)).expect(&[201]);
    dav.delete("/dav/a").expect(&[204]);
    dav.delete("/dav/b").expect(&[204]);
    let trash = api.all("trash");
    let named = |name: &str| trash.iter().find(|node| node["name"] == *name).map(id);
    let (a, b) = (named("a").expect("a"), named("b").expect("b"));
    api.delete(&format!("trash/{b}")).expect(&[204]);
    let before = bytes_below(&server.dir().join("data"));

    // The settings say an hour.
    server.cli_ok(&["gc"], "");

    assert_eq!(bytes_below(&server.dir().join("data")), before);
    api.post_nothing(&format!("trash/{a}/restore")).json(200);
    let back = dav.get("/dav/a").expect(&[200]);
    assert_same(&back.body, &noise(1, 500_000), "a");
}

/// Writes files that stay, and between them what is purged at once; that is another in each round.
fn litter(server: &TestServer, kept: &[Vec<u8>], round: u64) {
    let (dav, api) = (server.admin(), Api::admin(server));
    for (nth, bytes) in kept.iter().enumerate() {
        dav.put(&format!("/dav/{nth}"), bytes).expect(&[201, 204]);
        let gone = noise(round * 10 + nth as u64 + 100, 1_500_000);
        dav.put("/dav/gone", &gone).expect(&[201]);
        dav.delete("/dav/gone").expect(&[204]);
    }
    for node in api.all("trash") {
        api.delete(&format!("trash/{}", id(&node))).expect(&[204]);
    }
}

#[test]
fn a_collection_that_is_killed_loses_nothing_and_is_made_up_for() {
    let rounds = if crate::long() { 40 } else { 6 };
    let mut server = TestServer::start();
    let mut random = Noise::new(7, 0);
    let kept: Vec<_> = (0..6).map(|nth| noise(nth, 700_000)).collect();
    // How long one takes that nobody kills.
    litter(&server, &kept, rounds);
    let since = Instant::now();
    gc(&server);
    let whole = since.elapsed();
    let mut killed = 0;
    for round in 0..rounds {
        litter(&server, &kept, round);
        let mut command = Command::new(server::binary());
        server.prepare(&mut command);
        let command = command.args(["gc", "--grace", "0s"]);
        let command = command.stdout(Stdio::null()).stderr(Stdio::null());
        let mut collecting = command.spawn().expect("the binary starts");
        // Some are quicker, because they wait for no beat of a server that was killed.
        let part = u32::try_from(random.number() % 600).expect("small");
        thread::sleep(whole * part / 1000);
        if round % 2 == 0 {
            server.kill9();
        }
        let done = collecting.try_wait().expect("our own child");
        killed += u64::from(done.is_none());
        // It may be done by now.
        let _done = collecting.kill();
        collecting.wait().expect("our own child");
        if round % 2 == 0 {
            server.start_again();
        }
        let dav = server.admin();
        for (nth, bytes) in kept.iter().enumerate() {
            let back = dav.get(&format!("/dav/{nth}")).expect(&[200]);
            assert_same(&back.body, bytes, "a file that nobody threw away");
        }
    }
    println!("{killed} of {rounds} were killed; a whole one took {whole:?}");
    assert!(killed > 0, "each was done before it was killed");
    let said = gc(&server);
    let left = bytes_below(&server.dir().join("data"));
    assert!(left < 6 * 700_000 * 2 + 5_000_000, "{left} bytes: {said}");
}

#[test]
fn a_server_collects_by_itself() {
    let setup = server::Setup::default()
        .env("SYNC_COLLECT__EVERY", "200ms")
        .env("SYNC_COLLECT__GRACE", "0s");
    let server = setup.start();
    let (dav, api) = (server.admin(), Api::admin(&server));
    put_big(&dav, 8);
    let before = used(&server);
    purge_big(&dav, &api);
    let page = || {
        let page = server.anonymous().get("/metrics").expect(&[200]);
        String::from_utf8(page.body).expect("text")
    };
    let freed = |page: &str| {
        let line = page
            .lines()
            .find(|line| line.starts_with("sync_collect_freed_bytes_total "));
        let figure = line.and_then(|line| line.rsplit(' ').next());
        figure.and_then(|figure| figure.parse::<u64>().ok())
    };
    for _ in 0..300 {
        if freed(&page()).expect("the metric is there") > 7 * MIB {
            expect_back(&server, before, 8, "by itself");
            return;
        }
        thread::sleep(Duration::from_millis(200));
    }
    panic!("nothing was collected in a minute:\n{}", page());
}
