//! Files and collections: single rows, children, and the walk up to the root.

use std::collections::HashSet;
use std::sync::LazyLock;

use super::rows::{Among, Insert};
use super::{Conn, sql};
use crate::store::Result;
use crate::types::{ContentId, DeviceId, Millis, Mode, NodeId, NodeName, Seq, SpaceId};

/// `node.kind` of a collection.
pub const COLLECTION: i64 = 0;
/// `node.kind` of a file.
pub const FILE: i64 = 1;

/// A row of `node`, with the checksum of its content.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct NodeRow {
    /// Node id.
    pub id: i64,
    /// Space id.
    pub space: i64,
    /// Parent node id; `None` for the root of a space.
    pub parent: Option<i64>,
    /// Name as written.
    pub name: String,
    /// [`COLLECTION`] or [`FILE`].
    pub kind: i64,
    /// Current content of a file.
    pub content: Option<i64>,
    /// Number of the current version of a file.
    pub version: i64,
    /// Bytes of a file.
    pub size: i64,
    /// Modification time, ms.
    pub mtime: i64,
    /// Creation time, ms.
    pub created: i64,
    /// When the current version arrived, ms.
    pub written: i64,
    /// Device that wrote the current version.
    pub device: Option<i64>,
    /// Last change of its own.
    pub seq: i64,
    /// Last change in its subtree.
    pub tree_seq: i64,
    /// Live bytes in its subtree; of a file its size.
    pub tree_size: i64,
    /// When it went to trash, ms.
    pub trashed: Option<i64>,
    /// Bits of [`Mode`].
    pub mode: Option<i64>,
    /// Verified checksum of the content.
    pub checksum: Option<String>,
}

impl NodeRow {
    /// Whether it can be run, and whether it is a link.
    pub fn mode(&self) -> Mode {
        Mode::read(self.mode)
    }
}

macro_rules! select_node {
    ($rest:literal) => {
        concat!(
            "SELECT n.id, n.space, n.parent, n.name, n.kind, n.content, n.version, n.size, n.mtime,
                n.created, n.written, n.device, n.seq, n.tree_seq, n.tree_size, n.trashed,
                n.mode, c.checksum
            FROM node n LEFT JOIN content c ON c.id = n.content ",
            $rest
        )
    };
}
pub(super) use select_node;

const BY_ID: &str = select_node!("WHERE n.id = $1");
const CHILD: &str = select_node!("WHERE n.parent = $1 AND n.name_key = $2 AND n.trashed IS NULL");
const MEMBERS: &str = "SELECT id, name, kind, content, version, tree_size, mtime, created, seq,
        tree_seq, mode
    FROM node WHERE parent = $1 AND name_key > $2 AND trashed IS NULL
    ORDER BY name_key LIMIT $3";
const CHECKSUMS: &str = "SELECT n.id, c.checksum FROM node n JOIN content c ON c.id = n.content
    WHERE n.parent = $1 AND n.name_key > $2 AND n.name_key <= $3 AND n.trashed IS NULL
      AND c.checksum IS NOT NULL";
static INSERT: LazyLock<Insert> = LazyLock::new(|| {
    Insert::new(
        "INSERT INTO node (id, space, parent, name, name_key, kind, content, version, size,
            tree_size, mtime, created, written, device, seq, place_seq, tree_seq, mode)",
        18,
        "",
    )
});
static TAKEN: LazyLock<Among> = LazyLock::new(|| {
    Among::new(
        "SELECT name_key FROM node WHERE parent = $1 AND name_key",
        "AND trashed IS NULL",
    )
});
const SET_CONTENT: &str = "UPDATE node SET content = $2, version = $3, size = $4, tree_size = $4,
    mtime = $5, created = $6, written = $7, device = $8, seq = $9, tree_seq = $9,
    mode = $10 WHERE id = $1";
const SET_LOOKS: &str =
    "UPDATE node SET mtime = $2, created = $3, mode = $4, seq = $5, tree_seq = $5
    WHERE id = $1";
const PLACE: &str = "UPDATE node SET parent = $2, name = $3, name_key = $4, seq = $5,
    place_seq = $5, tree_seq = $5, trashed = NULL WHERE id = $1";
