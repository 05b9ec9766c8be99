//! Sending a large file in parts that a broken line does not undo.

use std::io;

use futures_util::stream;
use tokio::task::spawn_blocking;

use super::content::read;
use super::put::{Put, Source as Content};
use super::{Engine, Error};
use crate::client::journal::Begun;
use crate::client::local::read::Opened;
use crate::client::remote::Source;
use crate::protocol::files::{OpenUpload, UploadState, Written};

/// Bytes of a request: what a broken line may cost at most, beside what the server had not made durable.
const PART: u64 = 256 * 1024 * 1024;
/// Bytes that are read at once.
const PIECE: u64 = 512 * 1024;
/// How often an upload goes on after the connection broke without anything having arrived, before the pass ends.
const TRIES: u32 = 5;

impl Engine {
    /// Sends a file; goes on where an earlier try ended.
    pub(super) async fn upload(&self, put: &Put) -> Result<Written, Error> {
        let Content::File(opened, _) = &put.content else {
            return Err(Error::Confused("only files go in parts"));
        };
        let opened = std::sync::Arc::new(
            opened
                .again()
                .map_err(|error| Error::Ended(error.to_string()))?,
        );
        let mut state = self.begin_upload(put).await?;
        let mut tries = 0;
        while state.offset < put.size {
            let length = PART.min(put.size - state.offset);
            let bytes = pieces(
                std::sync::Arc::clone(&opened),
                state.offset,
                length,
                std::sync::Arc::clone(&self.progress),
            );
            let sent = self
                .session
                .append(state.id, state.offset, Source::exact(bytes, length))
                .await;
            state = match sent {
                Ok(state) => state,
                Err(error)
                    if tries < TRIES
                        && (error.passes() || error.problem() == Some("upload-offset")) =>
                {
                    tries += 1;
                    tokio::time::sleep(std::time::Duration::from_millis(200 << tries)).await;
                    let now = self.session.upload(state.id).await?;
                    if now.offset > state.offset {
                        tries = 0;
                    }
                    now
                }
                Err(error) => {
                    if !error.passes() {
                        self.journal.end(&put.path).await?;
                    }
                    return Err(error.into());
                }
            };
        }
        if opened.check().is_err() {
            // It was written to while it was sent.
            self.journal.end(&put.path).await?;
            self.session.abort_upload(state.id).await?;
            return Err(Error::Later);
        }
        let written = self.session.finish_upload(state.id).await;
        match &written {
            Err(error) if error.passes() => {}
            _ => self.journal.end(&put.path).await?,
        }
        Ok(written?)
    }

    /// The upload that an earlier pass began with the same bytes, or a new one.
    async fn begin_upload(&self, put: &Put) -> Result<UploadState, Error> {
        let base = put.base.as_ref().map_or("none", |base| base).to_owned();
        if let Some(begun) = self.journal.begun(&put.path).await? {
            let same = begun.root == put.list.root && begun.size == put.size && begun.base == base;
            match self.session.upload(begun.upload).await {
                Ok(state) if same && !state.finished => return Ok(state),
                Ok(_) => drop(self.session.abort_upload(begun.upload).await),
                Err(error) if error.problem().is_some() => {}
                Err(error) => return Err(error.into()),
            }
            self.journal.end(&put.path).await?;
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
            root: put.list.root,
            size: put.size,
        };
        self.journal.begin(&put.path, &begun).await?;
        Ok(state)
    }
}

/// A part of a file, read as it is wanted.
fn pieces(
    opened: std::sync::Arc<Opened>,
    offset: u64,
    length: u64,
    progress: std::sync::Arc<crate::client::progress::Progress>,
) -> impl stream::Stream<Item = io::Result<bytes::Bytes>> + Send + 'static {
    stream::try_unfold(offset, move |at| {
        let (opened, progress) = (
            std::sync::Arc::clone(&opened),
            std::sync::Arc::clone(&progress),
        );
        async move {
            let end = (offset + length).min(at + PIECE);
            if at == end {
                return Ok(None);
            }
            let bytes = spawn_blocking(move || read(&opened, at..end))
                .await
                .map_err(io::Error::other)??;
            progress.step(bytes.len() as u64);
            Ok(Some((bytes.into(), end)))
        }
    })
}
