//! `sync-server scrub`: opens everything that is sealed, from where the pass under way has come to.

use std::io::{Write as _, stdout};
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::{close, open, size};
use crate::jobs::Site;
use crate::jobs::scrub::{self, How, Start};
use crate::server::cli::Scrub;
use crate::server::config::Config;
use crate::server::error::{Error, Result};
use crate::types::Clock;

/// Verifies to the end of a pass; [`Error::Damage`] when anything has the mark of damage then.
pub(super) async fn run(what: Scrub, config: &Config) -> Result<String> {
    let opened = open(config).await?;
    let site = Site {
        store: Arc::clone(&opened.store),
        clock: Clock::system(),
        stop: CancellationToken::new(),
    };
    let how = How {
        rate: what.rate.map(|rate| rate.as_u64()),
    };
    let start = if what.from_start {
        Start::Anew
    } else {
        Start::GoOn
    };
    let done = scrub::to_end(&site, &how, start).await;
    let text = match &done {
        Ok(done) => format!(
            "verified\t{}\nfound\t{}\ndamaged\t{}\n",
            size(done.bytes),
            done.found,
            done.damaged
        ),
        Err(_) => String::new(),
    };
    let text = close(&opened, text).await?;
    let done = done?;
    if done.damaged > 0 {
        stdout().write_all(text.as_bytes())?;
        return Err(Error::Damage(done.damaged));
    }
    Ok(text)
}
