//! Tells where something happens in the folder, by inotify.

mod tree;

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use rustix::fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags};
use rustix::io::Errno;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::time::{Instant, sleep_until};

use super::folder::Folder;
use super::ignore::Ignore;
use super::scan::Reach;
use super::{join, split};
use tree::Watched;

/// A change is told once nothing more has happened for this long,
const QUIET: Duration = Duration::from_millis(30);
/// and at the latest so long after the first one: a change is on its way within 0.3 s.
const LATEST: Duration = Duration::from_millis(250);
/// A file that is written to and stays open is told later: reading it now would mean reading it again.
const OPEN_QUIET: Duration = Duration::from_millis(500);
/// Likewise; a file that never rests, like that of a database or a log, is told this often.
const OPEN_LATEST: Duration = Duration::from_secs(10);
/// Room for some thousand events.
const BUFFER: usize = 64 * 1024;
/// More paths than this become whole collections, so that a storm costs no memory.
const PATHS_MAX: usize = 4096;
/// More collections than this become the whole folder.
const DIRS_MAX: usize = 4 * PATHS_MAX;
/// So long the other half of a move is waited for.
const HALF: Duration = Duration::from_millis(2);
/// Directories that are taken up before others get their turn.
const TURN: usize = 64;

/// Why it is not told any more.
#[derive(Debug, thiserror::Error)]
pub enum WatchError {
    /// The folder was removed, moved or unmounted.
    #[error("the folder is not where it was")]
    RootGone,
    /// inotify is not there.
    #[error("changes cannot be watched: {0}; see the sysctl fs.inotify.max_user_instances")]
    Io(#[from] io::Error),
}

/// Watches a folder.
pub struct Watch {
    inotify: AsyncFd<OwnedFd>,
    folder: Arc<Folder>,
    ignore: Ignore,
    tree: Watched,
    /// Collections that cannot be watched, with all below them.
    unwatched: Vec<String>,
    /// Collections that could not be opened.
    unread: HashSet<String>,
    dirty: BTreeMap<String, Reach>,
    /// When the first of them came, and the last.
    since: Option<(Instant, Instant)>,
    /// Files that are written to and still open.
    open: BTreeMap<String, (Instant, Instant)>,
    /// Collections on their way from one place to another, by cookie.
    moving: HashMap<u32, i32>,
    /// Whether half of a move was heard last.
    half: bool,
    /// What was read and not heard.
    events: VecDeque<Event>,
    /// Directories to be watched, by the watches of those above and their paths.
    left: Vec<(i32, String)>,
}

/// An event, apart from the buffer it came in.
struct Event {
    wd: i32,
    what: ReadFlags,
    cookie: u32,
    /// None when it is about the directory itself, or its name is not UTF-8.
    name: Option<String>,
    is_named: bool,
}

impl Watch {
    /// Watches everything that is not ignored. Takes a while for many directories, so call it where that is allowed,
    /// and within a runtime.
    pub fn new(folder: Arc<Folder>, ignore: Ignore) -> Result<Self, WatchError> {
        let fd =
            inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC).map_err(io::Error::from)?;
        let mut watch = Self {
            inotify: register(fd)?,
            folder,
            ignore,
            tree: Watched::default(),
            unwatched: Vec::new(),
            unread: HashSet::new(),
            dirty: BTreeMap::new(),
            since: None,
            open: BTreeMap::new(),
            moving: HashMap::new(),
            half: false,
            events: VecDeque::new(),
            left: vec![(0, String::new())],
        };
        while let Some((above, dir)) = watch.left.pop() {
            watch.take_up(above, &dir)?;
        }
        Ok(watch)
    }

    /// Collections that are not watched, with all below them, because the system has no more watches: they have to be
    /// scanned from time to time. The sysctl `fs.inotify.max_user_watches` gives more.
    pub fn unwatched(&self) -> &[String] {
        &self.unwatched
    }

