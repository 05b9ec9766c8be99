//! What somebody with a device does in a round.

use std::collections::BTreeMap;

use sync_server::protocol::files::{Kind, Node};
use sync_server::protocol::sync::OnConflict;
use webdav_tests::content::{Noise, noise, prose, sha1_hex};
use webdav_tests::device::{Device, Edit, Outcome, Style, Write};
use webdav_tests::{Dav, TestServer};

/// Files above this number make deleting likelier.
const MANY: usize = 60;
/// Names in a folder; few, so that devices meet.
const NAMES: u64 = 7;
/// Deepest folder that gets members.
const DEPTH_MAX: usize = 5;

/// Somebody with a device and a browser.
pub(super) struct Player {
    /// The device.
    pub(super) device: Device,
    dav: Dav,
    name: usize,
    random: Noise,
    /// The round that is played.
    pub(super) round: u64,
    /// Where each acknowledged content was written, by its hash.
    pub(super) ledger: BTreeMap<String, String>,
    /// What was done in which round, for whoever has to find out why it failed.
    pub(super) diary: Vec<(u64, String)>,
}

impl Player {
    /// A player whose device has pulled.
    pub(super) fn new(server: &TestServer, name: usize, seed: u64) -> Self {
        let page = [1000, 3, 1][name % 3];
        let device = Device::admin(server, &format!("device{name}")).with_page(page);
        let mut device = device.with_zstd(name % 2 == 1);
        device.pull();
        Self {
            device,
            dav: server.admin(),
            name,
            random: Noise::new(seed * 1000 + name as u64, 0),
            round: 0,
            ledger: BTreeMap::new(),
            diary: Vec::new(),
        }
    }

    fn pick(&mut self, most: u64) -> u64 {
        self.random.number() % most
    }

    fn one_of<'a, T>(&mut self, from: &'a [T]) -> Option<&'a T> {
        let most = u64::try_from(from.len()).expect("few");
        let nth = self.random.number().checked_rem(most)?;
        from.get(usize::try_from(nth).expect("few"))
    }

    fn note(&mut self, what: &str) {
        let line = format!("device {}: {what}", self.name);
        self.diary.push((self.round, line));
    }

    /// Does something and syncs, or does not get that far; maybe uses the browser, too.
    #[track_caller]
    pub(super) fn play(&mut self, round: u64) {
        self.round = round;
        if self.pick(7) == 0 {
            self.browse();
        }
        for _ in 0..self.pick(4) {
            self.edit();
        }
        match self.pick(12) {
            0 => {
                self.note("crashes");
                self.device.crash();
            }
            1 => {
                self.note("does not hear the answer");
                self.device.push_unheard();
                return;
            }
            2 => {
                self.note("is cut off");
                let part = self.pick(1000);
                let part_of = |length: usize| length as u64 * part / 1000;
                let short = |length| usize::try_from(part_of(length)).expect("short");
                self.device.push_cut(short);
                return;
            }
            3 => {
                self.note("sends everything twice");
                self.device.push_unheard();
            }
            _ => {}
        }
        self.sync();
    }

    /// Sends what was not sent and hears what others did.
    #[track_caller]
    pub(super) fn sync(&mut self) {
        let outcomes = self.device.push();
        self.acknowledge(&outcomes);
        let heard = self.device.pull().len();
        self.note(&format!("hears of {heard}"));
    }

    fn acknowledge(&mut self, outcomes: &[Outcome]) {
        for outcome in outcomes {
            let shown = shown(&outcome.edit);
            let node = outcome.result.node.as_ref().map(|node| &*node.etag);
            let conflict = outcome.result.conflict.as_ref().map(|node| &*node.path);
            self.note(&format!("    {shown}: {node:?} {conflict:?}"));
            if let Edit::Write(Write { path, bytes, .. }) = &outcome.edit {
                let what = format!("{path} in round {}", self.round);
                self.ledger.insert(sha1_hex(bytes), what);
            }
        }
    }
}

fn shown(edit: &Edit) -> String {
    match edit {
        Edit::Write(write) => {
            let (path, size) = (&write.path, write.bytes.len());
            format!("write {path} {size} {:?} {:?}", write.style, write.conflict)
        }
        Edit::MakeFolder { path } => format!("mkdir {path}"),
        Edit::Move { from, to } => format!("move {from} {to}"),
        Edit::Copy { from, to } => format!("copy {from} {to}"),
        Edit::Remove { path, .. } => format!("remove {path}"),
    }
}

/// Paths of the files and of the collections that a device knows.
fn paths(device: &Device) -> (Vec<String>, Vec<String>) {
    let nodes = device.mirror().nodes();
    let with_paths = nodes.filter_map(|node| Some((node, device.mirror().path(node)?)));
    let (files, folders): (Vec<_>, Vec<_>) =
        with_paths.partition(|(node, _)| node.kind == Kind::File);
    let paths = |of: Vec<(&Node, String)>| of.into_iter().map(|(_, path)| path).collect();
    (paths(files), paths(folders))
}

