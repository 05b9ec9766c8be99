//! Sending a large file in parts that a broken line does not undo.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use tokio::task::spawn_blocking;

use super::content::read;
use super::put::Put;
use super::{Engine, Error};
use crate::chunk::Class;
use crate::client::journal::Begun;
use crate::client::local::Stamp;
use crate::client::local::cutting::Cutting;
use crate::client::local::read::{List, Opened, ReadError};
use crate::client::progress::Progress;
use crate::client::remote::{self, Source};
use crate::protocol::files::{OpenUpload, UploadState, Written};
use crate::types::hex;

/// Bytes of a request: what a broken line may cost at most, beside what the server had not made durable.
const PART: u64 = 256 * 1024 * 1024;
/// Bytes that are read at once.
const PIECE: u64 = 512 * 1024;
/// How often an upload goes on after the connection broke without anything having arrived, before the pass ends.
const TRIES: u32 = 5;
/// How long to wait before the first of these, doubled before each other one.
const PAUSE: Duration = Duration::from_millis(400);
/// Why the server refuses an upload that will never be finished: the bytes are not those that were meant, not there any
/// more, or too many.
const IN_VAIN: [&str; 3] = ["checksum-mismatch", "not-found", "too-large"];
/// Why it refuses a part while it still lets go of the request before, of which it may have had more than was known.
const NOT_YET: [&str; 2] = ["upload-offset", "upload-state"];

/// A file that is read once, to be sent and to be cut.
struct Reading {
    opened: Opened,
    /// None when it is known how it is cut.
    cutting: Mutex<Option<Cutting>>,
    progress: Arc<Progress>,
}

impl Engine {
    /// Sends a file; goes on where an earlier try ended. What became of it, how it is cut, and its stamp, when
    /// that can be relied on later.
    pub(super) async fn upload(&self, put: &Put) -> Result<(Written, List, Option<Stamp>), Error> {
        let opened = put.content.opened();
        let opened = opened.ok_or(Error::Confused("only files go in parts"))?;
        let cutting = if put.content.list().is_some() {
            None
        } else {
            let keys = self.keys(put.space).await?;
            Some(Cutting::new(Class::of(Some(put.size)), put.size, &keys))
        };
        opened.ahead();
        let reading = Arc::new(Reading {
            opened: opened
                .again()
                .map_err(|error| Error::Ended(error.to_string()))?,
            cutting: Mutex::new(cutting),
            progress: Arc::clone(&self.progress),
        });
        let state = self.begin_upload(put, &reading.opened).await?;
        let id = state.id;
        let finished = self.send_rest(put, state, &reading).await;
        match &finished {
            Ok(_) => self.journal.end(&put.path).await?,
            Err(Error::Remote(error)) if is_in_vain(error) => self.give_up(put, id).await?,
            // It can go on later without sending again what arrived.
            Err(_) => {}
        }
        finished
    }

    /// Sends the rest and ends it.
    async fn send_rest(
        &self,
        put: &Put,
        state: UploadState,
        reading: &Arc<Reading>,
    ) -> Result<(Written, List, Option<Stamp>), Error> {
        let id = state.id;
        self.append_all(put.size, state, reading).await?;
        let (now, racy) = reading.opened.check().map_err(unreadable)?;
        let list = put.content.list().cloned().or_else(|| reading.end());
        let list = list.ok_or(Error::Confused("a file that is not cut"))?;
        let written = self.session.finish_upload(id, &hex(&list.root.0)).await?;
        let stamp = put.stamp.or((!racy).then_some(now));
        Ok((written, list, stamp))
    }

    /// Sends all that the server does not have yet.
    async fn append_all(
        &self,
        size: u64,
        mut state: UploadState,
        reading: &Arc<Reading>,
    ) -> Result<(), Error> {
        let mut tries = 0;
        loop {
            // Before the request begins, of which the server waits for the first bytes for half a minute.
            reading.catch_up(state.offset).await?;
            if state.offset >= size {
                return Ok(());
            }
            let length = PART.min(size - state.offset);
            let bytes = pieces(Arc::clone(reading), state.offset, length);
            let source = Source::exact(bytes, length);
            state = match self.session.append(state.id, state.offset, source).await {
                Ok(state) => state,
                Err(error)
                    if tries < TRIES
                        && (error.passes()
                            || error.problem().is_some_and(|name| NOT_YET.contains(&name))) =>
                {
                    tokio::time::sleep(PAUSE * 2_u32.pow(tries)).await;
                    tries += 1;
                    let now = self.session.upload(state.id).await?;
                    if now.offset > state.offset {
                        tries = 0;
                    }
                    now
                }
                Err(error) => return Err(error.into()),
            };
        }
    }

    /// Forgets an upload, here and there.
    async fn give_up(&self, put: &Put, id: i64) -> Result<(), Error> {
        self.journal.end(&put.path).await?;
        // It may be gone already, and goes by itself after a week.
        drop(self.session.abort_upload(id).await);
        Ok(())
    }

