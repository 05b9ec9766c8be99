//! Doing here what was planned.

use std::collections::HashSet;

use tokio::task::block_in_place;

use super::gather::Parts;
use super::{Engine, Error, Outcome};
use crate::client::item::{Item, ItemId, Kind};
use crate::client::journal::{Entry, Write};
use crate::client::local::Stamp;
use crate::client::local::place::{
    Refused, make_collection, move_item, remove_collection, remove_file, set_executable, sync,
};
use crate::client::local::scan::{Reach, look_again};
use crate::client::local::split;
use crate::client::reconcile::{LocalOp, Plan};

/// Changes that are written to the journal at once.
const WRITES: usize = 512;

/// A file that has to be fetched.
#[derive(Clone)]
pub(super) struct Wanted {
    pub(super) step: usize,
    pub(super) id: ItemId,
    pub(super) parent: ItemId,
    pub(super) name: String,
    pub(super) replaces: bool,
    /// Whether it may be run.
    pub(super) executable: bool,
    /// It has to come whole: the server does not keep what is here.
    pub(super) whole: bool,
}

impl Engine {
    /// Brings the folder to what the server has.
    pub(super) async fn here(
        &mut self,
        plan: &Plan,
        parts: &mut Parts,
        outcome: &mut Outcome,
    ) -> Result<(), Error> {
        let mut failed = HashSet::new();
        let (mut writes, mut wanted) = (Vec::new(), Vec::<Wanted>::new());
        // Steps of what is wanted.
        let mut coming = HashSet::new();
        // Items that let others pass and have not come to their places.
        let mut passing = HashSet::new();
        for (at, step) in plan.here.iter().enumerate() {
            if step.needs.iter().any(|need| coming.contains(need)) {
                coming.clear();
                let done = std::mem::take(&mut writes);
                self.fetch(
                    std::mem::take(&mut wanted),
                    done,
                    parts,
                    outcome,
                    &mut failed,
                )
                .await?;
            }
            if step.needs.iter().any(|need| failed.contains(need)) {
                failed.insert(at);
                continue;
            }
            if let LocalOp::Fetch {
                id,
                parent,
                name,
                replaces,
            } = &step.op
            {
                let (id, parent) = (parts.alias(*id), parts.alias(*parent));
                coming.insert(at);
                wanted.push(Wanted {
                    step: at,
                    id,
                    parent,
                    name: name.clone(),
                    replaces: *replaces,
                    executable: plan.merged.get(id).is_some_and(|item| item.executable),
                    whole: false,
                });
                continue;
            }
            let mut has_passed = false;
            match block_in_place(|| self.step_here(&step.op, parts, &mut writes)) {
                Ok(()) => {
                    outcome.done += 1;
                    has_passed = passes(&step.op, &mut passing);
                }
                Err((path, refused)) => {
                    failed.insert(at);
                    if let LocalOp::Move { id, .. } = &step.op {
                        look_around(*id, parts, outcome);
                    }
                    self.refused(&path, &refused, outcome).await?;
                }
            }
            if writes.len() >= WRITES || has_passed {
                self.durable(&mut writes).await?;
            }
        }
        for id in passing {
            look_around(id, parts, outcome);
        }
        self.fetch(wanted, writes, parts, outcome, &mut failed)
            .await
    }

    /// Tells the journal what is on the disk.
    pub(super) async fn durable(&self, writes: &mut Vec<Write>) -> Result<(), Error> {
        if writes.is_empty() {
            return Ok(());
        }
        if let Err(refused) = block_in_place(|| sync(&self.folder)) {
            return Err(Error::Unreadable(std::io::Error::other(refused)));
        }
        self.journal.write(writes).await?;
        writes.clear();
        Ok(())
    }

    /// What is not as expected is looked at again; all else is told.
    pub(super) async fn refused(
        &self,
        path: &str,
        refused: &Refused,
        outcome: &mut Outcome,
    ) -> Result<(), Error> {
        if matches!(
            refused,
            Refused::Touched | Refused::Occupied | Refused::NoParent
        ) {
            outcome.more = true;
        }
        if *refused == Refused::NoSpace && !std::mem::replace(&mut outcome.full, true) {
            // Old bytes only make transfers shorter; with shared blocks they have no budget.
            block_in_place(|| self.shadows().clear(&self.folder)).ok();
        }
        look_again(
            &mut outcome.again,
            split(path).0.to_owned(),
            Reach::Children,
        );
        look_again(&mut outcome.again, path.to_owned(), Reach::Entry);
        self.note(path, &refused.to_string(), outcome).await
    }

