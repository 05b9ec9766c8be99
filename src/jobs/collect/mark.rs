//! Which chunks some manifest has.

use super::Going;
use super::bitmap::Bitmap;
use crate::store::Result;
use crate::store::meta::collect::{self, Holder};

/// Manifests in one read.
const PAGE: i64 = 256;

/// Marks the rows of a window that anything names.
///
/// Uploads come first: one that is finished meanwhile gives its chunks to a content, and that is looked
/// at later. A manifest that does not decode ends the round, because nothing can be said about chunks
/// while one is unknown.
pub(super) async fn mark(going: &Going<'_>, mut window: Bitmap) -> Result<Bitmap> {
    mark_of(going, Holder::Uploads, &mut window).await?;
    let spaces = collect::spaces(&mut *going.store.meta.read().await?).await?;
    for space in spaces {
        mark_of(going, Holder::Contents(space), &mut window).await?;
    }
    Ok(window)
}

async fn mark_of(going: &Going<'_>, holder: Holder, window: &mut Bitmap) -> Result<()> {
    let mut behind = 0;
    loop {
        let page = {
            let mut conn = going.store.meta.read().await?;
            collect::manifests(&mut conn, holder, behind, PAGE).await?
        };
        let Some((last, manifests)) = page else {
            return Ok(());
        };
        for manifest in manifests {
            for (first, count) in manifest.runs() {
                window.mark(first.0, *count);
            }
        }
        behind = last;
        going.go_on()?;
        going.pace.breathe().await;
    }
}
