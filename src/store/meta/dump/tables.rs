//! Which tables and columns a snapshot holds, and the statements that this makes.

use std::sync::LazyLock;

use crate::store::meta::rows::Insert;

/// What a column holds, as the databases need to know it when it is empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Int,
    Bool,
    Text,
    Bytes,
}
use Kind::{Bool, Bytes, Int, Text};

/// The column that says when a row was found damaged. Few rows have it, and it changes alone; a partial
/// index tells which.
const MARK: &str = "damaged";

/// A table of a unit.
struct Table {
    name: &'static str,
    /// The column whose windows the pages are; rows are in its order.
    key: &'static str,
    /// What changes when a row does, besides the number of rows; at most three.
    sums: &'static [&'static str],
    columns: &'static [(&'static str, Kind)],
}

/// Tables that are read by the same windows.
pub(super) struct Unit {
    /// Its number in the files.
    pub(super) code: u8,
    /// Ids of a window; `None` when the tables are one page.
    pub(super) span: Option<i64>,
    tables: &'static [Table],
}

/// The units in the order in which they are put back: what others refer to first.
pub(super) const UNITS: &[Unit] = &[
    Unit {
        code: 1,
        span: None,
        tables: &[
            Table {
                name: "setting",
                key: "key",
                sums: &[],
                columns: &[("key", Text), ("value", Text)],
            },
            Table {
                name: "space",
                key: "id",
                sums: &[],
                columns: &[
                    ("id", Int),
                    ("name", Text),
                    ("everyone", Bool),
                    ("seq", Int),
                    ("last_node", Int),
                    ("root", Int),
                    ("quota", Int),
                    ("wrapped_key", Bytes),
                    ("feed_floor", Int),
                ],
            },
            Table {
                name: "account",
                key: "id",
                sums: &[],
                columns: &[
                    ("id", Int),
                    ("name", Text),
                    ("name_key", Text),
                    ("password", Text),
                    ("admin", Bool),
                    ("epoch", Int),
                    ("space", Int),
                    ("created_at", Int),
                ],
            },
            Table {
                name: "devices",
                key: "id",
                sums: &[],
                columns: &[
                    ("id", Int),
                    ("account_id", Int),
                    ("name", Text),
                    ("type", Text),
                    ("secret_hash", Bytes),
                    ("created_at", Int),
                    ("last_sync", Int),
                    ("revoked_at", Int),
                ],
            },
            Table {
                name: "token_family",
                key: "id",
                sums: &[],
                columns: &[
                    ("id", Int),
                    ("account_id", Int),
                    ("device_id", Int),
                    ("handle", Bytes),
                    ("secret", Bytes),
                    ("spare", Bytes),
                    ("previous", Bytes),
                    ("rotated_at", Int),
                    ("created_at", Int),
                    ("expires_at", Int),
                ],
            },
        ],
    },
    Unit {
        code: 2,
        span: Some(1024),
        tables: &[Table {
            name: "segment",
            key: "id",
            sums: &["id"],
            columns: &[("id", Int), ("name", Bytes), ("space", Int)],
        }],
    },
    Unit {
        code: 3,
        span: Some(64),
        tables: &[
            Table {
                name: "node",
                key: "id",
                sums: &["seq", "tree_seq", "tree_size"],
                columns: &[
                    ("id", Int),
                    ("space", Int),
                    ("parent", Int),
                    ("name", Text),
                    ("name_key", Text),
                    ("kind", Int),
                    ("content", Int),
                    ("version", Int),
                    ("size", Int),
                    ("mtime", Int),
                    ("created", Int),
                    ("written", Int),
                    ("device", Int),
                    ("seq", Int),
                    ("place_seq", Int),
                    ("tree_seq", Int),
                    ("tree_size", Int),
                    ("trashed", Int),
                    ("restored", Int),
                    ("mode", Int),
                ],
            },
            Table {
                name: "version",
                key: "node",
                sums: &["number", "content"],
                columns: &[
                    ("node", Int),
                    ("number", Int),
                    ("content", Int),
                    ("size", Int),
                    ("mtime", Int),
                    ("written", Int),
                    ("device", Int),
                ],
            },
            Table {
                name: "prop",
                key: "node",
                sums: &["length(xml)"],
                columns: &[("node", Int), ("ns", Text), ("name", Text), ("xml", Bytes)],
            },
        ],
    },
    Unit {
        code: 4,
        span: Some(64),
        tables: &[Table {
            name: "content",
            key: "id",
            // No other column, so that an index without the bytes of small contents is enough.
            sums: &["id"],
            columns: &[
                ("id", Int),
                ("space", Int),
                ("root", Bytes),
                ("size", Int),
                ("sealed", Bytes),
                ("manifest", Bytes),
                ("checksum", Text),
                ("class", Int),
                (MARK, Int),
            ],
        }],
    },
    Unit {
        code: 5,
        span: Some(1024),
        tables: &[Table {
            name: "chunk",
            key: "id",
            sums: &["id", "segment", "start"],
            columns: &[
                ("id", Int),
                ("space", Int),
                ("blinded", Bytes),
                ("segment", Int),
                ("start", Int),
                ("stored", Int),
                ("raw", Int),
                (MARK, Int),
            ],
        }],
    },
    Unit {
        code: 6,
        span: Some(1024),
        tables: &[Table {
            name: "conflict",
            key: "id",
            sums: &["id", "COALESCE(resolved_at, 0)"],
            columns: &[
                ("id", Int),
                ("space", Int),
                ("node", Int),
                ("copy", Int),
                ("device", Int),
                ("created_at", Int),
                ("resolved_at", Int),
            ],
        }],
    },
    Unit {
        code: 7,
        span: Some(1024),
        tables: &[Table {
            name: "sync_log",
            key: "id",
            sums: &["id"],
            columns: &[
                ("id", Int),
                ("account_id", Int),
                ("device_id", Int),
                ("space_id", Int),
                ("file_id", Int),
                ("action", Text),
                ("size", Int),
                ("at", Int),
            ],
        }],
    },
    Unit {
        code: 9,
        span: None,
        tables: &[
            Table {
                name: "seal",
                key: "id",
                sums: &[],
                columns: &[("id", Int), ("space", Int), ("wrapped", Bytes)],
            },
            Table {
                name: "reseal",
                key: "one",
                sums: &[],
                columns: &[
                    ("one", Int),
                    ("segments", Int),
                    ("contents", Int),
                    ("uploads", Int),
                    ("done", Int),
                ],
            },
        ],
    },
];

