//! cadaver 0.24: the command-line shell of neon, the library davfs2 uses as well.

use std::fs;
use std::path::Path;

use webdav_tests::TestServer;
use webdav_tests::process::{run, tool};

use super::{ADMIN_PASSWORD, Home, Reads, Writes, assert_shows};

pub(super) struct Cadaver;

/// Runs `commands` in `folder`; cadaver exits 0 whatever happens, so its words count.
#[track_caller]
fn cadaver(home: &Home, folder: &str, commands: &[String]) -> String {
    let netrc = format!("machine 127.0.0.1\nlogin admin\npassword {ADMIN_PASSWORD}\n");
    fs::write(home.path(".netrc"), netrc).expect("our own directory");
    let mut command = tool("cadaver");
    command
        .env("HOME", home.dir.path())
        .env("LC_ALL", "C.UTF-8")
        .arg(home.url_of(folder));
    let said = run(
        &mut command,
        format!("{}\nquit\n", commands.join("\n")).as_bytes(),
    );
    let text = said.expect_success("cadaver").text();
    for complaint in ["failed", "Could not", "Unrecognised", "syntax", "dav:!>"] {
        assert!(!text.contains(complaint), "cadaver complains:\n{text}");
    }
    text
}

impl Reads for Cadaver {
    fn name(&self) -> &'static str {
        "cadaver"
    }

    fn fetch(&self, home: &Home, folder: &str, names: &[&str], into: &Path) {
        let get = |name: &&str| format!("get \"{name}\" \"{}\"", into.join(name).display());
        let commands: Vec<String> = ["ls".to_owned()]
            .into_iter()
            .chain(names.iter().map(get))
            .collect();
        let said = cadaver(home, &format!("{folder}/"), &commands);
        assert_shows(&said, names, self.name());
    }
}

impl Writes for Cadaver {
    fn store(&self, home: &Home, folder: &str, names: &[&str], from: &Path) {
        let put = |name: &&str| format!("put \"{}\" \"{name}\"", from.join(name).display());
        cadaver(
            home,
            &format!("{folder}/"),
            &names.iter().map(put).collect::<Vec<_>>(),
        );
    }
}

#[test]
fn cadaver_makes_moves_copies_locks_and_deletes() {
    let server = TestServer::start();
    let home = Home::new(&server);
    fs::write(home.path("local"), b"content").expect("our own directory");
    let local = home.path("local").display().to_string();
    let commands = [
        "mkcol made",
        "cd made",
        &format!("put {local} a"),
        "copy a b",
        "move a c",
        "lock c",
        "ls",
        "discover c",
        "unlock c",
        "propset c colour green",
        "propget c colour",
        "propnames c",
        "delete b",
        "cd ..",
        "copy made copied",
        "move made moved",
        "rmcol copied",
        "ls",
    ];

    let said = cadaver(&home, "", &commands.map(str::to_owned));

    assert!(said.contains("green"), "{said}");
    let dav = server.admin();
    assert_eq!(dav.names("/dav/moved/"), ["c"]);
    assert_eq!(dav.get("/dav/moved/c").body, b"content");
    assert_eq!(
        dav.names("/dav/"),
        ["backups", "documents", "moved", "photos", "shared"]
    );
    dav.delete("/dav/moved/").expect(&[204]);
}
