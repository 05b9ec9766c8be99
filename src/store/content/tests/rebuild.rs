//! What is built from operations is what an upload of the same bytes would be.

use proptest::prelude::*;

use super::*;
use crate::chunk::{Class, patch};
use crate::crypto::Blinded;
use crate::store::content::{Rebuild, RebuildError, proves};
use crate::store::meta::{chunks, testing};

/// One operation on a base; `Ref` takes a chunk of the base by its stand-in.
#[derive(Clone, Debug)]
enum Op {
    Copy(usize, usize),
    Literal(Vec<u8>),
    Patch(usize, usize, Vec<u8>),
    Ref(usize),
}

/// A content that is stored, and where its chunks begin.
struct Stored {
    id: ContentId,
    bytes: Vec<u8>,
    chunks: Vec<(Blinded, usize, usize)>,
}

impl Fixture {
    pub(super) async fn stage_as(&self, bytes: &[u8], class: Class) -> Staged {
        let keys = self.store.keys.of(&self.store.meta, self.space).await;
        let mut upload = Upload::begin(&self.store, keys.unwrap(), class);
        for piece in bytes.chunks(300_007) {
            upload.push(Bytes::copy_from_slice(piece)).await.unwrap();
        }
        upload.finish().await.unwrap().unwrap()
    }

    pub(super) async fn name(&self, staged: Staged) -> ContentId {
        let named = self
            .store
            .meta
            .write(move |tx| Box::pin(async move { contents::insert(tx, &staged).await }));
        named.await.unwrap()
    }

    async fn stored_as(&self, bytes: Vec<u8>, class: Class) -> Stored {
        let staged = self.stage_as(&bytes, class).await;
        let mut found = Vec::new();
        if let StagedBody::Chunks(manifest) = &staged.body {
            let mut conn = self.store.meta.read().await.unwrap();
            let mut at = 0;
            for &(first, count) in manifest.runs() {
                let rows = chunks::located(&mut conn, self.space, first, count).await;
                for row in rows.unwrap() {
                    found.push((row.blinded, at, row.raw as usize));
                    at += row.raw as usize;
                }
            }
            assert_eq!(at, bytes.len());
        }
        let id = self.name(staged).await;
        Stored {
            id,
            bytes,
            chunks: found,
        }
    }

    async fn rebuild(
        &self,
        base: &Stored,
        ops: &[Op],
        class: Class,
    ) -> Result<(Staged, Vec<u8>), RebuildError> {
        let wanted = apply(base, ops);
        let (space, size) = (self.space, wanted.len() as u64);
        let mut rebuild = Rebuild::start(&self.store, space, Some(base.id), class, size).await?;
        for op in ops {
            match op {
                Op::Copy(at, len) => rebuild.copy(*at as u64, *len as u64).await?,
                Op::Literal(bytes) => {
                    for piece in bytes.chunks(70_001) {
                        rebuild.literal(Bytes::copy_from_slice(piece)).await?;
                    }
                }
                Op::Patch(at, len, raw) => {
                    let packed = patch::encode(&base.bytes[*at..at + len], raw).unwrap();
                    let [len, raw] = [*len, raw.len()].map(|len| u32::try_from(len).unwrap());
                    rebuild.patch(*at as u64, len, raw, packed.into()).await?;
                }
                Op::Ref(nth) => rebuild.reference(base.chunks[*nth].0).await?,
            }
        }
        assert_eq!(rebuild.written(), size);
        Ok((rebuild.finish().await?, wanted))
    }

