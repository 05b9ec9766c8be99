//! JSON and queries of the API.

use axum::body::Body;
use axum::extract::FromRequestParts;
use futures_util::FutureExt;
use http::Request;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::extract::{self, Query};
use super::files::download::DownloadQuery;
use super::files::upload::UploadQuery;
use crate::fuzzing::choice;
use crate::protocol::auth::{Login, Register};
use crate::protocol::files::{Mkdir, OpenUpload, Resolve, Transfer};
use crate::protocol::sync::{PushItem, PushPut, SignatureRequest};

/// A body is refused, or read and written and read as the same.
pub(crate) fn body(bytes: &[u8]) {
    let (kind, json) = choice(bytes);
    match kind % 8 {
        0 => stays::<PushItem>(json),
        1 => stays::<OpenUpload>(json),
        2 => stays::<Transfer>(json),
        3 => stays::<Mkdir>(json),
        4 => stays::<Resolve>(json),
        5 => stays::<SignatureRequest>(json),
        6 => stays::<Login>(json),
        _ => stays::<Register>(json),
    }
    if let Ok(PushItem::Put(put)) = serde_json::from_slice(json) {
        fields(&put);
    }
}

fn stays<T: DeserializeOwned + Serialize>(json: &[u8]) {
    let Ok(value) = serde_json::from_slice::<T>(json) else {
        return;
    };
    let written = serde_json::to_string(&value).expect("it is JSON");
    let again: T = serde_json::from_str(&written).expect("it was read before");
    assert_eq!(serde_json::to_string(&again).expect("it is JSON"), written);
}

/// What a path, a base, a checksum and a time become.
fn fields(put: &PushPut) {
    if let Ok(path) = extract::path("path", &put.path) {
        assert_eq!(
            extract::path("path", &path.to_string()).expect("a path"),
            path
        );
    }
    drop(extract::base(put.base.as_deref()));
    drop(extract::checksum(put.checksum.as_deref()));
    if let Ok(Some(time)) = extract::time("mtime", put.mtime) {
        assert_eq!(Some(time.0), put.mtime);
    }
}

/// A query is refused or read.
pub(crate) fn query(bytes: &[u8]) {
    let (kind, rest) = choice(bytes);
    let Ok(text) = std::str::from_utf8(rest) else {
        return;
    };
    super::files::fuzz_range(text, u64::from(kind));
    drop(extract::row_cursor(text));
    let Ok(request) = Request::builder()
        .uri(format!("/?{text}"))
        .body(Body::empty())
    else {
        return;
    };
    let (mut parts, _) = request.into_parts();
    let upload = Query::<UploadQuery>::from_request_parts(&mut parts, &()).now_or_never();
    let download = Query::<DownloadQuery>::from_request_parts(&mut parts, &()).now_or_never();
    // Neither waits for anything.
    assert!(upload.is_some() && download.is_some());
}
