//! LOCK, UNLOCK, and writing under locks.

use super::fixture::{Answer, Fixture, request};

const EXCLUSIVE: &str = "<D:lockinfo xmlns:D=\"DAV:\"><D:lockscope><D:exclusive/></D:lockscope>\
    <D:locktype><D:write/></D:locktype><D:owner><D:href>me</D:href></D:owner></D:lockinfo>";

async fn lock(f: &Fixture, path: &str, headers: &[&str]) -> Answer {
    f.send("LOCK", path, headers, EXCLUSIVE).await
}

fn token(answer: &Answer) -> String {
    answer
        .header("lock-token")
        .trim_matches(['<', '>'])
        .to_owned()
}

#[tokio::test]
async fn an_unmapped_name_is_locked_by_making_an_empty_file() {
    let f = Fixture::new().await;
    let headers = ["Depth: 0", "Timeout: Infinite, Second-4100000000"];
    let made = lock(&f, "/dav/new", &headers).await;
    assert_eq!(made.status, 201, "{made:?}");
    assert!(made.body.contains("<d:timeout>Second-3600</d:timeout>"));
    assert!(
        made.body
            .contains("<d:depth>0</d:depth><D:owner xmlns:D=\"DAV:\">"),
        "{}",
        made.body
    );
    assert!(made.body.contains("<d:lockroot><d:href>/dav/new</d:href>"));
    let head = f.send("HEAD", "/dav/new", &[], "").await;
    assert_eq!(head.header("content-length"), "0");
    let etag = format!("If-Match: {}", head.header("etag"));
    let submitted = format!("If: <http://host/dav/new> (<{}>)", token(&made));
    let put = f
        .send("PUT", "/dav/new", &[&etag, &submitted], "text")
        .await;
    assert_eq!(put.status, 204, "{put:?}");
    assert_eq!(f.status("LOCK", "/dav/no/parent", &[]).await, 400);
    assert_eq!(lock(&f, "/dav/no/parent", &[]).await.status, 409);
}

#[tokio::test]
async fn a_locked_file_needs_the_token() {
    let f = Fixture::new().await;
    f.put("/dav/a", "x").await;
    let granted = lock(&f, "/dav/a", &["Timeout: Second-600"]).await;
    assert_eq!(granted.status, 200);
    let refused = f.put("/dav/a", "y").await;
    assert_eq!(refused.status, 423);
    assert!(
        refused
            .body
            .contains("<d:lock-token-submitted><d:href>/dav/a</d:href>")
    );
    for (method, headers) in [
        ("DELETE", &[][..]),
        ("MOVE", &["Destination: /dav/b"][..]),
        ("PROPPATCH", &[][..]),
        (
            "PATCH",
            &[
                "Content-Type: application/x-sabredav-partialupdate",
                "X-Update-Range: append",
            ],
        ),
    ] {
        let body = match method {
            "PROPPATCH" => {
                "<D:propertyupdate xmlns:D=\"DAV:\"><D:set><D:prop><a/></D:prop></D:set>\
                 </D:propertyupdate>"
            }
            "PATCH" => "x",
            _ => "",
        };
        assert_eq!(
            f.send(method, "/dav/a", headers, body).await.status,
            423,
            "{method}"
        );
    }
    assert_eq!(lock(&f, "/dav/a", &[]).await.status, 423);
    let submitted = format!("If: (<{}>)", token(&granted));
    assert_eq!(
        f.send("PUT", "/dav/a", &[&submitted], "y").await.status,
        204
    );
    let wrong = "If: (<urn:uuid:00000000-0000-0000-0000-000000000000>)";
    assert_eq!(f.send("PUT", "/dav/a", &[wrong], "z").await.status, 412);
    let not = "If: (<urn:x:y>) (Not <DAV:no-lock>)";
    assert_eq!(f.send("PUT", "/dav/a", &[not], "z").await.status, 423);
    let other = "If: (<urn:x:y> [\"z\"])";
    assert_eq!(f.send("PUT", "/dav/a", &[other], "z").await.status, 412);
}

#[tokio::test]
async fn a_lock_is_refreshed_and_ended_by_its_holder() {
    let f = Fixture::new().await;
    f.put("/dav/shared/a", "x").await;
    let held = token(&lock(&f, "/dav/shared/a", &["Timeout: Second-600"]).await);
    let submitted = format!("If: (<{held}>)");
    let longer = ["Timeout: Second-1200", submitted.as_str()];
    let refreshed = f.send("LOCK", "/dav/shared/a", &longer, "").await;
    assert_eq!(refreshed.status, 200, "{refreshed:?}");
    assert!(refreshed.body.contains("Second-1200"));
    let wrong = f
        .send("LOCK", "/dav/shared/a", &["If: (<urn:uuid:1>)"], "")
        .await;
    assert_eq!(wrong.status, 412);
    let unlock = format!("Lock-Token: <{held}>");
    let by_other = f
        .send_as(&f.other, request("UNLOCK", "/dav/shared/a", &[&unlock], ""))
        .await;
    assert!(matches!(by_other.status, 403 | 423), "{by_other:?}");
    let put = request("PUT", "/dav/shared/a", &[&submitted], "y");
    assert_eq!(f.send_as(&f.other, put).await.status, 423);
    assert_eq!(
        f.status("UNLOCK", "/dav/shared/a", &["Lock-Token: <urn:uuid:1>"])
            .await,
        409
    );
    assert_eq!(f.status("UNLOCK", "/dav/shared/a", &[]).await, 400);
    let bare = format!("Lock-Token: {held}");
    assert_eq!(f.status("UNLOCK", "/dav/shared/a", &[&bare]).await, 204);
    assert_eq!(f.put("/dav/shared/a", "y").await.status, 204);
}

