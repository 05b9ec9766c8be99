//! What an upload is while nobody sends.

use std::sync::Arc;

use bytes::Bytes;

use crate::chunk::{CHUNK_MAX, Manifest};
use crate::crypto::{Blinded, SpaceKeys};
use crate::store::blob::blocking;
use crate::store::{Error, Result};
use crate::types::UploadId;

/// An upload at rest: chunks that are durable, and the bytes behind them that are not cut yet.
#[derive(Clone, Debug, Default)]
pub struct Parked {
    /// The durable chunks from the beginning on.
    pub manifest: Manifest,
    /// Bytes these chunks hold.
    pub covered: u64,
    /// The bytes that follow, fewer than a longest chunk has.
    pub tail: Bytes,
}

impl Parked {
    /// Bytes in all.
    pub fn written(&self) -> u64 {
        self.covered + self.tail.len() as u64
    }

    /// The tail as it may lie in the row of its upload; `None` when there is none.
    pub async fn seal_tail(&self, keys: &Arc<SpaceKeys>, of: UploadId) -> Result<Option<Vec<u8>>> {
        if self.tail.is_empty() {
            return Ok(None);
        }
        let (keys, tail) = (Arc::clone(keys), self.tail.clone());
        blocking(move || Ok(Some(keys.seal_inline(bound_to(of), &tail)?))).await
    }

    /// Reads an upload of `written` bytes from what its row holds.
    pub async fn open(
        keys: &Arc<SpaceKeys>,
        of: UploadId,
        written: u64,
        manifest: &[u8],
        tail: Option<Vec<u8>>,
    ) -> Result<Self> {
        let tail = match tail {
            Some(sealed) => {
                let keys = Arc::clone(keys);
                blocking(move || Ok(keys.open_inline(bound_to(of), &sealed)?)).await?
            }
            None => Vec::new(),
        };
        let covered = written.checked_sub(tail.len() as u64);
        let manifest = Manifest::decode(manifest);
        match (manifest, covered) {
            (Some(manifest), Some(covered)) if tail.len() < CHUNK_MAX => Ok(Self {
                manifest,
                covered,
                tail: tail.into(),
            }),
            _ => Err(Error::Corrupt("the row of an unfinished upload")),
        }
    }
}

/// Seals what an upload has in its row by the newest key of its space; `None` when it is so.
pub fn reseal_tail(keys: &SpaceKeys, of: UploadId, sealed: &[u8]) -> Result<Option<Vec<u8>>> {
    Ok(keys.reseal_inline(bound_to(of), sealed)?)
}

/// What a tail is sealed to in place of a root: it opens in the row of its upload only.
fn bound_to(of: UploadId) -> Blinded {
    let mut label = [0; 16];
    label[8..].copy_from_slice(&of.0.to_be_bytes());
    Blinded(label)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::SpaceKey;
    use crate::types::{ChunkRow, SpaceId};

    #[tokio::test]
    async fn a_tail_lies_sealed_and_opens_only_in_its_own_row() {
        let keys = SpaceKeys::derive(SpaceId(1), &SpaceKey::generate().unwrap());
        let keys = Arc::new(keys);
        let mut parked = Parked {
            covered: 100,
            tail: Bytes::from(vec![b'a'; CHUNK_MAX - 1]),
            ..Parked::default()
        };
        parked.manifest.push(ChunkRow(7));
        let manifest = parked.manifest.encode();
        let (id, written) = (UploadId(5), parked.written());
        let tail = parked.seal_tail(&keys, id).await.unwrap().unwrap();
        assert!(!tail.windows(8).any(|at| at == b"aaaaaaaa"));

        let open = |id, written, manifest| {
            let tail = Some(tail.clone());
            let keys = &keys;
            async move { Parked::open(keys, id, written, manifest, tail).await }
        };
        let opened = open(id, written, &manifest).await.unwrap();
        assert_eq!((opened.covered, opened.tail), (100, parked.tail));
        assert_eq!(opened.manifest, parked.manifest);
        assert!(open(UploadId(6), written, &manifest).await.is_err());
        assert!(open(id, 99, &manifest).await.is_err());
        assert!(open(id, written, &manifest[1..]).await.is_err());
        assert_eq!(Parked::default().seal_tail(&keys, id).await.unwrap(), None);
    }
}
