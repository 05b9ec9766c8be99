//! Two writers, one base: the later modification wins, the other is kept beside it and listed.

use jiff::Timestamp;

use super::locate::Place;
use super::model::{Conflict, Keep, Node, Written};
use super::turn::{Action, Deed};
use super::write::{Stamp, create_at, replace};
use super::{Error, Result, Tree};
use crate::store::Store;
use crate::store::meta::Conn;
use crate::store::meta::conflicts::{self, ConflictRow};
use crate::store::meta::nodes::{self, NodeRow};
use crate::types::{
    ContentId, DeviceId, MAX_NAME_BYTES, Millis, NodeId, NodeName, NodePath, SpaceId,
};

/// How far ahead of the server a device's clock may be before its times stop counting, in ms.
const CLOCK_AHEAD_MAX: i64 = 5 * 60 * 1000;
/// Most conflicts listed at once: two paths each are looked up.
pub const CONFLICTS_MAX: u32 = 500;
/// Most copies of one conflict name in one second before we give up.
const NAMES_MAX: u32 = 1000;

impl Tree {
    /// Conflicts nobody has resolved, in all spaces the account sees, oldest first, those after an
    /// id; at most `limit`.
    pub async fn conflicts(&self, after: i64, limit: u32) -> Result<Vec<Conflict>> {
        let limit = limit.min(CONFLICTS_MAX) as usize;
        let mut conn = self.store.meta.read().await?;
        let mut rows = Vec::new();
        for space in self.spaces(&mut conn).await? {
            rows.extend(conflicts::open(&mut conn, space, after, limit).await?);
        }
        rows.sort_by_key(|row| row.id);
        rows.truncate(limit);
        let mut found = Vec::with_capacity(rows.len());
        for row in rows {
            found.push(Conflict {
                id: row.id,
                node: self.located(&mut conn, NodeId(row.node)).await?,
                copy: self.located(&mut conn, NodeId(row.copy)).await?,
                device: row.device.map(DeviceId),
                at: Millis(row.created_at),
            });
        }
        Ok(found)
    }

    /// Ends a conflict. What is not kept stays as a version or in trash.
    pub async fn resolve_conflict(&self, id: i64, keep: Keep) -> Result<()> {
        let mut conn = self.store.meta.read().await?;
        let row = conflicts::by_id(&mut conn, id).await?;
        let row = row.ok_or(Error::NotFound)?;
        let space = SpaceId(row.space);
        if !self.may_see(&mut conn, space).await? {
            return Err(Error::NotFound);
        }
        drop(conn);
        let tree = self.clone();
        self.write(space, move |conn| {
            Box::pin(async move { resolve(conn, &tree, &row, keep).await })
        })
        .await
    }
}

/// An open conflict as an operator sees it, whose space it ever is.
#[derive(Clone, Debug)]
pub struct OpenConflict {
    /// Its id.
    pub id: i64,
    /// When it arose.
    pub at: Millis,
    /// The name of the space.
    pub space: String,
    /// Where the winner is in the space; `None` when it was deleted since.
    pub node: Option<NodePath>,
    /// Where the loser is kept; `None` when it was deleted since.
    pub copy: Option<NodePath>,
    /// The name of the device whose write met another's.
    pub device: Option<String>,
}

/// Conflicts nobody has resolved, in all spaces, oldest first, those after an id; at most `limit`.
pub async fn open_conflicts(store: &Store, after: i64, limit: i64) -> Result<Vec<OpenConflict>> {
    let mut conn = store.meta.read().await?;
    let mut found = Vec::new();
    for row in conflicts::of_all(&mut conn, after, limit).await? {
        found.push(OpenConflict {
            id: row.id,
            at: Millis(row.created_at),
            space: row.space,
            node: path_in_space(&mut conn, NodeId(row.node)).await?,
            copy: path_in_space(&mut conn, NodeId(row.copy)).await?,
            device: row.device,
        });
    }
    Ok(found)
}

