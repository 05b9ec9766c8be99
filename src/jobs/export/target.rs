//! The folder that an export goes to. Each name is opened in the folder above it and no link is
//! followed, so nothing of it can come to lie elsewhere, whatever was there before.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::SystemTime;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, Timespec, Timestamps};
use rustix::io::Errno;

use crate::types::Millis;

/// A file on its way, in the topmost folder; no space is called so.
const PART: &str = ".export.part";
/// Names what could not be exported.
pub(super) const ERRORS: &str = "export-errors.txt";
/// What is exported is for nobody else.
const FILE_MODE: Mode = Mode::from_raw_mode(0o600);
const FOLDER_MODE: Mode = Mode::from_raw_mode(0o700);

/// A folder below the target, or the target itself.
pub(super) struct Folder(OwnedFd);

/// What lies under a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct There {
    /// Its length when it is a file.
    pub(super) file: Option<u64>,
    pub(super) modified: Millis,
}

/// A file on its way.
pub(super) struct Part(File);

impl Part {
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all(bytes)
    }
}

impl Folder {
    /// Opens the topmost folder, which is made when it is missing; `None` when there is something in it
    /// and that is not expected.
    pub(super) fn top(path: &Path, may_hold: bool) -> io::Result<Option<Self>> {
        fs::create_dir_all(path)?;
        if !may_hold && fs::read_dir(path)?.next().is_some() {
            return Ok(None);
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = rustix::fs::open(path, flags, Mode::empty())?;
        Ok(Some(Self(folder)))
    }

    /// The folder of that name in this one, which is made when it is missing.
    pub(super) fn enter(&self, name: &str) -> io::Result<Self> {
        match rustix::fs::mkdirat(&self.0, name, FOLDER_MODE) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(error.into()),
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let folder = rustix::fs::openat(&self.0, name, flags, Mode::empty())?;
        Ok(Self(folder))
    }

    /// What lies under a name, without following a link.
    pub(super) fn look(&self, name: &str) -> io::Result<Option<There>> {
        let stat = match rustix::fs::statat(&self.0, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => stat,
            Err(Errno::NOENT) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let is_file = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
        let nanos = i64::try_from(stat.st_mtime_nsec).unwrap_or_default();
        Ok(Some(There {
            file: is_file.then(|| u64::try_from(stat.st_size).unwrap_or_default()),
            modified: Millis(stat.st_mtime.saturating_mul(1000) + nanos / 1_000_000),
        }))
    }

    /// Begins a file; to be called on the topmost folder.
    pub(super) fn begin(&self) -> io::Result<Part> {
        self.discard()?;
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&self.0, PART, flags, FILE_MODE)?;
        Ok(Part(file.into()))
    }

    /// Leaves nothing of a file that was begun; likewise.
    pub(super) fn discard(&self) -> io::Result<()> {
        self.forget(PART)
    }

    /// Removes a file.
    pub(super) fn forget(&self, name: &str) -> io::Result<()> {
        match rustix::fs::unlinkat(&self.0, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Gives a file that was begun in `top` its time, and its name in this folder; a file or link that
    /// has it already goes.
    pub(super) fn place(
        &self,
        top: &Self,
        part: Part,
        name: &str,
        modified: Millis,
    ) -> io::Result<()> {
        let Part(file) = part;
        file.set_modified(SystemTime::from(modified))?;
        rustix::fs::renameat(&top.0, PART, &self.0, name)?;
        Ok(())
    }

    /// Gives the folder its time; the last thing that is done to it.
    pub(super) fn finish(&self, modified: Millis) -> io::Result<()> {
        let time = Timespec {
            tv_sec: modified.secs(),
            tv_nsec: (modified.0.rem_euclid(1000) * 1_000_000),
        };
        let times = Timestamps {
            last_access: time,
            last_modification: time,
        };
        Ok(rustix::fs::futimens(&self.0, &times)?)
    }

    /// The list of what could not be exported, begun anew.
    pub(super) fn errors(&self) -> io::Result<File> {
        self.forget(ERRORS)?;
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(rustix::fs::openat(&self.0, ERRORS, flags, FILE_MODE)?.into())
    }

    /// Returns once everything is on the disk.
    pub(super) fn sync(&self) -> io::Result<()> {
        Ok(rustix::fs::syncfs(&self.0)?)
    }
}
