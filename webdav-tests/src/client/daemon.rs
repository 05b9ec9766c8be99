//! The client as a daemon.

use std::fs;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::Client;

/// Longest time until a daemon answers, or ends.
const LIMIT: Duration = Duration::from_secs(30);

/// A daemon that runs; killed when dropped.
pub struct Daemon {
    child: Child,
    log: std::path::PathBuf,
}

impl Daemon {
    #[track_caller]
    pub(super) fn start(client: &Client) -> Self {
        let daemon = Self::spawn(client, |_| {});
        daemon.wait_until_it_answers(client);
        daemon
    }

    /// Starts it without waiting, after something is done to its command.
    #[track_caller]
    pub fn spawn(client: &Client, prepare: impl FnOnce(&mut Command)) -> Self {
        let log = client.config().join("daemon.log");
        let mut command = client.bare(&["daemon", "-vv"]);
        prepare(&mut command);
        let file = fs::File::create(&log).expect("a log");
        let command = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(file);
        let child = command.spawn().expect("the client starts");
        Self { child, log }
    }

    /// Waits until `status` shows it.
    #[track_caller]
    pub fn wait_until_it_answers(&self, client: &Client) {
        let since = Instant::now();
        while client.status()["daemon"].is_null() {
            assert!(since.elapsed() < LIMIT, "no daemon answers\n{}", self.log());
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it said.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Time that processors worked for it so far.
    pub fn worked(&self) -> Duration {
        let text = fs::read_to_string(format!("/proc/{}/stat", self.pid()));
        let text = text.expect("it runs");
        let (_, fields) = text.rsplit_once(')').expect("its name ends there");
        let fields: Vec<&str> = fields.split_whitespace().collect();
        let ticks: u64 = [fields[11], fields[12]]
            .map(|ticks| ticks.parse::<u64>().expect("a number"))
            .iter()
            .sum();
        // A tick is a hundredth of a second on all that Linux runs on.
        Duration::from_millis(ticks * 10)
    }

    /// SIGTERM; how it ended.
    #[track_caller]
    pub fn stop(mut self) -> ExitStatus {
        kill_process(Pid::from_child(&self.child), Signal::TERM).expect("it runs");
        let since = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("our own child") {
                return status;
            }
            assert!(
                since.elapsed() < LIMIT,
                "no exit after SIGTERM\n{}",
                self.log()
            );
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Whether it still runs.
    pub fn is_alive(&mut self) -> bool {
        self.child.try_wait().expect("our own child").is_none()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // Both fail only when it is gone already.
        let _gone = self.child.kill();
        let _gone = self.child.wait();
        if thread::panicking() {
            let log = self.log();
            let lines: Vec<&str> = log.lines().collect();
            let tail = &lines[lines.len().saturating_sub(40)..];
            eprintln!("--- a daemon said last ---\n{}", tail.join("\n"));
        }
    }
}

/// Waits until something holds; whether it did before the time was up.
pub fn within(limit: Duration, mut holds: impl FnMut() -> bool) -> bool {
    let since = Instant::now();
    loop {
        if holds() {
            return true;
        }
        if since.elapsed() > limit {
            return false;
        }
        thread::sleep(Duration::from_millis(2));
    }
}
