//! The engine as dav-server's file system: each call of its handlers becomes at most one verb.
//!
//! dav-server deletes a destination before it moves or copies onto it, and walks collections member
//! by member. Here the request's own source and destination look like files and their deletion is
//! absorbed, so that the whole request is one transaction of the engine.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use dav_server::davpath::DavPath;
use dav_server::fs::{
    DavDirEntry, DavFile, DavMetaData, DavProp, FsError, FsFuture, FsResult, FsStream,
    GuardedFileSystem, OpenOptions, ReadDirMeta,
};
use http::StatusCode;

use super::context::Ctx;
use super::download::Download;
use super::guard::Verb;
use super::meta::Meta;
use super::proppatch;
use super::upload::{Created, Staging};
use crate::tree::{self, Node, Placed, Reach, Times};
use crate::types::NodePath;

/// The adapter; everything it works with comes with each request.
#[derive(Clone, Debug)]
pub(crate) struct Engine;

/// A path of dav-server's, which the guard has made from ours.
pub(crate) fn node_path(path: &DavPath) -> FsResult<NodePath> {
    let text = std::str::from_utf8(path.as_bytes()).map_err(|_| FsError::Forbidden)?;
    NodePath::parse(text).map_err(|_| FsError::Forbidden)
}

impl Ctx {
    /// Looks up a node; absence is an answer, a failing store is kept as the reason of a failure.
    async fn node(&self, path: &NodePath) -> FsResult<Node> {
        if let Some(node) = self.known.as_ref().filter(|_| *path == self.facts.path) {
            return Ok(node.clone());
        }
        match self.tree.lookup(path).await {
            Ok(node) => Ok(node),
            Err(tree::Error::NotFound | tree::Error::NoParent | tree::Error::NotACollection) => {
                Err(FsError::NotFound)
            }
            Err(error) => Err(self.fail(&error)),
        }
    }

    /// Refuses to change anything once something has failed in this request: dav-server takes a
    /// failed look for an absent resource and goes on.
    fn unbroken(&self) -> FsResult<()> {
        if self.with_out(|out| out.refusal.is_some()) {
            Err(FsError::GeneralFailure)
        } else {
            Ok(())
        }
    }

    /// Whether this call is dav-server's deletion of what COPY or MOVE will replace.
    fn is_folded(&self, path: &NodePath) -> bool {
        matches!(self.facts.verb, Verb::Copy | Verb::Move) && self.is_destination(path)
    }

    async fn look(&self, path: &NodePath) -> FsResult<Meta> {
        let node = self.node(path).await?;
        let whole_copy = self.facts.verb == Verb::Copy
            && *path == self.facts.path
            && self.reach() == Reach::Deep;
        if whole_copy || self.is_folded(path) {
            return Ok(Meta::as_leaf(&node));
        }
        Ok(Meta::of(&node))
    }

    async fn remove(&self, path: &NodePath) -> FsResult<()> {
        self.unbroken()?;
        if self.is_folded(path) {
            return Ok(());
        }
        self.tree
            .remove(path)
            .await
            .map_err(|error| self.fail(&error))
    }

    /// Keeps what a COPY or MOVE made, with the time the client wants it to have.
    async fn placed(&self, to: &NodePath, placed: tree::Result<Placed>) -> FsResult<()> {
        let mut node = placed.map_err(|error| self.fail(&error))?.node;
        if let Some(modified) = self.facts.modified {
            let times = Times {
                modified: Some(modified),
                ..Times::default()
            };
            node = self
                .tree
                .touch(to, times)
                .await
                .map_err(|error| self.fail(&error))?;
        }
        self.with_out(|out| out.node = Some(node));
        Ok(())
    }

    async fn copy(&self, from: &NodePath, to: &NodePath) -> FsResult<()> {
        self.unbroken()?;
        let done = self
            .tree
            .copy(from, to, self.facts.overwrite, self.reach())
            .await;
        self.placed(to, done).await
    }

    async fn make_collection(&self, path: &NodePath) -> FsResult<()> {
        if self.is_folded(path) {
            // `COPY` with `Depth: 0` of a collection arrives as the making of an empty one.
            return self.copy(&self.facts.path, path).await;
        }
        self.unbroken()?;
        let made = self.tree.mkdir(path, self.facts.modified).await;
        let node = made.map_err(|error| self.fail(&error))?;
        self.with_out(|out| out.node = Some(node));
        Ok(())
    }
}

