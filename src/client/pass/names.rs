//! Names that this program makes up.

use jiff::Timestamp;

use crate::types::{MAX_NAME_BYTES, Millis};

/// Longest part of a device's name in a file's name, in bytes.
const DEVICE_MAX: usize = 40;

/// The name of what has to get out of the way, in the form that the server uses:
/// `NAME.conflict-YYYYMMDD-HHMMSS-DEVICE.EXT`, with a number behind the device from the second attempt on.
pub fn conflict_name(name: &str, at: Millis, device: &str, attempt: u32) -> String {
    let time = Timestamp::from_millisecond(at.0).unwrap_or_default();
    let time = time.strftime("%Y%m%d-%H%M%S");
    let plain = |c: char| {
        if c.is_alphanumeric() || matches!(c, '-' | '_') {
            c
        } else {
            '-'
        }
    };
    let device: String = device.chars().map(plain).collect();
    let device = &device[..device.floor_char_boundary(DEVICE_MAX)];
    let number = if attempt == 0 {
        String::new()
    } else {
        format!("-{attempt}")
    };
    let (stem, extension) = match name.rfind('.') {
        Some(dot) if dot > 0 => name.split_at(dot),
        _ => (name, ""),
    };
    let extension = &extension[..extension.floor_char_boundary(DEVICE_MAX)];
    let mark = format!(".conflict-{time}-{device}{number}");
    let room = MAX_NAME_BYTES.saturating_sub(mark.len() + extension.len());
    let stem = &stem[..stem.floor_char_boundary(room)];
    format!("{stem}{mark}{extension}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: Millis = Millis(1_764_081_549_000);

    #[test]
    fn a_conflict_name_keeps_the_extension() {
        assert_eq!(
            conflict_name("a.txt", AT, "my laptop", 0),
            "a.conflict-20251125-143909-my-laptop.txt"
        );
        assert_eq!(
            conflict_name(".profile", AT, "x", 2),
            ".profile.conflict-20251125-143909-x-2"
        );
    }

    #[test]
    fn a_conflict_name_is_never_too_long() {
        let long = "ü".repeat(127);
        for name in [long.clone(), format!("{long}.t"), format!("a.{long}")] {
            let made = conflict_name(&name, AT, &long, 7);
            assert!(
                made.len() <= MAX_NAME_BYTES && made.contains(".conflict-"),
                "{made}"
            );
        }
    }
}
