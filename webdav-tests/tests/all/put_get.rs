//! PUT, GET, HEAD and MKCOL: what goes in comes out, or nothing went in (CT04, CT11).

use std::time::Duration;

use webdav_tests::content::{assert_same, noise};
use webdav_tests::http::Body;
use webdav_tests::raw::Raw;
use webdav_tests::{Dav, TestServer};

const PATIENCE: Duration = Duration::from_secs(30);

fn authorization(dav: &Dav) -> &str {
    dav.authorization().expect("the client is logged in")
}

#[test]
fn files_of_every_size_come_back_identical() {
    // Around the limits of inline objects, of chunks and of a read buffer.
    let server = TestServer::start();
    let dav = server.admin();
    let sizes = [
        0, 1, 8191, 8192, 8193, 16_384, 65_535, 65_536, 262_145, 1_048_577, 9_000_001,
    ];
    for (seed, size) in sizes.into_iter().enumerate() {
        let path = format!("/dav/{size}.bin");
        let bytes = noise(seed as u64, size);
        dav.put(&path, &bytes).expect(&[201]);
        let back = dav.get(&path).expect(&[200]);
        assert_same(&back.body, &bytes, &path);
        assert_eq!(
            back.header("content-length"),
            Some(size.to_string().as_str()),
            "{path}"
        );
        let head = dav.head_of(&path).expect(&[200]);
        assert_eq!(
            head.header("content-length"),
            Some(size.to_string().as_str()),
            "{path}"
        );
    }
}

#[test]
fn creating_is_201_and_overwriting_is_204_with_another_etag() {
    let server = TestServer::start();
    let dav = server.admin();

    let first = dav.put("/dav/a.txt", b"one").expect(&[201]);
    let second = dav.put("/dav/a.txt", b"two").expect(&[204]);

    assert_ne!(first.etag(), second.etag());
    assert_eq!(dav.get("/dav/a.txt").body, b"two");
}

#[test]
fn the_etag_is_strong_quoted_and_the_same_everywhere() {
    // Unquoted ETags make GNOME say "externally modified".
    let server = TestServer::start();
    let dav = server.admin();

    let put = dav.put("/dav/a.txt", b"one").expect(&[201]).etag();
    let get = dav.get("/dav/a.txt").etag();
    let head = dav.head_of("/dav/a.txt").etag();
    let listing = dav.propfind("/dav/a.txt", "0", webdav_tests::xml::LIST);

    assert!(
        put.starts_with('"') && put.ends_with('"') && put.len() > 2,
        "{put}"
    );
    assert_eq!(put, get);
    assert_eq!(put, head);
    assert_eq!(put, listing.only().dav("getetag"));
}

#[test]
fn downloads_say_type_date_and_that_ranges_work() {
    let server = TestServer::start();
    let dav = server.admin();
    dav.put("/dav/a.txt", b"one").expect(&[201]);

    let get = dav.get("/dav/a.txt").expect(&[200]);

    assert!(
        get.header("content-type")
            .is_some_and(|t| t.starts_with("text/plain")),
        "{get}"
    );
    assert_eq!(get.header("accept-ranges"), Some("bytes"));
    let date = get.header("last-modified").expect("Last-Modified");
    assert!(
        date.len() == 29 && date.ends_with(" GMT"),
        "not an IMF-fixdate: {date}"
    );
}

#[test]
fn a_put_without_body_and_length_makes_an_empty_file() {
    // GNOME creates empty files so.
    let server = TestServer::start();
    let dav = server.admin();

    dav.send("PUT", "/dav/empty", &[], Body::None)
        .expect(&[201]);

    let back = dav.get("/dav/empty").expect(&[200]);
    assert!(back.body.is_empty());
    assert_eq!(back.header("content-length"), Some("0"));
}

#[test]
fn a_chunked_put_is_taken_without_a_length() {
    let server = TestServer::start();
    let dav = server.admin();
    let bytes = noise(1, 300_000);

    dav.send("PUT", "/dav/a.bin", &[], Body::Chunked(&bytes))
        .expect(&[201]);

    assert_same(&dav.get("/dav/a.bin").body, &bytes, "a chunked upload");
}

