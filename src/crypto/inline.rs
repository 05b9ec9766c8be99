//! Small objects sealed as a whole, to lie in a database row: contents, and ends of unfinished ones.
//!
//! ```text
//! version 1 | flags 1 | length 4 | salt 16 | ciphertext | tag 16
//! ```
//! The salt makes a key of its own for each object, so the nonce can be zero.

use zeroize::Zeroizing;

use super::aead::{KEY_LEN, NONCE_LEN, Reference, TAG_LEN};
use super::space::{Seal, expand};
use super::{Blinded, Error, SpaceKeys, compress, decompress, random};

/// First byte of a sealed object.
const INLINE_VERSION: u8 = 1;
/// Flag: the text is compressed.
const FLAG_ZSTD: u8 = 1;
/// Version, flags and length.
const HEAD_LEN: usize = 6;
const SALT_LEN: usize = 16;
/// Largest object, in bytes: the end of an unfinished upload is shorter than a longest chunk. A bound
/// for decompression, too.
const PLAIN_MAX: usize = 2 * 1024 * 1024;

impl SpaceKeys {
    /// Seals a small object (at most 2 MiB) for its database row; salted, so no nonce can repeat.
    pub fn seal_inline(&self, root: Blinded, plain: &[u8]) -> Result<Vec<u8>, Error> {
        let length = u32::try_from(plain.len()).map_err(|_too_long| Error::Sealed)?;
        if plain.len() > PLAIN_MAX {
            return Err(Error::Sealed);
        }
        let small = compress(plain);
        let flags = if small.is_some() { FLAG_ZSTD } else { 0 };
        let text = small.as_deref().unwrap_or(plain);
        let salt: [u8; SALT_LEN] = random()?;

        let mut sealed = Vec::with_capacity(HEAD_LEN + SALT_LEN + text.len() + TAG_LEN);
        sealed.extend([INLINE_VERSION, flags]);
        sealed.extend(length.to_be_bytes());
        let aad = self.inline_aad(&sealed, root);
        sealed.extend(salt);
        sealed.extend(text);
        let text = &mut sealed[HEAD_LEN + SALT_LEN..];
        let tag = inline_key(&self.seals[0], &salt).seal(&[0; NONCE_LEN], &aad, text)?;
        sealed.extend(tag);
        Ok(sealed)
    }

    /// Opens what [`Self::seal_inline`] made, with the newest key or an older one.
    pub fn open_inline(&self, root: Blinded, sealed: &[u8]) -> Result<Vec<u8>, Error> {
        self.open_by(root, sealed).map(|(_, plain)| plain)
    }

    /// Seals an object by the newest key; `None` when it is sealed by that.
    pub fn reseal_inline(&self, root: Blinded, sealed: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        match self.open_by(root, sealed)? {
            (0, _) => Ok(None),
            (_, plain) => self.seal_inline(root, &plain).map(Some),
        }
    }

    /// Which key opens an object, 0 for the newest, and what it holds.
    fn open_by(&self, root: Blinded, sealed: &[u8]) -> Result<(usize, Vec<u8>), Error> {
        let (head, rest) = sealed
            .split_first_chunk::<HEAD_LEN>()
            .ok_or(Error::Sealed)?;
        let (salt, rest) = rest.split_first_chunk::<SALT_LEN>().ok_or(Error::Sealed)?;
        let (text, tag) = rest.split_last_chunk::<TAG_LEN>().ok_or(Error::Sealed)?;
        let [version, flags, length @ ..] = *head;
        let length = u32::from_be_bytes(length) as usize;
        if version != INLINE_VERSION || flags & !FLAG_ZSTD != 0 || length > PLAIN_MAX {
            return Err(Error::Sealed);
        }
        let aad = self.inline_aad(head, root);
        let mut seals = self.seals.iter().enumerate();
        let opened = seals.find_map(|(nth, seal)| {
            let mut text = text.to_vec();
            let key = inline_key(seal, salt);
            let opened = key.open(&[0; NONCE_LEN], &aad, &mut text, tag);
            opened.is_ok().then_some((nth, text))
        });
        let (nth, mut text) = opened.ok_or(Error::Sealed)?;
        if flags & FLAG_ZSTD != 0 {
            text = decompress(&text, length).ok_or(Error::Sealed)?;
        }
        if text.len() != length {
            return Err(Error::Sealed);
        }
        Ok((nth, text))
    }

    fn inline_aad(&self, head: &[u8], root: Blinded) -> Vec<u8> {
        [head, &self.space.0.to_be_bytes(), &root.0].concat()
    }
}

