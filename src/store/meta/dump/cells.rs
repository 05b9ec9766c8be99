//! Rows whose columns are only known when they come.

use sqlx::postgres::PgRow;
use sqlx::sqlite::SqliteRow;
use sqlx::{Column as _, FromRow, Row as _, TypeInfo as _, ValueRef as _};

use crate::store::snapshot::{Cell, Row};

/// The values of a row of either database.
pub(super) struct Cells(pub(super) Row);

macro_rules! cells {
    ($Row:ty) => {
        impl FromRow<'_, $Row> for Cells {
            fn from_row(row: &$Row) -> Result<Self, sqlx::Error> {
                let cells = (0..row.len()).map(|at| {
                    let value = row.try_get_raw(at)?;
                    if value.is_null() {
                        return Ok(Cell::Null);
                    }
                    let kind = value.type_info();
                    match kind.name() {
                        "INTEGER" | "INT8" => row.try_get(at).map(Cell::Int),
                        "TEXT" => row.try_get(at).map(Cell::Text),
                        "BLOB" | "BYTEA" => row.try_get(at).map(Cell::Bytes),
                        other => Err(sqlx::Error::ColumnDecode {
                            index: row.column(at).name().to_owned(),
                            source: format!("a value is of type {other}").into(),
                        }),
                    }
                });
                Ok(Self(cells.collect::<Result<_, sqlx::Error>>()?))
            }
        }
    };
}

cells!(SqliteRow);
cells!(PgRow);
