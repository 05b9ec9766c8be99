//! Logging in.

use crate::client::remote::connection::Server;
use crate::client::remote::login::Session;
use crate::client::remote::request::Request;
use crate::client::remote::{Result, api::ANSWER_MAX};
use crate::protocol::auth::{Device, DeviceType, Devices, Login, Register, Rename, Tokens};

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

/// Logs in with the account's password, as a device that was registered before.
pub async fn login(
    server: &Server,
    account: &str,
    password: &str,
    device: Option<i64>,
) -> Result<Tokens> {
    let body = Login {
        account: account.to_owned(),
        password: password.to_owned(),
        device,
    };
    tokens(server, Request::post("auth/login").json(&body)?).await
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

    /// Gives a device another name.
    pub async fn rename_device(&self, id: i64, name: &str) -> Result<Device> {
        let body = Rename {
            name: name.to_owned(),
        };
        let request = Request::new(http::Method::PATCH, format!("devices/{id}")).json(&body)?;
        self.ask(request.again()).await?.json(ANSWER_MAX).await
    }
}
