//! One file of a push: its header, its operations, its proof.

use std::collections::BTreeSet;

use super::super::super::extract;
use super::super::super::problem::{self, Problem, Result};
use super::refused;
use crate::chunk::Class;
use crate::crypto::Blinded;
use crate::protocol::stream::Record;
use crate::protocol::sync::{Need, OnConflict, PushPut, PushResult, PushStatus};
use crate::store::content::{Checksum, INLINE_MAX, Rebuild, RebuildError, Staged};
use crate::tree::{self, Base, BatchItem, Overtaken, Tree, Write};
use crate::types::{ContentId, Mode, NodeId, NodePath, SpaceId, hex};

/// A file whose operations are coming.
pub(super) struct Incoming {
    at: NodePath,
    space: SpaceId,
    size: u64,
    root: Option<Blinded>,
    checksum: Option<Checksum>,
    how: Write,
    content: Content,
    /// Chunks that the space does not have, each once.
    unknown: BTreeSet<[u8; 16]>,
    /// How many of them may be named; the sender learns of others with the next try.
    names_max: usize,
    /// The base is none that the node holds or held.
    no_base: bool,
}

/// Where the bytes come from.
enum Content {
    /// From operations.
    Built(Box<Rebuild>),
    /// They are there already.
    Known(Box<Staged>),
}

impl Incoming {
    /// Checks the header and prepares for the operations.
    pub(super) async fn start(
        tree: &Tree,
        put: PushPut,
        names_max: usize,
        home: &mut Option<Home>,
    ) -> Result<Self> {
        let at = extract::path("path", &put.path)?;
        let base = extract::base(put.base.as_deref())?;
        let how = Write {
            modified: extract::time("mtime", put.mtime)?,
            created: extract::time("created", put.created)?,
            base,
            overtaken: overtaken(put.conflict),
            executable: put.executable,
            link: put.link,
            ..Write::default()
        };
        if put.link && !(1..=Mode::TARGET_MAX).contains(&put.size) {
            return Err(no_target());
        }
        let root = put.root.as_deref().map(extract::root).transpose()?;
        let checksum = extract::checksum(put.checksum.as_deref())?;
        let space = admit(tree, &at, put.size, home).await?;
        let from = from(tree, &at, &put, base).await?;
        let rebuild = tree.rebuild(space, from, class(&put), put.size).await;
        // A base in another space is one that does not help, nor does a damaged one.
        let (rebuild, from) = match rebuild {
            Err(error) if from.is_some() && is_useless(&error) => {
                (tree.rebuild(space, None, class(&put), put.size).await, None)
            }
            rebuild => (rebuild, from),
        };
        let mut rebuild = rebuild.map_err(broken)?;
        if let Some((_, name)) = at.split_last() {
            rebuild.set_name(name.as_str());
        }
        Ok(Self {
            at,
            space,
            size: put.size,
            root,
            checksum,
            how,
            content: Content::Built(Box::new(rebuild)),
            unknown: BTreeSet::new(),
            names_max,
            no_base: from.is_none(),
        })
    }

    /// Takes the next operation. An error is the file's result.
    pub(super) async fn take(&mut self, tree: &Tree, record: Record) -> Result<(), PushResult> {
        let trusting = matches!(
            record,
            Record::Copy { .. } | Record::Ref(_) | Record::Patch { .. } | Record::Same
        );
        if trusting && self.root.is_none() {
            let text = "COPY, REF, PATCH and SAME need the root of the content";
            return Err(refused(&Problem::invalid("root", text)));
        }
        if record == Record::Same {
            return self.take_known(tree).await;
        }
        let Content::Built(rebuild) = &mut self.content else {
            let text = "SAME stands alone in its file";
            return Err(refused(&Problem::new(problem::BAD_STREAM, text).at("SAME")));
        };
        if self.no_base && matches!(record, Record::Copy { .. } | Record::Patch { .. }) {
            return Err(need(Need::Base));
        }
        let referred = if let Record::Ref(chunk) = &record {
            Some(Blinded(*chunk))
        } else {
            None
        };
        let done = match (operate(rebuild, record).await, referred) {
            // One that does not open is as good as none.
            (Err(error), Some(chunk)) if is_useless(&error) => Err(RebuildError::Unknown(chunk)),
            (done, _) => done,
        };
        match done {
            Err(RebuildError::Unknown(chunk)) => {
                // One more than may be named keeps the file from being finished.
                if self.unknown.len() <= self.names_max {
                    self.unknown.insert(chunk.0);
                }
                Ok(())
            }
            Err(error) => Err(failed(self.no_base)(error)),
            Ok(()) => Ok(()),
        }
    }

    async fn take_known(&mut self, tree: &Tree) -> Result<(), PushResult> {
        let alone = matches!(&self.content, Content::Built(rebuild) if rebuild.written() == 0);
        if !alone || !self.unknown.is_empty() {
            let text = "SAME stands alone in its file";
            return Err(refused(&Problem::new(problem::BAD_STREAM, text).at("SAME")));
        }
        let Some(root) = self.root else {
            return Err(need(Need::Content));
        };
        let known = tree.known_content(self.space, root, self.size).await;
        match known.map_err(|error| refused(&error.into()))? {
            Some(staged) => {
                self.content = Content::Known(Box::new(staged));
                Ok(())
            }
            None => Err(need(Need::Content)),
        }
    }

