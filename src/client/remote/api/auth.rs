//! Logging in.

use crate::client::remote::connection::Server;
use crate::client::remote::login::Session;
use crate::client::remote::request::Request;
use crate::client::remote::{Result, api::ANSWER_MAX};
use crate::protocol::auth::{DeviceType, Devices, Register, Tokens};

/// Makes a device of this machine with the account's password.
pub async fn register(
    server: &Server,
    account: &str,
    password: &str,
    name: &str,
) -> Result<Tokens> {
    let body = Register {
        account: Some(account.to_owned()),
        password: Some(password.to_owned()),
        code: None,
        name: name.to_owned(),
        kind: DeviceType::Linux,
    };
    tokens(server, Request::post("auth/register").json(&body)?).await
}

/// Makes a device of this machine with a pairing code.
pub async fn register_by_code(server: &Server, code: &str, name: &str) -> Result<Tokens> {
    let body = Register {
        account: None,
        password: None,
        code: Some(code.to_owned()),
        name: name.to_owned(),
        kind: DeviceType::Linux,
    };
    tokens(server, Request::post("auth/register").json(&body)?).await
}

async fn tokens(server: &Server, request: Request) -> Result<Tokens> {
    server.send(request, None).await?.json(ANSWER_MAX).await
}

impl Session {
    /// The devices of the account.
    pub async fn devices(&self) -> Result<Devices> {
        self.ask(Request::get("devices").unpacks())
            .await?
            .json(ANSWER_MAX)
            .await
    }
}
