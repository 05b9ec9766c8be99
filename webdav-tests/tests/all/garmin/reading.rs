//! What a watch sees: pages of a folder, whole files, pieces of files, and nothing of others.

use std::collections::BTreeSet;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use serde_json::Value;
use webdav_tests::content::{assert_same, noise, prose};
use webdav_tests::multistatus::OC;
use webdav_tests::{Dav, Response, TestServer, xml};

use super::{Answer, Phone, signed};

/// Names of a page, folders with a slash behind them.
fn names(entries: &[Value]) -> Vec<String> {
    let name = |entry: &Value| {
        let slash = if entry["d"] == 1 { "/" } else { "" };
        format!("{}{slash}", entry["n"].as_str().expect("n"))
    };
    entries.iter().map(name).collect()
}

fn id_of(entries: &[Value], name: &str) -> String {
    let entry = entries.iter().find(|entry| entry["n"] == name);
    entry.expect("it is listed")["i"]
        .as_str()
        .expect("i")
        .to_owned()
}

/// The id of any file, as watches write ids; files that are not for them are not listed.
fn any_id(dav: &Dav, path: &str) -> String {
    let body = xml::propfind("<oc:fileid/>");
    let listing = dav.propfind(path, "0", &body);
    let text = listing.only().get(OC, "fileid").expect("oc:fileid");
    let mut id: u64 = text.parse().expect("a number");
    let mut digits = Vec::new();
    while id > 0 {
        let digit = u32::try_from(id % 36).expect("small");
        digits.push(char::from_digit(digit, 36).expect("a digit"));
        id /= 36;
    }
    digits.iter().rev().collect()
}