/// What people do.
impl Player {
    fn edit(&mut self) {
        let (files, folders) = paths(&self.device);
        let crowded = files.len() > MANY;
        let kind = if crowded && self.pick(2) == 0 {
            8
        } else {
            self.pick(12)
        };
        let style = [
            Style::Whole,
            Style::Delta,
            Style::Delta,
            Style::Chunks,
            Style::Same,
        ];
        let style = *self.one_of(&style).expect("some");
        let conflict = if self.pick(6) == 0 {
            OnConflict::Refuse
        } else {
            OnConflict::Keep
        };
        let mtime = 1_700_000_000_000 + i64::try_from(self.pick(1_000_000)).expect("small");
        let place = self.place(&folders);
        let (file, folder) = (self.one_of(&files).cloned(), self.one_of(&folders).cloned());
        let what = if self.pick(4) == 0 {
            folder
        } else {
            file.clone()
        };
        let done = match (kind, file, what) {
            (0 | 1, _, _) => {
                let bytes = self.bytes(&place);
                self.device.write(&place, bytes, mtime, style, conflict)
            }
            (2..=5, Some(path), _) => {
                let bytes = self.bytes(&path);
                self.device.write(&path, bytes, mtime, style, conflict)
            }
            (6, Some(path), _) | (7, _, Some(path)) => self.device.rename(&path, &place),
            (8, _, Some(path)) => self.device.remove(&path),
            (9, _, _) => self.device.make_folder(&place),
            (10, _, Some(path)) => self.device.copy(&path, &place),
            _ => {
                let bytes = self.bytes("/documents/hot");
                self.device
                    .write("/documents/hot", bytes, mtime, style, conflict)
            }
        };
        if done {
            let edit = self.device.edits().last().map(shown);
            self.note(&edit.unwrap_or_default());
        }
    }

    /// A path in one of the folders.
    fn place(&mut self, folders: &[String]) -> String {
        let shallow = |path: &&String| path.matches('/').count() < DEPTH_MAX;
        let shallow: Vec<&String> = folders.iter().filter(shallow).collect();
        let folder = self.one_of(&shallow).map_or("", |folder| folder.as_str());
        let name = ["a.txt", "b", "c.bin", "d", "e.conf", "f", "g"];
        let name = name[usize::try_from(self.pick(NAMES)).expect("small")];
        format!("{}/{name}", folder.trim_end_matches('/'))
    }

    /// Bytes for a file that nobody has written before: those of the file with edits, or new ones.
    fn bytes(&mut self, path: &str) -> Vec<u8> {
        let mark = format!(
            "round {} on {}, {}\n",
            self.round,
            self.name,
            self.random.number()
        );
        let old = self.device.mirror().at(path);
        let old = old.and_then(|node| self.device.content(&node.etag));
        let old = old.map(|old| old.to_vec());
        let mut bytes = if let Some(old) = old {
            old
        } else {
            let size = usize::try_from(self.pick(9)).expect("small");
            let size = [0, 10, 500, 4000, 8150, 9000, 16_380, 30_000, 90_000][size];
            if self.pick(2) == 0 {
                prose(size)
            } else {
                noise(self.round, size)
            }
        };
        let at = usize::try_from(self.pick(bytes.len() as u64 + 1)).expect("small");
        match self.pick(4) {
            // In place, inserted, appended, cut off.
            0 => {
                let end = bytes.len().min(at + mark.len());
                bytes.splice(at..end, mark.into_bytes());
            }
            1 => drop(bytes.splice(at..at, mark.into_bytes())),
            2 => bytes.extend_from_slice(mark.as_bytes()),
            _ => {
                bytes.truncate(at);
                bytes.extend_from_slice(mark.as_bytes());
            }
        }
        bytes
    }

    /// A WebDAV client changes something that a device knows.
    fn browse(&mut self) {
        let (files, folders) = paths(&self.device);
        let place = format!("/dav{}", self.place(&folders));
        let file = self.one_of(&files).map(|file| format!("/dav{file}"));
        let kind = self.pick(6);
        let (answer, what) = match (kind, file) {
            (0, _) => (self.dav.mkcol(&place), format!("MKCOL {place}")),
            (1, Some(file)) => (self.dav.delete(&file), format!("DELETE {file}")),
            (2, Some(file)) => (
                self.dav.rename(&file, &place),
                format!("MOVE {file} {place}"),
            ),
            (_, Some(file)) if kind < 5 => {
                let bytes = self.bytes(file.trim_start_matches("/dav"));
                self.browser_put(&file, &bytes)
            }
            _ => {
                let bytes = self.bytes("");
                self.browser_put(&place, &bytes)
            }
        };
        assert!(answer.status < 500, "{what}: {answer}");
        self.note(&format!("the browser: {what}: {}", answer.status));
    }

    fn browser_put(&mut self, path: &str, bytes: &[u8]) -> (webdav_tests::Response, String) {
        let answer = self.dav.put(path, bytes);
        if [201, 204].contains(&answer.status) {
            let what = format!("{path} by a browser in round {}", self.round);
            self.ledger.insert(sha1_hex(bytes), what);
        }
        (answer, format!("PUT {path} {}", bytes.len()))
    }
}
