//! Fine signatures: what one side sends of bytes it has, so that the other, which has them no more,
//! finds where its own are the same.
//!
//! A range of bytes is a row of blocks of one length, the last maybe shorter. For each block, 12 bytes:
//! ```text
//! b u16 | a u16 | first 8 bytes of its BLAKE3          a = Σ (x + 31)    b = Σ (length − i)(x + 31)
//! ```
//! for the bytes x at the places i, modulo 2^16, big-endian. So short a hash may mislead; what is
//! made with it is proven by the content's root.

use std::ops::Range;

/// Shortest block, in bytes. Shorter ones cost more in the signature than they save elsewhere.
pub const BLOCK_MIN: usize = 512;
/// Longest block, in bytes.
pub const BLOCK_MAX: usize = 64 * 1024;
/// Length of blocks when nobody says: the best by measure, next to chunks of 64 KiB.
pub const BLOCK_DEFAULT: usize = 1024;
/// Bytes of a block's entry.
pub const ENTRY_LEN: usize = 12;
/// Added to each byte, so that rows of zeroes of different lengths differ.
const OFFSET: u16 = 31;
/// log2 of the places in the filter before the search: 512 KiB, sparse for 256 MiB in blocks of 1 KiB.
const FILTER_LOG: u32 = 22;

/// What stands for a block.
type Entry = [u8; ENTRY_LEN];

/// A signature as it was received.
pub struct Signature {
    block: usize,
    blocks: Vec<Block>,
    /// Numbers of the blocks of full length, by entry, then by place.
    order: Vec<u32>,
    filter: Vec<u64>,
}

struct Block {
    entry: Entry,
    /// Where it begins in the content.
    base: u64,
    len: usize,
}

/// A part of the new bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Match {
    /// They are these bytes of the other content.
    Copy {
        /// First byte there.
        base: u64,
        /// Bytes.
        len: u64,
    },
    /// They are new: where they lie.
    Literal(Range<usize>),
}

/// The entry of a block.
pub fn entry(block: &[u8]) -> Entry {
    let hash = blake3::hash(block);
    let mut entry = [0; ENTRY_LEN];
    entry[..4].copy_from_slice(&Sums::of(block).weak().to_be_bytes());
    entry[4..].copy_from_slice(&hash.as_bytes()[..ENTRY_LEN - 4]);
    entry
}

/// Bytes of the signature of `len` bytes in blocks of `block` bytes.
pub fn signature_len(len: u64, block: usize) -> u64 {
    len.div_ceil(block as u64) * ENTRY_LEN as u64
}

impl Signature {
    /// Reads the signatures of ranges of a content, one behind the other; `None` when they are not of
    /// the right length.
    pub fn parse(ranges: &[Range<u64>], block: usize, bytes: &[u8]) -> Option<Self> {
        let (entries, rest) = bytes.as_chunks::<ENTRY_LEN>();
        if block == 0 || !rest.is_empty() {
            return None;
        }
        let places = ranges.iter().flat_map(|range| {
            let starts = range.clone().step_by(block);
            starts.map(|base| (base, range.end - base))
        });
        let mut blocks = Vec::with_capacity(entries.len());
        let mut entries = entries.iter();
        for (base, left) in places {
            blocks.push(Block {
                entry: *entries.next()?,
                base,
                len: usize::try_from(left).map_or(block, |left| left.min(block)),
            });
        }
        entries
            .as_slice()
            .is_empty()
            .then(|| Self::index(block, blocks))
    }

    fn index(block: usize, blocks: Vec<Block>) -> Self {
        let mut order: Vec<u32> = (0..).take(blocks.len()).collect();
        order.retain(|&nth| blocks[nth as usize].len == block);
        order.sort_unstable_by_key(|&nth| (blocks[nth as usize].entry, nth));
        let mut filter = vec![0; (1 << FILTER_LOG) / 64];
        for &nth in &order {
            let (word, bit) = filter_place(weak_of(&blocks[nth as usize].entry));
            filter[word] |= bit;
        }
        Self {
            block,
            blocks,
            order,
            filter,
        }
    }

