//! sync-server: a WebDAV-compatible file server with sync extensions.
//!
//! The folders are the architecture, lowest first. Each may import only what stands above it
//! in this list; `layers.rs` holds the exact table and fails the build's tests when code breaks it.
//!
//! | module | what it is |
//! |---|---|
//! | [`types`] | plain values: paths, ids, ETags, times |
//! | [`crypto`], [`chunk`] | sealing and cutting of bytes, no I/O beyond the key file |
//! | [`protocol`] | what goes over the wire of `/api/v1`, shared with the client |
//! | [`store`] | where names (SQL) and bytes (segments) lie |
//! | [`tree`], [`accounts`] | the rules: one versioned tree, who may use it |
//! | [`jobs`] | what the server does by itself, and commands for the whole store |
//! | [`server`] | HTTP faces over the tree |
//! | [`client`] | the Linux daemon: a folder kept in step with a server |

#[cfg(feature = "server")]
pub mod accounts;
pub mod chunk;
#[cfg(feature = "client")]
pub mod client;
pub mod crypto;
#[cfg(feature = "server")]
pub mod jobs;
pub mod protocol;
#[cfg(feature = "server")]
pub mod server;
#[cfg(feature = "server")]
pub mod store;
#[cfg(feature = "server")]
pub mod tree;
pub mod types;

#[cfg(all(feature = "server", any(test, fuzzing)))]
pub mod fuzzing;
#[cfg(test)]
mod layers;
