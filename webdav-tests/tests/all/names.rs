//! Names: whatever a device calls its files comes back exactly so, or is refused clearly (CT17, CT29).

use std::time::Duration;

use webdav_tests::TestServer;
use webdav_tests::multistatus::percent_decode;
use webdav_tests::raw::Raw;

fn encode(name: &str) -> String {
    name.bytes()
        .map(|b| {
            if b.is_ascii_alphanumeric() {
                (b as char).to_string()
            } else {
                format!("%{b:02X}")
            }
        })
        .collect()
}

#[test]
fn odd_names_come_back_exactly() {
    let server = TestServer::start();
    let dav = server.admin();
    let long = "ä".repeat(127);
    let names = [
        "with space",
        " leading",
        "trailing ",
        "#hash",
        "?question",
        "100%",
        "%41",
        "a&b<c>\"d'",
        "semi;colon",
        "plus+and=",
        "back\\slash",
        "ümläüt",
        "日本語",
        "👩‍👩‍👧‍👦 family 🏳️‍🌈",
        "عربى",
        "...",
        "..a",
        ".hidden",
        "~tilde",
        "a:b*c|d",
        "CON",
        "aux.txt",
        "dot.",
        long.as_str(),
        "()[]{}",
        "@,!$",
        "\u{200b}zero width",
        "\u{fffd}",
    ];
    for name in names {
        let path = format!("/dav/documents/{}", encode(name));
        dav.put(&path, name.as_bytes()).expect(&[201]);
        assert_eq!(
            dav.get(&path).expect(&[200]).body,
            name.as_bytes(),
            "{name:?}"
        );
    }
    let mut expected: Vec<String> = names.map(str::to_owned).into();
    expected.sort();
    assert_eq!(dav.names("/dav/documents/"), expected);
    // The href of the listing leads to the same file.
    let listing = dav.propfind("/dav/documents/", "1", webdav_tests::xml::LIST);
    for entry in listing.entries.iter().skip(1) {
        assert_eq!(
            String::from_utf8_lossy(&dav.get(&entry.href).expect(&[200]).body),
            entry.name()
        );
    }
}

#[test]
fn lower_case_and_needless_encoding_mean_the_same_name() {
    let server = TestServer::start();
    let dav = server.admin();
    dav.put("/dav/%61%c3%a4", b"x").expect(&[201]);
    assert_eq!(dav.get("/dav/a%C3%A4").expect(&[200]).body, b"x");
    assert_eq!(
        dav.get("/dav//a%C3%A4").expect(&[200, 404]).status,
        200,
        "a doubled slash"
    );
}

#[test]
fn composed_and_decomposed_forms_are_one_file() {
    // CT17: macOS sends NFD for a name that Linux made in NFC.
    let server = TestServer::start();
    let dav = server.admin();
    let (nfc, nfd) = (
        "/dav/documents/caf%C3%A9.txt",
        "/dav/documents/cafe%CC%81.txt",
    );
    dav.put(nfc, b"1").expect(&[201]);

    assert_eq!(dav.get(nfd).expect(&[200]).body, b"1");
    dav.put(nfd, b"2").expect(&[204]);
    assert_eq!(dav.get(nfc).body, b"2");
    assert_eq!(dav.names("/dav/documents/"), ["café.txt"]);
    dav.mkcol("/dav/u%CC%88/").expect(&[201]);
    dav.put("/dav/%C3%BC/inside", b"x").expect(&[201]);
    dav.delete(nfd).expect(&[204]);
    dav.get(nfc).expect(&[404]);
}

#[test]
fn the_stored_form_is_the_one_that_was_sent_first() {
    let server = TestServer::start();
    let dav = server.admin();
    dav.put("/dav/documents/e%CC%81", b"1").expect(&[201]);
    dav.put("/dav/documents/%C3%A9", b"2").expect(&[204]);
    let listing = dav.propfind("/dav/documents/", "1", webdav_tests::xml::LIST);
    assert_eq!(
        percent_decode(&listing.entries[1].href),
        "/dav/documents/e\u{301}".as_bytes()
    );
}

