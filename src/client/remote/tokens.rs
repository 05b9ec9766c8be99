//! Where the tokens lie: a file that only its owner reads, or the keyring of the desktop.

mod keyring;

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep};

pub(super) use keyring::Tool;

use crate::client::config::{Secrets, remove_file, try_lock, write_private};
use crate::protocol::auth::Tokens;

/// Name of the file in the directory of the configuration.
const FILE: &str = "token.json";
/// Name of the empty file beside it that is locked while tokens are changed.
const LOCK: &str = "token.lock";
/// Longest wait for it: longer than an exchange takes that has to be tried again, with a slow keyring.
const LOCK_MAX: Duration = Duration::from_mins(3);
/// How often it is tried.
const LOOK: Duration = Duration::from_millis(50);

/// The tokens of a log-in, as they are stored.
#[derive(Clone, Serialize, Deserialize)]
pub struct Kept {
    /// Goes with every request.
    #[serde(rename = "access_token")]
    pub(super) access: String,
    /// When it ends, in milliseconds since 1970.
    #[serde(rename = "access_ends")]
    pub(super) ends: i64,
    /// Gives the next tokens, once.
    #[serde(rename = "refresh_token")]
    pub(super) refresh: String,
}

impl Kept {
    /// Tokens that the server gave to a request sent at `now`, in milliseconds since 1970.
    pub(super) fn of(tokens: &Tokens, now: i64) -> Self {
        let lives = i64::try_from(tokens.expires_in)
            .unwrap_or(i64::MAX)
            .saturating_mul(1000);
        Self {
            access: tokens.access_token.clone(),
            ends: now.saturating_add(lives),
            refresh: tokens.refresh_token.clone(),
        }
    }
}

/// Where the tokens lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A file with mode 0600.
    File(PathBuf),
    /// The Secret Service, by `secret-tool`; the directory of the configuration tells one log-in from others.
    Keyring(PathBuf),
}

impl Place {
    /// The place that a configuration says.
    pub fn of(directory: &Path, secrets: Secrets) -> Self {
        match secrets {
            Secrets::Keyring => Self::Keyring(directory.to_owned()),
            Secrets::File => Self::File(directory.join(FILE)),
        }
    }

    /// Tries whether the keyring can be used, where nobody asks for the file. Gives what to write into the
    /// configuration, and a line for the user when it is not what he asked for.
    pub async fn choose(asked: Option<Secrets>) -> (Secrets, Option<String>) {
        if asked == Some(Secrets::File) {
            return (Secrets::File, None);
        }
        match Tool::installed().try_out().await {
            Ok(()) => (Secrets::Keyring, None),
            Err(_) if asked.is_none() => (Secrets::File, None),
            Err(error) => {
                let line = format!(
                    "the keyring cannot be used ({error}): the log-in is kept in a file instead"
                );
                (Secrets::File, Some(line))
            }
        }
    }

    /// Keeps other processes, and other sessions of this one, from changing the tokens meanwhile. Waits for them;
    /// an exchange takes seconds.
    pub(super) async fn alone(&self) -> io::Result<Alone> {
        let path = match self {
            Self::File(path) => path.with_file_name(LOCK),
            Self::Keyring(directory) => directory.join(LOCK),
        };
        let until = Instant::now() + LOCK_MAX;
        loop {
            let tried = path.clone();
            let locked = blocking(move || try_lock(&tried)).await;
            if let Some(file) = locked.map_err(|error| named(&path, &error))? {
                return Ok(Alone(file));
            }
            if Instant::now() > until {
                let held = io::Error::new(io::ErrorKind::TimedOut, "another process holds it");
                return Err(named(&path, &held));
            }
            sleep(LOOK).await;
        }
    }

    /// Reads the tokens; `None` when there are none.
    pub async fn load(&self) -> io::Result<Option<Kept>> {
        let text = match self {
            Self::File(path) => {
                let path = path.clone();
                blocking(move || read(&path)).await?
            }
            Self::Keyring(directory) => {
                Tool::installed()
                    .lookup(&directory.to_string_lossy())
                    .await?
            }
        };
        let parse = |text: Vec<u8>| serde_json::from_slice(&text);
        let tokens = text.map(parse).transpose();
        tokens.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
    }

    /// Stores the tokens. They are there after a power failure, or those before are.
    pub async fn save(&self, tokens: &Kept) -> io::Result<()> {
        let text = serde_json::to_vec(tokens)?;
        match self {
            Self::File(path) => {
                let (to, new) = (path.clone(), path.with_extension("new"));
                let written = blocking(move || write_private(&to, &new, &text)).await;
                written.map_err(|error| named(path, &error))
            }
            Self::Keyring(directory) => {
                let name = directory.to_string_lossy();
                Tool::installed().store(&name, &text).await
            }
        }
    }

    /// Removes the tokens; it is fine when there are none.
    pub async fn forget(&self) -> io::Result<()> {
        match self {
            Self::File(path) => {
                let path = path.clone();
                blocking(move || remove_file(&path)).await
            }
            Self::Keyring(directory) => Tool::installed().clear(&directory.to_string_lossy()).await,
        }
    }
}

/// While it lives nobody else changes the tokens.
#[derive(Debug)]
pub(super) struct Alone(#[expect(dead_code, reason = "holds the lock until it is closed")] File);

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(io::Error::other)?
}

fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(named(path, &error)),
    }
}

fn named(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}
