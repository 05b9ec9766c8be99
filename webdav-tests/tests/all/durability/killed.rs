//! Rounds of kill -9 under everything that writes, with collection beside it, torn ends of segments, and
//! a PostgreSQL that is killed as well. `SYNC_TEST_ROUNDS=200` says how many.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use rustix::process::Signal;
use webdav_tests::content::{Noise, noise};
use webdav_tests::server::{self, ADMIN_PASSWORD};
use webdav_tests::{Api, Setup, TestServer, postgres, xml};

use super::folder::trash;
use super::writer::{Lines, Writer};

const WRITERS: u64 = 6;
/// Asks a copy of the database, because looking into a database changes its files.
const ENDS: &str = r#"
import pathlib, shutil, sqlite3, sys, tempfile
with tempfile.TemporaryDirectory() as folder:
    for file in pathlib.Path(sys.argv[1]).parent.glob("sync.db*"):
        shutil.copy(file, folder)
    rows = sqlite3.connect(folder + "/sync.db").execute(
        "SELECT lower(hex(s.name)), max(c.start + c.stored) FROM segment s JOIN chunk c ON c.segment = s.id GROUP BY s.id")
    for name, end in rows:
        print(name, end)
"#;
/// Script of `postgres/run.sh` that kills its PostgreSQL and starts it again.
const CRASH: &str = "SYNC_TEST_POSTGRES_CRASH";

/// What was counted in all rounds.
#[derive(Default)]
struct Figures {
    kills: u64,
    files: usize,
    torn: usize,
    crashes: u64,
    chunks: u64,
}

/// Collects over and over, beside whatever goes on, and is killed at the end.
fn collect(server: &TestServer, stop: &AtomicBool) {
    loop {
        let mut command = Command::new(server::binary());
        server.prepare(command.args(["gc", "--grace", "0s"]));
        let quiet = command.stdout(Stdio::null()).stderr(Stdio::null());
        let mut collecting = quiet.spawn().expect("the binary starts");
        while collecting.try_wait().expect("our own child").is_none() {
            if stop.load(Ordering::Relaxed) {
                collecting.kill().expect("our own child");
                collecting.wait().expect("our own child");
                return;
            }
            thread::sleep(Duration::from_millis(5));
        }
    }
}

/// Kills PostgreSQL as well, when there is one for this test alone.
fn crash_postgres() -> bool {
    let alone = std::env::var_os("SYNC_TEST_ROUNDS").is_some();
    let Some(script) = std::env::var_os(CRASH).filter(|_| alone) else {
        return false;
    };
    let done = Command::new(script).status().expect("it starts");
    assert!(done.success(), "PostgreSQL does not start again");
    true
}

/// Does to the ends of segments, behind the last record that any row names, what a power cut may do:
/// they are cut off somewhere, or hold other bytes. How many it did that to.
fn tear(server: &TestServer, random: &mut Noise) -> usize {
    let ends = ends(server);
    let mut torn = 0;
    for file in super::files_below(&server.dir().join("data/seg")) {
        let name = file
            .file_stem()
            .and_then(|name| name.to_str())
            .expect("a segment");
        let end = ends.get(name).copied().unwrap_or(0);
        let length = fs::metadata(&file).expect("a segment").len();
        let behind = length.saturating_sub(end);
        let noise = noise(
            random.number(),
            usize::try_from(behind.min(5000)).expect("small") + 10,
        );
        let mut segment = OpenOptions::new()
            .write(true)
            .open(&file)
            .expect("a segment");
        match random.number() % 3 {
            0 => segment
                .set_len(end + random.number() % (behind + 1))
                .expect("it is cut"),
            1 => {
                segment.seek(SeekFrom::Start(end)).expect("a place");
                segment.write_all(&noise).expect("there is room");
            }
            _ => continue,
        }
        torn += 1;
    }
    torn
}

/// Where the last record ends that a row names, by segment.
fn ends(server: &TestServer) -> BTreeMap<String, u64> {
    let mut command = if let Some((address, schema)) = postgres::server_and_schema(server) {
        let mut psql = Command::new("psql");
        let query = format!(
            "SELECT encode(s.name, 'hex'), max(c.start + c.stored) FROM {schema}.segment s
             JOIN {schema}.chunk c ON c.segment = s.id GROUP BY s.name"
        );
        psql.args([&address, "-qAtX", "-F", " ", "-c", &query]);
        psql
    } else {
        let mut python = Command::new("python3");
        python
            .args(["-c", ENDS])
            .arg(server.dir().join("db/sync.db"));
        python
    };
    let output = command.output().expect("it starts");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let lines = String::from_utf8(output.stdout).expect("text");
    let pairs = lines.lines().filter_map(|line| line.split_once(' '));
    pairs
        .map(|(name, end)| (name.to_owned(), end.parse().expect("a number")))
        .collect()
}

