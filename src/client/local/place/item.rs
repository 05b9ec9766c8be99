//! Collections, moves, removal and permissions.

use std::fs::File;
use std::os::fd::AsFd;
use std::sync::Arc;

use rustix::fs::{AtFlags, Dir, Mode, OFlags};
use rustix::io::Errno;

use super::batch::mode;
use super::out::give_back;
use super::{Old, Refused, occupied, point, rename_new};
use crate::client::item::Kind;
use crate::client::local::folder::{Folder, out_name};
use crate::client::local::stamp::{Stamp, look, look_at};

/// As many names are given of what keeps a collection.
const NAMED: usize = 16;

/// Makes a collection.
pub fn make_collection(folder: &Folder, path: &str) -> Result<Stamp, Refused> {
    let (dir, name) = folder.parent(path)?;
    match rustix::fs::mkdirat(&dir, name, Mode::from_raw_mode(0o777)) {
        Ok(()) => {}
        Err(Errno::EXIST) => return Err(occupied(&dir, name)),
        Err(errno) => return Err(errno.into()),
    }
    let seen = look(&dir, name)?;
    let is_it = seen.kind == Some(Kind::Collection);
    is_it.then_some(seen.stamp).ok_or(Refused::Touched)
}

/// Moves an item, with everything in it, to a place that nothing has. What it is must not have been exchanged; that
/// its bytes were edited does not matter. Gives the stamp for the journal: the expected one when the bytes are not
/// those that it stood for, so that a scan finds them.
pub fn move_item(
    folder: &Folder,
    from: &str,
    to: &str,
    kind: Kind,
    expected: &Stamp,
) -> Result<Stamp, Refused> {
    let is_it = |seen: &super::super::stamp::Seen| {
        seen.kind == Some(kind) && seen.stamp.inode == expected.inode
    };
    let (from_dir, name) = folder.parent(from).map_err(gone)?;
    let (to_dir, new) = folder.parent(to)?;
    match look(&from_dir, name) {
        Ok(seen) if is_it(&seen) => {}
        Ok(_) | Err(Errno::NOENT) => return Err(Refused::Touched),
        Err(errno) => return Err(errno.into()),
    }
    point("move");
    match rename_new(&from_dir, name, &to_dir, new) {
        Ok(()) => {}
        Err(Errno::EXIST) => take_case(&from_dir, name, &to_dir, new, expected)?,
        Err(Errno::NOENT) => return Err(Refused::Touched),
        Err(errno) => return Err(errno.into()),
    }
    let seen = look(&to_dir, new)?;
    if !is_it(&seen) {
        // Another one has been moved; if its name is taken by now it stays, and a scan finds it.
        rename_new(&to_dir, new, &from_dir, name).ok();
        return Err(Refused::Touched);
    }
    let same = kind == Kind::Collection || seen.stamp.same_bytes(expected);
    Ok(if same { seen.stamp } else { *expected })
}

/// Gives an item a name that is taken: by itself, where the file system knows no case and only that changes.
fn take_case(
    from: impl AsFd,
    name: &str,
    to: impl AsFd,
    new: &str,
    expected: &Stamp,
) -> Result<(), Refused> {
    let why = occupied(to.as_fd(), new);
    let is_itself = look(to.as_fd(), new)?.stamp.inode == expected.inode;
    if why != Refused::CaseClash || !is_itself {
        return Err(why);
    }
    Ok(rustix::fs::renameat(from, name, to, new)?)
}

/// Takes a file or link away; what it was is removed when it is dropped.
pub fn remove_file(folder: &Arc<Folder>, path: &str, expected: &Stamp) -> Result<Old, Refused> {
    let (dir, name) = folder.parent(path).map_err(gone)?;
    let out = out_name(&folder.temp("r"), 0, expected);
    take_out(folder, &dir, name, &out, expected)?;
    Ok(Old::new(folder, out, path.to_owned(), *expected))
}