fn inline_key(seal: &Seal, salt: &[u8; SALT_LEN]) -> Reference {
    let mut key = Zeroizing::new([0; KEY_LEN]);
    expand(
        Some(salt),
        &seal.inline,
        b"sync-server v1 inline object",
        &mut key[..],
    );
    Reference::new(&key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::SpaceKey;
    use crate::types::SpaceId;

    const ROOT: Blinded = Blinded([5; 16]);

    fn keys(space: i64) -> SpaceKeys {
        SpaceKeys::derive(SpaceId(space), &SpaceKey::from_bytes([1; 32]))
    }

    #[test]
    fn objects_of_all_sizes_come_back() {
        let keys = keys(1);
        for size in [0, 1, 100, 8192] {
            let mut random = vec![0; size];
            getrandom::fill(&mut random).unwrap();
            for plain in [vec![b'a'; size], random] {
                let sealed = keys.seal_inline(ROOT, &plain).unwrap();
                assert!(sealed.len() <= size + HEAD_LEN + SALT_LEN + TAG_LEN);
                assert_eq!(keys.open_inline(ROOT, &sealed).unwrap(), plain);
            }
        }
        assert!(keys.seal_inline(ROOT, &[b'a'; 8192]).unwrap().len() < 200);
        assert!(keys.seal_inline(ROOT, &vec![0; PLAIN_MAX + 1]).is_err());
    }

    #[test]
    fn equal_objects_never_look_equal() {
        let keys = keys(1);
        let (one, two) = (
            keys.seal_inline(ROOT, b"x").unwrap(),
            keys.seal_inline(ROOT, b"x").unwrap(),
        );
        assert_ne!(one, two);
    }

    #[test]
    fn an_object_opens_only_whole_and_in_its_row() {
        let mine = keys(1);
        let sealed = mine.seal_inline(ROOT, &[b'a'; 300]).unwrap();
        assert!(mine.open_inline(Blinded([6; 16]), &sealed).is_err());
        assert!(keys(2).open_inline(ROOT, &sealed).is_err());
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert!(mine.open_inline(ROOT, &changed).is_err(), "byte {at}");
            assert!(
                mine.open_inline(ROOT, &sealed[..at]).is_err(),
                "cut at {at}"
            );
        }
    }

    #[test]
    fn a_new_key_seals_and_the_old_one_still_opens() {
        let old = keys(1);
        let before = old.seal_inline(ROOT, b"before").unwrap();
        let both = keys(1).sealed_by(&SpaceKey::from_bytes([2; 32]));
        let after = both.seal_inline(ROOT, b"after").unwrap();
        assert_eq!(both.open_inline(ROOT, &before).unwrap(), b"before");
        assert_eq!(both.open_inline(ROOT, &after).unwrap(), b"after");
        assert!(old.open_inline(ROOT, &after).is_err());
        assert_eq!(both.reseal_inline(ROOT, &after).unwrap(), None);
        let again = both.reseal_inline(ROOT, &before).unwrap().unwrap();
        let new = keys(1)
            .sealed_by(&SpaceKey::from_bytes([2; 32]))
            .forget_older();
        assert_eq!(new.open_inline(ROOT, &again).unwrap(), b"before");
        assert!(new.open_inline(ROOT, &before).is_err());
        assert_eq!(both.chunk_id(b"x"), old.chunk_id(b"x"));
        assert_eq!(both.gear_seed(), old.gear_seed());
    }

    /// Changing this breaks every store there is.
    #[test]
    fn objects_of_version_one_keep_opening() {
        let keys = SpaceKeys::derive(SpaceId(1), &SpaceKey::from_bytes([0x42; 32]));
        let sealed = [
            0x01, 0x01, 0x00, 0x00, 0x00, 0x27, 0xfc, 0xc6, 0x01, 0x77, 0x01, 0x8e, 0x58, 0xf5,
            0x4a, 0x09, 0x6f, 0xfd, 0x5e, 0xbb, 0x16, 0x8e, 0x39, 0x17, 0xda, 0x92, 0x39, 0x83,
            0xe1, 0x9a, 0x85, 0x85, 0xce, 0x00, 0x86, 0xa8, 0x49, 0xd0, 0xfa, 0x49, 0x5b, 0x51,
            0x3a, 0x2c, 0x1e, 0x33, 0xbc, 0x78, 0x12, 0xe9, 0x0b, 0x2f, 0xa3, 0x28, 0x51, 0x2e,
            0x39, 0x26, 0xb2, 0xbd, 0x69,
        ];
        let plain = keys.open_inline(ROOT, &sealed).unwrap();
        assert_eq!(plain, b"fixture fixture fixture fixture fixture");
    }
}
