//! Keys for downloads without headers: a watch can open a page on the phone, but not log in there.
//!
//! A key is good for one file, once, for five minutes. It stands for the token of the watch that
//! asked for it, which is checked when the key is used; a revoked watch leaves no open doors. Keys
//! are gone after a restart.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use moka::future::Cache;

use super::error::Error;
use crate::types::NodeId;

/// How long a key can be used.
pub(super) const LIFE: Duration = Duration::from_mins(5);
/// Keys open at once, about 200 bytes each.
const OPEN_MAX: u64 = 1024;
/// Random bytes of a key: 22 characters.
const KEY_BYTES: usize = 16;

/// What a key opens.
#[derive(Clone)]
pub(super) struct Link {
    /// The file.
    pub(super) file: NodeId,
    /// The token it stands for.
    pub(super) token: String,
}

/// The keys that were not used yet.
pub(super) struct Links(Cache<String, Arc<Link>>);

impl Links {
    pub(super) fn new() -> Self {
        Self(
            Cache::builder()
                .max_capacity(OPEN_MAX)
                .time_to_live(LIFE)
                .build(),
        )
    }

    /// A key for a link.
    pub(super) async fn make(&self, link: Link) -> String {
        let mut bytes = [0; KEY_BYTES];
        getrandom::fill(&mut bytes).expect("the kernel's generator cannot fail once it is seeded");
        let key = URL_SAFE_NO_PAD.encode(bytes);
        self.0.insert(key.clone(), Arc::new(link)).await;
        key
    }

    /// Uses a key up.
    pub(super) async fn take(&self, key: &str) -> Result<Arc<Link>, Error> {
        self.0.remove(key).await.ok_or(Error::Token)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_key_opens_once() {
        let links = Links::new();
        let link = |file| Link {
            file: NodeId(file),
            token: "token".to_owned(),
        };
        let (one, two) = (links.make(link(1)).await, links.make(link(2)).await);
        assert_eq!(one.len(), 22);
        let used = links.take(&two).await.unwrap();
        assert_eq!((used.file, &*used.token), (NodeId(2), "token"));
        assert!(links.take(&two).await.is_err());
        assert!(links.take("").await.is_err());
        assert!(links.take(&one).await.is_ok());
    }
}
