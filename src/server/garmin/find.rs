//! What there is for a watch: four kinds of files, found by short ids or by name.

use super::error::Error;
use super::{FILE_MAX, FOLDER};
use crate::store;
use crate::tree::{self, Node, Tree};
use crate::types::{NodeId, NodeName, NodePath};

/// Most characters of an id: 36^12 ids are those of 68 million spaces, and fit into 63 bits.
const ID_MAX: usize = 12;

/// A kind of file that watches deal with. All others do not exist for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FileKind {
    /// An activity, course or workout in Garmin's own format.
    Fit,
    /// A track or route (GPX 1.1).
    Gpx,
    /// A training (Training Center XML).
    Tcx,
    /// Whatever an app likes.
    Json,
}

impl FileKind {
    /// The kind that a name says, whatever the case of its extension.
    pub(super) fn of(name: &str) -> Option<Self> {
        let (stem, extension) = name.rsplit_once('.')?;
        let kind = match extension.to_ascii_lowercase().as_str() {
            "fit" => Self::Fit,
            "gpx" => Self::Gpx,
            "tcx" => Self::Tcx,
            "json" => Self::Json,
            _ => return None,
        };
        (!stem.is_empty()).then_some(kind)
    }

    /// Its media type; by this the phone knows what to do with it.
    pub(super) const fn media(self) -> &'static str {
        match self {
            Self::Fit => "application/vnd.ant.fit",
            Self::Gpx => "application/gpx+xml",
            Self::Tcx => "application/vnd.garmin.tcx+xml",
            Self::Json => "application/json",
        }
    }
}

/// An id as a watch sees it: base 36, because it is to be short.
pub(super) fn encode(id: NodeId) -> String {
    let mut left = id.0.unsigned_abs();
    let mut digits = Vec::with_capacity(ID_MAX);
    loop {
        let digit = u32::try_from(left % 36).expect("it is below 36");
        digits.push(char::from_digit(digit, 36).expect("it is below 36"));
        left /= 36;
        if left == 0 {
            return digits.iter().rev().collect();
        }
    }
}

/// Reads what [`encode`] writes.
pub(super) fn decode(text: &str) -> Option<NodeId> {
    let known = |byte: u8| byte.is_ascii_digit() || byte.is_ascii_lowercase();
    if text.is_empty() || text.len() > ID_MAX || !text.bytes().all(known) {
        return None;
    }
    i64::from_str_radix(text, 36).ok().map(NodeId)
}

/// The path of a file or folder inside [`FOLDER`].
pub(super) fn in_folder(name: NodeName) -> NodePath {
    folder().join(name)
}

/// The path of [`FOLDER`].
pub(super) fn folder() -> NodePath {
    NodePath::root().join(NodeName::parse(FOLDER).expect("it is a name"))
}

/// The file with this id, anywhere in the account's tree.
pub(super) async fn by_id(tree: &Tree, id: &str) -> Result<(Node, FileKind), Error> {
    let id = decode(id).ok_or(Error::NotFound)?;
    file(tree.by_id(id).await?.node)
}

/// The file with this id, or with this name in [`FOLDER`]: ids have no dot, names have one.
pub(super) async fn by_id_or_name(tree: &Tree, what: &str) -> Result<(Node, FileKind), Error> {
    if !what.contains('.') {
        return by_id(tree, what).await;
    }
    let name = NodeName::parse(what).map_err(|_no_name| Error::NotFound)?;
    file(tree.lookup(&in_folder(name)).await?)
}

fn file(node: Node) -> Result<(Node, FileKind), Error> {
    let kind = FileKind::of(&node.name).filter(|_| !node.is_collection());
    kind.map(|kind| (node, kind)).ok_or(Error::NotFound)
}

/// `length` bytes of a file from `start` on, or what there is of them.
pub(super) async fn read(
    tree: &Tree,
    node: &Node,
    (start, length): (u64, usize),
) -> Result<Vec<u8>, Error> {
    if node.size > FILE_MAX as u64 {
        return Err(Error::TooBig);
    }
    let mut reader = tree.read(node).await?;
    let left = usize::try_from(node.size.saturating_sub(start)).unwrap_or(0);
    let wanted = left.min(length);
    reader.seek(start);
    let mut bytes = Vec::with_capacity(wanted);
    while bytes.len() < wanted {
        let part = reader.read(wanted - bytes.len()).await?;
        if part.is_empty() {
            let short = store::Error::Corrupt("a content ends before its size");
            return Err(tree::Error::Store(short).into());
        }
        bytes.extend_from_slice(&part);
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::types::SpaceId;

    #[test]
    fn four_kinds_of_files_exist_whatever_the_case() {
        for (name, kind) in [
            ("a.fit", FileKind::Fit),
            ("A.FIT", FileKind::Fit),
            ("a.b.Gpx", FileKind::Gpx),
            ("ä.tcx", FileKind::Tcx),
            ("a.jSoN", FileKind::Json),
        ] {
            assert_eq!(FileKind::of(name), Some(kind), "{name}");
        }
        for name in ["a", "a.txt", ".gpx", "a.gpx.zip", "gpx", "a.fit ", "a."] {
            assert_eq!(FileKind::of(name), None, "{name}");
        }
    }

    #[test]
    fn ids_are_short() {
        assert_eq!(encode(NodeId::nth(SpaceId(1), 5)), "vkhsvlx");
        let most = NodeId::nth(SpaceId(131_071), (1 << 36) - 1);
        assert_eq!(encode(most).len(), 11);
        for text in ["", "A", "a b", "-1", "+1", "a.b", "0000000000000", "ä"] {
            assert_eq!(decode(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn ids_read_back(id in 0..36_i64.pow(12)) {
            prop_assert_eq!(decode(&encode(NodeId(id))), Some(NodeId(id)));
        }
    }
}
