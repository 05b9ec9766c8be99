//! Logging devices in and out.

use std::sync::Arc;

use axum::extract::State;
use http::StatusCode;

use super::Api;
use super::extract::{Caller, Json};
use super::problem::{Problem, Result};
use super::responses::{Problems, TooLarge};
use super::show;
use crate::accounts::{self, Credentials};
use crate::protocol::auth::{Account, DeviceName, Login, Refresh, Register, Tokens};
use crate::server::middleware::Client;
use crate::types::DeviceId;

/// Registers a device and logs it in.
///
/// With the account's name and password, or with a pairing code that a logged-in device or
/// `sync-server device pair` has shown. App passwords do not register devices.
#[utoipa::path(post, path = "/auth/register", operation_id = "registerDevice", tag = "auth",
    security(()), request_body = Register,
    responses(
        (status = 201, body = Tokens, description = "The device is logged in"),
        Problems, TooLarge,
    ))]
pub(super) async fn register(
    State(api): State<Arc<Api>>,
    client: Client,
    Json(asked): Json<Register>,
) -> Result<(StatusCode, Json<Tokens>)> {
    let who = match (&asked.account, &asked.password, &asked.code) {
        (Some(account), Some(password), None) => Credentials::Password { account, password },
        (None, None, Some(code)) => Credentials::Code(code),
        _ => {
            let either = "give account and password, or a pairing code";
            return Err(Problem::invalid("account", either));
        }
    };
    let kind = show::device_kind(asked.kind);
    let made = api.accounts.register(client.ip, who, &asked.name, kind);
    let made = made.await.inspect_err(|error| count(&api, error))?;
    Ok((StatusCode::CREATED, Json(tokens(made))))
}

/// Logs in with a password.
///
/// With the id of a device that was registered before, its earlier tokens end. Without one the log-in
/// belongs to no device; an app password belongs to its own.
#[utoipa::path(post, path = "/auth/login", operation_id = "login", tag = "auth", security(()),
    request_body = Login,
    responses((status = 200, body = Tokens, description = "Logged in"), Problems, TooLarge))]
pub(super) async fn login(
    State(api): State<Arc<Api>>,
    client: Client,
    Json(asked): Json<Login>,
) -> Result<Json<Tokens>> {
    let device = asked.device.map(DeviceId);
    let (account, password) = (&asked.account, &asked.password);
    let made = api.accounts.login(client.ip, account, password, device);
    let made = made.await.inspect_err(|error| count(&api, error))?;
    Ok(Json(tokens(made)))
}

/// Exchanges a refresh token for fresh tokens.
///
/// Each refresh token is good for one exchange. Using one a second time ends the log-in
/// (`token-reused`). But the last one gives another pair within a minute, as its answer may have been
/// lost; after that it is refused and the log-in goes on with the tokens that were given
/// (`token-replaced`).
#[utoipa::path(post, path = "/auth/refresh", operation_id = "refreshTokens", tag = "auth",
    security(()), request_body = Refresh,
    responses((status = 200, body = Tokens, description = "Fresh tokens"), Problems, TooLarge))]
pub(super) async fn refresh(
    State(api): State<Arc<Api>>,
    Json(asked): Json<Refresh>,
) -> Result<Json<Tokens>> {
    let made = api.accounts.refresh(&asked.refresh_token).await;
    let made = made.inspect_err(|error| count(&api, error))?;
    Ok(Json(tokens(made)))
}

/// Ends the log-in: its access and refresh tokens are void.
#[utoipa::path(post, path = "/auth/logout", operation_id = "logout", tag = "auth",
    responses((status = 204, description = "The log-in has ended"), Problems))]
pub(super) async fn logout(State(api): State<Arc<Api>>, caller: Caller) -> Result<StatusCode> {
    api.accounts.logout(&caller.session).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn count(api: &Api, error: &accounts::LoginError) {
    if let Some(reason) = error.reason() {
        api.metrics.auth_failed(reason);
    }
}

fn tokens(made: accounts::Tokens) -> Tokens {
    let device = made.device.map(|device| DeviceName {
        id: device.id.0,
        name: device.name,
        kind: show::device_type(device.kind),
    });
    Tokens {
        access_token: made.access,
        token_type: "Bearer".to_owned(),
        expires_in: made.expires_in,
        refresh_token: made.refresh,
        account: Account {
            id: made.account.0,
            name: made.name,
            admin: made.admin,
        },
        device,
    }
}
