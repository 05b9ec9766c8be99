//! A disk that fails when a test says so, below the real server: `faults.c`, preloaded into it. Only
//! SQLite's files, segments and their folders are touched.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use crate::Setup;

/// What lies below the server; to be joined by `|`.
pub mod class {
    /// The file of the database.
    pub const DB: u32 = 1;
    /// Its log.
    pub const WAL: u32 = 2;
    /// What SQLite's connections share.
    pub const SHM: u32 = 4;
    /// Segments.
    pub const SEG: u32 = 8;
    /// Their folders.
    pub const SEG_FOLDER: u32 = 16;
    /// All of them.
    pub const ALL: u32 = 31;
    /// The folder of the database.
    pub const DB_FOLDER: u32 = 32;
}

/// Calls that can fail; to be joined by `|`.
pub mod call {
    /// Opening what is there.
    pub const OPEN: u32 = 1;
    /// Making a file or folder.
    pub const CREATE: u32 = 2;
    /// Reading.
    pub const READ: u32 = 4;
    /// Writing.
    pub const WRITE: u32 = 8;
    /// Waiting for the disk.
    pub const SYNC: u32 = 16;
    /// Changing the length of a file.
    pub const TRUNCATE: u32 = 32;
}

/// How a call fails. The numbers are those of Linux.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// EIO.
    Broken,
    /// ENOSPC.
    Full,
    /// ENOSPC for what would make a file longer, as a full disk really answers.
    FullForMore,
    /// EMFILE.
    Crowded,
    /// Half of the bytes are written, and then EIO.
    Torn,
    /// It takes up to this many milliseconds, and then works.
    Stalls(u32),
}

/// Which calls fail, and how.
#[derive(Clone, Copy, Debug)]
pub struct Fault {
    /// Of [`class`].
    pub classes: u32,
    /// Of [`call`].
    pub calls: u32,
    /// How.
    pub how: How,
    /// Whether what a failed sync did not write is forgotten by the page cache at once. Otherwise it is
    /// still read until the power goes.
    pub evict: bool,
}

/// The switch for the faults of one server.
pub struct Faults {
    folder: TempDir,
    control: File,
}

// The control file is numbers of four bytes, in the order of `struct control`.
const ACTIVE: u64 = 0;
const EVERY: u64 = 6;
const CUT: u64 = 9;
const HITS: u64 = 10;
const LOST: u64 = 12;
const READY: u64 = 13;

impl Faults {
    /// Builds the library and a server over it that does not fail yet.
    #[track_caller]
    pub fn new() -> Self {
        let folder = TempDir::new().expect("a temporary directory");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("faults.c");
        let built = Command::new("cc")
            .args([
                "-O1", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-o",
            ])
            .args([folder.path().join("faults.so"), source])
            .args(["-ldl", "-lpthread"])
            .status()
            .expect("cc is installed (./test.sh installs it)");
        assert!(built.success(), "faults.c does not compile");
        let control = File::options()
            .read(true)
            .write(true)
            .create_new(true)
            .open(folder.path().join("control"))
            .expect("a file");
        control.set_len(4096).expect("a file");
        let new = Self { folder, control };
        new.set(EVERY, 1);
        new
    }

    /// What a server needs so that its disk can fail.
    #[must_use]
    pub fn setup(&self) -> Setup {
        let path = |name: &str| self.folder.path().join(name).display().to_string();
        Setup::default()
            .env("LD_PRELOAD", &path("faults.so"))
            .env("FAULTS_CONTROL", &path("control"))
    }

    /// From now on calls fail.
    pub fn begin(&self, fault: Fault) {
        let (kind, error, stall) = match fault.how {
            How::Broken => (0, 5, 0),
            How::Full => (0, 28, 0),
            How::Crowded => (0, 24, 0),
            How::Torn => (1, 5, 0),
            How::Stalls(millis) => (2, 0, millis),
            How::FullForMore => (3, 28, 0),
        };
        let numbers = [
            fault.classes,
            fault.calls,
            error,
            kind,
            0,
            1,
            stall,
            u32::from(fault.evict),
        ];
        for (at, number) in (1..).zip(numbers) {
            self.set(at, number);
        }
        self.set(HITS, 0);
        self.set(ACTIVE, 1);
    }

    /// No call fails any more.
    pub fn end(&self) {
        self.set(ACTIVE, 0);
    }

    /// Calls that failed since it began.
    pub fn hits(&self) -> u32 {
        self.get(HITS)
    }

    /// Pages that failed syncs left unwritten, ever.
    pub fn lost(&self) -> u32 {
        self.get(LOST)
    }

    /// Whether the library is in the process.
    pub fn is_ready(&self) -> bool {
        self.get(READY) == 1
    }

    /// Cuts the power: the process ends, and on the disk is what was synced. Returns at once.
    pub fn cut(&self) {
        self.set(CUT, 1);
    }

    /// Gives the power back, for the next process.
    pub fn uncut(&self) {
        self.end();
        self.set(CUT, 0);
        self.set(READY, 0);
    }

    fn set(&self, number: u64, value: u32) {
        let bytes = value.to_ne_bytes();
        self.control
            .write_all_at(&bytes, number * 4)
            .expect("our own file");
    }

    fn get(&self, number: u64) -> u32 {
        let mut bytes = [0; 4];
        self.control
            .read_exact_at(&mut bytes, number * 4)
            .expect("our own file");
        u32::from_ne_bytes(bytes)
    }
}

impl Default for Faults {
    fn default() -> Self {
        Self::new()
    }
}
