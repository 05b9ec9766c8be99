//! REPORT: `sync-collection` (RFC 6578), and nothing else.

use axum::body::Body;
use http::{HeaderMap, Response, StatusCode};

use super::context::{Depth, Face, Facts};
use super::errors::{Refusal, refusal};
use super::frames::{self, FRAME_BYTES, Source};
use super::propfind::names::{DAV, MULTISTATUS};
use super::propfind::request::Plan;
use super::propfind::write::{self, Entry};
use super::propfind::{Extra, multistatus, wants_minimal};
use super::quirks::{AppleFiles, is_apple_file};
use super::text::{encode_name, encode_path, escape_text};
use super::xml::{self, Document, Element};
use crate::tree::{self, Change, ChangeKind, Changes, Cursor, Node, Tree};
use crate::types::{NodeName, NodePath};

/// Makes an opaque cursor the URI a sync token must be.
pub(crate) const TOKEN_PREFIX: &str = "urn:sync-server:cursor:";
/// Changes read from the database at once.
const PAGE: u32 = 1000;

/// A parsed `sync-collection`.
#[derive(Debug)]
struct Query {
    since: Option<Cursor>,
    deep: bool,
    limit: Option<u32>,
    plan: Plan,
}

/// Answers a REPORT.
pub(crate) async fn report(
    tree: Tree,
    face: Face,
    apple: AppleFiles,
    facts: &Facts,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<Response<Body>, Refusal> {
    let to_refusal = |error: tree::Error| refusal(&error, &face.prefix);
    let mut query = parse(&xml::parse(body)?, facts.depth)?;
    query.plan.minimal = wants_minimal(headers);
    let minimal = query.plan.minimal;
    let node = tree.lookup(&facts.path).await.map_err(to_refusal)?;
    if !node.is_collection() {
        return Err(unsupported());
    }
    let base = encode_path(&face.prefix, &facts.path, true);
    let limit = query.limit.unwrap_or(PAGE).min(PAGE);
    let first = tree
        .changes(&node, query.since.as_ref(), query.deep, limit)
        .await;
    let first = first.map_err(to_refusal)?;
    let left = query.limit.map(|limit| limit.saturating_sub(count(&first)));
    let feed = Feed {
        extra: Extra::new(tree.clone()),
        path: facts.path.clone(),
        scratch: String::new(),
        tree,
        face,
        apple,
        node,
        base,
        query,
        page: first,
        at: 0,
        left,
    };
    Ok(multistatus(
        frames::body(MULTISTATUS.to_owned(), feed),
        minimal,
    ))
}

fn count(page: &Changes) -> u32 {
    u32::try_from(page.changes.len()).unwrap_or(u32::MAX)
}

fn unsupported() -> Refusal {
    let message = "the only report is sync-collection, on collections";
    Refusal::with(StatusCode::FORBIDDEN, "supported-report", message)
}

fn parse(document: &Document, depth: Option<Depth>) -> Result<Query, Refusal> {
    let root = &document.root;
    if !root.is(DAV, "sync-collection") {
        return Err(unsupported());
    }
    let deep = is_deep(root, depth)?;
    let token = root
        .child(DAV, "sync-token")
        .map(|token| token.text.trim())
        .unwrap_or_default();
    let since = match token {
        "" => None,
        token => Some(
            token
                .strip_prefix(TOKEN_PREFIX)
                .and_then(Cursor::parse)
                .ok_or_else(|| {
                    Refusal::with(
                        StatusCode::FORBIDDEN,
                        "valid-sync-token",
                        "the sync token is not ours",
                    )
                })?,
        ),
    };
    let limit = match root
        .child(DAV, "limit")
        .and_then(|limit| limit.child(DAV, "nresults"))
    {
        None => None,
        Some(number) => match number.text.trim().parse::<u32>() {
            Ok(limit) if limit > 0 => Some(limit),
            Ok(_) | Err(_) => return Err(Refusal::bad("nresults must be a positive number")),
        },
    };
    let Some(prop) = root.child(DAV, "prop") else {
        return Err(Refusal::bad("prop is missing"));
    };
    let plan = Plan::of_names(prop).ok_or_else(|| Refusal::bad("too many properties"))?;
    Ok(Query {
        since,
        deep,
        limit,
        plan,
    })
}

#[cfg(any(test, fuzzing))]
/// A REPORT is read or refused.
pub(super) fn fuzz(document: &Document) {
    match parse(document, None) {
        Ok(query) => assert!(query.limit != Some(0)),
        Err(refusal) => assert!(refusal.status.is_client_error()),
    }
}

/// Whether the level asked for is infinite.
fn is_deep(root: &Element, depth: Option<Depth>) -> Result<bool, Refusal> {
    let Some(level) = root.child(DAV, "sync-level") else {
        // Drafts before the RFC had no sync-level and took Depth for it.
        return match depth {
            Some(Depth::One) => Ok(false),
            Some(Depth::Infinity) => Ok(true),
            None | Some(Depth::Zero) => Err(Refusal::bad("sync-level is missing")),
        };
    };
    if !matches!(depth, None | Some(Depth::Zero)) {
        return Err(Refusal::bad("sync-collection needs Depth: 0"));
    }
    match level.text.trim() {
        "1" => Ok(false),
        "infinite" | "infinity" => Ok(true),
        _ => Err(Refusal::bad("sync-level must be 1 or infinite")),
    }
}

/// The changes being written.
struct Feed {
    tree: Tree,
    face: Face,
    apple: AppleFiles,
    node: Node,
    path: NodePath,
    base: String,
    query: Query,
    extra: Extra,
    scratch: String,
    page: Changes,
    at: usize,
    /// Changes that may still be told; `None` for no limit.
    left: Option<u32>,
}

impl Feed {
    async fn change(&mut self, out: &mut String, change: &Change) -> tree::Result<()> {
        let last = change.path.names().last().map(NodeName::as_str);
        if self.apple != AppleFiles::Keep && last.is_some_and(is_apple_file) {
            return Ok(());
        }
        let mut href = self.base.clone();
        for (index, name) in change.path.names().iter().enumerate() {
            if index > 0 {
                href.push('/');
            }
            encode_name(&mut href, name.as_str());
        }
        let ChangeKind::Present(node) = &change.kind else {
            write::status_response(out, &href, "404 Not Found", None);
            return Ok(());
        };
        if node.is_collection() {
            href.push('/');
        }
        let with = self.query.plan.with();
        let dead = if with.properties {
            self.tree.properties(node).await?
        } else {
            Vec::new()
        };
        let locks = if with.locks {
            self.tree.locks(&below(&self.path, &change.path)).await?
        } else {
            Vec::new()
        };
        self.extra.prepare(&self.query.plan, node).await?;
        let entry = Entry {
            href: &href,
            node,
            dead: &dead,
            locks: &locks,
            locks_above: &[],
            usage: self.extra.usage(node),
            sync_token: self.extra.token(node),
        };
        write::response(out, &mut self.scratch, &self.face, &self.query.plan, &entry);
        Ok(())
    }

    fn end(&self, out: &mut String) {
        if self.page.more {
            let error = Some("<d:number-of-matches-within-limits/>");
            write::status_response(out, &self.base, "507 Insufficient Storage", error);
        }
        out.push_str("<d:sync-token>");
        out.push_str(TOKEN_PREFIX);
        escape_text(out, &self.page.cursor.to_string());
        out.push_str("</d:sync-token></d:multistatus>");
    }
}

fn below(path: &NodePath, rest: &NodePath) -> NodePath {
    rest.names()
        .iter()
        .fold(path.clone(), |path, name| path.join(name.clone()))
}

impl Source for Feed {
    async fn write(&mut self, out: &mut String) -> tree::Result<bool> {
        while out.len() < FRAME_BYTES {
            if self.at < self.page.changes.len() {
                let change = &mut self.page.changes[self.at];
                let gone = Change {
                    path: NodePath::root(),
                    kind: ChangeKind::Gone,
                };
                let change = std::mem::replace(change, gone);
                self.at += 1;
                self.change(out, &change).await?;
                continue;
            }
            if !self.page.more || self.left == Some(0) {
                self.end(out);
                return Ok(false);
            }
            let limit = self.left.unwrap_or(PAGE).min(PAGE);
            let (since, deep) = (Some(&self.page.cursor), self.query.deep);
            self.page = self.tree.changes(&self.node, since, deep, limit).await?;
            self.left = self.left.map(|left| left.saturating_sub(count(&self.page)));
            self.at = 0;
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(inside: &str, depth: Option<Depth>) -> Result<Query, u16> {
        let body = format!("<D:sync-collection xmlns:D=\"DAV:\">{inside}</D:sync-collection>");
        parse(&xml::parse(body.as_bytes()).unwrap(), depth).map_err(|r| r.status.as_u16())
    }

    #[test]
    fn the_example_of_the_rfc_is_read() {
        let inside = "<D:sync-token/><D:sync-level>1</D:sync-level><D:limit><D:nresults>10\
             </D:nresults></D:limit><D:prop><D:getetag/></D:prop>";
        let query = query(inside, Some(Depth::Zero)).unwrap();
        assert!(query.since.is_none() && !query.deep);
        assert_eq!(query.limit, Some(10));
        assert_eq!(query.plan.live.len(), 1);
    }

    #[test]
    fn tokens_of_others_and_odd_limits_are_refused() {
        let level = "<D:sync-level>infinite</D:sync-level><D:prop/>";
        assert!(query(level, None).unwrap().deep);
        for (inside, status) in [
            ("<D:sync-token>http://other/1</D:sync-token>", 403),
            ("<D:sync-token>urn:sync-server:cursor:x</D:sync-token>", 403),
            ("<D:limit><D:nresults>0</D:nresults></D:limit>", 400),
            ("<D:limit><D:nresults>many</D:nresults></D:limit>", 400),
        ] {
            assert_eq!(
                query(&format!("{inside}{level}"), None).unwrap_err(),
                status,
                "{inside}"
            );
        }
        assert_eq!(query(level, Some(Depth::One)).unwrap_err(), 400);
        assert_eq!(query("<D:prop/>", None).unwrap_err(), 400);
        assert!(!query("<D:prop/>", Some(Depth::One)).unwrap().deep);
    }

    #[test]
    fn other_reports_are_named_unsupported() {
        let document = xml::parse(b"<expand-property xmlns=\"DAV:\"/>").unwrap();
        assert_eq!(parse(&document, None).unwrap_err().status, 403);
    }
}
