//! Many small files in one transaction: one turn, one walk up for each collection, one commit.

mod put;

use std::collections::HashMap;

use super::locate::Place;
use super::model::{Write, Written};
use super::{Error, Result, Tree};
use crate::store::content::Staged;
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
            let named = self.write_contents(space, move |conn| {
                Box::pin(async move { put::all(conn, &tree, space, &items).await })
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
