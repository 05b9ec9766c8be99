//! Starts the real server in a directory of its own and takes it down again. Nothing waits for a
//! fixed time: the server says on stdout when it accepts.

use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::http::Dav;
use crate::tls::Certificate;
use crate::{planted, postgres};

/// Longest time until the server accepts; the machine may be busy with other tests.
const START_LIMIT: Duration = Duration::from_mins(1);
/// Longest time a graceful stop may take.
const STOP_LIMIT: Duration = Duration::from_mins(1);
/// Password of `admin` in every test.
pub const ADMIN_PASSWORD: &str = "Correct-Horse-9-Battery";

/// How to start a server.
#[derive(Default)]
pub struct Setup {
    settings: Vec<(String, String)>,
    unset: Vec<String>,
    certificate: Option<Certificate>,
    store: Option<PathBuf>,
    apart: bool,
}

/// A running server; killed, and its files removed, when dropped.
pub struct TestServer {
    dir: TempDir,
    binary: PathBuf,
    settings: Vec<(String, String)>,
    running: Option<Running>,
    log: Arc<Mutex<String>>,
}

struct Running {
    child: Child,
    address: String,
    tls: bool,
    ready_after: Duration,
}

impl Setup {
    /// One more environment variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.settings.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Without an environment variable that is set by default.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.unset.push(name.to_owned());
        self
    }

    /// Serves TLS with `certificate`.
    #[must_use]
    pub fn tls(mut self, certificate: &Certificate) -> Self {
        self.certificate = Some(certificate.clone());
        self
    }

    /// Over a copy of a store that is there already ([`crate::planted`]).
    #[must_use]
    pub fn over(mut self, store: &Path) -> Self {
        self.store = Some(store.to_owned());
        self
    }

    /// With its program in a folder of its own, `bin` in that of the server, for what lies beside it.
    #[must_use]
    pub fn apart(mut self) -> Self {
        self.apart = true;
        self
    }

    /// Starts it; ends the test with its log when it does not come up.
    #[track_caller]
    pub fn start(self) -> TestServer {
        let dir = TempDir::new().expect("a temporary directory");
        let path = |name: &str| dir.path().join(name).display().to_string();
        let database = postgres::fresh().unwrap_or_else(|| path("db/sync.db"));
        let mut settings: Vec<(String, String)> = [
            ("SYNC_BIND", "127.0.0.1".to_owned()),
            ("SYNC_PORT", "0".to_owned()),
            ("SYNC_DB_PATH", database.clone()),
            ("SYNC_DATA_PATH", path("data")),
            ("SYNC_KEY_FILE", path("config/master.key")),
            ("SYNC_ADMIN_PASSWORD", ADMIN_PASSWORD.to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into();
        for name in ["db", "data", "config"] {
            fs::create_dir(dir.path().join(name)).expect("a directory");
        }
        if let Some(certificate) = self.certificate {
            certificate.write_to(dir.path());
            settings.push(("SYNC_TLS_CERT".to_owned(), path("tls.crt")));
            settings.push(("SYNC_TLS_KEY".to_owned(), path("tls.key")));
        }
        if let Some(store) = &self.store {
            planted::copy(store, dir.path(), &database);
        }
        settings.extend(self.settings);
        settings.retain(|(name, _)| !self.unset.contains(name));
        let mut binary = binary();
        if self.apart {
            let to = dir.path().join("bin/sync-server");
            fs::create_dir(dir.path().join("bin")).expect("a directory");
            if fs::hard_link(&binary, &to).is_err() {
                fs::copy(&binary, &to).expect("room for a program");
            }
            binary = to;
        }
        let mut server = TestServer {
            dir,
            binary,
            settings,
            running: None,
            log: Arc::default(),
        };
        server.start_again();
        server
    }
}

impl TestServer {
    /// A server with the defaults.
    #[track_caller]
    pub fn start() -> Self {
        Setup::default().start()
    }

    /// Another server with the same settings: the same database, data folder and key.
    #[track_caller]
    pub fn beside(&self) -> Self {
        let mut server = Self {
            dir: TempDir::new().expect("a temporary directory"),
            binary: self.binary.clone(),
            settings: self.settings.clone(),
            running: None,
            log: Arc::default(),
        };
        server.start_again();
        server
    }

    /// `http://127.0.0.1:PORT` (`https://localhost:PORT` with TLS).
    pub fn url(&self) -> String {
        let running = self.running();
        if !running.tls {
            return format!("http://{}", running.address);
        }
        let port = running
            .address
            .rsplit(':')
            .next()
            .expect("the address has a port");
        format!("https://localhost:{port}")
    }

    /// `127.0.0.1:PORT`.
    pub fn address(&self) -> String {
        self.running().address.clone()
    }

    /// Where an account's files are; the same for all.
    pub fn dav_url(&self) -> String {
        format!("{}/dav/", self.url())
    }

    /// A client logged in as `admin`.
    pub fn admin(&self) -> Dav {
        self.anonymous().login("admin", ADMIN_PASSWORD)
    }

    /// A client without credentials.
    pub fn anonymous(&self) -> Dav {
        Dav::anonymous(&self.address())
    }

    /// Adds an account by the command line and returns its client.
    #[track_caller]
    pub fn add_user(&self, name: &str, password: &str, quota: Option<&str>) -> Dav {
        let mut arguments = vec!["user", "add", name, "--password-file", "-"];
        if let Some(quota) = quota {
            arguments.extend(["--quota", quota]);
        }
        self.cli_ok(&arguments, password);
        self.anonymous().login(name, password)
    }

    /// Runs the same binary with other arguments and the same settings.
    pub fn cli(&self, arguments: &[&str], stdin: &str) -> Output {
        let mut child = self
            .command(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let mut pipe = child.stdin.take().expect("stdin is piped");
        // A command that refuses its arguments does not read its input.
        let _read = pipe.write_all(stdin.as_bytes());
        drop(pipe);
        child.wait_with_output().expect("the command ends")
    }

    /// The same; fails unless it exits 0. Returns stdout.
    #[track_caller]
    pub fn cli_ok(&self, arguments: &[&str], stdin: &str) -> String {
        let output = self.cli(arguments, stdin);
        let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success(),
            "{arguments:?}: {}\n{stdout}{stderr}",
            output.status
        );
        stdout
    }

    /// Another value of an environment variable, from the next start on.
    pub fn set(&mut self, name: &str, value: &str) {
        self.settings.retain(|(known, _)| known != name);
        self.settings.push((name.to_owned(), value.to_owned()));
    }

    /// Has the next processes listen on the port that this one has.
    pub fn keep_port(&mut self) {
        let address = self.address();
        let (_, port) = address.rsplit_once(':').expect("the address has a port");
        self.set("SYNC_PORT", port);
    }

    /// SIGTERM, then a new process over the same files (on another port).
    #[track_caller]
    pub fn restart(&mut self) {
        let status = self.stop();
        assert!(
            status.success(),
            "SIGTERM must end in exit 0, got {status}\n{}",
            self.log()
        );
        self.start_again();
    }

    /// SIGTERM; returns how the process ended.
    #[track_caller]
    pub fn stop(&mut self) -> ExitStatus {
        let mut running = self.running.take().expect("the server runs");
        kill_process(pid(&running.child), Signal::TERM).expect("the server runs");
        let since = Instant::now();
        loop {
            if let Some(status) = running.child.try_wait().expect("our own child") {
                return status;
            }
            assert!(
                since.elapsed() < STOP_LIMIT,
                "no exit after SIGTERM\n{}",
                self.log()
            );
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Ends the process as a power cut would.
    pub fn kill9(&mut self) {
        let mut running = self.running.take().expect("the server runs");
        running.child.kill().expect("our own child");
        running.child.wait().expect("our own child");
    }

    /// Waits for the end of a process whose power was cut.
    #[track_caller]
    pub fn ends_by_itself(&mut self) {
        let mut running = self.running.take().expect("the server runs");
        let since = Instant::now();
        while running.child.try_wait().expect("our own child").is_none() {
            assert!(since.elapsed() < STOP_LIMIT, "the power is not cut");
            thread::sleep(Duration::from_millis(2));
        }
    }

    /// Starts a process over the files that are there.
    #[track_caller]
    pub fn start_again(&mut self) {
        assert!(self.running.is_none(), "it runs already");
        let since = Instant::now();
        let mut child = self
            .command(&[])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        follow(
            child.stderr.take().expect("stderr is piped"),
            self.log.clone(),
        );
        let lines = follow(
            child.stdout.take().expect("stdout is piped"),
            self.log.clone(),
        );
        let Some((tls, address)) = announced(&lines) else {
            child.kill().expect("our own child");
            let status = child.wait().expect("our own child");
            panic!(
                "the server did not come up ({status}); it said:\n{}",
                self.log()
            );
        };
        self.running = Some(Running {
            child,
            address,
            tls,
            ready_after: since.elapsed(),
        });
    }

    /// Tries to start over the files that are there and expects a refusal; returns what it said.
    #[track_caller]
    pub fn refuses_to_start(&mut self) -> String {
        assert!(self.running.is_none(), "it runs");
        let mut command = Command::new("timeout");
        command.arg("60").arg(binary()).stdin(Stdio::null());
        self.prepare(&mut command);
        let output = command.output().expect("timeout and the binary start");
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said).into_owned();
        assert!(
            output
                .status
                .code()
                .is_some_and(|code| code != 0 && code != 124),
            "it must refuse to start, but ended with {}:\n{said}",
            output.status
        );
        said
    }

    /// The directory that holds everything of this server.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The value of an environment variable that it is started with.
    pub fn setting(&self, name: &str) -> Option<&str> {
        let known = self.settings.iter().find(|(known, _)| known == name);
        known.map(|(_, value)| &**value)
    }

    /// The master key.
    pub fn key_file(&self) -> PathBuf {
        self.dir.path().join("config/master.key")
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.running().child.id()
    }

    /// Whether the process that was started last still runs.
    pub fn is_alive(&mut self) -> bool {
        let running = self.running.as_mut().expect("the server was started");
        running.child.try_wait().expect("our own child").is_none()
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(pid(&self.running().child), signal).expect("the server runs");
    }

    /// From the start of the process to the line that it listens.
    pub fn ready_after(&self) -> Duration {
        self.running().ready_after
    }

    /// Everything it wrote to stdout and stderr since the first start.
    pub fn log(&self) -> String {
        self.log.lock().expect("no writer panicked").clone()
    }

    /// Only the settings of this server, and no `./config` of the developer.
    pub fn prepare(&self, command: &mut Command) {
        command.current_dir(self.dir.path());
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("SYNC_") {
                command.env_remove(name);
            }
        }
        command.envs(self.settings.iter().cloned());
    }

    fn running(&self) -> &Running {
        self.running.as_ref().expect("the server runs")
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.binary);
        self.prepare(&mut command);
        command.args(arguments);
        command
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        if let Some(mut running) = self.running.take() {
            // Both fail only when it is gone already.
            let _gone = running.child.kill();
            let _gone = running.child.wait();
        }
        let log = self.log.lock().map(|log| log.clone()).unwrap_or_default();
        if thread::panicking() {
            let lines: Vec<&str> = log.lines().collect();
            let tail = &lines[lines.len().saturating_sub(60)..];
            eprintln!("--- the server said last ---\n{}", tail.join("\n"));
            return;
        }
        assert!(!log.contains("panicked at"), "the server panicked:\n{log}");
    }
}

