//! From a plan to operations: what both ends of a region share is copied too, and what is left is
//! packed against the part of the base it replaces. Whoever drives this reads the bytes it wants.

use std::collections::VecDeque;
use std::ops::Range;

use bytes::Bytes;

use super::patch;
use super::plan::{Plan, Region, Step};

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;
/// Most bytes of the new content in one piece: what one patch or literal gives.
pub const PIECE_MAX: u64 = MIB;
/// Most bytes of the base replaced that a patch sees as a whole. With the rest of a prefix and a
/// piece it stays below zstd's window of 8 MiB.
const WHOLE_MAX: u64 = 4 * MIB;
/// Bytes of the base around what is replaced that a patch sees as well: text inserted resembles its
/// surroundings.
const MARGIN: u64 = 64 * KIB;
/// The same where the part of the base that a piece replaces is only guessed by proportion.
const MARGIN_GUESSED: u64 = 512 * KIB;
/// Bytes compared at a time: the longest chunk of a small content.
const COMPARE: u64 = 256 * KIB;
/// Shortest copy that is worth an operation of its own.
const COPY_MIN: usize = 24;
/// Shortest piece that a patch is tried for: a patch has about 25 bytes besides what changed.
const PATCH_MIN: u64 = 32;
/// What the head of a patch takes, in bytes.
const PATCH_HEAD: usize = 14;
/// A patch must save at least one part in this many (5 %).
const WORTH: usize = 20;

/// How to make the next bytes of a new content from a base.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Take them from the base.
    Copy {
        /// First byte in the base.
        offset: u64,
        /// Bytes.
        len: u64,
    },
    /// Take these, at most [`PIECE_MAX`].
    Literal(Bytes),
    /// Unpack them, see [`patch::decode`].
    Patch {
        /// First byte of the prefix in the base.
        base_offset: u64,
        /// Bytes of the prefix, less than 5 MiB.
        base_len: u32,
        /// Bytes that come out, at most [`PIECE_MAX`].
        raw_len: u32,
        /// The zstd frame, shorter than what comes out.
        packed: Bytes,
    },
}

/// What a [`Differ`] has to say next.
#[derive(Debug, PartialEq, Eq)]
pub enum Want {
    /// Read these bytes of both contents, each of a few MiB at most and maybe none, and
    /// [`Differ::give`] them.
    Bytes {
        /// Of the new content.
        new: Range<u64>,
        /// Of the base.
        base: Range<u64>,
        /// Taking them will compute for milliseconds.
        packs: bool,
    },
    /// The next operation.
    Operation(Operation),
    /// All is said.
    End,
}

/// Turns a plan into operations.
pub struct Differ {
    steps: std::vec::IntoIter<Step>,
    base_size: u64,
    /// A copy that the next one may yet continue.
    copy: Option<(u64, u64)>,
    ready: VecDeque<Operation>,
    work: Option<Work>,
}

/// A region being worked on.
struct Work {
    /// What is left of it.
    region: Region,
    /// Bytes that follow it and are to be copied from `region.before`.
    tail: u64,
    stage: Stage,
}

#[derive(Clone)]
enum Stage {
    /// Finding what the region begins with that also follows `after` in the base.
    Front,
    /// Finding what it ends with that also precedes `before`.
    Back,
    /// Packing the rest. What the region was when that began: parts of it are by proportion parts of
    /// what it replaces.
    Pack(Region),
}

impl Differ {
    /// The operations of a plan.
    pub fn new(plan: Plan) -> Self {
        Self {
            steps: plan.steps.into_iter(),
            base_size: plan.base_size,
            copy: None,
            ready: VecDeque::new(),
            work: None,
        }
    }

    /// What to do next. After [`Want::Bytes`] call [`Self::give`] before asking again.
    pub fn next_want(&mut self) -> Want {
        loop {
            if let Some(operation) = self.ready.pop_front() {
                return Want::Operation(operation);
            }
            if let Some(mut work) = self.work.take() {
                if let Some(want) = work.want(self.base_size) {
                    self.work = Some(work);
                    return want;
                }
                self.push_copy(work.region.before, work.tail);
                continue;
            }
            match self.steps.next() {
                Some(Step::Copy { base, len }) => self.push_copy(base, len),
                Some(Step::Region(region)) => {
                    self.work = Some(Work {
                        region,
                        tail: 0,
                        stage: Stage::Front,
                    });
                }
                None => {
                    return match self.copy.take() {
                        Some((offset, len)) => Want::Operation(Operation::Copy { offset, len }),
                        None => Want::End,
                    };
                }
            }
        }
    }

    /// Takes exactly the bytes that were wanted; whoever reads fewer, because a file has changed,
    /// must not go on. `new` and `base` should not share memory, see [`patch::encode`].
    pub fn give(&mut self, new: &Bytes, base: &[u8]) {
        let Some(mut work) = self.work.take() else {
            return;
        };
        match work.stage.clone() {
            Stage::Front => self.give_front(&mut work, new, base),
            Stage::Back => self.give_back(&mut work, new, base),
            Stage::Pack(whole) => {
                let range = work.region.prefix(&whole, self.base_size);
                work.region.new.start += new.len() as u64;
                let operation = pack(new, range.start, base);
                self.push(operation);
            }
        }
        self.work = Some(work);
    }

    fn give_front(&mut self, work: &mut Work, new: &[u8], base: &[u8]) {
        let same = new.iter().zip(base).take_while(|(a, b)| a == b).count();
        let continues = self
            .copy
            .is_some_and(|(offset, len)| offset + len == work.region.after);
        if same < new.len() || !(continues || same >= COPY_MIN) {
            work.stage = Stage::Back;
        }
        if continues || same >= COPY_MIN {
            let same = same as u64;
            self.push_copy(work.region.after, same);
            work.region.new.start += same;
            work.region.after += same;
        }
    }

