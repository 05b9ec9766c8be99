//! Patches: bytes packed against a part of the content they replace, as one zstd frame with that part
//! as prefix.

use zstd::zstd_safe::{
    CCtx, CParameter, DCtx, DParameter, ErrorCode, compress_bound, find_frame_compressed_size,
};

/// zstd level: with long distance matching it finds what a higher one would, at a fraction of the time.
const LEVEL: i32 = 1;
/// log2 of the smallest window in bytes, zstd's own limit.
const WINDOW_LOG_MIN: u32 = 10;
/// log2 of the largest window in bytes: 8 MiB is what the reader of a patch must be ready to hold.
const WINDOW_LOG_MAX: u32 = 23;
/// First bytes of a zstd frame (RFC 8878 §3.1.1).
const FRAME_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
/// Flag of a frame without a window of its own: the window is the content.
const SINGLE_SEGMENT: u8 = 0x20;

/// Why a patch cannot be made or read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// No memory for zstd's tables.
    #[error("no memory for zstd")]
    Memory,
    /// Not a zstd frame, or more than one, or something behind it.
    #[error("the patch is not one whole zstd frame")]
    Frame,
    /// The frame wants more memory than 8 MiB.
    #[error("the patch needs a window above 8 MiB")]
    Window,
    /// The frame does not decompress with this prefix to as many bytes as stated.
    #[error("the patch does not give the bytes it states")]
    Content,
}

/// Packs `raw`. Both together should be at most 8 MiB: what lies further back is not found. Nor is
/// anything when they share memory, because zstd takes that to be overwritten. Needs about 2 MiB of
/// memory besides; the patch is at its largest a little longer than `raw`.
pub fn encode(prefix: &[u8], raw: &[u8]) -> Result<Vec<u8>, Error> {
    let mut context = CCtx::try_create().ok_or(Error::Memory)?;
    let parameters = [
        CParameter::CompressionLevel(LEVEL),
        CParameter::WindowLog(window_log(prefix.len() + raw.len())),
        // The tables of level 1 alone are far too small for a prefix of megabytes.
        CParameter::EnableLongDistanceMatching(true),
        // The stream says how many bytes come out, and the content's root says whether they are right.
        CParameter::ContentSizeFlag(false),
        CParameter::ChecksumFlag(false),
    ];
    for parameter in parameters {
        context.set_parameter(parameter).map_err(memory)?;
    }
    context.ref_prefix(prefix).map_err(memory)?;
    let mut packed = Vec::with_capacity(compress_bound(raw.len()));
    context.compress2(&mut packed, raw).map_err(memory)?;
    Ok(packed)
}

/// Unpacks what [`encode`] or another zstd made of exactly `raw_len` bytes; never writes more than
/// those. With another prefix than it was made with it fails or gives other bytes.
pub fn decode(prefix: &[u8], packed: &[u8], raw_len: usize) -> Result<Vec<u8>, Error> {
    check_window(packed)?;
    if find_frame_compressed_size(packed) != Ok(packed.len()) {
        return Err(Error::Frame);
    }
    let mut context = DCtx::try_create().ok_or(Error::Memory)?;
    context
        .set_parameter(DParameter::WindowLogMax(WINDOW_LOG_MAX))
        .map_err(memory)?;
    context.ref_prefix(prefix).map_err(memory)?;
    let mut raw = Vec::with_capacity(raw_len);
    match context.decompress(&mut raw, packed) {
        Ok(length) if length == raw_len => Ok(raw),
        Ok(_) | Err(_) => Err(Error::Content),
    }
}

/// All that setting up and compressing into enough room can fail of.
fn memory(_code: ErrorCode) -> Error {
    Error::Memory
}

fn window_log(bytes: usize) -> u32 {
    let log = bytes.max(1).next_power_of_two().trailing_zeros();
    log.clamp(WINDOW_LOG_MIN, WINDOW_LOG_MAX)
}

