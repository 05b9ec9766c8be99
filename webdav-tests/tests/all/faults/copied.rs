//! What SQLite copied into its file and never synced: a part of its log is copied while somebody reads,
//! and counts as copied from then on, also when the sync that comes much later fails.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use webdav_tests::content::noise;
use webdav_tests::faults::call::SYNC;
use webdav_tests::faults::class::DB;
use webdav_tests::faults::{Fault, Faults, How};
use webdav_tests::{Dav, TestServer};

const NAMES: u64 = 60;
const LEN: usize = 7000;
const MIB: u64 = 1024 * 1024;
const LIMIT: Duration = Duration::from_secs(20);

/// Holds what it has read of the database until its input ends.
const READER: &str = "
import sqlite3, sys
db = sqlite3.connect(sys.argv[1], isolation_level=None)
db.execute('BEGIN')
db.execute('SELECT COUNT(*) FROM space').fetchall()
print('reading', flush=True)
sys.stdin.read()
";

fn len(server: &TestServer, name: &str) -> u64 {
    fs::metadata(server.dir().join("db").join(name)).map_or(0, |file| file.len())
}

fn begin_to_read(server: &TestServer) -> Child {
    let mut reader = Command::new("python3")
        .args(["-c", READER])
        .arg(server.dir().join("db/sync.db"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3 is installed (./test.sh installs it)");
    let mut line = String::new();
    let stdout = reader.stdout.take().expect("it is piped");
    BufReader::new(stdout)
        .read_line(&mut line)
        .expect("it says so");
    assert_eq!(line, "reading\n");
    reader
}

/// Files, and the seeds of what they must hold.
#[derive(Default)]
struct Files {
    seeds: BTreeMap<u64, u64>,
    turns: u64,
}

impl Files {
    /// Writes one file; whether that was answered with done.
    fn put(&mut self, dav: &Dav) -> bool {
        self.turns += 1;
        let name = self.turns % NAMES;
        let put = dav.put(&format!("/dav/n{name}"), &noise(self.turns, LEN));
        let done = put.expect(&[201, 204, 503]).status < 300;
        if done {
            self.seeds.insert(name, self.turns);
        } else {
            self.seeds.remove(&name);
        }
        done
    }

    #[track_caller]
    fn check(&self, dav: &Dav) {
        for (name, seed) in &self.seeds {
            let got = dav.get(&format!("/dav/n{name}")).expect(&[200]);
            assert!(got.body == noise(*seed, LEN), "n{name}");
        }
        dav.names("/dav/");
    }
}

fn is_copied_again(evict: bool) {
    let faults = Faults::new();
    let mut server = faults.setup().start();
    let (dav, mut files) = (server.admin(), Files::default());
    // Given a log of which a part was copied while somebody read
    while len(&server, "sync.db-wal") < 8 * MIB {
        assert!(files.put(&dav));
    }
    let before = len(&server, "sync.db");
    let mut reader = begin_to_read(&server);
    while len(&server, "sync.db") <= before {
        assert!(files.put(&dav));
    }
    drop(reader.stdin.take());
    assert!(reader.wait().expect("our own child").success());
    // When the first sync behind it fails
    faults.begin(Fault {
        classes: DB,
        calls: SYNC,
        how: How::Broken,
        evict,
    });
    let since = Instant::now();
    // Who reads may meet what is gone a moment before the writer does.
    while !dav.get("/health").text().contains("degraded") {
        files.put(&dav);
        assert!(since.elapsed() < LIMIT, "nothing was synced");
    }
    dav.put("/dav/n", b"x").expect(&[503]);
    assert!(faults.hits() > 0 && faults.lost() > 0);
    faults.end();
    // Then the server comes to itself, and everything is there, and still when the power goes
    while dav.get("/health").status != 200 {
        assert!(since.elapsed() < LIMIT, "it is not well again");
        thread::sleep(Duration::from_millis(50));
    }
    files.check(&dav);
    for _ in 0..100 {
        assert!(files.put(&dav));
    }
    faults.cut();
    server.ends_by_itself();
    faults.uncut();
    server.start_again();
    files.check(&server.admin());
    println!(
        "{} pages lost by failed syncs, {} files whole",
        faults.lost(),
        files.seeds.len()
    );
}

#[test]
fn what_was_copied_before_a_failed_sync_is_copied_again() {
    is_copied_again(false);
}

#[test]
fn what_was_copied_and_forgotten_by_the_page_cache_is_copied_again() {
    is_copied_again(true);
}
