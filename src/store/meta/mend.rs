//! What `fsck --repair` writes: figures that follow from others. Each is one step of a transaction that
//! has the space for itself and has looked again.

use super::{Conn, sql};
use crate::store::Result;
use crate::types::{NodeId, NodeName, Seq, SpaceId};

const SET_SIZE: &str = "UPDATE node SET size = $2, tree_size = $2 WHERE id = $1";
const SET_VERSION_SIZE: &str = "UPDATE version SET size = $3 WHERE node = $1 AND number = $2";
const TOUCH: &str = "UPDATE node SET seq = $2, tree_seq = $2, space = $3 WHERE id = $1";
const SUM_UP: &str = "UPDATE node SET tree_seq = $2, tree_size = CASE WHEN kind = 1 THEN size
        ELSE COALESCE((SELECT SUM(n.tree_size) FROM node n
                        WHERE n.parent = $1 AND n.trashed IS NULL), 0) END
    WHERE id = $1 RETURNING CASE WHEN trashed IS NULL THEN parent END";
const RENAME: &str = "UPDATE node SET name = $2, name_key = $3 WHERE id = $1";
const MAKE_ROOT: &str = "UPDATE node SET space = $2, parent = NULL, kind = 0, content = NULL,
        trashed = NULL, seq = $3, tree_seq = $3 WHERE id = $1";
const RAISE: &str =
    "UPDATE space SET seq = CASE WHEN seq < $2 THEN CAST($2 AS BIGINT) ELSE seq END,
        last_node = CASE WHEN last_node < $3 THEN CAST($3 AS BIGINT) ELSE last_node END
    WHERE id = $1";

/// Gives a file the size of its content.
pub async fn set_size(conn: &mut Conn, node: NodeId, size: i64) -> Result<()> {
    let query = sql::query(SET_SIZE).bind(node.0).bind(size);
    query.execute(conn).await?;
    Ok(())
}

/// Gives a version the size of its content.
pub async fn set_version_size(conn: &mut Conn, node: NodeId, number: i64, size: i64) -> Result<()> {
    let query = sql::query(SET_VERSION_SIZE)
        .bind(node.0)
        .bind(number)
        .bind(size);
    query.execute(conn).await?;
    Ok(())
}

/// Makes a turn the last change of a node, so that the feed of the space that it was made in tells it.
pub async fn touch(conn: &mut Conn, node: NodeId, seq: Seq) -> Result<()> {
    let query = sql::query(TOUCH)
        .bind(node.0)
        .bind(seq.0)
        .bind(node.space().0);
    query.execute(conn).await?;
    Ok(())
}

/// Adds up a node and those above it that count it; their last change below is that turn. At most
/// `most` levels, because a damaged tree may go in a circle.
pub async fn sum_up(conn: &mut Conn, from: NodeId, seq: Seq, most: usize) -> Result<()> {
    let mut next = Some(from.0);
    for _ in 0..most {
        let Some(node) = next else {
            break;
        };
        let query = sql::query_scalar::<Option<i64>>(SUM_UP)
            .bind(node)
            .bind(seq.0);
        next = query.fetch_optional(&mut *conn).await?.flatten();
    }
    Ok(())
}

/// Gives a node another name, where it is.
pub async fn rename(conn: &mut Conn, node: NodeId, name: &NodeName) -> Result<()> {
    let query = sql::query(RENAME)
        .bind(node.0)
        .bind(name.as_str())
        .bind(name.key());
    query.execute(conn).await?;
    Ok(())
}

/// Makes a node the root of a space.
pub async fn make_root(conn: &mut Conn, node: NodeId, space: SpaceId, seq: Seq) -> Result<()> {
    let query = sql::query(MAKE_ROOT).bind(node.0).bind(space.0).bind(seq.0);
    query.execute(conn).await?;
    Ok(())
}

/// Raises a space's counters to what was certainly taken.
pub async fn raise(conn: &mut Conn, space: SpaceId, seq: i64, nodes: i64) -> Result<()> {
    let query = sql::query(RAISE).bind(space.0).bind(seq).bind(nodes);
    query.execute(conn).await?;
    Ok(())
}

/// Every statement here, for the test that prepares them all.
#[cfg(test)]
pub(super) fn statements() -> Vec<&'static str> {
    vec![
        SET_SIZE,
        SET_VERSION_SIZE,
        TOUCH,
        SUM_UP,
        RENAME,
        MAKE_ROOT,
        RAISE,
    ]
}
