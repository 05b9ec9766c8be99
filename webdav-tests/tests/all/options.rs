//! OPTIONS: what clients look at before they believe that this is a `WebDAV` server (CT01).

use webdav_tests::{Response, TestServer};

#[track_caller]
fn allows(response: &Response, methods: &[&str]) {
    let allow = response.header("allow").unwrap_or_default().to_owned();
    for method in methods {
        assert!(
            allow.split(',').any(|m| m.trim() == *method),
            "{method} is not in Allow: {allow}"
        );
    }
}

#[test]
fn every_path_says_class_1_2_3_and_what_is_allowed() {
    let server = TestServer::start();
    let dav = server.admin();
    dav.put("/dav/file.txt", b"x").expect(&[201]);

    for path in [
        "/dav/",
        "/dav/documents/",
        "/dav/file.txt",
        "/dav/missing.txt",
    ] {
        let response = dav.request("OPTIONS", path, &[], b"").expect(&[200, 204]);
        let classes = response.header("dav").unwrap_or_default().to_owned();
        for class in ["1", "2", "3"] {
            assert!(
                classes.split(',').any(|c| c.trim() == class),
                "{path}: DAV: {classes}"
            );
        }
        // Office opens files read-only without it.
        assert_eq!(response.header("ms-author-via"), Some("DAV"), "{path}");
        allows(&response, &["OPTIONS", "LOCK"]);
        assert!(response.body.is_empty(), "{path} has a body");
        if response.status == 200 {
            assert_eq!(response.header("content-length"), Some("0"), "{path}");
        }
    }
}

#[test]
fn files_and_collections_allow_what_they_can_do() {
    let server = TestServer::start();
    let dav = server.admin();
    dav.put("/dav/file.txt", b"x").expect(&[201]);

    let of_file = dav.request("OPTIONS", "/dav/file.txt", &[], b"");
    allows(
        &of_file,
        &[
            "GET",
            "HEAD",
            "PUT",
            "DELETE",
            "COPY",
            "MOVE",
            "PROPFIND",
            "PROPPATCH",
        ],
    );
    allows(&of_file, &["LOCK", "UNLOCK"]);
    let of_folder = dav.request("OPTIONS", "/dav/documents/", &[], b"");
    allows(
        &of_folder,
        &[
            "GET",
            "HEAD",
            "DELETE",
            "COPY",
            "MOVE",
            "PROPFIND",
            "PROPPATCH",
        ],
    );
    allows(&of_folder, &["LOCK", "UNLOCK", "REPORT"]);
}

#[test]
fn the_root_of_the_host_answers_politely() {
    // The Windows redirector and GNOME look at every parent of the folder they mount.
    let server = TestServer::start();
    let dav = server.admin();

    let options = dav.request("OPTIONS", "/", &[], b"").expect(&[200, 204]);
    assert!(options.body.is_empty());
    let listing = dav.request("PROPFIND", "/", &[("Depth", "0")], b"");
    assert!(
        !matches!(listing.status, 404 | 405 | 500..),
        "PROPFIND on /: {listing}"
    );
}
