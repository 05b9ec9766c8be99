//! Clients that write and read while faults come and go, and know what they were told.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering::SeqCst};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use webdav_tests::api::{PREFIX, route};
use webdav_tests::content::{Noise, noise};
use webdav_tests::faults::{Fault, Faults};
use webdav_tests::http::Body;
use webdav_tests::{Api, Dav, Response, TestServer};

const WRITERS: u64 = 4;
const NAMES: u64 = 12;
/// Longest wait until a fault was met as often as a cell wants.
const FAULT_LIMIT: Duration = Duration::from_secs(40);
/// Longest time from the end of a fault until everything works again.
const BACK_WITHIN: Duration = Duration::from_secs(10);
/// Answers that say done before a fault begins, and again after it.
const CALM: u64 = 24;

/// What a file holds: the seed and length of its noise; `None` when it is not there.
type State = Option<(u64, usize)>;

/// What one writer knows about one file.
#[derive(Clone, Default)]
struct Known {
    acknowledged: State,
    /// What was asked for since and refused or not answered: done or not, nobody was told.
    maybe: Vec<State>,
}

impl Known {
    fn may_be(&self, is: impl Fn(State) -> bool) -> Option<State> {
        let mut all = std::iter::once(&self.acknowledged).chain(&self.maybe);
        all.find(|state| is(**state)).copied()
    }
}

type Files = BTreeMap<String, Known>;

/// One line of a table.
#[derive(Clone, Copy)]
pub struct Cell {
    pub name: &'static str,
    pub fault: Fault,
    /// Whether it begins with the process, before anything was opened.
    pub at_once: bool,
    /// Refusals of writes that may come, one of which must; none when the fault does not show.
    pub writes: &'static [u16],
    /// Refusals of reads that may come.
    pub reads: &'static [u16],
    /// Whether one of them must.
    pub shows_in_reads: bool,
    /// Whether `/health` must say that something is wrong meanwhile.
    pub degraded: bool,
}

/// What the report needs.
#[derive(Debug, Default)]
pub struct Figures {
    pub cells: u32,
    pub faults: u32,
    pub lost_pages: u32,
    pub acknowledged: u64,
    pub checked: u64,
    /// Files read as they should be while something failed.
    pub read_meanwhile: u64,
}

impl Figures {
    pub fn print(&self, what: &str) {
        println!(
            "{what}: {} cells, {} faults injected, {} pages lost by failed syncs, {} writes acknowledged, \
             {} files read back after power cuts",
            self.cells, self.faults, self.lost_pages, self.acknowledged, self.checked
        );
    }
}

const CALM_NOW: u8 = 0;
const FAULTY: u8 = 1;
const RECOVERED: u8 = 2;

/// What the writers of one round share.
struct Stage {
    now: AtomicU8,
    acknowledged: AtomicU64,
    refused: AtomicU64,
    unread: AtomicU64,
    read_meanwhile: AtomicU64,
    writes: &'static [u16],
    reads: &'static [u16],
}

impl Stage {
    /// Whether there were faults from then till now.
    fn was_faulty(&self, before: u8) -> bool {
        before == FAULTY || self.now.load(SeqCst) == FAULTY
    }
}

/// One server on a disk that can fail, and what its clients know.
pub struct World {
    pub server: TestServer,
    pub faults: Faults,
    files: Vec<Files>,
    round: u64,
    pub figures: Figures,
}

impl World {
    pub fn new() -> Self {
        let faults = Faults::new();
        let server = faults.setup().start();
        assert!(faults.is_ready(), "the library is not in the server");
        let dav = server.admin();
        for writer in 0..WRITERS {
            dav.mkcol(&format!("/dav/w{writer}/")).expect(&[201]);
        }
        Self {
            server,
            faults,
            files: (0..WRITERS).map(|_| Files::new()).collect(),
            round: 0,
            figures: Figures::default(),
        }
    }

