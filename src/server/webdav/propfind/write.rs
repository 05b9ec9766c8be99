//! Writes one `DAV:response` after the other into a growing text. No I/O, no decisions.
//!
//! Plain appends: for 10,000 entries this is what the time of a listing goes into.

use std::fmt::Write as _;

use super::names::Live;
use super::request::{Plan, empty_element};
use crate::server::webdav::context::Face;
use crate::server::webdav::lock_xml;
use crate::server::webdav::text::{escape_text, http_date, rfc3339};
use crate::tree::{Lock, Node, Property, Usage};
use crate::types::{Millis, NodeId};

/// Opens the part with the properties that are there. The Nextcloud clients need it to be the first,
/// the only one with 200, and spelled exactly so.
const FOUND: &str = "<d:propstat><d:prop>";
const FOUND_END: &str = "</d:prop><d:status>HTTP/1.1 200 OK</d:status></d:propstat>";
const MISSING_END: &str = "</d:prop><d:status>HTTP/1.1 404 Not Found</d:status></d:propstat>";

/// Every lock the server grants (RFC 4918 §15.10).
const SUPPORTED_LOCK: &str = concat!(
    "<d:supportedlock><d:lockentry><d:lockscope><d:exclusive/></d:lockscope><d:locktype><d:write/>",
    "</d:locktype></d:lockentry><d:lockentry><d:lockscope><d:shared/></d:lockscope><d:locktype>",
    "<d:write/></d:locktype></d:lockentry></d:supportedlock>",
);
/// The reports of a collection.
const REPORTS: &str = concat!(
    "<d:supported-report-set><d:supported-report><d:report><d:sync-collection/></d:report>",
    "</d:supported-report></d:supported-report-set>",
);

/// What is known of one resource.
pub(crate) struct Entry<'a> {
    /// Encoded; ends in a slash for collections.
    pub(crate) href: &'a str,
    /// The node.
    pub(crate) node: &'a Node,
    /// Its dead properties, when the plan needs them.
    pub(crate) dead: &'a [Property],
    /// Locks on it, when the plan needs them.
    pub(crate) locks: &'a [Lock],
    /// Deep locks from above, when the plan needs them.
    pub(crate) locks_above: &'a [Lock],
    /// Of its space, when the plan needs it.
    pub(crate) usage: Option<Usage>,
    /// Where its change feed stands, when the plan needs it.
    pub(crate) sync_token: Option<&'a str>,
}

/// Appends the response of one resource. `scratch` only saves allocations.
pub(crate) fn response(
    out: &mut String,
    scratch: &mut String,
    face: &Face,
    plan: &Plan,
    entry: &Entry<'_>,
) {
    out.push_str("<d:response><d:href>");
    out.push_str(entry.href);
    out.push_str("</d:href>");
    let start = out.len();
    out.push_str(FOUND);
    let found = out.len();
    scratch.clear();
    for name in &plan.live {
        let there = if plan.names_only {
            applies(name.live, entry.node) && {
                write_tag(out, name.tag);
                true
            }
        } else {
            value(out, face, name.live, entry)
        };
        if !there && !plan.lenient && !plan.minimal {
            write_tag(scratch, name.tag);
        }
    }
    others(out, scratch, plan, entry);
    if out.len() == found && !scratch.is_empty() {
        out.truncate(start);
    } else {
        out.push_str(FOUND_END);
    }
    if !scratch.is_empty() {
        out.push_str(FOUND);
        out.push_str(scratch);
        out.push_str(MISSING_END);
    }
    out.push_str("</d:response>");
}

/// Appends a response that is a status only, such as a removed member (RFC 6578 §3.5.1).
pub(crate) fn status_response(out: &mut String, href: &str, status: &str, error: Option<&str>) {
    out.push_str("<d:response><d:href>");
    out.push_str(href);
    out.push_str("</d:href><d:status>HTTP/1.1 ");
    out.push_str(status);
    out.push_str("</d:status>");
    if let Some(error) = error {
        out.push_str("<d:error>");
        out.push_str(error);
        out.push_str("</d:error>");
    }
    out.push_str("</d:response>");
}

