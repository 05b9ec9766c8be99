//! Marking a folder, and opening it again.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use super::{
    DIR, Folder, FolderError, ID_LEN, MARKER, OWN, PRIVATE, read_small, recover, unlink,
    write_small,
};
use crate::client::local::stamp::look_at;
use crate::types::hex;

/// Marks a folder.
pub(super) fn create(path: &Path) -> Result<String, FolderError> {
    let failed = |error| FolderError::Io(path.to_owned(), error);
    let root = root(path)?;
    let own = enter(&root, OWN).map_err(failed)?;
    if read_small(&own, MARKER).map_err(failed)?.is_some() {
        return Err(FolderError::Taken(path.to_owned()));
    }
    let mut random = [0; ID_LEN / 2];
    getrandom::fill(&mut random).map_err(|error| failed(io::Error::other(error)))?;
    let id = hex(&random);
    write_small(&own, MARKER, &format!("{id}\n")).map_err(failed)?;
    rustix::fs::fsync(&root).map_err(|error| failed(error.into()))?;
    Ok(id)
}

/// Opens a marked folder.
pub(super) fn open(path: &Path, id: &str) -> Result<Folder, FolderError> {
    let failed = |error| FolderError::Io(path.to_owned(), error);
    let root = root(path)?;
    check_marker(path, &root, id)?;
    let own = enter(&root, OWN).map_err(failed)?;
    let tmp = enter(&own, "tmp").map_err(failed)?;
    let shadow = enter(&own, "shadow").map_err(failed)?;
    let recovered = recover::clear(&root, &tmp).map_err(|error| failed(error.into()))?;
    let device = look_at(&root).map_err(|error| failed(error.into()))?.device;
    let has_modes = has_modes(&tmp).map_err(failed)?;
    Ok(Folder {
        path: path.to_owned(),
        root,
        tmp,
        shadow,
        id: id.to_owned(),
        device,
        has_modes,
        plain: AtomicBool::new(false),
        temps: AtomicU64::new(0),
        recovered,
        lock: None,
    })
}

/// The id of a marked folder.
pub(super) fn id_of(path: &Path) -> Result<String, FolderError> {
    marker(path, &root(path)?)
}

/// Whether the marker has this id.
pub(super) fn check_marker(path: &Path, root: &OwnedFd, id: &str) -> Result<(), FolderError> {
    let same = marker(path, root)? == id;
    same.then_some(())
        .ok_or_else(|| FolderError::OtherId(path.to_owned()))
}

/// What the marker says.
fn marker(path: &Path, root: &OwnedFd) -> Result<String, FolderError> {
    let no_marker = || FolderError::NoMarker(path.to_owned());
    let failed = |error| FolderError::Io(path.to_owned(), error);
    let own = match rustix::fs::openat(root, OWN, DIR, Mode::empty()) {
        Ok(own) => own,
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Err(no_marker()),
        Err(error) => return Err(failed(error.into())),
    };
    let found = read_small(&own, MARKER).map_err(failed)?;
    let found = found.ok_or_else(no_marker)?;
    match found.trim() {
        "" => Err(no_marker()),
        id => Ok(id.to_owned()),
    }
}

/// Opens the root, through links that the user has set.
pub(super) fn open_root(path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(rustix::fs::open(path, flags, Mode::empty())?)
}

fn root(path: &Path) -> Result<OwnedFd, FolderError> {
    open_root(path).map_err(|error| {
        let is_missing = matches!(
            error.kind(),
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
        );
        if is_missing {
            FolderError::Missing(path.to_owned())
        } else {
            FolderError::Io(path.to_owned(), error)
        }
    })
}

fn enter(dir: &OwnedFd, name: &str) -> io::Result<OwnedFd> {
    match rustix::fs::mkdirat(dir, name, PRIVATE) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(error) => return Err(error.into()),
    }
    Ok(rustix::fs::openat(dir, name, DIR, Mode::empty())?)
}

/// Tries whether a file can be made one that may be run, and back.
fn has_modes(tmp: impl AsFd) -> io::Result<bool> {
    let name = "modes";
    unlink(tmp.as_fd(), name)?;
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::openat(
        tmp.as_fd(),
        name,
        flags,
        Mode::from_raw_mode(0o600),
    )?);
    let without = look_at(&file)?.executable();
    let may = rustix::fs::fchmod(&file, PRIVATE).is_ok() && look_at(&file)?.executable();
    unlink(tmp, name)?;
    Ok(may && !without)
}
