//! Small contents as they come, for the day on which the database is lost: they lie in its rows only,
//! and the next snapshot is some seconds away.
//!
//! ```text
//! header: "SYNCRCNT" 8 | version 1 | zero 7 | id 16 | fingerprint of the master key 8
//! frame:  length of what follows 4 | ciphertext | tag 16
//! entry:  space 8 | time 8 | length of the name 2 | name | bytes
//! ```
//! A frame is an entry. Nothing waits for the disk: a power cut takes the last seconds of this and leaves
//! the database, and whoever deletes the database leaves this. They are written beside the transactions
//! that name them, which end after that.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::watch;

use super::Folder;
use crate::crypto::{self, FRAME_TAG_LEN, FramePlace, MasterKey, SnapshotKey};
use crate::store::blob::{blocking, make_durable_folder};
use crate::store::{Error, Result, Store};
use crate::types::{Millis, SpaceId};

const MAGIC: [u8; 8] = *b"SYNCRCNT";
const VERSION: u8 = 1;
/// Bytes of the header.
const HEADER_LEN: usize = 40;
/// Bytes of the length before a frame.
const LENGTH_LEN: usize = 4;
/// Bytes of contents that are written at once: what a failure costs.
const STEP: usize = 64 * 1024;
/// Bytes of an entry before its name.
const ENTRY_LEN: usize = 18;
/// Bytes after which the next file begins; read at once when the database is lost.
const FILE_MAX: u64 = 4 * 1024 * 1024;
/// Bytes that wait to be written; whoever adds to more waits.
const COMING_MAX: usize = 1024 * 1024;
/// Files there are at most, while snapshots fail or writers are fast: 128 MiB. The oldest go.
const FILES_MAX: usize = 32;
/// A file that nothing was added to for this long is complete.
const QUIET: Duration = Duration::from_secs(20);
/// How long before a snapshot a content may have come that got its name after it, by a clock that may be
/// another's; longer than [`QUIET`], so that no file goes that anybody adds to.
pub const UNNAMED: Duration = Duration::from_mins(10);

/// A small content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Small {
    /// Whose it is.
    pub space: SpaceId,
    /// When it was complete.
    pub at: Millis,
    /// What the file was to be called; empty when nobody said.
    pub name: String,
    /// The bytes.
    pub bytes: Vec<u8>,
}

/// The small contents that this process takes, as soon as it keeps snapshots.
#[derive(Default)]
pub struct Recent {
    folder: OnceLock<Folder>,
    open: Mutex<Option<Open>>,
    coming: Mutex<Coming>,
    /// How many are written, or lost.
    settled: watch::Sender<u64>,
    /// Whether the last of them was lost.
    failed: AtomicBool,
}

/// The turn to write. When it ends early, what was to be written counts as lost, and nobody waits for it.
struct Turn(Arc<Store>);

impl Drop for Turn {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let mut coming = self.0.recent.coming();
            (coming.smalls, coming.bytes, coming.writing) = (Vec::new(), 0, false);
            self.0.recent.settled.send_replace(coming.all);
        }
    }
}

/// Those that wait to be written.
#[derive(Default)]
struct Coming {
    smalls: Vec<Small>,
    bytes: usize,
    /// How many came, those that are written among them.
    all: u64,
    /// Whether somebody is writing, who will write these as well.
    writing: bool,
}

struct Open {
    file: File,
    path: PathBuf,
    key: SnapshotKey,
    frames: u64,
    written: u64,
    last: Instant,
}

impl Recent {
    /// From now on small contents are kept beside the snapshots.
    pub fn keep(&self, folder: &Folder) {
        // Twice the same.
        let _again = self.folder.set(folder.clone());
    }

    /// Begins to keep a small content, if any are: [`Self::settle`] waits for it.
    pub async fn note(store: &Arc<Store>, small: Small) {
        let recent = &store.recent;
        if recent.folder.get().is_none() || small.bytes.is_empty() {
            return;
        }
        let (idle, full) = recent.push(small);
        if idle {
            let turn = Turn(Arc::clone(store));
            tokio::task::spawn_blocking(move || turn.0.recent.write(turn.0.keys.master()));
        }
        if full {
            recent.settle().await;
        }
    }

    /// Returns once all that came is written. What fails is logged only: the database has it.
    pub async fn settle(&self) {
        let all = self.coming().all;
        let written = |settled: &u64| *settled >= all;
        if !written(&self.settled.borrow()) {
            // The sender is ours, so it is there.
            drop(self.settled.subscribe().wait_for(written).await);
        }
    }

    /// Whether nobody is writing, and whether too much waits.
    fn push(&self, small: Small) -> (bool, bool) {
        let mut coming = self.coming();
        coming.bytes += size_of::<Small>() + small.name.len() + small.bytes.len();
        coming.smalls.push(small);
        coming.all += 1;
        let idle = !std::mem::replace(&mut coming.writing, true);
        (idle, coming.bytes > COMING_MAX)
    }

