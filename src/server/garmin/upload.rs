//! `POST upload`: a file in slices, or samples that become a file. Both go into the folder for
//! watches, as every other write does: what the name held before becomes a version.

use std::sync::Arc;

use axum::extract::{Request, State};
use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use bytes::Bytes;
use serde::Serialize;
use serde_json::Value;

use super::answer::{self, Answer};
use super::enter::Watch;
use super::error::Error;
use super::fields::Fields;
use super::find::{self, FileKind};
use super::slices::{Kept, Progress, Slice};
use super::{FILE_MAX, Face, samples};
use crate::tree::{self, Node, Tree, Write};
use crate::types::{NodeName, NodePath};

/// Most bytes of a slice, decoded: more hardly fits into the memory of a small watch.
const SLICE_MAX: usize = 4096;
/// A CRC-32 comes with or without a sign: the numbers of a watch have one.
const CRC: std::ops::RangeInclusive<i64> = i32::MIN as i64..=u32::MAX as i64;
/// Apps leave out the padding or not.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// How far a file has come.
#[derive(Serialize)]
struct Part {
    /// Bytes that are there from the beginning without a gap; the next slice starts here.
    h: usize,
    /// 1 when slices sent before are gone.
    #[serde(skip_serializing_if = "Option::is_none")]
    a: Option<u8>,
}

/// A file that is stored: bytes, id and number of the version.
#[derive(Serialize)]
struct Stored {
    h: usize,
    i: String,
    v: i32,
}

/// Takes a slice or samples.
pub(super) async fn receive(
    State(face): State<Arc<Face>>,
    watch: Watch,
    request: Request,
) -> Answer {
    let (parts, body) = request.into_parts();
    let mut fields = Fields::of_body(&parts.headers, body).await?;
    match fields.take("samples") {
        Some(samples) => take_samples(&face, &watch, samples, fields).await,
        None => take_slice(&face, &watch, fields).await,
    }
}

async fn take_samples(face: &Face, watch: &Watch, samples: Value, mut fields: Fields) -> Answer {
    let name = fields.text("n")?;
    fields.end()?;
    let made = samples::file(samples)?;
    let stem = name.unwrap_or(made.stem);
    let extension = format!(".{}", made.extension);
    let named = stem.to_ascii_lowercase().ends_with(&extension);
    let name = if named { stem } else { stem + &extension };
    let at = find::in_folder(file_name(&name)?);
    let size = made.bytes.len();
    let node = Box::pin(store(&watch.tree, &at, made.bytes.into())).await?;
    face.synced(watch.device).await;
    Ok(stored(size, &kept(&node)))
}

async fn take_slice(face: &Face, watch: &Watch, fields: Fields) -> Answer {
    let (name, slice) = slice(fields)?;
    let at = find::in_folder(name);
    let (device, now) = (watch.device, face.clock.now());
    let mut progress = face.slices.put(device, &slice, now)?;
    if let Progress::Done(kept) = &progress {
        if is_still(&watch.tree, &at, kept).await? {
            return Ok(stored(slice.total, kept));
        }
        face.slices.forget(device, &slice);
        progress = face.slices.put(device, &slice, now)?;
    }
    match progress {
        Progress::Part { held, again } => Ok(answer::json(&Part {
            h: held,
            a: again.then_some(1),
        })),
        Progress::Done(kept) => Ok(stored(slice.total, &kept)),
        Progress::Whole(bytes) => {
            let kept = kept(&Box::pin(store(&watch.tree, &at, bytes)).await?);
            face.slices
                .done(device, &slice, kept.clone(), face.clock.now());
            face.synced(device).await;
            Ok(stored(slice.total, &kept))
        }
    }
}

/// Reads the fields of a slice: name, offset, total, bytes and checksums.
fn slice(mut fields: Fields) -> Result<(NodeName, Slice), Error> {
    let name = fields.text("n")?.ok_or_else(|| Error::field("n"))?;
    let name = file_name(&name)?;
    let total = whole(&mut fields, "t", 1)?;
    if total > FILE_MAX {
        return Err(Error::TooBig);
    }
    let offset = whole(&mut fields, "o", 0)?;
    let bytes = decode(fields.text("b64")?)?;
    let crc = fields.integer("crc", CRC)?.map(unsigned);
    let of_all = fields.integer("w", CRC)?.map(unsigned);
    fields.end()?;
    if bytes.len() > SLICE_MAX {
        return Err(Error::TooBig);
    }
    if offset + bytes.len() > total {
        return Err(Error::field("o"));
    }
    if crc.is_some_and(|crc| crc != crc32fast::hash(&bytes)) {
        return Err(Error::Crc);
    }
    let slice = Slice {
        name: name.key(),
        total,
        offset,
        bytes,
        whole: of_all,
    };
    Ok((name, slice))
}

fn whole(fields: &mut Fields, name: &'static str, least: i64) -> Result<usize, Error> {
    let number = fields.integer(name, least..=i64::from(i32::MAX))?;
    let number = number.and_then(|number| usize::try_from(number).ok());
    number.ok_or_else(|| Error::field(name))
}

/// The low 32 bits.
fn unsigned(crc: i64) -> u32 {
    u32::try_from(crc & i64::from(u32::MAX)).expect("it has 32 bits")
}