    /// Lets a fault come and go beside writers, cuts the power, and reads everything back.
    pub fn live_through(&mut self, cell: &Cell) {
        self.round += 1;
        let stage = Arc::new(Stage {
            now: AtomicU8::new(CALM_NOW),
            acknowledged: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            unread: AtomicU64::new(0),
            read_meanwhile: AtomicU64::new(0),
            writes: cell.writes,
            reads: cell.reads,
        });
        if cell.at_once {
            stage.now.store(FAULTY, SeqCst);
            self.faults.begin(cell.fault);
        }
        let writers = self.begin(&stage);
        if !cell.at_once {
            wait(cell.name, "calm", || {
                stage.acknowledged.load(SeqCst) >= CALM
            });
            stage.now.store(FAULTY, SeqCst);
            self.faults.begin(cell.fault);
        }
        self.meet(cell, &stage);
        self.faults.end();
        self.comes_back(cell);
        stage.now.store(RECOVERED, SeqCst);
        let before = stage.acknowledged.load(SeqCst);
        wait(cell.name, "after", || {
            stage.acknowledged.load(SeqCst) >= before + CALM
        });
        self.cut(writers);
        self.figures.cells += 1;
        self.figures.faults += self.faults.hits();
        self.figures.read_meanwhile += stage.read_meanwhile.load(SeqCst);
        self.figures.acknowledged += stage.acknowledged.load(SeqCst);
        self.check(cell.name);
        self.figures.lost_pages = self.faults.lost();
    }

    /// The fault is met, and shown to clients where the cell says so.
    fn meet(&self, cell: &Cell, stage: &Stage) {
        let shown = |must: bool, seen: &AtomicU64| !must || seen.load(SeqCst) >= 3;
        let dav = self.server.anonymous();
        let ill = || {
            let health = dav.get("/health").expect(&[200, 503]);
            health.status == 503 && health.text().contains("degraded")
        };
        wait(cell.name, "the fault", || {
            self.faults.hits() >= 3
                && shown(!cell.writes.is_empty(), &stage.refused)
                && shown(cell.shows_in_reads, &stage.unread)
                && (!cell.degraded || ill())
        });
    }

    /// Small and large files are written and read, and the server says that it is well.
    fn comes_back(&self, cell: &Cell) {
        let since = Instant::now();
        let dav = self.server.admin();
        let round = self.round;
        let works = || {
            let well = dav.get("/health").status == 200;
            let written = [100, 100_000].iter().all(|&len| {
                let path = format!("/dav/probe{len}");
                let bytes = noise(round, len);
                let put = dav.put(&path, &bytes).expect(&[201, 204, 503, 507]);
                put.status < 300 && dav.get(&path).body == bytes
            });
            well && written
        };
        while !works() {
            assert!(
                since.elapsed() < BACK_WITHIN,
                "{}: it is not well again",
                cell.name
            );
            thread::sleep(Duration::from_millis(30));
        }
    }

    /// Cuts the power under the writers and starts the server again.
    fn cut(&mut self, writers: Vec<JoinHandle<Files>>) {
        self.faults.cut();
        self.files = writers
            .into_iter()
            .map(|writer| writer.join().expect("a writer"))
            .collect();
        self.server.ends_by_itself();
        self.faults.uncut();
        self.server.start_again();
    }

    fn begin(&mut self, stage: &Arc<Stage>) -> Vec<JoinHandle<Files>> {
        let files = std::mem::take(&mut self.files);
        let begun = files.into_iter().zip(0..).map(|(files, writer)| {
            let (dav, stage) = (self.server.admin(), Arc::clone(stage));
            // Every other one writes by the sync API.
            let api = (writer % 2 == 1).then(|| Api::admin(&self.server).http().again());
            let random = Noise::new(self.round * WRITERS + writer, 0);
            thread::spawn(move || {
                write_until_cut(&Clients { dav, api }, writer, files, random, &stage)
            })
        });
        begun.collect()
    }

    /// Every file is as acknowledged, or as something that was not answered would have made it.
    fn check(&mut self, cell: &str) {
        let dav = self.server.admin();
        for (path, known) in self.files.iter_mut().flatten() {
            let answer = dav.get(path).expect(&[200, 404]);
            let found = known.may_be(|state| match state {
                Some((seed, len)) => answer.status == 200 && answer.body == noise(seed, len),
                None => answer.status == 404,
            });
            let Some(found) = found else {
                panic!(
                    "{cell}, {path}: {} with {} bytes; acknowledged {:?}, perhaps {:?}",
                    answer.status,
                    answer.body.len(),
                    known.acknowledged,
                    known.maybe
                );
            };
            self.figures.checked += 1;
            *known = Known {
                acknowledged: found,
                maybe: Vec::new(),
            };
        }
        dav.get("/health").expect(&[200]);
    }
}

