//! Undoing zstd: each frame takes its share of a bounded memory before it is opened.
//!
//! A frame of a few hundred bytes can ask for a window of 8 MiB, and its sender may stand still for
//! as long as it likes.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};

use async_compression::tokio::bufread::ZstdDecoder;
use async_compression::zstd::DParameter;
use axum::body::{Body, BodyDataStream};
use bytes::{Buf, Bytes, BytesMut};
use futures_util::{Stream, StreamExt};
use tokio::io::{AsyncBufRead, AsyncRead, AsyncReadExt, ReadBuf};

use super::STEP;
use super::frame::{self, Header};
use crate::store::{Held, Shares};
use crate::types::AccountId;

/// Memory, in KiB, of all zstd decoders together. Half of it is for one account at most, and for all
/// requests together that nobody has logged in for.
pub(super) const DECODING: usize = 32 * 1024;
/// 8 MiB: the largest window RFC 8878 §3.1.1.1.2 asks receivers to support. Frames that want more
/// memory are refused.
const WINDOW_LOG_MAX: u32 = 23;
/// Longest block (RFC 8878 §3.1.1.2.3), in bytes.
const BLOCK_MAX: u64 = 128 * 1024;
/// Blocks a decoder holds beside its window: one on its way in, two on their way out.
const BLOCKS: u64 = 3;
/// Tables of a decoder and the pieces around it, in bytes.
const TABLES: u64 = 192 * 1024;

/// Memory for decoders: by account, `None` for those who have not logged in.
pub(super) type Decoding = Shares<Option<AccountId>>;

/// Who sends a body, which is known only after its head was passed on; an extension of requests whose
/// body is compressed.
#[derive(Clone, Default)]
pub(in crate::server) struct Sender(Arc<Known>);

#[derive(Default)]
struct Known {
    account: OnceLock<AccountId>,
    refused: AtomicBool,
}

impl Sender {
    /// Says whose request it is, so that its body counts as the account's.
    pub(in crate::server) fn is(&self, account: AccountId) {
        self.0.account.get_or_init(|| account);
    }

    /// Whether there was no memory for the body in time.
    pub(super) fn was_refused(&self) -> bool {
        self.0.refused.load(Ordering::Relaxed)
    }
}

/// The plain bytes of a body. Nothing is held for it before somebody asks for them.
pub(super) fn zstd(body: Body, memory: Arc<Decoding>, sender: Sender) -> Body {
    let packed = Packed {
        body: body.into_data_stream(),
        ready: Bytes::new(),
    };
    let unpacking = Unpacking {
        state: State::Between(packed),
        begun: false,
        held: None,
        memory,
        sender,
    };
    Body::from_stream(futures_util::stream::try_unfold(
        unpacking,
        async |mut unpacking| {
            let piece = unpacking.next().await?;
            Ok::<_, io::Error>(piece.map(|piece| (piece, unpacking)))
        },
    ))
}

struct Unpacking {
    state: State,
    /// Whether there was a frame at all.
    begun: bool,
    /// Shares of the frame, and how many.
    held: Option<(u32, Held)>,
    memory: Arc<Decoding>,
    sender: Sender,
}

enum State {
    Between(Packed),
    Within(Within),
    Ended,
}

/// A frame that is being undone.
struct Within {
    decoder: Box<ZstdDecoder<Packed>>,
    /// Bytes that are still to come, when the frame said how many it has.
    left: Option<u64>,
}

impl Within {
    /// The next bytes of the frame; none at its end.
    async fn next(&mut self) -> io::Result<Bytes> {
        let mut piece = BytesMut::with_capacity(STEP);
        let read = self.decoder.read_buf(&mut piece).await? as u64;
        // libzstd 1.5 looks at the length of a frame whose last block is empty only when it has all of
        // it at once: what a body holds would depend on how it came.
        if let Some(left) = &mut self.left {
            if read > *left || read == 0 && *left > 0 {
                return Err(other_length());
            }
            *left -= read;
        }
        Ok(piece.freeze())
    }
}

impl Unpacking {
    /// The next bytes; `None` at the end.
    async fn next(&mut self) -> io::Result<Option<Bytes>> {
        loop {
            self.state = match std::mem::replace(&mut self.state, State::Ended) {
                State::Ended => return Ok(None),
                State::Between(packed) => self.begin(packed).await?,
                State::Within(mut within) => {
                    let piece = within.next().await?;
                    if !piece.is_empty() {
                        self.state = State::Within(within);
                        return Ok(Some(piece));
                    }
                    State::Between(within.decoder.into_inner())
                }
            };
        }
    }

