//! From database rows to nodes.

use super::model::{Kind, Lock, Node, Property};
use crate::store::meta::locks::LockRow;
use crate::store::meta::nodes::{COLLECTION, NodeRow};
use crate::store::meta::props::PropRow;
use crate::types::{AccountId, ContentId, ETag, Millis, Mode, NodeId, NodePath, Seq, SpaceId};

/// Sizes are never negative in the database; a damaged one must not wrap.
pub(super) fn bytes(size: i64) -> u64 {
    u64::try_from(size).unwrap_or(0)
}

/// File or collection.
pub(super) fn kind(kind: i64) -> Kind {
    if kind == COLLECTION {
        Kind::Collection
    } else {
        Kind::File
    }
}

/// The tag of a file's content or of a collection's subtree.
pub(super) fn etag(content: Option<i64>, tree_seq: i64) -> ETag {
    match content {
        Some(content) => ETag::file(ContentId(content)),
        None => ETag::collection(Seq(tree_seq)),
    }
}

impl From<NodeRow> for Node {
    fn from(row: NodeRow) -> Self {
        Self {
            id: NodeId(row.id),
            space: SpaceId(row.space),
            parent: row.parent.map(NodeId),
            name: row.name,
            kind: kind(row.kind),
            size: bytes(row.tree_size),
            modified: Millis(row.mtime),
            created: Millis(row.created),
            etag: etag(row.content, row.tree_seq),
            content: row.content.map(ContentId),
            version: row.version,
            seq: Seq(row.seq),
            trashed: row.trashed.map(Millis),
            mode: Mode::read(row.mode),
            checksum: row.checksum,
        }
    }
}

impl From<PropRow> for Property {
    fn from(row: PropRow) -> Self {
        Self {
            namespace: row.ns,
            name: row.name,
            xml: row.xml,
        }
    }
}

/// A lock whose lock root lies at `root`.
pub(super) fn lock(row: LockRow, root: NodePath) -> Lock {
    Lock {
        token: row.token,
        node: NodeId(row.node),
        root,
        account: AccountId(row.account),
        principal: row.principal,
        deep: row.deep,
        shared: row.shared,
        owner: row.owner,
        timeout_secs: bytes(row.timeout),
        expires: Millis(row.expires_at),
    }
}