const TRASH: &str = "UPDATE node SET trashed = $2, seq = $3, tree_seq = $3 WHERE id = $1";
const SET_RESTORED: &str = "UPDATE node SET restored = $2 WHERE id = $1";
const SET_TREE_SIZE: &str = "UPDATE node SET tree_size = $2 WHERE id = $1";
const DELETE: &str = "DELETE FROM node WHERE id = $1";
const TOUCH_UP: &str = "WITH RECURSIVE up (id, parent) AS (
        SELECT id, parent FROM node WHERE id = $1 AND trashed IS NULL
        UNION ALL
        SELECT n.id, n.parent FROM node n JOIN up ON n.id = up.parent WHERE n.trashed IS NULL)
    UPDATE node SET tree_seq = $2, tree_size = tree_size + $3
    WHERE id IN (SELECT id FROM up) RETURNING parent, tree_size";
const BYTES_ABOVE: &str = "WITH RECURSIVE up (id, parent, tree_size) AS (
        SELECT id, parent, tree_size FROM node WHERE id = $1 AND trashed IS NULL
        UNION ALL
        SELECT n.id, n.parent, n.tree_size
          FROM node n JOIN up ON n.id = up.parent WHERE n.trashed IS NULL)
    SELECT tree_size FROM up WHERE parent IS NULL";
const NAMES_UP: &str = "WITH RECURSIVE up (id, parent, name, trashed, dist) AS (
        SELECT id, parent, name, trashed, CAST(0 AS BIGINT) FROM node WHERE id = $1
        UNION ALL
        SELECT n.id, n.parent, n.name, n.trashed, up.dist + 1
          FROM node n JOIN up ON n.id = up.parent)
    SELECT name, trashed IS NOT NULL, parent IS NULL FROM up ORDER BY dist DESC";
const IS_BELOW: &str = "WITH RECURSIVE up (id, parent) AS (
        SELECT id, parent FROM node WHERE id = $1
        UNION ALL
        SELECT n.id, n.parent FROM node n JOIN up ON n.id = up.parent)
    SELECT count(*) FROM up WHERE id = $2";
const GONE: &str = "INSERT INTO gone (parent, name_key, name, kind, space, node, seq)
    VALUES ($1, $2, $3, $4, $5, $6, $7)
    ON CONFLICT (parent, name_key) DO UPDATE SET name = excluded.name, seq = excluded.seq,
        kind = CASE WHEN gone.kind = 0 THEN gone.kind ELSE excluded.kind END,
        node = CASE WHEN gone.node = excluded.node THEN gone.node ELSE -excluded.node END";

/// A node to be made.
#[derive(Clone, Copy, Debug)]
pub struct NewNode<'a> {
    /// Its id, drawn by [`super::spaces::turn`].
    pub id: NodeId,
    /// The space.
    pub space: SpaceId,
    /// The collection it goes into; `None` for the root of a space.
    pub parent: Option<NodeId>,
    /// Its name; `None` for the root of a space.
    pub name: Option<&'a NodeName>,
    /// Content and size of a file; `None` for a collection.
    pub content: Option<(ContentId, i64)>,
    /// Modification time.
    pub mtime: Millis,
    /// Creation time.
    pub created: Millis,
    /// Now.
    pub written: Millis,
    /// Who made it.
    pub device: Option<DeviceId>,
    /// This write's turn.
    pub seq: Seq,
    /// Whether it can be run, and whether it is a link.
    pub mode: Mode,
}

/// The new state of a file whose content changes.
#[derive(Clone, Debug)]
pub struct NewContent {
    /// The bytes.
    pub content: ContentId,
    /// Number of this version.
    pub version: i64,
    /// Bytes.
    pub size: i64,
    /// Modification time.
    pub mtime: Millis,
    /// Creation time.
    pub created: Millis,
    /// Now.
    pub written: Millis,
    /// Who wrote it.
    pub device: Option<DeviceId>,
    /// This write's turn.
    pub seq: Seq,
    /// Whether it can be run, and whether it is a link.
    pub mode: Mode,
}

/// A node, trashed or not.
pub async fn by_id(conn: &mut Conn, id: NodeId) -> Result<Option<NodeRow>> {
    Ok(sql::query_as(BY_ID).bind(id.0).fetch_optional(conn).await?)
}

/// The live child of that name (compared by NFC).
pub async fn child(conn: &mut Conn, parent: NodeId, name: &NodeName) -> Result<Option<NodeRow>> {
    let query = sql::query_as(CHILD).bind(parent.0).bind(name.key());
    Ok(query.fetch_optional(conn).await?)
}

