//! Names for what is newer than the snapshot.

use std::collections::HashSet;
use std::sync::Arc;

use super::scan::Lists;
use super::{FOLDER, RecoverError, Recovered, Shared, reading, write};
use crate::chunk::Manifest;
use crate::crypto::Blinded;
use crate::store::blob::list::List;
use crate::store::content::{Staged, StagedBody, Upload};
use crate::store::meta::{chunks, rescue, spaces};
use crate::store::snapshot::{Folder, Small, recent};
use crate::store::{Error, Result};
use crate::tree::{self, Kind, Precondition, Tree, User, Write};
use crate::types::{AccountId, Clock, Millis, NodeName, NodePath, SpaceId};

/// How many files of one name are told apart by a number; further ones are called by their roots.
const SAME_NAME: u32 = 1000;

/// Puts the contents together and gives them names, the oldest first.
pub(super) async fn place(
    store: &Shared,
    (lists, folder): (Lists, &Folder),
    clock: &Clock,
    done: &mut Recovered,
) -> Result<(), RecoverError> {
    let mut all: Vec<_> = lists.into_iter().collect();
    all.sort_by_key(|((space, _), parts)| (space.0, parts.first().map(|part| part.at.0)));
    // What comes back has been within the quota, or is there to be looked through.
    let limited = spaces::limited(&mut *store.meta.read().await?).await?;
    for limited in &limited {
        set_quota(store, limited.space, None).await?;
    }
    for ((space, root), parts) in all {
        let Some((staged, list)) = put_together(store, space, root, parts).await? else {
            done.torn += 1;
            continue;
        };
        done.bytes += staged.size;
        done.placed += 1;
        name(store, clock, staged, (&list.name, list.at)).await?;
    }
    place_small(store, folder, clock, done).await?;
    for limited in limited {
        set_quota(store, limited.space, Some(limited.quota)).await?;
    }
    Ok(())
}

/// Gives names to the small contents that came after the snapshot.
async fn place_small(
    store: &Shared,
    folder: &Folder,
    clock: &Clock,
    done: &mut Recovered,
) -> Result<(), RecoverError> {
    let spaces = spaces::turns(&mut *store.meta.read().await?).await?;
    let spaces: HashSet<SpaceId> = spaces.into_iter().map(|(space, _)| space).collect();
    for path in folder
        .recent_files()
        .map_err(Error::io("listing the snapshots"))?
    {
        let (inner, at) = (Arc::clone(store), path.clone());
        let read = reading(move || recent::read(&at, inner.keys.master())).await;
        let found = read.unwrap_or_else(|error| {
            // What others hold comes back all the same.
            tracing::error!(file = %path.display(), "not read: {error}");
            None
        });
        let since = done.taken.minus(recent::UNNAMED);
        for small in found
            .into_iter()
            .flatten()
            .filter(|small| small.at >= since)
        {
            if spaces.contains(&small.space) {
                put_small(store, clock, small, done).await?;
            } else {
                done.unknown += 1;
            }
        }
    }
    Ok(())
}

async fn put_small(
    store: &Shared,
    clock: &Clock,
    small: Small,
    done: &mut Recovered,
) -> Result<(), RecoverError> {
    let size = small.bytes.len() as u64;
    let mut upload = Upload::start(store, small.space, Some(size), None).await?;
    upload.push(small.bytes.into()).await?;
    let staged = upload.finish().await?;
    let staged = staged.ok_or(Error::Corrupt("a small file"))?;
    let known = {
        let mut conn = store.meta.read().await?;
        rescue::has_root(&mut conn, small.space, staged.root).await?
    };
    if !known {
        done.bytes += size;
        done.placed += 1;
        name(store, clock, staged, (&small.name, small.at)).await?;
    }
    Ok(())
}

async fn set_quota(store: &Shared, space: SpaceId, quota: Option<i64>) -> Result<()> {
    write(&store.meta, move |conn| {
        Box::pin(async move { spaces::set_quota(conn, space, quota).await })
    })
    .await
}

