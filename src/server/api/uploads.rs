//! Large files in several requests, which survive a restart of either side.

use std::sync::Arc;

use axum::extract::{Request, State};
use futures_util::StreamExt;
use http::{HeaderMap, HeaderName, StatusCode};
use serde::Deserialize;
use utoipa::IntoParams;

use super::Api;
use super::errors::broken_body;
use super::extract::{self, Caller, Json, Path, Query};
use super::problem::{self, Problem, Result};
use super::responses::{InTheWay, Problems};
use super::show;
use crate::protocol::files::{OpenUpload, UploadState, UploadStates, Written};
use crate::protocol::schema;
use crate::tree::{NewUpload, UploadError, UploadSession};
use crate::types::UploadId;

/// Where an appended part goes.
const OFFSET: &str = "Upload-Offset";

/// Opens a resumable upload.
#[utoipa::path(post, path = "/uploads", operation_id = "openUpload", tag = "uploads",
    request_body = OpenUpload,
    responses(
        (status = 201, body = UploadState, description = "The upload is open"),
        Problems, InTheWay,
    ))]
pub(super) async fn open(
    caller: Caller,
    Json(asked): Json<OpenUpload>,
) -> Result<(StatusCode, Json<UploadState>)> {
    let path = extract::path("path", &asked.path)?;
    let new = NewUpload {
        size: asked.size,
        base: extract::base(asked.base.as_deref())?,
        modified: extract::time("mtime", asked.mtime)?,
        created: extract::time("created", asked.created)?,
        checksum: extract::checksum(asked.checksum.as_deref())?,
    };
    let session = caller.tree.upload_open(&path, new).await?;
    Ok((StatusCode::CREATED, Json(state(&session))))
}

/// Lists the unfinished uploads of the account.
#[utoipa::path(get, path = "/uploads", operation_id = "listUploads", tag = "uploads",
    responses((status = 200, body = UploadStates, description = "The uploads"), Problems))]
pub(super) async fn list(caller: Caller) -> Result<Json<UploadStates>> {
    let sessions = caller.tree.upload_list().await?.into_iter();
    let items = sessions.map(|session| state(&session)).collect();
    Ok(Json(UploadStates { items }))
}

/// Tells where an upload goes on.
#[utoipa::path(get, path = "/uploads/{id}", operation_id = "getUpload", tag = "uploads",
    params(("id" = schema::Id, Path, description = "The upload")),
    responses((status = 200, body = UploadState, description = "The upload"), Problems))]
pub(super) async fn show(caller: Caller, Path(id): Path<i64>) -> Result<Json<UploadState>> {
    Ok(Json(state(&caller.tree.upload_get(UploadId(id)).await?)))
}

/// Appends the body to an upload, from the offset in `Upload-Offset` on.
///
/// 409 with the type `upload-offset` says in its own `Upload-Offset` header where the upload goes on.
/// What arrived of a body that broke off counts: ask for the upload to see where it goes on.
#[utoipa::path(patch, path = "/uploads/{id}", operation_id = "appendToUpload", tag = "uploads",
    params(
        ("id" = schema::Id, Path, description = "The upload"),
        ("Upload-Offset" = schema::Size, Header,
            description = "Where the body goes: what has arrived so far"),
    ),
    request_body(content = schema::Bytes, content_type = "application/octet-stream"),
    responses(
        (status = 200, body = UploadState, description = "The upload after it"),
        Problems, InTheWay,
    ))]
pub(super) async fn append(
    State(_api): State<Arc<Api>>,
    caller: Caller,
    Path(id): Path<i64>,
    request: Request,
) -> Result<Json<UploadState>> {
    let offset = offset(request.headers())?;
    let mut appender = caller.tree.upload_append(UploadId(id), offset).await?;
    let mut body = request.into_body().into_data_stream();
    let mut broken = None;
    while let Some(bytes) = body.next().await {
        match bytes {
            Ok(bytes) => appender.push(bytes).await?,
            Err(error) => {
                broken = Some(broken_body(&error));
                break;
            }
        }
    }
    let session = appender.pause().await?;
    match broken {
        Some(problem) => Err(problem),
        None => Ok(Json(state(&session))),
    }
}

/// What the file of an upload must be.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct FinishQuery {
    /// The root of its content, 32 hex digits; when it has another, the upload is forgotten.
    #[param(value_type = Option<schema::Digest>)]
    root: Option<String>,
}

/// Makes the file of an upload that has arrived as a whole. Again it gives the same answer.
#[utoipa::path(post, path = "/uploads/{id}/finish", operation_id = "finishUpload", tag = "uploads",
    params(("id" = schema::Id, Path, description = "The upload"), FinishQuery),
    responses((status = 200, body = Written, description = "The file"), Problems, InTheWay))]
pub(super) async fn finish(
    caller: Caller,
    Path(id): Path<i64>,
    Query(query): Query<FinishQuery>,
) -> Result<Json<Written>> {
    let root = query.root.as_deref().map(extract::root).transpose()?;
    let session = caller.tree.upload_get(UploadId(id)).await?;
    let written = caller.tree.upload_finish(UploadId(id), root).await?;
    let path = match caller.tree.by_id(written.node.id).await {
        Ok(located) => located.path,
        // Moved or deleted since it was made.
        Err(_) => session.path,
    };
    Ok(Json(show::written(written, &path)))
}

/// Gives an upload up.
#[utoipa::path(delete, path = "/uploads/{id}", operation_id = "abortUpload", tag = "uploads",
    params(("id" = schema::Id, Path, description = "The upload")),
    responses((status = 204, description = "It is forgotten"), Problems))]
pub(super) async fn abort(caller: Caller, Path(id): Path<i64>) -> Result<StatusCode> {
    caller.tree.upload_abort(UploadId(id)).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn offset(headers: &HeaderMap) -> Result<u64> {
    let stated = headers
        .get(OFFSET)
        .and_then(|value| value.to_str().ok()?.parse().ok());
    stated.ok_or_else(|| {
        Problem::new(problem::BAD_REQUEST, "say where the body goes, in bytes").at(OFFSET)
    })
}

fn state(session: &UploadSession) -> UploadState {
    UploadState {
        id: session.id.0,
        path: session.path.to_string(),
        size: session.size,
        offset: session.received,
        expires: session.expires.0,
        finished: session.finished,
    }
}

impl From<UploadError> for Problem {
    fn from(error: UploadError) -> Self {
        let text = error.to_string();
        match error {
            UploadError::Offset { received } => Self::new(problem::UPLOAD_OFFSET, text)
                .at(OFFSET)
                .with_header(
                    HeaderName::from_static("upload-offset"),
                    received.to_string(),
                ),
            UploadError::Busy
            | UploadError::Finished
            | UploadError::Incomplete { .. }
            | UploadError::Paused => Self::new(problem::UPLOAD_STATE, text),
            UploadError::TooLong { .. } => Self::new(problem::TOO_LARGE, text),
            UploadError::TooMany => Self::new(problem::LIMITED, text).retry_after(60),
            UploadError::Tree(error) => error.into(),
        }
    }
}
