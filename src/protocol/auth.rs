//! Logging in, and the devices of an account.

use http::HeaderName;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::schema;

/// The header of an access token by itself. The compression of HTTP/2 names a value that was sent before by a byte or
/// two, but never one of `Authorization` (RFC 7541 §7.1.3).
pub const ACCESS_TOKEN: HeaderName = HeaderName::from_static("x-access-token");

/// What kind of program a device runs: a WebDAV client with an app password, the Linux daemon, a
/// phone app, a watch, or a browser.
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
    #[schema(max_length = 256, examples("alice"))]
    pub account: Option<String>,
    /// The account's password; not with a code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 1024, format = Password)]
    pub password: Option<String>,
    /// A pairing code in place of name and password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 64, examples("ABCD2345"))]
    pub code: Option<String>,
    /// What the device is called, for its owner.
    #[schema(value_type = schema::Label)]
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
    #[schema(max_length = 256, examples("alice"))]
    pub account: String,
    /// The account's password, or the app password of a device.
    #[schema(max_length = 1024, format = Password)]
    pub password: String,
    /// The id of a device that was registered before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::Id>)]
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
    /// Goes with every request: `Authorization: Bearer …`, or by itself as [`ACCESS_TOKEN`].
    pub access_token: String,
    /// Always `Bearer`.
    #[schema(examples("Bearer"))]
    pub token_type: String,
    /// Seconds until the access token ends.
    #[schema(examples(900))]
    pub expires_in: u64,
    /// Gives the next tokens, once.
    pub refresh_token: String,
    /// Who is logged in.
    pub account: Account,
    /// With which device; `null` for a log-in without one.
    #[schema(required)]
    pub device: Option<DeviceName>,
}

/// An account.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
pub struct Account {
    /// Its id.
    #[schema(value_type = schema::Id)]
    pub id: i64,
    /// Its name.
    #[schema(examples("alice"))]
    pub name: String,
    /// Whether it may administer the server.
    pub admin: bool,
}

/// A device in short.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
pub struct DeviceName {
    /// Its id.
    #[schema(value_type = schema::Id)]
    pub id: i64,
    /// Its name.
    #[schema(value_type = schema::Label)]
    pub name: String,
    /// What it runs.
    #[serde(rename = "type")]
    pub kind: DeviceType,
}

/// A device of the account.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
pub struct Device {
    /// Its id.
    #[schema(value_type = schema::Id)]
    pub id: i64,
    /// Its name.
    #[schema(value_type = schema::Label)]
    pub name: String,
    /// What it runs.
    #[serde(rename = "type")]
    pub kind: DeviceType,
    /// When it was added.
    #[schema(value_type = schema::Time)]
    pub created: i64,
    /// When it last synced.
    #[schema(value_type = Option<schema::Time>, required)]
    pub last_sync: Option<i64>,
    /// When it was revoked.
    #[schema(value_type = Option<schema::Time>, required)]
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
    #[schema(value_type = schema::Label)]
    pub name: String,
}

/// A code that registers one device without a password.
#[derive(Clone, Deserialize, Serialize, ToSchema)]
pub struct PairingCode {
    /// Eight characters to type or scan on the new device.
    #[schema(pattern = "^[A-Z2-9]{8}$", examples("ABCD2345"))]
    pub code: String,
    /// Seconds until it ends.
    pub expires_in: u64,
}

/// The digits a watch shows.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Confirm {
    /// Six digits.
    #[schema(pattern = "^[0-9]{6}$", examples("012345"))]
    pub code: String,
    /// What the watch is called, for its owner.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::Label>)]
    pub name: Option<String>,
}
