//! Single headers, each refused when malformed, because dav-server would ignore it instead.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};

use super::Verb;
use crate::server::webdav::context::Depth;
use crate::server::webdav::errors::Refusal;
use crate::server::webdav::text::parse_unix_seconds;
use crate::store::content::Checksum;
use crate::tree::{Overwrite, Precondition};
use crate::types::{ETag, Millis};

/// Longest list of entity tags, in bytes; clients send one or two.
const MAX_TAGS_BYTES: usize = 8 * 1024;

/// The only value of a header that must not be repeated.
pub(super) fn single<'a>(
    headers: &'a HeaderMap,
    name: &HeaderName,
) -> Result<Option<&'a HeaderValue>, Refusal> {
    let mut values = headers.get_all(name).iter();
    let first = values.next();
    if values.next().is_some() {
        return Err(Refusal::bad(&format!("{name} was sent twice")));
    }
    Ok(first)
}

/// The only value of a header, as text.
pub(super) fn text(headers: &HeaderMap, name: &'static str) -> Result<Option<String>, Refusal> {
    let Some(value) = single(headers, &HeaderName::from_static(name))? else {
        return Ok(None);
    };
    let text = value
        .to_str()
        .map_err(|_| Refusal::bad(&format!("{name} is not ASCII")))?;
    Ok(Some(text.trim().to_owned()))
}

/// `Depth` (RFC 4918 §10.2).
pub(crate) fn depth(headers: &mut HeaderMap) -> Result<Option<Depth>, Refusal> {
    let Some(value) = text(headers, "depth")? else {
        return Ok(None);
    };
    let (depth, canonical) = match value.as_str() {
        "0" => (Depth::Zero, "0"),
        "1" => (Depth::One, "1"),
        other if other.eq_ignore_ascii_case("infinity") => (Depth::Infinity, "infinity"),
        _ => return Err(Refusal::bad("Depth must be 0, 1 or infinity")),
    };
    headers.insert("depth", HeaderValue::from_static(canonical));
    Ok(Some(depth))
}

/// `Overwrite` (RFC 4918 §10.6); the header is taken out. iOS clients send `true` on PUT.
pub(super) fn overwrite(headers: &mut HeaderMap) -> Result<Overwrite, Refusal> {
    let value = text(headers, "overwrite")?;
    headers.remove("overwrite");
    match value.as_deref() {
        None | Some("T" | "t" | "true") => Ok(Overwrite::Yes),
        Some("F" | "f" | "false") => Ok(Overwrite::No),
        Some(_) => Err(Refusal::bad("Overwrite must be T or F")),
    }
}

/// `If-Match` and `If-None-Match`, as far as they can be checked again at commit. `W/` is dropped:
/// the only weak tags we ever sent are our strong ones behind a content coding.
pub(super) fn preconditions(headers: &mut HeaderMap) -> Result<Precondition, Refusal> {
    let none_match = tags(headers, &header::IF_NONE_MATCH)?;
    let must_match = tags(headers, &header::IF_MATCH)?;
    Ok(match (must_match, none_match) {
        (_, Some(Tags::Any)) => Precondition::Absent,
        (Some(Tags::Any), _) => Precondition::Present,
        (Some(Tags::Some(tags)), _) => Precondition::Match(tags),
        (None, _) => Precondition::None,
    })
}

enum Tags {
    Any,
    Some(Vec<ETag>),
}

fn tags(headers: &mut HeaderMap, name: &HeaderName) -> Result<Option<Tags>, Refusal> {
    let mut list = Vec::new();
    let mut bytes = 0;
    for value in headers.get_all(name) {
        let text = value
            .to_str()
            .map_err(|_| Refusal::bad(&format!("{name} is not ASCII")))?;
        bytes += text.len();
        list.extend(
            text.split(',')
                .map(str::trim)
                .filter(|tag| !tag.is_empty())
                .map(str::to_owned),
        );
    }
    if bytes > MAX_TAGS_BYTES {
        return Err(Refusal::bad(&format!("{name} is too long")));
    }
    if bytes == 0 {
        headers.remove(name);
        return Ok(None);
    }
    if list.iter().any(|tag| tag == "*") {
        headers.insert(name, HeaderValue::from_static("*"));
        return Ok(Some(Tags::Any));
    }
    let tags: Vec<ETag> = list.iter().map(|tag| ETag::parse(tag)).collect();
    let canonical: Vec<String> = tags
        .iter()
        .filter(|tag| !tag.bare().contains('"'))
        .map(ToString::to_string)
        .collect();
    let canonical = if canonical.is_empty() {
        "\"\"".to_owned()
    } else {
        canonical.join(", ")
    };
    let value = HeaderValue::try_from(canonical).expect("parts of a header value are one");
    headers.insert(name, value);
    Ok(Some(Tags::Some(tags)))
}

