//! Nonsense and malice: a clear refusal or a closed connection, no harm to the tree or the process.

use std::time::Duration;

use webdav_tests::content::prose;
use webdav_tests::raw::Raw;
use webdav_tests::{Dav, TestServer, xml};

const PATIENCE: Duration = Duration::from_secs(30);

/// A server with one file, to be checked by [`unharmed`].
pub(super) fn prepared() -> (TestServer, Dav) {
    let server = TestServer::start();
    let dav = server.admin();
    dav.put("/dav/a", b"the content").expect(&[201]);
    (server, dav)
}

/// The same process still serves the same tree.
#[track_caller]
pub(super) fn unharmed(server: &mut TestServer) {
    assert!(server.is_alive(), "the process died");
    let dav = server.admin();
    assert_eq!(dav.get("/dav/a").expect(&[200]).body, b"the content");
    assert_eq!(
        dav.names("/dav/"),
        ["a", "backups", "documents", "photos", "shared"]
    );
}

/// Sends raw bytes (`{auth}` is filled in) and expects a 4xx, a 501, a 505 or a closed connection.
#[track_caller]
fn refused(server: &TestServer, request: &[u8]) {
    let authorization = server
        .admin()
        .authorization()
        .expect("logged in")
        .to_owned();
    let text = String::from_utf8_lossy(request);
    let mut raw = Raw::connect(&server.address());
    if text.contains("{auth}") {
        raw.send(text.replace(
            "{auth}",
            &format!("Authorization: {authorization}\r\nHost: x"),
        ));
    } else {
        raw.send(request);
    }
    raw.finish_sending();
    if let Some(answer) = raw.answer(PATIENCE) {
        let clear = matches!(answer.status, 400..=499 | 501 | 505);
        assert!(clear, "{:?} got {answer}", &text[..text.len().min(200)]);
    }
}

#[test]
fn a_malformed_if_header_changes_nothing() {
    let (mut server, dav) = prepared();
    let nonsense = [
        "(<abc",
        "(",
        ")",
        "()",
        "<",
        "<>",
        "(<>)",
        "([",
        "([\"",
        "([\"x\"",
        "(Not",
        "(Not )",
        "<http://x",
        "(<a>) x",
        "((<a>))",
        "[\"x\"]",
        "(<a>",
        "<a>",
        "<a> <b>",
        "(Not Not <a>)",
        "(\"x\")",
        "; DROP TABLE",
        "(<a> <b",
        "\u{7f}",
        ",",
    ];
    for condition in nonsense {
        for method in [
            "PUT",
            "DELETE",
            "MOVE",
            "COPY",
            "PROPPATCH",
            "LOCK",
            "MKCOL",
        ] {
            let body: &[u8] = if method == "PUT" { b"changed" } else { b"" };
            let headers = [("If", condition), ("Destination", "/dav/b")];
            let answer = dav.request(method, "/dav/a", &headers, body);
            assert!(
                (400..500).contains(&answer.status),
                "{method} with If: {condition}: {answer}"
            );
        }
    }
    let long = format!("({})", "<urn:x>".repeat(1000));
    dav.request("PUT", "/dav/a", &[("If", &long)], b"changed")
        .expect(&[400, 412, 431]);
    unharmed(&mut server);
}

#[test]
fn odd_values_of_other_headers_do_no_harm() {
    let (mut server, dav) = prepared();
    for depth in [
        "2",
        "-1",
        "abc",
        "",
        "0, 1",
        "infinity, 0",
        "99999999999999999999",
    ] {
        let answer = dav.request(
            "PROPFIND",
            "/dav/",
            &[("Depth", depth)],
            xml::LIST.as_bytes(),
        );
        assert_eq!(answer.status, 400, "Depth {depth:?}: {answer}");
        let answer = dav.request("DELETE", "/dav/a", &[("Depth", depth)], b"");
        assert_eq!(answer.status, 400, "DELETE with Depth {depth:?}: {answer}");
    }
    for overwrite in ["x", "", "TF"] {
        let headers = [
            ("Destination", "/dav/documents/b"),
            ("Overwrite", overwrite),
        ];
        let answer = dav.request("COPY", "/dav/a", &headers, b"");
        assert!(
            matches!(answer.status, 201 | 204 | 400),
            "Overwrite {overwrite:?}: {answer}"
        );
    }
    for (name, value) in [
        ("If-Match", "\""),
        ("If-Match", "x"),
        ("If-None-Match", "\"\"\""),
        ("If-Modified-Since", "yesterday"),
        ("If-Unmodified-Since", "99"),
        ("Lock-Token", "x"),
        ("Content-Type", "\""),
        ("Accept-Encoding", ";;;"),
        ("X-Expected-Entity-Length", "x"),
        ("User-Agent", ""),
        ("X-Request-Id", "<script>"),
        ("X-Forwarded-For", ",,,"),
        ("Content-Range", "bytes x-y/z"),
        ("X-Litmus", "x"),
    ] {
        let status = dav.request("GET", "/dav/a", &[(name, value)], b"").status;
        assert!(status < 500, "GET with {name}: {value}: {status}");
    }
    unharmed(&mut server);
}

