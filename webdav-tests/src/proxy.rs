//! A way to a server that can be cut or stand still, as a network can; to PostgreSQL also so that the
//! answer to a COMMIT is what gets lost.

use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::Duration;

/// Passes bytes on in both directions until it is cut.
pub struct Proxy {
    address: SocketAddr,
    open: Arc<Mutex<Open>>,
}

#[derive(Default)]
struct Open {
    cut: bool,
    still: bool,
    /// Whether connections are cut behind each COMMIT.
    behind_commits: bool,
    commits: u32,
    streams: Vec<TcpStream>,
}

impl Proxy {
    /// A way to `target` (`HOST:PORT`).
    #[track_caller]
    pub fn to(target: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("it is bound");
        let open = Arc::new(Mutex::new(Open::default()));
        let (accepting, target) = (Arc::clone(&open), target.to_owned());
        // Ends with the test's process.
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                // Who comes while it is cut is closed again at once.
                let _refused = pass(&accepting, client, &target);
            }
        });
        Self { address, open }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends all connections and takes no more.
    pub fn cut(&self) {
        let mut open = lock(&self.open);
        open.cut = true;
        for stream in open.streams.drain(..) {
            // It may have ended by itself.
            let _ended = stream.shutdown(Shutdown::Both);
        }
    }

    /// Nothing comes through any more, and nobody is told.
    pub fn stand_still(&self) {
        lock(&self.open).still = true;
    }

    /// Passes every COMMIT on to PostgreSQL and cuts its connection before the answer.
    pub fn cut_behind_commits(&self) {
        lock(&self.open).behind_commits = true;
    }

    /// COMMITs that got no answer.
    pub fn commits_cut(&self) -> u32 {
        lock(&self.open).commits
    }

    /// Passes everything on again, also what stood still.
    pub fn mend(&self) {
        let mut open = lock(&self.open);
        (open.cut, open.still, open.behind_commits) = (false, false, false);
    }
}

fn pass(open: &Arc<Mutex<Open>>, client: TcpStream, target: &str) -> io::Result<()> {
    let mut opened = lock(open);
    if opened.cut {
        return Ok(());
    }
    let server = TcpStream::connect(target)?;
    for asks in [true, false] {
        let (from, to) = if asks {
            (&client, &server)
        } else {
            (&server, &client)
        };
        from.set_nodelay(true)?;
        let (from, to) = (from.try_clone()?, to.try_clone()?);
        let open = Arc::clone(open);
        thread::spawn(move || {
            // An error ends it as an end does.
            let _ended = copy(&open, &from, &to, asks);
            let _ended = to.shutdown(Shutdown::Write);
        });
    }
    opened.streams.extend([client, server]);
    Ok(())
}

fn copy(
    open: &Mutex<Open>,
    mut from: &TcpStream,
    mut to: &TcpStream,
    asks: bool,
) -> io::Result<()> {
    let mut bytes = vec![0; 65536];
    // The names that this connection has for COMMIT.
    let mut names = Vec::new();
    loop {
        let len = from.read(&mut bytes)?;
        let sent = &bytes[..len];
        if len == 0 {
            return Ok(());
        }
        while lock(open).still {
            thread::sleep(Duration::from_millis(5));
        }
        if asks && commits(sent, &mut names) {
            let mut open = lock(open);
            if open.behind_commits {
                open.commits += 1;
                from.shutdown(Shutdown::Both)?;
            }
        }
        to.write_all(sent)?;
    }
}

/// Whether messages of PostgreSQL's protocol ask for a COMMIT: by its text, or by the name that an earlier
/// message gave it. Messages of this length come in one piece.
fn commits(sent: &[u8], names: &mut Vec<Vec<u8>>) -> bool {
    const TEXT: &[u8] = b"\0COMMIT\0";
    if let Some(at) = find(sent, TEXT) {
        let name = sent[..at].rsplit(|byte| !byte.is_ascii_graphic()).next();
        names.push([b"\0", name.unwrap_or_default(), b"\0"].concat());
        // It is only given a name here, unless it is executed in the same breath.
        return find(&sent[at + TEXT.len()..], names.last().expect("just pushed")).is_some();
    }
    names.iter().any(|name| find(sent, name).is_some())
}

fn find(all: &[u8], what: &[u8]) -> Option<usize> {
    all.windows(what.len()).position(|window| window == what)
}

fn lock(open: &Mutex<Open>) -> MutexGuard<'_, Open> {
    open.lock().expect("no thread panicked")
}
