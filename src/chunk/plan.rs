//! Which parts of a content another one has already, told from their lists of chunks alone.

use std::ops::Range;

use crate::crypto::Blinded;

/// A chunk in a content's list: its stand-in and its length in bytes.
pub type Listed = (Blinded, u32);

/// One part of the way from the base to a new content, in the order of the new one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// These bytes of the base.
    Copy {
        /// First byte in the base.
        base: u64,
        /// Bytes.
        len: u64,
    },
    /// Bytes in chunks that the base does not have.
    Region(Region),
}

/// Bytes of the new content between two that both contents have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Region {
    /// Where in the new content they lie.
    pub new: Range<u64>,
    /// Where in the base the bytes end that come before the region.
    pub after: u64,
    /// Where in the base the bytes begin that come behind it; before `after` when parts have moved.
    pub before: u64,
}

/// The chunks of the base, indexed. 32 bytes of memory for each.
pub struct Base {
    chunks: Vec<Listed>,
    /// Where each begins, and the size of the whole.
    starts: Vec<u64>,
    /// Their numbers, by stand-in, then by place.
    order: Vec<u32>,
}

/// Makes a plan from the list of the new content, chunk by chunk.
pub struct Planner {
    base: Base,
    steps: Vec<Step>,
    /// Behind the base's chunk that was copied last.
    next: usize,
    /// Bytes of the new content so far.
    at: u64,
    /// Where a region begins that has not ended.
    region: Option<u64>,
}

/// The steps from the base to a new content. 40 bytes of memory for each.
#[derive(Debug, PartialEq, Eq)]
pub struct Plan {
    /// Each continues where the one before ended; together they give the new content.
    pub steps: Vec<Step>,
    /// Bytes of the base.
    pub base_size: u64,
}

impl Base {
    /// Indexes the chunks of a content, at most 2^32 of them, in their order.
    pub fn new(chunks: Vec<Listed>) -> Self {
        let mut starts = Vec::with_capacity(chunks.len() + 1);
        let mut at = 0;
        for (_, len) in &chunks {
            starts.push(at);
            at += u64::from(*len);
        }
        starts.push(at);
        let mut order: Vec<u32> = (0..).take(chunks.len()).collect();
        order.sort_unstable_by_key(|&nth| (chunks[nth as usize].0.0, nth));
        Self {
            chunks,
            starts,
            order,
        }
    }

    /// Bytes.
    pub fn size(&self) -> u64 {
        self.starts[self.chunks.len()]
    }

    /// The chunk to copy: the `next` if it is one, else the first one behind, else the first at all.
    fn find(&self, next: usize, chunk: &Listed) -> Option<usize> {
        if self.chunks.get(next) == Some(chunk) {
            return Some(next);
        }
        let key = |nth: &u32| self.chunks[*nth as usize].0.0;
        let first = self.order.partition_point(|nth| key(nth) < chunk.0.0);
        let last = self.order.partition_point(|nth| key(nth) <= chunk.0.0);
        let same = &self.order[first..last];
        let behind = same.partition_point(|&nth| (nth as usize) < next);
        let found = *same.get(behind).or(same.first())? as usize;
        (self.chunks[found] == *chunk).then_some(found)
    }
}

impl Planner {
    /// A plan for a content that may have chunks of `base`.
    pub fn new(base: Base) -> Self {
        Self {
            base,
            steps: Vec::new(),
            next: 0,
            at: 0,
            region: None,
        }
    }

    /// Takes the next chunk of the new content. Adds two steps at most.
    pub fn push(&mut self, chunk: Listed) {
        match self.base.find(self.next, &chunk) {
            Some(found) => {
                let start = self.base.starts[found];
                self.end_region(start);
                self.copy(start, u64::from(chunk.1));
                self.next = found + 1;
            }
            None => {
                self.region.get_or_insert(self.at);
            }
        }
        self.at += u64::from(chunk.1);
    }

    /// The whole plan.
    pub fn finish(mut self) -> Plan {
        let base_size = self.base.size();
        self.end_region(base_size);
        Plan {
            steps: self.steps,
            base_size,
        }
    }

