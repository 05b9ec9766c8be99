//! Leaving with everything: `sync-server export`, beside a running server and without one.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use webdav_tests::content::noise;
use webdav_tests::server::binary;
use webdav_tests::{Dav, TestServer};

/// Time to wait for the first file of an export.
const PATIENCE: Duration = Duration::from_secs(30);

/// Folder and name of everything below a folder, with the bytes of files and times in seconds.
fn tree(root: &Path) -> BTreeMap<PathBuf, (Option<Vec<u8>>, i64)> {
    let (mut found, mut folders) = (BTreeMap::new(), vec![root.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            let data = fs::symlink_metadata(&path).expect("metadata");
            let bytes = data.is_file().then(|| fs::read(&path).expect("a file"));
            if data.is_dir() {
                folders.push(path.clone());
            }
            let name = path.strip_prefix(root).expect("below").to_owned();
            found.insert(name, (bytes, data.mtime()));
        }
    }
    found
}

fn put_dated(dav: &Dav, path: &str, bytes: &[u8], mtime: i64) {
    let time = mtime.to_string();
    let headers = [("X-OC-Mtime", &*time)];
    dav.request("PUT", path, &headers, bytes)
        .expect(&[201, 204]);
}

/// Some files of all kinds, and what an export of them has to be.
fn filled(server: &TestServer) -> BTreeMap<PathBuf, (Vec<u8>, i64)> {
    let dav = server.admin();
    dav.request("MKCOL", "/dav/documents/sub", &[], b"")
        .expect(&[201]);
    let mut put = BTreeMap::new();
    for (nth, size) in [0, 5, 8192, 8193, 300_000, 5_000_000]
        .into_iter()
        .enumerate()
    {
        let time = 1_600_000_000 + i64::try_from(nth).expect("few");
        let (name, bytes) = (format!("documents/sub/{nth}"), noise(nth as u64, size));
        put_dated(&dav, &format!("/dav/{name}"), &bytes, time);
        put.insert(Path::new("user:admin").join(name), (bytes, time));
    }
    put_dated(&dav, "/dav/shared/all%20of%20us", b"ours", 1_600_000_000);
    put.insert("shared/all of us".into(), (b"ours".to_vec(), 1_600_000_000));
    put
}

fn target(server: &TestServer, name: &str) -> (PathBuf, String) {
    let path = server.dir().join(name);
    let text = path.to_str().expect("UTF-8").to_owned();
    (path, text)
}

#[track_caller]
fn assert_exported(to: &Path, put: &BTreeMap<PathBuf, (Vec<u8>, i64)>) {
    let found = tree(to);
    let files = found.iter().filter(|(_, (bytes, _))| bytes.is_some());
    assert_eq!(files.count(), put.len());
    for (path, (bytes, time)) in put {
        let (there, at) = &found[path];
        assert!(there.as_ref() == Some(bytes), "{}", path.display());
        assert_eq!(at, time, "{}", path.display());
    }
}

#[test]
fn everything_comes_out_beside_a_running_server_and_without_one() {
    let mut server = TestServer::start();
    let put = filled(&server);
    let (beside, text) = target(&server, "beside");
    let said = server.cli_ok(&["export", &text], "");
    assert!(said.starts_with("files\t7\n"), "{said}");
    assert_exported(&beside, &put);

    server.stop();
    let before = tree(&server.dir().join("data"));
    let (without, text) = target(&server, "a/new/one");
    server.cli_ok(&["export", &text], "");
    assert!(tree(&without) == tree(&beside));
    assert!(tree(&server.dir().join("data")) == before);
    let again = server.cli(&["export", &text], "");
    assert_eq!(again.status.code(), Some(1));
    let said = String::from_utf8_lossy(&again.stderr).into_owned();
    assert!(said.contains("--resume"), "{said}");
    let said = server.cli_ok(&["export", &text, "--resume"], "");
    assert!(said.contains("there already\t7\n"), "{said}");
}

