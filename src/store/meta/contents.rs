//! stub
use super::Conn;
use crate::store::{Result, content::Staged};
use crate::types::{ContentId, SpaceId};
/// Stub.
pub async fn insert(_conn: &mut Conn, _space: SpaceId, _staged: &Staged) -> Result<ContentId> {
    todo!()
}
