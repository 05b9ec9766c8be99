//! Runs other people's programs. One that is missing, hangs or fails ends the test with what it said.

use std::ffi::OsStr;
use std::io::Write;
use std::process::{Command, Output, Stdio};

/// Longest run of one client command, in seconds; a hung client must not hang the suite.
const LIMIT: &str = "120";

/// A command under coreutils' `timeout`, which takes its children down as well.
pub fn tool(program: &str) -> Command {
    let mut command = Command::new("timeout");
    command.args(["--kill-after=5", LIMIT, program]);
    command
}

/// What a program said and how it ended.
#[derive(Debug)]
pub struct Said {
    /// The exit code; -1 when a signal ended it.
    pub code: i32,
    /// Standard output.
    pub stdout: Vec<u8>,
    /// Standard error.
    pub stderr: String,
}

impl Said {
    /// Standard output as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// Fails unless it exited 0.
    #[track_caller]
    pub fn expect_success(self, what: &str) -> Self {
        assert!(
            self.code == 0,
            "{what} ended with {}:\n{}{}",
            self.code,
            self.text(),
            self.stderr
        );
        self
    }
}

/// Runs `command` with `stdin` to its end.
#[track_caller]
pub fn run(command: &mut Command, stdin: &[u8]) -> Said {
    let shown = format!("{command:?}");
    let spawned = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = match spawned {
        Ok(child) => child,
        Err(e) => panic!("{shown}: {e}"),
    };
    let mut pipe = child.stdin.take().expect("stdin is piped");
    let bytes = stdin.to_vec();
    // From a thread: both pipes could be full at once.
    let feeding = std::thread::spawn(move || pipe.write_all(&bytes));
    let output = child.wait_with_output().expect("our own child");
    // A program may end without reading its input.
    let _fed = feeding.join().expect("the feeding thread");
    said(output, &shown)
}

/// Runs `program` with `arguments`; must exit 0. Returns standard output.
#[track_caller]
pub fn run_ok<A: AsRef<OsStr>>(program: &str, arguments: &[A]) -> Vec<u8> {
    run(tool(program).args(arguments), b"")
        .expect_success(program)
        .stdout
}

#[track_caller]
fn said(output: Output, shown: &str) -> Said {
    let code = output.status.code().unwrap_or(-1);
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        code != 127,
        "{shown}: not installed (./test.sh installs it)\n{stderr}"
    );
    assert!(
        code != 124 && code != 137,
        "{shown}: did not end within {LIMIT} s\n{stderr}"
    );
    Said {
        code,
        stdout: output.stdout,
        stderr,
    }
}
