//! Bytes: sealed records in append-only segment files. Knows no names; `docs/STORAGE-FORMAT.md`
//! describes the files.
//!
//! A segment is written by one process from its beginning to its end and never again: a record's
//! offset is its nonce, so after a crash, a restart or any failed write or sync a new segment with a
//! new key begins. What was appended counts only after [`Segments::sync`].

mod active;
mod appender;
mod files;
#[cfg(any(test, fuzzing))]
pub(super) mod fuzzing;
mod handles;
mod inspect;
pub mod list;
mod record;
mod scan;

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;

pub use files::SegmentFile;
pub use inspect::Found;
pub use scan::{Scan, Scanned};

use self::active::Active;
use self::handles::Handles;
use self::list::List;
use self::record::Header;
use super::fault::{self, Step};
use super::{Error, Result};
use crate::crypto::{ChunkId, SegmentId, SpaceKeys};

/// One chunk on its way into a segment.
pub struct Piece {
    /// Its id.
    pub id: ChunkId,
    /// Its plaintext, at most 2 MiB.
    pub plain: Bytes,
}

/// Where a sealed record lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The segment.
    pub segment: SegmentId,
    /// Byte offset of the record in it.
    pub offset: u64,
    /// Bytes of the whole record on disk.
    pub stored: u32,
}

/// The segment files of a data folder.
pub struct Segments(Arc<Inner>);

struct Inner {
    folder: PathBuf,
    active: Active,
    handles: Handles,
    reads: AtomicU64,
}

impl Segments {
    /// Opens the folder; never appends to segments that are already there.
    pub async fn open(folder: &Path) -> Result<Self> {
        let folder = folder.join("seg");
        blocking(move || {
            make_durable_folder(&folder).map_err(Error::writing("making the data folder"))?;
            Ok(Self::of(folder))
        })
        .await
    }

    /// The segments of a folder that is there, to read them.
    pub fn at(folder: &Path) -> Self {
        Self::of(folder.join("seg"))
    }

    fn of(folder: PathBuf) -> Self {
        Self(Arc::new(Inner {
            folder,
            active: Active::default(),
            handles: Handles::default(),
            reads: AtomicU64::new(0),
        }))
    }

    /// Compresses, seals and appends; **not yet durable**, see [`Self::sync`]. All pieces of one
    /// call land in one segment, so give a few MiB at a time.
    pub async fn append(&self, keys: &Arc<SpaceKeys>, pieces: Vec<Piece>) -> Result<Vec<Place>> {
        if pieces.is_empty() {
            return Ok(Vec::new());
        }
        let (inner, keys) = (Arc::clone(&self.0), Arc::clone(keys));
        blocking(move || {
            let prepared: Result<Vec<_>> = pieces.into_iter().map(record::prepare).collect();
            inner.active.append(&inner.folder, &keys, &prepared?)
        })
        .await
    }

    /// Appends the list of a content's chunks; **not yet durable**, see [`Self::sync`].
    pub async fn append_list(&self, keys: &Arc<SpaceKeys>, list: &List) -> Result<Place> {
        let (inner, keys, plain) = (Arc::clone(&self.0), Arc::clone(keys), list.encode());
        blocking(move || {
            let prepared = record::prepare_list(plain.into())?;
            let places = inner.active.append(&inner.folder, &keys, &[prepared])?;
            let place = places.first().copied();
            place.ok_or(Error::Corrupt("an append gave no place"))
        })
        .await
    }

    /// Returns once everything up to these places is on the disk; concurrent callers share one fdatasync.
    pub async fn sync(&self, places: &[Place]) -> Result<()> {
        self.0.active.sync(places).await
    }

    /// Reads, verifies and decompresses one record.
    pub async fn read(&self, keys: &Arc<SpaceKeys>, place: Place) -> Result<(ChunkId, Bytes)> {
        let (inner, keys) = (Arc::clone(&self.0), Arc::clone(keys));
        let read = blocking(move || inner.read(&keys, place)).await;
        // Damage is told by those who know whether the record has only moved.
        if let Err(error @ Error::Io { .. }) = &read {
            tracing::error!(segment = %place.segment, offset = place.offset, "a record cannot be read: {error}");
        }
        read
    }

    /// Closes segments of this process that others want to collect, and those nobody appended to for
    /// `idle`. One that is in use right now is left out.
    pub async fn close(&self, named: Vec<SegmentId>, idle: Duration) -> Result<()> {
        let inner = Arc::clone(&self.0);
        blocking(move || {
            inner.active.close(&named, idle);
            Ok(())
        })
        .await
    }

    /// Closes all segments of this process; the next append begins another.
    pub async fn close_all(&self) -> Result<()> {
        let inner = Arc::clone(&self.0);
        blocking(move || {
            inner.active.close_all();
            Ok(())
        })
        .await
    }

    /// Segments of this process that take no more appends, each told once.
    pub fn take_closed(&self) -> Vec<SegmentId> {
        self.0.active.take_closed()
    }

    /// Forgets that segments failed which nobody can be waiting for any more. Files of which nothing got
    /// to the disk go: no row was ever made for what is in them.
    pub async fn forget(&self, segments: Vec<SegmentId>) -> Result<()> {
        let inner = Arc::clone(&self.0);
        blocking(move || {
            for segment in inner.active.forget(&segments) {
                if let Err(error) = remove(&file_path(&inner.folder, segment)) {
                    tracing::warn!(%segment, "removing a segment that failed: {error}");
                }
            }
            Ok(())
        })
        .await
    }

