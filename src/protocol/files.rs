//! Files and collections, their versions, the trash and conflicts.

use std::ops::Not;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::schema;

/// File or collection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Holds other nodes.
    Collection,
    /// Holds bytes.
    File,
}

/// A file or collection as it is now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Node {
    /// Stays the same when it is renamed or moved within its space.
    #[schema(value_type = schema::Id)]
    pub id: i64,
    /// The space it lies in: the account's own, or one that is shared.
    #[schema(value_type = schema::Id)]
    pub space: i64,
    /// The collection it lies in; `null` for the root of a space.
    #[schema(value_type = Option<schema::Id>, required)]
    pub parent: Option<i64>,
    /// Where it is, with a leading slash.
    #[schema(value_type = schema::Path)]
    pub path: String,
    /// Its name; empty for the account's root.
    #[schema(examples("a.txt"))]
    pub name: String,
    /// File or collection.
    pub kind: Kind,
    /// Bytes of a file, or of all files below a collection.
    #[schema(value_type = schema::Size)]
    pub size: u64,
    /// Last modification, as clients set it.
    #[schema(value_type = schema::Time)]
    pub mtime: i64,
    /// Creation, as clients set it.
    #[schema(value_type = schema::Time)]
    pub created: i64,
    /// Changes with the bytes of a file, or with anything below a collection. Without quotes.
    #[schema(value_type = schema::ETag)]
    pub etag: String,
    /// Number of the current version of a file, from 1; 0 for a collection.
    #[schema(minimum = 0)]
    pub version: i64,
    /// The turn of its last own change in its space.
    pub seq: i64,
    /// A checksum that the uploader stated and the server verified, such as `SHA256:…`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::Checksum>, nullable = false)]
    pub checksum: Option<String>,
    /// The file can be run; left out when not.
    #[serde(default, skip_serializing_if = "Not::not")]
    #[schema(default = false)]
    pub executable: bool,
    /// The bytes are the target of a symbolic link; left out when not.
    #[serde(default, skip_serializing_if = "Not::not")]
    #[schema(default = false)]
    pub link: bool,
}

/// Some nodes.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Nodes {
    /// The nodes.
    pub items: Vec<Node>,
    /// Give this as `cursor` to get what follows; `null` at the end.
    #[schema(value_type = Option<schema::Cursor>, required)]
    pub next: Option<String>,
}

/// What a write did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Written {
    /// The file as it is now.
    pub node: Node,
    /// Whether nothing was there before.
    pub created: bool,
    /// The file that keeps the bytes that lost, when the write met another device's.
    #[schema(required)]
    pub conflict: Option<Node>,
    /// The etag of the bytes that were sent, wherever they are by now: in `node`, in `conflict` or,
    /// when the request came a second time, in a version. When it is not that of `node`, somebody
    /// else's bytes are current.
    #[schema(value_type = schema::FileTag)]
    pub etag: String,
}

/// Makes a collection.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Mkdir {
    /// Where.
    #[schema(value_type = schema::Path)]
    pub path: String,
    /// Its modification time; now when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::Time>)]
    pub mtime: Option<i64>,
    /// Also makes the collections above; what is there already is fine then.
    #[serde(default)]
    #[schema(default = false)]
    pub parents: bool,
}

/// Moves or copies.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Transfer {
    /// What.
    #[schema(value_type = schema::Path)]
    pub from: String,
    /// Where to: its new path, not the collection it goes into.
    #[schema(value_type = schema::Path)]
    pub to: String,
    /// Whether what is there may be replaced: a file by a file becomes a version, all else goes to
    /// trash.
    #[serde(default)]
    #[schema(default = false)]
    pub overwrite: bool,
}

/// What a move or copy did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Placed {
    /// The node at its new path.
    pub node: Node,
    /// Whether something was there before.
    pub replaced: bool,
}

/// A version of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Version {
    /// From 1, rising.
    #[schema(value_type = schema::VersionNumber)]
    pub number: i64,
    /// Bytes.
    #[schema(value_type = schema::Size)]
    pub size: u64,
    /// Modification time it had.
    #[schema(value_type = schema::Time)]
    pub mtime: i64,
    /// When it arrived.
    #[schema(value_type = schema::Time)]
    pub written: i64,
    /// The device that wrote it.
    #[schema(value_type = Option<schema::Id>, required)]
    pub device: Option<i64>,
    /// The file's etag when it was current.
    #[schema(value_type = schema::FileTag)]
    pub etag: String,
    /// Whether it is current.
    pub current: bool,
}

/// The versions of a file.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Versions {
    /// Newest first; the first is the current one.
    pub items: Vec<Version>,
}

