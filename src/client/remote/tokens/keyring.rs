//! The Secret Service of the desktop, by the command `secret-tool` of libsecret.

use std::ffi::OsStr;
use std::io;
use std::process::{Output, Stdio};
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;
use tokio::time::timeout;

/// The command.
const TOOL: &str = "secret-tool";
/// What our secrets are filed under.
const SERVICE: &str = "sync-client";
/// Longest time for it: a locked keyring asks its owner for a password.
const ANSWER_MAX: Duration = Duration::from_mins(1);
/// Longest time for a trial, where nobody should have to answer.
const TRIAL_MAX: Duration = Duration::from_secs(10);
/// Exit status of a look-up that finds nothing.
const NOTHING: i32 = 1;

/// The command; tests have another.
pub(in crate::client::remote) struct Tool<'a>(pub(in crate::client::remote) &'a OsStr);

impl Tool<'static> {
    /// As it is installed.
    pub(in crate::client::remote) fn installed() -> Self {
        Self(OsStr::new(TOOL))
    }
}

impl Tool<'_> {
    /// Stores something, reads it, and removes it.
    pub(in crate::client::remote) async fn try_out(&self) -> io::Result<()> {
        let trial = async {
            self.store("trial", b"trial").await?;
            let found = self.lookup("trial").await?;
            self.clear("trial").await?;
            match found.as_deref() {
                Some(b"trial") => Ok(()),
                _ => Err(io::Error::other("it does not keep what is stored")),
            }
        };
        let late = |_elapsed| Err(io::ErrorKind::TimedOut.into());
        timeout(TRIAL_MAX, trial).await.unwrap_or_else(late)
    }

    /// Reads a secret; `None` when there is none.
    pub(in crate::client::remote) async fn lookup(
        &self,
        name: &str,
    ) -> io::Result<Option<Vec<u8>>> {
        let output = run(self.0, &["lookup", "service", SERVICE, "config", name], b"").await?;
        match output.status.code() {
            Some(0) => Ok(Some(output.stdout)),
            Some(NOTHING) if output.stderr.is_empty() => Ok(None),
            _ => Err(failed(&output)),
        }
    }

    /// Stores a secret in place of the one before. It goes by standard input: arguments can be seen by all.
    pub(in crate::client::remote) async fn store(
        &self,
        name: &str,
        secret: &[u8],
    ) -> io::Result<()> {
        let arguments = [
            "store",
            "--label=sync-client",
            "service",
            SERVICE,
            "config",
            name,
        ];
        let output = run(self.0, &arguments, secret).await?;
        if output.status.success() {
            return Ok(());
        }
        Err(failed(&output))
    }

    /// Removes a secret; it is fine when there is none.
    pub(in crate::client::remote) async fn clear(&self, name: &str) -> io::Result<()> {
        let output = run(self.0, &["clear", "service", SERVICE, "config", name], b"").await?;
        match output.status.code() {
            Some(0 | NOTHING) if output.stderr.is_empty() => Ok(()),
            _ => Err(failed(&output)),
        }
    }
}

/// Runs a command with `input`. It ends when it takes too long, or nobody waits for it any more.
async fn run(tool: &OsStr, arguments: &[&str], input: &[u8]) -> io::Result<Output> {
    let spawned = Command::new(tool)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn();
    let mut child = spawned
        .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", tool.display())))?;
    let talk = async {
        if let Some(mut stdin) = child.stdin.take() {
            // One that has not read it says why by its status.
            drop(stdin.write_all(input).await);
        }
        child.wait_with_output().await
    };
    let late = |_elapsed| {
        let kind = io::ErrorKind::TimedOut;
        Err(io::Error::new(kind, "the keyring does not answer"))
    };
    timeout(ANSWER_MAX, talk).await.unwrap_or_else(late)
}

fn failed(output: &Output) -> io::Error {
    let said = String::from_utf8_lossy(&output.stderr);
    io::Error::other(format!("{TOOL}: {}: {}", output.status, said.trim()))
}
