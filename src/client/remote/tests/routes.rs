use serde_json::{Value, json as value};
use tempfile::tempdir;

use super::session;
use super::stand::{Reply, Seen, Stand, json, problem, typed, with_header, with_status};
use crate::client::remote::{Error, Session};
use crate::protocol::files::{Keep, OpenUpload};
use crate::protocol::stream::{self, Record};
use crate::protocol::sync::{Class, DeltaHead, FetchHead, FetchItem, SignatureRequest};

async fn at(stand: &Stand, directory: &tempfile::TempDir) -> Session {
    session(&stand.address(), directory.path(), 900).await
}

/// Answers what the route needs, with as little as can be.
fn answer(seen: &Seen) -> Reply {
    let node = value!({
        "id": 7, "space": 2, "parent": 1, "path": "/a", "name": "a", "kind": "file", "size": 1, "mtime": 0,
        "created": 0, "etag": "f1", "version": 1, "seq": 3
    });
    let upload =
        value!({"id": 5, "path": "/a", "size": 1, "offset": 0, "expires": 0, "finished": false});
    let route = seen.route.trim_start_matches("/api/v1/");
    let (path, _query) = route.split_once('?').unwrap_or((route, ""));
    let body = match (seen.method.as_str(), path) {
        ("GET", "sync/pull") => value!({"changes": [], "cursor": "c", "more": false}),
        ("GET", "files/list") => value!({"items": [node], "next": null}),
        ("GET", "files/7/info") => node,
        ("GET", "sync/keys") => {
            value!({"space": 2, "chunk": "", "blind": "", "root": "", "gear": ""})
        }
        ("GET", "conflicts") => value!({"items": [], "next": null}),
        ("GET", "files/7/versions") => value!({"items": []}),
        ("POST", "sync/push") => {
            value!({"results": [{"status": "need", "need": {"chunks": ["00"]}}]})
        }
        ("POST", "uploads") | ("GET" | "PATCH", "uploads/5") => upload,
        ("POST", "uploads/5/finish") => {
            value!({"node": node, "created": true, "conflict": null, "etag": "f1"})
        }
        ("GET", "sync/poll") => value!({"events": [{"space": 2, "seq": 3}]}),
        ("GET", "sync/manifest") => {
            return typed("application/vnd.sync-server.manifest", vec![1; 40]);
        }
        ("POST", "sync/signature") => {
            return typed("application/vnd.sync-server.signature", vec![2; 24]);
        }
        ("DELETE", _) | ("POST", "conflicts/4/resolve") => {
            return with_status(typed("text/plain", ""), 204);
        }
        _ => return problem(404, "not-found"),
    };
    json(&body)
}

#[tokio::test]
async fn each_call_asks_its_route() {
    let directory = tempdir().unwrap();
    let stand = Stand::start(|seen| Some(answer(&seen))).await;
    let session = at(&stand, &directory).await;
    session.pull(None, 10_000).await.unwrap();
    session.pull(Some("5b1d_2.1"), 1).await.unwrap();
    assert_eq!(
        session
            .list(7, true, 1000, Some("/ü +%"))
            .await
            .unwrap()
            .items
            .len(),
        1
    );
    session.list(7, false, 10, None).await.unwrap();
    session.info(7).await.unwrap();
    session.keys(2).await.unwrap();
    session.conflicts(None).await.unwrap();
    session.resolve(4, Keep::Copy).await.unwrap();
    session.versions(7).await.unwrap();
    assert_eq!(session.manifest(7, Some("f1")).await.unwrap(), vec![1; 40]);
    assert_eq!(session.poll("c", 5).await.unwrap().events.len(), 1);
    let asked = SignatureRequest {
        id: 7,
        etag: None,
        block: 1024,
        ranges: vec![(0, 2048)],
    };
    assert_eq!(session.signature(&asked).await.unwrap(), vec![2; 24]);
    assert_eq!(
        stand.routes(),
        [
            "sync/pull?limit=10000",
            "sync/pull?cursor=5b1d_2.1&limit=1",
            "files/list?id=7&recursive=true&limit=1000&cursor=%2F%C3%BC+%2B%25",
            "files/list?id=7&limit=10",
            "files/7/info",
            "sync/keys?space=2",
            "conflicts",
            "conflicts/4/resolve",
            "files/7/versions",
            "sync/manifest?id=7&etag=f1",
            "sync/poll?cursor=c&timeout=5",
            "sync/signature",
        ]
    );
    let bodies: Vec<Value> = stand
        .seen()
        .iter()
        .filter_map(|seen| serde_json::from_slice(&seen.body).ok())
        .collect();
    let signature = value!({"id": 7, "block": 1024, "ranges": [[0, 2048]]});
    assert_eq!(bodies, [value!({"keep": "copy"}), signature]);
}

