//! Which segment files there are, whatever the database knows of them.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use super::inspect::names;
use super::record::{SEGMENT_HEADER_LEN, space_of};
use super::{Segments, blocking};
use crate::crypto::SegmentId;
use crate::store::Result;
use crate::types::{Millis, SpaceId};

/// The file of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentFile {
    /// The segment.
    pub segment: SegmentId,
    /// The space it says it is of; `None` when it has no header, or none that can be read.
    pub space: Option<SpaceId>,
    /// Bytes.
    pub len: u64,
    /// When it was last written to.
    pub modified: Millis,
}

impl Segments {
    /// All segment files, in the order of their names; 48 bytes of memory each.
    pub async fn files(&self) -> Result<Vec<SegmentFile>> {
        let inner = Arc::clone(&self.0);
        blocking(move || all(&inner.folder)).await
    }
}

fn all(folder: &Path) -> Result<Vec<SegmentFile>> {
    let mut found = Vec::new();
    for group in names(folder)? {
        for path in names(&group)? {
            found.extend(name(&path).and_then(|segment| look(&path, segment)));
        }
    }
    found.sort_by_key(|file| file.segment.0);
    Ok(found)
}

fn name(path: &Path) -> Option<SegmentId> {
    if path.extension()? != "seg" {
        return None;
    }
    SegmentId::parse(path.file_stem()?.to_str()?)
}

/// What can be learned of one file; what cannot does not stand in the way of the others. `None` when it
/// was taken away meanwhile.
fn look(path: &Path, segment: SegmentId) -> Option<SegmentFile> {
    let unreadable =
        |error: io::Error| tracing::warn!(%segment, "a segment cannot be read: {error}");
    let data = match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
        data => data.map_err(unreadable).ok(),
    };
    let space = space(path, segment).map_err(unreadable).ok().flatten();
    Some(SegmentFile {
        segment,
        space,
        // Nobody may take what lies in it for lost.
        len: data.as_ref().map_or(u64::MAX, fs::Metadata::len),
        modified: data
            .and_then(|data| data.modified().ok())
            .map_or(Millis(0), Millis::from),
    })
}

/// The space that a file says it is of; `None` when it has no header.
fn space(path: &Path, segment: SegmentId) -> io::Result<Option<SpaceId>> {
    let mut header = [0; SEGMENT_HEADER_LEN];
    match File::open(path)?.read_exact_at(&mut header, 0) {
        Ok(()) => Ok(space_of(&header, segment)),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(error),
    }
}
