//! Texts and numbers that recur in the API, as the `OpenAPI` document describes them.
//!
//! The types of the wire hold plain strings and integers; these only say how they look.

use utoipa::ToSchema;

/// Where a node is: the names from the account's root down, a `/` before each; `/` alone is the root.
/// A name has at most 255 bytes in UTF-8 and no control characters, and is not `.` or `..`. A path has
/// at most 4096 bytes and 128 names.
#[derive(ToSchema)]
#[schema(
    pattern = r"^(?:/(?:[^./\x00-\x1f\x7f-\x9f][^/\x00-\x1f\x7f-\x9f]{0,254}|\.[^./\x00-\x1f\x7f-\x9f][^/\x00-\x1f\x7f-\x9f]{0,253}|\.\.[^/\x00-\x1f\x7f-\x9f]{1,253})?)+$",
    min_length = 1,
    max_length = 4096,
    examples("/documents/a.txt")
)]
pub struct Path(pub String);

/// An id: an integer from 1 that fits into a double.
#[derive(ToSchema)]
#[schema(minimum = 1, maximum = 9_007_199_254_740_991_i64, examples(1))]
pub struct Id(pub i64);

/// A point in time in milliseconds since 1970 (UTC), from 1601 to 9999.
#[derive(ToSchema)]
#[schema(
    minimum = -11_644_473_600_000_i64,
    maximum = 253_402_300_799_000_i64,
    examples(1_767_225_600_000_i64)
)]
pub struct Time(pub i64);

/// The number of a version, from 1; it fits into a double.
#[derive(ToSchema)]
#[schema(minimum = 1, maximum = 9_007_199_254_740_991_i64, examples(1))]
pub struct VersionNumber(pub i64);

/// A number of bytes; it fits into a double.
#[derive(ToSchema)]
#[schema(minimum = 0, maximum = 9_007_199_254_740_991_i64, examples(4096))]
pub struct Size(pub u64);

/// Changes with the bytes of a file (`f…`) or with anything below a collection (`d…`, `r…`). Without
/// quotes.
#[derive(ToSchema)]
#[schema(pattern = "^[dfr][0-9a-f-]+$", examples("f1"))]
pub struct ETag(pub String);

/// The etag of a version of a file, without quotes: `f` and a number below 2^63.
#[derive(ToSchema)]
#[schema(
    pattern = "^f(?:[1-9a-f][0-9a-f]{0,14}|[1-7][0-9a-f]{15})$",
    examples("f1")
)]
pub struct FileTag(pub String);

/// The etag of the version that a write was made from, or `none` when nothing should be there.
#[derive(ToSchema)]
#[schema(
    pattern = "^(?:none|f(?:[1-9a-f][0-9a-f]{0,14}|[1-7][0-9a-f]{15}))$",
    examples("none")
)]
pub struct Base(pub String);

/// A checksum of a whole file: the algorithm, a colon and hexadecimal digits.
#[derive(ToSchema)]
#[schema(
    pattern = "^(?:SHA256:[0-9A-Fa-f]{64}|SHA1:[0-9A-Fa-f]{40}|MD5:[0-9A-Fa-f]{32}|ADLER32:[0-9A-Fa-f]{1,8})$",
    examples("SHA256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
)]
pub struct Checksum(pub String);

/// Where a list goes on: what an earlier answer gave, unread.
#[derive(ToSchema)]
#[schema(min_length = 1, max_length = 4096)]
pub struct Cursor(pub String);

/// What a device is called, for its owner: 1 to 255 characters, no control characters.
#[derive(ToSchema)]
#[schema(
    pattern = r"^[^\x00-\x1f\x7f-\x9f]{1,255}$",
    min_length = 1,
    max_length = 255,
    examples("Laptop")
)]
pub struct Label(pub String);

/// What is searched for: 1 to 255 characters, no control characters, which no name holds.
#[derive(ToSchema)]
#[schema(
    pattern = r"^[^\x00-\x1f\x7f-\x9f]{1,255}$",
    min_length = 1,
    max_length = 255,
    examples("report")
)]
pub struct SearchText(pub String);

/// A stand-in or a root: 16 bytes as hexadecimal digits.
#[derive(ToSchema)]
#[schema(
    pattern = "^[0-9a-f]{32}$",
    examples("00112233445566778899aabbccddeeff")
)]
pub struct Digest(pub String);

/// A key: 32 bytes as hexadecimal digits.
#[derive(ToSchema)]
#[schema(pattern = "^[0-9a-f]{64}$")]
pub struct Key(pub String);

/// Bytes as they are.
#[derive(ToSchema)]
#[schema(value_type = String, format = Binary)]
pub struct Bytes(pub Vec<u8>);

/// A part of a file: its offset and its length, which is at least 1.
#[derive(ToSchema)]
#[schema(value_type = Vec<Size>, min_items = 2, max_items = 2)]
pub struct Part(pub [u64; 2]);
