//! Files whose bytes are durable get their names: a batch in one transaction, while the next files are read.

use std::collections::HashMap;

use tokio::sync::SemaphorePermit;
use tokio::task::JoinHandle;
use tracing::Instrument as _;

use super::super::super::problem::{self, Problem, Result};
use super::super::super::show;
use super::{item, refused};
use crate::protocol::sync::{PushResult, PushStatus};
use crate::tree::{self, BatchItem, Node, Tree};
use crate::types::{NodeId, NodeName, NodePath};

/// A file to be named with its batch.
pub(super) struct Waiting {
    /// Its place among the results.
    pub(super) nth: usize,
    pub(super) item: BatchItem,
}

/// A batch on its way. It gets there also when nobody waits for it any more: it has arrived.
pub(super) struct Naming(JoinHandle<Result<Results>>);

/// Results, each with its place among all.
pub(super) type Results = Vec<(usize, PushResult)>;

impl Naming {
    /// Begins to name files, in one transaction for each space. `turns` are for the memory that they hold.
    pub(super) fn begin(
        tree: &Tree,
        waiting: Vec<Waiting>,
        turns: Vec<SemaphorePermit<'static>>,
    ) -> Self {
        let tree = tree.clone();
        let naming = async move {
            let results = name(tree, waiting).await;
            drop(turns);
            results
        };
        Self(tokio::spawn(naming.in_current_span()))
    }

    /// Whether they are, and hold nothing any more.
    pub(super) fn is_over(&self) -> bool {
        self.0.is_finished()
    }

    /// Returns once they are named or refused, for good.
    pub(super) async fn end(self) -> Result<Results> {
        let lost = |_| Problem::new(problem::INTERNAL, "naming the files has ended early");
        self.0.await.map_err(lost)?
    }
}

async fn name(tree: Tree, waiting: Vec<Waiting>) -> Result<Results> {
    let places: Vec<(usize, NodePath)> = waiting
        .iter()
        .map(|waiting| (waiting.nth, waiting.item.at.clone()))
        .collect();
    let items = waiting.into_iter().map(|waiting| waiting.item).collect();
    let named = tree.commit_batch(items).await?;
    let (mut homes, mut results) = (HashMap::new(), Results::with_capacity(places.len()));
    for ((nth, path), result) in places.into_iter().zip(named) {
        let result = match result {
            Ok(written) => {
                let path = spelled(&tree, &mut homes, &written.node, &path).await;
                written_result(written, &path)
            }
            Err(tree::Error::PreconditionFailed) => item::stale(&tree, &path).await,
            Err(error) => refused(&error.into()),
        };
        results.push((nth, result));
    }
    Ok(results)
}

/// The path of a node as the tree spells it; its collection is looked up once a batch.
async fn spelled(
    tree: &Tree,
    homes: &mut HashMap<NodeId, NodePath>,
    node: &Node,
    asked: &NodePath,
) -> NodePath {
    let (Some(parent), Ok(name)) = (node.parent, NodeName::parse(&node.name)) else {
        return asked.clone();
    };
    if let Some(home) = homes.get(&parent) {
        return home.join(name);
    }
    match tree.by_id(parent).await {
        Ok(located) => homes.entry(parent).or_insert(located.path).join(name),
        // Moved or deleted since.
        Err(_) => asked.clone(),
    }
}

fn written_result(written: tree::Written, path: &NodePath) -> PushResult {
    let written = show::written(written, path);
    PushResult {
        etag: Some(written.etag),
        node: Some(written.node),
        conflict: written.conflict,
        ..PushResult::bare(PushStatus::Done)
    }
}
