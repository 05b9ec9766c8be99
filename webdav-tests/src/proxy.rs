//! A way to a server that can be cut, as a network can.

use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;

/// Passes bytes on in both directions until it is cut.
pub struct Proxy {
    address: SocketAddr,
    open: Arc<Mutex<Open>>,
}

#[derive(Default)]
struct Open {
    cut: bool,
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

    /// Takes connections again.
    pub fn mend(&self) {
        lock(&self.open).cut = false;
    }
}

fn pass(open: &Mutex<Open>, client: TcpStream, target: &str) -> io::Result<()> {
    let mut open = lock(open);
    if open.cut {
        return Ok(());
    }
    let server = TcpStream::connect(target)?;
    for (from, to) in [(&client, &server), (&server, &client)] {
        from.set_nodelay(true)?;
        let (mut from, mut to) = (from.try_clone()?, to.try_clone()?);
        thread::spawn(move || {
            // An error ends it as an end does.
            let _ended = io::copy(&mut from, &mut to);
            let _ended = to.shutdown(Shutdown::Write);
        });
    }
    open.streams.extend([client, server]);
    Ok(())
}

fn lock(open: &Mutex<Open>) -> MutexGuard<'_, Open> {
    open.lock().expect("no thread panicked")
}
