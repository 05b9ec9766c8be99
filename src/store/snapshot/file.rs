//! One file of a snapshot: a header in clear, then sealed frames of pages.
//!
//! ```text
//! header: "SYNCSNAP" 8 | version 1 | kind 1 | zero 6 | number 8 | id 16 | id of the file before 16
//!         | time 8 | fingerprint of the master key 8
//! frame:  length of what follows the next field 4 | raw length 4 | ciphertext | tag 16
//! ```
//! The last frame is sealed as such. Pages do not lie across frames.

use std::fs::{self, File};
use std::io::{self, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Page;
use super::folder::{Folder, UNFINISHED};
use crate::crypto::{
    self, FRAME_TAG_LEN, FramePlace, MasterKey, SnapshotKey, compress, decompress,
};
use crate::store::blob::blocking;
use crate::store::fault::{self, Step};
use crate::store::{Error, Result};
use crate::types::Millis;

const MAGIC: [u8; 8] = *b"SYNCSNAP";
const VERSION: u8 = 1;
/// Bytes of the header.
const HEADER_LEN: usize = 72;
/// Bytes of pages that fill a frame.
const FRAME: usize = 1024 * 1024;

/// What a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// All pages.
    Base,
    /// Those that changed since the file before.
    Delta,
}

impl Kind {
    pub(super) fn extension(self) -> &'static str {
        match self {
            Self::Base => "base",
            Self::Delta => "delta",
        }
    }

    fn code(self) -> u8 {
        match self {
            Self::Base => 1,
            Self::Delta => 2,
        }
    }
}

/// What a file says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// What it holds.
    pub kind: Kind,
    /// Its place among the files.
    pub number: u64,
    /// A random name; makes its key.
    pub id: [u8; 16],
    /// That of the file it goes on from; zero for a base.
    pub before: [u8; 16],
    /// The state of the database at this time.
    pub taken: Millis,
}

impl Head {
    pub(super) fn encode(&self, master: &MasterKey) -> [u8; HEADER_LEN] {
        let mut bytes = [0; HEADER_LEN];
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[8] = VERSION;
        bytes[9] = self.kind.code();
        bytes[16..24].copy_from_slice(&self.number.to_be_bytes());
        bytes[24..40].copy_from_slice(&self.id);
        bytes[40..56].copy_from_slice(&self.before);
        bytes[56..64].copy_from_slice(&self.taken.0.to_be_bytes());
        bytes[64..].copy_from_slice(&master.fingerprint());
        bytes
    }

    /// `None` for anything else than a header, or one of another key.
    fn parse(bytes: &[u8; HEADER_LEN], master: &MasterKey) -> Option<Self> {
        fn part<const N: usize>(bytes: &[u8; HEADER_LEN], at: usize) -> [u8; N] {
            std::array::from_fn(|nth| bytes[at + nth])
        }
        let kind = match bytes[9] {
            1 => Kind::Base,
            2 => Kind::Delta,
            _ => return None,
        };
        let head = Self {
            kind,
            number: u64::from_be_bytes(part(bytes, 16)),
            id: part(bytes, 24),
            before: part(bytes, 40),
            taken: Millis(i64::from_be_bytes(part(bytes, 56))),
        };
        (head.encode(master) == *bytes).then_some(head)
    }
}

/// A file on its way to the disk. Without [`Self::finish`] nothing of it stays.
pub struct Writer {
    file: Arc<File>,
    key: Arc<SnapshotKey>,
    path: PathBuf,
    unfinished: PathBuf,
    buffer: Vec<u8>,
    frames: u64,
    written: u64,
}

impl Writer {
    /// Begins the file that `head` describes.
    pub async fn create(folder: &Folder, head: &Head, master: &MasterKey) -> Result<Self> {
        let header = head.encode(master);
        let key = Arc::new(master.snapshot_key(&head.id, &header));
        let path = folder.file(head.number, head.kind);
        let unfinished = path.with_extension(UNFINISHED);
        let at = unfinished.clone();
        let file =
            blocking(move || begin(&at, &header).map_err(Error::io("writing a snapshot"))).await?;
        Ok(Self {
            file: Arc::new(file),
            key,
            path,
            unfinished,
            buffer: Vec::new(),
            frames: 0,
            written: HEADER_LEN as u64,
        })
    }

    /// Takes the next page.
    pub async fn push(&mut self, page: &Page) -> Result<()> {
        page.encode(&mut self.buffer);
        if self.buffer.len() >= FRAME {
            self.flush(false).await?;
        }
        Ok(())
    }

    /// Makes the file durable and gives it its name; its bytes.
    pub async fn finish(mut self) -> Result<u64> {
        self.flush(true).await?;
        let (file, path, unfinished) = (
            Arc::clone(&self.file),
            self.path.clone(),
            self.unfinished.clone(),
        );
        blocking(move || {
            let named = name(&file, &unfinished, &path);
            named.map_err(Error::io("writing a snapshot"))
        })
        .await?;
        Ok(self.written)
    }

