//! Bytes on a socket, for what no HTTP client would send.

use std::io::{self, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use crate::http::Response;
use crate::wire::read_response;

/// A TCP connection that sends exactly what it is told.
pub struct Raw(TcpStream);

impl Raw {
    /// Connects to `address`.
    pub fn connect(address: &str) -> Self {
        let tcp = TcpStream::connect(address).expect("the server accepts connections");
        tcp.set_nodelay(true).expect("a socket");
        Self(tcp)
    }

    /// Sends `bytes`; the server may already have closed, which is not an error here.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.0.write_all(bytes.as_ref()).is_ok()
    }

    /// Says that nothing more will be sent.
    pub fn finish_sending(&self) {
        // The peer may have reset the connection; then it knows already.
        let _told = self.0.shutdown(Shutdown::Write);
    }

    /// The next answer within `patience`; `None` when the server closed without one.
    ///
    /// # Panics
    /// When the server neither answers nor closes within `patience`.
    #[track_caller]
    pub fn answer(&mut self, patience: Duration) -> Option<Response> {
        self.0.set_read_timeout(Some(patience)).expect("a socket");
        let mut reader = BufReader::new(&self.0);
        match read_response(&mut reader, "GET", None) {
            Ok(response) => Some(response),
            Err(e) if is_timeout(&e) => panic!("neither answer nor close within {patience:?}"),
            Err(_) => None,
        }
    }

    /// Whether the server closes within `patience`, whatever it says before.
    pub fn is_closed_within(&mut self, patience: Duration) -> bool {
        self.0.set_read_timeout(Some(patience)).expect("a socket");
        match self.0.read_to_end(&mut Vec::new()) {
            Ok(_) => true,
            Err(e) => !is_timeout(&e),
        }
    }
}

fn is_timeout(e: &io::Error) -> bool {
    matches!(
        e.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
    )
}
