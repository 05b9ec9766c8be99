//! The engine's locks as dav-server's lock system, one per request.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use dav_server::davpath::DavPath;
use dav_server::ls::{DavLock, DavLockSystem, LsFuture};
use xmltree::Element;

use super::context::Ctx;
use super::fs::node_path;
use super::guard::Verb;
use crate::tree::{self, Lock, LockRequest};
use crate::types::NodePath;

/// The locks as one request sees them.
#[derive(Clone, Debug)]
pub(crate) struct Locks(pub(crate) Arc<Ctx>);

impl Locks {
    /// A lock for dav-server, which only looks at the token: what it would print of the rest is
    /// replaced by our own XML.
    fn for_dav(path: &DavPath, lock: &Lock) -> DavLock {
        DavLock {
            token: lock.token.clone(),
            path: Box::new(path.clone()),
            principal: Some(lock.principal.clone()),
            owner: None,
            timeout_at: Some(SystemTime::from(lock.expires)),
            timeout: Some(Duration::from_secs(lock.timeout_secs)),
            shared: lock.shared,
            deep: lock.deep,
        }
    }

    /// dav-server only wants to know that there is a conflict; the reason is in the outcome.
    fn conflict(path: &DavPath) -> DavLock {
        DavLock {
            token: String::new(),
            path: Box::new(path.clone()),
            principal: None,
            owner: None,
            timeout_at: None,
            timeout: None,
            shared: false,
            deep: false,
        }
    }

    async fn grant(&self, at: NodePath, shared: bool, deep: bool) -> Option<Lock> {
        let request = LockRequest {
            owner: self.0.owner.clone(),
            timeout: self.0.facts.timeout,
            shared,
            deep,
        };
        match self.0.tree.lock(&at, request).await {
            Ok((lock, _created)) => Some(self.keep(lock)),
            Err(error) => {
                self.0.fail(&error);
                None
            }
        }
    }

    fn keep(&self, lock: Lock) -> Lock {
        self.0.with_out(|out| out.lock = Some(lock.clone()));
        lock
    }

    /// Whether the resource is covered by a lock with each of these tokens (RFC 4918 §10.4.4).
    async fn holds(&self, at: &NodePath, tokens: &[String]) -> bool {
        match self.0.tree.locks(at).await {
            Ok(locks) => tokens
                .iter()
                .all(|token| locks.iter().any(|lock| lock.token == *token)),
            Err(tree::Error::NotFound | tree::Error::NoParent) => false,
            Err(error) => {
                self.0.fail(&error);
                false
            }
        }
    }

    async fn free(&self, at: &NodePath, deep: bool, mut tokens: Vec<String>) -> bool {
        tokens.extend(self.0.facts.tokens.iter().cloned());
        match self.0.tree.check_locks(at, deep, false, &tokens).await {
            Ok(()) => true,
            // Only a refresh asks this for LOCK, and its answer is 412.
            Err(tree::Error::Locked(_)) if self.0.facts.verb == Verb::Lock => false,
            Err(error) => {
                self.0.fail(&error);
                false
            }
        }
    }
}

impl DavLockSystem for Locks {
    fn lock(
        &self,
        path: &DavPath,
        _principal: Option<&str>,
        _owner: Option<&Element>,
        _timeout: Option<Duration>,
        shared: bool,
        deep: bool,
    ) -> LsFuture<'_, Result<DavLock, DavLock>> {
        let path = path.clone();
        Box::pin(async move {
            let Ok(at) = node_path(&path) else {
                return Err(Self::conflict(&path));
            };
            match self.grant(at, shared, deep).await {
                Some(lock) => Ok(Self::for_dav(&path, &lock)),
                None => Err(Self::conflict(&path)),
            }
        })
    }

    fn unlock(&self, path: &DavPath, token: &str) -> LsFuture<'_, Result<(), ()>> {
        let (path, token) = (path.clone(), token.to_owned());
        Box::pin(async move {
            let at = node_path(&path).map_err(|_| ())?;
            self.0.tree.unlock(&at, &token).await.map_err(|error| {
                self.0.fail(&error);
            })
        })
    }

    fn refresh(
        &self,
        path: &DavPath,
        token: &str,
        _timeout: Option<Duration>,
    ) -> LsFuture<'_, Result<DavLock, ()>> {
        let (path, token) = (path.clone(), token.to_owned());
        Box::pin(async move {
            let at = node_path(&path).map_err(|_| ())?;
            match self
                .0
                .tree
                .refresh_lock(&at, &token, self.0.facts.timeout)
                .await
            {
                Ok(lock) => Ok(Self::for_dav(&path, &self.keep(lock))),
                // dav-server answers 412, as RFC 4918 §9.10.2 wants it.
                Err(tree::Error::NoSuchLock | tree::Error::NotFound) => Err(()),
                Err(error) => {
                    self.0.fail(&error);
                    Err(())
                }
            }
        })
    }

    /// With `ignore_principal` dav-server evaluates a condition of `If`, without it looks whether
    /// the request may go on.
    fn check(
        &self,
        path: &DavPath,
        _principal: Option<&str>,
        ignore_principal: bool,
        deep: bool,
        submitted_tokens: &[String],
    ) -> LsFuture<'_, Result<(), DavLock>> {
        let (path, tokens) = (path.clone(), submitted_tokens.to_vec());
        Box::pin(async move {
            let Ok(at) = node_path(&path) else {
                return Err(Self::conflict(&path));
            };
            let fine = if ignore_principal {
                self.holds(&at, &tokens).await
            } else {
                self.free(&at, deep, tokens).await
            };
            if fine {
                Ok(())
            } else {
                Err(Self::conflict(&path))
            }
        })
    }

    /// Never called: only dav-server's own PROPFIND asks.
    fn discover(&self, _path: &DavPath) -> LsFuture<'_, Vec<DavLock>> {
        Box::pin(async { Vec::new() })
    }

    /// Nothing to do: the engine ends locks in the transaction that moves or removes the resource.
    fn delete(&self, _path: &DavPath) -> LsFuture<'_, Result<(), ()>> {
        Box::pin(async { Ok(()) })
    }
}
