//! Many small files in one transaction: one turn, one walk up for each collection, one commit.

use std::collections::HashMap;

use super::locate::Place;
use super::model::{Overtaken, Write, Written};
use super::turn::Action;
use super::write::{NODES, put_in, signed};
use super::{Error, Result, Tree};
use crate::store::content::Staged;
use crate::store::meta::nodes::{self, NodeRow};
use crate::store::meta::{Conn, contents};
use crate::types::{NodeId, NodePath, SpaceId};

/// Most files named in one transaction: a fraction of a second of the writer, which everybody waits for.
pub const BATCH_MAX: usize = 512;

/// A file whose bytes are durable and which is to be named.
pub struct BatchItem {
    /// Where.
    pub at: NodePath,
    /// Its bytes.
    pub staged: Staged,
    /// How it is written.
    pub how: Write,
}

struct Item {
    /// Its place among the results.
    nth: usize,
    place: Place,
    staged: Staged,
    how: Write,
}

type Results = Vec<(usize, Result<Written>)>;

impl Tree {
    /// Names at most [`BATCH_MAX`] files in their order; each is refused or written by itself. An
    /// error of the whole is one of the store: then those of one space at least were not written.
    pub async fn commit_batch(&self, items: Vec<BatchItem>) -> Result<Vec<Result<Written>>> {
        let mut results = Vec::with_capacity(items.len());
        let mut spaces: Vec<(SpaceId, Vec<Item>)> = Vec::new();
        let mut parents = HashMap::new();
        for (nth, item) in items.into_iter().enumerate() {
            let placed = self.place_cached(&mut parents, &item.at).await;
            match placed.and_then(|place| check_space(place, &item.staged)) {
                Ok(place) => {
                    let BatchItem { staged, how, .. } = item;
                    let space = place.space;
                    let item = Item {
                        nth,
                        place,
                        staged,
                        how,
                    };
                    match spaces.iter_mut().find(|(known, _)| *known == space) {
                        Some((_, items)) => items.push(item),
                        None => spaces.push((space, vec![item])),
                    }
                }
                Err(error) => results.push((nth, Err(error))),
            }
        }
        for (space, items) in spaces {
            let tree = self.clone();
            let named = self.write(space, move |conn| {
                Box::pin(async move { put_all(conn, &tree, space, &items).await })
            });
            results.extend(named.await?);
        }
        results.sort_by_key(|(nth, _)| *nth);
        Ok(results.into_iter().map(|(_, result)| result).collect())
    }

    /// The place of a path; its collection is looked up once a batch.
    async fn place_cached(
        &self,
        parents: &mut HashMap<NodePath, (SpaceId, NodeId)>,
        at: &NodePath,
    ) -> Result<Place> {
        let Some((above, name)) = at.split_last() else {
            return self.place(at).await;
        };
        if let Some((space, parent)) = parents.get(&above) {
            return Ok(Place {
                space: *space,
                parent: *parent,
                name: name.clone(),
            });
        }
        let place = self.place(at).await?;
        // In the root a name decides the space: mounts are there.
        if !above.is_root() {
            parents.insert(above, (place.space, place.parent));
        }
        Ok(place)
    }
}

fn check_space(place: Place, staged: &Staged) -> Result<Place> {
    if staged.space == place.space {
        Ok(place)
    } else {
        Err(Error::NoParent)
    }
}

/// What the batch did to a collection: bytes it grew by; `None` when it is not there any more.
type Grown = HashMap<NodeId, Option<i64>>;

async fn put_all(conn: &mut Conn, tree: &Tree, space: SpaceId, items: &[Item]) -> Result<Results> {
    let ids = NODES * i64::try_from(items.len()).unwrap_or(i64::MAX);
    let action = Action::begin(conn, tree, space, ids).await?;
    let (mut grown, mut used, mut results) = (Grown::new(), 0, Results::new());
    for (item, first) in items.iter().zip((0..).step_by(2)) {
        let parent = item.place.parent;
        if !grown.contains_key(&parent) {
            let live = nodes::touch_up(conn, parent, action.turn.seq, 0).await?;
            used = live.map_or(used, |live| live + total(&grown));
            grown.insert(parent, live.map(|_live| 0));
        }
        let known = grown.get_mut(&parent).and_then(Option::as_mut);
        let result = match known {
            Some(bytes) => {
                put_one(conn, tree, &action.at_nth(first), item, (bytes, &mut used)).await
            }
            None => Err(Error::NoParent),
        };
        match result {
            Err(Error::Store(error)) => return Err(error.into()),
            result => results.push((item.nth, result)),
        }
    }
    for (parent, bytes) in grown {
        if let Some(bytes) = bytes.filter(|bytes| *bytes != 0) {
            action.carry(conn, parent, bytes).await?;
        }
    }
    Ok(results)
}

fn total(grown: &Grown) -> i64 {
    grown.values().flatten().sum()
}

async fn put_one(
    conn: &mut Conn,
    tree: &Tree,
    action: &Action,
    item: &Item,
    (grown, used): (&mut i64, &mut i64),
) -> Result<Written> {
    refuse_over_quota(conn, action, item, *used).await?;
    let (place, staged, how) = (&item.place, &item.staged, &item.how);
    let (written, bytes) = put_in(conn, tree, action, place, staged, how).await?;
    *grown += bytes;
    *used += bytes;
    Ok(written)
}

/// Asked before the write, because a single one of a batch cannot be undone.
async fn refuse_over_quota(conn: &mut Conn, action: &Action, item: &Item, used: i64) -> Result<()> {
    let fits = |grown: i64, quota: i64| grown <= 0 || used.saturating_add(grown) <= quota;
    let size = signed(item.staged.size);
    let Some(quota) = action.turn.quota.filter(|quota| !fits(size, *quota)) else {
        return Ok(());
    };
    let grown = match action.at(conn, &item.place).await? {
        None => size,
        Some(there) => growth(conn, item, &there).await?,
    };
    if fits(grown, quota) {
        return Ok(());
    }
    let (used, quota) = (
        used.saturating_add(grown).unsigned_abs(),
        quota.unsigned_abs(),
    );
    Err(Error::QuotaExceeded { used, quota })
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
