//! Looking at segment files themselves, not at what was kept of them.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::record::{HEADER_LEN, Header};
use super::{Place, Segments, blocking, file_path};
use crate::crypto::SegmentId;
use crate::store::{Error, Result};
use crate::types::SpaceId;

/// Where files go that no row knows, beside `seg`.
const QUARANTINE: &str = "quarantine";

/// A file in the folder of segments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Where it lies.
    pub path: PathBuf,
    /// The segment that it is by its name and place; `None` for what no server has put there.
    pub segment: Option<SegmentId>,
    /// When it was last written to.
    pub written: SystemTime,
}

impl Segments {
    /// Opens the file of a segment anew and checks its header; its length.
    pub async fn inspect(&self, space: SpaceId, segment: SegmentId) -> Result<u64> {
        let inner = std::sync::Arc::clone(&self.0);
        blocking(move || {
            inner.handles.forget(space, segment);
            let file = inner.handles.get(&inner.folder, space, segment)?;
            let data = file.metadata().map_err(Error::io("reading a segment"))?;
            Ok(data.len())
        })
        .await
    }

    /// Which of some places in a segment do not begin with a record as long as they say, of a chunk as
    /// long as they say.
    pub async fn misplaced(
        &self,
        space: SpaceId,
        segment: SegmentId,
        places: Vec<(Place, u32)>,
    ) -> Result<Vec<bool>> {
        let inner = std::sync::Arc::clone(&self.0);
        blocking(move || {
            let file = inner.handles.get(&inner.folder, space, segment)?;
            let wrong = |(place, raw): &(Place, u32)| !begins(&file, *place, *raw);
            Ok(places.iter().map(wrong).collect())
        })
        .await
    }

    /// The names of the folders that segments lie in, and of whatever else lies beside them.
    pub async fn folders(&self) -> Result<Vec<PathBuf>> {
        let folder = self.0.folder.clone();
        blocking(move || names(&folder)).await
    }

    /// What lies in one of them.
    pub async fn files_in(&self, folder: PathBuf) -> Result<Vec<Found>> {
        let root = self.0.folder.clone();
        blocking(move || {
            let known = names(&folder)?.into_iter();
            let found = known.filter_map(|path| found(&root, path).transpose());
            found.collect()
        })
        .await
    }

    /// Moves a file out of the folder of segments to `quarantine` beside it; its new path.
    pub async fn set_aside(&self, path: PathBuf) -> Result<PathBuf> {
        let folder = self.0.folder.with_file_name(QUARANTINE);
        blocking(move || {
            let failed = Error::io("moving a file to quarantine");
            move_durably(&path, &folder).map_err(failed)
        })
        .await
    }
}

fn begins(file: &File, place: Place, raw: u32) -> bool {
    let mut head = [0; HEADER_LEN];
    let read = file.read_exact_at(&mut head, place.offset).is_ok();
    let header = Header::parse(&head).filter(|_| read);
    header.is_some_and(|header| header.stored == place.stored && header.raw_len == raw)
}

/// What lies in a folder; nothing when it is none.
pub(super) fn names(folder: &Path) -> Result<Vec<PathBuf>> {
    let failed = || Error::io("listing segments");
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        // Taken away, or no folder at all; then it is told as a file.
        Err(error) if is_no_folder(&error) => return Ok(Vec::new()),
        Err(error) => return Err(failed()(error)),
    };
    let paths = entries.map(|entry| entry.map(|entry| entry.path()).map_err(failed()));
    let mut paths: Vec<_> = paths.collect::<Result<_>>()?;
    paths.sort();
    Ok(paths)
}

fn is_no_folder(error: &io::Error) -> bool {
    use io::ErrorKind::{NotADirectory, NotFound};
    matches!(error.kind(), NotFound | NotADirectory)
}

fn found(root: &Path, path: PathBuf) -> Result<Option<Found>> {
    let data = match fs::symlink_metadata(&path) {
        Ok(data) => data,
        // Collected while we look.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::io("looking at a segment")(error)),
    };
    let segment = path
        .file_stem()
        .and_then(|stem| SegmentId::parse(stem.to_str()?))
        .filter(|segment| data.is_file() && file_path(root, *segment) == path);
    let written = data.modified().unwrap_or(SystemTime::UNIX_EPOCH);
    Ok(Some(Found {
        path,
        segment,
        written,
    }))
}

/// Gives a file a place in another folder of the same disk, under a name that is free there.
fn move_durably(path: &Path, folder: &Path) -> io::Result<PathBuf> {
    super::make_durable_folder(folder)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let mut free = folder.join(&*name);
    let mut nth = 1;
    while free.symlink_metadata().is_ok() {
        nth += 1;
        free = folder.join(format!("{name}.{nth}"));
    }
    fs::rename(path, &free)?;
    File::open(folder)?.sync_all()?;
    if let Some(left) = path.parent() {
        File::open(left)?.sync_all()?;
    }
    Ok(free)
}
