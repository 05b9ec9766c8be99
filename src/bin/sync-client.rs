//! The Linux daemon. Not written yet: this binary says so instead of pretending.

use std::io::Write;
use std::process::ExitCode;

fn main() -> ExitCode {
    let said = writeln!(
        std::io::stderr(),
        "sync-client: not yet. Until then, mount the server over WebDAV; see README.md."
    );
    drop(said);
    ExitCode::from(2)
}
