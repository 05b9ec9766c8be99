//! What handlers take: parsed once, refused with a problem.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use axum::extract::{FromRequest, FromRequestParts, Request};
use http::request::Parts;
use http::{HeaderMap, header};
use percent_encoding::percent_decode_str;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, DeserializeOwned, Deserializer, MapAccess, Visitor};

use super::Api;
use super::problem::{self, Problem, Result};
use crate::accounts::Session;
use crate::crypto::Blinded;
use crate::protocol::auth::ACCESS_TOKEN;
use crate::server::compress::Sender;
use crate::server::middleware::Client;
use crate::store::content::Checksum;
use crate::tree::{Base, Located, Node, Tree, User};
use crate::types::{ETag, Millis, NodeId, NodePath};

/// All ids there can be: JSON's numbers hold no larger ones.
pub(super) const IDS: std::ops::RangeInclusive<i64> = 1..=(1 << 53) - 1;

/// A JSON body. Its length is limited by the layer around the routes.
pub(super) struct Json<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self> {
        let axum::Json(Object(body)) = axum::Json::from_request(request, state).await?;
        Ok(Self(body))
    }
}

/// What is read from a JSON object and from nothing else: serde takes arrays for structs, too.
struct Object<T>(T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_map(ObjectVisitor(PhantomData))
    }
}

struct ObjectVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectVisitor<T> {
    type Value = Object<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map)).map(Object)
    }
}

impl<T: serde::Serialize> axum::response::IntoResponse for Json<T> {
    fn into_response(self) -> axum::response::Response {
        axum::Json(self.0).into_response()
    }
}

/// Query parameters.
pub(super) struct Query<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
        if !is_encoded(parts.uri.query().unwrap_or_default()) {
            let text = "a percent sign begins two hex digits, and what they say is UTF-8";
            return Err(Problem::new(problem::BAD_REQUEST, text));
        }
        let axum::extract::Query(query) =
            axum::extract::Query::from_request_parts(parts, state).await?;
        Ok(Self(query))
    }
}

/// Whether every percent sign begins an escape and all of it is UTF-8: axum's reader would pass on what
/// is not, so that two addresses named one file.
fn is_encoded(query: &str) -> bool {
    let mut escapes = query.split('%').skip(1);
    let whole = escapes
        .all(|rest| rest.len() >= 2 && rest.bytes().take(2).all(|digit| digit.is_ascii_hexdigit()));
    whole && percent_decode_str(query).decode_utf8().is_ok()
}

/// Parameters of the route.
#[derive(FromRequestParts)]
#[from_request(via(axum::extract::Path), rejection(Problem))]
pub(super) struct Path<T>(pub(super) T);

/// Who asks, proved by an access token.
pub(super) struct Caller {
    /// The log-in.
    pub(super) session: Session,
    /// The account's tree.
    pub(super) tree: Tree,
}

impl FromRequestParts<Arc<Api>> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api>) -> Result<Self> {
        let client = client(parts)?;
        let token = access_token(&parts.headers).ok_or_else(|| {
            Problem::new(problem::UNAUTHORIZED, "send an access token").at("Authorization")
        })?;
        let verified = api.accounts.verify_bearer(client.ip, token).await;
        let session = verified.inspect_err(|denied| api.metrics.auth_failed(denied.reason()))?;
        if let Some(sender) = parts.extensions.get::<Sender>() {
            sender.is(session.account);
        }
        let user = User {
            account: session.account,
            name: session.name.clone(),
            space: session.space,
            device: session.device,
        };
        let tree = Tree::new(Arc::clone(&api.store), user, api.clock.clone());
        Ok(Self { session, tree })
    }
}

/// The address of the client.
pub(super) fn client(parts: &Parts) -> Result<Client> {
    let client = parts.extensions.get::<Client>();
    client
        .copied()
        .ok_or_else(|| Problem::new(problem::INTERNAL, "the request came without its connection"))
}

/// The client of a request without a log-in.
impl<S: Send + Sync> FromRequestParts<S> for Client {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self> {
        client(parts)
    }
}

