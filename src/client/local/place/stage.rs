//! A file or link that is made in `tmp/`, to be put in its place when it is whole.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use rustix::fs::{AtFlags, Dir, Mode, OFlags, Timespec, Timestamps};
use rustix::io::Errno;

use super::Refused;
use crate::client::item::ItemId;
use crate::client::local::folder::{Folder, PART, unlink};
use crate::client::local::stamp::{Stamp, look, look_at};
use crate::types::Millis;

/// A piece of what the kernel does not copy by itself, in bytes.
const PIECE: usize = 256 * 1024;
/// As much as the kernel copies at once, in bytes; below what one call may return.
const RUN: u64 = 1 << 30;

/// A file or link on its way; gone when it is dropped.
pub struct Stage {
    pub(super) folder: Arc<Folder>,
    /// Its name in `tmp/`; empty once it is in its place.
    pub(super) name: String,
    /// None for a link.
    pub(super) file: Option<File>,
    pub(super) executable: bool,
    /// What is there so far is kept under this name when this is dropped.
    kept: Option<String>,
}

impl Stage {
    /// Begins a file. Its permissions are those of any new file of the user.
    pub fn file(folder: &Arc<Folder>, executable: bool) -> Result<Self, Refused> {
        let name = folder.temp("new");
        let flags =
            OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mode = Mode::from_raw_mode(if executable { 0o755 } else { 0o644 });
        let file = rustix::fs::openat(&folder.tmp, &*name, flags, mode)?;
        Ok(Self {
            folder: Arc::clone(folder),
            name,
            file: Some(file.into()),
            executable,
            kept: None,
        })
    }

    /// Begins a file, or goes on with it: what is there of a version stays when this is dropped or the process dies.
    /// Gives how many bytes are there.
    pub fn part(
        folder: &Arc<Folder>,
        item: ItemId,
        etag: &str,
        executable: bool,
    ) -> Result<(Self, u64), Refused> {
        let name = part_name(item, etag);
        let flags =
            OFlags::RDWR | OFlags::APPEND | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mode = Mode::from_raw_mode(if executable { 0o755 } else { 0o644 });
        let file = File::from(rustix::fs::openat(&folder.tmp, &*name, flags, mode)?);
        let there = file.metadata().map_err(|error| from_io(&error))?.len();
        let stage = Self {
            folder: Arc::clone(folder),
            kept: Some(name.clone()),
            name,
            file: Some(file),
            executable,
        };
        Ok((stage, there))
    }

    /// Begins anew: what is there is not what it should be.
    pub fn spoil(&mut self) -> Result<(), Refused> {
        self.kept = None;
        match &self.file {
            Some(file) => file.set_len(0).map_err(|error| from_io(&error)),
            None => Ok(()),
        }
    }

    /// Makes a link. It is only text: a target may be absolute or lead out of the folder, because nothing here ever
    /// follows it, and because another machine of the user's may have something there.
    pub fn link(folder: &Arc<Folder>, target: &str) -> Result<Self, Refused> {
        let name = folder.temp("new");
        rustix::fs::symlinkat(target, &folder.tmp, &*name)?;
        Ok(Self {
            folder: Arc::clone(folder),
            name,
            file: None,
            executable: false,
            kept: None,
        })
    }

