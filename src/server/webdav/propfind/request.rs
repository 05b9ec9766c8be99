//! What a PROPFIND or REPORT body asks for, as a plan the writer follows for every resource.

use super::names::{self, DAV, LIVE, Live, LiveName};
use crate::server::webdav::text::escape_attribute;
use crate::server::webdav::xml::{Document, Element};
use crate::tree::With;

/// Most properties one request may name; the longest real list (Nextcloud on Android) has 40.
const MAX_NAMES: usize = 256;

/// A property that the server does not make itself.
#[derive(Clone, Debug)]
pub(crate) struct OtherName {
    /// Namespace URI; empty for none.
    pub(crate) namespace: String,
    /// Local name.
    pub(crate) name: String,
    /// `<x:name xmlns:x="…"/>`, for the 404 part.
    pub(crate) empty: String,
}

/// Most bytes that unknown names may add to the answer for each resource.
const MAX_OTHER_BYTES: usize = 32 * 1024;

/// What to tell of each resource.
#[derive(Clone, Debug, Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent wishes of the request, in any combination"
)]
pub(crate) struct Plan {
    /// Live properties, in the order asked.
    pub(crate) live: Vec<&'static LiveName>,
    /// Dead (or unknown) properties asked for by name.
    pub(crate) other: Vec<OtherName>,
    /// All dead properties as well (`allprop`, `propname`).
    pub(crate) all_dead: bool,
    /// Names without values (`propname`).
    pub(crate) names_only: bool,
    /// Properties that are not there are not mentioned (`Prefer: return=minimal`, `Brief: t`).
    pub(crate) minimal: bool,
    /// Live properties that were not asked for by name: left out where they do not apply.
    pub(crate) lenient: bool,
}

impl Plan {
    /// RFC 4918 §9.1, `allprop`; also the meaning of a PROPFIND without body.
    pub(crate) fn allprop() -> Self {
        let live = LIVE.iter().filter(|entry| entry.in_allprop).collect();
        Self {
            live,
            all_dead: true,
            lenient: true,
            ..Self::default()
        }
    }

    fn propname() -> Self {
        let live = LIVE.iter().collect();
        Self {
            live,
            all_dead: true,
            names_only: true,
            lenient: true,
            ..Self::default()
        }
    }

    /// Reads the body of a PROPFIND; `None` when it is not one (400). Text between the elements is
    /// ignored: owncloudcmd 2.11 sends a stray `M`.
    pub(crate) fn of_propfind(document: &Document) -> Option<Self> {
        let root = &document.root;
        if !root.is(DAV, "propfind") {
            return None;
        }
        if let Some(prop) = root.child(DAV, "prop") {
            return Self::of_names(prop);
        }
        if root.child(DAV, "propname").is_some() {
            return Some(Self::propname());
        }
        root.child(DAV, "allprop")?;
        let mut plan = Self::allprop();
        if let Some(include) = root.child(DAV, "include") {
            plan.add_names(include)?;
        }
        Some(plan)
    }

    /// Reads a `DAV:prop` element; `None` when it names too much.
    pub(crate) fn of_names(prop: &Element) -> Option<Self> {
        let mut plan = Self::default();
        plan.add_names(prop)?;
        Some(plan)
    }

    fn add_names(&mut self, list: &Element) -> Option<()> {
        if list.children.len() > MAX_NAMES {
            return None;
        }
        for child in &list.children {
            match names::find(&child.namespace, &child.name) {
                Some(live) if self.asks(live.live) => {}
                Some(live) => self.live.push(live),
                None if self.other.iter().any(|o| child.is(&o.namespace, &o.name)) => {}
                None => self
                    .other
                    .push(OtherName::of(&child.namespace, &child.name)),
            }
        }
        let bytes: usize = self.other.iter().map(|other| other.empty.len()).sum();
        (bytes <= MAX_OTHER_BYTES).then_some(())
    }

    /// Whether this live property is wanted.
    pub(crate) fn asks(&self, live: Live) -> bool {
        self.live.iter().any(|entry| entry.live == live)
    }

    /// Whether a value is needed, not only the name.
    fn needs(&self, live: Live) -> bool {
        !self.names_only && self.asks(live)
    }

    /// What must be read beside the nodes themselves.
    pub(crate) fn with(&self) -> With {
        let stored = [Live::Win32Accessed, Live::Win32Attributes];
        With {
            properties: self.all_dead
                || !self.other.is_empty()
                || stored.iter().any(|live| self.needs(*live)),
            locks: self.needs(Live::LockDiscovery),
            checksums: self.needs(Live::OcChecksums),
        }
    }

