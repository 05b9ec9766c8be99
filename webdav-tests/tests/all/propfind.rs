//! PROPFIND as clients send it, and the form of the answer they insist on (CT15, CT28).

use webdav_tests::content::noise;
use webdav_tests::multistatus::{DAV, OC};
use webdav_tests::{TestServer, xml};

#[test]
fn a_new_account_has_its_folders_and_the_shared_one() {
    let server = TestServer::start();
    assert_eq!(
        server.admin().names("/dav/"),
        ["backups", "documents", "photos", "shared"]
    );
}

#[test]
fn depth_says_how_far() {
    let server = TestServer::start();
    let dav = server.admin();
    dav.mkcol("/dav/d/").expect(&[201]);
    dav.put("/dav/d/a", b"1").expect(&[201]);
    dav.mkcol("/dav/d/e/").expect(&[201]);
    dav.put("/dav/d/e/b", b"2").expect(&[201]);

    assert_eq!(dav.propfind("/dav/d/", "0", xml::LIST).hrefs(), ["/dav/d/"]);
    let mut children = dav.propfind("/dav/d/", "1", xml::LIST).hrefs().join(" ");
    assert!(
        children.starts_with("/dav/d/ "),
        "the collection comes first: {children}"
    );
    children = children.replace("/dav/d/ ", "");
    assert!(
        children == "/dav/d/a /dav/d/e/" || children == "/dav/d/e/ /dav/d/a",
        "{children}"
    );
}

#[test]
fn infinity_is_refused_with_the_reason() {
    // RFC 4918 section 9.1.1; a client that sees this walks the tree itself.
    let server = TestServer::start();
    let dav = server.admin();

    let infinity = dav.request(
        "PROPFIND",
        "/dav/",
        &[("Depth", "infinity")],
        xml::LIST.as_bytes(),
    );

    let answer = infinity.expect(&[403]);
    assert!(answer.text().contains("propfind-finite-depth"), "{answer}");
}

#[test]
fn a_missing_depth_means_infinity_or_lists_the_collection_too() {
    let server = TestServer::start();
    let dav = server.admin();

    let answer = dav
        .request("PROPFIND", "/dav/", &[], xml::LIST.as_bytes())
        .expect(&[207, 403]);

    if answer.status == 207 {
        let listing = answer.expect_multistatus();
        assert!(listing.hrefs().contains(&"/dav/"), "{:?}", listing.hrefs());
    } else {
        assert!(answer.text().contains("propfind-finite-depth"), "{answer}");
    }
}

#[test]
fn depth_1_on_a_file_is_the_file() {
    // rclone and GNOME ask so.
    let server = TestServer::start();
    let dav = server.admin();
    dav.put("/dav/a", b"1").expect(&[201]);
    assert_eq!(dav.propfind("/dav/a", "1", xml::LIST).hrefs(), ["/dav/a"]);
}

#[test]
fn no_body_means_everything_that_matters() {
    // rclone's vendor "other" sends no body.
    let server = TestServer::start();
    let dav = server.admin();
    dav.put("/dav/a.txt", b"12345").expect(&[201]);

    for body in ["", xml::ALLPROP] {
        let listing = dav.propfind("/dav/a.txt", "0", body);
        let file = listing.only();
        assert_eq!(file.dav("getcontentlength"), "5");
        assert!(file.dav("getcontenttype").starts_with("text/plain"));
        assert!(file.dav("getlastmodified").ends_with(" GMT"));
        assert!(file.dav("getetag").starts_with('"'));
        assert!(file.get(DAV, "resourcetype").is_some());
        assert!(!file.is_collection());
    }
}

#[test]
fn all_content_types_of_real_clients_are_taken() {
    let server = TestServer::start();
    let dav = server.admin();
    for kind in [
        "application/xml",
        "text/xml; charset=\"utf-8\"",
        "application/xml; charset=utf-8",
    ] {
        let headers = [("Depth", "0"), ("Content-Type", kind)];
        dav.request("PROPFIND", "/dav/", &headers, xml::LIST.as_bytes())
            .expect(&[207]);
    }
    let answer = dav
        .request("PROPFIND", "/dav/", &[("Depth", "0")], xml::LIST.as_bytes())
        .expect(&[207]);
    let kind = answer.header("content-type").unwrap_or_default();
    assert!(kind.starts_with("application/xml"), "{kind}");
}

#[test]
fn stray_text_in_the_body_is_ignored() {
    // owncloudcmd 2.11 sends an M after the last element of every PROPFIND.
    let server = TestServer::start();
    let dav = server.admin();
    let body = xml::LIST.replace("</D:prop>", "</D:prop>M");
    assert!(dav.propfind("/dav/", "0", &body).only().is_collection());
}

