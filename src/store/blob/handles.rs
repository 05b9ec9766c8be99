//! Segment files kept open for reading.

use std::collections::HashMap;
use std::fs::File;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use super::record::{SEGMENT_HEADER_LEN, segment_header};
use super::{file_path, read_exact};
use crate::crypto::SegmentId;
use crate::store::{Error, Result};
use crate::types::SpaceId;

/// File handles kept open: those of 4 GiB of recently read segments.
const OPEN_MAX: usize = 64;

/// The most recently used files.
#[derive(Default)]
pub(super) struct Handles(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    files: HashMap<(SpaceId, SegmentId), (Arc<File>, u64)>,
    tick: u64,
}

impl Handles {
    /// Lets go of files that were taken away: only then the disk gets their room back.
    pub(super) fn drop_unlinked(&self) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let there = |file: &File| file.metadata().is_ok_and(|data| data.nlink() > 0);
        kept.files.retain(|_, (file, _)| there(file));
    }

    /// Lets go of a segment's file, so that it is opened and checked anew.
    pub(super) fn forget(&self, space: SpaceId, segment: SegmentId) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.files.remove(&(space, segment));
    }

    /// The segment's file; its header is checked when it is opened.
    pub(super) fn get(
        &self,
        folder: &Path,
        space: SpaceId,
        segment: SegmentId,
    ) -> Result<Arc<File>> {
        if let Some(file) = self.kept(space, segment) {
            return Ok(file);
        }
        let file = File::open(file_path(folder, segment)).map_err(|error| {
            if error.kind() == ErrorKind::NotFound {
                return Error::Gone;
            }
            Error::io("opening a segment")(error)
        })?;
        let mut header = [0; SEGMENT_HEADER_LEN];
        read_exact(&file, &mut header, 0)?;
        if header != segment_header(space, segment) {
            return Err(Error::Corrupt(
                "a segment has another header than it should",
            ));
        }
        let file = Arc::new(file);
        self.keep(space, segment, &file);
        Ok(file)
    }

    fn kept(&self, space: SpaceId, segment: SegmentId) -> Option<Arc<File>> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.tick += 1;
        let tick = kept.tick;
        let (file, used) = kept.files.get_mut(&(space, segment))?;
        *used = tick;
        Some(Arc::clone(file))
    }

    fn keep(&self, space: SpaceId, segment: SegmentId, file: &Arc<File>) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.files.len() >= OPEN_MAX {
            let oldest = kept
                .files
                .iter()
                .min_by_key(|(_, (_, used))| *used)
                .map(|(id, _)| *id);
            oldest.and_then(|id| kept.files.remove(&id));
        }
        let tick = kept.tick;
        kept.files
            .insert((space, segment), (Arc::clone(file), tick));
    }
}
