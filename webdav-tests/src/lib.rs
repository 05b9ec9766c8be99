//! What black-box tests need: the real server in a temporary directory, a plain HTTP/1.1 client that
//! can also send nonsense, a reader of multistatus answers, and a way to run other people's clients.
//! Knows nothing of the server's code; every failure ends the test with what was seen.

pub mod api;
pub mod content;
pub mod http;
pub mod memory;
pub mod multistatus;
pub mod process;
pub mod raw;
pub mod server;
pub mod tls;
mod wire;
pub mod xml;

pub use api::Api;
pub use http::{Dav, Response};
pub use multistatus::{Multistatus, multistatus};
pub use server::{Setup, TestServer};
