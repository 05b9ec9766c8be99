//! Tests of the whole way from chunk lists to operations and back to bytes.

use proptest::prelude::*;

use super::*;
use crate::chunk::plan::{Listed, plan};
use crate::chunk::{Class, Cutter};
use crate::crypto::Blinded;

const MIB: usize = 1 << 20;

fn noise(size: usize, seed: u64) -> Vec<u8> {
    let mut bytes = vec![0; size];
    let mut hasher = blake3::Hasher::new();
    hasher.update(&seed.to_le_bytes());
    hasher.finalize_xof().fill(&mut bytes);
    bytes
}

fn text(size: usize) -> Vec<u8> {
    let lines = (0..).flat_map(|nth: u64| {
        format!("line {nth} says {}\n", nth.wrapping_mul(0x9e37_79b9) % 1000).into_bytes()
    });
    lines.take(size).collect()
}

fn list(bytes: &[u8]) -> Vec<Listed> {
    let mut rest = bytes;
    let lengths = Cutter::new(Class::Small, 7).cut(bytes, true);
    let chunk = |len: usize| {
        let (chunk, others) = rest.split_at(len);
        rest = others;
        let id = *blake3::hash(chunk).as_bytes().first_chunk().unwrap();
        (Blinded(id), u32::try_from(len).unwrap())
    };
    lengths.into_iter().map(chunk).collect()
}

fn cut(bytes: &[u8], range: Range<u64>) -> &[u8] {
    &bytes[usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap()]
}

/// The operations, after making sure that they give the new bytes and keep to their limits.
fn operations(old: &[u8], new: &[u8]) -> Vec<Operation> {
    let (mut operations, mut made) = (Vec::new(), Vec::new());
    let emit = |operation: Operation| {
        match &operation {
            Operation::Copy { offset, len } => {
                made.extend_from_slice(cut(old, *offset..offset + len));
            }
            Operation::Literal(bytes) => {
                assert!(!bytes.is_empty() && bytes.len() as u64 <= PIECE_MAX);
                made.extend_from_slice(bytes);
            }
            Operation::Patch {
                base_offset,
                base_len,
                raw_len,
                packed,
            } => {
                let end = base_offset + u64::from(*base_len);
                assert!(u64::from(*base_len) < 5 * 1024 * 1024);
                assert!(u64::from(*raw_len) <= PIECE_MAX && packed.len() < *raw_len as usize);
                let prefix = cut(old, *base_offset..end);
                made.extend(patch::decode(prefix, packed, *raw_len as usize).unwrap());
            }
        }
        operations.push(operation);
        Ok::<_, std::convert::Infallible>(())
    };
    let Ok(()) = diff(
        plan(list(old), list(new)),
        |range| Ok(Bytes::copy_from_slice(cut(new, range))),
        |range| Ok(Bytes::copy_from_slice(cut(old, range))),
        emit,
    );
    assert!(made == new, "{} bytes from {}", new.len(), old.len());
    operations
}

/// What the operations carry besides their heads.
fn carried(operations: &[Operation]) -> usize {
    let len = |operation: &Operation| match operation {
        Operation::Copy { .. } => 0,
        Operation::Literal(bytes) | Operation::Patch { packed: bytes, .. } => bytes.len(),
    };
    operations.iter().map(len).sum()
}

#[derive(Clone, Debug)]
enum Edit {
    Insert(usize),
    Delete(usize),
    Overwrite(usize),
    Move(usize),
    Repeat(usize),
    Truncate,
    Zero(usize),
}

fn any_edit() -> impl Strategy<Value = Edit> {
    let size = prop_oneof![0_usize..20, 0_usize..5_000, 0_usize..400_000];
    prop_oneof![
        3 => size.clone().prop_map(Edit::Insert),
        3 => size.clone().prop_map(Edit::Delete),
        3 => size.clone().prop_map(Edit::Overwrite),
        1 => size.clone().prop_map(Edit::Move),
        1 => size.clone().prop_map(Edit::Repeat),
        1 => Just(Edit::Truncate),
        1 => size.prop_map(Edit::Zero),
    ]
}

