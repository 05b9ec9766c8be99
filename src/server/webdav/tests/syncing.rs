//! REPORT with sync-collection.

use super::fixture::{Answer, Fixture};

async fn sync(f: &Fixture, path: &str, token: &str, rest: &str) -> Answer {
    let body = format!(
        "<D:sync-collection xmlns:D=\"DAV:\"><D:sync-token>{token}</D:sync-token>\
         <D:sync-level>infinite</D:sync-level>{rest}<D:prop><D:getetag/></D:prop></D:sync-collection>"
    );
    f.send("REPORT", path, &["Depth: 0"], &body).await
}

#[tokio::test]
async fn what_changed_is_told_once() {
    let f = Fixture::new().await;
    f.put("/dav/documents/a", "x").await;
    f.put("/dav/documents/b", "x").await;
    let all = sync(&f, "/dav/documents", "", "").await;
    assert_eq!(all.status, 207);
    assert_eq!(all.hrefs().len(), 2, "{all:?}");
    let token = all.text("d:sync-token").to_owned();
    assert!(
        sync(&f, "/dav/documents", &token, "")
            .await
            .hrefs()
            .is_empty()
    );
    f.status("DELETE", "/dav/documents/a", &[]).await;
    f.put("/dav/documents/c", "x").await;
    let some = sync(&f, "/dav/documents", &token, "").await;
    let gone = "<d:href>/dav/documents/a</d:href><d:status>HTTP/1.1 404 Not Found</d:status>";
    assert!(some.body.contains(gone), "{}", some.body);
    assert!(some.hrefs().contains(&"/dav/documents/c"));
    assert!(!some.hrefs().contains(&"/dav/documents/b"));
}

#[tokio::test]
async fn the_token_of_a_listing_is_where_a_report_goes_on() {
    let f = Fixture::new().await;
    f.put("/dav/a", "x").await;
    let found = f
        .find("/dav/", "0", "<d:sync-token/><d:supported-report-set/>")
        .await;
    assert!(found.body.contains("<d:sync-collection/>"));
    let token = found.text("d:sync-token").to_owned();
    f.put("/dav/shared/b", "x").await;
    f.put("/dav/c", "x").await;
    let some = sync(&f, "/dav/", &token, "").await;
    let hrefs = some.hrefs();
    assert!(
        hrefs.contains(&"/dav/shared/b") && hrefs.contains(&"/dav/c"),
        "{hrefs:?}"
    );
    assert!(!hrefs.contains(&"/dav/a"));
}

#[tokio::test]
async fn long_reports_are_cut_and_go_on() {
    let f = Fixture::new().await;
    for name in ["a", "b", "c", "d", "e"] {
        f.put(&format!("/dav/documents/{name}"), "x").await;
    }
    let (mut token, mut seen) = (String::new(), Vec::new());
    for _ in 0..5 {
        let limit = "<D:limit><D:nresults>2</D:nresults></D:limit>";
        let part = sync(&f, "/dav/documents", &token, limit).await;
        token = part.text("d:sync-token").to_owned();
        let cut = part.body.contains("507 Insufficient Storage");
        let members = part
            .hrefs()
            .into_iter()
            .filter(|href| *href != "/dav/documents/");
        seen.extend(members.map(str::to_owned));
        if !cut {
            break;
        }
        assert!(part.body.contains("<d:number-of-matches-within-limits/>"));
    }
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 5, "{seen:?}");
}

#[tokio::test]
async fn bad_tokens_files_and_other_reports_are_refused() {
    let f = Fixture::new().await;
    f.put("/dav/a", "x").await;
    let stale = sync(&f, "/dav/", "urn:sync-server:cursor:1.99999999", "").await;
    assert_eq!(
        (stale.status, stale.body.contains("valid-sync-token")),
        (403, true)
    );
    assert_eq!(
        sync(&f, "/dav/", "http://sabre.io/ns/sync/1", "")
            .await
            .status,
        403
    );
    assert_eq!(sync(&f, "/dav/a", "", "").await.status, 403);
    let other = f
        .send("REPORT", "/dav/", &[], "<version-tree xmlns=\"DAV:\"/>")
        .await;
    assert_eq!(
        (other.status, other.body.contains("supported-report")),
        (403, true)
    );
    assert_eq!(f.status("REPORT", "/dav/", &[]).await, 400);
}
