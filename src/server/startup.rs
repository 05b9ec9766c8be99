//! From settings to an opened store, and what the first start makes: key, shared space, `admin`.
//!
//! Invariant: a key is only ever made together with its database, never beside an existing one.

mod served;

use std::fmt::Write as _;
use std::fs::{DirBuilder, File};
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::sync::Arc;

pub(crate) use self::served::{is_old, is_served, lock, lock_out, shut};
use super::config::{Config, Secret, Versions};
use super::error::{Error, Result};
use crate::accounts::{self, Accounts, NewAccount};
use crate::crypto::{self, MasterKey, Origin};
use crate::jobs::Rules;
use crate::store::meta::versions::Keep;
use crate::store::meta::{Alone, Database, Meta, spaces};
use crate::store::snapshot::Folder;
use crate::store::{self, KeyRing, Store};
use crate::tree::{self, DEFAULT_FOLDERS, NewSpace};
use crate::types::{AccountId, Clock, millis};

/// The account that the first start makes.
pub(crate) const FIRST_ACCOUNT: &str = "admin";
/// Name of the space that everyone sees, and of its mount.
pub(crate) const SHARED_SPACE: &str = "shared";
/// Personal spaces are named after their account behind this; account names hold no `:`.
const PERSONAL: &str = "user:";
/// Letters of a made password that nobody confuses when typing from a screen.
const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
/// Groups of four letters; 5 × 4 × 5 bits = 100 bits.
const GROUPS: usize = 5;

/// An opened store with its accounts.
pub(crate) struct Opened {
    /// Names and bytes.
    pub store: Arc<Store>,
    /// Who may log in.
    pub accounts: Accounts,
    /// Whether the master key has just been made.
    pub key: Origin,
    /// Keeps the master key what it is.
    _open: File,
}

/// Opens everything the settings name; missing folders and a missing key are made.
pub(crate) async fn open(config: &Config, clock: Clock) -> Result<Opened> {
    make_folder(config.key_file.parent().unwrap_or(Path::new("")))?;
    make_folder(&config.data_path)?;
    let open = served::open(&config.data_path)?;
    let meta = open_database(config).await?;
    let (master, key) = MasterKey::load_or_create(&config.key_file)?;
    let keep = keep(&config.versions);
    let store = Store::with(meta, &config.data_path, master, keep).await?;
    make_shared_space(&store, &clock).await?;
    let accounts = Accounts::open(Arc::clone(&store), clock);
    Ok(Opened {
        store,
        accounts,
        key,
        _open: open,
    })
}

/// Opens what is there, and writes nothing.
pub(crate) async fn open_to_read(config: &Config) -> Result<Arc<Store>> {
    let Some(master) = MasterKey::load(&config.key_file)? else {
        return Err(Error::KeyMissing {
            database: config.db_path.clone(),
            key: config.key_file.clone(),
        });
    };
    Ok(Store::open_to_read(&config.db_path, &config.data_path, master).await?)
}

/// Opens the database; one that has a key is refused when that is not there.
async fn open_database(config: &Config) -> Result<Meta> {
    let has_key = config.key_file.exists();
    let missing = || Error::KeyMissing {
        database: config.db_path.clone(),
        key: config.key_file.clone(),
    };
    if let Database::File(path) = &config.db_path {
        if path.exists() && !has_key {
            return Err(missing());
        }
        if !path.exists() {
            refuse_lost(config)?;
        }
    }
    make_database_folder(config)?;
    let meta = Meta::open(&config.db_path).await?;
    match (KeyRing::is_marked(&meta).await?, has_key) {
        (true, false) => Err(missing()),
        (false, _) => refuse_lost(config).map(|()| meta),
        (true, true) => Ok(meta),
    }
}

/// A new database beside snapshots of another would soon replace them.
fn refuse_lost(config: &Config) -> Result<()> {
    let folder = Folder::of(&config.data_path);
    let failed = store::Error::io("listing the snapshots");
    let there = folder.entries().map_err(failed)?;
    let (database, snapshots) = (config.db_path.clone(), folder.path().to_owned());
    if there.is_empty() {
        return Ok(());
    }
    Err(Error::DatabaseLost {
        database,
        snapshots,
    })
}

/// Makes the folder that the database file is to lie in.
pub(crate) fn make_database_folder(config: &Config) -> Result<()> {
    match &config.db_path {
        Database::File(path) => make_folder(path.parent().unwrap_or(Path::new(""))),
        Database::Postgres(_) => Ok(()),
    }
}