    /// Rebuilds and holds the result against an upload of the same bytes.
    async fn check(&self, base: &Stored, ops: &[Op], class: Class) {
        let (staged, wanted) = self.rebuild(base, ops, class).await.unwrap();
        let plain = self.stage_as(&wanted, class).await;
        assert_eq!((staged.size, staged.class), (plain.size, class));
        assert_eq!(staged.root, plain.root);
        match (&staged.body, &plain.body) {
            (StagedBody::Inline(_), StagedBody::Inline(_)) => {}
            (StagedBody::Chunks(rebuilt), StagedBody::Chunks(uploaded)) => {
                assert_eq!(rebuilt, uploaded);
            }
            other => panic!("{other:?}"),
        }
        let content = self.name(staged).await;
        assert!(self.get(content).await == wanted, "other bytes are read");
    }
}

fn apply(base: &Stored, ops: &[Op]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for op in ops {
        match op {
            Op::Copy(at, len) => bytes.extend_from_slice(&base.bytes[*at..at + len]),
            Op::Literal(given) | Op::Patch(_, _, given) => bytes.extend_from_slice(given),
            Op::Ref(nth) => {
                let (_, at, len) = base.chunks[*nth];
                bytes.extend_from_slice(&base.bytes[at..at + len]);
            }
        }
    }
    bytes
}

/// An operation before it is known how long the base is: kind, two places in it, some bytes.
type Seed = (u8, prop::sample::Index, prop::sample::Index, Vec<u8>);

fn seeds() -> impl Strategy<Value = Vec<Seed>> {
    let bytes = prop::collection::vec(any::<u8>(), 0..40_000);
    let index = any::<prop::sample::Index>();
    let seed = (0..8_u8, index.clone(), index, bytes);
    prop::collection::vec(seed, 0..12)
}

fn op(base: &Stored, (kind, one, other, bytes): Seed) -> Op {
    let size = base.bytes.len();
    // Cuts of the base, its ends among them.
    let mut cuts: Vec<_> = base.chunks.iter().map(|(_, at, _)| *at).collect();
    cuts.push(size);
    let copy = |from: usize, to: usize| Op::Copy(from.min(to), from.max(to) - from.min(to));
    let (from, to) = (cuts[one.index(cuts.len())], cuts[other.index(cuts.len())]);
    match kind {
        // From cut to cut, or next to one, or anywhere.
        0 => copy(from, to),
        1 => copy(from, (to + bytes.len() % 5).saturating_sub(2).min(size)),
        2 => copy((from + bytes.len() % 5).saturating_sub(2).min(size), to),
        3 => copy(one.index(size + 1), other.index(size + 1)),
        4 => copy(from, size),
        5 if !base.chunks.is_empty() => Op::Ref(one.index(base.chunks.len())),
        6 => {
            let (at, end) = (one.index(size + 1), other.index(size + 1));
            let (at, end) = (at.min(end), at.max(end));
            Op::Patch(at, end - at, bytes)
        }
        _ => Op::Literal(bytes),
    }
}

#[test]
fn any_operations_give_what_an_upload_of_the_bytes_would_be() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let fixture = runtime.block_on(fixture());
    let mut bases = Vec::new();
    let zeroes = [vec![0; MIB], noise(100_000), vec![0; MIB / 2]].concat();
    let bytes = [
        noise(2 * MIB + 17),
        noise(MIB + 1),
        zeroes,
        noise(5000),
        text(0),
        noise(16_385),
    ];
    for bytes in bytes {
        let base = fixture.stored_as(bytes, Class::Small);
        bases.push(runtime.block_on(base));
    }
    let config = ProptestConfig::with_cases(150);
    proptest!(config, |(nth in 0..bases.len(), seeds in seeds())| {
        let base = &bases[nth];
        let ops: Vec<_> = seeds.into_iter().map(|seed| op(base, seed)).collect();
        runtime.block_on(fixture.check(base, &ops, Class::Small));
    });
}

