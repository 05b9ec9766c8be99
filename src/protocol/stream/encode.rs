//! Writing records. Callers keep to the limits of the format; debug builds check.

use super::{FILE_MAX, MAGIC, NUMBER_MAX, PATCH_BASE_MAX, PATCH_PACKED_MAX, PATCH_RAW_MAX, kind};
use crate::chunk::delta::Operation;

/// Appends what a stream begins with.
pub fn magic(out: &mut Vec<u8>) {
    out.extend(MAGIC);
}

/// Appends FILE; `json` is at most [`FILE_MAX`] bytes.
pub fn file(out: &mut Vec<u8>, json: &[u8]) {
    let length = json.len() as u64;
    debug_assert!(length <= FILE_MAX);
    out.push(kind::FILE);
    number(out, length);
    out.extend_from_slice(json);
}

/// Appends COPY: `len` bytes of the base from `offset`.
pub fn copy(out: &mut Vec<u8>, offset: u64, len: u64) {
    out.push(kind::COPY);
    number(out, offset);
    number(out, len);
}

/// Appends REF: the chunk with this stand-in.
pub fn reference(out: &mut Vec<u8>, blinded: &[u8; 16]) {
    out.push(kind::REF);
    out.extend_from_slice(blinded);
}

/// Appends LIT with its bytes.
pub fn lit(out: &mut Vec<u8>, bytes: &[u8]) {
    lit_head(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Appends the head of LIT; the caller sends `len` bytes behind it.
pub fn lit_head(out: &mut Vec<u8>, len: u64) {
    out.push(kind::LIT);
    number(out, len);
}

/// Appends PATCH: `packed` gives `raw_len` bytes with `base_len` bytes of the base from `base_offset`
/// as prefix.
pub fn patch(out: &mut Vec<u8>, base_offset: u64, base_len: u32, raw_len: u32, packed: &[u8]) {
    let packed_len = packed.len() as u64;
    debug_assert!(u64::from(base_len) <= PATCH_BASE_MAX && u64::from(raw_len) <= PATCH_RAW_MAX);
    debug_assert!(packed_len <= PATCH_PACKED_MAX);
    out.push(kind::PATCH);
    number(out, base_offset);
    number(out, u64::from(base_len));
    number(out, u64::from(raw_len));
    number(out, packed_len);
    out.extend_from_slice(packed);
}

/// Appends the record of an operation: COPY, LIT or PATCH.
pub fn operation(out: &mut Vec<u8>, operation: &Operation) {
    match operation {
        Operation::Copy { offset, len } => copy(out, *offset, *len),
        Operation::Literal(bytes) => lit(out, bytes),
        Operation::Patch {
            base_offset,
            base_len,
            raw_len,
            packed,
        } => patch(out, *base_offset, *base_len, *raw_len, packed),
    }
}

/// Appends SAME.
pub fn same(out: &mut Vec<u8>) {
    out.push(kind::SAME);
}

/// Appends END.
pub fn end(out: &mut Vec<u8>) {
    out.push(kind::END);
}

/// Appends a varint: seven bits a byte, lowest first; the top bit says that more follow.
pub(super) fn number(out: &mut Vec<u8>, mut number: u64) {
    debug_assert!(number <= NUMBER_MAX);
    while number >= 0x80 {
        out.push(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    out.push(number.to_le_bytes()[0]);
}