    /// Appends bytes.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), Refused> {
        let file = self.file.as_mut().ok_or(Refused::Unfit)?;
        file.write_all(bytes).map_err(|error| from_io(&error))
    }

    /// Appends a run of bytes of another file; the file system shares them where it can.
    pub fn copy(&mut self, from: &File, offset: u64, len: u64) -> Result<(), Refused> {
        let file = self.file.as_mut().ok_or(Refused::Unfit)?;
        copy_run(file, from, offset, len).map_err(|error| from_io(&error))
    }

    /// The file itself, to read again what was written.
    pub fn written(&self) -> Option<&File> {
        self.file.as_ref()
    }

    /// Gives it its time; the last thing before it is put in its place.
    pub fn set_time(&self, mtime: Millis) -> Result<(), Refused> {
        let time = Timespec {
            tv_sec: mtime.secs(),
            tv_nsec: mtime.0.rem_euclid(1000) * 1_000_000,
        };
        let times = Timestamps {
            last_access: time,
            last_modification: time,
        };
        match &self.file {
            Some(file) => rustix::fs::futimens(file, &times)?,
            None => rustix::fs::utimensat(
                &self.folder.tmp,
                &*self.name,
                &times,
                AtFlags::SYMLINK_NOFOLLOW,
            )?,
        }
        Ok(())
    }

    /// Its stamp as it is now.
    pub(super) fn stamp(&self) -> Result<Stamp, Errno> {
        let seen = match &self.file {
            Some(file) => look_at(file)?,
            None => look(&self.folder.tmp, &*self.name)?,
        };
        Ok(seen.stamp)
    }

    /// Gives it another name in `tmp/`.
    pub(super) fn rename(&mut self, name: String) -> Result<(), Errno> {
        let tmp = &self.folder.tmp;
        rustix::fs::renameat(tmp, &*self.name, tmp, &*name)?;
        self.name = name;
        Ok(())
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if self.name.is_empty() {
            return;
        }
        // What stays is cleared when the folder is opened.
        match self.kept.take() {
            Some(part) if part == self.name => {}
            Some(part) => drop(self.rename(part)),
            None => drop(unlink(&self.folder.tmp, &self.name)),
        }
    }
}

/// Versions that have come in part.
pub fn parts(folder: &Folder) -> Result<Vec<(ItemId, String)>, Errno> {
    let mut parts = Vec::new();
    for entry in Dir::read_from(&folder.tmp)? {
        let entry = entry?;
        parts.extend(entry.file_name().to_str().ok().and_then(part_of));
    }
    Ok(parts)
}

/// Keeps nothing of what has come of a version.
pub fn drop_part(folder: &Folder, item: ItemId, etag: &str) -> Result<(), Errno> {
    unlink(&folder.tmp, &part_name(item, etag))
}

fn part_of(name: &str) -> Option<(ItemId, String)> {
    let (item, etag) = name
        .strip_prefix(PART)?
        .strip_prefix('-')?
        .split_once('-')?;
    Some((ItemId(item.parse().ok()?), etag.to_owned()))
}

/// The name in `tmp/` of a version that has come in part.
fn part_name(item: ItemId, etag: &str) -> String {
    format!("{PART}-{}-{etag}", item.0)
}

/// Appends a run of bytes of one file to another.
pub(in crate::client::local) fn copy_run(
    to: &mut File,
    from: &File,
    offset: u64,
    len: u64,
) -> io::Result<()> {
    let (mut at, end) = (offset, offset.saturating_add(len));
    while at < end {
        let run = usize::try_from((end - at).min(RUN)).unwrap_or(PIECE);
        let mut begin = at;
        match rustix::fs::copy_file_range(from, Some(&mut begin), to.as_fd(), None, run) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(copied) => at += copied as u64,
            Err(Errno::INTR) => {}
            // Another file system, or one that cannot: byte by byte then.
            Err(
                Errno::XDEV
                | Errno::INVAL
                | Errno::OPNOTSUPP
                | Errno::NOSYS
                | Errno::IO
                | Errno::PERM
                | Errno::BADF,
            ) => {
                return copy_bytes(to, from, at, end);
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

fn copy_bytes(to: &mut File, from: &File, mut at: u64, end: u64) -> io::Result<()> {
    let mut piece = vec![0; PIECE];
    while at < end {
        let want = usize::try_from(end - at).unwrap_or(PIECE).min(PIECE);
        let read = from.read_at(&mut piece[..want], at)?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        to.write_all(&piece[..read])?;
        at += read as u64;
    }
    Ok(())
}

/// What the system said of a write.
pub(super) fn from_io(error: &io::Error) -> Refused {
    Errno::from_io_error(error).map_or(Refused::Io(Errno::IO), Refused::from)
}