#[tokio::test]
async fn edits_at_and_beside_every_cut_come_out_right() {
    let f = fixture().await;
    let base = f.stored_as(noise(MIB), Class::Small).await;
    for &(_, cut, _) in &base.chunks {
        for at in cut.saturating_sub(2)..=cut + 2 {
            let (before, after) = (Op::Copy(0, at), |from| Op::Copy(from, MIB - from));
            for ops in [
                // A byte replaced, one added, one removed, the end cut off, the beginning.
                vec![before.clone(), Op::Literal(vec![7]), after(at + 1)],
                vec![before.clone(), Op::Literal(vec![7]), after(at)],
                vec![before.clone(), after(at + 1)],
                vec![before.clone()],
                vec![after(at)],
            ] {
                f.check(&base, &ops, Class::Small).await;
            }
        }
    }
}

#[tokio::test]
async fn an_edit_reads_only_the_chunks_around_it_however_large_the_content_is() {
    let f = fixture().await;
    let size = 32 * MIB;
    let base = f.stored_as(noise(size), Class::Small).await;
    assert!(base.chunks.len() > 300, "{}", base.chunks.len());
    let at = 20 * MIB + 12_345;
    let edits = [
        vec![
            Op::Copy(0, at),
            Op::Literal(vec![1]),
            Op::Copy(at + 1, size - at - 1),
        ],
        vec![
            Op::Copy(0, at),
            Op::Literal(vec![1; 9]),
            Op::Copy(at, size - at),
        ],
        vec![Op::Literal(b"before".to_vec()), Op::Copy(0, size)],
        vec![Op::Copy(0, size), Op::Literal(b"behind".to_vec())],
        vec![Op::Copy(0, size)],
    ];
    for (ops, most) in edits.iter().zip([10, 10, 10, 1, 0]) {
        let before = (f.store.segments.reads(), f.stored());
        let (staged, _) = f.rebuild(&base, ops, Class::Small).await.unwrap();
        let reads = f.store.segments.reads() - before.0;
        assert!(reads <= most, "{reads} reads");
        assert!(f.stored() - before.1 < MIB as u64);
        drop(staged);
        f.check(&base, ops, Class::Small).await;
    }
}

#[tokio::test]
async fn a_base_of_the_other_class_is_copied_by_its_bytes() {
    let f = fixture().await;
    for (of, to) in [(Class::Large, Class::Small), (Class::Small, Class::Large)] {
        let base = f.stored_as(noise(5 * MIB), of).await;
        let ops = [
            Op::Copy(0, MIB),
            Op::Literal(noise(10)),
            Op::Copy(MIB, 4 * MIB),
        ];
        f.check(&base, &ops, to).await;
        f.check(&base, &ops, of).await;
    }
}

#[tokio::test]
async fn a_row_without_a_class_is_taken_for_what_its_size_says() {
    let f = fixture().await;
    let base = f.stored_as(noise(3 * MIB), Class::Large).await;
    let id = base.id.0;
    let forgotten = f.store.meta.write(move |tx| {
        Box::pin(async move {
            let older = "UPDATE content SET class = NULL WHERE id = $1";
            testing::execute(tx, older, &[id]).await
        })
    });
    forgotten.await.unwrap();
    let mut conn = f.store.meta.read().await.unwrap();
    let loaded = contents::load(&mut conn, base.id).await.unwrap();
    assert_eq!(loaded.class, Class::Small);
    drop(conn);
    // Large chunks are not taken for small ones: nothing of other rules is taken over unread.
    let ops = [Op::Copy(0, 3 * MIB), Op::Literal(vec![1])];
    f.check(&base, &ops, Class::Small).await;
}

