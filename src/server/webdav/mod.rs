//! The `WebDAV` face: RFC 4918 classes 1, 2 and 3 over a [`Tree`], for the clients people already have.
//!
//! `guard → dav-server → adapter → Tree`. dav-server decides about `If`, locks, ranges and statuses;
//! the guard keeps from it what it cannot take, the adapter turns each request into one verb of the
//! engine, and PROPFIND and REPORT are our own. Authentication has happened before.

mod collection;
mod context;
mod download;
mod errors;
mod frames;
mod fs;
#[cfg(any(test, fuzzing))]
pub(super) mod fuzzing;
mod guard;
mod lock_xml;
mod locksystem;
mod meta;
mod pages;
mod patch_response;
mod propfind;
mod proppatch;
mod quirks;
mod report;
mod root;
mod swallow;
#[cfg(test)]
mod tests;
mod text;
mod upload;
mod xml;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use axum::body::Body;
use bytes::Bytes;
use dav_server::DavHandler;
use futures_util::FutureExt as _;
use http::request::Parts;
use http::{Request, Response, StatusCode};

use self::context::{Ctx, Depth, Face, Facts};
use self::errors::{Refusal, refusal};
use self::guard::Verb;
use self::guard::body::Counted;
use self::propfind::names::DAV;
pub use self::quirks::AppleFiles;
pub use self::root::{root_options, root_propfind};
use self::text::encode_name;
use crate::server::pieces::PIECE;
use crate::tree::{self, Node, Tree};

/// One URL space served as `WebDAV`. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Dav {
    prefix: Arc<str>,
    instance: Arc<str>,
    apple: AppleFiles,
    hosts: Arc<[String]>,
}

impl Dav {
    /// Serves below `prefix`: decoded, with a slash at both ends, such as `/dav/`.
    pub fn new(prefix: &str) -> Self {
        Self {
            prefix: prefix.into(),
            instance: "ocsync".into(),
            apple: AppleFiles::default(),
            hosts: Arc::new([]),
        }
    }

    /// The same settings under another prefix, such as one with the account's name in it.
    #[must_use]
    pub fn with_prefix(&self, prefix: &str) -> Self {
        Self {
            prefix: prefix.into(),
            ..self.clone()
        }
    }

    /// What the ids of this installation end in, so that sync clients can tell it from others:
    /// ASCII letters and digits, the first a letter.
    #[must_use]
    pub fn with_instance(&self, instance: &str) -> Self {
        Self {
            instance: instance.into(),
            ..self.clone()
        }
    }

    /// What happens to `._*` and `.DS_Store`.
    #[must_use]
    pub fn with_apple_files(&self, apple: AppleFiles) -> Self {
        Self {
            apple,
            ..self.clone()
        }
    }

    /// The server's own host names (with or without port). When there are any, COPY and MOVE to
    /// another host are refused with 502; otherwise only paths are compared.
    #[must_use]
    pub fn with_hosts(&self, hosts: Vec<String>) -> Self {
        Self {
            hosts: hosts.into(),
            ..self.clone()
        }
    }

    fn face(&self, user: &tree::User) -> Face {
        let mut principal = String::from("/principals/users/");
        encode_name(&mut principal, &user.name);
        principal.push('/');
        Face {
            prefix: self.prefix.clone(),
            instance: self.instance.clone(),
            principal,
        }
    }
}

/// Answers one request of the account that `tree` belongs to.
pub async fn handle(dav: &Dav, tree: Tree, request: Request<Body>) -> Response<Body> {
    let (mut parts, body) = request.into_parts();
    let facts = match guard::inspect(&mut parts, dav) {
        Ok(facts) => facts,
        Err(refusal) => {
            let mut response = refusal.into_response();
            patch_response::allow(&mut response, None);
            return response;
        }
    };
    let work = AssertUnwindSafe(Box::pin(serve(dav, tree, facts, parts, body))).catch_unwind();
    let mut response = match work.await {
        Ok(answer) => answer.unwrap_or_else(Refusal::into_response),
        Err(_panic) => {
            tracing::error!("a WebDAV request panicked");
            Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "internal error").into_response()
        }
    };
    if !response.headers().contains_key(http::header::ALLOW) {
        patch_response::allow(&mut response, None);
    }
    response
}

