//! What `fsck` asks: each statement gives rows that contradict others, within a window of ids. One
//! statement sees one state, also while others write; a window of a single id asks again for a row.

use super::{Conn, sql};
use crate::crypto::SegmentId;
use crate::store::Result;
use crate::types::{ContentId, NodeId, SpaceId};

/// How far up a path is followed: more than any has, less than a circle.
macro_rules! path {
    ($rest:literal) => {
        concat!(
            "WITH RECURSIVE up (id, parent, name, trashed, dist) AS (
                SELECT id, parent, name, trashed, CAST(0 AS BIGINT) FROM node WHERE id = $1
                UNION ALL
                SELECT n.id, n.parent, n.name, n.trashed, up.dist + 1
                  FROM node n JOIN up ON n.id = up.parent WHERE up.dist < 300) ",
            $rest
        )
    };
}

// Node ids carry their space in the bits above 2^36; see NodeId::nth.
const SPACES: &str = "SELECT s.id, s.name, s.root, s.seq, s.last_node, s.locks,
        (SELECT count(*) FROM lock WHERE lock.space = s.id) AS locked,
        (SELECT COALESCE(MAX(seq), 0) FROM node WHERE node.space = s.id) AS node_seq,
        (SELECT COALESCE(MAX(seq), 0) FROM tombstone WHERE tombstone.space = s.id) AS buried_seq,
        (SELECT COALESCE(MAX(seq), 0) FROM gone WHERE gone.space = s.id) AS gone_seq,
        (SELECT COALESCE(MAX(id), 0) FROM node
          WHERE id >= s.id * 68719476736 AND id < (s.id + 1) * 68719476736) AS last_id,
        COALESCE(r.tree_seq, 0) AS tree_seq,
        (r.id IS NOT NULL AND r.kind = 0 AND r.parent IS NULL AND r.trashed IS NULL
            AND r.space = s.id) AS rooted
    FROM space s LEFT JOIN node r ON r.id = s.root WHERE s.id > $1 AND s.id <= $2 ORDER BY s.id";
const PAGE_END: &str = "SELECT MAX(id) FROM
    (SELECT id FROM node WHERE id > $1 ORDER BY id LIMIT $2) AS page";
const LOST: &str = "SELECT n.id, n.space
    FROM node n JOIN space s ON s.id = n.space LEFT JOIN node p ON p.id = n.parent
    WHERE n.id > $1 AND n.id <= $2 AND n.trashed IS NULL AND n.id <> s.root
      AND (p.id IS NULL OR p.kind <> 0 OR p.space <> n.space) ORDER BY n.id";
// A sum is a numeric in PostgreSQL, which compares as any other number.
const SUMS: &str = "SELECT p.id, p.space
    FROM node p LEFT JOIN node n ON n.parent = p.id AND n.trashed IS NULL
    WHERE p.id > $1 AND p.id <= $2 AND p.kind = 0 GROUP BY p.id, p.space, p.tree_size
    HAVING p.tree_size <> COALESCE(SUM(n.tree_size), 0) ORDER BY p.id";
const SEQS: &str = "SELECT n.id, n.space FROM node n LEFT JOIN node p ON p.id = n.parent
    WHERE n.id > $1 AND n.id <= $2
      AND (n.seq > n.tree_seq OR (n.trashed IS NULL AND n.tree_seq > p.tree_seq)) ORDER BY n.id";
const FILES: &str = "SELECT n.id, n.space, CASE WHEN c.space = n.space THEN c.size END
    FROM node n LEFT JOIN content c ON c.id = n.content
    WHERE n.id > $1 AND n.id <= $2 AND n.kind = 1
      AND (c.id IS NULL OR c.space <> n.space OR c.size <> n.size OR n.tree_size <> n.size)
    ORDER BY n.id";
