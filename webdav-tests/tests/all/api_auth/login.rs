//! Registering devices and logging in.

use serde_json::{Value, json};
use webdav_tests::api::text;
use webdav_tests::server::ADMIN_PASSWORD;
use webdav_tests::{Api, Response, TestServer};

use super::{PASSWORD, add_bob, app_password, assert_no_basic, is_in, pairing_code};

/// Registers with a code as a phone, whatever comes.
#[track_caller]
fn pair(nobody: &Api, code: &str) -> Response {
    let asked = json!({"code": code, "name": "phone", "type": "mobile"});
    nobody.post("auth/register", &asked)
}

/// Logs `bob` in with `password`, whatever comes.
#[track_caller]
fn try_login(nobody: &Api, account: &str, password: &str, device: Option<i64>) -> Response {
    let mut asked = json!({"account": account, "password": password});
    if let Some(device) = device {
        asked["device"] = device.into();
    }
    nobody.post("auth/login", &asked)
}

/// A wait in whole seconds.
#[track_caller]
fn retry_after(answer: &Response) -> u64 {
    let wait = answer.header("retry-after").expect("Retry-After");
    wait.parse().expect("seconds")
}

#[test]
fn a_device_registers_with_name_and_password_and_is_in() {
    let server = TestServer::start();
    let laptop = Api::admin(&server);

    let tokens = laptop.tokens();
    assert_eq!(tokens["token_type"], "Bearer");
    assert!((1..=3600).contains(&tokens["expires_in"].as_u64().expect("seconds")));
    assert_eq!(tokens["account"]["name"], "admin");
    assert_eq!(tokens["account"]["admin"], true);
    assert_eq!(tokens["device"]["name"], "laptop");
    assert_eq!(tokens["device"]["type"], "linux");

    let status = laptop.status();
    assert_eq!(status["account"], tokens["account"]);
    assert_eq!(status["device"], tokens["device"]);
    assert_eq!(status["last_sync"], Value::Null);
}

#[test]
fn names_of_accounts_are_known_in_any_case() {
    let server = TestServer::start();
    add_bob(&server);
    let phone = Api::register(&server, "BOB", PASSWORD, "phone");
    assert_eq!(phone.tokens()["account"]["name"], "bob");
    assert_eq!(phone.tokens()["account"]["admin"], false);
}

#[test]
fn a_code_of_the_command_line_registers_one_device_once() {
    let server = TestServer::start();
    add_bob(&server);
    let said = server.cli_ok(&["device", "pair", "bob"], "");
    let code = said.strip_prefix("code ").and_then(|rest| rest.get(..8));
    let code = code.expect("a code of 8 characters");

    let nobody = Api::anonymous(&server);
    let phone = nobody.with(pair(&nobody, code).json(201));
    assert_eq!(phone.status()["account"]["name"], "bob");
    assert_eq!(phone.status()["device"]["type"], "mobile");
    pair(&nobody, code).problem("unauthorized", 401);
}

#[test]
fn a_code_of_a_device_registers_another_however_it_is_typed() {
    let server = TestServer::start();
    add_bob(&server);
    let laptop = Api::register(&server, "bob", PASSWORD, "laptop");
    let nobody = Api::anonymous(&server);
    let spellings: [fn(&str) -> String; 3] = [ToOwned::to_owned, str::to_lowercase, |code| {
        format!(" {}-{} ", &code[..4], &code[4..])
    }];
    for spelling in spellings {
        let code = pairing_code(&laptop);
        assert_eq!(code.len(), 8, "{code}");
        let tokens = pair(&nobody, &spelling(&code)).json(201);
        assert_eq!(tokens["account"]["name"], "bob");
    }
    assert_eq!(
        laptop.get("devices").json(200)["items"]
            .as_array()
            .expect("items")
            .len(),
        4
    );
}

#[test]
fn codes_cannot_be_guessed() {
    let server = TestServer::start();
    let laptop = Api::admin(&server);
    let code = pairing_code(&laptop);
    let nobody = Api::anonymous(&server);
    for guess in ["AAAAAAAA", "", "AAAA", "AAAAAAAAA", "😀"] {
        let refused = pair(&nobody, guess);
        refused.problem("unauthorized", 401);
        assert_no_basic(&refused);
    }
    // Then even the right one must wait, for ten minutes at most.
    let slowed = pair(&nobody, &code);
    slowed.problem("too-many-requests", 429);
    assert!((1..=600).contains(&retry_after(&slowed)), "{slowed}");
    assert!(is_in(&laptop));
}

#[test]
fn an_app_password_registers_nothing_and_logs_in_as_its_own_device() {
    let server = TestServer::start();
    add_bob(&server);
    let (id, password) = app_password(&server, "bob", "davx5");
    let (other, _) = app_password(&server, "bob", "other");
    let nobody = Api::anonymous(&server);

    let asked = json!({"account": "bob", "password": password, "name": "x", "type": "linux"});
    nobody
        .post("auth/register", &asked)
        .problem("forbidden", 403);
    try_login(&nobody, "bob", &password, Some(other)).problem("forbidden", 403);

    for device in [None, Some(id)] {
        let tokens = try_login(&nobody, "bob", &password, device).json(200);
        assert_eq!(tokens["device"]["id"], id);
        assert_eq!(tokens["device"]["type"], "webdav");
        assert!(is_in(&nobody.with(tokens)));
    }
}

