//! Who has the data folder: one server, or several that share a database; and who has its store open.

use std::fs::{File, TryLockError};
use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use super::make_folder;
use crate::server::config::Config;
use crate::server::error::{Error, Result};

/// Held by a running server, inside the data folder.
const LOCK_FILE: &str = ".lock";
/// What it holds while a server runs that knows of collection. Older ones leave it empty.
const LOCK_TEXT: &[u8] = b"collects\n";
/// Held by everything that has the store open, a server or a command, with all others.
const OPEN_FILE: &str = ".open";
/// How long a server waits for one that starts at the same time, and may bring the schema up to date.
const LET_IN: Duration = Duration::from_mins(1);
/// How often it asks.
const ASK: Duration = Duration::from_millis(50);

/// A data folder that is served, until this is dropped.
pub(crate) struct Served {
    file: File,
    alone: bool,
}

/// Marks the data folder as served by this process. Servers that share a database may share the folder:
/// each writes files of its own. The command line tools work beside a server and do not take it.
pub(crate) async fn lock(config: &Config) -> Result<Served> {
    let data = &config.data_path;
    let mut taken = take_lock(data, false);
    let alone = taken.is_ok();
    let until = Instant::now() + LET_IN;
    while matches!(taken, Err(Error::InUse(_))) && config.db_path.is_shared() {
        if Instant::now() >= until {
            break;
        }
        // One that starts has it for itself for a moment.
        tokio::time::sleep(ASK).await;
        taken = take_lock(data, true);
    }
    let file = taken?;
    Ok(Served { file, alone })
}

impl Served {
    /// Whether no other server has the folder.
    pub(crate) fn is_alone(&self) -> bool {
        self.alone
    }

    /// Lets servers in that share the database.
    pub(crate) fn let_in(&mut self, config: &Config) -> Result<()> {
        self.alone = false;
        let shared = self.file.lock_shared();
        shared.map_err(|source| Error::File {
            path: config.data_path.join(LOCK_FILE),
            source,
        })
    }
}

/// Keeps every server off the data folder, until the file is dropped.
pub(crate) fn lock_out(config: &Config) -> Result<File> {
    take_lock(&config.data_path, false)
}

/// Whether a server works on the data folder.
pub(crate) fn is_served(data: &Path) -> bool {
    take_lock(data, false).is_err()
}

/// To be held as long as the store is open: meanwhile it keeps its master key. Refused while that is
/// being changed.
pub(crate) fn open(data: &Path) -> Result<File> {
    take(&data.join(OPEN_FILE), true)?.ok_or_else(|| Error::Rekeying(data.to_owned()))
}

/// Keeps everybody from opening the store, until the file is dropped; refused while anybody has.
pub(crate) fn shut(data: &Path) -> Result<File> {
    take(&data.join(OPEN_FILE), false)?.ok_or_else(|| Error::Opened(data.to_owned()))
}

fn take_lock(data: &Path, shared: bool) -> Result<File> {
    make_folder(data)?;
    let path = data.join(LOCK_FILE);
    let mut file = take(&path, shared)?.ok_or_else(|| Error::InUse(data.to_owned()))?;
    // Others who share it have written the same.
    let cut = if shared { Ok(()) } else { file.set_len(0) };
    let written = cut.and_then(|()| file.write_all(LOCK_TEXT));
    written.map_err(|source| Error::File { path, source })?;
    Ok(file)
}

/// Takes the lock of a file, which is made; `None` when somebody has it.
fn take(path: &Path, shared: bool) -> Result<Option<File>> {
    let failed = |source| Error::File {
        path: path.to_owned(),
        source,
    };
    let mut options = File::options();
    let options = options.write(true).create(true).truncate(false);
    let file = options.open(path).map_err(failed)?;
    let taken = if shared {
        file.try_lock_shared()
    } else {
        file.try_lock()
    };
    match taken {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(source)) => Err(failed(source)),
    }
}

/// Whether a server runs on the data folder that would not notice what collection takes away.
pub(crate) fn is_old(data: &Path) -> Result<bool> {
    let path = data.join(LOCK_FILE);
    match std::fs::read(&path) {
        // Asked first: a server that starts now must not find its lock taken.
        Ok(text) if text == LOCK_TEXT => Ok(false),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Ok(_empty) => match take_lock(data, false) {
            Ok(_free) => Ok(false),
            Err(Error::InUse(_)) => Ok(true),
            Err(error) => Err(error),
        },
        Err(source) => Err(Error::File { path, source }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_data_folder_is_served_once() {
        let folder = tempfile::tempdir().unwrap();
        let held = take_lock(folder.path(), false).unwrap();
        for shared in [false, true] {
            let refused = take_lock(folder.path(), shared);
            assert!(matches!(refused, Err(Error::InUse(_))));
        }
        assert!(is_served(folder.path()));
        drop(held);
        assert!(!is_served(folder.path()));
    }

    #[test]
    fn servers_that_share_a_database_share_the_data_folder_with_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let one = take_lock(folder.path(), true).unwrap();
        let _other = take_lock(folder.path(), true).unwrap();
        drop(one);
        assert!(take_lock(folder.path(), false).is_err());
        assert!(is_served(folder.path()));
    }

    #[test]
    fn many_have_the_store_open_and_whoever_changes_its_key_is_alone() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path();
        let (one, other) = (open(data).unwrap(), open(data).unwrap());
        drop(one);
        assert!(matches!(shut(data), Err(Error::Opened(_))));
        drop(other);
        let changes = shut(data).unwrap();
        assert!(matches!(open(data), Err(Error::Rekeying(_))));
        drop(changes);
        open(data).unwrap();
    }

    #[test]
    fn an_older_server_is_known_by_its_empty_lock() {
        let folder = tempfile::tempdir().unwrap();
        assert!(!is_old(folder.path()).unwrap());
        let held = take_lock(folder.path(), false).unwrap();
        assert!(!is_old(folder.path()).unwrap());
        held.set_len(0).unwrap();
        assert!(is_old(folder.path()).unwrap());
        drop(held);
        assert!(!is_old(folder.path()).unwrap());
    }
}
