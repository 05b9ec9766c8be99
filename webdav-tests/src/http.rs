//! A plain blocking HTTP/1.1 client: every header is sent as given and nothing is retried, decoded or
//! followed, so that a test sees what the server really said.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::{self, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};

use crate::meter::{Meter, Metered, Traffic};
use crate::multistatus::{Entry, Multistatus, multistatus, percent_decode};
use crate::wire::read_response;

/// Longest silence of the server before a test gives up.
const SILENCE: Duration = Duration::from_mins(2);
/// Pieces in which [`Body::Chunked`] is sent.
const CHUNK: usize = 40_000;

trait Connection: Read + Write + Send {}
impl<T: Read + Write + Send> Connection for T {}

/// One client of one account on one server; keeps its connection open between requests.
pub struct Dav {
    address: String,
    authorization: Option<String>,
    tls: Option<Arc<ClientConfig>>,
    open: RefCell<Option<Open>>,
    meter: Arc<Meter>,
}

/// A connection and the socket below it.
struct Open {
    stream: BufReader<Box<dyn Connection>>,
    socket: TcpStream,
}

impl Open {
    /// Whether the server has closed it since the last answer.
    fn is_stale(&self) -> bool {
        let peek = || -> io::Result<usize> {
            self.socket.set_nonblocking(true)?;
            let seen = self.socket.peek(&mut [0]);
            self.socket.set_nonblocking(false)?;
            seen
        };
        // Nothing may arrive between two requests; "would block" is the good answer.
        !matches!(peek(), Err(e) if e.kind() == io::ErrorKind::WouldBlock)
    }
}

