//! Keeping a device in step: the feed, pushes, deltas, events.

use std::ops::Not;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::auth::{Account, DeviceName};
use super::files::Node;
use super::problem::Problem;
use super::schema;
use crate::chunk;

/// Where the account stands.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Status {
    /// Who asks.
    pub account: Account,
    /// With which device.
    #[schema(required)]
    pub device: Option<DeviceName>,
    /// When the device last synced.
    #[schema(value_type = Option<schema::Time>, required)]
    pub last_sync: Option<i64>,
    /// The spaces the account sees, its own first.
    pub spaces: Vec<SpaceStatus>,
    /// A cursor of this moment: a pull with it tells what happens from now on.
    #[schema(value_type = schema::Cursor)]
    pub cursor: String,
    /// Conflicts nobody has resolved, at most 500 counted.
    #[schema(minimum = 0, maximum = 500)]
    pub conflicts: u64,
    /// The server's version.
    pub version: String,
    /// The server's time.
    #[schema(value_type = schema::Time)]
    pub time: i64,
}

/// A space and its last turn.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SpaceStatus {
    /// The space.
    #[schema(value_type = schema::Id)]
    pub id: i64,
    /// Where it is in the account's tree.
    #[schema(value_type = schema::Path)]
    pub path: String,
    /// The node that is its root.
    #[schema(value_type = schema::Id)]
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
    #[schema(value_type = schema::Cursor)]
    pub cursor: String,
    /// Whether there are more already.
    pub more: bool,
}

/// A node that is new or changed, or is there no more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Change {
    /// The node.
    #[schema(value_type = schema::Id)]
    pub id: i64,
    /// The space it lies in.
    #[schema(value_type = schema::Id)]
    pub space: i64,
    /// It is not there any more, and nothing below it.
    pub deleted: bool,
    /// It came back from trash: what lies below has not changed since and must be listed.
    pub restored: bool,
    /// As it is now; `null` when it was deleted.
    #[schema(required)]
    pub node: Option<Node>,
}

/// The keys with which members of a space name its chunks and contents. None opens sealed bytes.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SpaceKeys {
    /// The space.
    #[schema(value_type = schema::Id)]
    pub space: i64,
    /// Key of chunk ids.
    #[schema(value_type = schema::Key)]
    pub chunk: String,
    /// Key of their stand-ins.
    #[schema(value_type = schema::Key)]
    pub blind: String,
    /// Key of roots.
    #[schema(value_type = schema::Key)]
    pub root: String,
    /// Seed of the cutter: 8 bytes as hexadecimal digits.
    #[schema(pattern = "^[0-9a-f]{16}$")]
    pub gear: String,
}

/// How finely a content is cut: `small` into 16 to 256 KiB, about 64; `large` into 128 KiB to 2 MiB,
/// about 512 KiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Class {
    /// 16 / 64 / 256 KiB.
    Small,
    /// 128 / 512 / 2048 KiB.
    Large,
}

impl From<chunk::Class> for Class {
    fn from(class: chunk::Class) -> Self {
        match class {
            chunk::Class::Small => Self::Small,
            chunk::Class::Large => Self::Large,
        }
    }
}

impl From<Class> for chunk::Class {
    fn from(class: Class) -> Self {
        match class {
            Class::Small => Self::Small,
            Class::Large => Self::Large,
        }
    }
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

impl OnConflict {
    #[expect(
        clippy::trivially_copy_pass_by_ref,
        reason = "serde hands out a reference"
    )]
    fn is_keep(&self) -> bool {
        *self == Self::Keep
    }
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
        #[schema(value_type = schema::Path)]
        path: String,
        /// Its modification time.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schema(value_type = Option<schema::Time>)]
        mtime: Option<i64>,
    },
    /// Moves a node.
    Move {
        /// What.
        #[schema(value_type = schema::Path)]
        from: String,
        /// Where to.
        #[schema(value_type = schema::Path)]
        to: String,
        /// Whether what is there may be replaced.
        #[serde(default)]
        overwrite: bool,
    },
    /// Copies a node with everything below.
    Copy {
        /// What.
        #[schema(value_type = schema::Path)]
        from: String,
        /// Where to.
        #[schema(value_type = schema::Path)]
        to: String,
        /// Whether what is there may be replaced.
        #[serde(default)]
        overwrite: bool,
    },
    /// Sends a node to trash.
    Delete {
        /// Which.
        #[schema(value_type = schema::Path)]
        path: String,
        /// Its id: then it goes wherever it lies by now, and nothing else goes that has come to the path.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schema(value_type = Option<schema::Id>)]
        id: Option<i64>,
        /// The collection it lies in; with the id. When it lies in another one by now, or under another name, nothing is
        /// changed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schema(value_type = Option<schema::Id>)]
        parent: Option<i64>,
        /// The etag it should have; else nothing is changed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schema(value_type = Option<schema::ETag>)]
        base: Option<String>,
    },
}

