//! The bytes of a file, whole or in part (RFC 9110 §13, §14).

use std::io;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::SystemTime;

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use headers::{AcceptRanges, ContentLength, ContentRange, HeaderMapExt, IfRange, LastModified};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use utoipa::IntoParams;

use super::super::Api;
use super::super::extract::{self, Caller, Query};
use super::super::problem::{self, Problem, Result};
use super::super::responses::{NoFile, NoRange, Problems};
use super::range::{Wanted, wanted};
use crate::protocol::schema;
use crate::server::pieces::{self, PIECE};
use crate::store::content::Reader;
use crate::tree::{Located, Version};
use crate::types::{ETag, Millis};

/// Which file, and which of its versions.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct DownloadQuery {
    /// The file's path.
    #[param(value_type = Option<schema::Path>)]
    path: Option<String>,
    /// The file's id in place of its path.
    #[param(value_type = Option<schema::Id>)]
    id: Option<i64>,
    /// The number of a version; the current one when absent.
    #[param(value_type = Option<schema::VersionNumber>)]
    version: Option<i64>,
}

/// What is wanted of it.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "it only describes the headers")]
pub(in super::super) struct DownloadHeaders {
    /// One range of bytes, as `bytes=0-499`. Several get the whole file.
    #[param(rename = "Range")]
    range: Option<String>,
    /// The range is only wanted of the version with this etag or time; else the whole file.
    #[param(rename = "If-Range")]
    if_range: Option<String>,
    /// Etags in quotes: the file is only wanted when it has none of them.
    #[param(rename = "If-None-Match")]
    if_none_match: Option<String>,
}

/// Downloads a file.
///
/// Takes `Range` (one range), `If-Range` and `If-None-Match`. Texts come compressed when the client
/// asks for it.
#[utoipa::path(get, path = "/files/download", operation_id = "downloadFile", tag = "files",
    params(DownloadQuery, DownloadHeaders),
    responses(
        (status = 200, description = "The file", body = schema::Bytes, content_type = "*/*",
            headers(
                ("ETag" = String, description = "The version's etag, in quotes"),
                ("Last-Modified" = String, description = "Its modification time"),
                ("Accept-Ranges" = String, description = "Always `bytes`"),
                ("Content-Disposition" = String, description = "Its name"),
            )),
        (status = 206, description = "A part of it", body = schema::Bytes, content_type = "*/*",
            headers(
                ("ETag" = String, description = "The version's etag, in quotes"),
                ("Content-Range" = String, description = "Which part, and the size of the whole"),
            )),
        (status = 304, description = "It has not changed", headers(
            ("ETag" = String, description = "The version's etag, in quotes"),
        )), Problems, NoFile, NoRange))]
pub(in super::super) async fn get(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Query(query): Query<DownloadQuery>,
    method: Method,
    headers: HeaderMap,
) -> Result<Response> {
    if query.path.is_none() && query.id.is_none() {
        return Err(Problem::invalid("path", "give the file's path or id"));
    }
    let found = extract::locate(&caller.tree, query.path.as_deref(), query.id).await?;
    let version = pick(&caller, &found, query.version).await?;
    let etag = ETag::file(version.content).to_string();
    if matches_none(&headers, &etag) {
        return Ok(not_modified(&etag));
    }
    // HTTP dates begin with 1970 for those who print them.
    let time = SystemTime::from(version.modified.max(Millis(0)));
    let size = version.size;
    let part = part(&headers, &etag, time, size)?;
    let mut response = head(part.clone(), size);
    if method != Method::HEAD {
        let mut reader = caller
            .tree
            .read_version(&found.node, version.number)
            .await?;
        let part = part.unwrap_or(0..=size.saturating_sub(1));
        if *part.start() == 0 {
            note(&api, &caller, &found, size);
        }
        reader.seek(*part.start());
        let length = size.min(part.end() - part.start() + 1);
        *response.body_mut() = body(reader, length);
    }
    describe(response.headers_mut(), &found, &etag, time);
    Ok(response)
}

