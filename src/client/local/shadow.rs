//! Old bytes of files, kept so that the server can be sent what changed in them only.
//!
//! Where the file system can share blocks a shadow costs nothing until the file changes, so there is one of every
//! file. Elsewhere they are copies within a budget. A shadow is a file `XX/ID-ETAG-SIZE-KIND` in `.sync-client/shadow`,
//! so nothing else needs to be kept, and a crash leaves at most one too many. The server's root of the whole proves
//! every patch, so a shadow that is wrong costs bytes and never content.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;

use rustix::fs::{AtFlags, Dir, Mode, OFlags, Timespec, Timestamps};
use rustix::io::Errno;

use super::folder::{Folder, unlink};
use super::place::{copy_run, rename_new};
use super::read::Opened;
use super::stamp::{look, look_at};
use crate::client::item::ItemId;

/// Copies take at most this part of the file system.
const BUDGET_SHARE: u64 = 20;
/// One copy takes at most this part of the budget.
const ONE_SHARE: u64 = 4;
/// Making room goes down to this many tenths of the budget, so that it is not done for every file.
const ROOM_TENTHS: u64 = 9;
/// Longest etag that becomes part of a name.
const ETAG_MAX: usize = 64;
/// Directories that shadows are spread over, so that none has too many names.
const SPREAD: i64 = 256;

/// What is known of the shadows of a folder, which is given to each step.
#[derive(Debug)]
pub struct Shadows {
    /// Bytes that copies may take together.
    budget: u64,
    /// Bytes of all copies; counted when it is first needed.
    copied: Option<u64>,
    /// Whether the file system shares blocks; none until it was tried.
    shares: Option<bool>,
}

/// What the name of a shadow says.
struct Named {
    dir: String,
    name: String,
    item: ItemId,
    etag: String,
    size: u64,
    is_copy: bool,
}

impl Shadows {
    /// The shadows, with at most so many bytes of copies, and never more than a twentieth of the file system.
    pub fn new(folder: &Folder, most: u64) -> Self {
        let size = rustix::fs::fstatvfs(&folder.shadow)
            .map_or(0, |fs| fs.f_blocks.saturating_mul(fs.f_frsize));
        Self {
            budget: most.min(size / BUDGET_SHARE),
            copied: None,
            shares: None,
        }
    }

    /// Keeps the bytes of a file as they are in a version, instead of older ones; whether they are kept. What cannot be
    /// kept is no error.
    pub fn keep(&mut self, folder: &Folder, item: ItemId, etag: &str, opened: &Opened) -> bool {
        if !is_plain(etag) || self.forget(folder, item).is_err() {
            return false;
        }
        let temp = folder.temp("shadow");
        let kept = self.copy(folder, item, etag, opened, &temp);
        if !matches!(kept, Ok(true)) {
            unlink(&folder.tmp, &temp).ok();
        }
        kept.unwrap_or(false)
    }

