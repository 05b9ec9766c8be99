//! The header of a zstd frame (RFC 8878 §3.1.1): what its decoder will hold.

/// Begins a frame; little-endian on the wire.
const MAGIC: u32 = 0xFD2F_B528;
/// Begins a frame to be skipped; the low four bits are free.
const SKIPPABLE: u32 = 0x184D_2A50;
/// Bytes of the magic number.
const MAGIC_LEN: usize = 4;
/// Bytes before the content of a frame to be skipped: magic number and length.
const SKIPPABLE_LEN: usize = 8;
/// Bits of the descriptor: the window is the content.
const SINGLE_SEGMENT: u8 = 0x20;

/// What the bytes of a body begin with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Header {
    /// So many bytes are needed to say.
    Needs(usize),
    /// A frame that refers back to at most so many bytes.
    Frame {
        /// Its window, in bytes.
        window: u64,
        /// Bytes of its content, when it says so.
        content: Option<u64>,
    },
    /// A frame without content.
    Skippable {
        /// All of its bytes.
        bytes: u64,
    },
    /// No frame of zstd.
    Unknown,
}

/// Reads a header from the bytes there are.
pub(super) fn read(bytes: &[u8]) -> Header {
    let Some((magic, rest)) = bytes.split_first_chunk() else {
        return Header::Needs(MAGIC_LEN);
    };
    match u32::from_le_bytes(*magic) {
        MAGIC => frame(rest),
        magic if magic & !0xf == SKIPPABLE => match rest.first_chunk() {
            Some(length) => Header::Skippable {
                bytes: SKIPPABLE_LEN as u64 + u64::from(u32::from_le_bytes(*length)),
            },
            None => Header::Needs(SKIPPABLE_LEN),
        },
        _ => Header::Unknown,
    }
}

fn frame(header: &[u8]) -> Header {
    let Some((&descriptor, rest)) = header.split_first() else {
        return Header::Needs(MAGIC_LEN + 1);
    };
    let single = descriptor & SINGLE_SEGMENT != 0;
    let dictionary = [0, 1, 2, 4][usize::from(descriptor & 3)];
    let content = match descriptor >> 6 {
        0 => usize::from(single),
        flag => 1 << flag,
    };
    let length = usize::from(!single) + dictionary + content;
    let Some(rest) = rest.get(..length) else {
        return Header::Needs(MAGIC_LEN + 1 + length);
    };
    let stated = content_size(&rest[usize::from(!single) + dictionary..]);
    let window = if single { stated } else { window_size(rest[0]) };
    let content = (content > 0).then_some(stated);
    Header::Frame { window, content }
}

fn window_size(descriptor: u8) -> u64 {
    let base = 1_u64 << (10 + (descriptor >> 3));
    base + base / 8 * u64::from(descriptor & 7)
}

fn content_size(bytes: &[u8]) -> u64 {
    let mut number = [0; 8];
    number[..bytes.len()].copy_from_slice(bytes);
    // Two bytes begin where one ends.
    let offset = if bytes.len() == 2 { 256 } else { 0 };
    u64::from_le_bytes(number).saturating_add(offset)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use zstd::zstd_safe::{CCtx, CParameter, compress_bound};

    use super::*;

    /// What zstd makes of zeros.
    fn packed(length: usize, parameters: &[CParameter]) -> Vec<u8> {
        let mut context = CCtx::create();
        for parameter in parameters {
            context.set_parameter(*parameter).unwrap();
        }
        let mut packed = Vec::with_capacity(compress_bound(length));
        context.compress2(&mut packed, &vec![0; length]).unwrap();
        packed
    }

    fn window(bytes: &[u8]) -> Option<u64> {
        let Header::Frame { window, .. } = read(bytes) else {
            return None;
        };
        Some(window)
    }

    #[test]
    fn the_content_is_as_long_as_the_header_says_or_it_does_not_say() {
        let unknown = CParameter::ContentSizeFlag(false);
        for length in [0, 1, 255, 256, 65_791, 65_792, 3 << 20] {
            for (parameters, stated) in [
                (vec![], Some(length as u64)),
                (vec![CParameter::WindowLog(17)], Some(length as u64)),
                (vec![unknown], None),
            ] {
                let packed = packed(length, &parameters);
                let header = read(&packed);
                assert!(
                    matches!(header, Header::Frame { content, .. } if content == stated),
                    "{length}: {header:?}"
                );
            }
        }
    }

    #[test]
    fn the_window_is_stated_or_is_the_content() {
        let unknown = CParameter::ContentSizeFlag(false);
        let large = 3 << 20;
        for (length, parameters, stated) in [
            (large, vec![unknown, CParameter::WindowLog(20)], 1 << 20),
            (large, vec![CParameter::WindowLog(17)], 1 << 17),
            (0, vec![], 0),
            (255, vec![], 255),
            (256, vec![], 256),
            (65_791, vec![], 65_791),
            (65_792, vec![], 65_792),
            (100_000, vec![], 100_000),
        ] {
            let packed = packed(length, &parameters);
            assert_eq!(window(&packed), Some(stated), "{length}");
        }
    }

    #[test]
    fn windows_between_powers_of_two_and_above_every_memory_are_read() {
        let magic = MAGIC.to_le_bytes();
        for (descriptor, bytes) in [
            (0x00, 1 << 10),
            (0x07, 1920),
            (0x68, 1 << 23),
            (0x69, 9 << 20),
            (0xff, (1 << 41) + (7 << 38)),
        ] {
            let header = [&magic[..], &[0x00, descriptor]].concat();
            assert_eq!(window(&header), Some(bytes));
            // A dictionary lies between window and content size.
            let header = [&magic[..], &[0x83, descriptor, 1, 2, 3, 4, 5, 6, 7, 8]].concat();
            let content = Some(0x0807_0605);
            assert_eq!(
                read(&header),
                Header::Frame {
                    window: bytes,
                    content
                }
            );
        }
        let all = [&magic[..], &[0xe0], &[0xff; 8]].concat();
        assert_eq!(window(&all), Some(u64::MAX));
    }

    #[test]
    fn frames_to_be_skipped_say_how_long_they_are() {
        for magic in 0x50..=0x5f {
            let header = [magic, 0x2a, 0x4d, 0x18, 3, 1, 0, 0, 9];
            assert_eq!(read(&header), Header::Skippable { bytes: 8 + 259 });
            assert_eq!(read(&header[..7]), Header::Needs(8));
        }
        assert_eq!(read(&[0x1f, 0x8b, 8, 0, 0]), Header::Unknown);
    }

    proptest! {
        #[test]
        fn a_short_header_says_what_it_needs_until_it_is_whole(
            bytes in prop::collection::vec(any::<u8>(), 14),
        ) {
            let bytes = [&MAGIC.to_le_bytes()[..], &bytes].concat();
            let mut given = 0;
            while let Header::Needs(needed) = read(&bytes[..given]) {
                prop_assert!(given < needed && needed <= bytes.len());
                given = needed;
            }
            prop_assert_eq!(read(&bytes[..given]), read(&bytes));
        }
    }
}