#[test]
fn before_the_first_upload_the_folder_is_empty() {
    let server = TestServer::start();
    let mut phone = Phone::paired(&server, "admin");
    assert_eq!(phone.get("files").text(), r#"{"f":[]}"#);
    assert_eq!(phone.get("status").object(200)["p"], 0);
}

#[test]
fn two_hundred_files_come_in_pages_of_two_kilobytes_each_of_them_once() {
    let server = TestServer::start();
    let dav = server.admin();
    dav.mkcol("/dav/garmin/").expect(&[201]);
    let mut expected = BTreeSet::new();
    for n in 0..200 {
        let kind = ["gpx", "FIT", "tcx", "Json"][n % 4];
        let name = format!("{n:03}-{}.{kind}", "x".repeat(n % 90));
        dav.put(&format!("/dav/garmin/{name}"), b"x").expect(&[201]);
        dav.put(&format!("/dav/garmin/{name}.txt"), b"x")
            .expect(&[201]);
        expected.insert(name);
    }
    let mut phone = Phone::paired(&server, "admin");
    for (query, bytes) in [("n=20", 2048), ("n=100&max=8192", 8192)] {
        let listed = names(&phone.list(query, bytes));
        assert_eq!(listed.len(), 200, "{query}");
        assert_eq!(
            listed.into_iter().collect::<BTreeSet<_>>(),
            expected,
            "{query}"
        );
    }
    assert_eq!(
        phone.get("files").object(200)["f"]
            .as_array()
            .unwrap()
            .len(),
        20
    );
    let three = phone.get("files?n=3").object(200);
    assert_eq!(three["f"].as_array().unwrap().len(), 3);
    assert_eq!(phone.get("status").object(200)["p"], 200);
}

#[test]
fn a_page_keeps_to_its_size_whatever_the_names_are() {
    let server = TestServer::start();
    let dav = server.admin();
    let mut expected = 0;
    for n in 0..12 {
        // Quotes are two bytes in JSON, and the name is in the cursor as well.
        let name = format!("{n:x}{}", "%22".repeat(250));
        for end in [".gpx", ".txt"] {
            dav.put(&format!("/dav/documents/{name}{end}"), b"x")
                .expect(&[201]);
        }
        expected += 1;
    }
    let mut phone = Phone::paired(&server, "admin");
    for bytes in [1024, 2048] {
        let listed = phone.list(&format!("d=documents&max={bytes}"), bytes);
        assert_eq!(listed.len(), expected, "{bytes}");
    }
}

#[test]
fn folders_are_listed_also_one_by_one_and_with_what_is_shared() {
    let server = TestServer::start();
    let dav = server.admin();
    dav.put("/dav/top.gpx", b"x").expect(&[201]);
    dav.put("/dav/shared/ours.fit", b"x").expect(&[201]);
    dav.mkcol("/dav/documents/a%20b/").expect(&[201]);
    dav.put("/dav/documents/a%20b/%C3%A4.tcx", b"x")
        .expect(&[201]);
    let mut phone = Phone::paired(&server, "admin");
    let root = ["shared/", "backups/", "documents/", "photos/", "top.gpx"];
    assert_eq!(names(&phone.list("d=/", 2048)), root);
    assert_eq!(names(&phone.list("d=/&n=1", 2048)), root);
    assert_eq!(names(&phone.list("d=shared", 2048)), ["ours.fit"]);
    assert_eq!(names(&phone.list("d=%2Fdocuments%2F", 2048)), ["a b/"]);
    assert_eq!(names(&phone.list("d=documents/a+b", 2048)), ["ä.tcx"]);
    phone.get("files?d=top.gpx").refused(400, "field");
}

#[test]
fn an_entry_says_size_and_time_in_numbers_a_watch_can_hold() {
    let server = TestServer::start();
    let dav = server.admin();
    dav.mkcol("/dav/garmin/").expect(&[201]);
    for (name, mtime) in [("a", "1795391150"), ("b", "4102444800"), ("c", "-5")] {
        let headers = [("X-OC-Mtime", mtime)];
        let path = format!("/dav/garmin/{name}.gpx");
        dav.request("PUT", &path, &headers, b"12345").expect(&[201]);
    }
    let mut phone = Phone::paired(&server, "admin");
    let listed = phone.list("", 2048);
    let times: Vec<_> = listed
        .iter()
        .map(|entry| entry["t"].as_i64().unwrap())
        .collect();
    assert_eq!(times, [1_795_391_150, (1 << 31) - 1, 0]);
    assert!(listed.iter().all(|entry| entry["s"] == 5));
    let glance = phone.get("status?s=1795391150");
    assert!(glance.body.len() <= 200, "{glance}");
    let glance = glance.object(200);
    assert_eq!(
        (&glance["p"], &glance["m"]),
        (&2.into(), &((1_i64 << 31) - 1).into())
    );
    assert!(glance["t"].as_i64().unwrap() > 1_700_000_000);
}

#[test]
fn files_come_whole_in_their_own_type_and_never_compressed() {
    let server = TestServer::start();
    let dav = server.admin();
    dav.mkcol("/dav/garmin/").expect(&[201]);
    let text = prose(50_000);
    for (name, media) in [
        ("a.gpx", "application/gpx+xml"),
        ("b.FIT", "application/vnd.ant.fit"),
        ("c.Tcx", "application/vnd.garmin.tcx+xml"),
    ] {
        let path = format!("/dav/garmin/{name}");
        dav.put(&path, &text).expect(&[201]);
        let mut phone = Phone::paired(&server, "admin");
        let by_name = phone.get(&format!("download/{name}"));
        assert_same(by_name.native(media), &text, name);
        let id = id_of(&phone.list("", 2048), name);
        let by_id = phone.get(&format!("download/{id}"));
        assert_same(by_id.native(media), &text, name);
    }
    let mut phone = Phone::paired(&server, "admin");
    let json = format!("{{\"a\":\"{}\"}}", "x".repeat(4000));
    dav.put("/dav/garmin/d.json", json.as_bytes())
        .expect(&[201]);
    let answer = phone.get("download/d.json");
    assert_same(answer.native("application/json"), json.as_bytes(), "d.json");
}

#[test]
fn a_file_may_have_a_hundred_kilobytes_and_must_have_one_byte() {
    let server = TestServer::start();
    let dav = server.admin();
    dav.mkcol("/dav/garmin/").expect(&[201]);
    let most = noise(1, 102_400);
    dav.put("/dav/garmin/most.fit", &most).expect(&[201]);
    dav.put("/dav/garmin/more.fit", &noise(1, 102_401))
        .expect(&[201]);
    dav.put("/dav/garmin/none.fit", b"").expect(&[201]);
    let mut phone = Phone::paired(&server, "admin");
    let answer = phone.get("download/most.fit");
    assert_same(answer.native("application/vnd.ant.fit"), &most, "most.fit");
    phone.get("download/more.fit").refused(413, "big");
    phone.get("download/none.fit").refused(409, "empty");
    let listed = phone.list("", 2048);
    let more = id_of(&listed, "more.fit");
    phone.get(&format!("chunk/{more}?o=0")).refused(413, "big");
    let meta = phone.get(&format!("meta/{more}")).object(200);
    assert_eq!((&meta["s"], meta.get("crc")), (&102_401.into(), None));
    let none = id_of(&listed, "none.fit");
    phone.get(&format!("chunk/{none}")).refused(409, "empty");
    assert_eq!(phone.get(&format!("meta/{none}")).object(200)["crc"], 0);
}

#[test]
fn pieces_put_together_are_the_file() {
    let server = TestServer::start();
    let dav = server.admin();
    dav.mkcol("/dav/garmin/").expect(&[201]);
    let content = noise(2, 40_000);
    dav.put("/dav/garmin/a.json", &content).expect(&[201]);
    let mut phone = Phone::paired(&server, "admin");
    let id = id_of(&phone.list("", 2048), "a.json");
    let meta = phone.get(&format!("meta/{id}"));
    assert!(meta.body.len() <= 200, "{meta}");
    let meta = meta.object(200);
    assert_eq!((&meta["s"], &meta["v"]), (&40_000.into(), &1.into()));
    assert_eq!(meta["crc"], signed(crc32fast::hash(&content)));

    let piece =
        |phone: &mut Phone, query: &str| -> Response { phone.get(&format!("chunk/{id}?{query}")) };
    for length in [6144, 4000] {
        let mut found = Vec::new();
        while found.len() < content.len() {
            let answer = piece(&mut phone, &format!("o={}&l={length}&v=1", found.len()));
            let bytes = BASE64_STANDARD.decode(answer.native("text/plain"));
            let bytes = bytes.expect("base64");
            assert!((1..=length).contains(&bytes.len()));
            found.extend(bytes);
        }
        assert_same(&found, &content, "the pieces");
    }
    let default = piece(&mut phone, "o=0");
    assert_eq!(default.native("text/plain").len(), 8192);
    piece(&mut phone, "o=40000").refused(400, "field");
    // Somebody writes the file between two pieces.
    dav.put("/dav/garmin/a.json", &noise(3, 40_000))
        .expect(&[204]);
    piece(&mut phone, "o=6144&v=1").refused(409, "changed");
    piece(&mut phone, "o=6144&v=2").native("text/plain");
}

#[test]
fn what_is_not_for_watches_or_not_yours_does_not_exist() {
    let server = TestServer::start();
    let dav = server.admin();
    let bob = server.add_user("bob", "a long password 1", None);
    bob.put("/dav/documents/bobs.gpx", b"bob's").expect(&[201]);
    dav.put("/dav/documents/secret.txt", b"text").expect(&[201]);
    dav.put("/dav/documents/mine.gpx", b"mine").expect(&[201]);
    dav.mkcol("/dav/documents/folder.gpx/").expect(&[201]);
    dav.put("/dav/documents/gone.gpx", b"gone").expect(&[201]);
    let gone = any_id(&dav, "/dav/documents/gone.gpx");
    dav.delete("/dav/documents/gone.gpx").expect(&[204]);

    let mut phone = Phone::paired(&server, "admin");
    let mine = any_id(&dav, "/dav/documents/mine.gpx");
    assert_eq!(phone.get(&format!("download/{mine}")).body, b"mine");
    for id in [
        any_id(&bob, "/dav/documents/bobs.gpx"),
        any_id(&bob, "/dav/documents/"),
        any_id(&dav, "/dav/documents/secret.txt"),
        any_id(&dav, "/dav/documents/folder.gpx/"),
        any_id(&dav, "/dav/documents/"),
        gone,
    ] {
        for route in ["download", "meta", "chunk", "link"] {
            phone.get(&format!("{route}/{id}")).refused(404, "none");
        }
    }
    let mut bobs = Phone::paired(&server, "bob");
    bobs.get(&format!("download/{mine}")).refused(404, "none");
    let listed = names(&phone.list("d=documents", 2048));
    assert_eq!(listed, ["folder.gpx/", "mine.gpx"]);
}

#[test]
fn a_link_opens_one_file_once_without_headers() {
    let server = TestServer::start();
    let dav = server.admin();
    dav.put("/dav/documents/a.gpx", b"track").expect(&[201]);
    let mut phone = Phone::paired(&server, "admin");
    let id = any_id(&dav, "/dav/documents/a.gpx");
    let key = phone.get(&format!("link/{id}")).object(200);
    let (key, life) = (key["k"].as_str().unwrap(), &key["x"]);
    assert_eq!((key.len(), life), (22, &300.into()));
    let mut browser = Phone::new(&server);
    let route = format!("download/{id}?k={key}");
    let answer = browser.get(&route);
    assert_eq!(answer.native("application/gpx+xml"), b"track");
    browser.get(&route).refused(401, "auth");
}
