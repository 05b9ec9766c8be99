//! Taking many files and changes in one request: a binary stream, read as it comes.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, header};

use super::super::Api;
use super::super::extract::{Caller, Json};
use super::super::problem::{self, Problem, Result};
use super::super::responses::Problems;
use super::receive::Receiver;
use crate::protocol::stream::MEDIA_TYPE;
use crate::protocol::sync::Pushed;

/// Takes a stream of files and changes and does them in their order.
///
/// Each item is done or refused by itself; the answer has one result for each. Files, collections
/// and deletions may be sent again: what is there already is done. `docs/PROTOCOL.md` describes the stream; it may come with
/// `Content-Encoding: zstd` or `gzip`. When the stream breaks off or is malformed, what came before
/// may have been done.
#[utoipa::path(post, path = "/sync/push", tag = "sync",
    request_body(content = Vec<u8>, content_type = "application/vnd.sync-server.stream"),
    responses((status = 200, body = Pushed), Problems))]
pub(in super::super) async fn push(
    State(api): State<Arc<Api>>,
    caller: Caller,
    request: Request,
) -> Result<Json<Pushed>> {
    if !is_stream(request.headers()) {
        let wrong = Problem::new(problem::MEDIA, format!("send {MEDIA_TYPE}"));
        return Err(wrong.at("Content-Type"));
    }
    let mut receiver = Receiver::new(caller.tree, request.into_body());
    let results = receiver.run().await?;
    if let Some(device) = caller.session.device {
        api.accounts.device_synced(device).await?;
    }
    Ok(Json(Pushed { results }))
}

fn is_stream(headers: &HeaderMap) -> bool {
    let kind = headers
        .get(header::CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok());
    kind.is_some_and(|kind| kind.eq_ignore_ascii_case(MEDIA_TYPE))
}
