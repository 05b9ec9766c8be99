//! `sync-server rekey`: another master key for the store.

use std::fmt::Write;
use std::path::Path;

use crate::crypto::{MasterKey, Origin};
use crate::jobs::snapshot::Snapshots;
use crate::jobs::{collect, reseal};
use crate::server::cli;
use crate::server::config::Config;
use crate::server::error::{Error, Result};
use crate::server::{rekeyed, startup};
use crate::store::meta::{Database, Meta};
use crate::store::{KeyRing, Rekeyed, rekey};
use crate::types::Clock;

const RESEALING: &str = "The server seals all files anew in the background.\n";
const NOTHING_LEFT: &str =
    "Nothing is left to be sealed anew; to begin once more, name a new key file.\n";

/// Changes the key while nobody uses the store, and says what the operator has to do now.
pub(super) async fn run(what: &cli::Rekey, config: &Config) -> Result<String> {
    let _serving = startup::lock_out(config)?;
    let opened = startup::shut(&config.data_path)?;
    let collecting = collect::lock(&config.data_path)?;
    let _collecting = collecting.ok_or_else(|| Error::Collecting(config.data_path.clone()))?;
    let missing = || Error::KeyMissing {
        database: config.db_path.clone(),
        key: config.key_file.clone(),
    };
    let old = MasterKey::load(&config.key_file)?.ok_or_else(missing)?;
    let meta = open(&config.db_path).await?;
    let done = change(&meta, old, what).await;
    meta.close().await;
    drop(opened);
    let said = done?;
    match renew_snapshots(config, &what.new_key_file).await {
        Ok(()) => Ok(said),
        Err(source) => Err(Error::OldSnapshots {
            said,
            source: Box::new(source),
        }),
    }
}

/// Takes a snapshot that the new key opens instead of those that only the old one does.
async fn renew_snapshots(config: &Config, key_file: &Path) -> Result<()> {
    let mut config = config.clone();
    key_file.clone_into(&mut config.key_file);
    let clock = Clock::system();
    let store = startup::open(&config, clock.clone()).await?.store;
    let renewed = Snapshots::new(&config.data_path, clock).renew(&store).await;
    store.close().await;
    Ok(renewed?)
}

/// Opens a database that is there.
async fn open(database: &Database) -> Result<Meta> {
    if let Database::File(path) = database
        && let Err(source) = std::fs::metadata(path)
    {
        let path = path.clone();
        return Err(Error::File { path, source });
    }
    Ok(Meta::open(database).await?)
}

async fn change(meta: &Meta, old: MasterKey, what: &cli::Rekey) -> Result<String> {
    let file = &what.new_key_file;
    // Before a key is made that is of no use.
    KeyRing::prove(&old, meta).await.or_else(|error| {
        // Unless the new key has opened the store since a run that was killed.
        let new = MasterKey::load(file)?;
        new.map(drop).ok_or(error)
    })?;
    let (new, origin) = MasterKey::load_or_create(file)?;
    MasterKey::make_durable(file)?;
    let (was, is) = (old.name(), new.name());
    if was == is {
        return Err(Error::SameKey(file.to_owned()));
    }
    let done = rekey(meta, (old, new), what.reseal, Clock::system().now()).await?;
    if matches!(done, Rekeyed::Done(_)) && what.reseal && meta.is_shared() {
        // A server that nobody could see has sealed by older keys up to now.
        tokio::time::sleep(rekeyed::NOTICED).await;
        reseal::begin(meta).await?;
    }
    let resealing = reseal::under_way(meta).await?;
    match done {
        Rekeyed::InUse => Err(Error::Used),
        Rekeyed::Before => {
            let todo = todo(file);
            let mut text = format!("the store opens with key {is} already\n{todo}");
            if resealing {
                text.push_str(RESEALING);
            } else if what.reseal {
                text.push_str(NOTHING_LEFT);
            }
            Ok(text)
        }
        Rekeyed::Done(spaces) => {
            let mut text = format!(
                "spaces\t{spaces}\nold key\t{was}\nnew key\t{is}\n{}",
                todo(file)
            );
            if origin == Origin::Created {
                writeln!(
                    text,
                    "IMPORTANT: keep a copy of {} on another machine.",
                    file.display()
                )
                .expect("writing to a String never fails");
            }
            if resealing {
                text.push_str(RESEALING);
            }
            text.push_str(
                "The old key still opens copies of the database made before now: keep or destroy both.\n\
                 Pairing codes are void. Devices renew their access tokens by themselves.\n",
            );
            Ok(text)
        }
    }
}

fn todo(file: &Path) -> String {
    let file = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
    format!(
        "Before the server starts, set SYNC_KEY_FILE={}\n",
        file.display()
    )
}
