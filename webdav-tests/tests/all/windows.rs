//! Windows Explorer's way of copying a file, step by step, as its redirector sends it (CT09).

use webdav_tests::content::{assert_same, noise};
use webdav_tests::{Dav, TestServer, xml};

const AGENT: (&str, &str) = ("User-Agent", "Microsoft-WebDAV-MiniRedir/10.0.19045");
const MICROSOFT: &str = "urn:schemas-microsoft-com:";
const WIN32: &str = "<Z:Win32CreationTime>Mon, 03 Feb 2020 10:00:00 GMT</Z:Win32CreationTime>\
    <Z:Win32LastAccessTime>Tue, 04 Feb 2020 11:00:00 GMT</Z:Win32LastAccessTime>\
    <Z:Win32LastModifiedTime>Wed, 05 Feb 2020 12:34:56 GMT</Z:Win32LastModifiedTime>\
    <Z:Win32FileAttributes>00000020</Z:Win32FileAttributes>";

#[track_caller]
fn set_times(dav: &Dav, path: &str, condition: Option<&str>) {
    let mut headers = vec![AGENT, ("Content-Type", "text/xml; charset=\"utf-8\"")];
    headers.extend(condition.map(|condition| ("If", condition)));
    let answer = dav
        .request("PROPPATCH", path, &headers, xml::set(WIN32).as_bytes())
        .expect_multistatus();
    for name in [
        "Win32CreationTime",
        "Win32LastAccessTime",
        "Win32LastModifiedTime",
        "Win32FileAttributes",
    ] {
        assert_eq!(
            answer.only().status_of(MICROSOFT, name),
            Some(200),
            "{name} on {path}"
        );
    }
}

#[track_caller]
fn modified(dav: &Dav, path: &str) -> String {
    dav.propfind(path, "0", xml::LIST)
        .only()
        .dav("getlastmodified")
        .to_owned()
}

#[test]
fn explorer_copies_a_file_and_its_times() {
    let server = TestServer::start();
    let dav = server.admin();
    let path = "/dav/documents/report.docx";
    let bytes = noise(1, 200_000);

    // 0: OPTIONS without credentials is answered 401, then every parent is looked at
    let first = server
        .anonymous()
        .request("OPTIONS", "/dav/", &[("User-Agent", "DavClnt")], b"");
    first.expect(&[401]);
    for parent in ["/", "/dav/", "/dav/documents/"] {
        let status = dav
            .request("PROPFIND", parent, &[AGENT, ("Depth", "0")], b"")
            .status;
        assert!(!matches!(status, 404 | 405), "PROPFIND {parent}: {status}");
    }
    // 1 to 3: nothing there, an empty file, a lock without Depth
    dav.request("PROPFIND", path, &[AGENT, ("Depth", "0")], b"")
        .expect(&[404]);
    dav.request("PUT", path, &[AGENT, ("translate", "f")], b"")
        .expect(&[201]);
    let headers = [AGENT, ("Timeout", "Second-3600"), ("translate", "f")];
    let lock = dav
        .request("LOCK", path, &headers, xml::lock("exclusive").as_bytes())
        .expect(&[200, 201]);
    let token = lock.header("lock-token").expect("a token").to_owned();
    let condition = format!("({token})");
    // 4 to 7: times, HEAD, the content, times again
    set_times(&dav, path, Some(&condition));
    dav.request("HEAD", path, &[AGENT, ("translate", "f")], b"")
        .expect(&[200]);
    dav.request("PUT", path, &[AGENT, ("If", &condition)], &bytes)
        .expect(&[204]);
    set_times(&dav, path, Some(&condition));
    assert_eq!(modified(&dav, path), "Wed, 05 Feb 2020 12:34:56 GMT");
    // 8
    dav.request("UNLOCK", path, &[AGENT, ("Lock-Token", &token)], b"")
        .expect(&[204]);

    let back = dav.get(path).expect(&[200]);
    assert_eq!(
        back.header("last-modified"),
        Some("Wed, 05 Feb 2020 12:34:56 GMT")
    );
    assert_same(&back.body, &bytes, "the copy");
    dav.put(path, b"saved later").expect(&[204]);
    assert_ne!(
        modified(&dav, path),
        "Wed, 05 Feb 2020 12:34:56 GMT",
        "a new content has a new time"
    );
}

#[test]
fn times_can_be_set_on_a_folder() {
    let server = TestServer::start();
    let dav = server.admin();
    dav.mkcol("/dav/folder/").expect(&[201]);
    set_times(&dav, "/dav/folder/", None);
    assert_eq!(
        modified(&dav, "/dav/folder/"),
        "Wed, 05 Feb 2020 12:34:56 GMT"
    );
}

#[test]
fn the_time_stays_with_the_file_when_it_moves() {
    let server = TestServer::start();
    let dav = server.admin();
    dav.put("/dav/a", b"1").expect(&[201]);
    set_times(&dav, "/dav/a", None);
    dav.rename("/dav/a", "/dav/documents/b").expect(&[201]);
    assert_eq!(
        modified(&dav, "/dav/documents/b"),
        "Wed, 05 Feb 2020 12:34:56 GMT"
    );
}

#[test]
fn a_domain_before_the_name_is_ignored() {
    let server = TestServer::start();
    let bob = server.add_user("bob", "a long password 1", None);
    bob.put("/dav/a", b"1").expect(&[201]);
    for name in ["HOME\\bob", "WORKGROUP\\bob"] {
        let windows = server.anonymous().login(name, "a long password 1");
        assert_eq!(windows.get("/dav/a").expect(&[200]).body, b"1");
    }
}

#[test]
fn office_writes_properties_of_its_own_locked_file_with_the_token() {
    let server = TestServer::start();
    let dav = server.admin();
    dav.put("/dav/a.docx", b"1").expect(&[201]);
    let lock = dav.request(
        "LOCK",
        "/dav/a.docx",
        &[("Depth", "0")],
        xml::lock("exclusive").as_bytes(),
    );
    let token = lock
        .expect(&[200])
        .header("lock-token")
        .expect("a token")
        .to_owned();
    set_times(
        &dav,
        "/dav/a.docx",
        Some(&format!("<{}a.docx> ({token})", server.dav_url())),
    );
}