/// zstd does not look at the window when it has room for all that comes out, but other readers of the
/// same patch do.
fn check_window(packed: &[u8]) -> Result<(), Error> {
    let Some((&FRAME_MAGIC, &[flags, window, ..])) = packed.split_first_chunk() else {
        return Err(Error::Frame);
    };
    if flags & SINGLE_SEGMENT != 0 {
        return Ok(());
    }
    let (exponent, eighths) = (u32::from(window >> 3), window & 7);
    let log = exponent + WINDOW_LOG_MIN;
    if log > WINDOW_LOG_MAX || (log == WINDOW_LOG_MAX && eighths > 0) {
        return Err(Error::Window);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MIB: usize = 1 << 20;

    fn noise(size: usize, seed: u64) -> Vec<u8> {
        let mut bytes = vec![0; size];
        let mut hasher = blake3::Hasher::new();
        hasher.update(&seed.to_le_bytes());
        hasher.finalize_xof().fill(&mut bytes);
        bytes
    }

    /// What any zstd makes, without our parameters.
    fn frame(raw: &[u8], parameters: &[CParameter]) -> Vec<u8> {
        let mut context = CCtx::create();
        for parameter in parameters {
            context.set_parameter(*parameter).unwrap();
        }
        let mut packed = Vec::with_capacity(compress_bound(raw.len()));
        context.compress2(&mut packed, raw).unwrap();
        packed
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn what_was_packed_comes_back(
            prefix in prop::collection::vec(any::<u8>(), 0..2000),
            raw in prop::collection::vec(0..4_u8, 0..2000),
            from in any::<prop::sample::Index>(),
        ) {
            let shared = &prefix[from.index(prefix.len() + 1).min(prefix.len())..];
            let raw = [&raw, shared, &raw].concat();
            let packed = encode(&prefix, &raw).unwrap();
            prop_assert_eq!(decode(&prefix, &packed, raw.len()), Ok(raw));
        }

        #[test]
        fn garbage_is_refused_or_gives_exactly_the_bytes_stated(
            bytes in prop::collection::vec(any::<u8>(), 0..200),
            prefix in prop::collection::vec(any::<u8>(), 0..200),
            raw_len in 0_usize..3000,
            framed: bool,
        ) {
            let bytes = if framed { [&FRAME_MAGIC[..], &bytes].concat() } else { bytes };
            if let Ok(raw) = decode(&prefix, &bytes, raw_len) {
                prop_assert_eq!(raw.len(), raw_len);
            }
        }

        #[test]
        fn a_damaged_patch_is_refused_or_gives_exactly_the_bytes_stated(
            at in any::<prop::sample::Index>(),
            bit in 0_u8..8,
        ) {
            let prefix = noise(5000, 1);
            let raw = [&prefix[100..2000], b"between", &prefix[3000..]].concat();
            let mut packed = encode(&prefix, &raw).unwrap();
            let at = at.index(packed.len());
            packed[at] ^= 1_u8 << bit;
            if let Ok(other) = decode(&prefix, &packed, raw.len()) {
                prop_assert_eq!(other.len(), raw.len());
            }
        }
    }

    #[test]
    fn one_byte_in_megabytes_of_noise_is_a_few_bytes() {
        let prefix = noise(4 * MIB, 1);
        let mut raw = prefix[2 * MIB..3 * MIB].to_vec();
        raw[MIB / 2] ^= 1;
        let packed = encode(&prefix, &raw).unwrap();
        // About ten for each block of 128 KiB.
        assert!(packed.len() < 128, "{}", packed.len());
        assert!(decode(&prefix, &packed, raw.len()).unwrap() == raw);
    }

    #[test]
    fn empty_prefixes_and_empty_bytes_are_fine() {
        for (prefix, raw) in [(&b""[..], &b""[..]), (b"abc", b""), (b"", b"abc")] {
            let packed = encode(prefix, raw).unwrap();
            assert_eq!(decode(prefix, &packed, raw.len()).unwrap(), raw);
        }
    }

    #[test]
    fn a_bomb_gives_no_more_than_it_states() {
        let packed = encode(b"", &vec![0; 64 * MIB]).unwrap();
        assert!(packed.len() < 8192);
        for raw_len in [0, 1, MIB, 64 * MIB - 1] {
            assert_eq!(decode(b"", &packed, raw_len), Err(Error::Content));
        }
    }

    #[test]
    fn another_length_than_stated_is_refused() {
        let packed = encode(b"prefix", b"what the prefix becomes").unwrap();
        for raw_len in [0, 22, 24, 10_000] {
            assert_eq!(decode(b"prefix", &packed, raw_len), Err(Error::Content));
        }
    }

    #[test]
    fn a_wrong_prefix_fails_or_gives_other_bytes() {
        let prefix = noise(MIB, 1);
        let packed = encode(&prefix, &prefix.clone()).unwrap();
        let other = decode(&noise(MIB, 2), &packed, MIB);
        assert!(other.is_ok_and(|other| other.len() == MIB && other != prefix));
        assert_eq!(decode(b"short", &packed, MIB), Err(Error::Content));
    }

    #[test]
    fn only_one_whole_frame_is_taken() {
        let packed = encode(b"", b"abc").unwrap();
        let skippable = [&[0x50, 0x2a, 0x4d, 0x18, 0, 0, 0, 0][..], &packed].concat();
        for bad in [
            &[&packed[..], &packed].concat()[..],
            &[&packed[..], b"x"].concat(),
            &packed[..packed.len() - 1],
            &skippable,
            b"",
        ] {
            assert_eq!(decode(b"", bad, 3), Err(Error::Frame));
        }
    }

    #[test]
    fn windows_above_eight_mebibytes_are_refused() {
        let mut packed = encode(b"", b"abc").unwrap();
        for (window, taken) in [
            (13 << 3, Ok(b"abc".to_vec())),
            ((13 << 3) + 1, Err(Error::Window)),
            (14 << 3, Err(Error::Window)),
            (17 << 3, Err(Error::Window)),
        ] {
            packed[5] = window;
            assert_eq!(decode(b"", &packed, 3), taken);
        }
    }

    #[test]
    fn patches_of_any_other_encoder_are_taken() {
        let raw = noise(300_000, 3);
        for parameters in [
            &[][..],
            &[CParameter::ChecksumFlag(true)],
            &[CParameter::CompressionLevel(9)],
        ] {
            assert!(decode(b"", &frame(&raw, parameters), raw.len()).unwrap() == raw);
        }
    }
}