#[tokio::test]
async fn nothing_is_copied_from_another_space_or_from_nothing() {
    let f = fixture().await;
    let stranger = fixture().await;
    let ring = Arc::clone(&f.store);
    let other = f.store.meta.write(move |tx| {
        Box::pin(async move {
            let space = spaces::create(tx, "other", false, None).await?;
            let key = ring.keys.new_space_key(tx, space).await?;
            spaces::set_key_and_root(tx, space, &key, NodeId(0)).await?;
            Ok::<_, Error>(space)
        })
    });
    let base = f.stored_as(noise(MIB), Class::Small).await;
    let (space, id) = (other.await.unwrap(), Some(base.id));
    let refused = Rebuild::start(&f.store, space, id, Class::Small, 5).await;
    assert!(matches!(refused, Err(RebuildError::OtherSpace)));

    let start = Rebuild::start(&f.store, space, None, Class::Small, 5);
    let mut without = start.await.unwrap();
    assert!(matches!(
        without.copy(0, 1).await,
        Err(RebuildError::NoBase)
    ));
    let unknown = without.reference(base.chunks[0].0).await;
    assert!(matches!(unknown, Err(RebuildError::Unknown(_))));
    drop(stranger);
}

#[tokio::test]
async fn what_a_content_states_it_keeps_to() {
    let f = fixture().await;
    let base = f.stored_as(noise(MIB), Class::Small).await;
    let begin = async |size| {
        Rebuild::start(&f.store, f.space, Some(base.id), Class::Small, size)
            .await
            .unwrap()
    };
    let mut rebuild = begin(10).await;
    for (at, len) in [
        (MIB as u64, 1),
        (0, MIB as u64 + 1),
        (u64::MAX, 2),
        (5, u64::MAX),
    ] {
        let refused = rebuild.copy(at, len).await;
        assert!(
            matches!(refused, Err(RebuildError::OutsideBase)),
            "{at} {len}"
        );
    }
    let refused = rebuild.patch(MIB as u64, 1, 5, Bytes::new()).await;
    assert!(matches!(refused, Err(RebuildError::OutsideBase)));
    rebuild.copy(MIB as u64, 0).await.unwrap();
    rebuild.copy(0, 10).await.unwrap();
    let stored = f.stored();
    let refused = rebuild.literal(noise(MIB).into()).await;
    assert!(matches!(refused, Err(RebuildError::TooLong { size: 10 })));
    let refused = rebuild.copy(0, 1).await;
    assert!(matches!(refused, Err(RebuildError::TooLong { .. })));
    let refused = rebuild.reference(base.chunks[0].0).await;
    assert!(matches!(refused, Err(RebuildError::TooLong { .. })));
    assert_eq!(f.stored(), stored);

    let mut short = begin(10).await;
    short.copy(0, 9).await.unwrap();
    let refused = short.finish().await.err().unwrap();
    assert!(matches!(
        refused,
        RebuildError::TooShort {
            written: 9,
            size: 10
        }
    ));
}

#[tokio::test]
async fn operations_and_what_they_make_the_server_read_are_limited() {
    let f = fixture().await;
    let base = f.stored_as(noise(MIB), Class::Small).await;
    let start = Rebuild::start(&f.store, f.space, Some(base.id), Class::Small, 64_000);
    let mut many = start.await.unwrap();
    for _ in 0..2024 {
        many.copy(0, 0).await.unwrap();
    }
    let refused = many.copy(0, 0).await;
    assert!(matches!(
        refused,
        Err(RebuildError::TooMany { limit: 2024 })
    ));

    // Each byte from another chunk than the two before.
    let large = f.stored_as(noise(40 * MIB), Class::Large).await;
    let start = Rebuild::start(&f.store, f.space, Some(large.id), Class::Large, 1000);
    let mut scattered = start.await.unwrap();
    let mut refused = None;
    for nth in 0..1000 {
        let (_, at, _) = large.chunks[nth * 5 % large.chunks.len()];
        if let Err(error) = scattered.copy(at as u64 + 7, 1).await {
            refused = Some((nth, error));
            break;
        }
    }
    let (nth, error) = refused.unwrap();
    assert!(matches!(error, RebuildError::TooScattered), "{error}");
    assert!((100..1000).contains(&nth), "{nth}");
}

