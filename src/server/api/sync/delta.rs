//! What changed between two versions of a file, and what a version is made of.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde::Deserialize;
use utoipa::IntoParams;

use super::super::Api;
use super::super::extract::{self, Caller, Json, Query};
use super::super::files::download::note;
use super::super::problem::{self, Problem, Result};
use super::super::responses::{NoFile, Problems, TooLarge};
use crate::protocol::schema;
use crate::protocol::stream;
use crate::protocol::sync::{DeltaHead, SignatureRequest};
use crate::server::pieces;
use crate::store::content::{ContentChunks, Diff, DiffError, SignatureError};
use crate::tree::Located;
use crate::types::{ContentId, ETag, NodeId, hex};

/// Media type of a list of chunks.
const MANIFEST: &str = "application/vnd.sync-server.manifest";
/// Media type of signatures.
const SIGNATURE: &str = "application/vnd.sync-server.signature";

/// Which file, and from which version to which.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct DeltaQuery {
    /// The file.
    #[param(value_type = schema::Id)]
    id: i64,
    /// The etag of the version the client has; none when absent.
    #[param(value_type = Option<schema::FileTag>)]
    from: Option<String>,
    /// The etag of the version it wants; the current one when absent.
    #[param(value_type = Option<schema::FileTag>)]
    to: Option<String>,
}

/// Sends what makes one version of a file from another.
///
/// The answer is the binary stream of `docs/PROTOCOL.md` with COPY, LIT and PATCH. 404 with the
/// field `from` or `to` means that the version is not kept any more; 413 that the file is too large
/// to compare: download it.
#[utoipa::path(get, path = "/sync/delta", operation_id = "getDelta", tag = "sync",
    params(DeltaQuery),
    responses(
        (status = 200, body = schema::Bytes, description = "The stream",
            content_type = "application/vnd.sync-server.stream"),
        Problems, NoFile, TooLarge,
    ))]
pub(in super::super) async fn delta(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Query(query): Query<DeltaQuery>,
) -> Result<Response> {
    let found = caller.tree.by_id(NodeId(query.id)).await?;
    let to = version(&caller, &found, "to", query.to.as_deref()).await?;
    let from = match query.from.as_deref() {
        Some(text) => Some(version(&caller, &found, "from", Some(text)).await?),
        None => None,
    };
    let facts = caller.tree.content_facts(to).await?;
    let diff = caller.tree.diff(from, to).await?;
    note(&api, &caller, &found, facts.size);
    let head = DeltaHead {
        id: query.id,
        from: from.map(tag),
        to: tag(to),
        size: facts.size,
        root: hex(&facts.root.0),
        class: facts.class.into(),
    };
    Ok(send(stream::MEDIA_TYPE, operations(&head, diff)?))
}

/// Which file, and which of its versions.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct ManifestQuery {
    /// The file.
    #[param(value_type = schema::Id)]
    id: i64,
    /// The etag of a version; the current one when absent.
    #[param(value_type = Option<schema::FileTag>)]
    etag: Option<String>,
}

/// Lists the chunks of a version: 16 bytes of its stand-in and its length as 32 bits (big-endian)
/// for each.
#[utoipa::path(get, path = "/sync/manifest", operation_id = "getManifest", tag = "sync",
    params(ManifestQuery),
    responses(
        (status = 200, body = schema::Bytes, description = "The chunks",
            content_type = "application/vnd.sync-server.manifest"),
        Problems, NoFile,
    ))]
pub(in super::super) async fn manifest(
    caller: Caller,
    Query(query): Query<ManifestQuery>,
) -> Result<Response> {
    let found = caller.tree.by_id(NodeId(query.id)).await?;
    let content = version(&caller, &found, "etag", query.etag.as_deref()).await?;
    let chunks = caller.tree.chunks(content).await?;
    Ok(send(MANIFEST, entries(chunks)))
}

/// Signs blocks of a version, so that a device without the old bytes finds what it has in common.
///
/// 12 bytes for each block: a rolling sum of 4 and the first 8 of BLAKE3.
#[utoipa::path(post, path = "/sync/signature", operation_id = "getSignatures", tag = "sync",
    request_body = SignatureRequest,
    responses(
        (status = 200, body = schema::Bytes, description = "The signatures",
            content_type = "application/vnd.sync-server.signature"),
        Problems, NoFile, TooLarge,
    ))]