    fn step_here(
        &self,
        op: &LocalOp,
        parts: &mut Parts,
        writes: &mut Vec<Write>,
    ) -> Result<(), (String, Refused)> {
        match op {
            LocalOp::MakeCollection { id, parent, name } => {
                let path = place(parts, parts.alias(*parent), name)?;
                let stamp =
                    make_collection(&self.folder, &path).map_err(|refused| (path, refused))?;
                made(*id, parts.alias(*parent), name, stamp, parts, writes);
            }
            LocalOp::Move {
                id,
                parent,
                name,
                temporary,
            } => {
                let id = parts.alias(*id);
                let from = path(parts, id)?;
                let to = place(parts, parts.alias(*parent), name)?;
                let (Some(item), Some(stamp)) =
                    (parts.local.get(id).cloned(), parts.stamps.get(&id).copied())
                else {
                    return Err((from, Refused::Touched));
                };
                let stamp = move_item(&self.folder, &from, &to, item.kind, &stamp)
                    .map_err(|refused| (to, refused))?;
                let parent = parts.alias(*parent);
                parts.local.insert(Item {
                    parent,
                    name: name.clone(),
                    ..item
                });
                parts.stamps.insert(id, stamp);
                if !temporary && id.is_known() && parts.synced.has(id) {
                    writes.push(Write::Place(id, parent, name.clone()));
                    writes.push(Write::Seen(id, parts.stamp_in_step(id)));
                    if let Some(row) = parts.rows.get_mut(&id) {
                        (row.parent, row.name) = (parent, name.clone());
                    }
                }
            }
            LocalOp::Remove { id, below } => {
                for id in below.iter().rev().chain([id]) {
                    self.remove(parts.alias(*id), parts, writes)?;
                }
            }
            LocalOp::SetExecutable { id, executable } => {
                let id = parts.alias(*id);
                let at = path(parts, id)?;
                let stamp = parts
                    .stamps
                    .get(&id)
                    .copied()
                    .ok_or_else(|| (at.clone(), Refused::Touched))?;
                let stamp = set_executable(&self.folder, &at, &stamp, *executable)
                    .map_err(|refused| (at, refused))?;
                parts.stamps.insert(id, stamp);
                if let Some(row) = parts.rows.get_mut(&id) {
                    row.executable = *executable;
                    writes.push(Write::Executable(id, *executable));
                    writes.push(Write::Seen(id, parts.stamp_in_step(id)));
                }
            }
            LocalOp::Fetch { .. } => {}
        }
        Ok(())
    }

    fn remove(
        &self,
        id: ItemId,
        parts: &mut Parts,
        writes: &mut Vec<Write>,
    ) -> Result<(), (String, Refused)> {
        let at = path(parts, id)?;
        let kind = parts.local.get(id).map(|item| item.kind);
        let stamp = parts
            .stamps
            .get(&id)
            .copied()
            .ok_or_else(|| (at.clone(), Refused::Touched))?;
        let removed = match kind {
            Some(Kind::Collection) => remove_collection(&self.folder, &at, &stamp),
            _ => remove_file(&self.folder, &at, &stamp).and_then(|old| old.discard().map(drop)),
        };
        removed.map_err(|refused| (at, refused))?;
        parts.local.remove(id);
        // What cannot be forgotten now is the first to go when there is no room.
        drop(self.shadows().forget(&self.folder, id));
        writes.push(Write::Remove(id));
        Ok(())
    }

    /// Gives local items the ids that they have on the server, and notes what is in step already.
    pub(super) async fn adopt(&self, plan: &Plan, parts: &mut Parts) -> Result<(), Error> {
        let mut writes = Vec::new();
        for stranger in &plan.strangers {
            parts.rename(stranger.from, stranger.to);
        }
        for adopt in &plan.adopt {
            parts.rename(adopt.from, adopt.to);
            parts.aliases.insert(adopt.from, adopt.to);
            if adopt.from.is_known() {
                writes.push(Write::Rekey(adopt.from, adopt.to));
            }
            let head = parts.heads.get(&adopt.to);
            if let Some(head) = head.filter(|head| head.kind == Kind::Collection) {
                writes.push(Write::Put(head.clone(), parts.stamp(adopt.to)));
            }
        }
        for id in &plan.settled {
            match (plan.merged.has(*id), parts.heads.get(id)) {
                (true, Some(head)) => writes.push(Write::Put(head.clone(), parts.stamp(*id))),
                (true, None) => {}
                (false, _) => writes.push(Write::Remove(*id)),
            }
        }
        Ok(self.journal.write(&writes).await?)
    }
}

/// Notes which items let others pass; whether the last of them has come to its place, and none is under way any more.
fn passes(op: &LocalOp, passing: &mut HashSet<ItemId>) -> bool {
    match op {
        LocalOp::Move { id, temporary, .. } if *temporary => {
            passing.insert(*id);
            false
        }
        LocalOp::Move { id, .. } => passing.remove(id) && passing.is_empty(),
        LocalOp::MakeCollection { .. }
        | LocalOp::Fetch { .. }
        | LocalOp::Remove { .. }
        | LocalOp::SetExecutable { .. } => false,
    }
}

/// Has it looked at again where an item is: it did not come to its place.
fn look_around(id: ItemId, parts: &Parts, outcome: &mut Outcome) {
    if let Some(path) = Parts::path(&parts.local, parts.alias(id)) {
        look_again(
            &mut outcome.again,
            split(&path).0.to_owned(),
            Reach::Children,
        );
    }
}

fn path(parts: &Parts, id: ItemId) -> Result<String, (String, Refused)> {
    Parts::path(&parts.local, id).ok_or_else(|| (String::new(), Refused::NoParent))
}

fn place(parts: &Parts, parent: ItemId, name: &str) -> Result<String, (String, Refused)> {
    Parts::place(&parts.local, parent, name).ok_or_else(|| (name.to_owned(), Refused::NoParent))
}

fn made(
    id: ItemId,
    parent: ItemId,
    name: &str,
    stamp: Stamp,
    parts: &mut Parts,
    writes: &mut Vec<Write>,
) {
    let Some(head) = parts.heads.get(&id).cloned() else {
        return;
    };
    let entry = Entry {
        parent,
        name: name.to_owned(),
        ..head
    };
    parts.local.insert(entry.item());
    parts.stamps.insert(id, stamp);
    writes.push(Write::Put(entry, Some(stamp)));
}
