//! Contents against chunks: each leads to chunks that are there, that have its bytes together, and that
//! its root was made of; with `deep` what lies in rows opens.

use std::collections::HashMap;

use super::needed::files_of;
use super::{Finding, Going, Kind, Result, damage};
use crate::chunk::Manifest;
use crate::crypto::{Blinded, SpaceKeys};
use crate::store::content::{Loaded, Parked, Rows, StagedBody, inline_damage, rows};
use crate::store::meta::audit::{self, Facts};
use crate::store::meta::collect::{self, Holder};
use crate::store::meta::damage as marks;
use crate::store::meta::{Alone, Conn, contents};
use crate::store::{self, Error};
use crate::tree;
use crate::types::{ContentId, SpaceId, UploadId};

/// Contents in one read.
const PAGE: i64 = 256;
/// Chunk rows in memory at once.
const ROWS_MAX: u64 = 32 * 1024;

pub(super) async fn check(going: &mut Going<'_>) -> Result<()> {
    let spaces = collect::spaces(&mut *going.store.meta.read().await?).await?;
    for space in spaces {
        chunked(going, space).await?;
    }
    sealed(going).await?;
    twofold(going).await?;
    uploads(going).await
}

/// Why a content cannot be read as its rows are; `None` when it can, as far as they say.
fn wrong(found: &Rows, size: i64) -> Option<&'static str> {
    if !found.complete {
        return Some("names chunks that have no rows");
    }
    if u64::try_from(size) != Ok(found.bytes) {
        return Some("has another size than its chunks");
    }
    (found.proven == Some(false)).then_some("names other chunks than its own")
}

async fn chunked(going: &mut Going<'_>, space: SpaceId) -> Result<()> {
    let Some(keys) = going.keys(space).await? else {
        return Ok(());
    };
    let mut behind = 0;
    loop {
        let mut conn = going.store.meta.read().await?;
        let page = collect::manifest_rows(&mut conn, Holder::Contents(space), behind, PAGE).await?;
        let Some((last, manifests)) = page else {
            return Ok(());
        };
        let facts = audit::facts(&mut conn, space, (behind, last)).await?;
        let manifests: HashMap<i64, Vec<u8>> = manifests.into_iter().collect();
        behind = last;
        going.summary.contents += facts.len() as u64;
        let mut suspects = Vec::new();
        let mut group = Vec::new();
        for facts in facts {
            let manifest = manifests
                .get(&facts.0)
                .and_then(|bytes| Manifest::decode(bytes));
            match manifest {
                Some(manifest) => group.push((facts, manifest)),
                None => suspects.push(facts.0),
            }
        }
        suspects.extend(look(&mut conn, &keys, space, &group).await?);
        drop(conn);
        for content in suspects {
            one(going, ContentId(content)).await?;
        }
    }
}

/// Those of some contents that look wrong, or have a mark.
async fn look(
    conn: &mut Conn,
    keys: &SpaceKeys,
    space: SpaceId,
    all: &[(Facts, Manifest)],
) -> Result<Vec<i64>> {
    let mut suspects = Vec::new();
    let mut rest = all;
    while let Some((first, _)) = rest.split_first() {
        let mut rows_in = 0;
        let fits = |(_, manifest): &&(Facts, Manifest)| {
            rows_in += manifest.rows();
            rows_in <= ROWS_MAX
        };
        let number = rest.iter().take_while(fits).count();
        if number == 0 {
            let ((id, root, size, known, damaged), manifest) = first;
            let found = match root_of(root) {
                Some(root) => Some(rows(conn, keys, (root, *known), manifest).await),
                None => None,
            };
            let sound = matches!(found, Some(Ok(found)) if wrong(&found, *size).is_none());
            if !sound || *damaged {
                suspects.push(*id);
            }
            rest = &rest[1..];
            continue;
        }
        let (group, others) = rest.split_at(number);
        rest = others;
        let runs = group.iter().flat_map(|(_, manifest)| manifest.runs());
        let loaded = Loaded::of(conn, space, runs.copied().collect()).await?;
        for ((id, root, size, known, damaged), manifest) in group {
            let sound = root_of(root).is_some_and(|root| {
                let found = loaded.tally(keys, (root, *known), manifest);
                wrong(&found, *size).is_none()
            });
            if !sound || *damaged {
                suspects.push(*id);
            }
        }
    }
    Ok(suspects)
}

