//! What a process that died has left in `tmp/`.
//!
//! Most of it is ours and goes. But a file that was just taken out of its place, to be looked at, may be an edit that
//! nobody else has. So while a file is on its way out its name in `tmp/` says what it may be without loss: the inode
//! of ours that takes its place, and the stamp that it should have. What is neither goes back into the root.

use std::os::fd::OwnedFd;

use rustix::fs::{AtFlags, Dir};
use rustix::io::Errno;

use crate::client::local::stamp::{Seen, Stamp, look, now_ns};

/// Begins the names of those on their way out.
const OUT: &str = "out";
/// Begins the names of versions that have come in part.
pub(in crate::client::local) const PART: &str = "part";
/// Seconds after which nobody goes on with one: a week.
const PART_KEPT: i64 = 7 * 24 * 60 * 60;
/// Names that are tried in the root.
const TRIES: u32 = 10_000;

/// The name in `tmp/` of a file on its way out.
pub(in crate::client::local) fn out_name(temp: &str, ours: u64, expected: &Stamp) -> String {
    let Stamp {
        inode,
        size,
        mtime_ns,
        ctime_ns: _,
    } = expected;
    format!("{OUT}-{ours:x}-{inode:x}-{size:x}-{mtime_ns}-{temp}")
}

/// Empties `tmp/`; gives the names in the root of what was rescued.
pub(super) fn clear(root: &OwnedFd, tmp: &OwnedFd) -> Result<Vec<String>, Errno> {
    let mut recovered = Vec::new();
    let entries: Vec<_> = Dir::read_from(tmp)?.collect::<Result<_, _>>()?;
    for entry in &entries {
        let name = entry.file_name();
        let Ok(text) = name.to_str() else { continue };
        if matches!(text, "." | "..") {
            continue;
        }
        if is_part(tmp, text) {
            continue;
        }
        if is_loss(tmp, text)? {
            recovered.push(rescue(root, tmp, text)?);
            continue;
        }
        match rustix::fs::unlinkat(tmp, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => {}
            // A collection that was taken for a file, and could not go back.
            Err(Errno::ISDIR) => recovered.push(rescue(root, tmp, text)?),
            Err(error) => return Err(error),
        }
    }
    Ok(recovered)
}

/// Whether it is a version that may yet come as a whole.
fn is_part(tmp: &OwnedFd, name: &str) -> bool {
    let young = |seen: Seen| (now_ns() - seen.stamp.mtime_ns) / 1_000_000_000 < PART_KEPT;
    name.strip_prefix(PART)
        .is_some_and(|rest| rest.starts_with('-'))
        && look(tmp, name).is_ok_and(young)
}

/// Whether somebody's bytes would be lost with a file in `tmp/`.
fn is_loss(tmp: &OwnedFd, name: &str) -> Result<bool, Errno> {
    let Some((ours, expected)) = parse(name) else {
        return Ok(false);
    };
    let seen = match look(tmp, name) {
        Ok(seen) => seen.stamp,
        Err(Errno::NOENT) => return Ok(false),
        Err(error) => return Err(error),
    };
    Ok(seen.inode != ours && !seen.same_bytes(&expected))
}

fn parse(name: &str) -> Option<(u64, Stamp)> {
    let mut parts = name.strip_prefix(OUT)?.strip_prefix('-')?.splitn(4, '-');
    let mut number = || u64::from_str_radix(parts.next()?, 16).ok();
    let (ours, inode, size) = (number()?, number()?, number()?);
    let rest = parts.next()?;
    // A time before 1970 begins with a sign.
    let end = rest.char_indices().skip(1).find(|(_, c)| *c == '-')?.0;
    let mtime_ns = rest[..end].parse().ok()?;
    Some((
        ours,
        Stamp {
            inode,
            size,
            mtime_ns,
            ctime_ns: 0,
        },
    ))
}

fn rescue(root: &OwnedFd, tmp: &OwnedFd, name: &str) -> Result<String, Errno> {
    for nth in 1..=TRIES {
        let to = format!("recovered-{nth}");
        match super::super::place::rename_new(tmp, name, root, &to) {
            Err(Errno::EXIST) => {}
            Ok(()) => return Ok(to),
            Err(error) => return Err(error),
        }
    }
    Err(Errno::EXIST)
}