#[track_caller]
fn wait(cell: &str, what: &str, done: impl Fn() -> bool) {
    let since = Instant::now();
    while !done() {
        assert!(
            since.elapsed() < FAULT_LIMIT,
            "{cell}: {what} does not come"
        );
        thread::sleep(Duration::from_millis(5));
    }
}

/// What one writer speaks to the server by.
struct Clients {
    dav: Dav,
    api: Option<Dav>,
}

impl Clients {
    fn put(&self, path: &str, bytes: &[u8]) -> io::Result<Response> {
        let body = Body::Bytes(bytes);
        let Some(api) = &self.api else {
            return self.dav.try_send("PUT", path, &[], body, None);
        };
        let path = path.strip_prefix("/dav").expect("a path below it");
        let route = format!("{PREFIX}{}", route("files/upload", &[("path", path)]));
        let headers = [("Content-Type", "application/octet-stream")];
        api.try_send("POST", &route, &headers, body, None)
    }
}

/// Overwrites, creates, deletes and reads until the connection breaks for good.
fn write_until_cut(
    clients: &Clients,
    writer: u64,
    mut files: Files,
    mut random: Noise,
    stage: &Stage,
) -> Files {
    loop {
        let path = format!("/dav/w{writer}/{}", random.number() % NAMES);
        let known = files.entry(path.clone()).or_default();
        let goes_on = match random.number() % 8 {
            0 => change(clients, &path, known, None, stage),
            1 | 2 => look(&clients.dav, &path, known, stage),
            _ => {
                let limit = [6000, 6000, 6000, 120_000][(random.number() % 4) as usize];
                let len = usize::try_from(random.number() % limit).expect("small");
                change(clients, &path, known, Some((random.number(), len)), stage)
            }
        };
        if !goes_on {
            return files;
        }
    }
}

/// One write; whether the server still answers.
fn change(clients: &Clients, path: &str, known: &mut Known, next: State, stage: &Stage) -> bool {
    let before = stage.now.load(SeqCst);
    let answer = if let Some((seed, len)) = next {
        clients.put(path, &noise(seed, len))
    } else {
        let dav = &clients.dav;
        dav.try_send("DELETE", path, &[], Body::None, None)
    };
    known.maybe.push(next);
    let Ok(answer) = answer else { return false };
    match answer.status {
        200 | 201 | 204 => {
            *known = Known {
                acknowledged: next,
                maybe: Vec::new(),
            };
            stage.acknowledged.fetch_add(1, SeqCst);
        }
        404 if next.is_none() && known.may_be(|state| state.is_none()).is_some() => {
            known.maybe.clear();
            known.acknowledged = None;
        }
        status => {
            let allowed = stage.was_faulty(before) && stage.writes.contains(&status);
            assert!(allowed, "{path} at {before}: {answer}");
            let retry = status == 507 || answer.header("retry-after").is_some();
            assert!(retry && !answer.body.is_empty(), "no clear error: {answer}");
            stage.refused.fetch_add(1, SeqCst);
        }
    }
    true
}

/// One read; whether the server still answers.
fn look(dav: &Dav, path: &str, known: &Known, stage: &Stage) -> bool {
    let before = stage.now.load(SeqCst);
    let answer = dav.try_send("GET", path, &[], Body::None, None);
    let may_fail = stage.was_faulty(before) && !stage.reads.is_empty();
    let Ok(answer) = answer else {
        // A body that breaks off, or the power cut.
        stage.unread.fetch_add(1, SeqCst);
        return may_fail;
    };
    let right = known.may_be(|state| match state {
        Some((seed, len)) => answer.status == 200 && answer.body == noise(seed, len),
        None => answer.status == 404,
    });
    if right.is_none() {
        let allowed = may_fail && stage.reads.contains(&answer.status);
        assert!(
            allowed,
            "GET {path} at {before}: {answer}, known {:?} {:?}",
            known.acknowledged, known.maybe
        );
        stage.unread.fetch_add(1, SeqCst);
    } else if before == FAULTY {
        stage.read_meanwhile.fetch_add(1, SeqCst);
    }
    true
}
