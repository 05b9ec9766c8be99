//! Real sockets on loopback.

use std::path::Path;

use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::routing::any;
use http::StatusCode;
use http_body_util::{BodyExt, Empty};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;

use super::*;
use crate::server::config;

/// Short enough to wait for, long enough for loopback.
const SHORT: Duration = Duration::from_millis(200);
/// Longer than any test may take.
const LONG: Duration = Duration::from_mins(1);

struct Running {
    address: SocketAddr,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

fn patient() -> Http {
    Http {
        header_timeout: LONG,
        idle_timeout: LONG,
        body_timeout: LONG,
        send_timeout: LONG,
        drain: LONG,
        ..Http::default()
    }
}

async fn start(http: Http, tls: Option<Arc<Tls>>, router: Router) -> Running {
    let any_port = "127.0.0.1:0".parse().unwrap();
    let listener = Listener::bind(any_port, &http, &[], tls, Metrics::new())
        .await
        .unwrap();
    let address = listener.address().unwrap();
    let stop = CancellationToken::new();
    let task = tokio::spawn(listener.run(router, stop.clone()));
    Running {
        address,
        stop,
        task,
    }
}

/// Reads the whole body of a request; a broken one is 408.
fn reading() -> Router {
    let handler = |request: Request| async {
        match request.into_body().collect().await {
            Ok(_) => StatusCode::OK,
            Err(_) => StatusCode::REQUEST_TIMEOUT,
        }
    };
    Router::new().fallback(any(handler))
}

/// Answers 401 without a look at the body.
fn refusing() -> Router {
    Router::new().fallback(any(|| async { StatusCode::UNAUTHORIZED }))
}

impl Running {
    async fn connect(&self, text: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(text.as_bytes()).await.unwrap();
        stream
    }
}

/// The head of the next response.
async fn head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    String::from_utf8(head).unwrap()
}

/// What still comes until the server closes. A reset counts as the end, too.
async fn rest(stream: &mut TcpStream) -> Vec<u8> {
    let mut rest = Vec::new();
    drop(
        timeout(LONG, stream.read_to_end(&mut rest))
            .await
            .expect("the server closes"),
    );
    rest
}

#[tokio::test]
async fn a_request_head_that_does_not_end_is_cut() {
    let server = start(
        Http {
            header_timeout: SHORT,
            ..patient()
        },
        None,
        reading(),
    )
    .await;
    for begin in ["", "P", "GET / HTTP/1.1\r\nx: ", "PRI * HTTP/2.0\r\n\r\n"] {
        let mut stream = server.connect(begin).await;
        assert_eq!(rest(&mut stream).await, b"", "{begin}");
    }
}

#[tokio::test]
async fn an_idle_connection_is_closed_only_after_the_idle_timeout() {
    let quick = Duration::from_millis(1);
    let http = Http {
        header_timeout: LONG,
        idle_timeout: SHORT,
        ..patient()
    };
    let server = start(http, None, reading()).await;
    let mut stream = server.connect("GET / HTTP/1.1\r\nhost: x\r\n\r\n").await;
    assert!(head(&mut stream).await.starts_with("HTTP/1.1 200"));
    assert!(
        timeout(quick, stream.read_u8()).await.is_err(),
        "it is still open"
    );
    assert_eq!(rest(&mut stream).await, b"");
}

#[tokio::test]
async fn a_kept_connection_may_be_idle_for_longer_than_a_head_may_take() {
    let http = Http {
        header_timeout: SHORT / 10,
        idle_timeout: LONG,
        ..patient()
    };
    let server = start(http, None, reading()).await;
    let mut stream = server.connect("GET / HTTP/1.1\r\nhost: x\r\n\r\n").await;
    head(&mut stream).await;
    assert!(
        timeout(SHORT, stream.read_u8()).await.is_err(),
        "it is still open"
    );
    stream.write_all(b"GET / HT").await.unwrap();
    assert_eq!(rest(&mut stream).await, b"");
}

#[tokio::test]
async fn an_upload_that_pauses_for_too_long_fails() {
    let server = start(
        Http {
            body_timeout: SHORT,
            ..patient()
        },
        None,
        reading(),
    )
    .await;
    let text = "PUT / HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n123";
    let mut stream = server.connect(text).await;
    assert!(head(&mut stream).await.starts_with("HTTP/1.1 408"));
}