    /// The upload that an earlier pass began with the same bytes, or a new one.
    async fn begin_upload(&self, put: &Put, opened: &Opened) -> Result<UploadState, Error> {
        let base = put.base.as_ref().map_or("none", |base| base).to_owned();
        if let Some(begun) = self.journal.begun(&put.path).await? {
            let same = begun.stamp.same_bytes(&opened.stamp()) && begun.base == base;
            match self.session.upload(begun.upload).await {
                Ok(state) if same && !state.finished && state.size == put.size => return Ok(state),
                Ok(_) => self.give_up(put, begun.upload).await?,
                Err(error) if error.problem().is_some() => self.journal.end(&put.path).await?,
                Err(error) => return Err(error.into()),
            }
        }
        let open = OpenUpload {
            path: format!("/{}", put.path),
            size: put.size,
            base: Some(base.clone()),
            mtime: Some(put.mtime),
            created: None,
            checksum: None,
        };
        let state = self.session.open_upload(&open).await?;
        let begun = Begun {
            upload: state.id,
            base,
            stamp: opened.stamp(),
        };
        self.journal.begin(&put.path, &begun).await?;
        Ok(state)
    }
}

impl Reading {
    /// Cuts what arrived in an earlier try.
    async fn catch_up(self: &Arc<Self>, to: u64) -> Result<(), Error> {
        let this = Arc::clone(self);
        let read = spawn_blocking(move || match this.cutting().as_mut() {
            Some(cutting) => cutting.read_to(&this.opened, to),
            None => Ok(()),
        });
        let read = read
            .await
            .map_err(|error| Error::Ended(error.to_string()))?;
        read.map_err(unreadable)
    }

    /// Bytes to be sent, cut on the way but for those that were before a line broke. Fails when the file was written to
    /// since the upload began: what somebody is still writing is not sent to its end, to be sent once more.
    fn piece(&self, at: u64, end: u64) -> io::Result<Bytes> {
        let bytes = read(&self.opened, at..end)?;
        self.opened.check()?;
        if let Some(cutting) = self.cutting().as_mut() {
            let before = usize::try_from(cutting.at().saturating_sub(at)).unwrap_or(usize::MAX);
            cutting.push(bytes.get(before..).unwrap_or_default());
        }
        self.progress.step(end - at);
        Ok(bytes.into())
    }

    /// How it is cut, once all of it was read.
    fn end(&self) -> Option<List> {
        self.cutting().take().map(Cutting::end)
    }

    fn cutting(&self) -> MutexGuard<'_, Option<Cutting>> {
        self.cutting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether to send it again, or the rest of it, never helps.
fn is_in_vain(error: &remote::Error) -> bool {
    let named = error.problem().is_some_and(|name| IN_VAIN.contains(&name));
    named || matches!(error, remote::Error::Source(_))
}

fn unreadable(error: ReadError) -> Error {
    remote::Error::Source(error.into()).into()
}

/// A part of a file, read as it is wanted.
fn pieces(
    reading: Arc<Reading>,
    offset: u64,
    length: u64,
) -> impl stream::Stream<Item = io::Result<Bytes>> + Send + 'static {
    stream::try_unfold(offset, move |at| {
        let reading = Arc::clone(&reading);
        async move {
            let end = (offset + length).min(at + PIECE);
            if at == end {
                return Ok(None);
            }
            let bytes = spawn_blocking(move || reading.piece(at, end)).await;
            Ok(Some((bytes.map_err(io::Error::other)??, end)))
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::local::read::cut;
    use crate::client::pass::tests::wire::keys;

    #[test]
    fn a_file_that_is_written_to_gives_no_more_pieces() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), vec![7; 3_000_000]).unwrap();
        let reading = Reading {
            opened: Opened::of(file.as_file()).unwrap(),
            cutting: Mutex::new(None),
            progress: Arc::default(),
        };
        assert_eq!(reading.piece(0, PIECE).unwrap().len() as u64, PIECE);
        for size in [3_000_001, 2_999_999] {
            file.as_file().set_len(size).unwrap();
            let error = reading.piece(PIECE, 2 * PIECE).unwrap_err();
            assert_eq!(error.to_string(), "it is being changed", "{size}");
        }
    }

    #[tokio::test]
    async fn a_file_is_cut_once_whatever_arrived_before_and_is_sent_twice() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut bytes = vec![0; 3_000_000];
        blake3::Hasher::new().finalize_xof().fill(&mut bytes);
        std::fs::write(file.path(), &bytes).unwrap();
        let opened = || Opened::of(file.as_file()).unwrap();
        let whole = cut(&opened(), Class::Small, &keys()).unwrap();
        for arrived in [0, 700_000, 3_000_000] {
            let reading = Arc::new(Reading {
                opened: opened(),
                cutting: Mutex::new(Some(Cutting::new(Class::Small, 3_000_000, &keys()))),
                progress: Arc::default(),
            });
            reading.catch_up(arrived).await.unwrap();
            // Of what was read before the line broke only a part had arrived
            let again = arrived + (3_000_000 - arrived) / 3;
            for (from, most) in [(arrived, 2_000_000), (again, 3_000_000)] {
                reading.catch_up(from).await.unwrap();
                let mut at = from;
                while at < most {
                    let end = most.min(at + PIECE);
                    let piece = reading.piece(at, end).unwrap();
                    assert!(
                        piece == bytes[usize::try_from(at).unwrap()..usize::try_from(end).unwrap()]
                    );
                    at = end;
                }
            }
            assert_eq!(reading.end().unwrap(), whole, "{arrived}");
        }
    }
}
