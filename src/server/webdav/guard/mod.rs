//! The request side: everything a client can send is parsed here, once, before dav-server sees it.
//!
//! dav-server 0.11 ignores headers it cannot read, and panics on a few. So each header it reads is
//! refused when malformed and otherwise replaced by a canonical form; the rest is removed.

pub(crate) mod body;
mod destination;
pub(crate) mod headers;
mod if_header;

use http::request::Parts;
use http::{HeaderName, HeaderValue, StatusCode, Uri, header};

use super::Dav;
use super::context::{Depth, Facts};
use super::errors::Refusal;
use super::text::encode_path;
use crate::tree::Overwrite;
use crate::types::NodePath;

pub(crate) const ALLOW_COLLECTION: &str =
    "OPTIONS, GET, HEAD, PROPFIND, PROPPATCH, COPY, MOVE, DELETE, LOCK, UNLOCK, REPORT";
pub(crate) const ALLOW_FILE: &str =
    "OPTIONS, GET, HEAD, PUT, PATCH, PROPFIND, PROPPATCH, COPY, MOVE, DELETE, LOCK, UNLOCK";
pub(crate) const ALLOW_UNMAPPED: &str = "OPTIONS, PUT, MKCOL, LOCK";

/// A method we serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verb {
    Options,
    Get,
    Head,
    Put,
    Patch,
    PropFind,
    PropPatch,
    MkCol,
    Delete,
    Copy,
    Move,
    Lock,
    Unlock,
    Report,
}

impl Verb {
    fn parse(method: &http::Method) -> Option<Self> {
        Some(match method.as_str() {
            "OPTIONS" => Self::Options,
            "GET" => Self::Get,
            "HEAD" => Self::Head,
            "PUT" => Self::Put,
            "PATCH" => Self::Patch,
            "PROPFIND" => Self::PropFind,
            "PROPPATCH" => Self::PropPatch,
            "MKCOL" => Self::MkCol,
            "DELETE" => Self::Delete,
            "COPY" => Self::Copy,
            "MOVE" => Self::Move,
            "LOCK" => Self::Lock,
            "UNLOCK" => Self::Unlock,
            "REPORT" => Self::Report,
            _ => return None,
        })
    }

    /// Whether the body is streamed instead of read first.
    pub(crate) fn streams(self) -> bool {
        matches!(self, Self::Put | Self::Patch)
    }

    /// Whether a body that is not empty has a meaning.
    pub(crate) fn takes_xml(self) -> bool {
        matches!(
            self,
            Self::PropFind | Self::PropPatch | Self::Lock | Self::Report
        )
    }

    /// Whether a body is ignored instead of refused (RFC 9110 §9.3.1, §9.3.7).
    pub(crate) fn ignores_body(self) -> bool {
        matches!(self, Self::Options | Self::Get | Self::Head)
    }
}

/// Reads the request line and headers, and rewrites them for dav-server.
pub(crate) fn inspect(parts: &mut Parts, dav: &Dav) -> Result<Facts, Refusal> {
    let Some(verb) = Verb::parse(&parts.method) else {
        return Err(unknown(&parts.method));
    };
    let (path, slash) = dav.below(parts.uri.path())?;
    // Old sync clients upload pieces as files named `x-chunking-…`; kept, they would be synced back.
    if parts.headers.contains_key("oc-chunked") {
        return Err(Refusal::bad(
            "this way of uploading in pieces is not supported",
        ));
    }
    for name in ["x-litmus", "x-litmus-second", "te"] {
        parts.headers.remove(name);
    }
    let depth = headers::depth(&mut parts.headers)?;
    let overwrite = headers::overwrite(&mut parts.headers)?;
    let destination = match verb {
        Verb::Copy | Verb::Move => Some(destination::parse(&mut parts.headers, dav)?),
        Verb::Options
        | Verb::Get
        | Verb::Head
        | Verb::Put
        | Verb::Patch
        | Verb::PropFind
        | Verb::PropPatch
        | Verb::MkCol
        | Verb::Delete
        | Verb::Lock
        | Verb::Unlock
        | Verb::Report => None,
    };
    let tokens = if_header::parse(&mut parts.headers, dav)?;
    let when = headers::preconditions(&mut parts.headers)?;
    let modified = headers::unix_time(&parts.headers, "x-oc-mtime")?;
    let created = headers::unix_time(&parts.headers, "x-oc-ctime")?;
    let checksum = headers::checksum(&mut parts.headers)?;
    let partial = verb == Verb::Patch || parts.headers.contains_key("content-range");
    if checksum.is_some() && partial {
        return Err(Refusal::bad("OC-Checksum is for whole files only"));
    }
    if verb == Verb::Patch && parts.headers.contains_key("content-range") {
        return Err(Refusal::bad(
            "PATCH takes X-Update-Range, not Content-Range",
        ));
    }
    let timeout = headers::timeout(&mut parts.headers);
    let expected = headers::expected_length(&mut parts.headers, verb)?;
    headers::single(&parts.headers, &HeaderName::from_static("lock-token"))?;
    headers::drop_range_lists(&mut parts.headers);
    headers::clamp_range(&mut parts.headers);
    headers::update_range(&parts.headers)?;
    let facts = Facts {
        verb,
        path,
        slash,
        destination,
        overwrite,
        depth,
        tokens,
        when,
        expected,
        modified,
        created,
        checksum,
        timeout,
    };
    sensible(&facts)?;
    canonical(parts, dav, &facts);
    Ok(facts)
}

