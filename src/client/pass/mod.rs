//! One pass: hear what changed here and there, plan, do it.

mod compare;
mod content;
mod download;
mod errors;
mod fetch;
mod gather;
mod group;
mod here;
mod land;
mod leftovers;
mod line;
mod names;
mod portion;
mod pull;
mod push;
mod put;
mod receive;
mod scan;
mod taking;
mod there;
mod upload;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, MutexGuard, PoisonError};

use tokio::sync::Mutex;

pub use errors::Error;
pub use names::conflict_name;

use self::pull::Pulled;
use super::config::Config;
use super::item::ItemId;
use super::journal::{Journal, Key};
use super::local::folder::Folder;
use super::local::ignore::Ignore;
use super::local::passing_name;
use super::local::scan::{Numbers, Reach, Scope};
use super::local::shadow::Shadows;
use super::progress::Progress;
use super::reconcile::guard::{self, Count};
use super::reconcile::{Names, Plan, reconcile};
use super::remote::{Session, Speaks};
use crate::crypto::ClientKeys;
use crate::protocol::sync::SpaceKeys;
use crate::types::Millis;
use gather::Parts;

/// What keeps a folder in step; it lives from one pass to the next.
pub struct Engine {
    /// The synced folder.
    pub folder: Arc<Folder>,
    /// What was in step when.
    pub journal: Arc<Journal>,
    /// The log-in.
    pub session: Session,
    /// The settings.
    pub config: Config,
    /// What is not synced.
    pub ignore: Ignore,
    /// Tells what is done at the moment.
    pub progress: Arc<Progress>,
    pub(super) root: ItemId,
    /// The account's own space.
    pub(super) home: i64,
    numbers: Numbers,
    /// About how many new items of a side the next pass takes on.
    most: usize,
    keys: Mutex<HashMap<i64, Arc<ClientKeys>>>,
    /// Turns of spaces up to which everything is known here.
    turns: std::sync::Mutex<HashMap<i64, i64>>,
    shadows: std::sync::Mutex<Shadows>,
}

/// What a pass looks at.
#[derive(Debug)]
pub struct Asked {
    /// How much of the folder.
    pub scope: Scope,
    /// Whether the server has, or may have, news.
    pub pull: bool,
    /// Whether what is gone is deleted, whatever that is.
    pub force_delete: bool,
}

/// What a pass came to.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Places here that have to be looked at again.
    pub again: BTreeMap<String, Reach>,
    /// Steps that were done.
    pub done: u64,
    /// Steps that failed; the journal has the troubles.
    pub failed: u64,
    /// What cannot be synced as it is; the journal has the troubles.
    pub troubles: u64,
    /// Whether another pass has something to do at once.
    pub more: bool,
    /// Whether there was so much that the next pass has to do the rest.
    pub rest: bool,
    /// Whether the disk here has no more room.
    pub full: bool,
    /// Folders whose rules have changed.
    pub rules_changed: Vec<String>,
}

impl Outcome {
    /// Whether only time helps.
    pub fn is_stuck(&self) -> bool {
        self.failed > 0 && self.done == 0 && (!self.rest || self.full)
    }

    /// Whether another pass is to follow at once.
    pub fn goes_on(&self) -> bool {
        !self.is_stuck() && (self.more || self.rest || !self.again.is_empty())
    }

    /// Whether everything is in step.
    fn is_in_step(&self) -> bool {
        self.failed + self.troubles == 0 && !self.goes_on()
    }
}

impl Engine {
    /// Begins with what the server says of the account.
    pub async fn open(
        folder: Arc<Folder>,
        journal: Arc<Journal>,
        session: Session,
        config: Config,
        progress: Arc<Progress>,
    ) -> Result<Self, Error> {
        let server = session.server();
        match journal.get(Key::Speaks).await?.as_deref() {
            Some("2") => server.remember(Speaks::Http2),
            Some("1") => server.remember(Speaks::Http1),
            Some(_) | None => {}
        }
        let shadows = Shadows::new(&folder, config.shadow.as_u64());
        let ignore = Ignore::new(config.exclude.iter().cloned());
        let mut engine = Self {
            folder,
            journal,
            session,
            config,
            ignore,
            progress,
            root: ItemId(0),
            home: 0,
            numbers: Numbers { id: 0, content: 0 },
            most: portion::MOST,
            keys: Mutex::default(),
            turns: std::sync::Mutex::default(),
            shadows: std::sync::Mutex::new(shadows),
        };
        (engine.root, engine.home) = engine.find_root().await?;
        engine.selection_changed().await?;
        Ok(engine)
    }