fn root_of(bytes: &[u8]) -> Option<Blinded> {
    bytes.try_into().ok().map(Blinded)
}

/// Looks again at one content, with the right to name chunks: nobody takes any away meanwhile.
async fn one(going: &mut Going<'_>, content: ContentId) -> Result<()> {
    let (repair, now, store) = (going.how.repair, going.now(), going.store.clone());
    let found = going.again(move |conn| {
        Box::pin(async move {
            conn.alone(Alone::Naming).await?;
            let (wrong, marked) = match judge(conn, &store, content).await? {
                Judged::Gone => return Ok(None),
                Judged::Wrong(wrong) => (Some(wrong), true),
                Judged::Sound(marked) => (None, marked),
            };
            if repair && wrong.is_some() {
                marks::mark_content(conn, content, now).await?;
            } else if repair && marked {
                marks::clear_content(conn, content).await?;
            }
            Ok(Some((wrong, marked)))
        })
    });
    match found.await? {
        Some((Some(wrong), _)) => told(going, Kind::Manifest, content, wrong).await,
        Some((None, true)) => unmarked(going, content).await,
        Some((None, false)) | None => Ok(()),
    }
}

/// Whether a content can be read, as far as rows and its own seal say.
pub(super) async fn is_sound(
    conn: &mut Conn,
    store: &store::Store,
    content: ContentId,
) -> Result<bool> {
    let sound = async {
        if let Some(row) = marks::sealed_row(conn, content).await? {
            let keys = store.keys.of(&store.meta, row.space).await?;
            return Ok(inline_damage(&keys, &row)?.is_none());
        }
        let judged = judge(conn, store, content).await?;
        Ok(matches!(judged, Judged::Sound(_)))
    };
    match sound.await {
        // The key of its space does not open, which is told for itself.
        Err(tree::Error::Store(error)) if error.is_damage() => Ok(false),
        sound => sound,
    }
}

/// What a second look at a content says.
enum Judged {
    /// It is there no more.
    Gone,
    /// It cannot be read.
    Wrong(String),
    /// It can; whether it has a mark.
    Sound(bool),
}

async fn judge(conn: &mut Conn, store: &store::Store, content: ContentId) -> Result<Judged> {
    let Some(marked) = marks::content_mark(conn, content).await? else {
        return Ok(Judged::Gone);
    };
    let row = match contents::load(conn, content).await {
        Ok(row) => row,
        Err(error) => return damage(error).map(Judged::Wrong),
    };
    // Opened before, so nothing is waited for.
    let keys = store.keys.of(&store.meta, row.space).await?;
    let StagedBody::Chunks(manifest) = &row.body else {
        return Ok(Judged::Sound(marked));
    };
    let found = match rows(conn, &keys, (row.root, row.class_known), manifest).await {
        Ok(found) => found,
        Err(error) => return damage(error).map(Judged::Wrong),
    };
    let size = i64::try_from(row.size).unwrap_or(i64::MAX);
    Ok(match wrong(&found, size) {
        Some(wrong) => Judged::Wrong(wrong.to_owned()),
        None => Judged::Sound(marked),
    })
}

async fn told(going: &mut Going<'_>, kind: Kind, content: ContentId, wrong: String) -> Result<()> {
    let mut finding = of_content(going, kind, content, wrong).await?;
    finding.repaired = going.how.repair.then(|| {
        "offered to nobody who uploads; the same bytes bring it back when they come again"
            .to_owned()
    });
    going.tell(&finding, false);
    Ok(())
}

async fn unmarked(going: &mut Going<'_>, content: ContentId) -> Result<()> {
    let wrong = "is marked as damaged and is sound".to_owned();
    let mut finding = of_content(going, Kind::Marked, content, wrong).await?;
    let repair = going.how.repair;
    finding.repaired = repair.then(|| "the mark was taken off".to_owned());
    going.tell(&finding, false);
    Ok(())
}

async fn of_content(
    going: &mut Going<'_>,
    kind: Kind,
    content: ContentId,
    wrong: String,
) -> Result<Finding> {
    let mut files = Vec::new();
    let total = files_of(going, content, &mut files).await?;
    Ok(Finding {
        kind,
        space: None,
        subject: format!("content {content}"),
        wrong,
        more: total.saturating_sub(files.len() as u64),
        files,
        repaired: None,
    })
}

