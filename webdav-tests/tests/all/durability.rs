//! Acknowledged means durable: kill -9 under load, wrong keys, damage, and nothing in clear on disk.

mod folder;
mod killed;
mod writer;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};

use webdav_tests::content::{Noise, noise};
use webdav_tests::http::Body;
use webdav_tests::{Dav, TestServer, xml};

const WRITERS: u64 = 8;
const NAMES: u64 = 15;

/// What a file holds: the seed and length of its noise; `None` when it is not there.
type State = Option<(u64, usize)>;

/// What one writer knows about one file.
#[derive(Clone, Copy, Default)]
struct Known {
    acknowledged: State,
    /// Sent, but the answer never came.
    in_flight: Option<State>,
}

type Files = BTreeMap<String, Known>;

#[test]
fn what_was_acknowledged_is_whole_after_every_kill() {
    let rounds = if crate::long() { 60 } else { 8 };
    let mut server = TestServer::start();
    let mut random = Noise::new(42, 0);
    let mut files: Vec<Files> = (0..WRITERS).map(|_| Files::new()).collect();
    for writer in 0..WRITERS {
        server
            .admin()
            .mkcol(&format!("/dav/w{writer}/"))
            .expect(&[201]);
    }
    for round in 0..rounds {
        // Given eight writers, and a kill after so many answers
        let answers = 20 + random.number() % 150;
        let (report, acknowledged) = channel();
        let writers: Vec<_> = files
            .into_iter()
            .zip(0..)
            .map(|(files, writer)| {
                let (dav, report) = (server.admin(), report.clone());
                let random = Noise::new(round * WRITERS + writer, 0);
                std::thread::spawn(move || write_until_killed(&dav, writer, files, random, &report))
            })
            .collect();
        drop(report);
        wait_for(&acknowledged, answers);
        server.kill9();
        files = writers
            .into_iter()
            .map(|w| w.join().expect("a writer"))
            .collect();
        // When it starts again
        server.start_again();
        // Then every file is as acknowledged, or as the one unanswered request would have made it
        let dav = server.admin();
        for (writer, files) in files.iter_mut().enumerate() {
            check(&dav, writer, files, round);
        }
        check_sums(&dav, &files);
    }
}

/// Overwrites, creates and deletes until the connection breaks.
fn write_until_killed(
    dav: &Dav,
    writer: u64,
    mut files: Files,
    mut random: Noise,
    report: &Sender<()>,
) -> Files {
    loop {
        let path = format!("/dav/w{writer}/{}", random.number() % NAMES);
        let known = files.entry(path.clone()).or_default();
        let deletes = known.acknowledged.is_some() && random.number().is_multiple_of(6);
        // Mostly small (inline), often some chunks, now and then a few megabytes.
        let limit = [6000, 6000, 200_000, 200_000, 2_500_000]
            [usize::try_from(random.number() % 5).expect("small")];
        let len = usize::try_from(random.number() % limit).expect("small");
        let next = (!deletes).then(|| (random.number(), len));
        known.in_flight = Some(next);
        let answer = match next {
            Some((seed, len)) => {
                dav.try_send("PUT", &path, &[], Body::Bytes(&noise(seed, len)), None)
            }
            None => dav.try_send("DELETE", &path, &[], Body::None, None),
        };
        let Ok(answer) = answer else { return files };
        assert!(matches!(answer.status, 201 | 204), "{path}: {answer}");
        *known = Known {
            acknowledged: next,
            in_flight: None,
        };
        // The main thread stops listening when it has seen enough.
        let _seen = report.send(());
    }
}

fn wait_for(acknowledged: &Receiver<()>, answers: u64) {
    for _ in 0..answers {
        acknowledged
            .recv()
            .expect("the writers stopped before the kill");
    }
}

#[track_caller]
fn check(dav: &Dav, writer: usize, files: &mut Files, round: u64) {
    for (path, known) in files.iter_mut() {
        let answer = dav.get(path).expect(&[200, 404]);
        let matches = |state: State| match state {
            Some((seed, len)) => answer.status == 200 && answer.body == noise(seed, len),
            None => answer.status == 404,
        };
        let found = [Some(known.acknowledged), known.in_flight]
            .into_iter()
            .flatten()
            .find(|s| matches(*s));
        let Some(found) = found else {
            panic!(
                "round {round}, {path}: {} with {} bytes, acknowledged {:?}, in flight {:?}",
                answer.status,
                answer.body.len(),
                known.acknowledged,
                known.in_flight
            );
        };
        *known = Known {
            acknowledged: found,
            in_flight: None,
        };
    }
    let there: Vec<String> = files
        .iter()
        .filter(|(_, known)| known.acknowledged.is_some())
        .map(|(path, _)| path.rsplit('/').next().expect("a name").to_owned())
        .collect();
    let mut listed = dav.names(&format!("/dav/w{writer}/"));
    listed.sort();
    let mut there = there;
    there.sort();
    assert_eq!(listed, there, "round {round}: the listing");
}

