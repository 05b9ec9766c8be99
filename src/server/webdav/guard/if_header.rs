//! The `If` header (RFC 4918 §10.4): parsed strictly and written again in the one form that
//! dav-server 0.11 reads without panicking or ignoring it.

use http::{HeaderMap, HeaderValue};

use super::headers::text;
use crate::server::webdav::Dav;
use crate::server::webdav::errors::Refusal;
use crate::server::webdav::text::encode_path;

/// Longest header, in bytes; one token with its URL needs about 150.
const MAX_BYTES: usize = 8 * 1024;
/// Most conditions; each may cost a look into the database.
const MAX_CONDITIONS: usize = 64;
/// A URL that dav-server refuses to map, so that conditions on it are false.
const NOWHERE: &str = "http://localhost/%00";
/// A tag that no node has, for tags dav-server could not read.
const NO_TAG: &str = "\"none\"";

/// Checks and rewrites the header; gives the state tokens in it.
pub(super) fn parse(headers: &mut HeaderMap, dav: &Dav) -> Result<Vec<String>, Refusal> {
    let Some(value) = text(headers, "if")? else {
        return Ok(Vec::new());
    };
    let malformed = || Refusal::bad("If is malformed");
    if value.len() > MAX_BYTES {
        return Err(Refusal::bad("If is too long"));
    }
    let lists = Scanner { rest: &value }.lists().ok_or_else(malformed)?;
    if lists
        .iter()
        .map(|list| list.conditions.len())
        .sum::<usize>()
        > MAX_CONDITIONS
    {
        return Err(Refusal::bad("If has too many conditions"));
    }
    let mut tokens = Vec::new();
    let mut out = String::new();
    for list in &lists {
        if let Some(tag) = list.tag {
            out.push('<');
            out.push_str(&resource(tag, dav));
            out.push_str("> ");
        }
        out.push('(');
        for condition in &list.conditions {
            if condition.not {
                out.push_str("Not ");
            }
            match condition.item {
                Item::Token(token) => {
                    out.push('<');
                    out.push_str(token);
                    out.push_str("> ");
                    tokens.push(token.to_owned());
                }
                Item::Tag(tag) => {
                    out.push('[');
                    out.push_str(&readable(tag));
                    out.push_str("] ");
                }
            }
        }
        out.push_str(") ");
    }
    let value = HeaderValue::try_from(out).map_err(|_| malformed())?;
    headers.insert("if", value);
    Ok(tokens)
}

/// The absolute URL of a resource tag. Cyberduck and nextcloudcmd send a path only.
fn resource(tag: &str, dav: &Dav) -> String {
    let path = if tag.starts_with('/') {
        Some(tag)
    } else {
        tag.split_once("://")
            .and_then(|(_, rest)| rest.find('/').map(|at| &rest[at..]))
    };
    let path = path.and_then(|path| path.split(['?', '#']).next());
    match path.map(|path| dav.below(path)) {
        Some(Ok((path, _))) => {
            format!("http://localhost{}", encode_path(&dav.prefix, &path, false))
        }
        Some(Err(_)) | None => NOWHERE.to_owned(),
    }
}

/// The tag without `W/`, or one that matches nothing where dav-server would drop the whole header.
fn readable(tag: &str) -> String {
    let strong = tag.strip_prefix("W/").unwrap_or(tag);
    let plain = strong[1..strong.len() - 1]
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || b == b'-');
    if plain {
        strong.to_owned()
    } else {
        NO_TAG.to_owned()
    }
}

struct List<'a> {
    tag: Option<&'a str>,
    conditions: Vec<Condition<'a>>,
}

struct Condition<'a> {
    not: bool,
    item: Item<'a>,
}

enum Item<'a> {
    Token(&'a str),
    Tag(&'a str),
}

struct Scanner<'a> {
    rest: &'a str,
}

