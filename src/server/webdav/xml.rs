//! Request bodies as a small, bounded element tree. Knows XML and namespaces, nothing of `WebDAV`.
//!
//! Refuses what could hurt a recursive reader later: deep nesting, document types, foreign encodings.

use std::ops::Range;
use std::sync::Arc;

use quick_xml::XmlVersion;
use quick_xml::events::{BytesRef, BytesStart, Event};
use quick_xml::name::ResolveResult;
use quick_xml::reader::NsReader;

use super::text::escape_attribute;

/// Largest XML request body, in bytes; the largest real one (a PROPFIND with 40 names) has 3 KB.
pub(crate) const MAX_XML_BYTES: usize = 64 * 1024;
/// Deepest nesting; dav-server 0.11 parses recursively and dies of a stack overflow at about 2,000.
/// Most bytes of `xmlns…` and `xml:lang` in force at one element: answers and stored properties
/// repeat them for every element. Real clients declare under 300.
const MAX_SCOPE_BYTES: usize = 4 * 1024;
const MAX_XML_DEPTH: usize = 64;

/// Why a body is not acceptable XML.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum XmlError {
    /// Not well-formed, or a prefix without declaration.
    #[error("the XML body is malformed")]
    Malformed,
    /// More than 64 levels.
    #[error("the XML body is nested too deeply")]
    TooDeep,
    /// More than [`MAX_SCOPE_BYTES`] of declarations around one element.
    #[error("the XML body declares too long namespaces or languages")]
    Declarations,
    /// A document type, which only attacks send.
    #[error("the XML body has a document type")]
    Doctype,
    /// Not UTF-8.
    #[error("the XML body is not UTF-8")]
    Encoding,
}

/// What an element inherits from those around it: `xmlns…` and `xml:lang` attributes by name.
type Scope = Vec<(String, String)>;

/// One element.
#[derive(Clone, Debug)]
pub(crate) struct Element {
    /// Namespace URI; empty for none.
    pub(crate) namespace: String,
    /// Local name, checked to be an XML name.
    pub(crate) name: String,
    /// Its own character data, references resolved.
    pub(crate) text: String,
    /// Its child elements.
    pub(crate) children: Vec<Self>,
    span: Range<usize>,
    inherited: Arc<Scope>,
    own: Vec<String>,
}

impl Element {
    /// Whether it has this name.
    pub(crate) fn is(&self, namespace: &str, name: &str) -> bool {
        self.name == name && self.namespace == namespace
    }

    /// The first child of this name.
    pub(crate) fn child(&self, namespace: &str, name: &str) -> Option<&Self> {
        self.children.iter().find(|child| child.is(namespace, name))
    }
}

/// A parsed body.
#[derive(Clone, Debug)]
pub(crate) struct Document {
    source: String,
    /// The outermost element.
    pub(crate) root: Element,
}

impl Document {
    /// `element` as it stands in the source, made independent of what surrounds it there: the
    /// declarations and the language (RFC 4918 §4.3) it inherits are written onto it.
    pub(crate) fn standalone(&self, element: &Element) -> String {
        let raw = &self.source[element.span.clone()];
        let name_end = raw[1..]
            .find(|c: char| c.is_ascii_whitespace() || matches!(c, '/' | '>'))
            .map_or(raw.len(), |end| end + 1);
        let mut out = String::with_capacity(raw.len() + 64);
        out.push_str(&raw[..name_end]);
        for (name, value) in element.inherited.iter() {
            let used = name.strip_prefix("xmlns:").is_none_or(|prefix| {
                raw.match_indices(prefix)
                    .any(|(at, _)| raw[at + prefix.len()..].starts_with(':'))
            });
            if used && !element.own.contains(name) {
                out.push(' ');
                out.push_str(name);
                out.push_str("=\"");
                escape_attribute(&mut out, value);
                out.push('"');
            }
        }
        out.push_str(&raw[name_end..]);
        out
    }
}

/// Reads a whole body.
pub(crate) fn parse(body: &[u8]) -> Result<Document, XmlError> {
    let source = std::str::from_utf8(body).map_err(|_| XmlError::Encoding)?;
    let source = source.strip_prefix('\u{feff}').unwrap_or(source).to_owned();
    let root = Builder::default().run(&source)?;
    Ok(Document { source, root })
}

#[derive(Default)]
struct Builder {
    open: Vec<Element>,
    scopes: Vec<Arc<Scope>>,
    root: Option<Element>,
}

