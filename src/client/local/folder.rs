//! The opened root, and how everything below it is opened: beneath it, whatever somebody does to it meanwhile.

mod opening;
mod recover;

pub(super) use recover::{PART, out_name};

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use rustix::fs::{AtFlags, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use super::split;
use super::stamp::{Seen, look, look_at};
use crate::client::config::Lock;
use crate::client::item::Kind;

/// The collection in the root that is ours and never synced.
pub const OWN: &str = ".sync-client";
/// Holds the id of the folder.
const MARKER: &str = "folder";
/// 16 random bytes in hexadecimal digits.
const ID_LEN: usize = 32;
const PRIVATE: Mode = Mode::from_raw_mode(0o700);
const DIR: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

/// Why the folder cannot be used. Nothing may be deleted anywhere because of it.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// There is none at the path, or another than the one that was opened.
    #[error("the folder {0} is not there; is it mounted?")]
    Missing(PathBuf),
    /// The marker is gone.
    #[error("the folder {0} has lost `.sync-client/folder`: it was emptied or exchanged")]
    NoMarker(PathBuf),
    /// The marker is that of another folder.
    #[error("the folder {0} is another one: its `.sync-client/folder` has another id")]
    OtherId(PathBuf),
    /// A marker is there already.
    #[error("the folder {0} is synced already; remove its `.sync-client` to begin anew")]
    Taken(PathBuf),
    /// The file system refuses.
    #[error("the folder {0} cannot be opened: {1}")]
    Io(PathBuf, #[source] io::Error),
}

/// The opened root of what is synced.
pub struct Folder {
    path: PathBuf,
    root: OwnedFd,
    pub(super) tmp: OwnedFd,
    pub(super) shadow: OwnedFd,
    id: String,
    pub(super) device: (u32, u32),
    has_modes: bool,
    /// Whether the kernel knows no `openat2`.
    plain: AtomicBool,
    temps: AtomicU64,
    recovered: Vec<String>,
    /// Held until nothing is done here any more.
    lock: Option<Arc<Lock>>,
}

impl Folder {
    /// Marks a folder that exists as one that is synced, and gives its id.
    pub fn create(path: &Path) -> Result<String, FolderError> {
        opening::create(path)
    }

    /// The id that a folder was marked with.
    pub fn id_of(path: &Path) -> Result<String, FolderError> {
        opening::id_of(path)
    }

    /// Opens a folder that has been marked with this id, and clears what was under way when the last process died.
    pub fn open(path: &Path, id: &str) -> Result<Self, FolderError> {
        opening::open(path, id)
    }

    /// Keeps a lock for as long as anything is done here, also by a thread that nobody waits for.
    pub fn hold(&mut self, lock: Arc<Lock>) {
        self.lock = Some(lock);
    }

    /// Whether it is still the same folder, with its marker, at its path.
    pub fn check(&self) -> Result<(), FolderError> {
        let missing = || FolderError::Missing(self.path.clone());
        let there = look(rustix::fs::CWD, &self.path).map_err(|_| missing())?;
        // The path may lead to the folder through a link, which is the user's affair.
        let there = match there.kind {
            Some(Kind::Link) => opening::open_root(&self.path)
                .and_then(|root| look_at(root).map_err(Into::into))
                .map_err(|_| missing())?,
            _ => there,
        };
        let here = look_at(&self.root).map_err(|_| missing())?;
        if (there.stamp.inode, there.device) != (here.stamp.inode, here.device) {
            return Err(missing());
        }
        opening::check_marker(&self.path, &self.root, &self.id)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Local edits that were in our hands when the last process died, and lie in the root now by these names.
    pub fn recovered(&self) -> &[String] {
        &self.recovered
    }

    /// Whether the file system keeps who may run a file.
    pub fn has_modes(&self) -> bool {
        self.has_modes
    }

    /// The root itself.
    pub(super) fn root(&self) -> &OwnedFd {
        &self.root
    }

    /// Opens what is at a path without ever leaving the folder, its file system, or following a link.
    pub(super) fn open_at(&self, path: &str, flags: OFlags) -> Result<OwnedFd, Errno> {
        if is_own(path) {
            return Err(Errno::PERM);
        }
        let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let path = if path.is_empty() { "." } else { path };
        if !self.plain.load(Ordering::Relaxed) {
            let resolve = ResolveFlags::BENEATH
                | ResolveFlags::NO_SYMLINKS
                | ResolveFlags::NO_MAGICLINKS
                | ResolveFlags::NO_XDEV;
            match rustix::fs::openat2(&self.root, path, flags, Mode::empty(), resolve) {
                // Some sandboxes answer PERM to calls that they do not know.
                Err(Errno::NOSYS | Errno::PERM) => {}
                result => return result,
            }
        }
        let opened = self.walk(path, flags)?;
        self.plain.store(true, Ordering::Relaxed);
        Ok(opened)
    }

    /// The same name by name, for kernels before 5.6.
    pub(super) fn walk(&self, path: &str, flags: OFlags) -> Result<OwnedFd, Errno> {
        let mut at = rustix::io::fcntl_dupfd_cloexec(&self.root, 0)?;
        let (above, last) = split(path);
        for name in above.split('/').filter(|name| !name.is_empty()) {
            at = rustix::fs::openat(&at, inner(name)?, DIR | OFlags::PATH, Mode::empty())?;
            self.same_device(&at)?;
        }
        let opened = rustix::fs::openat(&at, inner(last)?, flags, Mode::empty())?;
        self.same_device(&opened)?;
        Ok(opened)
    }

    fn same_device(&self, file: &OwnedFd) -> Result<(), Errno> {
        let seen = look_at(file)?;
        // Layered file systems give files other devices than collections.
        let same = seen.device == self.device || seen.kind == Some(Kind::File);
        same.then_some(()).ok_or(Errno::XDEV)
    }

    /// Opens a collection to read its names, or to sync it.
    pub(super) fn open_dir(&self, path: &str) -> Result<OwnedFd, Errno> {
        self.open_at(path, OFlags::RDONLY | OFlags::DIRECTORY)
    }

    /// Opens a collection to reach into it only.
    pub(super) fn reach(&self, path: &str) -> Result<OwnedFd, Errno> {
        self.open_at(path, OFlags::PATH | OFlags::DIRECTORY)
    }

    /// The collection that a path lies in, opened, and the name in it.
    pub(super) fn parent<'a>(&self, path: &'a str) -> Result<(OwnedFd, &'a str), Errno> {
        let (dir, name) = split(path);
        if matches!(name, "" | "." | "..") || is_own(path) {
            return Err(Errno::PERM);
        }
        Ok((self.reach(dir)?, name))
    }

    /// Looks at a path.
    pub(super) fn look(&self, path: &str) -> Result<Seen, Errno> {
        if path.is_empty() {
            return look_at(&self.root);
        }
        let (dir, name) = self.parent(path)?;
        look(&dir, name)
    }

    /// A name in `tmp/` that nothing has.
    pub(super) fn temp(&self, prefix: &str) -> String {
        let nth = self.temps.fetch_add(1, Ordering::Relaxed);
        format!("{prefix}-{nth:x}")
    }
}

/// Whether a path lies in what is ours. On file systems that know no case, other spellings lead there too.
pub(super) fn is_own(path: &str) -> bool {
    let first = path.split('/').find(|name| !matches!(*name, "" | "."));
    first.is_some_and(|name| name.eq_ignore_ascii_case(OWN))
}

/// A name that leads down.
fn inner(name: &str) -> Result<&str, Errno> {
    (name != "..").then_some(name).ok_or(Errno::XDEV)
}

/// Reads a small file of ours; none when it is not there.
fn read_small(dir: impl AsFd, name: &str) -> io::Result<Option<String>> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = match rustix::fs::openat(dir, name, flags, Mode::empty()) {
        Ok(file) => File::from(file),
        Err(Errno::NOENT) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let mut text = String::new();
    file.take(4096).read_to_string(&mut text)?;
    Ok(Some(text))
}

/// Writes a small file of ours durably.
fn write_small(dir: impl AsFd, name: &str, text: &str) -> io::Result<()> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mode = Mode::from_raw_mode(0o600);
    let mut file = File::from(rustix::fs::openat(dir.as_fd(), name, flags, mode)?);
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    Ok(rustix::fs::fsync(dir)?)
}

/// Removes a file of ours; fine when it is not there.
pub(super) fn unlink(dir: impl AsFd, name: &str) -> Result<(), Errno> {
    match rustix::fs::unlinkat(dir, name, AtFlags::empty()) {
        Err(Errno::NOENT) => Ok(()),
        result => result,
    }
}
