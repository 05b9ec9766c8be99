//! Request lines, headers and XML of `WebDAV`.

use axum::body::Body;
use http::{Request, Response};

use super::errors::Refusal;
use super::guard;
use super::propfind::request::Plan;
use super::text::{http_date, parse_http_date, parse_rfc3339, parse_unix_seconds};
use super::xml::{Document, Element, parse};
use super::{Dav, proppatch, report};
use crate::fuzzing::choice;

/// A request is refused with an answer, or rewritten to one that means the same and is taken again.
///
/// The first line is method and target, the others are headers.
pub(crate) fn request(bytes: &[u8]) {
    let dav = Dav::new("/dav/");
    let mut lines = bytes.split(|byte| *byte == b'\n');
    let mut first = lines.next().unwrap_or_default().split(|byte| *byte == b' ');
    let (method, target) = (
        first.next().unwrap_or_default(),
        first.next().unwrap_or_default(),
    );
    let mut request = Request::builder().method(method).uri(target);
    for line in lines {
        let mut parts = line.splitn(2, |byte| *byte == b':');
        let (name, value) = (
            parts.next().unwrap_or_default(),
            parts.next().unwrap_or_default(),
        );
        request = request.header(name, value.trim_ascii());
    }
    let Ok(request) = request.body(()) else {
        return;
    };
    let (mut parts, ()) = request.into_parts();
    let facts = match guard::inspect(&mut parts, &dav) {
        Ok(facts) => facts,
        Err(refusal) => return refused(refusal),
    };
    let Ok(again) = guard::inspect(&mut parts, &dav) else {
        panic!("what was rewritten is refused: {parts:?}");
    };
    assert_eq!((again.verb, &again.path), (facts.verb, &facts.path));
    assert_eq!(
        (again.destination, again.overwrite),
        (facts.destination, facts.overwrite)
    );
    assert_eq!(
        (again.tokens, again.expected),
        (facts.tokens, facts.expected)
    );
}

fn refused(refusal: Refusal) {
    let response: Response<Body> = refusal.into_response();
    assert!(response.status().is_client_error() || response.status().is_server_error());
}

/// A body is refused, or each of its elements can stand alone and means the same there.
pub(crate) fn xml(bytes: &[u8]) {
    let Ok(document) = parse(bytes) else {
        return;
    };
    stands_alone(&document, &document.root, 0);
    if let Some(plan) = Plan::of_propfind(&document) {
        for other in &plan.other {
            let empty = parse(other.empty.as_bytes()).expect("an empty element");
            assert!(empty.root.is(&other.namespace, &other.name));
        }
    }
    drop(proppatch::parse(&document));
    report::fuzz(&document);
}

/// Looks at some elements of each level, because each is read as a whole again.
fn stands_alone(document: &Document, element: &Element, depth: usize) {
    let text = document.standalone(element);
    let Ok(alone) = parse(text.as_bytes()) else {
        panic!("an element cannot stand alone: {text}");
    };
    assert!(same(&alone.root, element), "{text}");
    if depth < 8 {
        for child in element.children.iter().take(8) {
            stands_alone(document, child, depth + 1);
        }
    }
}

fn same(one: &Element, other: &Element) -> bool {
    let pairs = one.children.iter().zip(&other.children);
    one.is(&other.namespace, &other.name)
        && one.text == other.text
        && one.children.len() == other.children.len()
        && pairs.into_iter().all(|(one, other)| same(one, other))
}

/// A time that was read is read as the same when it is written; dates in headers begin in 1970.
pub(crate) fn dates(bytes: &[u8]) {
    let (kind, bytes) = choice(bytes);
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let time = match kind % 3 {
        0 => parse_http_date(text),
        1 => parse_rfc3339(text),
        _ => parse_unix_seconds(text),
    };
    if let Some(time) = time.filter(|time| time.0 >= 0) {
        let mut date = String::new();
        http_date(&mut date, time);
        let again = parse_http_date(&date).expect("a date that we wrote");
        assert_eq!(again.secs(), time.secs());
    }
}