#[tokio::test]
async fn an_upload_goes_on_where_it_stands() {
    let directory = tempdir().unwrap();
    let stand = Stand::start(|seen| Some(answer(&seen))).await;
    let session = at(&stand, &directory).await;
    let open = OpenUpload {
        path: "/a".to_owned(),
        size: 1,
        base: Some("none".to_owned()),
        mtime: None,
        created: None,
        checksum: None,
    };
    let id = session.open_upload(&open).await.unwrap().id;
    session.upload(id).await.unwrap();
    let bytes = futures_util::stream::iter([Ok(bytes::Bytes::from("rest"))]);
    session
        .append(id, 9, crate::client::remote::Source::exact(bytes, 4))
        .await
        .unwrap();
    assert!(session.finish_upload(id, "00ff").await.unwrap().created);
    session.abort_upload(id).await.unwrap();
    let seen = stand.seen();
    assert_eq!(
        (seen[2].header("upload-offset"), &seen[2].body[..]),
        ("9", &b"rest"[..])
    );
    assert_eq!(
        stand.routes(),
        [
            "uploads",
            "uploads/5",
            "uploads/5",
            "uploads/5/finish?root=00ff",
            "uploads/5"
        ]
    );
}

#[tokio::test]
async fn records_come_one_by_one_and_a_stream_that_ends_early_is_broken() {
    let head = DeltaHead {
        id: 7,
        from: None,
        to: "f1".to_owned(),
        size: 5,
        root: "0".repeat(32),
        class: Class::Small,
    };
    let mut whole = Vec::new();
    stream::magic(&mut whole);
    stream::file(&mut whole, &serde_json::to_vec(&head).unwrap());
    stream::lit(&mut whole, b"hello");
    stream::end(&mut whole);
    let refusal = value!({"id": 8, "to": "f2", "problem": {
        "type": "urn:sync-server:problem:not-found", "title": "", "status": 404, "detail": "", "field": "to"}});
    stream::file(&mut whole, &serde_json::to_vec(&refusal).unwrap());
    stream::end(&mut whole);
    let directory = tempdir().unwrap();
    let stand = Stand::start(move |seen| {
        let body: Value = serde_json::from_slice(&seen.body).unwrap();
        let missing = if body["items"][0]["id"] == 9 { 10 } else { 0 };
        let bytes = whole[..whole.len() - missing].to_vec();
        Some(typed(stream::MEDIA_TYPE, bytes))
    })
    .await;
    let session = at(&stand, &directory).await;
    let item = |id, from: Option<&str>| FetchItem {
        id,
        from: from.map(str::to_owned),
        to: "f1".to_owned(),
    };
    let mut records = session
        .fetch(vec![item(7, Some("f0")), item(8, None)], 100)
        .await
        .unwrap();
    let read: FetchHead = serde_json::from_slice(&records.file().await.unwrap().unwrap()).unwrap();
    assert_eq!(read, FetchHead::Given(head));
    assert_eq!(records.next().await.unwrap(), Some(Record::Lit { len: 5 }));
    assert_eq!(
        records.next().await.unwrap(),
        Some(Record::LitPart("hello".into()))
    );
    assert_eq!(records.next().await.unwrap(), Some(Record::End));
    let read: FetchHead = serde_json::from_slice(&records.file().await.unwrap().unwrap()).unwrap();
    assert!(matches!(read, FetchHead::Refused(refusal) if refusal.problem.name() == "not-found"));
    assert!(matches!(records.file().await, Err(Error::Protocol(_))));
    assert_eq!(records.file().await.unwrap(), None);
    let body: Value = serde_json::from_slice(&stand.seen()[0].body).unwrap();
    assert_eq!(
        body,
        value!({"items": [{"id": 7, "from": "f0", "to": "f1"}, {"id": 8, "to": "f1"}]})
    );

    let mut records = session.fetch(vec![item(9, None)], 100).await.unwrap();
    assert_eq!(stand.routes(), ["sync/fetch", "sync/fetch"]);
    let end = loop {
        match records.next().await {
            Ok(Some(_)) => {}
            end => break end,
        }
    };
    assert!(matches!(end, Err(Error::Broken(_))), "{end:?}");
}

#[tokio::test]
async fn a_download_goes_on_when_the_file_is_the_same_and_begins_anew_when_not() {
    const TEXT: &str = "0123456789";
    let directory = tempdir().unwrap();
    let stand = Stand::start(|seen| {
        let whole = with_header(typed("text/plain", TEXT), "etag", "\"f2\"");
        Some(match (seen.header("range"), seen.header("if-range")) {
            ("bytes=4-", "\"f2\"") => {
                let part = with_status(
                    with_header(typed("text/plain", &TEXT[4..]), "etag", "\"f2\""),
                    206,
                );
                with_header(part, "content-range", "bytes 4-9/10")
            }
            ("bytes=5-", "\"f2\"") => {
                let wrong = with_status(
                    with_header(typed("text/plain", TEXT), "etag", "\"f2\""),
                    206,
                );
                with_header(wrong, "content-range", "bytes 0-9/10")
            }
            _ => whole,
        })
    })
    .await;
    let session = at(&stand, &directory).await;
    for (resume, from) in [
        (None, 0),
        (Some(("f2", 4)), 4),
        (Some(("f1", 4)), 0),
        (Some(("f2", 0)), 0),
    ] {
        let mut download = session.download(7, resume, 10).await.unwrap();
        assert_eq!((download.etag.as_str(), download.from), ("f2", from));
        let mut bytes = Vec::new();
        while let Some(piece) = download.next().await.unwrap() {
            bytes.extend_from_slice(&piece);
        }
        let from = usize::try_from(from).unwrap();
        assert_eq!(bytes, &TEXT.as_bytes()[from..]);
    }
    let wrong = session.download(7, Some(("f2", 5)), 10).await;
    assert!(matches!(wrong, Err(Error::Protocol(_))));
}
