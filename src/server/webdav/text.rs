//! Small pieces of text as the wire wants them: escaped XML, percent-encoded hrefs, dates.

use std::fmt::Write as _;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::xml::is_xml_char;
use crate::types::{Millis, NodePath};

/// What stays as it is in an href. Old gvfs compares hrefs as text and does not encode parentheses.
const HREF: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~')
    .remove(b'(')
    .remove(b')');

/// Appends one percent-encoded name, hex digits in upper case.
pub(crate) fn encode_name(out: &mut String, name: &str) {
    utf8_percent_encode(name, HREF).for_each(|piece| out.push_str(piece));
}

/// The percent-encoded form of `prefix` (decoded, slashes at both ends) and the path below it.
pub(crate) fn encode_path(prefix: &str, path: &NodePath, collection: bool) -> String {
    let mut out = encode_prefix(prefix);
    for (index, name) in path.names().iter().enumerate() {
        if index > 0 {
            out.push('/');
        }
        encode_name(&mut out, name.as_str());
    }
    if collection && !path.is_root() {
        out.push('/');
    }
    out
}

/// The percent-encoded form of a decoded prefix.
pub(crate) fn encode_prefix(prefix: &str) -> String {
    let mut out = String::with_capacity(prefix.len() + 64);
    for (index, name) in prefix.split('/').enumerate() {
        if index > 0 {
            out.push('/');
        }
        encode_name(&mut out, name);
    }
    out
}

/// Appends character data. What XML cannot hold at all (U+FFFE, U+FFFF) becomes U+FFFD.
pub(crate) fn escape_text(out: &mut String, text: &str) {
    escape(out, text, |c| matches!(c, '&' | '<' | '>'));
}

/// Appends the inside of a double-quoted attribute value.
pub(crate) fn escape_attribute(out: &mut String, text: &str) {
    escape(out, text, |c| {
        matches!(c, '&' | '<' | '>' | '"' | '\t' | '\n' | '\r')
    });
}

fn escape(out: &mut String, text: &str, special: impl Fn(char) -> bool) {
    let mut rest = text;
    while let Some(at) = rest.find(|c| special(c) || !is_xml_char(c)) {
        out.push_str(&rest[..at]);
        let Some(c) = rest[at..].chars().next() else {
            break;
        };
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\t' => out.push_str("&#9;"),
            '\n' => out.push_str("&#10;"),
            '\r' => out.push_str("&#13;"),
            _ => out.push('\u{fffd}'),
        }
        rest = &rest[at + c.len_utf8()..];
    }
    out.push_str(rest);
}

/// A point in time taken apart (proleptic Gregorian calendar, UTC).
struct Civil {
    year: i64,
    month: usize,
    day: i64,
    weekday: usize,
    hour: i64,
    minute: i64,
    second: i64,
}