/// A file in a push.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PushPut {
    /// Where.
    #[schema(value_type = schema::Path)]
    pub path: String,
    /// Bytes of the whole file.
    #[schema(value_type = schema::Size)]
    pub size: u64,
    /// The etag of the version it was made from, or `none` when nothing should be there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::Base>)]
    pub base: Option<String>,
    /// The root of its content, 32 hex digits. Needed for COPY, REF, PATCH and SAME.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::Digest>)]
    pub root: Option<String>,
    /// A checksum of the whole file in place of a root.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::Checksum>)]
    pub checksum: Option<String>,
    /// Its modification time; now when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::Time>)]
    pub mtime: Option<i64>,
    /// Its creation time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::Time>)]
    pub created: Option<i64>,
    /// How the sender cut it; by its size when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<Class>,
    /// The node whose version `from` is, when it is not the one at `path`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::Id>)]
    pub source: Option<i64>,
    /// The etag of the version that COPY and PATCH refer to; `base` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::FileTag>)]
    pub from: Option<String>,
    /// What to do when the base is not the head any more.
    #[serde(default, skip_serializing_if = "OnConflict::is_keep")]
    pub conflict: OnConflict,
    /// Whether it can be run; as it is when absent, and not for a new file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub executable: Option<bool>,
    /// Whether its bytes are the target of a symbolic link: UTF-8 without NUL, 1 to 4095 bytes.
    #[serde(default, skip_serializing_if = "Not::not")]
    #[schema(default = false)]
    pub link: bool,
}

/// What became of one item of a push: it is done (`node` is as it is now); it is stale (the base is
/// not the head any more, and the item said `refuse`; `node` is the head); the server needs what the
/// operations refer to (send the file again with other operations); or an error (`problem` says why).
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
    #[schema(nullable = false)]
    pub node: Option<Node>,
    /// The file that keeps the bytes that lost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub conflict: Option<Node>,
    /// Of a file: the etag of the bytes that were sent, wherever they are by now. When it is not
    /// that of `node`, somebody else's bytes are current: pull.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::FileTag>, nullable = false)]
    pub etag: Option<String>,
    /// What the server lacks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub need: Option<Need>,
    /// Why it was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub problem: Option<Problem>,
}

impl PushResult {
    /// What became of an item, with nothing beside it.
    pub fn bare(status: PushStatus) -> Self {
        Self {
            status,
            node: None,
            conflict: None,
            etag: None,
            need: None,
            problem: None,
        }
    }
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
    #[schema(value_type = schema::Id)]
    pub id: i64,
    /// The etag of the version that COPY and PATCH refer to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::FileTag>, nullable = false)]
    pub from: Option<String>,
    /// The etag of the version that comes out.
    #[schema(value_type = schema::FileTag)]
    pub to: String,
    /// Bytes of the whole file.
    #[schema(value_type = schema::Size)]
    pub size: u64,
    /// The root of its content, 32 hex digits.
    #[schema(value_type = schema::Digest)]
    pub root: String,
    /// How it is cut.
    pub class: Class,
}

/// Most files that are fetched in one answer.
pub const FETCH_MAX: usize = 1000;

/// Asks for many files in one answer.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FetchRequest {
    /// Which, at most [`FETCH_MAX`].
    #[schema(min_items = 1, max_items = 1000)]
    pub items: Vec<FetchItem>,
}

/// A version of a file that is wanted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FetchItem {
    /// The file.
    #[schema(value_type = schema::Id)]
    pub id: i64,
    /// The etag of the version the device has; none when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::FileTag>)]
    pub from: Option<String>,
    /// The etag of the version it wants.
    #[schema(value_type = schema::FileTag)]
    pub to: String,
}

/// The header of a file that was fetched with others: how it is made, or why it is not given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum FetchHead {
    /// Operations follow.
    Given(DeltaHead),
    /// END follows.
    Refused(FetchRefusal),
}

/// A file that is not given, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FetchRefusal {
    /// The file.
    #[schema(value_type = schema::Id)]
    pub id: i64,
    /// The etag of the version that was wanted.
    #[schema(value_type = schema::FileTag)]
    pub to: String,
    /// Why; `field` is `from` or `to` when that version is to blame.
    pub problem: Problem,
}

/// Asks for signatures of parts of a version.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SignatureRequest {
    /// The file.
    #[schema(value_type = schema::Id)]
    pub id: i64,
    /// The etag of the version; the current one when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::FileTag>)]
    pub etag: Option<String>,
    /// Bytes of a block.
    #[schema(minimum = 512, maximum = 65536)]
    pub block: u32,
    /// Offset and length of each part, in the order of their offsets and without overlaps.
    #[schema(value_type = Vec<schema::Part>, max_items = 4096)]
    pub ranges: Vec<(u64, u64)>,
}

/// A hint that a space has changed: pull.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Event {
    /// The space.
    #[schema(value_type = schema::Id)]
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
    #[schema(value_type = schema::Id)]
    pub id: i64,
    /// The device that acted.
    #[schema(value_type = Option<schema::Id>, required)]
    pub device: Option<i64>,
    /// Where.
    #[schema(value_type = schema::Id)]
    pub space: i64,
    /// On which node.
    #[schema(value_type = schema::Id)]
    pub node: i64,
    /// `upload`, `download`, `delete` and others.
    pub action: String,
    /// Bytes concerned.
    #[schema(value_type = schema::Size)]
    pub size: u64,
    /// When.
    #[schema(value_type = schema::Time)]
    pub at: i64,
}

/// Some of the account's activity.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Log {
    /// Newest first.
    pub items: Vec<LogEntry>,
    /// Give this as `before` to get what came earlier; `null` at the end.
    #[schema(value_type = Option<schema::Id>, required)]
    pub next: Option<i64>,
}
