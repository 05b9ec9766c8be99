//! What is known of conflicts, the screen and its keys, and editors.

mod editor;
mod keys;
mod sides;
mod ui;

use super::compare::{Compared, of_bytes};
use super::keys::{Item, State, View};
use super::sides::{Pair, Side, Which};
use crate::protocol::auth::{DeviceName, DeviceType};
use crate::protocol::files::{Conflict, Kind, Node, Version};

/// When conflicts of these tests arose.
const AT: i64 = 1_764_081_549_000;

fn me() -> DeviceName {
    DeviceName {
        id: 1,
        name: "Anna's laptop".to_owned(),
        kind: DeviceType::Linux,
    }
}

fn node(id: i64, path: &str, size: u64) -> Node {
    Node {
        id,
        space: 1,
        parent: Some(1),
        path: path.to_owned(),
        name: path.rsplit('/').next().unwrap_or_default().to_owned(),
        kind: Kind::File,
        size,
        mtime: AT,
        created: AT,
        etag: format!("f{id}"),
        version: 1,
        seq: id,
        checksum: None,
        executable: false,
        link: false,
    }
}

fn conflict(id: i64, path: &str, copy: &str) -> Conflict {
    Conflict {
        id,
        at: AT,
        node: Some(node(id * 10, path, 6)),
        copy: Some(node(id * 10 + 1, copy, 2048)),
        device: Some(1),
    }
}

fn version(number: i64, written: i64, device: Option<i64>) -> Version {
    Version {
        number,
        size: 1,
        mtime: written,
        written,
        device,
        etag: format!("f{number}"),
        current: false,
    }
}

fn pair(conflict: &Conflict, ours: Option<Which>) -> Pair {
    let side = |node: &Option<Node>, who: &str| {
        node.clone().map(|node| Side {
            node,
            who: Some(who.to_owned()),
        })
    };
    Pair {
        id: conflict.id,
        at: conflict.at,
        node: side(&conflict.node, "Anna's laptop"),
        copy: side(&conflict.copy, "desktop"),
        ours,
    }
}

/// A screen with two conflicts, of which the first is here.
fn state(left: &[u8], right: &[u8], ours: Option<Which>) -> State {
    let first = conflict(
        1,
        "/notes.txt",
        "/notes.conflict-20251125-143909-desktop.txt",
    );
    let second = conflict(
        2,
        "/a folder with a long name/below/report.odt",
        "/a folder with a long name/below/x",
    );
    let mut state = State::new(vec![first, second]);
    let compared = of_bytes(left.to_vec(), right.to_vec());
    here(&mut state.items[0], ours, compared);
    state
}

fn here(item: &mut Item, ours: Option<Which>, compared: Compared) {
    item.view = View::Here(Box::new((pair(&item.conflict, ours), compared)));
}
