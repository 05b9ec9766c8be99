//! PROPPATCH: which properties clients may set, and what setting them does.
//!
//! dav-server evaluates `If` and locks, but knows only dead properties and discards the times
//! Windows sets. So it gets a body with placeholder names; the instructions themselves are parsed
//! and applied here, all or none, in one transaction.

use std::fmt::Write as _;

use dav_server::fs::FsResult;
use http::StatusCode;

use super::context::Ctx;
use super::propfind::names::{self, APACHE, DAV, NC, OC, WIN32};
use super::propfind::request::empty_element;
use super::text::{parse_http_date, parse_rfc3339, parse_unix_seconds};
use super::xml::{Document, Element};
use crate::tree::{Property, PropertyChange, Times};
use crate::types::{Millis, NodePath};

/// Most instructions in one request.
const MAX_INSTRUCTIONS: usize = 256;
/// Opens the multistatus of the answer; the statuses in it are those of [`STATUSES`].
const STATUSES: [StatusCode; 4] = [
    StatusCode::OK,
    StatusCode::FORBIDDEN,
    StatusCode::CONFLICT,
    StatusCode::FAILED_DEPENDENCY,
];

/// One property to set or remove.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Instruction {
    namespace: String,
    name: String,
    action: Action,
}

/// What an instruction does.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Action {
    /// Keeps the element.
    Store(Vec<u8>),
    /// Forgets the element.
    Forget,
    /// Sets the modification time.
    Modified(Millis),
    /// Sets the creation time.
    Created(Millis),
    /// Says whether it can be run. A collection takes no notice.
    Executable(bool),
    /// Succeeds without doing anything.
    Nothing,
    /// Is refused: only the server sets it.
    Protected,
    /// Is refused: the value makes no sense.
    Invalid,
}

/// Reads the body; `None` when it is not a PROPPATCH, or more than [`MAX_INSTRUCTIONS`].
pub(crate) fn parse(document: &Document) -> Option<Vec<Instruction>> {
    if !document.root.is(DAV, "propertyupdate") {
        return None;
    }
    let operations = document.root.children.iter();
    let named = operations
        .flat_map(|operation| &operation.children)
        .map(|prop| prop.children.len());
    if named.sum::<usize>() > MAX_INSTRUCTIONS {
        return None;
    }
    let mut instructions = Vec::new();
    for operation in &document.root.children {
        let set = operation.is(DAV, "set");
        if !set && !operation.is(DAV, "remove") {
            continue;
        }
        for prop in operation
            .children
            .iter()
            .filter(|child| child.is(DAV, "prop"))
        {
            for element in &prop.children {
                let action = if set {
                    setting(document, element)?
                } else {
                    removal(element)
                };
                let (namespace, name) = (element.namespace.clone(), element.name.clone());
                instructions.push(Instruction {
                    namespace,
                    name,
                    action,
                });
            }
        }
    }
    (!instructions.is_empty()).then_some(instructions)
}

fn setting(document: &Document, element: &Element) -> Option<Action> {
    let value = element.text.trim();
    let time = match (element.namespace.as_str(), element.name.as_str()) {
        // rclone sets `lastmodified` in seconds; others write the form they were shown.
        (DAV, "getlastmodified" | "lastmodified") => any_time(value).map(Action::Modified),
        (DAV, "creationdate") => any_time(value).map(Action::Created),
        // Explorer gives up the whole copy when one of its four properties fails, and some of its
        // times (1601) cannot be said in HTTP.
        (WIN32, "Win32LastModifiedTime") => {
            Some(parse_http_date(value).map_or(Action::Nothing, Action::Modified))
        }
        (WIN32, "Win32CreationTime") => {
            Some(parse_http_date(value).map_or(Action::Nothing, Action::Created))
        }
        (WIN32, "Win32LastAccessTime" | "Win32FileAttributes") => store(document, element),
        (APACHE, "executable") => match value {
            "T" => Some(Action::Executable(true)),
            "F" => Some(Action::Executable(false)),
            _ => None,
        },
        (namespace, name) if is_protected(namespace, name) => Some(Action::Protected),
        _ => return store(document, element),
    };
    Some(time.unwrap_or(Action::Invalid))
}

/// Keeps the element if a strict parser takes it: it will stand in listings of other clients.
fn store(document: &Document, element: &Element) -> Option<Action> {
    let xml = document.standalone(element);
    xmltree::Element::parse(xml.as_bytes()).ok()?;
    Some(Action::Store(xml.into_bytes()))
}

fn removal(element: &Element) -> Action {
    match (element.namespace.as_str(), element.name.as_str()) {
        (WIN32, "Win32LastModifiedTime" | "Win32CreationTime") => Action::Nothing,
        (WIN32, _) => Action::Forget,
        (APACHE, "executable") => Action::Executable(false),
        (namespace, name) if is_protected(namespace, name) => Action::Protected,
        _ => Action::Forget,
    }
}