    async fn flush(&mut self, last: bool) -> Result<()> {
        let text = std::mem::take(&mut self.buffer);
        let (file, key, number) = (Arc::clone(&self.file), Arc::clone(&self.key), self.frames);
        self.frames += 1;
        let written = blocking(move || {
            let frame = seal(&key, number, last, text)?;
            fault::at(Step::Write)
                .and_then(|()| (&*file).write_all(&frame))
                .map_err(Error::io("writing a snapshot"))?;
            Ok(frame.len())
        });
        self.written += written.await? as u64;
        Ok(())
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // It has another name when it is finished. What stays is taken away by the next process.
        drop(
            fault::at(Step::Unlink(&self.unfinished))
                .and_then(|()| fs::remove_file(&self.unfinished)),
        );
    }
}

fn begin(at: &Path, header: &[u8]) -> io::Result<File> {
    fault::at(Step::Create(at))?;
    let mut file = File::create(at)?;
    fault::at(Step::Write)?;
    file.write_all(header)?;
    Ok(file)
}

fn name(file: &File, unfinished: &Path, path: &Path) -> io::Result<()> {
    fault::at(Step::Sync)?;
    file.sync_all()?;
    fault::synced(unfinished);
    fault::at(Step::Rename(unfinished, path))?;
    fs::rename(unfinished, path)?;
    fault::at(Step::Folder)?;
    File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()?;
    fault::named(path);
    Ok(())
}

pub(super) fn seal(key: &SnapshotKey, number: u64, last: bool, text: Vec<u8>) -> Result<Vec<u8>> {
    let raw_len =
        u32::try_from(text.len()).map_err(|_huge| Error::Corrupt("a page is too long"))?;
    let mut text = compress(&text).unwrap_or(text);
    let place = FramePlace {
        number,
        last,
        raw_len,
    };
    let tag = key.seal(place, &mut text)?;
    let length = u32::try_from(text.len() + tag.len());
    let length = length.map_err(|_huge| Error::Corrupt("a page is too long"))?;
    Ok([
        &length.to_be_bytes()[..],
        &raw_len.to_be_bytes(),
        &text,
        &tag,
    ]
    .concat())
}

/// Reads a file frame by frame. Waits for the disk: not for threads that others need.
pub struct Reader {
    file: BufReader<File>,
    key: SnapshotKey,
    head: Head,
    frames: u64,
    /// Bytes that follow.
    left: u64,
    ended: bool,
}

/// Anything that was not written like this, by whoever has the master key.
const DAMAGED: Error = Error::Crypto(crypto::Error::Sealed);

impl Reader {
    /// Opens a file; an error when it is not of this key.
    pub fn open(path: &Path, master: &MasterKey) -> Result<Self> {
        let file = File::open(path);
        Self::over(file.map_err(Error::io("reading a snapshot"))?, master)
    }

    /// The same for a file that is open.
    pub(super) fn over(mut file: File, master: &MasterKey) -> Result<Self> {
        let failed = |error| Error::io("reading a snapshot")(error);
        let length = file.metadata().map_err(failed)?.len();
        let left = length.checked_sub(HEADER_LEN as u64).ok_or(DAMAGED)?;
        let mut header = [0; HEADER_LEN];
        file.read_exact(&mut header).map_err(failed)?;
        let head = Head::parse(&header, master).ok_or(DAMAGED)?;
        Ok(Self {
            file: BufReader::new(file),
            key: master.snapshot_key(&head.id, &header),
            head,
            frames: 0,
            left,
            ended: false,
        })
    }

    /// What the file says of itself.
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// The pages of the next frame; `None` behind the last. A file that ends before is an error.
    pub fn next_frame(&mut self) -> Result<Option<Vec<u8>>> {
        if self.ended {
            return Ok(None);
        }
        let [length, raw_len] = [self.number()?, self.number()?];
        self.left = self.left.checked_sub(u64::from(length)).ok_or(DAMAGED)?;
        let mut text = vec![0; length as usize];
        self.read(&mut text)?;
        let end = text.len().checked_sub(FRAME_TAG_LEN).ok_or(DAMAGED)?;
        let (sealed, tag) = text.split_at_mut(end);
        let tag = (&*tag).try_into().map_err(|_length| DAMAGED)?;
        let place = FramePlace {
            number: self.frames,
            last: self.left == 0,
            raw_len,
        };
        self.key.open(place, sealed, &tag)?;
        text.truncate(end);
        self.frames += 1;
        self.ended = place.last;
        if text.len() == raw_len as usize {
            return Ok(Some(text));
        }
        let plain = decompress(&text, raw_len as usize).ok_or(DAMAGED)?;
        Ok(Some(plain))
    }

    fn number(&mut self) -> Result<u32> {
        self.left = self.left.checked_sub(4).ok_or(DAMAGED)?;
        let mut bytes = [0; 4];
        self.read(&mut bytes)?;
        Ok(u32::from_be_bytes(bytes))
    }

    fn read(&mut self, bytes: &mut [u8]) -> Result<()> {
        let read = self.file.read_exact(bytes);
        read.map_err(Error::io("reading a snapshot"))
    }
}
