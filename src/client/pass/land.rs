//! What came of the changes that were sent.

use tokio::task::block_in_place;

use super::gather::Parts;
use super::line::{Line, News, Sending, Task};
use super::push::Body;
use super::{Engine, Error};
use crate::client::item::{Item, ItemId};
use crate::client::journal::{Entry, Write};
use crate::client::local::scan::{Reach, look_again};
use crate::client::reconcile::RemoteOp;
use crate::protocol::files::Node;
use crate::protocol::sync::{PushResult, PushStatus};

impl Engine {
    /// Sends off what is gathered, once the server has answered to what was sent before.
    pub(super) async fn fly(&self, line: &mut Line<'_>) -> Result<(), Error> {
        let before = answered(line).await?;
        if !line.tasks.is_empty() {
            let body = std::mem::replace(&mut line.body, Body::new());
            let sent = body.send(&self.session);
            line.flying = Some((sent, std::mem::take(&mut line.tasks)));
        }
        // While the server works on what follows.
        self.land(before, line).await
    }

    /// Sends off what is gathered and waits for all results.
    pub(super) async fn land_all(&self, line: &mut Line<'_>) -> Result<(), Error> {
        self.fly(line).await?;
        let last = answered(line).await?;
        self.land(last, line).await
    }

    async fn land(
        &self,
        results: Vec<(Task, PushResult)>,
        line: &mut Line<'_>,
    ) -> Result<(), Error> {
        if results.is_empty() {
            return Ok(());
        }
        let mut news = News::default();
        for (task, result) in results {
            self.result(task, result, line, &mut news).await?;
        }
        Ok(self.journal.land(&news.writes, &news.intake).await?)
    }

