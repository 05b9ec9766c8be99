//! The folder of settings: nobody but its owner may look into it.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

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
        self.replace(name, bytes)
            .map_err(|error| Error::Io(self.file(name), error))
    }

    fn replace(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let new = self.file(&format!("{name}.{}.new", std::process::id()));
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&new)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&new, self.file(name))?;
        File::open(&self.0)?.sync_all()
    }

    /// Keeps other processes out.
    pub fn lock(&self) -> Result<Lock, Error> {
        let path = self.file("lock");
        let opened = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path);
        let file = opened.map_err(|error| Error::Io(path.clone(), error))?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Lock(file)),
            Err(rustix::io::Errno::WOULDBLOCK) => Err(Error::Locked(self.0.clone())),
            Err(error) => Err(Error::Io(path, error.into())),
        }
    }
}
