//! Talking to the server.
//!
//! [`Server`] is the way to it: connections, requests, answers. [`Session`] is somebody logged in there, with
//! a typed call for each route. [`Events`] hears that
//! something has changed.

mod address;
mod answer;
pub mod api;
mod connection;
mod dial;
mod error;
mod events;
mod limit;
mod login;
mod request;
mod tls;
mod tokens;

pub use answer::Reader;
pub use connection::{Server, Speaks};
pub use error::{Error, Refusal, Result};
pub use events::{Events, Heard};
pub use limit::Limits;
pub use login::Session;
pub use request::Source;
pub use tls::{Fingerprint, Trust};
pub use tokens::{Kept, Place};

#[cfg(test)]
pub(super) mod tests;