async fn path_in_space(conn: &mut Conn, id: NodeId) -> Result<Option<NodePath>> {
    let Some(names) = nodes::names_up(conn, id).await? else {
        return Ok(None);
    };
    let mut path = NodePath::root();
    for name in names {
        path = path.join(NodeName::parse(&name)?);
    }
    Ok(Some(path))
}

async fn resolve(conn: &mut Conn, tree: &Tree, row: &ConflictRow, keep: Keep) -> Result<()> {
    let action = Action::begin(conn, tree, SpaceId(row.space), 0).await?;
    if !conflicts::resolve(conn, action.space, row.id, action.now).await? {
        return Err(Error::NotFound);
    }
    if keep == Keep::Both {
        return Ok(());
    }
    let copy = live(conn, NodeId(row.copy)).await?;
    if keep == Keep::Copy {
        let copy = copy.as_ref().ok_or(Error::NotFound)?;
        let node = live(conn, NodeId(row.node)).await?.ok_or(Error::NotFound)?;
        action.guard(conn, tree, NodeId(node.id)).await?;
        let parent = NodeId(node.parent.ok_or(Error::NotFound)?);
        let content = ContentId(copy.content.ok_or(Error::IsACollection)?);
        let stamp = Stamp {
            modified: Some(Millis(copy.mtime)),
            ..Stamp::default().like(copy.mode())
        };
        let (_, grown) = replace(conn, &action, node, (content, copy.size), stamp).await?;
        // What grows here goes to trash below, so the quota is not asked.
        action.carry(conn, parent, grown).await?;
    }
    // A copy that somebody deleted already needs no more doing.
    let Some(copy) = copy else { return Ok(()) };
    // It leaves its collection, which a lock of depth 0 forbids (RFC 4918 §7.4).
    let parent = NodeId(copy.parent.ok_or(Error::NotFound)?);
    action.guard(conn, tree, parent).await?;
    action.guard_all(conn, tree, NodeId(copy.id)).await?;
    action.discard(conn, &copy).await?;
    action
        .log(conn, Deed::Delete, copy.id, copy.tree_size)
        .await
}

/// A node that is neither in trash nor below something that is.
async fn live(conn: &mut Conn, id: NodeId) -> Result<Option<NodeRow>> {
    if nodes::names_up(conn, id).await?.is_none() {
        return Ok(None);
    }
    Ok(nodes::by_id(conn, id).await?)
}

/// Decides between the head `old` and a content that was based on something else.
///
/// The later modification time becomes (or stays) the head, a tie goes to the one that arrives;
/// the loser becomes a file of its own next to it.
pub(super) async fn settle(
    conn: &mut Conn,
    action: &Action,
    place: &Place,
    old: NodeRow,
    (content, size): (ContentId, i64),
    stamp: Stamp,
) -> Result<(Written, i64)> {
    // The request may come a second time, because its answer was lost.
    if let Some(copy) = conflicts::kept(conn, NodeId(old.id), content).await? {
        let node = old.into();
        let conflict = Some(Node::from(copy));
        let written = Written {
            node,
            created: false,
            conflict,
            content,
        };
        return Ok((written, 0));
    }
    let latest = Millis(action.now.0 + CLOCK_AHEAD_MAX);
    let modified = stamp.modified.unwrap_or(action.now).min(latest);
    let head_modified = old.mtime.min(old.written.saturating_add(CLOCK_AHEAD_MAX));
    let arriving_wins = modified.0 >= head_modified;
    let loser = if arriving_wins {
        let head = ContentId(old.content.ok_or(Error::IsACollection)?);
        let mode = old.mode();
        ((head, old.size), Millis(old.mtime), old.device, mode)
    } else {
        (
            (content, size),
            modified,
            action.device.map(|device| device.0),
            stamp.over(old.mode()),
        )
    };
    let beside = free_place(conn, action, place, loser.2).await?;
    let copy_id = NodeId(action.turn.first_node.0 + 1);
    let times = Stamp {
        modified: Some(loser.1),
        ..Stamp::default().like(loser.3)
    };
    let copy = create_at(conn, action, &beside, copy_id, loser.0, times).await?;
    let node_id = NodeId(old.id);
    let (node, grown) = if arriving_wins {
        let stamp = Stamp {
            modified: Some(modified),
            ..stamp
        };
        replace(conn, action, old, (content, size), stamp).await?
    } else {
        (old.into(), 0)
    };
    let grown = grown + super::write::signed(copy.size);
    let arrived = if arriving_wins { node_id } else { copy.id };
    action.log(conn, Deed::Upload, arrived.0, size).await?;
    let pair = (node_id, copy.id);
    conflicts::insert(conn, action.space, pair, action.device, action.now).await?;
    let written = Written {
        node,
        created: false,
        conflict: Some(copy),
        content,
    };
    Ok((written, grown))
}

