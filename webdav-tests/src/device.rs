//! A simulated device: a folder in memory that is kept in step through the sync API, as a daemon on a
//! laptop would. It knows nodes by id, names contents with the keys of their space, sends what differs
//! from the base and fetches what differs from its own.

mod delta;
mod edits;
mod events;
mod mirror;
mod push;
mod space;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use sync_server::protocol::files::{Kind, Node, Nodes};
use sync_server::protocol::stream::MEDIA_TYPE;
use sync_server::protocol::sync::{
    Change, Changes, FetchItem, FetchRefusal, FetchRequest, PushResult, Pushed,
};

pub use delta::{BadDelta, Delta, fetched};
pub use edits::{Edit, Outcome, Write};
pub use events::{Events, Heard};
pub use mirror::Mirror;
pub use push::{Push, Style, put};
pub use space::{Cut, Space};

use crate::api::{Api, encode, route};
use crate::content::assert_same;
use crate::http::{Body, Dav, Response};
use crate::server::TestServer;

/// Access tokens end after 15 minutes; long runs get fresh ones before.
const REFRESH: Duration = Duration::from_mins(10);
/// Most files it fetches in one answer.
const TOGETHER: usize = 100;
/// How often a pull is tried again when files change while they are fetched.
const TRIES: usize = 20;
/// Window of a compressed push, log2 of bytes: all that the server has to accept.
const ZSTD_WINDOW_LOG: u32 = 23;

/// Bytes of a file, shared by all places that hold them.
pub type Bytes = Arc<Vec<u8>>;

/// A device of an account.
pub struct Device {
    api: Api,
    refreshed: Instant,
    spaces: BTreeMap<i64, Arc<Space>>,
    mirror: Mirror,
    cursor: Option<String>,
    /// Most changes in one answer.
    page: u32,
    /// Contents by etag.
    contents: BTreeMap<String, Bytes>,
    /// Chunks seen in each space.
    seen: BTreeSet<(i64, [u8; 16])>,
    edits: Vec<Edit>,
    /// Whether pushes are compressed as a whole.
    zstd: bool,
}

/// Where a file of another version is described.
#[derive(Clone, Copy)]
struct Wanted<'a> {
    id: i64,
    from: Option<&'a str>,
    to: &'a str,
}

impl Device {
    /// A new device of `admin`.
    #[track_caller]
    pub fn admin(server: &TestServer, name: &str) -> Self {
        Self::new(Api::register(
            server,
            "admin",
            crate::server::ADMIN_PASSWORD,
            name,
        ))
    }

    /// A device that knows nothing yet.
    pub fn new(api: Api) -> Self {
        Self {
            api,
            refreshed: Instant::now(),
            spaces: BTreeMap::new(),
            mirror: Mirror::default(),
            cursor: None,
            page: 1000,
            contents: BTreeMap::new(),
            seen: BTreeSet::new(),
            edits: Vec::new(),
            zstd: false,
        }
    }

    /// Asks for so many changes at a time.
    #[must_use]
    pub fn with_page(mut self, page: u32) -> Self {
        self.page = page;
        self
    }

    /// Compresses pushes as a whole.
    #[must_use]
    pub fn with_zstd(mut self, zstd: bool) -> Self {
        self.zstd = zstd;
        self
    }

    /// The client below.
    pub fn api(&self) -> &Api {
        &self.api
    }

    /// Goes on with a server that was started again.
    pub fn reconnect(&mut self, server: &TestServer) {
        self.api = self.api.on(server);
    }

    /// What it knows of the server's tree.
    pub fn mirror(&self) -> &Mirror {
        &self.mirror
    }

    /// Where its last pull ended.
    pub fn cursor(&self) -> Option<&str> {
        self.cursor.as_deref()
    }

    /// Goes on from another place.
    pub fn set_cursor(&mut self, cursor: Option<&str>) {
        self.cursor = cursor.map(ToOwned::to_owned);
    }

    /// The keys of a space.
    #[track_caller]
    pub fn space(&mut self, id: i64) -> Arc<Space> {
        let api = &self.api;
        let fetch = || {
            let given = parse(&api.get(&format!("sync/keys?space={id}")), 200);
            Arc::new(Space::new(&given))
        };
        Arc::clone(self.spaces.entry(id).or_insert_with(fetch))
    }

