//! rclone 1.60: the client of backups, with its vendors (CT23).

use std::fs;
use std::path::Path;
use std::process::Command;

use webdav_tests::TestServer;
use webdav_tests::process::{run, run_ok, tool};

use super::{ADMIN_PASSWORD, Home, Reads, SAMPLES, Writes, assert_shows, samples};

/// With the name of a vendor.
pub(super) struct Rclone(pub(super) &'static str);

impl Rclone {
    fn command(&self, home: &Home) -> Command {
        let mut command = tool("rclone");
        let obscured = run_ok("rclone", &["obscure", ADMIN_PASSWORD]);
        let obscured = String::from_utf8(obscured).expect("text");
        command
            .env("RCLONE_CONFIG", home.path("rclone.conf"))
            .env("RCLONE_CONFIG_T_TYPE", "webdav");
        command
            .env("RCLONE_CONFIG_T_URL", &home.url)
            .env("RCLONE_CONFIG_T_VENDOR", self.0);
        command
            .env("RCLONE_CONFIG_T_USER", "admin")
            .env("RCLONE_CONFIG_T_PASS", obscured.trim());
        // Once, so that a failure shows instead of being tried again.
        command.args(["--retries", "1", "--low-level-retries", "1"]);
        command
    }

    /// Copies `from` to `folder`; returns how many files were transferred.
    #[track_caller]
    fn sync(&self, home: &Home, from: &Path, folder: &str) -> usize {
        let mut command = self.command(home);
        command
            .args(["sync", "--verbose", "--stats", "0"])
            .arg(from)
            .arg(format!("t:{folder}"));
        let said = run(&mut command, b"").expect_success("rclone sync");
        said.stderr.matches(": Copied (").count()
    }
}

impl Reads for Rclone {
    fn name(&self) -> &'static str {
        "rclone"
    }

    fn fetch(&self, home: &Home, folder: &str, names: &[&str], into: &Path) {
        let remote = format!("t:{folder}");
        let listed =
            run(self.command(home).args(["lsf", &remote]), b"").expect_success("rclone lsf");
        assert_shows(&listed.text(), names, self.name());
        run(self.command(home).args(["copy", &remote]).arg(into), b"")
            .expect_success("rclone copy");
    }
}

impl Writes for Rclone {
    fn store(&self, home: &Home, folder: &str, names: &[&str], from: &Path) {
        for name in names {
            let to = format!("t:{folder}/{name}");
            run(
                self.command(home)
                    .arg("copyto")
                    .arg(from.join(name))
                    .arg(to),
                b"",
            )
            .expect_success("rclone copyto");
        }
    }
}

/// A first run copies all, a second nothing, a third what changed; a check by content finds no difference.
fn copies_only_what_changed(vendor: &'static str) {
    let server = TestServer::start();
    let home = Home::new(&server);
    let rclone = Rclone(vendor);
    let from = home.make("from");
    samples(&from, 1);
    fs::create_dir_all(from.join("a/b c/d")).expect("our own directory");
    fs::write(from.join("a/b c/d/deep.txt"), b"deep").expect("our own directory");
    let count = SAMPLES.len() + 1;

    assert_eq!(rclone.sync(&home, &from, "backups/pc"), count, "first run");
    assert_eq!(rclone.sync(&home, &from, "backups/pc"), 0, "second run");
    let mut check = rclone.command(&home);
    check
        .args(["check", "--download"])
        .arg(&from)
        .arg("t:backups/pc");
    run(&mut check, b"").expect_success("rclone check");

    fs::write(from.join("a/b c/d/deep.txt"), b"deeper").expect("our own directory");
    fs::remove_file(from.join("empty")).expect("our own directory");
    assert_eq!(
        rclone.sync(&home, &from, "backups/pc"),
        1,
        "after one change and one removal"
    );
    server.admin().get("/dav/backups/pc/empty").expect(&[404]);
    assert_eq!(
        server
            .admin()
            .get("/dav/backups/pc/a/b%20c/d/deep.txt")
            .body,
        b"deeper"
    );
}

#[test]
fn rclone_other_copies_only_what_changed() {
    copies_only_what_changed("other");
}

#[test]
fn rclone_owncloud_copies_only_what_changed() {
    copies_only_what_changed("owncloud");
}

#[test]
fn rclone_nextcloud_copies_only_what_changed() {
    copies_only_what_changed("nextcloud");
}

#[test]
fn rclone_keeps_times_and_finds_checksums() {
    let server = TestServer::start();
    let home = Home::new(&server);
    let rclone = Rclone("owncloud");
    let from = home.make("from");
    fs::write(from.join("old.txt"), b"from long ago").expect("our own directory");
    run_ok(
        "touch",
        &[
            "-d".as_ref(),
            "2020-02-05 12:34:56 UTC".as_ref(),
            from.join("old.txt").as_os_str(),
        ],
    );

    rclone.sync(&home, &from, "backups");

    let listed = run(
        rclone
            .command(&home)
            .env("TZ", "UTC")
            .args(["lsl", "t:backups"]),
        b"",
    );
    let listed = listed.expect_success("rclone lsl").text();
    assert!(listed.contains("2020-02-05 12:34:56"), "{listed}");
    let sums = run(rclone.command(&home).args(["sha1sum", "t:backups"]), b"")
        .expect_success("rclone sha1sum")
        .text();
    let expected = webdav_tests::content::sha1_hex(b"from long ago");
    assert!(sums.contains(&expected), "{sums}");
}

#[test]
fn rclone_moves_purges_and_knows_the_quota() {
    let server = TestServer::start();
    let home = Home::new(&server);
    let rclone = Rclone("other");
    let from = home.make("from");
    samples(&from, 3);
    rclone.sync(&home, &from, "documents/a");

    let rclone_ok = |arguments: &[&str]| {
        run(rclone.command(&home).args(arguments), b"")
            .expect_success("rclone")
            .text()
    };
    rclone_ok(&["moveto", "t:documents/a/notes.txt", "t:photos/notes.txt"]);
    rclone_ok(&["moveto", "t:documents/a", "t:documents/b"]);
    rclone_ok(&["copyto", "t:photos/notes.txt", "t:photos/copy.txt"]);
    assert!(rclone_ok(&["about", "t:"]).contains("Used:"));
    assert_eq!(server.admin().names("/dav/documents/"), ["b"]);
    assert_eq!(
        server.admin().names("/dav/photos/"),
        ["copy.txt", "notes.txt"]
    );
    rclone_ok(&["purge", "t:documents/b"]);
    assert_eq!(
        server.admin().names("/dav/documents/"),
        Vec::<String>::new()
    );
}