/// A time in seconds since 1970 in `name`.
pub(super) fn unix_time(
    headers: &HeaderMap,
    name: &'static str,
) -> Result<Option<Millis>, Refusal> {
    let Some(value) = text(headers, name)? else {
        return Ok(None);
    };
    match parse_unix_seconds(&value) {
        Some(time) => Ok(Some(time)),
        None => Err(Refusal::bad(&format!("{name} must be seconds since 1970"))),
    }
}

/// `OC-Checksum`. Types we do not know are ignored, malformed ones of those we know are refused.
pub(super) fn checksum(headers: &mut HeaderMap) -> Result<Option<Checksum>, Refusal> {
    const KNOWN: [&str; 4] = ["SHA1", "SHA256", "MD5", "ADLER32"];
    let value = text(headers, "oc-checksum")?;
    headers.remove("oc-checksum");
    let Some(value) = value.filter(|value| !value.is_empty()) else {
        return Ok(None);
    };
    let kind = value.split(':').next().unwrap_or_default();
    if !KNOWN.iter().any(|known| kind.eq_ignore_ascii_case(known)) {
        return Ok(None);
    }
    match Checksum::parse(&value) {
        Some(checksum) => Ok(Some(checksum)),
        None => Err(Refusal::bad("OC-Checksum is malformed")),
    }
}

/// The first usable entry of `Timeout` (RFC 4918 §10.7); taken out. What cannot be read counts as
/// absent, absurd lengths as very long: the engine grants what it wants anyway.
pub(super) fn timeout(headers: &mut HeaderMap) -> Option<Duration> {
    let value = headers.remove("timeout")?;
    value
        .to_str()
        .ok()?
        .split(',')
        .map(str::trim)
        .find_map(|entry| {
            if entry.eq_ignore_ascii_case("infinite") {
                return Some(Duration::from_secs(u64::from(u32::MAX)));
            }
            let (word, digits) = entry.split_at_checked(7)?;
            if !word.eq_ignore_ascii_case("second-") || digits.is_empty() {
                return None;
            }
            if !digits.bytes().all(|b| b.is_ascii_digit()) {
                return None;
            }
            Some(Duration::from_secs(u64::from(
                digits.parse().unwrap_or(u32::MAX),
            )))
        })
}

/// Bytes the body of a PUT or PATCH will have. Finder sends its files chunked and tells the length
/// in `X-Expected-Entity-Length`.
pub(super) fn expected_length(headers: &mut HeaderMap, verb: Verb) -> Result<Option<u64>, Refusal> {
    let finder = text(headers, "x-expected-entity-length")?;
    headers.remove("x-expected-entity-length");
    if !verb.streams() {
        return Ok(None);
    }
    let part = content_range(headers)?;
    let length = text(headers, "content-length")?.or(finder);
    let Some(length) = length.or_else(|| part.map(|bytes| bytes.to_string())) else {
        return Ok(None);
    };
    let Ok(bytes) = length.parse::<u64>() else {
        return Err(Refusal::bad("the length of the body is not a number"));
    };
    if i64::try_from(bytes).is_err() {
        return Err(Refusal::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "no file can be that long",
        ));
    }
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(bytes));
    Ok(Some(bytes))
}

/// Bytes a `Content-Range` on PUT covers. dav-server would take what it cannot read, such as
/// `bytes */9`, for a PUT of the whole file.
fn content_range(headers: &HeaderMap) -> Result<Option<u64>, Refusal> {
    let Some(range) = text(headers, "content-range")? else {
        return Ok(None);
    };
    let bytes = || {
        let (span, total) = range.strip_prefix("bytes ")?.split_once('/')?;
        let (first, last) = span.split_once('-')?;
        let (first, last): (u64, u64) = (first.parse().ok()?, last.parse().ok()?);
        // Positions are signed 64-bit numbers in every file system, and dav-server adds to them.
        i64::try_from(last).ok().filter(|last| *last < i64::MAX)?;
        let whole = total == "*" || total.parse().is_ok_and(|total: u64| last < total);
        (whole && first <= last).then(|| (last - first).saturating_add(1))
    };
    match bytes() {
        Some(bytes) => Ok(Some(bytes)),
        None => Err(Refusal::bad("Content-Range is malformed")),
    }
}

