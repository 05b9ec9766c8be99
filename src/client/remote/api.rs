//! The routes of `docs/API.md`, each as a call with types.

pub mod auth;
mod conflicts;
mod files;
mod sync;
mod uploads;

pub use files::Download;
pub use sync::Records;

use form_urlencoded::Serializer;

/// Longest small answer, in bytes.
const ANSWER_MAX: usize = 1024 * 1024;
/// Longest answer that tells of many nodes, in bytes: ten thousand with long paths. It is held as a whole.
const LISTING_MAX: usize = 128 * 1024 * 1024;

/// A route with a query of those parameters that have a value.
pub(super) fn route(path: &str, query: &[(&str, Option<&str>)]) -> String {
    let mut pairs = query
        .iter()
        .filter_map(|(name, value)| Some((name, (*value)?)))
        .peekable();
    if pairs.peek().is_none() {
        return path.to_owned();
    }
    // It writes a space as `+` and a plus as `%2B`.
    let mut serializer = Serializer::for_suffix(format!("{path}?"), path.len() + 1);
    serializer.extend_pairs(pairs);
    serializer.finish()
}

#[cfg(test)]
mod tests {
    use super::route;

    #[test]
    fn parameters_are_escaped_so_that_the_server_reads_what_was_meant() {
        assert_eq!(route("usage", &[("a", None)]), "usage");
        let path = "/a+b c%2F&d=e/ä?#\u{1F600}";
        let written = route(
            "files/info",
            &[("none", None), ("path", Some(path)), ("id", Some("7"))],
        );
        let query = written.strip_prefix("files/info?").unwrap();
        assert!(query.bytes().all(|byte| byte.is_ascii_graphic()), "{query}");
        assert!(
            query.contains("%2B") && query.contains("b+c%252F%26d%3De%2F%C3%A4%3F%23"),
            "{query}"
        );
        let read: Vec<_> = form_urlencoded::parse(query.as_bytes()).collect();
        assert_eq!(
            read,
            [("path".into(), path.into()), ("id".into(), "7".into())]
        );
    }
}
