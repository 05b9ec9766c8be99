//! A server that keeps a tree in memory and speaks as much of the protocol as a pass needs.

use serde_json::{Value, json as value};
use std::collections::BTreeMap;

use super::wire::{KEY, given, keys, records, refused, told, unpack};
use crate::chunk::Class;
use crate::client::journal::pack;
use crate::client::local::cutting::Cutting;
use crate::client::remote::tests::stand::{Reply, Seen, json, problem, typed, with_status};
use crate::protocol::files::{Kind, Node};
use crate::protocol::stream::{self, Record};
use crate::protocol::sync::{
    Change, Changes, FetchHead, FetchItem, FetchRefusal, FetchRequest, Need, PushItem, PushPut,
    PushResult, PushStatus, Pushed,
};
use crate::types::hex;

/// The node that is the root of the account's one space.
pub(super) const ROOT: i64 = 1;

/// Does something to the tree at a moment of the test's choice.
pub(super) type Act = Box<dyn FnOnce(&mut Model) + Send>;

/// The tree, and what was asked of it.
pub(super) struct Model {
    nodes: BTreeMap<i64, (Node, Vec<u8>)>,
    gone: Vec<(i64, i64)>,
    /// Bytes of versions that are not current, by their etags.
    olds: BTreeMap<String, Vec<u8>>,
    seq: i64,
    last: i64,
    /// What another device does when the next push has come.
    pub(super) before_push: Option<Act>,
    /// The same, for the next fetch.
    pub(super) before_fetch: Option<Act>,
    /// Changes in one answer to a pull.
    pub(super) page: usize,
    /// The pull from now on that is told that its cursor is forgotten.
    pub(super) forgets: Option<usize>,
    /// The fetch from now on whose answer breaks off, and behind how many files.
    pub(super) breaks: Option<(usize, usize)>,
    /// Whether no fetch behind that is answered.
    pub(super) is_gone: bool,
    /// Files that came whole in answers to fetches.
    pub(super) fetched: usize,
    /// Answers to the next items of pushes in place of what the model makes of them.
    pub(super) results: Vec<PushResult>,
    /// All items that were pushed.
    pub(super) pushed: Vec<PushItem>,
    /// Requests for other routes than those of a usual pass.
    pub(super) asked: Vec<String>,
}

impl Model {
    pub(super) fn new() -> Self {
        let mut model = Self {
            nodes: BTreeMap::new(),
            gone: Vec::new(),
            olds: BTreeMap::new(),
            seq: 1,
            last: ROOT,
            before_push: None,
            before_fetch: None,
            page: usize::MAX,
            forgets: None,
            breaks: None,
            is_gone: false,
            fetched: 0,
            results: Vec::new(),
            pushed: Vec::new(),
            asked: Vec::new(),
        };
        let root = model.node(ROOT, None, "", Kind::Collection);
        model.nodes.insert(ROOT, (root, Vec::new()));
        model
    }

    fn node(&self, id: i64, parent: Option<i64>, name: &str, kind: Kind) -> Node {
        let begin = if kind == Kind::File { 'f' } else { 'd' };
        Node {
            id,
            space: 1,
            parent,
            path: String::new(),
            name: name.to_owned(),
            kind,
            size: 0,
            mtime: 1000,
            created: 1000,
            etag: format!("{begin}{}", self.seq),
            version: 1,
            seq: self.seq,
            checksum: None,
            executable: false,
            link: false,
        }
    }

    /// The id at a path without a leading slash.
    pub(super) fn find(&self, path: &str) -> Option<i64> {
        let names = path.split('/').filter(|name| !name.is_empty());
        let mut at = ROOT;
        for name in names {
            let mut nodes = self.nodes.values().map(|(node, _)| node);
            at = nodes
                .find(|node| node.parent == Some(at) && node.name == name)?
                .id;
        }
        Some(at)
    }

    /// Where a node lies.
    fn path(&self, id: i64) -> Option<String> {
        let (mut names, mut at) = (Vec::new(), id);
        while at != ROOT {
            let (node, _) = self.nodes.get(&at)?;
            names.push(node.name.as_str());
            at = node.parent?;
        }
        names.reverse();
        Some(names.join("/"))
    }

    /// The etag of what is at a path.
    pub(super) fn etag(&self, path: &str) -> String {
        self.nodes[&self.find(path).unwrap()].0.etag.clone()
    }

