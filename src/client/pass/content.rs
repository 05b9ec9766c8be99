//! Contents as operations: cutting, comparing, writing the records of a push.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use crate::chunk::Class;
use crate::chunk::delta::{Operation, diff};
use crate::chunk::plan::{Listed, Region, Step, plan};
use crate::chunk::signature::{Match, Signature, signature_len};
use crate::client::local::read::{List, Opened, ReadError, cut};
use crate::crypto::ClientKeys;
use crate::protocol::stream;

/// Bytes that are read and handed on at once.
const PIECE: usize = 256 * 1024;
/// Bytes of a region that are compared with a signature at once: they are held in memory.
const WINDOW: u64 = 4 * 1024 * 1024;
/// Below this many bytes a region is sent as it is: its signature would be longer than what it saves.
const SIGNED_MIN: u64 = 2 * 1024;
/// Most bytes of signatures that are asked for at once.
const SIGNATURE_MAX: u64 = 8 * 1024 * 1024;
/// Most ranges in one request, as the server has it.
const RANGES_MAX: usize = 4096;
/// Bytes of a block of a signature.
pub(super) const BLOCK: usize = crate::chunk::signature::BLOCK_DEFAULT;

/// How a content gets to the server.
pub(super) enum Way {
    /// The server has it: only its root goes.
    Same,
    /// All bytes go.
    Whole,
    /// What differs from the old bytes, which are here.
    Patched { old: File, list: List },
    /// What differs from the old bytes, of which only signatures are known.
    Signed {
        steps: Vec<Step>,
        signature: Option<Signature>,
    },
}

/// Where records go: a buffer that is handed on when it is full.
pub(super) struct Out<'a> {
    pub(super) buffer: Vec<u8>,
    /// Takes full buffers; without it everything stays in the buffer.
    pub(super) hand: Option<&'a mut dyn FnMut(Vec<u8>) -> io::Result<()>>,
}

impl Out<'_> {
    fn full(&mut self) -> io::Result<()> {
        match &mut self.hand {
            Some(hand) if self.buffer.len() >= PIECE => hand(std::mem::take(&mut self.buffer)),
            Some(_) | None => Ok(()),
        }
    }
}

/// Writes the operations of a content.
pub(super) fn operations(
    out: &mut Out<'_>,
    opened: &Opened,
    list: &List,
    way: Way,
) -> io::Result<()> {
    match way {
        Way::Same => {
            stream::same(&mut out.buffer);
            Ok(())
        }
        Way::Whole => whole(out, opened),
        Way::Patched { old, list: base } => patched(out, opened, list, &old, base),
        Way::Signed { steps, signature } => {
            for step in steps {
                match step {
                    Step::Copy { base, len } => stream::copy(&mut out.buffer, base, len),
                    Step::Region(region) => signed(out, opened, &region.new, signature.as_ref())?,
                }
                out.full()?;
            }
            Ok(())
        }
    }
}

pub(super) fn whole(out: &mut Out<'_>, opened: &Opened) -> io::Result<()> {
    let size = opened.size();
    if size == 0 {
        return Ok(());
    }
    stream::lit_head(&mut out.buffer, size);
    let mut at = 0;
    while at < size {
        let piece = read(opened, at..size.min(at + PIECE as u64))?;
        at += piece.len() as u64;
        out.buffer.extend_from_slice(&piece);
        out.full()?;
    }
    Ok(())
}

fn patched(
    out: &mut Out<'_>,
    opened: &Opened,
    list: &List,
    old: &File,
    base: List,
) -> io::Result<()> {
    use std::os::unix::fs::FileExt as _;
    let read_old = |range: Range<u64>| {
        let mut bytes = vec![0; length(&range)];
        old.read_exact_at(&mut bytes, range.start)?;
        Ok(Bytes::from(bytes))
    };
    let emit = |operation: Operation| {
        stream::operation(&mut out.buffer, &operation);
        out.full()
    };
    let plan = plan(base.chunks, list.chunks.iter().copied());
    diff(
        plan,
        |range| Ok(read(opened, range)?.into()),
        read_old,
        emit,
    )
}

/// A region of the new content, with what the signature finds of it in the old one.
fn signed(
    out: &mut Out<'_>,
    opened: &Opened,
    region: &Range<u64>,
    signature: Option<&Signature>,
) -> io::Result<()> {
    let mut at = region.start;
    while at < region.end {
        let bytes = read(opened, at..region.end.min(at + WINDOW))?;
        at += bytes.len() as u64;
        let found = match signature {
            Some(signature) => signature.match_blocks(&bytes),
            None => vec![Match::Literal(0..bytes.len())],
        };
        for part in found {
            match part {
                Match::Copy { base, len } => stream::copy(&mut out.buffer, base, len),
                Match::Literal(range) => stream::lit(&mut out.buffer, &bytes[range]),
            }
            out.full()?;
        }
    }
    Ok(())
}

