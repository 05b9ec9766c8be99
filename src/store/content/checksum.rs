//! Checksums that clients state for what they upload (`OC-Checksum`), and checking them on the way.

use adler2::Adler32;
use md5::Md5;
use sha1::Sha1;
use sha2::{Digest, Sha256};

/// A checksum a client states for a whole content, as `OC-Checksum` writes it (`SHA1:<hex>` …).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checksum {
    text: String,
    kind: Kind,
    value: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Sha1,
    Sha256,
    Md5,
    Adler32,
}

impl Kind {
    const ALL: [Self; 4] = [Self::Sha1, Self::Sha256, Self::Md5, Self::Adler32];

    fn name(self) -> &'static str {
        match self {
            Self::Sha1 => "SHA1",
            Self::Sha256 => "SHA256",
            Self::Md5 => "MD5",
            Self::Adler32 => "ADLER32",
        }
    }

    /// Bytes of the value.
    fn len(self) -> usize {
        match self {
            Self::Sha1 => 20,
            Self::Sha256 => 32,
            Self::Md5 => 16,
            Self::Adler32 => 4,
        }
    }
}

impl Checksum {
    /// Reads `TYPE:hex` for SHA1, SHA256, MD5, ADLER32 (any letter case); `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let (name, digits) = text.trim().split_once(':')?;
        let kind = Kind::ALL
            .into_iter()
            .find(|kind| kind.name().eq_ignore_ascii_case(name))?;
        let digits = digits.to_ascii_lowercase();
        let value = match kind {
            // ownCloud desktop 2.x writes it as a number, without leading zeroes.
            Kind::Adler32 => parse_hex(&format!("{digits:0>8}"))?,
            Kind::Sha1 | Kind::Sha256 | Kind::Md5 => parse_hex(&digits)?,
        };
        let known = value.len() == kind.len() && !digits.is_empty();
        known.then(|| Self {
            text: format!("{}:{digits}", kind.name()),
            kind,
            value,
        })
    }

    /// `TYPE:hex`, type upper case, digits lower case.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

/// Computes what a [`Checksum`] claims.
pub(super) struct Verifier {
    claim: Checksum,
    state: State,
}

enum State {
    Sha1(Sha1),
    Sha256(Sha256),
    Md5(Md5),
    Adler32(Adler32),
}

impl Verifier {
    pub(super) fn new(claim: Checksum) -> Self {
        let state = match claim.kind {
            Kind::Sha1 => State::Sha1(Sha1::new()),
            Kind::Sha256 => State::Sha256(Sha256::new()),
            Kind::Md5 => State::Md5(Md5::new()),
            Kind::Adler32 => State::Adler32(Adler32::new()),
        };
        Self { claim, state }
    }

    pub(super) fn update(&mut self, bytes: &[u8]) {
        match &mut self.state {
            State::Sha1(state) => state.update(bytes),
            State::Sha256(state) => state.update(bytes),
            State::Md5(state) => state.update(bytes),
            State::Adler32(state) => state.write_slice(bytes),
        }
    }

    /// The claim, if the bytes prove it.
    pub(super) fn finish(self) -> Option<Checksum> {
        let value = match self.state {
            State::Sha1(state) => state.finalize().to_vec(),
            State::Sha256(state) => state.finalize().to_vec(),
            State::Md5(state) => state.finalize().to_vec(),
            State::Adler32(state) => state.checksum().to_be_bytes().to_vec(),
        };
        (value == self.claim.value).then_some(self.claim)
    }
}

fn parse_hex(digits: &str) -> Option<Vec<u8>> {
    if !digits.len().is_multiple_of(2) || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    let byte = |at| u8::from_str_radix(&digits[at..at + 2], 16).ok();
    (0..digits.len()).step_by(2).map(byte).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const OF_HELLO: [&str; 4] = [
        "SHA1:aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d",
        "SHA256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824",
        "MD5:5d41402abc4b2a76b9719d911017c592",
        "ADLER32:62c0215",
    ];

    fn verifies(claim: &str, bytes: &[&[u8]]) -> bool {
        let mut verifier = Verifier::new(Checksum::parse(claim).unwrap());
        for bytes in bytes {
            verifier.update(bytes);
        }
        verifier.finish().is_some()
    }

    #[test]
    fn each_kind_proves_the_right_bytes_in_any_pieces_and_no_others() {
        for claim in OF_HELLO {
            assert!(verifies(claim, &[b"hello"]), "{claim}");
            assert!(verifies(claim, &[b"he", b"", b"llo"]), "{claim}");
            assert!(!verifies(claim, &[b"hellp"]), "{claim}");
            assert!(!verifies(claim, &[]), "{claim}");
        }
        assert!(verifies("ADLER32:062c0215", &[b"hello"]));
    }

    #[test]
    fn letter_case_does_not_matter() {
        for claim in OF_HELLO {
            assert_eq!(Checksum::parse(claim).unwrap().as_str(), claim);
            for other in [
                claim.to_lowercase(),
                claim.to_uppercase(),
                format!(" {claim} "),
            ] {
                assert_eq!(Checksum::parse(&other).unwrap().as_str(), claim);
            }
        }
    }

    #[test]
    fn what_is_not_a_known_checksum_is_none() {
        let long = format!("{}00", OF_HELLO[0]);
        for text in [
            "",
            "SHA1",
            "SHA1:",
            "SHA1:aa",
            "ADLER32:",
            "ADLER32:+2c0215",
            "CRC32:00000000",
            "MD5:é",
            &long,
        ] {
            assert!(Checksum::parse(text).is_none(), "{text}");
        }
    }
}
