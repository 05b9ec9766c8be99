//! Reading a password from the operator, without an echo and never from the command line.

use std::fs::File;
use std::io::{self, BufRead, BufReader, IsTerminal, stdin};
use std::path::Path;

use super::cli::PasswordSource;

/// Longest line read, in bytes; above any password that is accepted.
const LINE_BYTES_MAX: u64 = 4096;

/// Why there is no password.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file or the terminal.
    #[error("password: {0}")]
    Io(#[from] io::Error),
    /// Neither a terminal nor a file.
    #[error("no terminal to ask for the password; use --password-file FILE, or - for stdin")]
    NoTerminal,
    /// The two inputs differ.
    #[error("the two passwords are not the same")]
    Differ,
    /// An empty line.
    #[error("the password is empty")]
    Empty,
}

/// Reads the password from where `source` says.
pub(super) fn read(source: &PasswordSource) -> Result<String, Error> {
    let password = match source.file.as_deref() {
        Some(path) if path == Path::new("-") => first_line(stdin().lock())?,
        Some(path) => first_line(BufReader::new(File::open(path)?))?,
        None if stdin().is_terminal() => prompt()?,
        None => return Err(Error::NoTerminal),
    };
    if password.is_empty() {
        Err(Error::Empty)
    } else {
        Ok(password)
    }
}

fn prompt() -> Result<String, Error> {
    let password = rpassword::prompt_password("password: ")?;
    let again = rpassword::prompt_password("again: ")?;
    if password == again {
        Ok(password)
    } else {
        Err(Error::Differ)
    }
}

fn first_line(reader: impl BufRead) -> io::Result<String> {
    let mut line = String::new();
    reader.take(LINE_BYTES_MAX).read_line(&mut line)?;
    Ok(line.trim_end_matches(['\n', '\r']).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_file(text: &str) -> Result<String, Error> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        read(&PasswordSource {
            file: Some(file.path().to_owned()),
        })
    }

    #[test]
    fn a_password_file_gives_its_first_line() {
        assert_eq!(read_file("secret\r\nmore\n").unwrap(), "secret");
        assert_eq!(read_file(" blank kept ").unwrap(), " blank kept ");
    }

    #[test]
    fn an_empty_or_missing_password_is_an_error() {
        assert!(matches!(read_file("\n"), Err(Error::Empty)));
        let missing = PasswordSource {
            file: Some("/nowhere".into()),
        };
        assert!(matches!(read(&missing), Err(Error::Io(_))));
    }
}
