//! A statement for both databases: its text, its values, and what a row becomes. Only here is
//! decided which database takes it.

use std::borrow::Cow;
use std::io::ErrorKind;
use std::marker::PhantomData;
use std::time::Duration;

use sqlx::postgres::{PgArguments, PgRow};
use sqlx::sqlite::{SqliteArguments, SqliteRow};
use sqlx::{Arguments as _, FromRow};
use tokio::time::timeout;

use super::Conn;
use super::conn::Inner;

/// A value of a statement. There are no other kinds: times and ids are numbers, hashes are bytes.
pub(super) enum Value<'q> {
    Int(Option<i64>),
    Bool(bool),
    Text(Option<Cow<'q, str>>),
    Bytes(Option<Cow<'q, [u8]>>),
}

/// `From` for each form in which a value comes, and for its `Option`.
macro_rules! values {
    ($($from:ty => |$value:ident| $kind:ident($into:expr);)*) => { $(
        impl<'q> From<$from> for Value<'q> {
            fn from($value: $from) -> Self {
                Self::$kind(Some($into))
            }
        }
        impl<'q> From<Option<$from>> for Value<'q> {
            fn from(value: Option<$from>) -> Self {
                Self::$kind(value.map(|$value| $into))
            }
        }
    )* };
}

values! {
    i64 => |value| Int(value);
    &'q str => |value| Text(Cow::Borrowed(value));
    &'q String => |value| Text(Cow::Borrowed(value.as_str()));
    String => |value| Text(Cow::Owned(value));
    &'q [u8] => |value| Bytes(Cow::Borrowed(value));
    &'q Vec<u8> => |value| Bytes(Cow::Borrowed(value.as_slice()));
    Vec<u8> => |value| Bytes(Cow::Owned(value));
}

impl From<bool> for Value<'_> {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl<'q> From<&'q Option<String>> for Value<'q> {
    fn from(value: &'q Option<String>) -> Self {
        value.as_ref().into()
    }
}

impl<'q> From<&'q Option<Vec<u8>>> for Value<'q> {
    fn from(value: &'q Option<Vec<u8>>) -> Self {
        value.as_ref().into()
    }
}

/// What a row of either database can become: tuples and derived structs.
pub(super) trait Row:
    Send + Unpin + for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow>
{
}
impl<T> Row for T where T: Send + Unpin + for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow>
{}

/// The text of a statement: one for both databases, but for how long ones write the places of values.
#[derive(Clone, Copy)]
pub(super) struct Text {
    /// What SQLite is given.
    pub(super) lite: &'static str,
    /// What PostgreSQL is given.
    pub(super) post: &'static str,
}

impl From<&'static str> for Text {
    fn from(text: &'static str) -> Self {
        Self {
            lite: text,
            post: text,
        }
    }
}

/// A statement whose rows become `T`.
pub(super) struct Query<'q, T = ()> {
    text: Text,
    values: Vec<Value<'q>>,
    row: PhantomData<fn() -> T>,
}

/// A statement whose rows have one column.
pub(super) struct Scalar<'q, T>(Query<'q, (T,)>);

/// What a statement without rows did.
pub(super) struct Done(u64);

impl Done {
    /// How many rows it inserted, changed or deleted.
    pub(super) fn rows_affected(&self) -> u64 {
        self.0
    }
}

/// A statement that gives no rows.
pub(super) fn query<'q>(text: impl Into<Text>) -> Query<'q> {
    query_as(text)
}

/// A statement whose rows become `T`.
pub(super) fn query_as<'q, T>(text: impl Into<Text>) -> Query<'q, T> {
    Query {
        text: text.into(),
        values: Vec::new(),
        row: PhantomData,
    }
}

/// A statement whose rows have one column.
pub(super) fn query_scalar<'q, T>(text: &'static str) -> Scalar<'q, T> {
    Scalar(query_as(text))
}

impl<'q, T> Query<'q, T> {
    /// Gives the next of `$1`, `$2`, … its value.
    pub(super) fn bind(mut self, value: impl Into<Value<'q>>) -> Self {
        self.values.push(value.into());
        self
    }
}

/// SQLite's result code for an I/O error.
const SQLITE_IO: u32 = 10;
/// For a full disk.
const SQLITE_FULL: u32 = 13;

/// What kind of error it is to SQLite, when it is one.
pub(super) fn sqlite_code(error: &sqlx::Error) -> Option<u32> {
    let error = error.as_database_error()?;
    let error = error.try_downcast_ref::<sqlx::sqlite::SqliteError>()?;
    // The lower byte is the kind, the others say what was being done.
    let code: u32 = sqlx::error::DatabaseError::code(error)?.parse().ok()?;
    Some(code & 0xff)
}