impl Builder {
    fn run(mut self, source: &str) -> Result<Element, XmlError> {
        let mut reader = NsReader::from_str(source);
        reader.config_mut().check_comments = true;
        loop {
            let from = position(&reader);
            let event = reader.read_event().map_err(|_| XmlError::Malformed)?;
            let to = position(&reader);
            match event {
                Event::Start(tag) => self.start(&reader, &tag, from..to)?,
                Event::Empty(tag) => {
                    self.start(&reader, &tag, from..to)?;
                    self.end(to)?;
                }
                Event::End(_) => self.end(to)?,
                Event::Text(text) => self.text(&text.xml10_content())?,
                Event::CData(text) => self.text(&text.xml10_content())?,
                Event::GeneralRef(reference) => self.text(&resolve(&reference)?)?,
                Event::DocType(_) => return Err(XmlError::Doctype),
                Event::Decl(declaration) => {
                    if let Some(encoding) = declaration.encoding() {
                        let encoding = encoding.map_err(|_| XmlError::Malformed)?;
                        let known = ["utf-8", "utf8", "us-ascii"];
                        if !known.iter().any(|name| encoding.eq_ignore_ascii_case(name)) {
                            return Err(XmlError::Encoding);
                        }
                    }
                }
                Event::Comment(_) | Event::PI(_) => {}
                Event::Eof => break,
            }
        }
        if !self.open.is_empty() {
            return Err(XmlError::Malformed);
        }
        self.root.ok_or(XmlError::Malformed)
    }

    fn start(
        &mut self,
        reader: &NsReader<&[u8]>,
        tag: &BytesStart<'_>,
        span: Range<usize>,
    ) -> Result<(), XmlError> {
        if self.open.len() >= MAX_XML_DEPTH {
            return Err(XmlError::TooDeep);
        }
        if self.open.is_empty() && self.root.is_some() {
            return Err(XmlError::Malformed);
        }
        let (namespace, local) = reader.resolver().resolve_element(tag.name());
        let namespace = match namespace {
            ResolveResult::Unbound if tag.name().prefix().is_some() => {
                return Err(XmlError::Malformed);
            }
            ResolveResult::Unbound => String::new(),
            ResolveResult::Bound(namespace) => unescape(&normalized(namespace.into_inner()))?,
            ResolveResult::Unknown(_) => return Err(XmlError::Malformed),
        };
        let name = local.into_inner().to_owned();
        if !is_ncname(&name) {
            return Err(XmlError::Malformed);
        }
        let inherited = self.scopes.last().cloned().unwrap_or_default();
        let mut inner = None;
        let mut own = Vec::new();
        for attribute in tag.attributes() {
            let attribute = attribute.map_err(|_| XmlError::Malformed)?;
            let key = attribute.key.into_inner();
            let value = attribute
                .normalized_value(XmlVersion::Implicit1_0)
                .map_err(|_| XmlError::Malformed)?;
            if !value.chars().all(is_xml_char) || attribute.value.contains('<') {
                return Err(XmlError::Malformed);
            }
            if key == "xmlns" || key.starts_with("xmlns:") || key == "xml:lang" {
                if key.starts_with("xmlns:") && value.is_empty() {
                    return Err(XmlError::Malformed); // Namespaces in XML 1.0 §2.2
                }
                let scope: &mut Scope = inner.get_or_insert_with(|| (*inherited).clone());
                scope.retain(|(name, _)| name != key);
                scope.push((key.to_owned(), value.into_owned()));
                let declared = scope.iter().map(|(name, value)| name.len() + value.len());
                if declared.sum::<usize>() > MAX_SCOPE_BYTES {
                    return Err(XmlError::Declarations);
                }
                own.push(key.to_owned());
            } else if let (ResolveResult::Unknown(_), _) =
                reader.resolver().resolve_attribute(attribute.key)
            {
                return Err(XmlError::Malformed);
            }
        }
        self.scopes
            .push(inner.map_or_else(|| inherited.clone(), Arc::new));
        let (text, children) = (String::new(), Vec::new());
        self.open.push(Element {
            namespace,
            name,
            text,
            children,
            span,
            inherited,
            own,
        });
        Ok(())
    }

    fn end(&mut self, to: usize) -> Result<(), XmlError> {
        let mut element = self.open.pop().ok_or(XmlError::Malformed)?;
        self.scopes.pop();
        element.span.end = to;
        match self.open.last_mut() {
            Some(parent) => parent.children.push(element),
            None => self.root = Some(element),
        }
        Ok(())
    }

    fn text(&mut self, text: &str) -> Result<(), XmlError> {
        if !text.chars().all(is_xml_char) || text.contains("]]>") {
            return Err(XmlError::Malformed);
        }
        match self.open.last_mut() {
            Some(element) => element.text.push_str(text),
            None if text.trim().is_empty() => {}
            None => return Err(XmlError::Malformed),
        }
        Ok(())
    }
}

fn position(reader: &NsReader<&[u8]>) -> usize {
    usize::try_from(reader.buffer_position()).expect("a position lies within the body in memory")
}

fn resolve(reference: &BytesRef<'_>) -> Result<String, XmlError> {
    if let Some(c) = reference
        .resolve_char_ref()
        .map_err(|_| XmlError::Malformed)?
    {
        return Ok(c.to_string());
    }
    let name = reference.xml10_content();
    quick_xml::escape::resolve_predefined_entity(&name)
        .map(ToOwned::to_owned)
        .ok_or(XmlError::Malformed)
}

/// White space of an attribute's value, as XML 1.0 section 3.3.3 has it.
fn normalized(value: &str) -> String {
    value.replace("\r\n", " ").replace(['\t', '\n', '\r'], " ")
}