    fn copy(&mut self, start: u64, more: u64) {
        match self.steps.last_mut() {
            Some(Step::Copy { base, len }) if *base + *len == start => *len += more,
            Some(_) | None => self.steps.push(Step::Copy {
                base: start,
                len: more,
            }),
        }
    }

    fn end_region(&mut self, before: u64) {
        if let Some(start) = self.region.take() {
            self.steps.push(Step::Region(Region {
                new: start..self.at,
                after: self.base.starts[self.next],
                before,
            }));
        }
    }
}

/// The plan for two lists at hand.
pub fn plan(base: Vec<Listed>, new: impl IntoIterator<Item = Listed>) -> Plan {
    let mut planner = Planner::new(Base::new(base));
    new.into_iter().for_each(|chunk| planner.push(chunk));
    planner.finish()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A chunk that is told by one letter: `A` is one byte long, `B` two …
    fn chunk(letter: u8) -> Listed {
        (Blinded([letter; 16]), u32::from(letter - b'A') + 1)
    }

    fn of(base: &str, new: &str) -> Vec<Step> {
        let list = |text: &str| text.bytes().map(chunk).collect::<Vec<_>>();
        plan(list(base), list(new)).steps
    }

    fn copy(base: u64, len: u64) -> Step {
        Step::Copy { base, len }
    }

    fn region(new: Range<u64>, after: u64, before: u64) -> Step {
        Step::Region(Region { new, after, before })
    }

    proptest! {
        #[test]
        fn a_plan_covers_the_new_content_with_what_the_base_has(
            base in "[A-F]{0,20}", new in "[A-H]{0,20}",
        ) {
            let bytes = |text: &str| -> Vec<u8> {
                text.bytes().flat_map(|letter| vec![letter; usize::from(letter - b'A') + 1]).collect()
            };
            let (old, whole) = (bytes(&base), bytes(&new));
            let mut made = Vec::new();
            let cut = |range: Range<u64>| usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap();
            for step in of(&base, &new) {
                match step {
                    Step::Copy { base, len } => made.extend_from_slice(&old[cut(base..base + len)]),
                    Step::Region(region) => {
                        prop_assert_eq!(region.new.start, made.len() as u64);
                        prop_assert!(region.after.max(region.before) <= old.len() as u64);
                        let part = &whole[cut(region.new)];
                        prop_assert!(!part.iter().any(|byte| old.contains(byte)));
                        made.extend_from_slice(part);
                    }
                }
            }
            prop_assert_eq!(made, whole);
        }
    }

    #[test]
    fn equal_contents_are_one_copy() {
        assert_eq!(of("ABCABC", "ABCABC"), [copy(0, 12)]);
        assert_eq!(of("", ""), []);
        assert_eq!(of("ABC", ""), []);
    }

    #[test]
    fn a_replaced_chunk_is_a_region_between_its_neighbours() {
        assert_eq!(
            of("ABC", "AEC"),
            [copy(0, 1), region(1..6, 1, 3), copy(3, 3)]
        );
    }

    #[test]
    fn at_the_ends_a_region_reaches_to_the_ends_of_the_base() {
        assert_eq!(of("ABC", "EBC"), [region(0..5, 0, 1), copy(1, 5)]);
        assert_eq!(of("ABC", "ABE"), [copy(0, 3), region(3..8, 3, 6)]);
        assert_eq!(of("ABC", "EF"), [region(0..11, 0, 6)]);
        assert_eq!(of("", "AB"), [region(0..3, 0, 0)]);
    }

    #[test]
    fn runs_go_on_through_repeated_chunks_and_matches_move_forwards() {
        assert_eq!(of("ABABA", "ABABA"), [copy(0, 7)]);
        // After C the A behind it is taken, not the one at the beginning.
        assert_eq!(of("ACAB", "CAB"), [copy(1, 6)]);
        // More of the same than the base has starts over where the run is longest.
        assert_eq!(of("AAA", "AAAAA"), [copy(0, 3), copy(0, 2)]);
    }

    #[test]
    fn a_moved_part_is_copied_from_where_it_was() {
        assert_eq!(
            of("ABCD", "CEBD"),
            [copy(3, 3), region(3..8, 6, 1), copy(1, 2), copy(6, 4)]
        );
    }
}
