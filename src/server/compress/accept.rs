//! Which content coding: what the client accepts (RFC 9110 §12.5.3), and what it has applied.

use http::HeaderMap;
use http::header::{self, AsHeaderName};

/// A coding we speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Coding {
    /// RFC 1952.
    Gzip,
    /// RFC 8878.
    Zstd,
}

impl Coding {
    /// As headers call it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        }
    }

    fn parse(name: &str) -> Option<Self> {
        match name.to_ascii_lowercase().as_str() {
            "gzip" | "x-gzip" => Some(Self::Gzip),
            "zstd" => Some(Self::Zstd),
            _ => None,
        }
    }
}

/// A coding we do not speak, or several on top of each other.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unknown;

/// The coding the client likes best; `None` means to send the bytes as they are.
pub(super) fn best(headers: &HeaderMap) -> Option<Coding> {
    let (mut gzip, mut zstd, mut identity, mut rest) = (None, None, None, None);
    for (name, weight) in entries(headers, header::ACCEPT_ENCODING).map(weighted) {
        match name {
            "*" => rest = Some(weight),
            "identity" => identity = Some(weight),
            name => match Coding::parse(name) {
                Some(Coding::Gzip) => gzip = Some(weight),
                Some(Coding::Zstd) => zstd = Some(weight),
                None => {}
            },
        }
    }
    let of = |coding: Option<u16>| coding.or(rest).unwrap_or(0);
    let (gzip, zstd, identity) = (of(gzip), of(zstd), identity.unwrap_or(0));
    let (coding, weight) = if zstd >= gzip {
        (Coding::Zstd, zstd)
    } else {
        (Coding::Gzip, gzip)
    };
    (weight > 0 && weight >= identity).then_some(coding)
}

/// The coding the client has applied to its body.
pub(super) fn applied(headers: &HeaderMap) -> Result<Option<Coding>, Unknown> {
    let mut names =
        entries(headers, header::CONTENT_ENCODING).filter(|n| !n.eq_ignore_ascii_case("identity"));
    match (names.next(), names.next()) {
        (None, _) => Ok(None),
        (Some(name), None) => Coding::parse(name).map(Some).ok_or(Unknown),
        (Some(_), Some(_)) => Err(Unknown),
    }
}

fn entries(headers: &HeaderMap, name: impl AsHeaderName) -> impl Iterator<Item = &str> {
    let lines = headers
        .get_all(name)
        .into_iter()
        .map(|line| line.to_str().unwrap_or("(not ASCII)"));
    lines
        .flat_map(|line| line.split(','))
        .map(str::trim)
        .filter(|entry| !entry.is_empty())
}

/// `gzip;q=0.5` is gzip with 500 of 1000; a weight that cannot be read counts as a refusal.
fn weighted(entry: &str) -> (&str, u16) {
    let Some((name, parameters)) = entry.split_once(';') else {
        return (entry, 1000);
    };
    let mut weights = parameters
        .split(';')
        .filter_map(|p| p.trim().strip_prefix(['q', 'Q'])?.strip_prefix('='));
    let weight = weights
        .next()
        .map_or(1000, |text| match text.trim().parse::<f32>() {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "0 to 1000"
            )]
            Ok(weight) if (0.0..=1.0).contains(&weight) => (weight * 1000.0) as u16,
            _ => 0,
        });
    (name.trim(), weight)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn chosen(accept: &'static str) -> Option<Coding> {
        best(&HeaderMap::from_iter([(
            header::ACCEPT_ENCODING,
            HeaderValue::from_static(accept),
        )]))
    }

    #[test]
    fn the_best_liked_coding_is_chosen_and_zstd_among_equals() {
        assert_eq!(chosen("gzip, deflate, br"), Some(Coding::Gzip));
        assert_eq!(chosen("gzip, zstd"), Some(Coding::Zstd));
        assert_eq!(chosen("gzip;q=1.0, zstd;q=0.5"), Some(Coding::Gzip));
        assert_eq!(chosen("*"), Some(Coding::Zstd));
        assert_eq!(chosen("*;q=0.1, zstd;q=0"), Some(Coding::Gzip));
        assert_eq!(chosen("GZIP ; Q=0.3"), Some(Coding::Gzip));
    }

    #[test]
    fn nothing_is_chosen_when_refused_or_unknown() {
        assert_eq!(best(&HeaderMap::new()), None);
        for accept in [
            "",
            "identity",
            "br",
            "gzip;q=0",
            "gzip;q=x",
            "*;q=0",
            "identity, gzip;q=0.5",
        ] {
            assert_eq!(chosen(accept), None, "{accept}");
        }
    }

    #[test]
    fn the_applied_coding_is_known_or_refused() {
        let of = |value| {
            let value = HeaderValue::from_static(value);
            applied(&HeaderMap::from_iter([(header::CONTENT_ENCODING, value)]))
        };
        assert_eq!(applied(&HeaderMap::new()), Ok(None));
        assert_eq!(of("identity"), Ok(None));
        assert_eq!(of("GZip"), Ok(Some(Coding::Gzip)));
        assert_eq!(of("zstd"), Ok(Some(Coding::Zstd)));
        assert_eq!(of("br"), Err(Unknown));
        assert_eq!(of("gzip, gzip"), Err(Unknown));
    }
}
