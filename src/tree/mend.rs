//! Repairs of a damaged tree. Not verbs of an account: `fsck` calls these within transactions that have
//! the space for themselves and have looked again. Each takes a turn, so that the feed tells it.

use super::Result;
use super::create::bare;
use super::locate::root_of;
use crate::store::meta::nodes::{self, NewNode};
use crate::store::meta::{Conn, mend, spaces};
use crate::types::{Millis, NodeId, NodeName, Seq, SpaceId};

/// Where nodes go that hung on nothing.
pub const RECOVERED: &str = "recovered";
/// Levels that figures are carried up: more than any tree has.
const LEVELS_MAX: usize = 300;

/// Gives a file the size of its content.
pub async fn size(conn: &mut Conn, space: SpaceId, node: NodeId, size: i64) -> Result<()> {
    let seq = spaces::turn(conn, space, 0).await?.seq;
    mend::set_size(conn, node, size).await?;
    told(conn, node, seq).await
}

/// Adds up what lies below a collection again, and below those above it; all of them say that something
/// changed now.
pub async fn sums(conn: &mut Conn, space: SpaceId, node: NodeId) -> Result<()> {
    let seq = spaces::turn(conn, space, 0).await?.seq;
    told(conn, node, seq).await
}

/// Gives a node a name that can be, with the key of that name.
pub async fn name(conn: &mut Conn, space: SpaceId, node: NodeId) -> Result<()> {
    let seq = spaces::turn(conn, space, 0).await?.seq;
    let Some(row) = nodes::by_id(conn, node).await? else {
        return Ok(());
    };
    let wanted = name_of(&row.name, node)?;
    let mut free = wanted.clone();
    if let (Some(parent), None) = (row.parent, row.trashed) {
        let there = nodes::child(conn, NodeId(parent), &wanted).await?;
        if there.is_some_and(|there| there.id != row.id) {
            free = numbered(&wanted, node)?;
        }
    }
    mend::rename(conn, node, &free).await?;
    told(conn, node, seq).await
}

/// Moves a node that hangs on nothing, with all that hangs on it, under `recovered` in the root of its
/// space; its name there.
pub async fn recover(conn: &mut Conn, space: SpaceId, node: NodeId, now: Millis) -> Result<String> {
    let turn = spaces::turn(conn, space, 1).await?;
    let Some(row) = nodes::by_id(conn, node).await? else {
        return Ok(String::new());
    };
    let folder = folder(conn, space, turn.first_node, turn.seq, now).await?;
    let wanted = name_of(&row.name, node)?;
    let taken = nodes::child(conn, folder, &wanted).await?.is_some();
    let name = if taken {
        numbered(&wanted, node)?
    } else {
        wanted
    };
    nodes::place(conn, node, folder, &name, turn.seq).await?;
    nodes::set_restored(conn, node, turn.seq).await?;
    told(conn, node, turn.seq).await?;
    Ok(format!("{RECOVERED}/{}", name.as_str()))
}

/// The collection for what is recovered, made when there is none.
async fn folder(
    conn: &mut Conn,
    space: SpaceId,
    id: NodeId,
    seq: Seq,
    now: Millis,
) -> Result<NodeId> {
    let root = root_of(space);
    let mut name = NodeName::parse(RECOVERED)?;
    if let Some(there) = nodes::child(conn, root, &name).await? {
        if there.kind == nodes::COLLECTION {
            return Ok(NodeId(there.id));
        }
        name = numbered(&name, id)?;
    }
    let new = NewNode {
        parent: Some(root),
        name: Some(&name),
        ..bare(space, id, seq, now)
    };
    nodes::insert(conn, &[new]).await?;
    Ok(id)
}

/// Gives a space its root back: what hung on it does so again.
pub async fn root(conn: &mut Conn, space: SpaceId, now: Millis) -> Result<()> {
    let seq = spaces::turn(conn, space, 0).await?.seq;
    let root = root_of(space);
    if nodes::by_id(conn, root).await?.is_some() {
        mend::make_root(conn, root, space, seq).await?;
    } else {
        nodes::insert(conn, &[bare(space, root, seq, now)]).await?;
    }
    told(conn, root, seq).await
}

/// Brings a node and all above it up to date with a turn.
async fn told(conn: &mut Conn, node: NodeId, seq: Seq) -> Result<()> {
    mend::touch(conn, node, seq).await?;
    Ok(mend::sum_up(conn, node, seq, LEVELS_MAX).await?)
}

/// The name that a node has, or one that says which it is.
fn name_of(name: &str, node: NodeId) -> Result<NodeName> {
    match NodeName::parse(name) {
        Ok(name) => Ok(name),
        Err(_impossible) => Ok(NodeName::parse(&format!("node-{node}"))?),
    }
}

/// A name that nobody else has.
fn numbered(name: &NodeName, node: NodeId) -> Result<NodeName> {
    let numbered = format!("{}-{node}", name.as_str());
    // One that becomes too long by that.
    NodeName::parse(&numbered).or_else(|_long| name_of("", node))
}
