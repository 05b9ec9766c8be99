//! PROPFIND, own: dav-server's answers an unreadable collection with an empty one, leaves quotes off
//! `getetag`, drops missing properties silently, and takes 15 times the processor time.

pub(crate) mod names;
pub(crate) mod request;
pub(crate) mod write;

use std::collections::HashMap;

use axum::body::Body;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Response, StatusCode};

use self::request::Plan;
use self::write::Entry;
use super::context::{Depth, Face, Facts};
use super::errors::{Refusal, XML_TYPE, refusal};
use super::frames::{self, FRAME_BYTES, Source};
use super::pages::Pages;
use super::quirks::AppleFiles;
use super::report::TOKEN_PREFIX;
use super::text::{encode_name, encode_path};
use super::xml;
use crate::tree::{self, Lock, Node, Tree, Usage};
use crate::types::SpaceId;

/// What the server can do, for `DAV` headers (RFC 4918 §10.1).
pub(crate) const DAV_CLASSES: HeaderValue =
    HeaderValue::from_static("1, 2, 3, sabredav-partialupdate");

/// Answers a PROPFIND. A missing `Depth` counts as 1: RFC 4918 says infinity, which no client that
/// forgets the header wants, and a 403 would only lock it out.
pub(crate) async fn propfind(
    tree: Tree,
    face: Face,
    apple: AppleFiles,
    facts: &Facts,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<Response<Body>, Refusal> {
    if facts.depth == Some(Depth::Infinity) {
        return Err(Refusal::finite_depth());
    }
    let plan = plan(headers, body)?;
    let minimal = plan.minimal;
    let to_refusal = |error: tree::Error| refusal(&error, &face.prefix);
    let node = tree.lookup(&facts.path).await.map_err(to_refusal)?;
    let members = facts.depth != Some(Depth::Zero) && node.is_collection();
    let base = encode_path(&face.prefix, &facts.path, node.is_collection());
    let mut extra = Extra::new(tree.clone());
    let locks = if plan.with().locks {
        tree.locks(&facts.path).await.map_err(to_refusal)?
    } else {
        Vec::new()
    };
    let dead = if plan.with().properties {
        tree.properties(&node).await.map_err(to_refusal)?
    } else {
        Vec::new()
    };
    extra.prepare(&plan, &node).await.map_err(to_refusal)?;
    let mut head = String::with_capacity(FRAME_BYTES + FRAME_BYTES / 8);
    head.push_str(names::MULTISTATUS);
    let entry = Entry {
        href: &base,
        node: &node,
        dead: &dead,
        locks: &locks,
        locks_above: &[],
        usage: extra.usage(&node),
        sync_token: extra.token(&node),
    };
    write::response(&mut head, &mut String::new(), &face, &plan, &entry);
    let body = if members {
        let pages = Pages::open(tree, node, plan.with(), apple)
            .await
            .map_err(to_refusal)?;
        let above = locks.into_iter().filter(|lock| lock.deep).collect();
        let scratch = String::new();
        frames::body(
            head,
            Listing {
                pages,
                face,
                plan,
                base,
                above,
                extra,
                scratch,
            },
        )
    } else {
        head.push_str("</d:multistatus>");
        Body::from(head)
    };
    Ok(multistatus(body, minimal))
}

/// A 207 with this body.
pub(crate) fn multistatus(body: Body, minimal: bool) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::MULTI_STATUS;
    response.headers_mut().insert(CONTENT_TYPE, XML_TYPE);
    response.headers_mut().insert("dav", DAV_CLASSES);
    if minimal {
        let applied = HeaderValue::from_static("return=minimal");
        response.headers_mut().insert("preference-applied", applied);
    }
    response
}

/// What the request asks for; no body means `allprop`.
pub(crate) fn plan(headers: &HeaderMap, body: &[u8]) -> Result<Plan, Refusal> {
    let mut plan = if body.is_empty() {
        Plan::allprop()
    } else {
        let document = xml::parse(body)?;
        Plan::of_propfind(&document).ok_or_else(|| Refusal::bad("the body is no propfind"))?
    };
    plan.minimal = wants_minimal(headers);
    Ok(plan)
}

