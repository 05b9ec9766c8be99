//! Keeps both sides in step until told to stop.

mod dirty;

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::block_in_place;
use tokio::time::{Instant, sleep_until};

use super::commands::set_limits;
use super::commands::{Error, Opened};
use super::config::{Config, ConfigDir};
use super::control::{Ask, Asker, Listener, Live};
use super::journal::Key;
use super::local::scan::{Reach, Scope};
use super::local::watch::{Watch, WatchError};
use super::pass::{self, Asked};
use super::pauses::Pauses;
use super::progress::Progress;
use super::remote::{Events, Heard, Limits};
use dirty::Dirty;

/// Longest pause after the first pass that failed; each further one is about twice as long.
const PAUSE: Duration = Duration::from_secs(2);
/// Longest pause between passes that fail.
const PAUSE_MAX: Duration = Duration::from_mins(10);
/// How often the rates of transfers are measured.
const TICK: Duration = Duration::from_secs(5);
/// Pauses between two signs of life for systemd.
const LIFE_MIN: Duration = Duration::from_millis(100);
const LIFE: Duration = Duration::from_secs(30);
/// Shortest time that a rate is measured over, in milliseconds.
const RATE_OVER: u64 = 1000;

/// What a daemon waits for, and what it knows of its own doing.
struct Daemon {
    opened: Opened,
    dir: ConfigDir,
    /// What has to be looked at.
    dirty: Dirty,
    /// What goes on after a pass that failed, and when.
    pauses: Pauses,
    due: Option<Instant>,
    scan_due: Instant,
    live: Live,
    rate: Rate,
}

/// When the rates of transfers were measured last, and what had passed then.
struct Rate {
    at: Instant,
    sent: u64,
    received: u64,
}

/// What woke it.
enum Woken {
    Here(BTreeMap<String, Reach>),
    Unwatched(WatchError),
    There(Heard),
    Asked(Ask, Asker),
    Due,
    Tick,
    Stop,
}

/// Runs until SIGTERM or SIGINT.
pub async fn run(dir: &ConfigDir) -> Result<(), Error> {
    Config::load(dir)?;
    let lock = dir.lock()?;
    let control = Listener::open(dir).map_err(|error| Error::Io("control.sock", error))?;
    let stop = |kind| signal(kind).map_err(|error| Error::Io("signals", error));
    let mut stop = Stops {
        terminate: stop(SignalKind::terminate())?,
        interrupt: stop(SignalKind::interrupt())?,
    };
    tokio::spawn(show_life());
    let opened = open(dir, lock, &control, &mut stop).await?;
    let Some(opened) = opened else {
        return Ok(());
    };
    let engine = &opened.engine;
    let mut watch = watch(&opened)?;
    let cursor = engine.journal.get(Key::Cursor).await?;
    let mut events = Events::listen(engine.session.clone(), cursor);
    let mut daemon = Daemon::new(opened, dir.clone());
    notify(&[sd_notify::NotifyState::Ready]);
    loop {
        let passed = daemon.passes(&mut watch, &events, &control, &mut stop);
        let woken = if let Some(woken) = passed.await? {
            woken
        } else {
            let woken = daemon.wait(&mut watch, &mut events, &control, &mut stop);
            woken.await?
        };
        match woken {
            Woken::Stop => break,
            Woken::Unwatched(error) => {
                tracing::warn!("the folder is not watched any more: {error}");
                daemon.dirty.all();
                tokio::time::sleep(PAUSE).await;
                daemon.opened.engine.folder.check()?;
                watch = self::watch(&daemon.opened)?;
            }
            woken @ (Woken::Here(_)
            | Woken::There(_)
            | Woken::Asked(..)
            | Woken::Due
            | Woken::Tick) => daemon.woken(woken, &mut watch).await?,
        }
    }
    notify(&[sd_notify::NotifyState::Stopping]);
    daemon.opened.engine.session.settle().await;
    Ok(())
}

