//! Changes on their way to the server.

use std::collections::HashSet;
use std::sync::Arc;

use super::Outcome;
use super::gather::Parts;
use super::push::{Body, Sent};
use crate::client::item::{Item, ItemId};
use crate::client::journal::{Intake, Write};
use crate::client::local::Stamp;
use crate::client::local::read::List;
use crate::client::local::read::Opened;
use crate::client::local::scan::{Reach, look_again};
use crate::client::reconcile::{Plan, RemoteOp, Step};

/// A step that is in a push.
pub(super) struct Task {
    pub(super) step: usize,
    pub(super) op: RemoteOp,
    /// Without a leading slash.
    pub(super) path: String,
    /// Etag of what was here when it was made.
    pub(super) base: Option<Arc<str>>,
    pub(super) sent: Option<Sending>,
    /// What the server had before, when the step was taken for done.
    pub(super) before: Option<Item>,
}

impl Task {
    /// Whether what was sent refers to what the server has.
    pub(super) fn is_delta(&self) -> bool {
        self.sent.as_ref().is_some_and(|sent| sent.is_delta)
    }
}

/// What was sent of a file.
pub(super) struct Sending {
    /// Where both sides have it.
    pub(super) lies: (ItemId, String),
    /// Of what was sent, which need not be what is current there.
    pub(super) size: u64,
    pub(super) mtime: i64,
    pub(super) stamp: Option<Stamp>,
    /// How it is cut; none while a file is cut that is being sent.
    pub(super) list: Option<List>,
    /// Whether it refers to what the server has.
    pub(super) is_delta: bool,
    /// To be kept for the next edit.
    pub(super) opened: Option<Opened>,
}

/// The steps on their way, and what they change.
pub(super) struct Line<'a> {
    pub(super) plan: &'a Plan,
    pub(super) parts: &'a mut Parts,
    pub(super) outcome: &'a mut Outcome,
    /// Steps that failed or were left out.
    pub(super) failed: HashSet<usize>,
    pub(super) body: Body,
    pub(super) tasks: Vec<Task>,
    pub(super) flying: Option<(Sent, Vec<Task>)>,
    /// Those that have to be sent in another way.
    pub(super) again: Vec<Task>,
}

/// What the results of a push change in the journal.
#[derive(Default)]
pub(super) struct News {
    pub(super) writes: Vec<Write>,
    pub(super) intake: Vec<Intake>,
}

impl<'a> Line<'a> {
    pub(super) fn new(plan: &'a Plan, parts: &'a mut Parts, outcome: &'a mut Outcome) -> Self {
        Self {
            plan,
            parts,
            outcome,
            failed: HashSet::new(),
            body: Body::new(),
            tasks: Vec::new(),
            flying: None,
            again: Vec::new(),
        }
    }

    /// Whether a step needs one whose end is not known yet, other than a collection to be made.
    pub(super) fn waits_for(&self, step: &Step<RemoteOp>) -> bool {
        let flying = self.flying.iter().flat_map(|(_, tasks)| tasks);
        let mut waiting = flying
            .chain(&self.tasks)
            .filter(|task| !matches!(task.op, RemoteOp::MakeCollection { .. }));
        waiting.any(|task| step.needs.contains(&task.step))
    }

    /// A content is to go again, whole this time. What was read of it counts.
    pub(super) fn whole(&mut self, task: Task) {
        if let Some(Sending {
            list: Some(list),
            stamp: Some(stamp),
            ..
        }) = &task.sent
        {
            let cut = (list.clone(), *stamp);
            self.parts.cuts.insert(self.parts.alias(task.op.id()), cut);
        }
        self.again.push(task);
    }

    /// What was not done is found again by the next pass, which knows nothing of it otherwise: where it was, and where
    /// it is.
    pub(super) fn look_at_failed(&mut self) {
        for at in &self.failed {
            let id = self.parts.alias(self.plan.there[*at].op.id());
            for tree in [&self.parts.synced, &self.parts.local] {
                if let Some(path) = Parts::path(tree, id).filter(|path| !path.is_empty()) {
                    look_again(&mut self.outcome.again, path, Reach::Entry);
                }
            }
        }
    }

    /// A step that was not done is not taken for done any more.
    pub(super) fn take_back(&mut self, task: Task) {
        self.failed.insert(task.step);
        match (&task.op, task.before) {
            (RemoteOp::Move { .. }, Some(before)) => self.parts.remote.insert(before),
            (RemoteOp::MakeCollection { id, .. }, _) => drop(self.parts.remote.remove(*id)),
            (
                RemoteOp::Move { .. }
                | RemoteOp::Upload { .. }
                | RemoteOp::Delete { .. }
                | RemoteOp::SetExecutable { .. },
                _,
            ) => {}
        }
    }

    /// Takes a step for done in the paths of what follows.
    pub(super) fn expect(&mut self, op: &RemoteOp) {
        let (id, parent, name) = match op {
            RemoteOp::MakeCollection { id, parent, name }
            | RemoteOp::Move {
                id, parent, name, ..
            } => (id, parent, name),
            RemoteOp::Upload { .. } | RemoteOp::Delete { .. } | RemoteOp::SetExecutable { .. } => {
                return;
            }
        };
        let known = self
            .parts
            .remote
            .get(*id)
            .or_else(|| self.plan.merged.get(*id))
            .cloned();
        if let Some(item) = known {
            let parent = self.parts.alias(*parent);
            let name = name.clone();
            self.parts.remote.insert(Item {
                parent,
                name,
                ..item
            });
        }
    }
}
