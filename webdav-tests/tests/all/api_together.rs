//! Everything at once: devices of two accounts and WebDAV clients on the same few names, with a kill
//! in between. Whatever they were answered, what is there afterwards must add up.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use webdav_tests::api::{PREFIX, encode, id, number, route, text};
use webdav_tests::content::{Noise, noise};
use webdav_tests::http::Body;
use webdav_tests::{Api, Dav, TestServer, xml};

const PASSWORD: &str = "a long password 1";
const WORKERS: u64 = 6;
/// What each of them does before it is added up.
const DEEDS: usize = 100;
const TOPS: [&str; 3] = ["/documents", "/photos", "/shared"];

/// One who does things at random, through both doors.
struct Worker {
    api: Api,
    dav: Dav,
    random: Noise,
}

impl Worker {
    fn pick(&mut self, below: usize) -> usize {
        usize::try_from(self.random.number() % below as u64).expect("small")
    }

    /// A path that others use as well: a file or collection, one or two levels deep.
    fn path(&mut self) -> String {
        let top = TOPS[self.pick(TOPS.len())];
        match self.pick(3) {
            0 => format!("{top}/{}", self.pick(4)),
            1 => format!("{top}/{}/{}", self.pick(4), self.pick(4)),
            _ => format!("{top}/f{}", self.pick(4)),
        }
    }

    /// Bytes of a few contents that others have, too.
    fn bytes(&mut self) -> Vec<u8> {
        let sizes = [0, 10, 20_000, 300_000];
        let size = sizes[self.pick(sizes.len())];
        noise(self.random.number() % 20, size)
    }

    /// Does one thing; `None` when the server is gone.
    fn act(&mut self) -> Option<()> {
        let (path, other) = (self.path(), self.path());
        let overwrite = self.pick(2) == 0;
        let both = json!({"from": path, "to": other, "overwrite": overwrite});
        match self.pick(12) {
            0 | 1 => {
                let bytes = self.bytes();
                let bases = [None, Some("none"), Some("f1"), Some("f2")];
                let base = bases[self.pick(bases.len())];
                let mut parameters = vec![("path", &*path)];
                parameters.extend(base.map(|base| ("base", base)));
                let upload = route("files/upload", &parameters);
                self.ask("POST", &upload, "application/octet-stream", &bytes)?;
            }
            2 => drop(self.post("files/mkdir", &json!({"path": path, "parents": overwrite}))?),
            3 | 4 => drop(self.post("files/move", &both)?),
            5 => drop(self.post("files/copy", &both)?),
            6 => {
                let node = self.get(&route("files/info", &[("path", &path)]))?;
                if let Some(id) = node["id"].as_i64() {
                    self.ask("DELETE", &format!("files/{id}"), "", b"")?;
                }
            }
            7 => self.on_one_of("trash", |id| format!("trash/{id}/restore"), &Value::Null)?,
            8 => {
                let keep = ["both", "node", "copy"][self.pick(3)];
                let resolve = |id| format!("conflicts/{id}/resolve");
                self.on_one_of("conflicts", resolve, &json!({"keep": keep}))?;
            }
            9 => {
                let node = self.get(&route("files/info", &[("path", &path)]))?;
                let number = self.pick(4);
                if let Some(id) = node["id"].as_i64() {
                    let restore = format!("files/{id}/versions/{number}/restore");
                    self.post(&restore, &Value::Null)?;
                }
            }
            _ => self.by_webdav(&path, &other)?,
        }
        Some(())
    }

    fn by_webdav(&mut self, path: &str, other: &str) -> Option<()> {
        let (path, other) = (format!("/dav{path}"), format!("/dav{other}"));
        let bytes = self.bytes();
        let (method, body) = [
            ("PUT", &*bytes),
            ("MOVE", b""),
            ("COPY", b""),
            ("DELETE", b""),
        ][self.pick(4)];
        let headers = [("Destination", &*other)];
        let body = Body::Bytes(body);
        let answer = self
            .dav
            .try_send(method, &path, &headers, body, None)
            .ok()?;
        assert!(answer.status < 500, "{method} {path}: {answer}");
        Some(())
    }

    fn on_one_of(&mut self, list: &str, verb: impl Fn(i64) -> String, body: &Value) -> Option<()> {
        let page = self.get(list)?;
        let items = page["items"].as_array().expect("items");
        if !items.is_empty() {
            let nth = self.pick(items.len());
            self.post(&verb(id(&items[nth])), body)?;
        }
        Some(())
    }

    fn get(&self, asked: &str) -> Option<Value> {
        self.ask("GET", asked, "", b"")
    }

    fn post(&self, asked: &str, body: &Value) -> Option<Value> {
        match body {
            Value::Null => self.ask("POST", asked, "", b""),
            body => self.ask(
                "POST",
                asked,
                "application/json",
                body.to_string().as_bytes(),
            ),
        }
    }

    /// Every answer is JSON, and none says that the server failed.
    fn ask(&self, method: &str, asked: &str, media: &str, body: &[u8]) -> Option<Value> {
        let path = format!("{PREFIX}{asked}");
        let headers = [("Content-Type", media)];
        let headers = if media.is_empty() {
            &[][..]
        } else {
            &headers[..]
        };
        let body = Body::Bytes(body);
        let answer = self
            .api
            .http()
            .try_send(method, &path, headers, body, None)
            .ok()?;
        // A move into another space gives up when its source is written to again and again.
        let gave_up = asked == "files/move" && answer.status == 503;
        assert!(gave_up || answer.status < 500, "{method} {asked}: {answer}");
        if answer.status >= 400 {
            return Some(answer.any_problem());
        }
        match answer.status {
            204 => Some(Value::Null),
            status => Some(answer.json(status)),
        }
    }
}

