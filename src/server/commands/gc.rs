//! `sync-server gc`: gives the room of what nothing names any more back, now.

use std::fmt::Write;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::{close, open, size};
use crate::jobs::collect::{self, Collect};
use crate::server::config::Config;
use crate::server::error::{Error, Result};
use crate::server::startup;
use crate::types::Clock;

/// How long it waits for uploads and downloads under way, and for a killed server to be missed.
const PATIENCE: Duration = Duration::from_secs(75);
/// How often it looks whether another collection is done.
const POLL: Duration = Duration::from_millis(250);

/// Collects until nothing is left to do, and reports in text.
pub(super) async fn run(config: &Config, grace: Option<Duration>) -> Result<String> {
    if startup::is_old(&config.data_path)? {
        return Err(Error::OldServer);
    }
    let opened = open(config).await?;
    let how = Collect {
        grace: grace.unwrap_or(config.collect.grace),
        rate: None,
        clock: Clock::system(),
    };
    let _lock = loop {
        match collect::lock(&config.data_path)? {
            Some(lock) => break lock,
            None => tokio::time::sleep(POLL).await,
        }
    };
    // Without a server whoever is still noted was killed. With one, or with a database for several,
    // they are missed in a minute.
    if !opened.store.meta.is_shared()
        && let Ok(_free) = startup::lock(config).await
    {
        let store = &opened.store;
        store.process.bury_others(&store.meta).await?;
    }
    let stop = CancellationToken::new();
    let done = collect::settle(&opened.store, &how, PATIENCE, &stop).await?;
    let mut text = format!(
        "freed\t{}\nmoved\t{}\ncontents\t{}\nchunks\t{}\n",
        size(done.freed),
        size(done.moved),
        done.contents,
        done.chunks
    );
    if done.waiting > 0 {
        text.push_str("some is held by uploads or downloads under way; run it again later\n");
    }
    if done.later > 0 {
        text.push_str("what went less than the grace ago stays until then; see --grace\n");
    }
    if done.damaged > 0 {
        writeln!(text, "damaged segments\t{}", done.damaged)
            .expect("writing to a String never fails");
    }
    close(&opened, text).await
}
