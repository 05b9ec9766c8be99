//! Which database: a file of SQLite, or a server of PostgreSQL.

use std::fmt;
use std::path::PathBuf;

use serde::Deserialize;

/// How addresses of PostgreSQL begin.
const SCHEMES: [&str; 2] = ["postgres://", "postgresql://"];

/// Where the names are. Shown without user and password.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(from = "String")]
pub enum Database {
    /// A file of SQLite, for one server.
    File(PathBuf),
    /// The address of a PostgreSQL database, which several servers may share.
    Postgres(String),
}

impl Database {
    /// Whether several servers may use it at the same time.
    pub fn is_shared(&self) -> bool {
        matches!(self, Self::Postgres(_))
    }
}

impl From<String> for Database {
    fn from(text: String) -> Self {
        if SCHEMES.iter().any(|scheme| text.starts_with(scheme)) {
            Self::Postgres(text)
        } else {
            Self::File(text.into())
        }
    }
}

impl From<PathBuf> for Database {
    fn from(path: PathBuf) -> Self {
        Self::File(path)
    }
}

impl fmt::Display for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Postgres(address) => f.write_str(&without_secrets(address)),
        }
    }
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Host, port and database of an address; nothing when it is malformed in a way that would show a
/// piece of a password.
fn without_secrets(address: &str) -> String {
    let (scheme, rest) = address.split_once("://").unwrap_or_default();
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    if path.contains('@') {
        return format!("{scheme}://…");
    }
    let host = authority.rsplit('@').next().unwrap_or_default();
    let path = path.split(['?', '#']).next().unwrap_or_default();
    format!("{scheme}://{host}{path}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn database(text: &str) -> Database {
        text.to_owned().into()
    }

    #[test]
    fn an_address_of_postgresql_is_no_path() {
        for text in ["postgres://h/d", "postgresql://h/d"] {
            assert_eq!(database(text), Database::Postgres(text.to_owned()));
            assert!(database(text).is_shared());
        }
        for text in ["./db/sync.db", "postgres", "/x/postgres://h/d"] {
            assert_eq!(database(text), Database::File(text.into()));
        }
    }

    #[test]
    fn no_user_and_no_password_is_ever_shown() {
        for (text, shown) in [
            (
                "postgres://me:secret@db:5433/sync",
                "postgres://db:5433/sync",
            ),
            ("postgres://me:sec@ret@db/sync", "postgres://db/sync"),
            ("postgres://db/sync?password=secret", "postgres://db/sync"),
            ("postgres://db?user=me&password=secret", "postgres://db"),
            ("postgres://db/sync?password=sec@ret", "postgres://…"),
            ("postgres://me:sec/ret@db/sync", "postgres://…"),
            ("postgres://me:sec?ret@db/sync", "postgres://…"),
            ("/x/sync.db", "/x/sync.db"),
        ] {
            assert_eq!(database(text).to_string(), shown);
            assert_eq!(format!("{:?}", database(text)), shown);
        }
    }
}
