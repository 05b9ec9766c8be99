//! One WebSocket of `sync/events`, from the handshake to its end.

use std::time::Duration;

use futures_util::StreamExt;
use http::{HeaderMap, StatusCode, header};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use crate::client::remote::api::route;
use crate::client::remote::dial::{Offer, Wire};
use crate::client::remote::error::chain;
use crate::client::remote::login::Session;
use crate::client::remote::{Error, Result};
use crate::protocol::sync::Event;

/// Longest time for the handshake.
const HANDSHAKE_MAX: Duration = Duration::from_secs(30);
/// The server pings every 25 s; after three that did not come nobody is there.
const SILENCE_MAX: Duration = Duration::from_secs(75);
/// Longest message of the server, in bytes: a hint is some tens.
const MESSAGE_MAX: usize = 16 * 1024;
/// Buffers, in bytes.
const BUFFER: usize = 4096;
/// Bytes of pongs that may wait for the line.
const UNSENT_MAX: usize = 64 * 1024;
/// How the server closes when the log-in has ended.
const LOGGED_OUT: u16 = 4401;
/// How it closes when it stops.
const STOPPING: u16 = 1001;
/// Pause when a busy server does not say how long.
const BUSY: Duration = Duration::from_secs(30);

/// Why there are no more events.
#[derive(Debug)]
pub(super) enum End {
    /// The line broke.
    Gone(#[expect(dead_code, reason = "it is for the log")] String),
    /// The log-in of this access token has ended.
    Ended(String),
    /// The server stops, and all its clients will come again.
    Stopping,
    /// It has no room for so long.
    Busy(Duration),
    /// Sockets do not get through.
    Blocked(String),
    /// The cursor is too old: connect without.
    Stale,
    /// Connect at once.
    Again,
    /// As for other requests.
    Failed(Error),
}

/// An open WebSocket.
pub(super) struct Socket {
    stream: WebSocketStream<Wire>,
    access: String,
    /// Whether anything came.
    heard: bool,
}

impl Socket {
    /// Connects, with a fresh access token when the first is refused.
    pub(super) async fn open(session: &Session, cursor: Option<&str>) -> Result<Self, End> {
        let mut access = session.access().await.map_err(failed)?;
        for renewed in [false, true] {
            match handshake(session, &access, cursor).await {
                Ok(stream) => {
                    return Ok(Self {
                        stream,
                        access,
                        heard: false,
                    });
                }
                Err(Refused::Token) if renewed => break,
                Err(Refused::Token) => access = session.renew(access).await.map_err(failed)?,
                Err(Refused::Other(end)) => return Err(end),
            }
        }
        let refused = "the server refuses a fresh access token".to_owned();
        Err(End::Failed(Error::LoggedOut(refused)))
    }

    /// The next hint. Pings are answered meanwhile.
    pub(super) async fn next(&mut self) -> Result<Event, End> {
        let mut silent = Instant::now() + SILENCE_MAX;
        loop {
            let Ok(message) = timeout_at(silent, self.stream.next()).await else {
                return Err(self.silence());
            };
            self.heard = true;
            silent = Instant::now() + SILENCE_MAX;
            match message {
                Some(Ok(Message::Text(text))) => match serde_json::from_str(&text) {
                    Ok(event) => return Ok(event),
                    Err(error) => tracing::debug!("an event of another kind: {error}"),
                },
                Some(Ok(Message::Close(frame))) => {
                    return Err(self.closed(frame.map(|frame| frame.code.into())));
                }
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(End::Gone(chain(&error))),
                None => return Err(End::Gone("it was closed".to_owned())),
            }
        }
    }

    fn silence(&self) -> End {
        let why = format!("silent for {} s", SILENCE_MAX.as_secs());
        if self.heard {
            End::Gone(why)
        } else {
            End::Blocked(why)
        }
    }

    fn closed(&self, code: Option<u16>) -> End {
        match code {
            Some(LOGGED_OUT) => End::Ended(self.access.clone()),
            Some(STOPPING) => End::Stopping,
            code => End::Gone(format!("closed with {code:?}")),
        }
    }
}

/// Why a handshake came to nothing.
enum Refused {
    /// The access token.
    Token,
    Other(End),
}

async fn handshake(
    session: &Session,
    access: &str,
    cursor: Option<&str>,
) -> Result<WebSocketStream<Wire>, Refused> {
    let server = session.server();
    let other = |error| Refused::Other(failed(error));
    let request = request(session, access, cursor).map_err(other)?;
    let wire = server.dialer().dial(Offer::Http1).await.map_err(other)?;
    let config = WebSocketConfig::default()
        .read_buffer_size(BUFFER)
        .write_buffer_size(0)
        .max_write_buffer_size(UNSENT_MAX)
        .max_message_size(Some(MESSAGE_MAX))
        .max_frame_size(Some(MESSAGE_MAX));
    let shaken = client_async_with_config(request, wire, Some(config));
    match timeout(HANDSHAKE_MAX, shaken).await {
        Ok(Ok((stream, _response))) => Ok(stream),
        Ok(Err(tungstenite::Error::Http(response))) => {
            Err(refused(response.status(), response.headers()))
        }
        Ok(Err(error)) => Err(Refused::Other(End::Blocked(chain(&error)))),
        Err(_elapsed) => Err(Refused::Other(End::Blocked("no answer".to_owned()))),
    }
}

fn request(session: &Session, access: &str, cursor: Option<&str>) -> Result<http::Request<()>> {
    let address = session.server().address();
    let route = address.route(&route("sync/events", &[("cursor", cursor)]));
    let socket = route.replacen("http", "ws", 1);
    http::Request::get(socket)
        .header(header::HOST, &address.authority)
        .header(header::CONNECTION, "Upgrade")
        .header(header::UPGRADE, "websocket")
        .header(header::SEC_WEBSOCKET_VERSION, "13")
        .header(header::SEC_WEBSOCKET_KEY, generate_key())
        .header(header::AUTHORIZATION, format!("Bearer {access}"))
        .body(())
        .map_err(|error| Error::Address(format!("gives no request: {error}")))
}

fn refused(status: StatusCode, headers: &HeaderMap) -> Refused {
    Refused::Other(match status {
        StatusCode::UNAUTHORIZED => return Refused::Token,
        StatusCode::GONE => End::Stale,
        StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS => {
            let after = headers
                .get(header::RETRY_AFTER)
                .and_then(|value| value.to_str().ok());
            let after = after
                .and_then(|text| text.parse().ok())
                .map(Duration::from_secs);
            End::Busy(after.unwrap_or(BUSY))
        }
        StatusCode::INTERNAL_SERVER_ERROR
        | StatusCode::BAD_GATEWAY
        | StatusCode::GATEWAY_TIMEOUT => End::Gone(format!("it answers {status}")),
        // Among them 426: the handshake was taken out on the way.
        _ => End::Blocked(format!("it answers {status}")),
    })
}

fn failed(error: Error) -> End {
    End::Failed(error)
}
