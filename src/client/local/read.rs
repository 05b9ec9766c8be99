//! Reads a file and notices when it changes meanwhile.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use rustix::fs::{Advice, OFlags};
use rustix::io::Errno;

use super::folder::Folder;
use super::stamp::{Stamp, look_at, now_ns};
use crate::chunk::plan::Listed;
use crate::chunk::{Class, Cutter};
use crate::client::item::Kind;
use crate::crypto::{Blinded, ClientKeys};

/// Bytes that are read at once: at least two chunks of the class, little enough to stay in the processor's cache.
const SMALL_BUFFER: usize = 1 << 20;
const LARGE_BUFFER: usize = 4 << 20;

/// Why a file cannot be read as it was seen.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// It is not the one that was seen, or has been written to since: try again when it has settled.
    #[error("it is being changed")]
    Changed,
    /// It is not there.
    #[error("it is not there any more")]
    Gone,
    /// The system refuses.
    #[error("it cannot be read: {0}")]
    Io(#[from] io::Error),
}

/// A file that is open for reading, and what tells that it is still the same.
#[derive(Debug)]
pub struct Opened {
    file: File,
    stamp: Stamp,
    begin_ns: i64,
}

/// How a content is cut, as the server would.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct List {
    /// How finely.
    pub class: Class,
    /// The stand-in for the whole.
    pub root: Blinded,
    /// The chunks in their order.
    pub chunks: Vec<Listed>,
}

/// Opens a file that has this stamp.
pub fn open(folder: &Folder, path: &str, expected: &Stamp) -> Result<Opened, ReadError> {
    let begin_ns = now_ns();
    // A pipe that has taken its place must not make anybody wait.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = match folder.open_at(path, flags) {
        Ok(file) => File::from(file),
        Err(Errno::NOENT) => return Err(ReadError::Gone),
        Err(Errno::NOTDIR | Errno::LOOP | Errno::NXIO) => return Err(ReadError::Changed),
        Err(errno) => return Err(ReadError::Io(errno.into())),
    };
    let seen = look_at(&file).map_err(io::Error::from)?;
    if seen.kind != Some(Kind::File) || !seen.stamp.same_bytes(expected) {
        return Err(ReadError::Changed);
    }
    Ok(Opened {
        file,
        stamp: seen.stamp,
        begin_ns,
    })
}

impl Opened {
    /// The file.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Its stamp when it was opened.
    pub fn stamp(&self) -> Stamp {
        self.stamp
    }

    /// Bytes.
    pub fn size(&self) -> u64 {
        self.stamp.size
    }

    /// Reads bytes from an offset on, as many as there are; fewer mean that the file is shorter now.
    pub fn read_at(&self, bytes: &mut [u8], offset: u64) -> Result<usize, ReadError> {
        let mut read = 0;
        while read < bytes.len() {
            match self.file.read_at(&mut bytes[read..], offset + read as u64) {
                Ok(0) => break,
                Ok(more) => read += more,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(read)
    }

    /// Whether the file is still what it was when it was opened. The stamp; and whether it may have been written in the
    /// same tick, so that it must not be trusted later.
    pub fn check(&self) -> Result<(Stamp, bool), ReadError> {
        let now = look_at(&self.file).map_err(io::Error::from)?.stamp;
        if !now.same_bytes(&self.stamp) {
            return Err(ReadError::Changed);
        }
        Ok((now, now.is_racy(self.begin_ns)))
    }
}

/// Cuts a file and names its chunks, in little memory. The file is checked at the end.
pub fn cut(opened: &Opened, class: Class, keys: &ClientKeys) -> Result<List, ReadError> {
    let cutter = Cutter::new(class, keys.gear);
    let mut chunks = Vec::new();
    each_chunk(opened, &cutter, &mut |_, chunk| {
        chunks.push(keys.listed(chunk));
    })?;
    let root = keys.root(&chunks);
    Ok(List {
        class,
        root,
        chunks,
    })
}

/// Gives the chunks of a file, in order, with the offset of each. The file is checked at the end: before that nothing
/// may be done that cannot be taken back.
pub fn each_chunk(
    opened: &Opened,
    cutter: &Cutter,
    each: &mut dyn FnMut(u64, &[u8]),
) -> Result<(), ReadError> {
    let room = match cutter.class() {
        Class::Small => SMALL_BUFFER,
        Class::Large => LARGE_BUFFER,
    };
    let room = usize::try_from(opened.size()).map_or(room, |size| size.saturating_add(1).min(room));
    if opened.size() > room as u64 {
        // The next bytes come from the disk while these are hashed. Only advice: it may fail.
        rustix::fs::fadvise(&opened.file, 0, None, Advice::Sequential).ok();
    }
    let mut buffer = vec![0; room];
    let (mut filled, mut at, mut read_to) = (0, 0, 0);
    loop {
        let read = opened.read_at(&mut buffer[filled..], read_to)?;
        read_to += read as u64;
        let end = filled + read < buffer.len();
        filled += read;
        if read_to > opened.size() {
            return Err(ReadError::Changed);
        }
        let mut begin = 0;
        for length in cutter.cut(&buffer[..filled], end) {
            each(at, &buffer[begin..begin + length]);
            begin += length;
            at += length as u64;
        }
        if end {
            break;
        }
        buffer.copy_within(begin..filled, 0);
        filled -= begin;
    }
    if at != opened.size() {
        return Err(ReadError::Changed);
    }
    opened.check().map(|_| ())
}

impl Opened {
    /// A file of ours that nobody else writes to.
    pub fn of(file: &File) -> io::Result<Self> {
        let file = file.try_clone()?;
        let stamp = look_at(&file)?.stamp;
        Ok(Self {
            file,
            stamp,
            begin_ns: now_ns(),
        })
    }

    /// The same open file once more.
    pub fn again(&self) -> io::Result<Self> {
        Ok(Self {
            file: self.file.try_clone()?,
            ..*self
        })
    }
}
