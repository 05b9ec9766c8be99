//! What every write has in common: its turn in the space, the quota, the log.

use super::locate::Place;
use super::model::{Node, Written};
use super::{Error, Result, Tree};
use crate::store::meta::nodes::{self, NodeRow};
use crate::store::meta::spaces::{self, Turn};
use crate::store::meta::synclog::{self, Entry};
use crate::store::meta::versions::Keep;
use crate::store::meta::{Conn, locks};
use crate::types::{DeviceId, Millis, NodeId, SpaceId};

/// One write to one space, from its turn to its log entry. Lives inside one transaction.
#[derive(Clone)]
pub(super) struct Action {
    pub(super) space: SpaceId,
    pub(super) turn: Turn,
    pub(super) now: Millis,
    pub(super) device: Option<DeviceId>,
    pub(super) keep: Keep,
    account: i64,
    tokens: std::sync::Arc<[String]>,
}

/// What the activity log calls an action.
#[derive(Clone, Copy, Debug)]
pub(super) enum Deed {
    Upload,
    Mkdir,
    Move,
    Copy,
    Delete,
    Restore,
    Purge,
    Edit,
}

impl Deed {
    pub(super) fn text(self) -> &'static str {
        match self {
            Self::Upload => "upload",
            Self::Mkdir => "mkdir",
            Self::Move => "move",
            Self::Copy => "copy",
            Self::Delete => "delete",
            Self::Restore => "restore",
            Self::Purge => "purge",
            Self::Edit => "edit",
        }
    }
}

impl Action {
    /// Takes the space's turn: the first statement of the transaction. Draws `nodes` ids.
    pub(super) async fn begin(
        conn: &mut Conn,
        tree: &Tree,
        space: SpaceId,
        nodes: i64,
    ) -> Result<Self> {
        Ok(Self {
            space,
            turn: spaces::turn(conn, space, nodes).await?,
            now: tree.clock.now(),
            device: tree.user.device,
            keep: tree.store.keep,
            account: tree.user.account.0,
            tokens: std::sync::Arc::clone(&tree.tokens),
        })
    }

    /// The same action with its new nodes counted from the `n`-th on.
    pub(super) fn at_nth(&self, n: i64) -> Self {
        let first_node = NodeId(self.turn.first_node.0 + n);
        Self {
            turn: Turn {
                first_node,
                ..self.turn
            },
            ..self.clone()
        }
    }

    /// Whether a write changed anything in this turn, or was a request that was sent again.
    pub(super) fn made(&self, written: &Written) -> bool {
        let now = |node: &Node| node.seq == self.turn.seq;
        now(&written.node) || written.conflict.as_ref().is_some_and(now)
    }

    /// The live node at a place.
    pub(super) async fn at(&self, conn: &mut Conn, place: &Place) -> Result<Option<NodeRow>> {
        Ok(nodes::child(conn, place.parent, &place.name).await?)
    }

    /// Carries a change up to the root. Returns the live bytes of the space.
    pub(super) async fn carry(&self, conn: &mut Conn, parent: NodeId, bytes: i64) -> Result<i64> {
        let live = nodes::touch_up(conn, parent, self.turn.seq, bytes).await?;
        live.ok_or(Error::NoParent)
    }

    /// Carries a change up to the root and holds the space to its quota when it grew.
    pub(super) async fn settle(&self, conn: &mut Conn, parent: NodeId, bytes: i64) -> Result<()> {
        let used = self.carry(conn, parent, bytes).await?;
        match self.turn.quota {
            Some(quota) if bytes > 0 && used > quota => {
                let (used, quota) = (used.unsigned_abs(), quota.unsigned_abs());
                Err(Error::QuotaExceeded { used, quota })
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Sends what lies at a place to trash, with everything below.
    pub(super) async fn discard(&self, conn: &mut Conn, row: &NodeRow) -> Result<()> {
        let id = NodeId(row.id);
        if self.turn.locks > 0 {
            for lock in locks::at_or_below(conn, self.space, id, self.now).await? {
                locks::delete(conn, &lock.token).await?;
            }
            spaces::count_locks(conn, self.space).await?;
        }
        nodes::trash(conn, id, self.now, self.turn.seq).await?;
        nodes::put_gone(conn, row, self.turn.seq).await?;
        let parent = NodeId(
            row.parent
                .ok_or(Error::Forbidden("a root cannot be deleted"))?,
        );
        self.settle(conn, parent, -row.tree_size).await
    }

    /// Refuses when somebody's lock covers a node (RFC 4918 §6.1).
    pub(super) async fn guard(&self, conn: &mut Conn, tree: &Tree, node: NodeId) -> Result<()> {
        if self.turn.locks == 0 {
            return Ok(());
        }
        let found = locks::covering(conn, node, self.now).await?;
        tree.refuse_foreign(conn, found, &self.tokens, false).await
    }

    /// Refuses when somebody's lock lies on a node or below it, too.
    pub(super) async fn guard_all(&self, conn: &mut Conn, tree: &Tree, node: NodeId) -> Result<()> {
        if self.turn.locks == 0 {
            return Ok(());
        }
        self.guard(conn, tree, node).await?;
        let below = locks::at_or_below(conn, self.space, node, self.now).await?;
        tree.refuse_foreign_below(conn, below, &self.tokens, false)
            .await
    }

    /// Writes the activity log.
    pub(super) async fn log(
        &self,
        conn: &mut Conn,
        deed: Deed,
        node: i64,
        size: i64,
    ) -> Result<()> {
        Ok(synclog::append(conn, &[self.entry(deed, node, size)]).await?)
    }

    /// A line for the activity log.
    pub(super) fn entry(&self, deed: Deed, node: i64, size: i64) -> Entry {
        Entry {
            account_id: self.account,
            device_id: self.device.map(|device| device.0),
            space_id: self.space.0,
            file_id: node,
            action: deed.text(),
            size,
            at: self.now.0,
        }
    }
}
