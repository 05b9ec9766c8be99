//! `sync-server cleanup`: what would go by itself some day goes now.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::{close, open, size};
use crate::jobs::{self, Cleaned, Site};
use crate::server::cli::Cleanup;
use crate::server::config::Config;
use crate::server::error::Result;
use crate::server::startup;
use crate::types::Clock;

/// Cleans up, or only counts, and says what each job freed: its name, how many, how much.
pub(super) async fn run(what: Cleanup, config: &Config) -> Result<String> {
    let opened = open(config).await?;
    let site = Site {
        store: Arc::clone(&opened.store),
        clock: Clock::system(),
        stop: CancellationToken::new(),
    };
    let cleanup = jobs::Cleanup {
        older_than: what.older_than,
        keep: startup::rules(config).versions,
    };
    let cleaned = if what.dry_run {
        cleanup.count(&site).await
    } else {
        cleanup.run(&site).await
    };
    let text = match &cleaned {
        Ok(cleaned) => cleaned.iter().map(line).collect(),
        Err(_) => String::new(),
    };
    let text = close(&opened, text).await?;
    cleaned?;
    Ok(text)
}

fn line(Cleaned { job, freed }: &Cleaned) -> String {
    let items = freed.items;
    let plural = if items == 1 { "" } else { "s" };
    format!("{job}\t{items} item{plural}\t{}\n", size(freed.bytes))
}
