//! `GET download`: a whole file in its own type, which the system of the watch stores by itself.
//! `GET link`: a key to do the same without headers.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{FromRequestParts, Path, Request, State};
use http::Response;
use serde::Serialize;

use super::answer::{self, Answer};
use super::enter::{self, Watch};
use super::error::Error;
use super::fields::Fields;
use super::links::{self, Link};
use super::{FILE_MAX, Face, find};
use crate::types::NodeId;

/// What the path of a request names. A name that is no UTF-8 is none of ours.
pub(super) type Named = Result<Path<String>, PathRejection>;

/// A key and how long it can be used, in seconds.
#[derive(Serialize)]
struct Key {
    k: String,
    x: i32,
}

/// Gives a whole file, by its id or by its name in the folder for watches.
pub(super) async fn native(
    State(face): State<Arc<Face>>,
    named: Named,
    request: Request,
) -> Answer {
    let Path(what) = named.map_err(|_rejected| Error::NotFound)?;
    let mut fields = Fields::of_query(request.uri().query())?;
    let key = fields.text("k")?;
    fields.end()?;
    let (mut parts, _no_body) = request.into_parts();
    let (watch, only) = match key {
        None => (Watch::from_request_parts(&mut parts, &face).await?, None),
        Some(key) => {
            let link = face.links.take(&key).await?;
            let client = enter::client(&parts.extensions);
            let watch = face.enter(client, link.token.clone()).await?;
            (watch, Some(link.file))
        }
    };
    give(&face, &watch, &what, only).await
}

async fn give(
    face: &Face,
    watch: &Watch,
    what: &str,
    only: Option<NodeId>,
) -> Result<Response<Body>, Error> {
    let (node, kind) = find::by_id_or_name(&watch.tree, what).await?;
    if only.is_some_and(|only| only != node.id) {
        return Err(Error::Token);
    }
    let bytes = find::read(&watch.tree, &node, (0, FILE_MAX)).await?;
    if bytes.is_empty() {
        return Err(Error::Empty);
    }
    face.synced(watch.device).await;
    Ok(answer::bytes(kind.media(), bytes.into()))
}

/// Makes a key for a file.
pub(super) async fn link(State(face): State<Arc<Face>>, watch: Watch, named: Named) -> Answer {
    let Path(id) = named.map_err(|_rejected| Error::NotFound)?;
    let (node, _kind) = find::by_id(&watch.tree, &id).await?;
    let link = Link {
        file: node.id,
        token: watch.token,
    };
    Ok(answer::json(&Key {
        k: face.links.make(link).await,
        x: answer::number(links::LIFE.as_secs()),
    }))
}
