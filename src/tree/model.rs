//! What the verbs take and return.

use crate::types::{AccountId, ContentId, DeviceId, ETag, Millis, Mode, NodeId, Seq, SpaceId};

/// Who acts.
#[derive(Clone, Debug)]
pub struct User {
    /// The account.
    pub account: AccountId,
    /// Its name; the principal of locks.
    pub name: String,
    /// The account's own space.
    pub space: SpaceId,
    /// The app password or paired device used, if one was.
    pub device: Option<DeviceId>,
}

/// File or collection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Holds other nodes.
    Collection,
    /// Holds bytes.
    File,
}

/// A node as it is now.
#[derive(Clone, Debug)]
pub struct Node {
    /// Stable id.
    pub id: NodeId,
    /// The space it lies in.
    pub space: SpaceId,
    /// The collection it lies in; `None` for the root of a space.
    pub parent: Option<NodeId>,
    /// Its name as written; for a mounted root the mount's name, for the account's root empty.
    pub name: String,
    /// File or collection.
    pub kind: Kind,
    /// Bytes of a file, or of all live files below a collection.
    pub size: u64,
    /// Last modification, as clients set it.
    pub modified: Millis,
    /// Creation, as clients set it.
    pub created: Millis,
    /// Validator; see [`ETag`].
    pub etag: ETag,
    /// The current bytes of a file.
    pub content: Option<ContentId>,
    /// Number of the current version of a file, from 1.
    pub version: i64,
    /// Last change of its own.
    pub seq: Seq,
    /// When it went to trash.
    pub trashed: Option<Millis>,
    /// Whether it can be run, and whether it is a link.
    pub mode: Mode,
    /// Checksum that the uploader stated and we verified (`SHA1:<hex>`), if any.
    pub checksum: Option<String>,
}

impl Node {
    /// Whether it is a collection.
    pub fn is_collection(&self) -> bool {
        self.kind == Kind::Collection
    }
}

/// What must be true of the target for a write to happen (RFC 9110 §13, checked at commit).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Precondition {
    /// Nothing.
    #[default]
    None,
    /// Nothing is there (`If-None-Match: *`).
    Absent,
    /// Something is there (`If-Match: *`).
    Present,
    /// The current tag is one of these (`If-Match`).
    Match(Vec<ETag>),
}

/// How a file is written.
#[derive(Clone, Debug, Default)]
pub struct Write {
    /// Checked in the transaction.
    pub when: Precondition,
    /// Modification time the client states; now when `None`.
    pub modified: Option<Millis>,
    /// Creation time the client states.
    pub created: Option<Millis>,
    /// What the writer's version was made from.
    pub base: Base,
    /// What happens when that is not the head any more.
    pub overtaken: Overtaken,
    /// Whether it can be run; as before when `None`.
    pub executable: Option<bool>,
    /// Whether its bytes are the target of a symbolic link: text without NUL, 1 to 4095 bytes.
    pub link: bool,
}

/// What happens to a write whose base is not the head any more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Overtaken {
    /// Both contents stay, one as a conflict copy.
    #[default]
    KeepBoth,
    /// Nothing is changed: [`super::Error::PreconditionFailed`].
    Refuse,
}

/// What a writer's version was made from. When that is no longer the head, the later modification
/// wins and the other is kept beside it as a conflict copy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Base {
    /// The writer does not say: its version becomes the head.
    #[default]
    Unstated,
    /// Nothing: the writer believes that no file is there.
    Nothing,
    /// This content.
    Content(ContentId),
}

impl Base {
    /// Whether a file with this content is not what the writer's version was made from.
    pub(super) fn is_overtaken(self, head: Option<i64>) -> bool {
        match self {
            Self::Unstated => false,
            Self::Nothing => true,
            Self::Content(base) => Some(base.0) != head,
        }
    }
}