#[test]
fn an_odd_timeout_is_ignored_or_refused() {
    let (mut server, dav) = prepared();
    for timeout in [
        "Second-",
        "Second-abc",
        "Second--1",
        "Second-99999999999999999999",
        "0",
        ",,,",
        "Infinite-5",
    ] {
        let lock = dav.request(
            "LOCK",
            "/dav/a",
            &[("Timeout", timeout)],
            xml::lock("exclusive").as_bytes(),
        );
        if lock.expect(&[200, 400]).status == 200 {
            let listing = dav.propfind("/dav/a", "0", &xml::propfind("<D:lockdiscovery/>"));
            let found = listing.only().dav("lockdiscovery").to_owned();
            let start = found
                .find("urn:")
                .or(found.find("opaquelocktoken:"))
                .expect("a token");
            let token: String = found[start..]
                .chars()
                .take_while(|c| !c.is_whitespace())
                .take(45)
                .collect();
            let token = format!("<{token}>");
            dav.request("UNLOCK", "/dav/a", &[("Lock-Token", &token)], b"")
                .expect(&[204]);
        }
    }
    unharmed(&mut server);
}

#[test]
fn partial_updates_that_make_no_sense_change_nothing() {
    let (mut server, dav) = prepared();
    for range in [
        "bytes 5-2/11",
        "bytes x-y/11",
        "bytes 0-99999999999999999999/1",
        "bytes */11",
        "lines 0-1/11",
        "bytes 3-4/11",
    ] {
        // The last one announces two bytes and sends eleven.
        let answer = dav.request("PUT", "/dav/a", &[("Content-Range", range)], b"eleven byte");
        assert!(
            (400..502).contains(&answer.status) && answer.status != 500,
            "{range}: {answer}"
        );
    }
    for range in ["bytes=5-2", "bytes=x-y", "", "bytes=99999999999999999999-"] {
        let headers = [
            ("Content-Type", "application/x-sabredav-partialupdate"),
            ("X-Update-Range", range),
        ];
        let answer = dav.request("PATCH", "/dav/a", &headers, b"x");
        assert!(
            (400..502).contains(&answer.status) && answer.status != 500,
            "{range}: {answer}"
        );
    }
    dav.request(
        "PATCH",
        "/dav/a",
        &[("Content-Type", "application/json")],
        b"{}",
    )
    .expect(&[400, 405, 415]);
    unharmed(&mut server);
}

#[test]
fn lying_and_double_lengths_are_refused() {
    let (mut server, _dav) = prepared();
    let requests: [&[u8]; 10] = [
        b"PUT /dav/x HTTP/1.1\r\n{auth}\r\nContent-Length: -5\r\n\r\nhello",
        b"PUT /dav/x HTTP/1.1\r\n{auth}\r\nContent-Length: five\r\n\r\nhello",
        b"PUT /dav/x HTTP/1.1\r\n{auth}\r\nContent-Length: 99999999999999999999999\r\n\r\nhello",
        b"PUT /dav/x HTTP/1.1\r\n{auth}\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
        b"PUT /dav/x HTTP/1.1\r\n{auth}\r\nContent-Length: 9223372036854775807\r\n\r\nhello",
        b"PUT /dav/x HTTP/1.1\r\n{auth}\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\nhello\r\n0\r\n\r\n",
        b"PUT /dav/x HTTP/1.1\r\n{auth}\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello",
        b"PUT /dav/x HTTP/1.1\r\n{auth}\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\nhello",
        b"PUT /dav/x HTTP/1.1\r\n{auth}\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\nhello\r\n0\r\n\r\n",
        b"PUT /dav/x HTTP/1.1\r\n{auth}\r\nTransfer-Encoding: sausage\r\n\r\nhello",
    ];
    for request in requests {
        refused(&server, request);
    }
    unharmed(&mut server);
}

