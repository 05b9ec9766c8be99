//! What black-box tests need: the real server in a temporary directory, a plain HTTP/1.1 client that
//! can also send nonsense, a reader of multistatus answers, a simulated device that syncs, and a way to
//! run other people's clients. Of the server's crate it uses only what every client needs: wire types,
//! cutting, deltas. Every failure ends the test with what was seen.

pub mod api;
pub mod client;
pub mod content;
pub mod damage;
pub mod device;
pub mod faults;
pub mod http;
pub mod memory;
mod meter;
pub mod multistatus;
pub mod planted;
pub mod postgres;
pub mod process;
pub mod proxy;
pub mod raw;
pub mod server;
pub mod tls;
mod wire;
pub mod xml;

pub use api::Api;
pub use client::Client;
pub use device::Device;
pub use http::{Dav, Response};
pub use meter::Traffic;
pub use multistatus::{Multistatus, multistatus};
pub use server::{Setup, TestServer};
