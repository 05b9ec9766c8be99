//! Links, odd names, and what cannot be synced.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use webdav_tests::client::assert_alike;
use webdav_tests::process::run_ok;
use webdav_tests::{Client, TestServer};

#[test]
fn links_are_kept_as_links_and_never_followed() {
    let (server, a, b) = super::pair();
    let outside = server.dir().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("secret"), "secret").unwrap();
    a.write("dir/file", "file");
    let absolute = a.path("dir/file");
    let links: [(&str, &Path); 8] = [
        ("to-file", "dir/file".as_ref()),
        ("to-folder", "dir".as_ref()),
        ("dir/up", "..".as_ref()),
        ("dangling", "nothing/here".as_ref()),
        ("absolute", &absolute),
        ("outside", &outside),
        ("out-of-it", "../../outside/secret".as_ref()),
        ("itself", "itself".as_ref()),
    ];
    for (name, target) in links {
        a.link(name, target);
    }
    a.sync();
    b.sync();
    assert_alike(&a, &b);
    for (name, target) in links {
        assert_eq!(fs::read_link(b.path(name)).unwrap(), target, "{name}");
    }
    // Links change, move, become files and go, and what they lead to stays as it is
    a.remove("to-file");
    a.link("to-file", "elsewhere");
    a.rename("to-folder", "dir/moved");
    a.remove("dangling");
    a.write("dangling", "a file now");
    b.remove("outside");
    b.mkdir("outside");
    b.write("outside/new", "new");
    b.remove("itself");
    Client::sync_all(&[&a, &b]);
    assert_alike(&a, &b);
    assert_eq!(
        fs::read_link(b.path("to-file")).unwrap(),
        Path::new("elsewhere")
    );
    assert_eq!(a.read("outside/new"), b"new");
    assert_eq!(fs::read(outside.join("secret")).unwrap(), b"secret");
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 1);
}

#[test]
fn a_folder_that_became_a_link_elsewhere_is_not_written_through() {
    let (server, a, b) = super::pair();
    a.write("dir/file", "one");
    a.write("keep", "keep");
    Client::sync_all(&[&a, &b]);
    let outside = server.dir().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("file"), "not ours").unwrap();
    // When B has a link in the folder's place, and A writes into the folder
    b.remove("dir");
    b.link("dir", &outside);
    a.write("dir/file", "two");
    a.write("dir/new", "new");
    Client::sync_all(&[&b, &a]);
    Client::sync_all(&[&b, &a]);
    assert_alike(&a, &b);
    assert_eq!(fs::read(outside.join("file")).unwrap(), b"not ours");
    assert!(!outside.join("new").exists());
    assert!(
        a.tree().keys().any(|path| path.ends_with("new")),
        "{:?}",
        a.tree()
    );
}

#[test]
fn names_with_every_character_that_linux_and_the_server_have_arrive() {
    let (_server, a, b) = super::pair();
    let mut names: Vec<String> = (32..127_u8)
        .map(char::from)
        .filter(|c| *c != '/')
        .map(|c| format!("x{c}y"))
        .collect();
    names.extend(
        (32..127_u8)
            .map(char::from)
            .filter(|c| !"/.".contains(*c))
            .map(String::from),
    );
    let long = "ä".repeat(127) + "x";
    let odd = [
        " begins and ends ",
        "dot.",
        "...",
        ".hidden",
        "-rf",
        "--",
        "%41%2F",
        "a%",
        "CON",
        "nul.txt",
        "a:b",
        "a\\b",
        "tab?*<>|\"",
        "日本語",
        "😀👩‍👩‍👧",
        "ʾabc",
        "עברית",
        "e\u{301}",
        "\u{feff}bom",
        "zero\u{200b}width",
        "\u{202e}rtl",
        "$HOME",
        "`ls`",
        "$(ls)",
        ";ls",
        "~",
        "~user",
        "#",
        "x.conflict",
        "x.tmp",
        &long,
    ];
    names.extend(odd.map(ToOwned::to_owned));
    for name in &names {
        a.write(name, name);
    }
    a.mkdir("as folders");
    for name in &names {
        a.write(format!("as folders/{name}/{name}"), name);
    }
    a.sync();
    b.sync();
    assert_eq!(a.status()["troubles"], serde_json::json!([]));
    assert_alike(&a, &b);
    for name in &names {
        assert_eq!(b.read(name), name.as_bytes());
    }
    assert_eq!(a.json(&["sync"])["changes"], 0);
    assert_eq!(b.json(&["sync"])["changes"], 0);
}

