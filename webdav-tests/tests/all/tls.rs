//! TLS by the server itself: handshake, HTTP/2, HSTS, and new certificates without a restart.

use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use webdav_tests::content::{assert_same, noise};
use webdav_tests::http::Body;
use webdav_tests::process::{Said, run, tool};
use webdav_tests::raw::Raw;
use webdav_tests::server::ADMIN_PASSWORD;
use webdav_tests::tls::Certificate;
use webdav_tests::{Setup, TestServer};

fn curl(server: &TestServer, arguments: &[&str]) -> Said {
    let mut command: Command = tool("curl");
    command
        .args(["--silent", "--show-error", "--cacert"])
        .arg(server.dir().join("tls.crt"));
    command
        .args(["--user", &format!("admin:{ADMIN_PASSWORD}")])
        .args(arguments);
    run(&mut command, b"")
}

#[test]
fn files_go_through_tls_unchanged_and_hsts_is_sent() {
    let certificate = Certificate::generate();
    let server = Setup::default().tls(&certificate).start();
    assert!(server.url().starts_with("https://"), "{}", server.url());
    let dav = server.admin().over_tls(certificate.client());
    let bytes = noise(1, 3_000_000);

    dav.put("/dav/a", &bytes).expect(&[201]);
    let back = dav.get("/dav/a").expect(&[200]);

    assert_same(&back.body, &bytes, "the download");
    let hsts = back
        .header("strict-transport-security")
        .expect("HSTS under TLS");
    assert!(hsts.starts_with("max-age="), "{hsts}");
}

#[test]
fn without_tls_there_is_no_hsts() {
    let server = TestServer::start();
    assert_eq!(
        server
            .admin()
            .get("/dav/documents/")
            .header("strict-transport-security"),
        None
    );
}

#[test]
fn clients_may_speak_http_2() {
    let certificate = Certificate::generate();
    let server = Setup::default().tls(&certificate).start();
    let url = format!("{}a.bin", server.dav_url());
    let file = server.dir().join("upload");
    let bytes = noise(2, 2_000_000);
    std::fs::write(&file, &bytes).expect("a file");

    let version = [
        "--http2",
        "--output",
        "/dev/null",
        "--write-out",
        "%{http_version} %{http_code}",
    ];
    let put = curl(
        &server,
        &[
            &version[..],
            &["--upload-file", file.to_str().expect("UTF-8"), &url],
        ]
        .concat(),
    );
    assert_eq!(put.expect_success("curl PUT").text(), "2 201");
    let get = curl(&server, &["--http2", &url]).expect_success("curl GET");
    assert_same(&get.stdout, &bytes, "the download through HTTP/2");
    let listing = curl(
        &server,
        &[
            "--http2",
            "--request",
            "PROPFIND",
            "--header",
            "Depth: 1",
            &server.dav_url(),
        ],
    );
    assert!(
        listing
            .expect_success("curl PROPFIND")
            .text()
            .contains("/dav/a.bin")
    );
}

#[test]
fn old_versions_of_tls_are_refused() {
    let certificate = Certificate::generate();
    let server = Setup::default().tls(&certificate).start();
    let url = server.dav_url();
    for version in ["1.2", "1.3"] {
        let current = curl(
            &server,
            &[&format!("--tlsv{version}"), "--tls-max", version, &url],
        );
        current.expect_success(version);
    }
    // SECLEVEL 0 lets the client's own library try what it would refuse by itself.
    let old = curl(
        &server,
        &[
            "--tlsv1.0",
            "--tls-max",
            "1.1",
            "--ciphers",
            "ALL:@SECLEVEL=0",
            &url,
        ],
    );
    assert_ne!(old.code, 0, "TLS 1.1 was accepted");
}

#[test]
fn a_new_certificate_is_used_without_a_restart() {
    let (old, new) = (Certificate::generate(), Certificate::generate());
    let mut server = Setup::default().tls(&old).start();
    let before = server.admin().over_tls(old.client());
    before.put("/dav/a", b"1").expect(&[201]);

    new.write_to(server.dir());

    let until = Instant::now() + Duration::from_mins(2);
    let trusting = || server.admin().over_tls(new.client());
    while trusting()
        .try_send("GET", "/dav/a", &[], Body::None, None)
        .is_err()
    {
        assert!(Instant::now() < until, "still the old certificate");
        thread::sleep(Duration::from_millis(250));
    }
    // A connection that was open stays.
    assert_eq!(before.get("/dav/a").expect(&[200]).body, b"1");
    assert!(server.is_alive());
}

#[test]
fn a_broken_certificate_does_not_replace_a_good_one() {
    let good = Certificate::generate();
    let mut server = Setup::default().tls(&good).start();
    let mut broken = good.clone();
    "nonsense".clone_into(&mut broken.certificate);
    broken.write_to(server.dir());
    for _ in 0..20 {
        let dav = server.admin().over_tls(good.client());
        dav.get("/dav/documents/").expect(&[200, 302, 405]);
        thread::sleep(Duration::from_millis(100));
    }
    assert!(server.is_alive());
}

#[test]
fn plain_http_and_noise_on_the_tls_port_do_no_harm() {
    let certificate = Certificate::generate();
    let mut server = Setup::default().tls(&certificate).start();
    for bytes in [
        &b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"[..],
        &noise(3, 5000),
        b"\x16\x03\x01\xff\xff",
        b"",
    ] {
        let mut raw = Raw::connect(&server.address());
        raw.send(bytes);
        raw.finish_sending();
        assert!(
            raw.is_closed_within(Duration::from_mins(1)),
            "the connection stays open"
        );
    }
    assert!(server.is_alive());
    server
        .admin()
        .over_tls(certificate.client())
        .get("/dav/documents/")
        .expect(&[200, 302, 405]);
}