#[test]
fn a_request_cannot_hide_in_the_body_of_another() {
    // Both a length and chunks: a proxy and the server could disagree about where the request ends.
    let (mut server, dav) = prepared();
    let mut raw = Raw::connect(&server.address());
    let authorization = dav.authorization().expect("logged in");
    raw.send(format!(
        "POST /dav/a HTTP/1.1\r\nHost: x\r\nAuthorization: {authorization}\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n\
         0\r\n\r\nDELETE /dav/a HTTP/1.1\r\nHost: x\r\nAuthorization: {authorization}\r\n\r\n"
    ));
    raw.finish_sending();
    let first = raw.answer(PATIENCE);
    if let Some(answer) = first {
        assert!(answer.status >= 400, "{answer}");
    }
    // Whether the rest is read as a request or not is the protocol's rule (chunks win, RFC 9112
    // section 6.1, and the connection must be closed); the file must not depend on it.
    let answers_after = raw.answer(Duration::from_secs(5));
    assert!(
        answers_after.is_none(),
        "the hidden request was answered: {answers_after:?}"
    );
    unharmed(&mut server);
}

#[test]
fn what_is_not_http_is_refused() {
    let (mut server, _dav) = prepared();
    let long_line = format!(
        "GET /dav/{} HTTP/1.1\r\n{{auth}}\r\n\r\n",
        "a".repeat(300_000)
    );
    let big_header = format!(
        "GET /dav/a HTTP/1.1\r\n{{auth}}\r\nX-Big: {}\r\n\r\n",
        "b".repeat(1_000_000)
    );
    let many: String = "X-Many: 1\r\n".repeat(20_000);
    let many_headers = format!("GET /dav/a HTTP/1.1\r\n{{auth}}\r\n{many}\r\n");
    let requests: [&[u8]; 12] = [
        b"\0\0\0\0\r\n\r\n",
        b"\r\n\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET /dav/a\r\n\r\n",
        b"GET /dav/\0a HTTP/1.1\r\n{auth}\r\n\r\n",
        b"GET /dav/a HTTP/9.9\r\n{auth}\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nnonsense",
        b"G\xffT /dav/a HTTP/1.1\r\n{auth}\r\n\r\n",
        long_line.as_bytes(),
        big_header.as_bytes(),
        many_headers.as_bytes(),
    ];
    for request in requests {
        refused(&server, request);
    }
    unharmed(&mut server);
}

#[test]
fn unknown_methods_are_405_or_501_and_keep_the_tree() {
    let (mut server, dav) = prepared();
    for method in [
        "POST",
        "TRACE",
        "CONNECT",
        "SEARCH",
        "ACL",
        "BIND",
        "VERSION-CONTROL",
        "MKCALENDAR",
        "BREW",
        "get",
    ] {
        let status = dav.request(method, "/dav/a", &[], b"").status;
        assert!(
            (400..500).contains(&status) || status == 501,
            "{method}: {status}"
        );
    }
    unharmed(&mut server);
}

#[test]
fn bodies_where_none_belongs_are_refused_or_ignored() {
    let (mut server, dav) = prepared();
    let body = prose(200_000);
    for method in ["MKCOL", "DELETE", "COPY", "MOVE", "UNLOCK"] {
        let headers = [("Destination", "/dav/b"), ("Content-Type", "text/plain")];
        let status = dav
            .again()
            .request(method, "/dav/a", &headers, &body)
            .status;
        assert!(
            (400..500).contains(&status),
            "{method} with a body: {status}"
        );
    }
    let status = dav.again().request("GET", "/dav/a", &[], &body).status;
    assert!(
        matches!(status, 200 | 400..=499),
        "GET with a body: {status}"
    );
    unharmed(&mut server);
}

#[test]
fn half_a_request_on_a_thousand_connections_leaves_no_trace() {
    let (mut server, dav) = prepared();
    let authorization = dav.authorization().expect("logged in");
    for n in 0..1000 {
        let mut raw = Raw::connect(&server.address());
        let whole = format!(
            "PUT /dav/x{n} HTTP/1.1\r\nHost: x\r\nAuthorization: {authorization}\r\nContent-Length: 50\r\n\r\nhalf"
        );
        raw.send(&whole.as_bytes()[..(n * 7) % whole.len()]);
    }
    unharmed(&mut server);
}
