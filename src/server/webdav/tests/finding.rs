//! PROPFIND.

use super::fixture::Fixture;
use crate::server::webdav::xml;

#[tokio::test]
async fn the_list_of_the_nextcloud_client_is_answered_as_it_wants_it() {
    let f = Fixture::new().await;
    f.send(
        "PUT",
        "/dav/documents/a.txt",
        &["X-OC-Mtime: 1500000000"],
        "text",
    )
    .await;
    let names = "<d:resourcetype/><d:getlastmodified/><d:getcontentlength/><oc:size/>\
        <oc:permissions/><oc:dDC/><d:getcontenttype/>";
    let found = f.find("/dav/documents", "1", names).await;
    assert_eq!(found.status, 207);
    assert_eq!(
        found.header("content-type"),
        "application/xml; charset=utf-8"
    );
    assert!(found.header("dav").starts_with("1, 2, 3"));
    assert_eq!(found.hrefs(), ["/dav/documents/", "/dav/documents/a.txt"]);
    let file = found.body.split("<d:response>").nth(2).unwrap();
    insta::assert_snapshot!(file, @r#"<d:href>/dav/documents/a.txt</d:href><d:propstat><d:prop><d:resourcetype/><d:getlastmodified>Fri, 14 Jul 2017 02:40:00 GMT</d:getlastmodified><d:getcontentlength>4</d:getcontentlength><oc:size>4</oc:size><oc:permissions>RGDNVW</oc:permissions><d:getcontenttype>text/plain</d:getcontenttype></d:prop><d:status>HTTP/1.1 200 OK</d:status></d:propstat><d:propstat><d:prop><x:dDC xmlns:x="http://owncloud.org/ns"/></d:prop><d:status>HTTP/1.1 404 Not Found</d:status></d:propstat></d:response></d:multistatus>"#);
    let collection = found.body.split("<d:response>").nth(1).unwrap();
    assert!(collection.contains("<d:resourcetype><d:collection/></d:resourcetype>"));
    assert!(collection.contains("<oc:size>4</oc:size><oc:permissions>RGDNVCK</oc:permissions>"));
    assert!(collection.contains("httpd/unix-directory"));
    assert!(collection.contains("<d:prop><d:getcontentlength/>"));
}

#[tokio::test]
async fn tags_are_the_same_everywhere() {
    let f = Fixture::new().await;
    let put = f.put("/dav/a", "x").await;
    let found = f
        .find("/dav/a", "0", "<d:getetag/><oc:id/><oc:fileid/>")
        .await;
    assert_eq!(found.text("d:getetag"), put.header("etag"));
    assert_eq!(found.text("oc:id"), put.header("oc-fileid"));
    assert!(
        found
            .text("oc:id")
            .starts_with(&format!("{:0>8}", found.text("oc:fileid")))
    );
}

#[tokio::test]
async fn depth_decides_and_infinity_is_refused() {
    let f = Fixture::new().await;
    assert_eq!(
        f.find("/dav/", "0", "<d:getetag/>").await.hrefs(),
        ["/dav/"]
    );
    let all = [
        "/dav/",
        "/dav/shared/",
        "/dav/backups/",
        "/dav/documents/",
        "/dav/photos/",
    ];
    assert_eq!(f.find("/dav/", "1", "<d:getetag/>").await.hrefs(), all);
    assert_eq!(f.send("PROPFIND", "/dav", &[], "").await.hrefs(), all);
    let refused = f.find("/dav/", "infinity", "<d:getetag/>").await;
    assert_eq!(refused.status, 403);
    assert!(refused.body.contains("<d:propfind-finite-depth/>"));
    assert_eq!(f.find("/dav/", "2", "<d:getetag/>").await.status, 400);
    assert_eq!(
        f.find("/dav/missing", "0", "<d:getetag/>").await.status,
        404
    );
    f.put("/dav/a", "x").await;
    assert_eq!(
        f.find("/dav/a", "1", "<d:getetag/>").await.hrefs(),
        ["/dav/a"]
    );
}

#[tokio::test]
async fn allprop_shows_the_rfc_and_not_quota() {
    let f = Fixture::new().await;
    f.put("/dav/a", "x").await;
    for body in ["", "<d:propfind xmlns:d=\"DAV:\"><d:allprop/></d:propfind>"] {
        let found = f.send("PROPFIND", "/dav/a", &["Depth: 0"], body).await;
        for there in [
            "getetag",
            "creationdate",
            "displayname",
            "supportedlock",
            "lockdiscovery",
        ] {
            assert!(found.body.contains(there), "{there}");
        }
        assert!(!found.body.contains("quota") && !found.body.contains("404"));
    }
    let include = "<propfind xmlns=\"DAV:\"><allprop/><include><quota-used-bytes/></include>\
        </propfind>";
    let found = f.send("PROPFIND", "/dav/a", &["Depth: 0"], include).await;
    assert_eq!(found.text("d:quota-used-bytes"), "1");
}

#[tokio::test]
async fn quota_is_told_where_there_is_one() {
    let f = Fixture::with_quota(Some(100)).await;
    f.put("/dav/a", "12345").await;
    let names = "<d:quota-available-bytes/><d:quota-used-bytes/><d:quota/>";
    let found = f.find("/dav/", "0", names).await;
    assert_eq!(found.text("d:quota-available-bytes"), "95");
    assert_eq!(found.text("d:quota-used-bytes"), "5");
    let unlimited = f.find("/dav/shared", "0", names).await;
    assert_eq!(unlimited.text("d:quota-used-bytes"), "0");
    assert!(
        unlimited
            .body
            .contains("<d:prop><d:quota-available-bytes/>")
    );
}

#[tokio::test]
async fn less_is_told_when_less_is_wanted() {
    let f = Fixture::new().await;
    let body = "<propfind xmlns=\"DAV:\"><prop><getetag/><nothing/></prop></propfind>";
    let found = f
        .send(
            "PROPFIND",
            "/dav/",
            &["Depth: 0", "Prefer: return=minimal"],
            body,
        )
        .await;
    assert!(!found.body.contains("404"));
    assert_eq!(found.header("preference-applied"), "return=minimal");
}

#[tokio::test]
async fn large_collections_come_whole_and_well_formed() {
    let f = Fixture::new().await;
    for index in 0..1100 {
        let path = format!("/documents/file {index:04}");
        let at = crate::types::NodePath::parse(&path).unwrap();
        f.tree.mkdir(&at, None).await.unwrap();
    }
    let names = "<d:resourcetype/><d:getetag/><d:sync-token/>";
    let found = f.find("/dav/documents", "1", names).await;
    let hrefs = found.hrefs();
    assert_eq!(hrefs.len(), 1101);
    assert_eq!(hrefs[1100], "/dav/documents/file%201099/");
    // The parser's own limit is for requests; a piece of the answer is enough.
    let end = found.body.split("<d:response>").last().unwrap();
    assert!(
        xml::parse(format!("<d:multistatus xmlns:d=\"DAV:\"><d:response>{end}").as_bytes()).is_ok()
    );
}

#[tokio::test]
async fn a_failing_store_is_never_an_empty_collection() {
    let f = Fixture::new().await;
    f.close().await;
    for method in ["PROPFIND", "GET", "OPTIONS", "DELETE", "PUT", "REPORT"] {
        let body = if method == "REPORT" {
            "<sync-collection xmlns=\"DAV:\"><sync-level>1</sync-level><prop/></sync-collection>"
        } else {
            ""
        };
        let answer = f.send(method, "/dav/documents", &[], body).await;
        assert_eq!(answer.status, 503, "{method} {answer:?}");
    }
}
