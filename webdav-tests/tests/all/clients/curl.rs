//! curl: the client of scripts.

use std::path::Path;
use std::process::Command;

use webdav_tests::content::{assert_same, noise};
use webdav_tests::multistatus::multistatus;
use webdav_tests::process::{run, tool};
use webdav_tests::{TestServer, xml};

use super::{ADMIN_PASSWORD, Home, Reads, Writes, assert_shows};

pub(super) struct Curl;

fn curl() -> Command {
    let mut command = tool("curl");
    command.args([
        "--silent",
        "--show-error",
        "--fail",
        "--user",
        &format!("admin:{ADMIN_PASSWORD}"),
    ]);
    command
}

impl Reads for Curl {
    fn name(&self) -> &'static str {
        "curl"
    }

    fn fetch(&self, home: &Home, folder: &str, names: &[&str], into: &Path) {
        let list = [
            "--request",
            "PROPFIND",
            "--header",
            "Depth: 1",
            "--data",
            xml::LIST,
        ];
        let listing = run(
            curl().args(list).arg(home.url_of(&format!("{folder}/"))),
            b"",
        );
        let listing =
            multistatus(&listing.expect_success("curl PROPFIND").stdout).expect("a listing");
        let shown: Vec<String> = listing
            .entries
            .iter()
            .map(webdav_tests::multistatus::Entry::name)
            .collect();
        assert_shows(&shown.join("\n"), names, self.name());
        for name in names {
            let url = home.url_of(&format!("{folder}/{name}"));
            run(curl().arg("--output").arg(into.join(name)).arg(url), b"")
                .expect_success("curl GET");
            // curl makes no file for an empty answer.
            if !into.join(name).exists() {
                std::fs::write(into.join(name), b"").expect("our own directory");
            }
        }
    }
}

impl Writes for Curl {
    fn store(&self, home: &Home, folder: &str, names: &[&str], from: &Path) {
        for name in names {
            let url = home.url_of(&format!("{folder}/{name}"));
            run(
                curl().arg("--upload-file").arg(from.join(name)).arg(url),
                b"",
            )
            .expect_success("curl PUT");
        }
    }
}

#[test]
fn curl_resumes_a_download_where_it_stopped() {
    let server = TestServer::start();
    let home = Home::new(&server);
    let bytes = noise(1, 3_000_000);
    server.admin().put("/dav/a.bin", &bytes).expect(&[201]);
    let half = home.path("a.bin");
    std::fs::write(&half, &bytes[..1_234_567]).expect("our own directory");

    let resume = run(
        curl()
            .args(["--continue-at", "-", "--output"])
            .arg(&half)
            .arg(home.url_of("a.bin")),
        b"",
    );

    resume.expect_success("curl --continue-at");
    assert_same(
        &std::fs::read(&half).expect("the download"),
        &bytes,
        "the resumed download",
    );
}

#[test]
fn curl_uploads_from_a_pipe_and_asks_before_large_bodies() {
    let server = TestServer::start();
    let home = Home::new(&server);
    let bytes = noise(2, 3_000_000);

    // Chunked, as the length is not known; curl sends Expect: 100-continue with it.
    run(
        curl()
            .args(["--upload-file", "-"])
            .arg(home.url_of("piped.bin")),
        &bytes,
    )
    .expect_success("curl -T -");

    assert_same(
        &server.admin().get("/dav/piped.bin").body,
        &bytes,
        "the upload",
    );
}

#[test]
fn curl_finds_out_by_itself_how_to_log_in() {
    let server = TestServer::start();
    let home = Home::new(&server);
    server.admin().put("/dav/a", b"content").expect(&[201]);
    let any =
        run(curl().args(["--anyauth", &home.url_of("a")]), b"").expect_success("curl --anyauth");
    assert_eq!(any.stdout, b"content");
    let compressed = run(curl().args(["--compressed", &home.url_of("a")]), b"");
    assert_eq!(
        compressed.expect_success("curl --compressed").stdout,
        b"content"
    );
}