/// What a listing needs of a child, in the order of [`MEMBERS`]: every column costs a copy for
/// every row, and listings are long.
pub type Member = (
    i64,
    String,
    i64,
    Option<i64>,
    i64,
    i64,
    i64,
    i64,
    i64,
    i64,
    Option<i64>,
);

/// Live children in the order of their names, those after `after` (an NFC key; "" = from the start).
pub async fn members(
    conn: &mut Conn,
    parent: NodeId,
    after: &str,
    limit: i64,
) -> Result<Vec<Member>> {
    let query = sql::query_as(MEMBERS)
        .bind(parent.0)
        .bind(after)
        .bind(limit);
    Ok(query.fetch_all(conn).await?)
}

/// The known checksums of the live children with names in (`after`, `upto`].
pub async fn checksums(
    conn: &mut Conn,
    parent: NodeId,
    (after, upto): (&str, &str),
) -> Result<Vec<(i64, String)>> {
    let query = sql::query_as(CHECKSUMS)
        .bind(parent.0)
        .bind(after)
        .bind(upto);
    Ok(query.fetch_all(conn).await?)
}

/// Those of the names (NFC keys) that live children of a collection have.
pub async fn taken(conn: &mut Conn, parent: NodeId, keys: &[String]) -> Result<HashSet<String>> {
    let mut taken = HashSet::new();
    for (sql, batch) in TAKEN.batches(keys) {
        let mut query = sql::query_scalar(sql).bind(parent.0);
        for key in batch {
            query = query.bind(key);
        }
        let found: Vec<String> = query.fetch_all(&mut *conn).await?;
        taken.extend(found);
    }
    Ok(taken)
}