#[test]
fn unknown_properties_come_back_as_404() {
    let server = TestServer::start();
    let dav = server.admin();
    let body = xml::propfind("<D:getetag/><T:nothing/><D:unheard-of/>");

    let listing = dav.propfind("/dav/documents/", "0", &body);

    let folder = listing.only();
    assert_eq!(folder.status_of(DAV, "getetag"), Some(200));
    assert_eq!(folder.status_of("urn:test", "nothing"), Some(404));
    assert_eq!(folder.status_of(DAV, "unheard-of"), Some(404));
}

#[test]
fn each_property_comes_once_and_only_if_asked_for() {
    let server = TestServer::start();
    let dav = server.admin();
    dav.request(
        "PROPPATCH",
        "/dav/documents/",
        &[],
        xml::set("<T:a>1</T:a><T:b>2</T:b>").as_bytes(),
    )
    .expect(&[207]);

    let listing = dav.propfind(
        "/dav/documents/",
        "0",
        &xml::propfind("<T:a/><D:displayname/>"),
    );

    let mut names: Vec<&str> = listing
        .only()
        .props
        .iter()
        .map(|p| p.name.1.as_str())
        .collect();
    names.sort_unstable();
    assert_eq!(names, ["a", "displayname"]);
    assert_eq!(listing.only().get("urn:test", "a"), Some("1"));
}

#[test]
fn propname_gives_names_without_values() {
    let server = TestServer::start();
    let dav = server.admin();
    dav.request(
        "PROPPATCH",
        "/dav/documents/",
        &[],
        xml::set("<T:a>secret</T:a>").as_bytes(),
    )
    .expect(&[207]);
    let body = r#"<D:propfind xmlns:D="DAV:"><D:propname/></D:propfind>"#;

    let answer = dav.request(
        "PROPFIND",
        "/dav/documents/",
        &[("Depth", "0")],
        body.as_bytes(),
    );

    assert!(!answer.text().contains("secret"), "{answer}");
    let listing = answer.expect_multistatus();
    assert!(listing.only().find("urn:test", "a").is_some());
    assert!(listing.only().find(DAV, "resourcetype").is_some());
}

#[test]
fn allprop_brings_dead_properties_and_what_include_names() {
    // RFC 4918 section 9.1: this is part of class 3.
    let server = TestServer::start();
    let dav = server.admin();
    dav.request(
        "PROPPATCH",
        "/dav/documents/",
        &[],
        xml::set("<T:a>dead</T:a>").as_bytes(),
    )
    .expect(&[207]);
    let body = r#"<D:propfind xmlns:D="DAV:"><D:allprop/><D:include><D:quota-used-bytes/><D:supported-report-set/></D:include></D:propfind>"#;

    let listing = dav.propfind("/dav/documents/", "0", body);

    let folder = listing.only();
    assert_eq!(folder.get("urn:test", "a"), Some("dead"));
    assert_eq!(folder.status_of(DAV, "quota-used-bytes"), Some(200));
    assert_eq!(folder.status_of(DAV, "supported-report-set"), Some(200));
}

#[test]
fn folders_have_no_length_and_hrefs_say_what_they_are() {
    let server = TestServer::start();
    let dav = server.admin();
    dav.put("/dav/documents/a b(c).txt", b"")
        .expect(&[400, 201, 404]);
    dav.put("/dav/documents/a%20b(c)%C3%A4.txt", b"x")
        .expect(&[201]);

    let listing = dav.propfind("/dav/documents/", "1", xml::LIST);

    let folder = listing.named("documents");
    assert!(folder.is_collection());
    assert_eq!(folder.get(DAV, "getcontentlength"), None);
    assert!(folder.href.ends_with('/'), "{}", folder.href);
    // Upper-case hexadecimal; parentheses as they are (old GNOME).
    assert_eq!(
        listing.named("a b(c)ä.txt").href,
        "/dav/documents/a%20b(c)%C3%A4.txt"
    );
}

#[test]
fn dates_have_the_form_windows_reads() {
    let server = TestServer::start();
    let dav = server.admin();
    dav.put("/dav/a", b"1").expect(&[201]);
    let listing = dav.propfind(
        "/dav/a",
        "0",
        &xml::propfind("<D:creationdate/><D:getlastmodified/>"),
    );
    let created = listing.only().dav("creationdate").to_owned();
    // RFC 3339 in UTC with three fractional digits at most.
    let (seconds, fraction) = created
        .trim_end_matches('Z')
        .split_once('.')
        .unwrap_or((&created, ""));
    assert!(created.ends_with('Z') && fraction.len() <= 3, "{created}");
    assert_eq!(
        seconds.trim_end_matches('Z').len(),
        "2026-11-24T10:00:00".len(),
        "{created}"
    );
    assert_eq!(listing.only().dav("getlastmodified").len(), 29);
}

