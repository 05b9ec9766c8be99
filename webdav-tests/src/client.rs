//! The real sync client with settings and a folder of its own, run by commands or as a daemon.

mod daemon;
mod tree;

use std::ffi::OsStr;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::SystemTime;

use serde_json::Value;
use tempfile::TempDir;

use crate::process::{Said, run, tool};
use crate::server::{ADMIN_PASSWORD, TestServer, built};

pub use daemon::{Daemon, within};
pub use tree::{Thing, Tree, assert_alike, assert_same_bytes, same_bytes};

/// A user of no account, when tests are run by root, whom no permission holds off.
const NOBODY: u32 = 65_534;

/// A device with the real client.
pub struct Client {
    dir: TempDir,
    name: String,
    /// The number of the user that it runs as, when that is not who runs the tests.
    user: Option<u32>,
}

impl Client {
    /// A device that is not set up.
    pub fn blank(name: &str) -> Self {
        let dir = TempDir::new().expect("a temporary directory");
        fs::create_dir(dir.path().join("folder")).expect("a directory");
        Self {
            dir,
            name: name.to_owned(),
            user: None,
        }
    }

    /// A device of `admin`.
    #[track_caller]
    pub fn admin(server: &TestServer, name: &str) -> Self {
        Self::at(&server.url(), name)
    }

    /// A device of `admin` on a server that is reached by another address.
    #[track_caller]
    pub fn at(url: &str, name: &str) -> Self {
        Self::of_account(url, name, "admin", ADMIN_PASSWORD)
    }

    /// A device of any account.
    #[track_caller]
    pub fn of_account(url: &str, name: &str, account: &str, password: &str) -> Self {
        let client = Self::blank(name);
        client.configure(url, account, password);
        client
    }

    /// A device of `admin` for whom permissions hold: run by [`NOBODY`] when the tests are run by root.
    #[track_caller]
    pub fn unprivileged(server: &TestServer, name: &str) -> Self {
        let mut client = Self::blank(name);
        client.user = rustix::process::geteuid().is_root().then_some(NOBODY);
        for path in [client.dir.path(), &client.folder()] {
            client.own(path);
        }
        client.configure(&server.url(), "admin", ADMIN_PASSWORD);
        client
    }

    /// Gives something that the tests made to the user that the client runs as.
    #[track_caller]
    pub fn own(&self, path: impl AsRef<Path>) {
        if let Some(user) = self.user {
            std::os::unix::fs::chown(self.path(path), Some(user), Some(user)).expect("root may");
        }
    }

    /// Sets it up, or sets it up again with the folder that it has.
    #[track_caller]
    pub fn configure(&self, url: &str, account: &str, password: &str) {
        let mut command = self.command(&["configure", "--server", url, "--user", account]);
        let folder = self.folder();
        command.args(["--secrets", "file", "--device-name", &self.name]);
        command.arg("--sync-dir").arg(&folder);
        command.env("SYNC_PASSWORD", password);
        run(&mut command, b"").expect_success("configure");
    }

    /// What it is called.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The folder that is kept in step.
    pub fn folder(&self) -> PathBuf {
        self.dir.path().join("folder")
    }

    /// The folder with its settings.
    pub fn config(&self) -> PathBuf {
        self.dir.path().join("config")
    }

    /// Something in the folder that is kept in step.
    pub fn path(&self, path: impl AsRef<Path>) -> PathBuf {
        self.folder().join(path)
    }

    /// A command with its settings, not started yet. It is ended when it takes too long.
    pub fn command<A: AsRef<OsStr>>(&self, arguments: &[A]) -> Command {
        let mut command = match self.user {
            None => tool("env"),
            Some(user) => {
                let mut command = tool("setpriv");
                command.arg(format!("--reuid={user}"));
                command.arg(format!("--regid={user}"));
                command.args(["--clear-groups", "env"]);
                command
            }
        };
        command.arg(binary());
        self.prepare(&mut command, arguments);
        command
    }

    /// The same without anything between that could outlive it or keep signals from it.
    pub(crate) fn bare<A: AsRef<OsStr>>(&self, arguments: &[A]) -> Command {
        let mut command = Command::new(binary());
        self.prepare(&mut command, arguments);
        command
    }

    fn prepare<A: AsRef<OsStr>>(&self, command: &mut Command, arguments: &[A]) {
        // Nothing of the desktop of who runs the tests, and no systemd either.
        let others = ["SYNC_PASSWORD", "DBUS_SESSION_BUS_ADDRESS", "NOTIFY_SOCKET"];
        for name in others {
            command.env_remove(name);
        }
        command
            .current_dir(self.dir.path())
            .env("HOME", self.dir.path());
        command
            .arg("--config-dir")
            .arg(self.config())
            .args(arguments);
    }

    /// Runs a command to its end.
    #[track_caller]
    pub fn run<A: AsRef<OsStr>>(&self, arguments: &[A]) -> Said {
        run(&mut self.command(arguments), b"")
    }

    /// Runs a command that must succeed; what it wrote to standard output.
    #[track_caller]
    pub fn ok<A: AsRef<OsStr>>(&self, arguments: &[A]) -> String {
        let said = self.run(arguments);
        said.expect_success(&self.name).text()
    }

