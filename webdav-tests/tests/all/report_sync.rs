//! REPORT `sync-collection` (RFC 6578): everything that changed since a token, nothing else.

use webdav_tests::{Dav, Multistatus, TestServer, xml};

#[track_caller]
fn sync(dav: &Dav, path: &str, token: &str) -> Multistatus {
    let body = xml::sync_collection(token, "1");
    let listing = dav
        .request("REPORT", path, &[("Depth", "0")], body.as_bytes())
        .expect_multistatus();
    assert!(
        !listing.sync_token.is_empty(),
        "no sync-token in the answer"
    );
    listing
}

/// Names of the members in the answer; removed ones with a minus sign.
fn members(listing: &Multistatus, path: &str) -> Vec<String> {
    let mut names: Vec<String> = listing
        .entries
        .iter()
        .filter(|entry| entry.href.trim_end_matches('/') != path.trim_end_matches('/'))
        .map(|entry| {
            format!(
                "{}{}",
                if entry.status == Some(404) { "-" } else { "" },
                entry.name()
            )
        })
        .collect();
    names.sort();
    names
}

#[test]
fn the_first_report_is_everything_and_the_next_only_the_difference() {
    let server = TestServer::start();
    let dav = server.admin();
    for name in ["a", "b", "c"] {
        dav.put(&format!("/dav/documents/{name}"), b"1")
            .expect(&[201]);
    }

    let first = sync(&dav, "/dav/documents/", "");
    assert_eq!(members(&first, "/dav/documents/"), ["a", "b", "c"]);
    assert!(first.named("a").dav("getetag").starts_with('"'));

    let nothing = sync(&dav, "/dav/documents/", &first.sync_token);
    assert_eq!(members(&nothing, "/dav/documents/"), Vec::<String>::new());

    dav.put("/dav/documents/a", b"2").expect(&[204]);
    dav.put("/dav/documents/d", b"1").expect(&[201]);
    dav.delete("/dav/documents/b").expect(&[204]);
    dav.rename("/dav/documents/c", "/dav/documents/e")
        .expect(&[201]);
    let second = sync(&dav, "/dav/documents/", &nothing.sync_token);
    assert_eq!(
        members(&second, "/dav/documents/"),
        ["-b", "-c", "a", "d", "e"]
    );
    assert_eq!(
        second.named("a").dav("getetag"),
        dav.head_of("/dav/documents/a").etag()
    );
}

#[test]
fn ten_saves_are_one_change() {
    let server = TestServer::start();
    let dav = server.admin();
    dav.put("/dav/documents/a", b"0").expect(&[201]);
    let before = sync(&dav, "/dav/documents/", "").sync_token;
    for n in 1..=10 {
        dav.put("/dav/documents/a", format!("{n}").as_bytes())
            .expect(&[204]);
    }
    assert_eq!(
        members(&sync(&dav, "/dav/documents/", &before), "/dav/documents/"),
        ["a"]
    );
}

#[test]
fn what_came_and_went_between_two_reports_does_no_harm() {
    let server = TestServer::start();
    let dav = server.admin();
    let before = sync(&dav, "/dav/documents/", "").sync_token;
    dav.put("/dav/documents/short", b"0").expect(&[201]);
    dav.delete("/dav/documents/short").expect(&[204]);
    let after = members(&sync(&dav, "/dav/documents/", &before), "/dav/documents/");
    assert!(after.is_empty() || after == ["-short"], "{after:?}");
}

#[test]
fn a_file_moved_in_or_out_is_seen_on_both_sides() {
    let server = TestServer::start();
    let dav = server.admin();
    dav.put("/dav/documents/a", b"0").expect(&[201]);
    let documents = sync(&dav, "/dav/documents/", "").sync_token;
    let photos = sync(&dav, "/dav/photos/", "").sync_token;

    dav.rename("/dav/documents/a", "/dav/photos/b")
        .expect(&[201]);

    assert_eq!(
        members(
            &sync(&dav, "/dav/documents/", &documents),
            "/dav/documents/"
        ),
        ["-a"]
    );
    assert_eq!(
        members(&sync(&dav, "/dav/photos/", &photos), "/dav/photos/"),
        ["b"]
    );
}

#[test]
fn a_change_deep_below_does_not_appear_at_level_1_as_a_file() {
    let server = TestServer::start();
    let dav = server.admin();
    dav.mkcol("/dav/documents/d/").expect(&[201]);
    let before = sync(&dav, "/dav/documents/", "").sync_token;
    dav.put("/dav/documents/d/deep", b"0").expect(&[201]);
    let after = members(&sync(&dav, "/dav/documents/", &before), "/dav/documents/");
    assert!(!after.contains(&"deep".to_owned()), "{after:?}");
}

#[test]
fn tokens_survive_a_restart() {
    let mut server = TestServer::start();
    let token = sync(&server.admin(), "/dav/documents/", "").sync_token;
    server.restart();
    let dav = server.admin();
    dav.put("/dav/documents/a", b"0").expect(&[201]);
    assert_eq!(
        members(&sync(&dav, "/dav/documents/", &token), "/dav/documents/"),
        ["a"]
    );
}

#[test]
fn a_token_of_somebody_else_is_refused_with_the_reason() {
    // The client then starts again with an empty token.
    let server = TestServer::start();
    let dav = server.admin();
    for token in [
        "nonsense",
        "http://example.org/ns/sync/1234",
        "urn:x:99999999999999999999",
    ] {
        let body = xml::sync_collection(token, "1");
        let answer = dav.request(
            "REPORT",
            "/dav/documents/",
            &[("Depth", "0")],
            body.as_bytes(),
        );
        let answer = answer.expect(&[403, 409]);
        assert!(answer.text().contains("valid-sync-token"), "{answer}");
    }
}

#[test]
fn an_unknown_report_is_refused() {
    let server = TestServer::start();
    let dav = server.admin();
    let body = r#"<D:version-tree xmlns:D="DAV:"/>"#;
    dav.request("REPORT", "/dav/documents/", &[], body.as_bytes())
        .expect(&[400, 403, 405, 415]);
    dav.request(
        "REPORT",
        "/dav/missing/",
        &[],
        xml::sync_collection("", "1").as_bytes(),
    )
    .expect(&[404]);
}

#[test]
fn replaying_reports_gives_the_listing() {
    // A client that applies every report has what PROPFIND shows, whatever happened in between.
    let server = TestServer::start();
    let dav = server.admin();
    let mut mirror = std::collections::BTreeSet::new();
    let mut token = String::new();
    for round in 0..6 {
        for n in 0..8 {
            let path = format!("/dav/documents/f{}", (round * 5 + n * 3) % 11);
            match (round + n) % 4 {
                0 => drop(dav.delete(&path).expect(&[204, 404])),
                1 => drop(
                    dav.rename(&path, &format!("/dav/documents/g{n}"))
                        .expect(&[201, 204, 404]),
                ),
                _ => drop(dav.put(&path, b"x").expect(&[201, 204])),
            }
        }
        let report = sync(&dav, "/dav/documents/", &token);
        for name in members(&report, "/dav/documents/") {
            match name.strip_prefix('-') {
                Some(gone) => mirror.remove(gone),
                None => mirror.insert(name),
            };
        }
        token = report.sync_token;
        let listed = dav.names("/dav/documents/");
        assert_eq!(
            mirror.iter().cloned().collect::<Vec<_>>(),
            listed,
            "round {round}"
        );
    }
}
