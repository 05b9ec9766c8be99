//! Hearing what changed on the server.

use super::{Engine, Error};
use crate::client::item::ItemId;
use crate::client::journal::{Entry, Intake, Key};
use crate::protocol::files;
use crate::protocol::sync::Change;

/// Changes in one answer.
const PAGE: u32 = 2000;
/// Nodes in one answer of a list.
const LIST_PAGE: u32 = 1000;

/// What a pull came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pulled {
    /// All that the server has to tell is here.
    All,
    /// The server has no memory of what it told: it is an older state of it, or another server.
    Stale,
    /// All was told anew after that, and some of what was known is not known any more.
    Lost,
}

impl Engine {
    /// Takes in all changes since the last time.
    pub(super) async fn pull(&self) -> Result<Pulled, Error> {
        let mut cursor = self.journal.get(Key::Cursor).await?;
        loop {
            let page = match self.session.pull(cursor.as_deref(), PAGE).await {
                Ok(page) => page,
                Err(error) if error.problem() == Some("stale-cursor") => return Ok(Pulled::Stale),
                Err(error) if error.problem() == Some("expired-cursor") => {
                    tracing::info!("the server has forgotten since when; hearing everything anew");
                    self.journal.take_anew(false).await?;
                    cursor = None;
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            let (mut intake, list) = self.intake(&page.changes).await?;
            for id in list {
                let took = |node: &files::Node| {
                    intake.extend(self.take(node));
                    true
                };
                self.below(id, took).await?;
            }
            self.journal.take(&intake, Some(&page.cursor)).await?;
            if !page.more {
                break;
            }
            cursor = Some(page.cursor);
        }
        let lost = self.journal.all_taken().await?;
        Ok(if lost { Pulled::Lost } else { Pulled::All })
    }

    /// What changes mean here, and the collections that have to be listed.
    async fn intake(&self, changes: &[Change]) -> Result<(Vec<Intake>, Vec<i64>), Error> {
        let (mut intake, mut list) = (Vec::with_capacity(changes.len()), Vec::new());
        for change in changes {
            let Some(node) = change.node.as_ref().filter(|_| !change.deleted) else {
                intake.push(Intake::Gone(ItemId(change.id)));
                continue;
            };
            let taken = self.take(node);
            let is_here = matches!(taken, Some(Intake::Is(_)));
            intake.extend(taken);
            let collection = node.kind == files::Kind::Collection && is_here;
            // What comes out of a folder that is kept from this device was never told.
            let unknown =
                || async { Ok::<_, Error>(self.journal.item(ItemId(node.id)).await?.is_none()) };
            if collection
                && (change.restored || !self.config.exclude.is_empty() && unknown().await?)
            {
                list.push(node.id);
            }
        }
        Ok((intake, list))
    }

    /// What a node means here; nothing for the root.
    pub(super) fn take(&self, node: &files::Node) -> Option<Intake> {
        if node.id == self.root.0 {
            return None;
        }
        let path = node.path.trim_start_matches('/');
        let skipped = self
            .ignore
            .skips(path, node.kind == files::Kind::Collection);
        Some(if skipped {
            Intake::Gone(ItemId(node.id))
        } else {
            Intake::Is(Entry::of_node(node, self.root))
        })
    }

    /// Whether something holds for everything below a collection on the server.
    pub(super) async fn below(
        &self,
        id: i64,
        mut holds: impl FnMut(&files::Node) -> bool,
    ) -> Result<bool, Error> {
        let mut next: Option<String> = None;
        loop {
            let page = self.session.list(id, true, LIST_PAGE, next.as_deref());
            let page = match page.await {
                Ok(page) => page,
                // It went again meanwhile; the next pull tells.
                Err(error) if error.problem() == Some("not-found") => return Ok(true),
                Err(error) => return Err(error.into()),
            };
            if !page.items.iter().all(&mut holds) {
                return Ok(false);
            }
            match page.next {
                Some(cursor) => next = Some(cursor),
                None => return Ok(true),
            }
        }
    }
}