const VERSIONS: &str =
    "SELECT v.node, n.space, v.number, CASE WHEN c.space = n.space THEN c.size END
    FROM version v JOIN node n ON n.id = v.node LEFT JOIN content c ON c.id = v.content
    WHERE v.node > $1 AND v.node <= $2
      AND (c.id IS NULL OR c.space <> n.space OR c.size <> v.size) ORDER BY v.node, v.number";
const NAMES: &str = "SELECT n.id, n.space, n.name, n.name_key
    FROM node n JOIN space s ON s.id = n.space
    WHERE n.id > $1 AND n.id <= $2 AND n.id <> s.root ORDER BY n.id";
const CIRCLES: &str = "WITH RECURSIVE sub (id) AS (
        SELECT n.id FROM node n LEFT JOIN node p ON p.id = n.parent
         WHERE n.space = $1 AND n.kind = 0
           AND (n.trashed IS NOT NULL OR p.id IS NULL OR p.kind <> 0 OR p.space <> n.space)
        UNION ALL
        SELECT n.id FROM node n JOIN sub ON n.parent = sub.id
         WHERE n.trashed IS NULL AND n.kind = 0 AND n.space = $1)
    SELECT n.id, n.parent FROM node n LEFT JOIN sub ON sub.id = n.id
     WHERE n.space = $1 AND n.kind = 0 AND sub.id IS NULL ORDER BY n.id LIMIT $2";
const PATH: &str = path!("SELECT name, trashed, parent IS NULL FROM up ORDER BY dist DESC");
const UP: &str = path!("SELECT id FROM up ORDER BY dist");
const SPACE_NAME: &str = "SELECT name FROM space WHERE id = $1";
const HOLDERS: &str = "SELECT id FROM node WHERE content = $1 ORDER BY id LIMIT $2";
const HOLDING_VERSIONS: &str = "SELECT node, number FROM version WHERE content = $1
    ORDER BY node, number LIMIT $2";
const HOLDERS_TOTAL: &str = "SELECT (SELECT count(*) FROM node WHERE content = $1)
    + (SELECT count(*) FROM version WHERE content = $1)";
const TWOFOLD: &str = "SELECT id, space FROM content
    WHERE id > $1 AND id <= $2 AND (sealed IS NULL) = (manifest IS NULL) ORDER BY id";
const LAST_CONTENT: &str = "SELECT COALESCE(MAX(id), 0) FROM content";
const FACTS: &str = "SELECT id, root, size, class IS NOT NULL, damaged IS NOT NULL FROM content
    WHERE space = $1 AND id > $2 AND id <= $3 AND manifest IS NOT NULL AND sealed IS NULL
    ORDER BY id";
const MARKED_SEALED: &str = "SELECT id FROM content
    WHERE id > $1 AND damaged IS NOT NULL AND sealed IS NOT NULL ORDER BY id LIMIT $2";
const KNOWN_FILE: &str = "SELECT EXISTS (SELECT 1 FROM segment WHERE name = $1)
    OR EXISTS (SELECT 1 FROM gone_segment WHERE name = $1)";
const GIVE_UP: &str = "INSERT INTO gone_segment (name, at, unlinked) VALUES ($1, $2, TRUE)
    ON CONFLICT (name) DO NOTHING";

/// A space and what must agree with its counters.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct SpaceFacts {
    /// Its id.
    pub id: i64,
    /// Its name.
    pub name: String,
    /// Its root collection.
    pub root: i64,
    /// The last turn.
    pub seq: i64,
    /// Nodes ever made.
    pub last_node: i64,
    /// Number of locks.
    pub locks: i64,
    /// Locks that there are.
    pub locked: i64,
    /// The latest change of any node.
    pub node_seq: i64,
    /// The latest that was purged.
    pub buried_seq: i64,
    /// The latest name that vanished.
    pub gone_seq: i64,
    /// The greatest node id.
    pub last_id: i64,
    /// The latest change below the root.
    pub tree_seq: i64,
    /// Whether the root is there, and is one.
    pub rooted: bool,
}

impl SpaceFacts {
    /// The turn that was certainly taken.
    pub fn least_seq(&self) -> i64 {
        let all = [self.node_seq, self.buried_seq, self.gone_seq, self.tree_seq];
        all.into_iter().max().unwrap_or_default()
    }