    /// Bytes it has of a version.
    pub fn content(&self, etag: &str) -> Option<&Bytes> {
        self.contents.get(etag)
    }

    /// Its folder: collections as `None`, files with their bytes. Edits that were not sent are not in it.
    #[track_caller]
    pub fn folder(&self) -> BTreeMap<String, Option<Bytes>> {
        let tree = self.mirror.tree().into_iter();
        tree.map(|(path, node)| {
            let bytes = match node.kind {
                Kind::Collection => None,
                Kind::File => match self.contents.get(&node.etag) {
                    Some(bytes) => Some(Arc::clone(bytes)),
                    None => panic!("no bytes of {node:?}"),
                },
            };
            (path, bytes)
        })
        .collect()
    }

    /// Gets fresh tokens when the old ones end soon.
    #[track_caller]
    fn stay_logged_in(&mut self) {
        if self.refreshed.elapsed() < REFRESH {
            return;
        }
        let asked = json!({"refresh_token": self.api.refresh_token()});
        let tokens: Value = self.api.post("auth/refresh", &asked).json(200);
        self.api = self.api.with(tokens);
        self.refreshed = Instant::now();
    }
}

/// Pulling.
impl Device {
    /// Brings the folder up to what the server has; returns the changes that were heard.
    #[track_caller]
    pub fn pull(&mut self) -> Vec<Change> {
        self.stay_logged_in();
        let mut heard = Vec::new();
        for _ in 0..TRIES {
            let changes = self.hear();
            heard.extend(changes.iter().cloned());
            let old: BTreeMap<i64, String> = self.etags();
            for id in self.mirror.take(changes) {
                self.list(id);
            }
            if self.fetch_all(&old) {
                let used: BTreeSet<String> = self.etags().into_values().collect();
                self.contents.retain(|etag, _| used.contains(etag));
                return heard;
            }
        }
        panic!("files change faster than they can be fetched");
    }

    /// Takes the changes alone and leaves the bytes for later.
    #[track_caller]
    pub fn pull_nodes(&mut self) {
        self.stay_logged_in();
        let changes = self.hear();
        for id in self.mirror.take(changes) {
            self.list(id);
        }
    }

    fn etags(&self) -> BTreeMap<i64, String> {
        let files = self.mirror.files();
        files.map(|node| (node.id, node.etag.clone())).collect()
    }

    /// All changes since the cursor. When that is not valid any more, everything.
    #[track_caller]
    fn hear(&mut self) -> Vec<Change> {
        let mut changes = Vec::new();
        loop {
            let answer = self.ask(self.cursor.as_deref());
            if answer.status == 410 {
                let kind = answer.any_problem()["type"].to_string();
                assert!(kind.ends_with("-cursor\""), "{answer}");
                self.cursor = None;
                self.mirror = Mirror::default();
                changes.clear();
                continue;
            }
            let page: Changes = parse(&answer, 200);
            assert!(page.changes.len() <= self.page as usize, "{answer}");
            changes.extend(page.changes);
            assert!(
                !page.more || self.cursor.as_ref() != Some(&page.cursor),
                "the cursor does not move: {answer}"
            );
            self.cursor = Some(page.cursor);
            if !page.more {
                return changes;
            }
        }
    }

    fn ask(&self, cursor: Option<&str>) -> Response {
        let limit = self.page.to_string();
        let mut asked = vec![("limit", &*limit)];
        asked.extend(cursor.map(|cursor| ("cursor", cursor)));
        self.api.get(&route("sync/pull", &asked))
    }

    /// Takes what lies below a collection.
    #[track_caller]
    fn list(&mut self, id: i64) {
        let mut next: Option<String> = None;
        loop {
            let cursor = next.map(|next| format!("&cursor={}", encode(&next)));
            let cursor = cursor.unwrap_or_default();
            let answer = self.api.get(&format!(
                "files/list?id={id}&recursive=true&limit=1000{cursor}"
            ));
            if answer.status == 404 {
                // It went again meanwhile; the next pull tells.
                return;
            }
            let page: Nodes = parse(&answer, 200);
            page.items
                .into_iter()
                .for_each(|node| self.mirror.put(node));
            match page.next {
                Some(last) => next = Some(last),
                None => return,
            }
        }
    }