pub(in super::super) async fn signature(
    caller: Caller,
    Json(asked): Json<SignatureRequest>,
) -> Result<Response> {
    let found = caller.tree.by_id(NodeId(asked.id)).await?;
    let content = version(&caller, &found, "etag", asked.etag.as_deref()).await?;
    let ranges = asked.ranges.iter().map(|(start, len)| range(*start, *len));
    let ranges = ranges.collect::<Result<Vec<_>>>()?;
    let block = u64::from(asked.block);
    let signed = caller.tree.signatures(content, ranges, block).await?;
    let length = signed.len();
    let body = futures_util::stream::try_unfold(signed, async |mut signed| {
        let next = signed.next().await.map_err(|error| broke_off(&error))?;
        Ok::<_, io::Error>(next.map(|bytes| (bytes, signed)))
    });
    let mut response = send(SIGNATURE, pieces::body(body));
    response
        .headers_mut()
        .insert(header::CONTENT_LENGTH, length.into());
    Ok(response)
}

fn range(start: u64, len: u64) -> Result<Range<u64>> {
    let end = start.checked_add(len);
    let end = end.ok_or_else(|| Problem::invalid("ranges", "a part reaches too far"))?;
    Ok(start..end)
}

/// The content of a version of a file, which must be kept.
async fn version(
    caller: &Caller,
    found: &Located,
    field: &str,
    text: Option<&str>,
) -> Result<ContentId> {
    let head = found
        .node
        .content
        .ok_or(crate::tree::Error::IsACollection)?;
    let Some(text) = text else {
        return Ok(head);
    };
    let content = extract::content(field, text)?;
    if caller.tree.has_content(&found.node, content).await? {
        return Ok(content);
    }
    Err(Problem::new(problem::NOT_FOUND, "this version is not kept any more").at(field))
}

pub(super) fn tag(content: ContentId) -> String {
    ETag::file(content).bare().to_owned()
}

pub(super) fn send(kind: &'static str, body: Body) -> Response {
    ([(header::CONTENT_TYPE, kind)], body).into_response()
}

/// The stream of a delta, pulled as the client reads.
fn operations(head: &DeltaHead, diff: Diff) -> Result<Body> {
    let json = serde_json::to_vec(head);
    let json = json.map_err(|_never| Problem::new(problem::INTERNAL, "the header is no JSON"))?;
    let mut out = Vec::new();
    stream::magic(&mut out);
    stream::file(&mut out, &json);
    let state = (Bytes::from(out), Some(diff));
    let pieces = futures_util::stream::try_unfold(state, async |(mut out, diff)| {
        if !out.is_empty() {
            return Ok::<_, io::Error>(Some((pieces::next(&mut out), (out, diff))));
        }
        let Some(mut diff) = diff else {
            return Ok(None);
        };
        let mut more = Vec::new();
        let next = diff.next().await.map_err(|error| broke_off(&error))?;
        let diff = if let Some(operation) = next {
            stream::operation(&mut more, &operation);
            Some(diff)
        } else {
            stream::end(&mut more);
            None
        };
        let mut more = Bytes::from(more);
        Ok(Some((pieces::next(&mut more), (more, diff))))
    });
    Ok(pieces::body(pieces))
}

fn entries(chunks: ContentChunks) -> Body {
    let batches = futures_util::stream::try_unfold(chunks, async |mut chunks| {
        let batch = chunks
            .next_batch()
            .await
            .map_err(|error| broke_off(&error))?;
        if batch.is_empty() {
            return Ok::<_, io::Error>(None);
        }
        let mut bytes = Vec::with_capacity(batch.len() * 20);
        for (stand_in, len) in batch {
            bytes.extend_from_slice(&stand_in.0);
            bytes.extend_from_slice(&len.to_be_bytes());
        }
        Ok(Some((Bytes::from(bytes), chunks)))
    });
    pieces::body(batches)
}

pub(super) fn broke_off(error: &crate::store::Error) -> io::Error {
    tracing::error!(%error, "an answer broke off");
    io::Error::other("the answer broke off")
}

impl From<DiffError> for Problem {
    fn from(error: DiffError) -> Self {
        let text = error.to_string();
        match error {
            DiffError::TooLarge { .. } => Self::new(problem::TOO_LARGE, text),
            DiffError::OtherSpace => Self::invalid("from", text),
            DiffError::Store(error) => error.into(),
        }
    }
}

impl From<SignatureError> for Problem {
    fn from(error: SignatureError) -> Self {
        let text = error.to_string();
        match error {
            SignatureError::Block { .. } => Self::invalid("block", text),
            SignatureError::TooMany { .. } | SignatureError::Range { .. } => {
                Self::invalid("ranges", text)
            }
            SignatureError::Store(error) => error.into(),
        }
    }
}
