//! `sync-client resolve`.

use std::io::{self, IsTerminal as _};
use std::path::Path;

use serde::Serialize;

use super::opened::session;
use super::{Error, say, say_json};
use crate::client::cli::{Resolve, Take};
use crate::client::config::{Config, ConfigDir};
use crate::client::control::{self, Ask};
use crate::client::remote::Session;
use crate::client::resolve as resolving;
use crate::client::resolve::act::{Devices, all, pair, take, take_edited};
use crate::client::resolve::screen::{self, Ended};
use crate::client::resolve::sides::{Choice, Label};
use crate::client::resolve::signals::Signals;
use crate::protocol::files::{Conflict, Keep};

/// What became of a conflict.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Outcome {
    /// Its id.
    conflict: i64,
    /// The file; of one that was deleted, the copy.
    path: Option<String>,
    /// The side that stays, as it is called here.
    took: Option<Label>,
    /// The side that stays, as the server calls it.
    keep: Option<Keep>,
    /// Why it stays a conflict.
    error: Option<String>,
}

/// Ends conflicts: as `--take` says, or as somebody says who looks at them.
pub(super) async fn resolve(dir: &ConfigDir, asked: &Resolve, json: bool) -> Result<(), Error> {
    let config = Config::load(dir)?;
    if asked.take.is_none() && !(io::stdin().is_terminal() && io::stdout().is_terminal()) {
        let said = "conflicts are looked at on a terminal; without one, say --take local, server, both or editor";
        return Err(Error::Said(said.to_owned()));
    }
    let session = session(dir, &config).await?;
    let conflicts = all(&session).await.map_err(Error::from)?;
    let conflicts = match &asked.conflict {
        Some(named) => vec![find(&conflicts, named, &config.folder)?],
        None => conflicts,
    };
    if conflicts.is_empty() {
        return if json {
            say_json(&[(); 0])
        } else {
            say("no conflicts")
        };
    }
    let mut outcomes = Vec::new();
    let came = match asked.take {
        Some(asked) => take_all(&session, &conflicts, choice(asked), &mut outcomes).await,
        None => look(&session, conflicts, &mut outcomes).await,
    };
    let told = tell(dir, outcomes.iter().any(|outcome| outcome.error.is_none())).await;
    if json {
        say_json(&outcomes)?;
    } else {
        outcomes
            .iter()
            .try_for_each(|outcome| say(&line(outcome)))?;
        told.map_or(Ok(()), say)?;
    }
    came?;
    match outcomes
        .iter()
        .filter(|outcome| outcome.error.is_some())
        .count()
    {
        0 => Ok(()),
        failed => Err(Error::Unresolved(failed)),
    }
}

/// The conflict with this number or of this file: its path on the server, or here.
fn find(conflicts: &[Conflict], named: &str, folder: &Path) -> Result<Conflict, Error> {
    let here = std::path::absolute(named).ok();
    let here = here
        .as_deref()
        .and_then(|here| here.strip_prefix(folder).ok()?.to_str());
    let here = here.map(|path| format!("/{path}"));
    let there = format!("/{}", named.trim_start_matches('/'));
    let number = named.parse().ok();
    let is_number = |conflict: &Conflict| Some(conflict.id) == number;
    let is_of = |path: &str, conflict: &Conflict| {
        [&conflict.node, &conflict.copy]
            .into_iter()
            .flatten()
            .any(|node| node.path == path)
    };
    let mut found: Vec<_> = conflicts
        .iter()
        .filter(|conflict| is_number(conflict))
        .collect();
    for path in [Some(there), here].into_iter().flatten() {
        if found.is_empty() {
            found = conflicts
                .iter()
                .filter(|conflict| is_of(&path, conflict))
                .collect();
        }
    }
    match found.as_slice() {
        [one] => Ok((*one).clone()),
        [] => Err(Error::Said(format!(
            "`{named}` is not in conflict; `sync-client conflicts` tells what is"
        ))),
        several => {
            let ids: Vec<_> = several
                .iter()
                .map(|conflict| conflict.id.to_string())
                .collect();
            Err(Error::Said(format!(
                "`{named}` is in several conflicts; name one by its number: {}",
                ids.join(", ")
            )))
        }
    }
}

fn choice(take: Take) -> Choice {
    match take {
        Take::Local => Choice::Local,
        Take::Server => Choice::Server,
        Take::Both => Choice::Both,
        Take::Editor => Choice::Editor,
    }
}

/// Ends one after the other. One that cannot be ended does not hold up the others; a lost server does.
async fn take_all(
    session: &Session,
    conflicts: &[Conflict],
    choice: Choice,
    outcomes: &mut Vec<Outcome>,
) -> Result<(), Error> {
    let mut signals = Signals::listen()?;
    let devices = signals.or(Devices::ask(session)).await?;
    for conflict in conflicts {
        let done = async {
            let pair = signals.or(pair(session, &devices, conflict)).await?;
            let keep = match choice {
                Choice::Editor => take_edited(session, &pair, &mut signals).await?,
                Choice::Local | Choice::Server | Choice::Both => {
                    signals.or(take(session, &pair, choice)).await?
                }
            };
            Ok((pair, choice, keep))
        };
        match done.await {
            Ok(ended) => outcomes.push(outcome(&ended)),
            Err(error @ resolving::Error::Signal(_)) => return Err(error.into()),
            Err(resolving::Error::Remote(error)) if error.problem().is_none() => {
                return Err(error.into());
            }
            Err(error) => outcomes.push(Outcome {
                conflict: conflict.id,
                path: path(conflict),
                took: None,
                keep: None,
                error: Some(error.to_string()),
            }),
        }
    }
    Ok(())
}

/// Has somebody look at them. What stays a conflict then is no failure.
async fn look(
    session: &Session,
    conflicts: Vec<Conflict>,
    outcomes: &mut Vec<Outcome>,
) -> Result<(), Error> {
    let mut signals = Signals::listen()?;
    let devices = signals.or(Devices::ask(session)).await?;
    let mut ended = Vec::new();
    let came = screen::show(session, &devices, conflicts, &mut signals, &mut ended).await;
    outcomes.extend(ended.iter().map(outcome));
    Ok(came?)
}

fn outcome((pair, choice, keep): &Ended) -> Outcome {
    let node = pair.node.as_ref().or(pair.copy.as_ref());
    Outcome {
        conflict: pair.id,
        path: node.map(|side| side.node.path.clone()),
        took: Some(pair.chosen(*choice)),
        keep: Some(*keep),
        error: None,
    }
}

fn path(conflict: &Conflict) -> Option<String> {
    let node = conflict.node.as_ref().or(conflict.copy.as_ref());
    node.map(|node| node.path.clone())
}

fn line(outcome: &Outcome) -> String {
    let path = outcome.path.as_deref().unwrap_or("(deleted)");
    let what = match (&outcome.error, outcome.took) {
        (Some(error), _) => format!("not resolved: {error}"),
        (None, Some(took)) => took.text().to_owned(),
        (None, None) => String::new(),
    };
    format!("{}  {path}  {what}", outcome.conflict)
}

/// Has a daemon fetch what was decided; gives what is to be said about it.
async fn tell(dir: &ConfigDir, anything: bool) -> Option<&'static str> {
    if !anything {
        return None;
    }
    match control::ask(dir, Ask::Sync).await {
        Ok(Some(_)) => None,
        // It hears of it from the server, or looks later.
        Err(error) => {
            tracing::info!(%error, "the daemon does not answer");
            None
        }
        Ok(None) => Some("the next `sync-client sync` brings it here"),
    }
}
