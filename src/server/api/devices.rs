//! The devices of an account.

use std::sync::Arc;

use axum::extract::State;
use http::StatusCode;

use super::Api;
use super::extract::{Caller, Json, Path};
use super::problem::Result;
use super::responses::Problems;
use super::show;
use crate::accounts::{DeviceInfo, Session};
use crate::protocol::auth::{Confirm, Device, Devices, PairingCode, Rename};
use crate::server::middleware::Client;
use crate::types::DeviceId;

/// Lists the devices, revoked ones included.
#[utoipa::path(get, path = "/devices", tag = "devices",
    responses((status = 200, body = Devices), Problems))]
pub(super) async fn list(State(api): State<Arc<Api>>, caller: Caller) -> Result<Json<Devices>> {
    let found = api.accounts.device_list(caller.session.account).await?;
    let show = |info| device(info, &caller.session);
    let items = found.into_iter().map(show).collect();
    Ok(Json(Devices { items }))
}

/// Gives a device another name.
#[utoipa::path(patch, path = "/devices/{id}", tag = "devices",
    params(("id" = i64, Path, description = "The device")),
    request_body = Rename, responses((status = 200, body = Device), Problems))]
pub(super) async fn rename(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path(id): Path<i64>,
    Json(asked): Json<Rename>,
) -> Result<Json<Device>> {
    let account = caller.session.account;
    let renamed = api
        .accounts
        .device_rename(account, DeviceId(id), &asked.name);
    Ok(Json(device(renamed.await?, &caller.session)))
}

/// Revokes a device: its app password and tokens are void at once.
#[utoipa::path(delete, path = "/devices/{id}", tag = "devices",
    params(("id" = i64, Path, description = "The device")),
    responses((status = 204, description = "It is revoked"), Problems))]
pub(super) async fn revoke(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path(id): Path<i64>,
) -> Result<StatusCode> {
    let account = caller.session.account;
    api.accounts.device_revoke(account, DeviceId(id)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Makes a code with which a new device registers without a password, once, within ten minutes.
#[utoipa::path(post, path = "/devices/pair", tag = "devices",
    responses((status = 201, body = PairingCode), Problems))]
pub(super) async fn pair(
    State(api): State<Arc<Api>>,
    caller: Caller,
) -> Result<(StatusCode, Json<PairingCode>)> {
    let session = &caller.session;
    let made = api.accounts.pairing_code(session.account, session.family);
    let made = made.await?;
    let code = PairingCode {
        code: made.code,
        expires_in: made.expires_in,
    };
    Ok((StatusCode::CREATED, Json(code)))
}

/// Makes the watch that shows a code a device of the account.
#[utoipa::path(post, path = "/devices/confirm", tag = "devices", request_body = Confirm,
    responses((status = 200, body = Device), Problems))]
pub(super) async fn confirm(
    State(api): State<Arc<Api>>,
    client: Client,
    caller: Caller,
    Json(asked): Json<Confirm>,
) -> Result<Json<Device>> {
    let (account, name) = (caller.session.account, asked.name.as_deref());
    let by = (client.ip, caller.session.family);
    let confirmed = api
        .accounts
        .watch_confirm(Some(by), account, &asked.code, name);
    Ok(Json(device(confirmed.await?, &caller.session)))
}

fn device(info: DeviceInfo, session: &Session) -> Device {
    Device {
        id: info.id.0,
        name: info.name,
        kind: show::device_type(info.kind),
        created: info.created.0,
        last_sync: info.last_sync.map(|at| at.0),
        revoked: info.revoked.map(|at| at.0),
        current: session.device == Some(info.id),
    }
}
