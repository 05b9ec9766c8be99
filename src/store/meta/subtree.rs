//! Statements over a whole subtree: measuring, copying and forgetting it.

use std::sync::LazyLock;

use super::rows::Among;
use super::{Conn, sql};
use crate::store::Result;
use crate::types::{Millis, NodeId, NodeName, Seq};

const COUNT: &str = "WITH RECURSIVE sub (id) AS (
        SELECT CAST($1 AS BIGINT)
        UNION ALL
        SELECT n.id FROM node n JOIN sub ON n.parent = sub.id WHERE n.trashed IS NULL)
    SELECT count(*) FROM (SELECT id FROM sub LIMIT $2) AS counted";
const EXTENT: &str = "WITH RECURSIVE sub (id, depth, bytes) AS (
        SELECT id, CAST(0 AS BIGINT), CAST(0 AS BIGINT) FROM node WHERE id = $1
        UNION ALL
        SELECT n.id, sub.depth + 1, sub.bytes + octet_length(n.name) + 1
          FROM node n JOIN sub ON n.parent = sub.id WHERE n.trashed IS NULL)
    SELECT CAST(COALESCE(max(depth), 0) AS BIGINT), CAST(COALESCE(max(bytes), 0) AS BIGINT)
      FROM sub";
// The n-th node of the subtree, in the order of ids, becomes node `first + n - 1`; the props
// statement counts the same way, so that no table of old and new ids is needed.
const COPY: &str = "WITH RECURSIVE sub (id, parent) AS (
        SELECT id, parent FROM node WHERE id = $1
        UNION ALL
        SELECT n.id, n.parent FROM node n JOIN sub ON n.parent = sub.id
         WHERE n.trashed IS NULL),
    num (id, parent, fresh) AS (
        SELECT id, parent, $2 + row_number() OVER (ORDER BY id) - 1 FROM sub)
    INSERT INTO node (id, space, parent, name, name_key, kind, content, version, size, mtime,
        created, written, device, seq, place_seq, tree_seq, tree_size, mode)
    SELECT m.fresh, n.space,
           CASE WHEN n.id = $1 THEN $3 ELSE p.fresh END,
           CASE WHEN n.id = $1 THEN $4 ELSE n.name END,
           CASE WHEN n.id = $1 THEN $5 ELSE n.name_key END,
           n.kind, n.content, n.kind, n.size, n.mtime, n.created, $6, $7, $8, $8, $8, n.tree_size,
           n.mode
      FROM num m JOIN node n ON n.id = m.id LEFT JOIN num p ON p.id = n.parent";
const COPY_PROPS: &str = "WITH RECURSIVE sub (id, parent) AS (
        SELECT id, parent FROM node WHERE id = $1
        UNION ALL
        SELECT n.id, n.parent FROM node n JOIN sub ON n.parent = sub.id
         WHERE n.trashed IS NULL),
    num (id, fresh) AS (SELECT id, $2 + row_number() OVER (ORDER BY id) - 1 FROM sub)
    INSERT INTO prop (node, ns, name, xml)
    SELECT m.fresh, p.ns, p.name, p.xml FROM prop p JOIN num m ON m.id = p.node";
// What was deleted below on its own before stays in trash; its place is the root then.
macro_rules! with_trashed {
    ($rest:literal) => {
        concat!(
            "WITH RECURSIVE sub (id) AS (
                SELECT CAST($1 AS BIGINT)
                UNION ALL
                SELECT n.id FROM node n JOIN sub ON n.parent = sub.id WHERE n.trashed IS NULL) ",
            $rest
        )
    };
}

const BURY: &str = with_trashed!(
    "INSERT INTO tombstone (space, seq, node)
     SELECT n.space, $2, n.id FROM node n JOIN sub ON sub.id = n.id"
);
const FORGET: &[&str] = &[
    with_trashed!("DELETE FROM prop WHERE node IN (SELECT id FROM sub)"),
    with_trashed!("DELETE FROM version WHERE node IN (SELECT id FROM sub)"),
    with_trashed!("DELETE FROM gone WHERE parent IN (SELECT id FROM sub)"),
    with_trashed!("DELETE FROM lock WHERE node IN (SELECT id FROM sub)"),
    with_trashed!(
        "DELETE FROM conflict WHERE node IN (SELECT id FROM sub) OR copy IN (SELECT id FROM sub)"
    ),
    with_trashed!("DELETE FROM node WHERE id IN (SELECT id FROM sub)"),
];

const VERSIONS: &str = with_trashed!(
    "SELECT CAST(COALESCE(SUM(size), 0) AS BIGINT) FROM version WHERE node IN (SELECT id FROM sub)"
);
const DEEPEST: &str = "WITH RECURSIVE sub (id, depth) AS (
        SELECT CAST($1 AS BIGINT), CAST(0 AS BIGINT)
        UNION ALL
        SELECT n.id, sub.depth + 1
          FROM node n JOIN sub ON n.parent = sub.id WHERE n.trashed IS NULL)
    SELECT id FROM sub ORDER BY depth DESC, id LIMIT $2";
