//! The routes over a real store, without sockets.

use std::net::SocketAddr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::HeaderMap;
use http_body_util::BodyExt;
use tempfile::TempDir;
use tower::ServiceExt;

use super::*;
use crate::server::config::Config;
use crate::server::startup;
use crate::store::meta::testing;

struct Fixture {
    router: Router,
    store: Arc<Store>,
    _folder: TempDir,
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
    let clock = Clock::system();
    let opened = startup::open(&config, clock.clone()).await.unwrap();
    startup::first_account(&opened, &config, &clock)
        .await
        .unwrap();
    let store = Arc::clone(&opened.store);
    let router = routes(Shell {
        stop: CancellationToken::new(),
        tasks: TaskTracker::new(),
        store: opened.store,
        accounts: opened.accounts,
        dav: webdav::Dav::new("/dav/"),
        metrics: Metrics::new(),
        metrics_token: Some(Secret::new("token")),
        proxies: Arc::new(["10.0.0.0/8".parse().unwrap()]),
        clock,
    });
    Fixture {
        router,
        store,
        _folder: folder,
    }
}

impl Fixture {
    async fn ask(&self, line: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        self.ask_from("192.0.2.7:5", line, headers, body).await
    }

    async fn ask_from(
        &self,
        peer: &str,
        line: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Answer {
        let (method, path) = line.split_once(' ').unwrap();
        let address: SocketAddr = peer.parse().unwrap();
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.extension(Peer {
            address,
            tls: false,
        });
        let request = request.body(Body::from(body.to_owned())).unwrap();
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Answer {
            status: parts.status.as_u16(),
            headers: parts.headers,
            body,
        }
    }
}

struct Answer {
    status: u16,
    headers: HeaderMap,
    body: Bytes,
}

fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

#[tokio::test]
async fn health_needs_no_login_and_fails_with_the_database() {
    let server = fixture().await;
    let well = server.ask("GET /health", &[], "").await;
    assert_eq!(
        (well.status, &well.body[..]),
        (200, &b"{\"status\":\"ok\"}\n"[..])
    );
    server.store.close().await;
    assert_eq!(server.ask("GET /health", &[], "").await.status, 503);
}

#[tokio::test]
async fn metrics_are_for_this_machine_or_the_token() {
    let server = fixture().await;
    let token = [("authorization", "Bearer token")];
    assert_eq!(server.ask("GET /metrics", &[], "").await.status, 403);
    assert_eq!(server.ask("GET /metrics", &token, "").await.status, 200);
    let local = server
        .ask_from("127.0.0.1:5", "GET /metrics", &[], "")
        .await;
    assert!(String::from_utf8_lossy(&local.body).contains("sync_connections"));
}

#[tokio::test]
async fn every_method_below_dav_is_asked_to_log_in() {
    let server = fixture().await;
    let wrong = basic("admin", "wrong");
    for method in [
        "OPTIONS", "PROPFIND", "GET", "HEAD", "PUT", "MKCOL", "LOCK", "REPORT",
    ] {
        for headers in [&[][..], &[("authorization", &*wrong)]] {
            let answer = server.ask(&format!("{method} /dav/x"), headers, "").await;
            assert_eq!(answer.status, 401, "{method}");
            assert_eq!(
                answer.headers["www-authenticate"],
                "Basic realm=\"sync-server\", charset=\"UTF-8\""
            );
        }
    }
}

#[tokio::test]
async fn a_file_put_can_be_got_again_also_with_a_windows_domain() {
    let server = fixture().await;
    let plain = basic("admin", "correct horse");
    let windows = basic("HOME\\admin", "correct horse");
    let put = server
        .ask("PUT /dav/a.txt", &[("authorization", &plain)], "hello")
        .await;
    let got = server
        .ask("GET /dav/a.txt", &[("authorization", &windows)], "")
        .await;
    assert_eq!(
        (put.status, got.status, &got.body[..]),
        (201, 200, &b"hello"[..])
    );
    assert_eq!(got.headers["x-content-type-options"], "nosniff");
    assert!(!got.headers.contains_key("server"));
}

#[tokio::test]
async fn the_mount_point_answers_with_and_without_its_slash() {
    let server = fixture().await;
    let login = basic("admin", "correct horse");
    for path in ["/dav", "/dav/"] {
        let headers = [("authorization", &*login), ("depth", "0")];
        let answer = server.ask(&format!("PROPFIND {path}"), &headers, "").await;
        assert_eq!(answer.status, 207, "{path}");
    }
}

#[tokio::test]
async fn the_front_page_and_the_root_collection_need_no_login() {
    let server = fixture().await;
    let page = server.ask("GET /", &[], "").await;
    assert_eq!(page.status, 200);
    assert!(String::from_utf8_lossy(&page.body).contains("/dav/"));
    let options = server.ask("OPTIONS /", &[], "").await;
    assert_eq!(options.status, 200);
    assert!(options.headers.contains_key("dav"));
    assert_eq!(
        server.ask("PROPFIND /", &[("depth", "1")], "").await.status,
        207
    );
    assert_eq!(server.ask("DELETE /", &[], "").await.status, 405);
}

#[tokio::test]
async fn what_is_not_there_is_404_without_a_login() {
    let server = fixture().await;
    for path in ["/favicon.ico", "/davx", "/remote.php/webdav/"] {
        assert_eq!(
            server.ask(&format!("GET {path}"), &[], "").await.status,
            404,
            "{path}"
        );
    }
}

#[tokio::test]
async fn a_trusted_proxy_brings_hsts_when_it_speaks_https() {
    let server = fixture().await;
    let headers = [
        ("x-forwarded-for", "192.0.2.9"),
        ("x-forwarded-proto", "https"),
    ];
    let proxied = server.ask_from("10.0.0.1:5", "GET /", &headers, "").await;
    let stranger = server.ask("GET /", &headers, "").await;
    assert!(proxied.headers.contains_key("strict-transport-security"));
    assert!(!stranger.headers.contains_key("strict-transport-security"));
}
