//! Which snapshot files there are.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use super::Kind;
use crate::store::blob::{blocking, make_durable_folder};
use crate::store::fault::{self, Step};
use crate::store::{Error, Result};

/// The folder within the data folder.
const NAME: &str = "snapshot";
/// Held by the process that writes.
const LOCK_FILE: &str = ".lock";
/// What the name of a file ends in that is not complete.
pub(super) const UNFINISHED: &str = "new";

/// The folder of the snapshots.
#[derive(Clone, Debug)]
pub struct Folder(PathBuf);

/// A file in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its number; later ones have higher ones.
    pub number: u64,
    /// What its name says that it holds.
    pub kind: Kind,
    /// Where it is.
    pub path: PathBuf,
}

impl Folder {
    /// The one in a data folder.
    pub fn of(data: &Path) -> Self {
        Self(data.join(NAME))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Where the file with this number lies, or will.
    pub(super) fn file(&self, number: u64, kind: Kind) -> PathBuf {
        self.0.join(format!("{number:016x}.{}", kind.extension()))
    }

    /// The complete files, oldest first; none when there is no folder.
    pub fn entries(&self) -> io::Result<Vec<Entry>> {
        let mut found = Vec::new();
        let all = match fs::read_dir(&self.0) {
            Ok(all) => all,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(found),
            Err(error) => return Err(error),
        };
        for entry in all {
            found.extend(parse(entry?.path()));
        }
        found.sort_by_key(|entry| entry.number);
        Ok(found)
    }

    /// Makes the folder, and this process the one that writes into it until the file is dropped;
    /// `None` when another does.
    pub async fn lock(&self) -> Result<Option<File>> {
        let folder = self.clone();
        blocking(move || {
            let failed = |error| Error::io("locking the snapshots")(error);
            make_durable_folder(&folder.0).map_err(failed)?;
            let mut options = File::options();
            let options = options.write(true).create(true).truncate(false);
            let file = options.open(folder.0.join(LOCK_FILE)).map_err(failed)?;
            match file.try_lock() {
                Ok(()) => {
                    folder.clean().map_err(failed)?;
                    Ok(Some(file))
                }
                Err(TryLockError::WouldBlock) => Ok(None),
                Err(TryLockError::Error(error)) => Err(failed(error)),
            }
        })
        .await
    }

    /// Takes away what a killed process has left half written.
    fn clean(&self) -> io::Result<()> {
        for entry in fs::read_dir(&self.0)? {
            let path = entry?.path();
            if path.extension().is_some_and(|found| found == UNFINISHED) {
                remove(&path)?;
            }
        }
        Ok(())
    }

    /// Takes away what lies before the last `kept` bases.
    pub async fn prune(&self, kept: usize) -> Result<()> {
        let folder = self.clone();
        blocking(move || {
            let failed = |error| Error::io("removing old snapshots")(error);
            let all = folder.entries().map_err(failed)?;
            let bases = all.iter().rev().filter(|entry| entry.kind == Kind::Base);
            let Some(first) = bases.map(|entry| entry.number).nth(kept.saturating_sub(1)) else {
                return Ok(());
            };
            for entry in all.iter().filter(|entry| entry.number < first) {
                remove(&entry.path).map_err(failed)?;
            }
            Ok(())
        })
        .await
    }
}

fn remove(path: &Path) -> io::Result<()> {
    fault::at(Step::Unlink(path))?;
    fs::remove_file(path)
}

fn parse(path: PathBuf) -> Option<Entry> {
    let kind = match path.extension()?.to_str()? {
        "base" => Kind::Base,
        "delta" => Kind::Delta,
        _ => return None,
    };
    let number = path.file_stem()?.to_str()?;
    let number = (number.len() == 16).then(|| u64::from_str_radix(number, 16).ok())??;
    Some(Entry { number, kind, path })
}