/// `X-Update-Range` of PATCH, whose numbers dav-server adds to.
pub(super) fn update_range(headers: &HeaderMap) -> Result<(), Refusal> {
    let Some(range) = text(headers, "x-update-range")? else {
        return Ok(());
    };
    let mut numbers = range
        .split(|c: char| !c.is_ascii_digit())
        .filter(|part| !part.is_empty());
    if numbers.all(|number| number.parse::<i64>().is_ok_and(|number| number < i64::MAX)) {
        Ok(())
    } else {
        Err(Refusal::bad("X-Update-Range is beyond any file"))
    }
}

/// A `Range` with several parts is answered with the whole file, which RFC 9110 §14.2 allows:
/// dav-server's multipart answers have no limit and wrong line ends.
pub(super) fn drop_range_lists(headers: &mut HeaderMap) {
    let list = |value: &HeaderValue| value.as_bytes().contains(&b',');
    if headers.get_all(header::RANGE).iter().any(list)
        || headers.get_all(header::RANGE).iter().count() > 1
    {
        headers.remove(header::RANGE);
    }
}

/// Shortens a last position that dav-server's arithmetic would overflow on: `bytes=5-` means the
/// same as any end beyond the file.
pub(super) fn clamp_range(headers: &mut HeaderMap) {
    let Some(range) = headers
        .get(header::RANGE)
        .and_then(|value| value.to_str().ok())
    else {
        return;
    };
    let Some((first, last)) = range
        .strip_prefix("bytes=")
        .and_then(|span| span.split_once('-'))
    else {
        return;
    };
    let huge = |text: &str| {
        let digits = text.trim();
        !digits.is_empty()
            && digits.bytes().all(|digit| digit.is_ascii_digit())
            && digits
                .parse::<i64>()
                .map_or(true, |position| position == i64::MAX)
    };
    if huge(first) {
        // Beyond any file: 416, as the largest position that can be said is.
        let beyond = HeaderValue::from_static("bytes=9223372036854775806-");
        headers.insert(header::RANGE, beyond);
    } else if huge(last) && first.trim().is_empty() {
        headers.remove(header::RANGE);
    } else if huge(last) {
        let open = HeaderValue::from_str(&format!("bytes={}-", first.trim()));
        headers.insert(
            header::RANGE,
            open.unwrap_or_else(|_| HeaderValue::from_static("bytes=0-")),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(name: &'static str, value: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(name, HeaderValue::from_str(value).unwrap());
        headers
    }

    #[test]
    fn depth_is_strict_but_for_letter_case() {
        assert_eq!(depth(&mut map("depth", "0")).unwrap(), Some(Depth::Zero));
        assert_eq!(
            depth(&mut map("depth", "INFINITY")).unwrap(),
            Some(Depth::Infinity)
        );
        assert_eq!(depth(&mut HeaderMap::new()).unwrap(), None);
        for wrong in ["2", "", "1,noroot", "-1", "infinite"] {
            assert_eq!(
                depth(&mut map("depth", wrong)).unwrap_err().status,
                400,
                "{wrong}"
            );
        }
        let mut twice = map("depth", "0");
        twice.append("depth", HeaderValue::from_static("1"));
        assert_eq!(depth(&mut twice).unwrap_err().status, 400);
    }

    #[test]
    fn an_unreadable_overwrite_never_means_yes() {
        assert_eq!(
            overwrite(&mut map("overwrite", "F")).unwrap(),
            Overwrite::No
        );
        assert_eq!(
            overwrite(&mut map("overwrite", "T")).unwrap(),
            Overwrite::Yes
        );
        assert_eq!(
            overwrite(&mut map("overwrite", "no")).unwrap_err().status,
            400
        );
    }

    #[test]
    fn weak_tags_are_compared_like_our_strong_ones() {
        let mut headers = map("if-none-match", "W/\"f1\", \"f2\"");
        assert_eq!(preconditions(&mut headers).unwrap(), Precondition::None);
        assert_eq!(headers["if-none-match"], "\"f1\", \"f2\"");
        let mut headers = map("if-match", "W/\"f1\"");
        let tag = ETag::parse("f1");
        assert_eq!(
            preconditions(&mut headers).unwrap(),
            Precondition::Match(vec![tag])
        );
        assert_eq!(headers["if-match"], "\"f1\"");
    }

    #[test]
    fn stars_become_preconditions() {
        assert_eq!(
            preconditions(&mut map("if-none-match", "*")).unwrap(),
            Precondition::Absent
        );
        assert_eq!(
            preconditions(&mut map("if-match", " * ")).unwrap(),
            Precondition::Present
        );
    }

    #[test]
    fn a_malformed_tag_matches_nothing_but_stays_a_condition() {
        let mut headers = map("if-match", "\"a\"b\"");
        assert!(matches!(
            preconditions(&mut headers).unwrap(),
            Precondition::Match(_)
        ));
        assert_eq!(headers["if-match"], "\"\"");
    }

    #[test]
    fn timeouts_of_all_shapes_are_understood() {
        let secs = |value: &str| timeout(&mut map("timeout", value)).map(|t| t.as_secs());
        assert_eq!(secs("Second-1800"), Some(1800));
        assert_eq!(
            secs("Infinite, Second-4100000000"),
            Some(u64::from(u32::MAX))
        );
        assert_eq!(secs("foo, Second-7"), Some(7));
        assert_eq!(
            secs("Second-99999999999999999999"),
            Some(u64::from(u32::MAX))
        );
        assert_eq!(secs("Second--1"), None);
        assert_eq!(secs("\u{e4}x"), None);
    }

    #[test]
    fn the_length_finder_announces_counts_when_there_is_no_other() {
        let mut headers = map("x-expected-entity-length", "12");
        assert_eq!(expected_length(&mut headers, Verb::Put).unwrap(), Some(12));
        assert_eq!(headers["content-length"], "12");
        let mut both = map("x-expected-entity-length", "12");
        both.insert("content-length", HeaderValue::from(3));
        assert_eq!(expected_length(&mut both, Verb::Put).unwrap(), Some(3));
        assert_eq!(
            expected_length(&mut map("x-expected-entity-length", "-1"), Verb::Put)
                .unwrap_err()
                .status,
            400
        );
        assert_eq!(
            expected_length(&mut HeaderMap::new(), Verb::Put).unwrap(),
            None
        );
    }

    #[test]
    fn a_part_of_a_file_tells_its_length() {
        let length = |range: &str| {
            expected_length(&mut map("content-range", range), Verb::Put)
                .map_err(|r| r.status.as_u16())
        };
        assert_eq!(length("bytes 5-9/20"), Ok(Some(5)));
        assert_eq!(length("bytes 5-9/*"), Ok(Some(5)));
        for wrong in [
            "bytes */9",
            "bytes 9-5/20",
            "bytes 5-9/9",
            "items 1-2/3",
            "bytes 5-/9",
        ] {
            assert_eq!(length(wrong), Err(400), "{wrong}");
        }
    }

    #[test]
    fn lists_of_ranges_are_dropped() {
        let mut headers = map("range", "bytes=0-1,5-6");
        drop_range_lists(&mut headers);
        assert!(headers.is_empty());
        let mut headers = map("range", "bytes=0-1");
        drop_range_lists(&mut headers);
        assert_eq!(headers.len(), 1);
    }

    #[test]
    fn times_must_be_numbers() {
        assert_eq!(
            unix_time(&map("x-oc-mtime", "5"), "x-oc-mtime").unwrap(),
            Some(Millis(5000))
        );
        assert_eq!(
            unix_time(&map("x-oc-mtime", "now"), "x-oc-mtime")
                .unwrap_err()
                .status,
            400
        );
    }

    #[test]
    fn a_range_that_ends_beyond_all_numbers_is_open() {
        for (sent, meant) in [
            ("bytes=5-18446744073709551615", Some("bytes=5-")),
            ("bytes=0-99999999999999999999999", Some("bytes=0-")),
            (
                "bytes=18446744073709551615-",
                Some("bytes=9223372036854775806-"),
            ),
            ("bytes=-18446744073709551615", None),
            ("bytes=-5", Some("bytes=-5")),
            ("bytes=2-3", Some("bytes=2-3")),
            ("lines=1-2", Some("lines=1-2")),
        ] {
            let mut headers = map("range", sent);
            clamp_range(&mut headers);
            let left = headers.get("range").map(|value| value.to_str().unwrap());
            assert_eq!(left, meant, "{sent}");
        }
    }
}
