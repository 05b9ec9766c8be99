//! The live properties: their names, and which of them `allprop` shows.

/// Namespace of RFC 4918.
pub(crate) const DAV: &str = "DAV:";
/// Namespace of the ownCloud and Nextcloud clients.
pub(crate) const OC: &str = "http://owncloud.org/ns";
/// Second namespace of the Nextcloud clients.
pub(crate) const NC: &str = "http://nextcloud.org/ns";
/// Namespace of `getctag`.
const CS: &str = "http://calendarserver.org/ns/";
/// Namespace of the Windows redirector.
pub(crate) const WIN32: &str = "urn:schemas-microsoft-com:";
/// Namespace of Apache's `mod_dav`, which davfs2 and cadaver ask for `executable`.
pub(crate) const APACHE: &str = "http://apache.org/dav/props/";

/// Opens a multistatus. The iOS Nextcloud app looks for the literal prefixes `d:`, `oc:` and `nc:`,
/// and some Windows clients fail on a default namespace.
pub(crate) const MULTISTATUS: &str = concat!(
    "<?xml version=\"1.0\" encoding=\"utf-8\"?>",
    "<d:multistatus xmlns:d=\"DAV:\" xmlns:oc=\"http://owncloud.org/ns\" ",
    "xmlns:nc=\"http://nextcloud.org/ns\" xmlns:cs=\"http://calendarserver.org/ns/\" ",
    "xmlns:z=\"urn:schemas-microsoft-com:\" xmlns:a=\"http://apache.org/dav/props/\">",
);

/// A property whose value the server makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Live {
    /// `DAV:resourcetype`
    ResourceType,
    /// `DAV:getcontentlength`, files only
    ContentLength,
    /// `DAV:getcontenttype`
    ContentType,
    /// `DAV:getetag`, quoted
    ETag,
    /// `DAV:getlastmodified`
    LastModified,
    /// `DAV:creationdate`
    CreationDate,
    /// `DAV:displayname`: the name
    DisplayName,
    /// `DAV:supportedlock`
    SupportedLock,
    /// `DAV:lockdiscovery`
    LockDiscovery,
    /// `DAV:quota-available-bytes` (RFC 4331)
    QuotaAvailable,
    /// `DAV:quota-used-bytes` (RFC 4331)
    QuotaUsed,
    /// `DAV:supported-report-set` (RFC 3253 §3.1.5)
    SupportedReportSet,
    /// `DAV:sync-token` (RFC 6578 §4), collections only
    SyncToken,
    /// `DAV:current-user-principal` (RFC 5397)
    CurrentUserPrincipal,
    /// `oc:id`: the id as text, with the name of the installation
    OcId,
    /// `oc:fileid`: the id as a decimal number
    OcFileId,
    /// `oc:permissions`
    OcPermissions,
    /// `oc:size`: bytes of the file or of all files below
    OcSize,
    /// `oc:checksums`, when one is known
    OcChecksums,
    /// `nc:has-preview`: never
    NcHasPreview,
    /// `cs:getctag`, collections only
    CTag,
    /// `z:Win32CreationTime`
    Win32Created,
    /// `z:Win32LastModifiedTime`
    Win32Modified,
    /// `z:Win32LastAccessTime`: as set, else the modification time
    Win32Accessed,
    /// `z:Win32FileAttributes`: as set, else derived
    Win32Attributes,
    /// `a:executable`: `T` or `F`, files only
    Executable,
}

/// One line of the table.
#[derive(Debug)]
pub(crate) struct LiveName {
    /// Which.
    pub(crate) live: Live,
    /// Namespace URI.
    pub(crate) namespace: &'static str,
    /// Local name.
    pub(crate) local: &'static str,
    /// The name with the prefix that [`MULTISTATUS`] declares.
    pub(crate) tag: &'static str,
    /// Whether `allprop` shows it: those of RFC 4918 §15.
    pub(crate) in_allprop: bool,
}

