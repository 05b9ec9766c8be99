//! Temporary signatures so that faces can be written; replaced by one file per verb.
#![allow(unused, missing_docs, clippy::todo, clippy::unused_async, clippy::missing_panics_doc, clippy::pedantic, reason = "stub")]
use std::{collections::HashMap, fmt, time::Duration};
use super::{Error, Result, *};
use crate::store::content::{Checksum, Reader, Upload};
use crate::types::{Millis, NodeId, NodePath};

/// Longest lock granted, in seconds.
pub const LOCK_SECONDS_MAX: u64 = 3600;
#[derive(Clone, Debug)]
pub struct LockRequest { pub owner: Option<Vec<u8>>, pub timeout: Option<Duration>, pub shared: bool, pub deep: bool }
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach { Shallow, Deep }
#[derive(Clone, Copy, Debug, Default)]
pub struct With { pub properties: bool, pub locks: bool }
/// Where a page of a listing ended.
#[derive(Clone, Debug)]
pub struct PageEnd(String);
/// properties/locks: only filled when asked for by `With`; locks = those whose root is that child (deep locks from above: `Tree::locks(parent)`).
pub struct Page { pub nodes: Vec<Node>, pub properties: HashMap<NodeId, Vec<Property>>, pub locks: HashMap<NodeId, Vec<Lock>>, pub next: Option<PageEnd> }
/// Opaque; the tail of a sync-token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor(String);
impl Cursor { pub fn parse(text: &str) -> Option<Self> { todo!() } }
impl fmt::Display for Cursor { fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { todo!() } }
pub struct Changes { pub changes: Vec<Change>, pub cursor: Cursor, pub more: bool }
/// `path` is relative to the collection asked about.
pub struct Change { pub path: NodePath, pub kind: ChangeKind }
pub enum ChangeKind { Present(Box<Node>), Gone }

impl Tree {
    /// NotFound when absent; the account root has an empty name.
    pub async fn lookup(&self, at: &NodePath) -> Result<Node> { todo!() }
    /// ≤ 1000 children a page in name order; the mounts of the account root come with the first page.
    pub async fn list(&self, of: &Node, with: With, after: Option<PageEnd>) -> Result<Page> { todo!() }
    pub async fn read(&self, node: &Node) -> Result<Reader> { todo!() }
    /// Parent must exist (NoParent); early quota check from `expected`.
    pub async fn upload(&self, at: &NodePath, expected: Option<u64>, checksum: Option<Checksum>) -> Result<Upload> { todo!() }
    /// Makes the bytes durable and the name point at them, in one transaction; the previous content becomes a version.
    pub async fn commit(&self, at: &NodePath, upload: Upload, how: Write) -> Result<Written> { todo!() }
    pub async fn mkdir(&self, at: &NodePath, modified: Option<Millis>) -> Result<Node> { todo!() }
    pub async fn rename(&self, from: &NodePath, to: &NodePath, overwrite: Overwrite) -> Result<Placed> { todo!() }
    pub async fn copy(&self, from: &NodePath, to: &NodePath, overwrite: Overwrite, reach: Reach) -> Result<Placed> { todo!() }
    /// To trash; one row whatever lies below.
    pub async fn remove(&self, at: &NodePath) -> Result<()> { todo!() }
    pub async fn touch(&self, at: &NodePath, times: Times) -> Result<Node> { todo!() }
    pub async fn properties(&self, node: &Node) -> Result<Vec<Property>> { todo!() }
    /// All or nothing, one transaction; `times` set with it.
    pub async fn patch_properties(&self, at: &NodePath, changes: Vec<PropertyChange>, times: Times) -> Result<Node> { todo!() }
    /// Locks; an unmapped path gets an empty file in the same transaction (`true`). Error::Locked(conflicting).
    pub async fn lock(&self, at: &NodePath, request: LockRequest) -> Result<(Lock, bool)> { todo!() }
    pub async fn refresh_lock(&self, at: &NodePath, token: &str, timeout: Option<Duration>) -> Result<Lock> { todo!() }
    /// Only by its owner.
    pub async fn unlock(&self, at: &NodePath, token: &str) -> Result<()> { todo!() }
    /// Unexpired locks covering the path: its own and deep ones above.
    pub async fn locks(&self, at: &NodePath) -> Result<Vec<Lock>> { todo!() }
    /// Error::Locked when a lock not among `tokens` covers it (or, when `deep`, lies below it, or, when the path is unmapped or about to vanish, covers membership of its parent).
    pub async fn check_locks(&self, at: &NodePath, deep: bool, ignore_principal: bool, tokens: &[String]) -> Result<()> { todo!() }
    /// Of the node's space.
    pub async fn usage(&self, node: &Node) -> Result<Usage> { todo!() }
    /// What changed under a collection since; `None` = everything that is there. `deep` = infinite sync-level.
    pub async fn changes(&self, under: &Node, since: Option<&Cursor>, deep: bool, limit: u32) -> Result<Changes> { todo!() }
}
