//! `sync-server recover`: makes a lost database anew.

use std::fmt::Write;

use jiff::Timestamp;

use super::size;
use crate::crypto::MasterKey;
use crate::jobs::recover::{self, FOLDER, Recovered};
use crate::server::config::Config;
use crate::server::error::{Error, Result};
use crate::server::startup;
use crate::store::meta::Meta;
use crate::types::Clock;

/// Recovers and reports in text.
pub(super) async fn run(config: &Config) -> Result<String> {
    if !config.key_file.exists() {
        return Err(Error::NoKey(config.key_file.clone()));
    }
    // Also where servers share the data folder: none may run.
    let _lock = startup::lock_out(config)?;
    let (master, _) = MasterKey::load_or_create(&config.key_file)?;
    startup::make_database_folder(config)?;
    let meta = Meta::open(&config.db_path).await?;
    let done = recover::recover(meta, &config.data_path, master, Clock::system()).await?;
    Ok(report(&done))
}

fn report(done: &Recovered) -> String {
    let taken = Timestamp::from_millisecond(done.taken.0).unwrap_or_default();
    let mut text = format!("snapshot of\t{taken:.0}\nfiles of it\t{}\n", done.files);
    let figures = [
        ("files of it that do not open", done.refused),
        ("segments read", done.scanned),
        ("segments of unknown spaces", done.unknown),
        ("bytes damaged or cut short", done.damaged),
        ("chunks not where they were", done.lost),
        ("chunks not found", done.missing),
        ("files that lack bytes", done.broken),
        ("newer files", done.placed),
        ("newer files not whole", done.torn),
    ];
    for (name, figure) in figures {
        writeln!(text, "{name}\t{figure}").expect("writing to a String never fails");
    }
    if done.placed > 0 {
        let bytes = size(done.bytes);
        let line =
            format!("newer than the snapshot: {bytes} in the folder {FOLDER} of each space\n");
        text.push_str(&line);
    }
    text
}
