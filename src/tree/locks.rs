//! Write locks (RFC 4918 §6, §7): on nodes, with an end, in the database.

use std::time::Duration;

use super::locate::{Place, walk};
use super::model::Lock;
use super::turn::Action;
use super::write::{self, Stamp};
use super::{Error, Result, Tree, row};
use crate::store::content::Staged;
use crate::store::meta::locks::{self, LockRow};
use crate::store::meta::{Alone, Conn, nodes, spaces};
use crate::types::{Millis, NodeId, NodePath, SpaceId};

/// Longest lock granted, in seconds: a client that died blocks others for an hour at most, and
/// every client we know refreshes well before.
pub const LOCK_SECONDS_MAX: u64 = 3600;
/// Shortest lock granted, in seconds: Office refreshes only every three minutes.
const LOCK_SECONDS_MIN: u64 = 180;
/// Most locks in one space: each write of a locked space looks at all of them.
const LOCKS_MAX: i64 = 1000;
/// Longest owner element kept, in bytes; it is sent with every listing.
const OWNER_MAX: usize = 8 * 1024;

/// A lock somebody wants.
#[derive(Clone, Debug)]
pub struct LockRequest {
    /// The client's owner element as XML.
    pub owner: Option<Vec<u8>>,
    /// How long; `None` or longer than [`LOCK_SECONDS_MAX`] gets that.
    pub timeout: Option<Duration>,
    /// Shared or exclusive.
    pub shared: bool,
    /// Whether it covers everything below.
    pub deep: bool,
}

impl Tree {
    /// Locks a node. Where nothing is, an empty file is made in the same transaction (`true`).
    pub async fn lock(&self, at: &NodePath, request: LockRequest) -> Result<(Lock, bool)> {
        if request
            .owner
            .as_ref()
            .is_some_and(|owner| owner.len() > OWNER_MAX)
        {
            return Err(Error::TooLarge("the lock's owner element is over 8 KiB"));
        }
        let spot = self.spot(&mut *self.store.meta.read().await?, at).await?;
        let place = if spot.names.is_empty() {
            None
        } else {
            Some(self.place(at).await?)
        };
        let target = Target {
            space: spot.space,
            root: spot.root,
            place,
        };
        let (tree, at) = (self.clone(), at.clone());
        let space = spot.space;
        let empty = self.stage_empty(space).await?;
        self.write(space, move |conn| {
            Box::pin(async move {
                let (row, made) = take(conn, &tree, &target, request, empty).await?;
                Ok((row::lock(row, at), made))
            })
        })
        .await
    }

    /// Grants a lock that covers the path a new time.
    pub async fn refresh_lock(
        &self,
        at: &NodePath,
        token: &str,
        timeout: Option<Duration>,
    ) -> Result<Lock> {
        let (row, secs) = (self.own_lock(at, token).await?, granted(timeout));
        let now = self.clock.now();
        let expires = now.plus(Duration::from_secs(secs));
        let timeout = i64::try_from(secs).unwrap_or(i64::MAX);
        let token = row.token.clone();
        let meta = &self.store.meta;
        let space = SpaceId(row.space);
        let refreshed = meta.write(move |conn| {
            Box::pin(async move {
                conn.alone(Alone::Space(space)).await?;
                locks::refresh(conn, &token, timeout, (now, expires)).await
            })
        });
        if !refreshed.await? {
            return Err(Error::NoSuchLock);
        }
        let row = LockRow {
            timeout,
            expires_at: expires.0,
            ..row
        };
        self.resolve_lock(&mut *self.store.meta.read().await?, row)
            .await
    }

    /// Ends a lock that covers the path; only its holder may.
    pub async fn unlock(&self, at: &NodePath, token: &str) -> Result<()> {
        let row = self.own_lock(at, token).await?;
        let meta = &self.store.meta;
        meta.write(move |conn| {
            Box::pin(async move {
                let space = SpaceId(row.space);
                conn.alone(Alone::Space(space)).await?;
                locks::delete(conn, &row.token).await?;
                spaces::count_locks(conn, space).await?;
                Ok(())
            })
        })
        .await
    }