fn unescape(text: &str) -> Result<String, XmlError> {
    let text = quick_xml::escape::unescape(text).map_err(|_| XmlError::Malformed)?;
    if text.chars().all(is_xml_char) {
        Ok(text.into_owned())
    } else {
        Err(XmlError::Malformed)
    }
}

/// Whether XML 1.0 may hold this character (§2.2).
pub(crate) fn is_xml_char(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | '\u{20}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
}

/// Whether this can stand in a tag; a little wider than XML 1.0 §2.3 outside ASCII.
fn is_ncname(name: &str) -> bool {
    let first =
        |c: char| c.is_ascii_alphabetic() || c == '_' || (!c.is_ascii() && c.is_alphabetic());
    let rest = |c: char| {
        c.is_ascii_alphanumeric()
            || matches!(c, '-' | '_' | '.')
            || (!c.is_ascii() && c.is_alphanumeric())
    };
    name.starts_with(first) && name.chars().all(rest)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn nested(levels: usize) -> String {
        format!("{}{}", "<a>".repeat(levels), "</a>".repeat(levels))
    }

    #[test]
    fn deep_nesting_is_refused_before_anything_recurses() {
        assert!(parse(nested(64).as_bytes()).is_ok());
        assert_eq!(parse(nested(65).as_bytes()).unwrap_err(), XmlError::TooDeep);
        assert_eq!(
            parse(nested(3000).as_bytes()).unwrap_err(),
            XmlError::TooDeep
        );
    }

    #[test]
    fn document_types_and_unknown_entities_are_refused() {
        let bomb = b"<!DOCTYPE a [<!ENTITY x \"y\">]><a>&x;</a>";
        assert_eq!(parse(bomb).unwrap_err(), XmlError::Doctype);
        assert_eq!(parse(b"<a>&x;</a>").unwrap_err(), XmlError::Malformed);
    }

    #[test]
    fn what_is_not_well_formed_is_refused() {
        for text in [
            "",
            "  ",
            "text",
            "<a>",
            "<a></b>",
            "<a/><b/>",
            "<p:a/>",
            "<a p:b=''/>",
            "<a>&#0;</a>",
            "<a b='1' b='2'/>",
            "<a xmlns:p=''><p:b/></a>",
            "<1a/>",
            "<a>\u{1}</a>",
            "<a/>x",
            "<a b='<'/>",
        ] {
            assert_eq!(
                parse(text.as_bytes()).unwrap_err(),
                XmlError::Malformed,
                "{text}"
            );
        }
        assert_eq!(parse(b"<a>\xff</a>").unwrap_err(), XmlError::Encoding);
        let latin = b"<?xml version='1.0' encoding='iso-8859-1'?><a/>";
        assert_eq!(parse(latin).unwrap_err(), XmlError::Encoding);
    }

    #[test]
    fn names_are_resolved_and_text_is_decoded() {
        let text = "\u{feff}<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<D:x xmlns:D=\"DAV:\">a&amp;b<y \
                    xmlns=\"u&amp;v\"/>&#228;<![CDATA[<c>]]></D:x>";
        let document = parse(text.as_bytes()).unwrap();
        assert!(document.root.is("DAV:", "x"));
        assert_eq!(document.root.text, "a&bä<c>");
        assert!(document.root.child("u&v", "y").is_some());
    }

    #[test]
    fn an_element_taken_out_keeps_its_names_and_language() {
        let text =
            "<a xmlns=\"u\" xmlns:p=\"v\" xmlns:q=\"w\" xml:lang=\"de\"><b c=\"1\"><p:d/></b></a>";
        let document = parse(text.as_bytes()).unwrap();
        let taken = document.standalone(&document.root.children[0]);
        assert_eq!(
            taken,
            "<b xmlns=\"u\" xmlns:p=\"v\" xml:lang=\"de\" c=\"1\"><p:d/></b>"
        );
        let again = parse(taken.as_bytes()).unwrap();
        assert!(again.root.is("u", "b") && again.root.children[0].is("v", "d"));
    }

    #[test]
    fn an_element_that_redeclares_a_prefix_keeps_its_own() {
        let document = parse(b"<a xmlns:p=\"v\"><p:b xmlns:p=\"w\"/></a>").unwrap();
        assert_eq!(
            document.standalone(&document.root.children[0]),
            "<p:b xmlns:p=\"w\"/>"
        );
    }

    #[test]
    fn long_declarations_are_refused_because_answers_repeat_them() {
        let long = "u".repeat(5000);
        for body in [
            format!("<a xmlns:q='{long}'><q:b/></a>"),
            format!("<a xml:lang='{long}'/>"),
        ] {
            let refused = parse(body.as_bytes());
            assert!(matches!(refused, Err(XmlError::Declarations)));
        }
    }

    proptest! {
        #[test]
        fn no_body_panics(body in "[<>/a-c:\" =&;!\\[\\]x?-]{0,80}") {
            let _unused = parse(body.as_bytes());
        }
    }
}
