//! Names and paths inside an account's tree, checked once at the border and trusted inside.

use std::fmt;

use unicode_normalization::{UnicodeNormalization, is_nfc};

/// Longest name of one node, in bytes of UTF-8; what every common file system can hold.
pub const MAX_NAME_BYTES: usize = 255;
/// Most names in one path; deeper trees only come from runaway programs.
pub const MAX_DEPTH: usize = 128;
/// Longest path, in bytes; Linux clients cannot say more (`PATH_MAX`).
pub const MAX_PATH_BYTES: usize = 4096;

/// Why a name or a path was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// An empty name, `.` or `..`.
    #[error("a name may not be empty, `.` or `..`")]
    Relative,
    /// A slash, NUL or another control character.
    #[error("a name may not hold `/` or control characters")]
    Control,
    /// More than [`MAX_NAME_BYTES`].
    #[error("a name may be 255 bytes long at most")]
    NameTooLong,
    /// More than 4096 bytes or [`MAX_DEPTH`] names.
    #[error("a path may be 4096 bytes long and 128 names deep at most")]
    PathTooLong,
    /// A percent sign without its two hexadecimal digits.
    #[error("a percent sign must be followed by two hexadecimal digits")]
    Encoding,
    /// Bytes that are not UTF-8.
    #[error("a name must be UTF-8")]
    NotUtf8,
}

/// One name: UTF-8 as the client wrote it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeName(String);

impl NodeName {
    /// Checks one name.
    pub fn parse(name: &str) -> Result<Self, PathError> {
        if matches!(name, "" | "." | "..") {
            return Err(PathError::Relative);
        }
        if name.len() > MAX_NAME_BYTES {
            return Err(PathError::NameTooLong);
        }
        if name.chars().any(|c| c == '/' || c.is_control()) {
            return Err(PathError::Control);
        }
        Ok(Self(name.to_owned()))
    }

    /// As written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What makes names equal: the NFC form. macOS sends NFD for names others made in NFC.
    pub fn key(&self) -> String {
        if is_nfc(&self.0) {
            self.0.clone()
        } else {
            self.0.nfc().collect()
        }
    }
}

impl fmt::Display for NodeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An absolute path: the names from the account's root down. Empty means the root.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodePath(Vec<NodeName>);

impl NodePath {
    /// The root.
    pub fn root() -> Self {
        Self::default()
    }

    /// Reads decoded text such as `/a/b/`; empty segments (doubled or trailing slashes) are skipped.
    pub fn parse(text: &str) -> Result<Self, PathError> {
        if text.len() > MAX_PATH_BYTES {
            return Err(PathError::PathTooLong);
        }
        let names: Vec<_> = text
            .split('/')
            .filter(|n| !n.is_empty())
            .map(NodeName::parse)
            .collect::<Result<_, _>>()?;
        if names.len() > MAX_DEPTH {
            return Err(PathError::PathTooLong);
        }
        Ok(Self(names))
    }

    /// Reads the percent-encoded path of a URL. `%2F` is refused: it would hide a separator.
    pub fn from_url(encoded: &str) -> Result<Self, PathError> {
        let mut names = Vec::new();
        for segment in encoded.split('/').filter(|s| !s.is_empty()) {
            if !is_encoded(segment) {
                return Err(PathError::Encoding);
            }
            let bytes: Vec<u8> = percent_encoding::percent_decode_str(segment).collect();
            let name = std::str::from_utf8(&bytes).map_err(|_| PathError::NotUtf8)?;
            names.push(NodeName::parse(name)?);
        }
        let bytes: usize = names.iter().map(|n| n.as_str().len() + 1).sum();
        if names.len() > MAX_DEPTH || bytes > MAX_PATH_BYTES {
            return Err(PathError::PathTooLong);
        }
        Ok(Self(names))
    }

    /// The names, outermost first.
    pub fn names(&self) -> &[NodeName] {
        &self.0
    }

