//! The collections above the prefix, which hold nothing but the way to it.
//!
//! The Windows redirector and gvfs ask for `/` and every parent before they look at the URL they
//! were given, and give up when that fails.

use axum::body::Body;
use http::header::{ALLOW, CONTENT_LENGTH};
use http::{HeaderValue, Request, Response};

use super::Dav;
use super::context::Depth;
use super::errors::Refusal;
use super::guard::{body, headers};
use super::propfind::names::{Live, MULTISTATUS};
use super::propfind::request::Plan;
use super::propfind::{DAV_CLASSES, multistatus, plan};
use super::text::encode_prefix;

/// The answer to OPTIONS, with the methods `allow`ed there (RFC 4918 §10.1).
pub(crate) fn options(allow: &'static str) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    let headers = response.headers_mut();
    headers.insert("dav", DAV_CLASSES);
    // Without this Office opens everything read-only.
    headers.insert("ms-author-via", HeaderValue::from_static("DAV"));
    headers.insert(ALLOW, HeaderValue::from_static(allow));
    headers.insert(CONTENT_LENGTH, HeaderValue::from(0));
    response
}

/// OPTIONS on `/` or another parent of the prefix.
pub fn root_options() -> Response<Body> {
    options("OPTIONS, PROPFIND")
}

/// PROPFIND on `/` or another parent of the prefix: a collection whose only member is the next part
/// of the prefix.
pub async fn root_propfind(dav: &Dav, request: Request<Body>) -> Response<Body> {
    answer(dav, request)
        .await
        .unwrap_or_else(Refusal::into_response)
}

async fn answer(dav: &Dav, request: Request<Body>) -> Result<Response<Body>, Refusal> {
    let (mut parts, content) = request.into_parts();
    let depth = headers::depth(&mut parts.headers)?;
    if depth == Some(Depth::Infinity) {
        return Err(Refusal::finite_depth());
    }
    let content = body::read(super::guard::Verb::PropFind, content).await?;
    let plan = plan(&parts.headers, &content)?;
    let Some((here, below)) = steps(&dav.prefix, parts.uri.path()) else {
        return Err(Refusal::new(
            http::StatusCode::NOT_FOUND,
            "nothing is there",
        ));
    };
    let mut out = MULTISTATUS.to_owned();
    bare_collection(&mut out, &encode_prefix(&here), &plan);
    if depth != Some(Depth::Zero) {
        bare_collection(&mut out, &encode_prefix(&below), &plan);
    }
    out.push_str("</d:multistatus>");
    Ok(multistatus(Body::from(out), plan.minimal))
}

/// The parent of the prefix that is asked for, and its member on the way to the prefix.
fn steps(prefix: &str, asked: &str) -> Option<(String, String)> {
    let here = match asked.trim_end_matches('/') {
        "" => "/".to_owned(),
        path => format!("{path}/"),
    };
    let rest = prefix.strip_prefix(&here)?;
    let (next, _) = rest.split_once('/')?;
    let below = format!("{here}{next}/");
    Some((here, below))
}

/// A collection of which nothing is known but that it is one.
fn bare_collection(out: &mut String, href: &str, plan: &Plan) {
    out.push_str("<d:response><d:href>");
    out.push_str(href);
    out.push_str("</d:href><d:propstat><d:prop>");
    if plan.asks(Live::ResourceType) {
        out.push_str("<d:resourcetype><d:collection/></d:resourcetype>");
    }
    out.push_str("</d:prop><d:status>HTTP/1.1 200 OK</d:status></d:propstat>");
    let missing: Vec<_> = plan
        .live
        .iter()
        .filter(|name| name.live != Live::ResourceType)
        .collect();
    if !plan.lenient && !plan.minimal && missing.len() + plan.other.len() > 0 {
        out.push_str("<d:propstat><d:prop>");
        for name in missing {
            out.push('<');
            out.push_str(name.tag);
            out.push_str("/>");
        }
        plan.other.iter().for_each(|name| out.push_str(&name.empty));
        out.push_str("</d:prop><d:status>HTTP/1.1 404 Not Found</d:status></d:propstat>");
    }
    out.push_str("</d:response>");
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;

    async fn find(prefix: &str, uri: &str, depth: &str) -> (u16, String) {
        let request = Request::builder()
            .method("PROPFIND")
            .uri(uri)
            .header("depth", depth)
            .body(Body::from(
                "<d:propfind xmlns:d=\"DAV:\"><d:prop><d:resourcetype/><d:getetag/></d:prop>\
                 </d:propfind>",
            ))
            .unwrap();
        let response = root_propfind(&Dav::new(prefix), request).await;
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn the_root_is_a_collection_that_shows_the_way() {
        let (status, body) = find("/dav/", "/", "1").await;
        assert_eq!(status, 207);
        insta::assert_snapshot!(body, @r#"<?xml version="1.0" encoding="utf-8"?><d:multistatus xmlns:d="DAV:" xmlns:oc="http://owncloud.org/ns" xmlns:nc="http://nextcloud.org/ns" xmlns:cs="http://calendarserver.org/ns/" xmlns:z="urn:schemas-microsoft-com:" xmlns:a="http://apache.org/dav/props/"><d:response><d:href>/</d:href><d:propstat><d:prop><d:resourcetype><d:collection/></d:resourcetype></d:prop><d:status>HTTP/1.1 200 OK</d:status></d:propstat><d:propstat><d:prop><d:getetag/></d:prop><d:status>HTTP/1.1 404 Not Found</d:status></d:propstat></d:response><d:response><d:href>/dav/</d:href><d:propstat><d:prop><d:resourcetype><d:collection/></d:resourcetype></d:prop><d:status>HTTP/1.1 200 OK</d:status></d:propstat><d:propstat><d:prop><d:getetag/></d:prop><d:status>HTTP/1.1 404 Not Found</d:status></d:propstat></d:response></d:multistatus>"#);
    }

    #[tokio::test]
    async fn parents_in_between_are_there_and_nothing_else_is() {
        let (status, body) = find("/remote.php/dav/files/al/", "/remote.php", "1").await;
        assert_eq!(status, 207);
        assert!(body.contains("<d:href>/remote.php/dav/</d:href>"), "{body}");
        assert_eq!(
            find("/dav/", "/", "0")
                .await
                .1
                .matches("<d:response>")
                .count(),
            1
        );
        assert_eq!(find("/dav/", "/other", "0").await.0, 404);
        assert_eq!(find("/dav/", "/", "infinity").await.0, 403);
    }

    #[test]
    fn options_name_the_classes() {
        let response = root_options();
        assert_eq!(response.headers()["dav"], "1, 2, 3, sabredav-partialupdate");
        assert_eq!(response.headers()["ms-author-via"], "DAV");
        assert_eq!(response.headers()["content-length"], "0");
    }
}
