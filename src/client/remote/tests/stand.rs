//! A small server that answers as a test says and remembers what it was asked.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{HeaderMap, Method, Response, StatusCode, Version};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use rustls::ServerConfig;
use serde::Serialize;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::task::{AbortHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

use crate::protocol::problem::{MEDIA_TYPE, Problem, TYPE_PREFIX};

/// A request as it arrived.
#[derive(Clone, Debug)]
pub(in crate::client) struct Seen {
    pub(in crate::client) method: Method,
    pub(in crate::client) route: String,
    pub(in crate::client) version: Version,
    pub(in crate::client) headers: HeaderMap,
    /// As far as it came.
    pub(in crate::client) body: Vec<u8>,
    /// Which connection it came over.
    pub(in crate::client) connection: usize,
}

impl Seen {
    pub(in crate::client) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    /// Without the trial with which clients find out what is spoken.
    pub(in crate::client) fn is_trial(&self) -> bool {
        self.route == "/api/v1/sync/status" && !self.headers.contains_key("x-access-token")
    }
}

pub(in crate::client) type Reply = Response<BoxBody<Bytes, io::Error>>;
/// `None` breaks the connection.
type Answering = Arc<dyn Fn(Seen) -> BoxFuture<'static, Option<Reply>> + Send + Sync>;

/// A running server; it ends with the test.
pub(in crate::client) struct Stand {
    pub(in crate::client) at: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    task: AbortHandle,
}

impl Drop for Stand {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// How a server is reached.
#[derive(Default)]
pub(in crate::client) struct Way {
    pub(in crate::client) tls: Option<Arc<ServerConfig>>,
    /// HTTP/1.1 alone.
    pub(in crate::client) old: bool,
}

impl Stand {
    /// Answers each request at once; a trial is answered as the real server does.
    pub(in crate::client) async fn start(
        answer: impl Fn(Seen) -> Option<Reply> + Send + Sync + 'static,
    ) -> Self {
        Self::with(Way::default(), answer).await
    }

    pub(in crate::client) async fn with(
        way: Way,
        answer: impl Fn(Seen) -> Option<Reply> + Send + Sync + 'static,
    ) -> Self {
        let answer = Arc::new(answer);
        Self::slow(way, move |seen| {
            let answer = Arc::clone(&answer);
            Box::pin(async move { answer(seen) })
        })
        .await
    }

    /// Answers when it likes.
    pub(in crate::client) async fn slow(
        way: Way,
        answer: impl Fn(Seen) -> BoxFuture<'static, Option<Reply>> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let serving = Serving {
            seen: Arc::clone(&seen),
            answer: Arc::new(answer),
            old: way.old,
        };
        let task = tokio::spawn(accept(listener, way.tls, serving)).abort_handle();
        Self { at, seen, task }
    }

    pub(in crate::client) fn address(&self) -> String {
        format!("http://{}", self.at)
    }

    /// What it was asked, without trials.
    pub(in crate::client) fn seen(&self) -> Vec<Seen> {
        let seen = self.seen.lock().unwrap();
        seen.iter()
            .filter(|seen| !seen.is_trial())
            .cloned()
            .collect()
    }

    /// How often somebody found out what it speaks.
    pub(in crate::client) fn trials(&self) -> usize {
        let seen = self.seen.lock().unwrap();
        seen.iter().filter(|seen| seen.is_trial()).count()
    }

    /// The routes it was asked, below `/api/v1/`.
    pub(in crate::client) fn routes(&self) -> Vec<String> {
        let seen = self.seen().into_iter();
        seen.map(|seen| seen.route.trim_start_matches("/api/v1/").to_owned())
            .collect()
    }
}

#[derive(Clone)]
struct Serving {
    seen: Arc<Mutex<Vec<Seen>>>,
    answer: Answering,
    old: bool,
}

async fn accept(listener: TcpListener, tls: Option<Arc<ServerConfig>>, serving: Serving) {
    // Ends the connections with the server.
    let mut open = JoinSet::new();
    for connection in 0.. {
        let (stream, _peer) = listener.accept().await.unwrap();
        let (tls, serving) = (tls.clone(), serving.clone());
        open.spawn(async move {
            match tls {
                None => serve(stream, serving, connection).await,
                Some(tls) => {
                    if let Ok(stream) = TlsAcceptor::from(tls).accept(stream).await {
                        serve(stream, serving, connection).await;
                    }
                }
            }
        });
    }
}

async fn serve(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    serving: Serving,
    connection: usize,
) {
    let old = serving.old;
    let service = service_fn(move |request| answer(request, serving.clone(), connection));
    let mut builder = auto::Builder::new(TokioExecutor::new());
    if old {
        builder = builder.http1_only();
    }
    drop(
        builder
            .serve_connection(TokioIo::new(stream), service)
            .await,
    );
}

/// Ends the connection in the middle.
#[derive(Debug, thiserror::Error)]
#[error("the test breaks the connection")]
struct Broken;

async fn answer(
    request: http::Request<Incoming>,
    serving: Serving,
    connection: usize,
) -> Result<Reply, Broken> {
    let (head, mut body) = request.into_parts();
    let mut bytes = Vec::new();
    while let Some(Ok(frame)) = body.frame().await {
        bytes.extend(frame.into_data().unwrap());
    }
    let seen = Seen {
        method: head.method,
        route: head.uri.path_and_query().unwrap().to_string(),
        version: head.version,
        headers: head.headers,
        body: bytes,
        connection,
    };
    serving.seen.lock().unwrap().push(seen.clone());
    if seen.is_trial() {
        return Ok(problem(401, "unauthorized"));
    }
    (serving.answer)(seen).await.ok_or(Broken)
}

/// An answer of JSON.
pub(in crate::client) fn json(body: &impl Serialize) -> Reply {
    typed("application/json", serde_json::to_vec(body).unwrap())
}

/// An answer of bytes.
pub(in crate::client) fn typed(kind: &str, body: impl Into<Bytes>) -> Reply {
    let body = Full::new(body.into())
        .map_err(|never: Infallible| match never {})
        .boxed();
    Response::builder()
        .header("content-type", kind)
        .body(body)
        .unwrap()
}

/// A refusal.
pub(in crate::client) fn problem(status: u16, name: &str) -> Reply {
    let problem = Problem {
        kind: format!("{TYPE_PREFIX}{name}"),
        title: format!("Title of {name}"),
        status,
        detail: format!("detail of {name}"),
        field: None,
    };
    with_status(
        typed(MEDIA_TYPE, serde_json::to_vec(&problem).unwrap()),
        status,
    )
}

pub(in crate::client) fn with_status(mut reply: Reply, status: u16) -> Reply {
    *reply.status_mut() = StatusCode::from_u16(status).unwrap();
    reply
}

pub(in crate::client) fn with_header(mut reply: Reply, name: &'static str, value: &str) -> Reply {
    reply.headers_mut().insert(name, value.parse().unwrap());
    reply
}