/// What the quota counts is the sum of what is there.
#[track_caller]
fn check_sums(dav: &Dav, files: &[Files]) {
    let all = files.iter().flat_map(Files::values);
    let sum: usize = all
        .filter_map(|known| known.acknowledged)
        .map(|(_, len)| len)
        .sum();
    let listing = dav.propfind("/dav/", "0", &xml::propfind("<D:quota-used-bytes/>"));
    assert_eq!(listing.only().dav("quota-used-bytes"), sum.to_string());
}

#[test]
fn whole_folders_survive_a_kill_during_moves_and_deletes() {
    // Given folders that move back and forth, with a file each
    let rounds = if crate::long() { 30 } else { 4 };
    let mut server = TestServer::start();
    for n in 0..4 {
        server
            .admin()
            .mkcol(&format!("/dav/documents/d{n}/"))
            .expect(&[201]);
        server
            .admin()
            .put(&format!("/dav/documents/d{n}/f"), &noise(n, 50_000))
            .expect(&[201]);
    }
    for round in 0..rounds {
        let (report, acknowledged) = channel();
        let movers: Vec<_> = (0..4)
            .map(|n| {
                let (dav, report) = (server.admin(), report.clone());
                std::thread::spawn(move || {
                    let (here, there) = (
                        format!("/dav/documents/d{n}/"),
                        format!("/dav/photos/d{n}/"),
                    );
                    for (from, to) in [(&here, &there), (&there, &here)].into_iter().cycle() {
                        let moved =
                            dav.try_send("MOVE", from, &[("Destination", to)], Body::None, None);
                        let Ok(moved) = moved else { return };
                        assert!(matches!(moved.status, 201 | 404), "{moved}");
                        let _seen = report.send(());
                    }
                })
            })
            .collect();
        drop(report);
        wait_for(&acknowledged, 60 + round * 7);
        // When the process is killed
        server.kill9();
        for mover in movers {
            mover.join().expect("a mover");
        }
        server.start_again();
        // Then each folder is in exactly one place, with its file
        let dav = server.admin();
        for n in 0..4 {
            let places = ["documents", "photos"].map(|p| format!("/dav/{p}/d{n}/f"));
            let found: Vec<_> = places
                .iter()
                .map(|path| dav.get(path))
                .filter(|a| a.status == 200)
                .collect();
            assert_eq!(
                found.len(),
                1,
                "round {round}: d{n} is in {} places",
                found.len()
            );
            assert!(found[0].body == noise(n, 50_000));
        }
    }
}

#[test]
fn another_key_is_refused_and_the_right_one_opens_everything_again() {
    let mut other = TestServer::start();
    let mut server = TestServer::start();
    server
        .admin()
        .put("/dav/a", &noise(1, 300_000))
        .expect(&[201]);
    let right = fs::read(server.key_file()).expect("the key");
    assert!(server.stop().success() && other.stop().success());

    let replace = |server: &TestServer, key: &[u8]| {
        fs::remove_file(server.key_file()).expect("the key");
        fs::write(server.key_file(), key).expect("a file");
        fs::set_permissions(server.key_file(), fs::Permissions::from_mode(0o400)).expect("a file");
    };
    replace(&server, &fs::read(other.key_file()).expect("the key"));
    let said = server.refuses_to_start().to_lowercase();
    assert!(
        said.contains("key"),
        "it does not say what is wrong:\n{said}"
    );
    for damaged in [&right[..right.len() / 2], b"", b"not a key at all"] {
        replace(&server, damaged);
        assert!(server.refuses_to_start().to_lowercase().contains("key"));
    }

    replace(&server, &right);
    server.start_again();
    assert!(server.admin().get("/dav/a").expect(&[200]).body == noise(1, 300_000));
}

#[test]
fn a_lost_key_is_not_replaced_by_a_new_one() {
    // A new key over old data would lose everything written under the old one.
    let mut server = TestServer::start();
    server.admin().put("/dav/a", b"x").expect(&[201]);
    assert!(server.stop().success());
    let right = fs::read(server.key_file()).expect("the key");
    fs::remove_file(server.key_file()).expect("the key");

    let said = server.refuses_to_start().to_lowercase();

    assert!(said.contains("key"), "{said}");
    assert!(!server.key_file().exists(), "it made another key");
    fs::write(server.key_file(), right).expect("a file");
    server.start_again();
    assert_eq!(server.admin().get("/dav/a").expect(&[200]).body, b"x");
}

