//! One segment file that is being written.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use super::record::{self, Prepared, SEGMENT_HEADER_LEN};
use super::{Place, blocking, file_path};
use crate::crypto::{RecordKey, SegmentId, SpaceKeys};
use crate::store::fault::{self, Step};
use crate::store::{Error, Result};

/// A segment is closed before it grows beyond this many bytes: large enough that few files hold a
/// lot, small enough that rewriting one to drop dead chunks is soon done.
const SEGMENT_MAX: u64 = 64 * 1024 * 1024;
/// Bytes of a segment without records. One of these takes an append of any size.
const EMPTY: u64 = SEGMENT_HEADER_LEN as u64;

/// A segment this process began. Appends are serialised by the caller.
pub(super) struct Appender {
    pub(super) id: SegmentId,
    key: RecordKey,
    file: File,
    path: PathBuf,
    /// End of what was written without an error.
    written: AtomicU64,
    /// End of what is on the disk for sure.
    synced: AtomicU64,
    /// Why nothing more may be appended or synced.
    failed: OnceLock<io::ErrorKind>,
    /// Held while waiting for the disk.
    gate: Arc<tokio::sync::Mutex<()>>,
}

impl Appender {
    /// Begins a new segment with a random id.
    pub(super) fn create(folder: &Path, keys: &SpaceKeys) -> Result<Self> {
        let id = SegmentId::generate()?;
        let path = file_path(folder, id);
        let file = create_file(&path).map_err(Error::writing("creating a segment"))?;
        let appender = Self::with_file(id, keys, file, path);
        let header = record::segment_header(keys.space, id);
        if let Err(error) = appender.write(&header, 0) {
            appender.remove_file();
            return Err(Error::writing("writing a segment")(error));
        }
        Ok(appender)
    }

    fn with_file(id: SegmentId, keys: &SpaceKeys, file: File, path: PathBuf) -> Self {
        Self {
            id,
            key: keys.record_key(id),
            file,
            path,
            written: AtomicU64::new(EMPTY),
            synced: AtomicU64::new(0),
            failed: OnceLock::new(),
            gate: Arc::default(),
        }
    }

    /// Whether this many more bytes may go here.
    pub(super) fn takes(&self, bytes: u64) -> bool {
        let written = self.written.load(Ordering::Acquire);
        self.failed.get().is_none() && (written == EMPTY || written + bytes <= SEGMENT_MAX)
    }

    /// Seals and writes all or none. After an error the segment takes nothing any more, because the
    /// disk may hold a part of what would be sealed again under the same nonce.
    ///
    /// Only one caller at a time: the offsets are the nonces.
    pub(super) fn append(&self, pieces: &[Prepared]) -> Result<Vec<Place>> {
        let start = self.written.load(Ordering::Acquire);
        let size = pieces.iter().map(|piece| piece.stored() as usize).sum();
        let mut sealed = Vec::with_capacity(size);
        let mut places = Vec::with_capacity(pieces.len());
        for piece in pieces {
            let offset = start + sealed.len() as u64;
            record::seal(&self.key, offset, piece, &mut sealed)?;
            places.push(Place {
                segment: self.id,
                offset,
                stored: piece.stored(),
            });
        }
        if let Err(error) = self.write(&sealed, start) {
            self.fail(&error);
            return Err(Error::writing("writing a segment")(error));
        }
        self.written
            .store(start + sealed.len() as u64, Ordering::Release);
        Ok(places)
    }

    /// Returns once everything before `end` is on the disk.
    pub(super) async fn sync(self: &Arc<Self>, end: u64, syncs: &Arc<AtomicU64>) -> Result<()> {
        if self.synced() >= end {
            return Ok(());
        }
        let gate = Arc::clone(&self.gate).lock_owned().await;
        if self.synced() >= end {
            return Ok(());
        }
        let (this, syncs) = (Arc::clone(self), Arc::clone(syncs));
        // The gate goes along: the system reports a failed sync once, so nobody may sync after us
        // before the failure is noted, even if our caller went away.
        blocking(move || {
            let done = this.flush(&syncs);
            drop(gate);
            done
        })
        .await
    }

    /// End of what was written without an error.
    pub(super) fn written(&self) -> u64 {
        self.written.load(Ordering::Acquire)
    }