    /// The locks that cover a path: its own and deep ones above.
    pub async fn locks(&self, at: &NodePath) -> Result<Vec<Lock>> {
        let mut conn = self.store.meta.read().await?;
        let (rows, _) = self.covering(&mut conn, at).await?;
        let mut found = Vec::with_capacity(rows.len());
        for row in rows {
            found.push(self.resolve_lock(&mut conn, row).await?);
        }
        Ok(found)
    }

    /// Refuses when a lock covers the path and none of `tokens` opens it.
    ///
    /// A path where nothing is counts as a member of its parent. `deep` also looks below.
    pub async fn check_locks(
        &self,
        at: &NodePath,
        deep: bool,
        ignore_principal: bool,
        tokens: &[String],
    ) -> Result<()> {
        let mut conn = self.store.meta.read().await?;
        let space = self.spot(&mut conn, at).await?.space;
        if !spaces::has_locks(&mut conn, space).await? {
            return Ok(());
        }
        let (rows, node) = self.covering(&mut conn, at).await?;
        self.refuse_foreign(&mut conn, rows, tokens, ignore_principal)
            .await?;
        if let (true, Some((space, node))) = (deep, node) {
            let below = locks::at_or_below(&mut conn, space, node, self.clock.now()).await?;
            self.refuse_foreign_below(&mut conn, below, tokens, ignore_principal)
                .await?;
        }
        Ok(())
    }

    /// Refuses when an exclusive lock is not among `tokens`, or when there are shared ones and
    /// none of them is.
    pub(super) async fn refuse_foreign(
        &self,
        conn: &mut Conn,
        rows: Vec<LockRow>,
        tokens: &[String],
        ignore_principal: bool,
    ) -> Result<()> {
        let held = |row: &LockRow| {
            tokens.contains(&row.token) && (ignore_principal || row.account == self.user.account.0)
        };
        let any_held = rows.iter().any(held);
        let foreign = rows
            .into_iter()
            .find(|row| !held(row) && (!row.shared || !any_held));
        match foreign {
            Some(row) => Err(Error::Locked(Box::new(self.resolve_lock(conn, row).await?))),
            None => Ok(()),
        }
    }

    /// The same for locks on many nodes: shared locks stand together on one node only.
    pub(super) async fn refuse_foreign_below(
        &self,
        conn: &mut Conn,
        mut rows: Vec<LockRow>,
        tokens: &[String],
        ignore_principal: bool,
    ) -> Result<()> {
        rows.sort_by_key(|row| row.node);
        for on_one in rows.chunk_by(|one, other| one.node == other.node) {
            self.refuse_foreign(conn, on_one.to_vec(), tokens, ignore_principal)
                .await?;
        }
        Ok(())
    }

    /// A lock row with the path of its lock root.
    pub(super) async fn resolve_lock(&self, conn: &mut Conn, row: LockRow) -> Result<Lock> {
        let root = self
            .path_of(conn, NodeId(row.node), SpaceId(row.space))
            .await?;
        Ok(row::lock(row, root.unwrap_or_default()))
    }

    /// Lock rows over a path, and the node there if one is.
    async fn covering(
        &self,
        conn: &mut Conn,
        at: &NodePath,
    ) -> Result<(Vec<LockRow>, Option<(SpaceId, NodeId)>)> {
        let (spot, now) = (self.spot(conn, at).await?, self.clock.now());
        if let Some(row) = walk(conn, spot.root, spot.names).await? {
            let node = NodeId(row.id);
            return Ok((
                locks::covering(conn, node, now).await?,
                Some((spot.space, node)),
            ));
        }
        for above in (0..spot.names.len()).rev() {
            let Some(row) = walk(conn, spot.root, &spot.names[..above]).await? else {
                continue;
            };
            let direct = above + 1 == spot.names.len();
            let mut rows = locks::covering(conn, NodeId(row.id), now).await?;
            rows.retain(|lock| lock.deep || direct);
            return Ok((rows, None));
        }
        Ok((Vec::new(), None))
    }

