//! `GET files`: what lies in a folder, in pages that fit through Bluetooth.

use std::sync::Arc;

use axum::extract::{RawQuery, State};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;

use super::Face;
use super::answer::{self, Answer};
use super::enter::Watch;
use super::error::Error;
use super::fields::Fields;
use super::find::{self, FileKind};
use crate::tree::{self, Node, PageEnd, Tree, With};
use crate::types::{NodeName, NodePath};

/// Bytes of a page unless asked otherwise; takes five seconds over a slow link.
const PAGE_BYTES: i64 = 2048;
/// Most bytes of a page; beyond, phones have been seen to give up.
const PAGE_BYTES_MAX: i64 = 8192;
/// Fewest bytes of a page that can be asked for: the longest name, all of it quotes, and a cursor.
const PAGE_BYTES_MIN: i64 = 1024;
/// Most entries of a page unless asked otherwise.
const ENTRIES: i64 = 20;
/// Most entries of a page that can be asked for.
const ENTRIES_MAX: i64 = 100;
/// What surrounds the entries and the cursor: `{"f":[…],"c":"…"}`.
const FRAME_BYTES: usize = 15;
/// Pages of the tree looked through for one page of the watch: of ten thousand other files.
const LOOKS_MAX: usize = 10;

/// One file or folder.
#[derive(Serialize)]
struct Entry<'a> {
    i: String,
    n: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    d: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    s: Option<i32>,
    t: i32,
}

/// Where a page goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Cursor {
    /// From the beginning, without the first so many entries. Only mounted spaces come before
    /// those that are in the order of their names.
    Start(usize),
    /// Behind this name.
    After(NodeName),
}

/// A page being filled.
struct Page {
    entries: Vec<String>,
    /// Behind the last entry; with it the page is within its bounds.
    last: Option<Cursor>,
    bytes: usize,
    bytes_max: usize,
    entries_max: usize,
}

/// What a page is asked for.
struct Wanted {
    folder: Option<NodePath>,
    from: Cursor,
    page: Page,
}

/// Lists a folder.
pub(super) async fn list(
    State(face): State<Arc<Face>>,
    watch: Watch,
    RawQuery(query): RawQuery,
) -> Answer {
    let mut wanted = wanted(query.as_deref())?;
    let first = wanted.from == Cursor::Start(0);
    let path = wanted.folder.take();
    let folder = match watch
        .tree
        .lookup(path.as_ref().unwrap_or(&find::folder()))
        .await
    {
        Ok(folder) => folder,
        // Before the first upload there is nothing in it.
        Err(tree::Error::NotFound) if path.is_none() => return Ok(wanted.page.answer(None)),
        Err(error) => return Err(error.into()),
    };
    if !folder.is_collection() {
        return Err(Error::field("d"));
    }
    let Wanted { from, mut page, .. } = wanted;
    let next = fill(&watch.tree, &folder, from, &mut page).await?;
    if first {
        face.synced(watch.device).await;
    }
    Ok(page.answer(next.as_ref()))
}

fn wanted(query: Option<&str>) -> Result<Wanted, Error> {
    let mut fields = Fields::of_query(query)?;
    let folder = match fields.text("d")? {
        None => None,
        Some(path) => Some(NodePath::parse(&path).map_err(|_no_path| Error::field("d"))?),
    };
    let from = match fields.text("c")? {
        None => Cursor::Start(0),
        Some(text) => Cursor::decode(&text).ok_or_else(|| Error::field("c"))?,
    };
    let entries_max = fields.integer("n", 1..=ENTRIES_MAX)?.unwrap_or(ENTRIES);
    let bytes_max = fields.integer("max", PAGE_BYTES_MIN..=PAGE_BYTES_MAX)?;
    fields.end()?;
    let small = |number: i64| usize::try_from(number).expect("the range is positive");
    let page = Page {
        entries: Vec::new(),
        last: None,
        bytes: FRAME_BYTES,
        bytes_max: small(bytes_max.unwrap_or(PAGE_BYTES)),
        entries_max: small(entries_max),
    };
    Ok(Wanted { folder, from, page })
}

/// Fills a page and says where the next one starts; `None` at the end.
async fn fill(
    tree: &Tree,
    folder: &Node,
    from: Cursor,
    page: &mut Page,
) -> Result<Option<Cursor>, Error> {
    let mut at = from;
    for _ in 0..LOOKS_MAX {
        let (skip, after) = match &at {
            Cursor::Start(skip) => (*skip, None),
            Cursor::After(name) => (0, Some(PageEnd::after(name))),
        };
        let found = tree.list(folder, With::default(), after).await?;
        for (place, node) in found.nodes.iter().enumerate().skip(skip) {
            let next = Cursor::behind(node, folder, place)?;
            if !page.add(node, &next) {
                return Ok(Some(page.end(at)));
            }
            at = next;
        }
        if found.next.is_none() {
            return Ok(None);
        }
    }
    Ok(Some(page.end(at)))
}