/// Signals that end it.
struct Stops {
    terminate: Signal,
    interrupt: Signal,
}

async fn stopped(stop: &mut Stops) {
    tokio::select! {
        _ = stop.terminate.recv() => {}
        _ = stop.interrupt.recv() => {}
    }
}

/// Opens everything; waits for a server that cannot be reached. None when it is stopped meanwhile.
async fn open(
    dir: &ConfigDir,
    lock: super::config::Lock,
    control: &Listener,
    stop: &mut Stops,
) -> Result<Option<Opened>, Error> {
    let lock = Arc::new(lock);
    let mut pauses = Pauses::new(PAUSE, PAUSE_MAX);
    loop {
        let error = match Opened::open(dir, Arc::clone(&lock)).await {
            Ok(opened) => return Ok(Some(opened)),
            Err(Error::Pass(error)) if error.passes() => error.to_string(),
            Err(Error::Remote(error)) if error.passes() => error.to_string(),
            Err(error) => return Err(error),
        };
        tracing::info!("{error}; trying again");
        notify(&[
            sd_notify::NotifyState::Ready,
            sd_notify::NotifyState::Status(&error),
        ]);
        let live = Live {
            doing: format!("waiting for the server ({error})"),
            ..Live::default()
        };
        let until = Instant::now() + pauses.next();
        loop {
            tokio::select! {
                () = stopped(stop) => return Ok(None),
                asked = control.next() => match asked {
                    Ok((_, from)) => from.answer(&live).await,
                    Err(error) => return Err(Error::Io("control.sock", error)),
                },
                () = sleep_until(until) => break,
            }
        }
    }
}

fn watch(opened: &Opened) -> Result<Watch, Error> {
    let engine = &opened.engine;
    let watch = block_in_place(|| Watch::new(Arc::clone(&engine.folder), engine.ignore.clone()));
    let watch = watch.map_err(|error| Error::Said(error.to_string()))?;
    if !watch.unwatched().is_empty() {
        tracing::warn!(
            "{} folders are looked at every {:?} only: the system has no more watches \
             (sysctl fs.inotify.max_user_watches)",
            watch.unwatched().len(),
            engine.config.scan_every
        );
    }
    Ok(watch)
}

impl Daemon {
    fn new(opened: Opened, dir: ConfigDir) -> Self {
        let now = Instant::now();
        let mut dirty = Dirty::default();
        dirty.all();
        Self {
            scan_due: now + opened.engine.config.scan_every,
            opened,
            dir,
            dirty,
            pauses: Pauses::new(PAUSE, PAUSE_MAX),
            due: None,
            live: Live::default(),
            rate: Rate::new(now),
        }
    }

    /// Passes until both sides are in step, or nothing can be done at the moment. Gives what ended them before that.
    async fn passes(
        &mut self,
        watch: &mut Watch,
        events: &Events,
        control: &Listener,
        stop: &mut Stops,
    ) -> Result<Option<Woken>, Error> {
        if self.due.is_some_and(|due| due > Instant::now()) {
            return Ok(None);
        }
        while self.dirty.is_any() {
            // Somebody may have asked for it during the last pass, and the hour may be another one.
            if self.opened.engine.config.paused {
                return Ok(None);
            }
            self.tick();
            // What has moved since belongs to what is looked at: it would seem to be gone.
            match watch.ready().await {
                Ok(dirty) => self.dirty.add(dirty, false),
                Err(error) => return Ok(Some(Woken::Unwatched(error))),
            }
            self.due = None;
            let asked = self.dirty.take();
            if matches!(asked.scope, Scope::All) {
                self.scan_due = Instant::now() + self.opened.engine.config.scan_every;
            }
            let Some(came) = self.pass(&asked, watch, control, stop).await? else {
                return Ok(Some(Woken::Stop));
            };
            match came {
                Ok(outcome) => self.passed(outcome, watch, events).await?,
                Err(error) => {
                    self.dirty.put_back(&asked);
                    self.failed(&error).await?;
                    break;
                }
            }
            if self.due.is_some() {
                break;
            }
        }
        let waits = self.due.is_some();
        let doing = if waits { "waiting" } else { "in step" };
        self.opened.engine.progress.doing(doing);
        Ok(None)
    }

