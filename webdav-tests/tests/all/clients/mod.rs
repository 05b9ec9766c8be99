//! Real clients, as their packages ship them: what one puts in, every other one reads back identical.

mod cadaver;
mod curl;
mod davfs2;
mod gio;
mod kio;
mod matrix;
mod rclone;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use webdav_tests::TestServer;
use webdav_tests::content::{assert_same, noise, prose};
use webdav_tests::server::ADMIN_PASSWORD;

/// Somebody's home directory, with the address of the server and the way in.
struct Home {
    dir: TempDir,
    /// `127.0.0.1:PORT`.
    address: String,
    /// Where the files are, with a trailing slash.
    url: String,
}

impl Home {
    fn new(server: &TestServer) -> Self {
        let dir = TempDir::new().expect("a temporary directory");
        // davfs2 reads its files as another user.
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755))
            .expect("our own directory");
        Self {
            dir,
            address: server.address(),
            url: server.dav_url(),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// An empty directory.
    fn make(&self, name: &str) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(&path).expect("our own directory");
        path
    }

    /// The URL of `path` below the account's root, percent-encoded.
    fn url_of(&self, path: &str) -> String {
        format!("{}{}", self.url, encoded(path))
    }
}

/// Percent-encodes everything but slashes and what needs no encoding.
fn encoded(path: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"/-_.~".contains(&b);
    let encode = |b: u8| {
        if plain(b) {
            char::from(b).to_string()
        } else {
            format!("%{b:02X}")
        }
    };
    path.bytes().map(encode).collect::<Vec<_>>().concat()
}

/// A client that can list and download.
trait Reads {
    /// As people call it.
    fn name(&self) -> &'static str;

    /// Lists `folder`, whose output must show every one of `names`, and downloads them into `into`.
    fn fetch(&self, home: &Home, folder: &str, names: &[&str], into: &Path);
}

/// A client that can upload as well.
trait Writes: Reads {
    /// Uploads `names` from the directory `from` into the existing `folder`.
    fn store(&self, home: &Home, folder: &str, names: &[&str], from: &Path);
}

/// Names and contents as people have them: spaces, umlauts, parentheses, nothing at all, text, megabytes.
const SAMPLES: [&str; 5] = [
    "notes.txt",
    "empty",
    "photo (1).jpg",
    "Grüße aus Köln.txt",
    "film & ton.bin",
];

/// Writes the samples into `dir`; each `seed` has contents of its own.
fn samples(dir: &Path, seed: u64) {
    let contents = [
        prose(3000),
        Vec::new(),
        noise(seed, 300_000),
        prose(100),
        noise(seed + 100, 2_000_000),
    ];
    for (name, mut content) in SAMPLES.into_iter().zip(contents) {
        if !content.is_empty() {
            content.extend(seed.to_le_bytes());
        }
        fs::write(dir.join(name), content).expect("our own directory");
    }
}

#[track_caller]
fn assert_same_samples(got: &Path, expected: &Path, what: &str) {
    for name in SAMPLES {
        let read = |dir: &Path| fs::read(dir.join(name));
        let got = read(got).unwrap_or_else(|e| panic!("{what}: {name}: {e}"));
        assert_same(
            &got,
            &read(expected).expect("a sample"),
            &format!("{what}: {name}"),
        );
    }
}

#[track_caller]
fn assert_shows(listing: &str, names: &[&str], who: &str) {
    for name in names {
        assert!(
            listing.contains(name),
            "{who} does not list {name:?}:\n{listing}"
        );
    }
}
