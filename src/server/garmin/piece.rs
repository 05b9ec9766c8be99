//! `GET meta` and `GET chunk`: a file as pieces of text, for what an app wants to read itself.

use std::sync::Arc;

use axum::extract::{Path, RawQuery, State};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;

use super::answer::{self, Answer};
use super::download::Named;
use super::enter::Watch;
use super::error::Error;
use super::fields::Fields;
use super::{FILE_MAX, Face, find};
use crate::tree::Node;

/// Most bytes of a piece: 8192 characters of base64, and without padding unless it is the last.
const PIECE_MAX: i64 = 6144;

/// What an app needs to know before it fetches pieces.
#[derive(Serialize)]
struct Meta {
    s: i32,
    t: i32,
    v: i32,
    #[serde(skip_serializing_if = "Option::is_none")]
    crc: Option<i32>,
}

/// Size, time, version and CRC-32 of a file; no CRC of one too large to fetch.
pub(super) async fn meta(watch: Watch, named: Named) -> Answer {
    let Path(id) = named.map_err(|_rejected| Error::NotFound)?;
    let (node, _kind) = find::by_id(&watch.tree, &id).await?;
    let crc = match find::read(&watch.tree, &node, (0, FILE_MAX)).await {
        Ok(bytes) => Some(answer::crc(&bytes)),
        Err(Error::TooBig) => None,
        Err(error) => return Err(error),
    };
    Ok(answer::json(&Meta {
        s: answer::number(node.size),
        t: answer::seconds(node.modified),
        v: version(&node),
        crc,
    }))
}

/// Some bytes of a file as base64.
pub(super) async fn chunk(
    State(face): State<Arc<Face>>,
    watch: Watch,
    named: Named,
    RawQuery(query): RawQuery,
) -> Answer {
    let Path(id) = named.map_err(|_rejected| Error::NotFound)?;
    let mut fields = Fields::of_query(query.as_deref())?;
    let offset = fields.integer("o", 0..=i64::from(i32::MAX))?.unwrap_or(0);
    let length = fields.integer("l", 1..=PIECE_MAX)?.unwrap_or(PIECE_MAX);
    let wanted = fields.integer("v", 1..=i64::from(i32::MAX))?;
    fields.end()?;
    let (node, _kind) = find::by_id(&watch.tree, &id).await?;
    if wanted.is_some_and(|wanted| wanted != i64::from(version(&node))) {
        return Err(Error::Changed);
    }
    let start = offset.unsigned_abs();
    let length = usize::try_from(length).expect("the range is positive");
    let bytes = find::read(&watch.tree, &node, (start, length)).await?;
    if bytes.is_empty() {
        let empty = node.size == 0;
        return Err(if empty {
            Error::Empty
        } else {
            Error::field("o")
        });
    }
    if start + bytes.len() as u64 == node.size {
        face.synced(watch.device).await;
    }
    Ok(answer::bytes("text/plain", STANDARD.encode(bytes).into()))
}

fn version(node: &Node) -> i32 {
    answer::number(node.version.unsigned_abs())
}
