//! Rows from the newest chain of snapshot files that opens whole.

use std::collections::HashMap;
use std::sync::Arc;

use super::{Recovered, Shared, reading, write};
use crate::store::meta::dump;
use crate::store::snapshot::{Entry, Folder, Head, Kind, Page, Reader, Window};
use crate::store::{Error, Result};

/// A base and what follows it, and which of them has the newest state of each page.
struct Chain {
    files: Vec<Entry>,
    last: Head,
    newest: HashMap<Window, usize>,
}

/// Puts the newest state back that can be read; `false` when there is none.
pub(super) async fn load(store: &Shared, folder: &Folder, done: &mut Recovered) -> Result<bool> {
    let entries = folder
        .entries()
        .map_err(Error::io("listing the snapshots"))?;
    let bases = entries.iter().enumerate().rev();
    for (at, _) in bases.filter(|(_, entry)| entry.kind == Kind::Base) {
        let next = entries[at + 1..].iter();
        let deltas = next.take_while(|entry| entry.kind == Kind::Delta);
        let files: Vec<_> = entries[at..=at].iter().chain(deltas).cloned().collect();
        let all = files.len();
        let inner = Arc::clone(store);
        let chain = reading(move || Ok(follow(&inner, files))).await?;
        let whole = chain.as_ref().map_or(0, |chain| chain.files.len());
        done.refused += (all - whole) as u64;
        if let Some(chain) = chain {
            (done.taken, done.files) = (chain.last.taken, whole as u64);
            for first in [true, false] {
                put(store, &chain, first).await?;
            }
            return Ok(true);
        }
    }
    Ok(false)
}

/// The files up to the first that does not open whole or does not go on from the one before; `None`
/// when that is the base.
fn follow(store: &Shared, files: Vec<Entry>) -> Option<Chain> {
    let mut chain: Option<Chain> = None;
    for entry in files {
        let before = chain.as_ref().map_or([0; 16], |chain| chain.last.id);
        let whole = look(store, &entry);
        let (head, windows) = match whole {
            Ok(found) if found.0.before == before => found,
            Ok(_) => {
                tracing::warn!(file = %entry.path.display(), "does not follow the snapshot before");
                break;
            }
            Err(error) => {
                tracing::warn!(file = %entry.path.display(), "snapshot refused: {error}");
                break;
            }
        };
        let chain = chain.get_or_insert_with(|| Chain {
            files: Vec::new(),
            last: head,
            newest: HashMap::new(),
        });
        let nth = chain.files.len();
        let newest = windows.into_iter().map(|window| (window, nth));
        chain.newest.extend(newest);
        chain.files.push(entry);
        chain.last = head;
    }
    chain
}

/// Which pages a file has, when all of it opens.
fn look(store: &Shared, entry: &Entry) -> Result<(Head, Vec<Window>)> {
    const FORM: Error = Error::Corrupt("a snapshot has another form than it should");
    let mut reader = Reader::open(&entry.path, store.keys.master())?;
    let head = *reader.head();
    if (head.number, head.kind) != (entry.number, entry.kind) {
        return Err(Error::Corrupt("a snapshot has another name than it should"));
    }
    let mut windows = Vec::new();
    while let Some(frame) = reader.next_frame()? {
        let mut rest = &frame[..];
        while !rest.is_empty() {
            let (window, _) = Page::skip(&mut rest).ok_or(FORM)?;
            windows.push(window);
        }
    }
    Ok((head, windows))
}

/// Puts the newest state of the pages back that others refer to, or of all others.
async fn put(store: &Shared, chain: &Chain, first: bool) -> Result<()> {
    for (nth, entry) in chain.files.iter().enumerate() {
        let (path, inner) = (entry.path.clone(), Arc::clone(store));
        let mut reader = reading(move || Reader::open(&path, inner.keys.master())).await?;
        loop {
            let read = move || {
                let frame = reader.next_frame()?;
                Ok((frame, reader))
            };
            let (frame, back) = reading(read).await?;
            reader = back;
            let Some(frame) = frame else {
                break;
            };
            let mut pages = Vec::new();
            let mut rest = &frame[..];
            while !rest.is_empty() {
                let page = Page::decode(&mut rest);
                let page = page.ok_or(Error::Corrupt("a page of a snapshot"))?;
                let is_newest = chain.newest.get(&page.window) == Some(&nth);
                if is_newest && dump::comes_first(page.window) == first {
                    pages.push(page);
                }
            }
            write(&store.meta, move |conn| {
                Box::pin(async move {
                    for page in &pages {
                        dump::put(conn, page).await?;
                    }
                    Ok(())
                })
            })
            .await?;
        }
    }
    Ok(())
}
