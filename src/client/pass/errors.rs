//! Why a pass ended early. What concerns one file only is a trouble in the journal instead.

use crate::client::journal;
use crate::client::local::folder::FolderError;
use crate::client::local::scan::ScanError;
use crate::client::reconcile::Unsound;
use crate::client::reconcile::guard::{Removal, TooMuch};
use crate::client::remote;

/// Why a pass ended early.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The server.
    #[error("{0}")]
    Remote(#[from] remote::Error),
    /// The journal.
    #[error("{0}")]
    Journal(#[from] journal::Error),
    /// The folder is not what it was.
    #[error("{0}")]
    Folder(#[from] FolderError),
    /// The folder cannot be read.
    #[error("the folder cannot be read: {0}")]
    Unreadable(std::io::Error),
    /// Somebody should be asked first.
    #[error("{}", question(.0))]
    TooMuch(TooMuch),
    /// What was heard does not fit together.
    #[error("what is known of the server does not fit together ({0}); everything is heard anew")]
    Unsound(Unsound),
    /// The server says what cannot be.
    #[error("the server's answer cannot be: {0}")]
    Confused(&'static str),
    /// Something came in between: it has to be heard of first.
    #[error("the server has news")]
    Later,
    /// A collection on the server holds more than is kept here.
    #[error(
        "is deleted here, but on the server there are things in it that this device does not keep"
    )]
    Unknown,
    /// A task of ours ended early.
    #[error("a part of the work ended early: {0}")]
    Ended(String),
}

impl Error {
    /// Whether the same may succeed later without anybody doing something about it.
    pub fn passes(&self) -> bool {
        match self {
            Self::Remote(error) => error.passes(),
            Self::Unsound(_) | Self::Later => true,
            Self::Journal(_)
            | Self::Folder(_)
            | Self::Unreadable(_)
            | Self::TooMuch(_)
            | Self::Confused(_)
            | Self::Unknown
            | Self::Ended(_) => false,
        }
    }
}

impl From<ScanError<journal::Error>> for Error {
    fn from(error: ScanError<journal::Error>) -> Self {
        match error {
            ScanError::Folder(error) => Self::Folder(error),
            ScanError::Unreadable(error) => Self::Unreadable(error),
            ScanError::Known(error) => Self::Journal(error),
        }
    }
}

fn question(much: &TooMuch) -> String {
    let side = |removal: &Option<Removal>, at: &str| {
        removal.map(|removal| {
            format!(
                "{} of {} files {at}",
                removal.removed.files, removal.of.files
            )
        })
    };
    let sides = [side(&much.there, "on the server"), side(&much.here, "here")];
    let sides: Vec<_> = sides.into_iter().flatten().collect();
    format!(
        "this would delete {}. Nothing was deleted. If that is meant: sync-client sync --force-delete",
        sides.join(" and ")
    )
}
