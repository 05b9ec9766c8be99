//! What goes over the wire of `/api/v1`: JSON bodies and the binary stream. Types and codecs only, no
//! I/O; server and client share them. `docs/API.md` and `docs/PROTOCOL.md` describe them for others.
//!
//! Times are milliseconds since 1970 (UTC), sizes bytes, ids integers below 2^53.

pub mod auth;
pub mod files;
pub mod problem;
pub mod schema;
pub mod stream;
pub mod sync;
