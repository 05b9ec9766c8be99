//! Times of files: kept to the millisecond, and the same for WebDAV.

use serde_json::json;
use webdav_tests::api::number;
use webdav_tests::{Api, TestServer, xml};

use super::fetch;

/// 2020-02-05 12:34:56.789 UTC.
const MTIME: i64 = 1_580_906_096_789;
const AS_DATE: &str = "Wed, 05 Feb 2020 12:34:56 GMT";
#[test]
fn the_times_of_a_file_are_kept_and_seen_by_webdav() {
    let server = TestServer::start();
    let api = Api::admin(&server);
    let dav = server.admin();
    let (mtime, created) = (MTIME.to_string(), (MTIME - 86_400_000).to_string());
    let at = [("path", "/a"), ("mtime", &*mtime), ("created", &*created)];
    let written = api.upload_with(&at, b"x").json(201);
    assert_eq!(written["node"]["mtime"], MTIME);
    assert_eq!(written["node"]["created"], MTIME - 86_400_000);

    let properties = xml::propfind("<D:getlastmodified/><D:creationdate/>");
    let listing = dav.propfind("/dav/a", "0", &properties);
    assert_eq!(listing.only().dav("getlastmodified"), AS_DATE);
    assert!(
        listing
            .only()
            .dav("creationdate")
            .starts_with("2020-02-04T12:34:56")
    );
    assert_eq!(dav.get("/dav/a").header("last-modified"), Some(AS_DATE));

    // Without one it is now; the day of creation stays
    let before = number(&api.status(), "time");
    let node = api.upload("/a", b"y");
    let after = number(&api.status(), "time");
    assert!((before..=after).contains(&number(&node, "mtime")), "{node}");
    assert_eq!(node["created"], MTIME - 86_400_000);
}

#[test]
fn the_times_that_webdav_sets_are_seen_here() {
    let server = TestServer::start();
    let api = Api::admin(&server);
    let dav = server.admin();
    dav.request("PUT", "/dav/a", &[("X-OC-Mtime", "1580906096")], b"x")
        .expect(&[201]);
    assert_eq!(api.info("/a")["mtime"], MTIME / 1000 * 1000);
    let moved = xml::set(
        "<Z:Win32LastModifiedTime>Wed, 05 Feb 2020 12:34:57 GMT</Z:Win32LastModifiedTime>",
    );
    dav.request("PROPPATCH", "/dav/a", &[], moved.as_bytes())
        .expect(&[207]);
    assert_eq!(api.info("/a")["mtime"], MTIME / 1000 * 1000 + 1000);
    let listing = api.all("files/list");
    let file = listing.iter().find(|node| node["name"] == "a");
    assert_eq!(
        file.map(|node| &node["mtime"]),
        Some(&json!(MTIME / 1000 * 1000 + 1000))
    );
}

#[test]
fn times_are_kept_from_1601_to_9999_and_refused_beyond() {
    let server = TestServer::start();
    let api = Api::admin(&server);
    for time in [-11_644_473_600_000_i64, -1, 0, 253_402_300_799_000] {
        let text = time.to_string();
        let at = [("path", "/a"), ("mtime", &*text), ("created", &*text)];
        let written = api.upload_with(&at, text.as_bytes());
        let node = &written.json(written.status)["node"];
        assert_eq!(
            (&node["mtime"], &node["created"]),
            (&json!(time), &json!(time))
        );
        fetch(&api, &[("path", "/a")]).expect(&[200]);
        server.admin().propfind("/dav/a", "0", xml::ALLPROP);
    }
    let before = api.cursor();
    for time in [
        -11_644_473_600_001_i64,
        253_402_300_799_001,
        i64::MIN,
        i64::MAX,
    ] {
        for field in ["mtime", "created"] {
            let refused = api.upload_with(&[("path", "/a"), (field, &time.to_string())], b"x");
            refused.problem_at("invalid", 422, field);
        }
    }
    assert_eq!(api.cursor(), before);
}