    /// Finds the blocks in new bytes. The parts come in the order of `new` and cover all of it;
    /// copies that follow each other are one.
    pub fn match_blocks(&self, new: &[u8]) -> Vec<Match> {
        let mut found = Matches::default();
        let (mut at, mut next) = (0, None);
        let mut sums: Option<Sums> = None;
        while let Some(window) = new.get(at..at + self.block) {
            let weak = sums.get_or_insert_with(|| Sums::of(window)).weak();
            if let Some(nth) = self.find(weak, window, next) {
                found.copy(at, &self.blocks[nth]);
                at += self.block;
                (next, sums) = (Some(nth + 1), None);
                if let Some(short) = self.short(nth + 1, &new[at..]) {
                    found.copy(at, short);
                    at += short.len;
                }
                continue;
            }
            if let (Some(sums), Some(&byte)) = (&mut sums, new.get(at + self.block)) {
                sums.roll(window[0], byte, self.block);
            }
            at += 1;
        }
        self.match_end(new, &mut found);
        found.finish(new.len())
    }

    /// The block that these bytes are: the `next` if it is one, else the first.
    fn find(&self, weak: u32, bytes: &[u8], next: Option<usize>) -> Option<usize> {
        let (word, bit) = filter_place(weak);
        if self.filter[word] & bit == 0 {
            return None;
        }
        let entry_of = |nth: &u32| &self.blocks[*nth as usize].entry;
        let from = self
            .order
            .partition_point(|nth| weak_of(entry_of(nth)) < weak);
        let first = self.order.get(from)?;
        if weak_of(entry_of(first)) != weak {
            return None;
        }
        let entry = entry(bytes);
        let is = |block: &Block| block.entry == entry && block.len == bytes.len();
        if let Some(next) = next.filter(|&next| self.blocks.get(next).is_some_and(is)) {
            return Some(next);
        }
        let from = self.order.partition_point(|nth| entry_of(nth) < &entry);
        let nth = *self.order.get(from)? as usize;
        is(&self.blocks[nth]).then_some(nth)
    }

    /// The block, if it is a short one, the last of its range, and the bytes begin with it.
    fn short(&self, nth: usize, bytes: &[u8]) -> Option<&Block> {
        let block = self.blocks.get(nth)?;
        let begin = bytes.get(..block.len)?;
        (block.len < self.block && entry(begin) == block.entry).then_some(block)
    }

    /// Short blocks are looked for behind the block before them and, here, where the new bytes end.
    fn match_end(&self, new: &[u8], found: &mut Matches) {
        for (nth, block) in self.blocks.iter().enumerate() {
            let at = new.len().saturating_sub(block.len);
            if at >= found.covered
                && let Some(block) = self.short(nth, &new[at..])
            {
                found.copy(at, block);
                return;
            }
        }
    }
}

/// Parts found so far.
#[derive(Default)]
struct Matches {
    parts: Vec<Match>,
    /// Bytes of the new ones that the parts give.
    covered: usize,
}

impl Matches {
    fn copy(&mut self, at: usize, block: &Block) {
        self.literal(at);
        let more = block.len as u64;
        match self.parts.last_mut() {
            Some(Match::Copy { base, len }) if *base + *len == block.base => *len += more,
            Some(_) | None => self.parts.push(Match::Copy {
                base: block.base,
                len: more,
            }),
        }
        self.covered = at + block.len;
    }

    fn literal(&mut self, end: usize) {
        if self.covered < end {
            self.parts.push(Match::Literal(self.covered..end));
        }
    }

    fn finish(mut self, end: usize) -> Vec<Match> {
        self.literal(end);
        self.parts
    }
}

/// The sums of a window that moves over bytes.
struct Sums {
    a: u16,
    b: u16,
}

