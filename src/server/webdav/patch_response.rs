//! The response side: what dav-server answers, made right and complete.

use axum::body::Body;
use http::header::{
    ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG,
    X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderValue, Response, StatusCode};

use super::context::{Ctx, Face};
use super::errors::XML_TYPE;
use super::guard::{ALLOW_COLLECTION, ALLOW_FILE, Verb};
use super::lock_xml;
use super::propfind::multistatus;
use super::propfind::write::oc_id;
use super::proppatch;
use super::quirks::is_active_content;
use super::text::encode_path;
use crate::tree::Node;

/// Finishes the answer to a request that went through dav-server.
pub(crate) fn finish(ctx: &Ctx, response: Response<dav_server::body::Body>) -> Response<Body> {
    let mut out = ctx.with_out(std::mem::take);
    // A 207 of dav-server's for COPY, MOVE or DELETE only ever holds a failure.
    let multi = response.status() == StatusCode::MULTI_STATUS && out.refusal.is_some();
    let failed =
        response.status().is_client_error() || response.status().is_server_error() || multi;
    let mut response = match out.refusal.take() {
        Some(refusal) if failed => refusal.into_response(),
        _ => response.map(Body::new),
    };
    response.headers_mut().remove(CONNECTION);
    if failed {
        return response;
    }
    if let Some(statuses) = &out.patched {
        let collection = out.node.as_ref().is_some_and(Node::is_collection);
        let href = encode_path(
            &ctx.face.prefix,
            &ctx.facts.path,
            collection || ctx.facts.slash,
        );
        let body = proppatch::answer(&href, &ctx.patch, statuses);
        return multistatus(Body::from(body), false);
    }
    if let (Verb::Lock, Some(lock)) = (ctx.facts.verb, &out.lock) {
        response.headers_mut().remove(CONTENT_LENGTH);
        response.headers_mut().insert(CONTENT_TYPE, XML_TYPE);
        *response.body_mut() = Body::from(lock_xml::granted(&ctx.face.prefix, lock));
    }
    if let Some(node) = &out.node {
        written(response.headers_mut(), ctx, node);
    }
    if matches!(ctx.facts.verb, Verb::Get | Verb::Head)
        && let Some(node) = &ctx.known
    {
        read(response.headers_mut(), &ctx.face, node);
    }
    response
}

/// What sync clients need to know of the node they have written.
fn written(headers: &mut HeaderMap, ctx: &Ctx, node: &Node) {
    let etag = value(node.etag.to_string());
    headers.insert(ETAG, etag.clone());
    headers.insert("oc-etag", etag);
    headers.insert("oc-fileid", file_id(&ctx.face, node));
    if ctx.facts.modified.is_some() {
        headers.insert("x-oc-mtime", HeaderValue::from_static("accepted"));
    }
    if let Some(checksum) = &node.checksum
        && let Ok(checksum) = HeaderValue::from_str(checksum)
    {
        headers.insert("oc-checksum", checksum);
    }
}

/// What goes with a file's bytes. Nothing uploaded may run as a page of this server.
fn read(headers: &mut HeaderMap, face: &Face, node: &Node) {
    headers.insert("oc-etag", value(node.etag.to_string()));
    headers.insert("oc-fileid", file_id(face, node));
    if let Some(checksum) = &node.checksum
        && let Ok(checksum) = HeaderValue::from_str(checksum)
    {
        headers.insert("oc-checksum", checksum);
    }
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    let active = headers
        .get(CONTENT_TYPE)
        .and_then(|media_type| media_type.to_str().ok())
        .is_some_and(is_active_content);
    if active {
        let sandbox =
            HeaderValue::from_static("sandbox; default-src 'none'; style-src 'unsafe-inline'");
        headers.insert(CONTENT_SECURITY_POLICY, sandbox);
    }
}

fn file_id(face: &Face, node: &Node) -> HeaderValue {
    let mut id = String::new();
    oc_id(&mut id, face, node.id);
    value(id)
}

fn value(text: String) -> HeaderValue {
    HeaderValue::try_from(text).expect("ids and tags of ours are ASCII")
}

/// A 405 must say what is allowed (RFC 9110 §15.5.6).
pub(crate) fn allow(response: &mut Response<Body>, node: Option<&Node>) {
    if response.status() == StatusCode::METHOD_NOT_ALLOWED {
        let collection = node.is_none_or(Node::is_collection);
        let allowed = if collection {
            ALLOW_COLLECTION
        } else {
            ALLOW_FILE
        };
        response
            .headers_mut()
            .insert(ALLOW, HeaderValue::from_static(allowed));
    }
}
