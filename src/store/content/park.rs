//! What an upload is while nobody sends.

use bytes::Bytes;

use crate::chunk::{CHUNK_MAX, Manifest};
use crate::crypto::{Blinded, SpaceKeys};
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
    pub fn seal_tail(&self, keys: &SpaceKeys, of: UploadId) -> Result<Option<Vec<u8>>> {
        if self.tail.is_empty() {
            return Ok(None);
        }
        Ok(Some(keys.seal_inline(bound_to(of), &self.tail)?))
    }

    /// Reads an upload of `written` bytes from what its row holds.
    pub fn open(
        keys: &SpaceKeys,
        of: UploadId,
        written: u64,
        manifest: &[u8],
        tail: Option<&[u8]>,
    ) -> Result<Self> {
        let tail = match tail {
            Some(sealed) => keys.open_inline(bound_to(of), sealed)?,
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

    #[test]
    fn a_tail_lies_sealed_and_opens_only_in_its_own_row() {
        let keys = SpaceKeys::derive(SpaceId(1), &SpaceKey::generate().unwrap());
        let mut parked = Parked {
            covered: 100,
            tail: Bytes::from(vec![b'a'; CHUNK_MAX - 1]),
            ..Parked::default()
        };
        parked.manifest.push(ChunkRow(7));
        let manifest = parked.manifest.encode();
        let (id, written) = (UploadId(5), parked.written());
        let tail = parked.seal_tail(&keys, id).unwrap();
        let tail = tail.as_deref();
        assert!(!tail.unwrap().windows(8).any(|at| at == b"aaaaaaaa"));

        let open = |id, written, tail| Parked::open(&keys, id, written, &manifest, tail);
        let opened = open(id, written, tail).unwrap();
        assert_eq!((opened.covered, opened.tail), (100, parked.tail));
        assert_eq!(opened.manifest, parked.manifest);
        assert!(open(UploadId(6), written, tail).is_err());
        assert!(open(id, 99, tail).is_err());
        assert!(Parked::open(&keys, id, written, &manifest[1..], tail).is_err());
        assert_eq!(Parked::default().seal_tail(&keys, id).unwrap(), None);
    }
}
