//! The way to one server: a shared connection for what is small, others for what is large.

use std::error::Error as StdError;
use std::sync::{self, Arc, PoisonError};
use std::time::Duration;

use http::{HeaderValue, StatusCode};
use hyper::body::Incoming;
use hyper_util::client::legacy::{self, Client};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use super::address::Address;
use super::answer::{Answer, BUSY_MIN};
use super::dial::{Connector, Dialer, Offer};
use super::error::chain;
use super::limit::Limits;
use super::request::{Outgoing, Payload, Progress, Request};
use super::tls::Trust;
use super::{Error, Result};
use crate::protocol::auth::ACCESS_TOKEN;

/// A connection without requests is closed after this, before the server does it (75 s).
const IDLE_MAX: Duration = Duration::from_secs(50);
/// Idle HTTP/1.1 connections that are kept.
const IDLE_CONNECTIONS_MAX: usize = 2;
/// Longest wait for the head of an answer when nothing was sent but a head.
const HEAD_MAX: Duration = Duration::from_mins(2);
/// Longest wait for it when there was a body: the server makes much durable before it answers.
const HEAD_AFTER_BODY_MAX: Duration = Duration::from_mins(10);
/// Longest wait for an answer to a trial of HTTP/2: what does not speak it may say nothing.
const TRIAL_MAX: Duration = Duration::from_secs(10);
/// Bytes the server may send ahead on one stream of HTTP/2. What is large does not come this way.
const STREAM_WINDOW: u32 = 1024 * 1024;
/// Bytes it may send ahead on all streams of a connection.
const CONNECTION_WINDOW: u32 = 2 * 1024 * 1024;
/// Bytes of bodies kept for one stream of HTTP/2.
const SEND_BUFFER: usize = 128 * 1024;
/// Buffer of an HTTP/1.1 connection, in bytes.
const BUFFER_MAX: usize = 256 * 1024;
/// A route that answers to anybody, with little: it asks for a log-in.
const TRIAL_ROUTE: &str = "sync/status";

/// Which HTTP the other side speaks without TLS; with TLS the handshake says it each time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speaks {
    /// HTTP/1.1 alone: a proxy, usually.
    Http1,
    /// HTTP/2 by prior knowledge.
    Http2,
}

/// A server that is not necessarily reached yet. Copies share everything.
#[derive(Clone)]
pub struct Server {
    inner: Arc<Inner>,
}

struct Inner {
    address: Address,
    limits: Arc<Limits>,
    dialer: Arc<Dialer>,
    /// HTTP/2 where it can be.
    shared: Client<Connector, Outgoing>,
    /// HTTP/1.1.
    single: Client<Connector, Outgoing>,
    /// Once it is known.
    speaks: sync::Mutex<Option<Speaks>>,
    /// Held by the one request that finds out; what it met when it could not.
    asking: Mutex<Option<(Instant, Error)>>,
}

impl Server {
    /// The server at an address such as `https://files.example` or `http://10.0.0.5:8090/prefix`. Opens no
    /// connection, but reads the certificates that are trusted.
    pub fn new(address: &str, trust: &Trust, limits: Arc<Limits>) -> Result<Self> {
        let address = Address::parse(address)?;
        let dialer = Arc::new(Dialer::new(address.clone(), trust, Arc::clone(&limits))?);
        let client = |offer: Offer| {
            let mut builder = builder();
            builder.http2_only(offer == Offer::Either && !address.secure);
            builder.build(Connector {
                dialer: Arc::clone(&dialer),
                offer,
            })
        };
        Ok(Self {
            inner: Arc::new(Inner {
                shared: client(Offer::Either),
                single: client(Offer::Http1),
                address,
                limits,
                dialer,
                speaks: sync::Mutex::default(),
                asking: Mutex::default(),
            }),
        })
    }

    /// What an earlier [`Self::speaks`] gave, so that nothing has to be tried.
    pub fn remember(&self, speaks: Speaks) {
        self.set(Some(speaks));
    }