    /// Fetches the files whose bytes it does not have; `false` when one has changed meanwhile.
    #[track_caller]
    fn fetch_all(&mut self, old: &BTreeMap<i64, String>) -> bool {
        let missing = self.mirror.files();
        let missing = missing.filter(|node| !self.contents.contains_key(&node.etag));
        let missing: Vec<Node> = missing.cloned().collect();
        let (mut all, mut together) = (true, Vec::new());
        for node in missing {
            if self.contents.contains_key(&node.etag) {
                continue;
            }
            let from = old.get(&node.id).filter(|etag| **etag != node.etag);
            let from = from.filter(|etag| self.contents.contains_key(*etag));
            let from = from.map(String::as_str);
            match node.id % 3 {
                0 => together.push((node, from)),
                1 if from.is_none() => all &= self.download(&node),
                _ => all &= self.fetch(&node, from),
            }
        }
        for part in together.chunks(TOGETHER) {
            all &= self.fetch_together(part);
        }
        all
    }

    /// Makes the bytes of many files, each from those of an earlier version if there is one.
    #[track_caller]
    fn fetch_together(&mut self, wanted: &[(Node, Option<&str>)]) -> bool {
        let item = |(node, from): &(Node, Option<&str>)| FetchItem {
            id: node.id,
            from: from.map(ToOwned::to_owned),
            to: node.etag.clone(),
        };
        let given = self.fetched(wanted.iter().map(item).collect());
        let mut all = true;
        for ((node, from), given) in wanted.iter().zip(given) {
            match given {
                Ok(delta) => self.take(node, *from, &delta),
                Err(refusal) => {
                    assert_eq!(refusal.problem.name(), "not-found", "{refusal:?}");
                    let again = refusal.problem.field.as_deref() == Some("from");
                    all &= again && self.fetch(node, None);
                }
            }
        }
        all
    }

    /// Makes the bytes of a file from those of an earlier version, if there is one.
    #[track_caller]
    fn fetch(&mut self, node: &Node, from: Option<&str>) -> bool {
        let wanted = Wanted {
            id: node.id,
            from,
            to: &node.etag,
        };
        let answer = self.ask_delta(wanted);
        if answer.status == 404 {
            let field = answer.problem("not-found", 404)["field"].clone();
            return field == "from" && self.fetch(node, None);
        }
        let delta = read_delta(wanted, &answer.expect(&[200]));
        self.take(node, from, &delta);
        true
    }

    /// Keeps what a delta makes of a file.
    #[track_caller]
    fn take(&mut self, node: &Node, from: Option<&str>, delta: &Delta) {
        let empty = Bytes::default();
        let base = from.and_then(|etag| self.contents.get(etag));
        let bytes = delta.apply(base.unwrap_or(&empty));
        assert_eq!(bytes.len() as u64, delta.head.size, "{node:?}");
        let root = self.space(node.space).root(&bytes);
        assert_eq!(
            root, delta.head.root,
            "the delta gives other bytes: {node:?}"
        );
        self.keep(node.space, &node.etag, bytes);
    }

    fn ask_delta(&self, wanted: Wanted<'_>) -> Response {
        let id = wanted.id.to_string();
        let mut asked = vec![("id", &*id), ("to", wanted.to)];
        asked.extend(wanted.from.map(|from| ("from", from)));
        self.api.get(&route("sync/delta", &asked))
    }

    /// Fetches a file as it is now.
    #[track_caller]
    fn download(&mut self, node: &Node) -> bool {
        let answer = self.api.get(&format!("files/download?id={}", node.id));
        if answer.status == 404 {
            return false;
        }
        let answer = answer.expect(&[200]);
        let etag = answer.etag().trim_matches('"').to_owned();
        self.keep(node.space, &etag, answer.body);
        etag == node.etag
    }

    /// Keeps the bytes of a version and remembers their chunks.
    fn keep(&mut self, space: i64, etag: &str, bytes: Vec<u8>) {
        let cut = self.space(space).cut(&bytes);
        let chunks = cut.chunks.iter().map(|(stand_in, _)| (space, stand_in.0));
        self.seen.extend(chunks);
        if let Some(old) = self.contents.insert(etag.to_owned(), Arc::new(bytes)) {
            assert_same(&self.contents[etag], &old, etag);
        }
    }
}

