//! Entity tags (RFC 9110 §8.8.3). All of ours are strong.

use std::fmt;

use super::{ContentId, Seq};

/// The validator of a node, kept without quotes.
///
/// A file's tag names its content, so it survives MOVE and COPY and changes only with the bytes.
/// A collection's tag is the last change anywhere below it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ETag(String);

impl ETag {
    /// The tag of a file holding `content`.
    pub fn file(content: ContentId) -> Self {
        Self(format!("f{:x}", content.0))
    }

    /// The tag of a collection whose subtree last changed at `seq`.
    pub fn collection(seq: Seq) -> Self {
        Self(format!("d{:x}", seq.0))
    }

    /// The tag of a root that has other spaces mounted in it.
    pub fn mounted(seqs: impl IntoIterator<Item = Seq>) -> Self {
        let parts: Vec<_> = seqs.into_iter().map(|seq| format!("{:x}", seq.0)).collect();
        Self(format!("r{}", parts.join("-")))
    }

    /// Reads a quoted or bare tag as a client sends it back; a `W/` prefix is dropped, because the
    /// only weak tags we hand out are our strong ones behind a content coding.
    pub fn parse(text: &str) -> Self {
        let text = text.trim();
        let text = text.strip_prefix("W/").unwrap_or(text);
        Self(text.trim_matches('"').to_owned())
    }

    /// The content that a file's tag names; `None` for any other tag.
    pub fn content(&self) -> Option<ContentId> {
        let digits = self.0.strip_prefix('f')?;
        let id = ContentId(i64::from_str_radix(digits, 16).ok()?);
        // One spelling each: no sign, no leading zeroes, no capitals.
        (id.0 > 0 && Self::file(id) == *self).then_some(id)
    }

    /// Without quotes.
    pub fn bare(&self) -> &str {
        &self.0
    }
}

/// With quotes, as headers and `getetag` carry it.
impl fmt::Display for ETag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_reads_back_however_it_is_written() {
        let tag = ETag::file(ContentId(255));
        assert_eq!(tag.to_string(), "\"fff\"");
        for text in ["\"fff\"", "W/\"fff\"", "fff", " \"fff\" "] {
            assert_eq!(ETag::parse(text), tag);
        }
    }

    #[test]
    fn only_a_files_tag_names_a_content() {
        assert_eq!(ETag::parse("f1a").content(), Some(ContentId(26)));
        for text in [
            "",
            "f",
            "f0",
            "f01",
            "f1A",
            "f+1",
            "f-1",
            "d1",
            "none",
            "f8000000000000000",
        ] {
            assert_eq!(ETag::parse(text).content(), None, "{text}");
        }
    }
}
