//! What goes by itself and by the command line, and the commands that say what is there.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;
use webdav_tests::api::{id, number, text};
use webdav_tests::content::assert_same;
use webdav_tests::http::Body;
use webdav_tests::{Api, Dav, Setup, TestServer};

/// Longest wait for a job that is due; they run one after the other.
const SOON: Duration = Duration::from_secs(30);

/// What is uploaded in parts.
const LARGE: &[u8] = &[9; 100_000];
/// So much of it arrived.
const PART: usize = 60_000;

/// A file with eight versions behind it, a deleted file and an upload of which a part arrived.
fn used(server: &TestServer) -> Api {
    let api = Api::admin(server);
    for number in 0..9 {
        api.upload("/documents/a", format!("text {number}").as_bytes());
    }
    api.upload("/documents/deleted", &[7; 2048]);
    api.remove("/documents/deleted");
    let asked = json!({"path": "/documents/large", "size": LARGE.len()});
    let upload = id(&api.post("uploads", &asked).json(201));
    send(&api, upload, 0, &LARGE[..PART]);
    api
}

/// Sends bytes of an upload.
#[track_caller]
fn send(api: &Api, upload: i64, offset: usize, bytes: &[u8]) {
    let (route, offset) = (format!("uploads/{upload}"), offset.to_string());
    let headers = [("Upload-Offset", &*offset)];
    let sent = api.send("PATCH", &route, &headers, Body::Bytes(bytes));
    sent.expect(&[200]);
}

fn trashed(api: &Api) -> usize {
    api.all("trash").len()
}

#[track_caller]
fn versions(api: &Api) -> usize {
    let node = api.info("/documents/a");
    let list = api.get(&format!("files/{}/versions", node["id"])).json(200);
    list["items"].as_array().expect("items").len()
}

#[track_caller]
fn field<'a>(said: &'a str, job: &str, nth: usize) -> &'a str {
    let line = said.lines().find(|line| line.starts_with(job));
    let line = line.unwrap_or_else(|| panic!("no line for {job} in:\n{said}"));
    line.split('\t').nth(nth).expect("a field")
}

#[test]
fn cleanup_forgets_what_is_old_beside_a_running_server_and_says_how_much() {
    let server = TestServer::start();
    let api = used(&server);
    let month = server.cli_ok(&["cleanup", "--older-than", "30d"], "");
    for job in ["trash", "versions", "uploads", "log"] {
        assert_eq!(field(&month, job, 1), "0 items", "{month}");
    }
    assert_eq!((trashed(&api), versions(&api)), (1, 9));

    let counted = server.cli_ok(&["cleanup", "--older-than", "0s", "--dry-run"], "");
    assert_eq!(field(&counted, "trash", 1), "1 item");
    assert_eq!(field(&counted, "trash", 2), "2.0 KiB");
    assert_eq!(field(&counted, "versions", 1), "3 items");
    assert_eq!(field(&counted, "uploads", 1), "0 items");
    assert_eq!((trashed(&api), versions(&api)), (1, 9), "only counted");

    let cleaned = server.cli_ok(&["cleanup", "--older-than", "0s"], "");
    assert_eq!(field(&cleaned, "trash", 1), "1 item");
    assert_eq!(field(&cleaned, "versions", 1), "3 items");
    assert_eq!((trashed(&api), versions(&api)), (0, 1 + 5));
    assert_eq!(api.download("/documents/a"), b"text 8");
    // Whoever uploads can still go on, however little time has passed since.
    assert_eq!(field(&cleaned, "uploads", 1), "0 items");
    let uploads = api.all("uploads");
    assert_eq!(uploads.len(), 1, "{uploads:?}");
    let arrived = i64::try_from(PART).unwrap();
    assert_eq!(number(&uploads[0], "offset"), arrived);
    let upload = id(&uploads[0]);
    send(&api, upload, PART, &LARGE[PART..]);
    let finish = format!("uploads/{upload}/finish");
    api.post_nothing(&finish).expect(&[200]);
    assert_same(&api.download("/documents/large"), LARGE, "the upload");
}

#[test]
fn cleanup_works_on_a_server_that_is_stopped() {
    let mut server = TestServer::start();
    used(&server);
    server.stop();
    let cleaned = server.cli_ok(&["cleanup", "--older-than=0s"], "");
    assert_eq!(field(&cleaned, "trash", 1), "1 item");
    server.start_again();
    assert_eq!(trashed(&Api::admin(&server)), 0);
}

#[test]
fn cleanup_refuses_what_is_no_age_with_code_2_and_touches_nothing() {
    let server = TestServer::start();
    let api = used(&server);
    for arguments in [
        &["cleanup"] as &[&str],
        &["cleanup", "--older-than"],
        &["cleanup", "--older-than", "30"],
        &["cleanup", "--older-than", "soon"],
        &["cleanup", "--older-than", "-1d"],
        &["cleanup", "30d"],
        &["cleanup", "--older-than", "1d", "--dry"],
    ] {
        let refused = server.cli(arguments, "");
        assert_eq!(refused.status.code(), Some(2), "{arguments:?}");
        assert!(refused.stdout.is_empty() && !refused.stderr.is_empty());
    }
    assert_eq!((trashed(&api), versions(&api)), (1, 9));
}

