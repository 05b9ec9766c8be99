//! Who a request acts for, once its credentials were checked.

use super::DeviceKind;
use crate::types::{AccountId, DeviceId, FamilyId, SpaceId};

/// A login that was checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// The account.
    pub account: AccountId,
    /// Its name as it was given when it was made.
    pub name: String,
    /// The account's own space.
    pub space: SpaceId,
    /// Whether it may administer the server.
    pub admin: bool,
    /// The device whose app password or token was used; `None` for the account's password.
    pub device: Option<DeviceId>,
    /// What that device runs.
    pub kind: Option<DeviceKind>,
    /// The log-in whose token was used; `None` for Basic.
    pub family: Option<FamilyId>,
}