/// Moves a file or link into `tmp/`, and back when it is not the expected one.
pub(super) fn take_out(
    folder: &Folder,
    dir: impl AsFd,
    name: &str,
    out: &str,
    expected: &Stamp,
) -> Result<(), Refused> {
    let is_it = |seen: &super::super::stamp::Seen| {
        matches!(seen.kind, Some(Kind::File | Kind::Link)) && seen.stamp.same_bytes(expected)
    };
    match look(dir.as_fd(), name) {
        Ok(seen) if is_it(&seen) => {}
        Ok(_) | Err(Errno::NOENT) => return Err(Refused::Touched),
        Err(errno) => return Err(errno.into()),
    }
    point("out");
    match rename_new(dir.as_fd(), name, &folder.tmp, out) {
        Ok(()) => {}
        Err(Errno::NOENT) => return Err(Refused::Touched),
        Err(errno) => return Err(errno.into()),
    }
    if is_it(&look(&folder.tmp, out)?) {
        return Ok(());
    }
    give_back(folder, out, dir, name)?;
    Err(Refused::Touched)
}

/// Removes a collection in which nothing is any more. Whatever is still in it keeps it.
pub fn remove_collection(folder: &Folder, path: &str, expected: &Stamp) -> Result<(), Refused> {
    let (dir, name) = folder.parent(path).map_err(gone)?;
    match look(&dir, name) {
        Ok(seen) if seen.kind == Some(Kind::Collection) && seen.stamp.inode == expected.inode => {}
        Ok(_) | Err(Errno::NOENT) => return Err(Refused::Touched),
        Err(errno) => return Err(errno.into()),
    }
    match rustix::fs::unlinkat(&dir, name, AtFlags::REMOVEDIR) {
        Ok(()) => Ok(()),
        Err(Errno::NOTEMPTY | Errno::EXIST) => Err(Refused::NotEmpty(names(folder, path))),
        Err(Errno::NOENT | Errno::NOTDIR) => Err(Refused::Touched),
        Err(errno) => Err(errno.into()),
    }
}

fn names(folder: &Folder, path: &str) -> Vec<String> {
    let Ok(entries) = folder.open_dir(path).and_then(Dir::new) else {
        return Vec::new();
    };
    let names = entries
        .filter_map(Result::ok)
        .map(|entry| entry.file_name().to_string_lossy().into_owned());
    names
        .filter(|name| !matches!(name.as_str(), "." | ".."))
        .take(NAMED)
        .collect()
}

/// Lets a file be run by those who may read it, or by nobody. Gives the stamp for the journal, as [`move_item`] does.
pub fn set_executable(
    folder: &Folder,
    path: &str,
    expected: &Stamp,
    executable: bool,
) -> Result<Stamp, Refused> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK;
    let file = match folder.open_at(path, flags) {
        Ok(file) => File::from(file),
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::NXIO) => {
            return Err(Refused::Touched);
        }
        Err(errno) => return Err(errno.into()),
    };
    let seen = look_at(&file)?;
    if seen.kind != Some(Kind::File) || seen.stamp.inode != expected.inode {
        return Err(Refused::Touched);
    }
    rustix::fs::fchmod(&file, with_executable(seen.mode, executable))?;
    let now = look_at(&file)?.stamp;
    Ok(if now.same_bytes(expected) {
        now
    } else {
        *expected
    })
}

/// Permissions with the right to run where there is that to read, or without.
pub(super) fn with_executable(old: u32, executable: bool) -> Mode {
    let run = if executable { (old & 0o444) >> 2 } else { 0 };
    mode(old & 0o666 | run)
}

/// The target of a link that has this stamp.
pub fn read_link(folder: &Folder, path: &str, expected: &Stamp) -> Result<String, Refused> {
    let (dir, name) = folder.parent(path).map_err(gone)?;
    let target = match rustix::fs::readlinkat(&dir, name, Vec::new()) {
        Ok(target) => target,
        Err(Errno::NOENT | Errno::INVAL) => return Err(Refused::Touched),
        Err(errno) => return Err(errno.into()),
    };
    if !look(&dir, name)?.stamp.same_bytes(expected) {
        return Err(Refused::Touched);
    }
    target.into_string().map_err(|_| Refused::Unfit)
}

/// What is to be changed is not where it was.
fn gone(errno: Errno) -> Refused {
    let refused = Refused::from(errno);
    if refused == Refused::NoParent {
        Refused::Touched
    } else {
        refused
    }
}

/// Returns once everything that was done before is on the disk: moves and removals too, which the journal must not
/// know earlier.
pub fn sync(folder: &Folder) -> Result<(), Refused> {
    Ok(rustix::fs::syncfs(folder.root())?)
}