/// The steps from a base to a new content, and the ranges of the base whose signatures help. Chunks of the base that
/// lie whole at an edge of a region need none: their names tell.
pub(super) fn steps(
    opened: &Opened,
    base: &List,
    new: &List,
    keys: &ClientKeys,
) -> io::Result<(Vec<Step>, Vec<Range<u64>>)> {
    let (mut steps, mut ranges) = (Vec::new(), Vec::new());
    let starts = starts(&base.chunks);
    for step in plan(base.chunks.clone(), new.chunks.iter().copied()).steps {
        match step {
            Step::Copy { .. } => steps.push(step),
            Step::Region(region) => {
                let left = trim(opened, region, (&base.chunks, &starts), keys, &mut steps)?;
                ranges.extend(left);
            }
        }
    }
    ranges.sort_by_key(|range: &Range<u64>| range.start);
    let mut apart: Vec<Range<u64>> = Vec::with_capacity(ranges.len());
    for range in ranges {
        match apart.last_mut() {
            Some(last) if last.end >= range.start => last.end = last.end.max(range.end),
            _ => apart.push(range),
        }
    }
    Ok((steps, apart))
}

/// Whether signatures of these ranges are worth a request.
pub(super) fn worth(ranges: &[Range<u64>]) -> bool {
    let bytes: u64 = ranges
        .iter()
        .map(|range| signature_len(range.end - range.start, BLOCK))
        .sum();
    !ranges.is_empty() && ranges.len() <= RANGES_MAX && bytes <= SIGNATURE_MAX
}

/// Splits a region into whole chunks of the base at its edges and what is left of both between them.
fn trim(
    opened: &Opened,
    region: Region,
    (chunks, starts): (&[Listed], &[u64]),
    keys: &ClientKeys,
    steps: &mut Vec<Step>,
) -> io::Result<Option<Range<u64>>> {
    let Region {
        mut new,
        after,
        before,
    } = region;
    let (mut first, mut last) = (after, before.max(after));
    let first_chunk = starts.partition_point(|start| *start < first);
    for (chunk, start) in chunks.iter().zip(starts).skip(first_chunk) {
        let len = u64::from(chunk.1);
        if *start != first
            || first + len > last
            || new.end - new.start < len
            || !is(opened, new.start, chunk, keys)?
        {
            break;
        }
        steps.push(Step::Copy { base: first, len });
        (first, new.start) = (first + len, new.start + len);
    }
    let mut behind = Vec::new();
    let last_chunk = starts.partition_point(|start| *start < last);
    for (chunk, start) in chunks.iter().zip(starts).take(last_chunk).rev() {
        let len = u64::from(chunk.1);
        let fits = *start + len == last && *start >= first && new.end - new.start >= len;
        if !fits || !is(opened, new.end - len, chunk, keys)? {
            break;
        }
        behind.push(Step::Copy { base: *start, len });
        (last, new.end) = (*start, new.end - len);
    }
    let worth = new.end - new.start >= SIGNED_MIN && last > first;
    if !new.is_empty() {
        steps.push(Step::Region(Region {
            new,
            after: first,
            before: last,
        }));
    }
    steps.extend(behind.into_iter().rev());
    Ok(worth.then_some(first..last))
}

/// Whether the bytes at a place are those of a chunk.
fn is(opened: &Opened, at: u64, chunk: &Listed, keys: &ClientKeys) -> io::Result<bool> {
    let bytes = read(opened, at..at + u64::from(chunk.1))?;
    Ok(keys.listed(&bytes) == *chunk)
}

fn starts(chunks: &[Listed]) -> Vec<u64> {
    let mut at = 0;
    let start = |chunk: &Listed| {
        let start = at;
        at += u64::from(chunk.1);
        start
    };
    chunks.iter().map(start).collect()
}

/// Bytes of a file that has them.
pub(super) fn read(opened: &Opened, range: Range<u64>) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; length(&range)];
    if opened.read_at(&mut bytes, range.start)? == bytes.len() {
        Ok(bytes)
    } else {
        Err(ReadError::Changed.into())
    }
}

/// How a file is cut that the server has in these chunks: as its size suggests, or in the other way, which it takes where
/// nobody told it the size. None when its bytes are others.
pub(super) fn list_of(
    usual: List,
    opened: &Opened,
    chunks: &[Listed],
    keys: &Arc<ClientKeys>,
) -> Result<Option<List>, ReadError> {
    if usual.chunks == chunks {
        return Ok(Some(usual));
    }
    let other = match usual.class {
        Class::Small => Class::Large,
        Class::Large => Class::Small,
    };
    let list = cut(opened, other, keys)?;
    Ok((list.chunks == chunks).then_some(list))
}

fn length(range: &Range<u64>) -> usize {
    usize::try_from(range.end - range.start).unwrap_or(usize::MAX)
}
