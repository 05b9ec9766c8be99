//! Which cursors are refused, whatever they are to tell, and for which of two reasons. One from elsewhere is
//! [`Error::StaleCursor`] even if it is old as well: a client concludes nothing from it.

use super::{Error, Result, Tree};
use crate::store::meta::{Conn, changes};
use crate::types::{Epoch, SpaceId};

impl Tree {
    /// Refuses a cursor that this database, as it is now, did not give out, and then one with a space that the
    /// account does not see any more. `positions` are its spaces, each with the last turn told.
    pub(super) async fn refuse_cursor(
        &self,
        conn: &mut Conn,
        epoch: Option<Epoch>,
        positions: impl Iterator<Item = (SpaceId, i64)> + Send,
    ) -> Result<()> {
        if epoch != Some(self.store.epoch) {
            return Err(Error::StaleCursor);
        }
        let seen = self.spaces(conn).await?;
        let mut unseen = false;
        for (space, seq) in positions {
            // No space is ever removed: one that is not there was made after this state of the database.
            let last = changes::turn_of(conn, space).await?;
            if last.is_none_or(|last| seq > last) {
                return Err(Error::StaleCursor);
            }
            unseen |= !seen.contains(&space);
        }
        if unseen {
            return Err(Error::ExpiredCursor);
        }
        Ok(())
    }
}