#[tokio::test]
async fn a_client_that_does_not_read_its_download_is_cut() {
    let (gone, mut events) = mpsc::channel::<()>(1);
    let handler = move || {
        let gone = gone.clone();
        async move {
            gone.send(()).await.unwrap();
            let frames = futures_util::stream::repeat_with(move || {
                // The sender lives in the body and goes with it.
                let _alive = &gone;
                Ok::<_, io::Error>(Bytes::from(vec![0; 65536]))
            });
            Body::from_stream(frames)
        }
    };
    let router = Router::new().fallback(any(handler));
    let server = start(
        Http {
            send_timeout: SHORT,
            ..patient()
        },
        None,
        router,
    )
    .await;
    let stream = server.connect("GET / HTTP/1.1\r\nhost: x\r\n\r\n").await;
    assert_eq!(events.recv().await, Some(()));
    server.stop.cancel();
    timeout(LONG, server.task).await.unwrap().unwrap();
    assert_eq!(events.recv().await, None);
    drop(stream);
}

#[tokio::test]
async fn connections_above_the_limit_wait_for_their_turn() {
    let server = start(
        Http {
            connections_max: 1,
            ..patient()
        },
        None,
        reading(),
    )
    .await;
    let mut first = server.connect("GET / HTTP/1.1\r\nhost: x\r\n\r\n").await;
    head(&mut first).await;
    let mut second = server.connect("GET / HTTP/1.1\r\nhost: x\r\n\r\n").await;
    assert!(
        timeout(SHORT, head(&mut second)).await.is_err(),
        "it has to wait"
    );
    drop(first);
    assert!(head(&mut second).await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn a_refused_upload_hears_why_and_may_go_on() {
    let server = start(patient(), None, refusing()).await;
    let large = 3_000_000;
    let text = format!("PUT / HTTP/1.1\r\nhost: x\r\ncontent-length: {large}\r\n\r\n");
    let mut stream = server.connect(&text).await;
    stream.write_all(&vec![b'x'; large]).await.unwrap();
    assert!(head(&mut stream).await.starts_with("HTTP/1.1 401"));
    stream
        .write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        .await
        .unwrap();
    assert!(head(&mut stream).await.starts_with("HTTP/1.1 401"));
}

#[tokio::test]
async fn a_refused_upload_that_asked_first_is_not_told_to_continue() {
    let server = start(patient(), None, refusing()).await;
    let text = "PUT / HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 9\r\n\r\n";
    let mut stream = server.connect(text).await;
    assert!(head(&mut stream).await.starts_with("HTTP/1.1 401"));
}

#[tokio::test]
async fn stopping_lets_a_running_request_finish_and_takes_no_new_one() {
    let (entered, go) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (entering, going) = (Arc::clone(&entered), Arc::clone(&go));
    let handler = move || {
        let (entering, going) = (Arc::clone(&entering), Arc::clone(&going));
        async move {
            entering.notify_one();
            going.notified().await;
        }
    };
    let server = start(patient(), None, Router::new().fallback(any(handler))).await;
    let mut idle = server.connect("").await;
    let mut busy = server.connect("GET / HTTP/1.1\r\nhost: x\r\n\r\n").await;
    entered.notified().await;

    server.stop.cancel();

    assert_eq!(rest(&mut idle).await, b"");
    go.notify_one();
    assert!(head(&mut busy).await.starts_with("HTTP/1.1 200"));
    timeout(LONG, server.task).await.unwrap().unwrap();
    assert!(TcpStream::connect(server.address).await.is_err());
}

#[tokio::test]
async fn stopping_waits_no_longer_than_the_drain_time() {
    let entered = Arc::new(Notify::new());
    let entering = Arc::clone(&entered);
    let handler = move || {
        entering.notify_one();
        std::future::pending::<()>()
    };
    let router = Router::new().fallback(any(handler));
    let server = start(
        Http {
            drain: SHORT,
            ..patient()
        },
        None,
        router,
    )
    .await;
    let _busy = server.connect("GET / HTTP/1.1\r\nhost: x\r\n\r\n").await;
    entered.notified().await;
    server.stop.cancel();
    timeout(LONG, server.task).await.unwrap().unwrap();
}

#[test]
fn one_address_has_a_limit_but_proxies_and_this_machine_have_none() {
    let crowd = Arc::new(Crowd::new(2, &["10.0.0.0/8".parse().unwrap()]));
    let enter = |text: &str| crowd.enter(text.parse().unwrap());
    for (address, neighbour) in [
        ("192.0.2.1", "192.0.2.2"),
        ("2001:db8::1", "2001:db8:0:1::1"),
    ] {
        let first = enter(address).unwrap();
        let _second = enter(address).unwrap();
        assert!(enter(address).is_none());
        assert!(enter(neighbour).is_some());
        drop(first);
        assert!(enter(address).is_some());
    }
    let many: Vec<_> = (0..9)
        .map(|_| (enter("10.0.0.1"), enter("::ffff:127.0.0.1")))
        .collect();
    assert!(
        many.iter()
            .all(|(proxy, local)| proxy.is_some() && local.is_some())
    );
    drop(many);
    assert!(crowd.open.lock().unwrap().is_empty());
}

/// Writes a fresh pair for `localhost` and returns its certificate.
fn write_pair(folder: &Path) -> CertificateDer<'static> {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    std::fs::write(folder.join("cert.pem"), made.cert.pem()).unwrap();
    std::fs::write(folder.join("key.pem"), made.signing_key.serialize_pem()).unwrap();
    made.cert.der().clone()
}

fn open_tls(folder: &TempDir) -> Arc<Tls> {
    let file = |name| Some(folder.path().join(name));
    let config = config::Tls {
        cert: file("cert.pem"),
        key: file("key.pem"),
        ..config::Tls::default()
    };
    Tls::open(&config).unwrap().unwrap()
}

/// `GET /` over HTTP/2 with TLS, trusting `root` only.
async fn get_tls(server: &Running, root: &CertificateDer<'static>) -> io::Result<StatusCode> {
    let mut roots = RootCertStore::empty();
    roots.add(root.clone()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut client = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    client.alpn_protocols = vec![b"h2".to_vec()];
    let stream = TcpStream::connect(server.address).await?;
    let name = ServerName::try_from("localhost").unwrap();
    let stream = TlsConnector::from(Arc::new(client))
        .connect(name, stream)
        .await?;
    let io = TokioIo::new(stream);
    let handshake = hyper::client::conn::http2::handshake(TokioExecutor::new(), io);
    let (mut sender, connection) = handshake.await.map_err(io::Error::other)?;
    let task = tokio::spawn(connection);
    let request = Request::get("https://localhost/")
        .body(Empty::<Bytes>::new())
        .unwrap();
    let response = sender
        .send_request(request)
        .await
        .map_err(io::Error::other)?;
    drop(sender);
    task.await.unwrap().map_err(io::Error::other)?;
    Ok(response.status())
}

#[tokio::test]
async fn tls_speaks_http2_and_takes_up_a_new_certificate() {
    let folder = tempfile::tempdir().unwrap();
    let old = write_pair(folder.path());
    let tls = open_tls(&folder);
    let server = start(patient(), Some(Arc::clone(&tls)), reading()).await;
    assert_eq!(get_tls(&server, &old).await.unwrap(), StatusCode::OK);

    std::fs::write(folder.path().join("key.pem"), "broken").unwrap();
    tls.refresh();
    assert_eq!(get_tls(&server, &old).await.unwrap(), StatusCode::OK);

    let new = write_pair(folder.path());
    tls.refresh();
    assert!(get_tls(&server, &old).await.is_err());
    assert_eq!(get_tls(&server, &new).await.unwrap(), StatusCode::OK);
}

#[tokio::test]
async fn a_tls_handshake_that_does_not_end_is_cut() {
    let folder = tempfile::tempdir().unwrap();
    write_pair(folder.path());
    let http = Http {
        header_timeout: SHORT,
        ..patient()
    };
    let server = start(http, Some(open_tls(&folder)), reading()).await;
    let mut stream = server.connect("").await;
    assert_eq!(rest(&mut stream).await, b"");
}

#[test]
fn a_key_that_does_not_fit_the_certificate_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    write_pair(folder.path());
    let cert = std::fs::read(folder.path().join("cert.pem")).unwrap();
    write_pair(folder.path());
    std::fs::write(folder.path().join("cert.pem"), cert).unwrap();
    let file = |name| Some(folder.path().join(name));
    let config = config::Tls {
        cert: file("cert.pem"),
        key: file("key.pem"),
        ..config::Tls::default()
    };
    assert!(Tls::open(&config).is_err());
}