impl Civil {
    /// Days to date after Howard Hinnant, "chrono-compatible low-level date algorithms".
    fn of(time: Millis) -> Self {
        let secs = time.secs();
        let (days, rest) = (secs.div_euclid(86_400), secs.rem_euclid(86_400));
        let shifted = days + 719_468;
        let era = shifted.div_euclid(146_097);
        let day_of_era = shifted.rem_euclid(146_097);
        let year_of_era =
            (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted_month = (5 * day_of_year + 2) / 153;
        let month = if shifted_month < 10 {
            shifted_month + 3
        } else {
            shifted_month - 9
        };
        Self {
            year: year_of_era + era * 400 + i64::from(month <= 2),
            month: usize::try_from(month).expect("a month is 1 to 12"),
            day: day_of_year - (153 * shifted_month + 2) / 5 + 1,
            weekday: usize::try_from((days + 4).rem_euclid(7)).expect("a weekday is 0 to 6"),
            hour: rest / 3_600,
            minute: rest / 60 % 60,
            second: rest % 60,
        }
    }
}

/// Appends an IMF-fixdate (RFC 9110 §5.6.7); unlike the `httpdate` crate also before 1970.
pub(crate) fn http_date(out: &mut String, time: Millis) {
    const DAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let t = Civil::of(time);
    out.push_str(DAYS[t.weekday]);
    out.push_str(", ");
    digits(out, t.day, 2);
    out.push(' ');
    out.push_str(MONTHS[t.month - 1]);
    out.push(' ');
    digits(out, t.year, 4);
    out.push(' ');
    clock(out, &t);
    out.push_str(" GMT");
}

/// Appends an RFC 3339 time in whole seconds; the Windows redirector fails on long fractions.
pub(crate) fn rfc3339(out: &mut String, time: Millis) {
    let t = Civil::of(time);
    digits(out, t.year, 4);
    out.push('-');
    digits(out, i64::try_from(t.month).expect("a month is 1 to 12"), 2);
    out.push('-');
    digits(out, t.day, 2);
    out.push('T');
    clock(out, &t);
    out.push('Z');
}

fn clock(out: &mut String, t: &Civil) {
    digits(out, t.hour, 2);
    out.push(':');
    digits(out, t.minute, 2);
    out.push(':');
    digits(out, t.second, 2);
}

/// Appends `value` with at least `width` (2 or 4) digits.
fn digits(out: &mut String, value: i64, width: usize) {
    if width == 2 && (0..100).contains(&value) {
        let [tens, ones] = [value / 10, value % 10].map(|d| u8::try_from(d).expect("one digit"));
        out.push(char::from(b'0' + tens));
        out.push(char::from(b'0' + ones));
        return;
    }
    write!(out, "{value:0width$}").expect("writing to a String cannot fail");
}

/// Reads an HTTP date in any of its three forms, within the years files may have.
pub(crate) fn parse_http_date(text: &str) -> Option<Millis> {
    let time = Millis::from(httpdate::parse_http_date(text.trim()).ok()?);
    (Millis::MIN..=Millis::MAX).contains(&time).then_some(time)
}

/// Reads an RFC 3339 time, within the years files may have.
pub(crate) fn parse_rfc3339(text: &str) -> Option<Millis> {
    let time: jiff::Timestamp = text.trim().parse().ok()?;
    let time = Millis(time.as_millisecond());
    (Millis::MIN..=Millis::MAX).contains(&time).then_some(time)
}

/// Reads seconds since 1970 as `X-OC-Mtime` carries them; iOS clients send `1700000000.0`.
pub(crate) fn parse_unix_seconds(text: &str) -> Option<Millis> {
    let text = text.trim();
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    Millis::from_secs(whole.parse().ok()?)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn imf(millis: i64) -> String {
        let mut out = String::new();
        http_date(&mut out, Millis(millis));
        out
    }

    #[test]
    fn dates_are_written_as_the_rfcs_show_them() {
        assert_eq!(imf(784_111_777_000), "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(imf(-11_644_473_600_000), "Mon, 01 Jan 1601 00:00:00 GMT");
        assert_eq!(imf(951_782_400_000), "Tue, 29 Feb 2000 00:00:00 GMT");
        let mut out = String::new();
        rfc3339(&mut out, Millis(784_111_777_999));
        assert_eq!(out, "1994-11-06T08:49:37Z");
        assert_eq!(parse_rfc3339(&out), Some(Millis(784_111_777_000)));
    }

    #[test]
    fn seconds_are_read_with_and_without_fraction() {
        assert_eq!(
            parse_unix_seconds("1700000000"),
            Some(Millis(1_700_000_000_000))
        );
        assert_eq!(
            parse_unix_seconds(" 1700000000.0 "),
            Some(Millis(1_700_000_000_000))
        );
        for wrong in [
            "",
            "x",
            "1e9",
            "1.x",
            "99999999999999999",
            "-99999999999999",
        ] {
            assert_eq!(parse_unix_seconds(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn names_are_encoded_in_upper_case_and_parentheses_stay() {
        let mut out = String::new();
        encode_name(&mut out, "ä (1) & b?#%'");
        assert_eq!(out, "%C3%A4%20(1)%20%26%20b%3F%23%25%27");
        let path = NodePath::parse("/a b/c").unwrap();
        assert_eq!(encode_path("/dav/", &path, true), "/dav/a%20b/c/");
        assert_eq!(
            encode_path("/f/al ice/", &NodePath::root(), true),
            "/f/al%20ice/"
        );
    }

    #[test]
    fn text_is_escaped_and_noncharacters_are_replaced() {
        let mut out = String::new();
        escape_text(&mut out, "a<b>&\"c\u{ffff}d");
        assert_eq!(out, "a&lt;b&gt;&amp;\"c\u{fffd}d");
    }

    proptest! {
        #[test]
        fn http_dates_agree_with_the_crate_after_1970(secs in 0i64..253_402_300_800) {
            let time = std::time::SystemTime::from(Millis(secs * 1000));
            prop_assert_eq!(imf(secs * 1000), httpdate::fmt_http_date(time));
        }

        #[test]
        fn hrefs_read_back(text in "/[^\u{0}-\u{1f}\u{7f}-\u{9f}/]{1,40}") {
            if let Ok(path) = NodePath::parse(&text) {
                let href = encode_path("/", &path, false);
                prop_assert!(href.is_ascii());
                prop_assert_eq!(NodePath::from_url(&href).unwrap(), path);
            }
        }
    }
}