/// What a snapshot leaves out: `(table, column)`, all of a table where the column is empty. What is held
/// for minutes, what only one process knows, and what cursors need that are refused afterwards.
#[cfg(test)]
pub(super) const LEFT_OUT: &[(&str, &str)] = &[
    ("space", "locks"),
    ("content", "dead"),
    ("content", "dead_at"),
    ("chunk", "dead"),
    ("segment", "process"),
    ("segment", "closing"),
    ("gone", ""),
    ("gone_segment", ""),
    ("job", ""),
    ("lock", ""),
    ("pairing_code", ""),
    ("process", ""),
    ("tombstone", ""),
    ("turn_at", ""),
    ("upload", ""),
    ("watch_pairing", ""),
];

/// Columns at the end of tables that older snapshots do not have, as `(table, column)`: empty there.
const LATER: &[(&str, &str)] = &[("content", MARK), ("chunk", MARK), ("node", "mode")];

/// Settings of one database and not of its content.
const OWN_SETTINGS: &str = "WHERE key NOT IN ('master_key_fingerprint', 'epoch', 'collect_epoch')";

/// The statements of a table.
pub(super) struct Texts {
    /// The rows of a window, or all when the unit is one page.
    pub(super) read: String,
    /// A window's number and four figures; nothing when the unit is one page.
    pub(super) probe: Option<String>,
    /// The same of the rows that have a mark, where rows can have one.
    pub(super) marks: Option<String>,
    pub(super) insert: Insert,
    pub(super) clear: String,
    pub(super) kinds: Vec<Kind>,
    /// The fewest columns that rows of a snapshot have.
    pub(super) least: usize,
}

