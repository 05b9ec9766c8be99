//! Times and sizes for people.

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// A point in time in local time, to the second.
pub fn time(millis: i64) -> String {
    let time = Timestamp::from_millisecond(millis).unwrap_or_default();
    time.to_zoned_datetime(TimeZone::system())
        .strftime("%Y-%m-%d %H:%M:%S")
        .to_string()
}

/// Bytes in short.
pub fn size(bytes: u64) -> String {
    bytesize::ByteSize(bytes).to_string()
}
