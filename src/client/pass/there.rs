//! Doing there what was planned.

use std::collections::HashSet;
use std::sync::Arc;

use tokio::task::block_in_place;

use super::gather::Parts;
use super::line::{Line, Sending, Task};
use super::pull::Pulled;
use super::put::{Aim, INLINE_MAX, Put, Ready, Try};
use super::{Engine, Error, Outcome};
use crate::client::item::{Item, ItemId, Kind};
use crate::client::journal::Write;
use crate::client::local::scan::{Reach, look_again};
use crate::client::reconcile::{Plan, RemoteOp};
use crate::protocol::files::{self, Written};
use crate::protocol::sync::{PushItem, PushResult, PushStatus};

/// Items of one push: their results come at its end.
const ITEMS_MAX: usize = 1000;
/// Bytes of one push that are in memory.
const BYTES_MAX: usize = 4 * 1024 * 1024;

impl Engine {
    /// Sends what the server lacks.
    pub(super) async fn there(
        &self,
        plan: &Plan,
        parts: &mut Parts,
        outcome: &mut Outcome,
    ) -> Result<(), Error> {
        if plan.there.is_empty() {
            return Ok(());
        }
        self.progress.begin("sending", total(plan, parts));
        let mut line = Line::new(plan, parts, outcome);
        for (at, step) in plan.there.iter().enumerate() {
            if line.waits_for(step) {
                self.land_all(&mut line).await?;
            }
            if step.needs.iter().any(|need| line.failed.contains(need)) {
                line.failed.insert(at);
                continue;
            }
            match &step.op {
                RemoteOp::Upload { base, .. } => {
                    self.send(at, &step.op, base.clone(), Try::First, &mut line)
                        .await?;
                }
                RemoteOp::SetExecutable { id, .. } => {
                    let head = line.parts.heads.get(id).map(|head| &head.etag);
                    let row = line.parts.rows.get(id).map(|row| &row.etag);
                    if head != row {
                        // Only what is here could be sent with it, which is not what is there.
                        line.failed.insert(at);
                        line.outcome.more = true;
                        continue;
                    }
                    let base = head.map(Arc::clone);
                    self.send(at, &step.op, base, Try::First, &mut line).await?;
                }
                op @ (RemoteOp::MakeCollection { .. }
                | RemoteOp::Move { .. }
                | RemoteOp::Delete { .. }) => self.change(at, op, &mut line).await?,
            }
            self.fly_when_full(&mut line).await?;
        }
        self.land_all(&mut line).await?;
        for task in std::mem::take(&mut line.again) {
            self.send(task.step, &task.op, task.base, Try::Whole, &mut line)
                .await?;
            self.fly_when_full(&mut line).await?;
        }
        self.land_all(&mut line).await?;
        line.look_at_failed();
        Ok(())
    }

    /// A step without content.
    async fn change(&self, at: usize, op: &RemoteOp, line: &mut Line<'_>) -> Result<(), Error> {
        let before = line.parts.remote.get(op.id()).cloned();
        let is_collection = before.as_ref().is_some_and(is_collection);
        if is_collection && matches!(op, RemoteOp::Delete { .. }) {
            // What is on its way belongs to what is heard before it goes.
            self.land_all(line).await?;
        }
        let item = match self.item_of(op, line.parts).await {
            Err(Error::Unknown) => {
                line.failed.insert(at);
                let path = Parts::path(&line.parts.remote, op.id()).unwrap_or_default();
                let what = Error::Unknown.to_string();
                return self.note(&path, &what, line.outcome).await;
            }
            Err(Error::Later) => {
                line.failed.insert(at);
                line.outcome.more = true;
                return Ok(());
            }
            item => item?,
        };
        let path = match &item {
            PushItem::Mkdir { path, .. } | PushItem::Delete { path, .. } => path,
            PushItem::Move { to, .. } | PushItem::Copy { to, .. } => to,
            PushItem::Put(put) => &put.path,
        };
        let path = path.trim_start_matches('/').to_owned();
        line.body.item(&item);
        line.expect(op);
        line.tasks.push(Task {
            step: at,
            op: op.clone(),
            path,
            base: None,
            sent: None,
            before,
        });
        if is_collection && matches!(op, RemoteOp::Move { .. }) {
            // Where everything below it lies depends on it.
            self.land_all(line).await?;
        }
        Ok(())
    }

    async fn item_of(&self, op: &RemoteOp, parts: &Parts) -> Result<PushItem, Error> {
        let at = |id: ItemId| {
            let path = Parts::path(&parts.remote, id);
            path.map(|path| format!("/{path}"))
                .ok_or(Error::Confused("a step without a place"))
        };
        let place = |parent: ItemId, name: &str| {
            let path = Parts::place(&parts.remote, parts.alias(parent), name);
            path.map(|path| format!("/{path}"))
                .ok_or(Error::Confused("a step without a place"))
        };
        Ok(match op {
            RemoteOp::MakeCollection { parent, name, .. } => PushItem::Mkdir {
                path: place(*parent, name)?,
                mtime: None,
            },
            RemoteOp::Move {
                id, parent, name, ..
            } => PushItem::Move {
                from: at(*id)?,
                to: place(*parent, name)?,
                overwrite: false,
            },
            RemoteOp::Delete { id, base, below } => {
                let base = if parts.remote.get(*id).is_some_and(is_collection) {
                    self.etag_to_delete(*id, below).await?
                } else {
                    base.as_ref().map(|base| base.as_ref().to_owned())
                };
                let parent = parts.remote.get(*id).map(|item| parts.alias(item.parent));
                // What lies in a collection that has moved there is told of in no other way. What was moved by itself is
                // to be heard of first.
                PushItem::Delete {
                    path: at(*id)?,
                    id: Some(id.0),
                    parent: parent.filter(|id| id.is_known()).map(|id| id.0),
                    base,
                }
            }
            RemoteOp::Upload { .. } | RemoteOp::SetExecutable { .. } => {
                return Err(Error::Confused("a file is no change without content"));
            }
        })
    }

