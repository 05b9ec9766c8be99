//! What can be wrong with a stream.

/// A record that cannot be read. Nothing behind it can be read either.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{record} at byte {offset} of the stream: {problem}")]
pub struct StreamError {
    /// Name of the record (`COPY` …), or of what stood in its place.
    pub record: &'static str,
    /// Where in the stream it begins, in bytes.
    pub offset: u64,
    /// What is wrong.
    pub problem: Problem,
}

/// What is wrong with a record.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// The stream does not begin with `SYN1`.
    #[error("not a stream of this version")]
    Magic,
    /// No record has this kind.
    #[error("unknown kind {0}")]
    Kind(u8),
    /// A number that could be written shorter.
    #[error("{field} is not in its shortest form")]
    Overlong {
        /// The field.
        field: &'static str,
    },
    /// A number of 2^63 or more.
    #[error("{field} is too large for a number")]
    Huge {
        /// The field.
        field: &'static str,
    },
    /// More than the limit of the field.
    #[error("{field} is {value}, more than {most}")]
    TooLong {
        /// The field.
        field: &'static str,
        /// What the record says.
        value: u64,
        /// The limit.
        most: u64,
    },
    /// Offset and length together are 2^63 or more.
    #[error("offset and length together are too large")]
    Beyond,
    /// The stream ends within the record.
    #[error("the stream ends within it")]
    Truncated,
}