/// A deleted node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Trashed {
    /// Its id; restoring brings it back with the same.
    #[schema(value_type = schema::Id)]
    pub id: i64,
    /// The space it lay in.
    #[schema(value_type = schema::Id)]
    pub space: i64,
    /// Its name.
    pub name: String,
    /// File or collection.
    pub kind: Kind,
    /// Bytes of a file, or of all files below a collection.
    #[schema(value_type = schema::Size)]
    pub size: u64,
    /// Last modification.
    #[schema(value_type = schema::Time)]
    pub mtime: i64,
    /// When it was deleted.
    #[schema(value_type = schema::Time)]
    pub deleted: i64,
    /// Where it was; `null` when that collection is not there any more.
    #[schema(value_type = Option<schema::Path>, required)]
    pub from: Option<String>,
}

/// Some of the trash.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Trash {
    /// Oldest first, one space after the other.
    pub items: Vec<Trashed>,
    /// Give this as `cursor` to get what follows; `null` at the end.
    #[schema(value_type = Option<schema::Cursor>, required)]
    pub next: Option<String>,
}

/// Two versions of a file that were made at the same time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Conflict {
    /// Its id.
    #[schema(value_type = schema::Id)]
    pub id: i64,
    /// When it arose.
    #[schema(value_type = schema::Time)]
    pub at: i64,
    /// The file; `null` when it was deleted since.
    #[schema(required)]
    pub node: Option<Node>,
    /// The copy that keeps what lost; `null` when it was deleted since.
    #[schema(required)]
    pub copy: Option<Node>,
    /// The device whose write met another's.
    #[schema(value_type = Option<schema::Id>, required)]
    pub device: Option<i64>,
}

/// Conflicts that nobody has resolved.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Conflicts {
    /// Oldest first.
    pub items: Vec<Conflict>,
    /// Give this as `cursor` to get what follows; `null` at the end.
    #[schema(value_type = Option<schema::Cursor>, required)]
    pub next: Option<String>,
}

/// Which of the two stays: both as they are; the node, and the copy goes to trash; or the copy, which
/// becomes the file's next version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Keep {
    /// Both, as they are.
    Both,
    /// The file; the copy goes to trash.
    Node,
    /// The copy: it becomes the file's next version.
    Copy,
}

/// Ends a conflict.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Resolve {
    /// Which of the two stays.
    pub keep: Keep,
}

/// Opens a resumable upload.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OpenUpload {
    /// Where the file goes.
    #[schema(value_type = schema::Path)]
    pub path: String,
    /// Bytes of the whole file.
    #[schema(minimum = 0, maximum = 17_592_186_044_416_u64, examples(4096))]
    pub size: u64,
    /// The etag of the version it was made from, or `none` when nothing should be there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::Base>)]
    pub base: Option<String>,
    /// Its modification time; now when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::Time>)]
    pub mtime: Option<i64>,
    /// Its creation time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::Time>)]
    pub created: Option<i64>,
    /// A checksum of the whole file: `SHA256:`, `SHA1:`, `MD5:` or `ADLER32:` and hex digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::Checksum>)]
    pub checksum: Option<String>,
}

/// A resumable upload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UploadState {
    /// Its id.
    #[schema(value_type = schema::Id)]
    pub id: i64,
    /// Where the file goes.
    #[schema(value_type = schema::Path)]
    pub path: String,
    /// Bytes of the whole file.
    #[schema(value_type = schema::Size)]
    pub size: u64,
    /// Bytes that have arrived and survive a restart: where to go on.
    #[schema(value_type = schema::Size)]
    pub offset: u64,
    /// When it ends if nothing more arrives.
    #[schema(value_type = schema::Time)]
    pub expires: i64,
    /// Whether the file is there.
    pub finished: bool,
}

/// The unfinished uploads of the account.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct UploadStates {
    /// Oldest first.
    pub items: Vec<UploadState>,
}

/// What one space holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SpaceUsage {
    /// The space.
    #[schema(value_type = schema::Id)]
    pub id: i64,
    /// Where it is in the account's tree.
    #[schema(value_type = schema::Path)]
    pub path: String,
    /// Bytes of live files; what the quota counts.
    #[schema(value_type = schema::Size)]
    pub used: u64,
    /// Bytes of previous versions.
    #[schema(value_type = schema::Size)]
    pub versions: u64,
    /// Bytes in trash.
    #[schema(value_type = schema::Size)]
    pub trash: u64,
    /// Most bytes of live files; `null` for no limit.
    #[schema(value_type = Option<schema::Size>, required)]
    pub quota: Option<u64>,
    /// Bytes that may still be added; `null` for no limit.
    #[schema(value_type = Option<schema::Size>, required)]
    pub available: Option<u64>,
}

/// What the account's spaces hold.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Usage {
    /// The account's own space first.
    pub spaces: Vec<SpaceUsage>,
}