async fn open(ctx: &Arc<Ctx>, path: NodePath, options: OpenOptions) -> FsResult<Box<dyn DavFile>> {
    if !options.write {
        let node = ctx.node(&path).await?;
        return Ok(Box::new(Download::open(ctx.clone(), node).await?));
    }
    ctx.unbroken()?;
    if ctx.facts.verb == Verb::Lock {
        // The engine has made the file in the transaction that made the lock.
        return Ok(Box::new(Created));
    }
    Ok(Box::new(Staging::open(ctx.clone(), path, &options).await?))
}

impl GuardedFileSystem<Arc<Ctx>> for Engine {
    fn open<'a>(
        &'a self,
        path: &'a DavPath,
        options: OpenOptions,
        ctx: &'a Arc<Ctx>,
    ) -> FsFuture<'a, Box<dyn DavFile>> {
        Box::pin(async move { open(ctx, node_path(path)?, options).await })
    }

    /// Never called: collections are walked by nobody but the own PROPFIND.
    fn read_dir<'a>(
        &'a self,
        _path: &'a DavPath,
        _meta: ReadDirMeta,
        _ctx: &'a Arc<Ctx>,
    ) -> FsFuture<'a, FsStream<Box<dyn DavDirEntry>>> {
        Box::pin(async { Err(FsError::NotImplemented) })
    }

    fn metadata<'a>(
        &'a self,
        path: &'a DavPath,
        ctx: &'a Arc<Ctx>,
    ) -> FsFuture<'a, Box<dyn DavMetaData>> {
        Box::pin(async move {
            let meta = ctx.look(&node_path(path)?).await?;
            Ok(Box::new(meta) as Box<dyn DavMetaData>)
        })
    }

    fn create_dir<'a>(&'a self, path: &'a DavPath, ctx: &'a Arc<Ctx>) -> FsFuture<'a, ()> {
        Box::pin(async move { ctx.make_collection(&node_path(path)?).await })
    }

    fn remove_dir<'a>(&'a self, path: &'a DavPath, ctx: &'a Arc<Ctx>) -> FsFuture<'a, ()> {
        Box::pin(async move { ctx.remove(&node_path(path)?).await })
    }

    fn remove_file<'a>(&'a self, path: &'a DavPath, ctx: &'a Arc<Ctx>) -> FsFuture<'a, ()> {
        Box::pin(async move { ctx.remove(&node_path(path)?).await })
    }

    fn rename<'a>(
        &'a self,
        from: &'a DavPath,
        to: &'a DavPath,
        ctx: &'a Arc<Ctx>,
    ) -> FsFuture<'a, ()> {
        Box::pin(async move {
            ctx.unbroken()?;
            let (from, to) = (node_path(from)?, node_path(to)?);
            let done = ctx.tree.rename(&from, &to, ctx.facts.overwrite).await;
            ctx.placed(&to, done).await
        })
    }

    fn copy<'a>(
        &'a self,
        from: &'a DavPath,
        to: &'a DavPath,
        ctx: &'a Arc<Ctx>,
    ) -> FsFuture<'a, ()> {
        Box::pin(async move { ctx.copy(&node_path(from)?, &node_path(to)?).await })
    }

    fn have_props<'a>(
        &'a self,
        _path: &'a DavPath,
        _ctx: &'a Arc<Ctx>,
    ) -> Pin<Box<dyn Future<Output = bool> + Send + 'a>> {
        Box::pin(async { true })
    }

    fn patch_props<'a>(
        &'a self,
        path: &'a DavPath,
        changes: Vec<(bool, DavProp)>,
        ctx: &'a Arc<Ctx>,
    ) -> FsFuture<'a, Vec<(StatusCode, DavProp)>> {
        Box::pin(async move {
            ctx.unbroken()?;
            proppatch::apply(ctx, &node_path(path)?).await?;
            Ok(changes
                .into_iter()
                .map(|(_, prop)| (StatusCode::OK, prop))
                .collect())
        })
    }
}