/// Lets all of them work until each has done `deeds` things or the server is gone.
fn work(workers: Vec<Worker>, deeds: usize, meanwhile: impl FnOnce()) -> Vec<Worker> {
    std::thread::scope(|scope| {
        let working: Vec<_> = workers
            .into_iter()
            .map(|mut worker| {
                scope.spawn(move || {
                    for _ in 0..deeds {
                        if worker.act().is_none() {
                            break;
                        }
                    }
                    worker
                })
            })
            .collect();
        meanwhile();
        working
            .into_iter()
            .map(|thread| thread.join().expect("a worker"))
            .collect()
    })
}

/// What an account sees adds up: sizes, usage, bytes, WebDAV, and the feed.
#[track_caller]
fn assert_sound(api: &Api, dav: &Dav) {
    let nodes = api.all("files/list?recursive=true&limit=1000");
    let by_path: BTreeMap<&str, &Value> = nodes
        .iter()
        .map(|node| (text(node, "path"), node))
        .collect();
    assert_eq!(by_path.len(), nodes.len(), "a path twice");
    let below = |path: &str| -> i64 {
        let inside = nodes.iter().filter(|node| node["kind"] == "file");
        let inside = inside.filter(|node| text(node, "path").starts_with(&format!("{path}/")));
        inside.map(|node| number(node, "size")).sum()
    };
    for (path, node) in &by_path {
        if node["kind"] == "file" {
            let size = usize::try_from(number(node, "size")).expect("a size");
            assert_eq!(api.download(path).len(), size, "{node}");
            let list = api.get(&format!("files/{}/versions", id(node))).json(200);
            assert_eq!(list["items"][0]["etag"], node["etag"], "{node}");
        } else {
            assert_eq!(number(node, "size"), below(path), "{node}");
            let url = path.split('/').map(encode).collect::<Vec<_>>().join("/");
            let here = api.names(path);
            let there = dav.propfind(&format!("/dav{url}/"), "1", xml::LIST);
            // It tells of the collection itself, too
            assert_eq!(there.entries.len(), here.len() + 1, "{path}: {here:?}");
        }
    }
    let usage = api.get("usage").json(200);
    let trash = api.all("trash?limit=1000");
    for space in usage["spaces"].as_array().expect("spaces") {
        let path = text(space, "path").trim_end_matches('/');
        let shared = if path.is_empty() { below("/shared") } else { 0 };
        assert_eq!(number(space, "used"), below(path) - shared, "{space}");
        let deleted = trash.iter().filter(|node| node["space"] == space["id"]);
        let deleted: i64 = deleted.map(|node| number(node, "size")).sum();
        assert_eq!(number(space, "trash"), deleted, "{space}");
    }
    assert_feed(api, &by_path);
}

/// A first pull is the listing.
#[track_caller]
fn assert_feed(api: &Api, by_path: &BTreeMap<&str, &Value>) {
    let (changes, cursor) = api.pull(None);
    // What is gone may be told as well, from the second page on
    let told = changes.iter().filter(|change| change["deleted"] == false);
    let told = told.map(|change| &change["node"]);
    let told: BTreeMap<&str, &Value> = told.map(|node| (text(node, "path"), node)).collect();
    for (path, node) in by_path {
        let known = told
            .get(path)
            .unwrap_or_else(|| panic!("{path} was not told"));
        for field in ["id", "etag", "kind", "size", "mtime"] {
            assert_eq!(known[field], node[field], "{field} of {path}");
        }
    }
    // Roots are told, too
    let more: Vec<_> = told
        .keys()
        .filter(|path| !by_path.contains_key(*path))
        .collect();
    assert!(more.iter().all(|path| **path == "/"), "{more:?}");
    assert_eq!(api.pull(Some(&cursor)).0, Vec::<Value>::new());
}

#[test]
fn whatever_all_do_at_once_adds_up_afterwards_and_after_a_kill() {
    let rounds = if crate::long() { 40 } else { 3 };
    for round in 0..rounds {
        one_round(round);
    }
}

fn one_round(round: u64) {
    let mut server = TestServer::start();
    server.add_user("bob", PASSWORD, None);
    let accounts = [
        Api::admin(&server),
        Api::register(&server, "bob", PASSWORD, "laptop"),
    ];
    let davs = |server: &TestServer| {
        let bob = server.anonymous().login("bob", PASSWORD);
        [server.admin(), bob]
    };
    let workers = (0..WORKERS).map(|n| {
        let account = usize::from(n >= WORKERS / 2);
        let (api, dav) = (accounts[account].again(), davs(&server)[account].again());
        let random = Noise::new(round * WORKERS + n, 0);
        Worker { api, dav, random }
    });
    let workers = work(workers.collect(), DEEDS, || ());
    for (api, dav) in accounts.iter().zip(&davs(&server)) {
        assert_sound(api, dav);
    }
    // And once more, until the plug is pulled
    work(workers, usize::MAX, || {
        let pause = std::time::Duration::from_millis(200 + 50 * (round % 8));
        std::thread::sleep(pause);
        server.kill9();
    });
    server.start_again();
    let accounts = accounts.map(|api| api.on(&server));
    for (api, dav) in accounts.iter().zip(&davs(&server)) {
        assert_sound(api, dav);
    }
}