/// `Prefer: return=minimal` (RFC 8144), or Microsoft's `Brief: t`.
pub(crate) fn wants_minimal(headers: &HeaderMap) -> bool {
    let has = |name: &str, wanted: &str| {
        headers.get_all(name).iter().any(|value| {
            value.to_str().is_ok_and(|value| {
                value
                    .split([',', ';'])
                    .any(|part| part.trim().eq_ignore_ascii_case(wanted))
            })
        })
    };
    has("prefer", "return=minimal") || has("brief", "t")
}

/// Values that cost a query and are the same for many nodes.
pub(crate) struct Extra {
    tree: Tree,
    usage: HashMap<SpaceId, Usage>,
    tokens: HashMap<(SpaceId, bool), String>,
}

impl Extra {
    /// Nothing asked yet.
    pub(crate) fn new(tree: Tree) -> Self {
        let (usage, tokens) = (HashMap::new(), HashMap::new());
        Self {
            tree,
            usage,
            tokens,
        }
    }

    /// Reads what the plan needs for this node and is not known.
    pub(crate) async fn prepare(&mut self, plan: &Plan, node: &Node) -> tree::Result<()> {
        if plan.needs_usage() && !self.usage.contains_key(&node.space) {
            let usage = self.tree.usage(node).await?;
            self.usage.insert(node.space, usage);
        }
        let key = Self::token_key(node);
        if plan.needs_sync_token() && node.is_collection() && !self.tokens.contains_key(&key) {
            let token = format!("{TOKEN_PREFIX}{}", self.tree.cursor(node).await?);
            self.tokens.insert(key, token);
        }
        Ok(())
    }

    /// Roots are apart: the account's own covers the spaces mounted in it.
    fn token_key(node: &Node) -> (SpaceId, bool) {
        (node.space, node.parent.is_none())
    }

    pub(crate) fn usage(&self, node: &Node) -> Option<Usage> {
        self.usage.get(&node.space).copied()
    }

    pub(crate) fn token(&self, node: &Node) -> Option<&str> {
        self.tokens.get(&Self::token_key(node)).map(String::as_str)
    }
}

/// The members of a collection being written.
struct Listing {
    pages: Pages,
    face: Face,
    plan: Plan,
    base: String,
    above: Vec<Lock>,
    extra: Extra,
    scratch: String,
}

impl Source for Listing {
    async fn write(&mut self, out: &mut String) -> tree::Result<bool> {
        let mut href = String::with_capacity(self.base.len() + 64);
        while out.len() < FRAME_BYTES {
            if !self.pages.advance().await? {
                out.push_str("</d:multistatus>");
                return Ok(false);
            }
            let child = self.pages.current();
            if self.plan.needs_usage() || self.plan.needs_sync_token() {
                self.extra.prepare(&self.plan, child.node).await?;
            }
            href.clear();
            href.push_str(&self.base);
            encode_name(&mut href, &child.node.name);
            if child.node.is_collection() {
                href.push('/');
            }
            let entry = Entry {
                href: &href,
                node: child.node,
                dead: child.dead,
                locks: child.locks,
                locks_above: &self.above,
                usage: self.extra.usage(child.node),
                sync_token: self.extra.token(child.node),
            };
            write::response(out, &mut self.scratch, &self.face, &self.plan, &entry);
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_to_ask_for_less_are_understood() {
        let map = |name: &'static str, value| {
            let mut headers = HeaderMap::new();
            headers.insert(name, HeaderValue::from_static(value));
            wants_minimal(&headers)
        };
        assert!(map("prefer", "depth-noroot, return=minimal") && map("brief", "t"));
        assert!(!map("prefer", "return=representation") && !map("brief", "f"));
    }

    #[test]
    fn no_body_is_allprop_and_bad_ones_are_refused() {
        assert!(plan(&HeaderMap::new(), b"").unwrap().all_dead);
        for body in ["<a/>", "<a", "x"] {
            assert_eq!(
                plan(&HeaderMap::new(), body.as_bytes()).unwrap_err().status,
                400
            );
        }
    }
}
