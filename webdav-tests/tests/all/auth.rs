//! Who may come in: Basic on every method, cheap refusals, and limits that only delay (CT02).

use std::time::Duration;

use webdav_tests::TestServer;
use webdav_tests::raw::Raw;

const METHODS: [&str; 15] = [
    "OPTIONS",
    "GET",
    "HEAD",
    "PUT",
    "PATCH",
    "POST",
    "DELETE",
    "MKCOL",
    "COPY",
    "MOVE",
    "PROPFIND",
    "PROPPATCH",
    "LOCK",
    "UNLOCK",
    "REPORT",
];

#[test]
fn every_method_asks_for_credentials() {
    let server = TestServer::start();
    let nobody = server.anonymous();
    for method in METHODS {
        for path in ["/dav/", "/dav/missing", "/dav/documents/"] {
            let answer = nobody
                .request(method, path, &[("Destination", "/dav/x")], b"")
                .expect(&[401]);
            let challenge = answer
                .header("www-authenticate")
                .unwrap_or_default()
                .to_owned();
            assert!(
                challenge.starts_with("Basic realm=\""),
                "{method}: {challenge}"
            );
            assert!(
                challenge.contains("charset=\"UTF-8\""),
                "{method}: {challenge}"
            );
        }
    }
    assert_eq!(
        server.admin().names("/dav/"),
        ["backups", "documents", "photos", "shared"]
    );
}

#[test]
fn wrong_credentials_are_401_and_tell_nothing() {
    let server = TestServer::start();
    let wrong = server
        .anonymous()
        .login("admin", "wrong")
        .get("/dav/")
        .expect(&[401]);
    let unknown = server
        .anonymous()
        .login("nobody", "wrong")
        .get("/dav/")
        .expect(&[401]);
    assert_eq!(
        wrong.body, unknown.body,
        "the answer tells whether the account exists"
    );
    for header in [
        "Basic",
        "Basic !!!",
        "Basic YWRtaW4=",
        "Bearer x",
        "Basic ",
        "\u{e4}",
        "Digest username=\"admin\"",
    ] {
        let answer = server
            .anonymous()
            .request("GET", "/dav/", &[("Authorization", header)], b"");
        answer.expect(&[400, 401]);
    }
}

#[test]
fn a_refusal_keeps_the_connection() {
    // KDE sends every request without credentials first, on the same connection.
    let server = TestServer::start();
    let mut raw = Raw::connect(&server.address());
    for _ in 0..3 {
        raw.send("PROPFIND /dav/ HTTP/1.1\r\nHost: x\r\nDepth: 0\r\nContent-Length: 0\r\n\r\n");
        let answer = raw
            .answer(Duration::from_secs(20))
            .expect("the connection is still open");
        assert_eq!(answer.status, 401);
        assert_ne!(answer.header("connection"), Some("close"));
    }
}

#[test]
fn an_upload_without_credentials_is_refused_before_its_body() {
    let server = TestServer::start();
    let mut raw = Raw::connect(&server.address());
    raw.send("PUT /dav/a HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\nExpect: 100-continue\r\n\r\n");
    assert_eq!(
        raw.answer(Duration::from_secs(20))
            .expect("an answer")
            .status,
        401
    );
}

#[test]
fn passwords_may_hold_anything() {
    let server = TestServer::start();
    for (n, password) in [
        "pass:with:colons",
        "ümläut – 日本語 🔑",
        "  spaces around  ",
        &"x".repeat(500),
    ]
    .into_iter()
    .enumerate()
    {
        let user = server.add_user(&format!("user{n}"), password, None);
        user.get("/dav/documents/").expect(&[200, 302, 405]);
    }
}

#[test]
fn guessing_is_slowed_down_for_the_guesser_only() {
    let server = TestServer::start();
    let bob = server.add_user("bob", "a long password 1", None);
    bob.get("/dav/documents/").expect(&[200, 302, 405]);

    // Given somebody who guesses bob's password
    let guesser = server.anonymous();
    let slowed = (0..60).find_map(|n| {
        let answer = guesser
            .login("bob", &format!("guess {n}"))
            .get("/dav/")
            .expect(&[401, 429]);
        (answer.status == 429).then_some(answer)
    });
    // Then he is told to wait
    let slowed = slowed.expect("60 guesses in a row were not slowed down");
    let wait: u64 = slowed
        .header("retry-after")
        .expect("Retry-After")
        .parse()
        .expect("seconds");
    assert!((1..=3600).contains(&wait), "{wait}");
    // And those who are in stay in, from the same address
    bob.again().get("/dav/documents/").expect(&[200, 302, 405]);
    server
        .admin()
        .get("/dav/documents/")
        .expect(&[200, 302, 405]);
}

#[test]
fn health_needs_no_login_and_metrics_are_for_this_machine() {
    let server = TestServer::start();
    let nobody = server.anonymous();
    nobody.get("/health").expect(&[200]);
    let metrics = nobody.get("/metrics").expect(&[200]).text();
    assert!(
        metrics.contains("# TYPE") && metrics.ends_with("# EOF\n"),
        "{metrics}"
    );
    let forwarded = nobody.request(
        "GET",
        "/metrics",
        &[("X-Forwarded-For", "203.0.113.9")],
        b"",
    );
    forwarded.expect(&[200, 401, 403, 404]);
}

#[test]
fn many_requests_with_one_password_cost_one_hash() {
    // Each hash takes tens of milliseconds; clients send the password with every request.
    let server = TestServer::start();
    let dav = server.admin();
    dav.get("/dav/documents/").expect(&[200, 302, 405]);
    let since = std::time::Instant::now();
    for _ in 0..200 {
        dav.request("PROPFIND", "/dav/documents/", &[("Depth", "0")], b"")
            .expect(&[207]);
    }
    let each = since.elapsed() / 200;
    assert!(
        each < Duration::from_millis(25),
        "{each:?} for a request with known credentials"
    );
}