    /// Runs a command that must fail with an exit code; what it wrote to standard error.
    #[track_caller]
    pub fn fails<A: AsRef<OsStr>>(&self, arguments: &[A], code: i32) -> String {
        let said = self.run(arguments);
        let text = said.text();
        assert_eq!(said.code, code, "{}: {text}{}", self.name, said.stderr);
        said.stderr
    }

    /// Runs a command with `--json` that must succeed.
    #[track_caller]
    pub fn json<A: AsRef<OsStr>>(&self, arguments: &[A]) -> Value {
        let mut command = self.command(arguments);
        let text = run(command.arg("--json"), b"")
            .expect_success(&self.name)
            .text();
        match serde_json::from_str(&text) {
            Ok(value) => value,
            Err(error) => panic!("{}: {error}: {text}", self.name),
        }
    }

    /// One `sync` that must bring everything in step.
    #[track_caller]
    pub fn sync(&self) -> String {
        self.ok(&["sync"])
    }

    /// The same for many, one after the other, as often as it takes for all to have what the others had: twice.
    #[track_caller]
    pub fn sync_all(clients: &[&Self]) {
        for client in clients.iter().chain(clients) {
            client.sync();
        }
    }

    /// How it stands.
    #[track_caller]
    pub fn status(&self) -> Value {
        self.json(&["status"])
    }

    /// What it says of one path that is not in step; nothing when it is.
    #[track_caller]
    pub fn trouble(&self, path: &str) -> Option<String> {
        let status = self.status();
        let troubles = status["troubles"].as_array().expect("troubles");
        let trouble = troubles.iter().find(|trouble| trouble["path"] == path)?;
        Some(trouble["what"].as_str().expect("a text").to_owned())
    }

    /// Starts any command in the background; what it says is lost.
    #[track_caller]
    pub fn spawn<A: AsRef<OsStr>>(&self, arguments: &[A]) -> Child {
        let mut command = self.bare(arguments);
        let quiet = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        quiet.spawn().expect("the client starts")
    }

    /// Starts the daemon and waits until it answers.
    #[track_caller]
    pub fn daemon(&self) -> Daemon {
        Daemon::start(self)
    }

    /// Writes a file, with the folders above it.
    #[track_caller]
    pub fn write(&self, path: impl AsRef<Path>, bytes: impl AsRef<[u8]>) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().expect("it is in the folder")).expect("a folder");
        fs::write(&path, bytes).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }

    /// Adds to the end of a file.
    #[track_caller]
    pub fn append(&self, path: &str, bytes: &[u8]) {
        let file = fs::OpenOptions::new().append(true).open(self.path(path));
        file.and_then(|mut file| file.write_all(bytes))
            .expect("a file");
    }

    /// Makes a folder, with those above it.
    #[track_caller]
    pub fn mkdir(&self, path: &str) {
        fs::create_dir_all(self.path(path)).expect("a folder");
    }

    /// Renames something here.
    #[track_caller]
    pub fn rename(&self, from: &str, to: &str) {
        let renamed = fs::rename(self.path(from), self.path(to));
        renamed.unwrap_or_else(|error| panic!("{from} to {to}: {error}"));
    }

    /// Removes a file or link, or a folder with all below.
    #[track_caller]
    pub fn remove(&self, path: &str) {
        let path = self.path(path);
        let about = fs::symlink_metadata(&path).expect("it is there");
        let removed = if about.is_dir() {
            fs::remove_dir_all(&path)
        } else {
            fs::remove_file(&path)
        };
        removed.expect("it goes");
    }

    /// Makes a link that says `target`.
    #[track_caller]
    pub fn link(&self, path: &str, target: impl AsRef<Path>) {
        std::os::unix::fs::symlink(target, self.path(path)).expect("a link");
    }

    /// The bytes of a file here.
    #[track_caller]
    pub fn read(&self, path: impl AsRef<Path>) -> Vec<u8> {
        let path = self.path(path);
        fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// Whether a file is there and has these bytes.
    pub fn holds(&self, path: impl AsRef<Path>, bytes: impl AsRef<[u8]>) -> bool {
        fs::read(self.path(path)).is_ok_and(|there| there == bytes.as_ref())
    }

    /// Sets the time of a file.
    #[track_caller]
    pub fn set_time(&self, path: impl AsRef<Path>, time: SystemTime) {
        let file = fs::File::options().write(true).open(self.path(path));
        file.and_then(|file| file.set_modified(time))
            .expect("a file");
    }

    /// Whether something is there, be it a link that leads nowhere.
    pub fn has(&self, path: impl AsRef<Path>) -> bool {
        fs::symlink_metadata(self.path(path)).is_ok()
    }

    /// The names in a folder here, in order.
    #[track_caller]
    pub fn names(&self, path: &str) -> Vec<String> {
        let names = fs::read_dir(self.path(path)).expect("a folder");
        let names = names.map(|entry| entry.expect("a name").file_name());
        let mut names: Vec<_> = names
            .map(|name| name.to_string_lossy().into_owned())
            .collect();
        names.retain(|name| name != ".sync-client");
        names.sort();
        names
    }

    /// Everything in the folder but what is the client's own.
    #[track_caller]
    pub fn tree(&self) -> Tree {
        tree::of(&self.folder())
    }
}

/// The client under test: `SYNC_CLIENT_BIN`, or the one built in the same profile as this test.
pub fn binary() -> PathBuf {
    built("SYNC_CLIENT_BIN", "sync-client")
}