    /// Bytes of the path as text.
    pub fn bytes(&self) -> usize {
        self.0.iter().map(|name| name.as_str().len() + 1).sum()
    }

    /// Number of names; 0 is the root.
    pub fn depth(&self) -> usize {
        self.0.len()
    }

    /// Whether this is the root.
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// The path above and the last name; `None` for the root.
    pub fn split_last(&self) -> Option<(Self, &NodeName)> {
        let (last, above) = self.0.split_last()?;
        Some((Self(above.to_vec()), last))
    }

    /// This path with one more name.
    #[must_use]
    pub fn join(&self, name: NodeName) -> Self {
        let mut names = self.0.clone();
        names.push(name);
        Self(names)
    }

    /// Whether this path is `other` or lies below it, comparing names by NFC.
    pub fn starts_with(&self, other: &Self) -> bool {
        self.0.len() >= other.0.len()
            && self.0.iter().zip(&other.0).all(|(a, b)| a.key() == b.key())
    }
}

/// Whether every percent sign begins an escape; the decoder would pass others through, so that one
/// name had two URLs.
fn is_encoded(segment: &str) -> bool {
    let mut escapes = segment.split('%').skip(1);
    escapes
        .all(|rest| rest.len() >= 2 && rest.bytes().take(2).all(|digit| digit.is_ascii_hexdigit()))
}

/// With a leading slash; `/` for the root.
impl fmt::Display for NodePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("/");
        }
        self.0.iter().try_for_each(|name| write!(f, "/{name}"))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_url_path_is_decoded_and_slashes_are_forgiven() {
        let path = NodePath::from_url("/a%20b//%C3%A4/").unwrap();
        assert_eq!(path.to_string(), "/a b/ä");
        assert!(NodePath::from_url("/").unwrap().is_root());
    }

    #[test]
    fn traversal_controls_and_foreign_bytes_are_refused() {
        assert_eq!(NodePath::from_url("/a/../b"), Err(PathError::Relative));
        assert_eq!(NodePath::from_url("/%2e%2e/b"), Err(PathError::Relative));
        assert_eq!(NodePath::from_url("/a%2Fb"), Err(PathError::Control));
        assert_eq!(NodePath::from_url("/a%00"), Err(PathError::Control));
        assert_eq!(NodePath::from_url("/a%0Ab"), Err(PathError::Control));
        assert_eq!(NodePath::from_url("/%ff"), Err(PathError::NotUtf8));
        assert_eq!(NodePath::from_url("/%zz"), Err(PathError::Encoding));
        assert_eq!(NodePath::from_url("/100%"), Err(PathError::Encoding));
        assert_eq!(NodePath::from_url("/%4"), Err(PathError::Encoding));
        assert_eq!(
            NodePath::from_url(&"x".repeat(256)),
            Err(PathError::NameTooLong)
        );
        assert_eq!(
            NodePath::from_url(&"x/".repeat(129)),
            Err(PathError::PathTooLong)
        );
        assert_eq!(
            NodePath::parse(&"x".repeat(5000)),
            Err(PathError::PathTooLong)
        );
    }

    #[test]
    fn nfd_and_nfc_spellings_have_one_key() {
        let nfd = NodeName::parse("a\u{308}").unwrap();
        assert_eq!(nfd.key(), "ä");
        assert_eq!(nfd.as_str(), "a\u{308}");
        assert!(
            NodePath::parse("/a\u{308}/x")
                .unwrap()
                .starts_with(&NodePath::parse("/ä").unwrap())
        );
    }

    proptest! {
        #[test]
        fn parsing_never_panics_and_printing_reads_back(text in ".{0,300}") {
            if let Ok(path) = NodePath::parse(&text) {
                prop_assert_eq!(NodePath::parse(&path.to_string()).unwrap(), path);
            }
            let _unused = NodePath::from_url(&text);
        }
    }
}