#[test]
fn names_that_differ_in_case_only_are_two() {
    let (_server, a, b) = super::pair();
    a.write("Name", "large");
    a.write("name", "small");
    a.write("DIR/x", "large");
    a.write("dir/x", "small");
    a.sync();
    b.sync();
    assert_alike(&a, &b);
    b.rename("Name", "NAME");
    b.remove("name");
    b.rename("DIR", "Dir");
    Client::sync_all(&[&b, &a]);
    assert_alike(&a, &b);
    assert_eq!(a.read("NAME"), b"large");
    assert_eq!(a.read("Dir/x"), b"large");
}

#[test]
fn a_name_that_the_server_cannot_have_is_told_and_everything_else_goes_on() {
    let (_server, a, b) = super::pair();
    let latin = OsStr::from_bytes(b"caf\xe9");
    let control = ["tab\there", "line\nbreak", "del\x7f"];
    a.write(latin, "latin-1");
    for name in control {
        a.write(name, "control");
    }
    a.write(
        PathBuf::from(OsStr::from_bytes(b"dir\xff")).join("in"),
        "in",
    );
    a.write("fine", "fine");
    let said = a.fails(&["sync"], 4);
    assert!(said.contains("status"), "{said}");
    let status = a.status();
    let troubles = status["troubles"].as_array().unwrap();
    assert_eq!(troubles.len(), 2 + control.len(), "{status}");
    assert!(
        a.trouble("caf\u{fffd}")
            .is_some_and(|what| what.contains("UTF-8")),
        "{status}"
    );
    assert!(
        a.trouble("tab\there")
            .is_some_and(|what| what.contains("control")),
        "{status}"
    );
    b.sync();
    assert_eq!(b.read("fine"), b"fine");
    assert_eq!(a.read(latin), b"latin-1");
    // With other names all is well
    fs::rename(a.path(latin), a.path("café")).unwrap();
    fs::rename(a.path(OsStr::from_bytes(b"dir\xff")), a.path("dir")).unwrap();
    for (nth, name) in control.iter().enumerate() {
        a.rename(name, &nth.to_string());
    }
    a.sync();
    b.sync();
    assert_alike(&a, &b);
    assert_eq!(a.status()["troubles"], serde_json::json!([]));
}

#[test]
fn names_in_other_code_points_are_told_when_both_are_there_and_fine_when_one_is() {
    let (_server, a, b) = super::pair();
    a.write("e\u{301}", "decomposed");
    a.sync();
    b.sync();
    assert_alike(&a, &b);
    a.write("\u{e9}", "composed");
    a.fails(&["sync"], 4);
    assert_eq!(
        a.status()["troubles"].as_array().unwrap().len(),
        1,
        "{}",
        a.status()
    );
    assert_eq!(
        (a.read("e\u{301}"), a.read("\u{e9}")),
        (b"decomposed".to_vec(), b"composed".to_vec())
    );
    // The same file in other code points is a new name for it
    a.remove("\u{e9}");
    a.rename("e\u{301}", "\u{e9}");
    a.sync();
    b.sync();
    assert_alike(&a, &b);
    assert_eq!(b.read("\u{e9}"), b"decomposed");
}

#[test]
fn pipes_and_sockets_are_told_and_everything_else_goes_on() {
    let (_server, a, b) = super::pair();
    run_ok("mkfifo", &[a.path("pipe")]);
    let _socket = std::os::unix::net::UnixListener::bind(a.path("socket")).unwrap();
    a.write("fine", "fine");
    a.fails(&["sync"], 4);
    b.sync();
    assert_eq!(b.read("fine"), b"fine");
    assert!(!b.has("pipe") && !b.has("socket"));
    assert!(
        a.trouble("pipe").is_some() && a.trouble("socket").is_some(),
        "{}",
        a.status()
    );
    assert!(a.has("pipe"));
}

#[test]
fn a_file_that_cannot_be_read_is_told_by_exit_code_4_and_everything_else_goes_on() {
    let server = TestServer::start();
    let a = Client::unprivileged(&server, "A");
    let b = Client::admin(&server, "B");
    a.sync();
    let set = |path: &str, mode| {
        fs::set_permissions(a.path(path), fs::Permissions::from_mode(mode)).unwrap();
    };
    a.write("known.txt", "one");
    a.write("dir/in.txt", "in");
    for path in ["known.txt", "dir", "dir/in.txt"] {
        a.own(path);
    }
    a.sync();
    b.sync();
    // When a file known to both, a folder, and a new file cannot be read
    a.write("known.txt", "two");
    a.write("new.txt", "new");
    a.write("fine.txt", "fine");
    for path in ["new.txt", "fine.txt"] {
        a.own(path);
    }
    set("known.txt", 0o000);
    set("new.txt", 0o000);
    set("dir", 0o000);
    let said = a.fails(&["sync"], 4);
    assert!(said.contains("status"), "{said}");
    for path in ["known.txt", "new.txt", "dir"] {
        assert!(
            a.trouble(path).is_some_and(|what| what.contains("denied")),
            "{path}: {}",
            a.status()
        );
    }
    b.sync();
    assert_eq!(b.read("fine.txt"), b"fine");
    assert_eq!(
        (b.read("known.txt"), b.read("dir/in.txt")),
        (b"one".to_vec(), b"in".to_vec())
    );
    // Then all of it goes when it can be read
    set("known.txt", 0o644);
    set("new.txt", 0o644);
    set("dir", 0o755);
    a.sync();
    b.sync();
    assert_alike(&a, &b);
    assert_eq!(a.status()["troubles"], serde_json::json!([]));
}

