//! The WebSocket on which the server says that something has changed.

use std::io;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use sync_server::protocol::sync::Event;
use tungstenite::client::IntoClientRequest as _;
use tungstenite::protocol::WebSocket;
use tungstenite::{HandshakeError, Message};

use crate::api::{Api, PREFIX, route};

/// Longest wait for the handshake.
const PATIENCE: Duration = Duration::from_mins(1);

/// An open socket.
pub struct Events(WebSocket<TcpStream>);

/// What was heard on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// A space has changed.
    Hint(Event),
    /// The server closed with this code; 1006 when it said none.
    Closed(u16),
    /// Nothing in the given time.
    Silence,
}

impl Events {
    /// Opens it; with a cursor, what changed since is told at once. The status when it is refused.
    #[track_caller]
    pub fn open(api: &Api, cursor: Option<&str>) -> Result<Self, u16> {
        let address = api.http().address();
        let asked: Vec<_> = cursor.iter().map(|cursor| ("cursor", *cursor)).collect();
        let route = route("sync/events", &asked);
        let mut request = format!("ws://{address}{PREFIX}{route}")
            .into_client_request()
            .expect("a URL");
        let bearer = format!("Bearer {}", api.access());
        let bearer = bearer.parse().expect("a token has no odd characters");
        request.headers_mut().insert("Authorization", bearer);
        let tcp = TcpStream::connect(address).expect("the server accepts connections");
        tcp.set_nodelay(true).expect("a socket");
        tcp.set_read_timeout(Some(PATIENCE)).expect("a socket");
        match tungstenite::client(request, tcp) {
            Ok((socket, _)) => Ok(Self(socket)),
            Err(HandshakeError::Failure(tungstenite::Error::Http(refusal))) => {
                Err(refusal.status().as_u16())
            }
            Err(error) => panic!("no handshake: {error}"),
        }
    }

    /// The next hint or the end; pings are answered meanwhile.
    #[track_caller]
    pub fn next(&mut self, patience: Duration) -> Heard {
        let until = Instant::now() + patience;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Heard::Silence;
            }
            let socket = self.0.get_ref();
            socket.set_read_timeout(Some(left)).expect("a socket");
            match self.0.read() {
                Ok(Message::Text(text)) => {
                    let event = serde_json::from_str(&text);
                    return Heard::Hint(event.expect("a hint is JSON"));
                }
                Ok(Message::Close(frame)) => {
                    return Heard::Closed(frame.map_or(1006, |frame| frame.code.into()));
                }
                Ok(
                    Message::Binary(_) | Message::Ping(_) | Message::Pong(_) | Message::Frame(_),
                ) => {}
                Err(tungstenite::Error::Io(error)) if is_timeout(&error) => return Heard::Silence,
                Err(_) => return Heard::Closed(1006),
            }
        }
    }

    /// The next hint, which must come.
    #[track_caller]
    pub fn hint(&mut self, patience: Duration) -> Event {
        match self.next(patience) {
            Heard::Hint(event) => event,
            other => panic!("no hint within {patience:?}: {other:?}"),
        }
    }

    /// The code with which the server closes, hints before it left aside.
    #[track_caller]
    pub fn closed(&mut self, patience: Duration) -> u16 {
        loop {
            match self.next(patience) {
                Heard::Hint(_) => {}
                Heard::Closed(code) => return code,
                Heard::Silence => panic!("it is still open after {patience:?}"),
            }
        }
    }

    /// The socket below, for whoever does not want to speak the protocol any more.
    pub fn socket(&self) -> &TcpStream {
        self.0.get_ref()
    }
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
    )
}