    /// Writes what waits, until nothing does.
    fn write(&self, master: &MasterKey) {
        loop {
            let (smalls, all) = {
                let mut coming = self.coming();
                coming.writing = !coming.smalls.is_empty();
                if !coming.writing {
                    return;
                }
                coming.bytes = 0;
                (std::mem::take(&mut coming.smalls), coming.all)
            };
            for step in steps(&smalls) {
                let written = self.add(master, step);
                let failed = self.failed.swap(written.is_err(), Ordering::Relaxed);
                if let (Err(error), false) = (written, failed) {
                    tracing::warn!("small files are not kept beside the database: {error}");
                }
            }
            self.settled.send_replace(all);
        }
    }

    /// Writes some at once.
    fn add(&self, master: &MasterKey, smalls: &[Small]) -> Result<()> {
        let Some(folder) = self.folder.get() else {
            return Ok(());
        };
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let mut current = match open.take().filter(|open| !open.is_complete()) {
            Some(open) => open,
            None => Open::begin(folder, master)?,
        };
        // A file with half a frame at its end is not gone on with.
        current.add(smalls)?;
        *open = Some(current);
        Ok(())
    }

    fn coming(&self) -> MutexGuard<'_, Coming> {
        self.coming.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Open {
    fn begin(folder: &Folder, master: &MasterKey) -> Result<Self> {
        let mut id = [0; 16];
        getrandom::fill(&mut id).map_err(|_unavailable| crypto::Error::Random)?;
        let header = header(&id, master);
        let failed = |error| Error::writing("keeping small files")(error);
        let path = folder.recent_file(u128::from_be_bytes(id));
        let file = make_durable_folder(folder.path())
            .and_then(|()| File::create_new(&path))
            .and_then(|mut file| file.write_all(&header).map(|()| file));
        if file.is_err() {
            // On a full disk each try would leave one, in the place of those that hold something.
            drop(fs::remove_file(&path));
        }
        let file = file.map_err(failed)?;
        folder.drop_recent(FILES_MAX + 1).map_err(failed)?;
        Ok(Self {
            file,
            path,
            key: master.snapshot_key(&id, &header),
            frames: 0,
            written: 0,
            last: Instant::now(),
        })
    }

    fn is_complete(&self) -> bool {
        self.written >= FILE_MAX || self.last.elapsed() >= QUIET
    }

    fn add(&mut self, smalls: &[Small]) -> Result<()> {
        let (mut bytes, mut frames) = (Vec::new(), self.frames);
        for small in smalls {
            seal(&self.key, frames, small, &mut bytes)?;
            frames += 1;
        }
        let written = self.file.write_all(&bytes);
        if written.is_err() && self.frames == 0 {
            drop(fs::remove_file(&self.path));
        }
        written.map_err(Error::writing("keeping small files"))?;
        self.frames = frames;
        self.written += bytes.len() as u64;
        self.last = Instant::now();
        Ok(())
    }
}

/// Parts of as many as are written at once.
fn steps(smalls: &[Small]) -> impl Iterator<Item = &[Small]> {
    let mut bytes = 0;
    smalls.chunk_by(move |small, _| {
        bytes += small.bytes.len();
        if bytes >= STEP {
            bytes = 0;
            return false;
        }
        true
    })
}

/// Appends the frame of an entry.
fn seal(key: &SnapshotKey, number: u64, small: &Small, bytes: &mut Vec<u8>) -> Result<()> {
    let before = bytes.len();
    bytes.extend_from_slice(&[0; LENGTH_LEN]);
    small.encode(bytes);
    let (head, text) = bytes[before..].split_at_mut(LENGTH_LEN);
    let place = place(number, text.len())?;
    let tag = key.seal(place, text)?;
    let length = place.raw_len + u32::try_from(tag.len()).unwrap_or(u32::MAX);
    head.copy_from_slice(&length.to_be_bytes());
    bytes.extend_from_slice(&tag);
    Ok(())
}

/// A file of some small contents.
#[cfg(any(test, fuzzing))]
pub(super) fn fuzzed(master: &MasterKey, all: &[Small]) -> Vec<u8> {
    let id = [4; 16];
    let mut bytes = header(&id, master).to_vec();
    let key = master.snapshot_key(&id, &bytes);
    for (number, small) in (0..).zip(all) {
        seal(&key, number, small, &mut bytes).expect("it seals");
    }
    bytes
}

fn header(id: &[u8; 16], master: &MasterKey) -> [u8; HEADER_LEN] {
    let mut bytes = [0; HEADER_LEN];
    bytes[..8].copy_from_slice(&MAGIC);
    bytes[8] = VERSION;
    bytes[16..32].copy_from_slice(id);
    bytes[32..].copy_from_slice(&master.fingerprint());
    bytes
}

fn place(number: u64, length: usize) -> Result<FramePlace> {
    Ok(FramePlace {
        number,
        last: false,
        raw_len: u32::try_from(length).map_err(|_huge| Error::Corrupt("a small file is long"))?,
    })
}

impl Small {
    pub(super) fn encode(&self, bytes: &mut Vec<u8>) {
        let name = &self.name.as_bytes()[..self.name.len().min(usize::from(u16::MAX))];
        let length = u16::try_from(name.len()).unwrap_or(u16::MAX);
        bytes.extend_from_slice(&self.space.0.to_be_bytes());
        bytes.extend_from_slice(&self.at.0.to_be_bytes());
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.extend_from_slice(name);
        bytes.extend_from_slice(&self.bytes);
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let (head, rest) = bytes.split_at_checked(ENTRY_LEN)?;
        let (space, head) = head.split_first_chunk()?;
        let (at, length) = head.split_first_chunk()?;
        let length = u16::from_be_bytes(length.try_into().ok()?);
        let (name, bytes) = rest.split_at_checked(usize::from(length))?;
        Some(Self {
            space: SpaceId(i64::from_be_bytes(*space)),
            at: Millis(i64::from_be_bytes(*at)),
            name: std::str::from_utf8(name).ok()?.to_owned(),
            bytes: bytes.to_vec(),
        })
    }
}

/// The small contents of a file up to the first that does not open, which is where a process ended;
/// `None` when it is not of this key.
pub fn read(path: &Path, master: &MasterKey) -> Result<Option<Vec<Small>>> {
    let bytes = fs::read(path).map_err(Error::io("reading small files"))?;
    Ok(parse(&bytes, master))
}

pub(super) fn parse(bytes: &[u8], master: &MasterKey) -> Option<Vec<Small>> {
    let (head, mut rest) = bytes.split_first_chunk::<HEADER_LEN>()?;
    let id = std::array::from_fn(|nth| head[16 + nth]);
    if header(&id, master) != *head {
        return None;
    }
    let key = master.snapshot_key(&id, head);
    let mut found = Vec::new();
    while let Some(small) = frame(&key, found.len() as u64, &mut rest) {
        found.push(small);
    }
    Some(found)
}

fn frame(key: &SnapshotKey, number: u64, rest: &mut &[u8]) -> Option<Small> {
    let (length, behind) = rest.split_first_chunk()?;
    let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    let (sealed, behind) = behind.split_at_checked(length)?;
    let (text, tag) = sealed.split_last_chunk::<FRAME_TAG_LEN>()?;
    let mut text = text.to_vec();
    let place = place(number, text.len()).ok()?;
    key.open(place, &mut text, tag).ok()?;
    *rest = behind;
    Small::decode(&text)
}

/// What the name of such a file ends in.
const EXTENSION: &str = "recent";

impl Folder {
    fn recent_file(&self, number: u128) -> PathBuf {
        self.path().join(format!("{number:032x}.{EXTENSION}"))
    }

