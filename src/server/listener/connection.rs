//! One connection from the first byte to the last. Knows the router only as a service.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use super::activity::{Activity, Patience, Sent, Verdict};
use super::received::Received;
use crate::server::config::Http;

/// Largest request head of HTTP/2, in bytes. `If` headers with many lock tokens are the longest.
const HEAD_BYTES_MAX: u32 = 64 * 1024;
/// Most header lines of a request.
const HEADERS_MAX: usize = 100;
/// Read and write buffer of an HTTP/1 connection, in bytes; full ones stop the body, and a request
/// head that does not fit is refused with 431.
const BUFFER_BYTES_MAX: usize = 128 * 1024;
/// Requests one HTTP/2 connection may run at once.
const STREAMS_MAX: u32 = 64;
/// Bytes a client may send ahead on one HTTP/2 stream.
const STREAM_WINDOW: u32 = 512 * 1024;
/// Bytes a client may send ahead on one HTTP/2 connection.
const CONNECTION_WINDOW: u32 = 1024 * 1024;
/// Bytes of responses buffered for one HTTP/2 stream.
const STREAM_SEND_BUFFER: usize = 128 * 1024;
/// How often a silent HTTP/2 client is asked whether it is still there, and how long it may think.
const PING: Duration = Duration::from_secs(20);
/// Time between the good-bye to an idle connection and the end of the socket.
const GOODBYE: Duration = Duration::from_secs(5);

/// The two ends of a connection, as the socket knows them; an extension of every request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer {
    /// The other end: the client, or the last proxy before us.
    pub address: SocketAddr,
    /// Whether it came over our own TLS.
    pub tls: bool,
}

/// How connections are served.
pub(super) struct Server {
    builder: auto::Builder<TokioExecutor>,
    patience: Patience,
    body_pause_max: Duration,
}

impl Server {
    /// Sets hyper up with our limits.
    pub(super) fn new(http: &Http) -> Self {
        let mut builder = auto::Builder::new(TokioExecutor::new());
        builder
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(None)
            .max_headers(HEADERS_MAX)
            .max_buf_size(BUFFER_BYTES_MAX);
        builder
            .http2()
            .timer(TokioTimer::new())
            .max_concurrent_streams(STREAMS_MAX)
            .max_header_list_size(HEAD_BYTES_MAX)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_send_buf_size(STREAM_SEND_BUFFER)
            .keep_alive_interval(PING)
            .keep_alive_timeout(PING);
        let patience = Patience {
            head: http.header_timeout,
            idle: http.idle_timeout,
            send: http.send_timeout,
        };
        Self {
            builder,
            patience,
            body_pause_max: http.body_timeout,
        }
    }

    /// Serves `stream` until it ends. After `stop` the running requests are still answered.
    pub(super) async fn serve<S>(
        &self,
        stream: S,
        peer: Peer,
        router: Router,
        stop: CancellationToken,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let activity = Activity::new();
        let requests = Arc::clone(&activity);
        let pause_max = self.body_pause_max;
        let service = service_fn(move |request| {
            answer(
                router.clone(),
                Arc::clone(&requests),
                request,
                peer,
                pause_max,
            )
        });
        let io = TokioIo::new(Watched {
            stream,
            activity: Arc::clone(&activity),
        });
        let mut connection = pin!(self.builder.serve_connection_with_upgrades(io, service));
        let mut stopping = false;
        let mut end: Option<Instant> = None;
        loop {
            let wake = match (end, activity.judge(self.patience, Instant::now())) {
                (Some(end), _) => end,
                (None, Verdict::WaitUntil(time)) => time,
                (None, Verdict::Cut) => return Ok(()),
                (None, Verdict::Idle) => {
                    connection.as_mut().graceful_shutdown();
                    *end.insert(Instant::now() + GOODBYE)
                }
            };
            tokio::select! {
                result = connection.as_mut() => return result,
                () = stop.cancelled(), if !stopping => {
                    stopping = true;
                    connection.as_mut().graceful_shutdown();
                }
                () = activity.changed(), if end.is_none() => {}
                () = sleep_until(wake) => if end.is_some() { return Ok(()) },
            }
        }
    }
}

async fn answer(
    router: Router,
    activity: Arc<Activity>,
    request: Request<Incoming>,
    peer: Peer,
    pause_max: Duration,
) -> Result<Response<Sent>, Infallible> {
    let ticket = activity.begin(request.version());
    let mut request = Received::wrap(request, pause_max).map(Body::new);
    request.extensions_mut().insert(peer);
    let response = router.oneshot(request).await?;
    Ok(response.map(|body| Sent::new(body, ticket)))
}

/// A socket that reports incoming bytes.
struct Watched<S> {
    stream: S,
    activity: Arc<Activity>,
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if buffer.filled().len() > before {
            self.activity.received();
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