#[test]
fn names_that_cannot_be_are_refused() {
    let server = TestServer::start();
    let dav = server.admin();
    let too_long = format!("/dav/{}", "x".repeat(256));
    let impossible = [
        "/dav/a%00b",
        "/dav/a%0Ab",
        "/dav/a%0Db",
        "/dav/%1F",
        "/dav/a%7Fb",
        "/dav/a%2Fb",
        "/dav/%FF%FE",
        "/dav/%C3",
        "/dav/%ED%A0%80",
        "/dav/a%C2%80b",
        too_long.as_str(),
        "/dav/%zz",
        "/dav/%",
    ];
    for path in impossible {
        let status = dav.put(path, b"x").status;
        assert!((400..500).contains(&status), "PUT {path}: {status}");
        let status = dav.mkcol(path).status;
        assert!((400..500).contains(&status), "MKCOL {path}: {status}");
        dav.put("/dav/source", b"x").expect(&[201, 204]);
        let status = dav.rename("/dav/source", path).status;
        assert!((400..500).contains(&status), "MOVE to {path}: {status}");
        let status = dav.get(path).status;
        assert!((400..500).contains(&status), "GET {path}: {status}");
    }
    assert_eq!(
        dav.names("/dav/"),
        ["backups", "documents", "photos", "shared", "source"]
    );
}

#[test]
fn nothing_leads_out_of_the_own_tree() {
    let server = TestServer::start();
    let (admin, bob) = (
        server.admin(),
        server.add_user("bob", "a long password 1", None),
    );
    admin
        .put("/dav/documents/secret", b"the admin's")
        .expect(&[201]);
    let escapes = [
        "/dav/../../etc/passwd",
        "/dav/%2e%2e/%2e%2e/etc/passwd",
        "/dav/..%2f..%2fetc/passwd",
        "/dav/documents/../../admin/documents/secret",
        "/dav/../admin/documents/secret",
        "/dav/admin/documents/secret",
        "/dav/shared/../documents/secret",
        "/dav/..%5c..%5cwindows",
        "/dav/documents/secret",
        "/dav/.%2e/secret",
        "//etc/passwd",
        "/dav/%252e%252e/x",
    ];
    for path in escapes {
        let mut raw = Raw::connect(&server.address());
        raw.send(format!(
            "GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: {}\r\nConnection: close\r\n\r\n",
            bob.authorization().expect("logged in")
        ));
        let answer = raw.answer(Duration::from_secs(20)).expect("an answer");
        assert!((400..500).contains(&answer.status), "{path}: {answer}");
        assert!(
            !answer.text().contains("the admin's") && !answer.text().contains("root:"),
            "{path}"
        );
    }
    bob.request("MKCOL", "/dav/documents/x%2F..%2F..%2Fy/", &[], b"")
        .expect(&[400, 403, 404, 409]);
    assert_eq!(
        bob.names("/dav/"),
        ["backups", "documents", "photos", "shared"]
    );
}

#[test]
fn deep_and_long_paths_work_up_to_a_limit_and_are_refused_above() {
    let server = TestServer::start();
    let dav = server.admin();
    let mut path = "/dav".to_owned();
    let mut made = 0;
    for _ in 0..300 {
        path.push_str("/deep");
        let status = dav.mkcol(&path).status;
        if status != 201 {
            assert!(
                (400..500).contains(&status),
                "MKCOL at depth {made}: {status}"
            );
            break;
        }
        made += 1;
    }
    assert!((50..300).contains(&made), "{made} folders deep");
    dav.delete("/dav/deep").expect(&[204]);
    let endless = format!("/dav/{}", "long/".repeat(20_000));
    let answer = dav.request("GET", &endless, &[], b"");
    assert!((400..500).contains(&answer.status), "{}", answer.status);
}
