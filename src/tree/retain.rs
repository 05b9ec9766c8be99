//! What goes by itself when its time is over. Not verbs of an account: jobs call these within their
//! own transactions, and what they found before may have changed meanwhile.

use super::turn::Deed;
use super::uploads::oldest;
use super::{Result, row};
use crate::store::meta::nodes;
use crate::store::meta::synclog::{self, Entry};
use crate::store::meta::trash::{self, Expired, GOING};
use crate::store::meta::versions::{self, Keep, Replaced};
use crate::store::meta::{Alone, Conn, locks, spaces, subtree, uploads};
use crate::types::{Millis, NodeId, SpaceId};

/// Most nodes forgotten in one transaction: some 60 ms in which nobody else writes.
pub const PART_MAX: usize = 5000;
/// The account in the activity log when nobody did it.
const NOBODY: i64 = 0;

/// What went, and how many bytes it named; they leave the disk when nothing else names them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Freed {
    /// Deleted files and collections (as one each), versions, uploads, lines …
    pub items: u64,
    /// Bytes.
    pub bytes: u64,
}

impl std::ops::AddAssign for Freed {
    fn add_assign(&mut self, other: Self) {
        self.items += other.items;
        self.bytes += other.bytes;
    }
}

impl Freed {
    /// As a query that counts and adds up returns it.
    pub fn of((items, bytes): (i64, i64)) -> Self {
        let (items, bytes) = (row::bytes(items), row::bytes(bytes));
        Self { items, bytes }
    }

    /// Items of these sizes.
    fn of_sizes(sizes: &[i64]) -> Self {
        let items = u64::try_from(sizes.len()).unwrap_or(u64::MAX);
        let bytes = sizes.iter().map(|size| row::bytes(*size)).sum();
        Self { items, bytes }
    }
}

/// Forgets what has been in trash for too long, if it is still there as it was found. `None` when
/// there is too much of it for one transaction: then it can be seen and restored no more, and
/// [`forget_part`] does the rest.
pub async fn forget_expired(
    conn: &mut Conn,
    found: &Expired,
    now: Millis,
) -> Result<Option<Freed>> {
    let turn = spaces::turn(conn, found.space, 0).await?;
    if !is_as_found(conn, found, found.trashed).await? {
        spaces::give_back(conn, found.space, 0).await?;
        return Ok(Some(Freed::default()));
    }
    let most = i64::try_from(PART_MAX).unwrap_or(i64::MAX);
    if subtree::count(conn, found.id, most + 1).await? > most {
        trash::set_going(conn, found.id).await?;
        spaces::give_back(conn, found.space, 0).await?;
        return Ok(None);
    }
    subtree::forget(conn, found.id, turn.seq).await?;
    log(conn, found, now).await?;
    Ok(Some(Freed::of((1, found.size))))
}

/// Forgets a part of what is too much for one transaction: nodes below which there is nothing else.
/// `false` when somebody else has forgotten all of it.
pub async fn forget_part(
    conn: &mut Conn,
    top: &Expired,
    nodes: &[NodeId],
    now: Millis,
) -> Result<bool> {
    let turn = spaces::turn(conn, top.space, 0).await?;
    if !is_as_found(conn, top, GOING).await? {
        spaces::give_back(conn, top.space, 0).await?;
        return Ok(false);
    }
    subtree::forget_some(conn, nodes, turn.seq).await?;
    if nodes.contains(&top.id) {
        log(conn, top, now).await?;
    }
    Ok(true)
}

/// Whether it was neither restored, nor restored and deleted again, nor forgotten.
async fn is_as_found(conn: &mut Conn, found: &Expired, trashed: Millis) -> Result<bool> {
    let row = nodes::by_id(conn, found.id).await?;
    Ok(row.is_some_and(|row| row.trashed == Some(trashed.0)))
}

async fn log(conn: &mut Conn, found: &Expired, now: Millis) -> Result<()> {
    let entry = Entry {
        account_id: NOBODY,
        device_id: None,
        space_id: found.space.0,
        file_id: found.id.0,
        action: Deed::Purge.text(),
        size: found.size,
        at: now.0,
    };
    Ok(synclog::append(conn, &[entry]).await?)
}

/// Forgets those versions of files that `keep` does not hold.
pub async fn prune_versions(
    conn: &mut Conn,
    files: &[NodeId],
    keep: Keep,
    now: Millis,
) -> Result<Freed> {
    let mut freed = Freed::default();
    for file in files {
        let Some(head) = nodes::by_id(conn, *file).await? else {
            continue;
        };
        let times = (Millis(head.written), now);
        let sizes = versions::prune(conn, *file, keep, times).await?;
        freed += Freed::of_sizes(&sizes);
    }
    Ok(freed)
}

/// Forgets one version, if `always` newer ones of its file are there besides the current one.
pub async fn forget_version(conn: &mut Conn, found: Replaced, always: i64) -> Result<Freed> {
    let size = versions::forget(conn, found.node, found.number, always).await?;
    Ok(size.map_or(Freed::default(), |size| Freed::of((1, size))))
}

/// Forgets at most `limit` uploads that nobody can go on with any more.
pub async fn forget_uploads(conn: &mut Conn, now: Millis, limit: i64) -> Result<Freed> {
    let sizes = uploads::forget_stale(conn, oldest(now), limit).await?;
    Ok(Freed::of_sizes(&sizes))
}

/// How many uploads nobody can go on with any more.
pub async fn stale_uploads(conn: &mut Conn, now: Millis) -> Result<Freed> {
    Ok(Freed::of(uploads::stale_total(conn, oldest(now)).await?))
}

/// Removes the locks of a space that have ended, and says how many.
pub async fn expire_locks(conn: &mut Conn, space: SpaceId, now: Millis) -> Result<u64> {
    conn.alone(Alone::Space(space)).await?;
    let ended = locks::expire(conn, space, now).await?;
    spaces::count_locks(conn, space).await?;
    Ok(ended)
}
