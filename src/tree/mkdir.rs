//! Making a collection (RFC 4918 §9.3).

use super::locate::Place;
use super::model::Node;
use super::turn::{Action, Deed};
use super::{Error, Result, Tree};
use crate::store::meta::Conn;
use crate::store::meta::nodes::{self, NewNode};
use crate::types::{Millis, Mode, NodePath};

impl Tree {
    /// Makes an empty collection.
    pub async fn mkdir(&self, at: &NodePath, modified: Option<Millis>) -> Result<Node> {
        let place = match self.place(at).await {
            // The root of a space is there already.
            Err(Error::Forbidden(_)) => return Err(Error::Exists),
            place => place?,
        };
        let (tree, space) = (self.clone(), place.space);
        self.write(space, move |conn| {
            Box::pin(async move { make(conn, &tree, &place, modified).await })
        })
        .await
    }
}

async fn make(
    conn: &mut Conn,
    tree: &Tree,
    place: &Place,
    modified: Option<Millis>,
) -> Result<Node> {
    let action = Action::begin(conn, tree, place.space, 1).await?;
    if action.at(conn, place).await?.is_some() {
        return Err(Error::Exists);
    }
    action.guard(conn, tree, place.parent).await?;
    let new = NewNode {
        id: action.turn.first_node,
        space: place.space,
        parent: Some(place.parent),
        name: Some(&place.name),
        content: None,
        mtime: modified.unwrap_or(action.now),
        created: action.now,
        written: action.now,
        device: action.device,
        seq: action.turn.seq,
        mode: Mode::default(),
    };
    nodes::insert(conn, &[new]).await?;
    action.settle(conn, place.parent, 0).await?;
    action.log(conn, Deed::Mkdir, new.id.0, 0).await?;
    let row = nodes::by_id(conn, new.id).await?.ok_or(Error::NotFound)?;
    Ok(row.into())
}
