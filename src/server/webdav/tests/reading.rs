//! GET, HEAD and OPTIONS.

use super::fixture::Fixture;

#[tokio::test]
async fn parts_of_a_file_are_served() {
    let f = Fixture::new().await;
    let etag = f
        .put("/dav/a.txt", "0123456789")
        .await
        .header("etag")
        .to_owned();
    let get = async |headers: &[&str]| f.send("GET", "/dav/a.txt", headers, "").await;
    let part = get(&["Range: bytes=2-4"]).await;
    assert_eq!((part.status, part.body.as_str()), (206, "234"));
    assert_eq!(part.header("content-range"), "bytes 2-4/10");
    assert_eq!(get(&["Range: bytes=-3"]).await.body, "789");
    assert_eq!(get(&["Range: bytes=8-"]).await.body, "89");
    assert_eq!(get(&["Range: bytes=20-"]).await.status, 416);
    assert_eq!(get(&["Range: bytes=0-1,5-6"]).await.body, "0123456789");
    assert_eq!(
        get(&["Range: bytes=0-1", &format!("If-Range: {etag}")])
            .await
            .status,
        206
    );
    assert_eq!(
        get(&["Range: bytes=0-1", "If-Range: \"old\""]).await.status,
        200
    );
    f.put("/dav/empty", "").await;
    assert_eq!(
        f.status("GET", "/dav/empty", &["Range: bytes=0-1"]).await,
        416
    );
}

#[tokio::test]
async fn a_file_comes_with_its_validators() {
    let f = Fixture::new().await;
    let etag = f.put("/dav/a.txt", "text").await.header("etag").to_owned();
    let answer = f.send("GET", "/dav/a.txt", &[], "").await;
    assert_eq!(answer.header("etag"), etag);
    assert_eq!(answer.header("content-length"), "4");
    assert_eq!(answer.header("accept-ranges"), "bytes");
    assert_eq!(answer.header("content-type"), "text/plain");
    assert_eq!(answer.header("x-content-type-options"), "nosniff");
    assert_eq!(answer.header("oc-etag"), etag);
    for condition in [
        format!("If-None-Match: {etag}"),
        format!("If-None-Match: W/{etag}"),
    ] {
        assert_eq!(
            f.status("GET", "/dav/a.txt", &[&condition]).await,
            304,
            "{condition}"
        );
    }
    assert_eq!(
        f.status("HEAD", "/dav/a.txt", &["If-Match: \"stale\""])
            .await,
        412
    );
    assert_eq!(
        f.status("HEAD", "/dav/a.txt", &[&format!("If-Match: {etag}")])
            .await,
        200
    );
}

#[tokio::test]
async fn an_uploaded_page_cannot_run_here() {
    let f = Fixture::new().await;
    for name in ["a.html", "a.svg", "a.xhtml"] {
        f.put(&format!("/dav/{name}"), "<script>").await;
        let answer = f.send("GET", &format!("/dav/{name}"), &[], "").await;
        assert!(
            answer
                .header("content-security-policy")
                .starts_with("sandbox"),
            "{name}"
        );
    }
}

#[tokio::test]
async fn a_collection_is_a_page_with_links() {
    let f = Fixture::new().await;
    f.put("/dav/documents/%3Cb%3E%26", "x").await;
    f.status("MKCOL", "/dav/documents/sub", &[]).await;
    for path in ["/dav/documents", "/dav/documents/"] {
        let page = f.send("GET", path, &[], "").await;
        assert_eq!(page.status, 200);
        assert!(
            page.body
                .contains("<a href=\"/dav/documents/%3Cb%3E%26\">&lt;b&gt;&amp;</a>")
        );
        assert!(
            page.body
                .contains("<a href=\"/dav/documents/sub/\">sub/</a>")
        );
        assert!(page.body.contains("<a href=\"/dav/\">..</a>"));
        assert!(page.body.ends_with("</html>"));
    }
    let head = f.send("HEAD", "/dav/documents", &[], "").await;
    assert_eq!((head.status, head.body.as_str()), (200, ""));
    let etag = head.header("etag").to_owned();
    assert_eq!(
        f.status(
            "GET",
            "/dav/documents",
            &[&format!("If-None-Match: {etag}")]
        )
        .await,
        304
    );
    assert_eq!(
        f.status("HEAD", "/dav/documents", &["If-Match: \"x\""])
            .await,
        412
    );
    assert_eq!(f.status("HEAD", "/dav/missing", &[]).await, 404);
}

#[tokio::test]
async fn options_tell_what_is_possible_where() {
    let f = Fixture::new().await;
    f.put("/dav/a", "x").await;
    for (path, has, lacks) in [
        ("/dav/", "REPORT", "PUT"),
        ("/dav/a", "PATCH", "REPORT"),
        ("/dav/missing", "MKCOL", "GET"),
    ] {
        let answer = f.send("OPTIONS", path, &[], "").await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("dav"), "1, 2, 3, sabredav-partialupdate");
        assert_eq!(answer.header("ms-author-via"), "DAV");
        assert_eq!(answer.header("content-length"), "0");
        let allow: Vec<_> = answer.header("allow").split(", ").collect();
        assert!(
            allow.contains(&has) && !allow.contains(&lacks),
            "{path} {allow:?}"
        );
    }
}
