//! Content-defined cuts: `FastCDC` of 2020 with a secret gear table.
//!
//! Where a chunk ends depends only on the bytes since it began, so cuts come out the same however
//! the bytes arrive, and an edit moves only the cuts near it.

use std::borrow::Cow;

use fastcdc::v2020::{Normalization, cut_gear, get_gear_with_seed, select_masks};

/// Longest chunk of any class, in bytes.
pub const CHUNK_MAX: usize = 2 * MIB;

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;
/// Contents of more bytes than this are cut coarsely, so that their manifests and rows stay few.
const SMALL_MAX: u64 = 1024 * MIB as u64;

/// How finely a content is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// 16 / 64 / 256 KiB: contents up to 1 GiB, and those whose size nobody stated.
    Small,
    /// 128 / 512 / 2048 KiB: contents above 1 GiB.
    Large,
}

impl Class {
    /// The class of a content that is said to have this many bytes.
    pub fn of(expected: Option<u64>) -> Self {
        match expected {
            Some(size) if size > SMALL_MAX => Self::Large,
            Some(_) | None => Self::Small,
        }
    }

    /// Shortest chunk but the last, in bytes. Contents up to this size are one chunk.
    pub fn min(self) -> usize {
        match self {
            Self::Small => 16 * KIB,
            Self::Large => 128 * KIB,
        }
    }

    /// The length chunks are drawn towards, in bytes.
    pub fn average(self) -> usize {
        match self {
            Self::Small => 64 * KIB,
            Self::Large => 512 * KIB,
        }
    }

    /// Longest chunk, in bytes.
    pub fn max(self) -> usize {
        match self {
            Self::Small => 256 * KIB,
            Self::Large => CHUNK_MAX,
        }
    }
}

/// Finds the cuts of one content.
pub struct Cutter {
    class: Class,
    /// Two bits stricter below the average length, two looser above: lengths bunch around it.
    masks: (u64, u64),
    gear: Cow<'static, [u64]>,
    gear_shifted: Cow<'static, [u64]>,
}

impl Cutter {
    /// A cutter for contents of one class; the seed is the space's secret.
    pub fn new(class: Class, seed: u64) -> Self {
        let (gear, gear_shifted) = get_gear_with_seed(seed);
        let masks = select_masks(class.average(), Normalization::Level1);
        Self {
            class,
            masks,
            gear,
            gear_shifted,
        }
    }

    /// The class it cuts.
    pub fn class(&self) -> Class {
        self.class
    }

    /// Lengths of the chunks at the beginning of `bytes` that no later byte can change.
    ///
    /// `bytes` must begin where a chunk does. `end` says that nothing follows; then the lengths
    /// add up to all of it. Otherwise less than [`Class::max`] bytes are left over, to be given
    /// again with what comes behind them.
    pub fn cut(&self, bytes: &[u8], end: bool) -> Vec<usize> {
        let mut lengths = Vec::new();
        let mut rest = bytes;
        while !rest.is_empty() {
            let length = self.first(rest);
            // A cut at the very end of what is there may only mean that there is no more yet.
            if length == rest.len() && length < self.class.max() && !end {
                break;
            }
            lengths.push(length);
            rest = &rest[length..];
        }
        lengths
    }

    fn first(&self, bytes: &[u8]) -> usize {
        let (strict, loose) = self.masks;
        let (_hash, length) = cut_gear(
            bytes,
            self.class.min(),
            self.class.average(),
            self.class.max(),
            strict,
            loose,
            strict << 1,
            loose << 1,
            &self.gear,
            &self.gear_shifted,
        );
        length
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Reproducible bytes that do not compress.
    fn noise(size: usize, seed: u64) -> Vec<u8> {
        let mut bytes = vec![0; size];
        let mut hasher = blake3::Hasher::new();
        hasher.update(&seed.to_le_bytes());
        hasher.finalize_xof().fill(&mut bytes);
        bytes
    }

    /// Cuts bytes that arrive in pieces, as an upload would.
    fn cut_in_pieces(cutter: &Cutter, bytes: &[u8], pieces: &[usize]) -> Vec<usize> {
        let (mut lengths, mut begin, mut end) = (Vec::new(), 0, 0);
        let mut piece = pieces.iter().cycle();
        while end < bytes.len() {
            end = bytes.len().min(end + piece.next().unwrap());
            let cut = cutter.cut(&bytes[begin..end], end == bytes.len());
            begin += cut.iter().sum::<usize>();
            lengths.extend(cut);
            assert!(end - begin < cutter.class().max());
        }
        lengths
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn cuts_do_not_depend_on_how_the_bytes_arrive(
            size in 0_usize..1_500_000,
            seed: u64,
            zeroes in 0_usize..600_000,
            pieces in prop::collection::vec(1_usize..400_000, 1..6),
        ) {
            let cutter = Cutter::new(Class::Small, seed);
            let mut bytes = noise(size, seed);
            let from = size / 3;
            let to = size.min(from + zeroes);
            bytes[from..to].fill(0);
            let whole = cutter.cut(&bytes, true);
            prop_assert_eq!(whole.iter().sum::<usize>(), size);
            prop_assert_eq!(whole, cut_in_pieces(&cutter, &bytes, &pieces));
        }
    }

    #[test]
    fn lengths_stay_within_the_bounds_of_the_class() {
        for class in [Class::Small, Class::Large] {
            let lengths = Cutter::new(class, 5).cut(&noise(32 * MIB, 1), true);
            let (last, others) = lengths.split_last().unwrap();
            assert!(*last <= class.max());
            assert!(
                others
                    .iter()
                    .all(|length| (class.min()..=class.max()).contains(length))
            );
            let mean = 32 * MIB / lengths.len();
            assert!(
                (class.average()..2 * class.average()).contains(&mean),
                "{mean}"
            );
        }
    }

    #[test]
    fn up_to_the_shortest_length_a_content_is_one_chunk() {
        let cutter = Cutter::new(Class::Small, 5);
        assert_eq!(cutter.cut(&noise(16 * KIB, 2), true), [16 * KIB]);
        assert!(cutter.cut(&noise(16 * KIB, 2), false).is_empty());
        assert!(cutter.cut(&[], true).is_empty());
    }

    #[test]
    fn cuts_of_other_spaces_lie_elsewhere() {
        let bytes = noise(2 * MIB, 3);
        let cut = |seed| Cutter::new(Class::Small, seed).cut(&bytes, true);
        assert_ne!(cut(1), cut(2));
    }

    /// Changing this ends dedup against all that is stored already.
    #[test]
    fn cuts_of_version_one_never_change() {
        let lengths = Cutter::new(Class::Small, 0x1234_5678).cut(&noise(512 * KIB, 4), true);
        assert_eq!(lengths, [91906, 71254, 45775, 77669, 92953, 70985, 73746]);
    }

    #[test]
    fn an_insertion_moves_only_the_cuts_near_it() {
        let cutter = Cutter::new(Class::Small, 5);
        let before = noise(8 * MIB, 6);
        let mut after = before.clone();
        after.splice(MIB..MIB, *b"inserted");
        let ids = |bytes: &[u8]| {
            let mut at = 0;
            let lengths = cutter.cut(bytes, true);
            lengths
                .iter()
                .map(|l| {
                    at += l;
                    blake3::hash(&bytes[at - l..at])
                })
                .collect::<Vec<_>>()
        };
        let (old, new) = (ids(&before), ids(&after));
        let changed = new.iter().filter(|id| !old.contains(id)).count();
        assert!((1..=4).contains(&changed), "{changed} of {}", new.len());
    }
}
