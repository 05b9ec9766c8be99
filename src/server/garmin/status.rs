//! `GET status`: one glance at the folder for watches.

use std::sync::Arc;

use axum::extract::{RawQuery, State};
use serde::Serialize;

use super::Face;
use super::answer::{self, Answer};
use super::enter::Watch;
use super::fields::Fields;
use super::find::{self, FileKind};
use crate::tree::{self, With};
use crate::types::Millis;

/// Pages of the tree counted: ten thousand files, then the count stops.
const LOOKS_MAX: usize = 10;

/// What a glance shows.
#[derive(Serialize)]
struct Glance {
    /// Files that are new.
    p: i32,
    /// The time of the server.
    t: i32,
    /// When the newest of the files was modified.
    #[serde(skip_serializing_if = "Option::is_none")]
    m: Option<i32>,
}

/// Counts the files modified at or after the second `s`.
pub(super) async fn glance(
    State(face): State<Arc<Face>>,
    watch: Watch,
    RawQuery(query): RawQuery,
) -> Answer {
    let mut fields = Fields::of_query(query.as_deref())?;
    let since = fields.integer("s", 0..=i64::from(i32::MAX))?.unwrap_or(0);
    fields.end()?;
    let mut count = 0;
    let mut newest: Option<Millis> = None;
    for time in times(&watch).await? {
        if time.secs() >= since {
            count += 1;
            newest = newest.max(Some(time));
        }
    }
    face.synced(watch.device).await;
    Ok(answer::json(&Glance {
        p: answer::number(count),
        t: answer::seconds(face.clock.now()),
        m: newest.map(answer::seconds),
    }))
}

/// When each file of the folder was modified.
async fn times(watch: &Watch) -> tree::Result<Vec<Millis>> {
    let mut times = Vec::new();
    let folder = match watch.tree.lookup(&find::folder()).await {
        Ok(folder) if folder.is_collection() => folder,
        Ok(_) | Err(tree::Error::NotFound) => return Ok(times),
        Err(error) => return Err(error),
    };
    let mut after = None;
    for _ in 0..LOOKS_MAX {
        let page = watch.tree.list(&folder, With::default(), after).await?;
        let files = page.nodes.iter().filter(|node| !node.is_collection());
        let files = files.filter(|node| FileKind::of(&node.name).is_some());
        times.extend(files.map(|node| node.modified));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    Ok(times)
}