    /// Looks at what comes next.
    async fn begin(&mut self, mut packed: Packed) -> io::Result<State> {
        if !packed.fill(1).await? {
            // As when a frame breaks off: no bytes at all were compressed by nobody.
            let whole = if self.begun {
                Ok(())
            } else {
                Err(broken_off())
            };
            return whole.map(|()| State::Ended);
        }
        self.begun = true;
        loop {
            match frame::read(&packed.ready) {
                Header::Needs(bytes) => {
                    if !packed.fill(bytes).await? {
                        return Err(broken_off());
                    }
                }
                Header::Skippable { bytes } => {
                    packed.skip(bytes).await?;
                    return Ok(State::Between(packed));
                }
                Header::Frame { window, content } => {
                    self.take(window).await?;
                    let limits = [DParameter::window_log_max(WINDOW_LOG_MAX)];
                    return Ok(State::Within(Within {
                        decoder: Box::new(ZstdDecoder::with_params(packed, &limits)),
                        left: content,
                    }));
                }
                Header::Unknown => {
                    let text = "the body is not compressed with zstd";
                    return Err(io::Error::new(io::ErrorKind::InvalidData, text));
                }
            }
        }
    }

    /// Waits for the memory of a frame, unless the one before had as much.
    async fn take(&mut self, window: u64) -> io::Result<()> {
        let shares = weight(window)?;
        if self.held.as_ref().is_some_and(|(held, _)| *held >= shares) {
            return Ok(());
        }
        // Given back first: who waits must not hold what others wait for.
        self.held = None;
        let account = self.sender.0.account.get().copied();
        match self.memory.take(account, shares).await {
            Ok(held) => {
                self.held = Some((shares, held));
                Ok(())
            }
            Err(error) => {
                self.sender.0.refused.store(true, Ordering::Relaxed);
                Err(io::Error::other(error))
            }
        }
    }
}

/// What a decoder holds for a frame, in KiB; windows that are too large are refused.
fn weight(window: u64) -> io::Result<u32> {
    if window > 1 << WINDOW_LOG_MAX {
        let text = "the body needs a zstd window above 8 MiB";
        return Err(io::Error::new(io::ErrorKind::InvalidData, text));
    }
    let bytes = window + BLOCKS * window.min(BLOCK_MAX) + TABLES;
    Ok(u32::try_from(bytes.div_ceil(1024)).expect("some MiB"))
}

fn other_length() -> io::Error {
    let text = "a zstd frame of the body is not as long as it says";
    io::Error::new(io::ErrorKind::InvalidData, text)
}

fn broken_off() -> io::Error {
    io::ErrorKind::UnexpectedEof.into()
}

/// A body on its way to a decoder.
struct Packed {
    body: BodyDataStream,
    /// Bytes that have arrived and were not read.
    ready: Bytes,
}

impl Packed {
    /// Waits until so many bytes are ready; `false` when the body ends before.
    async fn fill(&mut self, bytes: usize) -> io::Result<bool> {
        while self.ready.len() < bytes {
            let Some(piece) = self.body.next().await else {
                return Ok(false);
            };
            let piece = piece.map_err(io::Error::other)?;
            self.ready = if self.ready.is_empty() {
                piece
            } else {
                [&self.ready[..], &piece].concat().into()
            };
        }
        Ok(true)
    }

    async fn skip(&mut self, mut bytes: u64) -> io::Result<()> {
        while bytes > 0 {
            if !self.fill(1).await? {
                return Err(broken_off());
            }
            let ready = self.ready.len();
            let part = usize::try_from(bytes).map_or(ready, |bytes| bytes.min(ready));
            self.ready.advance(part);
            bytes -= part as u64;
        }
        Ok(())
    }
}

impl AsyncBufRead for Packed {
    fn poll_fill_buf(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        let this = self.get_mut();
        while this.ready.is_empty() {
            match ready!(Pin::new(&mut this.body).poll_next(cx)) {
                None => break,
                Some(piece) => this.ready = piece.map_err(io::Error::other)?,
            }
        }
        Poll::Ready(Ok(&this.ready))
    }

    fn consume(self: Pin<&mut Self>, bytes: usize) {
        self.get_mut().ready.advance(bytes);
    }
}

impl AsyncRead for Packed {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let bytes = ready!(self.as_mut().poll_fill_buf(cx))?;
        let part = bytes.len().min(into.remaining());
        into.put_slice(&bytes[..part]);
        self.consume(part);
        Poll::Ready(Ok(()))
    }
}
