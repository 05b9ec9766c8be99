//! Holding a stated checksum against bytes that are stored already.

use std::sync::Arc;

use bytes::Bytes;

use super::checksum::Verifier;
use super::{Checksum, Reader, Staged};
use crate::store::blob::blocking;
use crate::store::meta::contents::Content;
use crate::store::{Result, Store};

/// Bytes asked for at once; a chunk at most comes.
const READ_MAX: usize = 2 * 1024 * 1024;

/// All bytes of a staged content that is small.
pub async fn staged_bytes(store: &Arc<Store>, staged: &Staged) -> Result<Bytes> {
    reader(store, staged)
        .await?
        .read_range(0..staged.size)
        .await
}

async fn reader(store: &Arc<Store>, staged: &Staged) -> Result<Reader> {
    let content = Content {
        space: staged.space,
        root: staged.root,
        size: staged.size,
        class: staged.class,
        class_known: true,
        body: staged.body.clone(),
        checksum: None,
    };
    Reader::over(store, content).await
}

/// Whether a staged content has a checksum. Reads all of it: for contents whose bytes did not come by
/// in one go.
pub async fn proves(store: &Arc<Store>, staged: &Staged, claim: &Checksum) -> Result<bool> {
    let mut reader = reader(store, staged).await?;
    let mut verifier = Verifier::new(claim.clone());
    loop {
        let bytes = reader.read(READ_MAX).await?;
        if bytes.is_empty() {
            return Ok(verifier.finish().is_some());
        }
        verifier = blocking(move || {
            verifier.update(&bytes);
            Ok(verifier)
        })
        .await?;
    }
}