#[test]
fn the_key_is_for_its_owner_only_and_its_copy_is_asked_for() {
    let server = TestServer::start();
    let mode = fs::metadata(server.key_file())
        .expect("the key")
        .permissions()
        .mode();
    assert_eq!(mode & 0o7777, 0o400);
    let log = server.log().to_lowercase();
    assert!(
        log.contains("key") && log.contains("copy"),
        "no warning to keep a copy:\n{log}"
    );
}

#[test]
fn contents_never_lie_in_clear_on_disk() {
    let mut server = TestServer::start();
    let dav = server.admin();
    let secret = b"THE-LETTER-TO-MY-AUNT-IN-AMERICA";
    let chunk = noise(9, 4096);
    // Small (inline), compressible, large, deleted, overwritten, and an upload that broke.
    dav.put("/dav/small", secret).expect(&[201]);
    dav.put("/dav/text", &secret.repeat(20_000)).expect(&[201]);
    dav.put("/dav/large", &chunk.repeat(500)).expect(&[201]);
    dav.put("/dav/deleted", &chunk).expect(&[201]);
    dav.delete("/dav/deleted").expect(&[204]);
    dav.put("/dav/small", &[secret, &chunk[..]].concat())
        .expect(&[204]);
    dav.request(
        "PUT",
        "/dav/broken",
        &[(
            "OC-Checksum",
            "SHA1:0000000000000000000000000000000000000000",
        )],
        &chunk.repeat(200),
    )
    .expect(&[400]);
    scan(
        server.dir(),
        &[secret, &chunk[100..132], b"Correct-Horse-9-Battery"],
    );
    server.kill9();
    scan(
        server.dir(),
        &[secret, &chunk[100..132], b"Correct-Horse-9-Battery"],
    );
    server.start_again();
    assert!(server.stop().success());
    scan(
        server.dir(),
        &[secret, &chunk[100..132], b"Correct-Horse-9-Battery"],
    );
}

#[track_caller]
fn scan(dir: &Path, secrets: &[&[u8]]) {
    let files = files_below(dir);
    assert!(files.len() >= 3, "{files:?}");
    for file in files {
        let bytes = fs::read(&file).expect("a readable file");
        for secret in secrets {
            let found = bytes.windows(secret.len()).any(|window| window == *secret);
            assert!(
                !found,
                "{:?} lies in {}",
                String::from_utf8_lossy(secret),
                file.display()
            );
        }
    }
}

fn files_below(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(files_below(&path));
        } else {
            found.push(path);
        }
    }
    found
}

#[test]
fn damage_on_disk_is_an_error_and_never_wrong_bytes() {
    // Given a file whose sealed bytes rotted
    let mut server = TestServer::start();
    let bytes = noise(3, 3_000_000);
    server.admin().put("/dav/a", &bytes).expect(&[201]);
    assert!(server.stop().success());
    let mut damaged = 0;
    for file in files_below(&server.dir().join("data")) {
        let mut sealed = fs::read(&file).expect("a segment");
        for at in (20_000..sealed.len()).step_by(20_000) {
            sealed[at] ^= 1;
            damaged += 1;
        }
        fs::write(&file, sealed).expect("a segment");
    }
    assert!(
        damaged > 50,
        "the content is not where this test looks for it"
    );
    server.start_again();
    // When it is read
    let mut got = Vec::new();
    let answer = server
        .admin()
        .try_send("GET", "/dav/a", &[], Body::None, Some(&mut got));
    // Then the client sees an error, and no byte that is not of the file
    assert!(
        !answer.is_ok_and(|answer| answer.status < 500),
        "a damaged file was served"
    );
    assert!(
        bytes.starts_with(&got) || got.len() < 2000,
        "wrong bytes were sent"
    );
    // And the others still work
    server.admin().put("/dav/b", b"new").expect(&[201]);
    assert_eq!(server.admin().get("/dav/b").body, b"new");
}

#[test]
fn a_second_server_over_the_same_files_is_refused() {
    let server = TestServer::start();
    server.admin().put("/dav/a", b"x").expect(&[201]);
    let mut second = std::process::Command::new("timeout");
    server.prepare(second.arg("30").arg(webdav_tests::server::binary()));
    if webdav_tests::postgres::is_used() {
        // Servers on the same PostgreSQL may share them; one with a database of its own may not.
        second.env("SYNC_DB_PATH", server.dir().join("db/other.db"));
    }
    let output = second.output().expect("timeout and the binary start");
    let refused = output
        .status
        .code()
        .is_some_and(|code| code != 0 && code != 124);
    assert!(
        refused,
        "two servers appended to the same files ({})",
        output.status
    );
    assert_eq!(server.admin().get("/dav/a").body, b"x");
}
