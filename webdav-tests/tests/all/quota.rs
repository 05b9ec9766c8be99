//! Quota (RFC 4331): shown truthfully, kept strictly (CT16).

use webdav_tests::http::Body;
use webdav_tests::{Dav, TestServer, xml};

const PASSWORD: &str = "a long password 1";

/// Used and available bytes of a folder.
#[track_caller]
fn quota(dav: &Dav, path: &str) -> (u64, u64) {
    let listing = dav.propfind(
        path,
        "0",
        &xml::propfind("<D:quota-used-bytes/><D:quota-available-bytes/>"),
    );
    let number = |name| listing.only().dav(name).parse().expect("a number");
    (number("quota-used-bytes"), number("quota-available-bytes"))
}

#[test]
fn used_and_available_follow_what_is_stored() {
    let server = TestServer::start();
    let bob = server.add_user("bob", PASSWORD, Some("1000000"));
    assert_eq!(quota(&bob, "/dav/"), (0, 1_000_000));

    bob.put("/dav/documents/a", &vec![1; 300_000])
        .expect(&[201]);

    assert_eq!(quota(&bob, "/dav/"), (300_000, 700_000));
    let (_, available) = quota(&bob, "/dav/documents/");
    assert_eq!(available, 700_000, "the same below the root");
}

#[test]
fn an_upload_over_quota_is_507_and_leaves_the_old_file() {
    let server = TestServer::start();
    let bob = server.add_user("bob", PASSWORD, Some("1000000"));
    bob.put("/dav/a", &vec![1; 600_000]).expect(&[201]);
    let too_much = vec![2; 600_000];

    bob.put("/dav/b", &too_much).expect(&[507]);
    bob.send("PUT", "/dav/b", &[], Body::Chunked(&too_much))
        .expect(&[507]);
    bob.put("/dav/a", &vec![3; 1_100_000]).expect(&[507]);
    bob.copy("/dav/a", "/dav/c").expect(&[507]);

    bob.get("/dav/b").expect(&[404]);
    bob.get("/dav/c").expect(&[404]);
    assert!(bob.get("/dav/a").body == vec![1; 600_000]);
    assert_eq!(quota(&bob, "/dav/").0, 600_000);
}

#[test]
fn an_announced_length_over_quota_is_refused_before_the_body() {
    let server = TestServer::start();
    let bob = server.add_user("bob", PASSWORD, Some("1000000"));
    bob.get("/dav/").expect(&[200, 302, 405]);
    let mut raw = webdav_tests::raw::Raw::connect(&server.address());
    raw.send(format!(
        "PUT /dav/huge HTTP/1.1\r\nHost: x\r\nAuthorization: {}\r\nContent-Length: 5000000000\r\nExpect: 100-continue\r\n\r\n",
        bob.authorization().expect("logged in")
    ));
    let answer = raw
        .answer(std::time::Duration::from_secs(20))
        .expect("an answer");
    assert_eq!(answer.status, 507, "{answer}");
}

#[test]
fn overwriting_needs_room_for_the_difference_only() {
    let server = TestServer::start();
    let bob = server.add_user("bob", PASSWORD, Some("1000000"));
    bob.put("/dav/a", &vec![1; 900_000]).expect(&[201]);
    bob.put("/dav/a", &vec![2; 950_000]).expect(&[204]);
    assert_eq!(quota(&bob, "/dav/").0, 950_000);
}

#[test]
fn deleting_makes_room_at_once() {
    let server = TestServer::start();
    let bob = server.add_user("bob", PASSWORD, Some("1000000"));
    for _ in 0..3 {
        bob.put("/dav/a", &vec![1; 900_000]).expect(&[201]);
        bob.delete("/dav/a").expect(&[204]);
    }
    assert_eq!(quota(&bob, "/dav/").0, 0);
}

#[test]
fn writers_at_once_never_go_over() {
    let server = TestServer::start();
    let bob = server.add_user("bob", PASSWORD, Some("1000000"));
    let stored: usize = std::thread::scope(|scope| {
        let writers: Vec<_> = (0..8)
            .map(|n| {
                let bob = bob.again();
                scope.spawn(move || {
                    let answer = bob
                        .put(&format!("/dav/{n}"), &vec![n; 300_000])
                        .expect(&[201, 507]);
                    usize::from(answer.status == 201)
                })
            })
            .collect();
        writers
            .into_iter()
            .map(|writer| writer.join().expect("a writer"))
            .sum()
    });
    assert_eq!(stored, 3);
    assert_eq!(quota(&bob, "/dav/").0, 900_000);
}

#[test]
fn a_new_quota_holds_without_a_restart() {
    let server = TestServer::start();
    let bob = server.add_user("bob", PASSWORD, Some("1000"));
    bob.put("/dav/a", &vec![1; 5000]).expect(&[507]);
    server.cli_ok(&["user", "quota", "bob", "1M"], "");
    bob.put("/dav/a", &vec![1; 5000]).expect(&[201]);
}

#[test]
fn an_account_without_quota_is_asked_for_nothing() {
    let server = TestServer::start();
    let dav = server.admin();
    dav.put("/dav/a", &vec![1; 100_000]).expect(&[201]);
    let listing = dav.propfind("/dav/", "0", &xml::propfind("<D:quota-used-bytes/>"));
    assert_eq!(listing.only().dav("quota-used-bytes"), "100000");
}
