//! Scrubbing: everything that is sealed is opened now and then, because a disk that changes bytes does
//! not say so. A pass goes through the records in the order they lie, then through the contents that lie
//! in rows, the ends of unfinished uploads and the keys. How far it has come is in the database: whoever
//! goes on, and after whatever break, goes on there.
//!
//! What does not open gets a mark, so that it is offered to nobody who uploads; what has a mark and opens
//! loses it. A record that is moved while a pass goes by was opened by whoever moved it.

mod step;

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use tokio::time::sleep;

use super::pace::due;
use super::{Error, Lease, Result, Site};
use crate::store::meta::{damage, settings};
use crate::store::{self, Store};
use crate::types::{Millis, millis};

/// What the database calls it.
pub const NAME: &str = "scrub";
/// How long the server keeps the job to itself: others may want to go on with the pass.
const SLICE: Duration = Duration::from_secs(30);
/// How often is written down how far it has come.
const SAVED: Duration = Duration::from_secs(20);
/// How long it waits for another that scrubs: a slice, or a minute when that was killed.
const PATIENCE: Duration = Duration::from_secs(90);
/// How often it looks whether that has ended.
const POLL: Duration = Duration::from_millis(200);

/// How fast it may go.
#[derive(Clone, Copy, Debug)]
pub struct How {
    /// Most bytes read a second; `None` is no limit.
    pub rate: Option<u64>,
}

/// Where it begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// Where the pass under way has come to, or with a new one.
    GoOn,
    /// With a new pass.
    Anew,
}

/// What was done, and how things stand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Done {
    /// Bytes verified.
    pub bytes: u64,
    /// What was found damaged and was not known to be.
    pub found: u64,
    /// What is known to be damaged.
    pub damaged: u64,
    /// When the last complete pass ended, if there was one.
    pub ended: Option<Millis>,
}

/// How far scrubbing has come, as the database keeps it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct State {
    /// The pass under way.
    pass: Option<Pass>,
    /// When the last complete one began and ended, and what it found that cannot have marks.
    last: Option<Complete>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Pass {
    began: i64,
    stage: Stage,
    /// What was looked at last: segment, offset and chunk, or an id.
    behind: (i64, i64, i64),
    /// Damaged tails and keys.
    unmarked: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Complete {
    began: i64,
    ended: i64,
    unmarked: u64,
}

/// What a pass goes through, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Stage {
    Records,
    Sealed,
    Tails,
    Keys,
}

impl Pass {
    fn new(now: Millis) -> Self {
        Self {
            began: now.0,
            stage: Stage::Records,
            behind: (i64::MIN, i64::MIN, i64::MIN),
            unmarked: 0,
        }
    }

    /// Goes on with what comes behind a stage; `false` at the end.
    fn advance(&mut self) -> bool {
        self.stage = match self.stage {
            Stage::Records => Stage::Sealed,
            Stage::Sealed => Stage::Tails,
            Stage::Tails => Stage::Keys,
            Stage::Keys => return false,
        };
        self.behind = (0, 0, 0);
        true
    }
}

/// A part of a pass, when one is under way or due and nobody else is at it; `every` is the time from
/// one pass to the next. `None` when there is nothing to do.
pub async fn slice(site: &Site, how: &How, every: Duration) -> Result<Option<Done>> {
    let state = load(&site.store).await?;
    let due = state.last.is_none_or(|last| {
        let now = site.clock.now().0;
        // Times far ahead were set by a clock that was wrong.
        now >= last.began.saturating_add(millis(every)) || last.began > now
    });
    if state.pass.is_none() && !due {
        return Ok(None);
    }
    let Some(lease) = Lease::take(site, NAME, None).await? else {
        return Ok(None);
    };
    let until = Instant::now() + SLICE;
    let done = run(&lease, how, Start::GoOn, Some(until)).await;
    lease.end(None).await?;
    done.map(Some)
}

