//! What `sync-client` is asked to do.

mod configure;
mod conflicts;
mod opened;
mod resolve;
mod settings;
mod status;
mod sync;

use std::io::{self, Write as _};
use std::process::ExitCode;

use super::cli::{Cli, Command};
use super::config::{self, ConfigDir};
use super::local::folder::FolderError;
use super::{daemon, journal, pass, remote, resolve as resolving};

pub(crate) use opened::{Opened, set_limits};

/// Exit code when somebody should be asked before nearly everything is deleted.
const QUESTION: u8 = 3;
/// Exit code when the rest is in step, and some files are not.
const NOT_ALL: u8 = 4;

/// Added to the number of a signal that ended it, as shells do.
const SIGNALLED: u8 = 128;

/// Why a command did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The settings.
    #[error("{0}")]
    Config(#[from] config::Error),
    /// The server.
    #[error("{0}")]
    Remote(#[from] remote::Error),
    /// The journal.
    #[error("{0}")]
    Journal(#[from] journal::Error),
    /// The folder.
    #[error("{0}")]
    Folder(#[from] FolderError),
    /// Bringing both sides in step.
    #[error("{0}")]
    Pass(#[from] pass::Error),
    /// Ending conflicts.
    #[error("{0}")]
    Resolve(#[from] resolving::Error),
    /// Some conflicts stay.
    #[error("conflicts that are not resolved: {0}")]
    Unresolved(usize),
    /// Reading or writing something.
    #[error("{0}: {1}")]
    Io(&'static str, #[source] io::Error),
    /// Something that was said cannot be.
    #[error("{0}")]
    Said(String),
    /// Some files are not in step.
    #[error("{0} files are not in step; `sync-client status` names them")]
    NotAll(u64),
}

impl Error {
    /// What the shell is told.
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::Pass(pass::Error::TooMuch(_)) => ExitCode::from(QUESTION),
            Self::NotAll(_) | Self::Unresolved(_) => ExitCode::from(NOT_ALL),
            Self::Resolve(resolving::Error::Signal(number)) => ExitCode::from(SIGNALLED | number),
            Self::Said(_) | Self::Config(config::Error::Missing(_)) => ExitCode::from(2),
            Self::Config(_)
            | Self::Remote(_)
            | Self::Journal(_)
            | Self::Folder(_)
            | Self::Pass(_)
            | Self::Resolve(_)
            | Self::Io(..) => ExitCode::FAILURE,
        }
    }
}

/// Does what the command line asks.
pub async fn run(cli: Cli) -> Result<(), Error> {
    let dir = ConfigDir::find(cli.config_dir.as_deref())?;
    let json = cli.json;
    match cli.command {
        Command::Configure(asked) => configure::configure(&dir, &asked, json).await,
        Command::Sync(asked) => sync::sync(&dir, &asked, json).await,
        Command::Daemon => daemon::run(&dir).await,
        Command::Status => status::status(&dir, json).await,
        Command::Conflicts => conflicts::list(&dir, json).await,
        Command::Resolve(asked) => resolve::resolve(&dir, &asked, json).await,
        Command::Select(asked) => settings::select(&dir, &asked, json).await,
        Command::Limit(asked) => settings::limit(&dir, &asked, json).await,
        Command::Pause => settings::pause(&dir, true, json).await,
        Command::Resume => settings::pause(&dir, false, json).await,
    }
}

/// Writes to standard output; nobody reads on when that fails.
pub(super) fn say(text: &str) -> Result<(), Error> {
    let mut out = io::stdout().lock();
    match writeln!(out, "{text}") {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Error::Io("standard output", error))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Writes a value as JSON.
pub(super) fn say_json(value: &impl serde::Serialize) -> Result<(), Error> {
    let text = serde_json::to_string(value).map_err(|error| Error::Said(error.to_string()))?;
    say(&text)
}
