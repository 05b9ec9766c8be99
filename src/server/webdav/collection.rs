//! GET and HEAD on a collection: a plain page for people who open the address in a browser.

use axum::body::Body;
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_MATCH, IF_NONE_MATCH,
    LAST_MODIFIED,
};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};

use super::context::{Face, Facts};
use super::errors::{Refusal, refusal};
use super::frames::{self, FRAME_BYTES, Source};
use super::guard::Verb;
use super::pages::Pages;
use super::quirks::AppleFiles;
use super::text::{encode_name, encode_path, escape_text, http_date};
use crate::tree::{self, Node, Tree, With};

const HEAD: &str = concat!(
    "<!DOCTYPE html><html><head><meta charset=\"utf-8\">",
    "<meta name=\"viewport\" content=\"width=device-width\"><title>",
);

/// Answers GET or HEAD on `node`, a collection.
pub(crate) async fn show(
    tree: Tree,
    face: &Face,
    apple: AppleFiles,
    facts: &Facts,
    headers: &HeaderMap,
    node: Node,
) -> Result<Response<Body>, Refusal> {
    let mut response = Response::new(Body::empty());
    let fields = response.headers_mut();
    let mut date = String::new();
    http_date(&mut date, node.modified);
    fields.insert(ETAG, header(&node.etag.to_string()));
    fields.insert(LAST_MODIFIED, header(&date));
    fields.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    let mine = format!("\"{}\"", node.etag.bare());
    if lists(headers, &IF_MATCH, &mine) == Some(false) {
        return Err(refusal(&tree::Error::PreconditionFailed, &face.prefix));
    }
    if lists(headers, &IF_NONE_MATCH, &mine) == Some(true) {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        return Ok(response);
    }
    fields.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("text/html; charset=utf-8"),
    );
    let nothing_runs = HeaderValue::from_static("default-src 'none'; sandbox allow-same-origin");
    fields.insert(CONTENT_SECURITY_POLICY, nothing_runs);
    if facts.verb == Verb::Head {
        return Ok(response);
    }
    let base = encode_path(&face.prefix, &facts.path, true);
    let pages = Pages::open(tree, node, With::default(), apple).await;
    let pages = pages.map_err(|error| refusal(&error, &face.prefix))?;
    let mut head = HEAD.to_owned();
    let title = facts.path.to_string();
    escape_text(&mut head, &title);
    head.push_str("</title></head><body><h1>");
    escape_text(&mut head, &title);
    head.push_str("</h1><ul>");
    if let Some((above, _)) = facts.path.split_last() {
        let above = encode_path(&face.prefix, &above, true);
        head.push_str("<li><a href=\"");
        head.push_str(&above);
        head.push_str("\">..</a></li>");
    }
    *response.body_mut() = frames::body(head, Listing { pages, base });
    Ok(response)
}

fn header(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).expect("tags and dates of ours are ASCII")
}

/// Whether a condition, made canonical by the guard, holds this tag; `None` without the header.
fn lists(headers: &HeaderMap, name: &HeaderName, tag: &str) -> Option<bool> {
    let value = headers.get(name)?.to_str().ok()?;
    Some(value.split(", ").any(|one| one == "*" || one == tag))
}

struct Listing {
    pages: Pages,
    base: String,
}

impl Source for Listing {
    async fn write(&mut self, out: &mut String) -> tree::Result<bool> {
        while out.len() < FRAME_BYTES {
            if !self.pages.advance().await? {
                out.push_str("</ul></body></html>");
                return Ok(false);
            }
            let node = self.pages.current().node;
            let slash = if node.is_collection() { "/" } else { "" };
            out.push_str("<li><a href=\"");
            out.push_str(&self.base);
            encode_name(out, &node.name);
            out.push_str(slash);
            out.push_str("\">");
            escape_text(out, &node.name);
            out.push_str(slash);
            out.push_str("</a></li>");
        }
        Ok(true)
    }
}