/// Goes on to the end of a pass.
pub async fn to_end(site: &Site, how: &How, start: Start) -> Result<Done> {
    let began = Instant::now();
    let lease = loop {
        if let Some(lease) = Lease::take(site, NAME, None).await? {
            break lease;
        }
        if began.elapsed() >= PATIENCE {
            return Err(Error::Taken(NAME));
        }
        sleep(POLL).await;
    };
    let done = run(&lease, how, start, None).await;
    lease.end(None).await?;
    done
}

/// How things stand, without doing anything.
pub async fn standing(store: &Store) -> Result<Done> {
    let state = load(store).await?;
    told(store, &state, Done::default()).await
}

async fn run(lease: &Lease, how: &How, start: Start, until: Option<Instant>) -> Result<Done> {
    let store = &lease.site().store;
    let mut state = load(store).await?;
    let mut pass = match (state.pass.take(), start) {
        (Some(pass), Start::GoOn) => pass,
        (Some(_), Start::Anew) | (None, _) => Pass::new(lease.now()),
    };
    let mut done = Done::default();
    let (mut saved, mut pace) = (Instant::now(), Pace::new(how.rate));
    loop {
        let step = step::step(lease, &mut pass, pace.bytes_max()).await?;
        done.bytes += step.bytes;
        done.found += step.found;
        let paused = pace.after(step.bytes);
        let paused = lease.site().stop.run_until_cancelled(paused).await;
        if paused.is_none() {
            return Err(Error::Stopping);
        }
        if step.at_end && !pass.advance() {
            break;
        }
        state.pass = Some(pass.clone());
        let over = until.is_some_and(|until| Instant::now() >= until);
        if over || saved.elapsed() >= SAVED {
            save(lease, &state).await?;
            saved = Instant::now();
        }
        if over {
            return told(store, &state, done).await;
        }
    }
    state.pass = None;
    state.last = Some(Complete {
        began: pass.began,
        ended: lease.now().0,
        unmarked: pass.unmarked,
    });
    save(lease, &state).await?;
    told(store, &state, done).await
}

async fn told(store: &Store, state: &State, done: Done) -> Result<Done> {
    let (chunks, contents) = damage::count(&mut *store.meta.read().await?).await?;
    let under_way = state.pass.as_ref().map_or(0, |pass| pass.unmarked);
    let before = state.last.map_or(0, |last| last.unmarked);
    Ok(Done {
        damaged: chunks + contents + under_way.max(before),
        ended: state.last.map(|last| Millis(last.ended)),
        ..done
    })
}

async fn load(store: &Store) -> Result<State> {
    let text = settings::get(&mut *store.meta.read().await?, NAME).await?;
    // What cannot be read is of another version; a pass begins anew then.
    let state = text.and_then(|text| serde_json::from_str(&text).ok());
    Ok(state.unwrap_or_default())
}

async fn save(lease: &Lease, state: &State) -> Result<()> {
    let text = serde_json::to_string(state)
        .map_err(|_impossible| store::Error::Corrupt("the state of scrubbing"))?;
    lease
        .step(move |conn| Box::pin(async move { Ok(settings::put(conn, NAME, &text).await?) }))
        .await
}

/// Holds the bytes of a run to a rate.
struct Pace {
    rate: Option<u64>,
    began: Instant,
    bytes: u64,
}

impl Pace {
    /// Bytes read without a break, where nothing else is said.
    const STRETCH: u64 = 4 * 1024 * 1024;
    /// Seconds that a break may last, so that the job is not taken for dead; one record may be longer.
    const BREAK: u64 = 10;

    fn new(rate: Option<u64>) -> Self {
        Self {
            rate,
            began: Instant::now(),
            bytes: 0,
        }
    }

    fn bytes_max(&self) -> u64 {
        let most = |rate: u64| Self::STRETCH.min(rate.saturating_mul(Self::BREAK));
        self.rate.map_or(Self::STRETCH, most)
    }

    /// Waits until so many more bytes were due.
    async fn after(&mut self, bytes: u64) {
        self.bytes += bytes;
        let Some(rate) = self.rate else {
            return;
        };
        let due = due(self.bytes, rate);
        sleep(due.saturating_sub(self.began.elapsed())).await;
    }
}