    /// Whether places were given out that may not be on the disk.
    pub(super) fn owes(&self) -> bool {
        self.written.load(Ordering::Acquire) > self.synced().max(EMPTY)
    }

    /// End of what is on the disk for sure.
    pub(super) fn synced(&self) -> u64 {
        self.synced.load(Ordering::Acquire)
    }

    /// Takes the file away again; only when nobody was given a place in it.
    pub(super) fn remove_file(&self) {
        let removed =
            fault::at(Step::Unlink(&self.path)).and_then(|()| fs::remove_file(&self.path));
        if let Err(error) = removed {
            tracing::warn!(segment = %self.id, "removing an unused segment: {error}");
        }
    }

    /// The caller holds the gate.
    fn flush(&self, syncs: &AtomicU64) -> Result<()> {
        let end = self.written.load(Ordering::Acquire);
        if self.synced() >= end {
            return Ok(());
        }
        if let Some(kind) = self.failed.get() {
            return Err(Error::writing("syncing a segment")((*kind).into()));
        }
        if let Err(error) = self.flush_file() {
            self.fail(&error);
            return Err(Error::writing("syncing a segment")(error));
        }
        syncs.fetch_add(1, Ordering::Relaxed);
        self.synced.store(end, Ordering::Release);
        Ok(())
    }

    fn write(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        fault::at(Step::Write)?;
        self.file.write_all_at(bytes, offset)
    }

    fn flush_file(&self) -> io::Result<()> {
        fault::at(Step::Sync)?;
        self.file.sync_data()?;
        fault::synced(&self.path);
        if self.synced() == 0 {
            // The first time, its name and that of its folder have to get there as well.
            for folder in self.path.ancestors().skip(1).take(2) {
                fault::at(Step::Folder)?;
                File::open(folder)?.sync_all()?;
            }
            fault::named(&self.path);
        }
        Ok(())
    }

    fn fail(&self, error: &io::Error) {
        tracing::error!(segment = %self.id, "segment given up: {error}");
        // The first failure is the one that counts.
        self.failed.get_or_init(|| error.kind());
    }
}

fn create_file(path: &Path) -> io::Result<File> {
    fault::at(Step::Create(path))?;
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    match options.open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let folder = path.parent().ok_or(error)?;
            // Another space's segment may have made it in between.
            fs::create_dir_all(folder)?;
            options.open(path)
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::crypto::SpaceKey;
    use crate::store::blob::Piece;
    use crate::types::SpaceId;

    /// A segment whose file is a device that misbehaves in a known way.
    fn on(device: &str) -> (Arc<Appender>, Prepared) {
        let keys = SpaceKeys::derive(SpaceId(1), &SpaceKey::generate().unwrap());
        let file = OpenOptions::new().write(true).open(device).unwrap();
        let id = SegmentId::generate().unwrap();
        let appender = Appender::with_file(id, &keys, file, device.into());
        let plain = Bytes::from_static(b"some bytes");
        let prepared = record::prepare(Piece {
            id: keys.chunk_id(&plain),
            plain,
        })
        .unwrap();
        (Arc::new(appender), prepared)
    }

    #[test]
    fn a_full_disk_is_told_as_such_and_ends_the_segment() {
        let (appender, piece) = on("/dev/full");
        assert!(appender.takes(100));
        assert!(matches!(appender.append(&[piece]), Err(Error::DiskFull)));
        assert!(!appender.takes(100));
        assert!(!appender.owes());
    }

    #[tokio::test]
    async fn a_failed_sync_fails_for_all_who_wait_and_for_good() {
        // given: /dev/null takes writes and cannot be synced
        let (appender, piece) = on("/dev/null");
        let places = appender.append(&[piece]).unwrap();
        let (end, syncs) = (places[0].offset + 1, Arc::default());
        // when
        let (one, two) = tokio::join!(appender.sync(end, &syncs), appender.sync(end, &syncs));
        // then
        assert!(one.is_err() && two.is_err());
        assert!(appender.sync(end, &syncs).await.is_err());
        assert!(!appender.takes(1));
        assert!(appender.owes());
        assert_eq!(syncs.load(Ordering::Relaxed), 0);
    }
}
