//! Request bodies made to break XML readers: refused by every method that reads XML.

use webdav_tests::xml;

use super::bad_input::{prepared, unharmed};

const XML_METHODS: [&str; 4] = ["PROPFIND", "PROPPATCH", "LOCK", "REPORT"];

#[test]
fn deeply_nested_xml_is_refused_by_every_method_that_reads_xml() {
    // A recursive reader overflows its stack, which ends the whole process.
    let (mut server, dav) = prepared();
    for levels in [65, 2000, 4500, 9000, 200_000] {
        let bodies = [
            xml::nested(levels, ""),
            "<a>".repeat(levels),
            format!(
                r#"<D:propfind xmlns:D="DAV:"><D:prop>{}</D:prop></D:propfind>"#,
                xml::nested(levels, "")
            ),
            xml::set(&format!("<T:x>{}</T:x>", xml::nested(levels, "deep"))),
            xml::lock("exclusive").replace("a tester", &xml::nested(levels, "")),
        ];
        for method in XML_METHODS {
            for body in &bodies {
                let answer =
                    dav.again()
                        .request(method, "/dav/a", &[("Depth", "0")], body.as_bytes());
                let clear = matches!(answer.status, 400 | 403 | 413 | 415 | 422);
                assert!(clear, "{method} with {levels} levels: {answer}");
            }
        }
    }
    unharmed(&mut server);
}

#[test]
fn entities_are_never_expanded() {
    let (mut server, dav) = prepared();
    let mut bomb = vec![r#"<?xml version="1.0"?><!DOCTYPE b [<!ENTITY e0 "ha">"#.to_owned()];
    bomb.extend((0..29).map(|n| format!("<!ENTITY e{} \"&e{n};&e{n};&e{n};&e{n};\">", n + 1)));
    bomb.push(r#"]><D:propfind xmlns:D="DAV:"><D:prop>&e29;</D:prop></D:propfind>"#.to_owned());
    let bomb = bomb.concat();
    let external = r#"<?xml version="1.0"?><!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/passwd">]><D:propertyupdate xmlns:D="DAV:"><D:set><D:prop><x xmlns="urn:test">&f;</x></D:prop></D:set></D:propertyupdate>"#;
    let empty = r#"<!DOCTYPE x><D:propfind xmlns:D="DAV:"><D:allprop/></D:propfind>"#;
    for method in XML_METHODS {
        for body in [bomb.as_str(), external, empty] {
            dav.again()
                .request(method, "/dav/a", &[("Depth", "0")], body.as_bytes())
                .expect(&[400, 403]);
        }
    }
    unharmed(&mut server);
}

#[test]
fn xml_that_is_too_much_is_refused() {
    let (mut server, dav) = prepared();
    let attributes: Vec<String> = (0..20_000).map(|n| format!("a{n}=\"v\" ")).collect();
    let bodies = [
        xml::propfind(&"<T:property/>".repeat(800_000)),
        xml::set(&format!("<T:x>{}</T:x>", "value ".repeat(2_000_000))),
        format!(
            "<D:propfind xmlns:D=\"DAV:\" {}><D:allprop/></D:propfind>",
            attributes.concat()
        ),
        format!("<{}/>", "n".repeat(1_000_000)),
    ];
    for method in XML_METHODS {
        for body in &bodies {
            let answer = dav
                .again()
                .request(method, "/dav/a", &[("Depth", "0")], body.as_bytes());
            assert!((400..500).contains(&answer.status), "{method}: {answer}");
        }
    }
    unharmed(&mut server);
}

#[test]
fn xml_that_is_none_is_refused() {
    let (mut server, dav) = prepared();
    let bodies: [&[u8]; 12] = [
        b"<",
        b"not xml",
        b"<D:propfind",
        br#"<D:propfind xmlns:D="DAV:">"#,
        b"<a></b>",
        b"\xff\xfe\x00\x00",
        br#"<D:propfind xmlns:D="DAV:"><X:prop/></D:propfind>"#,
        b"<?xml version=\"1.0\"?>",
        b"{}",
        b"<a b=c/>",
        b"<a>&unknown;</a>",
        b"<a>\x00</a>",
    ];
    for method in XML_METHODS {
        for body in bodies {
            let answer = dav.request(method, "/dav/a", &[("Depth", "0")], body);
            let shown = String::from_utf8_lossy(body);
            assert!(
                (400..500).contains(&answer.status),
                "{method} {shown:?}: {answer}"
            );
        }
    }
    let wrong_root = br#"<D:multistatus xmlns:D="DAV:"/>"#;
    for method in XML_METHODS {
        let answer = dav.request(method, "/dav/a", &[("Depth", "0")], wrong_root);
        assert!(
            (400..500).contains(&answer.status),
            "{method} of another root: {answer}"
        );
    }
    unharmed(&mut server);
}

#[test]
fn a_small_body_that_unpacks_to_a_huge_one_is_refused() {
    let (mut server, dav) = prepared();
    // 300 MB of spaces in about 30 kB.
    let mut packing = zstd::Encoder::new(Vec::new(), 3).expect("zstd");
    let spaces = vec![b' '; 1_000_000];
    for _ in 0..300 {
        std::io::Write::write_all(&mut packing, &spaces).expect("memory");
    }
    let bomb = packing.finish().expect("zstd");
    assert!(bomb.len() < 100_000);
    for method in XML_METHODS {
        let headers = [("Content-Encoding", "zstd"), ("Depth", "0")];
        let answer = dav.again().request(method, "/dav/a", &headers, &bomb);
        assert!((400..500).contains(&answer.status), "{method}: {answer}");
    }
    let peak = webdav_tests::memory::peak_mib(server.pid());
    assert!(peak < 100, "{peak} MiB");
    unharmed(&mut server);
}
