//! Keeping a device in step: the feed, pushes, deltas, events.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::auth::{Account, DeviceName};
use super::files::Node;
use super::problem::Problem;

/// Where the account stands.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Status {
    /// Who asks.
    pub account: Account,
    /// With which device.
    pub device: Option<DeviceName>,
    /// When the device last synced.
    pub last_sync: Option<i64>,
    /// The spaces the account sees, its own first.
    pub spaces: Vec<SpaceStatus>,
    /// A cursor of this moment: a pull with it tells what happens from now on.
    pub cursor: String,
    /// Conflicts nobody has resolved, at most 500 counted.
    pub conflicts: u64,
    /// The server's version.
    pub version: String,
    /// The server's time.
    pub time: i64,
}

/// A space and its last turn.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SpaceStatus {
    /// The space.
    pub id: i64,
    /// Where it is in the account's tree.
    pub path: String,
    /// The node that is its root.
    pub root: i64,
    /// The turn of its last change.
    pub seq: i64,
}

/// Some changes, of each space oldest first.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Changes {
    /// The changes.
    pub changes: Vec<Change>,
    /// Where to go on.
    pub cursor: String,
    /// Whether there are more already.
    pub more: bool,
}

/// A node that is new or changed, or is there no more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Change {
    /// The node.
    pub id: i64,
    /// The space it lies in.
    pub space: i64,
    /// It is not there any more, and nothing below it.
    pub deleted: bool,
    /// It came back from trash: what lies below has not changed since and must be listed.
    pub restored: bool,
    /// As it is now; `null` when it was deleted.
    pub node: Option<Node>,
}

/// The keys with which members of a space name its chunks and contents. None opens sealed bytes.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
pub struct SpaceKeys {
    /// The space.
    pub space: i64,
    /// Key of chunk ids, hex.
    pub chunk: String,
    /// Key of their stand-ins, hex.
    pub blind: String,
    /// Key of roots, hex.
    pub root: String,
    /// Seed of the cutter, hex.
    pub gear: String,
}

/// How finely a content is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Class {
    /// 16 / 64 / 256 KiB.
    Small,
    /// 128 / 512 / 2048 KiB.
    Large,
}

/// What to do when the base is not the head any more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum OnConflict {
    /// Keep both: the later modification wins, the other stays beside it.
    #[default]
    Keep,
    /// Change nothing and say so.
    Refuse,
}

/// The header of an item in a push stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "op", rename_all = "lowercase", deny_unknown_fields)]
pub enum PushItem {
    /// A file; its operations follow.
    Put(PushPut),
    /// A collection.
    Mkdir {
        /// Where; it is fine when it is there already.
        path: String,
        /// Its modification time.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        mtime: Option<i64>,
    },
    /// Moves a node.
    Move {
        /// What.
        from: String,
        /// Where to.
        to: String,
        /// Whether what is there may be replaced.
        #[serde(default)]
        overwrite: bool,
    },
    /// Copies a node with everything below.
    Copy {
        /// What.
        from: String,
        /// Where to.
        to: String,
        /// Whether what is there may be replaced.
        #[serde(default)]
        overwrite: bool,
    },
    /// Sends a node to trash.
    Delete {
        /// Which.
        path: String,
        /// The etag it should have; else nothing is changed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        base: Option<String>,
    },
}

/// A file in a push.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PushPut {
    /// Where.
    pub path: String,
    /// Bytes of the whole file.
    pub size: u64,
    /// The etag of the version it was made from, or `none` when nothing should be there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<String>,
    /// The root of its content, 32 hex digits. Needed for COPY, REF, PATCH and SAME.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root: Option<String>,
    /// A checksum of the whole file in place of a root.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checksum: Option<String>,
    /// Its modification time; now when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mtime: Option<i64>,
    /// Its creation time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<i64>,
    /// How the sender cut it; by its size when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<Class>,
    /// The node whose version `from` is, when it is not the one at `path`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<i64>,
    /// The etag of the version that COPY and PATCH refer to; `base` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// What to do when the base is not the head any more.
    #[serde(default)]
    pub conflict: OnConflict,
}

/// What became of one item of a push.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum PushStatus {
    /// Done; `node` is as it is now.
    Done,
    /// The base is not the head any more, and the item said `refuse`; `node` is the head.
    Stale,
    /// The server lacks what the operations refer to; send the file again with other operations.
    Need,
    /// Refused; `problem` says why.
    Error,
}

/// What the server lacks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Need {
    /// The version that COPY and PATCH refer to.
    Base,
    /// A content with this root.
    Content,
    /// These chunks, by their stand-ins, 32 hex digits each; perhaps others, too.
    Chunks(Vec<String>),
}

/// What became of one item of a push, in the order of the items.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PushResult {
    /// What became of it.
    pub status: PushStatus,
    /// The node as it is now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<Node>,
    /// The file that keeps the bytes that lost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conflict: Option<Node>,
    /// Of a file: the etag of the bytes that were sent, wherever they are by now. When it is not
    /// that of `node`, somebody else's bytes are current: pull.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
    /// What the server lacks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub need: Option<Need>,
    /// Why it was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<Problem>,
}

/// What became of a push.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Pushed {
    /// One for each item, in their order.
    pub results: Vec<PushResult>,
}

/// The header of a delta.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DeltaHead {
    /// The file.
    pub id: i64,
    /// The etag of the version that COPY and PATCH refer to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// The etag of the version that comes out.
    pub to: String,
    /// Bytes of the whole file.
    pub size: u64,
    /// The root of its content, 32 hex digits.
    pub root: String,
    /// How it is cut.
    pub class: Class,
}

/// Asks for signatures of parts of a version.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SignatureRequest {
    /// The file.
    pub id: i64,
    /// The etag of the version; the current one when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, max_length = 64)]
    pub etag: Option<String>,
    /// Bytes of a block.
    #[schema(minimum = 512, maximum = 65536)]
    pub block: u32,
    /// Offset and length of each part.
    #[schema(max_items = 4096)]
    pub ranges: Vec<(u64, u64)>,
}

/// A hint that a space has changed: pull.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Event {
    /// The space.
    pub space: i64,
    /// The turn of its last change.
    pub seq: i64,
}

/// What a long poll heard.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Poll {
    /// Spaces that have changed since the cursor; empty when the time ran out.
    pub events: Vec<Event>,
}

/// A line of the activity log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LogEntry {
    /// Rising.
    pub id: i64,
    /// The device that acted.
    pub device: Option<i64>,
    /// Where.
    pub space: i64,
    /// On which node.
    pub node: i64,
    /// `upload`, `download`, `delete` and others.
    pub action: String,
    /// Bytes concerned.
    pub size: u64,
    /// When.
    pub at: i64,
}

/// Some of the account's activity.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Log {
    /// Newest first.
    pub items: Vec<LogEntry>,
    /// Give this as `before` to get what came earlier; `null` at the end.
    pub next: Option<i64>,
}