    fn give_back(&mut self, work: &mut Work, new: &[u8], base: &[u8]) {
        let ends = new.iter().rev().zip(base.iter().rev());
        let same = ends.take_while(|(a, b)| a == b).count();
        let follows = match self.steps.as_slice().first() {
            Some(Step::Copy { base, .. }) => *base == work.region.before,
            Some(Step::Region(_)) | None => false,
        };
        let taken = follows || work.tail > 0 || same >= COPY_MIN;
        if taken {
            let same = same as u64;
            work.tail += same;
            work.region.new.end -= same;
            work.region.before -= same;
        }
        if !taken || same < new.len() {
            work.stage = Stage::Pack(work.region.clone());
        }
    }

    fn push_copy(&mut self, from: u64, more: u64) {
        if more == 0 {
            return;
        }
        match &mut self.copy {
            Some((offset, len)) if *offset + *len == from => *len += more,
            Some(_) | None => {
                self.flush();
                self.copy = Some((from, more));
            }
        }
    }

    fn push(&mut self, operation: Operation) {
        self.flush();
        self.ready.push_back(operation);
    }

    fn flush(&mut self) {
        if let Some((offset, len)) = self.copy.take() {
            self.ready.push_back(Operation::Copy { offset, len });
        }
    }
}

impl Work {
    /// The bytes to go on with; `None` when nothing is left but the tail.
    fn want(&mut self, base_size: u64) -> Option<Want> {
        let Region { new, after, before } = &self.region;
        if new.is_empty() {
            return None;
        }
        let left = new.end - new.start;
        if matches!(self.stage, Stage::Front) {
            let len = left.min(COMPARE).min(base_size - after);
            if len > 0 {
                return Some(compare(new.start..new.start + len, *after..after + len));
            }
            self.stage = Stage::Back;
        }
        if matches!(self.stage, Stage::Back) {
            let len = left.min(COMPARE).min(*before);
            if len > 0 {
                return Some(compare(new.end - len..new.end, before - len..*before));
            }
            self.stage = Stage::Pack(self.region.clone());
        }
        let Stage::Pack(whole) = &self.stage else {
            return None;
        };
        let base = self.region.prefix(whole, base_size);
        Some(Want::Bytes {
            new: self.region.piece(),
            packs: !base.is_empty(),
            base,
        })
    }
}

fn compare(new: Range<u64>, base: Range<u64>) -> Want {
    Want::Bytes {
        new,
        base,
        packs: false,
    }
}

impl Region {
    /// The first piece of what is left.
    fn piece(&self) -> Range<u64> {
        self.new.start..self.new.end.min(self.new.start + PIECE_MAX)
    }

    /// The part of the base to pack the first piece against, which may be empty. `whole` is what the
    /// region was before its first piece.
    fn prefix(&self, whole: &Self, base_size: u64) -> Range<u64> {
        let piece = self.piece();
        let new_len = whole.new.end - whole.new.start;
        let replaced = whole.replaced(base_size);
        let replaced_len = replaced.end - replaced.start;
        let far_more = replaced_len == 0 && new_len > MARGIN;
        if piece.end - piece.start < PATCH_MIN || far_more {
            return 0..0;
        }
        if replaced_len <= WHOLE_MAX {
            return replaced.start.saturating_sub(MARGIN)..base_size.min(replaced.end + MARGIN);
        }
        let place = |at: u64| {
            let part = u128::from(at - whole.new.start) * u128::from(replaced_len);
            let part = u64::try_from(part / u128::from(new_len)).unwrap_or(replaced_len);
            replaced.start + part
        };
        let start = place(piece.start).saturating_sub(MARGIN_GUESSED);
        let end = place(piece.end) + MARGIN_GUESSED;
        start..end.min(start + WHOLE_MAX).min(base_size)
    }

    /// What the region replaces. Where parts of the base have moved, or both ends of the region took
    /// the same bytes, that is as much as it has itself behind what comes before it.
    fn replaced(&self, base_size: u64) -> Range<u64> {
        if self.after <= self.before {
            return self.after..self.before;
        }
        let len = self.new.end - self.new.start;
        self.after..base_size.min(self.after + len)
    }
}

/// The piece as a patch if one is worth it, else as it is.
fn pack(new: &Bytes, base_offset: u64, base: &[u8]) -> Operation {
    let most = new.len() - new.len().div_ceil(WORTH);
    // A literal is always right, also when zstd gets no memory.
    let packed = (!base.is_empty()).then(|| patch::encode(base, new).ok());
    match (
        packed.flatten(),
        u32::try_from(base.len()),
        u32::try_from(new.len()),
    ) {
        (Some(packed), Ok(base_len), Ok(raw_len)) if packed.len() + PATCH_HEAD <= most => {
            Operation::Patch {
                base_offset,
                base_len,
                raw_len,
                packed: packed.into(),
            }
        }
        (Some(_) | None, _, _) => Operation::Literal(new.clone()),
    }
}

/// Drives a plan to its end for contents that are read right here: files, or memory.
pub fn diff<E>(
    plan: Plan,
    mut read_new: impl FnMut(Range<u64>) -> Result<Bytes, E>,
    mut read_base: impl FnMut(Range<u64>) -> Result<Bytes, E>,
    mut emit: impl FnMut(Operation) -> Result<(), E>,
) -> Result<(), E> {
    let mut differ = Differ::new(plan);
    loop {
        match differ.next_want() {
            Want::Bytes { new, base, .. } => {
                let base = read_base(base)?;
                differ.give(&read_new(new)?, &base);
            }
            Want::Operation(operation) => emit(operation)?,
            Want::End => return Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
