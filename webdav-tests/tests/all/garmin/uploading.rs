//! What a watch sends: slices in both forms of a body, in any order and again, and samples.

use std::fmt::Write as _;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use webdav_tests::TestServer;
use webdav_tests::content::{assert_same, noise};

use super::{Answer, Phone, SLICE, signed};

#[test]
fn a_file_sent_in_slices_of_json_is_there_for_everybody() {
    let server = TestServer::start();
    let dav = server.admin();
    let mut phone = Phone::paired(&server, "admin");
    let first = noise(1, 10_000);
    let stored = phone.upload("Lauf ä.FIT", &first);
    assert_eq!((&stored["h"], &stored["v"]), (&10_000.into(), &1.into()));
    let path = "/dav/garmin/Lauf%20%C3%A4.FIT";
    assert_same(&dav.get(path).body, &first, "what was sent");

    // The same name again: a new version of the same file.
    let second = noise(2, 300);
    let again = phone.upload("Lauf ä.FIT", &second);
    assert_eq!((&again["i"], &again["v"]), (&stored["i"], &2.into()));
    assert_same(&dav.get(path).body, &second, "the second version");
    let id = stored["i"].as_str().unwrap();
    let back = phone.get(&format!("download/{id}"));
    assert_same(back.native("application/vnd.ant.fit"), &second, "back");
}