    /// What came of one that was sent by itself.
    pub(super) async fn landed(
        &self,
        task: Task,
        result: Result<PushResult, Error>,
        line: &mut Line<'_>,
    ) -> Result<(), Error> {
        let result = match result {
            Ok(result) => result,
            Err(Error::Remote(error)) if error.is_of_one() => {
                line.failed.insert(task.step);
                look_again(&mut line.outcome.again, task.path.clone(), Reach::Entry);
                return self
                    .note(&task.path, &error.to_string(), line.outcome)
                    .await;
            }
            Err(Error::Later) => {
                line.failed.insert(task.step);
                line.outcome.more = true;
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        let mut news = News::default();
        self.result(task, result, line, &mut news).await?;
        Ok(self.journal.land(&news.writes, &news.intake).await?)
    }

    async fn result(
        &self,
        task: Task,
        result: PushResult,
        line: &mut Line<'_>,
        news: &mut News,
    ) -> Result<(), Error> {
        match result.status {
            PushStatus::Done if self.met_other(&task, &result, line).await? => {
                // What another device has done is heard of first; what it was done to is looked at again.
                let told = [&result.node, &result.conflict].into_iter().flatten();
                news.intake.extend(told.filter_map(|node| self.take(node)));
                line.take_back(task);
                line.outcome.more = true;
                return Ok(());
            }
            PushStatus::Done => {}
            PushStatus::Need if task.sent.is_some() && result.need.is_some() => {
                line.whole(task);
                return Ok(());
            }
            // What is known here of the base is not what the server has.
            PushStatus::Error if is_mismatch(&result) && task.is_delta() => {
                line.whole(task);
                return Ok(());
            }
            PushStatus::Stale => {
                // Somebody else was faster: hear of it first.
                line.take_back(task);
                line.outcome.more = true;
                return Ok(());
            }
            PushStatus::Need | PushStatus::Error => {
                let path = task.path.clone();
                line.take_back(task);
                let said = result.problem.map(|problem| problem.detail);
                let said = said.unwrap_or_else(|| "the server wants something else".to_owned());
                return self.note(&path, &said, line.outcome).await;
            }
        }
        line.outcome.done += 1;
        self.pushed(result.node.as_ref());
        news.writes.push(Write::Well(task.path.clone()));
        self.done(task, &result, line, news)
    }

    /// Whether a step was done to something else than it was meant for. What is known under another name must not get
    /// this one: what lies in it lies elsewhere here. What belongs into something that was not made belongs nowhere.
    async fn met_other(
        &self,
        task: &Task,
        result: &PushResult,
        line: &Line<'_>,
    ) -> Result<bool, Error> {
        let Some(node) = &result.node else {
            return Ok(false);
        };
        let needs = &line.plan.there[task.step].needs;
        if needs.iter().any(|need| line.failed.contains(need)) {
            return Ok(true);
        }
        let (id, now) = (line.parts.alias(task.op.id()), ItemId(node.id));
        if now == id {
            return Ok(false);
        }
        let (parent, name) = match (&task.op, &task.sent) {
            (RemoteOp::MakeCollection { parent, name, .. }, _) => (*parent, name),
            (_, Some(sent)) => (sent.lies.0, &sent.lies.1),
            // In another space it gets another id.
            (_, None) => {
                let space = line.parts.heads.get(&id).map(|head| head.space);
                return Ok(space == Some(node.space));
            }
        };
        let place = (line.parts.alias(parent), name);
        if let Some(row) = line.parts.rows.get(&now) {
            return Ok((row.parent, &row.name) != place);
        }
        let row = self.journal.item(now).await?;
        Ok(row.is_some_and(|(row, _)| (row.parent, &row.name) != place))
    }

    fn done(
        &self,
        task: Task,
        result: &PushResult,
        line: &mut Line<'_>,
        news: &mut News,
    ) -> Result<(), Error> {
        let node = || {
            result
                .node
                .as_ref()
                .ok_or(Error::Confused("a change without a node"))
        };
        match &task.op {
            RemoteOp::Delete { id, below, .. } => {
                for id in below.iter().rev().chain([id]) {
                    news.writes.push(Write::Remove(*id));
                    line.parts.remote.remove(*id);
                }
            }
            RemoteOp::MakeCollection { id, .. } => {
                news.writes
                    .extend(made(*id, Entry::of_node(node()?, self.root), line.parts));
            }
            RemoteOp::Move {
                id, parent, name, ..
            } => {
                let parent = line.parts.alias(*parent);
                news.writes.push(Write::Place(*id, parent, name.clone()));
                if let Some(row) = line.parts.rows.get_mut(id) {
                    (row.parent, row.name) = (parent, name.clone());
                }
                news.intake.extend(self.take(node()?));
            }
            RemoteOp::Upload { id, .. } | RemoteOp::SetExecutable { id, .. } => {
                let node = node()?;
                let etag = result.etag.clone().unwrap_or_else(|| node.etag.clone());
                if let Some(sent) = task.sent {
                    self.sent(line.parts.alias(*id), sent, node, &etag, line.parts, news);
                }
                news.intake
                    .extend(result.conflict.as_ref().and_then(|copy| self.take(copy)));
                // Others than those that were sent may be current by now.
                line.outcome.more |= result.conflict.is_some() || node.etag != etag;
            }
        }
        Ok(())
    }

    fn sent(
        &self,
        id: ItemId,
        sent: Sending,
        node: &Node,
        etag: &str,
        parts: &mut Parts,
        news: &mut News,
    ) {
        let now = ItemId(node.id);
        let entry = Entry {
            id: now,
            parent: parts.alias(sent.lies.0),
            name: sent.lies.1,
            etag: etag.into(),
            executable: node.executable,
            size: sent.size,
            mtime: sent.mtime,
            ..Entry::of_node(node, self.root)
        };
        if now == id {
            let head = Entry::of_node(node, self.root);
            parts.remote.insert(head.item());
            parts.heads.insert(now, head);
            parts.rows.insert(now, entry.clone());
        } else {
            // It was made, maybe anew: no other step there is about it.
            parts.rename(id, now);
            parts.remote.remove(id);
            parts.aliases.insert(id, now);
            if id.is_known() {
                news.writes.push(Write::Remove(id));
            }
        }
        if let Some(list) = sent.list {
            news.writes
                .push(Write::List(now, node.space, etag.into(), list));
        }
        if let Some(opened) = sent.opened {
            // For the next edit of a file that is edited.
            block_in_place(|| self.shadows().keep(&self.folder, now, etag, &opened));
        }
        news.writes.push(Write::Put(entry, sent.stamp));
        news.intake.extend(self.take(node));
    }
}

/// Waits for what was sent off.
async fn answered(line: &mut Line<'_>) -> Result<Vec<(Task, PushResult)>, Error> {
    let Some((sent, tasks)) = line.flying.take() else {
        return Ok(Vec::new());
    };
    let pushed = sent
        .await
        .map_err(|error| Error::Ended(error.to_string()))??;
    if pushed.results.len() != tasks.len() {
        return Err(Error::Confused("a push with too few results"));
    }
    Ok(tasks.into_iter().zip(pushed.results).collect())
}

/// Whether what the server made of a content is not what was meant.
fn is_mismatch(result: &PushResult) -> bool {
    let problem = result.problem.as_ref();
    problem.is_some_and(|problem| problem.name() == "checksum-mismatch")
}

/// A collection that was only here is there, too, with an id of its own.
fn made(id: ItemId, entry: Entry, parts: &mut Parts) -> Vec<Write> {
    parts.rename(id, entry.id);
    parts.remote.remove(id);
    parts.remote.insert(entry.item());
    let waiting: Vec<_> = parts.remote.children(id).collect();
    for child in waiting {
        if let Some(item) = parts.remote.get(child).cloned() {
            let parent = entry.id;
            parts.remote.insert(Item { parent, ..item });
        }
    }
    parts.aliases.insert(id, entry.id);
    let mut writes = Vec::new();
    if id.is_known() && id != entry.id {
        // It was made anew.
        writes.push(Write::Rekey(id, entry.id));
    }
    parts.heads.insert(entry.id, entry.clone());
    parts.rows.insert(entry.id, entry.clone());
    let stamp = parts.stamp(entry.id);
    writes.push(Write::Put(entry, stamp));
    writes
}