const fn name(
    live: Live,
    namespace: &'static str,
    tag: &'static str,
    local: &'static str,
    in_allprop: bool,
) -> LiveName {
    LiveName {
        live,
        namespace,
        local,
        tag,
        in_allprop,
    }
}

/// All live properties.
pub(crate) const LIVE: &[LiveName] = &[
    name(
        Live::ResourceType,
        DAV,
        "d:resourcetype",
        "resourcetype",
        true,
    ),
    name(
        Live::ContentLength,
        DAV,
        "d:getcontentlength",
        "getcontentlength",
        true,
    ),
    name(
        Live::ContentType,
        DAV,
        "d:getcontenttype",
        "getcontenttype",
        true,
    ),
    name(Live::ETag, DAV, "d:getetag", "getetag", true),
    name(
        Live::LastModified,
        DAV,
        "d:getlastmodified",
        "getlastmodified",
        true,
    ),
    name(
        Live::CreationDate,
        DAV,
        "d:creationdate",
        "creationdate",
        true,
    ),
    name(Live::DisplayName, DAV, "d:displayname", "displayname", true),
    name(
        Live::SupportedLock,
        DAV,
        "d:supportedlock",
        "supportedlock",
        true,
    ),
    name(
        Live::LockDiscovery,
        DAV,
        "d:lockdiscovery",
        "lockdiscovery",
        true,
    ),
    name(
        Live::QuotaAvailable,
        DAV,
        "d:quota-available-bytes",
        "quota-available-bytes",
        false,
    ),
    name(
        Live::QuotaUsed,
        DAV,
        "d:quota-used-bytes",
        "quota-used-bytes",
        false,
    ),
    name(
        Live::SupportedReportSet,
        DAV,
        "d:supported-report-set",
        "supported-report-set",
        false,
    ),
    name(Live::SyncToken, DAV, "d:sync-token", "sync-token", false),
    name(
        Live::CurrentUserPrincipal,
        DAV,
        "d:current-user-principal",
        "current-user-principal",
        false,
    ),
    name(Live::OcId, OC, "oc:id", "id", false),
    name(Live::OcFileId, OC, "oc:fileid", "fileid", false),
    name(
        Live::OcPermissions,
        OC,
        "oc:permissions",
        "permissions",
        false,
    ),
    name(Live::OcSize, OC, "oc:size", "size", false),
    name(Live::OcChecksums, OC, "oc:checksums", "checksums", false),
    name(
        Live::NcHasPreview,
        NC,
        "nc:has-preview",
        "has-preview",
        false,
    ),
    name(Live::CTag, CS, "cs:getctag", "getctag", false),
    name(
        Live::Win32Created,
        WIN32,
        "z:Win32CreationTime",
        "Win32CreationTime",
        false,
    ),
    name(
        Live::Win32Modified,
        WIN32,
        "z:Win32LastModifiedTime",
        "Win32LastModifiedTime",
        false,
    ),
    name(
        Live::Win32Accessed,
        WIN32,
        "z:Win32LastAccessTime",
        "Win32LastAccessTime",
        false,
    ),
    name(
        Live::Win32Attributes,
        WIN32,
        "z:Win32FileAttributes",
        "Win32FileAttributes",
        false,
    ),
    name(
        Live::Executable,
        APACHE,
        "a:executable",
        "executable",
        false,
    ),
];

/// The live property of this name.
pub(crate) fn find(namespace: &str, local: &str) -> Option<&'static LiveName> {
    LIVE.iter()
        .find(|entry| entry.local == local && entry.namespace == namespace)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_tag_is_its_local_name_behind_a_declared_prefix() {
        for entry in LIVE {
            let (prefix, local) = entry.tag.split_once(':').unwrap();
            assert_eq!(local, entry.local);
            assert!(MULTISTATUS.contains(&format!("xmlns:{prefix}=\"{}\"", entry.namespace)));
            assert_eq!(find(entry.namespace, entry.local).unwrap().live, entry.live);
        }
    }
}
