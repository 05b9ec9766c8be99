//! A writer: everything that changes a folder, one request after another, and what it knows of it.

use std::sync::mpsc::Sender;

use serde_json::{Value, json};
use sync_server::protocol::stream;
use webdav_tests::api::number;
use webdav_tests::content::{Noise, noise};
use webdav_tests::http::{Body, Response};
use webdav_tests::{Api, Dav, TestServer};

use super::folder::{Content, Folder, Found};

/// Names of files in a folder.
const NAMES: u64 = 8;

/// An upload in parts that was begun.
struct Parts {
    id: i64,
    name: String,
    content: Content,
    /// Bytes that were acknowledged.
    offset: usize,
}

/// What a writer knows of its folder.
pub(super) struct Writer {
    pub(super) nth: u64,
    random: Noise,
    seeds: u64,
    /// As acknowledged.
    pub(super) folder: Folder,
    /// What the request without an answer may have made of it.
    or: Vec<Folder>,
    /// Ids in trash, as the last look showed them.
    known: Vec<(String, usize, i64)>,
    parts: Option<Parts>,
    pub(super) acknowledged: u64,
}

/// The connections of a writer to a server.
pub(super) struct Lines {
    dav: Dav,
    api: Dav,
}

impl Lines {
    pub(super) fn to(server: &TestServer, api: &Api) -> Self {
        Self {
            dav: server.admin(),
            api: server.anonymous().bearer(api.access()),
        }
    }

    /// `None` when the connection broke before an answer.
    fn api(
        &self,
        method: &str,
        route: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Option<Response> {
        let body = if body.is_empty() && method == "DELETE" {
            Body::None
        } else {
            Body::Bytes(body)
        };
        self.api
            .try_send(method, &format!("/api/v1/{route}"), headers, body, None)
            .ok()
    }

    fn dav(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Body<'_>,
    ) -> Option<Response> {
        self.dav.try_send(method, path, headers, body, None).ok()
    }
}

impl Writer {
    pub(super) fn new(nth: u64) -> Self {
        Self {
            nth,
            random: Noise::new(nth + 1, 0),
            seeds: nth << 32,
            folder: Folder::default(),
            or: Vec::new(),
            known: Vec::new(),
            parts: None,
            acknowledged: 0,
        }
    }

    fn below(&mut self, most: u64) -> u64 {
        self.random.number() % most
    }

    fn name(&mut self) -> String {
        format!("f{}", self.below(NAMES))
    }

    fn href(&self, name: &str) -> String {
        format!("/dav/k{}/{name}", self.nth)
    }

    /// Often bytes that were there before, so that they are named again while collection wants them.
    fn content(&mut self) -> Content {
        self.seeds += u64::from(self.below(3) > 0);
        let lengths = [300, 5000, 9000, 40_000, 200_000];
        let nth = usize::try_from(self.below(5)).expect("small");
        (self.seeds % ((self.nth << 32) + 40), lengths[nth])
    }

    /// Notes what is about to be asked for, then whether it was done.
    fn change(
        &mut self,
        or: Vec<Folder>,
        send: impl FnOnce(&Self) -> Option<Response>,
        wanted: &[u16],
    ) -> Option<Response> {
        self.or = or;
        let answer = send(self)?;
        assert!(wanted.contains(&answer.status), "{answer}");
        if let Some(done) = self.or.pop() {
            self.folder = done;
        }
        self.or.clear();
        self.acknowledged += 1;
        Some(answer)
    }

    /// Does something; `None` when there was no answer.
    fn step(&mut self, lines: &Lines) -> Option<()> {
        let names: Vec<String> = self.folder.files.keys().cloned().collect();
        match (self.below(20), !names.is_empty()) {
            (0..=6, _) | (_, false) => self.put(lines),
            (7..=8, _) => self.push(lines),
            (9..=10, _) => self.parts(lines),
            (kind, true) => {
                let name =
                    names[usize::try_from(self.below(names.len() as u64)).expect("small")].clone();
                match kind {
                    11..=12 => self.place(lines, &name, "MOVE"),
                    13 => self.place(lines, &name, "COPY"),
                    14..=15 => self.delete(lines, &name),
                    16..=18 => self.restore(lines),
                    _ => self.purge(lines),
                }
            }
        }
    }