    fn told(&self, id: i64) -> Node {
        let mut node = self.nodes[&id].0.clone();
        let (mut path, mut at) = (String::new(), id);
        while at != ROOT {
            let above = &self.nodes[&at].0;
            path = format!("/{}{path}", above.name);
            at = above.parent.unwrap();
        }
        node.path = path;
        node
    }

    /// All files and collections with their bytes, by path.
    pub(super) fn tree(&self) -> BTreeMap<String, String> {
        let nodes = self.nodes.iter().filter(|(id, _)| **id != ROOT);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        nodes
            .map(|(id, (_, bytes))| (self.told(*id).path[1..].to_owned(), text(bytes)))
            .collect()
    }

    fn place(&self, path: &str) -> Option<(i64, String)> {
        let (dir, name) = path.rsplit_once('/').unwrap_or(("", path));
        Some((self.find(dir)?, name.to_owned()))
    }

    pub(super) fn mkdir(&mut self, path: &str) -> i64 {
        self.write(path, Kind::Collection, b"")
    }

    pub(super) fn put(&mut self, path: &str, bytes: &str) -> i64 {
        self.write(path, Kind::File, bytes.as_bytes())
    }

    fn write(&mut self, path: &str, kind: Kind, bytes: &[u8]) -> i64 {
        self.seq += 1;
        let (parent, name) = self.place(path).unwrap();
        let id = self.find(path).unwrap_or_else(|| {
            self.last += 1;
            self.last
        });
        let mut node = self.node(id, Some(parent), &name, kind);
        node.size = bytes.len() as u64;
        if let Some((old, bytes)) = self.nodes.insert(id, (node, bytes.to_vec())) {
            self.olds.insert(old.etag, bytes);
        }
        id
    }

    pub(super) fn rename(&mut self, from: &str, to: &str) {
        self.seq += 1;
        let id = self.find(from).unwrap();
        let (parent, name) = self.place(to).unwrap();
        assert!(self.find(to).is_none(), "{to} is taken");
        let (node, _) = self.nodes.get_mut(&id).unwrap();
        (node.parent, node.name, node.seq) = (Some(parent), name, self.seq);
    }

    pub(super) fn remove(&mut self, path: &str) {
        self.seq += 1;
        let mut left = vec![self.find(path).unwrap()];
        while let Some(id) = left.pop() {
            self.nodes.remove(&id);
            self.gone.push((self.seq, id));
            let below = self
                .nodes
                .values()
                .filter(|(node, _)| node.parent == Some(id));
            left.extend(below.map(|(node, _)| node.id));
        }
    }

    /// Answers a request.
    pub(super) fn answer(&mut self, seen: &Seen) -> Reply {
        let route = seen.route.trim_start_matches("/api/v1/");
        let (path, query) = route.split_once('?').unwrap_or((route, ""));
        let query: BTreeMap<_, _> = form_urlencoded::parse(query.as_bytes()).collect();
        let id = || query.get("id").and_then(|id| id.parse::<i64>().ok());
        match path {
            "sync/status" => json(&self.status()),
            "sync/keys" => {
                let key = hex(&KEY);
                json(
                    &value!({"space": 1, "chunk": key, "blind": key, "root": key, "gear": "0000000000000007"}),
                )
            }
            "sync/pull" => {
                let since = query
                    .get("cursor")
                    .map_or(0, |since| since.parse().unwrap());
                let forgets = self.forgets.take();
                self.forgets = forgets.and_then(|left| left.checked_sub(1));
                if forgets == Some(0) {
                    return problem(410, "expired-cursor");
                }
                json(&self.changes(since))
            }
            "files/list" => json(&value!({"items": self.below(id().unwrap()), "next": null})),
            "sync/push" => {
                if let Some(act) = self.before_push.take() {
                    act(self);
                }
                json(&self.push(&seen.body))
            }
            "sync/fetch" => {
                if let Some(act) = self.before_fetch.take() {
                    act(self);
                }
                self.answer_fetch(&seen.body)
            }
            "sync/manifest" => {
                self.asked.push(path.to_owned());
                let (node, bytes) = &self.nodes[&id().unwrap()];
                let etag = query.get("etag").map(|etag| &**etag);
                if etag != Some(&*node.etag) && !self.olds.contains_key(etag.unwrap_or("")) {
                    return problem(404, "not-found");
                }
                let bytes = etag.and_then(|etag| self.olds.get(etag)).unwrap_or(bytes);
                let list = Cutting::whole(Class::Small, bytes, &keys());
                typed("application/vnd.sync-server.manifest", pack(&list.chunks))
            }
            _ => self.other(seen.method.as_str(), path),
        }
    }