/// All write, something collects all the time, and the server is killed after so many answers.
fn write_until_killed(server: &TestServer, writers: &mut [Writer], answers: u64, beside: bool) {
    let (api, stop) = (
        Api::login(server, "admin", ADMIN_PASSWORD),
        AtomicBool::new(false),
    );
    let lines: Vec<Lines> = writers.iter().map(|_| Lines::to(server, &api)).collect();
    let (report, acknowledged) = channel();
    thread::scope(|scope| {
        for (writer, lines) in writers.iter_mut().zip(lines) {
            let report = report.clone();
            scope.spawn(move || writer.until_killed(&lines, &report));
        }
        drop(report);
        if beside {
            scope.spawn(|| collect(server, &stop));
        }
        for _ in 0..answers {
            let answer = acknowledged.recv();
            answer.expect("the writers stopped before the kill");
        }
        server.signal(Signal::KILL);
        stop.store(true, Ordering::Relaxed);
    });
}

/// Everything is as acknowledged; how many files that are.
#[track_caller]
fn check(server: &TestServer, writers: &mut [Writer], round: u64) -> usize {
    let api = Api::login(server, "admin", ADMIN_PASSWORD);
    let (all, lines) = (trash(&api), Lines::to(server, &api));
    let files = writers
        .iter_mut()
        .map(|writer| writer.check(&lines, &all, round))
        .sum();
    let sum: usize = writers.iter().map(|writer| writer.folder.bytes()).sum();
    let used = xml::propfind("<D:quota-used-bytes/>");
    let listing = server.admin().propfind("/dav/", "0", &used);
    let used = listing.only().dav("quota-used-bytes");
    assert_eq!(used, sum.to_string(), "round {round}");
    files
}

fn rounds() -> u64 {
    match std::env::var("SYNC_TEST_ROUNDS") {
        Ok(rounds) => rounds.parse().expect("a number"),
        Err(_) if crate::long() => 40,
        Err(_) => 5,
    }
}

#[test]
fn everything_acknowledged_is_there_after_every_kill_whatever_was_going_on() {
    // Given a server that collects all the time
    let collecting = Setup::default().env("SYNC_COLLECT__GRACE", "0s");
    let mut server = collecting.env("SYNC_COLLECT__EVERY", "100ms").start();
    let mut random = Noise::new(7, 0);
    let mut writers: Vec<Writer> = (0..WRITERS).map(Writer::new).collect();
    for writer in &writers {
        let folder = format!("/dav/k{}/", writer.nth);
        server.admin().mkcol(&folder).expect(&[201]);
    }
    let mut figures = Figures::default();
    for round in 0..rounds() {
        // When it is killed
        let answers = 30 + random.number() % 120;
        write_until_killed(&server, &mut writers, answers, round % 3 == 2);
        server.kill9();
        figures.kills += 1;
        figures.crashes += u64::from(round % 5 == 4 && crash_postgres());
        figures.torn += tear(&server, &mut random);
        server.start_again();
        // Then everything is there, also after a whole collection
        figures.files += check(&server, &mut writers, round);
        // Of servers on PostgreSQL that were killed nobody knows for a minute, and what they held stays.
        let long = rounds() > 10;
        if round % 10 == 4 && (long || !postgres::is_used()) {
            let said = server.cli_ok(&["gc", "--grace", "0s"], "");
            let chunks = said.lines().find_map(|line| line.strip_prefix("chunks\t"));
            figures.chunks += chunks.map_or(0, |number| number.parse().expect("a number"));
            figures.files += check(&server, &mut writers, round);
        }
    }
    let Figures {
        kills,
        files,
        torn,
        crashes,
        chunks,
    } = figures;
    let acknowledged: u64 = writers.iter().map(|writer| writer.acknowledged).sum();
    println!(
        "{kills} kills, {crashes} of PostgreSQL as well, {acknowledged} acknowledged writes, {files} files read \
         back, {torn} ends of segments torn, {chunks} chunks collected"
    );
    assert!(acknowledged > 20 * kills && files > 0 && torn > 0);
    assert!(chunks > 0 || postgres::is_used());
}
