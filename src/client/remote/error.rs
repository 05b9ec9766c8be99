//! What can go wrong between here and the server: one kind for each thing that a caller does about it.

use std::io;
use std::time::Duration;

use crate::protocol::problem::Problem;

/// Why a request has no answer that can be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No connection: the request was not sent. Try again later.
    #[error("cannot reach the server: {0}")]
    Offline(String),
    /// The connection broke: the request may have been done. Try again as `docs/API.md` says.
    #[error("the connection to the server broke: {0}")]
    Broken(String),
    /// The server cannot be trusted. Only other settings help.
    #[error("{0}")]
    Tls(String),
    /// The address of the server cannot be used. Only other settings help.
    #[error("the server's address {0}")]
    Address(String),
    /// What answers does not speak as the server does: a captive portal, a proxy, another program.
    #[error("this is no answer of a sync-server: {0}")]
    Protocol(String),
    /// The log-in is over.
    #[error("log in again with `sync-client configure`: {0}")]
    LoggedOut(String),
    /// The access token had ended and was renewed; the body was used up. Send the request again.
    #[error("the log-in was renewed while the request was sent")]
    Renewed,
    /// The server has no time for it now.
    #[error("the server is busy: {problem}")]
    Busy {
        /// What it said.
        problem: Box<Refusal>,
        /// When to try again.
        after: Option<Duration>,
    },
    /// The server refused it. The same request would be refused again.
    #[error("{0}")]
    Refused(Box<Refusal>),
    /// The body to be sent could not be read to its end.
    #[error("cannot read what is to be sent: {0}")]
    Source(#[source] io::Error),
    /// The tokens could not be kept: a full disk, a locked keyring. Nothing goes on before they can, or the log-in
    /// would be lost. Try again later.
    #[error("cannot store the log-in: {0}")]
    Store(#[source] io::Error),
}

/// What came of a request.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A refusal of the server.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: {}", .problem.title, .problem.detail)]
pub struct Refusal {
    /// The problem.
    pub problem: Problem,
}

impl Error {
    /// The name of the problem (`not-found` …), when the server refused.
    pub fn problem(&self) -> Option<&str> {
        match self {
            Self::Refused(refusal)
            | Self::Busy {
                problem: refusal, ..
            } => Some(refusal.problem.name()),
            Self::Offline(_)
            | Self::Broken(_)
            | Self::Tls(_)
            | Self::Address(_)
            | Self::Protocol(_)
            | Self::LoggedOut(_)
            | Self::Renewed
            | Self::Source(_)
            | Self::Store(_) => None,
        }
    }

    /// The same error once more, where it says all in words.
    pub(super) fn again(&self) -> Option<Self> {
        match self {
            Self::Offline(text) => Some(Self::Offline(text.clone())),
            Self::Tls(text) => Some(Self::Tls(text.clone())),
            Self::Address(text) => Some(Self::Address(text.clone())),
            Self::LoggedOut(text) => Some(Self::LoggedOut(text.clone())),
            Self::Broken(_)
            | Self::Protocol(_)
            | Self::Renewed
            | Self::Busy { .. }
            | Self::Refused(_)
            | Self::Source(_)
            | Self::Store(_) => None,
        }
    }

    /// Whether it is about this request alone, and others may go on.
    pub fn is_of_one(&self) -> bool {
        matches!(self, Self::Refused(_) | Self::Source(_))
    }

    /// Whether the same may succeed later without anybody doing something about it.
    pub fn passes(&self) -> bool {
        match self {
            Self::Offline(_)
            | Self::Broken(_)
            | Self::Protocol(_)
            | Self::Renewed
            | Self::Store(_)
            | Self::Busy { .. } => true,
            Self::Refused(refusal) => {
                refusal.problem.status >= 500 && refusal.problem.status != 507
            }
            Self::Tls(_) | Self::Address(_) | Self::LoggedOut(_) | Self::Source(_) => false,
        }
    }
}

/// An error and all that it came from, in one line.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(error) = next {
        let said = error.to_string();
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        next = error.source();
    }
    text
}
