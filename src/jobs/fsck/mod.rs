//! `fsck`: whether what is stored agrees with itself: the tree with its rules, files with contents,
//! contents with chunks, chunks with segments, segments with files.
//!
//! It goes through everything once, in pages. What looks wrong is looked at again, in a transaction
//! that nobody can write beside, before it is told; so it may run while servers work. A chunk row that
//! still says what it said before a file was looked at proves that the file should have been there:
//! segments go only after their rows.
//!
//! Repairing means: figures that follow from others are worked out again, what hangs on nothing gets a
//! place, and what is damaged is offered to nobody who uploads, so that the same bytes are stored anew
//! when they come again. Nothing is deleted.

mod contents;
mod files;
mod needed;
mod nodes;
mod records;
mod spaces;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use serde::Serialize;

use crate::crypto::SpaceKeys;
use crate::store::meta::{Conn, audit};
use crate::store::{self, Store};
use crate::tree;
use crate::types::{Clock, Millis, NodeId, SpaceId};

/// Result of a check.
pub type Result<T, E = tree::Error> = std::result::Result<T, E>;

/// How a check goes about it.
#[derive(Clone)]
pub struct How {
    /// Opens everything that is sealed; otherwise only looks whether it is there.
    pub deep: bool,
    /// Repairs what can be.
    pub repair: bool,
    /// The data folder.
    pub data: PathBuf,
    /// What tells the time.
    pub clock: Clock,
}

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// The key of a space does not open.
    Key,
    /// A space has no root.
    Root,
    /// A space's counters are behind what was counted.
    Counters,
    /// A space counts other locks than it has.
    Locks,
    /// A node hangs on nothing.
    Lost,
    /// Collections hang on each other in a circle.
    Circle,
    /// A node's name cannot be, or has another key than it should.
    Name,
    /// A collection states other bytes than lie in it.
    Sum,
    /// Something changed later than what is above it says.
    Order,
    /// A file has another size than its content.
    Size,
    /// A file has no content.
    Content,
    /// A previous version has none, or one of another size.
    Version,
    /// A content does not lead to its chunks.
    Manifest,
    /// A content that lies in its row does not open.
    Inline,
    /// An unfinished upload does not lead to its bytes.
    Upload,
    /// The file of a segment is missing, too short or another's.
    Segment,
    /// A record does not open, or is not where its row says.
    Record,
    /// Something has the mark of damage and is sound.
    Marked,
    /// A segment that no row knows, as a crash leaves it.
    Orphan,
    /// A file that no server has put there.
    Foreign,
}

impl Kind {
    /// Whether nothing is lost by it, and nothing can be got back.
    pub fn is_harmless(self) -> bool {
        matches!(self, Self::Marked | Self::Orphan | Self::Foreign)
    }

    /// Its name for people and programs.
    pub fn word(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::Root => "root",
            Self::Counters => "counters",
            Self::Locks => "locks",
            Self::Lost => "lost",
            Self::Circle => "circle",
            Self::Name => "name",
            Self::Sum => "sum",
            Self::Order => "order",
            Self::Size => "size",
            Self::Content => "content",
            Self::Version => "version",
            Self::Manifest => "manifest",
            Self::Inline => "inline",
            Self::Upload => "upload",
            Self::Segment => "segment",
            Self::Record => "record",
            Self::Marked => "marked",
            Self::Orphan => "orphan",
            Self::Foreign => "foreign",
        }
    }
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What it is.
    pub kind: Kind,
    /// The name of the space, where it is one's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub space: Option<String>,
    /// Which node, content, segment …
    pub subject: String,
    /// What is wrong with it.
    pub wrong: String,
    /// The files that need it, with their spaces; the first few.
    pub files: Vec<String>,
    /// How many more there are.
    pub more: u64,
    /// What was done about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repaired: Option<String>,
}

/// What a check looked at and found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Files and collections looked at.
    pub nodes: u64,
    /// Contents looked at.
    pub contents: u64,
    /// Chunks looked at.
    pub chunks: u64,
    /// Findings that are damage.
    pub damaged: u64,
    /// Of these, what is whole again.
    pub repaired: u64,
    /// Findings that harm nobody.
    pub harmless: u64,
}

