//! PROPPATCH: dead properties stay with the file, live ones are refused honestly.

use webdav_tests::multistatus::DAV;
use webdav_tests::{Dav, TestServer, xml};

#[track_caller]
fn patch(dav: &Dav, path: &str, body: &str) -> webdav_tests::Multistatus {
    dav.request("PROPPATCH", path, &[], body.as_bytes())
        .expect_multistatus()
}

#[track_caller]
fn value(dav: &Dav, path: &str) -> Option<String> {
    let listing = dav.propfind(path, "0", &xml::propfind("<T:colour/>"));
    listing.only().get("urn:test", "colour").map(str::to_owned)
}

#[test]
fn a_dead_property_lives_through_move_copy_overwrite_and_restart() {
    let mut server = TestServer::start();
    let dav = server.admin();
    dav.put("/dav/a", b"1").expect(&[201]);
    let set = patch(
        &dav,
        "/dav/a",
        &xml::set("<T:colour>green &amp; blue ä</T:colour>"),
    );
    assert_eq!(set.only().status_of("urn:test", "colour"), Some(200));
    let expected = Some("green & blue ä".to_owned());
    assert_eq!(value(&dav, "/dav/a"), expected);

    dav.rename("/dav/a", "/dav/b").expect(&[201]);
    assert_eq!(value(&dav, "/dav/b"), expected, "after MOVE");
    dav.copy("/dav/b", "/dav/c").expect(&[201]);
    assert_eq!(value(&dav, "/dav/c"), expected, "after COPY");
    dav.put("/dav/c", b"2").expect(&[204]);
    assert_eq!(value(&dav, "/dav/c"), expected, "after PUT");
    server.restart();
    assert_eq!(
        value(&server.admin(), "/dav/c"),
        expected,
        "after a restart"
    );
}

#[test]
fn a_new_file_under_an_old_name_has_no_old_properties() {
    let server = TestServer::start();
    let dav = server.admin();
    dav.put("/dav/a", b"1").expect(&[201]);
    patch(&dav, "/dav/a", &xml::set("<T:colour>green</T:colour>"));
    dav.delete("/dav/a").expect(&[204]);
    dav.put("/dav/a", b"1").expect(&[201]);
    assert_eq!(value(&dav, "/dav/a"), None);
}

#[test]
fn removing_takes_it_away_and_removing_again_is_fine() {
    let server = TestServer::start();
    let dav = server.admin();
    patch(
        &dav,
        "/dav/documents/",
        &xml::set("<T:colour>green</T:colour>"),
    );
    for _ in 0..2 {
        let removed = patch(&dav, "/dav/documents/", &xml::remove("<T:colour/>"));
        assert_eq!(removed.only().status_of("urn:test", "colour"), Some(200));
    }
    assert_eq!(value(&dav, "/dav/documents/"), None);
}

#[test]
fn one_refusal_undoes_the_whole_request() {
    // RFC 4918 section 9.2: all or nothing; the innocent ones say 424.
    let server = TestServer::start();
    let dav = server.admin();
    dav.put("/dav/a", b"1").expect(&[201]);
    let etag = dav.head_of("/dav/a").etag();

    let answer = patch(
        &dav,
        "/dav/a",
        &xml::set("<T:colour>green</T:colour><D:getetag>\"mine\"</D:getetag>"),
    );

    assert_eq!(answer.only().status_of(DAV, "getetag"), Some(403));
    assert_eq!(answer.only().status_of("urn:test", "colour"), Some(424));
    assert_eq!(value(&dav, "/dav/a"), None);
    assert_eq!(dav.head_of("/dav/a").etag(), etag);
}

#[test]
fn markup_inside_a_property_comes_back_with_its_namespaces() {
    let server = TestServer::start();
    let dav = server.admin();
    let inner = r#"<T:colour xml:lang="de"><x:part xmlns:x="urn:x" x:k="v">1 &lt; 2</x:part><T:more/></T:colour>"#;
    patch(&dav, "/dav/documents/", &xml::set(inner));

    let listing = dav.propfind("/dav/documents/", "0", &xml::propfind("<T:colour/>"));

    let colour = listing
        .only()
        .find("urn:test", "colour")
        .expect("the property");
    assert_eq!(colour.text, "1 < 2");
    let inside =
        [("urn:x", "part"), ("urn:test", "more")].map(|(a, b)| (a.to_owned(), b.to_owned()));
    assert_eq!(colour.inside, inside);
}

#[test]
fn content_and_etag_are_not_touched() {
    let server = TestServer::start();
    let dav = server.admin();
    let etag = dav.put("/dav/a", b"1").expect(&[201]).etag();
    patch(&dav, "/dav/a", &xml::set("<T:colour>green</T:colour>"));
    assert_eq!(dav.get("/dav/a").etag(), etag);
}

#[test]
fn properties_of_what_is_not_there_are_404() {
    let server = TestServer::start();
    let body = xml::set("<T:colour>green</T:colour>");
    server
        .admin()
        .request("PROPPATCH", "/dav/missing", &[], body.as_bytes())
        .expect(&[404]);
}

#[test]
fn as_many_properties_as_a_photo_program_writes_are_kept() {
    let server = TestServer::start();
    let dav = server.admin();
    dav.put("/dav/a.jpg", b"1").expect(&[201]);
    let many: Vec<String> = (0..100)
        .map(|n| format!("<T:p{n}>value {n}</T:p{n}>"))
        .collect();
    patch(&dav, "/dav/a.jpg", &xml::set(&many.concat()));
    let listing = dav.propfind("/dav/a.jpg", "0", xml::ALLPROP);
    for n in 0..100 {
        let expected = format!("value {n}");
        assert_eq!(
            listing.only().get("urn:test", &format!("p{n}")),
            Some(expected.as_str())
        );
    }
}