    async fn own_lock(&self, at: &NodePath, token: &str) -> Result<LockRow> {
        let mut conn = self.store.meta.read().await?;
        let (rows, _) = self.covering(&mut conn, at).await?;
        let found = rows
            .into_iter()
            .find(|row| row.token == token)
            .ok_or(Error::NoSuchLock)?;
        if found.account == self.user.account.0 {
            return Ok(found);
        }
        Err(Error::Locked(Box::new(
            self.resolve_lock(&mut conn, found).await?,
        )))
    }
}

struct Target {
    space: SpaceId,
    root: NodeId,
    place: Option<Place>,
}

async fn take(
    conn: &mut Conn,
    tree: &Tree,
    target: &Target,
    request: LockRequest,
    empty: Staged,
) -> Result<(LockRow, bool)> {
    let action = Action::begin(conn, tree, target.space, 1).await?;
    locks::expire(conn, target.space, action.now).await?;
    let there = match &target.place {
        Some(place) => action.at(conn, place).await?,
        None => nodes::by_id(conn, target.root).await?,
    };
    let (node, made) = match (there, &target.place) {
        (Some(row), _) if nodes::names_up(conn, NodeId(row.id)).await?.is_some() => {
            (NodeId(row.id), false)
        }
        (None, Some(place)) => {
            action.guard(conn, tree, place.parent).await?;
            let made = write::create(conn, &action, place, &empty, Stamp::default()).await?;
            action.settle(conn, place.parent, 0).await?;
            (made.id, true)
        }
        // Somebody has just deleted a collection above it.
        (Some(_), _) | (None, None) => return Err(Error::NotFound),
    };
    if spaces::count_locks(conn, target.space).await? >= LOCKS_MAX {
        return Err(Error::TooLarge("the space holds 1000 locks already"));
    }
    refuse_conflicting(conn, tree, &action, node, &request).await?;
    let row = granted_row(tree, target.space, node, request, action.now);
    locks::insert(conn, &row).await?;
    spaces::count_locks(conn, target.space).await?;
    Ok((row, made))
}

/// A new lock conflicts with any lock over or (when deep) below the node, unless both are shared.
async fn refuse_conflicting(
    conn: &mut Conn,
    tree: &Tree,
    action: &Action,
    node: NodeId,
    request: &LockRequest,
) -> Result<()> {
    let mut others = locks::covering(conn, node, action.now).await?;
    if request.deep {
        others.extend(locks::at_or_below(conn, action.space, node, action.now).await?);
    }
    match others
        .into_iter()
        .find(|other| !(other.shared && request.shared))
    {
        Some(other) => Err(Error::Locked(Box::new(
            tree.resolve_lock(conn, other).await?,
        ))),
        None => Ok(()),
    }
}

fn granted_row(
    tree: &Tree,
    space: SpaceId,
    node: NodeId,
    request: LockRequest,
    now: Millis,
) -> LockRow {
    let secs = granted(request.timeout);
    LockRow {
        token: uuid::Uuid::new_v4().urn().to_string(),
        space: space.0,
        node: node.0,
        account: tree.user.account.0,
        principal: tree.user.name.clone(),
        deep: request.deep,
        shared: request.shared,
        owner: request.owner,
        timeout: i64::try_from(secs).unwrap_or(i64::MAX),
        expires_at: now.plus(Duration::from_secs(secs)).0,
    }
}

fn granted(wanted: Option<Duration>) -> u64 {
    let secs = wanted.map_or(LOCK_SECONDS_MAX, |wanted| wanted.as_secs());
    secs.clamp(LOCK_SECONDS_MIN, LOCK_SECONDS_MAX)
}