/// What the steps of a check share.
struct Going<'r> {
    store: &'r Arc<Store>,
    how: &'r How,
    told: &'r mut (dyn FnMut(&Finding) + Send),
    summary: Summary,
    names: HashMap<SpaceId, String>,
    /// Spaces whose keys do not open, or which have no row: nothing of theirs can be looked at.
    closed: Vec<SpaceId>,
    /// What was told of the tree and not repaired: it is found by each time that it is gone through.
    left: HashSet<(Kind, String)>,
}

/// Checks everything, and calls `told` with each thing that is wrong as soon as it is known.
pub async fn check(
    store: &Arc<Store>,
    how: &How,
    told: &mut (dyn FnMut(&Finding) + Send),
) -> Result<Summary> {
    let mut going = Going {
        store,
        how,
        told,
        summary: Summary::default(),
        names: HashMap::new(),
        closed: Vec::new(),
        left: HashSet::new(),
    };
    spaces::check(&mut going).await?;
    nodes::check(&mut going).await?;
    records::check(&mut going).await?;
    contents::check(&mut going).await?;
    files::check(&mut going).await?;
    Ok(going.summary)
}

impl Going<'_> {
    fn now(&self) -> Millis {
        self.how.clock.now()
    }

    /// Tells what is wrong. `whole`: what was done has undone the damage.
    fn tell(&mut self, finding: &Finding, whole: bool) {
        if finding.kind.is_harmless() {
            self.summary.harmless += 1;
        } else {
            self.summary.damaged += 1;
            self.summary.repaired += u64::from(whole);
        }
        (self.told)(finding);
    }

    /// The name of a space.
    async fn name(&mut self, space: SpaceId) -> Result<String> {
        if let Some(name) = self.names.get(&space) {
            return Ok(name.clone());
        }
        let name = audit::space_name(&mut *self.store.meta.read().await?, space).await?;
        let name = printable(&name.unwrap_or_else(|| format!("space-{space}")));
        self.names.insert(space, name.clone());
        Ok(name)
    }

    /// How a node is called, from its space down.
    async fn path(&mut self, node: NodeId) -> Result<String> {
        let way = audit::way(&mut *self.store.meta.read().await?, node).await?;
        let space = self.name(node.space()).await?;
        let names = way.names.iter().map(|name| format!("/{}", printable(name)));
        let deleted = if way.trashed.is_some() {
            " (deleted)"
        } else {
            ""
        };
        Ok(format!("{space}{}{deleted}", names.collect::<String>()))
    }

    /// A finding about one node.
    async fn of_node(&mut self, kind: Kind, node: NodeId, wrong: String) -> Result<Finding> {
        Ok(Finding {
            kind,
            space: Some(self.name(node.space()).await?),
            subject: format!("node {node}"),
            wrong,
            files: vec![self.path(node).await?],
            more: 0,
            repaired: None,
        })
    }

    /// Looks again in a transaction, and repairs in the same.
    async fn again<T, F>(&self, work: F) -> Result<T>
    where
        F: for<'t> FnOnce(&'t mut Conn) -> BoxFuture<'t, Result<T>> + Send + 'static,
        T: Send + 'static,
    {
        self.store.meta.write(work).await
    }

    /// The keys of a space; `None` when they do not open, which is told once.
    async fn keys(&mut self, space: SpaceId) -> Result<Option<Arc<SpaceKeys>>> {
        if self.closed.contains(&space) {
            return Ok(None);
        }
        match self.store.keys.of(&self.store.meta, space).await {
            Ok(keys) => Ok(Some(keys)),
            Err(error) => {
                spaces::closed(self, space, damage(error)?).await?;
                Ok(None)
            }
        }
    }

    /// Whether the keys of a space do not open.
    fn is_closed(&self, space: SpaceId) -> bool {
        self.closed.contains(&space)
    }
}

/// A name without what would upset a terminal.
fn printable(name: &str) -> String {
    let shown = |letter: char| match letter {
        letter if letter.is_control() => letter.escape_default().to_string(),
        letter => letter.to_string(),
    };
    name.chars().map(shown).collect()
}

/// Whether an error says that something is damaged; others end the check.
fn damage(error: store::Error) -> Result<String> {
    if error.is_damage() {
        Ok(error.to_string())
    } else {
        Err(error.into())
    }
}
