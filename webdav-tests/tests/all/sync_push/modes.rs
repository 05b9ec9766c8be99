//! Programs and symbolic links.

use sync_server::protocol::files::Node;
use sync_server::protocol::sync::PushPut;
use webdav_tests::api::route;
use webdav_tests::device::{Push, parse};
use webdav_tests::xml;

use super::{based, begin, copied, done, moved, new, one, refused, write};

/// Namespace of the property that says whether a file can be run.
const APACHE: &str = "http://apache.org/dav/props/";

fn program(put: PushPut, executable: bool) -> PushPut {
    PushPut {
        executable: Some(executable),
        ..put
    }
}

fn link(put: PushPut) -> PushPut {
    PushPut { link: true, ..put }
}

#[test]
fn another_mode_is_told_by_the_feed_and_is_no_version() {
    let (_server, mut device) = begin();
    let first = write(&device, &new("/documents/run", 4), b"true");
    assert_eq!((first.executable, first.link), (false, false));
    device.pull();
    for executable in [true, false, true] {
        let put = program(based(&first.etag, "/documents/run", 4), executable);
        let put = PushPut {
            mtime: Some(first.mtime),
            ..put
        };
        let node = write(&device, &put, b"true");
        assert_eq!((node.executable, node.link), (executable, false));
        assert_eq!((&node.etag, node.version), (&first.etag, 1));
        let heard = device.pull();
        let heard: Vec<_> = heard
            .iter()
            .filter(|change| change.id == first.id)
            .collect();
        assert_eq!(heard.len(), 1);
        assert_eq!(heard[0].node.as_ref(), Some(&node));
        // The same once more is nothing new.
        assert_eq!(write(&device, &put, b"true").seq, node.seq);
    }
    // By its root alone.
    let space = device.space(first.space);
    let put = program(based(&first.etag, "/documents/run", 4), false);
    let mut push = Push::new();
    push.by_root(&space, &put, b"true");
    assert!(!done(one(&device, &push)).executable);
}

#[test]
fn all_that_shows_a_node_shows_its_mode_and_only_when_it_has_one() {
    let (server, device) = begin();
    write(&device, &program(new("/documents/run", 4), true), b"true");
    write(&device, &link(new("/documents/link", 3)), b"run");
    write(&device, &new("/documents/plain", 1), b"x");
    let api = device.api();
    for (name, executable, is_link) in [
        ("run", true, false),
        ("link", false, true),
        ("plain", false, false),
    ] {
        let path = format!("/documents/{name}");
        let info = api.info(&path);
        assert_eq!(info.get("executable").is_some(), executable, "{info}");
        assert_eq!(info.get("link").is_some(), is_link, "{info}");
        let mode = |node: &Node| (node.executable, node.link);
        let by_id: Node = parse(&api.get(&format!("files/{}/info", info["id"])), 200);
        assert_eq!(mode(&by_id), (executable, is_link));
        let found = api.get(&route("files/search", &[("q", name)])).json(200);
        let found: Node = serde_json::from_value(found["items"][0].clone()).expect("a node");
        assert_eq!(mode(&found), (executable, is_link));
        let listed = api.all("files/list?path=/documents");
        let listed = listed
            .into_iter()
            .find(|node| node["name"] == name)
            .expect("it is there");
        let listed: Node = serde_json::from_value(listed).expect("a node");
        assert_eq!(mode(&listed), (executable, is_link));
        api.remove(&path);
        let restored: Node = parse(
            &api.post_nothing(&format!("trash/{}/restore", info["id"])),
            200,
        );
        assert_eq!(mode(&restored), (executable, is_link));
    }
    // By WebDAV a link is a small file, and whoever writes over it makes it a file.
    let dav = server.admin();
    assert_eq!(dav.get("/dav/documents/link").expect(&[200]).body, b"run");
    dav.put("/dav/documents/link", b"bytes").expect(&[204]);
    dav.put("/dav/documents/run", b"other").expect(&[204]);
    assert_eq!(api.info("/documents/link").get("link"), None);
    assert_eq!(api.info("/documents/run")["executable"], true);
}

#[test]
fn moves_and_copies_keep_it() {
    let (_server, device) = begin();
    write(&device, &program(new("/documents/run", 4), true), b"true");
    write(&device, &link(new("/documents/link", 3)), b"run");
    for name in ["run", "link"] {
        let (at, to) = (format!("/documents/{name}"), format!("/photos/{name}"));
        let mut push = Push::new();
        push.item(&copied(&at, &to));
        let copy = done(one(&device, &push));
        let mut push = Push::new();
        push.item(&moved(&at, &format!("/shared/{name}")));
        let there = done(one(&device, &push));
        for node in [copy, there] {
            assert_eq!(
                (node.executable, node.link),
                (name == "run", name == "link")
            );
        }
    }
}

#[test]
fn what_can_be_no_target_is_refused() {
    let (_server, device) = begin();
    let long = vec![b'a'; 4095];
    let node = write(&device, &link(new("/documents/long", 4095)), &long);
    assert!(node.link);
    for bytes in [
        &b""[..],
        b"a\0b",
        b"\xff\xfe",
        &[b'a'; 4096],
        &vec![b'a'; 300_000],
    ] {
        let mut push = Push::new();
        push.whole(&link(new("/documents/bad", bytes.len())), bytes);
        push.whole(&new("/documents/good", 1), b"x");
        let results = device.results(&push);
        refused(&results[0], "invalid", Some("link"));
        assert!(results[1].node.is_some());
        device
            .api()
            .look("/documents/bad")
            .problem("not-found", 404);
        device.api().remove("/documents/good");
    }
}

#[test]
fn webdav_clients_see_and_set_whether_a_file_can_be_run() {
    let (server, device) = begin();
    let dav = server.admin();
    let shown = |path: &str| {
        let asked = xml::propfind("<A:executable xmlns:A=\"http://apache.org/dav/props/\"/>");
        let listing = dav.propfind(path, "0", &asked);
        listing.only().get(APACHE, "executable").map(str::to_owned)
    };
    dav.put("/dav/documents/a", b"true").expect(&[201]);
    for (set, shows) in [("T", true), ("F", false), ("T", true)] {
        let body =
            format!("<A:executable xmlns:A=\"http://apache.org/dav/props/\">{set}</A:executable>");
        let answer = dav.request(
            "PROPPATCH",
            "/dav/documents/a",
            &[],
            xml::set(&body).as_bytes(),
        );
        let answer = answer.expect_multistatus();
        assert_eq!(answer.only().status_of(APACHE, "executable"), Some(200));
        assert_eq!(shown("/dav/documents/a").as_deref(), Some(set));
        let info = device.api().info("/documents/a");
        assert_eq!(info.get("executable").is_some(), shows);
    }
    assert_eq!(shown("/dav/documents"), None);
}
