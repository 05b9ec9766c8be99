//! The keys of one space: ids and stand-ins for chunks, and the keys that seal their bytes.

use std::fmt;

use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::{Zeroize, ZeroizeOnDrop};

use super::aead::KEY_LEN;
use super::{Error, RecordKey, random};
use crate::types::{SpaceId, from_hex};

/// The random root key of one space.
#[derive(ZeroizeOnDrop)]
pub struct SpaceKey([u8; KEY_LEN]);

/// BLAKE3 of a chunk's plaintext, keyed per space. Never stored in clear.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ChunkId(pub [u8; 32]);

/// What the database keeps in place of a chunk id or content root: a keyed one-way image of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Blinded(pub [u8; 16]);

/// Random name of a segment file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SegmentId(pub [u8; 16]);

/// Everything derived from a space key.
#[derive(ZeroizeOnDrop)]
pub struct SpaceKeys {
    /// The space.
    #[zeroize(skip)]
    pub space: SpaceId,
    id: [u8; KEY_LEN],
    blind: [u8; KEY_LEN],
    root: [u8; KEY_LEN],
    gear_seed: u64,
    /// What seals, and behind it what sealed before.
    pub(super) seals: Vec<Seal>,
}

/// The keys that seal what is stored in a space.
#[derive(Zeroize, ZeroizeOnDrop)]
pub(super) struct Seal {
    segment: [u8; KEY_LEN],
    pub(super) inline: [u8; KEY_LEN],
}

impl Seal {
    fn derive(key: &SpaceKey) -> Self {
        Self {
            segment: subkey(key, b"sync-server v1 segment"),
            inline: subkey(key, b"sync-server v1 inline"),
        }
    }
}

/// The keys of a space that its members' clients get. They open nothing: sealing uses others, and
/// none leads to another. With them and the database one can tell whether known bytes are stored.
#[derive(ZeroizeOnDrop)]
pub struct ClientKeys {
    /// Keys chunk ids.
    pub chunk: [u8; KEY_LEN],
    /// Keys the stand-ins of chunk ids.
    pub blind: [u8; KEY_LEN],
    /// Keys the roots of contents.
    pub root: [u8; KEY_LEN],
    /// Seed of the content-defined cutter.
    pub gear: u64,
}

/// Computes [`SpaceKeys::root`] chunk by chunk.
#[derive(Clone)]
pub struct RootHasher(blake3::Hasher);

impl SpaceKey {
    /// A fresh random key.
    pub fn generate() -> Result<Self, Error> {
        Ok(Self(random()?))
    }

    /// A known key, for fixtures and for unwrapping.
    pub(crate) fn from_bytes(bytes: [u8; KEY_LEN]) -> Self {
        Self(bytes)
    }

    pub(super) fn bytes(&self) -> &[u8; KEY_LEN] {
        &self.0
    }
}

impl SegmentId {
    /// Reads the form that [`fmt::Display`] writes.
    pub fn parse(text: &str) -> Option<Self> {
        let lower = text.bytes().all(|digit| !digit.is_ascii_uppercase());
        from_hex(text).filter(|_| lower).map(Self)
    }

    /// A fresh random id.
    pub fn generate() -> Result<Self, Error> {
        Ok(Self(random()?))
    }
}

/// 32 lower-case hexadecimal digits.
impl fmt::Display for SegmentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl SpaceKeys {
    /// Derives all keys of `space`.
    pub fn derive(space: SpaceId, key: &SpaceKey) -> Self {
        let mut seed = [0; 8];
        expand(None, &key.0, b"sync-server v1 gear seed", &mut seed);
        Self {
            space,
            id: subkey(key, b"sync-server v1 chunk id"),
            blind: subkey(key, b"sync-server v1 blind"),
            root: subkey(key, b"sync-server v1 root"),
            gear_seed: u64::from_be_bytes(seed),
            seals: vec![Seal::derive(key)],
        }
    }

    /// The same with a key that seals from now on; what was sealed before still opens, and ids, stand-ins
    /// and roots stay what they are.
    #[must_use]
    pub fn sealed_by(mut self, seal: &SpaceKey) -> Self {
        self.seals.insert(0, Seal::derive(seal));
        self
    }

    /// The same when nothing is left that any but the newest key has sealed.
    #[must_use]
    pub fn forget_older(mut self) -> Self {
        self.seals.truncate(1);
        self
    }

    /// The id of a chunk.
    pub fn chunk_id(&self, plain: &[u8]) -> ChunkId {
        ChunkId(*blake3::keyed_hash(&self.id, plain).as_bytes())
    }

