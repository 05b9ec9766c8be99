//! Files and collections, their versions, the trash and conflicts.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

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
    pub id: i64,
    /// The space it lies in: the account's own, or one that is shared.
    pub space: i64,
    /// The collection it lies in; `null` for the root of a space.
    pub parent: Option<i64>,
    /// Where it is, with a leading slash.
    pub path: String,
    /// Its name.
    pub name: String,
    /// File or collection.
    pub kind: Kind,
    /// Bytes of a file, or of all files below a collection.
    pub size: u64,
    /// Last modification, as clients set it.
    pub mtime: i64,
    /// Creation, as clients set it.
    pub created: i64,
    /// Changes with the bytes of a file, or with anything below a collection. Without quotes.
    pub etag: String,
    /// Number of the current version of a file, from 1; 0 for a collection.
    pub version: i64,
    /// The turn of its last own change in its space.
    pub seq: i64,
    /// A checksum that the uploader stated and the server verified, such as `SHA256:…`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checksum: Option<String>,
}

/// Some nodes.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Nodes {
    /// The nodes.
    pub items: Vec<Node>,
    /// Give this as `cursor` to get what follows; `null` at the end.
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
    pub conflict: Option<Node>,
    /// The etag of the bytes that were sent, wherever they are by now: in `node`, in `conflict` or,
    /// when the request came a second time, in a version. When it is not that of `node`, somebody
    /// else's bytes are current.
    pub etag: String,
}

/// Makes a collection.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Mkdir {
    /// Where.
    #[schema(max_length = 4096)]
    pub path: String,
    /// Its modification time; now when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub mtime: Option<i64>,
    /// Also makes the collections above; what is there already is fine then.
    #[serde(default)]
    pub parents: bool,
}

/// Moves or copies.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Transfer {
    /// What.
    #[schema(max_length = 4096)]
    pub from: String,
    /// Where to: its new path, not the collection it goes into.
    #[schema(max_length = 4096)]
    pub to: String,
    /// Whether what is there may be replaced: a file by a file becomes a version, all else goes to
    /// trash.
    #[serde(default)]
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
    pub number: i64,
    /// Bytes.
    pub size: u64,
    /// Modification time it had.
    pub mtime: i64,
    /// When it arrived.
    pub written: i64,
    /// The device that wrote it.
    pub device: Option<i64>,
    /// The file's etag when it was current.
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
    pub id: i64,
    /// The space it lay in.
    pub space: i64,
    /// Its name.
    pub name: String,
    /// File or collection.
    pub kind: Kind,
    /// Bytes of a file, or of all files below a collection.
    pub size: u64,
    /// Last modification.
    pub mtime: i64,
    /// When it was deleted.
    pub deleted: i64,
    /// Where it was; `null` when that collection is not there any more.
    pub from: Option<String>,
}

/// Some of the trash.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Trash {
    /// Oldest first, one space after the other.
    pub items: Vec<Trashed>,
    /// Give this as `cursor` to get what follows; `null` at the end.
    pub next: Option<String>,
}

/// Two versions of a file that were made at the same time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Conflict {
    /// Its id.
    pub id: i64,
    /// When it arose.
    pub at: i64,
    /// The file; `null` when it was deleted since.
    pub node: Option<Node>,
    /// The copy that keeps what lost; `null` when it was deleted since.
    pub copy: Option<Node>,
    /// The device whose write met another's.
    pub device: Option<i64>,
}

/// Conflicts that nobody has resolved.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Conflicts {
    /// Oldest first.
    pub items: Vec<Conflict>,
    /// Give this as `cursor` to get what follows; `null` at the end.
    pub next: Option<String>,
}

/// Which of the two stays.
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
    #[schema(max_length = 4096)]
    pub path: String,
    /// Bytes of the whole file.
    pub size: u64,
    /// The etag of the version it was made from, or `none` when nothing should be there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, max_length = 64)]
    pub base: Option<String>,
    /// Its modification time; now when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub mtime: Option<i64>,
    /// Its creation time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub created: Option<i64>,
    /// A checksum of the whole file: `SHA256:`, `SHA1:`, `MD5:` or `ADLER32:` and hex digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, max_length = 128)]
    pub checksum: Option<String>,
}

/// A resumable upload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UploadState {
    /// Its id.
    pub id: i64,
    /// Where the file goes.
    pub path: String,
    /// Bytes of the whole file.
    pub size: u64,
    /// Bytes that have arrived and survive a restart: where to go on.
    pub offset: u64,
    /// When it ends if nothing more arrives.
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
    pub id: i64,
    /// Where it is in the account's tree.
    pub path: String,
    /// Bytes of live files; what the quota counts.
    pub used: u64,
    /// Bytes of previous versions.
    pub versions: u64,
    /// Bytes in trash.
    pub trash: u64,
    /// Most bytes of live files; `null` for no limit.
    pub quota: Option<u64>,
    /// Bytes that may still be added; `null` for no limit.
    pub available: Option<u64>,
}

/// What the account's spaces hold.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Usage {
    /// The account's own space first.
    pub spaces: Vec<SpaceUsage>,
}