#[test]
fn a_running_server_forgets_by_itself_what_its_settings_do_not_keep() {
    let mut server = Setup::default()
        .env("SYNC_TRASH__KEEP", "0s")
        .env("SYNC_JOBS__START_AFTER", "1h")
        .start();
    used(&server);
    server.set("SYNC_JOBS__START_AFTER", "0s");
    server.restart();
    let api = Api::admin(&server);
    let until = Instant::now() + SOON;
    while trashed(&api) > 0 {
        assert!(Instant::now() < until, "still there\n{}", server.log());
        thread::sleep(Duration::from_millis(50));
    }
    // The run has ended once it is counted.
    let page = || server.anonymous().get("/metrics").expect(&[200]).text();
    let counted = "sync_job_runs_total{job=\"feed\",outcome=\"ok\"} 1";
    while !page().contains(counted) {
        assert!(Instant::now() < until, "{}", page());
        thread::sleep(Duration::from_millis(50));
    }
    assert!(!page().contains("outcome=\"failed\""), "{}", page());
    assert_eq!(versions(&api), 9, "none is old");
}

#[test]
fn conflicts_are_listed_with_their_files_until_they_are_resolved() {
    let server = TestServer::start();
    let api = Api::admin(&server);
    let header = "ID\tSINCE\tSPACE\tFILE\tCOPY\tDEVICE\n";
    assert_eq!(server.cli_ok(&["conflicts"], ""), header);

    let common = api
        .upload_with(&[("path", "/documents/a.txt"), ("mtime", "1000")], b"1")
        .json(201);
    let base = text(&common["node"], "etag").to_owned();
    for (mtime, bytes) in [("3000", b"later" as &[u8]), ("2000", b"earlier")] {
        let how = [
            ("path", "/documents/a.txt"),
            ("base", &*base),
            ("mtime", mtime),
        ];
        api.upload_with(&how, bytes).json(200);
    }
    let listed = server.cli_ok(&["conflicts"], "");
    let line = listed.strip_prefix(header).expect("the header");
    let fields: Vec<_> = line.trim_end().split('\t').collect();
    assert_eq!(fields.len(), 6, "{listed}");
    assert_eq!((fields[2], fields[3]), ("user:admin", "/documents/a.txt"));
    assert!(fields[1].ends_with('Z'), "{listed}");
    assert!(fields[4].starts_with("/documents/a.conflict-"), "{listed}");
    assert_ne!(fields[5], "-");

    // A copy that is gone is no place any more.
    api.remove(fields[4]);
    let listed = server.cli_ok(&["conflicts"], "");
    assert_eq!(listed.trim_end().split('\t').nth_back(1), Some("-"));
    let open = api.all("conflicts");
    let resolved = format!("conflicts/{}/resolve", open[0]["id"]);
    api.post(&resolved, &json!({"keep": "both"})).expect(&[204]);
    assert_eq!(server.cli_ok(&["conflicts"], ""), header);
}

#[test]
fn disk_usage_says_what_is_live_and_what_is_only_kept() {
    let server = TestServer::start();
    let bob = server.add_user("bob", "a long password 1", Some("1 MiB"));
    let put = |dav: &Dav, bytes: usize| {
        dav.put("/dav/documents/a", &vec![1; bytes])
            .expect(&[201, 204]);
    };
    put(&bob, 2048);
    put(&bob, 4096);
    bob.put("/dav/b", &[2; 1024]).expect(&[201]);
    bob.delete("/dav/b").expect(&[204]);

    let said = server.cli_ok(&["disk-usage"], "");

    let mut lines = said.lines();
    for first in ["database\t", "contents\t"] {
        assert!(lines.next().expect("a line").starts_with(first), "{said}");
    }
    let of_bob = "space user:bob\t4.0 KiB of 1.0 MiB\tversions 2.0 KiB\ttrash 1.0 KiB\tstored ";
    assert!(said.contains(of_bob), "{said}");
    let all = said.lines().last().expect("a line");
    let expected = "all\tlive 4.0 KiB\tversions 2.0 KiB\ttrash 1.0 KiB\tstored ";
    assert!(all.starts_with(expected), "{said}");
    assert!(all.contains("\treclaimable "), "{said}");
}

#[test]
fn sync_manage_passes_commands_on_with_their_arguments() {
    let folder = tempfile::tempdir().expect("a directory");
    let fake = folder.path().join("sync-server");
    fs::write(&fake, "#!/bin/sh\necho \"$@\"\n").expect("a file");
    fs::set_permissions(&fake, fs::Permissions::from_mode(0o755)).expect("its mode");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../sync-manage.sh");
    let run = |arguments: &[&str]| {
        let mut command = Command::new("bash");
        // Without docker, and with nothing but this server.
        let path = format!("{}:/usr/bin:/bin", folder.path().display());
        command.arg(&script).args(arguments).env("PATH", path);
        command.output().expect("bash runs")
    };
    for arguments in [
        &["status"] as &[&str],
        &["disk-usage"],
        &["conflicts"],
        &["export", "/mnt/files"],
        &["rekey", "--new-key-file", "new.key"],
        &["cleanup", "--older-than", "30d", "--dry-run"],
        &["user", "list"],
    ] {
        let output = run(arguments);
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(said, arguments.join(" ") + "\n");
    }
    assert_eq!(run(&["dance"]).status.code(), Some(2));
}
