//! A content on its way out, as dav-server's file.

use std::fmt;
use std::io::SeekFrom;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::{Buf, Bytes};
use dav_server::fs::{DavFile, DavMetaData, FsError, FsFuture, FsResult};

use super::context::Ctx;
use super::meta::Meta;
use crate::store::content::Reader;
use crate::tree::{self, Node};

/// A file opened for reading.
pub(crate) struct Download {
    ctx: Arc<Ctx>,
    node: Node,
    reader: Mutex<Reader>, // never locked: it only makes the file `Sync`, as dav-server wants it
}

impl Download {
    /// Opens the current content of a file.
    pub(crate) async fn open(ctx: Arc<Ctx>, node: Node) -> FsResult<Self> {
        if node.is_collection() {
            return Err(ctx.fail(&tree::Error::IsACollection));
        }
        let reader = ctx
            .tree
            .read(&node)
            .await
            .map_err(|error| ctx.fail(&error))?;
        Ok(Self {
            ctx,
            node,
            reader: Mutex::new(reader),
        })
    }

    fn reader(&mut self) -> &mut Reader {
        self.reader
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// The next bytes. dav-server 0.11 sends zeros for an empty answer, so an end before the end
    /// must be an error.
    async fn next(&mut self, max: usize) -> FsResult<Bytes> {
        match self.reader().read(max).await {
            Ok(bytes) if bytes.is_empty() && max > 0 => {
                let short = crate::store::Error::Corrupt("a content ends before its size");
                Err(self.ctx.fail(&tree::Error::Store(short)))
            }
            Ok(bytes) => Ok(bytes),
            Err(error) => Err(self.ctx.fail(&tree::Error::Store(error))),
        }
    }
}

impl fmt::Debug for Download {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Download")
            .field("node", &self.node.id)
            .finish_non_exhaustive()
    }
}

impl DavFile for Download {
    fn metadata(&mut self) -> FsFuture<'_, Box<dyn DavMetaData>> {
        Box::pin(async { Ok(Box::new(Meta::of(&self.node)) as Box<dyn DavMetaData>) })
    }

    fn write_buf(&mut self, _buf: Box<dyn Buf + Send>) -> FsFuture<'_, ()> {
        Box::pin(async { Err(FsError::Forbidden) })
    }

    fn write_bytes(&mut self, _buf: Bytes) -> FsFuture<'_, ()> {
        Box::pin(async { Err(FsError::Forbidden) })
    }

    fn read_bytes(&mut self, count: usize) -> FsFuture<'_, Bytes> {
        Box::pin(self.next(count))
    }

    fn seek(&mut self, pos: SeekFrom) -> FsFuture<'_, u64> {
        Box::pin(async move {
            let SeekFrom::Start(position) = pos else {
                return Err(FsError::NotImplemented);
            };
            self.reader().seek(position);
            Ok(position)
        })
    }

    fn flush(&mut self) -> FsFuture<'_, ()> {
        Box::pin(async { Ok(()) })
    }
}
