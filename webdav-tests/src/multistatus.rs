//! Reads a `DAV:multistatus` body by its namespaces, whatever prefixes the server chose.

use std::fmt;

use quick_xml::NsReader;
use quick_xml::events::{BytesRef, Event};
use quick_xml::name::{Namespace, ResolveResult};

/// The `DAV:` namespace.
pub const DAV: &str = "DAV:";
/// The ownCloud namespace.
pub const OC: &str = "http://owncloud.org/ns";

/// Namespace and local name.
pub type Name = (String, String);

/// A parsed answer.
#[derive(Clone, Debug, Default)]
pub struct Multistatus {
    /// One per `response`, in the order of arrival.
    pub entries: Vec<Entry>,
    /// The `sync-token` of RFC 6578, empty when there is none.
    pub sync_token: String,
}

/// One `response`.
#[derive(Clone, Debug, Default)]
pub struct Entry {
    /// As sent, percent-encoded.
    pub href: String,
    /// The status of the whole response, when it has one instead of properties.
    pub status: Option<u16>,
    /// In the order of arrival.
    pub props: Vec<Prop>,
}

/// One property and the status it came with.
#[derive(Clone, Debug, Default)]
pub struct Prop {
    /// Namespace and local name.
    pub name: Name,
    /// Of the `propstat` around it.
    pub status: u16,
    /// All text inside, whatever elements are around it.
    pub text: String,
    /// All elements inside, at any depth, in document order.
    pub inside: Vec<Name>,
}

impl Multistatus {
    /// The entry whose decoded path ends in `name` (a trailing slash does not count).
    #[track_caller]
    pub fn named(&self, name: &str) -> &Entry {
        match self.entries.iter().find(|entry| entry.name() == name) {
            Some(entry) => entry,
            None => panic!("no entry {name:?} among {:?}", self.hrefs()),
        }
    }

    /// The only entry.
    #[track_caller]
    pub fn only(&self) -> &Entry {
        assert_eq!(
            self.entries.len(),
            1,
            "one entry expected, got {:?}",
            self.hrefs()
        );
        &self.entries[0]
    }

    /// All hrefs as sent.
    pub fn hrefs(&self) -> Vec<&str> {
        self.entries
            .iter()
            .map(|entry| entry.href.as_str())
            .collect()
    }
}

impl Entry {
    /// The last segment of the path, decoded.
    pub fn name(&self) -> String {
        let path = self.href.trim_end_matches('/');
        let last = path.rsplit('/').next().unwrap_or_default();
        String::from_utf8_lossy(&percent_decode(last)).into_owned()
    }

    /// The text of a property that came with 200.
    pub fn get(&self, namespace: &str, local: &str) -> Option<&str> {
        let found = self
            .find(namespace, local)
            .filter(|prop| prop.status == 200);
        found.map(|prop| prop.text.as_str())
    }

    /// A property of the `DAV:` namespace that must have come with 200.
    #[track_caller]
    pub fn dav(&self, local: &str) -> &str {
        match self.get(DAV, local) {
            Some(text) => text,
            None => panic!("no D:{local} in {self:?}"),
        }
    }

    /// The status a property came with.
    pub fn status_of(&self, namespace: &str, local: &str) -> Option<u16> {
        self.find(namespace, local).map(|prop| prop.status)
    }

    /// The property of that name, whatever its status.
    pub fn find(&self, namespace: &str, local: &str) -> Option<&Prop> {
        self.props
            .iter()
            .find(|prop| prop.name.0 == namespace && prop.name.1 == local)
    }

    /// Whether `resourcetype` says collection.
    pub fn is_collection(&self) -> bool {
        let kind = self.find(DAV, "resourcetype");
        kind.is_some_and(|prop| {
            prop.inside
                .contains(&(DAV.to_owned(), "collection".to_owned()))
        })
    }
}

/// Why a body is not a multistatus.
#[derive(Debug)]
pub struct Unreadable(String);

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Reads `body`.
///
/// # Errors
/// When it is not well-formed, uses an undeclared prefix, or its root is not `DAV:multistatus`.
pub fn multistatus(body: &[u8]) -> Result<Multistatus, Unreadable> {
    let mut reading = Reading::default();
    let mut reader = NsReader::from_reader(body);
    loop {
        let (resolved, event) = reader
            .read_resolved_event()
            .map_err(|e| Unreadable(e.to_string()))?;
        match event {
            Event::Start(tag) => reading.open(name(&resolved, tag.local_name().as_ref())?),
            Event::Empty(tag) => {
                reading.open(name(&resolved, tag.local_name().as_ref())?);
                reading.close();
            }
            Event::End(_) => reading.close(),
            Event::Text(text) => reading.text(&text),
            Event::CData(text) => reading.text(&text),
            Event::GeneralRef(entity) => reading.text(&resolve(&entity)?),
            Event::Decl(_) | Event::Comment(_) | Event::PI(_) | Event::DocType(_) => {}
            Event::Eof => break,
        }
    }
    if !reading.complete {
        return Err(Unreadable("not a whole DAV:multistatus".to_owned()));
    }
    Ok(reading.done)
}

#[derive(Default)]
struct Reading {
    done: Multistatus,
    path: Vec<Name>,
    entry: Entry,
    propstat: Vec<Prop>,
    status: String,
    complete: bool,
}

