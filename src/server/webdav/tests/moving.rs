//! COPY and MOVE: one verb of the engine each.

use super::fixture::Fixture;
use crate::types::NodePath;

async fn placed(f: &Fixture, method: &str, from: &str, to: &str, headers: &[&str]) -> u16 {
    let destination = format!("Destination: {to}");
    let headers: Vec<&str> = headers
        .iter()
        .copied()
        .chain([destination.as_str()])
        .collect();
    f.status(method, from, &headers).await
}

#[tokio::test]
async fn a_file_is_moved_with_its_id_and_tag() {
    let f = Fixture::new().await;
    let made = f.put("/dav/a", "x").await;
    let headers = [
        "Destination: http://u:p@other/dav/documents/b%20c",
        "X-OC-Mtime: 1500000000",
    ];
    let moved = f.send("MOVE", "/dav/a", &headers, "").await;
    assert_eq!(moved.status, 201);
    assert_eq!(moved.header("etag"), made.header("etag"));
    assert_eq!(moved.header("oc-fileid"), made.header("oc-fileid"));
    assert_eq!(moved.header("x-oc-mtime"), "accepted");
    assert_eq!(f.get("/dav/documents/b%20c").await, "x");
    assert_eq!(f.status("HEAD", "/dav/a", &[]).await, 404);
}

#[tokio::test]
async fn saving_by_rename_keeps_the_history() {
    let f = Fixture::new().await;
    f.put("/dav/a", "old").await;
    f.put("/dav/a.tmp", "new").await;
    assert_eq!(placed(&f, "MOVE", "/dav/a.tmp", "/dav/a", &[]).await, 204);
    assert_eq!(f.get("/dav/a").await, "new");
    let node = f
        .tree
        .lookup(&NodePath::parse("/a").unwrap())
        .await
        .unwrap();
    assert_eq!(f.tree.versions(&node).await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_tree_is_moved_and_copied_whole() {
    let f = Fixture::new().await;
    f.status("MKCOL", "/dav/d", &[]).await;
    f.status("MKCOL", "/dav/d/e", &[]).await;
    f.put("/dav/d/e/f", "x").await;
    assert_eq!(placed(&f, "COPY", "/dav/d", "/dav/copy", &[]).await, 201);
    assert_eq!(f.get("/dav/copy/e/f").await, "x");
    assert_eq!(
        placed(&f, "MOVE", "/dav/d/", "/dav/moved/", &["Depth: infinity"]).await,
        201
    );
    assert_eq!(f.get("/dav/moved/e/f").await, "x");
    assert_eq!(f.status("HEAD", "/dav/d/e/f", &[]).await, 404);
    assert_eq!(
        placed(&f, "COPY", "/dav/moved", "/dav/shallow", &["Depth: 0"]).await,
        201
    );
    assert_eq!(
        f.find("/dav/shallow", "1", "<d:getetag/>").await.hrefs(),
        ["/dav/shallow/"]
    );
}

#[tokio::test]
async fn what_is_there_is_replaced_only_when_allowed() {
    let f = Fixture::new().await;
    f.status("MKCOL", "/dav/d", &[]).await;
    f.put("/dav/d/old", "x").await;
    f.status("MKCOL", "/dav/e", &[]).await;
    f.put("/dav/e/new", "y").await;
    for method in ["COPY", "MOVE"] {
        assert_eq!(
            placed(&f, method, "/dav/e", "/dav/d", &["Overwrite: F"]).await,
            412
        );
        assert_eq!(
            placed(&f, method, "/dav/e", "/dav/d", &["Overwrite: maybe"]).await,
            400
        );
    }
    assert_eq!(f.get("/dav/d/old").await, "x");
    assert_eq!(
        placed(&f, "COPY", "/dav/e", "/dav/d", &["Overwrite: T"]).await,
        204
    );
    assert_eq!(f.get("/dav/d/new").await, "y");
    assert_eq!(f.status("HEAD", "/dav/d/old", &[]).await, 404);
    assert_eq!(placed(&f, "MOVE", "/dav/d/new", "/dav/e", &[]).await, 204);
    assert_eq!(f.get("/dav/e").await, "y");
    assert_eq!(
        placed(&f, "COPY", "/dav/e", "/dav/d", &["Depth: 0"]).await,
        204
    );
    assert_eq!(f.get("/dav/d").await, "y");
}

#[tokio::test]
async fn impossible_moves_are_refused() {
    let f = Fixture::new().await;
    f.status("MKCOL", "/dav/d", &[]).await;
    for method in ["COPY", "MOVE"] {
        assert_eq!(placed(&f, method, "/dav/d", "/dav/", &[]).await, 403);
        assert_eq!(placed(&f, method, "/dav/d", "/dav/d/e", &[]).await, 403);
        assert_eq!(placed(&f, method, "/dav/d", "/dav/d", &[]).await, 403);
        assert_eq!(placed(&f, method, "/dav/d", "/dav/x/y", &[]).await, 409);
        assert_eq!(placed(&f, method, "/dav/none", "/dav/x", &[]).await, 404);
        assert_eq!(placed(&f, method, "/dav/d", "/elsewhere/x", &[]).await, 502);
        assert_eq!(
            placed(&f, method, "/dav/d", "/dav/x", &["Depth: 1"]).await,
            400
        );
        assert_eq!(f.status(method, "/dav/d", &[]).await, 400);
    }
    assert_eq!(placed(&f, "MOVE", "/dav/", "/dav/x", &[]).await, 403);
    assert_eq!(
        placed(&f, "COPY", "/dav/d", "/dav/d/e", &["Depth: 0"]).await,
        403
    );
}

#[tokio::test]
async fn moving_between_spaces_works() {
    let f = Fixture::new().await;
    f.status("MKCOL", "/dav/d", &[]).await;
    f.put("/dav/d/a", "x").await;
    assert_eq!(
        placed(&f, "MOVE", "/dav/d", "/dav/shared/d", &[]).await,
        201
    );
    assert_eq!(f.get("/dav/shared/d/a").await, "x");
    assert_eq!(
        placed(&f, "COPY", "/dav/shared/d", "/dav/back", &[]).await,
        201
    );
    assert_eq!(f.get("/dav/back/a").await, "x");
}
