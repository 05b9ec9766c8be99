//! The folder of settings: nobody but its owner may look into it.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use super::Error;

/// Name of the folder where nobody says another.
const NAME: &str = "sync-client";

/// The folder with settings, tokens and journal of one device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigDir(PathBuf);

/// While it lives no other process changes the synced folder by these settings.
#[derive(Debug)]
pub struct Lock(#[expect(dead_code, reason = "holds the lock until it is closed")] File);

impl ConfigDir {
    /// The named folder, or `sync-client` below `XDG_CONFIG_HOME` or `~/.config`.
    pub fn find(named: Option<&Path>) -> Result<Self, Error> {
        if let Some(named) = named {
            let path =
                std::path::absolute(named).map_err(|error| Error::Io(named.to_owned(), error))?;
            return Ok(Self(path));
        }
        let variable = |name| {
            std::env::var_os(name)
                .filter(|value| !value.is_empty())
                .map(PathBuf::from)
        };
        let above = variable("XDG_CONFIG_HOME").or_else(|| Some(variable("HOME")?.join(".config")));
        Ok(Self(above.ok_or(Error::NoHome)?.join(NAME)))
    }

    /// Makes it, for its owner alone, when it is not there.
    pub fn create(&self) -> Result<(), Error> {
        let made = DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.0);
        made.map_err(|error| Error::Io(self.0.clone(), error))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// A file in it.
    pub fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Puts a file in the place of an old one, for its owner alone; durable when it returns.
    pub fn write(&self, name: &str, bytes: &[u8]) -> Result<(), Error> {
        let new = self.file(&format!("{name}.{}.new", std::process::id()));
        write_private(&self.file(name), &new, bytes)
            .map_err(|error| Error::Io(self.file(name), error))
    }

    /// Keeps other processes out.
    pub fn lock(&self) -> Result<Lock, Error> {
        let path = self.file("lock");
        let file = try_lock(&path).map_err(|error| Error::Io(path, error))?;
        file.map(Lock).ok_or_else(|| Error::Locked(self.0.clone()))
    }
}

/// Puts a file in the place of an old one, for its owner alone; durable when it returns. It is called `new`, which
/// lies beside it, while it is written: nobody else may write that meanwhile.
pub fn write_private(path: &Path, new: &Path, bytes: &[u8]) -> io::Result<()> {
    // One that was left behind may be readable by others.
    remove_file(new)?;
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(new)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(new, path)?;
    File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()
}

/// Locks a file, which is made when it is not there, until it is closed; `None` when somebody else has locked it.
pub fn try_lock(path: &Path) -> io::Result<Option<File>> {
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Some(file)),
        Err(Errno::WOULDBLOCK) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Removes a file; it is fine when it is not there.
pub fn remove_file(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn what_was_left_behind_by_a_crash_opens_no_settings_to_others() {
        let directory = tempfile::tempdir().unwrap();
        let dir = ConfigDir(directory.path().to_owned());
        let left = dir.file(&format!("config.yaml.{}.new", std::process::id()));
        fs::write(&left, "half of what was there").unwrap();
        fs::set_permissions(&left, fs::Permissions::from_mode(0o644)).unwrap();
        dir.write("config.yaml", b"all").unwrap();
        let about = fs::metadata(dir.file("config.yaml")).unwrap();
        assert_eq!(about.permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read(dir.file("config.yaml")).unwrap(), b"all");
        assert!(!left.exists());
    }
}
