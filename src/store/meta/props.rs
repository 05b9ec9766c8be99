//! Dead properties (RFC 4918 §4).

use super::{Conn, sql};
use crate::store::Result;
use crate::types::NodeId;

/// A row of `prop`.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct PropRow {
    /// The node it belongs to.
    pub node: i64,
    /// Namespace URI.
    pub ns: String,
    /// Local name.
    pub name: String,
    /// The element.
    pub xml: Vec<u8>,
}

const LIST: &str = "SELECT node, ns, name, xml FROM prop WHERE node = $1 ORDER BY ns, name";
const OF_CHILDREN: &str = "SELECT p.node, p.ns, p.name, p.xml
    FROM node n JOIN prop p ON p.node = n.id
    WHERE n.parent = $1 AND n.name_key > $2 AND n.name_key <= $3 AND n.trashed IS NULL";
const PUT: &str = "INSERT INTO prop (node, ns, name, xml) VALUES ($1, $2, $3, $4)
    ON CONFLICT (node, ns, name) DO UPDATE SET xml = excluded.xml";
const DELETE: &str = "DELETE FROM prop WHERE node = $1 AND ns = $2 AND name = $3";
const CLEAR: &str = "DELETE FROM prop WHERE node = $1";
const COPY: &str = "INSERT INTO prop (node, ns, name, xml)
    SELECT $2, ns, name, xml FROM prop WHERE node = $1";
const USED: &str = "SELECT count(*), CAST(COALESCE(SUM(length(xml)), 0) AS BIGINT)
    FROM prop WHERE node = $1";

/// The properties of a node.
pub async fn list(conn: &mut Conn, node: NodeId) -> Result<Vec<PropRow>> {
    Ok(sql::query_as(LIST).bind(node.0).fetch_all(conn).await?)
}

/// The properties of the live children with names in (`after`, `upto`].
pub async fn of_children(
    conn: &mut Conn,
    parent: NodeId,
    after: &str,
    upto: &str,
) -> Result<Vec<PropRow>> {
    let query = sql::query_as(OF_CHILDREN)
        .bind(parent.0)
        .bind(after)
        .bind(upto);
    Ok(query.fetch_all(conn).await?)
}

/// Sets or replaces a property.
pub async fn put(
    conn: &mut Conn,
    node: NodeId,
    (ns, name): (&str, &str),
    xml: &[u8],
) -> Result<()> {
    sql::query(PUT)
        .bind(node.0)
        .bind(ns)
        .bind(name)
        .bind(xml)
        .execute(conn)
        .await?;
    Ok(())
}

/// Removes a property, if it is there.
pub async fn delete(conn: &mut Conn, node: NodeId, (ns, name): (&str, &str)) -> Result<()> {
    sql::query(DELETE)
        .bind(node.0)
        .bind(ns)
        .bind(name)
        .execute(conn)
        .await?;
    Ok(())
}

/// Removes all properties of a node.
pub async fn clear(conn: &mut Conn, node: NodeId) -> Result<()> {
    sql::query(CLEAR).bind(node.0).execute(conn).await?;
    Ok(())
}

/// Copies the properties of one node to another that has none.
pub async fn copy(conn: &mut Conn, from: NodeId, to: NodeId) -> Result<()> {
    sql::query(COPY)
        .bind(from.0)
        .bind(to.0)
        .execute(conn)
        .await?;
    Ok(())
}

/// Number of properties of a node and their bytes.
pub async fn used(conn: &mut Conn, node: NodeId) -> Result<(i64, i64)> {
    Ok(sql::query_as(USED).bind(node.0).fetch_one(conn).await?)
}

/// Every statement here, for the test that prepares them all.
#[cfg(test)]
pub(super) fn statements() -> Vec<&'static str> {
    vec![LIST, OF_CHILDREN, PUT, DELETE, CLEAR, COPY, USED]
}
