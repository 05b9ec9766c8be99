//! PUT, PATCH, MKCOL and DELETE.

use super::fixture::{Fixture, frames};
use crate::server::webdav::AppleFiles;
use axum::body::Body;
use http::Request;

#[tokio::test]
async fn a_file_is_created_read_replaced_and_deleted() {
    let f = Fixture::new().await;
    let made = f.put("/dav/a.txt", "one").await;
    assert_eq!(made.status, 201);
    assert_eq!(f.get("/dav/a.txt").await, "one");
    let replaced = f.put("/dav/a.txt", "second").await;
    assert_eq!(replaced.status, 204);
    assert_ne!(made.header("etag"), replaced.header("etag"));
    assert_eq!(f.get("/dav/a.txt").await, "second");
    assert_eq!(f.status("DELETE", "/dav/a.txt", &[]).await, 204);
    assert_eq!(f.status("GET", "/dav/a.txt", &[]).await, 404);
    assert_eq!(f.status("DELETE", "/dav/a.txt", &[]).await, 404);
}

#[tokio::test]
async fn a_put_without_body_and_length_makes_an_empty_file() {
    let f = Fixture::new().await;
    let answer = f.put("/dav/empty", "").await;
    assert_eq!(answer.status, 201);
    assert!(answer.header("etag").starts_with('"'));
    assert_eq!(f.get("/dav/empty").await, "");
}

#[tokio::test]
async fn sync_clients_get_what_they_need_from_a_put() {
    let mut f = Fixture::new().await;
    f.dav = f.dav.with_instance("ocx");
    let sum = "OC-Checksum: SHA1:fe05bcdcdc4928012781a5f1a2a77cbb5398e106";
    let headers = ["X-OC-Mtime: 1500000000", sum];
    let answer = f.send("PUT", "/dav/a", &headers, "one").await;
    assert_eq!(answer.status, 201, "{answer:?}");
    assert_eq!(answer.header("x-oc-mtime"), "accepted");
    assert_eq!(answer.header("oc-etag"), answer.header("etag"));
    assert!(answer.header("oc-fileid").ends_with("ocx"));
    let head = f.send("HEAD", "/dav/a", &[], "").await;
    assert_eq!(
        head.header("last-modified"),
        "Fri, 14 Jul 2017 02:40:00 GMT"
    );
    assert_eq!(head.header("etag"), answer.header("etag"));
    assert_eq!(head.header("content-length"), "3");
}

#[tokio::test]
async fn wrong_checksums_and_odd_times_leave_nothing() {
    let f = Fixture::new().await;
    let wrong = "OC-Checksum: SHA1:0000000000000000000000000000000000000000";
    assert_eq!(f.send("PUT", "/dav/a", &[wrong], "one").await.status, 400);
    assert_eq!(
        f.send("PUT", "/dav/a", &["OC-Checksum: SHA1:xyz"], "one")
            .await
            .status,
        400
    );
    assert_eq!(
        f.send("PUT", "/dav/a", &["X-OC-Mtime: then"], "one")
            .await
            .status,
        400
    );
    assert_eq!(f.status("HEAD", "/dav/a", &[]).await, 404);
    assert_eq!(
        f.send("PUT", "/dav/a", &["OC-Checksum: CRC99:1"], "one")
            .await
            .status,
        201
    );
}

#[tokio::test]
async fn a_body_of_the_wrong_length_leaves_the_old_file() {
    let f = Fixture::new().await;
    f.put("/dav/a", "old").await;
    for (length, broken) in [("1000", false), ("4", false), ("1000", true), ("9", true)] {
        for header in ["x-expected-entity-length", "content-length"] {
            let request = Request::put("/dav/a").header(header, length);
            let request = request.body(frames("new bytes!", broken)).unwrap();
            let answer = f.send_as(&f.tree, request).await;
            assert_eq!(answer.status, 400, "{header} {length} {broken} {answer:?}");
            assert_eq!(f.get("/dav/a").await, "old");
        }
    }
    let broken = Request::put("/dav/b").body(frames("torso", true)).unwrap();
    assert_eq!(f.send_as(&f.tree, broken).await.status, 400);
    assert_eq!(f.status("HEAD", "/dav/b", &[]).await, 404);
    let finder = Request::put("/dav/a").header("x-expected-entity-length", "10");
    let finder = finder.body(frames("new bytes!", false)).unwrap();
    assert_eq!(f.send_as(&f.tree, finder).await.status, 204);
    assert_eq!(f.get("/dav/a").await, "new bytes!");
}