    /// The number of nodes that were certainly made.
    pub fn least_nodes(&self) -> i64 {
        let first = NodeId::nth(SpaceId(self.id), 0).0;
        (self.last_id - first).max(0)
    }
}

/// Ids behind the first, up to the second.
pub type Window = (i64, i64);

/// A row that contradicts others: its id and its space.
pub type Wrong = (i64, i64);

/// A file whose content is not there or has another size: id, space, and the content's size.
pub type WrongFile = (i64, i64, Option<i64>);

/// The same of a version: node, space, number, and the content's size.
pub type WrongVersion = (i64, i64, i64, Option<i64>);

/// The spaces of a window.
pub async fn spaces(conn: &mut Conn, window: Window) -> Result<Vec<SpaceFacts>> {
    let query = sql::query_as(SPACES).bind(window.0).bind(window.1);
    Ok(query.fetch_all(conn).await?)
}

/// The last of the next at most `limit` nodes; `None` at the end.
pub async fn page_end(conn: &mut Conn, behind: i64, limit: i64) -> Result<Option<i64>> {
    let query = sql::query_scalar(PAGE_END).bind(behind).bind(limit);
    Ok(query.fetch_one(conn).await?)
}

/// What can be wrong with nodes by themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Of {
    /// They hang on nothing.
    Lost,
    /// Their bytes are not those of what lies below.
    Sums,
    /// Something below changed later than they say.
    Seqs,
}

/// The nodes of a window with which something is wrong.
pub async fn nodes(conn: &mut Conn, of: Of, window: Window) -> Result<Vec<Wrong>> {
    let query = match of {
        Of::Lost => sql::query_as(LOST),
        Of::Sums => sql::query_as(SUMS),
        Of::Seqs => sql::query_as(SEQS),
    };
    Ok(query.bind(window.0).bind(window.1).fetch_all(conn).await?)
}

/// The files of a window that do not agree with their contents.
pub async fn files(conn: &mut Conn, window: Window) -> Result<Vec<WrongFile>> {
    let query = sql::query_as(FILES).bind(window.0).bind(window.1);
    Ok(query.fetch_all(conn).await?)
}

/// The versions of a window's files that do not agree with their contents.
pub async fn versions(conn: &mut Conn, window: Window) -> Result<Vec<WrongVersion>> {
    let query = sql::query_as(VERSIONS).bind(window.0).bind(window.1);
    Ok(query.fetch_all(conn).await?)
}

/// Id, space, name and key of a window's nodes, roots left out.
pub async fn names(conn: &mut Conn, window: Window) -> Result<Vec<(i64, i64, String, String)>> {
    let query = sql::query_as(NAMES).bind(window.0).bind(window.1);
    Ok(query.fetch_all(conn).await?)
}

/// Collections of a space from which no way leads up to anything, and their parents.
pub async fn circles(
    conn: &mut Conn,
    space: SpaceId,
    limit: i64,
) -> Result<Vec<(i64, Option<i64>)>> {
    let query = sql::query_as(CIRCLES).bind(space.0).bind(limit);
    Ok(query.fetch_all(conn).await?)
}

/// A node and those above it, as far as they go.
pub async fn up(conn: &mut Conn, node: NodeId) -> Result<Vec<i64>> {
    Ok(sql::query_scalar(UP).bind(node.0).fetch_all(conn).await?)
}

/// Names from the top down to a node, when the first above it that is in trash went there, and whether
/// the way leads to a root.
pub struct Way {
    /// The names, without that of a root.
    pub names: Vec<String>,
    /// When it, or one above it, went to trash.
    pub trashed: Option<i64>,
}

