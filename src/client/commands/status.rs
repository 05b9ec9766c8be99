//! `sync-client status`.

use serde::Serialize;

use super::opened::JOURNAL;
use super::{Error, say, say_json};
use crate::client::config::{Config, ConfigDir};
use crate::client::control::{self, Ask, Live};
use crate::client::journal::{Journal, Key, Trouble};
use crate::client::show::{size, time};

/// Troubles that are shown.
const TROUBLES: u32 = 100;

/// How a device stands.
#[derive(Debug, Serialize)]
struct Standing {
    server: String,
    account: String,
    device: String,
    folder: std::path::PathBuf,
    paused: bool,
    items: u64,
    files: u64,
    /// Items whose state at the server is not here yet.
    waiting: u64,
    /// Milliseconds since 1970.
    in_step: Option<i64>,
    last_error: Option<String>,
    troubles: Vec<Trouble>,
    daemon: Option<Live>,
}

/// Shows how a device stands.
pub(super) async fn status(dir: &ConfigDir, json: bool) -> Result<(), Error> {
    let config = Config::load(dir)?;
    let journal = Journal::open(&dir.file(JOURNAL)).await?;
    let (items, files) = journal.count().await?;
    let in_step = journal.get(Key::InStep).await?;
    // A daemon that does not answer is told like none; what the journal says holds in any case.
    let daemon = control::ask(dir, Ask::Status).await.unwrap_or_default();
    let standing = Standing {
        server: config.server,
        account: config.account,
        device: config.device,
        folder: config.folder,
        paused: config.paused,
        items,
        files,
        waiting: journal.in_wait().await?,
        in_step: in_step.and_then(|text| text.parse().ok()),
        last_error: journal.get(Key::LastError).await?,
        troubles: journal.troubles(TROUBLES).await?,
        daemon,
    };
    journal.close().await?;
    if json {
        say_json(&standing)
    } else {
        say(&text(&standing))
    }
}

fn text(standing: &Standing) -> String {
    let mut lines = vec![
        format!(
            "{} as {} of {}",
            standing.server, standing.device, standing.account
        ),
        format!("folder   {}", standing.folder.display()),
        format!(
            "kept     {} files, {} folders",
            standing.files,
            standing.items - standing.files
        ),
    ];
    let in_step = standing.in_step.map_or_else(|| "not yet".to_owned(), time);
    lines.push(format!("in step  {in_step}"));
    if standing.waiting > 0 {
        lines.push(format!(
            "waiting  {} changes of the server",
            standing.waiting
        ));
    }
    lines.push(match &standing.daemon {
        _ if standing.paused => "daemon   paused".to_owned(),
        None => "daemon   not running".to_owned(),
        Some(live) => {
            let online = if live.online { "" } else { ", offline" };
            format!(
                "daemon   {}{online}, {}/s up, {}/s down",
                live.doing,
                size(live.up),
                size(live.down)
            )
        }
    });
    if let Some(error) = &standing.last_error {
        lines.push(format!("error    {error}"));
    }
    for trouble in &standing.troubles {
        lines.push(format!(
            "  {}: {} (since {}, {} tries)",
            trouble.path,
            trouble.what,
            time(trouble.since),
            trouble.tries
        ));
    }
    lines.join("\n")
}
