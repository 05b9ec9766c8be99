//! A plain copy of every file, outside of the store, for whoever wants to leave or to look.
//!
//! The store is only read. What is written to it meanwhile is taken in its new state: a space that
//! changed is gone through once more, in which only what is new is written.

mod target;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_util::future::BoxFuture;

use self::target::{Folder, Like};
use crate::store::content::Reader;
use crate::store::meta::export::{self, Entry, Whole};
use crate::store::meta::{nodes, versions};
use crate::store::{self, Store};
use crate::types::{ContentId, Millis, Mode, NodeId, NodeName, SpaceId};

/// Children of a collection in memory at once, for each collection above the present one.
const PAGE: i64 = 500;
/// Most bytes read at once.
const PIECE: usize = 1024 * 1024;
/// How often a file is begun again that somebody replaces meanwhile.
const TRIES: usize = 5;
/// How often a space is gone through that somebody writes to meanwhile.
const PASSES: usize = 5;
/// Where previous contents go. No space is called so.
const VERSIONS: &str = ".versions";

/// What to export.
#[derive(Clone, Debug, Default)]
pub struct Export {
    /// Only the space of this name.
    pub space: Option<String>,
    /// Previous contents as well.
    pub versions: bool,
    /// Go on with an export that is there.
    pub resume: bool,
}

/// What was exported.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Exported {
    /// Files written.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Files that were there already.
    pub equal: u64,
    /// Files and collections of which nothing was written; the list in the target names them.
    pub failed: u64,
    /// Spaces that were written to until the end, so that something of the last moment may be missing.
    pub restless: u64,
}

/// Why an export ended before its end.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The store, as a whole.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The target.
    #[error("{}: {source}", path.display())]
    Target {
        /// The topmost folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// There is something in the target already.
    #[error("{} is not empty; --resume goes on with an export that is there", .0.display())]
    NotEmpty(PathBuf),
    /// There is no such space.
    #[error("there is no space {0}; known are {1}")]
    NoSpace(String, String),
}

/// What could not be exported is listed in this file of the target.
pub const LIST: &str = target::ERRORS;

/// Why a file or collection is not there.
enum Failure {
    Store(store::Error),
    Target(io::Error),
    /// Something else has its place.
    Taken,
    /// It has no name that a file can have.
    Name,
}

impl From<store::Error> for Failure {
    fn from(error: store::Error) -> Self {
        Self::Store(error)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Target(error)
    }
}

impl Failure {
    /// Whether the next file would fail for the same reason.
    fn ends_all(&self) -> bool {
        use io::ErrorKind::{QuotaExceeded, ReadOnlyFilesystem, StorageFull};
        match self {
            Self::Store(error) => matches!(
                error,
                store::Error::Away(_) | store::Error::Closing | store::Error::Busy
            ),
            Self::Target(error) => {
                matches!(
                    error.kind(),
                    StorageFull | QuotaExceeded | ReadOnlyFilesystem
                )
            }
            Self::Taken | Self::Name => false,
        }
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Store(error) => error.fmt(f),
            Self::Target(error) => error.fmt(f),
            Self::Taken => f.write_str("the target has something else under this name"),
            Self::Name => f.write_str("no file can have this name"),
        }
    }
}

/// Writes `DIR/<space>/<path>` for every file, with its modification time. One that does not open is
/// left out and listed. Memory does not grow with the number or size of files.
///
/// Files are written where they are called, without leaving the thread: nobody else waits for it.
pub async fn run(store: &Arc<Store>, into: &Path, what: &Export) -> Result<Exported, Error> {
    let failed = |source| Error::Target {
        path: into.to_owned(),
        source,
    };
    let mut spaces = export::spaces(&mut *store.meta.read().await?).await?;
    if let Some(name) = &what.space {
        let known: Vec<_> = spaces.iter().map(|space| space.name.clone()).collect();
        spaces.retain(|space| space.name == *name);
        if spaces.is_empty() {
            return Err(Error::NoSpace(name.clone(), known.join(", ")));
        }
    }
    for space in &spaces {
        // Asked now, because another master key may wrap it soon. One that fails is told by each file.
        drop(store.keys.of(&store.meta, SpaceId(space.id)).await);
    }
    let top = Folder::top(into, what.resume).map_err(failed)?;
    let top = top.ok_or_else(|| Error::NotEmpty(into.to_owned()))?;
    let mut going = Going {
        store,
        what,
        top,
        errors: None,
        at: Vec::new(),
        since: None,
        done: Exported::default(),
    };
    for space in &spaces {
        match going.space(space).await {
            Ok(()) => {}
            Err(Failure::Store(error)) => return Err(error.into()),
            Err(Failure::Target(source)) => return Err(failed(source)),
            Err(Failure::Taken | Failure::Name) => unreachable!("they end nothing"),
        }
    }
    going.top.discard().map_err(failed)?;
    if going.done.failed == 0 {
        going.top.forget(target::ERRORS).map_err(failed)?;
    }
    going.top.sync().map_err(failed)?;
    Ok(going.done)
}