    /// The files of small contents and when they were last added to, oldest first.
    fn recent(&self) -> io::Result<Vec<(SystemTime, PathBuf)>> {
        let all = match fs::read_dir(self.path()) {
            Ok(all) => all,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let mut found = Vec::new();
        for entry in all {
            let path = entry?.path();
            if path.extension().is_none_or(|found| found != EXTENSION) {
                continue;
            }
            match fs::metadata(&path) {
                Ok(data) => found.push((data.modified()?, path)),
                // Another process took it away.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        found.sort();
        Ok(found)
    }

    /// The files of small contents, oldest first.
    pub fn recent_files(&self) -> io::Result<Vec<PathBuf>> {
        Ok(self.recent()?.into_iter().map(|(_, path)| path).collect())
    }

    /// Takes files of small contents away that a snapshot of this time has.
    pub async fn drop_taken(&self, taken: SystemTime) -> Result<()> {
        let folder = self.clone();
        blocking(move || {
            let dropped = folder.recent().and_then(|all| {
                let old = |at: &SystemTime| *at + UNNAMED < taken;
                let mut old = all.into_iter().filter(|(at, _)| old(at));
                old.try_for_each(|(_, path)| remove(&path))
            });
            dropped.map_err(Error::io("removing small files"))
        })
        .await
    }

    /// Takes all files of small contents away.
    pub async fn drop_small(&self) -> Result<()> {
        let folder = self.clone();
        let dropped = blocking(move || {
            let dropped = folder.drop_recent(1);
            dropped.map_err(Error::io("removing small files"))
        });
        dropped.await
    }

    /// Takes all but the newest files of small contents away, so that fewer than `kept` are left.
    pub(super) fn drop_recent(&self, kept: usize) -> io::Result<()> {
        let all = self.recent()?;
        let surplus = (all.len() + 1).saturating_sub(kept);
        let mut surplus = all.into_iter().take(surplus);
        surplus.try_for_each(|(_, path)| remove(&path))
    }
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        // Another process did.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

#[cfg(test)]
mod tests;