/// How a node is called.
pub async fn way(conn: &mut Conn, node: NodeId) -> Result<Way> {
    let query = sql::query_as(PATH).bind(node.0);
    let rows: Vec<(String, Option<i64>, bool)> = query.fetch_all(conn).await?;
    let trashed = rows.iter().find_map(|(_, trashed, _)| *trashed);
    let names = rows.into_iter().filter(|(.., root)| !root);
    Ok(Way {
        names: names.map(|(name, ..)| name).collect(),
        trashed,
    })
}

/// The name of a space.
pub async fn space_name(conn: &mut Conn, space: SpaceId) -> Result<Option<String>> {
    let query = sql::query_scalar(SPACE_NAME).bind(space.0);
    Ok(query.fetch_optional(conn).await?)
}

/// At most `limit` nodes and as many versions that hold a content, and how many there are in all.
pub async fn holders(
    conn: &mut Conn,
    content: ContentId,
    limit: i64,
) -> Result<(Vec<i64>, Vec<(i64, i64)>, u64)> {
    let nodes = sql::query_scalar(HOLDERS).bind(content.0).bind(limit);
    let nodes = nodes.fetch_all(&mut *conn).await?;
    let versions = sql::query_as(HOLDING_VERSIONS).bind(content.0).bind(limit);
    let versions = versions.fetch_all(&mut *conn).await?;
    let total = sql::query_scalar::<i64>(HOLDERS_TOTAL).bind(content.0);
    Ok((nodes, versions, total.fetch_one(conn).await?.unsigned_abs()))
}

/// Contents of a window that lie in two places or none, and their spaces.
pub async fn twofold(conn: &mut Conn, window: Window) -> Result<Vec<Wrong>> {
    let query = sql::query_as(TWOFOLD).bind(window.0).bind(window.1);
    Ok(query.fetch_all(conn).await?)
}

/// The last content; 0 when there is none.
pub async fn last_content(conn: &mut Conn) -> Result<i64> {
    Ok(sql::query_scalar(LAST_CONTENT).fetch_one(conn).await?)
}

/// A content in chunks: id, root, size, whether it says how it is cut, whether it has a mark.
pub type Facts = (i64, Vec<u8>, i64, bool, bool);

/// What the contents of a space say of themselves that lie in chunks.
pub async fn facts(conn: &mut Conn, space: SpaceId, window: Window) -> Result<Vec<Facts>> {
    let query = sql::query_as(FACTS)
        .bind(space.0)
        .bind(window.0)
        .bind(window.1);
    Ok(query.fetch_all(conn).await?)
}

/// The next contents behind one that lie in their rows and have marks.
pub async fn marked_sealed(conn: &mut Conn, behind: i64, limit: i64) -> Result<Vec<i64>> {
    let query = sql::query_scalar(MARKED_SEALED).bind(behind).bind(limit);
    Ok(query.fetch_all(conn).await?)
}

/// Whether a row names a segment file, or says that it is gone.
pub async fn knows_file(conn: &mut Conn, segment: SegmentId) -> Result<bool> {
    let query = sql::query_scalar(KNOWN_FILE).bind(&segment.0[..]);
    Ok(query.fetch_one(conn).await?)
}

/// Sees to it that records in a segment without a row get none: whoever still waits for some is
/// refused and sends again. Not for one that [`knows_file`].
pub async fn give_up(conn: &mut Conn, segment: SegmentId, now: i64) -> Result<()> {
    let query = sql::query(GIVE_UP).bind(&segment.0[..]).bind(now);
    query.execute(conn).await?;
    Ok(())
}

/// Every statement here, for the test that prepares them all.
#[cfg(test)]
pub(super) fn statements() -> Vec<&'static str> {
    vec![
        SPACES,
        PAGE_END,
        LOST,
        SUMS,
        SEQS,
        FILES,
        VERSIONS,
        NAMES,
        CIRCLES,
        PATH,
        UP,
        SPACE_NAME,
        HOLDERS,
        HOLDING_VERSIONS,
        HOLDERS_TOTAL,
        TWOFOLD,
        LAST_CONTENT,
        FACTS,
        MARKED_SEALED,
        KNOWN_FILE,
        GIVE_UP,
    ]
}
