//! What dav-server 0.11 gets wrong when nothing stands in front of it.

use super::fixture::Fixture;

#[tokio::test]
async fn deep_and_entity_laden_xml_is_refused_on_every_method() {
    let f = Fixture::new().await;
    let deep = format!("{}{}", "<a>".repeat(3000), "</a>".repeat(3000));
    let bomb = "<!DOCTYPE a [<!ENTITY b \"c\">]><a>&b;</a>";
    for method in ["PROPFIND", "PROPPATCH", "LOCK", "REPORT"] {
        assert_eq!(
            f.send(method, "/dav/documents", &[], &deep).await.status,
            400,
            "{method}"
        );
        assert_eq!(
            f.send(method, "/dav/documents", &[], bomb).await.status,
            400,
            "{method}"
        );
        let long = " ".repeat(64 * 1024 + 1);
        assert_eq!(
            f.send(method, "/dav/documents", &[], &long).await.status,
            413,
            "{method}"
        );
    }
}

#[tokio::test]
async fn a_malformed_if_neither_panics_nor_counts_as_absent() {
    let f = Fixture::new().await;
    f.put("/dav/a", "old").await;
    for value in [
        "(<abc",
        "(",
        "<x",
        "()",
        "garbage",
        "(<urn:x:y>) (",
        "([\"a b\"])",
        "(Not Not <a:b>)",
    ] {
        let answer = f
            .send("PUT", "/dav/a", &[&format!("If: {value}")], "new")
            .await;
        assert!(
            matches!(answer.status, 400 | 412),
            "{value} {}",
            answer.status
        );
    }
    assert_eq!(f.get("/dav/a").await, "old");
}

#[tokio::test]
async fn a_path_only_tag_is_evaluated() {
    let f = Fixture::new().await;
    let etag = f.put("/dav/a", "old").await.header("etag").to_owned();
    let stale = f
        .send("PUT", "/dav/a", &["If: </dav/a> ([\"stale\"])"], "new")
        .await;
    assert_eq!(stale.status, 412);
    let right = format!("If: </dav/a> ([{etag}])");
    assert_eq!(f.send("PUT", "/dav/a", &[&right], "new").await.status, 204);
}

#[tokio::test]
async fn headers_sent_twice_are_refused() {
    let f = Fixture::new().await;
    for headers in [
        ["Destination: /dav/x", "Destination: /dav/y"],
        ["Overwrite: F", "Overwrite: T"],
        ["Depth: 0", "Depth: 1"],
        ["If: (<a:b>)", "If: (<a:c>)"],
        ["X-OC-Mtime: 1", "X-OC-Mtime: 2"],
        ["Lock-Token: <a:b>", "Lock-Token: <a:c>"],
    ] {
        assert_eq!(
            f.status("MOVE", "/dav/documents", &headers).await,
            400,
            "{headers:?}"
        );
    }
}

#[tokio::test]
async fn the_prefix_ends_at_a_slash() {
    let mut f = Fixture::new().await;
    f.dav = f.dav.with_prefix("/files/al/");
    assert_eq!(f.put("/files/al/x", "x").await.status, 201);
    assert_eq!(f.status("GET", "/files/alice/x", &[]).await, 404);
    assert_eq!(
        f.status("MOVE", "/files/al/x", &["Destination: /files/alice/y"])
            .await,
        502
    );
    assert_eq!(
        f.find("/files/al", "0", "<d:getetag/>").await.hrefs(),
        ["/files/al/"]
    );
    f.dav = f.dav.with_prefix("/f/al ice/");
    assert_eq!(f.get("/f/al%20ice/x").await, "x");
    assert_eq!(
        f.status("MOVE", "/f/al%20ice/x", &["Destination: /f/al%20ice/y"])
            .await,
        201
    );
    assert_eq!(
        f.find("/f/al%20ice/y", "0", "<d:getetag/>").await.hrefs(),
        ["/f/al%20ice/y"]
    );
}

#[tokio::test]
async fn the_litmus_header_opens_nothing() {
    let f = Fixture::new().await;
    let headers = ["X-Litmus: props 1", "Depth: infinity"];
    assert_eq!(f.send("PROPFIND", "/dav/", &headers, "").await.status, 403);
}

#[tokio::test]
async fn times_before_1970_are_served() {
    let f = Fixture::new().await;
    let put = f.send("PUT", "/dav/a", &["X-OC-Mtime: -86400"], "x").await;
    assert_eq!(put.status, 201);
    let found = f.find("/dav/a", "0", "<d:getlastmodified/>").await;
    assert_eq!(
        found.text("d:getlastmodified"),
        "Wed, 31 Dec 1969 00:00:00 GMT"
    );
    let head = f.send("HEAD", "/dav/a", &[], "").await;
    assert_eq!(
        head.header("last-modified"),
        "Thu, 01 Jan 1970 00:00:00 GMT"
    );
}

#[tokio::test]
async fn a_connection_is_not_closed_without_need() {
    let f = Fixture::new().await;
    for (method, path) in [
        ("PUT", "/dav/no/parent"),
        ("SEARCH", "/dav/"),
        ("MKCOL", "/dav/a/b"),
    ] {
        assert_eq!(
            f.send(method, path, &[], "").await.header("connection"),
            "",
            "{method}"
        );
    }
}

#[tokio::test]
async fn pieces_of_old_sync_clients_are_not_stored_as_files() {
    let f = Fixture::new().await;
    let path = "/dav/a-chunking-1-2-0";
    assert_eq!(
        f.send("PUT", path, &["OC-Chunked: 1"], "x").await.status,
        400
    );
    assert_eq!(f.status("HEAD", path, &[]).await, 404);
}