static BURY_SOME: LazyLock<Among> = LazyLock::new(|| {
    Among::new(
        "INSERT INTO tombstone (space, seq, node) SELECT space, CAST($1 AS BIGINT), id FROM node
         WHERE id",
        "",
    )
});
static FORGET_SOME: LazyLock<[Among; 7]> = LazyLock::new(|| {
    [
        "DELETE FROM prop WHERE node",
        "DELETE FROM version WHERE node",
        "DELETE FROM gone WHERE parent",
        "DELETE FROM lock WHERE node",
        "DELETE FROM conflict WHERE node",
        "DELETE FROM conflict WHERE copy",
        "DELETE FROM node WHERE id",
    ]
    .map(Among::only)
});

/// Where a copied subtree goes.
#[derive(Clone, Debug)]
pub struct CopyTarget<'a> {
    /// The first of as many new ids as [`count`] said.
    pub first: NodeId,
    /// The collection it goes into.
    pub parent: NodeId,
    /// The name of its top.
    pub name: &'a NodeName,
    /// Now.
    pub written: Millis,
    /// Who copies.
    pub device: Option<i64>,
    /// This write's turn.
    pub seq: Seq,
}

/// Number of live nodes in the subtree, its top included; counting stops after `most`.
pub async fn count(conn: &mut Conn, top: NodeId, most: i64) -> Result<i64> {
    let query = sql::query_scalar(COUNT).bind(top.0).bind(most);
    Ok(query.fetch_one(conn).await?)
}

/// Levels below the top, and bytes of the longest path below it; 0 for a file or an empty collection.
pub async fn extent(conn: &mut Conn, top: NodeId) -> Result<(i64, i64)> {
    Ok(sql::query_as(EXTENT).bind(top.0).fetch_one(conn).await?)
}

/// Copies a subtree with its dead properties; bytes are shared, versions stay with the original.
/// Returns the id of the new top.
pub async fn copy(conn: &mut Conn, top: NodeId, to: &CopyTarget<'_>) -> Result<NodeId> {
    sql::query(COPY)
        .bind(top.0)
        .bind(to.first.0)
        .bind(to.parent.0)
        .bind(to.name.as_str())
        .bind(to.name.key())
        .bind(to.written.0)
        .bind(to.device)
        .bind(to.seq.0)
        .execute(&mut *conn)
        .await?;
    sql::query(COPY_PROPS)
        .bind(top.0)
        .bind(to.first.0)
        .execute(&mut *conn)
        .await?;
    super::nodes::child(conn, to.parent, to.name)
        .await?
        .map(|row| NodeId(row.id))
        .ok_or(crate::store::Error::Corrupt(
            "a copied collection is not where it was put",
        ))
}

/// Forgets a trashed node and everything below it, but not what lies in trash on its own. The feed
/// goes on telling that they are gone.
pub async fn forget(conn: &mut Conn, top: NodeId, seq: Seq) -> Result<()> {
    sql::query(BURY)
        .bind(top.0)
        .bind(seq.0)
        .execute(&mut *conn)
        .await?;
    for statement in FORGET {
        sql::query(*statement)
            .bind(top.0)
            .execute(&mut *conn)
            .await?;
    }
    Ok(())
}

/// Bytes of the previous versions of all files in a trashed subtree.
pub async fn versions(conn: &mut Conn, top: NodeId) -> Result<i64> {
    let query = sql::query_scalar(VERSIONS).bind(top.0);
    Ok(query.fetch_one(conn).await?)
}

/// At most `limit` nodes of a trashed subtree, the deepest first and its top last: whatever is left
/// out lies above them.
pub async fn deepest(conn: &mut Conn, top: NodeId, limit: i64) -> Result<Vec<NodeId>> {
    let query = sql::query_scalar(DEEPEST).bind(top.0).bind(limit);
    let ids: Vec<i64> = query.fetch_all(conn).await?;
    Ok(ids.into_iter().map(NodeId).collect())
}

/// Forgets these nodes of a trashed subtree, below which there is nothing else, as [`forget`] does.
pub async fn forget_some(conn: &mut Conn, nodes: &[NodeId], seq: Seq) -> Result<()> {
    for (sql, batch) in BURY_SOME.batches(nodes) {
        let mut query = sql::query(sql).bind(seq.0);
        for node in batch {
            query = query.bind(node.0);
        }
        query.execute(&mut *conn).await?;
    }
    for statement in &*FORGET_SOME {
        for (sql, batch) in statement.batches(nodes) {
            let mut query = sql::query(sql);
            for node in batch {
                query = query.bind(node.0);
            }
            query.execute(&mut *conn).await?;
        }
    }
    Ok(())
}

/// Every statement here, for the test that prepares them all.
#[cfg(test)]
pub(super) fn statements() -> Vec<&'static str> {
    let mut all = vec![COUNT, EXTENT, COPY, COPY_PROPS, BURY, VERSIONS, DEEPEST];
    all.extend(FORGET);
    all.extend(BURY_SOME.texts());
    all.extend(FORGET_SOME.iter().flat_map(Among::texts));
    all
}