#[tokio::test]
async fn patches_are_held_to_their_limits_and_must_open() {
    let f = fixture().await;
    let base = f.stored_as(noise(MIB), Class::Small).await;
    let start = Rebuild::start(&f.store, f.space, Some(base.id), Class::Small, 9 << 20);
    let mut rebuild = start.await.unwrap();
    for (base_len, raw_len) in [((8 << 20) + 1, 1), (1, (4 << 20) + 1)] {
        let refused = rebuild.patch(0, base_len, raw_len, Bytes::new()).await;
        assert!(matches!(refused, Err(RebuildError::PatchTooLarge)));
    }
    let refused = rebuild.patch(0, 5, 5, Bytes::from_static(b"what?")).await;
    assert!(matches!(refused, Err(RebuildError::Patch(_))));
    // What went wrong half way never becomes a content.
    rebuild.literal(noise((9 << 20) - 5).into()).await.unwrap();
    assert!(matches!(
        rebuild.finish().await,
        Err(RebuildError::Store(_))
    ));
}

#[tokio::test]
async fn all_missing_chunks_can_be_learnt_and_nothing_is_kept_then() {
    let f = fixture().await;
    let base = f.stored_as(noise(MIB), Class::Small).await;
    let size = 3 * MIB as u64;
    let start = Rebuild::start(&f.store, f.space, Some(base.id), Class::Small, size);
    let mut rebuild = start.await.unwrap();
    let stored = f.stored();
    for missing in [1, 2] {
        let refused = rebuild.reference(Blinded([missing; 16])).await;
        let Err(RebuildError::Unknown(named)) = refused else {
            panic!("found");
        };
        assert_eq!(named, Blinded([missing; 16]));
        rebuild.reference(base.chunks[0].0).await.unwrap();
        rebuild.literal(noise(MIB / 2).into()).await.unwrap();
        rebuild.copy(0, 100).await.unwrap();
        rebuild
            .patch(0, 5, 5, Bytes::from_static(b"what?"))
            .await
            .unwrap();
    }
    let refused = rebuild.copy(0, 4 * MIB as u64).await;
    assert!(matches!(refused, Err(RebuildError::OutsideBase)));
    assert_eq!(f.stored(), stored);
    let refused = rebuild.finish().await.err().unwrap();
    assert!(
        matches!(refused, RebuildError::Unknown(Blinded([1, ..]))),
        "{refused}"
    );
}

#[tokio::test]
async fn a_root_is_found_with_its_size_in_its_space_only() {
    let f = fixture().await;
    let staged = f.stage_as(&noise(MIB), Class::Small).await;
    let (root, size) = (staged.root, staged.size);
    let id = f.name(staged).await;
    let mut conn = f.store.meta.read().await.unwrap();
    for (space, root, size, found) in [
        (f.space, root, size, Some(id)),
        (SpaceId(f.space.0 + 1), root, size, None),
        (f.space, Blinded([1; 16]), size, None),
        (f.space, root, size + 1, None),
        (f.space, root, u64::MAX, None),
    ] {
        let known = contents::known_root(&mut conn, space, root, size).await;
        assert_eq!(known.unwrap(), found);
    }
}

#[tokio::test]
async fn a_checksum_is_proven_by_reading_what_was_built() {
    let f = fixture().await;
    let base = f.stored_as(noise(2 * MIB), Class::Small).await;
    for ops in [
        vec![Op::Copy(0, 2 * MIB), Op::Literal(vec![1])],
        vec![Op::Copy(5, 100)],
        vec![],
    ] {
        let (staged, bytes) = f.rebuild(&base, &ops, Class::Small).await.unwrap();
        let claim = |bytes: &[u8]| {
            use sha2::Digest;
            let digest = sha2::Sha256::digest(bytes);
            let hex = digest
                .iter()
                .fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"));
            Checksum::parse(&format!("SHA256:{hex}")).unwrap()
        };
        assert!(proves(&f.store, &staged, &claim(&bytes)).await.unwrap());
        let other = [&bytes[..], b"x"].concat();
        assert!(!proves(&f.store, &staged, &claim(&other)).await.unwrap());
    }
}
