//! `sync-client sync`.

use std::io::IsTerminal as _;
use std::sync::Arc;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use super::{Error, Opened, say, say_json};
use crate::client::cli::Sync;
use crate::client::config::{self, Config, ConfigDir};
use crate::client::control::{self, Ask};
use crate::client::journal::Key;
use crate::client::local::scan::Scope;
use crate::client::pass::{Asked, Engine};
use crate::client::progress::Progress;

/// Passes in a row, each of which found something to do: more would be two sides that never agree.
const PASSES: usize = 20;

/// Most files that are counted as not in step after a first sync of many.
const TROUBLES: u32 = 1_000_000;

/// What came of it, for programs.
#[derive(Debug, Default, Serialize)]
struct Done {
    /// Steps that were done.
    changes: u64,
    /// Files that are not in step.
    failed: u64,
    /// Bytes to the server, heads included.
    sent: u64,
    /// Bytes from the server.
    received: u64,
}

/// Brings both sides in step, or has the daemon do it.
pub(super) async fn sync(dir: &ConfigDir, asked: &Sync, json: bool) -> Result<(), Error> {
    let config = Config::load(dir)?;
    if config.paused {
        return Err(Error::Said("paused: `sync-client resume` first".to_owned()));
    }
    let lock = match dir.lock() {
        Err(config::Error::Locked(_)) => return by_daemon(dir, asked).await,
        lock => lock?,
    };
    let mut opened = Opened::open(dir, Arc::new(lock)).await?;
    let bar = show(&opened.engine.progress, json);
    let came = until_in_step(&mut opened.engine, asked.force_delete).await;
    if let Some(bar) = bar {
        bar.abort();
    }
    let engine = &opened.engine;
    let error = came.as_ref().err().map(ToString::to_string);
    engine.journal.set(Key::LastError, error.as_deref()).await?;
    let mut done = came?;
    let limits = engine.session.server().limits();
    (done.sent, done.received) = (limits.sent(), limits.received());
    if json {
        say_json(&done)?;
    } else if done.changes > 0 {
        say(&format!(
            "{} changes, {} bytes sent, {} received",
            done.changes, done.sent, done.received
        ))?;
    } else {
        say("in step")?;
    }
    match done.failed {
        0 => Ok(()),
        failed => Err(Error::NotAll(failed)),
    }
}

async fn until_in_step(engine: &mut Engine, force_delete: bool) -> Result<Done, Error> {
    let (mut done, mut troubles, mut missed) = (Done::default(), 0, false);
    let mut asked = Asked {
        scope: Scope::All,
        pull: true,
        force_delete,
    };
    let mut passes = 0;
    while passes < PASSES {
        let outcome = engine.pass(&asked).await?;
        done.changes += outcome.done;
        done.failed = outcome.failed;
        troubles = troubles.max(outcome.troubles);
        if !outcome.goes_on() {
            done.failed += troubles;
            if missed {
                // Not all of it was tried again since.
                let troubles = engine.journal.troubles(TROUBLES).await?;
                done.failed = troubles.len() as u64;
            }
            return Ok(done);
        }
        if outcome.rest {
            missed |= outcome.failed > 0;
        } else {
            passes += 1;
        }
        asked.scope = Scope::Dirty(outcome.again);
    }
    Err(Error::Said(
        "both sides keep changing; try again later".to_owned(),
    ))
}

async fn by_daemon(dir: &ConfigDir, asked: &Sync) -> Result<(), Error> {
    let ask = if asked.force_delete {
        Ask::SyncForced
    } else {
        Ask::Sync
    };
    let answer = control::ask(dir, ask)
        .await
        .map_err(|error| Error::Io("the daemon", error))?;
    match answer {
        Some(_) => say("the daemon looks at both sides now"),
        None => Err(Error::Config(config::Error::Locked(dir.path().to_owned()))),
    }
}

/// Shows on a terminal what is done.
fn show(progress: &Arc<Progress>, json: bool) -> Option<tokio::task::JoinHandle<()>> {
    if json || !std::io::stderr().is_terminal() {
        return None;
    }
    let progress = Arc::clone(progress);
    Some(tokio::spawn(async move {
        let bar = ProgressBar::new(0);
        if let Ok(style) =
            ProgressStyle::with_template("{msg} {wide_bar} {bytes}/{total_bytes} {bytes_per_sec}")
        {
            bar.set_style(style);
        }
        loop {
            let (doing, done, total) = progress.read();
            bar.set_message(doing);
            bar.set_length(total);
            bar.set_position(done);
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }))
}
