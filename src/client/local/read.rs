//! Reads a file and notices when it changes meanwhile.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use rustix::fs::{Advice, OFlags};
use rustix::io::Errno;

use super::cutting::Cutting;
use super::folder::Folder;
use super::stamp::{Stamp, look_at, now_ns};
use crate::chunk::Class;
use crate::chunk::plan::Listed;
use crate::client::item::Kind;
use crate::crypto::{Blinded, ClientKeys};

/// From this many bytes on the system is told that all of a file will be read.
const LONG: u64 = 1 << 20;

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

impl From<ReadError> for io::Error {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Io(error) => error,
            ReadError::Changed | ReadError::Gone => Self::other(error),
        }
    }
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

    /// Lets the next bytes come from the disk while others are worked on. Only advice: it may fail.
    pub fn ahead(&self) {
        if self.size() > LONG {
            rustix::fs::fadvise(&self.file, 0, None, Advice::Sequential).ok();
        }
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
pub fn cut(opened: &Opened, class: Class, keys: &Arc<ClientKeys>) -> Result<List, ReadError> {
    let mut cutting = Cutting::new(class, opened.size(), keys);
    opened.ahead();
    cutting.read_to(opened, opened.size())?;
    opened.check()?;
    Ok(cutting.end())
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