    /// The database's stand-in for an id.
    pub fn blind(&self, id: &ChunkId) -> Blinded {
        half(&blake3::keyed_hash(&self.blind, &id.0))
    }

    /// The database's stand-in for a whole content: over the ordered (stand-in, length) list of its
    /// chunks, so that rows alone say it.
    pub fn root(&self, chunks: &[(Blinded, u32)]) -> Blinded {
        let mut hasher = self.root_hasher();
        for (blinded, len) in chunks {
            hasher.push(blinded, *len);
        }
        hasher.finish()
    }

    /// Computes [`Self::root`] of a list that is not at hand as a whole.
    pub fn root_hasher(&self) -> RootHasher {
        RootHasher(blake3::Hasher::new_keyed(&self.root))
    }

    /// Seed of the content-defined cutter, secret so that chunk lengths reveal nothing.
    pub fn gear_seed(&self) -> u64 {
        self.gear_seed
    }

    /// The keys with which a member's client names chunks and contents as this server does.
    pub fn client_keys(&self) -> ClientKeys {
        ClientKeys {
            chunk: self.id,
            blind: self.blind,
            root: self.root,
            gear: self.gear_seed,
        }
    }

    /// The key of a new segment.
    pub fn record_key(&self, segment: SegmentId) -> RecordKey {
        self.record_key_by(&self.seals[0], segment)
    }

    /// The keys that a segment may be sealed by, the newest first: all of it by one of them. Which one is
    /// noted nowhere; the tag of a record says it.
    pub fn record_keys(&self, segment: SegmentId) -> impl ExactSizeIterator<Item = RecordKey> {
        let by = move |seal| self.record_key_by(seal, segment);
        self.seals.iter().map(by)
    }

    fn record_key_by(&self, seal: &Seal, segment: SegmentId) -> RecordKey {
        let mut key = [0; KEY_LEN];
        expand(
            Some(&segment.0),
            &seal.segment,
            b"sync-server v1 record",
            &mut key,
        );
        let record_key = RecordKey::new(self.space, segment, &key);
        key.zeroize();
        record_key
    }
}

impl ClientKeys {
    /// Reads the keys as they go over the wire: three of 64 hex digits and one of 16. `None` when one
    /// is anything else.
    pub fn parse(chunk: &str, blind: &str, root: &str, gear: &str) -> Option<Self> {
        Some(Self {
            chunk: from_hex(chunk)?,
            blind: from_hex(blind)?,
            root: from_hex(root)?,
            gear: u64::from_be_bytes(from_hex(gear)?),
        })
    }

    /// How a chunk stands in the lists of the space: its stand-in and its length in bytes. The chunk is
    /// one that a cutter gave, so not longer than 2 MiB.
    ///
    /// # Panics
    ///
    /// When it is 4 GiB long or longer.
    pub fn listed(&self, plain: &[u8]) -> (Blinded, u32) {
        let id = blake3::keyed_hash(&self.chunk, plain);
        let stand_in = half(&blake3::keyed_hash(&self.blind, id.as_bytes()));
        let len = u32::try_from(plain.len()).expect("chunks are short");
        (stand_in, len)
    }

    /// The root of a content, from the list of its chunks; see [`SpaceKeys::root`].
    pub fn root(&self, chunks: &[(Blinded, u32)]) -> Blinded {
        let mut hasher = RootHasher(blake3::Hasher::new_keyed(&self.root));
        for (blinded, len) in chunks {
            hasher.push(blinded, *len);
        }
        hasher.finish()
    }
}

impl RootHasher {
    /// Adds the next chunk: its stand-in and its length in bytes.
    pub fn push(&mut self, blinded: &Blinded, len: u32) {
        self.0.update(&blinded.0).update(&len.to_be_bytes());
    }

    /// The root of what was pushed.
    pub fn finish(&self) -> Blinded {
        half(&self.0.finalize())
    }
}

/// HKDF-SHA256 into `out`.
pub(super) fn expand(salt: Option<&[u8]>, key: &[u8; KEY_LEN], info: &[u8], out: &mut [u8]) {
    let expanded = Hkdf::<Sha256>::new(salt, key).expand(info, out);
    expanded.expect("HKDF gives up to 8160 bytes");
}

fn subkey(key: &SpaceKey, label: &[u8]) -> [u8; KEY_LEN] {
    let mut out = [0; KEY_LEN];
    expand(None, &key.0, label, &mut out);
    out
}