    fn copy(
        &mut self,
        folder: &Folder,
        item: ItemId,
        etag: &str,
        opened: &Opened,
        temp: &str,
    ) -> io::Result<bool> {
        let size = opened.size();
        let fits = size <= self.budget / ONE_SHARE;
        if self.shares == Some(false) && !fits {
            return Ok(false);
        }
        let flags =
            OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&folder.tmp, temp, flags, Mode::from_raw_mode(0o600))?;
        let mut file = File::from(file);
        let shared =
            self.shares != Some(false) && rustix::fs::ioctl_ficlone(&file, opened.file()).is_ok();
        self.shares = Some(shared);
        if !shared {
            if !fits {
                return Ok(false);
            }
            self.make_room(folder, size)?;
            copy_run(&mut file, opened.file(), 0, size)?;
        }
        if opened.check().is_err() || look_at(&file)?.stamp.size != size {
            return Ok(false);
        }
        let dir = dir(folder, item, true)?;
        let kind = if shared { 'r' } else { 'c' };
        let name = format!("{}-{etag}-{size:x}-{kind}", item.0);
        rename_new(&folder.tmp, temp, &dir, &name)?;
        if !shared {
            self.copied = self.copied.map(|copied| copied + size);
        }
        Ok(true)
    }

    /// The bytes of a file as they were in a version, when they are kept.
    pub fn open(&self, folder: &Folder, item: ItemId, etag: &str) -> Option<File> {
        let dir = dir(folder, item, false).ok()?;
        let named = named(folder, item).ok()?;
        let version = format!("{}-{etag}-", item.0);
        let named = named
            .into_iter()
            .find(|named| named.name.starts_with(&version))?;
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&dir, &*named.name, flags, Mode::empty()).ok()?;
        if look_at(&file).ok()?.stamp.size != named.size {
            unlink(&dir, &named.name).ok();
            return None;
        }
        // What was used last goes last.
        let times = Timestamps {
            last_access: NOW,
            last_modification: NOW,
        };
        rustix::fs::futimens(&file, &times).ok();
        Some(File::from(file))
    }

    /// Keeps nothing of a file any more.
    pub fn forget(&mut self, folder: &Folder, item: ItemId) -> io::Result<()> {
        self.forget_those(folder, item, |_| true)
    }

    /// Keeps nothing of a version of a file any more.
    pub fn forget_version(&mut self, folder: &Folder, item: ItemId, etag: &str) -> io::Result<()> {
        self.forget_those(folder, item, |named| named.etag == etag)
    }

    fn forget_those(
        &mut self,
        folder: &Folder,
        item: ItemId,
        which: impl Fn(&Named) -> bool,
    ) -> io::Result<()> {
        for named in named(folder, item)?.into_iter().filter(which) {
            let dir = dir(folder, item, false)?;
            unlink(&dir, &named.name)?;
            if named.is_copy {
                self.copied = self.copied.map(|copied| copied.saturating_sub(named.size));
            }
        }
        Ok(())
    }

    /// Keeps nothing of any file any more: there is no room.
    pub fn clear(&mut self, folder: &Folder) -> io::Result<()> {
        for named in all(folder)? {
            let path = format!("{}/{}", named.dir, named.name);
            unlink(&folder.shadow, &path)?;
        }
        self.copied = Some(0);
        Ok(())
    }

    /// Items and versions of which something is kept.
    pub fn kept(folder: &Folder) -> io::Result<Vec<(ItemId, String)>> {
        let all = all(folder)?.into_iter();
        Ok(all.map(|named| (named.item, named.etag)).collect())
    }

    /// Removes the copies that were used longest ago until one more has room.
    fn make_room(&mut self, folder: &Folder, size: u64) -> io::Result<()> {
        if self.copied.is_none() {
            let copies = all(folder)?.into_iter().filter(|named| named.is_copy);
            self.copied = Some(copies.map(|named| named.size).sum());
        }
        let copied = self.copied.unwrap_or_default();
        if copied + size <= self.budget {
            return Ok(());
        }
        let mut by_use: Vec<(i64, Named)> = Vec::new();
        for named in all(folder)?.into_iter().filter(|named| named.is_copy) {
            let used = look(&folder.shadow, format!("{}/{}", named.dir, named.name))?;
            by_use.push((used.stamp.mtime_ns, named));
        }
        by_use.sort_unstable_by_key(|(used, _)| *used);
        let mut left: u64 = by_use.iter().map(|(_, named)| named.size).sum();
        let room = self.budget / 10 * ROOM_TENTHS;
        for (_, named) in by_use {
            if left + size <= room {
                break;
            }
            rustix::fs::unlinkat(
                &folder.shadow,
                format!("{}/{}", named.dir, named.name),
                AtFlags::empty(),
            )?;
            left -= named.size;
        }
        self.copied = Some(left);
        Ok(())
    }
}

const NOW: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: rustix::fs::UTIME_NOW,
};

/// The directory for the shadows of an item.
fn dir(folder: &Folder, item: ItemId, make: bool) -> Result<OwnedFd, Errno> {
    let name = dir_name(item);
    if make {
        match rustix::fs::mkdirat(&folder.shadow, &*name, Mode::from_raw_mode(0o700)) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) => return Err(errno),
        }
    }
    open_dir(&folder.shadow, &name)
}

/// The shadows of an item: one, or a few after a crash.
fn named(folder: &Folder, item: ItemId) -> io::Result<Vec<Named>> {
    let all = list(&folder.shadow, &dir_name(item))?;
    Ok(all.into_iter().filter(|named| named.item == item).collect())
}

fn all(folder: &Folder) -> io::Result<Vec<Named>> {
    let mut all = Vec::new();
    for dir in 0..SPREAD {
        all.extend(list(&folder.shadow, &dir_name(ItemId(dir)))?);
    }
    Ok(all)
}

fn dir_name(item: ItemId) -> String {
    format!("{:02x}", item.0.rem_euclid(SPREAD))
}

fn open_dir(shadow: &OwnedFd, name: &str) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(shadow, name, flags, Mode::empty())
}

fn list(shadow: &OwnedFd, dir: &str) -> io::Result<Vec<Named>> {
    let opened = match open_dir(shadow, dir) {
        Ok(opened) => opened,
        Err(Errno::NOENT) => return Ok(Vec::new()),
        Err(errno) => return Err(errno.into()),
    };
    let mut all = Vec::new();
    for entry in Dir::new(opened)? {
        let entry = entry?;
        let name = entry.file_name().to_str().ok();
        all.extend(name.and_then(|name| parse(dir, name)));
    }
    Ok(all)
}

fn parse(dir: &str, name: &str) -> Option<Named> {
    let (rest, kind) = name.rsplit_once('-')?;
    let (rest, size) = rest.rsplit_once('-')?;
    let (item, etag) = rest.rsplit_once('-')?;
    is_plain(etag).then_some(())?;
    Some(Named {
        dir: dir.to_owned(),
        name: name.to_owned(),
        item: ItemId(item.parse().ok()?),
        etag: etag.to_owned(),
        size: u64::from_str_radix(size, 16).ok()?,
        is_copy: kind == "c",
    })
}

/// Whether an etag can be part of a name.
fn is_plain(etag: &str) -> bool {
    let plain = etag.bytes().all(|byte| byte.is_ascii_alphanumeric());
    plain && (1..=ETAG_MAX).contains(&etag.len())
}
