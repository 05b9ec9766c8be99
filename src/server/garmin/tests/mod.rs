//! The routes over a real store, without sockets: what every answer has, and who gets which.

use std::sync::atomic::{AtomicI64, Ordering};

use axum::body::Body;
use axum::extract::Request;
use bytes::Bytes;
use http::HeaderMap;
use http_body_util::BodyExt;
use serde_json::Value;
use tempfile::TempDir;
use tower::ServiceExt;

use super::*;
use crate::accounts::WatchAnswer;
use crate::server::config::{Config, Secret};
use crate::server::middleware::Client;
use crate::server::ops::metrics::Metrics;
use crate::server::startup;
use crate::store::meta::testing;
use crate::types::{AccountId, Millis};

struct Fixture {
    router: Router,
    accounts: Accounts,
    account: AccountId,
    metrics: Arc<Metrics>,
    now: Arc<AtomicI64>,
    _folder: TempDir,
}

struct Answer {
    status: u16,
    headers: HeaderMap,
    body: Bytes,
}

async fn fixture() -> Fixture {
    let folder = tempfile::tempdir().unwrap();
    let config = Config {
        db_path: testing::database(folder.path()),
        data_path: folder.path().join("data"),
        key_file: folder.path().join("key"),
        admin_password: Some(Secret::new("correct horse")),
        ..Config::default()
    };
    let now = Arc::new(AtomicI64::new(1_795_391_150_000));
    let ticking = Arc::clone(&now);
    let clock = Clock::from_fn(move || Millis(ticking.load(Ordering::SeqCst)));
    let opened = startup::open(&config, clock.clone()).await.unwrap();
    startup::first_account(&opened, &config, &clock)
        .await
        .unwrap();
    let account = opened.accounts.find("admin").await.unwrap();
    let (accounts, metrics) = (opened.accounts.clone(), Metrics::new());
    let router = Router::new().nest_service(
        "/garmin",
        routes(
            opened.store,
            opened.accounts.clone(),
            Watches::new(opened.accounts, Arc::clone(&metrics)),
            clock,
        ),
    );
    Fixture {
        router,
        accounts,
        account,
        metrics,
        now,
        _folder: folder,
    }
}

impl Fixture {
    /// Asks after a second, so that the pace is kept.
    async fn ask(&self, line: &str, token: Option<&str>, body: impl Into<Body>) -> Answer {
        self.now.fetch_add(1000, Ordering::SeqCst);
        let (method, path) = line.split_once(' ').unwrap();
        let ip = "192.0.2.7".parse().unwrap();
        let mut request = Request::builder().method(method).uri(path);
        request = request.extension(Client { ip, https: true });
        request = request.header("content-type", "application/json");
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let request = request.body(body.into()).unwrap();
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        Answer {
            status: parts.status.as_u16(),
            headers: parts.headers,
            body: body.collect().await.unwrap().to_bytes(),
        }
    }

    async fn watch(&self) -> (DeviceId, String) {
        let peer = "192.0.2.7".parse().unwrap();
        let pairing = self.accounts.watch_pair(peer, None).await.unwrap();
        let device = self
            .accounts
            .watch_confirm(None, self.account, &pairing.code, None)
            .await
            .unwrap();
        let answer = self.accounts.watch_poll(&pairing.secret).await.unwrap();
        let WatchAnswer::Paired { token, .. } = answer else {
            panic!("{answer:?}")
        };
        (device.id, token)
    }
}

