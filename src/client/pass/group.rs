//! Files that are fetched in one request.

use std::collections::VecDeque;
use std::iter::Peekable;

use super::Engine;
use super::here::Wanted;
use super::taking::Taking;
use crate::client::remote;
use crate::client::remote::api::Records;
use crate::protocol::sync::{FETCH_MAX, FetchItem};

/// Bytes of files asked for in one request.
const REQUEST_MAX: u64 = 64 * 1024 * 1024;

/// What is asked for together.
pub(super) struct Group {
    pub(super) files: VecDeque<Wanted>,
    /// The versions here that files are sent against.
    pub(super) froms: Vec<Option<String>>,
    items: Vec<FetchItem>,
    /// Bytes of all of them; none when only what differs comes.
    estimate: u64,
}

/// A group, and what the server begins to say.
pub(super) struct Asked {
    pub(super) group: Group,
    pub(super) answer: Result<Records, remote::Error>,
    /// Whether it was asked for before its turn came.
    pub(super) ahead: bool,
}

impl Asked {
    /// It has to wait for its turn.
    pub(super) fn ahead(self) -> Self {
        Self {
            ahead: true,
            ..self
        }
    }
}

impl Engine {
    /// The next files that fit into one request; none before one that comes in parts, and at the end.
    pub(super) fn next_group(
        &self,
        wanted: &mut Peekable<impl Iterator<Item = Wanted>>,
        taking: &Taking<'_>,
    ) -> Option<Group> {
        let (mut files, mut bytes) = (VecDeque::new(), 0);
        while let Some(next) = wanted.peek() {
            let size = taking.size(next);
            let full = files.len() >= FETCH_MAX || bytes > 0 && bytes + size > REQUEST_MAX;
            if full || self.goes_in_parts(next, taking.parts) {
                break;
            }
            bytes += size;
            files.extend(wanted.next());
        }
        (!files.is_empty()).then(|| self.group(files, taking))
    }

    /// Files that are to be asked for together.
    pub(super) fn group(&self, files: VecDeque<Wanted>, taking: &Taking<'_>) -> Group {
        let from = |wanted| self.old(wanted, taking.parts).map(|(_, etag)| etag);
        let froms: Vec<_> = files.iter().map(from).collect();
        let item = |(wanted, from): (&Wanted, &Option<String>)| FetchItem {
            id: wanted.id.0,
            from: from.clone(),
            to: taking
                .head(wanted)
                .map_or_else(String::new, |head| head.etag.as_ref().to_owned()),
        };
        let items = files.iter().zip(&froms).map(item).collect();
        let whole_too = froms.iter().any(Option::is_none);
        let bytes = files.iter().map(|wanted| taking.size(wanted)).sum();
        Group {
            files,
            froms,
            items,
            estimate: if whole_too { bytes } else { 0 },
        }
    }

    /// Asks for a group.
    pub(super) async fn ask(&self, mut group: Group) -> Asked {
        let items = std::mem::take(&mut group.items);
        let answer = self.session.fetch(items, group.estimate).await;
        Asked {
            group,
            answer,
            ahead: false,
        }
    }
}