#[test]
fn a_damaged_file_is_listed_with_code_3_and_the_others_are_all_there() {
    let mut server = TestServer::start();
    let mut put = filled(&server);
    server.stop();
    let segments: Vec<_> = tree(&server.dir().join("data/seg"))
        .into_iter()
        .filter(|(_, (bytes, _))| bytes.is_some())
        .collect();
    let (name, (bytes, _)) = segments
        .iter()
        .max_by_key(|(_, (bytes, _))| bytes.as_ref().map_or(0, Vec::len))
        .expect("segments");
    // In the last chunk: of the largest file, which was put last. Behind it is what only a lost database needs.
    let mut damaged = bytes.clone().expect("bytes");
    let at = damaged.len() - 4000;
    damaged[at] ^= 0x10;
    fs::write(server.dir().join("data/seg").join(name), damaged).expect("written");
    put.remove(Path::new("user:admin/documents/sub/5"));
    let (to, text) = target(&server, "out");

    let output = server.cli(&["export", &text], "");

    assert_eq!(output.status.code(), Some(3));
    let list = fs::read_to_string(to.join("export-errors.txt")).expect("a list");
    assert!(list.starts_with("user:admin/documents/sub/5\t"), "{list}");
    assert_eq!(list.lines().count(), 1);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("export-errors.txt"), "{said}");
    fs::remove_file(to.join("export-errors.txt")).expect("removed");
    assert_exported(&to, &put);
}

#[test]
fn a_killed_export_goes_on_and_leaves_no_half_file() {
    const FILES: usize = 40;
    let server = TestServer::start();
    let dav = server.admin();
    let bytes: Vec<_> = (0..FILES).map(|nth| noise(nth as u64, 400_000)).collect();
    for (nth, bytes) in bytes.iter().enumerate() {
        dav.put(&format!("/dav/documents/{nth}"), bytes)
            .expect(&[201]);
    }
    let (to, text) = target(&server, "out");
    for round in 1..=3 {
        let mut command = Command::new(binary());
        server.prepare(&mut command);
        command.args(["export", &text, "--resume"]);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let mut export = command.spawn().expect("the binary starts");
        let (since, wanted) = (Instant::now(), round * FILES / 8);
        let folder = to.join("user:admin/documents");
        while fs::read_dir(&folder).map_or(0, Iterator::count) < wanted {
            assert!(since.elapsed() < PATIENCE, "nothing is exported");
            thread::sleep(Duration::from_millis(1));
        }
        export.kill().expect("our own child");
        export.wait().expect("our own child");
        for entry in fs::read_dir(&folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            let nth: usize = path
                .file_name()
                .expect("a name")
                .to_str()
                .expect("a number")
                .parse()
                .expect("a number");
            assert!(fs::read(&path).expect("a file") == bytes[nth], "{nth}");
        }
    }
    server.cli_ok(&["export", &text, "--resume"], "");
    let found = tree(&to);
    for (nth, bytes) in bytes.iter().enumerate() {
        let (there, _) = &found[&Path::new("user:admin/documents").join(nth.to_string())];
        assert!(there.as_ref() == Some(bytes), "{nth}");
    }
    assert!(!to.join(".export.part").exists());
}

#[test]
fn what_is_written_and_collected_meanwhile_comes_out_in_one_of_its_states() {
    const FILES: usize = 12;
    let server = TestServer::start();
    let dav = server.admin();
    // Every state of a file is one byte again and again, and no two states have the same.
    let state = |nth: usize, round: u8| vec![round; 30_000 + nth];
    for nth in 0..FILES {
        dav.put(&format!("/dav/documents/{nth}"), &state(nth, 0))
            .expect(&[201]);
    }
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let (dav, server, stop) = (dav.again(), &server, &stop);
        scope.spawn(move || {
            let mut round = 0_u8;
            while !stop.load(Ordering::Relaxed) {
                round = round.wrapping_add(1);
                for nth in 0..FILES {
                    let path = format!("/dav/documents/{nth}");
                    dav.put(&path, &state(nth, round)).expect(&[204]);
                }
                server.cli_ok(&["cleanup", "--older-than", "0s"], "");
                server.cli_ok(&["gc", "--grace", "0s"], "");
            }
        });
        for export in 0..4 {
            let (to, text) = target(server, &format!("out {export}"));
            let output = server.cli(&["export", &text], "");
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!(output.status.code(), Some(0), "{said}");
            for nth in 0..FILES {
                let bytes = fs::read(to.join(format!("user:admin/documents/{nth}")));
                let bytes = bytes.expect("a file");
                assert!(bytes == state(nth, bytes[0]), "{nth}");
            }
        }
        stop.store(true, Ordering::Relaxed);
    });
    let (to, text) = target(&server, "out 0");
    server.cli_ok(&["export", &text, "--resume"], "");
    for nth in 0..FILES {
        let bytes = fs::read(to.join(format!("user:admin/documents/{nth}"))).expect("a file");
        let now = dav
            .get(&format!("/dav/documents/{nth}"))
            .expect(&[200])
            .body;
        assert!(bytes == now, "{nth}");
    }
}
