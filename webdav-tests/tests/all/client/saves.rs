//! How programs save files, and what they leave about, under a daemon.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use webdav_tests::Api;
use webdav_tests::api::number;
use webdav_tests::client::within;
use webdav_tests::content::noise;
use webdav_tests::server::ADMIN_PASSWORD;

use super::{daemons, sent, wait_until_alike, wait_until_it_rests};

const SOON: Duration = Duration::from_secs(20);

/// Runs git in a folder, for nobody in particular.
#[track_caller]
fn git(folder: &Path, arguments: &[&str]) {
    let mut command = Command::new("git");
    command.current_dir(folder).args([
        "-c",
        "user.name=A",
        "-c",
        "user.email=a@example.org",
        "-c",
        "gc.auto=0",
    ]);
    command
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_SYSTEM", "/dev/null");
    let output = command.args(arguments).output().expect("git is installed");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "git {arguments:?}: {said}");
}

#[test]
fn a_save_by_a_new_file_and_a_rename_is_the_next_version_of_the_same_file() {
    let (server, (a, _running_a), (b, _running_b)) = daemons();
    a.write("notes.txt", "version 0\n");
    wait_until_alike(&a, &b, SOON);
    let api = Api::login(&server, "admin", ADMIN_PASSWORD);
    let id = number(&api.info("/notes.txt"), "id");
    for save in 1..=5 {
        // As vim does it: a swap file, the old file as a backup, a new one, the backup goes
        a.write(".notes.txt.swp", noise(save, 4096));
        a.write("4913", "");
        a.remove("4913");
        a.rename("notes.txt", "notes.txt~");
        a.write("notes.txt", format!("version {save}\n"));
        a.remove("notes.txt~");
        a.remove(".notes.txt.swp");
        let there = || b.holds("notes.txt", format!("version {save}\n"));
        assert!(within(SOON, there), "save {save}: {}", a.status());
    }
    // As many others do it: a temporary file renamed over the old one
    for save in 6..=10 {
        a.write(".notes.txt.tmp", format!("version {save}\n"));
        a.rename(".notes.txt.tmp", "notes.txt");
        thread::sleep(Duration::from_millis(30));
    }
    wait_until_alike(&a, &b, SOON);
    assert!(b.holds("notes.txt", "version 10\n"));
    assert_eq!(
        b.names("")
            .iter()
            .filter(|name| name.contains("notes"))
            .count(),
        1,
        "{:?}",
        b.names("")
    );
    let info = api.info("/notes.txt");
    assert_eq!(number(&info, "id"), id, "it is another file on the server");
    // Each of the first five had arrived before the next one began
    assert!(number(&info, "version") > 5, "{info}");
    assert_eq!(a.json(&["conflicts"]), serde_json::json!([]));
}

#[test]
fn locks_and_temporary_files_of_an_office_are_not_sent() {
    let (server, (a, _running_a), (b, _running_b)) = daemons();
    a.write("letter.odt", noise(1, 50_000));
    wait_until_alike(&a, &b, SOON);
    a.write(
        ".~lock.letter.odt#",
        ",a,host,26.11.2026 05:20,file:///home/a/.config/libreoffice/4;",
    );
    // One that is there for longer than it takes for others to arrive
    a.write("lu9.tmp", noise(9, 50_000));
    for save in 2..5 {
        a.write("lu123.tmp", noise(save, 50_000));
        a.rename("lu123.tmp", "letter.odt");
        let there = || b.holds("letter.odt", noise(save, 50_000));
        assert!(within(SOON, there), "{}", a.status());
    }
    let api = Api::login(&server, "admin", ADMIN_PASSWORD);
    for names in [api.names("/"), b.names("")] {
        let theirs = names
            .iter()
            .find(|name| name.contains("lock") || name.starts_with("lu"));
        assert_eq!(theirs, None, "{names:?}");
    }
    a.remove(".~lock.letter.odt#");
    a.remove("lu9.tmp");
    wait_until_alike(&a, &b, SOON);
}

#[test]
fn a_file_that_grows_under_a_daemon_is_whole_in_the_end() {
    let (_server, (a, _running_a), (b, _running_b)) = daemons();
    let until = Instant::now() + Duration::from_secs(2);
    a.write("log", "");
    let mut nth = 0;
    while Instant::now() < until {
        a.append("log", format!("line {nth}\n").as_bytes());
        nth += 1;
        thread::sleep(Duration::from_millis(5));
    }
    wait_until_alike(&a, &b, SOON);
    let text = String::from_utf8(b.read("log")).unwrap();
    assert_eq!(text.lines().count(), nth);
    assert_eq!(a.json(&["conflicts"]), serde_json::json!([]));
    assert_eq!(a.names(""), b.names(""));
}

