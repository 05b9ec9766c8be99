//! A content on its way in, as dav-server's file: committed by `flush`, abandoned by dropping.
//!
//! PATCH and a PUT with `Content-Range` make a new content out of the old one: what lies before the
//! offset is copied, then come the new bytes, then what lies behind them. Nothing is held but one
//! piece at a time.

use std::fmt;
use std::io::SeekFrom;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::{Buf, Bytes};
use dav_server::fs::{DavFile, DavMetaData, FsError, FsFuture, FsResult, OpenOptions};
use http::StatusCode;

use super::context::Ctx;
use super::errors::Refusal;
use super::meta::Meta;
use crate::store::content::{Reader, Upload};
use crate::tree::{self, Node, Precondition, Write};
use crate::types::NodePath;

/// Bytes taken from the old content at once; they are held while others upload.
const COPY_BYTES: usize = 64 * 1024;

/// A file opened for writing.
pub(crate) struct Staging {
    ctx: Arc<Ctx>,
    path: NodePath,
    // Neither mutex is ever locked: they only make the file `Sync`, as dav-server wants it.
    upload: Mutex<Option<Upload>>,
    old: Option<Old>,
    partial: bool,
    append: bool,
}

/// What a partial write starts from.
struct Old {
    node: Node,
    reader: Mutex<Reader>,
}

impl Old {
    fn reader(&mut self) -> &mut Reader {
        self.reader
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Staging {
    /// Starts an upload to `path`. Quota and parent are checked before any byte is taken.
    pub(crate) async fn open(
        ctx: Arc<Ctx>,
        path: NodePath,
        options: &OpenOptions,
    ) -> FsResult<Self> {
        let partial = !options.truncate;
        let old = if partial {
            Self::old(&ctx, &path).await?
        } else {
            None
        };
        let expected = match &old {
            Some(old) => Some(old.node.size.max(options.size.unwrap_or(0))),
            None => options.size,
        };
        let checksum = if partial {
            None
        } else {
            ctx.facts.checksum.clone()
        };
        let upload = ctx.tree.upload(&path, expected, checksum).await;
        let upload = Mutex::new(Some(upload.map_err(|error| ctx.fail(&error))?));
        Ok(Self {
            ctx,
            path,
            upload,
            old,
            partial,
            append: options.append,
        })
    }

    async fn old(ctx: &Ctx, path: &NodePath) -> FsResult<Option<Old>> {
        let node = match ctx.tree.lookup(path).await {
            Ok(node) => node,
            Err(tree::Error::NotFound) => return Ok(None),
            Err(error) => return Err(ctx.fail(&error)),
        };
        if node.is_collection() {
            return Err(ctx.fail(&tree::Error::IsACollection));
        }
        let reader = ctx
            .tree
            .read(&node)
            .await
            .map_err(|error| ctx.fail(&error))?;
        Ok(Some(Old {
            node,
            reader: Mutex::new(reader),
        }))
    }

    fn upload(&mut self) -> FsResult<&mut Upload> {
        let upload = self
            .upload
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner);
        upload.as_mut().ok_or(FsError::GeneralFailure)
    }

    async fn push(&mut self, bytes: Bytes) -> FsResult<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        let pushed = self.upload()?.push(bytes).await;
        pushed.map_err(|error| self.ctx.fail(&tree::Error::Store(error)))
    }

    /// Copies the old content from what is written so far up to byte `end`.
    async fn copy_old(&mut self, end: u64) -> FsResult<()> {
        let mut position = self.upload()?.written();
        if let Some(old) = &mut self.old {
            old.reader().seek(position);
        }
        while position < end {
            let Some(old) = &mut self.old else {
                return Err(FsError::GeneralFailure);
            };
            let most = usize::try_from(end - position)
                .unwrap_or(COPY_BYTES)
                .min(COPY_BYTES);
            let bytes = match old.reader().read(most).await {
                Ok(bytes) if bytes.is_empty() => {
                    let short = crate::store::Error::Corrupt("a content ends before its size");
                    return Err(self.ctx.fail(&tree::Error::Store(short)));
                }
                Ok(bytes) => bytes,
                Err(error) => return Err(self.ctx.fail(&tree::Error::Store(error))),
            };
            position += bytes.len() as u64;
            self.push(bytes).await?;
        }
        Ok(())
    }

    fn old_size(&self) -> u64 {
        self.old.as_ref().map_or(0, |old| old.node.size)
    }