/// An export under way.
struct Going<'e> {
    store: &'e Arc<Store>,
    what: &'e Export,
    top: Folder,
    /// The list of what failed, once there is something.
    errors: Option<File>,
    /// The names from the space down to the present node.
    at: Vec<String>,
    /// The turn that was the last when the pass before began: nodes with a later one are written anew.
    /// `None` in the first pass over what was empty.
    since: Option<i64>,
    done: Exported,
}

impl Going<'_> {
    async fn space(&mut self, space: &Whole) -> Result<(), Failure> {
        let (id, mark) = (SpaceId(space.id), self.mark()?);
        self.since = self.what.resume.then_some(i64::MAX);
        for pass in 1.. {
            let before = self.turn(id).await?;
            self.forget_since(mark)?;
            self.at = vec![space.name.clone()];
            let done = match space.mtime {
                Some(mtime) => self.root(NodeId(space.root), Millis(mtime)).await,
                None => Err(store::Error::Corrupt("a space has no root").into()),
            };
            self.noted(done)?;
            let now = self.turn(id).await?;
            if before == now {
                break;
            }
            if pass == PASSES {
                self.done.restless += 1;
                break;
            }
            self.since = before;
        }
        Ok(())
    }

    async fn turn(&self, space: SpaceId) -> Result<Option<i64>, Failure> {
        Ok(export::turn(&mut *self.store.meta.read().await?, space).await?)
    }

    async fn root(&mut self, root: NodeId, modified: Millis) -> Result<(), Failure> {
        let name = checked(&self.at[0])?;
        let folder = self.top.enter(name.as_str())?;
        self.collection(&folder, root, modified).await
    }

    /// Everything in a collection, and then its time.
    fn collection<'f>(
        &'f mut self,
        folder: &'f Folder,
        node: NodeId,
        modified: Millis,
    ) -> BoxFuture<'f, Result<(), Failure>> {
        Box::pin(async move {
            let mut behind = String::new();
            loop {
                let page = {
                    let mut conn = self.store.meta.read().await?;
                    export::entries(&mut conn, node, &behind, PAGE).await?
                };
                let Some(last) = page.last() else {
                    break;
                };
                behind.clone_from(&last.name_key);
                for entry in page {
                    self.at.push(entry.name.clone());
                    let done = self.entry(folder, node, entry).await;
                    self.noted(done)?;
                    self.at.pop();
                }
            }
            Ok(folder.finish(modified)?)
        })
    }

    async fn entry(&mut self, above: &Folder, parent: NodeId, entry: Entry) -> Result<(), Failure> {
        let name = checked(&entry.name)?;
        if entry.kind == nodes::COLLECTION {
            if self.since.is_none() && above.look(name.as_str())?.is_some() {
                return Err(Failure::Taken);
            }
            let folder = above.enter(name.as_str())?;
            let (node, modified) = (NodeId(entry.id), Millis(entry.mtime));
            return self.collection(&folder, node, modified).await;
        }
        let (node, has_versions) = (NodeId(entry.id), entry.version > 1);
        let done = self.file(above, parent, entry).await;
        if self.what.versions && has_versions {
            self.noted(done)?;
            return self.versions(node).await;
        }
        done
    }

    /// A file as it is now; nothing when it is not here any more.
    async fn file(
        &mut self,
        above: &Folder,
        parent: NodeId,
        mut entry: Entry,
    ) -> Result<(), Failure> {
        let mut tries = 1;
        loop {
            let lost = match self.current(above, &entry).await {
                Err(Failure::Store(lost)) => lost,
                done => return done,
            };
            let failure = Failure::Store(lost);
            if failure.ends_all() {
                return Err(failure);
            }
            let now = {
                let mut conn = self.store.meta.read().await?;
                export::again(&mut conn, parent, NodeId(entry.id)).await?
            };
            match now {
                // Deleted or moved: the next pass finds it where it is now.
                None => return Ok(()),
                Some(now) if now.name != entry.name => return Ok(()),
                Some(now) if now.content == entry.content || tries == TRIES => return Err(failure),
                Some(now) => entry = now,
            }
            tries += 1;
        }
    }

    async fn current(&mut self, above: &Folder, entry: &Entry) -> Result<(), Failure> {
        let content = entry.content.map(ContentId);
        let content = content.ok_or(store::Error::Corrupt("a file has no content"))?;
        let is_new = self.since.is_none_or(|since| entry.seq > since);
        let like = Like {
            size: entry.size,
            modified: Millis(entry.mtime),
            mode: Mode::read(entry.mode),
        };
        self.written(above, &entry.name, content, like, is_new)
            .await
    }

    /// The previous contents of the present file, each under its number.
    async fn versions(&mut self, node: NodeId) -> Result<(), Failure> {
        let rows = {
            let mut conn = self.store.meta.read().await?;
            versions::list(&mut conn, node).await?
        };
        if rows.is_empty() {
            return Ok(());
        }
        let mut folder = self.top.enter(VERSIONS)?;
        for name in &self.at {
            folder = folder.enter(name)?;
        }
        for row in rows {
            let name = row.number.to_string();
            // A version does not know whether it was a link.
            let like = Like {
                size: row.size,
                modified: Millis(row.mtime),
                mode: Mode::default(),
            };
            let content = ContentId(row.content);
            let is_new = self.since.is_none();
            let done = self.written(&folder, &name, content, like, is_new).await;
            let Err(failure @ Failure::Store(_)) = done else {
                done?;
                continue;
            };
            let kept = {
                let mut conn = self.store.meta.read().await?;
                versions::by_number(&mut conn, node, row.number).await?
            };
            // One that went meanwhile is not missed.
            if kept.is_some() {
                self.at.push(format!("version {name}"));
                self.noted(Err(failure))?;
                self.at.pop();
            }
        }
        Ok(())
    }

    /// Writes a file unless it is there, or one that looks like it and is not known to be another.
    async fn written(
        &mut self,
        folder: &Folder,
        name: &str,
        content: ContentId,
        like: Like,
        is_new: bool,
    ) -> Result<(), Failure> {
        let Like { modified, mode, .. } = like;
        if let Some(there) = folder.look(name)? {
            if self.since.is_none() {
                return Err(Failure::Taken);
            }
            if there.is_like(like) && !is_new {
                self.done.equal += 1;
                return Ok(());
            }
        }
        if mode.link
            && let Some(target) = self.target(content, like).await?
        {
            folder.link(&self.top, &target, name, modified)?;
            self.done.files += 1;
            self.done.bytes += target.len() as u64;
            return Ok(());
        }
        let mut part = self.top.begin()?;
        let bytes = match copy(self.store, content, &mut part).await {
            Ok(bytes) => bytes,
            Err(failure) => {
                self.top.discard()?;
                return Err(failure);
            }
        };
        folder.place(&self.top, part, name, (modified, mode.executable))?;
        self.done.files += 1;
        self.done.bytes += bytes;
        Ok(())
    }

    /// Where the present node leads as a link; `None` when that may be out of its space.
    async fn target(&self, content: ContentId, like: Like) -> Result<Option<String>, Failure> {
        let size = u64::try_from(like.size).unwrap_or(u64::MAX);
        if size > Mode::TARGET_MAX {
            return Ok(None);
        }
        let mut reader = Reader::open(self.store, content).await?;
        let bytes = reader.read_range(0..size).await?;
        let target = String::from_utf8(bytes.to_vec()).ok();
        let target = target.filter(|target| Mode::is_target(target.as_bytes()));
        // Below the folder of the space, and without the name itself.
        let depth = self.at.len().saturating_sub(2);
        Ok(target.filter(|target| target::stays_inside(target, depth)))
    }

    /// Lists what failed, unless everything would.
    fn noted(&mut self, done: Result<(), Failure>) -> Result<(), Failure> {
        let Err(failure) = done else {
            return Ok(());
        };
        if failure.ends_all() {
            return Err(failure);
        }
        let mut errors = match self.errors.take() {
            Some(errors) => errors,
            None => self.top.errors()?,
        };
        let path: Vec<_> = self
            .at
            .iter()
            .map(|name| name.escape_debug().to_string())
            .collect();
        writeln!(errors, "{}\t{failure}", path.join("/"))?;
        self.errors = Some(errors);
        self.done.failed += 1;
        Ok(())
    }

    /// Where the list of what failed ends now.
    fn mark(&mut self) -> Result<(u64, u64), Failure> {
        let end = match &mut self.errors {
            Some(errors) => errors.stream_position()?,
            None => 0,
        };
        Ok((end, self.done.failed))
    }

    /// Forgets what failed since then: it is tried again.
    fn forget_since(&mut self, (end, failed): (u64, u64)) -> Result<(), Failure> {
        if let Some(errors) = &mut self.errors {
            errors.set_len(end)?;
            errors.seek(SeekFrom::Start(end))?;
        }
        self.done.failed = failed;
        Ok(())
    }
}

async fn copy(
    store: &Arc<Store>,
    content: ContentId,
    part: &mut target::Part,
) -> Result<u64, Failure> {
    let mut reader = Reader::open(store, content).await?;
    let mut bytes = 0;
    loop {
        let piece = reader.read(PIECE).await?;
        if piece.is_empty() {
            return Ok(bytes);
        }
        part.write(&piece)?;
        bytes += piece.len() as u64;
    }
}

fn checked(name: &str) -> Result<NodeName, Failure> {
    NodeName::parse(name).map_err(|_refused| Failure::Name)
}
