//! Tells whether a file was touched without reading it.

use std::os::fd::AsFd;
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::fs::{AtFlags, FileType, Statx, StatxAttributes, StatxFlags, StatxTimestamp};
use rustix::io::Errno;

use crate::client::item::Kind;

/// Two writes within one tick of the kernel's clock give a file the same time; ticks are at most 10 ms long, and some
/// file systems round a little more.
const RACY_NS: i64 = 50_000_000;

/// What the file system notes of a file. Two that are equal stand for the same bytes, unless it is
/// [racy](Self::is_racy).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Stamp {
    /// The number of the inode.
    pub inode: u64,
    /// Bytes; without meaning for a collection.
    pub size: u64,
    /// When its bytes were last written, in nanoseconds since 1970; programs may set it.
    pub mtime_ns: i64,
    /// When anything about it last changed, its name and its permissions too; nobody can set it.
    pub ctime_ns: i64,
}

impl Stamp {
    /// Whether both stand for the same file with the same bytes. The time of the inode does not count: renaming and
    /// changing permissions move it.
    pub fn same_bytes(&self, other: &Self) -> bool {
        (self.inode, self.size, self.mtime_ns) == (other.inode, other.size, other.mtime_ns)
    }

    /// Whether a file that had this stamp at a time could have been written again in the same tick, so that the stamp
    /// must not be trusted later. A time far in the future that somebody has set is none of that: the next write
    /// would change it.
    pub fn is_racy(&self, at_ns: i64) -> bool {
        let since = at_ns.saturating_sub(RACY_NS);
        self.mtime_ns >= since && self.ctime_ns >= since
    }
}

/// Now, in nanoseconds since 1970, by the clock that stamps files.
pub fn now_ns() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |time| i64::try_from(time.as_nanos()).unwrap_or(i64::MAX))
}

/// What lies under a name.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    /// None for a device, socket or pipe.
    pub(super) kind: Option<Kind>,
    pub(super) stamp: Stamp,
    pub(super) mode: u32,
    /// Where another file system begins.
    pub(super) mounted: bool,
    pub(super) device: (u32, u32),
}

impl Seen {
    /// Whether its owner may run it.
    pub(super) fn executable(&self) -> bool {
        self.kind == Some(Kind::File) && self.mode & 0o100 != 0
    }

    fn new(stat: &Statx) -> Self {
        let mode = u32::from(stat.stx_mode);
        let kind = match FileType::from_raw_mode(mode) {
            FileType::Directory => Some(Kind::Collection),
            FileType::RegularFile => Some(Kind::File),
            FileType::Symlink => Some(Kind::Link),
            FileType::Fifo
            | FileType::Socket
            | FileType::CharacterDevice
            | FileType::BlockDevice
            | FileType::Unknown => None,
        };
        let stamp = Stamp {
            inode: stat.stx_ino,
            size: stat.stx_size,
            mtime_ns: nanos(stat.stx_mtime),
            ctime_ns: nanos(stat.stx_ctime),
        };
        Self {
            kind,
            stamp,
            mode,
            mounted: stat.stx_attributes.contains(StatxAttributes::MOUNT_ROOT),
            device: (stat.stx_dev_major, stat.stx_dev_minor),
        }
    }
}

/// Looks at a name in a directory; a link is not followed.
pub(super) fn look(dir: impl AsFd, name: impl rustix::path::Arg) -> Result<Seen, Errno> {
    let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT;
    rustix::fs::statx(dir, name, flags, StatxFlags::BASIC_STATS).map(|stat| Seen::new(&stat))
}

/// Looks at what is open.
pub(super) fn look_at(file: impl AsFd) -> Result<Seen, Errno> {
    let flags = AtFlags::EMPTY_PATH;
    rustix::fs::statx(file, c"", flags, StatxFlags::BASIC_STATS).map(|stat| Seen::new(&stat))
}

fn nanos(time: StatxTimestamp) -> i64 {
    let nanos = time.tv_sec.saturating_mul(1_000_000_000);
    nanos.saturating_add(i64::from(time.tv_nsec))
}