async fn pick(caller: &Caller, found: &Located, number: Option<i64>) -> Result<Version> {
    let mut versions = caller.tree.versions(&found.node).await?.into_iter();
    let wanted = match number {
        None => versions.next(),
        Some(number) => versions.find(|version| version.number == number),
    };
    wanted.ok_or_else(|| Problem::new(problem::NOT_FOUND, "there is no such version").at("version"))
}

/// Writes the activity log beside the answer, which does not wait for it.
pub(in super::super) fn note(api: &Arc<Api>, caller: &Caller, found: &Located, size: u64) {
    let (tree, node) = (caller.tree.clone(), found.node.clone());
    api.tasks.spawn(async move {
        if let Err(error) = tree.note_download(&node, size).await {
            tracing::error!("a download could not be logged: {error}");
        }
    });
}

fn matches_none(headers: &HeaderMap, etag: &str) -> bool {
    let lines = headers.get_all(header::IF_NONE_MATCH).into_iter();
    let lines = lines.filter_map(|line| line.to_str().ok());
    let mut tags = lines.flat_map(|line| line.split(',')).map(str::trim);
    tags.any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag)
}

fn not_modified(etag: &str) -> Response {
    let mut response = StatusCode::NOT_MODIFIED.into_response();
    response.headers_mut().insert(header::ETAG, value(etag));
    response
}

/// The part that is asked for; `None` for the whole file.
fn part(
    headers: &HeaderMap,
    etag: &str,
    time: SystemTime,
    size: u64,
) -> Result<Option<RangeInclusive<u64>>> {
    let Some(range) = headers
        .get(header::RANGE)
        .and_then(|value| value.to_str().ok())
    else {
        return Ok(None);
    };
    let tag = etag.parse().ok();
    let modified = LastModified::from(time);
    let condition = headers.typed_get::<IfRange>();
    if condition.is_some_and(|stated| stated.is_modified(tag.as_ref(), Some(&modified))) {
        return Ok(None);
    }
    match wanted(range, size) {
        Wanted::Whole => Ok(None),
        Wanted::Part(part) => Ok(Some(part)),
        Wanted::Outside => {
            let outside = Problem::new(problem::RANGE, format!("the file has {size} bytes"));
            let all = format!("bytes */{size}");
            Err(outside.at("Range").with_header(header::CONTENT_RANGE, all))
        }
    }
}

/// Status and headers of the answer.
fn head(part: Option<RangeInclusive<u64>>, size: u64) -> Response {
    let mut response = Response::new(Body::empty());
    let headers = response.headers_mut();
    headers.typed_insert(AcceptRanges::bytes());
    let length = part
        .as_ref()
        .map_or(size, |part| part.end() - part.start() + 1);
    headers.typed_insert(ContentLength(length));
    if let Some(Ok(range)) = part.map(|part| ContentRange::bytes(part, size)) {
        headers.typed_insert(range);
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
    }
    response
}

/// The next `length` bytes of a reader. When they fail to come the body breaks off.
pub(in super::super) fn body(reader: Reader, length: u64) -> Body {
    let pieces =
        futures_util::stream::try_unfold((reader, length), |(mut reader, left)| async move {
            if left == 0 {
                return Ok::<_, io::Error>(None);
            }
            let most = usize::try_from(left).unwrap_or(PIECE).min(PIECE);
            let bytes: Bytes = reader.read(most).await.map_err(|error| {
                tracing::error!(%error, "a download broke off");
                io::Error::other("the download broke off")
            })?;
            if bytes.is_empty() {
                return Err(io::Error::other("a content ends before its size"));
            }
            let left = left - bytes.len() as u64;
            Ok(Some((bytes, (reader, left))))
        });
    pieces::body(pieces)
}

fn describe(headers: &mut HeaderMap, found: &Located, etag: &str, time: SystemTime) {
    let name = &found.node.name;
    let kind = mime_guess::from_path(name).first_or_octet_stream();
    headers.insert(header::CONTENT_TYPE, value(kind.as_ref()));
    headers.insert(header::ETAG, value(etag));
    headers.typed_insert(LastModified::from(time));
    let name = utf8_percent_encode(name, NON_ALPHANUMERIC);
    let disposition = format!("attachment; filename*=UTF-8''{name}");
    headers.insert(header::CONTENT_DISPOSITION, value(&disposition));
}

fn value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static(""))
}
