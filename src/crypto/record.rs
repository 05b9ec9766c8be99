//! Sealing the records of one segment: a key per segment, the nonce is the record's offset.

use std::fmt;

use zeroize::Zeroize;

use super::Error;
use super::aead::{Bulk, KEY_LEN, NONCE_LEN, Nonce, Tag};
use super::space::SegmentId;
use crate::types::SpaceId;

/// Version of the record's form, part of what is authenticated.
const RECORD_VERSION: u8 = 1;

/// Bytes of the tag behind a record's ciphertext.
pub const RECORD_TAG_LEN: usize = super::aead::TAG_LEN;

/// What a record's tag vouches for besides its text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordContext {
    /// Byte offset of the record in its segment. Must never be used twice for different texts.
    pub offset: u64,
    /// Flags of the record's header.
    pub flags: u8,
    /// Bytes of the chunk before compression.
    pub raw_len: u32,
}

/// The key of one segment.
pub struct RecordKey {
    key: Bulk,
    space: SpaceId,
    segment: SegmentId,
}

impl RecordKey {
    pub(super) fn new(space: SpaceId, segment: SegmentId, key: &[u8; KEY_LEN]) -> Self {
        let mut key_bytes = *key;
        let key = Bulk::new(&key_bytes);
        key_bytes.zeroize();
        Self {
            key,
            space,
            segment,
        }
    }

    /// Encrypts `text` in place and returns its tag.
    pub fn seal(
        &self,
        context: RecordContext,
        text: &mut [u8],
    ) -> Result<[u8; RECORD_TAG_LEN], Error> {
        self.key
            .seal(&nonce(context.offset), &self.aad(context), text)
    }

    /// Decrypts `text` in place. After an error `text` holds nothing of use.
    pub fn open(&self, context: RecordContext, text: &mut [u8], tag: &Tag) -> Result<(), Error> {
        self.key
            .open(&nonce(context.offset), &self.aad(context), text, tag)
    }

    fn aad(&self, context: RecordContext) -> Vec<u8> {
        [
            &[RECORD_VERSION][..],
            &self.space.0.to_be_bytes(),
            &self.segment.0,
            &context.offset.to_be_bytes(),
            &[context.flags],
            &context.raw_len.to_be_bytes(),
        ]
        .concat()
    }
}

impl fmt::Debug for RecordKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RecordKey({})", self.segment)
    }
}

/// Four zero bytes ‖ the offset.
fn nonce(offset: u64) -> Nonce {
    let mut nonce = [0; NONCE_LEN];
    nonce[NONCE_LEN - 8..].copy_from_slice(&offset.to_be_bytes());
    nonce
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::{SpaceKey, SpaceKeys};

    const CONTEXT: RecordContext = RecordContext {
        offset: 32,
        flags: 0,
        raw_len: 5,
    };

    #[test]
    fn a_record_opens_only_where_it_was_sealed() {
        let root = SpaceKey::from_bytes([1; 32]);
        let keys = SpaceKeys::derive(SpaceId(1), &root);
        let segment = SegmentId([2; 16]);
        let mut text = *b"hello";
        let tag = keys.record_key(segment).seal(CONTEXT, &mut text).unwrap();

        let opens = |key: RecordKey, context| key.open(context, &mut text.clone(), &tag).is_ok();
        assert!(opens(keys.record_key(segment), CONTEXT));
        assert!(!opens(keys.record_key(SegmentId([3; 16])), CONTEXT));
        let elsewhere = SpaceKeys::derive(SpaceId(2), &root);
        assert!(!opens(elsewhere.record_key(segment), CONTEXT));
        for wrong in [
            RecordContext {
                offset: 33,
                ..CONTEXT
            },
            RecordContext {
                flags: 1,
                ..CONTEXT
            },
            RecordContext {
                raw_len: 6,
                ..CONTEXT
            },
        ] {
            assert!(!opens(keys.record_key(segment), wrong), "{wrong:?}");
        }
    }
}