impl Sums {
    fn of(bytes: &[u8]) -> Self {
        let (mut a, mut b) = (0_u16, 0_u16);
        for byte in bytes {
            a = a.wrapping_add(u16::from(*byte) + OFFSET);
            b = b.wrapping_add(a);
        }
        Self { a, b }
    }

    /// Moves on by a byte: `out` leaves the window of `len` bytes, `into` enters it.
    fn roll(&mut self, out: u8, into: u8, len: usize) {
        // Both are taken modulo 2^16.
        let len = u16::from_le_bytes([len.to_le_bytes()[0], len.to_le_bytes()[1]]);
        let left = len.wrapping_mul(u16::from(out) + OFFSET);
        self.a = self
            .a
            .wrapping_sub(u16::from(out))
            .wrapping_add(into.into());
        self.b = self.b.wrapping_sub(left).wrapping_add(self.a);
    }

    fn weak(&self) -> u32 {
        u32::from(self.b) << 16 | u32::from(self.a)
    }
}

fn weak_of(entry: &Entry) -> u32 {
    u32::from_be_bytes([entry[0], entry[1], entry[2], entry[3]])
}

/// A word of the filter and a bit in it. Multiplied, because sums of text lie close together.
fn filter_place(weak: u32) -> (usize, u64) {
    let place = weak.wrapping_mul(0x9e37_79b1) >> (32 - FILTER_LOG);
    ((place / 64) as usize, 1 << (place % 64))
}