    /// The etag that a collection has while nothing is in it but what is known: the server deletes all that is in it.
    /// None when it is not there any more.
    async fn etag_to_delete(&self, id: ItemId, below: &[ItemId]) -> Result<Option<String>, Error> {
        let node = match self.session.info(id.0).await {
            Ok(node) => node,
            Err(error) if error.problem() == Some("not-found") => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        // Whatever came into it before it had this etag is heard now; what comes later gives it another one.
        let pulled = self.pull().await?;
        let mut ids = below.to_vec();
        ids.push(id);
        if pulled != Pulled::All || self.journal.is_pending_in(&ids).await? {
            return Err(Error::Later);
        }
        let ids: HashSet<_> = ids.into_iter().collect();
        let mut other = None;
        let mut known = |node: &files::Node| {
            let known = ids.contains(&ItemId(node.id));
            other = (!known).then_some(ItemId(node.id));
            known
        };
        self.below(id.0, &mut known).await?;
        match other {
            None => Ok(Some(node.etag)),
            Some(other) if self.journal.is_pending_in(&[other]).await? => Err(Error::Later),
            // What this device does not keep would go with it.
            Some(_) => Err(Error::Unknown),
        }
    }

    /// A step with a content.
    async fn send(
        &self,
        at: usize,
        op: &RemoteOp,
        base: Option<Arc<str>>,
        tries: Try,
        line: &mut Line<'_>,
    ) -> Result<(), Error> {
        let id = line.parts.alias(op.id());
        let merged = line.plan.merged.get(op.id());
        let aim = Aim {
            place: if let RemoteOp::Upload { parent, name, .. } = op {
                Some((*parent, name.as_str()))
            } else {
                None
            },
            executable: merged.is_some_and(|item| item.executable),
        };
        let put = match self
            .ready(id, base.as_ref(), tries, &aim, line.parts)
            .await?
        {
            Ready::Put(put) => put,
            Ready::Known(stamp) => {
                // What the server has instead could not be fetched while these bytes seemed to be others.
                let Parts { rows, heads, .. } = &*line.parts;
                let row = rows.get(&id).map(|row| &row.etag);
                line.outcome.more |= row.is_none() || row != heads.get(&id).map(|head| &head.etag);
                return Ok(self.journal.write(&[Write::Seen(id, stamp)]).await?);
            }
            Ready::Not(why) => {
                line.failed.insert(at);
                let path = Parts::path(&line.parts.local, id).unwrap_or_default();
                look_again(&mut line.outcome.again, path.clone(), Reach::Entry);
                return self.note(&path, &why, line.outcome).await;
            }
        };
        let mut task = Task {
            step: at,
            op: op.clone(),
            path: put.path.clone(),
            base,
            sent: Some(sending(&put)),
            before: None,
        };
        if put.goes_in_parts() {
            self.land_all(line).await?;
            let uploaded = self.upload(&put).await;
            let result = uploaded.map(|(written, list, stamp)| {
                if let Some(sent) = &mut task.sent {
                    (sent.list, sent.stamp) = (Some(list), stamp);
                }
                result_of(written)
            });
            return self.landed(task, result, line).await;
        }
        if put.estimate() > INLINE_MAX {
            self.land_all(line).await?;
            let result = self.send_one(*put).await;
            return self.landed(task, result, line).await;
        }
        let bytes = put.size;
        match block_in_place(|| line.body.put(*put)) {
            Ok(()) => {
                self.progress.step(bytes);
                line.tasks.push(task);
                Ok(())
            }
            Err(error) => {
                line.failed.insert(at);
                self.note(&task.path, &error.to_string(), line.outcome)
                    .await
            }
        }
    }

    async fn fly_when_full(&self, line: &mut Line<'_>) -> Result<(), Error> {
        if line.tasks.len() >= ITEMS_MAX || line.body.len() >= BYTES_MAX {
            self.fly(line).await?;
        }
        Ok(())
    }
}

fn is_collection(item: &Item) -> bool {
    item.kind == Kind::Collection
}

fn sending(put: &Put) -> Sending {
    Sending {
        lies: put.lies.clone(),
        size: put.size,
        mtime: put.mtime,
        stamp: put.stamp,
        list: put.content.list().cloned(),
        is_delta: put.is_delta(),
        // What cannot be opened once more is not kept.
        opened: put
            .content
            .opened()
            .filter(|_| put.base.is_some())
            .and_then(|opened| opened.again().ok()),
    }
}

fn result_of(written: Written) -> PushResult {
    PushResult {
        node: Some(written.node),
        conflict: written.conflict,
        etag: Some(written.etag),
        ..PushResult::bare(PushStatus::Done)
    }
}

/// Bytes of the files that are to be sent.
fn total(plan: &Plan, parts: &Parts) -> u64 {
    let files = plan
        .there
        .iter()
        .filter(|step| matches!(step.op, RemoteOp::Upload { .. }));
    files
        .filter_map(|step| parts.stamps.get(&step.op.id()))
        .map(|stamp| stamp.size)
        .sum()
}
