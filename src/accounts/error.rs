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
    #[error("a device name must have 1 to 255 bytes and no control characters")]
    DeviceName,
    /// Another account has the name (or one that differs only in case).
    #[error("the name is taken")]
    Taken,
    /// No such account or device.
    #[error("no such account or device")]
    NotFound,
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
    /// Unknown user, wrong password or a revoked device: 401.
    #[error("wrong user name or password")]
    Wrong,
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

const DAMAGED: &str = "an account's password hash cannot be read";
