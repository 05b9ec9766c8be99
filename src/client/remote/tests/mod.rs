//! Against small servers of our own, on loopback.

mod connecting;
mod hearing;
mod limiting;
mod login;
mod routes;
pub(in crate::client) mod stand;
mod tls;
mod tokens;

use std::path::Path;
use std::sync::Arc;

use super::request::Request;
use super::{Kept, Limits, Place, Result, Server, Session, Trust};
use crate::protocol::auth::{Account, Tokens};
use crate::protocol::files::Usage;

/// A server at an address, with nothing but the system's trust.
fn server(address: &str) -> Server {
    Server::new(address, &Trust::default(), Arc::new(Limits::default())).unwrap()
}

/// Tokens that end after `lives` seconds.
fn tokens(name: &str, lives: u64) -> Tokens {
    Tokens {
        access_token: format!("access-{name}"),
        token_type: "Bearer".to_owned(),
        expires_in: lives,
        refresh_token: format!("sr_{name}"),
        account: Account {
            id: 1,
            name: "alice".to_owned(),
            admin: false,
        },
        device: None,
    }
}

/// Somebody logged in with tokens named `1`, which lie in a directory.
pub(in crate::client) async fn session(address: &str, directory: &Path, lives: u64) -> Session {
    let place = Place::File(directory.join("token.json"));
    Session::begin(server(address), place, &tokens("1", lives))
        .await
        .unwrap()
}

impl Session {
    /// A request like any other.
    async fn usage(&self) -> Result<Usage> {
        self.ask(Request::get("usage")).await?.json(1024).await
    }
}

/// What is stored in a directory.
async fn stored(directory: &Path) -> Kept {
    let place = Place::File(directory.join("token.json"));
    place.load().await.unwrap().unwrap()
}
