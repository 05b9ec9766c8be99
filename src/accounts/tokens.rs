//! What a device gets when it logs in.

use std::fmt;

use super::DeviceKind;
use crate::types::{AccountId, DeviceId};

/// The tokens of a log-in and whom they are for.
#[derive(Clone, PartialEq, Eq)]
pub struct Tokens {
    /// For the `Authorization: Bearer` of requests.
    pub access: String,
    /// Good once, for the next tokens.
    pub refresh: String,
    /// Seconds until the access token is over.
    pub expires_in: u64,
    /// The account.
    pub account: AccountId,
    /// Its name as it was given when it was made.
    pub name: String,
    /// Whether it may administer the server.
    pub admin: bool,
    /// The device; `None` for a log-in without one.
    pub device: Option<TokenDevice>,
}

/// The device of a log-in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenDevice {
    /// Its id.
    pub id: DeviceId,
    /// Its name.
    pub name: String,
    /// What it runs.
    pub kind: DeviceKind,
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokens")
            .field("account", &self.account)
            .field("device", &self.device)
            .field("expires_in", &self.expires_in)
            .finish_non_exhaustive()
    }
}
