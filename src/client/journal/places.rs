//! Where items are.

use sqlx::Row as _;

use super::{Error, Journal};
use crate::client::item::ItemId;

/// Which tree a path is looked up in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// As both sides last had it.
    Synced,
    /// As the server has it now.
    Remote,
}

const SYNCED: &str = "SELECT parent, name FROM item WHERE id = $1";
const REMOTE: &str = "SELECT parent, name FROM pending WHERE id = $1
    UNION ALL SELECT parent, name FROM item WHERE id = $1 LIMIT 1";
/// Deeper than any path that the server takes; ends a walk in rows that contradict each other.
const DEEPEST: usize = 256;

impl Journal {
    /// The path of an item without a leading slash; empty for the root. None when it, or what it lies in, is not known.
    pub async fn path(
        &self,
        id: ItemId,
        side: Side,
        root: ItemId,
    ) -> Result<Option<String>, Error> {
        let sql = match side {
            Side::Synced => SYNCED,
            Side::Remote => REMOTE,
        };
        let (mut names, mut at) = (Vec::new(), id);
        let mut conn = self.conn().await;
        while at != root {
            let row = sqlx::query(sql)
                .bind(at.0)
                .fetch_optional(&mut *conn)
                .await?;
            let Some(row) = row.filter(|_| names.len() < DEEPEST) else {
                return Ok(None);
            };
            at = ItemId(row.try_get(0)?);
            names.push(row.try_get::<String, _>(1)?);
        }
        names.reverse();
        Ok(Some(names.join("/")))
    }
}
