//! Commands that change settings: `select`, `limit`, `pause`, `resume`.

use super::{Error, say, say_json};
use crate::client::cli::{Limit, Select};
use crate::client::config::{Config, ConfigDir, Limits, Rates, Window};
use crate::client::control::{self, Ask};

/// Shows or changes which folders are kept here.
pub(super) async fn select(dir: &ConfigDir, asked: &Select, json: bool) -> Result<(), Error> {
    let mut config = Config::load(dir)?;
    for folder in asked.exclude.iter().map(|folder| plain(folder)) {
        let folder = folder?;
        if !config.exclude.contains(&folder) {
            config.exclude.push(folder);
        }
    }
    for folder in asked.include.iter().map(|folder| plain(folder)) {
        let folder = folder?;
        let before = config.exclude.len();
        config.exclude.retain(|excluded| *excluded != folder);
        if config.exclude.len() == before {
            return Err(Error::Said(format!("{folder} is not excluded")));
        }
    }
    config.exclude.sort();
    if !asked.exclude.is_empty() || !asked.include.is_empty() {
        save(dir, &config).await?;
    }
    if json {
        return say_json(&config.exclude);
    }
    if config.exclude.is_empty() {
        say("everything is kept here")
    } else {
        say(&format!(
            "not kept here:\n  {}",
            config.exclude.join("\n  ")
        ))
    }
}

/// A folder as the settings have it.
fn plain(folder: &str) -> Result<String, Error> {
    let names: Vec<_> = folder.split('/').filter(|name| !name.is_empty()).collect();
    if names.is_empty() || names.iter().any(|name| matches!(*name, "." | "..")) {
        return Err(Error::Said(format!(
            "`{folder}` is no folder on the server"
        )));
    }
    Ok(format!("/{}", names.join("/")))
}

/// Shows or changes how fast it may go.
pub(super) async fn limit(dir: &ConfigDir, asked: &Limit, json: bool) -> Result<(), Error> {
    let mut config = Config::load(dir)?;
    if asked.clear {
        config.limits = Limits::default();
    }
    let asks = asked.up.is_some() || asked.down.is_some();
    let set = |rates: &mut Rates| {
        if let Some(up) = asked.up {
            rates.up = up.0;
        }
        if let Some(down) = asked.down {
            rates.down = down.0;
        }
    };
    match &asked.at {
        Some(hours) if asks => {
            let window = |window: &&mut Window| (&window.from, &window.to) == (&hours.0, &hours.1);
            if let Some(window) = config.limits.schedule.iter_mut().find(window) {
                set(&mut window.rates);
            } else {
                let mut rates = Rates::default();
                set(&mut rates);
                config.limits.schedule.push(Window {
                    from: hours.0.clone(),
                    to: hours.1.clone(),
                    rates,
                });
            }
        }
        Some(hours) => config
            .limits
            .schedule
            .retain(|window| (&window.from, &window.to) != (&hours.0, &hours.1)),
        None => set(&mut config.limits.rates),
    }
    if asks || asked.clear || asked.at.is_some() {
        save(dir, &config).await?;
    }
    if json {
        return say_json(&config.limits);
    }
    let mut lines = vec![line("always", config.limits.rates)];
    let window = |window: &Window| line(&format!("{}-{}", window.from, window.to), window.rates);
    lines.extend(config.limits.schedule.iter().map(window));
    say(&lines.join("\n"))
}

fn line(when: &str, rates: Rates) -> String {
    let rate = |rate: Option<bytesize::ByteSize>| {
        rate.map_or_else(|| "no limit".to_owned(), |rate| format!("{rate}/s"))
    };
    format!("{when}: {} up, {} down", rate(rates.up), rate(rates.down))
}

/// Stops or goes on.
pub(super) async fn pause(dir: &ConfigDir, paused: bool, json: bool) -> Result<(), Error> {
    let mut config = Config::load(dir)?;
    config.paused = paused;
    save(dir, &config).await?;
    match (json, paused) {
        (true, paused) => say_json(&serde_json::json!({ "paused": paused })),
        (false, true) => say("paused until `sync-client resume`"),
        (false, false) => say("goes on"),
    }
}

/// Writes the settings, and tells a daemon at work.
async fn save(dir: &ConfigDir, config: &Config) -> Result<(), Error> {
    config.save(dir)?;
    control::ask(dir, Ask::Reload)
        .await
        .map_err(|error| Error::Io("the daemon", error))?;
    Ok(())
}