/// Makes an account with its own space in it.
pub(crate) async fn add_account(
    opened: &Opened,
    new: NewAccount,
    clock: &Clock,
) -> Result<AccountId> {
    let (store, now) = (Arc::clone(&opened.store), clock.now());
    let name = format!("{PERSONAL}{}", new.name);
    let quota = new.quota;
    let made = opened.accounts.add(new, move |conn| {
        Box::pin(async move {
            let new = NewSpace {
                name: &name,
                everyone: false,
                quota,
                folders: DEFAULT_FOLDERS,
            };
            tree::create_space(conn, &store.keys, new, now).await
        })
    });
    Ok(made.await?)
}

/// How the first account logs in.
pub(crate) struct FirstLogin {
    /// The password that was made, or `None` when the operator has set it.
    pub made: Option<Secret>,
}

/// Makes `admin` when there is no account yet.
pub(crate) async fn first_account(
    opened: &Opened,
    config: &Config,
    clock: &Clock,
) -> Result<Option<FirstLogin>> {
    if !opened.accounts.is_empty().await? {
        return Ok(None);
    }
    let made = match &config.admin_password {
        Some(_) => None,
        None => Some(random_password()?),
    };
    let password = config.admin_password.as_ref().or(made.as_ref());
    let password = password
        .expect("one of the two is there")
        .expose()
        .to_owned();
    let quota = config.quota_default.map(|size| size.as_u64());
    let admin = NewAccount {
        name: FIRST_ACCOUNT.to_owned(),
        password,
        admin: true,
        quota,
    };
    match add_account(opened, admin, clock).await {
        Ok(_account) => Ok(Some(FirstLogin { made })),
        // Another server on the same database was quicker.
        Err(Error::Accounts(accounts::Error::Taken)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// What the operator has to know before the first log-in; empty on later starts.
pub(crate) fn greeting(
    config: &Config,
    key: Origin,
    login: Option<&FirstLogin>,
    url: &str,
) -> String {
    let mut text = String::new();
    if let Some(login) = login {
        let password = login
            .made
            .as_ref()
            .map_or("as set by SYNC_ADMIN_PASSWORD", Secret::expose);
        let lines = format!(
            "first start: log in at {url}/dav/\n  user {FIRST_ACCOUNT}, password {password}\n"
        );
        text.push_str(&lines);
    }
    if key == Origin::Created {
        let file = config.key_file.display();
        writeln!(
            text,
            "IMPORTANT: keep a copy of the master key {file} on another machine.\n  Whoever loses \
             it loses all files; a backup without it cannot be read."
        )
        .expect("writing to a String never fails");
    }
    text
}

/// The URL to reach the server at from this machine, without a path.
pub(crate) fn url(address: SocketAddr, tls: bool) -> String {
    let scheme = if tls { "https" } else { "http" };
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => format!("{scheme}://localhost:{}", address.port()),
        IpAddr::V6(ip) if ip.is_unspecified() => format!("{scheme}://localhost:{}", address.port()),
        IpAddr::V4(_) | IpAddr::V6(_) => format!("{scheme}://{address}"),
    }
}

async fn make_shared_space(store: &Arc<Store>, clock: &Clock) -> Result<()> {
    let (inner, now) = (Arc::clone(store), clock.now());
    let made = store.meta.write(move |conn| {
        Box::pin(async move {
            // Asked inside the transaction, so that two processes do not both make it.
            conn.alone(Alone::Accounts).await?;
            if spaces::shared(conn)
                .await?
                .iter()
                .any(|space| space.name == SHARED_SPACE)
            {
                return Ok(false);
            }
            let new = NewSpace {
                name: SHARED_SPACE,
                everyone: true,
                quota: None,
                folders: &[],
            };
            tree::create_space(conn, &inner.keys, new, now)
                .await
                .map(|_space| true)
        })
    });
    if made.await? {
        store.mounts.forget();
    }
    Ok(())
}

/// Makes a folder that only this user can look into.
fn make_folder(path: &Path) -> Result<()> {
    if path.as_os_str().is_empty() {
        return Ok(());
    }
    let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(|source| Error::File {
        path: path.to_owned(),
        source,
    })
}

fn random_password() -> Result<Secret> {
    let mut bytes = [0; GROUPS * 4];
    getrandom::fill(&mut bytes).map_err(|_| crypto::Error::Random)?;
    let letter = |byte: &u8| char::from(LETTERS[usize::from(byte % 32)]);
    let groups: Vec<String> = bytes
        .chunks(4)
        .map(|group| group.iter().map(letter).collect())
        .collect();
    Ok(Secret::new(&groups.join("-")))
}

/// How long things stay.
pub(crate) fn rules(config: &Config) -> Rules {
    Rules {
        versions: keep(&config.versions),
        trash: config.trash.keep,
        activity: config.activity.keep,
        feed: config.feed.keep,
    }
}

fn keep(versions: &Versions) -> Keep {
    Keep {
        always: versions.keep_always.into(),
        most: versions.keep.into(),
        max_age: millis(versions.max_age),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::meta::testing;

    fn config(folder: &Path) -> Config {
        Config {
            db_path: testing::database(&folder.join("db")),
            data_path: folder.join("data"),
            key_file: folder.join("config/master.key"),
            ..Config::default()
        }
    }

    #[tokio::test]
    async fn the_first_start_makes_key_folders_shared_space_and_admin_and_the_second_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let (config, clock) = (config(folder.path()), Clock::system());

        let first = open(&config, clock.clone()).await.unwrap();
        let login = first_account(&first, &config, &clock)
            .await
            .unwrap()
            .unwrap();
        first.store.close().await;
        let second = open(&config, clock.clone()).await.unwrap();

        assert_eq!((first.key, second.key), (Origin::Created, Origin::Found));
        assert_eq!(login.made.unwrap().expose().len(), 24);
        assert!(
            first_account(&second, &config, &clock)
                .await
                .unwrap()
                .is_none()
        );
        let shared = spaces::shared(&mut second.store.meta.read().await.unwrap())
            .await
            .unwrap();
        assert_eq!(shared.len(), 1);
        assert_eq!(second.accounts.list().await.unwrap()[0].name, FIRST_ACCOUNT);
        second.store.close().await;
    }

    #[tokio::test]
    async fn two_servers_that_start_first_at_once_make_one_admin_and_one_shared_space() {
        let folder = tempfile::tempdir().unwrap();
        let (config, clock) = (config(folder.path()), Clock::system());
        if !config.db_path.is_shared() {
            // Of such only one can start.
            return;
        }
        make_folder(config.key_file.parent().unwrap()).unwrap();
        MasterKey::load_or_create(&config.key_file).unwrap();
        let start = async || {
            let opened = open(&config, clock.clone()).await.unwrap();
            let login = first_account(&opened, &config, &clock).await.unwrap();
            (opened, login.is_some())
        };

        let (one, other) = tokio::join!(start(), start());

        assert!(one.1 != other.1, "one of them tells the password");
        let mut conn = other.0.store.meta.read().await.unwrap();
        assert_eq!(spaces::shared(&mut conn).await.unwrap().len(), 1);
        assert_eq!(one.0.accounts.list().await.unwrap().len(), 1);
    }

    #[tokio::test]
    async fn a_lost_key_is_not_replaced_and_a_wrong_one_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let config = config(folder.path());
        open(&config, Clock::system())
            .await
            .unwrap()
            .store
            .close()
            .await;

        std::fs::rename(&config.key_file, folder.path().join("elsewhere")).unwrap();
        let missing = open(&config, Clock::system()).await.err().unwrap();
        assert!(matches!(missing, Error::KeyMissing { .. }));
        assert!(!config.key_file.exists());

        MasterKey::load_or_create(&config.key_file).unwrap();
        let wrong = open(&config, Clock::system())
            .await
            .err()
            .unwrap()
            .to_string();
        assert!(wrong.contains("wrong master key"), "{wrong}");
    }

    #[test]
    fn a_password_set_by_the_operator_is_not_printed() {
        let config = Config {
            admin_password: Some(Secret::new("hunter22")),
            ..Config::default()
        };
        let login = FirstLogin { made: None };
        let text = greeting(&config, Origin::Created, Some(&login), "http://x");
        assert!(!text.contains("hunter22"));
        assert!(
            text.contains("http://x/dav/") && text.contains("master.key"),
            "{text}"
        );
        assert_eq!(greeting(&config, Origin::Found, None, "http://x"), "");
    }

    #[test]
    fn the_url_can_be_opened_from_this_machine() {
        assert_eq!(
            url("0.0.0.0:80".parse().unwrap(), false),
            "http://localhost:80"
        );
        assert_eq!(
            url("[::]:81".parse().unwrap(), true),
            "https://localhost:81"
        );
        assert_eq!(url("[::1]:82".parse().unwrap(), false), "http://[::1]:82");
    }
}