#[test]
fn headers_that_mean_nothing_on_put_are_ignored() {
    // GNOME sends Overwrite, Office sends translate.
    let server = TestServer::start();
    let dav = server.admin();
    let headers = [
        ("Overwrite", "T"),
        ("translate", "f"),
        ("Apply-To-Redirect-Ref", "T"),
    ];

    dav.request("PUT", "/dav/a.txt", &headers, b"x")
        .expect(&[201]);

    assert_eq!(dav.get("/dav/a.txt").body, b"x");
}

#[test]
fn the_server_asks_for_the_body_when_the_client_waits_for_it() {
    let server = TestServer::start();
    let dav = server.admin();
    dav.get("/dav/").expect(&[200, 302, 405]);
    let mut raw = Raw::connect(&server.address());
    raw.send(format!(
        "PUT /dav/a.txt HTTP/1.1\r\nHost: x\r\nAuthorization: {}\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n",
        authorization(&dav)
    ));

    // The 100 itself is skipped by the reader; a server that never sends it would still answer, so the
    // bytes follow at once and only the result counts. litmus `expect100` proves the order.
    raw.send("hello");

    assert_eq!(raw.answer(PATIENCE).expect("an answer").status, 201);
    assert_eq!(dav.get("/dav/a.txt").body, b"hello");
}

#[test]
fn what_is_not_there_is_404() {
    let server = TestServer::start();
    let dav = server.admin();
    for method in ["GET", "HEAD", "DELETE", "PROPFIND"] {
        dav.request(method, "/dav/missing", &[("Depth", "infinity")], b"")
            .expect(&[404, 403]);
    }
    dav.get("/dav/missing").expect(&[404]);
    dav.delete("/dav/missing").expect(&[404]);
    dav.request("PROPFIND", "/dav/missing", &[("Depth", "0")], b"")
        .expect(&[404]);
}

#[test]
fn a_file_needs_its_folder_and_a_folder_is_no_file() {
    let server = TestServer::start();
    let dav = server.admin();
    dav.put("/dav/no/such/folder.txt", b"x").expect(&[409]);
    dav.put("/dav/documents", b"x").expect(&[405, 409]);
    dav.put("/dav/file", b"x").expect(&[201]);
    dav.put("/dav/file/below", b"x").expect(&[409]);

    assert!(
        dav.propfind("/dav/documents/", "0", webdav_tests::xml::LIST)
            .only()
            .is_collection()
    );
}

#[test]
fn mkcol_says_why_it_cannot() {
    // rclone takes 405 as "exists already", GNOME takes 409 as "make the parent first".
    let server = TestServer::start();
    let dav = server.admin();
    dav.mkcol("/dav/new/").expect(&[201]);
    dav.mkcol("/dav/new").expect(&[405]);
    dav.mkcol("/dav/no/parent").expect(&[409]);
    dav.request(
        "MKCOL",
        "/dav/body",
        &[("Content-Type", "text/plain")],
        b"what?",
    )
    .expect(&[415]);
    dav.request("MKCOL", "/dav/length/", &[("Content-Length", "0")], b"")
        .expect(&[201]);
    assert_eq!(dav.names("/dav/new/"), Vec::<String>::new());
}

#[test]
fn head_answers_for_collections() {
    let server = TestServer::start();
    let dav = server.admin();
    dav.head_of("/dav/documents/").expect(&[200]);
}

