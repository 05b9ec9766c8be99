//! PROPPATCH, and what PROPFIND then tells.

use super::fixture::{Answer, Fixture};

async fn set(f: &Fixture, path: &str, props: &str) -> Answer {
    let body = format!(
        "<D:propertyupdate xmlns:D=\"DAV:\" xmlns:Z=\"urn:schemas-microsoft-com:\" xmlns:u=\"urn:u\">\
         <D:set><D:prop>{props}</D:prop></D:set></D:propertyupdate>"
    );
    f.send("PROPPATCH", path, &[], &body).await
}

const EXPLORER: &str = "<Z:Win32CreationTime>Sun, 06 Nov 1994 08:49:37 GMT</Z:Win32CreationTime>\
    <Z:Win32LastModifiedTime>Sun, 06 Nov 1994 08:49:38 GMT</Z:Win32LastModifiedTime>\
    <Z:Win32FileAttributes>00000022</Z:Win32FileAttributes>";

#[tokio::test]
async fn times_of_explorer_are_set_on_files_and_collections() {
    let f = Fixture::new().await;
    f.put("/dav/a", "x").await;
    for path in ["/dav/a", "/dav/documents/"] {
        let answer = set(&f, path, EXPLORER).await;
        assert_eq!(answer.status, 207);
        assert_eq!(
            answer.body.matches("HTTP/1.1 200 OK").count(),
            1,
            "{}",
            answer.body
        );
        assert_eq!(answer.hrefs(), [path]);
        let names = "<d:getlastmodified/><d:creationdate/><Win32FileAttributes \
            xmlns=\"urn:schemas-microsoft-com:\"/><Win32LastAccessTime \
            xmlns=\"urn:schemas-microsoft-com:\"/>";
        let found = f.find(path, "0", names).await;
        assert_eq!(
            found.text("d:getlastmodified"),
            "Sun, 06 Nov 1994 08:49:38 GMT"
        );
        assert_eq!(found.text("d:creationdate"), "1994-11-06T08:49:37Z");
        assert!(found.body.contains(">00000022</Z:Win32FileAttributes>"));
        assert!(found.text("z:Win32LastAccessTime").ends_with("GMT"));
    }
}

#[tokio::test]
async fn dead_properties_are_kept_shown_copied_and_removed() {
    let f = Fixture::new().await;
    f.put("/dav/a", "x").await;
    assert_eq!(
        set(
            &f,
            "/dav/a",
            "<u:p><u:q>&lt;v&gt;</u:q></u:p><none xmlns=\"\"/>"
        )
        .await
        .status,
        207
    );
    let found = f
        .find("/dav/a", "0", "<p xmlns=\"urn:u\"/><none xmlns=\"\"/>")
        .await;
    let stored = "<u:p xmlns:u=\"urn:u\"><u:q>&lt;v&gt;</u:q></u:p><none xmlns=\"\"/>";
    assert!(found.body.contains(stored), "{}", found.body);
    assert!(!found.body.contains("404"));
    let all = f.send("PROPFIND", "/dav/", &["Depth: 1"], "").await;
    assert!(
        all.body.contains("<u:q>&lt;v&gt;</u:q></u:p>") && all.body.contains("<none xmlns=\"\"/>")
    );
    let names = "<propfind xmlns=\"DAV:\"><propname/></propfind>";
    let names = f.send("PROPFIND", "/dav/a", &["Depth: 0"], names).await;
    assert!(names.body.contains("<x:p xmlns:x=\"urn:u\"/>") && !names.body.contains("&lt;v"));
    f.send("COPY", "/dav/a", &["Destination: /dav/b"], "").await;
    assert!(
        f.find("/dav/b", "0", "<p xmlns=\"urn:u\"/>")
            .await
            .body
            .contains("<u:q>")
    );
    let remove = "<D:propertyupdate xmlns:D=\"DAV:\"><D:remove><D:prop><p xmlns=\"urn:u\"/></D:prop>\
        </D:remove></D:propertyupdate>";
    assert_eq!(f.send("PROPPATCH", "/dav/a", &[], remove).await.status, 207);
    let found = f.find("/dav/a", "0", "<p xmlns=\"urn:u\"/>").await;
    assert!(
        found.body.contains("<x:p xmlns:x=\"urn:u\"/>") && found.body.contains("404 Not Found")
    );
}

#[tokio::test]
async fn one_protected_property_keeps_all_as_they_were() {
    let f = Fixture::new().await;
    f.put("/dav/a", "x").await;
    let answer = set(
        &f,
        "/dav/a",
        &format!("{EXPLORER}<u:p/><D:getetag>x</D:getetag>"),
    )
    .await;
    assert_eq!(answer.status, 207);
    assert!(
        answer
            .body
            .contains("<d:getetag/></d:prop><d:status>HTTP/1.1 403 Forbidden")
    );
    assert!(answer.body.contains("424 Failed Dependency") && !answer.body.contains("200 OK"));
    let found = f
        .find("/dav/a", "0", "<d:getlastmodified/><p xmlns=\"urn:u\"/>")
        .await;
    assert!(!found.body.contains("1994") && found.body.contains("404"));
}

#[tokio::test]
async fn malformed_updates_are_refused() {
    let f = Fixture::new().await;
    f.put("/dav/a", "x").await;
    for props in ["", "<q:p/>", "<u:p", "<u:p xmlns:v=\"\"/>"] {
        assert_eq!(set(&f, "/dav/a", props).await.status, 400, "{props}");
    }
    assert_eq!(set(&f, "/dav/missing", "<u:p/>").await.status, 404);
    assert_eq!(
        set(&f, "/dav/a", &format!("<u:p>{}</u:p>", "x".repeat(70_000)))
            .await
            .status,
        413
    );
}
