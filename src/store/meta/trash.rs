//! What lies in trash.

use super::nodes::{NodeRow, select_node};
use super::{Conn, sql};
use crate::store::Result;
use crate::types::SpaceId;

const LIST: &str = select_node!(
    "WHERE n.space = $1 AND n.trashed IS NOT NULL AND (n.trashed, n.id) > ($2, $3)
    ORDER BY n.trashed, n.id LIMIT $4"
);

/// Trashed nodes, oldest first, those after (time, id).
pub async fn list(
    conn: &mut Conn,
    space: SpaceId,
    after: (i64, i64),
    limit: i64,
) -> Result<Vec<NodeRow>> {
    let query = sql::query_as(LIST)
        .bind(space.0)
        .bind(after.0)
        .bind(after.1)
        .bind(limit);
    Ok(query.fetch_all(conn).await?)
}

/// Every statement here, for the test that prepares them all.
#[cfg(test)]
pub(super) fn statements() -> Vec<&'static str> {
    vec![LIST]
}
