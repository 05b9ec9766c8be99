//! Discovery: what is in the folder that was not there when it was last in step, and what is there no more.
//!
//! Things are first found by their names, then, among what is left over, by their inodes. Where something else that is
//! known lies under a known name, and what was there lies elsewhere, both have moved. What could not be read stays as it
//! was: only what is seen to be gone is missing.

mod dirty;
mod doubt;
mod finish;
mod list;
mod pair;
mod rest;
mod walk;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::PathBuf;

use rustix::io::Errno;

use super::folder::{Folder, FolderError};
use super::ignore::Ignore;
use super::stamp::Stamp;
use crate::client::item::{Item, ItemId};

/// An item that both sides have, as it was here when it was last in step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// The item.
    pub item: Item,
    /// Its stamp; none when it must be looked at again. Of a collection only the inode counts.
    pub stamp: Option<Stamp>,
}

/// An item that is here and new, elsewhere, or maybe other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Local {
    /// The item as it is here: with an id below zero when it is new, and [`Content::Local`] when its bytes may be
    /// other than those that are known.
    ///
    /// [`Content::Local`]: crate::client::item::Content::Local
    pub item: Item,
    /// What tells that it is touched again.
    pub stamp: Stamp,
    /// Whether it may be written again without another stamp; then the journal must not trust the stamp, and keeps
    /// none.
    pub racy: bool,
}

/// How far below a path something may have happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reach {
    /// To what has this name itself.
    Entry,
    /// To what lies in the collection.
    Children,
    /// To all below.
    Below,
}

/// Has something looked at, and no less far than was asked for before.
pub fn look_again(map: &mut BTreeMap<String, Reach>, path: String, reach: Reach) {
    let old = map.entry(path).or_insert(reach);
    *old = reach.max(*old);
}

/// What is to be looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Everything.
    All,
    /// These paths, and nothing is said about others. Moves from one to another are found.
    Dirty(BTreeMap<String, Reach>),
}

/// Where the numbers of new items and contents go on, so that several scans of a pass give none twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Numbers {
    /// The last id that was given to a new item; they fall.
    pub id: i64,
    /// The last number that was given to a content; they rise.
    pub content: u64,
}

/// What a scan found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// What is new, has moved, or may have other bytes or another permission; collections before what is in them.
    pub changed: Vec<Local>,
    /// Files of which only the inode says that something happened: mostly new permissions, or another link, but a
    /// program that puts the time back may have written them. To be read, and compared; then they have this stamp.
    pub suspects: Vec<Local>,
    /// What is the same under another stamp.
    pub restamped: Vec<(ItemId, Stamp)>,
    /// What is here no more; with everything below a collection.
    pub missing: Vec<Known>,
    /// What is not synced any more; with everything below a collection.
    pub forgotten: Vec<ItemId>,
    /// What cannot be synced as it is.
    pub troubles: Vec<Trouble>,
    /// What changed while it was looked at: to be scanned again.
    pub again: BTreeMap<String, Reach>,
    /// Folders whose `.syncignore` is another one: what is to be watched below them changes too.
    pub rules_changed: Vec<String>,
    /// Where more is new than was asked for: to be scanned next.
    pub left: BTreeMap<String, Reach>,
    /// The known collections that lie nearest above it.
    pub short: BTreeSet<ItemId>,
}

/// Something that cannot be synced as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// Where; beneath the folder.
    pub path: PathBuf,
    /// What is wrong.
    pub kind: TroubleKind,
}

/// Why something cannot be synced as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TroubleKind {
    /// It cannot be read; what is known of it and below stays as it was.
    #[error("cannot be read: {0}")]
    Unreadable(io::ErrorKind),
    /// Its name is not UTF-8.
    #[error("the name is not UTF-8")]
    NotUtf8,
    /// Its name has more than 255 bytes.
    #[error("the name is longer than 255 bytes")]
    NameTooLong,
    /// Its name has control characters.
    #[error("the name has control characters")]
    Control,
    /// It lies too deep.
    #[error("the path is longer than 4096 bytes or 128 names")]
    TooDeep,
    /// Another one in the same place has a name that looks the same and is the same for the server.
    #[error("another one there has the same name in other code points")]
    SameName,
    /// A socket, pipe or device.
    #[error("is a socket, pipe or device")]
    Special,
    /// Another file system is mounted there (or a subvolume, or the same one again); it is not entered.
    #[error("another file system is mounted there")]
    Mounted,
    /// A `.syncignore` that cannot be read: nothing new below it is synced, and nothing is forgotten.
    #[error("`.syncignore` cannot be read: {0}")]
    Rules(io::ErrorKind),
    /// Likewise: one that is too large.
    #[error("`.syncignore` is larger than 64 KiB")]
    RulesTooLarge,
    /// A line of a `.syncignore` that is no pattern; 0 for all of them together.
    #[error("line {0} of `.syncignore` is not a pattern")]
    Pattern(usize),
}

/// Why there is no result.
#[derive(Debug, thiserror::Error)]
pub enum ScanError<E> {
    /// The folder is not what it was; nothing that was seen counts.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// The folder itself cannot be read.
    #[error("the folder cannot be read: {0}")]
    Unreadable(io::Error),
    /// What is known could not be told.
    #[error("{0}")]
    Known(E),
}

/// Tells what is known: the children of a collection, or only those with this name. There are several for a moment: when
/// one has let others pass and did not come to its place.
pub type Tell<'a, E> = dyn FnMut(ItemId, Option<&str>) -> Result<Vec<Known>, E> + 'a;

/// What a scan looks at.
pub struct Scan<'a> {
    /// The folder.
    pub folder: &'a Folder,
    /// The id of its root.
    pub root: ItemId,
    /// How much of it.
    pub scope: &'a Scope,
    /// About how many new items are told at most, where nothing is gone that could be among them. All else is told in any
    /// case.
    pub most: usize,
}

impl Scan<'_> {
    /// Looks. Files that were moved in a way that gave them another inode or time are missing, and new elsewhere.
    pub fn run<E>(
        &self,
        ignore: &mut Ignore,
        numbers: &mut Numbers,
        known: &mut Tell<'_, E>,
    ) -> Result<Found, ScanError<E>> {
        self.folder.check()?;
        let mut walk = walk::Walk::new(self, ignore, numbers, known);
        match self.scope {
            Scope::All => walk.begin(),
            Scope::Dirty(paths) => dirty::begin(&mut walk, paths)?,
        }
        walk.run()?;
        walk.pair_files();
        let found = walk.finish();
        // Whoever empties or unmounts the folder while it is read makes things seem to be missing.
        self.folder.check()?;
        if let Some(errno) = found.1 {
            return Err(ScanError::Unreadable(errno.into()));
        }
        Ok(found.0)
    }
}

impl Trouble {
    fn new(path: impl Into<PathBuf>, kind: TroubleKind) -> Self {
        Self {
            path: path.into(),
            kind,
        }
    }
}

/// A trouble with what the system says.
fn unreadable(errno: Errno) -> TroubleKind {
    match errno {
        Errno::XDEV => TroubleKind::Mounted,
        errno => TroubleKind::Unreadable(io::Error::from(errno).kind()),
    }
}
