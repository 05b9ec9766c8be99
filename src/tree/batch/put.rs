//! The files of a batch in their transaction. Those that are new, which is most, share statements; the
//! others are written one by one.

use std::collections::{HashMap, HashSet};

use super::super::locate::Place;
use super::super::model::{Overtaken, Written};
use super::super::turn::{Action, Deed};
use super::super::write::{self, NODES, Stamp, signed};
use super::super::{Error, Result, Tree};
use super::{Item, Results};
use crate::crypto::Blinded;
use crate::store::meta::nodes::{self, NodeRow};
use crate::store::meta::{Conn, contents, spaces, synclog};
use crate::types::{ContentId, NodeId, NodeName, SpaceId};

/// What is going on in a batch.
struct Batch<'b> {
    tree: &'b Tree,
    action: Action,
    /// What it does to collections; `None` when one is not there any more.
    homes: HashMap<NodeId, Option<Home>>,
    /// Live bytes of the space.
    used: i64,
    /// New files that wait for their rows.
    fresh: Vec<Fresh<'b>>,
    results: Results,
}

/// A collection that files go into.
struct Home {
    /// Whether anything in it was written.
    changed: bool,
    /// Bytes it grew by.
    grown: i64,
    /// Names (NFC keys) that somebody has, of those that files are to get.
    taken: HashSet<String>,
}

/// A file where nothing is.
struct Fresh<'b> {
    item: &'b Item,
    id: NodeId,
}

/// Writes all items in their order.
pub(super) async fn all(
    conn: &mut Conn,
    tree: &Tree,
    space: SpaceId,
    items: &[Item],
) -> Result<Results> {
    let ids = NODES * i64::try_from(items.len()).unwrap_or(i64::MAX);
    let action = Action::begin(conn, tree, space, ids).await?;
    let mut batch = Batch {
        tree,
        action,
        homes: HashMap::new(),
        used: 0,
        fresh: Vec::new(),
        results: Results::with_capacity(items.len()),
    };
    batch.enter(conn, items).await?;
    for (item, first) in items.iter().zip((0..).step_by(2)) {
        batch.take(conn, item, first).await?;
    }
    batch.make_fresh(conn).await?;
    let changed = batch.homes.iter().filter_map(|(parent, home)| {
        let home = home.as_ref().filter(|home| home.changed)?;
        Some((*parent, home.grown))
    });
    let changed: Vec<_> = changed.collect();
    for (parent, grown) in &changed {
        batch.action.carry(conn, *parent, *grown).await?;
    }
    if changed.is_empty() {
        // Requests that were sent again, or refused: nobody needs to hear of them.
        spaces::give_back(conn, space, ids).await?;
    }
    Ok(batch.results)
}

impl<'b> Batch<'b> {
    /// Looks which collections are there, and which names in them are taken.
    async fn enter(&mut self, conn: &mut Conn, items: &[Item]) -> Result<()> {
        let mut keys: HashMap<NodeId, Vec<String>> = HashMap::new();
        for Item { place, .. } in items {
            keys.entry(place.parent).or_default().push(place.name.key());
        }
        for (parent, keys) in keys {
            let live = nodes::bytes_above(conn, parent).await?;
            self.used = live.unwrap_or(self.used);
            let home = match live {
                None => None,
                Some(_) => Some(Home {
                    changed: false,
                    grown: 0,
                    taken: nodes::taken(conn, parent, &keys).await?,
                }),
            };
            self.homes.insert(parent, home);
        }
        Ok(())
    }

    /// Writes an item, or lets it wait for its row. `first` is the first of its node ids.
    async fn take(&mut self, conn: &mut Conn, item: &'b Item, first: i64) -> Result<()> {
        if let Some(id) = self.may_wait(item, first) {
            self.grow(&item.place, signed(item.staged.size), &item.place.name);
            self.fresh.push(Fresh { item, id });
            return Ok(());
        }
        self.make_fresh(conn).await?;
        match self.put_one(conn, item, first).await {
            Err(Error::Store(error)) => Err(error.into()),
            result => {
                self.results.push((item.nth, result));
                Ok(())
            }
        }
    }

    /// The id of the new file, when there is nothing to look at but the quota, and that holds.
    fn may_wait(&self, item: &Item, first: i64) -> Option<NodeId> {
        let home = self.homes.get(&item.place.parent)?.as_ref()?;
        let action = self.action.at_nth(first);
        let fits = self.fits(signed(item.staged.size));
        let new = !home.taken.contains(&item.place.name.key())
            && action.turn.locks == 0
            && write::check_new(&item.how).is_ok();
        (fits && new).then_some(action.turn.first_node)
    }