    /// How many directories are watched.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.tree.len()
    }

    /// Other rules hold below some collections: what is not ignored any more is watched, and told as changed.
    pub fn set_ignore(&mut self, ignore: Ignore, below: &[String]) {
        self.ignore = ignore;
        for dir in below {
            for (wd, path) in self.tree.below(dir) {
                if !path.is_empty() && self.ignore.skips(&path, true) {
                    self.end(wd);
                }
            }
            let above = self
                .tree
                .at(split(dir).0)
                .filter(|_| !self.ignore.skips(dir, true));
            self.left.extend(above.map(|above| (above, dir.clone())));
            self.mark(dir.clone(), Reach::Below);
        }
    }

    /// Waits until something has happened and told where, and how far below: what
    /// [`Scope::Dirty`](super::scan::Scope::Dirty) takes. Nothing is lost when this is dropped before it is done.
    pub async fn next(&mut self) -> Result<BTreeMap<String, Reach>, WatchError> {
        let mut turn = 0;
        loop {
            if let Some((above, dir)) = self.left.pop() {
                self.take_up(above, &dir)?;
                turn += 1;
                if turn % TURN == 0 {
                    tokio::task::yield_now().await;
                }
            } else if let Some(event) = self.events.pop_front() {
                self.half = false;
                self.hear(event)?;
            } else if self.due().is_some_and(|due| due <= Instant::now()) && !self.half {
                return Ok(self.batch());
            } else {
                self.wait().await?;
            }
        }
    }

    /// What has happened by now, once it is to be told; empty when nothing has.
    pub async fn ready(&mut self) -> Result<BTreeMap<String, Reach>, WatchError> {
        match read(self.inotify.get_ref()) {
            Ok(events) => self.events.extend(events),
            Err(Errno::AGAIN) => {}
            Err(errno) => return Err(io::Error::from(errno).into()),
        }
        while let Some(event) = self.events.pop_front() {
            self.half = false;
            self.hear(event)?;
        }
        if self.since.is_none() {
            return Ok(BTreeMap::new());
        }
        self.next().await
    }

    /// Waits until there are events, or a batch is due.
    async fn wait(&mut self) -> Result<(), WatchError> {
        let Some(due) = self.due() else {
            self.events = read_all(&self.inotify).await?;
            return Ok(());
        };
        // The other half of a move comes at once, or never.
        let due = if self.half {
            Instant::now() + HALF
        } else {
            due
        };
        tokio::select! {
            events = read_all(&self.inotify) => self.events = events?,
            () = sleep_until(due) => self.half = false,
        }
        Ok(())
    }

    /// When the next batch is to be told.
    fn due(&self) -> Option<Instant> {
        let closed = self
            .since
            .map(|(first, last)| (last + QUIET).min(first + LATEST));
        let open = self
            .open
            .values()
            .map(|(first, last)| (*last + OPEN_QUIET).min(*first + OPEN_LATEST))
            .min();
        closed.into_iter().chain(open).min()
    }

    fn batch(&mut self) -> BTreeMap<String, Reach> {
        let now = Instant::now();
        let rests = |_: &String, (first, last): &mut (Instant, Instant)| {
            *last + OPEN_QUIET <= now || *first + OPEN_LATEST <= now
        };
        let rested: Vec<String> = self
            .open
            .extract_if(.., rests)
            .map(|(path, _)| path)
            .collect();
        for path in rested {
            self.mark(path, Reach::Entry);
        }
        // What went out of the folder is watched no more.
        for (_, wd) in std::mem::take(&mut self.moving) {
            let below = self.tree.path(wd).map(|path| self.tree.below(&path));
            for (wd, _) in below.unwrap_or_default() {
                self.end(wd);
            }
        }
        self.since = None;
        std::mem::take(&mut self.dirty)
    }

    /// Notes that something has happened.
    fn mark(&mut self, path: String, reach: Reach) {
        let now = Instant::now();
        self.since = Some(self.since.map_or((now, now), |(first, _)| (first, now)));
        self.open.remove(&path);
        let full = self.dirty.len() >= PATHS_MAX && !self.dirty.contains_key(&path);
        if self.dirty.len() >= DIRS_MAX {
            self.dirty = BTreeMap::from([(String::new(), Reach::Below)]);
        }
        let (path, reach) = match (full, reach) {
            (true, Reach::Entry) => (split(&path).0.to_owned(), Reach::Children),
            _ => (path, reach),
        };
        let at = self.dirty.entry(path).or_insert(reach);
        *at = reach.max(*at);
    }

    fn hear(&mut self, event: Event) -> Result<(), WatchError> {
        if event.what.contains(ReadFlags::QUEUE_OVERFLOW) {
            // Something was missed, maybe that directories came or went.
            self.tree = Watched::default();
            self.left.push((0, String::new()));
            self.mark(String::new(), Reach::Below);
            return Ok(());
        }
        let Some(dir) = self.tree.path(event.wd) else {
            return Ok(());
        };
        if event.is_named {
            self.hear_name(event, dir);
            return Ok(());
        }
        let gone = ReadFlags::DELETE_SELF | ReadFlags::MOVE_SELF | ReadFlags::UNMOUNT;
        if dir.is_empty() && event.what.intersects(gone | ReadFlags::IGNORED) {
            return Err(WatchError::RootGone);
        }
        if event.what.contains(ReadFlags::IGNORED) {
            self.tree.remove(event.wd);
        }
        Ok(())
    }

    /// Something has happened to a name.
    fn hear_name(&mut self, event: Event, dir: String) {
        let Event {
            wd,
            what,
            cookie,
            name,
            is_named: _,
        } = event;
        let Some(name) = name else {
            return self.mark(dir, Reach::Children);
        };
        let path = join(&dir, &name);
        let is_dir = what.contains(ReadFlags::ISDIR);
        self.half = what.contains(ReadFlags::MOVED_FROM);
        if is_dir && self.half {
            let moving = self.tree.find(wd, &name);
            self.moving.extend(moving.map(|moving| (cookie, moving)));
        }
        if self.ignore.skips_last(&path, is_dir) {
            return;
        }
        if what.contains(ReadFlags::MODIFY) {
            let now = Instant::now();
            self.open.entry(path).or_insert((now, now)).1 = now;
            return;
        }
        let mut reach = Reach::Entry;
        if is_dir && what.intersects(ReadFlags::MOVED_TO | ReadFlags::CREATE) {
            if let Some(moved) = self.moving.remove(&cookie) {
                self.tree.put(moved, wd, &name);
            }
            // Things may have appeared in it before it was watched.
            self.left.push((wd, path.clone()));
            reach = Reach::Below;
        } else if is_dir && self.unread.remove(&path) {
            // Maybe it can be read now.
            self.left.push((wd, path.clone()));
            reach = Reach::Below;
        }
        self.mark(path, reach);
    }

    fn end(&mut self, wd: i32) {
        self.tree.remove(wd);
        // It may have gone by itself.
        inotify::remove_watch(self.inotify.get_ref(), wd).ok();
    }

    /// Watches one collection, and adds those in it.
    fn take_up(&mut self, above: i32, dir: &str) -> Result<(), WatchError> {
        let opened = match self.folder.open_dir(dir) {
            Ok(opened) => opened,
            Err(_) if dir.is_empty() => return Err(WatchError::RootGone),
            // It went already.
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(()),
            // A scan says that it cannot be read.
            Err(_) => {
                self.unread.insert(dir.to_owned());
                return Ok(());
            }
        };
        let wd = match add(self.inotify.get_ref(), &opened, &self.folder, dir) {
            Ok(wd) => wd,
            Err(Errno::NOSPC) => {
                self.tell_unwatched(dir);
                return Ok(());
            }
            Err(errno) if dir.is_empty() => return Err(WatchError::Io(errno.into())),
            Err(_) => return Ok(()),
        };
        self.unwatched.retain(|path| path != dir);
        self.tree.add(wd, above, dir);
        let Ok(entries) = rustix::fs::Dir::new(opened) else {
            return Ok(());
        };
        for entry in entries.filter_map(Result::ok) {
            let Ok(name) = entry.file_name().to_str() else {
                continue;
            };
            let kind = entry.file_type();
            let maybe = matches!(
                kind,
                rustix::fs::FileType::Directory | rustix::fs::FileType::Unknown
            );
            let path = join(dir, name);
            if maybe && !matches!(name, "." | "..") && !self.ignore.skips_last(&path, true) {
                self.left.push((wd, path));
            }
        }
        Ok(())
    }

    fn tell_unwatched(&mut self, dir: &str) {
        if self.unwatched.is_empty() {
            tracing::warn!(
                path = dir,
                "no more watches: raise the sysctl fs.inotify.max_user_watches; until then changes there are found later"
            );
        }
        let known = self.unwatched.iter().any(|path| path == dir);
        if !known {
            self.unwatched.push(dir.to_owned());
        }
    }
}

