//! Having a text edited by the program that its user likes.

use std::ffi::{OsStr, OsString};
use std::fs::{self, OpenOptions, Permissions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use tokio::process::Command;

use super::signals::Signals;
use super::{Error, Result};

/// Longest text that is taken back, in bytes: more than both sides together.
const EDITED_MAX: u64 = 8 * 1024 * 1024;

/// Has a text edited that is called like a file, by $VISUAL or $EDITOR. One that comes back as it was is refused.
pub async fn edit(name: &Path, text: &[u8], signals: &mut Signals) -> Result<Vec<u8>> {
    edit_with(&editor()?, name, text, signals).await
}

/// The command of the user's editor.
fn editor() -> Result<OsString> {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    let none = || Error::Refused("neither VISUAL nor EDITOR says which editor to use".to_owned());
    set("VISUAL").or_else(|| set("EDITOR")).ok_or_else(none)
}

pub(super) async fn edit_with(
    editor: &OsString,
    name: &Path,
    text: &[u8],
    signals: &mut Signals,
) -> Result<Vec<u8>> {
    let failed = |error| Error::Io("the file to be edited", error);
    // Nobody else may read in it. It goes with all that the editor puts beside the file.
    let dir = tempfile::Builder::new()
        .prefix("sync-client-")
        .permissions(Permissions::from_mode(0o700))
        .tempdir()
        .map_err(failed)?;
    let path = dir
        .path()
        .join(name.file_name().unwrap_or("merged".as_ref()));
    write(&path, text).map_err(failed)?;
    run(editor, &path, signals).await?;
    let edited = read(&path).map_err(failed)?;
    dir.close().map_err(failed)?;
    if edited == text {
        return Err(Error::Refused(
            "nothing was changed in the editor".to_owned(),
        ));
    }
    Ok(edited)
}

fn write(path: &Path, text: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(text)
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    fs::File::open(path)?
        .take(EDITED_MAX + 1)
        .read_to_end(&mut bytes)?;
    if bytes.len() as u64 > EDITED_MAX {
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            "it is too long by now",
        ));
    }
    Ok(bytes)
}

/// Runs an editor by the shell, so that its command may have arguments and quotes.
async fn run(editor: &OsString, path: &Path, signals: &mut Signals) -> Result<()> {
    let mut script = OsString::from(if is_plain(editor) { "exec " } else { "" });
    script.push(editor);
    script.push(" \"$@\"");
    let mut command = Command::new("/bin/sh");
    command
        .arg("-c")
        .arg(script)
        .arg(editor)
        .arg(path)
        .kill_on_drop(true);
    let mut child = command
        .spawn()
        .map_err(|error| Error::Io("the editor", error))?;
    let ended = tokio::select! {
        ended = child.wait() => ended.map_err(|error| Error::Io("the editor", error))?,
        number = signals.next_but_interrupt() => {
            // One that the same signal ended is gone already.
            drop(child.kill().await);
            return Err(Error::Signal(number));
        }
    };
    if ended.success() {
        return Ok(());
    }
    Err(Error::Refused(format!("the editor failed ({ended})")))
}

/// Whether a command is one program and its arguments. The shell gives way to it then, so that signals reach the
/// editor and not only a shell that waits for it.
fn is_plain(editor: &OsStr) -> bool {
    let Some(editor) = editor.to_str() else {
        return false;
    };
    let first = editor.split_whitespace().next().unwrap_or_default();
    !first.contains('=') && !editor.contains(|c: char| ";&|<>(){}$`\n".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_programs_with_arguments_take_the_place_of_the_shell() {
        for plain in ["vi", "/usr/bin/code --wait", "'my editor' -x"] {
            assert!(is_plain(plain.as_ref()), "{plain}");
        }
        for shell in ["LANG=C vi", "cd / && vi", "$HOME/bin/ed", "vi;true"] {
            assert!(!is_plain(shell.as_ref()), "{shell}");
        }
    }
}
