//! `sync-server disk-usage`: what lies on the disk, and whose it is.

use std::fmt::Write;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::{close, open, size};
use crate::server::config::Config;
use crate::server::error::{Error, Result};
use crate::store::meta::Database;
use crate::store::meta::totals::{self, Used};

/// Files beside the database that belong to it.
const DATABASE_SUFFIXES: [&str; 3] = ["", "-wal", "-shm"];

/// The report as text: what lies on the disk, each space, and all spaces together. `live`, `versions`
/// and `trash` are bytes as clients see them; `stored` is what they take, each chunk once.
pub(super) async fn report(config: &Config) -> Result<String> {
    let (database, data) = (config.db_path.clone(), config.data_path.clone());
    let measured = tokio::task::spawn_blocking(move || measure(&database, &data)).await;
    let (database, data) = measured.expect("measuring does not panic")?;
    let opened = open(config).await?;
    let served = totals::database_bytes(&mut *opened.store.meta.read().await?).await?;
    let database = served.unwrap_or(database);
    let spaces = totals::used(&mut *opened.store.meta.read().await?).await?;
    close(&opened, text((database, data), &spaces)).await
}

fn text((database, data): (u64, u64), spaces: &[Used]) -> String {
    let bytes = |n: i64| u64::try_from(n).unwrap_or_default();
    let mut text = format!("database\t{}\ncontents\t{}\n", size(database), size(data));
    let (mut all, mut in_segments) = (Parts::default(), 0);
    for space in spaces {
        let parts = Parts {
            live: bytes(space.live),
            versions: bytes(space.versions),
            trash: bytes(space.trash),
            stored: bytes(space.chunks) + bytes(space.inline),
        };
        let quota = space
            .quota
            .map_or("no limit".into(), |quota| size(bytes(quota)));
        let (name, live) = (&space.space, size(parts.live));
        writeln!(text, "space {name}\t{live} of {quota}\t{}", parts.rest())
            .expect("writing to a String never fails");
        all.add(parts);
        in_segments += bytes(space.chunks);
    }
    // Records that no row names: of uploads that broke off, and what was collected.
    let reclaimable = size(data.saturating_sub(in_segments));
    let (live, rest) = (size(all.live), all.rest());
    writeln!(text, "all\tlive {live}\t{rest}\treclaimable {reclaimable}")
        .expect("writing to a String never fails");
    text
}

/// Bytes of one space or of all.
#[derive(Clone, Copy, Default)]
struct Parts {
    live: u64,
    versions: u64,
    trash: u64,
    stored: u64,
}

impl Parts {
    fn add(&mut self, other: Self) {
        self.live += other.live;
        self.versions += other.versions;
        self.trash += other.trash;
        self.stored += other.stored;
    }

    fn rest(&self) -> String {
        let (versions, trash) = (size(self.versions), size(self.trash));
        format!(
            "versions {versions}\ttrash {trash}\tstored {}",
            size(self.stored)
        )
    }
}

/// Bytes of the database and of the data folder.
fn measure(database: &Database, data: &Path) -> Result<(u64, u64)> {
    let database = match database {
        Database::File(path) => file_bytes(path)?,
        Database::Postgres(_) => 0,
    };
    Ok((database, folder_bytes(data)?))
}

fn file_bytes(database: &Path) -> Result<u64> {
    let mut bytes = 0;
    for suffix in DATABASE_SUFFIXES {
        let mut path = database.as_os_str().to_owned();
        path.push(suffix);
        let path = PathBuf::from(path);
        bytes += present(fs::metadata(&path), &path)?.map_or(0, |data| data.len());
    }
    Ok(bytes)
}

fn folder_bytes(root: &Path) -> Result<u64> {
    let (mut bytes, mut folders) = (0, vec![root.to_owned()]);
    while let Some(folder) = folders.pop() {
        let Some(entries) = present(fs::read_dir(&folder), &folder)? else {
            continue;
        };
        for entry in entries {
            let entry = entry.map_err(|source| Error::File {
                path: folder.clone(),
                source,
            })?;
            let path = entry.path();
            // A segment may be collected while we look.
            let Some(data) = present(entry.metadata(), &path)? else {
                continue;
            };
            if data.is_dir() {
                folders.push(path);
            } else {
                bytes += data.len();
            }
        }
    }
    Ok(bytes)
}

fn present<T>(result: io::Result<T>, path: &Path) -> Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(Error::File {
            path: path.to_owned(),
            source,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_space_has_a_line_and_all_of_them_one() {
        let used = |space: &str, quota, n| Used {
            space: space.to_owned(),
            quota,
            live: n,
            versions: 2 * n,
            trash: 3 * n,
            chunks: 4 * n,
            inline: 5 * n,
        };
        let spaces = [
            used("shared", None, 10),
            used("user:anna", Some(2048), 1024),
        ];
        let expected = "database\t7 B\ncontents\t4.0 KiB\n\
            space shared\t10 B of no limit\tversions 20 B\ttrash 30 B\tstored 90 B\n\
            space user:anna\t1.0 KiB of 2.0 KiB\tversions 2.0 KiB\ttrash 3.0 KiB\tstored 9.0 KiB\n\
            all\tlive 1.0 KiB\tversions 2.0 KiB\ttrash 3.0 KiB\tstored 9.1 KiB\treclaimable 0 B\n";
        assert_eq!(text((7, 4096), &spaces), expected);
        // More in the segments than rows name.
        let more = text((7, 4136 + 1000), &spaces);
        assert!(more.ends_with("reclaimable 1000 B\n"), "{more}");
    }

    #[test]
    fn all_files_of_database_and_contents_are_counted() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir_all(at("data/ab")).unwrap();
        fs::write(at("sync.db"), [0; 10]).unwrap();
        fs::write(at("sync.db-wal"), [0; 5]).unwrap();
        fs::write(at("data/x"), [0; 3]).unwrap();
        fs::write(at("data/ab/y"), [0; 4]).unwrap();
        let measured = measure(&at("sync.db").into(), &at("data"));
        assert_eq!(measured.unwrap(), (15, 7));
        let nothing = measure(&at("none.db").into(), &at("none"));
        assert_eq!(nothing.unwrap(), (0, 0));
    }
}