    /// The node that is the account's root, and its space: a folder is kept in step with one account only.
    async fn find_root(&self) -> Result<(ItemId, i64), Error> {
        if let Some(known) = self.journal.get(Key::Root).await? {
            let numbers = known
                .split_once(' ')
                .and_then(|(root, home)| Some((root.parse().ok()?, home.parse().ok()?)));
            let (root, home) = numbers.ok_or(Error::Confused("the root is not a number"))?;
            return Ok((ItemId(root), home));
        }
        let (root, home) = self.ask_root().await?;
        let numbers = format!("{} {home}", root.0);
        self.journal.set(Key::Root, Some(&numbers)).await?;
        Ok((root, home))
    }

    async fn ask_root(&self) -> Result<(ItemId, i64), Error> {
        let status = self.session.status().await?;
        let space = status.spaces.iter().find(|space| space.path == "/");
        let space = space.ok_or(Error::Confused("the server tells no root"))?;
        Ok((ItemId(space.root), space.id))
    }

    /// Begins anew with a server that does not know what it told. When it is the same one, with an older state, it
    /// tells everything anew. When it is another one, whose numbers may mean anything, nothing counts as known.
    async fn meet(&mut self) -> Result<(), Error> {
        let same_root = self.ask_root().await? == (self.root, self.home);
        let kept = self.journal.keys(self.home).await?;
        let kept = kept.and_then(|kept| serde_json::from_str::<SpaceKeys>(&kept).ok());
        if same_root && kept == Some(self.session.keys(self.home).await?) {
            tracing::info!("the server does not know what it told; hearing everything anew");
            return Ok(self.journal.take_anew(true).await?);
        }
        tracing::warn!("this is another server; comparing all that is here with all that is there");
        self.journal.forget_all().await?;
        self.keys.lock().await.clear();
        self.turns
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
        (self.root, self.home) = self.find_root().await?;
        self.selection_changed().await
    }

    /// Brings both sides together once.
    pub async fn pass(&mut self, asked: &Asked) -> Result<Outcome, Error> {
        let mut outcome = Outcome::default();
        let begin = now();
        self.progress.doing("looking");
        let found = self.find(&asked.scope, &mut outcome).await?;
        let pulls = asked.pull || self.journal.get(Key::Hearing).await?.is_some();
        let pulled = if pulls {
            self.pull().await?
        } else {
            Pulled::All
        };
        if pulled == Pulled::Stale {
            self.meet().await?;
        }
        if pulled != Pulled::All {
            // What was found was held against what was known before.
            (outcome.more, outcome.rest) = (true, false);
            outcome.again.insert(String::new(), Reach::Below);
            return Ok(outcome);
        }
        let (found, compared) = self.find_all(&asked.scope, found, &mut outcome).await?;
        let mut parts = self.gather(found, &mut outcome).await?;
        parts.cuts = compared.cuts;
        parts.racy.extend(compared.racy.iter().map(|(id, _)| *id));
        parts.stamps.extend(compared.racy);
        if let Some(plan) = self.plan(&parts, asked.force_delete).await? {
            self.adopt(&plan, &mut parts).await?;
            self.there(&plan, &mut parts, &mut outcome).await?;
            self.here(&plan, &mut parts, &mut outcome).await?;
            self.journal.settle().await?;
        }
        self.go_on(&outcome);
        if matches!(asked.scope, Scope::All) {
            let speaks = self.session.server().speaks();
            let speaks = speaks.map(|speaks| if speaks == Speaks::Http2 { "2" } else { "1" });
            self.journal.set(Key::Speaks, speaks).await?;
            if !outcome.rest {
                self.journal.well_since(begin).await?;
            }
            self.clear().await?;
            let all_sent = outcome.failed == 0 && !outcome.goes_on();
            self.abort_uploads(all_sent).await?;
        }
        if outcome.is_in_step() && self.journal.troubles(1).await?.is_empty() {
            self.journal
                .set(Key::InStep, Some(&now().to_string()))
                .await?;
        }
        Ok(outcome)
    }