/// Lets the runtime tell when there is something to read.
#[expect(
    deprecated,
    reason = "what takes its place is unsafe; an owned descriptor is what it asks for"
)]
fn register(fd: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    AsyncFd::with_interest(fd, Interest::READABLE)
}

/// Begins to watch an open directory, wherever it is by now.
fn add(inotify: &OwnedFd, dir: &OwnedFd, folder: &Folder, path: &str) -> Result<i32, Errno> {
    let mut flags = WatchFlags::CLOSE_WRITE
        | WatchFlags::MODIFY
        | WatchFlags::ATTRIB
        | WatchFlags::CREATE
        | WatchFlags::DELETE
        | WatchFlags::MOVED_FROM
        | WatchFlags::MOVED_TO
        | WatchFlags::DELETE_SELF
        | WatchFlags::ONLYDIR
        | WatchFlags::EXCL_UNLINK;
    if path.is_empty() {
        flags |= WatchFlags::MOVE_SELF;
    }
    #[cfg(test)]
    super::tests::hook::take_watch()?;
    let by_number = format!("/proc/self/fd/{}", dir.as_raw_fd());
    match inotify::add_watch(inotify, by_number, flags) {
        // Without /proc.
        Err(Errno::NOENT) => inotify::add_watch(
            inotify,
            folder.path().join(path),
            flags | WatchFlags::DONT_FOLLOW,
        ),
        result => result,
    }
}

/// Waits for events and reads as many as there are.
async fn read_all(inotify: &AsyncFd<OwnedFd>) -> Result<VecDeque<Event>, WatchError> {
    loop {
        let mut ready = inotify.readable().await?;
        if let Ok(events) = ready.try_io(|fd| read(fd.as_fd()).map_err(Into::into)) {
            return Ok(events?);
        }
    }
}

/// Reads what is there.
fn read(inotify: impl AsFd) -> Result<VecDeque<Event>, Errno> {
    let mut buffer = vec![MaybeUninit::uninit(); BUFFER];
    let mut reader = Reader::new(inotify.as_fd(), &mut buffer);
    let mut events = VecDeque::new();
    loop {
        match reader.next() {
            Ok(event) => {
                let name = event.file_name();
                events.push_back(Event {
                    wd: event.wd(),
                    what: event.events(),
                    cookie: event.cookie(),
                    name: name.and_then(|name| name.to_str().ok()).map(str::to_owned),
                    is_named: name.is_some(),
                });
            }
            Err(_) if !events.is_empty() => return Ok(events),
            Err(errno) => return Err(errno),
        }
        if reader.is_buffer_empty() {
            return Ok(events);
        }
    }
}
