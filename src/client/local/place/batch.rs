//! Puts many staged files in their places with few waits for the disk.

use std::collections::HashMap;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use rustix::fs::Mode;
use rustix::io::Errno;

use super::out::{back, give_back};
use super::{Old, Refused, Stage, exchange, occupied, point, rename_new};
use crate::client::local::folder::{Folder, out_name, unlink};
use crate::client::local::split;
use crate::client::local::stamp::{Stamp, look, look_at};

/// Up to so many files, or directories, are synced one by one; more of them all at once with the whole file system.
const FEW: usize = 2;
/// Directories that are kept open; files usually come in the order of their places.
const DIRS_MAX: usize = 64;

/// Staged files with their places.
pub struct Batch {
    folder: Arc<Folder>,
    puts: Vec<Put>,
}

struct Put {
    stage: Stage,
    path: String,
    expected: Option<Stamp>,
}

/// What is in its place now, and on the disk.
pub struct Placed {
    /// To be kept in the journal.
    pub stamp: Stamp,
    /// What was there before.
    pub old: Option<Old>,
}

/// What became of a batch.
pub struct Committed {
    /// Of each file, in the order in which they were added.
    pub placed: Vec<Result<Placed, Refused>>,
    /// Whether no sync failed. One of the file system may fail because of any file on it, and says so only once.
    pub synced: bool,
}

/// Directories that were opened, and those to be synced.
#[derive(Default)]
struct Dirs {
    open: HashMap<String, OwnedFd>,
    /// Whether there were more than are kept.
    many: bool,
}

impl Batch {
    /// An empty one.
    pub fn new(folder: &Arc<Folder>) -> Self {
        Self {
            folder: Arc::clone(folder),
            puts: Vec::new(),
        }
    }

    /// Adds a file; `expected` is the stamp of what is replaced, none when nothing is there.
    pub fn add(&mut self, stage: Stage, path: &str, expected: Option<Stamp>) {
        let path = path.to_owned();
        self.puts.push(Put {
            stage,
            path,
            expected,
        });
    }

    /// Puts all in their places, each by itself. Bytes are on the disk before they get their names, and the names are
    /// when this returns.
    pub fn commit(self) -> Committed {
        let Self { folder, puts } = self;
        let all = puts.len();
        if let Err(errno) = sync_files(&folder, &puts) {
            return Committed {
                placed: (0..all).map(|_| Err(errno.into())).collect(),
                synced: false,
            };
        }
        let mut dirs = Dirs::default();
        let mut placed: Vec<_> = puts
            .into_iter()
            .map(|put| place(&folder, &mut dirs, put))
            .collect();
        let synced = dirs.sync(&folder);
        if let Err(errno) = synced {
            // They may not be there after a crash: a scan finds them as if somebody else had put them there.
            placed = placed
                .into_iter()
                .map(|placed| placed.and(Err(errno.into())))
                .collect();
        }
        Committed {
            placed,
            synced: synced.is_ok(),
        }
    }
}

impl Dirs {
    fn get(&mut self, folder: &Folder, dir: &str) -> Result<&OwnedFd, Errno> {
        if !self.open.contains_key(dir) {
            if self.open.len() >= DIRS_MAX {
                self.open.clear();
                self.many = true;
            }
            let opened = folder.open_dir(dir)?;
            self.open.insert(dir.to_owned(), opened);
        }
        self.open.get(dir).ok_or(Errno::NOENT)
    }

    fn sync(&self, folder: &Folder) -> Result<(), Errno> {
        if self.many || self.open.len() > FEW {
            return rustix::fs::syncfs(folder.root());
        }
        self.open.values().try_for_each(rustix::fs::fsync)
    }
}

fn sync_files(folder: &Folder, puts: &[Put]) -> Result<(), Errno> {
    if puts.len() > FEW {
        return rustix::fs::syncfs(folder.root());
    }
    let files = puts.iter().filter_map(|put| put.stage.file.as_ref());
    files.into_iter().try_for_each(rustix::fs::fsync)
}

