//! Request bodies that several tests send.

/// What a file manager asks of every entry of a folder.
pub const LIST: &str = r#"<?xml version="1.0" encoding="utf-8"?><D:propfind xmlns:D="DAV:"><D:prop><D:resourcetype/><D:getcontentlength/><D:getetag/><D:getlastmodified/></D:prop></D:propfind>"#;

/// Everything that RFC 4918 defines, and dead properties.
pub const ALLPROP: &str =
    r#"<?xml version="1.0"?><D:propfind xmlns:D="DAV:"><D:allprop/></D:propfind>"#;

/// A PROPFIND for `properties`, written with the prefixes `D` (`DAV:`), `oc` (ownCloud), `Z`
/// (Microsoft) and `T` (`urn:test`).
pub fn propfind(properties: &str) -> String {
    format!(
        r#"<?xml version="1.0" encoding="utf-8"?><D:propfind {PREFIXES}><D:prop>{properties}</D:prop></D:propfind>"#
    )
}

/// A PROPPATCH that sets `properties` (same prefixes).
pub fn set(properties: &str) -> String {
    format!(
        r#"<?xml version="1.0" encoding="utf-8"?><D:propertyupdate {PREFIXES}><D:set><D:prop>{properties}</D:prop></D:set></D:propertyupdate>"#
    )
}

/// A PROPPATCH that removes `properties` (same prefixes).
pub fn remove(properties: &str) -> String {
    format!(
        r#"<?xml version="1.0" encoding="utf-8"?><D:propertyupdate {PREFIXES}><D:remove><D:prop>{properties}</D:prop></D:remove></D:propertyupdate>"#
    )
}

/// A LOCK body for a write lock of `scope` (`exclusive` or `shared`).
pub fn lock(scope: &str) -> String {
    format!(
        r#"<?xml version="1.0" encoding="utf-8"?><D:lockinfo xmlns:D="DAV:"><D:lockscope><D:{scope}/></D:lockscope><D:locktype><D:write/></D:locktype><D:owner>a tester</D:owner></D:lockinfo>"#
    )
}

/// A `sync-collection` REPORT (RFC 6578) since `token`; empty for everything.
pub fn sync_collection(token: &str, level: &str) -> String {
    format!(
        r#"<?xml version="1.0" encoding="utf-8"?><D:sync-collection xmlns:D="DAV:"><D:sync-token>{token}</D:sync-token><D:sync-level>{level}</D:sync-level><D:prop><D:getetag/><D:resourcetype/></D:prop></D:sync-collection>"#
    )
}

/// An element nested `levels` deep, with `inner` in the middle.
pub fn nested(levels: usize, inner: &str) -> String {
    format!("{}{inner}{}", "<a>".repeat(levels), "</a>".repeat(levels))
}

const PREFIXES: &str = r#"xmlns:D="DAV:" xmlns:oc="http://owncloud.org/ns" xmlns:Z="urn:schemas-microsoft-com:" xmlns:T="urn:test""#;