    fn other(&mut self, method: &str, path: &str) -> Reply {
        let info = path
            .strip_prefix("files/")
            .and_then(|rest| rest.strip_suffix("/info"));
        if let Some(id) = info.and_then(|id| id.parse().ok()) {
            let is_there = self.nodes.contains_key(&id);
            return if is_there {
                json(&self.told(id))
            } else {
                problem(404, "not-found")
            };
        }
        self.asked.push(format!("{method} {path}"));
        match method {
            "DELETE" => with_status(typed("text/plain", ""), 204),
            _ => problem(404, "not-found"),
        }
    }

    fn status(&self) -> Value {
        value!({
            "account": {"id": 1, "name": "alice", "admin": false}, "device": null, "last_sync": null,
            "spaces": [{"id": 1, "path": "/", "root": ROOT, "seq": self.seq}],
            "cursor": self.seq.to_string(), "conflicts": 0, "version": "1", "time": 0
        })
    }

    fn changes(&self, since: i64) -> Changes {
        let ids = self.nodes.values().filter(|(node, _)| node.seq > since);
        let mut there: Vec<_> = ids.map(|(node, _)| (node.seq, node.id)).collect();
        there.sort_unstable();
        let change = |id, node: Option<Node>| Change {
            id,
            space: 1,
            deleted: node.is_none(),
            restored: false,
            node,
        };
        let gone = self.gone.iter().filter(|(seq, _)| *seq > since);
        let gone = gone.map(|(seq, id)| (*seq, change(*id, None)));
        let there = there
            .into_iter()
            .map(|(seq, id)| (seq, change(id, Some(self.told(id)))));
        let mut changes: Vec<_> = gone.chain(there).collect();
        changes.sort_by_key(|(seq, _)| *seq);
        // A turn is not told in two parts.
        let last = changes.get(self.page.saturating_sub(1));
        let last = last.map_or(self.seq, |(seq, _)| *seq);
        let more = changes.last().is_some_and(|(seq, _)| *seq > last);
        changes.retain(|(seq, _)| *seq <= last);
        Changes {
            changes: changes.into_iter().map(|(_, change)| change).collect(),
            cursor: if more { last } else { self.seq }.to_string(),
            more,
        }
    }

    fn below(&self, id: i64) -> Vec<Node> {
        let (mut ids, mut at) = (vec![id], 0);
        while let Some(above) = ids.get(at).copied() {
            let below = self
                .nodes
                .values()
                .filter(|(node, _)| node.parent == Some(above));
            ids.extend(below.map(|(node, _)| node.id));
            at += 1;
        }
        ids.into_iter().skip(1).map(|id| self.told(id)).collect()
    }

    fn push(&mut self, body: &[u8]) -> Pushed {
        let mut items: Vec<(PushItem, Vec<u8>, bool)> = Vec::new();
        for record in records(body) {
            match (record, items.last_mut()) {
                (Record::File(json), _) => {
                    items.push((serde_json::from_slice(&json).unwrap(), Vec::new(), true));
                }
                (Record::LitPart(bytes), Some((_, all, _))) => all.extend_from_slice(&bytes),
                (Record::Lit { .. } | Record::End, _) => {}
                // Only whole contents are kept.
                (_, Some((_, _, is_whole))) => *is_whole = false,
                (_, None) => panic!("an operation of nothing"),
            }
        }
        let mut results = Vec::new();
        for (item, bytes, is_whole) in items {
            let result = if self.results.is_empty() {
                self.act(&item, &bytes, is_whole)
            } else {
                self.results.remove(0)
            };
            self.pushed.push(item);
            results.push(result);
        }
        Pushed { results }
    }