#[test]
fn a_form_does_the_same_byte_for_byte() {
    let server = TestServer::start();
    let mut phone = Phone::paired(&server, "admin");
    // What a dictionary becomes when an app does not ask for JSON: every value is a text.
    let head = phone.head("POST", "/api/v1/garmin/upload");
    let form = "n=t%C3%A4st%201.gpx&o=0&t=11&b64=aGVsbG8%3D&crc=907060870";
    let first = format!(
        "{head}Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{form}",
        form.len()
    );
    assert_eq!(phone.exchange(&first).text(), r#"{"h":5}"#);
    let form = "b64=IHdvcmxk&t=11&crc=1245397707&n=t%C3%A4st+1.gpx&o=5";
    let second = format!(
        "{head}Content-Type: application/x-www-form-urlencoded;charset=UTF-8\r\nContent-Length: {}\
         \r\n\r\n{form}",
        form.len()
    );
    let stored = phone.exchange(&second).object(200);
    assert_eq!(stored["h"], 11);
    let got = server.admin().get("/dav/garmin/t%C3%A4st%201.gpx");
    assert_eq!(got.body, b"hello world");
}

#[test]
fn the_largest_slice_survives_as_a_form_with_every_sign_encoded() {
    let server = TestServer::start();
    let mut phone = Phone::paired(&server, "admin");
    let content = noise(3, SLICE);
    let mut encoded = String::new();
    for byte in BASE64_STANDARD.encode(&content).bytes() {
        write!(encoded, "%{byte:02X}").expect("writing to a String");
    }
    let form = format!("n=a.fit&o=0&t={SLICE}&b64={encoded}");
    let media = "application/x-www-form-urlencoded";
    phone.post_as("upload", media, &form).object(200);
    assert_same(
        &server.admin().get("/dav/garmin/a.fit").body,
        &content,
        "it",
    );
}

#[test]
fn a_hundred_kilobytes_are_taken_and_one_byte_more_is_not() {
    let server = TestServer::start();
    let mut phone = Phone::paired(&server, "admin");
    let most = noise(4, 102_400);
    phone.upload("most.gpx", &most);
    assert_same(
        &server.admin().get("/dav/garmin/most.gpx").body,
        &most,
        "it",
    );
    phone
        .slice("more.gpx", &noise(5, 102_401), 0)
        .refused(413, "big");
    server.admin().get("/dav/garmin/more.gpx").expect(&[404]);
}

#[test]
fn slices_may_come_in_any_order_and_twice() {
    let server = TestServer::start();
    let mut phone = Phone::paired(&server, "admin");
    let content = noise(6, 3 * SLICE + 10);
    for (slice, held) in [(2, 0), (0, 1), (0, 1), (2, 1), (3, 1)] {
        let answer = phone.slice("a.gpx", &content, slice * SLICE).object(200);
        assert_eq!(answer["h"], held * SLICE, "slice {slice}");
    }
    let stored = phone.slice("a.gpx", &content, SLICE).object(200);
    assert!(stored["i"].is_string());
    // Its answer was lost on the way: the same again has the same answer and writes nothing.
    assert_eq!(phone.slice("a.gpx", &content, SLICE).object(200), stored);
    assert_same(
        &server.admin().get("/dav/garmin/a.gpx").body,
        &content,
        "it",
    );

    // But when others have written the file since, it is not said to be what it is no more.
    server
        .admin()
        .put("/dav/garmin/a.gpx", b"others")
        .expect(&[204]);
    let answer = phone.slice("a.gpx", &content, SLICE).object(200);
    assert_eq!((&answer["h"], &answer["a"]), (&0.into(), &1.into()));
}

#[test]
fn after_a_restart_the_watch_learns_to_begin_again() {
    let mut server = TestServer::start();
    let mut phone = Phone::paired(&server, "admin");
    let content = noise(7, 2 * SLICE);
    assert_eq!(phone.slice("a.gpx", &content, 0).object(200)["h"], SLICE);
    server.restart();
    let mut phone = phone.again(&server);
    let lost = phone.slice("a.gpx", &content, SLICE).object(200);
    assert_eq!((&lost["h"], &lost["a"]), (&0.into(), &1.into()));
    let stored = phone.slice("a.gpx", &content, 0).object(200);
    assert_eq!(stored["h"], 2 * SLICE);
    assert_same(
        &server.admin().get("/dav/garmin/a.gpx").body,
        &content,
        "it",
    );
}

#[test]
fn another_content_under_the_same_name_is_never_mixed_in() {
    let server = TestServer::start();
    let mut phone = Phone::paired(&server, "admin");
    let (old, new) = (noise(8, 2 * SLICE), noise(9, 2 * SLICE));
    phone.slice("a.gpx", &old, 0).object(200);
    let begun = phone.slice("a.gpx", &new, 0).object(200);
    assert_eq!((&begun["h"], begun.get("a")), (&SLICE.into(), None));
    phone.slice("a.gpx", &new, SLICE).object(200);
    assert_same(&server.admin().get("/dav/garmin/a.gpx").body, &new, "it");
    // Two watches do not share slices either.
    let mut other = Phone::paired(&server, "admin");
    phone.slice("b.gpx", &old, 0).object(200);
    let alone = other.slice("b.gpx", &old, SLICE).object(200);
    assert_eq!((&alone["h"], &alone["a"]), (&0.into(), &1.into()));
}

#[test]
fn what_is_damaged_on_the_way_is_not_taken() {
    let server = TestServer::start();
    let mut phone = Phone::paired(&server, "admin");
    let slice = |crc: i64, w: i64| {
        format!(r#"{{"n":"a.gpx","o":0,"t":5,"b64":"aGVsbG8=","crc":{crc},"w":{w}}}"#)
    };
    let right = i64::from(signed(crc32fast::hash(b"hello")));
    phone
        .post("upload", &slice(right + 1, right))
        .refused(400, "crc");
    phone
        .post("upload", &slice(right, right + 1))
        .refused(400, "crc");
    server.admin().get("/dav/garmin/a.gpx").expect(&[404]);
    phone.post("upload", &slice(right, right)).object(200);
    assert_eq!(server.admin().get("/dav/garmin/a.gpx").body, b"hello");
}

#[test]
fn slices_that_cannot_be_are_refused_by_name() {
    let server = TestServer::start();
    let mut phone = Phone::paired(&server, "admin");
    let b64 = BASE64_STANDARD.encode(vec![0; SLICE + 1]);
    for (body, status, word) in [
        (r#"{"n":"a.txt","o":0,"t":1,"b64":"YQ=="}"#, 400, "kind"),
        (r#"{"n":"a","o":0,"t":1,"b64":"YQ=="}"#, 400, "kind"),
        (r#"{"n":"../a.gpx","o":0,"t":1,"b64":"YQ=="}"#, 400, "field"),
        (r#"{"n":"a.gpx","o":1,"t":1,"b64":"YQ=="}"#, 400, "field"),
        (r#"{"n":"a.gpx","o":0.5,"t":1,"b64":"YQ=="}"#, 400, "field"),
        (r#"{"n":"a.gpx","o":0,"t":1,"b64":"*"}"#, 400, "field"),
        (r#"{"n":"a.gpx","o":0,"t":1,"b64":["YQ=="]}"#, 400, "field"),
        (
            r#"{"n":"a.gpx","o":0,"t":1,"b64":"YQ==","x":1}"#,
            400,
            "field",
        ),
        (
            &format!(r#"{{"n":"a.gpx","o":0,"t":9000,"b64":"{b64}"}}"#),
            413,
            "big",
        ),
    ] {
        println!("{body}");
        phone.post("upload", body).refused(status, word);
    }
    let refused = phone.post("upload", r#"{"n":"a.gpx","o":0,"b64":"YQ=="}"#);
    assert_eq!(refused.refused(400, "field")["f"], "t");
    assert_eq!(phone.get("files").text(), r#"{"f":[]}"#);
}

#[test]
fn samples_with_places_become_a_gpx_file_and_others_json() {
    let server = TestServer::start();
    let dav = server.admin();
    let mut phone = Phone::paired(&server, "admin");
    let track = r#"{"samples":[{"t":1795391150,"lat":48.137,"lon":11.575,"ele":520,"hr":120},
        {"t":1795391151,"lat":48.138,"lon":11.576}]}"#;
    let stored = phone.post("upload", track).object(200);
    assert!(stored["i"].is_string());
    let gpx = dav
        .get("/dav/garmin/20261122-234550.gpx")
        .expect(&[200])
        .text();
    assert!(gpx.starts_with("<?xml version=\"1.0\""), "{gpx}");
    assert!(
        gpx.contains(r#"<trkpt lat="48.137" lon="11.575"><ele>520</ele>"#),
        "{gpx}"
    );
    // The same again is the same file.
    assert_eq!(phone.post("upload", track).object(200), stored);

    let pulse = r#"{"n":"Ruhepuls","samples":[{"t":1795391150,"hr":52},{"t":1795391160,"hr":53}]}"#;
    phone.post("upload", pulse).object(200);
    assert_eq!(
        dav.get("/dav/garmin/Ruhepuls.json").text(),
        r#"{"samples":[{"hr":52,"t":1795391150},{"hr":53,"t":1795391160}]}"#
    );
    phone
        .post("upload", r#"{"samples":[]}"#)
        .refused(400, "field");
    phone
        .post("upload", r#"{"n":"a/b","samples":[{"t":1}]}"#)
        .refused(400, "field");
    let media = "application/x-www-form-urlencoded";
    phone
        .post_as("upload", media, "samples=%5B%5D")
        .refused(400, "field");
}

#[test]
fn quota_locks_and_things_in_the_way_hold_for_watches_too() {
    let server = TestServer::start();
    let bob = server.add_user("bob", "a long password 1", Some("1000"));
    let mut phone = Phone::paired(&server, "bob");
    bob.put("/dav/garmin", b"a file").expect(&[201]);
    phone.slice("a.gpx", b"x", 0).refused(409, "way");
    phone.get("files").refused(400, "field");
    bob.delete("/dav/garmin").expect(&[204]);

    let content = noise(10, 2000);
    phone.slice("a.gpx", &content, 0).refused(409, "full");
    phone.slice("a.gpx", &content[..500], 0).object(200);

    let lock = r#"<D:lockinfo xmlns:D="DAV:"><D:lockscope><D:exclusive/></D:lockscope>
        <D:locktype><D:write/></D:locktype></D:lockinfo>"#;
    bob.request(
        "LOCK",
        "/dav/garmin/a.gpx",
        &[("Depth", "0")],
        lock.as_bytes(),
    )
    .expect(&[200]);
    phone
        .slice("a.gpx", &content[..400], 0)
        .refused(423, "lock");
    assert_eq!(bob.get("/dav/garmin/a.gpx").body, content[..500]);
    bob.mkcol("/dav/garmin/folder.gpx/").expect(&[201]);
    phone.slice("folder.gpx", b"x", 0).refused(409, "way");
}
