//! `sync-server conflicts`: what two devices changed at the same time, in all spaces.

use std::fmt::Write;

use jiff::Timestamp;

use super::{close, open};
use crate::server::config::Config;
use crate::server::error::Result;
use crate::tree::{OpenConflict, open_conflicts};

/// Conflicts looked up at once.
const PAGE: i64 = 500;
/// What is not known, or not there any more.
const NONE: &str = "-";

/// A table of all open conflicts, oldest first; paths start at the root of their space.
pub(super) async fn list(config: &Config) -> Result<String> {
    let opened = open(config).await?;
    let mut text = "ID\tSINCE\tSPACE\tFILE\tCOPY\tDEVICE\n".to_owned();
    let mut after = 0;
    loop {
        let page = open_conflicts(&opened.store, after, PAGE).await?;
        let Some(last) = page.last() else { break };
        after = last.id;
        for conflict in page {
            line(&mut text, conflict);
        }
    }
    close(&opened, text).await
}

fn line(text: &mut String, conflict: OpenConflict) {
    let OpenConflict {
        id,
        at,
        space,
        node,
        copy,
        device,
    } = conflict;
    let since = Timestamp::from_millisecond(at.0);
    let since = since.map_or_else(|_| at.0.to_string(), |since| since.to_string());
    let path = |path: Option<crate::types::NodePath>| {
        path.map_or_else(|| NONE.to_owned(), |path| path.to_string())
    };
    let (node, copy) = (path(node), path(copy));
    let device = device.as_deref().unwrap_or(NONE);
    writeln!(text, "{id}\t{since}\t{space}\t{node}\t{copy}\t{device}")
        .expect("writing to a String never fails");
}
