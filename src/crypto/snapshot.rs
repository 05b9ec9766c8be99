//! Sealing the files of snapshots: a key per file, the nonce counts its frames and marks the last.

use std::fmt;

use zeroize::Zeroizing;

use super::aead::{Bulk, KEY_LEN, NONCE_LEN, Nonce, TAG_LEN, Tag};
use super::space::expand;
use super::{Error, MasterKey};

/// Bytes of the tag behind a frame's ciphertext.
pub const FRAME_TAG_LEN: usize = TAG_LEN;

/// Which frame of a file; part of what its tag vouches for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FramePlace {
    /// Frames before it.
    pub number: u64,
    /// Whether none follows.
    pub last: bool,
    /// Bytes before compression.
    pub raw_len: u32,
}

/// The key of one file.
pub struct SnapshotKey {
    key: Bulk,
    /// The file's header.
    header: Vec<u8>,
}

impl MasterKey {
    /// The key of the snapshot file with this random id, whose frames belong to `header`.
    pub fn snapshot_key(&self, id: &[u8; 16], header: &[u8]) -> SnapshotKey {
        let above = self.derive(b"sync-server snapshots");
        let mut key = Zeroizing::new([0; KEY_LEN]);
        let info = b"sync-server v1 snapshot";
        expand(Some(id), &above, info, &mut key[..]);
        SnapshotKey {
            key: Bulk::new(&key),
            header: header.to_vec(),
        }
    }
}

impl SnapshotKey {
    /// Encrypts a frame in place and returns its tag. No place may be sealed twice.
    pub fn seal(&self, place: FramePlace, text: &mut [u8]) -> Result<Tag, Error> {
        self.key.seal(&nonce(place), &self.aad(place), text)
    }

    /// Decrypts a frame in place. After an error `text` holds nothing of use.
    pub fn open(&self, place: FramePlace, text: &mut [u8], tag: &Tag) -> Result<(), Error> {
        self.key.open(&nonce(place), &self.aad(place), text, tag)
    }

    fn aad(&self, place: FramePlace) -> Vec<u8> {
        [&self.header[..], &place.raw_len.to_be_bytes()].concat()
    }
}

impl fmt::Debug for SnapshotKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SnapshotKey(redacted)")
    }
}

/// Three zero bytes ‖ 1 for the last frame ‖ the frame's number.
fn nonce(place: FramePlace) -> Nonce {
    let mut nonce = [0; NONCE_LEN];
    nonce[3] = u8::from(place.last);
    nonce[4..].copy_from_slice(&place.number.to_be_bytes());
    nonce
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_opens_only_in_its_place_of_its_file() {
        let master = MasterKey::generate().unwrap();
        let place = FramePlace {
            number: 3,
            last: false,
            raw_len: 9,
        };
        let key = |id, header: &[u8]| master.snapshot_key(&[id; 16], header);
        let mut text = *b"some rows";
        let tag = key(1, b"head").seal(place, &mut text).unwrap();
        let opens = |key: SnapshotKey, place| key.open(place, &mut text.clone(), &tag).is_ok();

        assert!(opens(key(1, b"head"), place));
        assert!(!opens(key(2, b"head"), place));
        assert!(!opens(key(1, b"heat"), place));
        let other = MasterKey::generate().unwrap();
        assert!(!opens(other.snapshot_key(&[1; 16], b"head"), place));
        for wrong in [
            FramePlace { number: 4, ..place },
            FramePlace {
                last: true,
                ..place
            },
            FramePlace {
                raw_len: 8,
                ..place
            },
        ] {
            assert!(!opens(key(1, b"head"), wrong), "{wrong:?}");
        }
    }
}
