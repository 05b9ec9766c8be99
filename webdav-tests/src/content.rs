//! File contents for tests: the same seed gives the same bytes, and they do not compress.

use std::fmt::Write as _;
use std::io::{self, Read};

use sha1::{Digest, Sha1};

/// An endless stream of noise (`SplitMix64`).
#[derive(Clone, Debug)]
pub struct Noise {
    state: u64,
    left: u64,
}

impl Noise {
    /// `len` bytes that depend on `seed` only.
    pub fn new(seed: u64, len: u64) -> Self {
        Self {
            state: seed.wrapping_mul(0x2545_F491_4F6C_DD1D),
            left: len,
        }
    }

    /// The next eight bytes of noise as a number.
    pub fn number(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }
}

impl Read for Noise {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        // Whole words only, so that the bytes do not depend on how they are asked for; the caller's
        // buffer is a multiple of eight except at the very end.
        let len = into
            .len()
            .min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let whole = if len as u64 == self.left {
            len
        } else {
            len - len % 8
        };
        for word in into[..whole].chunks_mut(8) {
            let noise = self.number().to_le_bytes();
            word.copy_from_slice(&noise[..word.len()]);
        }
        self.left -= whole as u64;
        Ok(whole)
    }
}

/// `len` bytes of noise for `seed`.
pub fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    let mut source = Noise::new(seed, len as u64);
    let got = source.read(&mut bytes).expect("noise never fails");
    assert_eq!(got, len);
    bytes
}

/// Readable text of at least `len` bytes that compresses well.
pub fn prose(len: usize) -> Vec<u8> {
    let mut text = String::new();
    let mut line = 0;
    while text.len() < len {
        writeln!(
            text,
            "line {line}: the quick brown fox jumps over the lazy dog"
        )
        .expect("memory");
        line += 1;
    }
    text.into_bytes()
}

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut out, byte| {
        write!(out, "{byte:02x}").expect("memory");
        out
    })
}

/// SHA-1 in hexadecimal, as `OC-Checksum` carries it.
pub fn sha1_hex(bytes: &[u8]) -> String {
    hex(&Sha1::digest(bytes))
}

/// Fails unless both are the same bytes; says where they part instead of printing megabytes.
#[track_caller]
pub fn assert_same(got: &[u8], expected: &[u8], what: &str) {
    if got == expected {
        return;
    }
    let at = got.iter().zip(expected).take_while(|(a, b)| a == b).count();
    panic!(
        "{what}: {} bytes instead of {}, first difference at byte {at}",
        got.len(),
        expected.len()
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_does_not_depend_on_how_it_is_read() {
        let mut streamed = Vec::new();
        Noise::new(7, 100_003).read_to_end(&mut streamed).unwrap();
        assert_eq!(streamed, noise(7, 100_003));
        assert_ne!(streamed, noise(8, 100_003));
    }

    #[test]
    fn sha1_of_abc_is_the_published_one() {
        assert_eq!(sha1_hex(b"abc"), "a9993e364706816aba3e25717850c26c9cd0d89d");
    }
}