/// Runs `$run` with the values and the connection of whichever database it is, and notes when it
/// fails; both arms are the same text.
macro_rules! on {
    ($query:ident, $conn:ident, |$text:ident, $arguments:ident, $at:ident| $run:expr) => {{
        let done = match &mut $conn.inner {
            Inner::Lite($at) => {
                let ($text, $arguments) = ($query.text.lite, for_sqlite($query.values)?);
                let $at = &mut **$at;
                $run
            }
            Inner::Post($at) => {
                let ($text, $arguments) = ($query.text.post, for_postgres($query.values)?);
                let $at = &mut **$at;
                let answered = timeout($conn.patience, async { $run }).await;
                answered.unwrap_or_else(|_elapsed| Err(silent()))
            }
        };
        if let Err(error) = &done {
            $conn.failed = true;
            if is_silence(error) {
                $conn.patience = Duration::ZERO;
                $conn.discard();
            }
            let code = sqlite_code(error);
            $conn.broken |= code == Some(SQLITE_IO);
            $conn.full |= code == Some(SQLITE_FULL);
        }
        done
    }};
}

/// What stands for an answer that does not come.
pub(super) fn silent() -> sqlx::Error {
    sqlx::Error::Io(ErrorKind::TimedOut.into())
}

fn is_silence(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::Io(error) if error.kind() == ErrorKind::TimedOut)
}

impl Query<'_> {
    pub(super) async fn execute(self, conn: &mut Conn) -> Result<Done, sqlx::Error> {
        on!(self, conn, |text, values, at| {
            let done = sqlx::query_with(text, values).execute(at).await;
            done.map(|done| Done(done.rows_affected()))
        })
    }
}

impl<T: Row> Query<'_, T> {
    pub(super) async fn fetch_all(self, conn: &mut Conn) -> Result<Vec<T>, sqlx::Error> {
        on!(self, conn, |text, values, at| {
            sqlx::query_as_with(text, values).fetch_all(at).await
        })
    }

    pub(super) async fn fetch_optional(self, conn: &mut Conn) -> Result<Option<T>, sqlx::Error> {
        on!(self, conn, |text, values, at| {
            let query = sqlx::query_as_with(text, values);
            query.fetch_optional(at).await
        })
    }

    /// The first row; an error when there is none.
    pub(super) async fn fetch_one(self, conn: &mut Conn) -> Result<T, sqlx::Error> {
        let row = self.fetch_optional(conn).await?;
        row.ok_or(sqlx::Error::RowNotFound)
    }
}

impl<'q, T> Scalar<'q, T> {
    /// Gives the next of `$1`, `$2`, … its value.
    pub(super) fn bind(self, value: impl Into<Value<'q>>) -> Self {
        Self(self.0.bind(value))
    }
}

impl<T> Scalar<'_, T>
where
    (T,): Row,
{
    pub(super) async fn fetch_all(self, conn: &mut Conn) -> Result<Vec<T>, sqlx::Error> {
        let rows = self.0.fetch_all(conn).await?;
        Ok(rows.into_iter().map(|(value,)| value).collect())
    }

    pub(super) async fn fetch_optional(self, conn: &mut Conn) -> Result<Option<T>, sqlx::Error> {
        Ok(self.0.fetch_optional(conn).await?.map(|(value,)| value))
    }

    /// The value of the first row; an error when there is none.
    pub(super) async fn fetch_one(self, conn: &mut Conn) -> Result<T, sqlx::Error> {
        Ok(self.0.fetch_one(conn).await?.0)
    }
}

macro_rules! arguments {
    ($name:ident -> $Arguments:ty, |$text:ident| $checked:expr) => {
        fn $name(values: Vec<Value<'_>>) -> Result<$Arguments, sqlx::Error> {
            let mut all = <$Arguments>::default();
            for value in values {
                let added = match value {
                    Value::Int(value) => all.add(value),
                    Value::Bool(value) => all.add(value),
                    Value::Text($text) => all.add($checked.map(Cow::into_owned)),
                    Value::Bytes(value) => all.add(value.map(Cow::into_owned)),
                };
                added.map_err(sqlx::Error::Encode)?;
            }
            Ok(all)
        }
    };
}

arguments!(for_sqlite -> SqliteArguments, |text| text);
arguments!(for_postgres -> PgArguments, |text| without_nul(text)?);

/// PostgreSQL keeps no NUL in texts. Said here, because an answer of its own ends the transaction.
fn without_nul(text: Option<Cow<'_, str>>) -> Result<Option<Cow<'_, str>>, sqlx::Error> {
    match text {
        Some(text) if text.contains('\0') => Err(sqlx::Error::Encode("a text holds NUL".into())),
        text => Ok(text),
    }
}
