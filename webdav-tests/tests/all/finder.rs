//! macOS Finder: chunked uploads with the size in a header of their own, and a lot of noise (CT03, CT18).

use webdav_tests::content::{assert_same, noise};
use webdav_tests::http::{Body, Headers};
use webdav_tests::{Dav, Response, Setup, TestServer, xml};

fn upload(dav: &Dav, path: &str, announced: &str, body: &[u8], more: Headers<'_>) -> Response {
    let mut headers = vec![
        (
            "User-Agent",
            "WebDAVFS/3.0.0 (03008000) Darwin/23.0.0 (arm64)",
        ),
        ("X-Expected-Entity-Length", announced),
    ];
    headers.extend(more);
    dav.send("PUT", path, &headers, Body::Chunked(body))
}

#[test]
fn finder_copies_a_file_in_its_own_order() {
    let server = TestServer::start();
    let dav = server.admin();
    let bytes = noise(1, 500_000);
    let path = "/dav/documents/photo.jpg";

    dav.request("PROPFIND", path, &[("Depth", "0")], xml::LIST.as_bytes())
        .expect(&[404]);
    dav.put(path, b"").expect(&[201]);
    let lock = dav.request(
        "LOCK",
        path,
        &[("Timeout", "Second-600")],
        xml::lock("exclusive").as_bytes(),
    );
    let token = lock
        .expect(&[200])
        .header("lock-token")
        .expect("a token")
        .to_owned();
    let condition = format!("({token})");
    upload(&dav, path, "500000", &bytes, &[("If", &condition)]).expect(&[204]);
    dav.request("UNLOCK", path, &[("Lock-Token", &token)], b"")
        .expect(&[204]);

    let mut back = Vec::new();
    for from in (0..bytes.len()).step_by(32_768) {
        let to = (from + 32_767).min(bytes.len() - 1);
        let range = format!("bytes={from}-{to}");
        back.extend(
            dav.request("GET", path, &[("Range", &range)], b"")
                .expect(&[206])
                .body,
        );
    }
    assert_same(&back, &bytes, "what Finder reads");
}

#[test]
fn an_upload_of_the_wrong_length_is_refused_and_leaves_no_trace() {
    // CT03: Finder's connection broke or its file changed; a torso must not become the file.
    let server = TestServer::start();
    let dav = server.admin();
    dav.put("/dav/old", b"the old content").expect(&[201]);
    for announced in ["1000", "3", "0", "99999999999", "-1", "many"] {
        for path in ["/dav/old", "/dav/new"] {
            upload(&dav, path, announced, b"hello", &[]).expect(&[400]);
        }
        dav.get("/dav/new").expect(&[404]);
        assert_eq!(
            dav.get("/dav/old").body,
            b"the old content",
            "announced {announced}"
        );
    }
    // One more byte than announced, in a piece of its own.
    let long = noise(2, 80_001);
    upload(&dav, "/dav/new", "80000", &long, &[]).expect(&[400]);
    dav.get("/dav/new").expect(&[404]);
    upload(&dav, "/dav/new", "80001", &long, &[]).expect(&[201]);
}

#[test]
fn the_files_finder_makes_beside_others_are_kept_by_default() {
    // Refusing ._ files would fail the whole copy.
    let server = TestServer::start();
    let dav = server.admin();
    for name in ["._photo.jpg", ".DS_Store"] {
        let path = format!("/dav/documents/{name}");
        upload(&dav, &path, "5", b"noise", &[]).expect(&[201]);
        assert_eq!(dav.get(&path).expect(&[200]).body, b"noise");
    }
    assert_eq!(dav.names("/dav/documents/"), [".DS_Store", "._photo.jpg"]);
}

#[test]
fn hidden_noise_is_kept_but_not_listed() {
    let server = Setup::default()
        .env("SYNC_WEBDAV__APPLE_FILES", "hide")
        .start();
    let dav = server.admin();
    dav.put("/dav/documents/._a", b"noise").expect(&[201]);
    dav.put("/dav/documents/a", b"data").expect(&[201]);
    assert_eq!(dav.names("/dav/documents/"), ["a"]);
    assert_eq!(dav.get("/dav/documents/._a").expect(&[200]).body, b"noise");
}

#[test]
fn swallowed_noise_is_accepted_and_gone() {
    let server = Setup::default()
        .env("SYNC_WEBDAV__APPLE_FILES", "swallow")
        .start();
    let dav = server.admin();
    upload(&dav, "/dav/documents/._a", "5", b"noise", &[]).expect(&[201]);
    dav.put("/dav/documents/.DS_Store", b"noise")
        .expect(&[201, 204]);
    dav.put("/dav/documents/a", b"data").expect(&[201]);
    assert_eq!(dav.names("/dav/documents/"), ["a"]);
}

#[test]
fn what_finder_looks_for_and_is_not_there_is_a_quick_404() {
    let server = TestServer::start();
    let dav = server.admin();
    let body = xml::propfind("<D:getlastmodified/><D:getcontentlength/><D:resourcetype/>");
    for name in [
        "._.",
        ".Spotlight-V100",
        ".hidden",
        "Contents",
        "mach_kernel",
        "Backups.backupdb",
        ".metadata_never_index",
    ] {
        let path = format!("/dav/{name}");
        dav.request("PROPFIND", &path, &[("Depth", "0")], body.as_bytes())
            .expect(&[404]);
    }
}

#[test]
fn the_old_names_of_quota_do_not_disturb() {
    let server = TestServer::start();
    let dav = server.admin();
    let body = xml::propfind(
        "<D:quota-available-bytes/><D:quota-used-bytes/><D:quota/><D:quotaused/><T:appledoubleheader/>",
    );
    let listing = dav.propfind("/dav/", "0", &body);
    assert_eq!(listing.only().dav("quota-used-bytes"), "0");
    assert_eq!(listing.only().status_of("DAV:", "quota"), Some(404));
}
