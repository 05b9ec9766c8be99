//! A file in one request: its bytes as the body, or as the one part of a form.

use axum::body::Body;
use axum::extract::multipart::MultipartError;
use axum::extract::{FromRequest, Multipart, Request};
use axum::http::{HeaderMap, StatusCode, header};
use futures_util::StreamExt;
use serde::Deserialize;
use utoipa::IntoParams;

use super::super::errors::broken_body;
use super::super::extract::{self, Caller, Json, Query};
use super::super::problem::{self, Problem, Result};
use super::super::responses::Problems;
use super::super::show;
use crate::protocol::files::Written;
use crate::store::content::Upload;
use crate::tree::Write;

/// Where the file goes, and what is known of it.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct UploadQuery {
    /// Where the file goes; the collection above must be there.
    path: String,
    /// The etag of the version it was made from, or `none` when nothing should be there. Without it
    /// the upload becomes the current version whatever is there.
    base: Option<String>,
    /// Its modification time; now when absent.
    mtime: Option<i64>,
    /// Its creation time.
    created: Option<i64>,
    /// A checksum that must be that of the bytes: `SHA256:` (or SHA1, MD5, ADLER32) and hex digits.
    checksum: Option<String>,
}

/// Uploads a file.
///
/// The body is the file itself, or `multipart/form-data` with one part named `file`. What was there
/// before becomes a version. When the `base` is not the current version any more, both stay: the
/// later modification wins, the other lies beside it (`conflict`).
#[utoipa::path(post, path = "/files/upload", tag = "files", params(UploadQuery),
    request_body(content(
        (Vec<u8> = "application/octet-stream"),
        (FormFile = "multipart/form-data"),
    )),
    responses((status = 201, body = Written, description = "A new file"),
        (status = 200, body = Written, description = "A new version"), Problems))]
pub(in super::super) async fn put(
    caller: Caller,
    Query(query): Query<UploadQuery>,
    request: Request,
) -> Result<(StatusCode, Json<Written>)> {
    let path = extract::path("path", &query.path)?;
    let how = Write {
        modified: extract::time("mtime", query.mtime)?,
        created: extract::time("created", query.created)?,
        base: extract::base(query.base.as_deref())?,
        ..Write::default()
    };
    let checksum = extract::checksum(query.checksum.as_deref())?;
    let form = is_form(request.headers());
    let expected = if form {
        None
    } else {
        length(request.headers())
    };
    let mut upload = caller.tree.upload(&path, expected, checksum).await?;
    if form {
        take_form(&mut upload, request).await?;
    } else {
        take_body(&mut upload, request.into_body()).await?;
    }
    if expected.is_some_and(|expected| expected != upload.written()) {
        return Err(Problem::new(
            problem::BAD_LENGTH,
            "the body is not as long as announced",
        ));
    }
    let written = caller.tree.commit(&path, upload, how).await?;
    let status = if written.created {
        StatusCode::CREATED
    } else {
        StatusCode::OK
    };
    let path = extract::spelled(&caller.tree, &written.node, &path).await;
    Ok((status, Json(show::written(written, &path))))
}

/// A form with one file.
#[derive(utoipa::ToSchema)]
#[expect(dead_code, reason = "it only describes the form")]
pub(in super::super) struct FormFile {
    /// The file's bytes.
    #[schema(content_media_type = "application/octet-stream")]
    file: Vec<u8>,
}

async fn take_body(upload: &mut Upload, body: Body) -> Result<()> {
    let mut body = body.into_data_stream();
    while let Some(bytes) = body.next().await {
        upload
            .push(bytes.map_err(|error| broken_body(&error))?)
            .await?;
    }
    Ok(())
}

async fn take_form(upload: &mut Upload, request: Request) -> Result<()> {
    let form = Multipart::from_request(request, &()).await;
    let mut form = form.map_err(|error| Problem::new(problem::BAD_REQUEST, error.body_text()))?;
    let missing = || Problem::invalid("file", "the form needs one part named `file`");
    let mut part = form
        .next_field()
        .await
        .map_err(|error| broken(&error))?
        .ok_or_else(missing)?;
    if part.name() != Some("file") {
        return Err(missing());
    }
    while let Some(bytes) = part.chunk().await.map_err(|error| broken(&error))? {
        upload.push(bytes).await?;
    }
    drop(part);
    match form.next_field().await.map_err(|error| broken(&error))? {
        None => Ok(()),
        Some(_) => Err(Problem::invalid("file", "the form has more than one part")),
    }
}

fn broken(error: &MultipartError) -> Problem {
    Problem::new(
        problem::BAD_REQUEST,
        format!("the form cannot be read: {}", error.body_text()),
    )
}

fn is_form(headers: &HeaderMap) -> bool {
    let kind = headers
        .get(header::CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok());
    kind.is_some_and(|kind| {
        kind.trim_start()
            .to_ascii_lowercase()
            .starts_with("multipart/form-data")
    })
}

/// The announced length; gone when the body came compressed.
fn length(headers: &HeaderMap) -> Option<u64> {
    headers
        .get(header::CONTENT_LENGTH)?
        .to_str()
        .ok()?
        .parse()
        .ok()
}
