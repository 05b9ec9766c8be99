//! The folder that an export goes to. Each name is opened in the folder above it and no link is
//! followed, so nothing of it can come to lie elsewhere, whatever was there before.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::SystemTime;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, Timespec, Timestamps};
use rustix::io::Errno;

use crate::types::{self, Millis};

/// A file on its way, in the topmost folder; no space is called so.
const PART: &str = ".export.part";
/// Names what could not be exported.
pub(super) const ERRORS: &str = "export-errors.txt";
/// What is exported is for nobody else.
const FILE_MODE: Mode = Mode::from_raw_mode(0o600);
const PROGRAM_MODE: Mode = Mode::from_raw_mode(0o700);
const FOLDER_MODE: Mode = Mode::from_raw_mode(0o700);

/// A folder below the target, or the target itself.
pub(super) struct Folder(OwnedFd);

/// What lies under a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct There {
    /// Its length when it is a file.
    pub(super) file: Option<u64>,
    /// The length of its target when it is a link.
    pub(super) link: Option<u64>,
    pub(super) modified: Millis,
}

/// What a file is besides its name and its bytes.
#[derive(Clone, Copy)]
pub(super) struct Like {
    pub(super) size: i64,
    pub(super) modified: Millis,
    pub(super) mode: types::Mode,
}

impl There {
    /// Whether it looks like a file.
    pub(super) fn is_like(&self, like: Like) -> bool {
        let link = self.link.filter(|_| like.mode.link);
        let length = self.file.or(link);
        length == u64::try_from(like.size).ok() && self.modified == like.modified
    }
}

/// Whether a link so many folders below the folder of its space leads to what is in there, whatever other
/// links of that kind it passes: up first, as far as there are folders, and only down then.
pub(super) fn stays_inside(target: &str, depth: usize) -> bool {
    let mut parts = target.split('/').filter(|part| !matches!(*part, "" | "."));
    let (mut up, mut down) = (0, false);
    let steps = parts.all(|part| {
        let is_up = part == "..";
        up += usize::from(is_up);
        down |= !is_up;
        !(is_up && down)
    });
    steps && up <= depth && !target.starts_with('/')
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
        let kind = FileType::from_raw_mode(stat.st_mode);
        let length = u64::try_from(stat.st_size).unwrap_or_default();
        let nanos = i64::try_from(stat.st_mtime_nsec).unwrap_or_default();
        Ok(Some(There {
            file: (kind == FileType::RegularFile).then_some(length),
            link: (kind == FileType::Symlink).then_some(length),
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
        (modified, executable): (Millis, bool),
    ) -> io::Result<()> {
        let Part(file) = part;
        if executable {
            rustix::fs::fchmod(&file, PROGRAM_MODE)?;
        }
        file.set_modified(SystemTime::from(modified))?;
        rustix::fs::renameat(&top.0, PART, &self.0, name)?;
        Ok(())
    }

    /// Makes a symbolic link of that name in this folder, by way of `top`; a file or link that has it
    /// already goes.
    pub(super) fn link(
        &self,
        top: &Self,
        target: &str,
        name: &str,
        modified: Millis,
    ) -> io::Result<()> {
        top.discard()?;
        rustix::fs::symlinkat(target, &top.0, PART)?;
        let times = times(modified);
        rustix::fs::utimensat(&top.0, PART, &times, AtFlags::SYMLINK_NOFOLLOW)?;
        rustix::fs::renameat(&top.0, PART, &self.0, name)?;
        Ok(())
    }

    /// Gives the folder its time; the last thing that is done to it.
    pub(super) fn finish(&self, modified: Millis) -> io::Result<()> {
        Ok(rustix::fs::futimens(&self.0, &times(modified))?)
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

fn times(modified: Millis) -> Timestamps {
    let time = Timespec {
        tv_sec: modified.secs(),
        tv_nsec: (modified.0.rem_euclid(1000) * 1_000_000),
    };
    Timestamps {
        last_access: time,
        last_modification: time,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_that_might_lead_out_is_told() {
        for (target, depth) in [
            ("a", 0),
            ("./a//b/", 0),
            ("..", 1),
            ("../../b", 2),
            (".././a", 1),
            ("...", 0),
        ] {
            assert!(stays_inside(target, depth), "{target}");
        }
        for (target, depth) in [
            ("/", 9),
            ("/a", 9),
            ("..", 0),
            ("../..", 1),
            ("../a/..", 9),
            ("a/../b", 9),
            ("a/../../../b", 9),
        ] {
            assert!(!stays_inside(target, depth), "{target}");
        }
    }
}