    /// One pass, with an ear for whoever asks meanwhile. None when it is to stop: what a pass leaves undone
    /// the next one does.
    async fn pass(
        &mut self,
        asked: &Asked,
        watch: &mut Watch,
        control: &Listener,
        stop: &mut Stops,
    ) -> Result<Option<Result<pass::Outcome, pass::Error>>, Error> {
        let mut wishes = Vec::new();
        let progress = Arc::clone(&self.opened.engine.progress);
        let limits = Arc::clone(self.opened.engine.session.server().limits());
        let mut ticks = tokio::time::interval(TICK);
        let came = {
            let mut pass = pin!(self.opened.engine.pass(asked));
            loop {
                tokio::select! {
                    came = &mut pass => break came,
                    () = stopped(stop) => return Ok(None),
                    heard = control.next() => {
                        let (ask, from) = heard.map_err(|error| Error::Io("control.sock", error))?;
                        self.live.see(&progress, &limits, &mut self.rate);
                        from.answer(&self.live).await;
                        wishes.push(ask);
                    }
                    _ = ticks.tick() => self.live.see(&progress, &limits, &mut self.rate),
                }
            }
        };
        for wish in wishes {
            self.wish(wish, watch).await?;
        }
        Ok(Some(came))
    }

    async fn passed(
        &mut self,
        mut outcome: pass::Outcome,
        watch: &mut Watch,
        events: &Events,
    ) -> Result<(), Error> {
        let engine = &self.opened.engine;
        if !outcome.rules_changed.is_empty() {
            watch.set_ignore(engine.ignore.clone(), &outcome.rules_changed);
        }
        if let Some(cursor) = engine.journal.get(Key::Cursor).await? {
            events.pulled(&cursor);
        }
        engine.journal.set(Key::LastError, None).await?;
        self.live.online = true;
        if self.dirty.is_vain(&mut outcome) {
            // What failed is tried again later and later; what is new does not wait for that.
            self.scan_due = self.scan_due.min(Instant::now() + self.pauses.next());
        } else {
            self.pauses.reset();
        }
        Ok(())
    }

    async fn failed(&mut self, error: &pass::Error) -> Result<(), Error> {
        if let pass::Error::Folder(_) = error {
            tracing::error!("{error}");
        } else {
            tracing::info!("{error}");
        }
        let said = error.to_string();
        self.opened
            .engine
            .journal
            .set(Key::LastError, Some(&said))
            .await?;
        notify(&[sd_notify::NotifyState::Status(&said)]);
        self.live.online = !matches!(error, pass::Error::Remote(error) if error.passes());
        self.due = Some(Instant::now() + self.pauses.next());
        Ok(())
    }

    async fn wait(
        &mut self,
        watch: &mut Watch,
        events: &mut Events,
        control: &Listener,
        stop: &mut Stops,
    ) -> Result<Woken, Error> {
        let next = self.due.unwrap_or(self.scan_due).min(self.scan_due);
        Ok(tokio::select! {
            () = stopped(stop) => Woken::Stop,
            batch = watch.next() => match batch {
                Ok(dirty) => Woken::Here(dirty),
                Err(error) => Woken::Unwatched(error),
            },
            heard = events.next() => Woken::There(heard?),
            asked = control.next() => {
                let (ask, from) = asked.map_err(|error| Error::Io("control.sock", error))?;
                Woken::Asked(ask, from)
            }
            () = sleep_until(next) => Woken::Due,
            () = tokio::time::sleep(TICK), if self.ticks() => Woken::Tick,
        })
    }

    /// Whether something needs a regular look: rates that end.
    fn ticks(&self) -> bool {
        !self.opened.engine.config.limits.schedule.is_empty()
    }

