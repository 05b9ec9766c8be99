//! What was taken out of its place, and how it goes back.

use std::os::fd::AsFd;
use std::sync::Arc;

use rustix::io::Errno;

use super::{Refused, exchange, point, rename_new};
use crate::client::local::folder::{Folder, unlink};
use crate::client::local::join;
use crate::client::local::stamp::{Stamp, look};

/// So often it is tried to put something back while somebody else keeps replacing what is there.
const TRIES: u32 = 8;
/// Names that are tried beside one that is taken.
const NAMES: u32 = 1000;
const NAME_MAX: usize = 255;

/// The file or link that was in a place before. When it is dropped it is removed, or, when somebody had it open and
/// has written to it meanwhile, put beside what has its name now.
pub struct Old {
    folder: Arc<Folder>,
    name: String,
    /// Where it was.
    path: String,
    expected: Stamp,
    done: bool,
}

impl Old {
    pub(super) fn new(folder: &Arc<Folder>, name: String, path: String, expected: Stamp) -> Self {
        Self {
            folder: Arc::clone(folder),
            name,
            path,
            expected,
            done: false,
        }
    }

    /// Removes it; or gives the path beside its place where it lies now because it was written to meanwhile.
    pub fn discard(mut self) -> Result<Option<String>, Refused> {
        self.done = true;
        self.settle()
    }

    fn settle(&self) -> Result<Option<String>, Refused> {
        let seen = match look(&self.folder.tmp, &*self.name) {
            Err(Errno::NOENT) => return Ok(None),
            seen => seen?,
        };
        if seen.stamp.same_bytes(&self.expected) {
            unlink(&self.folder.tmp, &self.name)?;
            return Ok(None);
        }
        let (dir, name) = self.folder.parent(&self.path)?;
        let name = beside(&self.folder, &self.name, &dir, name)?;
        Ok(Some(join(super::super::split(&self.path).0, &name)))
    }
}

impl Drop for Old {
    fn drop(&mut self) {
        if !self.done {
            // What stays in `tmp/` is looked at when the folder is opened.
            self.settle().ok();
        }
    }
}

/// Puts something from `tmp/` beside a name that is taken.
pub(super) fn beside(
    folder: &Folder,
    temp: &str,
    dir: impl AsFd,
    name: &str,
) -> Result<String, Errno> {
    for nth in 1..=NAMES {
        let end = format!(".rescued-{nth}");
        let cut = name.floor_char_boundary(NAME_MAX - end.len());
        let new = format!("{}{end}", &name[..cut]);
        match rename_new(&folder.tmp, temp, dir.as_fd(), &new) {
            Err(Errno::EXIST) => {}
            Ok(()) => return Ok(new),
            Err(errno) => return Err(errno),
        }
    }
    Err(Errno::EXIST)
}

/// Exchanges what is in a place again with what came out of it, until what comes out is `ours`: somebody may have
/// replaced ours by something newer meanwhile.
pub(super) fn back(
    folder: &Folder,
    temp: &str,
    ours: u64,
    dir: impl AsFd,
    name: &str,
) -> Result<(), Refused> {
    for _ in 0..TRIES {
        point("back");
        match exchange(&folder.tmp, temp, dir.as_fd(), name) {
            Ok(true) => {}
            // What took its place is gone already.
            Err(Errno::NOENT) => return give_back(folder, temp, dir, name),
            Ok(false) => return Err(Refused::Unfit),
            Err(errno) => return Err(errno.into()),
        }
        if look(&folder.tmp, temp)?.stamp.inode == ours {
            return Ok(());
        }
    }
    beside(folder, temp, dir, name)?;
    Ok(())
}

/// Gives something from `tmp/` its name back, or one beside when that is taken by now.
pub(super) fn give_back(
    folder: &Folder,
    temp: &str,
    dir: impl AsFd,
    name: &str,
) -> Result<(), Refused> {
    match rename_new(&folder.tmp, temp, dir.as_fd(), name) {
        Err(Errno::EXIST) => {
            beside(folder, temp, dir, name)?;
            Ok(())
        }
        result => Ok(result?),
    }
}
