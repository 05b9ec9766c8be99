//! From the token of a request to the account's tree.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use http::request::Parts;
use http::{Extensions, HeaderMap, header};

use super::Face;
use super::error::Error;
use crate::accounts::Session;
use crate::server::compress::Sender;
use crate::server::middleware::Client;
use crate::tree::{Tree, User};
use crate::types::DeviceId;

/// A watch whose token was right and who does not come too often.
pub(super) struct Watch {
    /// The tree of its account.
    pub(super) tree: Tree,
    /// Which watch.
    pub(super) device: DeviceId,
    /// Its token, for links that stand for it.
    pub(super) token: String,
}

impl FromRequestParts<Arc<Face>> for Watch {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, face: &Arc<Face>) -> Result<Self, Error> {
        let token = bearer(&parts.headers).ok_or(Error::Token)?;
        let watch = face.enter(client(&parts.extensions), token.to_owned());
        let watch = watch.await?;
        if let Some(sender) = parts.extensions.get::<Sender>() {
            sender.is(watch.tree.user().account);
        }
        Ok(watch)
    }
}

impl Face {
    /// Lets a watch in by its token.
    pub(super) async fn enter(&self, client: Client, token: String) -> Result<Watch, Error> {
        let session = self.log_ins.log_in(client, &token).await?;
        let device = session.device.ok_or(Error::Token)?;
        self.watches.admit(device, self.clock.now()).await?;
        let tree = Tree::new(Arc::clone(&self.store), user(session), self.clock.clone());
        Ok(Watch {
            tree,
            device,
            token,
        })
    }

    /// Notes that a watch has done some of its work. That it has stays true when this fails.
    pub(super) async fn synced(&self, device: DeviceId) {
        if let Err(error) = self.accounts.device_synced(device).await {
            tracing::warn!("the time of a watch's sync could not be kept: {error}");
        }
    }
}

/// Who the client of a request is.
pub(super) fn client(extensions: &Extensions) -> Client {
    *extensions.get::<Client>().expect("the middleware adds it")
}

fn user(session: Session) -> User {
    User {
        account: session.account,
        name: session.name,
        space: session.space,
        device: session.device,
    }
}

/// The token of `Authorization: Bearer` (RFC 6750 §2.1).
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn sent(value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(header::AUTHORIZATION, HeaderValue::from_static(value))])
    }

    #[test]
    fn a_token_comes_behind_the_word_bearer() {
        assert_eq!(bearer(&sent("Bearer abc")), Some("abc"));
        assert_eq!(bearer(&sent("bearer  abc ")), Some("abc"));
        for other in ["abc", "Basic abc", "Bearer", ""] {
            assert_eq!(bearer(&sent(other)), None, "{other}");
        }
        assert_eq!(bearer(&HeaderMap::new()), None);
    }
}