    /// Whether this process appends to no segment and has told of all it closed.
    pub fn all_closed(&self) -> bool {
        self.0.active.all_closed()
    }

    /// Lets go of the files of segments that were removed, by this process or another.
    pub async fn drop_unlinked(&self) -> Result<()> {
        let inner = Arc::clone(&self.0);
        blocking(move || {
            inner.handles.drop_unlinked();
            Ok(())
        })
        .await
    }

    /// Bytes of a segment's file; `None` when there is none.
    pub async fn len(&self, segment: SegmentId) -> Result<Option<u64>> {
        let path = file_path(&self.0.folder, segment);
        blocking(move || match fs::metadata(path) {
            Ok(data) => Ok(Some(data.len())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::io("looking at a segment")(error)),
        })
        .await
    }

    /// Takes the file of a segment away for good; its length, 0 when it was not there any more. Only
    /// for segments that no row names.
    pub async fn remove(&self, segment: SegmentId) -> Result<u64> {
        let path = file_path(&self.0.folder, segment);
        blocking(move || remove_durably(&path).map_err(Error::writing("removing a segment"))).await
    }

    /// Finds all records of a segment that are whole, whatever the database knows of them.
    pub async fn scan(&self, keys: &Arc<SpaceKeys>, segment: SegmentId) -> Result<Scan> {
        let (inner, keys) = (Arc::clone(&self.0), Arc::clone(keys));
        blocking(move || {
            let file = inner.handles.get(&inner.folder, keys.space, segment)?;
            let mut scan = Scan::default();
            for (nth, key) in keys.record_keys(segment).enumerate() {
                scan = scan::scan(&file, &key, segment)?;
                if !scan.records.is_empty() || !scan.lists.is_empty() {
                    scan.by_older = nth > 0;
                    break;
                }
            }
            Ok(scan)
        })
        .await
    }

    /// How many records this process has read.
    pub fn reads(&self) -> u64 {
        self.0.reads.load(Ordering::Relaxed)
    }

    /// How often this process has waited for the disk; shared waits count once.
    pub fn syncs(&self) -> u64 {
        self.0.active.syncs()
    }
}

impl Inner {
    fn read(&self, keys: &SpaceKeys, place: Place) -> Result<(ChunkId, Bytes)> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        if !record::STORED.contains(&(place.stored as usize)) {
            return Err(Error::Corrupt("a chunk row states an impossible length"));
        }
        let file = self.handles.get(&self.folder, keys.space, place.segment)?;
        let mut bytes = vec![0; place.stored as usize];
        read_exact(&file, &mut bytes, place.offset)?;
        let header = bytes.first_chunk().and_then(Header::parse);
        let fits = |header: &Header| header.stored == place.stored && !header.is_list();
        let Some(header) = header.filter(fits) else {
            return Err(Error::Corrupt("no record where the chunk row says"));
        };
        let mut candidates = keys.record_keys(place.segment);
        loop {
            let key = candidates
                .next()
                .ok_or(Error::Corrupt("a space has no key"))?;
            if candidates.len() == 0 {
                return record::open(&key, place.offset, header, bytes);
            }
            // What an older key has sealed does not open with this one; told apart only by trying.
            if let Ok(opened) = record::open(&key, place.offset, header, bytes.clone()) {
                return Ok(opened);
            }
        }
    }
}

/// Runs what may wait for the disk or computes for long on a thread of its own.
pub(in crate::store) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(stopped) if stopped.is_panic() => std::panic::resume_unwind(stopped.into_panic()),
        Err(_shutting_down) => Err(Error::Closing),
    }
}

fn read_exact(file: &File, bytes: &mut [u8], offset: u64) -> Result<()> {
    file.read_exact_at(bytes, offset).map_err(|error| {
        if error.kind() == io::ErrorKind::UnexpectedEof {
            return Error::Corrupt("a segment ends within a record");
        }
        Error::io("reading a segment")(error)
    })
}

fn file_path(folder: &Path, segment: SegmentId) -> PathBuf {
    let name = segment.to_string();
    folder.join(&name[..2]).join(format!("{name}.seg"))
}

fn remove(path: &Path) -> io::Result<()> {
    fault::at(Step::Unlink(path))?;
    fs::remove_file(path)
}

fn remove_durably(path: &Path) -> io::Result<u64> {
    let len = match fs::metadata(path) {
        Ok(data) => data.len(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        Err(error) => return Err(error),
    };
    remove(path)?;
    if let Some(folder) = path.parent() {
        fault::at(Step::Folder)?;
        File::open(folder)?.sync_all()?;
    }
    Ok(len)
}

/// Makes the folder and those above it, each durable in the one it lies in.
pub(in crate::store) fn make_durable_folder(folder: &Path) -> io::Result<()> {
    if !folder.is_dir() {
        let above = match folder.parent() {
            Some(above) if !above.as_os_str().is_empty() => above,
            _ => Path::new("."),
        };
        make_durable_folder(above)?;
        fault::at(Step::Folder)?;
        match fs::create_dir(folder) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            Err(_already) => {}
            Ok(()) => File::open(above)?.sync_all()?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
