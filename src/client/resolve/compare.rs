//! What the two files of a conflict hold, as far as it has to be known to choose.

use bytes::Bytes;

use super::diff::{Diff, diff};
use super::sides::{Pair, Side};
use super::{Error, Result};
use crate::client::remote::Session;
use crate::client::remote::api::Download;

/// Longest text that is shown line by line, in bytes.
const TEXT_MAX: u64 = 1024 * 1024;
/// Bytes of longer files in which the first difference is looked for: more takes longer than anybody waits.
const SEARCHED_MAX: u64 = 64 * 1024 * 1024;

/// What two files hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Compared {
    /// Two texts.
    Texts(Box<Texts>),
    /// Something else.
    Bytes(Found),
    /// One of them, or both, were deleted since.
    Alone,
}

impl Compared {
    /// Both, when they are texts.
    pub fn texts(&self) -> Option<&Texts> {
        match self {
            Self::Texts(texts) => Some(texts),
            Self::Bytes(_) | Self::Alone => None,
        }
    }
}

/// Two texts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Texts {
    /// That on the left.
    pub left: String,
    /// That on the right.
    pub right: String,
    /// What differs.
    pub diff: Diff,
}

/// Where two files that are no texts begin to differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// At this byte, from 0. The shorter one may end here.
    At(u64),
    /// Nowhere.
    Nowhere,
    /// Not in so many bytes at the beginning.
    NotWithin(u64),
}

/// Fetches what is needed and compares.
pub async fn compare(session: &Session, pair: &Pair) -> Result<Compared> {
    let (Some(left), Some(right)) = (pair.side(pair.left()), pair.side(pair.left().other())) else {
        return Ok(Compared::Alone);
    };
    if left.node.size > TEXT_MAX || right.node.size > TEXT_MAX {
        return Ok(Compared::Bytes(search(session, left, right).await?));
    }
    let (left, right) = (whole(session, left).await?, whole(session, right).await?);
    // Up to a second for texts that have little in common.
    let compared = tokio::task::spawn_blocking(move || of_bytes(left, right)).await;
    compared.map_err(|error| Error::Refused(error.to_string()))
}

/// Compares what is in memory.
pub(super) fn of_bytes(left: Vec<u8>, right: Vec<u8>) -> Compared {
    match (text(left), text(right)) {
        (Ok(left), Ok(right)) => {
            let diff = diff(&left, &right);
            Compared::Texts(Box::new(Texts { left, right, diff }))
        }
        (left, right) => {
            let bytes =
                |side: Result<String, Vec<u8>>| side.map_or_else(|bytes| bytes, String::into_bytes);
            let (left, right) = (bytes(left), bytes(right));
            let found = match first_difference(&left, &right) {
                Some(at) => Found::At(at as u64),
                None if left.len() == right.len() => Found::Nowhere,
                None => Found::At(left.len().min(right.len()) as u64),
            };
            Compared::Bytes(found)
        }
    }
}

/// UTF-8 without NUL is a text; else the bytes come back.
fn text(bytes: Vec<u8>) -> Result<String, Vec<u8>> {
    if bytes.contains(&0) {
        return Err(bytes);
    }
    String::from_utf8(bytes).map_err(std::string::FromUtf8Error::into_bytes)
}

/// Where two pieces differ, as far as both go.
fn first_difference(left: &[u8], right: &[u8]) -> Option<usize> {
    left.iter()
        .zip(right)
        .position(|(left, right)| left != right)
}

/// The bytes of a file, as it was when it was listed.
async fn whole(session: &Session, side: &Side) -> Result<Vec<u8>> {
    let mut download = open(session, side).await?;
    let mut bytes = Vec::new();
    while let Some(piece) = download.next().await? {
        // It is as long as was said when its etag is the same; a server that breaks that rule fills no memory.
        if (bytes.len() + piece.len()) as u64 > TEXT_MAX {
            return Err(changed(&side.node.path));
        }
        bytes.extend_from_slice(&piece);
    }
    Ok(bytes)
}

async fn open(session: &Session, side: &Side) -> Result<Download> {
    let download = session.download(side.node.id, None, side.node.size).await?;
    if download.etag == side.node.etag {
        Ok(download)
    } else {
        Err(changed(&side.node.path))
    }
}

/// Somebody was faster.
pub(super) fn changed(path: &str) -> Error {
    Error::Refused(format!("{path} has changed meanwhile; look at it again"))
}

/// Reads both side by side until they differ.
async fn search(session: &Session, left: &Side, right: &Side) -> Result<Found> {
    let (mut left, mut right) = (open(session, left).await?, open(session, right).await?);
    let (mut here, mut there) = (Bytes::new(), Bytes::new());
    let mut at = 0;
    while at < SEARCHED_MAX {
        fill(&mut left, &mut here).await?;
        fill(&mut right, &mut there).await?;
        let common = here.len().min(there.len());
        if let Some(first) = first_difference(&here, &there) {
            return Ok(Found::At(at + first as u64));
        }
        match (here.is_empty(), there.is_empty()) {
            (true, true) => return Ok(Found::Nowhere),
            (false, false) => {}
            _ => return Ok(Found::At(at)),
        }
        at += common as u64;
        drop((here.split_to(common), there.split_to(common)));
    }
    Ok(Found::NotWithin(at))
}

/// Takes the next piece when the one before is used up; it stays empty at the end.
async fn fill(download: &mut Download, piece: &mut Bytes) -> Result<()> {
    while piece.is_empty() {
        match download.next().await? {
            Some(next) => *piece = next,
            None => return Ok(()),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn utf_8_without_nul_is_a_text_and_all_else_is_bytes() {
        assert!(matches!(
            of_bytes(b"\xc3\xa4".to_vec(), Vec::new()),
            Compared::Texts(_)
        ));
        let bytes = |left: &[u8], right: &[u8]| of_bytes(left.to_vec(), right.to_vec());
        assert_eq!(bytes(b"a\0b", b"a\0c"), Compared::Bytes(Found::At(2)));
        assert_eq!(bytes(b"\xff", b"\xff"), Compared::Bytes(Found::Nowhere));
        assert_eq!(bytes(b"\xff1", b"\xff"), Compared::Bytes(Found::At(1)));
        assert_eq!(bytes(b"text", b"t\0"), Compared::Bytes(Found::At(1)));
    }
}