/// The statements of each table of each unit.
pub(super) static TEXTS: LazyLock<Vec<Vec<Texts>>> = LazyLock::new(|| {
    let texts = |unit: &Unit| {
        let tables = unit.tables.iter();
        tables.map(|table| table.texts(unit.span)).collect()
    };
    UNITS.iter().map(texts).collect()
});

impl Table {
    fn texts(&self, span: Option<i64>) -> Texts {
        let Self { name, key, .. } = self;
        let names: Vec<_> = self.columns.iter().map(|(name, _)| *name).collect();
        let read: Vec<_> = self.columns.iter().map(read_as).collect();
        let range = match span {
            Some(_) => format!("WHERE {key} >= $1 AND {key} < $2"),
            None if *name == "setting" => OWN_SETTINGS.to_owned(),
            None => String::new(),
        };
        // A page has its rows in one order whatever the database.
        let order = match *name {
            "version" => "node, number",
            "prop" => "node, ns, name",
            _ => key,
        };
        let head = format!("INSERT INTO {name} ({})", names.join(", "));
        Texts {
            read: format!(
                "SELECT {} FROM {name} {range} ORDER BY {order}",
                read.join(", ")
            ),
            probe: span.map(|span| self.probe(span)),
            marks: span
                .filter(|_| names.contains(&MARK))
                .map(|span| self.marks(span)),
            insert: Insert::new(&head, names.len(), ""),
            clear: format!("DELETE FROM {name}"),
            kinds: self.columns.iter().map(|(_, kind)| *kind).collect(),
            least: names
                .iter()
                .filter(|column| !LATER.contains(&(*name, **column)))
                .count(),
        }
    }

    fn probe(&self, span: i64) -> String {
        let Self { name, key, .. } = self;
        let sums = self.sums.iter().copied().chain(["0", "0", "0"]).take(3);
        let sums: Vec<_> = sums
            .map(|sum| format!("CAST(SUM({sum}) AS BIGINT)"))
            .collect();
        format!(
            "SELECT {key} / {span}, count(*), {} FROM {name} GROUP BY {key} / {span}",
            sums.join(", ")
        )
    }

    fn marks(&self, span: i64) -> String {
        let Self { name, key, .. } = self;
        format!(
            "SELECT {key} / {span}, count(*), CAST(SUM({key}) AS BIGINT),
                CAST(SUM({MARK}) AS BIGINT), CAST(0 AS BIGINT)
            FROM {name} WHERE {MARK} IS NOT NULL GROUP BY {key} / {span}"
        )
    }
}

fn read_as((name, kind): &(&'static str, Kind)) -> String {
    match kind {
        Bool => format!("CAST(CASE WHEN {name} THEN 1 ELSE 0 END AS BIGINT)"),
        Int | Text | Bytes => (*name).to_owned(),
    }
}

/// Every statement, for the test that prepares them all.
#[cfg(test)]
pub(super) fn statements() -> Vec<&'static str> {
    let mut all = Vec::new();
    for texts in TEXTS.iter().flatten() {
        all.extend([texts.read.as_str(), texts.clear.as_str()]);
        all.extend(texts.probe.as_deref());
        all.extend(texts.marks.as_deref());
        all.extend(texts.insert.texts());
    }
    all
}

#[cfg(test)]
pub(super) fn columns() -> impl Iterator<Item = (&'static str, &'static str)> {
    let tables = UNITS.iter().flat_map(|unit| unit.tables);
    tables.flat_map(|table| {
        table
            .columns
            .iter()
            .map(|(column, _)| (table.name, *column))
    })
}