    async fn plan(&self, parts: &Parts, force: bool) -> Result<Option<Plan>, Error> {
        let now = Millis::now();
        let device = self.config.device.clone();
        let conflict = |_, name: &str, attempt: u32| conflict_name(name, now, &device, attempt);
        let names = Names {
            conflict: &conflict,
            temporary: &passing_name,
        };
        let planned = reconcile(&parts.local, &parts.remote, &parts.synced, &names);
        let plan = match planned {
            Ok(plan) => plan,
            Err(error) => {
                // What is known here has no place, or what was heard does not fit together: hear everything anew.
                self.journal.drop_strays(self.root).await?;
                self.journal.take_anew(false).await?;
                return Err(Error::Unsound(error));
            }
        };
        if plan.is_empty() {
            return Ok(None);
        }
        if !force {
            let (items, files) = self.journal.count().await?;
            let count = Count { files, items };
            if let Some(much) = guard::too_much(&plan, count) {
                return Err(Error::TooMuch(much));
            }
        }
        Ok(Some(plan))
    }

    /// Old bytes of files.
    pub(super) fn shadows(&self) -> MutexGuard<'_, Shadows> {
        self.shadows.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes other settings.
    pub async fn set_config(&mut self, config: Config) -> Result<(), Error> {
        if config.exclude != self.config.exclude {
            self.ignore = Ignore::new(config.exclude.iter().cloned());
        }
        *self.shadows() = Shadows::new(&self.folder, config.shadow.as_u64());
        self.config = config;
        self.selection_changed().await
    }

    /// How contents of a space are named.
    pub(super) async fn keys(&self, space: i64) -> Result<Arc<ClientKeys>, Error> {
        let mut keys = self.keys.lock().await;
        if let Some(keys) = keys.get(&space) {
            return Ok(Arc::clone(keys));
        }
        let kept = self.journal.keys(space).await?;
        let kept = kept.and_then(|kept| serde_json::from_str::<SpaceKeys>(&kept).ok());
        let given = if let Some(kept) = kept {
            kept
        } else {
            let given = self.session.keys(space).await?;
            let text = serde_json::to_string(&given);
            let text = text.map_err(|_| Error::Confused("the keys are no keys"))?;
            self.journal.keep_keys(space, &text).await?;
            given
        };
        let parsed = ClientKeys::parse(&given.chunk, &given.blind, &given.root, &given.gear);
        let parsed = Arc::new(parsed.ok_or(Error::Confused("the keys are no keys"))?);
        keys.insert(space, Arc::clone(&parsed));
        Ok(parsed)
    }

    /// Whether a hint tells of more than what this device did itself. Then all up to that turn is to be pulled.
    pub fn is_news(&self, space: i64, seq: i64) -> bool {
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        let known = turns.entry(space).or_default();
        let news = seq > *known;
        *known = seq.max(*known);
        news
    }

    /// Remembers a turn that was this device's own, when nothing lies between it and what is known.
    pub(super) fn pushed(&self, node: Option<&crate::protocol::files::Node>) {
        let Some(node) = node else {
            return;
        };
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        let known = turns.entry(node.space).or_default();
        if node.seq == *known + 1 {
            *known = node.seq;
        }
    }

    /// Notes that a path is not in step.
    pub(super) async fn note(
        &self,
        path: &str,
        what: &str,
        outcome: &mut Outcome,
    ) -> Result<(), Error> {
        tracing::debug!(path, what, "not in step");
        outcome.failed += 1;
        Ok(self.journal.note(path, what, now()).await?)
    }

    /// Hears everything anew when other folders are kept on this device than at the last pull.
    async fn selection_changed(&self) -> Result<(), Error> {
        let selection = self.config.exclude.join("\n");
        self.anew_when_other(Key::Selection, &selection).await
    }

    /// Hears everything anew when what was kept under a key is not what holds now.
    async fn anew_when_other(&self, key: Key, now: &str) -> Result<(), Error> {
        let before = self.journal.get(key).await?;
        if before.as_deref() == Some(now) {
            return Ok(());
        }
        if before.is_some() {
            self.journal.take_anew(false).await?;
        }
        Ok(self.journal.set(key, Some(now)).await?)
    }
}

/// Milliseconds since 1970.
pub fn now() -> i64 {
    Millis::now().0
}
