//! Logging in, and the devices of an account.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What kind of program a device runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum DeviceType {
    /// A WebDAV client with an app password.
    Webdav,
    /// The Linux daemon.
    Linux,
    /// A phone app.
    Mobile,
    /// A watch.
    Garmin,
    /// A browser.
    Web,
}

/// Registers a device: with the account's name and password, or with a pairing code.
#[derive(Clone, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Register {
    /// The account's name; not with a code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, max_length = 256)]
    pub account: Option<String>,
    /// The account's password; not with a code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, max_length = 1024)]
    pub password: Option<String>,
    /// A pairing code in place of name and password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, max_length = 64)]
    pub code: Option<String>,
    /// What the device is called, for its owner.
    #[schema(min_length = 1, max_length = 255)]
    pub name: String,
    /// `linux`, `mobile` or `web`; watches pair on their own route.
    #[serde(rename = "type")]
    pub kind: DeviceType,
}

/// Logs a device in again, or somebody without a device.
#[derive(Clone, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Login {
    /// The account's name.
    #[schema(max_length = 256)]
    pub account: String,
    /// The account's password, or the app password of a device.
    #[schema(max_length = 1024)]
    pub password: String,
    /// The id of a device that was registered before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub device: Option<i64>,
}

/// Exchanges a refresh token for fresh tokens; it ends with that.
#[derive(Clone, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Refresh {
    /// The refresh token of the last answer.
    #[schema(max_length = 256)]
    pub refresh_token: String,
}

/// The tokens of a device.
#[derive(Clone, Deserialize, Serialize, ToSchema)]
pub struct Tokens {
    /// Goes with every request: `Authorization: Bearer …`.
    pub access_token: String,
    /// Always `Bearer`.
    pub token_type: String,
    /// Seconds until the access token ends.
    pub expires_in: u64,
    /// Gives the next tokens, once.
    pub refresh_token: String,
    /// Who is logged in.
    pub account: Account,
    /// With which device; `null` for a log-in without one.
    pub device: Option<DeviceName>,
}

/// An account.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
pub struct Account {
    /// Its id.
    pub id: i64,
    /// Its name.
    pub name: String,
    /// Whether it may administer the server.
    pub admin: bool,
}

/// A device in short.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
pub struct DeviceName {
    /// Its id.
    pub id: i64,
    /// Its name.
    pub name: String,
    /// What it runs.
    #[serde(rename = "type")]
    pub kind: DeviceType,
}

/// A device of the account.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
pub struct Device {
    /// Its id.
    pub id: i64,
    /// Its name.
    pub name: String,
    /// What it runs.
    #[serde(rename = "type")]
    pub kind: DeviceType,
    /// When it was added.
    pub created: i64,
    /// When it last synced.
    pub last_sync: Option<i64>,
    /// When it was revoked.
    pub revoked: Option<i64>,
    /// Whether it is the one that asks.
    pub current: bool,
}

/// The devices of the account.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct Devices {
    /// In the order they were added, revoked ones included.
    pub items: Vec<Device>,
}

/// A new name for a device.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Rename {
    /// The name.
    #[schema(min_length = 1, max_length = 255)]
    pub name: String,
}

/// A code that registers one device without a password.
#[derive(Clone, Deserialize, Serialize, ToSchema)]
pub struct PairingCode {
    /// Eight characters to type or scan on the new device.
    pub code: String,
    /// Seconds until it ends.
    pub expires_in: u64,
}

/// The digits a watch shows.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Confirm {
    /// Six digits.
    #[schema(pattern = "^[0-9]{6}$")]
    pub code: String,
    /// What the watch is called, for its owner.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, min_length = 1, max_length = 255)]
    pub name: Option<String>,
}
