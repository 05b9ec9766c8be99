//! From digits on a watch to its token, and what the token opens.

use std::time::{Duration, Instant};

use webdav_tests::server::ADMIN_PASSWORD;
use webdav_tests::{Dav, Response, TestServer};

use super::{Answer, Phone};

#[test]
fn a_watch_is_paired_by_digits_and_gets_its_token_again_when_the_answer_was_lost() {
    let server = TestServer::start();
    let mut phone = Phone::new(&server);
    let head = phone.head("POST", "/api/v1/garmin/pair");

    // A dictionary with one entry, as a watch sends it when it does not ask for JSON.
    let body = "n=fenix%207";
    let begun = phone.once(&format!(
        "{head}Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    ));
    let begun = begun.object(200);
    let (code, secret) = (begun["c"].as_str().unwrap(), begun["k"].as_str().unwrap());
    assert!(
        code.len() == 6 && code.bytes().all(|b| b.is_ascii_digit()),
        "{code}"
    );
    assert_eq!(
        (secret.len(), &begun["x"], &begun["s"]),
        (43, &600.into(), &5.into())
    );

    let question = format!(r#"{{"k":"{secret}"}}"#);
    let waiting = phone.post("pair", &question).object(200);
    assert!(waiting.get("t").is_none() && waiting["x"].as_u64().unwrap() <= 600);

    let said = server.cli_ok(&["device", "confirm", "admin", code], "");
    assert!(said.contains("fenix 7"), "{said}");
    let paired = phone.post("pair", &question).object(200);
    assert_eq!(paired["u"], "admin");
    assert_eq!(paired["t"].as_str().unwrap().len(), 43);

    // A third question comes too early, and is answered like the second once it may be asked.
    let early = phone.once(&format!(
        "{head}Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{question}",
        question.len()
    ));
    let wait = early.refused(429, "slow")["s"].as_u64().unwrap();
    assert!((1..=5).contains(&wait), "{wait}");
    assert_eq!(phone.post("pair", &question).object(200), paired);

    phone.token = Some(paired["t"].as_str().unwrap().to_owned());
    phone.get("status").object(200);
    let listed = server.cli_ok(&["device", "list", "admin"], "");
    assert!(listed.contains("garmin\tfenix 7"), "{listed}");
    // The digits are used up.
    let again = server.cli(&["device", "confirm", "admin", code], "");
    assert!(!again.status.success());
}

#[test]
fn pairing_goes_on_after_a_restart_under_the_name_its_owner_gives() {
    let mut server = TestServer::start();
    let begun = Phone::new(&server).post("pair", "").object(200);
    server.restart();
    let code = begun["c"].as_str().unwrap();
    let confirm = ["device", "confirm", "admin", code, "--name", "Anna's watch"];
    server.cli_ok(&confirm, "");
    let question = format!(r#"{{"k":{}}}"#, begun["k"]);
    let paired = Phone::new(&server).post("pair", &question).object(200);
    assert!(paired["t"].is_string());
    assert!(
        server
            .cli_ok(&["device", "list", "admin"], "")
            .contains("Anna's watch")
    );
}

#[test]
fn digits_nobody_shows_and_secrets_nobody_has_lead_nowhere() {
    let server = TestServer::start();
    let mut phone = Phone::new(&server);
    for (account, code) in [
        ("admin", "123456"),
        ("admin", "12345"),
        ("nobody", "123456"),
    ] {
        let refused = server.cli(&["device", "confirm", account, code], "");
        assert!(!refused.status.success(), "{account} {code}");
        assert!(!refused.stderr.is_empty(), "refused without a reason");
    }
    for secret in ["", "x", &"x".repeat(43), &"x".repeat(5000)] {
        let question = format!(r#"{{"k":"{secret}"}}"#);
        phone.post("pair", &question).refused(404, "over");
    }
    phone.post("pair", r#"{"k":1}"#).refused(400, "field");
    phone.post("pair", r#"{"code":"1"}"#).refused(400, "field");
}

#[test]
fn a_household_can_pair_five_watches_at_once() {
    let server = TestServer::start();
    let mut phone = Phone::new(&server);
    for _ in 0..5 {
        phone.post("pair", "").object(200);
    }
    let refused = phone.post("pair", "");
    assert!(refused.refused(429, "busy")["s"].as_u64().unwrap() > 0);
    assert!(refused.header("retry-after").is_some());
}

#[test]
fn a_token_opens_what_is_for_watches_and_nothing_else() {
    let server = TestServer::start();
    let mut phone = Phone::paired(&server, "admin");
    let token = phone.token.clone().unwrap();
    let nobody = server.anonymous();
    for user in ["admin", ""] {
        nobody.login(user, &token).get("/dav/").expect(&[401]);
    }
    let bearer = format!("Bearer {token}");
    for path in ["/dav/", "/dav/garmin/"] {
        let headers = [("Authorization", &*bearer), ("Depth", "0")];
        nobody
            .request("PROPFIND", path, &headers, b"")
            .expect(&[401]);
    }
    phone.get("status").object(200);

    // And what opens the account is no token.
    let said = server.cli_ok(&["device", "add", "admin", "phone"], "");
    let app_password = said.split_whitespace().last().unwrap();
    let app_password = app_password.to_owned();
    for wrong in [
        &*app_password,
        ADMIN_PASSWORD,
        "",
        "x",
        &"x".repeat(43),
        "ü",
    ] {
        phone.token = Some(wrong.to_owned());
        phone.get("status").refused(401, "auth");
    }
    phone.token = None;
    phone.get("files").refused(401, "auth");
    let basic = server.admin();
    let basic = format!("Authorization: {}\r\n", basic.authorization().unwrap());
    let head = phone.head("GET", "/api/v1/garmin/files");
    phone
        .once(&format!("{head}{basic}\r\n"))
        .refused(401, "auth");
}

#[test]
fn a_revoked_watch_is_out_within_seconds_and_others_stay_in() {
    let server = TestServer::start();
    let mut lost = Phone::paired(&server, "admin");
    let mut kept = Phone::paired(&server, "admin");
    lost.get("status").object(200);
    let listed = server.cli_ok(&["device", "list", "admin"], "");
    let first = listed.lines().find(|line| line.contains("garmin")).unwrap();
    let id = first.split_whitespace().next().unwrap();
    server.cli_ok(&["device", "revoke", "admin", id], "");

    let until = Instant::now() + Duration::from_secs(20);
    while lost.get("status").status != 401 {
        assert!(Instant::now() < until, "still in");
    }
    lost.get("status").refused(401, "auth");
    kept.get("status").object(200);
    // A watch that goes on asking is no reason to shut others out.
    for _ in 0..60 {
        lost.get("status").refused(401, "auth");
    }
    let dav: Dav = server.admin();
    dav.request("PROPFIND", "/dav/", &[("Depth", "0")], b"")
        .expect(&[207]);
}

#[test]
fn secrets_are_neither_logged_nor_stored() {
    let mut server = TestServer::start();
    let mut phone = Phone::new(&server);
    let begun = phone.post("pair", "").object(200);
    let code = begun["c"].as_str().unwrap().to_owned();
    server.cli_ok(&["device", "confirm", "admin", &code], "");
    let question = format!(r#"{{"k":{}}}"#, begun["k"]);
    let paired = phone.post("pair", &question).object(200);
    phone.token = Some(paired["t"].as_str().unwrap().to_owned());
    phone.upload("private.gpx", b"track");
    assert!(server.stop().success());
    let log = server.log();
    let mut stored = Vec::new();
    for file in std::fs::read_dir(server.dir().join("db")).unwrap() {
        stored.extend(std::fs::read(file.unwrap().path()).unwrap());
    }
    let stored = String::from_utf8_lossy(&stored);
    for secret in [&begun["k"], &paired["t"]] {
        let secret = secret.as_str().unwrap();
        assert!(!log.contains(secret) && !stored.contains(secret));
    }
    assert!(!log.contains("private.gpx"), "{log}");
}

/// Logs an account in to the API; the value of its `Authorization` header.
fn bearer(server: &TestServer, account: &str, password: &str) -> String {
    let body = serde_json::json!({ "account": account, "password": password }).to_string();
    let headers = [("Content-Type", "application/json")];
    let answer = server
        .anonymous()
        .request("POST", "/api/v1/auth/login", &headers, body.as_bytes())
        .expect(&[200]);
    let tokens: serde_json::Value = serde_json::from_slice(&answer.body).expect("JSON");
    format!(
        "Bearer {}",
        tokens["access_token"].as_str().expect("a token")
    )
}

/// Confirms digits as the owner does in a browser.
fn confirm(server: &TestServer, bearer: &str, code: &str) -> Response {
    let body = serde_json::json!({ "code": code }).to_string();
    let headers = [
        ("Content-Type", "application/json"),
        ("Authorization", bearer),
    ];
    let path = "/api/v1/devices/confirm";
    server
        .anonymous()
        .request("POST", path, &headers, body.as_bytes())
}

#[test]
fn the_owner_confirms_where_he_is_logged_in_and_has_five_tries() {
    let server = TestServer::start();
    server.add_user("bob", "a long password 1", None);
    let admin = bearer(&server, "admin", ADMIN_PASSWORD);
    let bob = bearer(&server, "bob", "a long password 1");
    let mut phone = Phone::new(&server);
    let begun = phone.post("pair", "").object(200);
    let code = begun["c"].as_str().unwrap();
    confirm(&server, "Bearer x", code).expect(&[401]);
    let right: u32 = code.parse().unwrap();
    for n in 1..=5 {
        let wrong = format!("{:06}", (right + n) % 1_000_000);
        confirm(&server, &bob, &wrong).expect(&[400, 404, 422]);
    }
    let limited = confirm(&server, &bob, code).expect(&[429]);
    assert!(limited.header("retry-after").is_some());
    let question = format!(r#"{{"k":{}}}"#, begun["k"]);
    assert!(phone.post("pair", &question).object(200).get("t").is_none());

    // The tries of one account are not those of another.
    confirm(&server, &admin, code).expect(&[200]);
    let paired = phone.post("pair", &question).object(200);
    assert_eq!(paired["u"], "admin");
    // The token of a watch does not open the API, nor that of the API the routes of watches.
    let token = paired["t"].as_str().unwrap();
    confirm(&server, &format!("Bearer {token}"), code).expect(&[401]);
    phone.token = Some(admin.trim_start_matches("Bearer ").to_owned());
    phone.get("status").refused(401, "auth");
    phone.token = Some(token.to_owned());
    phone.get("status").object(200);
}