impl Page {
    /// Adds a node if it is something for a watch; `false` when there is no room for it.
    fn add(&mut self, node: &Node, next: &Cursor) -> bool {
        if !node.is_collection() && FileKind::of(&node.name).is_none() {
            return true;
        }
        let entry = entry(node);
        let more = entry.len() + usize::from(!self.entries.is_empty());
        // Whether a cursor is needed is known only when it is too late.
        let full = self.bytes + more + next.encode().len() > self.bytes_max;
        if full || self.entries.len() == self.entries_max {
            return false;
        }
        self.bytes += more;
        self.entries.push(entry);
        self.last = Some(next.clone());
        true
    }

    /// Where the next page starts when all up to `at` was looked at. The name of a file that was
    /// passed over may be too long; then those behind the last entry are passed over again.
    fn end(&self, at: Cursor) -> Cursor {
        let fits = self.bytes + at.encode().len() <= self.bytes_max;
        match &self.last {
            Some(last) if !fits => last.clone(),
            Some(_) | None => at,
        }
    }

    fn answer(&self, next: Option<&Cursor>) -> http::Response<axum::body::Body> {
        let entries = self.entries.join(",");
        let text = match next {
            None => format!(r#"{{"f":[{entries}]}}"#),
            Some(next) => format!(r#"{{"f":[{entries}],"c":"{}"}}"#, next.encode()),
        };
        answer::json_text(http::StatusCode::OK, text)
    }
}

fn entry(node: &Node) -> String {
    let folder = node.is_collection();
    let entry = Entry {
        i: find::encode(node.id),
        n: &node.name,
        d: folder.then_some(1),
        s: (!folder).then(|| answer::number(node.size)),
        t: answer::seconds(node.modified),
    };
    serde_json::to_string(&entry).expect("it has text keys and whole numbers")
}

impl Cursor {
    /// Behind a node that was found at a place of a listing from the beginning.
    fn behind(node: &Node, folder: &Node, place: usize) -> Result<Self, Error> {
        if node.space != folder.space {
            return Ok(Self::Start(place + 1));
        }
        let name = NodeName::parse(&node.name).map_err(tree::Error::Path)?;
        Ok(Self::After(name))
    }

    fn encode(&self) -> String {
        match self {
            Self::Start(skip) => format!("~{skip}"),
            Self::After(name) => URL_SAFE_NO_PAD.encode(name.as_str()),
        }
    }

    fn decode(text: &str) -> Option<Self> {
        if let Some(skip) = text.strip_prefix('~') {
            return skip.parse().ok().map(Self::Start);
        }
        let name = String::from_utf8(URL_SAFE_NO_PAD.decode(text).ok()?).ok()?;
        NodeName::parse(&name).ok().map(Self::After)
    }
}

#[cfg(any(test, fuzzing))]
/// A cursor that was read is read as the same when it is written.
pub(super) fn fuzz(text: &str) {
    if let Some(cursor) = Cursor::decode(text) {
        assert_eq!(Cursor::decode(&cursor.encode()), Some(cursor));
    }
    drop(wanted(Some(text)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_read_back_and_others_do_not() {
        let name = NodeName::parse("ä b.gpx").unwrap();
        for cursor in [Cursor::Start(0), Cursor::Start(7), Cursor::After(name)] {
            assert_eq!(Cursor::decode(&cursor.encode()), Some(cursor));
        }
        for text in ["", "~", "~-1", "~x", "!", "Lg", "YS9i", "_w"] {
            assert_eq!(Cursor::decode(text), None, "{text}");
        }
    }

    #[test]
    fn what_is_asked_for_has_bounds() {
        for query in [
            "n=0", "n=101", "max=1023", "max=8193", "d=a/../b", "c=!", "x=1", "n=", "d=%00",
        ] {
            assert!(wanted(Some(query)).is_err(), "{query}");
        }
        let wanted = wanted(Some("n=3&max=8192&d=/a//b/&c=~2")).unwrap();
        assert_eq!(wanted.folder.unwrap().to_string(), "/a/b");
        assert_eq!((wanted.page.entries_max, wanted.page.bytes_max), (3, 8192));
        assert_eq!(wanted.from, Cursor::Start(2));
    }
}
