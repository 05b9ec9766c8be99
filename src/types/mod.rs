//! Plain values every layer shares. No I/O, no async, no HTTP, no SQL.

mod epoch;
mod etag;
mod hex;
mod id;
mod mode;
mod path;
mod time;

pub use epoch::Epoch;
pub use etag::ETag;
pub use hex::{from_hex, hex};
pub use id::{
    AccountId, ChunkRow, ContentId, DeviceId, FamilyId, NodeId, ProcessId, Seq, SpaceId, UploadId,
};
pub use mode::Mode;
pub use path::{MAX_DEPTH, MAX_NAME_BYTES, MAX_PATH_BYTES, NodeName, NodePath, PathError};
pub use time::{Clock, Millis, millis};