/// The copy that the write which made this head left beside it, when there was a conflict.
pub(super) async fn won(conn: &mut Conn, action: &Action, head: &NodeRow) -> Result<Option<Node>> {
    let (id, written) = (NodeId(head.id), Millis(head.written));
    let copy = conflicts::won(conn, id, written, action.device).await?;
    Ok(copy.map(Node::from))
}

/// A free name next to `place`: `name.conflict-YYYYMMDD-HHMMSS-DEVICE.ext`.
async fn free_place(
    conn: &mut Conn,
    action: &Action,
    place: &Place,
    device: Option<i64>,
) -> Result<Place> {
    let device = match device {
        Some(id) => conflicts::device_name(conn, DeviceId(id)).await?,
        None => None,
    };
    let device = device.unwrap_or_else(|| "web".to_owned());
    for number in 0..NAMES_MAX {
        let name = conflict_name(place.name.as_str(), action.now, &device, number)?;
        if nodes::child(conn, place.parent, &name).await?.is_none() {
            return Ok(Place {
                name,
                ..place.clone()
            });
        }
    }
    Err(Error::Exists)
}

/// The marker name; the extension stays last, so that programs still know the file.
fn conflict_name(name: &str, at: Millis, device: &str, number: u32) -> Result<NodeName> {
    let (stem, extension) = match name.rfind('.') {
        Some(dot) if dot > 0 => name.split_at(dot),
        _ => (name, ""),
    };
    let time = Timestamp::from_millisecond(at.0).unwrap_or_default();
    let time = time.strftime("%Y%m%d-%H%M%S");
    let device: String = device
        .chars()
        .filter(|c| c.is_alphanumeric() || *c == '-')
        .take(32)
        .collect();
    let number = if number == 0 {
        String::new()
    } else {
        format!("-{number}")
    };
    let marker = format!(".conflict-{time}-{device}{number}");
    let room = MAX_NAME_BYTES.saturating_sub(marker.len() + extension.len());
    let stem = &stem[..stem.floor_char_boundary(room)];
    let extension = if marker.len() + extension.len() > MAX_NAME_BYTES {
        ""
    } else {
        extension
    };
    Ok(NodeName::parse(&format!("{stem}{marker}{extension}"))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_conflict_copy_keeps_its_extension_and_fits() {
        let at = Millis(1_764_000_000_000);
        let name = conflict_name("report.final.odt", at, "Anna's laptop", 0).unwrap();
        assert_eq!(
            name.as_str(),
            "report.final.conflict-20251124-160000-Annaslaptop.odt"
        );
        let name = conflict_name(".profile", at, "d", 2).unwrap();
        assert_eq!(name.as_str(), ".profile.conflict-20251124-160000-d-2");
        let long = conflict_name(&format!("{}.txt", "ä".repeat(125)), at, "d", 0).unwrap();
        assert!(
            long.as_str().len() <= MAX_NAME_BYTES && long.as_str().strip_suffix(".txt").is_some()
        );
    }
}
