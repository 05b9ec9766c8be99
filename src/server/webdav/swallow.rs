//! Requests for macOS's side files under [`AppleFiles::Swallow`]: accepted, and nothing is kept.
//!
//! [`AppleFiles::Swallow`]: super::AppleFiles::Swallow

use axum::body::Body;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Response, StatusCode};
use http_body_util::BodyExt as _;

use super::context::{Face, Facts};
use super::errors::{Refusal, XML_TYPE};
use super::guard::Verb;
use super::lock_xml;
use crate::tree::{Lock, User};
use crate::types::{Millis, NodeId};

/// Seconds of the lock on a file that is not there.
const LOCK_SECONDS: u64 = 600;

/// Answers without touching the tree.
pub(crate) async fn answer(
    face: &Face,
    user: &User,
    facts: &Facts,
    mut body: Body,
) -> Result<Response<Body>, Refusal> {
    let status = |status| {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = status;
        response
    };
    match facts.verb {
        Verb::Put => {
            while let Some(frame) = body.frame().await {
                frame.map_err(|_| Refusal::bad("the body broke off"))?;
            }
            Ok(status(StatusCode::CREATED))
        }
        Verb::Lock => Ok(locked(face, user, facts)),
        Verb::Unlock | Verb::Delete => Ok(status(StatusCode::NO_CONTENT)),
        Verb::Options => Ok(super::root::options(super::guard::ALLOW_UNMAPPED)),
        Verb::Get
        | Verb::Head
        | Verb::Patch
        | Verb::PropFind
        | Verb::PropPatch
        | Verb::MkCol
        | Verb::Copy
        | Verb::Move
        | Verb::Report => Err(Refusal::new(StatusCode::NOT_FOUND, "not kept")),
    }
}

/// A lock on nothing: Finder writes no file without one, and there is nothing to protect.
fn locked(face: &Face, user: &User, facts: &Facts) -> Response<Body> {
    let token = format!("urn:uuid:{}", uuid::Uuid::new_v4());
    let header = HeaderValue::try_from(format!("<{token}>")).expect("a token is ASCII");
    let lock = Lock {
        token,
        node: NodeId(0),
        root: facts.path.clone(),
        account: user.account,
        principal: user.name.clone(),
        deep: false,
        shared: false,
        owner: None,
        timeout_secs: LOCK_SECONDS,
        expires: Millis(0),
    };
    let mut response = Response::new(Body::from(lock_xml::granted(&face.prefix, &lock)));
    response.headers_mut().insert("lock-token", header);
    response.headers_mut().insert(CONTENT_TYPE, XML_TYPE);
    response
}
