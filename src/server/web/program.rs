//! The program of the client, which lies beside that of the server.

use std::io::{self, ErrorKind, Read};
use std::path::PathBuf;
use std::time::SystemTime;

use sha2::{Digest, Sha256};
use tokio::fs::File;
use tokio::sync::Mutex;

use crate::types::hex;

/// How it is called.
const NAME: &str = "sync-client";
/// Bytes read at once.
const READ: usize = 256 * 1024;
/// As much of an ELF file as says for which machine it is.
const ELF_HEAD: usize = 20;

/// Why there is no client to give.
#[derive(Debug, thiserror::Error)]
pub(super) enum ProgramError {
    /// There is none.
    #[error("there is no client")]
    Missing,
    /// It is no program that Linux runs on a machine we know.
    #[error("it is no Linux program for a known machine")]
    Foreign,
    /// It cannot be read.
    #[error(transparent)]
    Io(io::Error),
}

impl From<io::Error> for ProgramError {
    fn from(error: io::Error) -> Self {
        let missing = [ErrorKind::NotFound, ErrorKind::NotADirectory];
        if missing.contains(&error.kind()) {
            return Self::Missing;
        }
        Self::Io(error)
    }
}

/// What a script must know of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Facts {
    /// Its SHA-256, 64 hex digits.
    pub(super) sha256: String,
    /// The machine it runs on, as `uname -m` calls it.
    pub(super) machine: &'static str,
}

/// Tells whether a file is another one than before.
type Stamp = (u64, SystemTime);

/// The program, and what was found out about it.
pub(super) struct Program {
    path: PathBuf,
    /// Held while it is read: others wait for the same answer.
    known: Mutex<Option<(Stamp, Facts)>>,
}

impl Program {
    /// The one that lies beside the program that runs now.
    pub(super) fn beside_this() -> Self {
        let here = std::env::current_exe().unwrap_or_default();
        Self::at(here.with_file_name(NAME))
    }

    fn at(path: PathBuf) -> Self {
        Self {
            path,
            known: Mutex::default(),
        }
    }

    /// Opens it; its length.
    pub(super) async fn open(&self) -> Result<(File, u64), ProgramError> {
        let file = File::open(&self.path).await?;
        let length = stamp(&file).await?.0;
        Ok((file, length))
    }

    /// Its checksum and machine, computed again only when its size or time has changed.
    pub(super) async fn facts(&self) -> Result<Facts, ProgramError> {
        let mut known = self.known.lock().await;
        let file = File::open(&self.path).await?;
        let stamp = stamp(&file).await?;
        if let Some((of, facts)) = &*known
            && *of == stamp
        {
            return Ok(facts.clone());
        }
        let file = file.into_std().await;
        let read = tokio::task::spawn_blocking(move || read(file)).await;
        let facts = read.map_err(|_stopped| ProgramError::Io(ErrorKind::Interrupted.into()))??;
        *known = Some((stamp, facts.clone()));
        Ok(facts)
    }
}

async fn stamp(file: &File) -> Result<Stamp, ProgramError> {
    let about = file.metadata().await?;
    if !about.is_file() {
        return Err(ProgramError::Missing);
    }
    Ok((about.len(), about.modified()?))
}

fn read(mut file: std::fs::File) -> Result<Facts, ProgramError> {
    let mut sum = Sha256::new();
    let mut buffer = vec![0; READ];
    let mut head = Vec::with_capacity(ELF_HEAD);
    loop {
        let len = file.read(&mut buffer)?;
        if len == 0 {
            break;
        }
        let wanted = ELF_HEAD.saturating_sub(head.len()).min(len);
        head.extend_from_slice(&buffer[..wanted]);
        sum.update(&buffer[..len]);
    }
    let machine = machine(&head).ok_or(ProgramError::Foreign)?;
    let sha256 = hex(&sum.finalize());
    Ok(Facts { sha256, machine })
}

/// The machine of an ELF file of 64 bits, little endian (ELF, `e_ident` and `e_machine`).
fn machine(head: &[u8]) -> Option<&'static str> {
    if head.len() < ELF_HEAD || !head.starts_with(b"\x7fELF\x02\x01") {
        return None;
    }
    match u16::from_le_bytes([head[18], head[19]]) {
        62 => Some("x86_64"),
        183 => Some("aarch64"),
        243 => Some("riscv64"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;
    use std::time::Duration;

    use super::*;

    fn elf(machine: u8, rest: &[u8]) -> Vec<u8> {
        let mut bytes = b"\x7fELF\x02\x01\x01".to_vec();
        bytes.resize(18, 0);
        bytes.extend([machine, 0]);
        bytes.extend_from_slice(rest);
        bytes
    }

    fn write(path: &Path, bytes: &[u8], seconds: u64) {
        fs::write(path, bytes).unwrap();
        let file = fs::File::options().write(true).open(path).unwrap();
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        file.set_modified(time).unwrap();
    }

    #[tokio::test]
    async fn what_is_known_is_kept_until_the_file_is_another() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(NAME);
        let program = Program::at(path.clone());
        assert!(matches!(program.facts().await, Err(ProgramError::Missing)));
        assert!(matches!(program.open().await, Err(ProgramError::Missing)));
        write(&path, &elf(62, b"one"), 1000);
        let first = program.facts().await.unwrap();
        assert_eq!(first.machine, "x86_64");
        assert_eq!(first.sha256, hex(&Sha256::digest(elf(62, b"one"))));
        // Nobody looks into a file that seems the same.
        write(&path, &elf(62, b"two"), 1000);
        assert_eq!(program.facts().await.unwrap(), first);
        write(&path, &elf(183, b"two"), 1001);
        let second = program.facts().await.unwrap();
        assert_eq!(second.machine, "aarch64");
        assert_ne!(second.sha256, first.sha256);
        write(&path, b"#!/bin/sh\necho a script is no program\n", 1002);
        assert!(matches!(program.facts().await, Err(ProgramError::Foreign)));
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        assert!(matches!(program.facts().await, Err(ProgramError::Missing)));
    }
}
