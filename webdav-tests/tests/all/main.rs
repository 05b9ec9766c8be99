//! Black-box tests: each starts its own server and speaks to it as clients do. One binary, because
//! linking dozens takes longer than running them; `cargo nextest run -p webdav-tests locks::` picks a theme.
//! `SYNC_TEST_LONG=1` makes the heavy ones heavier.

mod accounts_cli;
mod api_auth;
mod api_bad_input;
mod api_files;
mod api_history;
mod api_together;
mod api_uploads;
mod auth;
mod away;
mod bad_input;
mod bad_xml;
mod cleanup;
mod client;
mod clients;
mod collection;
mod compression;
mod conditions;
mod copymove;
mod damage;
mod delete;
mod destination;
mod durability;
mod export;
mod faults;
mod finder;
mod formats;
mod garmin;
mod install;
mod locks;
mod lost;
mod memory;
mod names;
mod oc_headers;
mod options;
mod propfind;
mod proppatch;
mod put_get;
mod quota;
mod ranges;
mod rekey;
mod report_sync;
mod shared_space;
mod sync_delta;
mod sync_devices;
mod sync_events;
mod sync_fetch;
mod sync_pull;
mod sync_push;
mod tls;
mod two_nodes;
mod undisturbed;
mod windows;

/// Whether this is the long run (`./test.sh --long`).
fn long() -> bool {
    std::env::var_os("SYNC_TEST_LONG").is_some()
}
