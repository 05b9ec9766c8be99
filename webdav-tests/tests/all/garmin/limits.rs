//! What a watch may not: come too often, ask for what is not there, send what cannot be read.

use std::time::Duration;

use webdav_tests::TestServer;

use super::{Answer, Phone};

#[test]
fn a_watch_that_comes_too_often_is_told_to_wait_a_second() {
    let server = TestServer::start();
    let mut phone = Phone::paired(&server, "admin");
    let mut other = Phone::paired(&server, "admin");
    let request = format!("{}\r\n", phone.head("GET", "/api/v1/garmin/status"));
    let mut answers: Vec<_> = (0..12).map(|_| phone.once(&request)).collect();
    assert_eq!(answers[0].status, 200);
    answers.retain(|answer| answer.status != 200);
    assert!(
        answers.len() >= 6,
        "only {} of 12 were refused",
        answers.len()
    );
    for refused in &answers {
        assert_eq!(refused.text(), r#"{"e":"slow","s":1}"#);
        refused.refused(429, "slow");
        assert_eq!(refused.header("retry-after"), Some("1"));
    }
    // Others are not held up, and a second later it may come again.
    let request = format!("{}\r\n", other.head("GET", "/api/v1/garmin/status"));
    other.once(&request).object(200);
    std::thread::sleep(Duration::from_millis(1100));
    let request = format!("{}\r\n", phone.head("GET", "/api/v1/garmin/status"));
    phone.once(&request).object(200);
}

#[test]
fn pairing_is_not_hurried_either() {
    let server = TestServer::start();
    let mut phone = Phone::new(&server);
    let head = phone.head("POST", "/api/v1/garmin/pair");
    let request = format!("{head}Content-Length: 0\r\n\r\n");
    let statuses: Vec<u16> = (0..20)
        .map(|_| {
            let answer = phone.once(&request);
            answer.object(answer.status);
            answer.status
        })
        .collect();
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 5);
    let refused = phone.once(&request);
    refused.refused(429, "slow");
}

#[test]
fn whatever_is_asked_for_the_answer_is_an_object() {
    let server = TestServer::start();
    let mut phone = Phone::paired(&server, "admin");
    for (route, status, word) in [
        ("", 404, "route"),
        ("nothing", 404, "route"),
        ("files/", 404, "route"),
        ("files/x/y", 404, "route"),
        ("download/", 404, "route"),
        ("%ff", 404, "route"),
        ("upload", 405, "method"),
        ("pair", 405, "method"),
        ("files?d=/nowhere", 404, "none"),
        ("files?d=a/../b", 400, "field"),
        ("files?n=1000", 400, "field"),
        ("files?max=100000", 400, "field"),
        ("files?c=!", 400, "field"),
        ("files?N=1", 400, "field"),
        ("files?n=1&n=2", 400, "field"),
        ("download/nothing.gpx", 404, "none"),
        ("download/zzzzzzzzzzzz", 404, "none"),
        ("download/zzzzzzzzzzzzz", 404, "none"),
        ("download/0", 404, "none"),
        ("download/-1", 404, "none"),
        ("download/..%2fa.gpx", 404, "none"),
        ("download/%ff.gpx", 404, "none"),
        ("meta/nothing.gpx", 404, "none"),
        ("chunk/zz?o=0", 404, "none"),
        ("chunk/zz?o=-1", 400, "field"),
        ("chunk/zz?l=6145", 400, "field"),
        ("link/zz", 404, "none"),
        ("status?s=-1", 400, "field"),
        ("download/a.gpx?k=wrong", 401, "auth"),
    ] {
        println!("{route}");
        phone.get(route).refused(status, word);
    }
    let head = phone.head("GET", "/api/v1/garmin");
    phone.exchange(&format!("{head}\r\n")).refused(404, "route");
    for method in ["PUT", "DELETE", "PROPFIND", "OPTIONS"] {
        let head = phone.head(method, "/api/v1/garmin/files");
        let answer = phone.exchange(&format!("{head}Content-Length: 0\r\n\r\n"));
        answer.refused(405, "method");
        assert!(
            answer
                .header("allow")
                .is_some_and(|allow| allow.contains("GET"))
        );
    }
}

#[test]
fn bodies_that_cannot_be_read_are_refused() {
    let server = TestServer::start();
    let mut phone = Phone::paired(&server, "admin");
    for (media, body, status, word) in [
        ("application/json", "", 400, "field"),
        ("application/json", "{", 400, "body"),
        ("application/json", "[]", 400, "body"),
        ("application/json", "{\"n\":\"\u{1}\"}", 400, "body"),
        ("text/plain", "n=a.gpx", 415, "media"),
        ("multipart/form-data; boundary=x", "--x--", 415, "media"),
        (
            "application/x-www-form-urlencoded",
            "n=%ff&o=0",
            400,
            "field",
        ),
        ("application/x-www-form-urlencoded", "%&&=", 400, "field"),
    ] {
        println!("{media} {body}");
        phone.post_as("upload", media, body).refused(status, word);
    }
    // Refused before it comes to the route, and said all the same.
    let head = phone.head("POST", "/api/v1/garmin/pair");
    let coded = format!("{head}Content-Encoding: br\r\nContent-Length: 1\r\n\r\nx");
    phone.exchange(&coded).refused(415, "media");
    let deep = "[".repeat(100_000);
    phone.post("upload", &deep).refused(400, "body");
    let long = format!("{{\"n\":\"{}\"}}", "x".repeat(200_000));
    // From a watch that has not been too fast: a refusal for that needs no body.
    let mut once = Phone::paired(&server, "admin");
    let head = once.head("POST", "/api/v1/garmin/upload");
    let request = format!(
        "{head}Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{long}",
        long.len()
    );
    // The server need not read the rest; it may close after it has said so.
    once.raw.send(&request);
    let answer = once.raw.answer(Duration::from_secs(20)).expect("an answer");
    assert_eq!((answer.status, &*answer.text()), (413, r#"{"e":"big"}"#));
    assert_eq!(answer.header("content-type"), Some("application/json"));
    phone.get("status").object(200);
}