    fn act(&mut self, item: &PushItem, bytes: &[u8], is_whole: bool) -> PushResult {
        match item {
            PushItem::Put(put) if is_whole => self.take(put, bytes),
            PushItem::Put(_) => PushResult {
                need: Some(Need::Content),
                ..PushResult::bare(PushStatus::Need)
            },
            PushItem::Mkdir { path, .. } => {
                let path = &path[1..];
                let id = self.find(path).unwrap_or_else(|| self.mkdir(path));
                self.done(id)
            }
            PushItem::Move { from, to, .. } => {
                let (from, to) = (&from[1..], &to[1..]);
                if self.find(to).is_some() || self.find(from).is_none() {
                    return refused("exists");
                }
                self.rename(from, to);
                self.done(self.find(to).unwrap())
            }
            PushItem::Copy { .. } => panic!("clients do not ask for copies"),
            PushItem::Delete {
                path,
                id,
                parent,
                base,
            } => {
                let is_there = |id: &i64| {
                    let node = self.nodes.get(id).map(|(node, _)| node);
                    let name = path.rsplit('/').next();
                    node.is_none_or(|node| node.parent == *parent && Some(&*node.name) == name)
                };
                if !id.iter().all(is_there) {
                    return PushResult::bare(PushStatus::Stale);
                }
                let path = match id {
                    Some(id) => self.path(*id),
                    None => Some(path[1..].to_owned()),
                };
                let id = path.as_deref().and_then(|path| self.find(path));
                let etag = id.map(|id| self.nodes[&id].0.etag.clone());
                if id.is_some() && base.is_some() && *base != etag {
                    return PushResult::bare(PushStatus::Stale);
                }
                if let Some(path) = path.filter(|_| id.is_some()) {
                    self.remove(&path);
                }
                PushResult::bare(PushStatus::Done)
            }
        }
    }

    /// Nothing here ever wins against what is current: it is told to hear of that first.
    fn take(&mut self, put: &PushPut, bytes: &[u8]) -> PushResult {
        let path = &put.path[1..];
        let id = self.find(path);
        let etag = id.map_or("none".to_owned(), |id| self.nodes[&id].0.etag.clone());
        if put.base.as_ref() != Some(&etag) {
            return PushResult::bare(PushStatus::Stale);
        }
        let id = self.write(path, Kind::File, bytes);
        let node = &mut self.nodes.get_mut(&id).unwrap().0;
        (node.mtime, node.link) = (put.mtime.unwrap_or(0), put.link);
        node.executable = put.executable.unwrap_or(false);
        PushResult {
            etag: Some(node.etag.clone()),
            ..self.done(id)
        }
    }

    /// What is said of bytes that are current at a path after they met others.
    pub(super) fn wins(&self, path: &str, other: &str) -> PushResult {
        let id = self.find(path).unwrap();
        let copy = self.find(other).unwrap();
        PushResult {
            etag: Some(self.nodes[&id].0.etag.clone()),
            conflict: Some(self.told(copy)),
            ..self.done(id)
        }
    }

    fn done(&self, id: i64) -> PushResult {
        PushResult {
            node: Some(self.told(id)),
            ..PushResult::bare(PushStatus::Done)
        }
    }

    fn answer_fetch(&mut self, body: &[u8]) -> Reply {
        let body = unpack(body);
        let asked: FetchRequest = serde_json::from_slice(&body).unwrap();
        let mut items = asked.items;
        let mut rest = None;
        match self.breaks {
            None if self.is_gone => return problem(500, "internal"),
            None => {}
            Some((0, files)) => {
                self.breaks = None;
                rest = Some(items.split_off(files));
            }
            Some((left, files)) => self.breaks = Some((left - 1, files)),
        }
        self.fetched += items.len();
        let mut out = self.fetch(items);
        if let Some(rest) = rest {
            let next = self.fetch(rest);
            out.extend_from_slice(&next[4..50]);
        }
        typed(stream::MEDIA_TYPE, out)
    }

    fn fetch(&self, items: Vec<FetchItem>) -> Vec<u8> {
        let mut out = Vec::new();
        stream::magic(&mut out);
        for item in items {
            let there = self
                .nodes
                .get(&item.id)
                .filter(|(node, _)| node.etag == item.to);
            let head = match there {
                Some((node, bytes)) => FetchHead::Given(given(node, bytes)),
                None => FetchHead::Refused(FetchRefusal {
                    id: item.id,
                    to: item.to,
                    problem: told("not-found"),
                }),
            };
            stream::file(&mut out, &serde_json::to_vec(&head).unwrap());
            if let Some((_, bytes)) = there {
                stream::lit(&mut out, bytes);
            }
            stream::end(&mut out);
        }
        out
    }
}
