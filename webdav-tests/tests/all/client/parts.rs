//! Large files, which go in parts: what has arrived is not sent again.

use std::time::Duration;

use webdav_tests::client::within;
use webdav_tests::content::noise;
use webdav_tests::xml::lock;
use webdav_tests::{Api, Client, TestServer};

use super::sent;

const SOON: Duration = Duration::from_secs(30);
/// Bytes that everything else takes: heads, names, lists.
const REST: u64 = 1_000_000;

/// Bytes of the bodies that the server was sent so far.
#[track_caller]
fn received(server: &TestServer) -> u64 {
    let page = server.anonymous().get("/metrics").expect(&[200]).text();
    let line = page
        .lines()
        .find_map(|line| line.strip_prefix("sync_http_received_bytes_total "));
    line.and_then(|number| number.parse().ok())
        .expect("a number")
}

#[test]
fn what_had_arrived_of_a_large_file_when_the_client_was_killed_is_not_sent_again() {
    let server = TestServer::start();
    let a = Client::admin(&server, "A");
    a.sync();
    let content = noise(1, 60_000_000);
    a.ok(&["limit", "--up", "8MiB"]);
    a.write("large.bin", &content);
    let running = a.daemon();
    assert!(within(SOON, || sent(&a) > 24_000_000), "{}", a.status());
    // Dropped is killed
    drop(running);
    assert_eq!(server.admin().get("/dav/large.bin").status, 404);

    a.ok(&["limit", "--clear"]);
    a.sync();

    let got = server.admin().get("/dav/large.bin").expect(&[200]);
    assert!(got.body == content);
    let received = received(&server);
    assert!(received < content.len() as u64 + REST, "{received}");
    assert_eq!(Api::admin(&server).all("uploads"), [""; 0]);
}

#[test]
fn a_large_file_that_is_written_to_while_it_is_sent_is_not_sent_to_its_end_in_vain() {
    let server = TestServer::start();
    let a = Client::admin(&server, "A");
    a.sync();
    let mut content = noise(1, 60_000_000);
    a.ok(&["limit", "--up", "8MiB"]);
    a.write("large.bin", &content);
    let running = a.daemon();
    let uploads = || {
        let uploads = Api::admin(&server).all("uploads").into_iter();
        uploads
            .map(|upload| upload["id"].clone())
            .collect::<Vec<_>>()
    };
    assert!(within(SOON, || sent(&a) > 2_000_000), "{}", a.status());
    let first = uploads();
    content.push(1);
    a.append("large.bin", &[1]);
    assert!(within(SOON, || uploads() != first), "{}", a.status());
    a.ok(&["limit", "--clear"]);
    let dav = server.admin();
    assert!(
        within(SOON, || dav.get("/dav/large.bin").status == 200),
        "{}",
        a.status()
    );
    drop(running);

    assert!(dav.get("/dav/large.bin").expect(&[200]).body == content);
    let received = received(&server);
    assert!(received < content.len() as u64 + 30_000_000, "{received}");
}

#[test]
fn a_large_file_whose_end_is_refused_is_finished_later_without_being_sent_again() {
    let server = TestServer::start();
    let (dav, a) = (server.admin(), Client::admin(&server, "A"));
    dav.mkcol("/dav/docs").expect(&[201]);
    a.sync();
    let locked = dav.request(
        "LOCK",
        "/dav/docs",
        &[("Depth", "infinity")],
        lock("exclusive").as_bytes(),
    );
    let token = locked
        .expect(&[200])
        .header("lock-token")
        .expect("a token")
        .to_owned();
    let content = noise(1, 20_000_000);
    a.write("docs/large.bin", &content);
    let before = received(&server);
    for _ in 0..2 {
        a.fails(&["sync"], 4);
        let sent = received(&server) - before;
        assert!((20_000_000..20_000_000 + REST).contains(&sent), "{sent}");
    }

    dav.request("UNLOCK", "/dav/docs", &[("Lock-Token", &token)], b"")
        .expect(&[204]);
    a.sync();

    assert!(dav.get("/dav/docs/large.bin").expect(&[200]).body == content);
    let sent = received(&server) - before;
    assert!(sent < 20_000_000 + REST, "{sent}");
}

#[test]
fn a_copy_of_a_large_file_goes_as_its_sum_and_another_one_of_that_length_as_it_is() {
    let server = TestServer::start();
    let a = Client::admin(&server, "A");
    let (content, other) = (noise(1, 17_000_000), noise(2, 17_000_000));
    for (name, content, most) in [
        ("one.bin", &content, 17_000_000 + REST),
        ("copy.bin", &content, REST),
        ("other.bin", &other, 17_000_000 + REST),
    ] {
        let before = received(&server);
        a.write(name, content);
        a.sync();
        let sent = received(&server) - before;
        assert!(sent < most, "{name}: {sent}");
        let got = server.admin().get(&format!("/dav/{name}")).expect(&[200]);
        assert!(got.body == *content, "{name}");
    }
}