    /// Whether quota is asked for.
    pub(crate) fn needs_usage(&self) -> bool {
        self.needs(Live::QuotaAvailable) || self.needs(Live::QuotaUsed)
    }

    /// Whether the sync token is asked for.
    pub(crate) fn needs_sync_token(&self) -> bool {
        self.needs(Live::SyncToken)
    }
}

impl OtherName {
    /// Prepares the empty element.
    pub(crate) fn of(namespace: &str, name: &str) -> Self {
        let mut empty = String::new();
        empty_element(&mut empty, namespace, name);
        Self {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            empty,
        }
    }
}

/// Appends an element without content, with its own declaration.
pub(crate) fn empty_element(out: &mut String, namespace: &str, name: &str) {
    let prefix = if namespace.is_empty() { "" } else { "x:" };
    out.push('<');
    out.push_str(prefix);
    out.push_str(name);
    if !namespace.is_empty() {
        out.push_str(" xmlns:x=\"");
        escape_attribute(out, namespace);
        out.push('"');
    }
    out.push_str("/>");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::webdav::xml::parse;

    fn plan(body: &str) -> Option<Plan> {
        Plan::of_propfind(&parse(body.as_bytes()).unwrap())
    }

    fn tags(plan: &Plan) -> Vec<&str> {
        plan.live
            .iter()
            .map(|entry| entry.tag)
            .chain(plan.other.iter().map(|other| other.empty.as_str()))
            .collect()
    }

    #[test]
    fn named_properties_are_told_apart_and_stray_text_is_ignored() {
        let plan = plan(
            "<d:propfind xmlns:d=\"DAV:\"><d:prop><d:getetag/><d:getetag/><id \
             xmlns=\"http://owncloud.org/ns\"/><dDC xmlns=\"http://owncloud.org/ns\"/><a \
             xmlns=\"\"/></d:prop>M</d:propfind>",
        )
        .unwrap();
        assert_eq!(
            tags(&plan),
            [
                "d:getetag",
                "oc:id",
                "<x:dDC xmlns:x=\"http://owncloud.org/ns\"/>",
                "<a/>"
            ]
        );
        assert!(plan.with().properties && !plan.with().locks);
    }

    #[test]
    fn allprop_takes_an_include_beside_it() {
        let plan = plan(
            "<propfind xmlns=\"DAV:\"><allprop/><include><quota-used-bytes/><sync-token/></include>\
             </propfind>",
        )
        .unwrap();
        assert!(plan.needs_usage() && plan.needs_sync_token() && plan.all_dead);
        assert!(plan.with().properties && plan.with().locks);
        assert!(!Plan::allprop().needs_usage());
    }

    #[test]
    fn propname_needs_no_values() {
        let plan = plan("<propfind xmlns=\"DAV:\"><propname/></propfind>").unwrap();
        assert!(plan.names_only && !plan.needs_usage() && !plan.with().locks);
    }

    #[test]
    fn the_lists_of_stock_clients_need_no_second_query() {
        let plan = plan(
            "<D:propfind xmlns:D=\"DAV:\"><D:prop><D:creationdate/><D:displayname/>\
             <D:getcontentlength/><D:getcontenttype/><D:getetag/><D:getlastmodified/>\
             <D:resourcetype/></D:prop></D:propfind>",
        )
        .unwrap();
        assert!(!plan.with().properties && !plan.with().locks);
    }

    #[test]
    fn other_bodies_are_no_propfind() {
        for body in [
            "<a/>",
            "<propfind/>",
            "<propfind xmlns='DAV:'/>",
            "<propfind xmlns='DAV:'><x/></propfind>",
        ] {
            assert!(plan(body).is_none(), "{body}");
        }
        let many = "<a/>".repeat(257);
        assert!(
            plan(&format!(
                "<propfind xmlns='DAV:'><prop>{many}</prop></propfind>"
            ))
            .is_none()
        );
    }

    #[test]
    fn names_that_would_swell_every_response_are_refused() {
        let names: Vec<_> = (0..200).map(|number| format!("<q:a{number}/>")).collect();
        let names = names.concat();
        let namespace = "u".repeat(1000);
        let body =
            format!("<propfind xmlns='DAV:' xmlns:q='{namespace}'><prop>{names}</prop></propfind>");
        assert!(plan(&body).is_none());
    }
}
