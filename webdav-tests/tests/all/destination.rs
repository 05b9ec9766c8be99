//! The forms of `Destination` that clients and the proxies before them make (CT10).

use webdav_tests::TestServer;

#[test]
fn only_the_path_of_the_destination_counts() {
    let server = TestServer::start();
    let dav = server.admin();
    let host = server.address();
    let forms = [
        ("same host", format!("http://{host}/dav/b")),
        (
            "another scheme (TLS proxy)",
            format!("https://{host}/dav/b"),
        ),
        ("another host", "https://files.example.org/dav/b".to_owned()),
        ("another port", "http://127.0.0.1:1/dav/b".to_owned()),
        (
            "with credentials (KIO 5)",
            format!("http://admin:secret@{host}/dav/b"),
        ),
        ("path only (Nextcloud)", "/dav/b".to_owned()),
        ("webdav scheme (KIO 6)", format!("webdav://{host}/dav/b")),
        ("webdavs scheme (KIO 6)", format!("webdavs://{host}/dav/b")),
    ];
    for (name, destination) in forms {
        dav.put("/dav/a", name.as_bytes()).expect(&[201]);
        for method in ["COPY", "MOVE"] {
            let answer = dav.request(method, "/dav/a", &[("Destination", &destination)], b"");
            assert!(
                matches!(answer.status, 201 | 204),
                "{method}, {name}: {answer}"
            );
            assert_eq!(dav.get("/dav/b").body, name.as_bytes(), "{method}, {name}");
        }
        dav.delete("/dav/b").expect(&[204]);
    }
}

#[test]
fn encoded_names_arrive_decoded() {
    let server = TestServer::start();
    let dav = server.admin();
    dav.put("/dav/a", b"x").expect(&[201]);
    dav.rename("/dav/a", "/dav/documents/na%C3%AFve%20%23%3F%25.txt")
        .expect(&[201]);
    assert_eq!(dav.names("/dav/documents/"), ["naïve #?%.txt"]);
}

#[test]
fn without_a_destination_nothing_moves() {
    let server = TestServer::start();
    let dav = server.admin();
    dav.put("/dav/a", b"x").expect(&[201]);
    for method in ["COPY", "MOVE"] {
        dav.request(method, "/dav/a", &[], b"").expect(&[400]);
        for nonsense in [
            "",
            " ",
            "http://",
            "://",
            "%",
            "/dav/%zz",
            "/dav/%00",
            "/dav/../../x",
            "dav/b",
            "/dav/%FF",
        ] {
            let answer = dav.request(method, "/dav/a", &[("Destination", nonsense)], b"");
            assert!(
                (400..=502).contains(&answer.status) && answer.status != 500,
                "{method} to {nonsense:?}: {answer}"
            );
        }
    }
    assert_eq!(
        dav.names("/dav/"),
        ["a", "backups", "documents", "photos", "shared"]
    );
}