    /// Notes that something was written under a name.
    fn grow(&mut self, place: &Place, bytes: i64, name: &NodeName) {
        self.used += bytes;
        if let Some(Some(home)) = self.homes.get_mut(&place.parent) {
            home.changed = true;
            home.grown += bytes;
            home.taken.insert(name.key());
        }
    }

    /// Makes the rows of the new files.
    async fn make_fresh(&mut self, conn: &mut Conn) -> Result<()> {
        let fresh = std::mem::take(&mut self.fresh);
        let contents = name_all(conn, &fresh).await?;
        let (mut new, mut log) = (Vec::new(), Vec::new());
        for Fresh { item, id } in &fresh {
            let Item {
                place, staged, how, ..
            } = item;
            let known = contents.get(&staged.root);
            let known = known.ok_or(crate::store::Error::Corrupt("a content got no row"))?;
            let content = (*known, signed(staged.size));
            let file = write::new_file(&self.action, place, *id, content, Stamp::of(how));
            log.push(self.action.entry(Deed::Upload, id.0, content.1));
            new.push((file, content));
        }
        let rows: Vec<_> = new.iter().map(|(file, _)| *file).collect();
        nodes::insert(conn, &rows).await?;
        synclog::append(conn, &log).await?;
        for (Fresh { item, .. }, (file, content)) in fresh.iter().zip(new) {
            let mut node = write::created(&file, content);
            node.checksum = write::stated(&item.staged);
            self.results
                .push((item.nth, Ok(Written::plain(node, true))));
        }
        Ok(())
    }

    /// Writes one item by itself.
    async fn put_one(&mut self, conn: &mut Conn, item: &Item, first: i64) -> Result<Written> {
        let Item {
            place, staged, how, ..
        } = item;
        if self.homes.get(&place.parent).is_none_or(Option::is_none) {
            return Err(Error::NoParent);
        }
        self.refuse_over_quota(conn, item).await?;
        let action = self.action.at_nth(first);
        let (written, grown) = write::put_in(conn, self.tree, &action, place, staged, how).await?;
        if action.made(&written) {
            self.grow(place, grown, &place.name);
            let copy = written.conflict.as_ref();
            if let Some(Ok(name)) = copy.map(|copy| NodeName::parse(&copy.name)) {
                self.grow(place, 0, &name);
            }
        }
        Ok(written)
    }

    fn fits(&self, grown: i64) -> bool {
        let quota = self.action.turn.quota.unwrap_or(i64::MAX);
        grown <= 0 || self.used.saturating_add(grown) <= quota
    }

    /// Asked before the write, because a single one of a batch cannot be undone.
    async fn refuse_over_quota(&self, conn: &mut Conn, item: &Item) -> Result<()> {
        let size = signed(item.staged.size);
        let Some(quota) = self.action.turn.quota.filter(|_| !self.fits(size)) else {
            return Ok(());
        };
        let grown = match self.action.at(conn, &item.place).await? {
            None => size,
            Some(there) => growth(conn, item, &there).await?,
        };
        if self.fits(grown) {
            return Ok(());
        }
        let used = self.used.saturating_add(grown).unsigned_abs();
        let quota = quota.unsigned_abs();
        Err(Error::QuotaExceeded { used, quota })
    }
}

/// Makes (or finds) the rows of contents; equal ones share theirs.
async fn name_all(conn: &mut Conn, fresh: &[Fresh<'_>]) -> Result<HashMap<Blinded, ContentId>> {
    let mut seen = HashSet::new();
    let staged: Vec<_> = fresh
        .iter()
        .map(|fresh| &fresh.item.staged)
        .filter(|staged| seen.insert(staged.root))
        .collect();
    Ok(contents::insert_all(conn, &staged).await?)
}

/// By how much a write over a file makes the space grow: in a conflict both contents stay.
async fn growth(conn: &mut Conn, item: &Item, there: &NodeRow) -> Result<i64> {
    let Item { staged, how, .. } = item;
    let known = contents::known_root(conn, staged.space, staged.root, staged.size).await?;
    if known.is_some_and(|known| there.content == Some(known.0)) {
        return Ok(0);
    }
    let size = signed(staged.size);
    let conflict = how.overtaken == Overtaken::KeepBoth && how.base.is_overtaken(there.content);
    Ok(if conflict { size } else { size - there.size })
}
