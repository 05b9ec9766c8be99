//! Brings what the server has into the folder, and never loses an edit that was made here meanwhile.
//!
//! Whatever is replaced or removed is first taken out of its place, in one step with what comes in where the file
//! system can (`renameat2`), and then looked at: if it is not what it should be, it goes back. Other file systems get
//! the same in several steps, between which the place is empty for a moment.

mod batch;
mod item;
mod out;
mod stage;

pub use batch::{Batch, Committed, Placed};
pub use item::{
    make_collection, move_item, read_link, remove_collection, remove_file, set_executable, sync,
};
pub use out::Old;
pub(super) use stage::copy_run;
pub use stage::{Stage, drop_part, parts};

use std::os::fd::AsFd;

use rustix::fs::{AtFlags, Dir, RenameFlags};
use rustix::io::Errno;

use super::stamp::look;

/// Why something was not done; then everything is as it was.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// What is there is not what was expected: it was edited, replaced or removed here. A scan tells.
    #[error("it was changed here meanwhile")]
    Touched,
    /// The name is taken by something that nobody expected.
    #[error("something else has the name")]
    Occupied,
    /// The name is taken on this file system by one that is written with other capital letters.
    #[error("the file system takes it for the name of another one")]
    CaseClash,
    /// The collection above is not there, or is something else.
    #[error("the folder it belongs into is not there")]
    NoParent,
    /// Not empty: things that are ignored or unknown lie in it, some of which are named.
    #[error("there are still things in it: {}", .0.join(", "))]
    NotEmpty(Vec<String>),
    /// The user may not.
    #[error("permission denied")]
    Permission,
    /// The file system or the user's share of it is full.
    #[error("no space left")]
    NoSpace,
    /// Nothing can be written there.
    #[error("the file system is read-only")]
    ReadOnly,
    /// The file system has no room for such a name.
    #[error("the name is too long for the file system")]
    NameTooLong,
    /// The file system does not take such a name or such a kind of file.
    #[error("the file system cannot hold it")]
    Unfit,
    /// Another file system is mounted there.
    #[error("another file system is mounted there")]
    Mounted,
    /// Anything else, as the system says it.
    #[error("{0}")]
    Io(Errno),
}

impl From<Errno> for Refused {
    fn from(errno: Errno) -> Self {
        match errno {
            Errno::EXIST => Self::Occupied,
            Errno::NOENT | Errno::NOTDIR | Errno::LOOP => Self::NoParent,
            Errno::PERM | Errno::ACCESS => Self::Permission,
            Errno::NOSPC | Errno::DQUOT => Self::NoSpace,
            Errno::ROFS => Self::ReadOnly,
            Errno::NAMETOOLONG => Self::NameTooLong,
            Errno::INVAL | Errno::ILSEQ | Errno::OPNOTSUPP | Errno::FBIG => Self::Unfit,
            Errno::XDEV => Self::Mounted,
            errno => Self::Io(errno),
        }
    }
}

/// Renames, and replaces nothing: `EXIST` when the name is taken.
pub(super) fn rename_new(
    from: impl AsFd,
    name: &str,
    to: impl AsFd,
    new: &str,
) -> Result<(), Errno> {
    let (from, to) = (from.as_fd(), to.as_fd());
    let renamed = rename_with(from, name, to, new, RenameFlags::NOREPLACE);
    if !renamed.is_err_and(is_unknown) {
        return renamed;
    }
    // A hard link never replaces either. Collections have none, nor have some file systems: then a look has to do.
    match rustix::fs::linkat(from, name, to, new, AtFlags::empty()) {
        Ok(()) => rustix::fs::unlinkat(from, name, AtFlags::empty()),
        Err(Errno::EXIST) => Err(Errno::EXIST),
        Err(_) => match look(to, new) {
            Ok(_) => Err(Errno::EXIST),
            Err(Errno::NOENT) => rustix::fs::renameat(from, name, to, new),
            Err(errno) => Err(errno),
        },
    }
}

/// Exchanges two; whether the file system can.
fn exchange(from: impl AsFd, name: &str, to: impl AsFd, other: &str) -> Result<bool, Errno> {
    match rename_with(from, name, to, other, RenameFlags::EXCHANGE) {
        Ok(()) => Ok(true),
        Err(errno) if is_unknown(errno) => Ok(false),
        Err(errno) => Err(errno),
    }
}

fn rename_with(
    from: impl AsFd,
    name: &str,
    to: impl AsFd,
    new: &str,
    flags: RenameFlags,
) -> Result<(), Errno> {
    #[cfg(test)]
    if super::tests::hook::is_plain() {
        return Err(Errno::INVAL);
    }
    rustix::fs::renameat_with(from, name, to, new, flags)
}

/// Whether a file system does not know what was asked for.
fn is_unknown(errno: Errno) -> bool {
    matches!(errno, Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP)
}

/// Why a name is taken that should be free.
pub(super) fn occupied(dir: impl AsFd, name: &str) -> Refused {
    let dir = rustix::fs::openat(
        dir,
        ".",
        rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::DIRECTORY | rustix::fs::OFlags::CLOEXEC,
        rustix::fs::Mode::empty(),
    );
    let Ok(names) = dir.and_then(Dir::new) else {
        return Refused::Occupied;
    };
    let mut names = names.filter_map(Result::ok);
    let exact = names.any(|entry| entry.file_name().to_bytes() == name.as_bytes());
    if exact {
        Refused::Occupied
    } else {
        Refused::CaseClash
    }
}

/// Lets a test do something at this point.
fn point(at: &str) {
    #[cfg(test)]
    super::tests::hook::reach(at);
    #[cfg(not(test))]
    let _ = at;
}
