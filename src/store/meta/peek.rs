//! What tests look at and break behind everybody's back.

use super::{Conn, Meta, sql};
use crate::store::{Error, Result};
use crate::types::{ContentId, SpaceId};

/// Rows of a table.
pub async fn count(conn: &mut Conn, table: &'static str) -> Result<i64> {
    let text = match table {
        "chunk" => "SELECT count(*) FROM chunk",
        "content" => "SELECT count(*) FROM content",
        "segment" => "SELECT count(*) FROM segment",
        "process" => "SELECT count(*) FROM process",
        other => unreachable!("nobody counts {other}"),
    };
    Ok(sql::query_scalar(text).fetch_one(conn).await?)
}

/// The space with a name.
pub async fn space(conn: &mut Conn, name: &str) -> Result<Option<SpaceId>> {
    let query = sql::query_scalar("SELECT id FROM space WHERE name = $1").bind(name);
    Ok(query.fetch_optional(conn).await?.map(SpaceId))
}

/// Makes the manifests of all contents such that none can be read.
pub async fn break_manifests(meta: &Meta) -> Result<()> {
    let broken = meta.write(|conn| {
        Box::pin(async move {
            let text = "UPDATE content SET manifest = $1 WHERE manifest IS NOT NULL";
            sql::query(text).bind(b"x".as_slice()).execute(conn).await?;
            Ok::<_, Error>(())
        })
    });
    broken.await
}

/// Makes the row of a content say that it has so many bytes.
pub async fn set_size(meta: &Meta, content: ContentId, size: i64) -> Result<()> {
    let set = meta.write(move |conn| {
        Box::pin(async move {
            let query = sql::query("UPDATE content SET size = $2 WHERE id = $1");
            query.bind(content.0).bind(size).execute(conn).await?;
            Ok(())
        })
    });
    set.await
}

/// Makes the row of a content name other chunks.
pub async fn set_manifest(meta: &Meta, content: ContentId, manifest: Vec<u8>) -> Result<()> {
    let set = meta.write(move |conn| {
        Box::pin(async move {
            let query = sql::query("UPDATE content SET manifest = $2 WHERE id = $1");
            query.bind(content.0).bind(manifest).execute(conn).await?;
            Ok(())
        })
    });
    set.await
}
