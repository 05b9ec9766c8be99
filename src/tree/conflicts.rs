//! Two writers, one base: the later modification wins, the other is kept beside it and listed.

use jiff::Timestamp;

use super::locate::Place;
use super::model::{Conflict, Written};
use super::turn::Action;
use super::write::{Stamp, create_at, replace};
use super::{Error, Result, Tree};
use crate::store::meta::nodes::{self, NodeRow};
use crate::store::meta::{Conn, conflicts};
use crate::types::{ContentId, MAX_NAME_BYTES, Millis, NodeId, NodeName, NodePath};

/// How far ahead of the server a device's clock may be before its times stop counting, in ms.
const CLOCK_AHEAD_MAX: i64 = 5 * 60 * 1000;
/// Most copies of one conflict name in one second before we give up.
const NAMES_MAX: u32 = 1000;

impl Tree {
    /// Conflicts of the space at `at` that nobody has resolved.
    pub async fn conflicts(&self, at: &NodePath) -> Result<Vec<Conflict>> {
        let space = self.space_at(at).await?;
        let rows = conflicts::open(&mut *self.store.meta.read().await?, space).await?;
        let conflict = |(id, node, copy, at)| Conflict {
            id,
            node: NodeId(node),
            copy: NodeId(copy),
            at: Millis(at),
        };
        Ok(rows.into_iter().map(conflict).collect())
    }

    /// Marks a conflict as resolved; both files stay as they are.
    pub async fn resolve_conflict(&self, at: &NodePath, id: i64) -> Result<()> {
        let (space, now) = (self.space_at(at).await?, self.clock.now());
        let meta = &self.store.meta;
        let done: Result<bool> = meta
            .write(move |conn| {
                Box::pin(async move { Ok(conflicts::resolve(conn, space, id, now).await?) })
            })
            .await;
        if done? { Ok(()) } else { Err(Error::NotFound) }
    }
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
) -> Result<Written> {
    let latest = Millis(action.now.0 + CLOCK_AHEAD_MAX);
    let modified = stamp.modified.unwrap_or(action.now).min(latest);
    let head_modified = old.mtime.min(old.written.saturating_add(CLOCK_AHEAD_MAX));
    let arriving_wins = modified.0 >= head_modified;
    let loser = if arriving_wins {
        let head = ContentId(old.content.ok_or(Error::IsACollection)?);
        ((head, old.size), Millis(old.mtime), old.device)
    } else {
        (
            (content, size),
            modified,
            action.device.map(|device| device.0),
        )
    };
    let beside = free_place(conn, action, place, loser.2).await?;
    let copy_id = NodeId(action.turn.first_node.0 + 1);
    let times = Stamp {
        modified: Some(loser.1),
        created: None,
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
    action
        .settle(conn, place.parent, grown + super::write::signed(copy.size))
        .await?;
    let pair = (node_id, copy.id);
    conflicts::insert(conn, action.space, pair, action.device, action.now).await?;
    Ok(Written {
        node,
        created: false,
        conflict: Some(copy),
    })
}

/// A free name next to `place`: `name.conflict-YYYYMMDD-HHMMSS-DEVICE.ext`.
async fn free_place(
    conn: &mut Conn,
    action: &Action,
    place: &Place,
    device: Option<i64>,
) -> Result<Place> {
    let device = match device {
        Some(id) => conflicts::device_name(conn, crate::types::DeviceId(id)).await?,
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