/// The server under test: `SYNC_SERVER_BIN`, or the one built in the same profile as this test.
pub fn binary() -> PathBuf {
    built("SYNC_SERVER_BIN", "sync-server")
}

/// The program that an environment variable names, or the one built in the same profile as this test.
pub(crate) fn built(variable: &str, program: &str) -> PathBuf {
    if let Some(path) = std::env::var_os(variable) {
        return path.into();
    }
    let test = std::env::current_exe().expect("the test knows its own path");
    let profile = test
        .parent()
        .and_then(Path::parent)
        .expect("target/PROFILE/deps/TEST");
    let path = profile.join(program);
    assert!(
        path.exists(),
        "{} is missing: cargo build it first",
        path.display()
    );
    path
}

fn pid(child: &Child) -> Pid {
    Pid::from_child(child)
}

/// Keeps everything in `log`, and hands it line by line to whoever takes the receiver.
fn follow(pipe: impl Read + Send + 'static, log: Arc<Mutex<String>>) -> Receiver<String> {
    let (send, lines) = channel();
    thread::spawn(move || {
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            writeln!(log.lock().expect("no writer panicked"), "{line}").expect("memory");
            // Nobody listens any more once the server is up.
            let _heard = send.send(line);
        }
    });
    lines
}

/// Waits for `listening on http://ADDR:PORT`; `None` when stdout ends or time is up before.
fn announced(lines: &Receiver<String>) -> Option<(bool, String)> {
    let until = Instant::now() + START_LIMIT;
    loop {
        let line = lines
            .recv_timeout(until.saturating_duration_since(Instant::now()))
            .ok()?;
        let Some((_, url)) = line.split_once("listening on ") else {
            continue;
        };
        let (scheme, rest) = url
            .trim()
            .split_once("://")
            .expect("the line ends in a URL");
        return Some((scheme == "https", rest.trim_end_matches('/').to_owned()));
    }
}