fn edited(bytes: &mut Vec<u8>, edit: &Edit, at: usize, seed: u64) {
    let range = |size: usize| at..bytes.len().min(at + size);
    match edit {
        Edit::Insert(size) => {
            bytes.splice(at..at, noise(*size, seed));
        }
        Edit::Delete(size) => {
            bytes.splice(range(*size), []);
        }
        Edit::Overwrite(size) => {
            let range = range(*size);
            bytes.splice(range.clone(), noise(range.len(), seed));
        }
        Edit::Move(size) => {
            let range = range(*size);
            let moved: Vec<_> = bytes.splice(range, []).collect();
            let to = bytes.len() / 3;
            bytes.splice(to..to, moved);
        }
        Edit::Repeat(size) => {
            let part = bytes[range(*size)].to_vec();
            bytes.splice(at..at, part);
        }
        Edit::Truncate => bytes.truncate(at),
        Edit::Zero(size) => {
            let range = range(*size);
            bytes[range].fill(0);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]
    #[test]
    fn the_operations_give_the_new_bytes(
        size in prop_oneof![0_usize..200, 0_usize..1_500_000],
        is_text: bool,
        edits in prop::collection::vec((any_edit(), any::<prop::sample::Index>()), 0..8),
    ) {
        let old = if is_text { text(size) } else { noise(size, 1) };
        let mut new = old.clone();
        for (nth, (edit, at)) in edits.iter().enumerate() {
            let at = at.index(new.len() + 1);
            edited(&mut new, edit, at, nth as u64 + 2);
        }
        operations(&old, &new);
        operations(&new, &old);
    }
}

#[test]
fn nothing_changed_is_one_copy_and_nothing_there_is_no_operation() {
    let bytes = noise(MIB, 1);
    let len = bytes.len() as u64;
    assert_eq!(
        operations(&bytes, &bytes),
        [Operation::Copy { offset: 0, len }]
    );
    assert_eq!(operations(&bytes, b""), []);
    assert_eq!(operations(b"", b""), []);
}

#[test]
fn without_a_base_all_is_literal() {
    let operations = operations(b"", &noise(3 * MIB + 5, 1));
    assert_eq!(operations.len(), 4);
    assert_eq!(carried(&operations), 3 * MIB + 5);
}

#[test]
fn an_edit_of_noise_carries_just_what_is_new() {
    let old = noise(4 * MIB, 1);
    let mut new = old.clone();
    new[2 * MIB] ^= 1;
    let found = operations(&old, &new);
    assert_eq!((found.len(), carried(&found)), (3, 1));
    new.splice(MIB..MIB, noise(5000, 2));
    new.splice(3 * MIB..3 * MIB + 70_000, []);
    new.extend(noise(3000, 3));
    let found = operations(&old, &new);
    assert_eq!(carried(&found), 1 + 5000 + 3000, "{found:?}");
}

#[test]
fn a_moved_part_carries_nothing() {
    let old = noise(4 * MIB, 1);
    let mut new = old.clone();
    let moved: Vec<_> = new.splice(MIB..MIB + 500_000, []).collect();
    new.splice(2 * MIB + 77..2 * MIB + 77, moved);
    let found = operations(&old, &new);
    assert!(carried(&found) < 100, "{}", carried(&found));
}

#[test]
fn many_edits_in_one_region_become_patches() {
    let old = noise(2 * MIB, 1);
    let mut new = old.clone();
    (0..2 * MIB).step_by(4096).for_each(|at| new[at] ^= 1);
    let found = operations(&old, &new);
    assert!(found.iter().any(|op| matches!(op, Operation::Patch { .. })));
    assert!(carried(&found) < 512 * 12, "{}", carried(&found));
}

#[test]
fn what_replaces_a_very_large_part_is_packed_by_proportion() {
    let old = noise(12 * MIB, 1);
    let mut new = old.clone();
    (0..12 * MIB).step_by(10_000).for_each(|at| new[at] ^= 1);
    let found = operations(&old, &new);
    assert!(carried(&found) < 1300 * 12, "{}", carried(&found));
}

#[test]
fn contents_cut_in_other_ways_share_what_is_equal_at_both_ends() {
    let old = noise(4 * MIB, 1);
    let mut new = old.clone();
    new[2 * MIB] ^= 1;
    let whole = |bytes: &[u8], id| (Blinded([id; 16]), u32::try_from(bytes.len()).unwrap());
    let mut carried = 0;
    let Ok(()) = diff(
        plan(vec![whole(&old, 1)], [whole(&new, 2)]),
        |range| Ok(Bytes::copy_from_slice(cut(&new, range))),
        |range| Ok(Bytes::copy_from_slice(cut(&old, range))),
        |operation| {
            if let Operation::Literal(bytes) = operation {
                carried += bytes.len();
            }
            Ok::<_, std::convert::Infallible>(())
        },
    );
    assert_eq!(carried, 1);
}

#[test]
fn inserted_text_is_packed_against_its_surroundings() {
    let old = text(MIB);
    let mut new = old.clone();
    let line = old[300_000..304_000].to_vec();
    new.splice(310_000..310_000, line);
    let found = operations(&old, &new);
    assert!(carried(&found) < 100, "{}", carried(&found));
}

#[test]
fn what_a_patch_would_not_shorten_stays_literal() {
    let mut new = text(200_000);
    new.splice(100_000..100_000, noise(30_000, 1));
    let found = operations(&text(200_000), &new);
    assert!(!found.iter().any(|op| matches!(op, Operation::Patch { .. })));
    assert_eq!(carried(&found), 30_000);
}
