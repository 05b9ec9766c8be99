//! stub: `OC-Checksum` values.

/// A checksum a client states for a whole content, as `OC-Checksum` writes it (`SHA1:<hex>` …).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checksum {
    text: String,
}

impl Checksum {
    /// Reads `TYPE:hex` for SHA1, SHA256, MD5, ADLER32 (any letter case); `None` for anything else.
    pub fn parse(_text: &str) -> Option<Self> {
        todo!()
    }
    /// `TYPE:hex`, type upper case, digits lower case.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}