fn others(out: &mut String, scratch: &mut String, plan: &Plan, entry: &Entry<'_>) {
    if plan.all_dead {
        for property in entry.dead.iter().filter(|p| !plan_makes(plan, p)) {
            if plan.names_only {
                empty_element(out, &property.namespace, &property.name);
            } else {
                out.push_str(&String::from_utf8_lossy(&property.xml));
            }
        }
    }
    for name in &plan.other {
        let dead = entry
            .dead
            .iter()
            .find(|p| p.name == name.name && p.namespace == name.namespace);
        match dead {
            Some(_) if plan.all_dead => {}
            Some(property) => out.push_str(&String::from_utf8_lossy(&property.xml)),
            None if plan.minimal => {}
            None => scratch.push_str(&name.empty),
        }
    }
}

/// Whether a stored property is already told as a live one.
fn plan_makes(plan: &Plan, property: &Property) -> bool {
    plan.live
        .iter()
        .any(|n| n.local == property.name && n.namespace == property.namespace)
}

fn write_tag(out: &mut String, tag: &str) {
    out.push('<');
    out.push_str(tag);
    out.push_str("/>");
}

/// Whether such a node has the property at all.
fn applies(live: Live, node: &Node) -> bool {
    match live {
        Live::ContentLength | Live::Executable => !node.is_collection(),
        Live::SyncToken | Live::CTag => node.is_collection(),
        Live::OcChecksums => node.checksum.is_some(),
        Live::ResourceType
        | Live::ContentType
        | Live::ETag
        | Live::LastModified
        | Live::CreationDate
        | Live::DisplayName
        | Live::SupportedLock
        | Live::LockDiscovery
        | Live::QuotaAvailable
        | Live::QuotaUsed
        | Live::SupportedReportSet
        | Live::CurrentUserPrincipal
        | Live::OcId
        | Live::OcFileId
        | Live::OcPermissions
        | Live::OcSize
        | Live::NcHasPreview
        | Live::Win32Created
        | Live::Win32Modified
        | Live::Win32Accessed
        | Live::Win32Attributes => true,
    }
}

/// Appends the property with its value; `false` (and nothing) when the node does not have it.
fn value(out: &mut String, face: &Face, live: Live, entry: &Entry<'_>) -> bool {
    let node = entry.node;
    if !applies(live, node) {
        return false;
    }
    let collection = node.is_collection();
    match live {
        Live::ResourceType if collection => {
            out.push_str("<d:resourcetype><d:collection/></d:resourcetype>");
        }
        Live::ResourceType => out.push_str("<d:resourcetype/>"),
        Live::ContentLength => number(out, "d:getcontentlength", node.size),
        Live::ContentType => wrap(out, "d:getcontenttype", |o| o.push_str(content_type(node))),
        Live::ETag => wrap(out, "d:getetag", |o| etag(o, node)),
        Live::CTag => wrap(out, "cs:getctag", |o| etag(o, node)),
        Live::LastModified => wrap(out, "d:getlastmodified", |o| http_date(o, node.modified)),
        Live::CreationDate => wrap(out, "d:creationdate", |o| rfc3339(o, node.created)),
        Live::DisplayName => wrap(out, "d:displayname", |o| escape_text(o, &node.name)),
        Live::SupportedLock => out.push_str(SUPPORTED_LOCK),
        Live::LockDiscovery => wrap(out, "d:lockdiscovery", |o| locks(o, face, entry)),
        Live::QuotaAvailable => {
            let Some(available) = entry.usage.and_then(|usage| usage.available) else {
                return false;
            };
            number(out, "d:quota-available-bytes", available);
        }
        Live::QuotaUsed => {
            let Some(usage) = entry.usage else {
                return false;
            };
            number(out, "d:quota-used-bytes", usage.used);
        }
        Live::SupportedReportSet if collection => out.push_str(REPORTS),
        Live::SupportedReportSet => out.push_str("<d:supported-report-set/>"),
        Live::SyncToken => {
            let Some(token) = entry.sync_token else {
                return false;
            };
            wrap(out, "d:sync-token", |o| escape_text(o, token));
        }
        Live::CurrentUserPrincipal => wrap(out, "d:current-user-principal", |o| {
            wrap(o, "d:href", |o| o.push_str(&face.principal));
        }),
        Live::OcId => wrap(out, "oc:id", |o| oc_id(o, face, node.id)),
        Live::OcFileId => number(out, "oc:fileid", node.id.0),
        Live::OcPermissions if collection => {
            out.push_str("<oc:permissions>RGDNVCK</oc:permissions>");
        }
        Live::OcPermissions => out.push_str("<oc:permissions>RGDNVW</oc:permissions>"),
        Live::OcSize => number(out, "oc:size", node.size),
        Live::OcChecksums => wrap(out, "oc:checksums", |o| {
            wrap(o, "oc:checksum", |o| {
                escape_text(o, node.checksum.as_deref().unwrap_or_default());
            });
        }),
        Live::NcHasPreview => out.push_str("<nc:has-preview>false</nc:has-preview>"),
        Live::Win32Created => wrap(out, "z:Win32CreationTime", |o| http_date(o, node.created)),
        Live::Win32Modified => wrap(out, "z:Win32LastModifiedTime", |o| {
            http_date(o, node.modified);
        }),
        Live::Win32Accessed => stored(out, entry, "Win32LastAccessTime", |o| {
            wrap(o, "z:Win32LastAccessTime", |o| http_date(o, node.modified));
        }),
        Live::Win32Attributes => stored(out, entry, "Win32FileAttributes", |o| {
            let bits = if collection { "00000010" } else { "00000020" };
            wrap(o, "z:Win32FileAttributes", |o| o.push_str(bits));
        }),
        Live::Executable => wrap(out, "a:executable", |o| o.push_str(letter(node))),
    }
    true
}

