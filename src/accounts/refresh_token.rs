//! Refresh tokens: random texts of which only hashes are stored.
//!
//! A token is a handle, which all tokens of one log-in share, and a secret of its own. Whoever
//! knows the handle once had a token of the log-in; so an old one is told from an invented one
//! without a list of all that ever were.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use super::random;

/// Begins every token, so that it is recognized where it should not be: in a log, in a repository.
const PREFIX: &str = "sr_";
/// Bytes of the handle; 128 random bits.
const HANDLE: usize = 16;
/// Bytes of the secret; 256 random bits.
const SECRET: usize = 32;
/// Characters of a token: 48 bytes are 64 of them.
const LENGTH: usize = PREFIX.len() + 64;

/// A refresh token in clear.
pub(super) struct RefreshToken {
    handle: [u8; HANDLE],
    secret: [u8; SECRET],
}

impl RefreshToken {
    /// The first token of a log-in.
    pub(super) fn generate() -> Self {
        Self {
            handle: random::bytes(),
            secret: random::bytes(),
        }
    }

    /// Another token of the same log-in.
    pub(super) fn successor(&self) -> Self {
        Self {
            handle: self.handle,
            secret: random::bytes(),
        }
    }

    /// Reads what [`Self::text`] writes.
    pub(super) fn parse(text: &str) -> Option<Self> {
        if text.len() != LENGTH {
            return None;
        }
        let bytes = URL_SAFE_NO_PAD.decode(text.strip_prefix(PREFIX)?).ok()?;
        let (handle, secret) = bytes.split_first_chunk()?;
        Some(Self {
            handle: *handle,
            secret: secret.try_into().ok()?,
        })
    }

    /// As the device keeps it.
    pub(super) fn text(&self) -> String {
        let code = URL_SAFE_NO_PAD.encode([&self.handle[..], &self.secret].concat());
        format!("{PREFIX}{code}")
    }

    /// What the log-in is found by.
    pub(super) fn handle_hash(&self) -> [u8; 32] {
        Sha256::digest(self.handle).into()
    }

    /// What tells this token from the others of its log-in.
    pub(super) fn secret_hash(&self) -> [u8; 32] {
        Sha256::digest(self.secret).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_reads_back_and_shows_what_it_is() {
        let token = RefreshToken::generate();
        let text = token.text();
        assert!(text.starts_with("sr_") && text.len() == LENGTH, "{text}");
        let read = RefreshToken::parse(&text).unwrap();
        assert_eq!(read.text(), text);
        assert_eq!(read.handle_hash(), token.handle_hash());
        assert_eq!(read.secret_hash(), token.secret_hash());
    }

    #[test]
    fn successors_share_the_handle_and_nothing_else() {
        let token = RefreshToken::generate();
        let next = token.successor();
        assert_eq!(next.handle_hash(), token.handle_hash());
        assert_ne!(next.secret_hash(), token.secret_hash());
        assert_ne!(RefreshToken::generate().handle_hash(), token.handle_hash());
    }

    #[test]
    fn anything_else_is_no_token() {
        let text = RefreshToken::generate().text();
        let elsewhere = text.replacen("sr_", "sx_", 1);
        let standard = text.replace(|c: char| c.is_ascii_alphanumeric(), "+");
        let umlaut = format!("sr_{}", "ä".repeat(32));
        for wrong in [
            "",
            "sr_",
            &text[..66],
            &format!("{text}A"),
            &elsewhere,
            &standard,
            &umlaut,
        ] {
            assert!(RefreshToken::parse(wrong).is_none(), "{wrong}");
        }
    }
}
