//! Who may use the API: log-ins, tokens, devices. They know the contract of the API and nothing else.

mod devices;
mod login;
mod tokens;

use webdav_tests::api::text;
use webdav_tests::{Api, TestServer};

/// Password of every account but `admin`.
const PASSWORD: &str = "a long password 1";

/// An account `bob` that was made by the command line.
#[track_caller]
fn add_bob(server: &TestServer) {
    server.add_user("bob", PASSWORD, None);
}

/// The id and the app password of a new device of `account`, from the command line.
#[track_caller]
fn app_password(server: &TestServer, account: &str, name: &str) -> (i64, String) {
    let said = server.cli_ok(&["device", "add", account, name], "");
    let rest = said.trim().strip_prefix("device ").expect("device ID");
    let (id, password) = rest.split_once(", password ").expect("a password");
    (id.parse().expect("an id"), password.to_owned())
}

/// Whether the access token of `device` opens the API.
#[track_caller]
fn is_in(device: &Api) -> bool {
    let answer = device.get("sync/status").expect(&[200, 401]);
    if answer.status == 401 {
        answer.problem("unauthorized", 401);
        assert_no_basic(&answer);
    }
    answer.status == 200
}

/// A browser that is asked for Basic shows a box, and would send what is typed by itself from then on.
#[track_caller]
fn assert_no_basic(answer: &webdav_tests::Response) {
    let challenges = answer.headers.iter();
    let mut challenges = challenges.filter(|(name, _)| name == "www-authenticate");
    assert!(
        !challenges.any(|(_, value)| value.to_ascii_lowercase().contains("basic")),
        "{answer}"
    );
}

/// Exchanges a refresh token for the next tokens.
#[track_caller]
fn refreshed(device: &Api) -> Api {
    let tokens = spend(device).json(200);
    device.with(tokens)
}

/// Asks for tokens with the refresh token of `device`, whatever comes.
#[track_caller]
fn spend(device: &Api) -> webdav_tests::Response {
    let asked = serde_json::json!({"refresh_token": device.refresh_token()});
    device.post("auth/refresh", &asked)
}

/// A code that a logged-in device shows to a new one.
#[track_caller]
fn pairing_code(device: &Api) -> String {
    let made = device.post_nothing("devices/pair").json(201);
    assert_eq!(made["expires_in"], 600);
    text(&made, "code").to_owned()
}
