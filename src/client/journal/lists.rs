//! How versions are cut.

use sqlx::Row as _;

use super::{Error, Journal};
use crate::chunk::Class;
use crate::chunk::plan::Listed;
use crate::client::item::ItemId;
use crate::client::local::read::List;
use crate::crypto::Blinded;

const GET: &str = "SELECT class, root, chunks FROM list WHERE item = $1 AND etag = $2";
pub(super) const INSERT_LIST: &str =
    "INSERT OR REPLACE INTO list (item, etag, space, class, root, chunks) ";
const HAS_ROOT: &str = "SELECT 1 FROM list WHERE root = $1 AND space = $2 LIMIT 1";
const HAS_SIZE: &str = "SELECT 1 FROM item WHERE size = $1 AND space = $2 LIMIT 1";
/// Bytes of a chunk in a list: stand-in and length.
const LISTED: usize = 20;

impl Journal {
    /// How a version of an item is cut, if that is known.
    pub async fn list(&self, item: ItemId, etag: &str) -> Result<Option<List>, Error> {
        let query = sqlx::query(GET).bind(item.0).bind(etag);
        let Some(row) = query.fetch_optional(&mut *self.conn().await).await? else {
            return Ok(None);
        };
        let root: &[u8] = row.try_get(1)?;
        let class = match row.try_get::<i64, _>(0)? {
            0 => Class::Small,
            _ => Class::Large,
        };
        Ok(Some(List {
            class,
            root: Blinded(root.try_into().map_err(|_| Error::Row("a root"))?),
            chunks: unpack(row.try_get(2)?)?,
        }))
    }

    /// Whether some item in a space has, or lately had, this content.
    pub async fn has_root(&self, space: i64, root: &Blinded) -> Result<bool, Error> {
        let query = sqlx::query(HAS_ROOT).bind(&root.0[..]).bind(space);
        Ok(query
            .fetch_optional(&mut *self.conn().await)
            .await?
            .is_some())
    }

    /// Whether some item in a space has so many bytes.
    pub async fn has_size(&self, space: i64, size: u64) -> Result<bool, Error> {
        let query = sqlx::query(HAS_SIZE).bind(size.cast_signed()).bind(space);
        Ok(query
            .fetch_optional(&mut *self.conn().await)
            .await?
            .is_some())
    }
}

pub(in crate::client) fn pack(chunks: &[Listed]) -> Vec<u8> {
    let entry = |(stand_in, len): &Listed| [&stand_in.0[..], &len.to_be_bytes()].concat();
    chunks.iter().flat_map(entry).collect()
}

/// Reads what [`pack`] wrote, and what a manifest holds.
pub fn unpack(bytes: &[u8]) -> Result<Vec<Listed>, Error> {
    let (entries, rest) = bytes.as_chunks::<LISTED>();
    if !rest.is_empty() {
        return Err(Error::Row("a list of chunks"));
    }
    let listed = |entry: &[u8; LISTED]| {
        let (stand_in, len) = entry.split_at(LISTED - 4);
        let stand_in = stand_in.try_into().unwrap_or_default();
        (
            Blinded(stand_in),
            u32::from_be_bytes(len.try_into().unwrap_or_default()),
        )
    };
    Ok(entries.iter().map(listed).collect())
}