    /// Makes the bytes durable and proves them. An error is the file's result.
    pub(super) async fn finish(self, tree: &Tree) -> Result<BatchItem, PushResult> {
        if !self.unknown.is_empty() {
            let chunks = self
                .unknown
                .iter()
                .take(self.names_max)
                .map(|chunk| hex(chunk));
            return Err(need(Need::Chunks(chunks.collect())));
        }
        let mut staged = match self.content {
            Content::Known(staged) => *staged,
            Content::Built(rebuild) => {
                let failed = failed(self.no_base);
                rebuild.finish().await.map_err(failed)?
            }
        };
        if self.root.is_some_and(|root| root != staged.root) {
            let text = "the operations give bytes with another root";
            return Err(refused(&Problem::new(problem::CHECKSUM, text).at("root")));
        }
        if self.how.link {
            let fits = tree.is_link_target(&staged).await;
            if !fits.map_err(|error| refused(&error.into()))? {
                return Err(refused(&no_target()));
            }
        }
        if let Some(claim) = self.checksum {
            let proven = tree.proves(&staged, &claim).await;
            if !proven.map_err(|error| refused(&error.into()))? {
                return Err(refused(&tree::Error::Checksum.into()));
            }
            staged.checksum = Some(claim);
        }
        Ok(BatchItem {
            at: self.at,
            staged,
            how: self.how,
        })
    }
}

/// Whether what was to be built from cannot be: it is in another space, or damaged.
fn is_useless(error: &RebuildError) -> bool {
    matches!(error, RebuildError::OtherSpace)
        || matches!(error, RebuildError::Store(error) if error.is_damage())
}

/// The result of a file that an operation has failed for. When its base is damaged, the whole file is
/// asked for.
fn failed(no_base: bool) -> impl FnOnce(RebuildError) -> PushResult {
    move |error| {
        if !no_base && is_useless(&error) {
            return need(Need::Base);
        }
        refused(&broken(error))
    }
}

async fn operate(rebuild: &mut Rebuild, record: Record) -> Result<(), RebuildError> {
    match record {
        Record::Copy { offset, len } => rebuild.copy(offset, len).await,
        Record::Ref(chunk) => rebuild.reference(Blinded(chunk)).await,
        Record::LitPart(bytes) => rebuild.literal(bytes).await,
        Record::Patch {
            base_offset,
            base_len,
            raw_len,
            packed,
        } => rebuild.patch(base_offset, base_len, raw_len, packed).await,
        // Its bytes come as parts; the others never get here.
        Record::Lit { .. } | Record::Same | Record::File(_) | Record::End => Ok(()),
    }
}

/// The collection that the file before went into, and its space. Many small files go into one, and
/// the commit looks again.
pub(super) type Home = (NodePath, SpaceId);

async fn admit(tree: &Tree, at: &NodePath, size: u64, home: &mut Option<Home>) -> Result<SpaceId> {
    let above = at.split_last().map(|(above, _)| above);
    // In the root a name decides the space: mounts are there.
    let above = above.filter(|above| size <= INLINE_MAX as u64 && !above.is_root());
    if let (Some(above), Some((known, space))) = (&above, &*home)
        && above == known
    {
        return Ok(*space);
    }
    let space = tree.admit(at, size).await?;
    if let Some(above) = above {
        *home = Some((above, space));
    }
    Ok(space)
}

/// The content that COPY and PATCH refer to: one that the named node holds or held.
async fn from(tree: &Tree, at: &NodePath, put: &PushPut, base: Base) -> Result<Option<ContentId>> {
    let stated = match (&put.from, base) {
        (Some(text), _) => Some(extract::content("from", text)?),
        (None, Base::Content(content)) => Some(content),
        (None, Base::Unstated | Base::Nothing) => None,
    };
    let Some(content) = stated else {
        return Ok(None);
    };
    let node = match put.source {
        Some(id) => tree.by_id(NodeId(id)).await.map(|located| located.node),
        None => tree.lookup(at).await,
    };
    let node = match node {
        Ok(node) => node,
        Err(tree::Error::NotFound) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    Ok(tree.has_content(&node, content).await?.then_some(content))
}

fn overtaken(stated: OnConflict) -> Overtaken {
    match stated {
        OnConflict::Keep => Overtaken::KeepBoth,
        OnConflict::Refuse => Overtaken::Refuse,
    }
}

fn class(put: &PushPut) -> Class {
    put.class
        .map_or_else(|| Class::of(Some(put.size)), Class::from)
}

fn no_target() -> Problem {
    let text = "the target of a link is 1 to 4095 bytes of UTF-8 without NUL";
    Problem::invalid("link", text)
}

fn need(need: Need) -> PushResult {
    PushResult {
        need: Some(need),
        ..PushResult::bare(PushStatus::Need)
    }
}

/// What an operation that cannot be means.
fn broken(error: RebuildError) -> Problem {
    let text = error.to_string();
    match error {
        RebuildError::NoBase | RebuildError::OtherSpace => Problem::invalid("base", text),
        RebuildError::OutsideBase => Problem::new(problem::BAD_STREAM, text).at("COPY"),
        RebuildError::TooLong { .. } | RebuildError::TooShort { .. } => {
            Problem::new(problem::BAD_LENGTH, text).at("size")
        }
        RebuildError::TooMany { .. } | RebuildError::TooScattered => {
            Problem::new(problem::TOO_LARGE, text)
        }
        RebuildError::Unknown(_) => Problem::new(problem::BAD_STREAM, text).at("REF"),
        RebuildError::PatchTooLarge | RebuildError::Patch(_) => {
            Problem::new(problem::BAD_STREAM, text).at("PATCH")
        }
        RebuildError::Store(error) => error.into(),
    }
}
