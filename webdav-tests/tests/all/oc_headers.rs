//! The headers of the ownCloud family, which rclone and GNOME send as well (CT19, CT20).

use webdav_tests::content::{assert_same, noise, sha1_hex};
use webdav_tests::http::Body;
use webdav_tests::multistatus::OC;
use webdav_tests::{Dav, TestServer, xml};

/// 2020-02-05 12:34:56 UTC.
const MTIME: &str = "1580906096";
const AS_DATE: &str = "Wed, 05 Feb 2020 12:34:56 GMT";

#[track_caller]
fn modified(dav: &Dav, path: &str) -> String {
    dav.propfind(path, "0", xml::LIST)
        .only()
        .dav("getlastmodified")
        .to_owned()
}

#[test]
fn the_time_of_the_file_comes_with_the_upload() {
    let server = TestServer::start();
    let dav = server.admin();
    for (n, (name, value)) in [
        ("X-OC-Mtime", MTIME),
        ("x-oc-mtime", MTIME),
        ("X-OC-MTime", "1580906096.75"),
    ]
    .into_iter()
    .enumerate()
    {
        let path = format!("/dav/{n}");
        let put = dav
            .request("PUT", &path, &[(name, value)], b"x")
            .expect(&[201]);
        // Without this answer rclone sets the time again, or copies everything anew next time.
        assert_eq!(put.header("x-oc-mtime"), Some("accepted"));
        assert_eq!(modified(&dav, &path), AS_DATE, "{name}: {value}");
        assert_eq!(dav.get(&path).header("last-modified"), Some(AS_DATE));
    }
}

#[test]
fn the_time_comes_with_mkcol_and_move_too() {
    let server = TestServer::start();
    let dav = server.admin();
    let mkcol = dav
        .request("MKCOL", "/dav/d/", &[("X-OC-Mtime", MTIME)], b"")
        .expect(&[201]);
    assert_eq!(mkcol.header("x-oc-mtime"), Some("accepted"));
    assert_eq!(modified(&dav, "/dav/d/"), AS_DATE);
    dav.put("/dav/a", b"x").expect(&[201]);
    let headers = [
        ("Destination", "/dav/b"),
        ("Overwrite", "F"),
        ("X-OC-Mtime", MTIME),
    ];
    let moved = dav.request("MOVE", "/dav/a", &headers, b"").expect(&[201]);
    assert_eq!(moved.header("x-oc-mtime"), Some("accepted"));
    assert_eq!(modified(&dav, "/dav/b"), AS_DATE);
}

#[test]
fn a_time_that_is_none_is_refused_or_not_acknowledged() {
    let server = TestServer::start();
    let dav = server.admin();
    for value in [
        "yesterday",
        "",
        "-99999999999999999999",
        "99999999999999999999999",
        "1e400",
        "NaN",
    ] {
        let put = dav.request("PUT", "/dav/a", &[("X-OC-Mtime", value)], b"x");
        assert!(
            put.status == 400 || put.header("x-oc-mtime").is_none(),
            "{value:?}: {put}"
        );
    }
}

#[test]
fn a_checksum_that_fits_is_accepted_in_any_spelling() {
    let server = TestServer::start();
    let dav = server.admin();
    let bytes = noise(1, 300_000);
    let sha1 = sha1_hex(&bytes);
    for checksum in [
        format!("SHA1:{sha1}"),
        format!("sha1:{}", sha1.to_uppercase()),
    ] {
        dav.request("PUT", "/dav/a", &[("OC-Checksum", &checksum)], &bytes)
            .expect(&[201, 204]);
        dav.send(
            "PUT",
            "/dav/a",
            &[("OC-Checksum", &checksum)],
            Body::Chunked(&bytes),
        )
        .expect(&[204]);
    }
    assert_same(&dav.get("/dav/a").body, &bytes, "the upload");
    // MD5 of "abc".
    let md5 = [("OC-Checksum", "MD5:900150983cd24fb0d6963f7d28e17f72")];
    dav.request("PUT", "/dav/b", &md5, b"abc").expect(&[201]);
}

#[test]
fn a_wrong_checksum_is_refused_and_the_old_file_stays() {
    let server = TestServer::start();
    let dav = server.admin();
    dav.put("/dav/old", b"the old content").expect(&[201]);
    let etag = dav.head_of("/dav/old").etag();
    let wrong = format!("SHA1:{}", sha1_hex(b"something else"));
    for path in ["/dav/old", "/dav/new"] {
        dav.request(
            "PUT",
            path,
            &[("OC-Checksum", &wrong)],
            b"damaged on the way",
        )
        .expect(&[400]);
    }
    dav.get("/dav/new").expect(&[404]);
    assert_eq!(dav.head_of("/dav/old").etag(), etag);
    assert_eq!(dav.get("/dav/old").body, b"the old content");
}

#[test]
fn a_checksum_nobody_can_read_is_no_success_by_accident() {
    let server = TestServer::start();
    let dav = server.admin();
    for checksum in ["SHA1:", "SHA1:zz", "SHA1:abcd", "MD5:abc", "MD5:"] {
        let status = dav
            .request("PUT", "/dav/a", &[("OC-Checksum", checksum)], b"x")
            .status;
        assert_eq!(status, 400, "{checksum:?}");
    }
    dav.get("/dav/a").expect(&[404]);
}

#[test]
fn rclone_finds_the_checksum_among_the_properties() {
    let server = TestServer::start();
    let dav = server.admin();
    let sha1 = sha1_hex(b"content");
    let headers = [("OC-Checksum", &*format!("SHA1:{sha1}"))];
    dav.request("PUT", "/dav/a", &headers, b"content")
        .expect(&[201]);

    let listing = dav.propfind("/dav/a", "0", &xml::propfind("<oc:checksums/>"));

    let found = listing
        .only()
        .get(OC, "checksums")
        .expect("oc:checksums")
        .to_lowercase();
    assert!(found.contains(&format!("sha1:{sha1}")), "{found}");
    dav.put("/dav/a", b"other").expect(&[204]);
    let listing = dav.propfind("/dav/a", "0", &xml::propfind("<oc:checksums/>"));
    let later = listing
        .only()
        .get(OC, "checksums")
        .unwrap_or_default()
        .to_lowercase();
    assert!(
        !later.contains(&sha1),
        "the checksum of an old version: {later}"
    );
}