    async fn woken(&mut self, woken: Woken, watch: &mut Watch) -> Result<(), Error> {
        self.tick();
        match woken {
            Woken::Here(dirty) => self.dirty.add(dirty, false),
            Woken::There(Heard::Reconnected) => {
                self.due = None;
                self.dirty.add(BTreeMap::new(), true);
            }
            Woken::There(Heard::Changed { space, seq }) => {
                if self.opened.engine.is_news(space, seq) {
                    self.dirty.add(BTreeMap::new(), true);
                }
            }
            Woken::Asked(ask, from) => self.answer(ask, from, watch).await?,
            Woken::Due => {
                self.due = None;
                self.scan_due = Instant::now() + self.opened.engine.config.scan_every;
                self.dirty.all();
            }
            Woken::Tick | Woken::Unwatched(_) | Woken::Stop => {}
        }
        Ok(())
    }

    fn tick(&mut self) {
        let engine = &self.opened.engine;
        set_limits(engine.session.server().limits(), &engine.config);
    }

    async fn answer(&mut self, ask: Ask, from: Asker, watch: &mut Watch) -> Result<(), Error> {
        self.wish(ask, watch).await?;
        let engine = &self.opened.engine;
        let limits = engine.session.server().limits();
        self.live.see(&engine.progress, limits, &mut self.rate);
        from.answer(&self.live).await;
        Ok(())
    }

    async fn wish(&mut self, ask: Ask, watch: &mut Watch) -> Result<(), Error> {
        match ask {
            Ask::Status => Ok(()),
            Ask::Sync | Ask::SyncForced => {
                self.due = None;
                if ask == Ask::SyncForced {
                    self.dirty.force();
                } else {
                    self.dirty.all();
                }
                Ok(())
            }
            Ask::Reload => self.reload(watch).await,
        }
    }

    /// Takes other settings.
    async fn reload(&mut self, watch: &mut Watch) -> Result<(), Error> {
        let config = Config::load(&self.dir)?;
        let engine = &mut self.opened.engine;
        let excludes = config.exclude != engine.config.exclude;
        engine.set_config(config).await?;
        if excludes {
            watch.set_ignore(engine.ignore.clone(), &[String::new()]);
        }
        self.due = None;
        self.dirty.all();
        self.tick();
        Ok(())
    }
}

impl Rate {
    fn new(at: Instant) -> Self {
        Self {
            at,
            sent: 0,
            received: 0,
        }
    }
}

impl Live {
    fn see(&mut self, progress: &Progress, limits: &Limits, rate: &mut Rate) {
        (self.doing, _, _) = progress.read();
        (self.sent, self.received) = (limits.sent(), limits.received());
        let since = u64::try_from(rate.at.elapsed().as_millis()).unwrap_or(u64::MAX);
        if since >= RATE_OVER {
            self.up = (self.sent - rate.sent) * 1000 / since;
            self.down = (self.received - rate.received) * 1000 / since;
            *rate = Rate {
                at: Instant::now(),
                sent: self.sent,
                received: self.received,
            };
        }
    }
}

/// Tells systemd for ever that somebody is there, if it wants to know: in a task of its own, because reading a large file
/// keeps the others waiting.
async fn show_life() {
    // Whose process is meant (WATCHDOG_PID) does not matter: signs of others are not counted.
    let wants = std::env::var("WATCHDOG_USEC").ok();
    let Some(micros) = wants.and_then(|micros| micros.parse::<u64>().ok()) else {
        return;
    };
    let mut ticks = tokio::time::interval(Duration::from_micros(micros / 2).clamp(LIFE_MIN, LIFE));
    loop {
        ticks.tick().await;
        notify(&[sd_notify::NotifyState::Watchdog]);
    }
}

/// Tells systemd, where it is there.
fn notify(states: &[sd_notify::NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(false, states) {
        tracing::debug!("systemd was not told: {error}");
    }
}