#[test]
fn a_folder_that_cannot_be_written_to_is_told_and_everything_else_arrives() {
    let server = TestServer::start();
    let a = Client::admin(&server, "A");
    let b = Client::unprivileged(&server, "B");
    a.write("dir/one", "one");
    a.sync();
    b.sync();
    fs::set_permissions(b.path("dir"), fs::Permissions::from_mode(0o555)).unwrap();
    a.write("dir/one", "other");
    a.write("dir/two", "two");
    a.write("else", "else");
    a.sync();
    b.fails(&["sync"], 4);
    assert_eq!(b.read("else"), b"else");
    assert_eq!(b.read("dir/one"), b"one");
    // Nothing of that is taken for something that was done here
    a.sync();
    assert_eq!(
        (a.read("dir/one"), a.read("dir/two")),
        (b"other".to_vec(), b"two".to_vec())
    );
    fs::set_permissions(b.path("dir"), fs::Permissions::from_mode(0o755)).unwrap();
    b.sync();
    assert_alike(&a, &b);
}

#[test]
fn what_the_rules_of_a_folder_leave_out_stays_where_it_is() {
    let (_server, a, b) = super::pair();
    a.write(".syncignore", "target/\n*.o\n!keep.o\n");
    a.write("target/big.bin", "big");
    a.write("sub/x.o", "object");
    a.write("sub/keep.o", "kept");
    a.write("sub/x.c", "source");
    a.write(".x.swp", "swap");
    a.sync();
    b.sync();
    assert!(
        !b.has("target") && !b.has("sub/x.o") && !b.has(".x.swp"),
        "{:?}",
        b.tree()
    );
    assert_eq!(
        (b.read("sub/keep.o"), b.read("sub/x.c")),
        (b"kept".to_vec(), b"source".to_vec())
    );
    assert_eq!(b.read(".syncignore"), a.read(".syncignore"));
    // B's own of that kind stays with B, also when the folder above goes
    b.write("sub/y.o", "object of B");
    a.remove("sub");
    a.sync();
    let code = b.run(&["sync"]).code;
    assert!(matches!(code, 0 | 4), "{code}");
    assert_eq!(b.read("sub/y.o"), b"object of B");
    // Without the rule all comes
    a.write(".syncignore", "target/\n");
    Client::sync_all(&[&a, &b]);
    Client::sync_all(&[&a, &b]);
    assert_eq!(a.read("sub/y.o"), b"object of B");
}

#[test]
fn what_comes_out_of_a_folder_that_was_left_out_comes_with_all_below() {
    let (server, a, b) = super::pair();
    a.write(".syncignore", "target/\n");
    Client::sync_all(&[&a, &b]);
    let dav = server.admin();
    for path in ["/dav/target", "/dav/target/deep"] {
        dav.request("MKCOL", path, &[], b"").expect(&[201]);
    }
    dav.put("/dav/target/deep/program", b"bytes");
    a.sync();
    assert!(!a.has("target"));
    let to = format!("{}/dav/release", server.url());
    dav.request("MOVE", "/dav/target", &[("Destination", &to)], b"")
        .expect(&[201]);
    Client::sync_all(&[&a, &b]);
    assert_eq!(a.read("release/deep/program"), b"bytes");
    assert_alike(&a, &b);
}

#[test]
fn a_run_with_rules_hears_only_what_is_new() {
    let (_server, a, b) = super::pair();
    a.write(".syncignore", "target/\n");
    for nth in 0..300 {
        a.write(format!("dir/{nth}.txt"), nth.to_string());
    }
    Client::sync_all(&[&a, &b]);
    b.write("new.txt", "new");
    Client::sync_all(&[&b, &a]);
    let said = a.json(&["sync"]);
    let received = said["received"].as_u64().unwrap();
    assert!(received < 3000, "{said}");
}

#[test]
fn what_rules_left_out_comes_when_they_go_while_nobody_looks() {
    let (server, a, _b) = super::pair();
    a.write(".syncignore", "target/\n");
    a.sync();
    let dav = server.admin();
    dav.request("MKCOL", "/dav/target", &[], b"").expect(&[201]);
    dav.put("/dav/target/program", b"bytes");
    a.sync();
    assert!(!a.has("target"));
    a.remove(".syncignore");
    a.sync();
    assert_eq!(a.read("target/program"), b"bytes");
}
