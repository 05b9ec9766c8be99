//! What single clients need beyond the RFCs. Each entry names the client.

use http::HeaderMap;
use http::header::USER_AGENT;

/// What happens to the files macOS leaves beside everything (`._name`, `.DS_Store`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AppleFiles {
    /// Treated like any other file.
    #[default]
    Keep,
    /// Stored, but left out of listings.
    Hide,
    /// Accepted and thrown away. Refusing them would fail the whole copy in Finder.
    Swallow,
}

/// Whether macOS made up this name.
pub(crate) fn is_apple_file(name: &str) -> bool {
    name.starts_with("._") || name == ".DS_Store"
}

/// Microsoft Office sets properties on the file it has locked itself without sending the token.
pub(crate) fn forgets_its_token(headers: &HeaderMap) -> bool {
    headers
        .get(USER_AGENT)
        .and_then(|agent| agent.to_str().ok())
        .is_some_and(|agent| agent.starts_with("Microsoft Office"))
}

/// Media types a browser would run scripts of, from the origin of our own web page.
pub(crate) fn is_active_content(media_type: &str) -> bool {
    let essence = media_type.split(';').next().unwrap_or_default().trim();
    essence.ends_with("xml")
        || ["text/html", "text/javascript", "application/javascript"].contains(&essence)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finder_names_are_known() {
        assert!(is_apple_file("._photo.jpg") && is_apple_file(".DS_Store"));
        assert!(!is_apple_file(".hidden") && !is_apple_file("a._b"));
    }

    #[test]
    fn pages_and_drawings_are_active_and_pictures_are_not() {
        for active in [
            "text/html",
            "image/svg+xml",
            "application/xhtml+xml; charset=utf-8",
        ] {
            assert!(is_active_content(active), "{active}");
        }
        for inert in ["image/png", "text/plain", "application/pdf", ""] {
            assert!(!is_active_content(inert), "{inert}");
        }
    }
}