#[test]
fn dav_elements_carry_a_declared_prefix_and_no_white_space() {
    // Some Windows clients fail on DAV: as the default namespace and on indentation.
    let server = TestServer::start();
    let answer =
        server
            .admin()
            .request("PROPFIND", "/dav/", &[("Depth", "1")], xml::LIST.as_bytes());
    let text = answer.expect(&[207]).text();
    assert!(
        text.contains("xmlns:") && !text.contains("xmlns=\"DAV:\""),
        "{text}"
    );
    let body = text
        .split_once("?>")
        .map_or(text.as_str(), |(_, body)| body.trim_start());
    assert!(!body.contains(">\n<") && !body.contains("> <"), "{text}");
}

#[test]
fn locks_are_offered_and_shown() {
    // A supportedlock that lies makes LibreOffice open everything read-only.
    let server = TestServer::start();
    let dav = server.admin();
    dav.put("/dav/a", b"1").expect(&[201]);
    let body = xml::propfind("<D:supportedlock/><D:lockdiscovery/>");

    let before = dav.propfind("/dav/a", "0", &body);
    let supported = before
        .only()
        .find(DAV, "supportedlock")
        .expect("supportedlock");
    assert!(
        supported
            .inside
            .contains(&(DAV.to_owned(), "exclusive".to_owned()))
    );
    assert_eq!(before.only().dav("lockdiscovery"), "");

    dav.request("LOCK", "/dav/a", &[], xml::lock("exclusive").as_bytes())
        .expect(&[200]);
    let after = dav.propfind("/dav/a", "0", &body);
    let found = after
        .only()
        .find(DAV, "lockdiscovery")
        .expect("lockdiscovery");
    assert!(
        found
            .inside
            .contains(&(DAV.to_owned(), "activelock".to_owned())),
        "{found:?}"
    );
    assert!(found.text.contains("a tester"), "{found:?}");
}

#[test]
fn the_properties_sync_clients_ask_for_are_there() {
    let server = TestServer::start();
    let dav = server.admin();
    dav.put("/dav/a", b"12345").expect(&[201]);
    let body = xml::propfind(
        "<D:current-user-principal/><D:sync-token/><D:supported-report-set/><oc:id/><oc:fileid/><oc:permissions/>",
    );
    let folder = dav.propfind("/dav/documents/", "0", &body);
    assert_eq!(folder.only().status_of(DAV, "sync-token"), Some(200));
    let reports = folder
        .only()
        .find(DAV, "supported-report-set")
        .expect("supported-report-set");
    assert!(
        reports
            .inside
            .contains(&(DAV.to_owned(), "sync-collection".to_owned())),
        "{reports:?}"
    );
    let file = dav.propfind("/dav/a", "0", &xml::propfind("<oc:fileid/>"));
    if let Some(id) = file.only().get(OC, "fileid") {
        dav.rename("/dav/a", "/dav/b").expect(&[201]);
        let moved = dav.propfind("/dav/b", "0", &xml::propfind("<oc:fileid/>"));
        assert_eq!(
            moved.only().get(OC, "fileid"),
            Some(id),
            "the id survives MOVE"
        );
    }
}

#[test]
fn a_big_folder_is_listed_whole_and_small_enough_for_windows() {
    // Windows stops at 1 MB of properties for one folder; this is the set it asks for.
    let count = if crate::long() { 10_000 } else { 1_500 };
    let server = TestServer::start();
    let dav = server.admin();
    dav.mkcol("/dav/big/").expect(&[201]);
    std::thread::scope(|scope| {
        for part in 0..8 {
            let dav = dav.again();
            scope.spawn(move || {
                for number in (part..count).step_by(8) {
                    dav.put(
                        &format!("/dav/big/file-{number:05}.txt"),
                        &noise(number, 20),
                    )
                    .expect(&[201]);
                }
            });
        }
    });
    let windows = xml::propfind(
        "<D:creationdate/><D:displayname/><D:getcontentlength/><D:getlastmodified/><D:resourcetype/>",
    );

    let answer = dav.request(
        "PROPFIND",
        "/dav/big/",
        &[("Depth", "1")],
        windows.as_bytes(),
    );

    let bytes = answer.body.len() as u64;
    let listing = answer.expect_multistatus();
    let mut names: Vec<String> = listing
        .entries
        .iter()
        .skip(1)
        .map(webdav_tests::multistatus::Entry::name)
        .collect();
    names.sort();
    let expected: Vec<String> = (0..count)
        .map(|number| format!("file-{number:05}.txt"))
        .collect();
    assert_eq!(names, expected);
    assert!(bytes / count < 650, "{bytes} bytes for {count} entries");
}