#[test]
fn watches_and_webdav_clients_do_not_register_here() {
    let server = TestServer::start();
    let nobody = Api::anonymous(&server);
    for kind in ["garmin", "webdav"] {
        let asked =
            json!({"account": "admin", "password": ADMIN_PASSWORD, "name": "x", "type": kind});
        nobody
            .post("auth/register", &asked)
            .problem("forbidden", 403);
    }
    let laptop = Api::admin(&server);
    assert_eq!(
        laptop.get("devices").json(200)["items"]
            .as_array()
            .expect("items")
            .len(),
        1
    );
}

#[test]
fn wrong_passwords_tell_nothing_and_slow_down_the_guesser_only() {
    let server = TestServer::start();
    add_bob(&server);
    let bob = Api::register(&server, "bob", PASSWORD, "laptop");
    let nobody = Api::anonymous(&server);

    // A wrong password and an unknown account cannot be told apart
    let wrong = try_login(&nobody, "bob", "wrong", None);
    let unknown = try_login(&nobody, "nobody", "wrong", None);
    assert_eq!(
        wrong.problem("unauthorized", 401),
        unknown.problem("unauthorized", 401)
    );
    assert_no_basic(&wrong);

    // Guesses at either door count, until there is a wait
    let slowed = (0..60).find_map(|n| {
        let guess = format!("guess {n}");
        let asked = json!({"account": "bob", "password": guess, "name": "x", "type": "linux"});
        let answer = match n % 2 {
            0 => try_login(&nobody, "bob", &guess, None),
            _ => nobody.post("auth/register", &asked),
        };
        (answer.expect(&[401, 429]).status == 429).then(|| try_login(&nobody, "bob", &guess, None))
    });
    let slowed = slowed.expect("60 guesses in a row were not slowed down");
    slowed.problem("too-many-requests", 429);
    assert!((1..=3600).contains(&retry_after(&slowed)), "{slowed}");

    // Those who are in stay in, and others come in from the same address
    assert!(is_in(&bob.again()));
    assert!(is_in(&Api::admin(&server)));
}

#[test]
fn a_log_in_without_device_is_no_device() {
    let server = TestServer::start();
    let somebody = Api::login(&server, "admin", ADMIN_PASSWORD);
    assert_eq!(somebody.tokens()["device"], Value::Null);
    assert_eq!(somebody.status()["device"], Value::Null);
    assert_eq!(somebody.get("devices").json(200)["items"], json!([]));
    somebody.upload("/a", b"x");
    let versions = somebody.info("/a");
    let versions = format!("files/{}/versions", versions["id"]);
    assert_eq!(
        somebody.get(&versions).json(200)["items"][0]["device"],
        Value::Null
    );
}

#[test]
fn logging_a_device_in_again_ends_its_tokens_and_no_others() {
    let server = TestServer::start();
    let (laptop, phone) = (
        Api::admin(&server),
        Api::register(&server, "admin", ADMIN_PASSWORD, "phone"),
    );
    let nobody = Api::anonymous(&server);
    let tokens = try_login(&nobody, "admin", ADMIN_PASSWORD, Some(laptop.device())).json(200);
    assert_eq!(tokens["device"], laptop.tokens()["device"]);

    assert!(is_in(&laptop.with(tokens)));
    assert!(!is_in(&laptop));
    super::spend(&laptop).problem("unauthorized", 401);
    assert!(is_in(&phone));
}

#[test]
fn a_device_that_is_no_device_of_the_account_is_named() {
    let server = TestServer::start();
    add_bob(&server);
    let bob = Api::register(&server, "bob", PASSWORD, "laptop");
    let admin = Api::admin(&server);
    admin
        .delete(&format!("devices/{}", admin.device()))
        .expect(&[204]);
    let nobody = Api::anonymous(&server);
    for device in [bob.device(), admin.device(), 0, -1, i64::MAX] {
        try_login(&nobody, "admin", ADMIN_PASSWORD, Some(device))
            .problem_at("invalid", 422, "device");
    }
    assert!(is_in(&bob));
}

#[test]
fn a_device_needs_a_name_that_can_be_shown() {
    let server = TestServer::start();
    let nobody = Api::anonymous(&server);
    for name in ["", "a\nb", "a\0", &"x".repeat(256)] {
        let asked =
            json!({"account": "admin", "password": ADMIN_PASSWORD, "name": name, "type": "linux"});
        nobody
            .post("auth/register", &asked)
            .problem_at("invalid", 422, "name");
    }
    let name = "Jürgens Läptop 💻";
    let laptop = Api::register(&server, "admin", ADMIN_PASSWORD, name);
    assert_eq!(text(&laptop.tokens()["device"], "name"), name);
}

#[test]
fn either_a_password_or_a_code_is_needed() {
    let server = TestServer::start();
    let code = pairing_code(&Api::admin(&server));
    let nobody = Api::anonymous(&server);
    for part in [
        json!({}),
        json!({"account": "admin"}),
        json!({"password": ADMIN_PASSWORD}),
        json!({"account": "admin", "password": ADMIN_PASSWORD, "code": code}),
        json!({"account": "admin", "code": code}),
    ] {
        let mut asked = part;
        asked["name"] = "x".into();
        asked["type"] = "linux".into();
        nobody.post("auth/register", &asked).problem("invalid", 422);
    }
    // None of them has used the code up
    pair(&nobody, &code).json(201);
}