/// Whether a file can be run, as `mod_dav` says it.
fn letter(node: &Node) -> &'static str {
    if node.mode.executable { "T" } else { "F" }
}

fn wrap(out: &mut String, tag: &str, inside: impl FnOnce(&mut String)) {
    out.push('<');
    out.push_str(tag);
    out.push('>');
    inside(out);
    out.push_str("</");
    out.push_str(tag);
    out.push('>');
}

fn number(out: &mut String, tag: &str, number: impl std::fmt::Display) {
    wrap(out, tag, |o| {
        write!(o, "{number}").expect("writing to a String cannot fail");
    });
}

fn etag(out: &mut String, node: &Node) {
    out.push('"');
    escape_text(out, node.etag.bare());
    out.push('"');
}

/// A Win32 property as a client stored it, or else as it can be derived.
fn stored(out: &mut String, entry: &Entry<'_>, name: &str, derive: impl FnOnce(&mut String)) {
    let dead = entry
        .dead
        .iter()
        .find(|p| p.name == name && p.namespace == super::names::WIN32);
    match dead {
        Some(property) => out.push_str(&String::from_utf8_lossy(&property.xml)),
        None => derive(out),
    }
}

fn locks(out: &mut String, face: &Face, entry: &Entry<'_>) {
    let now = Millis::from(std::time::SystemTime::now());
    let above = entry
        .locks_above
        .iter()
        .filter(|above| entry.locks.iter().all(|own| own.token != above.token));
    for lock in entry.locks.iter().chain(above) {
        lock_xml::active_lock(out, &face.prefix, lock, lock_xml::remaining(lock, now));
    }
}

/// Appends the id in the form of the Nextcloud clients: at least 8 digits, then the installation.
pub(crate) fn oc_id(out: &mut String, face: &Face, id: NodeId) {
    write!(out, "{:08}{}", id.0, face.instance).expect("writing to a String cannot fail");
}

/// Media type by the name's extension; KIO and others know collections by `httpd/unix-directory`.
pub(crate) fn content_type(node: &Node) -> &'static str {
    if node.is_collection() {
        return "httpd/unix-directory";
    }
    node.name
        .rsplit_once('.')
        .and_then(|(_, extension)| mime_guess::from_ext(extension).first_raw())
        .unwrap_or("application/octet-stream")
}