/// The content of a list, when all parts and all chunks are there and it is the one that its root says.
async fn put_together(
    store: &Shared,
    space: SpaceId,
    root: Blinded,
    mut parts: Vec<List>,
) -> Result<Option<(Staged, List)>> {
    parts.sort_by_key(|part| part.part);
    parts.dedup_by_key(|part| part.part);
    let Some(first) = parts.first().cloned() else {
        return Ok(None);
    };
    if parts.len() != first.parts as usize {
        return Ok(None);
    }
    let keys = store.keys.of(&store.meta, space).await?;
    let (mut manifest, mut hasher, mut size) = (Manifest::default(), keys.root_hasher(), 0);
    for part in &parts {
        let mut conn = store.meta.read().await?;
        let found = chunks::find(&mut conn, space, &part.chunks).await?;
        for chunk in &part.chunks {
            let Some((row, raw)) = found.get(chunk) else {
                return Ok(None);
            };
            manifest.push(*row);
            hasher.push(chunk, *raw);
            size += u64::from(*raw);
        }
    }
    if hasher.finish() != root || size != first.size {
        return Ok(None);
    }
    let staged = Staged {
        space,
        root,
        size,
        class: first.class,
        body: StagedBody::Chunks(manifest),
        checksum: None,
        pin: None,
    };
    Ok(Some((staged, first)))
}

/// Gives a content a name in its space that nothing else has.
async fn name(
    store: &Shared,
    clock: &Clock,
    staged: Staged,
    (wanted, modified): (&str, Millis),
) -> Result<(), RecoverError> {
    // Whoever owns the space: it is at the top of this tree.
    let nobody = User {
        account: AccountId(0),
        name: String::new(),
        space: staged.space,
        device: None,
    };
    let tree = Tree::new(Arc::clone(store), nobody, clock.clone());
    let folder = folder(&tree).await?;
    for nth in 1..=SAME_NAME + 1 {
        let at = folder.join(called(wanted, staged.root, nth)?);
        let taken = match tree.lookup(&at).await {
            Ok(_) => true,
            Err(tree::Error::NotFound) => false,
            Err(error) => return Err(error.into()),
        };
        if !taken {
            let how = Write {
                when: Precondition::Absent,
                modified: Some(modified),
                ..Write::default()
            };
            tree.commit_staged(&at, staged, how).await?;
            return Ok(());
        }
    }
    Err(Error::Corrupt("a content came twice").into())
}

/// The folder; `recovered (2)` and so on where something else is called like it.
async fn folder(tree: &Tree) -> Result<NodePath, RecoverError> {
    for nth in 1..=SAME_NAME {
        let name = match nth {
            1 => FOLDER.to_owned(),
            _ => format!("{FOLDER} ({nth})"),
        };
        let at = NodePath::root().join(own(&name)?);
        match tree.mkdir(&at, None).await {
            Ok(_) => return Ok(at),
            Err(tree::Error::Exists) => {}
            Err(error) => return Err(error.into()),
        }
        if tree.lookup(&at).await?.kind == Kind::Collection {
            return Ok(at);
        }
    }
    Err(Error::Corrupt("there is no name for the recovered files").into())
}

/// `a.txt`, `a (2).txt`, …; by the root when there is no name.
fn called(wanted: &str, root: Blinded, nth: u32) -> Result<NodeName, RecoverError> {
    let root = || {
        let number = u128::from_be_bytes(root.0);
        own(&format!("{number:032x}"))
    };
    if nth > SAME_NAME || NodeName::parse(wanted).is_err() {
        return root();
    }
    let name = match (nth, wanted.rsplit_once('.')) {
        (1, _) => wanted.to_owned(),
        (_, Some((stem, extension))) if !stem.is_empty() => format!("{stem} ({nth}).{extension}"),
        _ => format!("{wanted} ({nth})"),
    };
    NodeName::parse(&name).or_else(|_long| root())
}

fn own(name: &str) -> Result<NodeName, RecoverError> {
    NodeName::parse(name).map_err(|_wrong| Error::Corrupt("a name of ours").into())
}
