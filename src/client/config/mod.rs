//! What a device is set to: `config.yaml` in its folder of settings.
//!
//! Commands write it anew, so comments in it do not last.

mod dir;
mod limits;

use std::fs;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use bytesize::ByteSize;
use clap::ValueEnum;
use serde::{Deserialize, Serialize};

pub use dir::{ConfigDir, Lock, remove_file, try_lock, write_private};
pub use limits::{Limits, Rates, Window};

/// Name of the file with the settings.
const FILE: &str = "config.yaml";
/// A file of settings that is longer was not written by this program, in bytes.
const FILE_MAX: u64 = 1024 * 1024;

/// The settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There are none.
    #[error("this device is not set up: run `sync-client configure` first (no {0})")]
    Missing(PathBuf),
    /// They cannot be read or written.
    #[error("{0}: {1}")]
    Io(PathBuf, #[source] io::Error),
    /// They say what cannot be.
    #[error("{0}: {1}")]
    Invalid(PathBuf, String),
    /// Another process uses them.
    #[error("another sync-client is at work with {0}")]
    Locked(PathBuf),
    /// Nobody said where they lie.
    #[error("neither --config-dir nor XDG_CONFIG_HOME nor HOME says where the settings lie")]
    NoHome,
}

/// Where tokens are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Secrets {
    /// In a file that only its owner can read.
    #[default]
    File,
    /// In the Secret Service of the desktop.
    Keyring,
}

/// The settings of a device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Config {
    /// Address of the server, with a path when it lies below one.
    pub server: String,
    /// The account's name.
    pub account: String,
    /// What this device is called.
    pub device: String,
    /// The folder that is kept in step.
    pub folder: PathBuf,
    /// What the marker in the folder says, so that an empty mount point is not taken for an emptied folder.
    pub folder_id: String,
    /// Where tokens are kept.
    #[serde(default)]
    pub secrets: Secrets,
    /// A file of certificates (PEM) to trust besides those of the system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
    /// SHA-256 of the one certificate to trust, in hex digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<String>,
    /// Folders that are not kept on this device, with a leading slash.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exclude: Vec<String>,
    /// How fast it may send and receive.
    #[serde(default, skip_serializing_if = "Limits::is_free")]
    pub limits: Limits,
    /// Whether it waits until it is told to go on.
    #[serde(default)]
    pub paused: bool,
    /// How often the whole folder is looked at, besides what the system tells.
    #[serde(default = "scan_every", with = "humantime_serde")]
    pub scan_every: Duration,
    /// Most bytes of old versions kept for small transfers; 5 % of the file system when that is less.
    #[serde(default = "shadow")]
    pub shadow: ByteSize,
}

fn scan_every() -> Duration {
    Duration::from_mins(10)
}

fn shadow() -> ByteSize {
    ByteSize::gib(1)
}

impl Config {
    /// Settings for a folder, with nothing else said.
    pub fn new(folder: PathBuf, folder_id: String) -> Self {
        Self {
            server: String::new(),
            account: String::new(),
            device: String::new(),
            folder,
            folder_id,
            secrets: Secrets::File,
            ca_file: None,
            fingerprint: None,
            exclude: Vec::new(),
            limits: Limits::default(),
            paused: false,
            scan_every: scan_every(),
            shadow: shadow(),
        }
    }

    /// Reads the settings of a device.
    pub fn load(dir: &ConfigDir) -> Result<Self, Error> {
        let path = dir.file(FILE);
        let read = fs::metadata(&path).and_then(|about| match about.len() {
            ..=FILE_MAX => fs::read_to_string(&path),
            _ => Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "the file is too long",
            )),
        });
        let text = match read {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(Error::Missing(path));
            }
            Err(error) => return Err(Error::Io(path, error)),
        };
        let config: Self = match serde_saphyr::from_str(&text) {
            Ok(config) => config,
            Err(error) => return Err(Error::Invalid(path, error.to_string())),
        };
        match config.wrong() {
            Some(wrong) => Err(Error::Invalid(path, wrong)),
            None => Ok(config),
        }
    }

    /// Writes the settings, all or nothing.
    pub fn save(&self, dir: &ConfigDir) -> Result<(), Error> {
        let text = serde_saphyr::to_string(self)
            .map_err(|error| Error::Invalid(dir.file(FILE), error.to_string()))?;
        dir.write(FILE, text.as_bytes())
    }

    /// Whether a folder with a leading slash, or one above it, is kept from this device.
    pub fn excludes(&self, path: &str) -> bool {
        let below = |folder: &String| {
            path == folder
                || path
                    .strip_prefix(folder.as_str())
                    .is_some_and(|rest| rest.starts_with('/'))
        };
        self.exclude.iter().any(below)
    }

    fn wrong(&self) -> Option<String> {
        if !self.folder.is_absolute() {
            return Some("folder: has to begin with a slash".to_owned());
        }
        if let Some(folder) = self
            .exclude
            .iter()
            .find(|folder| !folder.starts_with('/') || folder.ends_with('/'))
        {
            return Some(format!(
                "exclude: `{folder}` has to begin with a slash and not to end with one"
            ));
        }
        self.limits.wrong()
    }
}
