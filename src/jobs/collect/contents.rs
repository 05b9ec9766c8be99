//! Contents that no file, no version and nothing in trash names.

use super::{Going, only_round};
use crate::store::Result;
use crate::store::meta::collect::{self, ContentPage};
use crate::types::{ContentId, SpaceId};

/// Contents looked at in one read.
const PAGE: i64 = 500;
/// Contents deleted in one transaction.
const DELETED: i64 = 500;

/// Flags those found, deletes those whose time has come; how many went.
pub(super) async fn collect(going: &Going<'_>) -> Result<u64> {
    let spaces = collect::spaces(&mut *going.store.meta.read().await?).await?;
    for space in spaces {
        flag(going, space).await?;
    }
    let mut gone = 0;
    loop {
        let (before, until, epoch) = (going.floor, going.until(), going.epoch);
        let deleted: Result<u64> = going
            .store
            .meta
            .write(move |conn| {
                Box::pin(async move {
                    only_round(conn, epoch).await?;
                    collect::delete_contents(conn, before, until, DELETED).await
                })
            })
            .await;
        let deleted = deleted?;
        if deleted == 0 {
            return Ok(gone);
        }
        gone += deleted;
        going.go_on()?;
        going.pace.breathe().await;
    }
}

async fn flag(going: &Going<'_>, space: SpaceId) -> Result<()> {
    let mut behind = Vec::new();
    loop {
        let ContentPage { unnamed, next } = {
            let mut conn = going.store.meta.read().await?;
            collect::contents(&mut conn, space, &behind, PAGE).await?
        };
        if !unnamed.is_empty() {
            flag_page(going, unnamed).await?;
        }
        let Some(next) = next else {
            return Ok(());
        };
        behind = next;
        going.go_on()?;
        going.pace.breathe().await;
    }
}

async fn flag_page(going: &Going<'_>, unnamed: Vec<ContentId>) -> Result<()> {
    let (epoch, now) = (going.epoch, going.now());
    let flagged = going.store.meta.write(move |conn| {
        Box::pin(async move {
            only_round(conn, epoch).await?;
            collect::flag_contents(conn, &unnamed, epoch, now).await
        })
    });
    flagged.await
}
