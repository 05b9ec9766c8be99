//! A tree behind the face, with short ways to send a request.

use std::sync::Arc;

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, Request};
use http_body_util::BodyExt as _;
use tempfile::TempDir;

use crate::crypto::MasterKey;
use crate::server::webdav::{Dav, handle};
use crate::store::Store;
use crate::store::meta::testing;
use crate::store::meta::versions::Keep;
use crate::tree::Tree;
use crate::tree::testing::{space, user};
use crate::types::{Clock, Millis};

/// When the spaces were made.
const MADE: Millis = Millis(1_700_000_000_000);

pub(super) struct Fixture {
    pub(super) dav: Dav,
    pub(super) tree: Tree,
    pub(super) other: Tree,
    store: Arc<Store>,
    _folder: TempDir,
}

/// An answer, read to its end.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: String,
}

impl Answer {
    pub(super) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    /// The text between the first `<tag>` and its end.
    pub(super) fn text(&self, tag: &str) -> &str {
        let from = self
            .body
            .split_once(&format!("<{tag}>"))
            .unwrap_or_else(|| panic!("{self:?}"))
            .1;
        from.split_once(&format!("</{tag}>")).unwrap().0
    }

    pub(super) fn hrefs(&self) -> Vec<&str> {
        let parts = self.body.split("<d:response><d:href>").skip(1);
        parts.map(|part| part.split_once('<').unwrap().0).collect()
    }
}

impl Fixture {
    pub(super) async fn new() -> Self {
        Self::with_quota(None).await
    }

    pub(super) async fn with_quota(quota: Option<u64>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let key = MasterKey::generate().unwrap();
        let (database, data) = (testing::database(folder.path()), folder.path().join("data"));
        let store = Store::open(&database, &data, key, Keep::default())
            .await
            .unwrap();
        let one = space(&store, "~one", false, quota, MADE).await;
        space(&store, "shared", true, None, MADE).await;
        let two = space(&store, "~two", false, None, MADE).await;
        let tree = Tree::new(store.clone(), user(1, "one", one), Clock::system());
        let other = Tree::new(store.clone(), user(2, "two", two), Clock::system());
        Self {
            dav: Dav::new("/dav/"),
            tree,
            other,
            store,
            _folder: folder,
        }
    }

    /// Takes the database away.
    pub(super) async fn close(&self) {
        self.store.close().await;
    }

    pub(super) async fn send_as(&self, tree: &Tree, request: Request<Body>) -> Answer {
        let response = handle(&self.dav, tree.clone(), request).await;
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        Answer {
            status: parts.status.as_u16(),
            headers: parts.headers,
            body: String::from_utf8(bytes.to_vec()).unwrap(),
        }
    }

    /// Sends a request with `Name: value` headers; a body gets its length.
    pub(super) async fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[&str],
        body: &str,
    ) -> Answer {
        self.send_as(&self.tree, request(method, path, headers, body))
            .await
    }

    pub(super) async fn put(&self, path: &str, body: &str) -> Answer {
        self.send("PUT", path, &[], body).await
    }

    pub(super) async fn get(&self, path: &str) -> String {
        let answer = self.send("GET", path, &[], "").await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.body
    }

    pub(super) async fn status(&self, method: &str, path: &str, headers: &[&str]) -> u16 {
        self.send(method, path, headers, "").await.status
    }

    /// PROPFIND for these elements of `DAV:` or with own declarations.
    pub(super) async fn find(&self, path: &str, depth: &str, names: &str) -> Answer {
        let body = format!(
            "<d:propfind xmlns:d=\"DAV:\" xmlns:oc=\"http://owncloud.org/ns\"><d:prop>{names}\
             </d:prop></d:propfind>"
        );
        self.send("PROPFIND", path, &[&format!("Depth: {depth}")], &body)
            .await
    }
}

pub(super) fn request(method: &str, path: &str, headers: &[&str], body: &str) -> Request<Body> {
    let mut request = Request::builder().method(method).uri(path);
    for header in headers {
        let (name, value) = header.split_once(": ").unwrap();
        request = request.header(name, value);
    }
    if !body.is_empty()
        && !headers
            .iter()
            .any(|header| header.starts_with("X-Expected"))
    {
        request = request.header("content-length", body.len());
    }
    request.body(Body::from(body.to_owned())).unwrap()
}

/// A body that comes in frames of three bytes and, when `broken`, ends in an error.
pub(super) fn frames(text: &'static str, broken: bool) -> Body {
    let frames = text
        .as_bytes()
        .chunks(3)
        .map(|frame| Ok(Bytes::from_static(frame)));
    let end = broken.then(|| Err(std::io::Error::other("gone")));
    Body::from_stream(futures_util::stream::iter(
        frames.chain(end).collect::<Vec<_>>(),
    ))
}
