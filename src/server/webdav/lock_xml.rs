//! Locks as XML, for `lockdiscovery` and the answer to LOCK.

use std::fmt::Write as _;

use super::text::{encode_path, escape_text};
use crate::tree::Lock;
use crate::types::Millis;

/// Seconds until `lock` ends.
pub(crate) fn remaining(lock: &Lock, now: Millis) -> u64 {
    let millis = lock.expires.0.saturating_sub(now.0).max(0);
    (millis.unsigned_abs() / 1000).min(lock.timeout_secs)
}

/// Appends a `DAV:activelock` (RFC 4918 §14.1).
pub(crate) fn active_lock(out: &mut String, prefix: &str, lock: &Lock, seconds: u64) {
    out.push_str("<d:activelock><d:lockscope>");
    out.push_str(if lock.shared {
        "<d:shared/>"
    } else {
        "<d:exclusive/>"
    });
    out.push_str("</d:lockscope><d:locktype><d:write/></d:locktype><d:depth>");
    out.push_str(if lock.deep { "infinity" } else { "0" });
    out.push_str("</d:depth>");
    if let Some(owner) = &lock.owner {
        out.push_str(&String::from_utf8_lossy(owner));
    }
    write!(out, "<d:timeout>Second-{seconds}</d:timeout>")
        .expect("writing to a String cannot fail");
    out.push_str("<d:locktoken><d:href>");
    escape_text(out, &lock.token);
    out.push_str("</d:href></d:locktoken><d:lockroot><d:href>");
    out.push_str(&encode_path(prefix, &lock.root, false));
    out.push_str("</d:href></d:lockroot></d:activelock>");
}

/// The body of a successful LOCK.
pub(crate) fn granted(prefix: &str, lock: &Lock) -> String {
    let mut out = String::from(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?><d:prop xmlns:d=\"DAV:\"><d:lockdiscovery>",
    );
    active_lock(&mut out, prefix, lock, lock.timeout_secs);
    out.push_str("</d:lockdiscovery></d:prop>");
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{AccountId, NodeId, NodePath};

    #[test]
    fn a_lock_is_told_with_its_owner_and_what_is_left_of_it() {
        let lock = Lock {
            token: "urn:uuid:1".into(),
            node: NodeId(7),
            root: NodePath::parse("/a b").unwrap(),
            account: AccountId(1),
            principal: "alice".into(),
            deep: true,
            shared: false,
            owner: Some(b"<D:owner xmlns:D=\"DAV:\">me</D:owner>".to_vec()),
            timeout_secs: 600,
            expires: Millis(100_000),
        };
        assert_eq!(remaining(&lock, Millis(90_500)), 9);
        assert_eq!(remaining(&lock, Millis(200_000)), 0);
        insta::assert_snapshot!(granted("/dav/", &lock), @r#"<?xml version="1.0" encoding="utf-8"?><d:prop xmlns:d="DAV:"><d:lockdiscovery><d:activelock><d:lockscope><d:exclusive/></d:lockscope><d:locktype><d:write/></d:locktype><d:depth>infinity</d:depth><D:owner xmlns:D="DAV:">me</D:owner><d:timeout>Second-600</d:timeout><d:locktoken><d:href>urn:uuid:1</d:href></d:locktoken><d:lockroot><d:href>/dav/a%20b</d:href></d:lockroot></d:activelock></d:lockdiscovery></d:prop>"#);
    }
}