async fn serve(
    dav: &Dav,
    tree: Tree,
    facts: Facts,
    parts: Parts,
    body: Body,
) -> Result<Response<Body>, Refusal> {
    let face = dav.face(tree.user());
    let last = facts.path.names().last();
    let apple_file = last.is_some_and(|name| quirks::is_apple_file(name.as_str()));
    if dav.apple == AppleFiles::Swallow && apple_file {
        return swallow::answer(&face, tree.user(), &facts, body).await;
    }
    if facts.verb.streams() {
        let ctx = Arc::new(Ctx::new(&tree, face, facts));
        let body = Counted::new(body, ctx.clone());
        return Ok(Box::pin(through_dav_server(ctx, Request::from_parts(parts, body))).await);
    }
    let body = guard::body::read(facts.verb, body).await?;
    match facts.verb {
        Verb::PropFind => {
            propfind::propfind(tree, face, dav.apple, &facts, &parts.headers, &body).await
        }
        Verb::Report => report::report(tree, face, dav.apple, &facts, &parts.headers, &body).await,
        Verb::Options => options(&tree, &face, &facts).await,
        Verb::Get | Verb::Head => {
            let node = known(&tree, &face, &facts).await?;
            if node.is_collection() {
                return collection::show(tree, &face, dav.apple, &facts, &parts.headers, node)
                    .await;
            }
            Ok(delegate(tree, face, facts, parts, body, Some(node)).await)
        }
        Verb::Delete => {
            let node = known(&tree, &face, &facts).await?;
            if node.is_collection() && !matches!(facts.depth, None | Some(Depth::Infinity)) {
                return Err(Refusal::bad("a collection is deleted with Depth: infinity"));
            }
            Ok(delegate(tree, face, facts, parts, body, Some(node)).await)
        }
        Verb::PropPatch => proppatch(tree, face, facts, parts, &body).await,
        Verb::Lock => lock(tree, face, facts, parts, body).await,
        Verb::Put | Verb::Patch | Verb::MkCol | Verb::Copy | Verb::Move | Verb::Unlock => {
            Ok(delegate(tree, face, facts, parts, body, None).await)
        }
    }
}

async fn known(tree: &Tree, face: &Face, facts: &Facts) -> Result<Node, Refusal> {
    tree.lookup(&facts.path)
        .await
        .map_err(|error| refusal(&error, &face.prefix))
}

async fn options(tree: &Tree, face: &Face, facts: &Facts) -> Result<Response<Body>, Refusal> {
    let allow = match tree.lookup(&facts.path).await {
        Ok(node) if node.is_collection() => guard::ALLOW_COLLECTION,
        Ok(_) => guard::ALLOW_FILE,
        Err(tree::Error::NotFound | tree::Error::NoParent | tree::Error::NotACollection) => {
            guard::ALLOW_UNMAPPED
        }
        Err(error) => return Err(refusal(&error, &face.prefix)),
    };
    Ok(root::options(allow))
}

async fn delegate(
    tree: Tree,
    face: Face,
    facts: Facts,
    parts: Parts,
    body: Bytes,
    known: Option<Node>,
) -> Response<Body> {
    let mut ctx = Ctx::new(&tree, face, facts);
    ctx.known = known;
    let request = Request::from_parts(parts, Body::from(body));
    Box::pin(through_dav_server(Arc::new(ctx), request)).await
}

async fn proppatch(
    tree: Tree,
    face: Face,
    mut facts: Facts,
    parts: Parts,
    body: &[u8],
) -> Result<Response<Body>, Refusal> {
    let patch = proppatch::parse(&xml::parse(body)?)
        .ok_or_else(|| Refusal::bad("the body is no propertyupdate of 1 to 256 properties"))?;
    if facts.tokens.is_empty() && quirks::forgets_its_token(&parts.headers) {
        let locks = tree.locks(&facts.path).await;
        let locks = locks.map_err(|error| refusal(&error, &face.prefix))?;
        let own = locks
            .into_iter()
            .filter(|lock| lock.account == tree.user().account);
        facts.tokens = own.map(|lock| lock.token).collect();
    }
    let placeholder = proppatch::placeholder(&patch);
    let mut ctx = Ctx::new(&tree, face, facts);
    ctx.patch = patch;
    let request = Request::from_parts(parts, Body::from(placeholder));
    Ok(Box::pin(through_dav_server(Arc::new(ctx), request)).await)
}

async fn lock(
    tree: Tree,
    face: Face,
    facts: Facts,
    parts: Parts,
    body: Bytes,
) -> Result<Response<Body>, Refusal> {
    let mut ctx = Ctx::new(&tree, face, facts);
    if !body.is_empty() {
        let document = xml::parse(&body)?;
        if !document.root.is(DAV, "lockinfo") {
            return Err(Refusal::bad("the body is no lockinfo"));
        }
        let owner = document
            .root
            .child(DAV, "owner")
            .map(|owner| document.standalone(owner));
        if owner
            .as_ref()
            .is_some_and(|xml| xmltree::Element::parse(xml.as_bytes()).is_err())
        {
            return Err(Refusal::bad("the owner is malformed"));
        }
        ctx.owner = owner.map(String::into_bytes);
    }
    let request = Request::from_parts(parts, Body::from(body));
    Ok(Box::pin(through_dav_server(Arc::new(ctx), request)).await)
}

async fn through_dav_server<B>(ctx: Arc<Ctx>, request: Request<B>) -> Response<Body>
where
    B: http_body::Body<Data = Bytes>,
    B::Error: std::error::Error + Send + Sync + 'static,
{
    // Built for each request because the lock system gets no credentials; it costs some clones.
    let handler = DavHandler::<Arc<Ctx>>::builder()
        .filesystem(Box::new(fs::Engine))
        .locksystem(Box::new(locksystem::Locks(ctx.clone())))
        .strip_prefix(&*ctx.face.prefix)
        .autoindex(false)
        .read_buf_size(PIECE)
        .build_handler();
    let principal = ctx.tree.user().name.clone();
    let response = handler
        .handle_guarded(request, principal, ctx.clone())
        .await;
    patch_response::finish(&ctx, response)
}
