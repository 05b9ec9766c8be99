//! Hearing what changed on the server.

use super::{Engine, Error};
use crate::client::item::ItemId;
use crate::client::journal::{Entry, Intake, Key};
use crate::protocol::files;
use crate::protocol::sync::{Change, Changes};

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
        if cursor.is_none() && self.is_other().await? {
            return Ok(Pulled::Stale);
        }
        let mut anew = cursor.is_none() || self.journal.get(Key::Hearing).await?.is_some();
        let mut asked = None;
        loop {
            let answer = match asked.take() {
                Some(answer) => answer,
                None => self.session.pull(cursor.as_deref(), PAGE).await,
            };
            let page = match answer {
                Ok(page) => page,
                Err(error) if error.problem() == Some("stale-cursor") => return Ok(Pulled::Stale),
                Err(error) if error.problem() == Some("expired-cursor") => {
                    tracing::info!("the server has forgotten since when; hearing everything anew");
                    self.journal.take_anew(false).await?;
                    (cursor, anew) = (None, true);
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            if !page.more {
                self.take_page(&page, anew).await?;
                break;
            }
            // The next one is on its way while this one is taken in.
            let following = self.session.pull(Some(&page.cursor), PAGE);
            let (taken, answer) = tokio::join!(self.take_page(&page, anew), following);
            taken?;
            (cursor, asked) = (Some(page.cursor), Some(answer));
        }
        let lost = self.journal.all_taken().await?;
        Ok(if lost { Pulled::Lost } else { Pulled::All })
    }

    /// Takes in some changes.
    async fn take_page(&self, page: &Changes, anew: bool) -> Result<(), Error> {
        let list = if anew {
            Vec::new()
        } else {
            self.untold(&page.changes).await?
        };
        let intake: Vec<_> = page
            .changes
            .iter()
            .filter_map(|change| self.meant(change))
            .collect();
        let all = list.is_empty().then_some(&*page.cursor);
        self.journal.take(&intake, all).await?;
        for &id in &list {
            self.take_below(id).await?;
        }
        if !list.is_empty() {
            self.journal.take(&[], Some(&page.cursor)).await?;
        }
        Ok(())
    }

    /// Whether the server, from which everything is to be heard anew, does not know what it told before: then what it does
    /// not tell is not deleted.
    async fn is_other(&self) -> Result<bool, Error> {
        let Some(before) = self.journal.get(Key::Before).await? else {
            return Ok(false);
        };
        match self.session.pull(Some(&before), 1).await {
            Ok(_) => Ok(false),
            Err(error) => match error.problem() {
                Some("stale-cursor") => Ok(true),
                Some("expired-cursor") => Ok(false),
                _ => Err(error.into()),
            },
        }
    }

    /// Collections among what was told of which not all that lies below was told: they came back from trash, or out of a
    /// folder that is not kept on this device.
    async fn untold(&self, changes: &[Change]) -> Result<Vec<i64>, Error> {
        let collections = || {
            let there = changes.iter().filter(|change| {
                let node = change.node.as_ref().filter(|_| !change.deleted);
                node.is_some_and(|node| node.kind == files::Kind::Collection)
                    && matches!(self.meant(change), Some(Intake::Is(_)))
            });
            there.filter_map(|change| Some((change.node.as_ref()?, change.restored)))
        };
        let ids: Vec<_> = collections().map(|(node, _)| ItemId(node.id)).collect();
        let unknown = self.journal.unknown(&ids).await?;
        let is_unknown = |id: i64| unknown.contains(&ItemId(id));
        let untold = collections().filter(|(node, restored)| {
            // What lies in an unknown one is listed with it.
            *restored || is_unknown(node.id) && !node.parent.is_some_and(is_unknown)
        });
        Ok(untold.map(|(node, _)| node.id).collect())
    }

    /// What a change means here.
    fn meant(&self, change: &Change) -> Option<Intake> {
        match change.node.as_ref().filter(|_| !change.deleted) {
            Some(node) => self.take(node),
            None => Some(Intake::Gone(ItemId(change.id))),
        }
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

    /// Takes in what lies below a collection on the server.
    async fn take_below(&self, id: i64) -> Result<(), Error> {
        let mut next = None;
        while let Some(page) = self.listed(id, next.as_deref()).await? {
            let intake: Vec<_> = page
                .items
                .iter()
                .filter_map(|node| self.take(node))
                .collect();
            self.journal.take(&intake, None).await?;
            match page.next {
                Some(cursor) => next = Some(cursor),
                None => break,
            }
        }
        Ok(())
    }

    /// Whether something holds for everything below a collection on the server.
    pub(super) async fn below(
        &self,
        id: i64,
        mut holds: impl FnMut(&files::Node) -> bool,
    ) -> Result<bool, Error> {
        let mut next = None;
        while let Some(page) = self.listed(id, next.as_deref()).await? {
            if !page.items.iter().all(&mut holds) {
                return Ok(false);
            }
            match page.next {
                Some(cursor) => next = Some(cursor),
                None => break,
            }
        }
        Ok(true)
    }

    /// Some of what lies below a collection; none when it went again meanwhile, of which the next pull tells.
    async fn listed(&self, id: i64, next: Option<&str>) -> Result<Option<files::Nodes>, Error> {
        match self.session.list(id, true, LIST_PAGE, next).await {
            Ok(page) => Ok(Some(page)),
            Err(error) if error.problem() == Some("not-found") => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}
