//! Access tokens and refresh tokens: what they open, and what ends them.

use std::time::{Duration, Instant};

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use serde_json::{Value, json};
use webdav_tests::api::text;
use webdav_tests::server::ADMIN_PASSWORD;
use webdav_tests::{Api, TestServer};

use super::{PASSWORD, add_bob, app_password, assert_no_basic, is_in, refreshed, spend};

/// How long the command line's word may take to reach the running server.
const HEARD_WITHIN: Duration = Duration::from_secs(5);
/// What a busy machine may add to that.
const SLACK: Duration = Duration::from_secs(5);

/// Each route of the served document: method, path with 1 for each id, and whether it needs a token.
#[track_caller]
fn routes(server: &TestServer) -> Vec<(String, String, bool)> {
    let document = Api::anonymous(server).get("openapi.json").json(200);
    let mut found = Vec::new();
    for (path, methods) in document["paths"].as_object().expect("paths") {
        let route = path
            .trim_start_matches('/')
            .replace("{id}", "1")
            .replace("{number}", "1");
        for (method, operation) in methods.as_object().expect("methods") {
            let open = operation["security"] == json!([{}]) || operation["security"] == json!([]);
            found.push((method.to_uppercase(), route.clone(), !open));
        }
    }
    assert!(found.len() > 40, "{} routes", found.len());
    found
}

#[test]
fn a_token_in_a_header_of_its_own_opens_as_much_and_counts_before_the_other() {
    let server = TestServer::start();
    let (api, nobody) = (Api::admin(&server), Api::anonymous(&server));
    let token = api.access();
    let bearer = format!("Bearer {token}");
    let ask = |headers: &[(&str, &str)]| nobody.get_with("sync/status", headers);
    let answer = ask(&[("X-Access-Token", token)]);
    answer.json(200);
    // Caches that others share must not keep it
    assert_eq!(answer.header("cache-control"), Some("private"));
    ask(&[("X-Access-Token", token), ("Authorization", "Basic eDp5")]).json(200);
    for wrong in ["", "x", bearer.as_str()] {
        let both = [
            ("Authorization", bearer.as_str()),
            ("X-Access-Token", wrong),
        ];
        ask(&both).problem("unauthorized", 401);
    }
    api.post_nothing("auth/logout").expect(&[204]);
    ask(&[("X-Access-Token", token)]).any_problem();
}

#[test]
fn every_route_but_the_log_in_asks_for_a_token() {
    let server = TestServer::start();
    let nobody = Api::anonymous(&server);
    let basic = server.admin();
    let mut open = Vec::new();
    for (method, route, closed) in routes(&server) {
        if !closed {
            open.push(route);
            continue;
        }
        let path = format!("{}{route}", webdav_tests::api::PREFIX);
        let json = [("Content-Type", "application/json")];
        for answer in [
            nobody.http().request(&method, &path, &json, b"{}"),
            // Browsers send it by themselves, so it proves nothing here.
            basic.request(&method, &path, &json, b"{}"),
        ] {
            answer.problem("unauthorized", 401);
            assert_no_basic(&answer);
        }
    }
    open.sort();
    assert_eq!(
        open,
        [
            "auth/login",
            "auth/refresh",
            "auth/register",
            "openapi.json"
        ]
    );
}

#[test]
fn a_token_that_was_made_up_or_changed_opens_nothing() {
    let server = TestServer::start();
    add_bob(&server);
    let bob = Api::register(&server, "bob", PASSWORD, "laptop");
    let (other_server, alien) = (TestServer::start(), "alien");
    let foreign = Api::register(&other_server, "admin", ADMIN_PASSWORD, alien);
    let parts: Vec<&str> = bob.access().split('.').collect();
    let [header, claims, signature] = parts[..] else {
        panic!("not a JWT: {}", bob.access())
    };
    let decode = |part: &str| -> Value {
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(part).expect("base64url");
        serde_json::from_slice(&bytes).expect("JSON")
    };
    let encode = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
    let with = |part: &str, name: &str, value: Value| {
        let mut decoded = decode(part);
        decoded[name] = value;
        encode(&decoded)
    };
    let none = with(header, "alg", "none".into());
    let later = with(claims, "exp", 99_999_999_999_i64.into());
    let admin = with(claims, "sub", "1".into());
    let asymmetric = with(header, "alg", "RS256".into());
    let turned: String = signature.chars().rev().collect();
    for token in [
        format!("{none}.{claims}."),
        format!("{none}.{claims}.{signature}"),
        format!("{none}.{admin}."),
        format!("{asymmetric}.{claims}.{signature}"),
        format!("{header}.{later}.{signature}"),
        format!("{header}.{admin}.{signature}"),
        format!("{header}.{claims}.{turned}"),
        format!("{header}.{claims}."),
        format!("{header}.{claims}"),
        format!("{header}..{signature}"),
        "..".to_owned(),
        "x".to_owned(),
        "x".repeat(8000),
        foreign.access().to_owned(),
        bob.refresh_token().to_owned(),
        bob.access().to_uppercase(),
        format!("{} {}", bob.access(), bob.access()),
    ] {
        let answer = bob.get_with(
            "sync/status",
            &[("Authorization", &format!("Bearer {token}"))],
        );
        answer.problem("unauthorized", 401);
        assert_no_basic(&answer);
    }
    assert!(is_in(&bob));
}