fn half(hash: &blake3::Hash) -> Blinded {
    Blinded(std::array::from_fn(|at| hash.as_bytes()[at]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(space: i64, key: u8) -> SpaceKeys {
        SpaceKeys::derive(SpaceId(space), &SpaceKey([key; 32]))
    }

    #[test]
    fn ids_of_equal_bytes_are_equal_within_a_space_and_unrelated_across_spaces() {
        let (mine, other) = (keys(1, 1), keys(2, 2));
        assert_eq!(mine.chunk_id(b"x"), keys(1, 1).chunk_id(b"x"));
        assert_ne!(mine.chunk_id(b"x"), mine.chunk_id(b"y"));
        assert_ne!(mine.chunk_id(b"x"), other.chunk_id(b"x"));
        assert_ne!(mine.gear_seed(), other.gear_seed());
    }

    #[test]
    fn a_stand_in_is_not_a_part_of_the_id() {
        let keys = keys(1, 1);
        let id = keys.chunk_id(b"x");
        assert_ne!(keys.blind(&id).0, id.0[..16]);
        assert_ne!(keys.blind(&id), keys.root(&[(keys.blind(&id), 1)]));
    }

    #[test]
    fn a_root_depends_on_order_and_lengths_and_can_be_computed_in_steps() {
        let keys = keys(1, 1);
        let [a, b] = [b"a", b"b"].map(|plain| keys.blind(&keys.chunk_id(plain)));
        let root = keys.root(&[(a, 1), (b, 1)]);
        assert_ne!(root, keys.root(&[(b, 1), (a, 1)]));
        assert_ne!(root, keys.root(&[(a, 1), (b, 2)]));
        assert_ne!(root, keys.root(&[(a, 1)]));
        let mut steps = keys.root_hasher();
        steps.push(&a, 1);
        steps.push(&b, 1);
        assert_eq!(steps.finish(), root);
    }

    #[test]
    fn clients_get_the_keys_that_name_and_none_that_open() {
        let keys = keys(1, 1);
        let client = keys.client_keys();
        let id = blake3::keyed_hash(&client.chunk, b"x");
        assert_eq!(keys.chunk_id(b"x").0, *id.as_bytes());
        let blinded = half(&blake3::keyed_hash(&client.blind, id.as_bytes()));
        assert_eq!(keys.blind(&keys.chunk_id(b"x")), blinded);
        let listed = [&blinded.0[..], &1_u32.to_be_bytes()].concat();
        let root = half(&blake3::keyed_hash(&client.root, &listed));
        assert_eq!(keys.root(&[(blinded, 1)]), root);
        assert_eq!(client.gear, keys.gear_seed());
        for secret in [&keys.seals[0].segment, &keys.seals[0].inline] {
            for given in [&client.chunk, &client.blind, &client.root] {
                assert_ne!(secret, given);
            }
        }
    }

    #[test]
    fn clients_name_chunks_and_contents_as_the_server_does() {
        let keys = keys(1, 1);
        let given = keys.client_keys();
        let hex = |key: &[u8]| {
            key.iter()
                .fold(String::new(), |hex, b| format!("{hex}{b:02x}"))
        };
        let words = [&given.chunk, &given.blind, &given.root].map(|key| hex(key));
        let gear = format!("{:016x}", given.gear);
        let client = ClientKeys::parse(&words[0], &words[1], &words[2], &gear).unwrap();
        let listed = client.listed(b"abc");
        assert_eq!(listed, (keys.blind(&keys.chunk_id(b"abc")), 3));
        assert_eq!(client.root(&[listed, listed]), keys.root(&[listed, listed]));
        assert_eq!(client.gear, given.gear);
        for wrong in [&words[0][1..], "", &format!("{}zz", &words[0][2..]), "ä"] {
            assert!(ClientKeys::parse(&words[0], wrong, &words[2], &gear).is_none());
        }
    }

    /// Changing this breaks every store there is: the vector pins the derivation of version 1.
    #[test]
    fn derivation_of_version_one_never_changes() {
        let keys = keys(1, 0x42);
        let id = keys.chunk_id(b"fixture");
        let hex = |bytes: &[u8]| {
            bytes
                .iter()
                .fold(String::new(), |hex, b| format!("{hex}{b:02x}"))
        };
        assert_eq!(
            hex(&id.0),
            "54aa967c15ab2e6efa4f03ebe9eacbdd6c00a96b975d9857a3654cc8a87a6b0a"
        );
        assert_eq!(hex(&keys.blind(&id).0), "37bff0819e8cb462a75f4beb85860bc7");
        assert_eq!(
            hex(&keys.root(&[(keys.blind(&id), 7)]).0),
            "838fe715298fffe43200c81788284e63"
        );
        assert_eq!(format!("{:x}", keys.gear_seed()), "df24f9c52c0e798");
    }
}