/// What to send after the head of a request.
pub enum Body<'a> {
    /// Neither a length nor bytes.
    None,
    /// Bytes, announced by `Content-Length`.
    Bytes(&'a [u8]),
    /// Bytes in the chunked coding, as Finder sends them.
    Chunked(&'a [u8]),
    /// A stream of a known length.
    Stream(&'a mut dyn Read, u64),
}

/// An answer as it came.
#[derive(Clone, Debug)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// Names in lower case, in the order of arrival.
    pub headers: Vec<(String, String)>,
    /// After the transfer coding is taken off, before any content coding is.
    pub body: Vec<u8>,
}

/// Headers of a request, as they are sent.
pub type Headers<'a> = &'a [(&'a str, &'a str)];

impl Dav {
    /// A client of `address` (`127.0.0.1:8090`) without credentials.
    pub fn anonymous(address: &str) -> Self {
        Self {
            address: address.to_owned(),
            authorization: None,
            tls: None,
            open: RefCell::new(None),
            meter: Arc::default(),
        }
    }

    /// The same server with `name` and `password` on every request (Basic, UTF-8).
    #[must_use]
    pub fn login(&self, name: &str, password: &str) -> Self {
        let credentials = BASE64_STANDARD.encode(format!("{name}:{password}"));
        Self {
            authorization: Some(format!("Basic {credentials}")),
            ..self.again()
        }
    }

    /// The same server with an access token on every request.
    #[must_use]
    pub fn bearer(&self, token: &str) -> Self {
        Self {
            authorization: Some(format!("Bearer {token}")),
            ..self.again()
        }
    }

    /// The same server through TLS.
    #[must_use]
    pub fn over_tls(&self, config: Arc<ClientConfig>) -> Self {
        Self {
            tls: Some(config),
            ..self.again()
        }
    }

    /// The same client on a connection of its own.
    #[must_use]
    pub fn again(&self) -> Self {
        Self {
            address: self.address.clone(),
            authorization: self.authorization.clone(),
            tls: self.tls.clone(),
            open: RefCell::new(None),
            meter: Arc::default(),
        }
    }

    /// Where the server is: `127.0.0.1:8090`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Bytes that this client has sent and received so far, heads included.
    pub fn traffic(&self) -> Traffic {
        self.meter.read()
    }

    /// The value of the `Authorization` header, when there is one.
    pub fn authorization(&self) -> Option<&str> {
        self.authorization.as_deref()
    }

    /// Sends `body` with its length, nothing when it is empty and the method is not PUT.
    #[track_caller]
    pub fn request(&self, method: &str, path: &str, headers: Headers<'_>, body: &[u8]) -> Response {
        let with_length = !body.is_empty() || method == "PUT";
        let body = if with_length {
            Body::Bytes(body)
        } else {
            Body::None
        };
        self.send(method, path, headers, body)
    }

    /// Sends one request; ends the test when no answer comes.
    #[track_caller]
    pub fn send(&self, method: &str, path: &str, headers: Headers<'_>, body: Body<'_>) -> Response {
        match self.try_send(method, path, headers, body, None) {
            Ok(response) => response,
            Err(e) => panic!("{method} {path}: no answer: {e}"),
        }
    }

    /// GET whose body goes to `sink` instead of memory.
    #[track_caller]
    pub fn download(&self, path: &str, sink: &mut dyn Write) -> Response {
        match self.try_send("GET", path, &[], Body::None, Some(sink)) {
            Ok(response) => response,
            Err(e) => panic!("GET {path}: no answer: {e}"),
        }
    }

    /// Sends one request; an error means that the connection ended before a whole answer came.
    pub fn try_send(
        &self,
        method: &str,
        path: &str,
        headers: Headers<'_>,
        body: Body<'_>,
        sink: Option<&mut dyn Write>,
    ) -> io::Result<Response> {
        let mut open = match self.open.take() {
            Some(open) if self.tls.is_some() || !open.is_stale() => open,
            Some(_) | None => self.connect()?,
        };
        let head = self.head(method, path, headers, &body);
        let sent = send_all(open.stream.get_mut(), &head, body);
        // A server may answer (413, 401) and close before it has read everything.
        let response = match read_response(&mut open.stream, method, sink) {
            Ok(response) => response,
            Err(e) => return Err(sent.err().unwrap_or(e)),
        };
        let closes = response
            .header("connection")
            .is_some_and(|v| v.eq_ignore_ascii_case("close"));
        if sent.is_ok() && !closes {
            self.open.replace(Some(open));
        }
        Ok(response)
    }

    fn connect(&self) -> io::Result<Open> {
        let tcp = TcpStream::connect(&self.address)?;
        tcp.set_read_timeout(Some(SILENCE))?;
        tcp.set_write_timeout(Some(SILENCE))?;
        tcp.set_nodelay(true)?;
        let socket = tcp.try_clone()?;
        let tcp = Metered::new(tcp, Arc::clone(&self.meter));
        let stream: Box<dyn Connection> = match &self.tls {
            None => Box::new(tcp),
            Some(config) => {
                let name = ServerName::try_from("localhost").map_err(io::Error::other)?;
                let session =
                    ClientConnection::new(config.clone(), name).map_err(io::Error::other)?;
                Box::new(StreamOwned::new(session, tcp))
            }
        };
        Ok(Open {
            stream: BufReader::new(stream),
            socket,
        })
    }

    fn head(&self, method: &str, path: &str, headers: Headers<'_>, body: &Body<'_>) -> String {
        let mut head = format!("{method} {path} HTTP/1.1\r\n");
        let mut add = |name: &str, value: &str| {
            head.push_str(name);
            head.push_str(": ");
            head.push_str(value);
            head.push_str("\r\n");
        };
        let given = |name: &str| headers.iter().any(|(n, _)| n.eq_ignore_ascii_case(name));
        if !given("host") {
            add("Host", &self.address);
        }
        if let Some(authorization) = &self.authorization
            && !given("authorization")
        {
            add("Authorization", authorization);
        }
        for (name, value) in headers {
            add(name, value);
        }
        match body {
            Body::None => {}
            Body::Bytes(bytes) => add("Content-Length", &bytes.len().to_string()),
            Body::Stream(_, len) => add("Content-Length", &len.to_string()),
            Body::Chunked(_) => add("Transfer-Encoding", "chunked"),
        }
        head.push_str("\r\n");
        head
    }
}

/// What most tests send; each is one request.
impl Dav {
    /// PUT with a length.
    #[track_caller]
    pub fn put(&self, path: &str, body: &[u8]) -> Response {
        self.request("PUT", path, &[], body)
    }

    /// GET.
    #[track_caller]
    pub fn get(&self, path: &str) -> Response {
        self.request("GET", path, &[], b"")
    }

    /// HEAD.
    #[track_caller]
    pub fn head_of(&self, path: &str) -> Response {
        self.request("HEAD", path, &[], b"")
    }

    /// DELETE.
    #[track_caller]
    pub fn delete(&self, path: &str) -> Response {
        self.request("DELETE", path, &[], b"")
    }

    /// MKCOL.
    #[track_caller]
    pub fn mkcol(&self, path: &str) -> Response {
        self.request("MKCOL", path, &[], b"")
    }

    /// MOVE with a path-only `Destination`.
    #[track_caller]
    pub fn rename(&self, from: &str, to: &str) -> Response {
        self.request("MOVE", from, &[("Destination", to)], b"")
    }

    /// COPY with a path-only `Destination`.
    #[track_caller]
    pub fn copy(&self, from: &str, to: &str) -> Response {
        self.request("COPY", from, &[("Destination", to)], b"")
    }

    /// PROPFIND that must answer 207.
    #[track_caller]
    pub fn propfind(&self, path: &str, depth: &str, body: &str) -> Multistatus {
        self.request("PROPFIND", path, &[("Depth", depth)], body.as_bytes())
            .expect_multistatus()
    }

    /// The names directly below a collection, as hrefs say them, sorted.
    #[track_caller]
    pub fn names(&self, path: &str) -> Vec<String> {
        let listing = self.propfind(path, "1", crate::xml::LIST);
        let mut names: Vec<String> = listing
            .entries
            .iter()
            .filter(|entry| entry.href.trim_end_matches('/') != path.trim_end_matches('/'))
            .map(Entry::name)
            .collect();
        names.sort();
        names
    }

    /// Everything below a collection (`/dav/`, `/dav/documents/`), by paths that begin there: files
    /// with their bytes, collections as `None`.
    #[track_caller]
    pub fn tree(&self, top: &str) -> BTreeMap<String, Option<Vec<u8>>> {
        let (mut tree, mut open) = (BTreeMap::new(), vec![top.to_owned()]);
        while let Some(collection) = open.pop() {
            let listing = self.propfind(&collection, "1", crate::xml::LIST);
            let members = listing.entries.iter();
            for entry in members.filter(|entry| entry.href != collection) {
                let path = percent_decode(&entry.href[top.len()..]);
                let path = format!("/{}", String::from_utf8_lossy(&path));
                if entry.is_collection() {
                    open.push(entry.href.clone());
                    tree.insert(path.trim_end_matches('/').to_owned(), None);
                } else {
                    let bytes = self.get(&entry.href).expect(&[200]).body;
                    tree.insert(path, Some(bytes));
                }
            }
        }
        tree
    }
}

impl Response {
    /// The first header of that name (lower case).
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(n, _)| n == name)
            .map(|(_, value)| value.as_str())
    }

    /// The `ETag` header, which must be there.
    #[track_caller]
    pub fn etag(&self) -> String {
        match self.header("etag") {
            Some(etag) => etag.to_owned(),
            None => panic!("no ETag in {self}"),
        }
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Fails unless the status is one of `wanted`.
    #[track_caller]
    pub fn expect(self, wanted: &[u16]) -> Self {
        assert!(
            wanted.contains(&self.status),
            "expected {wanted:?}, got {self}"
        );
        self
    }

    /// Fails unless this is a 207 with a readable body.
    #[track_caller]
    pub fn expect_multistatus(self) -> Multistatus {
        let response = self.expect(&[207]);
        match multistatus(&response.body) {
            Ok(parsed) => parsed,
            Err(e) => panic!("unreadable multistatus: {e}\n{response}"),
        }
    }
}

impl std::fmt::Display for Response {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "{}", self.status)?;
        for (name, value) in &self.headers {
            writeln!(f, "  {name}: {value}")?;
        }
        let shown: String = self.text().chars().take(2000).collect();
        write!(f, "  {shown}")
    }
}

fn send_all(to: &mut dyn Connection, head: &str, body: Body<'_>) -> io::Result<()> {
    to.write_all(head.as_bytes())?;
    match body {
        Body::None => {}
        Body::Bytes(bytes) => to.write_all(bytes)?,
        Body::Stream(from, len) => {
            let sent = io::copy(&mut from.take(len), &mut IntoConnection(to))?;
            assert_eq!(sent, len, "the stream ended early");
        }
        Body::Chunked(bytes) => {
            for chunk in bytes.chunks(CHUNK) {
                write!(to, "{:x}\r\n", chunk.len())?;
                to.write_all(chunk)?;
                to.write_all(b"\r\n")?;
            }
            to.write_all(b"0\r\n\r\n")?;
        }
    }
    to.flush()
}

/// `io::copy` wants a sized writer.
struct IntoConnection<'a>(&'a mut dyn Connection);

impl Write for IntoConnection<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}