#[tokio::test]
async fn conditions_are_checked() {
    let f = Fixture::new().await;
    let etag = f.put("/dav/a", "one").await.header("etag").to_owned();
    let put = async |header: &str| f.send("PUT", "/dav/a", &[header], "two").await.status;
    assert_eq!(put("If-None-Match: *").await, 412);
    assert_eq!(put("If-Match: \"stale\"").await, 412);
    assert_eq!(put(&format!("If-None-Match: W/{etag}")).await, 412);
    assert_eq!(f.get("/dav/a").await, "one");
    assert_eq!(put(&format!("If-Match: W/{etag}, \"x\"")).await, 204);
    assert_eq!(
        f.send("PUT", "/dav/b", &["If-Match: *"], "x").await.status,
        412
    );
    assert_eq!(
        f.send("PUT", "/dav/b", &["If-None-Match: *"], "x")
            .await
            .status,
        201
    );
}

#[tokio::test]
async fn a_patch_changes_part_of_a_file() {
    let f = Fixture::new().await;
    f.put("/dav/a", "0123456789").await;
    let kind = "Content-Type: application/x-sabredav-partialupdate";
    let patch = async |range: &str, body: &str| {
        let range = format!("X-Update-Range: {range}");
        f.send("PATCH", "/dav/a", &[kind, &range], body)
            .await
            .status
    };
    assert_eq!(patch("bytes=2-4", "abc").await, 204);
    assert_eq!(f.get("/dav/a").await, "01abc56789");
    assert_eq!(patch("append", "XY").await, 204);
    assert_eq!(patch("bytes=-2", "zz").await, 204);
    assert_eq!(patch("bytes=11-", "Z!").await, 204);
    assert_eq!(f.get("/dav/a").await, "01abc56789zZ!");
    assert_eq!(patch("bytes=99-", "x").await, 416);
    assert_eq!(patch("bytes=0-9", "x").await, 416);
    assert_eq!(patch("elephants", "x").await, 400);
    let part = ["Content-Range: bytes 0-1/*"];
    assert_eq!(f.send("PUT", "/dav/a", &part, "__").await.status, 204);
    assert_eq!(f.get("/dav/a").await, "__abc56789zZ!");
    assert_eq!(
        f.send("PUT", "/dav/a", &["Content-Range: bytes */9"], "__")
            .await
            .status,
        400
    );
    let new = f
        .send("PATCH", "/dav/new", &[kind, "X-Update-Range: append"], "n")
        .await;
    assert_eq!(new.status, 201);
}

#[tokio::test]
async fn quota_and_parents_are_checked_before_the_body_is_taken() {
    let f = Fixture::with_quota(Some(10)).await;
    let full = f.put("/dav/a", "12345678901").await;
    assert_eq!(full.status, 507);
    assert!(full.body.contains("quota-not-exceeded"));
    let late = Request::put("/dav/a")
        .body(frames("12345678901", false))
        .unwrap();
    assert_eq!(f.send_as(&f.tree, late).await.status, 507);
    assert_eq!(f.put("/dav/no/parent", "x").await.status, 409);
    assert_eq!(f.put("/dav/documents", "x").await.status, 405);
    assert_eq!(f.put("/dav/new/", "x").await.status, 409);
}

#[tokio::test]
async fn mkcol_has_the_statuses_of_the_rfc() {
    let f = Fixture::new().await;
    let made = f
        .send("MKCOL", "/dav/d/", &["X-OC-Mtime: 1500000000"], "")
        .await;
    assert_eq!(made.status, 201);
    assert_eq!(made.header("x-oc-mtime"), "accepted");
    assert!(!made.header("oc-fileid").is_empty());
    assert_eq!(f.status("MKCOL", "/dav/d", &[]).await, 405);
    assert_eq!(f.status("MKCOL", "/dav/x/y", &[]).await, 409);
    assert_eq!(f.send("MKCOL", "/dav/e", &[], "<x/>").await.status, 415);
    assert!(
        !f.send("MKCOL", "/dav/d", &[], "")
            .await
            .header("allow")
            .is_empty()
    );
}