    /// Where a partial write begins; a hole behind the end is refused (416).
    async fn begin_at(&mut self, offset: u64) -> FsResult<u64> {
        let size = self.old_size();
        let offset = if self.append { size } else { offset };
        if !self.partial || offset > size {
            return Err(FsError::GeneralFailure);
        }
        self.copy_old(offset).await?;
        Ok(offset)
    }

    /// The write must not be based on anything but what was read.
    fn precondition(&self) -> Precondition {
        match &self.old {
            _ if !self.partial => self.ctx.facts.when.clone(),
            Some(old) => Precondition::Match(vec![old.node.etag.clone()]),
            None => Precondition::Absent,
        }
    }

    async fn commit(&mut self) -> FsResult<()> {
        if self.partial {
            self.copy_old(self.old_size()).await?;
        } else if self
            .ctx
            .facts
            .expected
            .is_some_and(|bytes| self.upload().map_or(0, |upload| upload.written()) != bytes)
        {
            self.ctx
                .refuse(Refusal::bad("the body is not as long as announced"));
            return Err(FsError::GeneralFailure);
        }
        let upload = self
            .upload
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let Some(upload) = upload else {
            return Err(FsError::GeneralFailure);
        };
        let how = Write {
            when: self.precondition(),
            modified: self.ctx.facts.modified,
            created: self.ctx.facts.created,
            ..Write::default()
        };
        let written = self.ctx.tree.commit(&self.path, upload, how).await;
        let overtaken = matches!(written, Err(tree::Error::PreconditionFailed))
            && self.ctx.facts.when == Precondition::None;
        if overtaken {
            // The client stated no condition; ours was that nobody writes in between.
            let reason = "the file was changed meanwhile; send the part again";
            self.ctx.refuse(Refusal::new(StatusCode::CONFLICT, reason));
        }
        let written = written.map_err(|error| self.ctx.fail(&error))?;
        self.ctx.with_out(|out| out.node = Some(written.node));
        Ok(())
    }
}

impl fmt::Debug for Staging {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Staging")
            .field("partial", &self.partial)
            .finish_non_exhaustive()
    }
}

impl DavFile for Staging {
    fn metadata(&mut self) -> FsFuture<'_, Box<dyn DavMetaData>> {
        Box::pin(async {
            let meta = self.ctx.with_out(|out| out.node.as_ref().map(Meta::of));
            meta.map(|meta| Box::new(meta) as Box<dyn DavMetaData>)
                .ok_or(FsError::NotFound)
        })
    }

    fn write_buf(&mut self, mut buf: Box<dyn Buf + Send>) -> FsFuture<'_, ()> {
        Box::pin(async move {
            let bytes = buf.copy_to_bytes(buf.remaining());
            self.push(bytes).await
        })
    }

    fn write_bytes(&mut self, buf: Bytes) -> FsFuture<'_, ()> {
        Box::pin(self.push(buf))
    }

    fn read_bytes(&mut self, _count: usize) -> FsFuture<'_, Bytes> {
        Box::pin(async { Err(FsError::Forbidden) })
    }

    fn seek(&mut self, pos: SeekFrom) -> FsFuture<'_, u64> {
        Box::pin(async move {
            let SeekFrom::Start(offset) = pos else {
                return Err(FsError::NotImplemented);
            };
            self.begin_at(offset).await
        })
    }

    fn flush(&mut self) -> FsFuture<'_, ()> {
        Box::pin(self.commit())
    }
}

/// The empty file that LOCK has made already.
#[derive(Debug)]
pub(crate) struct Created;

impl DavFile for Created {
    fn metadata(&mut self) -> FsFuture<'_, Box<dyn DavMetaData>> {
        Box::pin(async { Err(FsError::NotImplemented) })
    }

    fn write_buf(&mut self, _buf: Box<dyn Buf + Send>) -> FsFuture<'_, ()> {
        Box::pin(async { Err(FsError::NotImplemented) })
    }

    fn write_bytes(&mut self, _buf: Bytes) -> FsFuture<'_, ()> {
        Box::pin(async { Err(FsError::NotImplemented) })
    }

    fn read_bytes(&mut self, _count: usize) -> FsFuture<'_, Bytes> {
        Box::pin(async { Err(FsError::NotImplemented) })
    }

    fn seek(&mut self, _pos: SeekFrom) -> FsFuture<'_, u64> {
        Box::pin(async { Err(FsError::NotImplemented) })
    }

    fn flush(&mut self) -> FsFuture<'_, ()> {
        Box::pin(async { Err(FsError::NotImplemented) })
    }
}