impl Reading {
    fn open(&mut self, name: Name) {
        match self.locals().as_slice() {
            ["multistatus"] if name.1 == "response" => self.entry = Entry::default(),
            ["multistatus", "response"] => self.status.clear(),
            ["multistatus", "response", "propstat", "prop"] => {
                self.propstat.push(Prop {
                    name: name.clone(),
                    ..Prop::default()
                });
            }
            ["multistatus", "response", "propstat", "prop", _, ..] => {
                let prop = self.propstat.last_mut().expect("inside a property");
                prop.inside.push(name.clone());
            }
            _ => {}
        }
        self.path.push(name);
    }

    fn text(&mut self, text: &str) {
        match self.locals().as_slice() {
            ["multistatus", "sync-token"] => self.done.sync_token.push_str(text),
            ["multistatus", "response", "href"] => self.entry.href.push_str(text),
            ["multistatus", "response", "status"]
            | ["multistatus", "response", "propstat", "status"] => self.status.push_str(text),
            ["multistatus", "response", "propstat", "prop", _, ..] => {
                self.propstat
                    .last_mut()
                    .expect("inside a property")
                    .text
                    .push_str(text);
            }
            _ => {}
        }
    }

    fn close(&mut self) {
        match self.locals().as_slice() {
            ["multistatus"] => self.complete = true,
            ["multistatus", "response"] => self.done.entries.push(std::mem::take(&mut self.entry)),
            ["multistatus", "response", "status"] => self.entry.status = self.code(),
            ["multistatus", "response", "propstat"] => {
                let status = self.code().unwrap_or_default();
                let props = self.propstat.drain(..).map(|prop| Prop { status, ..prop });
                self.entry.props.extend(props);
            }
            _ => {}
        }
        self.path.pop();
    }

    /// `HTTP/1.1 200 OK` → 200.
    fn code(&self) -> Option<u16> {
        self.status
            .split(' ')
            .nth(1)
            .and_then(|code| code.parse().ok())
    }

    /// The path of local names; an element of another namespace never matches.
    fn locals(&self) -> Vec<&'static str> {
        const KNOWN: [&str; 7] = [
            "multistatus",
            "response",
            "propstat",
            "prop",
            "href",
            "status",
            "sync-token",
        ];
        let known = |name: &Name| KNOWN.into_iter().find(|k| name.0 == DAV && name.1 == *k);
        self.path
            .iter()
            .map(|name| known(name).unwrap_or("?"))
            .collect()
    }
}

fn name(resolved: &ResolveResult<'_>, local: &str) -> Result<Name, Unreadable> {
    match resolved {
        ResolveResult::Bound(Namespace(ns)) => Ok(((*ns).to_owned(), local.to_owned())),
        ResolveResult::Unbound => Ok((String::new(), local.to_owned())),
        ResolveResult::Unknown(prefix) => {
            Err(Unreadable(format!("undeclared prefix {prefix} of {local}")))
        }
    }
}

fn resolve(entity: &BytesRef<'_>) -> Result<String, Unreadable> {
    if let Ok(Some(character)) = entity.resolve_char_ref() {
        return Ok(character.to_string());
    }
    match entity.as_ref() {
        "amp" => Ok("&".to_owned()),
        "lt" => Ok("<".to_owned()),
        "gt" => Ok(">".to_owned()),
        "quot" => Ok("\"".to_owned()),
        "apos" => Ok("'".to_owned()),
        other => Err(Unreadable(format!("entity {other}"))),
    }
}

/// Takes the percent-encoding off.
pub fn percent_decode(text: &str) -> Vec<u8> {
    let mut bytes = text.bytes();
    let mut out = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            out.push(byte);
            continue;
        }
        let digits = [bytes.next(), bytes.next()].map(|d| (d.unwrap_or(b'0') as char).to_digit(16));
        let [Some(high), Some(low)] = digits else {
            panic!("bad percent-encoding in {text:?}")
        };
        out.push(u8::try_from(high * 16 + low).expect("two hexadecimal digits are one byte"));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn properties_keep_the_status_of_their_propstat() {
        let body = br#"<?xml version="1.0"?><D:multistatus xmlns:D="DAV:" xmlns:x="urn:x"><D:response>
            <D:href>/dav/a%20b/</D:href><D:propstat><D:prop><D:resourcetype><D:collection/></D:resourcetype>
            <D:getetag>&quot;1&quot;</D:getetag></D:prop><D:status>HTTP/1.1 200 OK</D:status></D:propstat>
            <D:propstat><D:prop><x:y/></D:prop><D:status>HTTP/1.1 404 Not Found</D:status></D:propstat>
            </D:response><D:response><D:href>/dav/c</D:href><D:status>HTTP/1.1 404 Not Found</D:status>
            </D:response><D:sync-token>t:1</D:sync-token></D:multistatus>"#;
        let parsed = multistatus(body).unwrap();
        assert_eq!(parsed.hrefs(), ["/dav/a%20b/", "/dav/c"]);
        let first = parsed.named("a b");
        assert!(first.is_collection());
        assert_eq!(first.dav("getetag"), "\"1\"");
        assert_eq!(first.status_of("urn:x", "y"), Some(404));
        assert_eq!(parsed.entries[1].status, Some(404));
        assert_eq!(parsed.sync_token, "t:1");
    }

    #[test]
    fn half_an_answer_is_refused() {
        assert!(multistatus(br#"<D:multistatus xmlns:D="DAV:"><D:response>"#).is_err());
        assert!(multistatus(b"<html></html>").is_err());
        assert!(multistatus(b"").is_err());
    }
}