/// Contents that lie in their rows: all with `deep`, otherwise those with a mark.
async fn sealed(going: &mut Going<'_>) -> Result<()> {
    let mut behind = ContentId(0);
    loop {
        let mut conn = going.store.meta.read().await?;
        let page = if going.how.deep {
            marks::sealed(&mut conn, behind, PAGE).await?
        } else {
            let mut page = Vec::new();
            for content in audit::marked_sealed(&mut conn, behind.0, PAGE).await? {
                page.extend(marks::sealed_row(&mut conn, ContentId(content)).await?);
            }
            page
        };
        drop(conn);
        let Some(last) = page.last() else {
            return Ok(());
        };
        behind = last.id;
        going.summary.contents += page.len() as u64;
        for row in page {
            let Some(keys) = going.keys(row.space).await? else {
                continue;
            };
            if row.damaged || inline_damage(&keys, &row)?.is_some() {
                inline(going, row.id).await?;
            }
        }
    }
}

async fn inline(going: &mut Going<'_>, content: ContentId) -> Result<()> {
    let (repair, now, store) = (going.how.repair, going.now(), going.store.clone());
    let found = going.again(move |conn| {
        Box::pin(async move {
            conn.alone(Alone::Naming).await?;
            let Some(row) = marks::sealed_row(conn, content).await? else {
                return Ok(None);
            };
            let keys = store.keys.of(&store.meta, row.space).await?;
            let wrong = inline_damage(&keys, &row)?;
            if repair && wrong.is_some() {
                marks::mark_content(conn, content, now).await?;
            } else if repair && row.damaged {
                marks::clear_content(conn, content).await?;
            }
            Ok(Some((wrong, row.damaged)))
        })
    });
    match found.await? {
        Some((Some(wrong), _)) => told(going, Kind::Inline, content, wrong).await,
        Some((None, true)) => unmarked(going, content).await,
        Some((None, false)) | None => Ok(()),
    }
}

/// Contents that lie in two places or none.
async fn twofold(going: &mut Going<'_>) -> Result<()> {
    let last = audit::last_content(&mut *going.store.meta.read().await?).await?;
    let found = audit::twofold(&mut *going.store.meta.read().await?, (0, last)).await?;
    for (content, space) in found {
        if going.keys(SpaceId(space)).await?.is_some() {
            one(going, ContentId(content)).await?;
        }
    }
    Ok(())
}

async fn uploads(going: &mut Going<'_>) -> Result<()> {
    let mut behind = 0;
    loop {
        let page = marks::unfinished(&mut *going.store.meta.read().await?, behind, 1).await?;
        let Some((id, space, ..)) = page.first() else {
            return Ok(());
        };
        behind = *id;
        upload(going, UploadId(*id), SpaceId(*space)).await?;
    }
}

async fn upload(going: &mut Going<'_>, id: UploadId, space: SpaceId) -> Result<()> {
    let Some(keys) = going.keys(space).await? else {
        return Ok(());
    };
    let found = going.again(move |conn| {
        Box::pin(async move {
            conn.alone(Alone::Naming).await?;
            let row = marks::unfinished(conn, id.0 - 1, 1).await?;
            let Some((_, _, received, manifest, tail)) =
                row.into_iter().find(|(found, ..)| *found == id.0)
            else {
                return Ok(None);
            };
            let received = u64::try_from(received).unwrap_or(u64::MAX);
            let parked = match Parked::open(&keys, id, received, &manifest, tail).await {
                Ok(parked) => parked,
                Err(error) => return damage(error).map(Some),
            };
            let none = (Blinded([0; 16]), false);
            let found = rows(conn, &keys, none, &parked.manifest).await;
            Ok(match found {
                Ok(found) if found.complete && found.bytes == parked.covered => None,
                Ok(_) | Err(Error::Corrupt(_)) => {
                    Some("does not lead to the bytes that were received".to_owned())
                }
                Err(error) => return Err(error.into()),
            })
        })
    });
    let Some(wrong) = found.await? else {
        return Ok(());
    };
    let finding = Finding {
        kind: Kind::Upload,
        space: Some(going.name(space).await?),
        subject: format!("upload {id}"),
        wrong,
        files: Vec::new(),
        more: 0,
        repaired: None,
    };
    going.tell(&finding, false);
    Ok(())
}