/// Makes nodes. Ancestors are brought up to date by [`touch_up`].
pub async fn insert(conn: &mut Conn, nodes: &[NewNode<'_>]) -> Result<()> {
    for (sql, batch) in INSERT.batches(nodes) {
        let mut query = sql::query(sql);
        for new in batch {
            let (kind, size) = match new.content {
                Some((_, size)) => (FILE, size),
                None => (COLLECTION, 0),
            };
            query = query
                .bind(new.id.0)
                .bind(new.space.0)
                .bind(new.parent.map(|parent| parent.0))
                .bind(new.name.map_or("", NodeName::as_str))
                .bind(new.name.map(NodeName::key).unwrap_or_default())
                .bind(kind)
                .bind(new.content.map(|(content, _)| content.0))
                // The first version of a file.
                .bind(kind)
                .bind(size)
                .bind(size)
                .bind(new.mtime.0)
                .bind(new.created.0)
                .bind(new.written.0)
                .bind(new.device.map(|device| device.0))
                .bind(new.seq.0)
                .bind(new.seq.0)
                .bind(new.seq.0)
                .bind(new.mode.bits());
        }
        query.execute(&mut *conn).await?;
    }
    Ok(())
}

/// Gives a file other bytes.
pub async fn set_content(conn: &mut Conn, id: NodeId, new: &NewContent) -> Result<()> {
    sql::query(SET_CONTENT)
        .bind(id.0)
        .bind(new.content.0)
        .bind(new.version)
        .bind(new.size)
        .bind(new.mtime.0)
        .bind(new.created.0)
        .bind(new.written.0)
        .bind(new.device.map(|device| device.0))
        .bind(new.seq.0)
        .bind(new.mode.bits())
        .execute(conn)
        .await?;
    Ok(())
}

/// Sets what is not bytes: modification and creation time, and the mode.
pub async fn set_looks(
    conn: &mut Conn,
    id: NodeId,
    (mtime, created, mode): (Millis, Millis, Mode),
    seq: Seq,
) -> Result<()> {
    let query = sql::query(SET_LOOKS)
        .bind(id.0)
        .bind(mtime.0)
        .bind(created.0)
        .bind(mode.bits());
    query.bind(seq.0).execute(conn).await?;
    Ok(())
}

/// Puts a node (live or trashed) at a place; whatever lies below comes along untouched.
pub async fn place(
    conn: &mut Conn,
    id: NodeId,
    parent: NodeId,
    name: &NodeName,
    seq: Seq,
) -> Result<()> {
    let query = sql::query(PLACE)
        .bind(id.0)
        .bind(parent.0)
        .bind(name.as_str());
    query.bind(name.key()).bind(seq.0).execute(conn).await?;
    Ok(())
}

/// Sends a node to trash; its parent and name go on saying from where.
pub async fn trash(conn: &mut Conn, id: NodeId, at: Millis, seq: Seq) -> Result<()> {
    sql::query(TRASH)
        .bind(id.0)
        .bind(at.0)
        .bind(seq.0)
        .execute(conn)
        .await?;
    Ok(())
}

/// Notes that a collection came back from trash with all that lies below.
pub async fn set_restored(conn: &mut Conn, id: NodeId, seq: Seq) -> Result<()> {
    sql::query(SET_RESTORED)
        .bind(id.0)
        .bind(seq.0)
        .execute(conn)
        .await?;
    Ok(())
}

/// Says how many live bytes lie below a new collection.
pub async fn set_tree_size(conn: &mut Conn, id: NodeId, bytes: i64) -> Result<()> {
    sql::query(SET_TREE_SIZE)
        .bind(id.0)
        .bind(bytes)
        .execute(conn)
        .await?;
    Ok(())
}

/// Forgets a node that nothing lies below.
pub async fn delete(conn: &mut Conn, id: NodeId) -> Result<()> {
    sql::query(DELETE).bind(id.0).execute(conn).await?;
    Ok(())
}

/// Tells a collection and all above it that something below changed at `seq` by `bytes`.
///
/// Returns the live bytes of the whole space, or `None` when the collection no longer hangs on the
/// root (somebody trashed it or one above): then the caller must undo.
pub async fn touch_up(conn: &mut Conn, from: NodeId, seq: Seq, bytes: i64) -> Result<Option<i64>> {
    let rows: Vec<(Option<i64>, i64)> = sql::query_as(TOUCH_UP)
        .bind(from.0)
        .bind(seq.0)
        .bind(bytes)
        .fetch_all(conn)
        .await?;
    Ok(rows
        .into_iter()
        .find(|(parent, _)| parent.is_none())
        .map(|(_, size)| size))
}

/// The live bytes of the space that a collection hangs in; `None` when it no longer hangs on the root.
pub async fn bytes_above(conn: &mut Conn, from: NodeId) -> Result<Option<i64>> {
    let query = sql::query_scalar(BYTES_ABOVE).bind(from.0);
    Ok(query.fetch_optional(conn).await?)
}

/// The names from the space's root (excluded) down to the node; `None` when it is not reachable.
pub async fn names_up(conn: &mut Conn, id: NodeId) -> Result<Option<Vec<String>>> {
    let rows: Vec<(String, bool, bool)> =
        sql::query_as(NAMES_UP).bind(id.0).fetch_all(conn).await?;
    let live = rows.iter().all(|(_, trashed, _)| !trashed);
    if !live || !rows.first().is_some_and(|(_, _, root)| *root) {
        return Ok(None);
    }
    Ok(Some(
        rows.into_iter().skip(1).map(|(name, ..)| name).collect(),
    ))
}

/// Whether `node` is `ancestor` or lies below it.
pub async fn is_below(conn: &mut Conn, node: NodeId, ancestor: NodeId) -> Result<bool> {
    let query = sql::query_scalar::<i64>(IS_BELOW)
        .bind(node.0)
        .bind(ancestor.0);
    Ok(query.fetch_one(conn).await? > 0)
}

/// Notes that a name vanished from a collection, for sync reports. A negative node says that more
/// than one has left that name.
pub async fn put_gone(conn: &mut Conn, row: &NodeRow, seq: Seq) -> Result<()> {
    let Some(parent) = row.parent else {
        return Ok(());
    };
    let key = NodeName::parse(&row.name).map_or_else(|_| row.name.clone(), |name| name.key());
    let query = sql::query(GONE)
        .bind(parent)
        .bind(key)
        .bind(&row.name)
        .bind(row.kind);
    query
        .bind(row.space)
        .bind(row.id)
        .bind(seq.0)
        .execute(conn)
        .await?;
    Ok(())
}

/// Every statement here, for the test that prepares them all.
#[cfg(test)]
pub(super) fn statements() -> Vec<&'static str> {
    let mut all = vec![
        BY_ID,
        CHILD,
        MEMBERS,
        CHECKSUMS,
        SET_CONTENT,
        SET_LOOKS,
        PLACE,
        TRASH,
        SET_RESTORED,
        SET_TREE_SIZE,
        DELETE,
        TOUCH_UP,
        BYTES_ABOVE,
        NAMES_UP,
        IS_BELOW,
        GONE,
    ];
    all.extend(INSERT.texts());
    all.extend(TAKEN.texts());
    all
}
