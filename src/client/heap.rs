//! How memory goes back to the system.
//!
//! By itself glibc keeps up to twice the largest block that was ever freed, which after a large first sync is most of what
//! that took. It is told otherwise by its environment, when a program starts, and in no other way without `unsafe`.

use std::ffi::OsStr;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

/// Bytes from which on a block is given back at once, and that are kept at the end of the heap. What was set by somebody
/// else holds.
const SETTINGS: [(&str, &str); 2] = [
    ("MALLOC_TRIM_THRESHOLD_", "65536"),
    ("MALLOC_MMAP_THRESHOLD_", "65536"),
];

/// Starts this program once more in its place, as the same process, unless memory goes back already. Comes back only
/// then, or when that fails: it can go on as it is.
pub fn give_back() {
    let set = |name: &&str| std::env::var_os(name).is_some();
    if cfg!(not(target_env = "gnu")) || SETTINGS.iter().any(|(name, _)| set(name)) {
        return;
    }
    let failed = again().map_or_else(|error| error, |mut command| command.exec());
    tracing::debug!("memory goes back to the system late: {failed}");
}

fn again() -> io::Result<Command> {
    let mut given = std::env::args_os();
    let name = given.next();
    let mut command = Command::new(std::env::current_exe()?);
    command
        .arg0(name.as_deref().unwrap_or(OsStr::new("sync-client")))
        .args(given)
        .envs(SETTINGS);
    Ok(command)
}