#[cfg(test)]
#[expect(
    clippy::single_range_in_vec_init,
    reason = "a list of one range is meant"
)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sign(base: &[u8], ranges: &[Range<u64>], block: usize) -> Vec<u8> {
        let part = |range: &Range<u64>| {
            &base[usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap()]
        };
        let blocks = ranges.iter().flat_map(|range| part(range).chunks(block));
        blocks.flat_map(entry).collect()
    }

    fn apply(base: &[u8], new: &[u8], parts: &[Match]) -> Vec<u8> {
        let mut made = Vec::new();
        for part in parts {
            match part {
                Match::Copy { base: at, len } => {
                    let at = usize::try_from(*at).unwrap();
                    made.extend_from_slice(&base[at..at + usize::try_from(*len).unwrap()]);
                }
                Match::Literal(range) => {
                    assert_eq!(range.start, made.len());
                    made.extend_from_slice(&new[range.clone()]);
                }
            }
        }
        made
    }

    fn literals(parts: &[Match]) -> usize {
        let len = |part: &Match| match part {
            Match::Copy { .. } => 0,
            Match::Literal(range) => range.len(),
        };
        parts.iter().map(len).sum()
    }

    fn noise(size: usize, seed: u64) -> Vec<u8> {
        let mut bytes = vec![0; size];
        let mut hasher = blake3::Hasher::new();
        hasher.update(&seed.to_le_bytes());
        hasher.finalize_xof().fill(&mut bytes);
        bytes
    }

    fn matched(base: &[u8], new: &[u8], block: usize) -> Vec<Match> {
        let all = [0..base.len() as u64];
        let signature = Signature::parse(&all, block, &sign(base, &all, block)).unwrap();
        let parts = signature.match_blocks(new);
        assert!(apply(base, new, &parts) == new);
        parts
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn the_parts_give_the_new_bytes(
            base in prop::collection::vec(0..3_u8, 0..400),
            edits in prop::collection::vec((any::<prop::sample::Index>(), 0_usize..40, prop::collection::vec(0..3_u8, 0..40)), 0..5),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 2..8),
            block in 1_usize..24,
        ) {
            let mut new = base.clone();
            for (at, gone, put) in edits {
                let at = at.index(new.len() + 1);
                new.splice(at..new.len().min(at + gone), put);
            }
            let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(base.len() + 1) as u64).collect();
            cuts.sort_unstable();
            let ranges: Vec<_> = cuts.chunks_exact(2).map(|pair| pair[0]..pair[1]).collect();
            let signed = sign(&base, &ranges, block);
            let expected: u64 = ranges.iter().map(|r| signature_len(r.end - r.start, block)).sum();
            prop_assert_eq!(signed.len() as u64, expected);
            let parts = Signature::parse(&ranges, block, &signed).unwrap().match_blocks(&new);
            prop_assert_eq!(apply(&base, &new, &parts), new);
        }

        #[test]
        fn sums_roll_to_what_they_are_of_the_window(
            bytes in prop::collection::vec(any::<u8>(), 2..200), len in 1_usize..100,
        ) {
            let len = len.min(bytes.len() - 1);
            let mut sums = Sums::of(&bytes[..len]);
            for at in 0..bytes.len() - len {
                sums.roll(bytes[at], bytes[at + len], len);
                prop_assert_eq!(sums.weak(), Sums::of(&bytes[at + 1..=at + len]).weak());
            }
        }
    }

    #[test]
    fn equal_bytes_are_one_copy_whatever_the_length() {
        for size in [0, 1, 1023, 1024, 1025, 70_000] {
            let base = noise(size, 1);
            let parts = matched(&base, &base, 1024);
            let len = size as u64;
            let whole = (size > 0).then_some(Match::Copy { base: 0, len });
            assert_eq!(parts, Vec::from_iter(whole));
        }
        assert_eq!(matched(&[0; 5000], &[0; 5000], 512).len(), 1);
    }

    #[test]
    fn an_edit_costs_the_block_it_lies_in() {
        let base = noise(200_000, 1);
        let mut new = base.clone();
        new[100_000] ^= 1;
        assert_eq!(literals(&matched(&base, &new, 1024)), 1024);
        let mut new = base.clone();
        new.splice(50_000..50_000, *b"inserted");
        assert_eq!(literals(&matched(&base, &new, 1024)), 1024 + 8);
        new.splice(150_000..151_000, []);
        assert!(literals(&matched(&base, &new, 1024)) < 3 * 1024);
        assert_eq!(literals(&matched(&base, &noise(100_000, 2), 1024)), 100_000);
        // What is appended, behind a block that was the last.
        let new = [&base[..], b"appended"].concat();
        assert_eq!(literals(&matched(&base, &new, 1024)), 8);
    }

    #[test]
    fn blocks_are_found_in_whichever_range_they_lie() {
        let base = noise(100_000, 1);
        let new = [&base[70_000..80_000], &base[10_000..20_000]].concat();
        let ranges = [10_000..20_000, 70_000..80_000];
        let signed = sign(&base, &ranges, 1000);
        let parts = Signature::parse(&ranges, 1000, &signed).unwrap();
        assert_eq!(
            parts.match_blocks(&new),
            [
                Match::Copy {
                    base: 70_000,
                    len: 10_000
                },
                Match::Copy {
                    base: 10_000,
                    len: 10_000
                },
            ]
        );
    }

    #[test]
    fn signatures_of_another_length_are_refused() {
        let signed = sign(&[1; 100], &[0..100], 30);
        assert_eq!(signed.len(), 4 * ENTRY_LEN);
        for (end, bytes) in [
            (100, &signed[1..]),
            (90, &signed),
            (121, &signed),
            (100, &[]),
        ] {
            assert!(Signature::parse(&[0..end], 30, bytes).is_none());
        }
        assert!(Signature::parse(&[0..100], 30, &signed).is_some());
    }

    #[test]
    fn the_form_of_version_one_never_changes() {
        // a = 3·31 + 97+98+99 = 387, b = 3·128 + 2·129 + 130 = 772.
        let sums = [0x03, 0x04, 0x01, 0x83];
        let hash = [0x64, 0x37, 0xb3, 0xac, 0x38, 0x46, 0x51, 0x33];
        assert_eq!(entry(b"abc")[..], [&sums[..], &hash].concat());
    }
}
