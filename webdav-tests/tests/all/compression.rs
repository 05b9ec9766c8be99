//! Content codings: listings and text shrink for those who ask, nothing else is touched.

use std::io::Read;

use webdav_tests::content::{assert_same, noise, prose};
use webdav_tests::multistatus::multistatus;
use webdav_tests::{Response, TestServer, xml};

fn decoded(response: &Response) -> Vec<u8> {
    let mut plain = Vec::new();
    match response.header("content-encoding") {
        Some("gzip") => {
            flate2::read::MultiGzDecoder::new(&response.body[..])
                .read_to_end(&mut plain)
                .expect("gzip");
        }
        Some("zstd") => plain = zstd::decode_all(&response.body[..]).expect("zstd"),
        Some(other) => panic!("nobody asked for {other}"),
        None => plain.clone_from(&response.body),
    }
    plain
}

#[test]
fn listings_and_text_are_compressed_as_the_client_likes() {
    let server = TestServer::start();
    let dav = server.admin();
    let text = prose(300_000);
    dav.put("/dav/text.txt", &text).expect(&[201]);
    for n in 0..60 {
        dav.put(&format!("/dav/documents/file-{n}.txt"), b"x")
            .expect(&[201]);
    }
    for coding in ["gzip", "zstd"] {
        let download = dav
            .request("GET", "/dav/text.txt", &[("Accept-Encoding", coding)], b"")
            .expect(&[200]);
        assert_eq!(download.header("content-encoding"), Some(coding));
        assert!(
            download.body.len() < text.len() / 4,
            "{coding}: {} bytes",
            download.body.len()
        );
        assert_same(&decoded(&download), &text, coding);
        assert!(
            download
                .header("vary")
                .unwrap_or_default()
                .to_lowercase()
                .contains("accept-encoding")
        );

        let headers = [("Accept-Encoding", coding), ("Depth", "1")];
        let listing = dav
            .request(
                "PROPFIND",
                "/dav/documents/",
                &headers,
                xml::LIST.as_bytes(),
            )
            .expect(&[207]);
        assert_eq!(listing.header("content-encoding"), Some(coding));
        let parsed = multistatus(&decoded(&listing)).unwrap_or_else(|e| panic!("{coding}: {e}"));
        assert_eq!(parsed.entries.len(), 61);
    }
}

#[test]
fn the_preference_of_real_clients_is_understood() {
    let server = TestServer::start();
    let dav = server.admin();
    let text = prose(50_000);
    dav.put("/dav/text.txt", &text).expect(&[201]);
    let headers = [
        (None, &[None] as &[Option<&str>]),
        (Some("identity"), &[None]),
        (Some("gzip;q=0"), &[None]),
        (Some("br"), &[None]),
        (Some("gzip, deflate, x-gzip, x-deflate"), &[Some("gzip")]),
        (Some("gzip;q=0.5, zstd;q=1.0"), &[Some("zstd")]),
        (Some("*"), &[None, Some("gzip"), Some("zstd")]),
        (Some(";;q=,,,"), &[None]),
    ];
    for (accept, wanted) in headers {
        let headers: Vec<_> = accept
            .map(|value| ("Accept-Encoding", value))
            .into_iter()
            .collect();
        let download = dav
            .request("GET", "/dav/text.txt", &headers, b"")
            .expect(&[200]);
        assert!(
            wanted.contains(&download.header("content-encoding")),
            "{accept:?}: {:?}",
            download.headers
        );
        assert_same(&decoded(&download), &text, accept.unwrap_or("nothing"));
    }
}

#[test]
fn what_does_not_shrink_is_sent_as_it_is() {
    let server = TestServer::start();
    let dav = server.admin();
    let accept = [("Accept-Encoding", "gzip, zstd")];
    for name in ["photo.jpg", "film.mp4", "archive.zip"] {
        let bytes = noise(1, 100_000);
        dav.put(&format!("/dav/{name}"), &bytes).expect(&[201]);
        let download = dav
            .request("GET", &format!("/dav/{name}"), &accept, b"")
            .expect(&[200]);
        assert_eq!(download.header("content-encoding"), None, "{name}");
        assert_eq!(download.header("content-length"), Some("100000"), "{name}");
        assert_same(&download.body, &bytes, name);
    }
}

#[test]
fn the_etag_of_a_compressed_download_still_is_a_condition_for_saving() {
    let server = TestServer::start();
    let dav = server.admin();
    dav.put("/dav/text.txt", &prose(50_000)).expect(&[201]);
    let accept = [("Accept-Encoding", "gzip")];
    let etag = dav
        .request("GET", "/dav/text.txt", &accept, b"")
        .expect(&[200])
        .etag();

    let unchanged = [
        ("Accept-Encoding", "gzip"),
        ("If-None-Match", etag.as_str()),
    ];
    dav.request("GET", "/dav/text.txt", &unchanged, b"")
        .expect(&[304]);
    dav.request("PUT", "/dav/text.txt", &[("If-Match", &etag)], b"saved")
        .expect(&[204]);
}

#[test]
fn a_compressed_upload_is_stored_plain() {
    let server = TestServer::start();
    let dav = server.admin();
    let text = prose(200_000);
    let packed = zstd::encode_all(&text[..], 3).expect("zstd");
    dav.request(
        "PUT",
        "/dav/a.txt",
        &[("Content-Encoding", "zstd")],
        &packed,
    )
    .expect(&[201]);
    assert_same(&dav.get("/dav/a.txt").body, &text, "the stored file");

    dav.request(
        "PUT",
        "/dav/b.txt",
        &[("Content-Encoding", "gzip")],
        b"not gzip at all",
    )
    .expect(&[400]);
    dav.request(
        "PUT",
        "/dav/b.txt",
        &[("Content-Encoding", "zstd")],
        &packed[..packed.len() / 2],
    )
    .expect(&[400]);
    dav.request("PUT", "/dav/b.txt", &[("Content-Encoding", "rot13")], b"x")
        .expect(&[415]);
    dav.get("/dav/b.txt").expect(&[404]);
}