impl Answer {
    #[track_caller]
    fn is(&self, status: u16, text: &str) {
        assert_eq!((self.status, &self.body[..]), (status, text.as_bytes()));
        assert_eq!(self.headers["content-type"], "application/json");
        assert_eq!(self.headers["content-length"], text.len().to_string());
        assert_eq!(self.headers["cache-control"], "no-store, no-transform");
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

#[tokio::test]
async fn whatever_is_wrong_is_said_as_a_json_object() {
    let server = fixture().await;
    let (_device, token) = server.watch().await;
    let token = Some(&*token);
    for (line, token, body, status, text) in [
        ("GET /garmin", token, "", 404, r#"{"e":"route"}"#),
        ("GET /garmin/", token, "", 404, r#"{"e":"route"}"#),
        ("GET /garmin/x/y", None, "", 404, r#"{"e":"route"}"#),
        ("POST /garmin/files", token, "", 405, r#"{"e":"method"}"#),
        ("GET /garmin/pair", token, "", 405, r#"{"e":"method"}"#),
        (
            "PROPFIND /garmin/upload",
            token,
            "",
            405,
            r#"{"e":"method"}"#,
        ),
        ("GET /garmin/files", None, "", 401, r#"{"e":"auth"}"#),
        ("POST /garmin/upload", None, "{", 401, r#"{"e":"auth"}"#),
        ("POST /garmin/upload", token, "{", 400, r#"{"e":"body"}"#),
        ("POST /garmin/pair", None, "[]", 400, r#"{"e":"body"}"#),
        (
            "GET /garmin/download/%ff",
            token,
            "",
            404,
            r#"{"e":"none"}"#,
        ),
        ("GET /garmin/meta/%ff", token, "", 404, r#"{"e":"none"}"#),
        (
            "GET /garmin/status?s=x",
            token,
            "",
            400,
            r#"{"e":"field","f":"s"}"#,
        ),
    ] {
        let answer = server.ask(line, token, body).await;
        println!("{line}");
        answer.is(status, text);
    }
    let long = vec![b' '; 128 * 1024 + 1];
    let answer = server.ask("POST /garmin/upload", token, long).await;
    answer.is(413, r#"{"e":"big"}"#);
    let page = server.metrics.encode(None);
    assert!(!page.contains("sync_auth_failures_total{reason=\"wrong\"}"));
    let stranger = "x".repeat(43);
    let answer = server.ask("GET /garmin/files", Some(&stranger), "").await;
    answer.is(401, r#"{"e":"auth"}"#);
    let page = server.metrics.encode(None);
    assert!(page.contains("sync_auth_failures_total{reason=\"wrong\"} 1"));
}

#[tokio::test]
async fn a_method_that_is_not_known_learns_those_that_are() {
    let server = fixture().await;
    let answer = server.ask("POST /garmin/files", None, "").await;
    assert_eq!(answer.headers["allow"], "GET,HEAD");
}

#[tokio::test]
async fn a_link_opens_its_file_once_and_not_for_a_revoked_watch() {
    let server = fixture().await;
    let (device, token) = server.watch().await;
    let token = Some(&*token);
    let slice = r#"{"n":"a.gpx","o":0,"t":5,"b64":"aGVsbG8="}"#;
    let id = server.ask("POST /garmin/upload", token, slice).await.json();
    let id = id["i"].as_str().unwrap().to_owned();
    let other = slice.replace("a.gpx", "b.gpx");
    server.ask("POST /garmin/upload", token, other).await;
    let key = async || {
        let made = server
            .ask(&format!("GET /garmin/link/{id}"), token, "")
            .await;
        assert_eq!(made.json()["x"], 300);
        made.json()["k"].as_str().unwrap().to_owned()
    };

    let line = format!("GET /garmin/download/a.gpx?k={}", key().await);
    let given = server.ask(&line, None, "").await;
    assert_eq!((given.status, &given.body[..]), (200, &b"hello"[..]));
    assert_eq!(given.headers["content-type"], "application/gpx+xml");
    server.ask(&line, None, "").await.is(401, r#"{"e":"auth"}"#);
    // For another file, and used up by that.
    let key_of_a = key().await;
    for file in ["b.gpx", "a.gpx"] {
        let line = format!("GET /garmin/download/{file}?k={key_of_a}");
        server.ask(&line, None, "").await.is(401, r#"{"e":"auth"}"#);
    }
    let line = format!("GET /garmin/download/a.gpx?k={}", key().await);
    server
        .accounts
        .device_revoke(server.account, device)
        .await
        .unwrap();
    server.ask(&line, None, "").await.is(401, r#"{"e":"auth"}"#);
}

#[tokio::test]
async fn the_time_of_its_last_work_is_kept() {
    let server = fixture().await;
    let (_device, token) = server.watch().await;
    let listed = async || server.accounts.device_list(server.account).await.unwrap();
    assert_eq!(listed().await[0].last_sync, None);
    server.ask("GET /garmin/status", Some(&token), "").await;
    let now = Millis(server.now.load(Ordering::SeqCst));
    assert_eq!(listed().await[0].last_sync, Some(now));
}
