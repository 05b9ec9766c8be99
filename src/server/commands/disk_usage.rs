//! `sync-server disk-usage`: what lies on the disk, and whose it is.

use std::fmt::Write;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::{close, open, size};
use crate::server::config::Config;
use crate::server::error::{Error, Result};
use crate::store::meta::{Database, totals};

/// Files beside the database that belong to it.
const DATABASE_SUFFIXES: [&str; 3] = ["", "-wal", "-shm"];

/// The report as text.
pub(super) async fn report(config: &Config) -> Result<String> {
    let (database, data) = (config.db_path.clone(), config.data_path.clone());
    let measured = tokio::task::spawn_blocking(move || measure(&database, &data)).await;
    let (database, data) = measured.expect("measuring does not panic")?;
    let opened = open(config).await?;
    let served = totals::database_bytes(&mut *opened.store.meta.read().await?).await?;
    let database = served.unwrap_or(database);
    let spaces = totals::used(&mut *opened.store.meta.read().await?).await?;
    let mut text = format!("database\t{}\ncontents\t{}\n", size(database), size(data));
    for space in spaces {
        let bytes = |n: i64| size(u64::try_from(n).unwrap_or_default());
        let quota = space.quota.map_or("no limit".into(), bytes);
        writeln!(
            text,
            "space {}\t{} of {quota}",
            space.space,
            bytes(space.bytes)
        )
        .expect("writing to a String never fails");
    }
    close(&opened, text).await
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
