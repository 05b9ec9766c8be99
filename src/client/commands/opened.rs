//! Everything that a device works with, opened.

use std::num::NonZeroU64;
use std::sync::Arc;

use super::Error;
use crate::client::config::{Config, ConfigDir, Lock};
use crate::client::journal::Journal;
use crate::client::local::folder::Folder;
use crate::client::pass::Engine;
use crate::client::progress::Progress;
use crate::client::remote::{Fingerprint, Limits, Place, Server, Session, Trust};

/// Name of the file of the journal.
pub(super) const JOURNAL: &str = "journal.db";

/// A device ready to work. Nobody else works with its settings meanwhile.
pub(crate) struct Opened {
    /// Does the work.
    pub(crate) engine: Engine,
}

impl Opened {
    /// Opens what the settings name.
    pub(crate) async fn open(dir: &ConfigDir, lock: Arc<Lock>) -> Result<Self, Error> {
        let config = Config::load(dir)?;
        let mut folder = Folder::open(&config.folder, &config.folder_id)?;
        folder.hold(lock);
        for path in folder.recovered() {
            tracing::warn!(
                path,
                "a change of this file was under way when the last process ended; it lies here now"
            );
        }
        let journal = Journal::open(&dir.file(JOURNAL)).await?;
        let session = session(dir, &config).await?;
        set_limits(session.server().limits(), &config);
        let progress = Arc::new(Progress::default());
        let engine = Engine::open(
            Arc::new(folder),
            Arc::new(journal),
            session,
            config,
            progress,
        )
        .await?;
        Ok(Self { engine })
    }
}

/// The log-in of a device.
pub(super) async fn session(dir: &ConfigDir, config: &Config) -> Result<Session, Error> {
    let server = server(
        &config.server,
        &trust(config.ca_file.as_deref(), config.fingerprint.as_deref())?,
    )?;
    Ok(Session::open(server, Place::of(dir.path(), config.secrets)).await?)
}

/// A server that certificates are checked of.
pub(super) fn server(url: &str, trust: &Trust) -> Result<Server, Error> {
    Ok(Server::new(url, trust, Arc::new(Limits::default()))?)
}

/// Which certificates are trusted.
pub(super) fn trust(
    ca: Option<&std::path::Path>,
    fingerprint: Option<&str>,
) -> Result<Trust, Error> {
    let parse = |text: &str| {
        Fingerprint::parse(text)
            .ok_or_else(|| Error::Said("the fingerprint is not 64 hex digits".to_owned()))
    };
    Ok(Trust {
        ca: ca.map(ToOwned::to_owned),
        fingerprint: fingerprint.map(parse).transpose()?,
    })
}

/// Sets the rates that hold now; gives the minutes until others do.
pub(crate) fn set_limits(limits: &Limits, config: &Config) {
    let now = jiff::ZonedDateTime::now();
    let minute = u16::try_from(i32::from(now.hour()) * 60 + i32::from(now.minute())).unwrap_or(0);
    let rates = config.limits.at(minute);
    let rate = |rate: Option<bytesize::ByteSize>| rate.and_then(|rate| NonZeroU64::new(rate.0));
    limits.set(rate(rates.up), rate(rates.down));
}
