//! GNOME: what Files (Nautilus) does, through `gio` and gvfs 1.50 (CT25).

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use webdav_tests::TestServer;
use webdav_tests::process::{Said, run, tool};

use super::{ADMIN_PASSWORD, Home, Reads, Writes, assert_shows, encoded};

pub(super) struct Gio;

/// Runs a script in a D-Bus session of its own; `$base` is the mounted root without a trailing slash.
fn session(home: &Home, script: &str) -> Said {
    let run_dir = home.make("gvfs");
    let whole = format!(
        "set -eu\nbase='dav://admin@{}/dav'\nprintf '%s\\n' '{ADMIN_PASSWORD}' | gio mount \"$base/\" >&2\n{script}\ngio mount -u \"$base/\"\n",
        home.address
    );
    let file = home.path("script.sh");
    fs::write(&file, whole).expect("our own directory");
    let mut command = tool("dbus-run-session");
    command
        .args(["--", "bash"])
        .arg(&file)
        .env("LC_ALL", "C.UTF-8");
    // No settings, no sockets and no FUSE mount of the person who runs the tests.
    for name in [
        "HOME",
        "XDG_RUNTIME_DIR",
        "XDG_DATA_HOME",
        "XDG_CONFIG_HOME",
        "XDG_CACHE_HOME",
    ] {
        command.env(name, &run_dir);
    }
    command
        .env("GVFS_DISABLE_FUSE", "1")
        .env_remove("DBUS_SESSION_BUS_ADDRESS");
    run(&mut command, b"")
}

impl Reads for Gio {
    fn name(&self) -> &'static str {
        "gio"
    }

    fn fetch(&self, home: &Home, folder: &str, names: &[&str], into: &Path) {
        let mut script = format!("gio list \"$base/{}\"\n", encoded(folder));
        for name in names {
            let (from, to) = (encoded(&format!("{folder}/{name}")), into.join(name));
            writeln!(script, "gio cat \"$base/{from}\" > '{}'", to.display()).expect("memory");
        }
        let said = session(home, &script).expect_success("gio");
        assert_shows(&said.text(), names, self.name());
    }
}

impl Writes for Gio {
    fn store(&self, home: &Home, folder: &str, names: &[&str], from: &Path) {
        let mut script = String::new();
        for name in names {
            let (from, to) = (from.join(name), encoded(&format!("{folder}/{name}")));
            writeln!(script, "gio copy '{}' \"$base/{to}\"", from.display()).expect("memory");
        }
        session(home, &script).expect_success("gio copy");
    }
}

#[test]
fn gnome_does_everything_its_file_manager_offers() {
    let server = TestServer::start();
    let home = Home::new(&server);
    fs::write(home.path("local.txt"), b"content").expect("our own directory");
    let script = format!(
        r#"
        say() {{ echo "== $*" >&2; }}
        cp='{local}'
        say list;    gio list "$base/" | sort | tr '\n' ' '
        say copy;    gio copy "$cp" "$base/documents/a.txt"
        say again;   gio copy "$cp" "$base/documents/b.txt"
        say cat;     gio cat "$base/documents/a.txt" > "$cp.back"; cmp "$cp" "$cp.back"
        say info;    gio info "$base/documents/a.txt" | grep -q 'size: *7'
        say save;    printf new | gio save "$base/documents/saved.txt"
        say etag;    etag=$(gio info -a etag::value "$base/documents/saved.txt" | sed -n 's/.*etag::value: //p')
        say good;    printf newer | gio save --etag="$etag" "$base/documents/saved.txt"
        say stale;   if printf newest | gio save --etag="$etag" "$base/documents/saved.txt"; then exit 9; fi
        say mkdir;   gio mkdir "$base/documents/new"
        say twice;   if gio mkdir "$base/documents/new"; then exit 9; fi
        say orphan;  if gio mkdir "$base/documents/no/such"; then exit 9; fi
        say move;    gio move "$base/documents/b.txt" "$base/documents/new/b.txt"
        say rename;  gio rename "$base/documents/new/b.txt" "c (ä).txt"
        say taken;   gio copy "$cp" "$base/documents/new/d.txt"
                     if gio rename "$base/documents/new/d.txt" "c (ä).txt"; then exit 9; fi
        say inside;  gio copy "$base/documents/a.txt" "$base/documents/new/e.txt"
        say over;    gio copy "$base/documents/saved.txt" "$base/documents/new/e.txt"
        say remove;  gio remove "$base/documents/new/d.txt"
        say missing; if gio cat "$base/documents/missing"; then exit 9; fi
        say space;   gio info -f "$base/" >&2
        "#,
        local = home.path("local.txt").display()
    );

    let said = session(&home, &script).expect_success("the gio script");

    assert_shows(
        &said.text(),
        &["documents", "photos", "backups", "shared"],
        "gio",
    );
    let dav = server.admin();
    assert_eq!(dav.names("/dav/documents/"), ["a.txt", "new", "saved.txt"]);
    assert_eq!(dav.names("/dav/documents/new/"), ["c (ä).txt", "e.txt"]);
    assert_eq!(dav.get("/dav/documents/saved.txt").body, b"newer");
    assert_eq!(dav.get("/dav/documents/new/e.txt").body, b"newer");
    assert_eq!(
        dav.get("/dav/documents/new/c%20(%C3%A4).txt").body,
        b"content"
    );
}
