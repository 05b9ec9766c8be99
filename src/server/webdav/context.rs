//! What one request carries through dav-server to the adapter, and what comes back beside the answer.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use dav_server::fs::FsError;
use http::StatusCode;

use super::errors::{self, Refusal};
use super::guard::Verb;
use super::proppatch::Instruction;
use crate::store::content::Checksum;
use crate::tree::{self, Lock, Node, Overwrite, Precondition, Reach, Tree};
use crate::types::{Millis, NodePath};

/// How the server shows itself under one URL prefix.
#[derive(Clone, Debug)]
pub(crate) struct Face {
    /// Decoded, with a slash at both ends.
    pub(crate) prefix: Arc<str>,
    /// Name of the installation, the tail of `oc:id`.
    pub(crate) instance: Arc<str>,
    /// href of the account, encoded.
    pub(crate) principal: String,
}

/// What the guard found in a request, parsed.
#[derive(Debug)]
pub(crate) struct Facts {
    /// The method.
    pub(crate) verb: Verb,
    /// The resource.
    pub(crate) path: NodePath,
    /// Whether the URL ended in a slash.
    pub(crate) slash: bool,
    /// Target of COPY and MOVE.
    pub(crate) destination: Option<NodePath>,
    /// Whether the target may be replaced.
    pub(crate) overwrite: Overwrite,
    /// `Depth`, if sent.
    pub(crate) depth: Option<Depth>,
    /// Lock tokens submitted in `If`.
    pub(crate) tokens: Vec<String>,
    /// Checked once more when the write is committed.
    pub(crate) when: Precondition,
    /// Bytes the body announces.
    pub(crate) expected: Option<u64>,
    /// `X-OC-Mtime`
    pub(crate) modified: Option<Millis>,
    /// `X-OC-CTime`
    pub(crate) created: Option<Millis>,
    /// `OC-Checksum`
    pub(crate) checksum: Option<Checksum>,
    /// `Timeout` of LOCK.
    pub(crate) timeout: Option<Duration>,
}

/// `Depth` (RFC 4918 §10.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Depth {
    /// `0`
    Zero,
    /// `1`
    One,
    /// `infinity`
    Infinity,
}

/// The request as the adapter sees it.
pub(crate) struct Ctx {
    /// The account's tree, with the submitted tokens.
    pub(crate) tree: Tree,
    /// The URL space.
    pub(crate) face: Face,
    /// The request.
    pub(crate) facts: Facts,
    /// The owner element of a LOCK body.
    pub(crate) owner: Option<Vec<u8>>,
    /// The instructions of a PROPPATCH body.
    pub(crate) patch: Vec<Instruction>,
    /// The node at the request's path, when it was looked up before; only for reading verbs.
    pub(crate) known: Option<Node>,
    out: Mutex<Outcome>,
}

/// What happened, beside the answer dav-server makes.
#[derive(Default)]
pub(crate) struct Outcome {
    /// The node written.
    pub(crate) node: Option<Node>,
    /// The lock granted or refreshed.
    pub(crate) lock: Option<Lock>,
    /// The status of each instruction of a PROPPATCH.
    pub(crate) patched: Option<Vec<StatusCode>>,
    /// Why it failed.
    pub(crate) refusal: Option<Refusal>,
}

impl Ctx {
    /// A request on its way in.
    pub(crate) fn new(tree: &Tree, face: Face, facts: Facts) -> Self {
        let tree = tree.with_tokens(&facts.tokens);
        let out = Mutex::default();
        Self {
            tree,
            face,
            facts,
            owner: None,
            patch: Vec::new(),
            known: None,
            out,
        }
    }

    /// Whether `path` is the target of this COPY or MOVE.
    pub(crate) fn is_destination(&self, path: &NodePath) -> bool {
        self.facts.destination.as_ref() == Some(path)
    }

    /// How much COPY takes along.
    pub(crate) fn reach(&self) -> Reach {
        if self.facts.depth == Some(Depth::Zero) {
            Reach::Shallow
        } else {
            Reach::Deep
        }
    }

    /// Keeps why a verb failed, and gives dav-server the nearest thing it knows.
    pub(crate) fn fail(&self, error: &tree::Error) -> FsError {
        let mut refusal = errors::refusal(error, &self.face.prefix);
        let moves = matches!(self.facts.verb, Verb::Copy | Verb::Move);
        if moves && matches!(error, tree::Error::Exists) {
            refusal.status = StatusCode::PRECONDITION_FAILED; // `Overwrite: F`, lost a race
        }
        self.refuse(refusal);
        errors::to_fs(error)
    }

    /// Keeps a reason that is not the engine's.
    pub(crate) fn refuse(&self, refusal: Refusal) {
        self.with_out(|out| {
            out.refusal.get_or_insert(refusal);
        });
    }

    /// Looks into or changes the outcome.
    pub(crate) fn with_out<T>(&self, f: impl FnOnce(&mut Outcome) -> T) -> T {
        f(&mut self.out.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl fmt::Debug for Ctx {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ctx")
            .field("verb", &self.facts.verb)
            .finish_non_exhaustive()
    }
}