#[test]
fn a_token_is_taken_from_a_bearer_header_only() {
    let server = TestServer::start();
    let laptop = Api::admin(&server);
    let access = laptop.access();
    for header in [
        format!("Basic {access}"),
        access.to_owned(),
        "Bearer".to_owned(),
        "Bearer ".to_owned(),
        "\u{e4}".to_owned(),
        format!("Token {access}"),
    ] {
        let answer = laptop.get_with("sync/status", &[("Authorization", &header)]);
        answer.problem("unauthorized", 401);
    }
    laptop
        .get_with(
            "sync/status",
            &[("Authorization", &format!("bearer {access}"))],
        )
        .json(200);
    // A URL ends in logs and histories.
    let nobody = Api::anonymous(&server);
    for parameter in ["access_token", "token"] {
        let answer = nobody.get(&format!("sync/status?{parameter}={access}"));
        answer.problem("unauthorized", 401);
    }
    // WebDAV has app passwords.
    server
        .anonymous()
        .bearer(access)
        .get("/dav/")
        .expect(&[401]);
}

#[test]
fn each_refresh_token_gives_the_next_one() {
    let server = TestServer::start();
    let first = Api::admin(&server);
    let mut seen = vec![first.refresh_token().to_owned()];
    let mut device = first;
    for _ in 0..5 {
        device = refreshed(&device);
        assert!(is_in(&device));
        assert_eq!(device.status()["device"]["name"], "laptop");
        assert!(!seen.iter().any(|old| old == device.refresh_token()));
        seen.push(device.refresh_token().to_owned());
    }
}

#[test]
fn a_refresh_token_that_is_used_again_ends_the_log_in() {
    let server = TestServer::start();
    let first = Api::admin(&server);
    let other = Api::register(&server, "admin", ADMIN_PASSWORD, "phone");
    let second = refreshed(&first);
    let third = refreshed(&second);

    spend(&first).problem("token-reused", 401);

    // The thief and the owner are out; the owner's other device is not
    for device in [&first, &second, &third] {
        assert!(!is_in(device));
        spend(device).expect(&[401]).any_problem();
    }
    assert!(is_in(&other));
    assert!(
        server.log().contains("refresh token used twice"),
        "nobody was told"
    );
    assert!(
        !server.log().contains(first.refresh_token()),
        "a token is in the log"
    );
}

#[test]
fn a_lost_answer_to_a_refresh_does_not_end_the_log_in() {
    let server = TestServer::start();
    let first = Api::admin(&server);
    let lost = refreshed(&first);
    let second = refreshed(&first);
    let third = refreshed(&second);
    assert!(is_in(&third));
    // Whoever has the lost answer after all is somebody else
    spend(&lost).problem("token-reused", 401);
    assert!(!is_in(&third));
}

#[test]
fn a_token_that_was_exchanged_a_moment_ago_says_that_the_log_in_goes_on() {
    let server = TestServer::start();
    let first = Api::admin(&server);
    let given = [refreshed(&first), refreshed(&first)];
    spend(&first).problem("token-replaced", 401);
    assert!(given.iter().all(is_in));
}

#[test]
fn refused_tokens_are_counted_by_what_was_wrong() {
    let server = TestServer::start();
    let first = Api::admin(&server);
    let second = refreshed(&first);
    refreshed(&second);
    spend(&first).problem("token-reused", 401);
    assert!(!is_in(&second));
    spend(&second).problem("unauthorized", 401);
    let metrics = server.anonymous();
    let forged = [("Authorization", "Bearer forged")];
    metrics
        .request("GET", "/api/v1/sync/status", &forged, b"")
        .expect(&[401]);
    let page = metrics.get("/metrics").expect(&[200]).text();
    for counted in ["reused\"} 1", "ended\"} 2", "forged\"} 1"] {
        let line = format!("sync_auth_failures_total{{reason=\"{counted}");
        assert!(page.contains(&line), "{line} is not in\n{page}");
    }
}

#[test]
fn two_refreshes_at_once_end_nothing() {
    let server = TestServer::start();
    let first = Api::admin(&server);
    let next: Vec<Api> = std::thread::scope(|scope| {
        let asking: Vec<_> = (0..2)
            .map(|_| {
                let device = first.again();
                scope.spawn(move || refreshed(&device))
            })
            .collect();
        asking
            .into_iter()
            .map(|thread| thread.join().expect("tokens"))
            .collect()
    });
    assert!(next.iter().all(is_in));
    assert!(is_in(&refreshed(&next[0])));
}

