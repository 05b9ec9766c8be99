//! From the rules' values to those of the wire.

use crate::accounts::DeviceKind;
use crate::protocol::auth::DeviceType;
use crate::protocol::files::{self, Kind};
use crate::tree::{self, Located, Node};
use crate::types::{ETag, NodePath};

/// A node and where it is.
pub(super) fn located(located: Located) -> files::Node {
    node(located.node, &located.path)
}

/// A node at a path.
pub(super) fn node(node: Node, path: &NodePath) -> files::Node {
    files::Node {
        id: node.id.0,
        space: node.space.0,
        parent: node.parent.map(|parent| parent.0),
        path: path.to_string(),
        kind: kind(&node),
        name: node.name,
        size: node.size,
        mtime: node.modified.0,
        created: node.created.0,
        etag: node.etag.bare().to_owned(),
        version: node.version,
        seq: node.seq.0,
        checksum: node.checksum,
        executable: node.mode.executable,
        link: node.mode.link,
    }
}

/// File or collection.
pub(super) fn kind(node: &Node) -> Kind {
    match node.kind {
        tree::Kind::Collection => Kind::Collection,
        tree::Kind::File => Kind::File,
    }
}

/// What a write at a path did.
pub(super) fn written(written: tree::Written, path: &NodePath) -> files::Written {
    files::Written {
        etag: ETag::file(written.content).bare().to_owned(),
        conflict: written.conflict.map(|copy| beside(copy, path)),
        node: node(written.node, path),
        created: written.created,
    }
}

/// A node that lies beside a path.
pub(super) fn beside(copy: Node, path: &NodePath) -> files::Node {
    let name = crate::types::NodeName::parse(&copy.name);
    let place = match (path.split_last(), name) {
        (Some((above, _)), Ok(name)) => above.join(name),
        (None, _) | (_, Err(_)) => path.clone(),
    };
    node(copy, &place)
}

/// A version of a file.
pub(super) fn version(version: &tree::Version, current: bool) -> files::Version {
    files::Version {
        number: version.number,
        size: version.size,
        mtime: version.modified.0,
        written: version.written.0,
        device: version.device.map(|device| device.0),
        etag: ETag::file(version.content).bare().to_owned(),
        current,
    }
}

/// What a device runs.
pub(super) fn device_type(kind: DeviceKind) -> DeviceType {
    match kind {
        DeviceKind::Webdav => DeviceType::Webdav,
        DeviceKind::Linux => DeviceType::Linux,
        DeviceKind::Mobile => DeviceType::Mobile,
        DeviceKind::Garmin => DeviceType::Garmin,
        DeviceKind::Web => DeviceType::Web,
    }
}

/// The same the other way.
pub(super) fn device_kind(kind: DeviceType) -> DeviceKind {
    match kind {
        DeviceType::Webdav => DeviceKind::Webdav,
        DeviceType::Linux => DeviceKind::Linux,
        DeviceType::Mobile => DeviceKind::Mobile,
        DeviceType::Garmin => DeviceKind::Garmin,
        DeviceType::Web => DeviceKind::Web,
    }
}