#[tokio::test]
async fn a_locked_collection_protects_what_is_below() {
    let f = Fixture::new().await;
    f.status("MKCOL", "/dav/d", &[]).await;
    f.put("/dav/d/a", "x").await;
    let held = token(&lock(&f, "/dav/d", &[]).await);
    assert_eq!(f.put("/dav/d/a", "y").await.status, 423);
    assert_eq!(f.put("/dav/d/new", "y").await.status, 423);
    assert_eq!(f.status("DELETE", "/dav/d", &[]).await, 423);
    let tagged = format!("If: </dav/d/> (<{held}>)");
    assert_eq!(
        f.send("PUT", "/dav/d/new", &[&tagged], "y").await.status,
        201
    );
    let found = f.find("/dav/d", "1", "<d:lockdiscovery/>").await;
    assert_eq!(
        found.body.matches(held.as_str()).count(),
        3,
        "{}",
        found.body
    );
    let tagged = format!("If: <http://proxy/dav/d> (<{held}>)");
    assert_eq!(f.status("DELETE", "/dav/d", &[&tagged]).await, 204);
}

#[tokio::test]
async fn a_member_that_is_locked_keeps_the_collection() {
    let f = Fixture::new().await;
    f.status("MKCOL", "/dav/d", &[]).await;
    f.put("/dav/d/a", "x").await;
    lock(&f, "/dav/d/a", &[]).await;
    let refused = f.send("DELETE", "/dav/d", &[], "").await;
    assert_eq!(refused.status, 423);
    assert!(refused.body.contains("/dav/d/a"), "{}", refused.body);
    assert_eq!(f.get("/dav/d/a").await, "x");
}

#[tokio::test]
async fn locks_do_not_move() {
    let f = Fixture::new().await;
    f.put("/dav/a", "x").await;
    let held = token(&lock(&f, "/dav/a", &[]).await);
    let tagged = format!("If: <http://localhost/dav/a> (<{held}>)");
    let moved = f
        .send(
            "MOVE",
            "/dav/a",
            &["Destination: /dav/b", "Overwrite: T", &tagged],
            "",
        )
        .await;
    assert_eq!(moved.status, 201, "{moved:?}");
    assert_eq!(f.put("/dav/b", "y").await.status, 204);
    assert_eq!(lock(&f, "/dav/b", &[]).await.status, 200);
}

#[tokio::test]
async fn shared_locks_share() {
    let f = Fixture::new().await;
    f.put("/dav/a", "x").await;
    let shared = EXCLUSIVE.replace("exclusive", "shared");
    let one = f.send("LOCK", "/dav/a", &["Depth: 0"], &shared).await;
    let two = f.send("LOCK", "/dav/a", &["Depth: 0"], &shared).await;
    assert_eq!((one.status, two.status), (200, 200));
    assert_eq!(lock(&f, "/dav/a", &[]).await.status, 423);
    let found = f.find("/dav/a", "0", "<d:lockdiscovery/>").await;
    assert_eq!(found.body.matches("<d:activelock>").count(), 2);
}

#[tokio::test]
async fn office_may_set_properties_of_what_it_has_locked() {
    let f = Fixture::new().await;
    f.put("/dav/a", "x").await;
    lock(&f, "/dav/a", &[]).await;
    let body = "<D:propertyupdate xmlns:D=\"DAV:\"><D:set><D:prop><a/></D:prop></D:set>\
        </D:propertyupdate>";
    let office = ["User-Agent: Microsoft Office Word 2014"];
    assert_eq!(
        f.send("PROPPATCH", "/dav/a", &office, body).await.status,
        207
    );
}

#[tokio::test]
async fn malformed_lock_requests_are_refused() {
    let f = Fixture::new().await;
    f.put("/dav/a", "x").await;
    for body in ["<a/>", "<D:lockinfo xmlns:D=\"DAV:\"/>", "x"] {
        assert_eq!(
            f.send("LOCK", "/dav/a", &[], body).await.status,
            400,
            "{body}"
        );
    }
    assert_eq!(lock(&f, "/dav/a", &["Depth: 1"]).await.status, 400);
    assert_eq!(f.status("LOCK", "/dav/a", &[]).await, 400);
}
