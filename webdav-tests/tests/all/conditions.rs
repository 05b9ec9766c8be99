//! `If-Match`, `If-None-Match`, dates and `If`: nobody overwrites what he has not seen (CT13).

use webdav_tests::{Dav, Response, TestServer, xml};

fn with(dav: &Dav, method: &str, name: &str, value: &str) -> Response {
    dav.request(
        method,
        "/dav/a",
        &[(name, value)],
        if method == "PUT" { b"new" } else { b"" },
    )
}

#[test]
fn if_match_lets_the_right_version_through_only() {
    let server = TestServer::start();
    let dav = server.admin();
    let old = dav.put("/dav/a", b"1").expect(&[201]).etag();
    let now = dav.put("/dav/a", b"2").expect(&[204]).etag();

    with(&dav, "PUT", "If-Match", &old).expect(&[412]);
    assert_eq!(dav.get("/dav/a").body, b"2");
    with(&dav, "PUT", "If-Match", &format!("{old}, {now}")).expect(&[204]);
    with(&dav, "PUT", "If-Match", "*").expect(&[204]);
    dav.request("PUT", "/dav/missing", &[("If-Match", "*")], b"x")
        .expect(&[412]);
    dav.get("/dav/missing").expect(&[404]);
}

#[test]
fn conditions_hold_for_reading_too() {
    // GNOME saves with HEAD and If-Match before it sends the file.
    let server = TestServer::start();
    let dav = server.admin();
    let old = dav.put("/dav/a", b"1").expect(&[201]).etag();
    let now = dav.put("/dav/a", b"2").expect(&[204]).etag();
    for method in ["HEAD", "GET"] {
        with(&dav, method, "If-Match", &old).expect(&[412]);
        with(&dav, method, "If-Match", &now).expect(&[200]);
        with(&dav, method, "If-None-Match", &now).expect(&[304]);
        with(&dav, method, "If-None-Match", &old).expect(&[200]);
    }
}

#[test]
fn a_weak_validator_still_saves_the_download() {
    // Compressing proxies weaken ETags; comparison for 304 is weak.
    let server = TestServer::start();
    let dav = server.admin();
    let now = dav.put("/dav/a", b"1").expect(&[201]).etag();
    with(&dav, "GET", "If-None-Match", &format!("W/{now}")).expect(&[304]);
    let both = [
        ("If-None-Match", now.as_str()),
        ("If-Modified-Since", "Thu, 01 Jan 1970 00:00:00 GMT"),
    ];
    dav.request("GET", "/dav/a", &both, b"").expect(&[304]);
}

#[test]
fn if_none_match_star_creates_and_never_overwrites() {
    let server = TestServer::start();
    let dav = server.admin();
    with(&dav, "PUT", "If-None-Match", "*").expect(&[201]);
    with(&dav, "PUT", "If-None-Match", "*").expect(&[412]);
}

#[test]
fn dates_are_conditions_as_well() {
    let server = TestServer::start();
    let dav = server.admin();
    let _put = dav.put("/dav/a", b"1").expect(&[201]);
    let date = dav
        .get("/dav/a")
        .header("last-modified")
        .expect("Last-Modified")
        .to_owned();
    with(&dav, "GET", "If-Modified-Since", &date).expect(&[304]);
    with(
        &dav,
        "GET",
        "If-Modified-Since",
        "Thu, 01 Jan 1970 00:00:00 GMT",
    )
    .expect(&[200]);
    with(
        &dav,
        "PUT",
        "If-Unmodified-Since",
        "Thu, 01 Jan 1970 00:00:00 GMT",
    )
    .expect(&[412]);
    with(&dav, "PUT", "If-Unmodified-Since", &date).expect(&[204]);
}

#[test]
fn of_two_writers_with_the_same_base_one_wins() {
    // The condition must still hold when the upload is committed, not only when it began.
    let server = TestServer::start();
    let dav = server.admin();
    for _ in 0..5 {
        let base = dav.put("/dav/a", b"base").expect(&[201, 204]).etag();
        let won: usize = std::thread::scope(|scope| {
            let writers: Vec<_> = (0..6)
                .map(|n| {
                    let (dav, base) = (dav.again(), base.clone());
                    scope.spawn(move || {
                        let body = vec![n; 500_000];
                        let put = dav.request("PUT", "/dav/a", &[("If-Match", &base)], &body);
                        usize::from(put.expect(&[204, 412]).status == 204)
                    })
                })
                .collect();
            writers
                .into_iter()
                .map(|writer| writer.join().expect("a writer"))
                .sum()
        });
        assert_eq!(won, 1);
    }
}

