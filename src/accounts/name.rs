//! Account names: checked once when an account is made, compared by key ever after.

use std::fmt;

use unicode_normalization::UnicodeNormalization;

/// Longest account name, in bytes of UTF-8; what fits the columns and prompts of other systems.
pub const MAX_NAME_BYTES: usize = 64;
/// Longest user name a client may send, in bytes: the longest name, decomposed.
pub(super) const MAX_SENT_BYTES: usize = 4 * MAX_NAME_BYTES;

/// Why an account name was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Empty or more than [`MAX_NAME_BYTES`].
    #[error("an account name must have 1 to 64 bytes")]
    Length,
    /// `/`, `:`, `\` or a control character.
    #[error("an account name may not hold `/`, `:`, `\\` or control characters")]
    Character,
    /// `.` or `..`, or white space at an end.
    #[error("an account name may not be `.` or `..`, nor begin or end with white space")]
    Shape,
}

/// The name of an account, in NFC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct AccountName(String);

impl AccountName {
    /// Checks a name. `:` cannot be sent by Basic (RFC 7617 §2) and `\` parts a Windows domain
    /// from a user; `/` and `.` would change the meaning of paths that hold the name.
    pub(super) fn parse(text: &str) -> Result<Self, NameError> {
        if text.len() > MAX_SENT_BYTES {
            return Err(NameError::Length);
        }
        let name: String = text.nfc().collect();
        if name.is_empty() || name.len() > MAX_NAME_BYTES {
            return Err(NameError::Length);
        }
        if name
            .chars()
            .any(|c| matches!(c, '/' | ':' | '\\') || c.is_control())
        {
            return Err(NameError::Character);
        }
        if matches!(name.as_str(), "." | "..") || name.trim() != name {
            return Err(NameError::Shape);
        }
        Ok(Self(name))
    }

    /// As written, in NFC.
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// What makes names equal.
    pub(super) fn key(&self) -> String {
        key(&self.0)
    }
}

impl fmt::Display for AccountName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What makes names equal: NFC in lower case, because phones begin a line with a capital.
pub(super) fn key(text: &str) -> String {
    let composed: String = text.nfc().collect();
    // Lower case can decompose again.
    composed.to_lowercase().nfc().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_equal_whatever_their_case_and_composition() {
        assert_eq!(key("A\u{308}nne"), key("änne"));
        assert_eq!(
            AccountName::parse("Änne@Example.org").unwrap().key(),
            "änne@example.org"
        );
        assert_eq!(AccountName::parse("a\u{308}").unwrap().as_str(), "ä");
    }

    #[test]
    fn names_that_break_paths_or_basic_are_refused() {
        for name in ["a/b", "a:b", "DOMAIN\\a", "a\nb", "\u{7f}"] {
            assert_eq!(
                AccountName::parse(name),
                Err(NameError::Character),
                "{name:?}"
            );
        }
        for name in [".", "..", " a", "a "] {
            assert_eq!(AccountName::parse(name), Err(NameError::Shape), "{name:?}");
        }
        for name in ["", &"x".repeat(65), &"x".repeat(1000)] {
            assert_eq!(AccountName::parse(name), Err(NameError::Length), "{name:?}");
        }
        assert!(AccountName::parse(&"x".repeat(64)).is_ok());
    }
}