#[test]
fn a_broken_upload_leaves_no_trace() {
    let server = TestServer::start();
    let dav = server.admin();
    dav.put("/dav/old.txt", b"the old content").expect(&[201]);
    let cases = [
        ("Content-Length: 1000", "only this"),
        ("Transfer-Encoding: chunked", "9\r\nonly this\r\n"),
        (
            "Transfer-Encoding: chunked",
            "9\r\nonly this\r\nnonsense\r\n",
        ),
        ("Transfer-Encoding: chunked", "ffff\r\nonly this"),
    ];
    for (framing, bytes) in cases {
        for path in ["/dav/new.txt", "/dav/old.txt"] {
            let mut raw = Raw::connect(&server.address());
            raw.send(format!(
                "PUT {path} HTTP/1.1\r\nHost: x\r\nAuthorization: {}\r\n{framing}\r\n\r\n{bytes}",
                authorization(&dav)
            ));
            raw.finish_sending();
            if let Some(answer) = raw.answer(PATIENCE) {
                assert!(answer.status >= 400, "{framing}: {answer}");
            }
        }
        dav.get("/dav/new.txt").expect(&[404]);
        assert_eq!(
            dav.get("/dav/old.txt").body,
            b"the old content",
            "{framing}"
        );
    }
    assert!(!dav.names("/dav/").contains(&"new.txt".to_owned()));
}

#[test]
fn partial_updates_change_only_their_range() {
    let server = TestServer::start();
    let dav = server.admin();
    let mut bytes = noise(1, 300_000);
    dav.put("/dav/a.bin", &bytes).expect(&[201]);

    let sabre = [
        ("Content-Type", "application/x-sabredav-partialupdate"),
        ("X-Update-Range", "bytes=100-104"),
    ];
    dav.request("PATCH", "/dav/a.bin", &sabre, b"HELLO")
        .expect(&[200, 204]);
    bytes[100..105].copy_from_slice(b"HELLO");
    assert_same(&dav.get("/dav/a.bin").body, &bytes, "after PATCH");

    let append = [
        ("Content-Type", "application/x-sabredav-partialupdate"),
        ("X-Update-Range", "append"),
    ];
    dav.request("PATCH", "/dav/a.bin", &append, b"the end")
        .expect(&[200, 204]);
    bytes.extend_from_slice(b"the end");
    assert_same(&dav.get("/dav/a.bin").body, &bytes, "after an append");

    let apache = [("Content-Range", "bytes 200000-200002/300007")];
    dav.request("PUT", "/dav/a.bin", &apache, b"abc")
        .expect(&[200, 204]);
    bytes[200_000..200_003].copy_from_slice(b"abc");
    assert_same(&dav.get("/dav/a.bin").body, &bytes, "after a partial PUT");
}

#[test]
fn writers_of_one_name_leave_one_whole_file() {
    let server = TestServer::start();
    let dav = server.admin();
    dav.put("/dav/a.bin", &noise(0, 200_000)).expect(&[201]);
    std::thread::scope(|scope| {
        for seed in 1..5 {
            let dav = dav.again();
            scope.spawn(move || {
                for _ in 0..10 {
                    dav.put("/dav/a.bin", &noise(seed, 200_000))
                        .expect(&[201, 204]);
                }
            });
        }
        let reader = dav.again();
        let whole: Vec<Vec<u8>> = (0..5).map(|seed| noise(seed, 200_000)).collect();
        scope.spawn(move || {
            for _ in 0..40 {
                let got = reader.get("/dav/a.bin").expect(&[200]).body;
                assert!(
                    whole.contains(&got),
                    "a reader saw a mixture ({} bytes)",
                    got.len()
                );
            }
        });
    });
}

#[test]
fn a_reader_keeps_the_version_it_began_with() {
    let server = TestServer::start();
    let dav = server.admin();
    let old = noise(1, 30_000_000);
    dav.put("/dav/a.bin", &old).expect(&[201]);

    // Given a download that has begun and of which most is still to come
    let mut overwrite = OverwriteOnce {
        dav: dav.again(),
        done: false,
        got: Vec::new(),
    };
    // When the file is replaced and deleted meanwhile
    dav.download("/dav/a.bin", &mut overwrite).expect(&[200]);
    // Then the download still is the old content
    assert!(overwrite.done);
    assert_same(&overwrite.got, &old, "the download");
    dav.get("/dav/a.bin").expect(&[404]);
}

struct OverwriteOnce {
    dav: Dav,
    done: bool,
    got: Vec<u8>,
}

impl std::io::Write for OverwriteOnce {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if !self.done {
            self.done = true;
            self.dav.put("/dav/a.bin", b"new").expect(&[204]);
            self.dav.delete("/dav/a.bin").expect(&[204]);
        }
        self.got.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