#[tokio::test]
async fn a_collection_is_deleted_whole_and_only_with_infinite_depth() {
    let f = Fixture::new().await;
    f.status("MKCOL", "/dav/d", &[]).await;
    f.put("/dav/d/a", "x").await;
    assert_eq!(f.status("DELETE", "/dav/d", &["Depth: 0"]).await, 400);
    assert_eq!(f.status("DELETE", "/dav/d", &["Depth: 1"]).await, 400);
    assert_eq!(
        f.status("DELETE", "/dav/d/a", &["If-Match: \"x\""]).await,
        412
    );
    assert_eq!(
        f.status("DELETE", "/dav/d", &["Depth: infinity"]).await,
        204
    );
    assert_eq!(f.status("HEAD", "/dav/d/a", &[]).await, 404);
    assert_eq!(f.status("DELETE", "/dav/", &[]).await, 403);
    assert_eq!(f.status("DELETE", "/dav/shared", &[]).await, 403);
}

#[tokio::test]
async fn names_round_trip_and_both_normal_forms_meet() {
    let f = Fixture::new().await;
    for name in ["%23%3F%25", "%F0%9F%98%80", "a%26b%3Cc", "(1)", "%20x%20"] {
        let path = format!("/dav/{name}");
        assert_eq!(f.put(&path, name).await.status, 201, "{name}");
        assert_eq!(f.get(&path).await, name);
        assert_eq!(
            f.find(&path, "0", "<d:displayname/>").await.hrefs().len(),
            1
        );
    }
    f.put("/dav/a%CC%88", "nfd").await;
    assert_eq!(f.get("/dav/%C3%A4").await, "nfd");
    for bad in [
        "/dav/a%2Fb",
        "/dav/../x",
        "/dav/a%00",
        "/dav/%FF",
        "/dav/a%0Ab",
    ] {
        assert_eq!(f.put(bad, "x").await.status, 400, "{bad}");
    }
    assert_eq!(
        f.put(&format!("/dav/{}", "x".repeat(256)), "x")
            .await
            .status,
        400
    );
    assert_eq!(
        f.put(&format!("/dav/{}", "x/".repeat(200)), "x")
            .await
            .status,
        414
    );
    assert_eq!(f.put("/davx/a", "x").await.status, 404);
}

#[tokio::test]
async fn finder_droppings_are_kept_hidden_or_swallowed() {
    let mut f = Fixture::new().await;
    f.put("/dav/documents/._a", "x").await;
    let shown = async |f: &Fixture| {
        f.find("/dav/documents", "1", "<d:getetag/>")
            .await
            .hrefs()
            .len()
    };
    assert_eq!(shown(&f).await, 2);
    f.dav = f.dav.with_apple_files(AppleFiles::Hide);
    assert_eq!(shown(&f).await, 1);
    assert_eq!(f.get("/dav/documents/._a").await, "x");
    f.dav = f.dav.with_apple_files(AppleFiles::Swallow);
    assert_eq!(f.put("/dav/documents/.DS_Store", "x").await.status, 201);
    let lock = f.send("LOCK", "/dav/documents/._b", &[], "").await;
    assert_eq!(
        (
            lock.status,
            lock.header("lock-token").starts_with("<urn:uuid:")
        ),
        (200, true)
    );
    assert_eq!(
        f.status("UNLOCK", "/dav/documents/._b", &["Lock-Token: <x:y>"])
            .await,
        204
    );
    assert_eq!(f.status("GET", "/dav/documents/.DS_Store", &[]).await, 404);
}

#[tokio::test]
async fn unknown_methods_are_told_apart() {
    let f = Fixture::new().await;
    assert_eq!(f.status("SEARCH", "/dav/", &[]).await, 405);
    assert_eq!(f.status("POST", "/dav/", &[]).await, 405);
    assert_eq!(f.status("BREW", "/dav/", &[]).await, 501);
    let request = Request::builder()
        .method("ACL")
        .uri("/dav/")
        .body(Body::empty())
        .unwrap();
    assert!(
        f.send_as(&f.tree, request)
            .await
            .header("allow")
            .contains("PROPPATCH")
    );
}