fn decode(text: Option<String>) -> Result<Bytes, Error> {
    let wrong = || Error::field("b64");
    // A `+` that was not percent-encoded in a form has become a space; base64 has none.
    let text = text.ok_or_else(wrong)?.replace(' ', "+");
    let bytes = BASE64.decode(text).map_err(|_not_base64| wrong())?;
    if bytes.is_empty() {
        return Err(wrong());
    }
    Ok(bytes.into())
}

fn file_name(name: &str) -> Result<NodeName, Error> {
    let name = NodeName::parse(name).map_err(|_no_name| Error::field("n"))?;
    FileKind::of(name.as_str()).ok_or(Error::Kind)?;
    Ok(name)
}

/// Stores a file; the folder is made with the first one.
async fn store(tree: &Tree, at: &NodePath, bytes: Bytes) -> tree::Result<Node> {
    let expected = Some(bytes.len() as u64);
    let mut upload = match tree.upload(at, expected, None).await {
        Err(tree::Error::NoParent) => {
            match tree.mkdir(&find::folder(), None).await {
                // Somebody else was faster, or a file has that name, which the upload will say.
                Ok(_) | Err(tree::Error::Exists) => {}
                Err(error) => return Err(error),
            }
            tree.upload(at, expected, None).await?
        }
        upload => upload?,
    };
    upload.push(bytes).await?;
    Ok(tree.commit(at, upload, Write::default()).await?.node)
}

/// Whether a stored file is as it was stored.
async fn is_still(tree: &Tree, at: &NodePath, kept: &Kept) -> tree::Result<bool> {
    match tree.lookup(at).await {
        Ok(node) => Ok(node.id == kept.id && node.etag == kept.etag),
        Err(tree::Error::NotFound) => Ok(false),
        Err(error) => Err(error),
    }
}

fn kept(node: &Node) -> Kept {
    Kept {
        id: node.id,
        version: node.version,
        etag: node.etag.clone(),
    }
}

fn stored(size: usize, kept: &Kept) -> http::Response<axum::body::Body> {
    answer::json(&Stored {
        h: size,
        i: find::encode(kept.id),
        v: answer::number(kept.version.unsigned_abs()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(form: &str) -> Result<Slice, Error> {
        slice(Fields::of_query(Some(form)).unwrap()).map(|(_, slice)| slice)
    }

    #[test]
    fn a_slice_is_read_with_and_without_padding_and_signs() {
        // The bytes "hello", whose CRC-32 is 3610a686; "1234" has 9be3e0a3.
        let hello = read("n=A.GPX&o=3&t=8&b64=aGVsbG8=&crc=907060870").unwrap();
        assert_eq!(
            (hello.offset, hello.total, &hello.bytes[..]),
            (3, 8, &b"hello"[..])
        );
        assert!(read("n=a.gpx&o=0&t=8&b64=aGVsbG8&w=-1").unwrap().whole == Some(u32::MAX));
        for crc in ["2615402659", "-1679564637"] {
            assert!(read(&format!("n=a.gpx&o=0&t=4&b64=MTIzNA==&crc={crc}")).is_ok());
        }
        assert_eq!(
            read("n=a.gpx&o=0&t=8&b64=aGVsbG8&crc=1").unwrap_err(),
            Error::Crc
        );
        // An unencoded plus.
        assert_eq!(
            &read("n=a.gpx&o=0&t=3&b64=+///").unwrap().bytes[..],
            b"\xfb\xff\xff"
        );
    }

    #[test]
    fn a_slice_that_cannot_be_is_refused_by_name() {
        for (form, name) in [
            ("o=0&t=1&b64=YQ", "n"),
            ("n=a/b.gpx&o=0&t=1&b64=YQ", "n"),
            ("n=a.gpx&t=1&b64=YQ", "o"),
            ("n=a.gpx&o=1&t=1&b64=YQ", "o"),
            ("n=a.gpx&o=-1&t=1&b64=YQ", "o"),
            ("n=a.gpx&o=0&b64=YQ", "t"),
            ("n=a.gpx&o=0&t=0&b64=YQ", "t"),
            ("n=a.gpx&o=0&t=1", "b64"),
            ("n=a.gpx&o=0&t=1&b64=", "b64"),
            ("n=a.gpx&o=0&t=1&b64=!", "b64"),
            ("n=a.gpx&o=0&t=1&b64=YQ&crc=4294967296", "crc"),
            ("n=a.gpx&o=0&t=1&b64=YQ&w=x", "w"),
            ("n=a.gpx&o=0&t=1&b64=YQ&z=1", "z"),
        ] {
            assert_eq!(read(form).unwrap_err(), Error::field(name), "{form}");
        }
        assert_eq!(read("n=a.txt&o=0&t=1&b64=YQ").unwrap_err(), Error::Kind);
        let big = "n=a.gpx&o=0&t=102401&b64=YQ";
        assert_eq!(read(big).unwrap_err(), Error::TooBig);
        let long = format!(
            "n=a.gpx&o=0&t=102400&b64={}",
            BASE64.encode([0; SLICE_MAX + 1])
        );
        assert_eq!(read(&long).unwrap_err(), Error::TooBig);
    }
}
