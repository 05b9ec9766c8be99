//! Why an account could not be changed, and why a login was refused.

use std::sync::Arc;
use std::time::Duration;

use super::name::NameError;
use super::password::{HashError, PasswordError};
use crate::store;

/// Result of a change to accounts.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a change to accounts was refused or failed. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A name that cannot be.
    #[error(transparent)]
    Name(#[from] NameError),
    /// A password that cannot be.
    #[error(transparent)]
    Password(#[from] PasswordError),
    /// A device name that is empty, too long or holds control characters.
    #[error("a device name must have 1 to 255 characters and no control characters")]
    DeviceName,
    /// Another account has the name (or one that differs only in case).
    #[error("the name is taken")]
    Taken,
    /// No such account or device.
    #[error("no such account or device")]
    NotFound,
    /// The log-in that asks has ended meanwhile.
    #[error("the log-in has ended")]
    LoggedOut,
    /// Too many passwords are being hashed already.
    #[error("too many passwords are being checked, try again")]
    Busy,
    /// The account's space could not be made.
    #[error("the account's space could not be made: {0}")]
    Space(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] store::Error),
}

impl From<HashError> for Error {
    fn from(error: HashError) -> Self {
        match error {
            HashError::Busy => Self::Busy,
            HashError::Damaged => Self::Store(store::Error::Corrupt(DAMAGED)),
        }
    }
}

/// Why a login was refused.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Denied {
    /// Unknown user, wrong password, a revoked device or a token of no log-in: 401.
    #[error("wrong credentials")]
    Wrong,
    /// An access token that this server did not sign for its API: 401.
    #[error("not one of our tokens")]
    Forged,
    /// An access token of a log-in that has ended: 401.
    #[error("the log-in has ended")]
    Ended,
    /// An access token whose time is over; the refresh token gives another one: 401.
    #[error("the access token has expired")]
    Expired,
    /// Too many failures: 429 with `Retry-After`.
    #[error("too many failed logins")]
    Limited {
        /// Until the limit ends.
        retry_after: Duration,
    },
    /// Too many passwords are being checked already: 503.
    #[error("too many passwords are being checked")]
    Busy,
    /// The store failed. Shared, because requests with the same credentials share one check.
    #[error(transparent)]
    Store(Arc<store::Error>),
}

impl Denied {
    /// What metrics call it.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Wrong => "wrong",
            Self::Forged => "forged",
            Self::Ended => "ended",
            Self::Expired => "expired",
            Self::Limited { .. } => "limited",
            Self::Busy => "busy",
            Self::Store(_) => "store",
        }
    }
}

impl From<store::Error> for Denied {
    fn from(error: store::Error) -> Self {
        Self::Store(Arc::new(error))
    }
}

impl From<HashError> for Denied {
    fn from(error: HashError) -> Self {
        match error {
            HashError::Busy => Self::Busy,
            HashError::Damaged => store::Error::Corrupt(DAMAGED).into(),
        }
    }
}

/// Why a device was not let in. Nothing was changed, except that a token used twice ends its log-in.
#[derive(Clone, Debug, thiserror::Error)]
pub enum LoginError {
    /// Unknown user, wrong password or pairing code.
    #[error("wrong user name, password or code")]
    Wrong,
    /// A refresh token of no log-in, or of one that has ended.
    #[error("the log-in has ended")]
    Ended,
    /// Too many failures.
    #[error("too many failed logins")]
    Limited {
        /// Until the limit ends.
        retry_after: Duration,
    },
    /// Too many passwords are being checked already.
    #[error("too many passwords are being checked")]
    Busy,
    /// The log-in is too old or was not used for too long.
    #[error("the log-in has expired")]
    Expired,
    /// The refresh token was exchanged a moment ago, twice already. The log-in goes on.
    #[error("the refresh token was exchanged a moment ago; the log-in goes on")]
    Replaced,
    /// The refresh token was used before, and its log-in has ended with that.
    #[error("the refresh token was used before; the log-in has ended")]
    Reused,
    /// The credentials are right, but not for this. The text tells a person what to do.
    #[error("{0}")]
    NotAllowed(&'static str),
    /// A device name that is empty, too long or holds control characters.
    #[error("a device name must have 1 to 255 characters and no control characters")]
    DeviceName,
    /// The account has no such device, or it was revoked.
    #[error("no such device")]
    NotFound,
    /// The store failed.
    #[error(transparent)]
    Store(Arc<store::Error>),
}

impl LoginError {
    /// What metrics call it; `None` when the credentials were right.
    pub fn reason(&self) -> Option<&'static str> {
        match self {
            Self::Wrong => Some("wrong"),
            Self::Ended => Some("ended"),
            Self::Limited { .. } => Some("limited"),
            Self::Busy => Some("busy"),
            Self::Expired => Some("expired"),
            Self::Replaced | Self::Reused => Some("reused"),
            Self::Store(_) => Some("store"),
            Self::NotAllowed(_) | Self::DeviceName | Self::NotFound => None,
        }
    }
}

impl From<store::Error> for LoginError {
    fn from(error: store::Error) -> Self {
        Self::Store(Arc::new(error))
    }
}

impl From<Denied> for LoginError {
    fn from(denied: Denied) -> Self {
        match denied {
            Denied::Wrong => Self::Wrong,
            Denied::Forged | Denied::Ended => Self::Ended,
            Denied::Expired => Self::Expired,
            Denied::Limited { retry_after } => Self::Limited { retry_after },
            Denied::Busy => Self::Busy,
            Denied::Store(error) => Self::Store(error),
        }
    }
}

const DAMAGED: &str = "an account's password hash cannot be read";
