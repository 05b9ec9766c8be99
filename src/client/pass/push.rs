//! Sending many changes in one stream.

use std::io;

use bytes::Bytes;
use futures_util::stream::{self, StreamExt as _};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_stream::wrappers::ReceiverStream;

use super::content::Out;
use super::put::{Put, file};
use super::{Engine, Error};
use crate::client::remote::{self, Session, Source};
use crate::protocol::stream as records;
use crate::protocol::sync::{PushItem, PushResult, Pushed};

/// From this many bytes on a body of what cannot be packed, as photos, is hardly packed.
const LIGHT_MIN: usize = 1024 * 1024;
/// So many parts of a body are looked at, each of so many bytes.
const PROBES: u64 = 64;
const PROBE: u16 = 512;
/// The golden section of 2⁶⁴.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;
/// Bits that a byte of a probe of noise tells, at least: 7.6 of what was packed or sealed, 6 of base64, 5 of text.
const NOISE_BITS: f64 = 7.2;
/// Bytes that a delta takes, usually at most.
const DELTA: u64 = 64 * 1024;
/// Pieces of a body that wait for the connection.
const QUEUE: usize = 4;

/// The body of a push on its way.
pub(super) struct Body {
    bytes: Vec<u8>,
}

/// A push that has been sent off.
pub(super) type Sent = JoinHandle<remote::Result<Pushed>>;

impl Body {
    pub(super) fn new() -> Self {
        let mut bytes = Vec::new();
        records::magic(&mut bytes);
        Self { bytes }
    }

    /// Adds a change without content.
    pub(super) fn item(&mut self, item: &PushItem) {
        file(&mut self.bytes, item);
    }

    /// Adds a file that is short enough to be in memory.
    pub(super) fn put(&mut self, put: Put) -> io::Result<()> {
        let before = self.bytes.len();
        let mut out = Out {
            buffer: std::mem::take(&mut self.bytes),
            hand: None,
        };
        let done = put.records(&mut out);
        self.bytes = out.buffer;
        if done.is_err() {
            // Half a file must not be in the stream.
            self.bytes.truncate(before);
        }
        done
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Sends it off.
    pub(super) fn send(self, session: &Session) -> Sent {
        let estimate = self.bytes.len() as u64;
        let noise = self.bytes.len() >= LIGHT_MIN && is_noise(&self.bytes);
        let source = Source::new(stream::iter([Ok(Bytes::from(self.bytes))]), estimate);
        let source = if noise {
            source.packed_lightly()
        } else {
            source.packed()
        };
        let session = session.clone();
        tokio::spawn(async move { session.push(source).await })
    }
}

impl Engine {
    /// Sends one file that is read while it is sent.
    pub(super) async fn send_one(&self, put: Put) -> Result<PushResult, Error> {
        // What is made of patches is short, whatever it makes.
        let estimate = if put.is_delta() {
            DELTA
        } else {
            put.estimate()
        };
        let (sender, receiver) = mpsc::channel::<io::Result<Bytes>>(QUEUE);
        let progress = std::sync::Arc::clone(&self.progress);
        let reading = tokio::task::spawn_blocking(move || {
            let mut hand = |bytes: Vec<u8>| {
                progress.step(bytes.len() as u64);
                let handed = sender.blocking_send(Ok(bytes.into()));
                handed.map_err(|_| io::ErrorKind::BrokenPipe.into())
            };
            let mut buffer = Vec::new();
            records::magic(&mut buffer);
            let mut out = Out {
                buffer,
                hand: Some(&mut hand),
            };
            let done = put.records(&mut out);
            let rest = std::mem::take(&mut out.buffer);
            drop(out);
            let last = match done {
                Ok(()) => Ok(rest.into()),
                Err(error) => Err(error),
            };
            // Nobody waits for it when the connection has ended.
            drop(sender.blocking_send(last));
        });
        let body = ReceiverStream::new(receiver).boxed();
        let pushed = self
            .session
            .push(Source::new(body, estimate).packed())
            .await;
        reading
            .await
            .map_err(|error| Error::Ended(error.to_string()))?;
        let result = pushed?.results.into_iter().next();
        result.ok_or(Error::Confused("a push without a result"))
    }
}

/// Whether most of a long body tells nothing that could be told in fewer bytes. Heads of small files do not count.
fn is_noise(body: &[u8]) -> bool {
    let room = body.len().saturating_sub(usize::from(PROBE)) as u128;
    // Evenly, and not in step with files of one length: parts of the golden section.
    let at = |nth: u64| (u128::from(nth.wrapping_mul(GOLDEN)) * room) >> 64;
    let noisy = |nth: &u64| {
        let at = usize::try_from(at(*nth)).unwrap_or_default();
        let probe = body.get(at..at + usize::from(PROBE));
        probe.is_some_and(|probe| bits(probe) > NOISE_BITS)
    };
    (0..PROBES).filter(noisy).count() as u64 * 3 >= PROBES * 2
}

/// Bits that a byte of a probe tells by how often each comes (Shannon's entropy).
fn bits(bytes: &[u8]) -> f64 {
    let mut counts = [0_u16; 256];
    for &byte in bytes {
        counts[usize::from(byte)] += 1;
    }
    let tells = |count: &u16| {
        let part = f64::from(*count) / f64::from(PROBE);
        -part * part.log2()
    };
    counts.iter().filter(|count| **count > 0).map(tells).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        blake3::Hasher::new().finalize_xof().fill(&mut bytes);
        bytes
    }

    #[test]
    fn only_what_is_noise_nearly_everywhere_is_packed_lightly() {
        let noise = noise(4 << 20);
        assert!(is_noise(&noise));
        let text = b"a line of text and another one\n".repeat(1 << 17);
        assert!(!is_noise(&text));
        assert!(!is_noise(crate::types::hex(&noise).as_bytes()));
        let mixed = [&noise[..], &text[..]].concat();
        assert!(!is_noise(&mixed));
        // As a push of many small files of noise is.
        let mut files = Vec::new();
        for part in noise.chunks(4096) {
            files.extend_from_slice(&[b'{'; 200]);
            files.extend_from_slice(part);
        }
        assert!(is_noise(&files));
    }
}
