//! KDE: what Dolphin does, through `kioclient5` 5.103 (CT26). It uploads only to servers without
//! authentication when there is no desktop to ask for the password, so here it reads, moves and removes.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use webdav_tests::TestServer;
use webdav_tests::content::{assert_same, noise};
use webdav_tests::process::{Said, run, tool};

use super::{ADMIN_PASSWORD, Home, Reads, assert_shows, encoded};

pub(super) struct Kio;

fn url(home: &Home, path: &str) -> String {
    format!(
        "webdav://admin:{ADMIN_PASSWORD}@{}/dav/{}",
        home.address,
        encoded(path)
    )
}

#[track_caller]
fn kioclient(home: &Home, arguments: &[&str]) -> Said {
    let dir = home.make("kde");
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o700)).expect("our own directory");
    let mut command = tool("kioclient5");
    command.arg("--noninteractive").args(arguments);
    command
        .env("QT_QPA_PLATFORM", "offscreen")
        .env("LC_ALL", "C.UTF-8");
    for name in [
        "HOME",
        "XDG_RUNTIME_DIR",
        "XDG_DATA_HOME",
        "XDG_CONFIG_HOME",
        "XDG_CACHE_HOME",
    ] {
        command.env(name, &dir);
    }
    command.env_remove("DBUS_SESSION_BUS_ADDRESS");
    run(&mut command, b"").expect_success("kioclient5")
}

impl Reads for Kio {
    fn name(&self) -> &'static str {
        "kio"
    }

    fn fetch(&self, home: &Home, folder: &str, names: &[&str], into: &Path) {
        let listed = kioclient(home, &["ls", &url(home, &format!("{folder}/"))]);
        assert_shows(&listed.text(), names, self.name());
        for name in names {
            let got = kioclient(home, &["cat", &url(home, &format!("{folder}/{name}"))]);
            fs::write(into.join(name), got.stdout).expect("our own directory");
        }
    }
}

#[test]
fn kde_lists_reads_moves_and_removes() {
    let server = TestServer::start();
    let home = Home::new(&server);
    let dav = server.admin();
    let bytes = noise(1, 500_000);
    dav.put("/dav/documents/a.bin", &bytes).expect(&[201]);
    dav.mkcol("/dav/documents/folder/").expect(&[201]);
    dav.put("/dav/documents/folder/x", b"x").expect(&[201]);

    let listed = kioclient(&home, &["ls", &url(&home, "documents/")]);
    assert_shows(&listed.text(), &["a.bin", "folder"], "kio");
    let stat = kioclient(&home, &["stat", &url(&home, "documents/a.bin")]);
    assert!(stat.text().contains("500000"), "{}", stat.text());
    assert_same(
        &kioclient(&home, &["cat", &url(&home, "documents/a.bin")]).stdout,
        &bytes,
        "kio cat",
    );
    let local = home.path("copied.bin");
    kioclient(
        &home,
        &[
            "copy",
            &url(&home, "documents/a.bin"),
            &format!("file://{}", local.display()),
        ],
    );
    assert_same(&fs::read(&local).expect("the copy"), &bytes, "kio copy");

    // The Destination holds name and password.
    kioclient(
        &home,
        &[
            "move",
            &url(&home, "documents/a.bin"),
            &url(&home, "photos/b (ä).bin"),
        ],
    );
    assert_eq!(dav.names("/dav/photos/"), ["b (ä).bin"]);
    assert_same(
        &dav.get("/dav/photos/b%20(%C3%A4).bin").body,
        &bytes,
        "after the move",
    );
    kioclient(&home, &["remove", &url(&home, "photos/b (ä).bin")]);
    kioclient(&home, &["remove", &url(&home, "documents/folder")]);
    assert_eq!(dav.names("/dav/photos/"), Vec::<String>::new());
    assert_eq!(dav.names("/dav/documents/"), Vec::<String>::new());
}
