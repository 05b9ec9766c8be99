//! Signals that should end the program.

use std::future::Future;
use std::io;

use futures_util::FutureExt as _;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::{Error, Result};

/// Numbers of the signals (signal(7)).
const HANGUP: u8 = 1;
pub(super) const INTERRUPT: u8 = 2;
const TERMINATE: u8 = 15;

/// Signals that should end the program. Once they are listened to they do nothing else any more.
pub struct Signals {
    hangup: Signal,
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    /// Begins to listen.
    pub fn listen() -> Result<Self> {
        let listen = || -> io::Result<Self> {
            Ok(Self {
                hangup: signal(SignalKind::hangup())?,
                interrupt: signal(SignalKind::interrupt())?,
                terminate: signal(SignalKind::terminate())?,
            })
        };
        listen().map_err(|error| Error::Io("signals", error))
    }

    /// Waits for one; its number.
    pub async fn next(&mut self) -> u8 {
        tokio::select! {
            _ = self.hangup.recv() => HANGUP,
            _ = self.interrupt.recv() => INTERRUPT,
            _ = self.terminate.recv() => TERMINATE,
        }
    }

    /// Waits for one that is not Ctrl-C: that one is for the program in the foreground.
    pub async fn next_but_interrupt(&mut self) -> u8 {
        loop {
            match self.next().await {
                INTERRUPT => {}
                other => return other,
            }
        }
    }

    /// An error when one has come.
    pub fn check(&mut self) -> Result<()> {
        match self.next().now_or_never() {
            Some(number) => Err(Error::Signal(number)),
            None => Ok(()),
        }
    }

    /// Does something that a signal ends.
    pub async fn or<T>(&mut self, work: impl Future<Output = Result<T>>) -> Result<T> {
        tokio::select! {
            done = work => done,
            number = self.next() => Err(Error::Signal(number)),
        }
    }
}