impl<'a> Scanner<'a> {
    /// `1*No-tag-list / 1*Tagged-list`; a tag holds for the lists up to the next one. dav-server
    /// applies it to the first only, so it is repeated.
    fn lists(mut self) -> Option<Vec<List<'a>>> {
        let mut lists = Vec::new();
        let mut tag = None;
        let mut fresh = false;
        loop {
            self.rest = self.rest.trim_start_matches([' ', '\t']);
            if self.rest.is_empty() {
                break;
            }
            if self.rest.starts_with('<') {
                if fresh || (tag.is_none() && !lists.is_empty()) {
                    return None;
                }
                tag = Some(self.pointed()?);
                fresh = true;
                continue;
            }
            lists.push(List {
                tag,
                conditions: self.list()?,
            });
            fresh = false;
        }
        (!fresh && !lists.is_empty()).then_some(lists)
    }

    fn list(&mut self) -> Option<Vec<Condition<'a>>> {
        self.rest = self.rest.strip_prefix('(')?;
        let mut conditions = Vec::new();
        loop {
            self.rest = self.rest.trim_start_matches([' ', '\t']);
            if let Some(rest) = self.rest.strip_prefix(')') {
                self.rest = rest;
                return (!conditions.is_empty()).then_some(conditions);
            }
            let not = match self.rest.get(..3) {
                Some(word) if word.eq_ignore_ascii_case("not") => {
                    self.rest = self.rest[3..].trim_start_matches([' ', '\t']);
                    true
                }
                _ => false,
            };
            let item = if self.rest.starts_with('<') {
                let token = self.pointed()?;
                token.contains(':').then_some(Item::Token(token))?
            } else {
                Item::Tag(self.bracketed()?)
            };
            conditions.push(Condition { not, item });
        }
    }

    /// `<` anything without blanks and brackets `>`
    fn pointed(&mut self) -> Option<&'a str> {
        let rest = self.rest.strip_prefix('<')?;
        let (inside, after) = rest.split_once('>')?;
        let odd =
            |c: char| c.is_ascii_whitespace() || c.is_ascii_control() || "<\"()[]".contains(c);
        if inside.is_empty() || inside.contains(odd) {
            return None;
        }
        self.rest = after;
        Some(inside)
    }

    /// `[` entity-tag `]`
    fn bracketed(&mut self) -> Option<&'a str> {
        let rest = self.rest.strip_prefix('[')?;
        let prefix = if rest.starts_with("W/") { 2 } else { 0 };
        let quoted = rest[prefix..].strip_prefix('"')?;
        let close = quoted.find('"')?;
        let end = prefix + 1 + close + 1;
        self.rest = rest[end..].strip_prefix(']')?;
        Some(&rest[..end])
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rewritten(value: &str) -> Result<(String, Vec<String>), u16> {
        let mut headers = HeaderMap::new();
        headers.insert("if", HeaderValue::from_str(value).unwrap());
        let tokens = parse(&mut headers, &Dav::new("/dav/")).map_err(|r| r.status.as_u16())?;
        Ok((headers["if"].to_str().unwrap().to_owned(), tokens))
    }

    #[test]
    fn untagged_lists_keep_their_meaning() {
        let (header, tokens) = rewritten("(<urn:uuid:1> [W/\"f1\"]) (Not <DAV:no-lock>)").unwrap();
        assert_eq!(
            header.trim_end(),
            "(<urn:uuid:1> [\"f1\"] ) (Not <DAV:no-lock> )"
        );
        assert_eq!(tokens, ["urn:uuid:1", "DAV:no-lock"]);
    }

    #[test]
    fn tags_become_absolute_urls_and_hold_for_every_list_behind_them() {
        let (header, _) = rewritten("</dav/a%20b/> (<urn:1>) ([\"f2\"])").unwrap();
        let url = "<http://localhost/dav/a%20b>";
        assert_eq!(
            header.trim_end(),
            format!("{url} (<urn:1> ) {url} ([\"f2\"] )")
        );
        let (header, _) = rewritten("<https://proxy.example/dav/x> (<urn:1>)").unwrap();
        assert!(header.starts_with("<http://localhost/dav/x> "));
    }

    #[test]
    fn conditions_on_foreign_resources_can_only_fail() {
        for tag in ["/other/x", "http://host/other/x", "mailto:x", "/dav/../x"] {
            let (header, _) = rewritten(&format!("<{tag}> (<urn:1>)")).unwrap();
            assert!(header.starts_with("<http://localhost/%00>"), "{header}");
        }
    }

    #[test]
    fn tags_dav_server_cannot_read_match_nothing() {
        let (header, _) = rewritten("([\"a b\"])").unwrap();
        assert_eq!(header.trim_end(), "([\"none\"] )");
    }

    #[test]
    fn malformed_headers_are_refused_not_ignored() {
        for value in [
            "",
            "(",
            "(<abc",
            "()",
            "(<>)",
            "(<noscheme>)",
            "<urn:1>",
            "(<urn:1>",
            "([\"a])",
            "(urn:1)",
            "</dav/a> </dav/b> (<urn:1>)",
            "(<urn:1>) </dav/a> (<urn:2>)",
            "(<urn:1>) x",
            "(Not)",
            "([a])",
            "(<urn:a b>)",
        ] {
            assert_eq!(rewritten(value).unwrap_err(), 400, "{value}");
        }
        let many = "(<urn:1>)".repeat(65);
        assert_eq!(rewritten(&many).unwrap_err(), 400);
        assert_eq!(
            rewritten(&format!("(<urn:{}>)", "x".repeat(9000))).unwrap_err(),
            400
        );
    }

    proptest! {
        #[test]
        fn nothing_panics_and_what_is_written_reads_back(value in "[<>()\\[\\]\"a:/ NotW]{0,60}") {
            if let Ok((header, tokens)) = rewritten(&value) {
                prop_assert_eq!(rewritten(&header).unwrap().1, tokens);
            }
        }
    }
}
