//! Ending conflicts: which side is whose, what differs, and what stays.
//!
//! [`sides`], [`diff`], [`merge`] and [`keys`] are pure; [`compare`] and [`act`] talk to the server; [`screen`]
//! and [`editor`] to whoever sits there.

pub mod act;
pub mod compare;
pub mod diff;
pub mod editor;
pub mod keys;
pub mod merge;
pub mod screen;
pub mod sides;
pub mod signals;
mod ui;

use std::io;

use super::remote;

/// Why a conflict was not resolved.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The server.
    #[error("{0}")]
    Remote(#[from] remote::Error),
    /// Reading or writing something.
    #[error("{0}: {1}")]
    Io(&'static str, #[source] io::Error),
    /// It cannot be done, or not in this way.
    #[error("{0}")]
    Refused(String),
    /// A signal came, by its number.
    #[error("stopped by signal {0}")]
    Signal(u8),
}

/// What came of it.
pub type Result<T, E = Error> = std::result::Result<T, E>;

#[cfg(test)]
mod tests;
