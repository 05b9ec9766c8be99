//! Many nodes by their ids, as far as they hang on the root of their space.

use std::collections::HashMap;
use std::sync::LazyLock;

use super::rows::Among;
use super::{Conn, sql};
use crate::store::Result;
use crate::types::{ContentId, NodeId, SpaceId};

/// A node that is there: neither it nor anything above it is in trash.
#[derive(Clone, Copy, Debug)]
pub struct Live {
    /// The space it lies in.
    pub space: SpaceId,
    /// The current content of a file; `None` for a collection.
    pub content: Option<ContentId>,
}

static LIVE: LazyLock<Among> = LazyLock::new(|| {
    Among::within(
        "WITH RECURSIVE up (node, parent, trashed) AS (
            SELECT id, parent, trashed FROM node WHERE id",
        "UNION ALL
            SELECT up.node, n.parent, n.trashed FROM up JOIN node n ON n.id = up.parent
             WHERE up.trashed IS NULL)
        SELECT n.id, n.space, n.content FROM up JOIN node n ON n.id = up.node
         WHERE up.parent IS NULL AND up.trashed IS NULL",
    )
});

/// Those of the nodes that are there.
pub async fn among(conn: &mut Conn, nodes: &[NodeId]) -> Result<HashMap<NodeId, Live>> {
    let mut found = HashMap::with_capacity(nodes.len());
    for (sql, batch) in LIVE.batches(nodes) {
        let mut query = sql::query_as(sql);
        for node in batch {
            query = query.bind(node.0);
        }
        let rows: Vec<(i64, i64, Option<i64>)> = query.fetch_all(&mut *conn).await?;
        let live = |(node, space, content): (i64, i64, Option<i64>)| {
            let (space, content) = (SpaceId(space), content.map(ContentId));
            (NodeId(node), Live { space, content })
        };
        found.extend(rows.into_iter().map(live));
    }
    Ok(found)
}

/// Every statement here, for the test that prepares them all.
#[cfg(test)]
pub(super) fn statements() -> Vec<&'static str> {
    let mut all = vec![];
    all.extend(LIVE.texts());
    all
}