    /// Which HTTP it speaks, once a request was answered; nothing with TLS.
    pub fn speaks(&self) -> Option<Speaks> {
        *self.speaking()
    }

    /// The rates and counters of its connections.
    pub fn limits(&self) -> &Arc<Limits> {
        &self.inner.limits
    }

    /// Makes sure that a sync-server answers, and finds out which HTTP it speaks.
    pub async fn connect(&self) -> Result<()> {
        if self.inner.address.secure || self.speaks().is_some() {
            let single = !self.inner.address.secure && self.speaks() == Some(Speaks::Http1);
            return self.trial(single).await;
        }
        match timeout(TRIAL_MAX, self.trial(false)).await {
            Ok(Ok(())) => {
                self.set(Some(Speaks::Http2));
                return Ok(());
            }
            Ok(Err(error @ (Error::Offline(_) | Error::Busy { .. }))) => return Err(error),
            Ok(Err(_)) | Err(_) => {}
        }
        self.trial(true).await?;
        self.set(Some(Speaks::Http1));
        Ok(())
    }

    /// Asks for what nobody gets without a log-in, and takes that refusal for the server.
    async fn trial(&self, single: bool) -> Result<()> {
        match self.exchange(Request::get(TRIAL_ROUTE), None, single).await {
            Err(Error::Refused(refusal)) if refusal.problem.status == 401 => Ok(()),
            Err(error) => Err(error),
            Ok(_) => Err(Error::Protocol("it answers without a log-in".to_owned())),
        }
    }

    /// Sends a request; the answer is no refusal. A connection that breaks is tried once more where that is
    /// harmless.
    pub(super) async fn send(&self, request: Request, access: Option<&str>) -> Result<Answer> {
        if !self.inner.address.secure && self.speaks().is_none() {
            Box::pin(self.find_out()).await?;
        }
        let single = self.is_single(&request);
        let copy = request.copy().filter(|request| request.again);
        match self.exchange(request, access, single).await {
            Err(Error::Broken(why)) => match copy {
                Some(request) => {
                    tracing::debug!("sending again: {why}");
                    self.exchange(request, access, single).await
                }
                None => Err(Error::Broken(why)),
            },
            done => done,
        }
    }

    /// Finds out what it speaks, once for all that want to know at the same time.
    async fn find_out(&self) -> Result<()> {
        let begun = Instant::now();
        let mut failed = self.inner.asking.lock().await;
        if self.speaks().is_some() {
            return Ok(());
        }
        if let Some((at, error)) = &*failed
            && *at > begun
            && let Some(error) = error.again()
        {
            return Err(error);
        }
        let connected = self.connect().await;
        let error = connected.as_ref().err().and_then(Error::again);
        *failed = error.map(|error| (Instant::now(), error));
        connected
    }

    fn is_single(&self, request: &Request) -> bool {
        request.is_bulk()
            || self.limits().is_slow()
            || (!self.inner.address.secure && self.speaks() != Some(Speaks::Http2))
    }

    async fn exchange(
        &self,
        request: Request,
        access: Option<&str>,
        single: bool,
    ) -> Result<Answer> {
        let most = match request.payload {
            Payload::None => HEAD_MAX,
            Payload::Bytes(_) | Payload::Source(_) => HEAD_AFTER_BODY_MAX,
        };
        let (request, progress) = self.prepare(request, access)?;
        let client = if single {
            &self.inner.single
        } else {
            &self.inner.shared
        };
        let response = self.head(client.request(request), &progress, most).await;
        let response = response.inspect_err(|error| self.doubt(error, single))?;
        Answer::of(response, self.limits()).await
    }