#[test]
fn refresh_tokens_that_are_none_are_refused() {
    let server = TestServer::start();
    let device = Api::admin(&server);
    let right = device.refresh_token();
    let (cut, access) = (&right[..right.len() - 1], device.access());
    let changed = format!("{cut}{}", if right.ends_with('A') { 'B' } else { 'A' });
    for token in ["", "x", cut, access, &"x".repeat(10_000), "sr_😀"] {
        let asked = json!({"refresh_token": token});
        device
            .post("auth/refresh", &asked)
            .problem("unauthorized", 401);
    }
    assert!(is_in(&device));
    // Its first half is right, so somebody had a token of this log-in.
    let asked = json!({"refresh_token": changed});
    device
        .post("auth/refresh", &asked)
        .expect(&[401])
        .any_problem();
}

#[test]
fn logging_out_ends_all_tokens_of_the_log_in() {
    let server = TestServer::start();
    let laptop = Api::admin(&server);
    let phone = Api::register(&server, "admin", ADMIN_PASSWORD, "phone");
    let next = refreshed(&laptop);

    next.post_nothing("auth/logout").expect(&[204]);

    for device in [&laptop, &next] {
        assert!(!is_in(device));
        spend(device).expect(&[401]).any_problem();
    }
    next.post_nothing("auth/logout")
        .problem("unauthorized", 401);
    assert!(is_in(&phone));
}

#[test]
fn a_revoked_device_is_out_at_once() {
    let server = TestServer::start();
    let (id, password) = app_password(&server, "admin", "davx5");
    let dav = server.anonymous().login("admin", &password);
    dav.names("/dav/");
    let laptop = Api::admin(&server);
    let phone = Api::register(&server, "admin", ADMIN_PASSWORD, "phone");
    assert!(is_in(&phone));

    laptop.delete(&format!("devices/{id}")).expect(&[204]);
    laptop
        .delete(&format!("devices/{}", phone.device()))
        .expect(&[204]);

    dav.request("PROPFIND", "/dav/", &[("Depth", "0")], b"")
        .expect(&[401]);
    assert!(!is_in(&phone));
    spend(&phone).problem("unauthorized", 401);
    // Again it is the same, and one may revoke oneself
    laptop.delete(&format!("devices/{id}")).expect(&[204]);
    laptop
        .delete(&format!("devices/{}", laptop.device()))
        .expect(&[204]);
    assert!(!is_in(&laptop));
}

/// Waits until `device` is out and says how long that took.
#[track_caller]
fn out_within_the_time(device: &Api) {
    let since = Instant::now();
    while is_in(device) {
        let waited = since.elapsed();
        assert!(waited < HEARD_WITHIN + SLACK, "still in after {waited:?}");
        std::thread::sleep(Duration::from_millis(100));
    }
    spend(device).problem("unauthorized", 401);
}

#[test]
fn a_new_password_from_the_command_line_ends_the_log_ins() {
    let server = TestServer::start();
    add_bob(&server);
    let bob = Api::register(&server, "bob", PASSWORD, "laptop");
    let admin = Api::admin(&server);
    assert!(is_in(&bob));

    server.cli_ok(
        &["user", "passwd", "bob", "--password-file", "-"],
        "another password 2",
    );

    out_within_the_time(&bob);
    assert!(is_in(&admin));
    assert!(is_in(&Api::register(
        &server,
        "bob",
        "another password 2",
        "laptop"
    )));
}

#[test]
fn the_command_line_can_end_a_device_and_an_account() {
    let server = TestServer::start();
    add_bob(&server);
    let laptop = Api::register(&server, "bob", PASSWORD, "laptop");
    let phone = Api::register(&server, "bob", PASSWORD, "phone");
    assert!(is_in(&laptop) && is_in(&phone));

    server.cli_ok(
        &["device", "revoke", "bob", &laptop.device().to_string()],
        "",
    );
    out_within_the_time(&laptop);
    assert!(is_in(&phone));

    server.cli_ok(&["user", "remove", "bob"], "");
    out_within_the_time(&phone);
}

#[test]
fn tokens_survive_a_restart_and_a_kill() {
    let mut server = TestServer::start();
    let laptop = Api::admin(&server);
    let ended = Api::register(&server, "admin", ADMIN_PASSWORD, "phone");
    ended.post_nothing("auth/logout").expect(&[204]);
    server.restart();
    let laptop = laptop.on(&server);
    assert!(is_in(&laptop));
    let next = refreshed(&laptop);
    server.kill9();
    server.start_again();
    assert!(is_in(&next.on(&server)));
    let next = refreshed(&next.on(&server));
    assert_eq!(text(&next.status()["device"], "name"), "laptop");
    assert!(!is_in(&ended.on(&server)));
}

#[test]
fn no_token_and_no_password_is_in_the_log() {
    let server = TestServer::start();
    let laptop = Api::admin(&server);
    let next = refreshed(&laptop);
    let code = super::pairing_code(&next);
    let nobody = Api::anonymous(&server);
    let asked = json!({"account": "admin", "password": "a wrong secret", "device": 1});
    nobody
        .post("auth/login", &asked)
        .problem("unauthorized", 401);
    let log = server.log();
    for secret in [
        laptop.access(),
        laptop.refresh_token(),
        next.access(),
        next.refresh_token(),
        &code,
        ADMIN_PASSWORD,
        "a wrong secret",
    ] {
        assert!(!log.contains(secret), "{secret} is in the log:\n{log}");
    }
}