/// What a write did.
#[derive(Clone, Debug)]
pub struct Written {
    /// The node as it is now.
    pub node: Node,
    /// Whether it was not there before.
    pub created: bool,
    /// The copy that keeps the losing content of a conflict.
    pub conflict: Option<Node>,
    /// The content that was written, wherever it is by now: in the node, the copy or a version.
    pub content: ContentId,
}

impl Written {
    /// A write that met nobody else's.
    pub(super) fn plain(node: Node, created: bool) -> Self {
        Self {
            content: node.content.unwrap_or(ContentId(0)),
            node,
            created,
            conflict: None,
        }
    }
}

/// Whether MOVE and COPY may replace what lies at the destination (RFC 4918 §10.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overwrite {
    /// `Overwrite: T`
    Yes,
    /// `Overwrite: F`
    No,
}

/// What MOVE and COPY did.
#[derive(Clone, Debug)]
pub struct Placed {
    /// The node at the destination.
    pub node: Node,
    /// Whether something was there before.
    pub replaced: bool,
}

/// A dead property (RFC 4918 §4): the element as the client set it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Property {
    /// Namespace URI; empty for none.
    pub namespace: String,
    /// Local name.
    pub name: String,
    /// The whole element as XML, with its own namespace declarations.
    pub xml: Vec<u8>,
}

/// One instruction of PROPPATCH.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PropertyChange {
    /// Sets or replaces.
    Set(Property),
    /// Removes; no error when absent.
    Remove {
        /// Namespace URI.
        namespace: String,
        /// Local name.
        name: String,
    },
}

/// What of a node is not its bytes; `None` leaves it as it is.
#[derive(Clone, Copy, Debug, Default)]
pub struct Times {
    /// Last modification.
    pub modified: Option<Millis>,
    /// Creation.
    pub created: Option<Millis>,
    /// Whether it can be run.
    pub executable: Option<bool>,
}

/// A write lock (RFC 4918 §6).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lock {
    /// `urn:uuid:…`
    pub token: String,
    /// The node that was locked: the lock root.
    pub node: NodeId,
    /// Path of the lock root in the account's tree, as it is now.
    pub root: crate::types::NodePath,
    /// Who holds it.
    pub account: AccountId,
    /// Name of who holds it.
    pub principal: String,
    /// Whether it covers everything below.
    pub deep: bool,
    /// Shared or exclusive.
    pub shared: bool,
    /// The client's owner element as XML.
    pub owner: Option<Vec<u8>>,
    /// Seconds granted.
    pub timeout_secs: u64,
    /// When it ends.
    pub expires: Millis,
}

/// A previous or current content of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// From 1, rising.
    pub number: i64,
    /// Its bytes.
    pub content: ContentId,
    /// Bytes.
    pub size: u64,
    /// Modification time it had.
    pub modified: Millis,
    /// When it arrived.
    pub written: Millis,
    /// Who wrote it.
    pub device: Option<DeviceId>,
}

/// Space in use, for quota (RFC 4331).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// Bytes of live files.
    pub used: u64,
    /// Bytes that may still be added; `None` for no limit.
    pub available: Option<u64>,
}

/// A node and where it is in the account's tree.
#[derive(Clone, Debug)]
pub struct Located {
    /// The node.
    pub node: Node,
    /// Its path.
    pub path: crate::types::NodePath,
}

/// A conflict nobody has resolved yet.
#[derive(Clone, Debug)]
pub struct Conflict {
    /// Its id.
    pub id: i64,
    /// The winner; `None` when it was deleted since.
    pub node: Option<Located>,
    /// The node that keeps the loser; `None` when it was deleted since.
    pub copy: Option<Located>,
    /// The device whose write met another's.
    pub device: Option<DeviceId>,
    /// When it arose.
    pub at: Millis,
}

/// What stays of a conflict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// Both files as they are.
    Both,
    /// The winner; the copy goes to trash.
    Node,
    /// The copy: it becomes the winner's next version.
    Copy,
}