/// Refuses what no answer of the engine could make right.
fn sensible(facts: &Facts) -> Result<(), Refusal> {
    let forbidden = |message| Err(Refusal::new(StatusCode::FORBIDDEN, message));
    if facts.verb == Verb::Put && facts.slash {
        return Err(Refusal::new(
            StatusCode::CONFLICT,
            "a file's URL does not end in a slash",
        ));
    }
    if let Some(destination) = &facts.destination {
        // dav-server 0.11 panics when the destination is the root of its prefix.
        if destination.is_root() {
            return forbidden("the root cannot be replaced");
        }
        let shallow = facts.verb == Verb::Copy && facts.depth == Some(Depth::Zero);
        let same = *destination == facts.path;
        if same || (destination.starts_with(&facts.path) && !shallow) {
            return forbidden("source and destination overlap");
        }
    }
    if facts.path.is_root() && matches!(facts.verb, Verb::Delete | Verb::Move) {
        return forbidden("the root cannot be moved or deleted");
    }
    Ok(())
}

/// Puts the canonical URL and the headers dav-server must see in place.
fn canonical(parts: &mut Parts, dav: &Dav, facts: &Facts) {
    let path = encode_path(&dav.prefix, &facts.path, false);
    parts.uri = path
        .parse::<Uri>()
        .expect("a percent-encoded path is a URI");
    if facts.verb == Verb::Delete {
        // With `Depth: 0` dav-server removes a collection in one call instead of walking it.
        parts.headers.insert("depth", HeaderValue::from_static("0"));
    }
    if facts.overwrite == Overwrite::No {
        parts
            .headers
            .insert("overwrite", HeaderValue::from_static("F"));
    }
    if !facts.verb.streams() {
        parts.headers.remove(header::CONTENT_LENGTH);
        parts.headers.remove(header::CONTENT_RANGE);
    }
}

fn unknown(method: &http::Method) -> Refusal {
    const KNOWN: [&str; 16] = [
        "POST",
        "SEARCH",
        "ACL",
        "BIND",
        "UNBIND",
        "REBIND",
        "MKCALENDAR",
        "VERSION-CONTROL",
        "CHECKIN",
        "CHECKOUT",
        "UNCHECKOUT",
        "LABEL",
        "MERGE",
        "UPDATE",
        "ORDERPATCH",
        "TRACE",
    ];
    if KNOWN.contains(&method.as_str()) {
        return Refusal::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "this method is not supported here",
        );
    }
    Refusal::new(StatusCode::NOT_IMPLEMENTED, "unknown method")
}

impl Dav {
    /// The path below the prefix, and whether it was written with a slash at its end; 404 elsewhere.
    fn below(&self, encoded: &str) -> Result<(NodePath, bool), Refusal> {
        let elsewhere = || Refusal::new(StatusCode::NOT_FOUND, "nothing is there");
        let whole = NodePath::from_url(encoded)?;
        let prefix = NodePath::parse(&self.prefix).map_err(|_| elsewhere())?;
        if !whole.starts_with(&prefix) {
            return Err(elsewhere());
        }
        let names = &whole.names()[prefix.depth()..];
        let path = names
            .iter()
            .fold(NodePath::root(), |path, name| path.join(name.clone()));
        let slash = encoded.ends_with('/') && !path.is_root();
        Ok((path, slash))
    }
}
