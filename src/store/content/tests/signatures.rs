//! Tests of fine signatures of stored contents.
#![expect(
    clippy::single_range_in_vec_init,
    reason = "a list of one range is meant"
)]

use std::ops::Range;

use super::*;
use crate::chunk::signature::{Match, Signature, entry};

impl Fixture {
    async fn signed(
        &self,
        content: ContentId,
        ranges: &[Range<u64>],
        block: u64,
    ) -> Result<Vec<u8>, SignatureError> {
        let mut signatures = Signatures::open(&self.store, content, ranges.to_vec(), block).await?;
        let mut all = Vec::new();
        while let Some(part) = signatures.next().await? {
            all.extend_from_slice(&part);
        }
        assert_eq!(all.len() as u64, signatures.len());
        Ok(all)
    }
}

#[tokio::test]
async fn ranges_are_signed_block_by_block() {
    let fixture = fixture().await;
    let bytes = noise(5 * MIB);
    let content = fixture.put(&bytes).await;
    let end = bytes.len() as u64;
    for (ranges, block) in [
        (vec![0..end], 1024),
        (vec![0..1, 1..2000, 3_000_000..end], 1000),
        (vec![77..4_000_077], 65_536),
        (vec![], 512),
    ] {
        let expected: Vec<u8> = ranges
            .iter()
            .flat_map(|range: &Range<u64>| {
                bytes[usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap()]
                    .chunks(usize::try_from(block).unwrap())
            })
            .flat_map(entry)
            .collect();
        assert!(fixture.signed(content, &ranges, block).await.unwrap() == expected);
    }
}

#[tokio::test]
async fn what_was_edited_is_found_without_the_old_bytes() {
    let fixture = fixture().await;
    let old = noise(MIB);
    let content = fixture.put(&old).await;
    let mut new = old.clone();
    new.splice(500_000..500_000, *b"inserted");
    let all = [0..old.len() as u64];
    let signed = fixture.signed(content, &all, 1024).await.unwrap();
    let parts = Signature::parse(&all, 1024, &signed)
        .unwrap()
        .match_blocks(&new);
    let literals = parts.iter().map(|part| match part {
        Match::Copy { .. } => 0,
        Match::Literal(range) => range.len(),
    });
    assert_eq!(literals.sum::<usize>(), 1024 + 8);
}

#[tokio::test]
async fn impossible_questions_are_refused() {
    let fixture = fixture().await;
    let content = fixture.put(&noise(5000)).await;
    let ask = async |ranges: &[Range<u64>], block| {
        fixture
            .signed(content, ranges, block)
            .await
            .unwrap_err()
            .to_string()
    };
    for block in [0, 511, 65_537, u64::MAX] {
        let expected = format!("blocks have 512 to 65536 bytes, not {block}");
        assert_eq!(ask(&[0..1], block).await, expected);
    }
    for ranges in [[0..1, 1..5001], [0..1, 2..2], [2..4, 3..5]] {
        let expected = "range 1 is empty, out of order or beyond the end";
        assert_eq!(ask(&ranges, 1024).await, expected);
    }
    let many: Vec<_> = (0..4097).map(|at| at..at + 1).collect();
    assert_eq!(ask(&many, 1024).await, "4097 ranges are more than 4096");
}