fn place(folder: &Arc<Folder>, dirs: &mut Dirs, put: Put) -> Result<Placed, Refused> {
    let Put {
        mut stage,
        path,
        expected,
    } = put;
    let (dir, name) = split(&path);
    if matches!(name, "" | "." | "..") || super::super::folder::is_own(&path) {
        return Err(Refused::Permission);
    }
    let dir = dirs.get(folder, dir)?;
    let Some(expected) = expected else {
        let stamp = put_new(&mut stage, dir, name)?;
        return Ok(Placed { stamp, old: None });
    };
    let before = stage.stamp()?;
    let out = replace(folder, &mut stage, dir, name, &expected)?;
    let stamp = in_place(&stage, dir, name, before);
    let out = Old::new(folder, out, path, expected);
    Ok(Placed {
        stamp,
        old: Some(out),
    })
}

fn put_new(stage: &mut Stage, dir: &OwnedFd, name: &str) -> Result<Stamp, Refused> {
    point("new");
    let before = stage.stamp()?;
    match rename_new(&stage.folder.tmp, &stage.name, dir, name) {
        Ok(()) => {}
        Err(Errno::EXIST) => return Err(occupied(dir, name)),
        Err(errno) => return Err(errno.into()),
    }
    stage.name.clear();
    Ok(in_place(stage, dir, name, before))
}

/// The stamp of what was put in place: renaming has changed it. When somebody has written to it by now it is the one
/// from before, so that the edit is seen.
fn in_place(stage: &Stage, dir: impl AsFd, name: &str, before: Stamp) -> Stamp {
    let now = match &stage.file {
        Some(file) => look_at(file),
        None => look(dir, name),
    };
    now.ok()
        .map(|seen| seen.stamp)
        .filter(|now| now.same_bytes(&before))
        .unwrap_or(before)
}

/// Puts a staged file in the place of another one; gives the name in `tmp/` of what came out.
fn replace(
    folder: &Folder,
    stage: &mut Stage,
    dir: &OwnedFd,
    name: &str,
    expected: &Stamp,
) -> Result<String, Refused> {
    let seen = match look(dir, name) {
        Ok(seen) if seen.stamp.same_bytes(expected) => seen,
        Ok(_) | Err(Errno::NOENT) => return Err(Refused::Touched),
        Err(errno) => return Err(errno.into()),
    };
    if let (Some(file), Some(crate::client::item::Kind::File)) = (&stage.file, seen.kind) {
        keep_mode(file, seen.mode, stage.executable)?;
    }
    let ours = stage.stamp()?.inode;
    let out = out_name(&folder.temp("t"), ours, expected);
    stage.rename(out.clone())?;
    point("exchange");
    match exchange(&folder.tmp, &out, dir, name) {
        Ok(true) => {}
        Ok(false) => return replace_in_steps(folder, stage, dir, name, expected),
        Err(Errno::NOENT) => return Err(Refused::Touched),
        Err(errno) => return Err(errno.into()),
    }
    // What is in `tmp/` by this name is not ours now; nothing may remove it.
    stage.name.clear();
    if look(&folder.tmp, &*out)?.stamp.same_bytes(expected) {
        return Ok(out);
    }
    back(folder, &out, ours, dir, name)?;
    remove_ours(folder, &out, ours);
    Err(Refused::Touched)
}

/// Removes what was staged, and only that.
fn remove_ours(folder: &Folder, temp: &str, ours: u64) {
    if look(&folder.tmp, temp).is_ok_and(|seen| seen.stamp.inode == ours) {
        unlink(&folder.tmp, temp).ok();
    }
}

/// The same where two files cannot be exchanged.
fn replace_in_steps(
    folder: &Folder,
    stage: &mut Stage,
    dir: &OwnedFd,
    name: &str,
    expected: &Stamp,
) -> Result<String, Refused> {
    let out = out_name(&folder.temp("s"), stage.stamp()?.inode, expected);
    super::item::take_out(folder, dir, name, &out, expected)?;
    point("between");
    match rename_new(&folder.tmp, &stage.name, dir, name) {
        Ok(()) => {
            stage.name.clear();
            Ok(out)
        }
        // Somebody was faster, so what came out was replaced by him.
        Err(Errno::EXIST) => {
            unlink(&folder.tmp, &out).ok();
            Err(Refused::Touched)
        }
        Err(errno) => {
            give_back(folder, &out, dir, name)?;
            Err(errno.into())
        }
    }
}

/// Who may read and write the old file may do so with the new one, and nobody else.
fn keep_mode(file: impl AsFd, old: u32, executable: bool) -> Result<(), Errno> {
    rustix::fs::fchmod(file, super::item::with_executable(old, executable))
}

/// The permissions as the system takes them.
pub(super) fn mode(bits: u32) -> Mode {
    Mode::from_raw_mode(bits & 0o777)
}