    /// Waits for the head of an answer: `most`, and longer while the body goes on or what others asked for is
    /// coming, which may be in front of it.
    async fn head(
        &self,
        response: legacy::ResponseFuture,
        progress: &Progress,
        most: Duration,
    ) -> Result<http::Response<Incoming>> {
        let mut response = response;
        let mut seen = (progress.steps(), self.limits().received());
        loop {
            match timeout(most, &mut response).await {
                Ok(Ok(response)) if response.status() == StatusCode::SWITCHING_PROTOCOLS => {
                    return Err(Error::Protocol(
                        "it changes the protocol unasked".to_owned(),
                    ));
                }
                Ok(Ok(response)) => return Ok(response),
                Ok(Err(error)) => {
                    let source = progress.failed().map(Error::Source);
                    return Err(source.unwrap_or_else(|| explain(&error)));
                }
                Err(_elapsed) => {}
            }
            let now = (progress.steps(), self.limits().received());
            if now.0 == seen.0 && now.1 - seen.1 < BUSY_MIN {
                return Err(Error::Broken(format!("no answer for {} s", most.as_secs())));
            }
            seen = now;
        }
    }

    fn prepare(
        &self,
        request: Request,
        access: Option<&str>,
    ) -> Result<(http::Request<Outgoing>, Arc<Progress>)> {
        let bad =
            |error: &dyn std::fmt::Display| Error::Address(format!("gives no request: {error}"));
        let (body, progress) = Outgoing::new(request.payload);
        let mut built = http::Request::new(body);
        *built.method_mut() = request.method;
        let uri = self.inner.address.route(&request.route);
        *built.uri_mut() = uri.parse().map_err(|error| bad(&error))?;
        *built.headers_mut() = request.headers;
        if let Some(access) = access {
            // In `Authorization` HTTP/2 would send all of it each time (RFC 7541 §7.1.3), which is more than many edits.
            let value = HeaderValue::from_str(access).map_err(|error| bad(&error))?;
            built.headers_mut().insert(ACCESS_TOKEN, value);
        }
        Ok((built, progress))
    }

    /// What answered by HTTP/2 may have been exchanged for something that does not: tries anew next time.
    fn doubt(&self, error: &Error, single: bool) {
        let unusable = matches!(error, Error::Broken(_) | Error::Protocol(_));
        if unusable && !single && !self.inner.address.secure && self.speaks() == Some(Speaks::Http2)
        {
            self.set(None);
        }
    }

    fn set(&self, speaks: Option<Speaks>) {
        *self.speaking() = speaks;
    }

    fn speaking(&self) -> sync::MutexGuard<'_, Option<Speaks>> {
        let speaks = self.inner.speaks.lock();
        speaks.unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn dialer(&self) -> &Dialer {
        &self.inner.dialer
    }

    pub(super) fn address(&self) -> &Address {
        &self.inner.address
    }
}

fn builder() -> legacy::Builder {
    let mut builder = Client::builder(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE_MAX)
        .pool_max_idle_per_host(IDLE_CONNECTIONS_MAX)
        .http1_max_buf_size(BUFFER_MAX)
        .http2_initial_stream_window_size(STREAM_WINDOW)
        .http2_initial_connection_window_size(CONNECTION_WINDOW)
        .http2_max_send_buf_size(SEND_BUFFER);
    builder
}

/// Which of our errors one of hyper's is.
fn explain(error: &legacy::Error) -> Error {
    let connecting = error.is_connect();
    let text = chain(error);
    let mut next: Option<&(dyn StdError + 'static)> = Some(error);
    while let Some(error) = next {
        if let Some(dialed) = error.downcast_ref::<Error>() {
            return dialed.again().unwrap_or(Error::Offline(text));
        }
        if let Some(hyper) = error.downcast_ref::<hyper::Error>()
            && (hyper.is_parse() || hyper.is_parse_status())
        {
            return Error::Protocol(format!("{text}; does the address begin with https:// ?"));
        }
        next = error.source();
    }
    if connecting {
        Error::Offline(text)
    } else {
        Error::Broken(text)
    }
}