    fn put(&mut self, lines: &Lines) -> Option<()> {
        let (name, content) = (self.name(), self.content());
        let after = self.folder.with(|folder| folder.put(&name, content));
        let bytes = noise(content.0, content.1);
        let send = |writer: &Self| lines.dav("PUT", &writer.href(&name), &[], Body::Bytes(&bytes));
        self.change(vec![after], send, &[201, 204]).map(drop)
    }

    /// Three files in one stream; each is done or not.
    fn push(&mut self, lines: &Lines) -> Option<()> {
        let (mut body, mut or) = (Vec::new(), vec![self.folder.clone()]);
        let (mut done, mut files) = (self.folder.clone(), Vec::new());
        stream::magic(&mut body);
        for _ in 0..3 {
            let (name, content) = (self.name(), self.content());
            let path = format!("/k{}/{name}", self.nth);
            let head = json!({"op": "put", "path": path, "size": content.1}).to_string();
            stream::file(&mut body, head.as_bytes());
            stream::lit(&mut body, &noise(content.0, content.1));
            stream::end(&mut body);
            let more: Vec<_> = or
                .iter()
                .map(|folder| folder.with(|folder| folder.put(&name, content)))
                .collect();
            or.extend(more);
            files.push((name, content));
        }
        let headers = [("Content-Type", "application/vnd.sync-server.stream")];
        let answer = self.change(
            or,
            |_| lines.api("POST", "sync/push", &headers, &body),
            &[200],
        )?;
        let said: Value = serde_json::from_slice(&answer.body).expect("JSON");
        let results = said["results"].as_array().expect("results");
        assert_eq!(results.len(), 3, "{said}");
        for (result, (name, content)) in results.iter().zip(files) {
            if result["status"] == "done" {
                done = done.with(|folder| folder.put(&name, content));
            } else {
                // Collection was in the way.
                assert_eq!(result["problem"]["status"], 503, "{said}");
            }
        }
        self.folder = done;
        Some(())
    }

    /// Begins an upload, sends more of it, or finishes it.
    fn parts(&mut self, lines: &Lines) -> Option<()> {
        let Some(parts) = self.parts.take() else {
            let (name, content) = (self.name(), self.content());
            let asked = json!({"path": format!("/k{}/{name}", self.nth), "size": content.1});
            let headers = [("Content-Type", "application/json")];
            let answer = lines.api("POST", "uploads", &headers, asked.to_string().as_bytes())?;
            assert_eq!(answer.status, 201, "{answer}");
            let opened: Value = serde_json::from_slice(&answer.body).expect("JSON");
            self.parts = Some(Parts {
                id: number(&opened, "id"),
                name,
                content,
                offset: 0,
            });
            return Some(());
        };
        let Parts {
            id,
            ref name,
            content,
            offset,
        } = parts;
        if offset == content.1 {
            let after = self.folder.with(|folder| folder.put(name, content));
            let finished = self.change(
                vec![after],
                |_| lines.api("POST", &format!("uploads/{id}/finish"), &[], b""),
                &[200],
            );
            if finished.is_none() {
                self.parts = Some(parts);
            }
            return finished.map(drop);
        }
        let upto = (offset + content.1 / 3 + 1).min(content.1);
        let bytes = noise(content.0, content.1);
        let at = offset.to_string();
        let headers = [("Upload-Offset", &*at)];
        let answer = lines.api(
            "PATCH",
            &format!("uploads/{id}"),
            &headers,
            &bytes[offset..upto],
        );
        let Some(answer) = answer else {
            self.parts = Some(parts);
            return None;
        };
        assert_eq!(answer.status, 200, "{answer}");
        self.acknowledged += 1;
        self.parts = Some(Parts {
            offset: upto,
            ..parts
        });
        Some(())
    }

