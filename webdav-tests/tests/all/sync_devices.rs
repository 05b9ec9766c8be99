//! Devices that edit the same files, crash, lose answers and meet WebDAV clients: in the end all have the
//! same, and nothing that was ever acknowledged is lost.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use sync_server::protocol::files::{Kind, Node, Nodes, Versions};
use sync_server::protocol::sync::OnConflict;
use webdav_tests::content::{Noise, noise, prose, sha1_hex};
use webdav_tests::device::{Device, Edit, Outcome, Style, assert_in_step, parse};
use webdav_tests::{Api, Dav, Setup, TestServer};

/// Files above this number make deleting likelier.
const MANY: usize = 60;
/// Names in a folder; few, so that devices meet.
const NAMES: u64 = 7;
/// Deepest folder that gets members.
const DEPTH_MAX: usize = 5;

/// Devices around a server, and what the server has promised to keep.
struct World {
    server: TestServer,
    dav: Dav,
    devices: Vec<Device>,
    random: Noise,
    round: u64,
    /// Where each acknowledged content was written, by its hash.
    ledger: BTreeMap<String, String>,
    /// What was done, for whoever has to find out why it failed.
    diary: String,
}

impl World {
    fn new(seed: u64, devices: usize) -> Self {
        // Every version stays, so that what was overwritten can be looked for.
        let server = Setup::default()
            .env("SYNC_VERSIONS__KEEP", "100000")
            .env("SYNC_VERSIONS__KEEP_ALWAYS", "100000")
            .start();
        let devices = (0..devices).map(|n| {
            let page = [1000, 3, 1][n % 3];
            let device = Device::admin(&server, &format!("device{n}")).with_page(page);
            let mut device = device.with_zstd(n % 2 == 1);
            device.pull();
            device
        });
        Self {
            dav: server.admin(),
            devices: devices.collect(),
            server,
            random: Noise::new(seed, 0),
            round: 0,
            ledger: BTreeMap::new(),
            diary: String::new(),
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
        writeln!(self.diary, "{:4} {what}", self.round).expect("memory");
    }

    /// One device does something and syncs, or does not get that far; maybe a WebDAV client, too.
    fn play(&mut self) {
        self.round += 1;
        let nth = usize::try_from(self.pick(self.devices.len() as u64)).expect("few");
        let mut device = self.devices.swap_remove(nth);
        if self.pick(7) == 0 {
            self.browse(&device);
        }
        for _ in 0..self.pick(4) {
            self.edit(&mut device, nth);
        }
        self.sync(&mut device, nth);
        self.devices.push(device);
        let last = self.devices.len() - 1;
        self.devices.swap(nth, last);
    }

    fn sync(&mut self, device: &mut Device, nth: usize) {
        match self.pick(12) {
            0 => {
                self.note(&format!("device {nth} crashes"));
                device.crash();
            }
            1 => {
                self.note(&format!("device {nth} does not hear the answer"));
                device.push_unheard();
                return;
            }
            2 => {
                self.note(&format!("device {nth} is cut off"));
                let part = self.pick(1000);
                device.push_cut(|length| {
                    usize::try_from(length as u64 * part / 1000).expect("short")
                });
                return;
            }
            3 => {
                self.note(&format!("device {nth} sends everything twice"));
                device.push_unheard();
            }
            _ => {}
        }
        let outcomes = device.push();
        self.acknowledge(&outcomes);
        let heard = device.pull().len();
        self.note(&format!("device {nth} hears of {heard}"));
    }

    fn acknowledge(&mut self, outcomes: &[Outcome]) {
        for outcome in outcomes {
            let shown = shown(&outcome.edit);
            let node = outcome.result.node.as_ref().map(|node| &*node.etag);
            let conflict = outcome.result.conflict.as_ref().map(|node| &*node.path);
            self.note(&format!("    {shown}: {node:?} {conflict:?}"));
            if let Edit::Write { path, bytes, .. } = &outcome.edit {
                let what = format!("{path} in round {}", self.round);
                self.ledger.insert(sha1_hex(bytes), what);
            }
        }
    }
}

fn shown(edit: &Edit) -> String {
    match edit {
        Edit::Write {
            path,
            bytes,
            style,
            conflict,
            ..
        } => {
            format!("write {path} {} {style:?} {conflict:?}", bytes.len())
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
impl World {
    fn edit(&mut self, device: &mut Device, nth: usize) {
        let (files, folders) = paths(device);
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
                let bytes = self.bytes(nth, device, &place);
                device.write(&place, bytes, mtime, style, conflict)
            }
            (2..=5, Some(path), _) => {
                let bytes = self.bytes(nth, device, &path);
                device.write(&path, bytes, mtime, style, conflict)
            }
            (6, Some(path), _) => device.rename(&path, &place),
            (7, _, Some(path)) => device.rename(&path, &place),
            (8, _, Some(path)) => device.remove(&path),
            (9, _, _) => device.make_folder(&place),
            (10, _, Some(path)) => device.copy(&path, &place),
            _ => {
                let bytes = self.bytes(nth, device, "/documents/hot");
                device.write("/documents/hot", bytes, mtime, style, conflict)
            }
        };
        if done {
            let edit = device.edits().last().map(shown);
            self.note(&format!("device {nth}: {}", edit.unwrap_or_default()));
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
    fn bytes(&mut self, nth: usize, device: &Device, path: &str) -> Vec<u8> {
        let mark = format!("round {} on {nth}, {}\n", self.round, self.random.number());
        let old = device.mirror().at(path);
        let old = old.and_then(|node| device.content(&node.etag));
        let mut bytes = match old {
            Some(old) => old.to_vec(),
            None => {
                let size = usize::try_from(self.pick(9)).expect("small");
                let size = [0, 10, 500, 4000, 8150, 9000, 16_380, 30_000, 90_000][size];
                if self.pick(2) == 0 {
                    prose(size)
                } else {
                    noise(self.round, size)
                }
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
    fn browse(&mut self, device: &Device) {
        let (files, folders) = paths(device);
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
                let bytes = self.bytes(99, device, file.trim_start_matches("/dav"));
                self.browser_put(&file, &bytes)
            }
            _ => {
                let bytes = self.bytes(99, device, "");
                self.browser_put(&place, &bytes)
            }
        };
        assert!(answer.status < 500, "{what}: {answer}");
        self.note(&format!("a browser: {what}: {}", answer.status));
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

/// How it ends.
impl World {
    fn end(mut self) {
        self.round += 1;
        for nth in 0..self.devices.len() {
            let outcomes = self.devices[nth].push();
            self.acknowledge(&outcomes);
        }
        for device in &mut self.devices {
            device.pull();
            assert_eq!(device.pull(), []);
            assert_in_step(device, &self.dav);
        }
        let kept = Kept::find(self.devices[0].api());
        let lost: Vec<_> = self
            .ledger
            .iter()
            .filter(|(hash, _)| !kept.hashes.contains(*hash))
            .map(|(_, what)| what)
            .collect();
        assert!(lost.is_empty(), "acknowledged and lost: {lost:?}");
        println!(
            "{} contents were acknowledged; {} files, {} contents at the end, {} from trash; the server logged {} lines",
            self.ledger.len(),
            kept.files,
            kept.hashes.len(),
            kept.restored,
            self.server.log().lines().count(),
        );
    }
}

/// Everything that a server has of an account.
#[derive(Default)]
struct Kept {
    hashes: BTreeSet<String>,
    files: usize,
    restored: usize,
}

impl Kept {
    /// Heads, versions, conflict copies, and the same of all that is in trash.
    #[track_caller]
    fn find(api: &Api) -> Self {
        let mut kept = Self::default();
        loop {
            let trash = api.all("trash?limit=1000");
            if trash.is_empty() {
                break;
            }
            for trashed in trash {
                let id = webdav_tests::api::id(&trashed);
                api.post_nothing(&format!("trash/{id}/restore"))
                    .expect(&[200]);
                kept.restored += 1;
            }
        }
        let mut seen = BTreeSet::new();
        for node in list(api) {
            kept.files += 1;
            let id = node.id;
            let versions: Versions = parse(&api.get(&format!("files/{id}/versions")), 200);
            assert_eq!(versions.items[0].etag, node.etag, "{node:?}");
            for version in versions.items {
                if seen.insert(version.etag) {
                    let number = version.number;
                    let bytes = api.get(&format!("files/download?id={id}&version={number}"));
                    kept.hashes.insert(sha1_hex(&bytes.expect(&[200]).body));
                }
            }
        }
        kept
    }
}

/// All files of an account.
#[track_caller]
fn list(api: &Api) -> Vec<Node> {
    let mut files = BTreeMap::new();
    for top in ["/", "/shared"] {
        let mut next = String::new();
        loop {
            let asked = format!("files/list?path={top}&recursive=true&limit=1000{next}");
            let page: Nodes = parse(&api.get(&asked), 200);
            let page_files = page
                .items
                .into_iter()
                .filter(|node| node.kind == Kind::File);
            files.extend(page_files.map(|node| (node.id, node)));
            match page.next {
                Some(cursor) => next = format!("&cursor={}", webdav_tests::api::encode(&cursor)),
                None => break,
            }
        }
    }
    files.into_values().collect()
}

/// Plays with a seed; when it fails, says how to play it again and what was done.
fn play(seed: u64, devices: usize, rounds: u64) {
    let mut world = World::new(seed, devices);
    let played = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        for _ in 0..rounds {
            world.play();
        }
    }));
    let mut diary = world.diary.clone();
    let ended = played
        .and_then(|()| std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| world.end())));
    if let Err(failure) = ended {
        let from = diary.floor_char_boundary(diary.len().saturating_sub(20_000));
        diary.drain(..from);
        eprintln!("SYNC_TEST_SEED={seed}: what was done last\n{diary}");
        std::panic::resume_unwind(failure);
    }
}

/// The seed of this run: `SYNC_TEST_SEED`, or always the same.
fn seed() -> u64 {
    let given = std::env::var("SYNC_TEST_SEED").ok();
    given.map_or(2026, |seed| {
        seed.parse().expect("SYNC_TEST_SEED is a number")
    })
}

#[test]
fn two_devices_agree_and_nothing_acknowledged_is_lost() {
    let rounds = if crate::long() { 5000 } else { 1000 };
    play(seed(), 2, rounds);
}

#[test]
fn three_devices_agree_and_nothing_acknowledged_is_lost() {
    let (seeds, rounds) = if crate::long() { (20, 1000) } else { (1, 100) };
    for nth in 0..seeds {
        play(seed() + nth, 3, rounds);
    }
}