/// The live properties, and two that sync clients would take for one when they found them stored.
fn is_protected(namespace: &str, name: &str) -> bool {
    names::find(namespace, name).is_some()
        || matches!(
            (namespace, name),
            (DAV, "lastmodified") | (OC | NC, "data-fingerprint")
        )
}

fn any_time(value: &str) -> Option<Millis> {
    parse_unix_seconds(value)
        .or_else(|| parse_http_date(value))
        .or_else(|| parse_rfc3339(value))
}

/// A PROPPATCH that dav-server passes on whole: as many dead properties as there are instructions.
pub(crate) fn placeholder(instructions: &[Instruction]) -> String {
    let mut out = String::from(
        "<D:propertyupdate xmlns:D=\"DAV:\" xmlns:P=\"urn:placeholder\"><D:set><D:prop>",
    );
    for index in 0..instructions.len() {
        write!(out, "<P:p{index}/>").expect("writing to a String cannot fail");
    }
    out.push_str("</D:prop></D:set></D:propertyupdate>");
    out
}

/// Applies the instructions of the request, or none of them.
pub(crate) async fn apply(ctx: &Ctx, at: &NodePath) -> FsResult<()> {
    let statuses = statuses(&ctx.patch);
    if statuses.iter().all(StatusCode::is_success) {
        let (changes, times) = effects(&ctx.patch);
        let node = ctx.tree.patch_properties(at, changes, times).await;
        let node = node.map_err(|error| ctx.fail(&error))?;
        ctx.with_out(|out| out.node = Some(node));
    }
    ctx.with_out(|out| out.patched = Some(statuses));
    Ok(())
}

/// The status of each instruction: when one fails, the others fail with it (RFC 4918 §9.2).
fn statuses(instructions: &[Instruction]) -> Vec<StatusCode> {
    let own = |instruction: &Instruction| match instruction.action {
        Action::Protected => StatusCode::FORBIDDEN,
        Action::Invalid => StatusCode::CONFLICT,
        Action::Store(_)
        | Action::Forget
        | Action::Modified(_)
        | Action::Created(_)
        | Action::Executable(_)
        | Action::Nothing => StatusCode::OK,
    };
    let mut statuses: Vec<_> = instructions.iter().map(own).collect();
    if statuses.iter().any(|status| *status != StatusCode::OK) {
        for status in statuses
            .iter_mut()
            .filter(|status| **status == StatusCode::OK)
        {
            *status = StatusCode::FAILED_DEPENDENCY;
        }
    }
    statuses
}

fn effects(instructions: &[Instruction]) -> (Vec<PropertyChange>, Times) {
    let mut changes = Vec::new();
    let mut times = Times::default();
    for instruction in instructions {
        let (namespace, name) = (instruction.namespace.clone(), instruction.name.clone());
        match &instruction.action {
            Action::Store(xml) => {
                let xml = xml.clone();
                changes.push(PropertyChange::Set(Property {
                    namespace,
                    name,
                    xml,
                }));
            }
            Action::Forget => changes.push(PropertyChange::Remove { namespace, name }),
            Action::Modified(time) => times.modified = Some(*time),
            Action::Created(time) => times.created = Some(*time),
            Action::Executable(executable) => times.executable = Some(*executable),
            Action::Nothing | Action::Protected | Action::Invalid => {}
        }
    }
    (changes, times)
}