    /// MOVE or COPY; what lies there becomes a version of what comes.
    fn place(&mut self, lines: &Lines, from: &str, method: &str) -> Option<()> {
        let to = self.name();
        if to == from {
            return Some(());
        }
        let after = self.folder.with(|folder| {
            let content = folder.files[from];
            if method == "MOVE" {
                folder.files.remove(from);
            }
            folder.files.insert(to.clone(), content);
        });
        let (source, target) = (self.href(from), self.href(&to));
        let headers = [("Destination", &*target)];
        self.change(
            vec![after],
            |_| lines.dav(method, &source, &headers, Body::None),
            &[201, 204],
        )
        .map(drop)
    }

    fn delete(&mut self, lines: &Lines, name: &str) -> Option<()> {
        let after = self.folder.with(|folder| folder.delete(name));
        self.change(
            vec![after],
            |writer| lines.dav("DELETE", &writer.href(name), &[], Body::None),
            &[204],
        )
        .map(drop)
    }

    /// Something in trash that the last look showed: its place in the folder's, and its id.
    fn thrown(&mut self) -> Option<(usize, i64)> {
        let (name, len, id) = self.known.pop()?;
        let same = |(known, content): &(String, Content)| *known == name && content.1 == len;
        // Two of one name and length cannot be told from each other.
        let mut found = self
            .folder
            .trash
            .iter()
            .enumerate()
            .filter(|(_, thrown)| same(thrown));
        let (nth, _) = found.next()?;
        found.next().is_none().then_some((nth, id))
    }

    fn restore(&mut self, lines: &Lines) -> Option<()> {
        let Some((nth, id)) = self.thrown() else {
            return Some(());
        };
        if self.folder.files.contains_key(&self.folder.trash[nth].0) {
            return Some(());
        }
        let after = self.folder.with(|folder| folder.restore(nth));
        self.change(
            vec![after],
            |_| lines.api("POST", &format!("trash/{id}/restore"), &[], b""),
            &[200],
        )
        .map(drop)
    }

    fn purge(&mut self, lines: &Lines) -> Option<()> {
        let Some((nth, id)) = self.thrown() else {
            return Some(());
        };
        let after = self.folder.with(|folder| drop(folder.trash.remove(nth)));
        self.change(
            vec![after],
            |_| lines.api("DELETE", &format!("trash/{id}"), &[], b""),
            &[204],
        )
        .map(drop)
    }

    pub(super) fn until_killed(&mut self, lines: &Lines, report: &Sender<()>) {
        while self.step(lines).is_some() {
            // Nobody listens any more after the last answer that was waited for.
            let _seen = report.send(());
        }
    }

    /// All that was acknowledged is there, or what the last request would have made of it.
    #[track_caller]
    pub(super) fn check(&mut self, lines: &Lines, all: &[Value], round: u64) -> usize {
        let found = Found::read(&lines.dav, all, self.nth);
        let mut may = self.or.drain(..).chain([self.folder.clone()]);
        let Some(is) = may.find(|folder| folder.is(&found)) else {
            panic!(
                "round {round}, writer {}: acknowledged {:?}",
                self.nth, self.folder
            );
        };
        drop(may);
        self.folder = is;
        self.known.clone_from(&found.trash);
        if let Some(parts) = &mut self.parts {
            let answer = lines
                .api("GET", &format!("uploads/{}", parts.id), &[], b"")
                .expect("an answer");
            let state: Value = serde_json::from_slice(&answer.body).expect("JSON");
            assert_eq!(answer.status, 200, "{answer}");
            if state["finished"] == true {
                self.parts = None;
                return found.files();
            }
            let offset = usize::try_from(number(&state, "offset")).expect("an offset");
            assert!(
                offset >= parts.offset,
                "round {round}: {offset} of {} bytes of a part",
                parts.offset
            );
            parts.offset = offset;
        }
        found.files()
    }
}
