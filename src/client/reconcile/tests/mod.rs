//! Plans, carried out step by step on two disks that refuse whatever a real one would.

mod disk;
mod edits;
mod guarding;
mod ordering;
mod part;
mod properties;
mod rules;
mod short;
mod speed;
mod world;

use super::{Names, Plan, Tree, reconcile};
use crate::client::item::ItemId;

/// How often a property is tried.
fn cases(usual: u32) -> u32 {
    if std::env::var_os("SYNC_TEST_LONG").is_some() {
        usual * 400
    } else {
        usual
    }
}

fn conflict_name(_: ItemId, name: &str, attempt: u32) -> String {
    format!("{name}~{attempt}")
}

fn temporary_name(id: ItemId) -> String {
    format!("temporary{}", id.0)
}

fn plan(local: &Tree, remote: &Tree, synced: &Tree) -> Plan {
    let names = Names {
        conflict: &conflict_name,
        temporary: &temporary_name,
    };
    reconcile(local, remote, synced, &names).unwrap()
}