/// The token in its own header, or else in the usual one.
fn access_token(headers: &HeaderMap) -> Option<&str> {
    if let Some(alone) = headers.get(ACCESS_TOKEN) {
        return alone.to_str().ok();
    }
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

/// A path, named as the field it came in.
pub(super) fn path(field: &str, text: &str) -> Result<NodePath> {
    if !text.starts_with('/') {
        return Err(Problem::new(problem::BAD_PATH, "a path begins with `/`").at(field));
    }
    NodePath::parse(text).map_err(|error| Problem::from(error).at(field))
}

/// A stated time.
pub(super) fn time(field: &str, millis: Option<i64>) -> Result<Option<Millis>> {
    let Some(millis) = millis.map(Millis) else {
        return Ok(None);
    };
    if (Millis::MIN..=Millis::MAX).contains(&millis) {
        return Ok(Some(millis));
    }
    Err(Problem::invalid(
        field,
        "a time lies between the years 1601 and 9999",
    ))
}

/// A cursor that is the number of the last row: digits only, and no more than it needs.
pub(super) fn row_cursor(text: &str) -> Result<i64> {
    let digits = !text.starts_with('0') && text.bytes().all(|byte| byte.is_ascii_digit());
    let row = text.parse().ok().filter(|_| digits);
    row.ok_or_else(|| Problem::invalid("cursor", "this is no cursor of this list"))
}

/// The base of a write.
pub(super) fn base(text: Option<&str>) -> Result<Base> {
    match text {
        None => Ok(Base::Unstated),
        Some("none") => Ok(Base::Nothing),
        Some(text) => content("base", text).map(Base::Content),
    }
}

/// The content that an etag of a file names.
pub(super) fn content(field: &str, text: &str) -> Result<crate::types::ContentId> {
    let content = ETag::parse(text).content();
    content.ok_or_else(|| Problem::invalid(field, "this is not the etag of a file"))
}

/// A stated checksum.
pub(super) fn checksum(text: Option<&str>) -> Result<Option<Checksum>> {
    let Some(text) = text else { return Ok(None) };
    let unknown = "a checksum is SHA256, SHA1, MD5 or ADLER32, a colon and hex digits";
    let checksum = Checksum::parse(text).ok_or_else(|| Problem::invalid("checksum", unknown))?;
    Ok(Some(checksum))
}

/// The root of a content, as hex digits.
pub(super) fn root(text: &str) -> Result<Blinded> {
    let wrong = || Problem::invalid("root", "a root has 32 hex digits");
    if text.len() != 32 || !text.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return Err(wrong());
    }
    let number = u128::from_str_radix(text, 16).map_err(|_digits| wrong())?;
    Ok(Blinded(number.to_be_bytes()))
}

/// The node that a `path` or an `id` names; the root when there is neither.
pub(super) async fn locate(
    tree: &Tree,
    path_text: Option<&str>,
    id: Option<i64>,
) -> Result<Located> {
    match (path_text, id) {
        (Some(_), Some(_)) => Err(Problem::invalid("id", "give a path or an id, not both")),
        (None, Some(id)) => Ok(tree.by_id(NodeId(id)).await?),
        (text, None) => {
            let path = path("path", text.unwrap_or("/"))?;
            let node = tree.lookup(&path).await?;
            let path = spelled(tree, &node, &path).await;
            Ok(Located { node, path })
        }
    }
}

/// The path of a node as the tree spells it: names are found however they are composed. When it was
/// moved or deleted since, as the client spelled it.
pub(super) async fn spelled(tree: &Tree, node: &Node, asked: &NodePath) -> NodePath {
    match tree.by_id(node.id).await {
        Ok(located) => located.path,
        Err(_) => asked.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_begins_with_a_slash() {
        for text in ["", "a", "a/b", "../a"] {
            let refused = path("to", text).unwrap_err().body();
            assert_eq!(
                (refused.name(), refused.field.as_deref()),
                ("bad-path", Some("to"))
            );
        }
        assert_eq!(path("to", "/a//b/").unwrap().to_string(), "/a/b");
    }

    #[test]
    fn a_row_is_digits_without_zeroes_before_them() {
        assert_eq!(row_cursor("120").unwrap(), 120);
        for text in ["", "0", "012", "+1", "-1", "1.0", "99999999999999999999"] {
            assert_eq!(row_cursor(text).unwrap_err().body().status, 422, "{text}");
        }
    }
}
