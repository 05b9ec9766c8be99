//! Whether files that look touched hold other bytes.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::task::block_in_place;

use super::content::list_of;
use super::{Engine, Error};
use crate::chunk::Class;
use crate::client::item::{Content, ItemId, Kind};
use crate::client::journal::{Entry, Side, Write, unpack};
use crate::client::local::read::{List, Opened};
use crate::client::local::scan::{Found, Local};
use crate::client::local::{Stamp, join, read};

/// What came of reading files.
#[derive(Default)]
pub(super) struct Compared {
    /// How files are cut that are not the same, while they have this stamp.
    pub(super) cuts: HashMap<ItemId, (List, Stamp)>,
    /// Stamps of those that are the same, which cannot be relied on later.
    pub(super) racy: Vec<(ItemId, Stamp)>,
}

impl Engine {
    /// Reads files that may be other than what was in step and are as long, and takes those for untouched that are the
    /// same. Else a file that was only looked at would count as edited, and win against what others did.
    pub(super) async fn compare(&self, found: &mut Found) -> Result<Compared, Error> {
        let mut compared = Compared::default();
        if !found.changed.iter().any(is_doubtful) {
            return Ok(compared);
        }
        let mut seen = Vec::new();
        let new: HashMap<ItemId, (ItemId, String)> = found
            .changed
            .iter()
            .filter(|local| local.item.kind == Kind::Collection)
            .map(|local| (local.item.id, (local.item.parent, local.item.name.clone())))
            .collect();
        let doubtful: Vec<_> = found
            .changed
            .iter()
            .filter(|local| is_doubtful(local))
            .map(|local| local.item.id)
            .collect();
        let rows = self.journal.items(&doubtful).await?;
        let mut rows: HashMap<_, _> = rows.into_iter().map(|(row, _)| (row.id, row)).collect();
        let mut left = Vec::with_capacity(found.changed.len());
        for mut local in std::mem::take(&mut found.changed) {
            let row = rows.remove(&local.item.id);
            if let Some(row) = row.filter(|row| row.size == local.stamp.size)
                && let Some((opened, list)) = self.read(&local, &row, &new).await?
            {
                if self.is_same(&row, &opened, &list).await? {
                    local.item.content = Content::Version(row.etag.clone());
                    if local.item == row.item() {
                        let stamp = (!local.racy).then_some(local.stamp);
                        if local.racy {
                            compared.racy.push((row.id, local.stamp));
                        }
                        seen.push(Write::Seen(row.id, stamp));
                        continue;
                    }
                } else {
                    compared.cuts.insert(row.id, (list, local.stamp));
                }
            }
            left.push(local);
        }
        found.changed = left;
        self.journal.write(&seen).await?;
        Ok(compared)
    }

    /// Whether a file that is cut so has the bytes that were in step.
    async fn is_same(&self, row: &Entry, opened: &Opened, list: &List) -> Result<bool, Error> {
        if let Some(known) = self.journal.list(row.id, &row.etag).await? {
            return Ok(known.root == list.root);
        }
        // What was in step without having come or gone has no list here.
        let there = match self.session.manifest(row.id.0, Some(&row.etag)).await {
            Ok(there) => unpack(&there)?,
            Err(error) if error.is_of_one() => return Ok(false),
            Err(error) => return Err(error.into()),
        };
        let keys = self.keys(row.space).await?;
        let same = block_in_place(|| list_of(list.clone(), opened, &there, &keys));
        // What cannot be read to its end is none that is known.
        let Ok(Some(list)) = same else {
            return Ok(false);
        };
        let write = Write::List(row.id, row.space, Arc::clone(&row.etag), list);
        self.journal.write(&[write]).await?;
        Ok(true)
    }

    /// A file and how it is cut now; none when it cannot be read to its end.
    async fn read(
        &self,
        local: &Local,
        row: &Entry,
        new: &HashMap<ItemId, (ItemId, String)>,
    ) -> Result<Option<(Opened, List)>, Error> {
        let (mut names, mut at) = (vec![local.item.name.clone()], local.item.parent);
        // Collections that are new or have moved, up to one that lies where it did.
        while let Some((parent, name)) = new.get(&at).filter(|_| names.len() < 256) {
            names.push(name.clone());
            at = *parent;
        }
        let Some(above) = self.journal.path(at, Side::Synced, self.root).await? else {
            return Ok(None);
        };
        let path = names
            .iter()
            .rev()
            .fold(above, |path, name| join(&path, name));
        let keys = self.keys(row.space).await?;
        Ok(block_in_place(|| {
            let opened = read::open(&self.folder, &path, &local.stamp).ok()?;
            let class = Class::of(Some(opened.size()));
            let list = read::cut(&opened, class, &keys).ok()?;
            opened.check().is_ok().then_some((opened, list))
        }))
    }
}

/// Whether it may hold other bytes than those that were in step, and may not.
fn is_doubtful(local: &Local) -> bool {
    local.item.id.is_known()
        && local.item.kind == Kind::File
        && matches!(local.item.content, Content::Local(_))
}
