//! Errors (RFC 9457).

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Media type of every error.
pub const MEDIA_TYPE: &str = "application/problem+json";
/// What every `type` begins with; the rest is a stable name.
pub const TYPE_PREFIX: &str = "urn:sync-server:problem:";

/// Why a request was refused or failed. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// `urn:sync-server:problem:` and a stable name, for programs.
    #[serde(rename = "type")]
    #[schema(pattern = "^urn:sync-server:problem:[a-z-]+$")]
    pub kind: String,
    /// The kind in words; the same for every problem of the type.
    pub title: String,
    /// The HTTP status.
    #[schema(minimum = 400, maximum = 599)]
    pub status: u16,
    /// This problem in words.
    pub detail: String,
    /// The field, query parameter or header that is wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, examples("path"))]
    pub field: Option<String>,
}

impl Problem {
    /// The stable name: the type without its prefix.
    pub fn name(&self) -> &str {
        self.kind.strip_prefix(TYPE_PREFIX).unwrap_or(&self.kind)
    }
}
