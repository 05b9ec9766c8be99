//! `sync-server export`: every file as a plain file, outside of the store.

use std::fmt::Write as _;
use std::io::{Write as _, stdout};

use super::size;
use crate::jobs::export::{self, Export};
use crate::server::cli;
use crate::server::config::Config;
use crate::server::error::{Error, Result};
use crate::server::startup;

/// Exports, and says what was written and what was not.
pub(super) async fn run(what: cli::Export, config: &Config) -> Result<()> {
    let store = startup::open_to_read(config).await?;
    let how = Export {
        space: what.space,
        versions: what.versions,
        resume: what.resume,
    };
    let done = export::run(&store, &what.dir, &how).await;
    store.close().await;
    let done = done?;
    let mut text = format!("files\t{}\nbytes\t{}\n", done.files, size(done.bytes));
    if done.equal > 0 {
        writeln!(text, "there already\t{}", done.equal).expect("writing to a String never fails");
    }
    if done.restless > 0 {
        text.push_str("files were written all the time; --resume brings what came last\n");
    }
    stdout().write_all(text.as_bytes())?;
    if done.failed > 0 {
        return Err(Error::LeftOut {
            failed: done.failed,
            list: what.dir.join(export::LIST),
        });
    }
    Ok(())
}