/// The multistatus that tells how it went.
pub(crate) fn answer(href: &str, instructions: &[Instruction], statuses: &[StatusCode]) -> String {
    let mut out = String::from(names::MULTISTATUS);
    out.push_str("<d:response><d:href>");
    out.push_str(href);
    out.push_str("</d:href>");
    for status in STATUSES {
        let mut of_status = instructions
            .iter()
            .zip(statuses)
            .filter(|(_, own)| **own == status)
            .peekable();
        if of_status.peek().is_none() {
            continue;
        }
        out.push_str("<d:propstat><d:prop>");
        for (instruction, _) in of_status {
            match names::find(&instruction.namespace, &instruction.name) {
                Some(live) => {
                    write!(out, "<{}/>", live.tag).expect("writing to a String cannot fail");
                }
                None => empty_element(&mut out, &instruction.namespace, &instruction.name),
            }
        }
        write!(out, "</d:prop><d:status>HTTP/1.1 {status}</d:status>")
            .expect("writing to a String cannot fail");
        if status == StatusCode::FORBIDDEN {
            out.push_str("<d:error><d:cannot-modify-protected-property/></d:error>");
        }
        out.push_str("</d:propstat>");
    }
    out.push_str("</d:response></d:multistatus>");
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::webdav::xml;

    fn instructions(set: &str, remove: &str) -> Option<Vec<Instruction>> {
        let body = format!(
            "<D:propertyupdate xmlns:D=\"DAV:\" xmlns:Z=\"urn:schemas-microsoft-com:\" \
             xmlns:A=\"http://apache.org/dav/props/\"><D:set><D:prop>{set}</D:prop></D:set>\
             <D:remove><D:prop>{remove}</D:prop></D:remove></D:propertyupdate>"
        );
        parse(&xml::parse(body.as_bytes()).unwrap())
    }

    fn actions(set: &str, remove: &str) -> Vec<Action> {
        instructions(set, remove)
            .unwrap()
            .into_iter()
            .map(|i| i.action)
            .collect()
    }

    #[test]
    fn what_explorer_sets_is_applied() {
        let actions = actions(
            "<Z:Win32CreationTime>Sun, 06 Nov 1994 08:49:37 GMT</Z:Win32CreationTime>\
             <Z:Win32LastAccessTime>Mon, 01 Jan 1601 00:00:00 GMT</Z:Win32LastAccessTime>\
             <Z:Win32LastModifiedTime>Sun, 06 Nov 1994 08:49:38 GMT</Z:Win32LastModifiedTime>\
             <Z:Win32FileAttributes>00000022</Z:Win32FileAttributes>",
            "",
        );
        assert_eq!(actions[0], Action::Created(Millis(784_111_777_000)));
        assert!(matches!(&actions[1], Action::Store(_)));
        assert_eq!(actions[2], Action::Modified(Millis(784_111_778_000)));
        let Action::Store(xml) = &actions[3] else {
            panic!("{actions:?}")
        };
        insta::assert_snapshot!(String::from_utf8_lossy(xml), @r#"<Z:Win32FileAttributes xmlns:Z="urn:schemas-microsoft-com:">00000022</Z:Win32FileAttributes>"#);
    }

    #[test]
    fn times_are_read_in_every_form_clients_write_them() {
        let set = "<D:lastmodified>784111777</D:lastmodified>\
             <D:getlastmodified>Sun, 06 Nov 1994 08:49:37 GMT</D:getlastmodified>\
             <D:getlastmodified>1994-11-06T08:49:37Z</D:getlastmodified>";
        let time = Action::Modified(Millis(784_111_777_000));
        assert_eq!(actions(set, ""), [time.clone(), time.clone(), time]);
        assert_eq!(
            actions("<D:getlastmodified>soon</D:getlastmodified>", ""),
            [Action::Invalid]
        );
    }

    #[test]
    fn live_properties_are_protected_and_dead_ones_are_kept() {
        let set = "<D:getetag>x</D:getetag><D:displayname>x</D:displayname>\
             <A:executable>T</A:executable><A:executable>maybe</A:executable><x xmlns=\"u\"/>";
        let actions = actions(set, "<D:getetag/><x xmlns=\"u\"/>");
        assert_eq!(actions[0], Action::Protected);
        assert_eq!(actions[1], Action::Protected);
        assert_eq!(actions[2], Action::Executable(true));
        assert_eq!(actions[3], Action::Invalid);
        assert_eq!(actions[4], Action::Store(b"<x xmlns=\"u\"/>".to_vec()));
        assert_eq!(actions[5..], [Action::Protected, Action::Forget]);
    }

    #[test]
    fn one_failure_fails_all() {
        let instructions =
            instructions("<a xmlns=\"u\"/><D:getetag/><D:creationdate/>", "").unwrap();
        let statuses = statuses(&instructions);
        assert_eq!(
            statuses.iter().map(StatusCode::as_u16).collect::<Vec<_>>(),
            [424, 403, 409]
        );
        insta::assert_snapshot!(answer("/dav/f", &instructions, &statuses), @r#"<?xml version="1.0" encoding="utf-8"?><d:multistatus xmlns:d="DAV:" xmlns:oc="http://owncloud.org/ns" xmlns:nc="http://nextcloud.org/ns" xmlns:cs="http://calendarserver.org/ns/" xmlns:z="urn:schemas-microsoft-com:" xmlns:a="http://apache.org/dav/props/"><d:response><d:href>/dav/f</d:href><d:propstat><d:prop><d:getetag/></d:prop><d:status>HTTP/1.1 403 Forbidden</d:status><d:error><d:cannot-modify-protected-property/></d:error></d:propstat><d:propstat><d:prop><d:creationdate/></d:prop><d:status>HTTP/1.1 409 Conflict</d:status></d:propstat><d:propstat><d:prop><x:a xmlns:x="u"/></d:prop><d:status>HTTP/1.1 424 Failed Dependency</d:status></d:propstat></d:response></d:multistatus>"#);
    }

    #[test]
    fn empty_and_foreign_bodies_are_refused() {
        assert!(instructions("", "").is_none());
        assert!(parse(&xml::parse(b"<a/>").unwrap()).is_none());
        assert!(instructions(&"<a/>".repeat(257), "").is_none());
    }

    #[test]
    fn the_placeholder_has_one_name_for_each_instruction() {
        let body = placeholder(&instructions("<a/><b/>", "<c/>").unwrap());
        let document = xml::parse(body.as_bytes()).unwrap();
        assert_eq!(document.root.children[0].children[0].children.len(), 3);
    }
}
