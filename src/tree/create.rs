//! Making spaces.

use super::Result;
use super::locate::root_of;
use crate::store::KeyRing;
use crate::store::meta::nodes::{self, NewNode};
use crate::store::meta::{Conn, spaces};
use crate::types::{Millis, Mode, NodeId, NodeName, Seq, SpaceId};

/// The folders of a new account.
pub const DEFAULT_FOLDERS: &[&str] = &["documents", "photos", "backups"];

/// A space to be made.
#[derive(Clone, Copy, Debug)]
pub struct NewSpace<'a> {
    /// Unique name; the mount's name when it belongs to everyone.
    pub name: &'a str,
    /// Whether it is mounted in every account's root.
    pub everyone: bool,
    /// Bytes of live files allowed.
    pub quota: Option<u64>,
    /// Collections to begin with.
    pub folders: &'a [&'a str],
}

/// Makes a space with its key, its root and its first folders, in the transaction of `conn`.
pub async fn create_space(
    conn: &mut Conn,
    keys: &KeyRing,
    new: NewSpace<'_>,
    now: Millis,
) -> Result<SpaceId> {
    let quota = new
        .quota
        .map(|bytes| i64::try_from(bytes).unwrap_or(i64::MAX));
    let space = spaces::create(conn, new.name, new.everyone, quota).await?;
    let nodes = i64::try_from(new.folders.len()).unwrap_or(0) + 1;
    let turn = spaces::turn(conn, space, nodes).await?;
    let root = root_of(space);
    let top = bare(space, root, turn.seq, now);
    nodes::insert(conn, &[top]).await?;
    for (folder, id) in new.folders.iter().zip(root.0 + 1..) {
        let name = NodeName::parse(folder)?;
        let folder = NewNode {
            id: NodeId(id),
            parent: Some(root),
            name: Some(&name),
            ..top
        };
        nodes::insert(conn, &[folder]).await?;
    }
    let key = keys.new_space_key(conn, space).await?;
    spaces::set_key_and_root(conn, space, &key, root).await?;
    Ok(space)
}

/// A collection that hangs on nothing.
pub(super) fn bare(space: SpaceId, id: NodeId, seq: Seq, now: Millis) -> NewNode<'static> {
    NewNode {
        id,
        space,
        parent: None,
        name: None,
        content: None,
        mtime: now,
        created: now,
        written: now,
        device: None,
        seq,
        mode: Mode::default(),
    }
}