#[test]
fn of_many_creators_one_wins() {
    let server = TestServer::start();
    let dav = server.admin();
    let won: usize = std::thread::scope(|scope| {
        let creators: Vec<_> = (0..8)
            .map(|_| {
                let dav = dav.again();
                let create = move || with(&dav, "PUT", "If-None-Match", "*").expect(&[201, 412]);
                scope.spawn(move || usize::from(create().status == 201))
            })
            .collect();
        creators
            .into_iter()
            .map(|creator| creator.join().expect("a creator"))
            .sum()
    });
    assert_eq!(won, 1);
}

#[test]
fn the_if_header_is_evaluated_in_all_its_forms() {
    let server = TestServer::start();
    let dav = server.admin();
    let now = dav.put("/dav/a", b"1").expect(&[201]).etag();
    let url = format!("{}a", server.dav_url());
    let good = [
        format!("([{now}])"),
        format!("(Not <DAV:no-lock> [{now}])"),
        format!("([\"other\"]) ([{now}])"),
        format!("<{url}> ([{now}])"),
        format!("</dav/a> ([{now}])"),
        "(Not <DAV:no-lock>)".to_owned(),
    ];
    for condition in good {
        dav.request(
            "PROPPATCH",
            "/dav/a",
            &[("If", &condition)],
            xml::set("<T:x/>").as_bytes(),
        )
        .expect(&[207]);
    }
    let bad = [
        "([\"other\"])".to_owned(),
        format!("(<DAV:no-lock> [{now}])"),
        format!("(Not [{now}])"),
        format!("<{url}> ([\"other\"])"),
        "</dav/a> ([\"other\"])".to_owned(),
    ];
    for condition in bad {
        let put = with(&dav, "PUT", "If", &condition);
        assert_eq!(put.status, 412, "{condition}: {put}");
    }
    assert_eq!(dav.get("/dav/a").body, b"1");
}

#[test]
fn the_etag_changes_with_the_content_only() {
    let mut server = TestServer::start();
    let dav = server.admin();
    let etag = dav.put("/dav/a", b"1").expect(&[201]).etag();
    dav.request(
        "PROPPATCH",
        "/dav/a",
        &[],
        xml::set("<T:x>1</T:x>").as_bytes(),
    )
    .expect(&[207]);
    dav.rename("/dav/a", "/dav/b").expect(&[201]);
    dav.rename("/dav/b", "/dav/documents/a").expect(&[201]);
    assert_eq!(dav.head_of("/dav/documents/a").etag(), etag);
    server.restart();
    assert_eq!(server.admin().head_of("/dav/documents/a").etag(), etag);
}

#[test]
fn the_etag_of_a_folder_changes_with_anything_below_it() {
    // Sync clients descend only into folders whose ETag changed.
    let server = TestServer::start();
    let dav = server.admin();
    let etag = |path: &str| {
        dav.propfind(path, "0", &xml::propfind("<D:getetag/>"))
            .only()
            .dav("getetag")
            .to_owned()
    };
    dav.mkcol("/dav/documents/d/").expect(&[201]);
    let paths = ["/dav/", "/dav/documents/", "/dav/documents/d/"];
    let mut seen = paths.map(etag);
    let photos = etag("/dav/photos/");
    let changes: [&dyn Fn(); 5] = [
        &|| {
            dav.put("/dav/documents/d/a", b"1").expect(&[201]);
        },
        &|| {
            dav.put("/dav/documents/d/a", b"2").expect(&[204]);
        },
        &|| {
            dav.rename("/dav/documents/d/a", "/dav/documents/d/b")
                .expect(&[201]);
        },
        &|| {
            dav.mkcol("/dav/documents/d/e/").expect(&[201]);
        },
        &|| {
            dav.delete("/dav/documents/d/b").expect(&[204]);
        },
    ];
    for (n, change) in changes.into_iter().enumerate() {
        change();
        let now = paths.map(etag);
        for (path, (before, after)) in paths.iter().zip(seen.iter().zip(&now)) {
            assert_ne!(before, after, "{path} after change {n}");
        }
        seen = now;
    }
    assert_eq!(etag("/dav/photos/"), photos, "a neighbour does not change");
}
