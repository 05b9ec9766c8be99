//! Single values.

use sqlx::sqlite::SqliteConnection;

use super::{Error, Journal};

const GET: &str = "SELECT value FROM state WHERE key = $1";
const SET: &str = "INSERT OR REPLACE INTO state (key, value) VALUES ($1, $2)";
const CLEAR: &str = "DELETE FROM state WHERE key = $1";

/// What is kept as a single value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// How far the server's changes were heard.
    Cursor,
    /// The node that is the account's root.
    Root,
    /// Milliseconds since 1970 of the last pass that left nothing undone.
    InStep,
    /// What ended the last pass, in words.
    LastError,
    /// Whether the server speaks HTTP/2 without TLS.
    Speaks,
    /// Whether everything is being heard anew: until that has come to its end nothing is known of the server.
    Hearing,
    /// Whether the server has forgotten what it told before.
    Lost,
    /// What is kept from this device, as it was at the last pull.
    Selection,
    /// The rules of folders, as they were when everything was heard last.
    Rules,
    /// How far the server's changes were heard before everything is heard anew: with it the server tells whether it is
    /// still the one that told them.
    Before,
}

impl Key {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Cursor => "cursor",
            Self::Root => "root",
            Self::InStep => "in-step",
            Self::LastError => "last-error",
            Self::Speaks => "speaks",
            Self::Hearing => "hearing",
            Self::Lost => "lost",
            Self::Selection => "selection",
            Self::Rules => "rules",
            Self::Before => "before",
        }
    }
}

impl Journal {
    /// A value, if there is one.
    pub async fn get(&self, key: Key) -> Result<Option<String>, Error> {
        self.value(key.name()).await
    }

    /// Sets or clears a value.
    pub async fn set(&self, key: Key, value: Option<&str>) -> Result<(), Error> {
        put(&mut *self.conn().await, key.name(), value).await?;
        Ok(())
    }

    /// What contents of a space are named with, as the server told it.
    pub async fn keys(&self, space: i64) -> Result<Option<String>, Error> {
        self.value(&keys_of(space)).await
    }

    /// Keeps what contents of a space are named with.
    pub async fn keep_keys(&self, space: i64, keys: &str) -> Result<(), Error> {
        put(&mut *self.conn().await, &keys_of(space), Some(keys)).await?;
        Ok(())
    }

    async fn value(&self, name: &str) -> Result<Option<String>, Error> {
        let query = sqlx::query_scalar(GET).bind(name);
        Ok(query.fetch_optional(&mut *self.conn().await).await?)
    }
}

/// Sets or clears a value; whether there was one to clear.
pub(super) async fn put(
    conn: &mut SqliteConnection,
    name: &str,
    value: Option<&str>,
) -> Result<bool, Error> {
    let query = match value {
        Some(value) => sqlx::query(SET).bind(name).bind(value),
        None => sqlx::query(CLEAR).bind(name),
    };
    Ok(query.execute(conn).await?.rows_affected() > 0)
}

fn keys_of(space: i64) -> String {
    format!("keys-{space}")
}
