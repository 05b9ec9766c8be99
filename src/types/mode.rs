//! What a Unix file is besides its name, its bytes and its times.

/// Whether a file is a program, and whether it is a symbolic link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mode {
    /// It can be run.
    pub executable: bool,
    /// Its bytes are the target of a symbolic link.
    pub link: bool,
}

const EXECUTABLE: i64 = 1;
const LINK: i64 = 2;

impl Mode {
    /// Longest target of a symbolic link, in bytes: what Linux takes.
    pub const TARGET_MAX: u64 = 4095;

    /// Reads what [`Self::bits`] gave.
    pub fn read(bits: Option<i64>) -> Self {
        let bits = bits.unwrap_or(0);
        Self {
            executable: bits & EXECUTABLE != 0,
            link: bits & LINK != 0,
        }
    }

    /// As a number; `None` for a plain file, as most are.
    pub fn bits(self) -> Option<i64> {
        let bit = |set, bit| if set { bit } else { 0 };
        let bits = bit(self.executable, EXECUTABLE) | bit(self.link, LINK);
        (bits != 0).then_some(bits)
    }

    /// Whether a symbolic link can have these bytes as its target.
    pub fn is_target(bytes: &[u8]) -> bool {
        let long =
            u64::try_from(bytes.len()).is_ok_and(|len| (1..=Self::TARGET_MAX).contains(&len));
        long && !bytes.contains(&0) && std::str::from_utf8(bytes).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mode_reads_back() {
        for (executable, link) in [(false, false), (true, false), (false, true), (true, true)] {
            let mode = Mode { executable, link };
            assert_eq!(Mode::read(mode.bits()), mode);
        }
        assert_eq!(Mode::default().bits(), None);
        assert_eq!(Mode::read(Some(0)), Mode::default());
    }

    #[test]
    fn a_target_is_a_short_text_without_nul() {
        for good in [&b"a"[..], b"../b", "\u{e4}".as_bytes(), &[b'a'; 4095]] {
            assert!(Mode::is_target(good));
        }
        for bad in [&b""[..], b"a\0b", b"\xff", &[b'a'; 4096]] {
            assert!(!Mode::is_target(bad));
        }
    }
}