/// Requests to the sync API whose answers are typed.
impl Device {
    /// The delta to a version of a file from an earlier one; must be there.
    #[track_caller]
    pub fn delta(&self, id: i64, from: Option<&str>, to: &str) -> Delta {
        let wanted = Wanted { id, from, to };
        read_delta(wanted, &self.ask_delta(wanted).expect(&[200]))
    }

    /// Many files in one answer: what makes each, or why it is not given.
    #[track_caller]
    pub fn fetched(&self, items: Vec<FetchItem>) -> Vec<Result<Delta, Box<FetchRefusal>>> {
        let asked = FetchRequest { items };
        let json = serde_json::to_value(&asked).expect("plain JSON");
        let answer = self.api.post("sync/fetch", &json).expect(&[200]);
        assert_eq!(answer.header("content-type"), Some(MEDIA_TYPE), "{answer}");
        let given = fetched(&answer.body).expect("files");
        assert_eq!(given.len(), asked.items.len());
        for (given, asked) in given.iter().zip(&asked.items) {
            match given {
                Ok(Delta { head, .. }) => {
                    let told = (head.id, head.from.as_ref(), &head.to);
                    assert_eq!(told, (asked.id, asked.from.as_ref(), &asked.to));
                }
                Err(refusal) => assert_eq!((refusal.id, &refusal.to), (asked.id, &asked.to)),
            }
        }
        given
    }

    /// Sends a push stream as it is.
    #[track_caller]
    pub fn send(&self, push: &Push) -> Response {
        self.api.post_bytes("sync/push", MEDIA_TYPE, push.bytes())
    }

    /// Sends a push stream as it is; the results of its items.
    #[track_caller]
    pub fn results(&self, push: &Push) -> Vec<PushResult> {
        parse::<Pushed>(&self.send(push), 200).results
    }

    /// Sends a push stream compressed as a whole; the results of its items.
    #[track_caller]
    pub fn results_of_zstd(&self, push: &Push) -> Vec<PushResult> {
        let headers = [("Content-Type", MEDIA_TYPE), ("Content-Encoding", "zstd")];
        let body = zstd_of(push.bytes());
        let answer = self
            .api
            .send("POST", "sync/push", &headers, Body::Bytes(&body));
        parse::<Pushed>(&answer, 200).results
    }
}

#[track_caller]
fn read_delta(wanted: Wanted<'_>, answer: &Response) -> Delta {
    assert_eq!(answer.header("content-type"), Some(MEDIA_TYPE), "{answer}");
    let delta = Delta::read(&answer.body).expect("a delta");
    let head = &delta.head;
    assert_eq!(
        (head.id, head.from.as_deref(), &*head.to),
        (wanted.id, wanted.from, wanted.to)
    );
    delta
}

/// Fails unless the device has what a WebDAV client sees, byte for byte.
#[track_caller]
pub fn assert_in_step(device: &Device, dav: &Dav) {
    let (mut theirs, ours) = (dav.tree("/dav/"), device.folder());
    for (path, bytes) in &ours {
        match (bytes, theirs.remove(path)) {
            (Some(ours), Some(Some(theirs))) => assert_same(ours, &theirs, path),
            (None, Some(None)) => {}
            (ours, theirs) => panic!("{path}: {:?} and {:?}", ours.is_some(), theirs.is_some()),
        }
    }
    // What is left may be roots of mounted spaces, which are no members of another node.
    theirs.retain(|path, _| device.mirror.at(path).is_none());
    let missing: Vec<_> = theirs.keys().collect();
    assert!(missing.is_empty(), "the device lacks {missing:?}");
}

/// The typed body of an answer with `status`.
#[track_caller]
pub fn parse<T: DeserializeOwned>(answer: &Response, status: u16) -> T {
    match serde_json::from_value(answer.json(status)) {
        Ok(value) => value,
        Err(error) => panic!("{error}: {answer}"),
    }
}

/// One zstd frame.
pub fn zstd_of(bytes: &[u8]) -> Vec<u8> {
    let packed = zstd::bulk::Compressor::new(3).and_then(|mut compressor| {
        compressor.window_log(ZSTD_WINDOW_LOG)?;
        compressor.compress(bytes)
    });
    packed.expect("zstd has memory")
}