#[test]
fn a_repository_whose_branches_are_switched_is_the_same_on_the_other_device_in_the_end() {
    let (_server, (a, running_a), (b, _running_b)) = daemons();
    let files = if crate::long() { 20_000 } else { 2_000 };
    // Made beside it, moved in at once: as a clone comes
    let outside = tempfile::tempdir_in(a.folder().parent().unwrap()).unwrap();
    let repo = outside.path().join("repo");
    fs::create_dir(&repo).unwrap();
    git(&repo, &["init", "-q", "-b", "main"]);
    let write = |branch: usize| {
        for nth in 0..files {
            if nth % 4 == branch || branch == 0 {
                let dir = repo.join(format!("d{}/e{}", nth % 20, nth % 7));
                fs::create_dir_all(&dir).unwrap();
                fs::write(
                    dir.join(format!("{nth}.rs")),
                    format!("// file {nth} of branch {branch}\n"),
                )
                .unwrap();
            }
        }
        git(&repo, &["add", "-A"]);
        git(&repo, &["commit", "-q", "-m", "work"]);
    };
    write(0);
    for branch in 1..4 {
        git(&repo, &["checkout", "-q", "-b", &format!("b{branch}")]);
        if branch == 2 {
            fs::remove_dir_all(repo.join("d3")).unwrap();
        }
        write(branch);
    }
    fs::rename(&repo, a.path("repo")).unwrap();
    for branch in ["main", "b1", "b2", "b3", "main"] {
        git(&a.path("repo"), &["checkout", "-q", branch]);
        thread::sleep(Duration::from_millis(200));
    }
    let since = Instant::now();
    wait_until_alike(&a, &b, SOON * if crate::long() { 30 } else { 4 });
    println!(
        "{files} files in step {:?} after the last switch; {:?} of work",
        since.elapsed(),
        running_a.worked()
    );
    git(&b.path("repo"), &["fsck", "--strict"]);
    git(&b.path("repo"), &["diff", "--exit-code", "HEAD"]);
    assert_eq!(a.json(&["conflicts"]), serde_json::json!([]));
    // And switched once more, at the other device
    git(&b.path("repo"), &["checkout", "-q", "b2"]);
    wait_until_alike(&a, &b, SOON * if crate::long() { 30 } else { 2 });
    assert!(!a.has("repo/d3/e3/3.rs"));
}

#[test]
fn nothing_is_sent_of_a_folder_that_is_ignored_while_files_churn_in_it() {
    let (_server, (a, running_a), (b, _running_b)) = daemons();
    a.write(".syncignore", "target/\n");
    a.write("src/main.rs", "fn main() {}\n");
    a.write("target/old.o", "old");
    assert!(within(SOON, || b.has("src/main.rs") && b.has(".syncignore")));
    wait_until_it_rests(&a);
    let (before, worked) = (sent(&a), running_a.worked());
    let until = Instant::now() + Duration::from_secs(2);
    let mut nth = 0_u64;
    while Instant::now() < until {
        a.write(format!("target/d{}/{nth}.o", nth % 5), noise(nth, 10_000));
        if nth > 5 {
            a.remove(&format!("target/d{}/{}.o", (nth - 5) % 5, nth - 5));
        }
        nth += 1;
    }
    let after = sent(&a);
    println!(
        "{nth} files churned: {} bytes sent, {:?} of work",
        after - before,
        running_a.worked().saturating_sub(worked)
    );
    assert_eq!(after, before);
    assert!(!b.has("target"));
    // What is beside it is still heard of
    a.append("src/main.rs", b"// more\n");
    let content = b"fn main() {}\n// more\n";
    assert!(
        within(SOON, || b.holds("src/main.rs", content)),
        "{:?}",
        b.tree()
    );
    assert!(!b.has("target"));
}

#[test]
fn rules_that_arrive_or_change_take_nothing_away() {
    let (_server, (a, _running_a), (b, _running_b)) = daemons();
    a.write("src/main.rs", "fn main() {}\n");
    a.write("notes.md", "notes");
    wait_until_alike(&a, &b, SOON);
    let before = b.tree();
    for (nth, rules) in ["target/\n", "target/\n*.o\n", "", "*.md\n"]
        .iter()
        .enumerate()
    {
        a.write(".syncignore", rules);
        assert!(
            within(SOON, || b.holds(".syncignore", rules)),
            "rules {nth}"
        );
        b.write(format!("by-b-{nth}"), "here");
        assert!(
            within(SOON, || a.has(format!("by-b-{nth}"))),
            "after rules {nth}"
        );
        for (path, thing) in &before {
            let there = [a.tree().remove(path), b.tree().remove(path)];
            assert!(
                there.iter().all(|there| there.as_ref() == Some(thing)),
                "{} after rules {nth}",
                path.display()
            );
        }
    }
}
