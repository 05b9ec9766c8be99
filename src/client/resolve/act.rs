//! What is asked of the server: who wrote what, and what stays.

use std::path::Path;

use bytes::Bytes;
use futures_util::stream;

use super::compare::{Compared, Texts, changed, compare};
use super::editor::edit;
use super::sides::{Choice, Pair, Side, ours, writer_of_copy, writer_of_node};
use super::signals::Signals;
use super::{Error, Result, merge};
use crate::client::remote::{self, Session, Source};
use crate::protocol::auth::DeviceName;
use crate::protocol::files::{Conflict, Keep, Node, Version};
use crate::protocol::stream as records;
use crate::protocol::sync::{OnConflict, PushItem, PushPut, PushResult, PushStatus};

/// This device and the others of the account.
#[derive(Clone, Debug)]
pub struct Devices {
    me: Option<DeviceName>,
    names: Vec<(i64, String)>,
}

impl Devices {
    /// Asks for them.
    pub async fn ask(session: &Session) -> Result<Self> {
        let me = session.status().await?.device;
        let devices = session.devices().await?.items;
        let names = devices
            .into_iter()
            .map(|device| (device.id, device.name))
            .collect();
        Ok(Self { me, names })
    }
}

/// Finds out who wrote the two files of a conflict.
pub async fn pair(session: &Session, devices: &Devices, conflict: &Conflict) -> Result<Pair> {
    let node_versions = versions(session, conflict.node.as_ref()).await?;
    // The first version of a copy says nothing that its name does not.
    let written_on = conflict.copy.as_ref().filter(|copy| copy.version > 1);
    let copy_versions = versions(session, written_on).await?;
    let me = devices.me.as_ref();
    let node = conflict.node.clone().map(|node| Side {
        who: writer_of_node(&node_versions, &devices.names),
        node,
    });
    let copy = conflict.copy.clone().map(|node| Side {
        who: writer_of_copy(&node.name, &copy_versions, &devices.names),
        node,
    });
    Ok(Pair {
        id: conflict.id,
        at: conflict.at,
        node,
        copy,
        ours: me.and_then(|me| ours(conflict, me, &node_versions, &copy_versions)),
    })
}

async fn versions(session: &Session, node: Option<&Node>) -> Result<Vec<Version>> {
    let Some(node) = node else {
        return Ok(Vec::new());
    };
    match session.versions(node.id).await {
        Ok(versions) => Ok(versions.items),
        Err(error) if error.problem() == Some("not-found") => Err(changed(&node.path)),
        Err(error) => Err(error.into()),
    }
}

/// Ends a conflict without an editor.
pub async fn take(session: &Session, pair: &Pair, choice: Choice) -> Result<Keep> {
    let keep = pair.keep(choice).map_err(Error::Refused)?;
    end(session, pair, keep).await?;
    Ok(keep)
}

/// Ends a conflict with what comes out of an editor, which is run in between.
pub async fn take_edited(session: &Session, pair: &Pair, signals: &mut Signals) -> Result<Keep> {
    let texts = mergeable(pair, signals.or(compare(session, pair)).await?)?;
    let merged = merged(pair, &texts, signals).await?;
    signals.or(take_merged(session, pair, merged)).await
}

/// Both texts, or why there is nothing to edit.
pub fn mergeable(pair: &Pair, compared: Compared) -> Result<Box<Texts>> {
    let keep = pair.keep(Choice::Editor).map_err(Error::Refused)?;
    let link = [&pair.node, &pair.copy]
        .into_iter()
        .flatten()
        .any(|side| side.node.link);
    match compared {
        _ if link => Err(Error::Refused(
            "a symbolic link cannot be edited; take one of the two, or both".to_owned(),
        )),
        Compared::Texts(texts) if keep == Keep::Node => Ok(texts),
        Compared::Texts(_) | Compared::Bytes(_) | Compared::Alone => Err(Error::Refused(
            "only texts of at most 1 MiB can be edited; take one of the two, or both".to_owned(),
        )),
    }
}

/// Has both texts edited into one.
pub async fn merged(pair: &Pair, texts: &Texts, signals: &mut Signals) -> Result<Vec<u8>> {
    let names = (
        pair.label(pair.left()).text(),
        pair.label(pair.left().other()).text(),
    );
    let text = merge::marked(&texts.left, &texts.right, names);
    let name = pair
        .node
        .as_ref()
        .map_or("merged", |side| side.node.name.as_str());
    let edited = edit(Path::new(name), text.as_bytes(), signals).await?;
    if merge::has_marks(&String::from_utf8_lossy(&edited), names) {
        return Err(Error::Refused(
            "there are still marks in what was saved".to_owned(),
        ));
    }
    Ok(edited)
}

/// Makes a text the file's next version, and ends the conflict.
pub async fn take_merged(session: &Session, pair: &Pair, merged: Vec<u8>) -> Result<Keep> {
    let node = pair.node.as_ref().map(|side| &side.node);
    let node = node.ok_or_else(|| Error::Refused("the file was deleted since".to_owned()))?;
    still(session, node).await?;
    let sent = push(session, node, &merged).await?;
    let now = match (sent.status, sent.node, sent.problem) {
        (PushStatus::Done, Some(now), _) if now.id == node.id => now,
        (PushStatus::Error, _, Some(problem)) => {
            return Err(Error::Refused(format!(
                "{}: {}",
                problem.title, problem.detail
            )));
        }
        _ => return Err(changed(&node.path)),
    };
    let mut pair = pair.clone();
    if let Some(side) = &mut pair.node {
        side.node = now;
    }
    end(session, &pair, Keep::Node).await?;
    Ok(Keep::Node)
}

async fn push(session: &Session, node: &Node, bytes: &[u8]) -> Result<PushResult> {
    let item = PushItem::Put(PushPut {
        path: node.path.clone(),
        size: bytes.len() as u64,
        base: Some(node.etag.clone()),
        root: None,
        checksum: None,
        mtime: None,
        created: None,
        class: None,
        source: None,
        from: None,
        conflict: OnConflict::Refuse,
        executable: None,
        link: false,
    });
    let json = serde_json::to_vec(&item).map_err(|error| Error::Refused(error.to_string()))?;
    let mut body = Vec::with_capacity(bytes.len() + json.len() + 64);
    records::magic(&mut body);
    records::file(&mut body, &json);
    if !bytes.is_empty() {
        records::lit(&mut body, bytes);
    }
    records::end(&mut body);
    let estimate = body.len() as u64;
    let body = stream::iter([Ok(Bytes::from(body))]);
    let pushed = session.push(Source::new(body, estimate).packed()).await?;
    let result = pushed.results.into_iter().next();
    result.ok_or_else(|| remote::Error::Protocol("a push without a result".to_owned()).into())
}

/// Ends a conflict, when both files are still those that were shown.
async fn end(session: &Session, pair: &Pair, keep: Keep) -> Result<()> {
    if keep != Keep::Both {
        for side in [&pair.node, &pair.copy].into_iter().flatten() {
            still(session, &side.node).await?;
        }
    }
    match session.resolve(pair.id, keep).await {
        // After a broken connection it was done before; else something is missing that should stay.
        Err(error) if error.problem() == Some("not-found") => {
            if is_open(session, pair.id).await? {
                return Err(Error::Refused(
                    "one of the two was deleted meanwhile; look at it again".to_owned(),
                ));
            }
            Ok(())
        }
        ended => Ok(ended?),
    }
}

/// An error when a file is not what it was.
async fn still(session: &Session, node: &Node) -> Result<()> {
    match session.info(node.id).await {
        Ok(now) if now.etag == node.etag && now.path == node.path => Ok(()),
        Ok(_) => Err(changed(&node.path)),
        Err(error) if error.problem() == Some("not-found") => Err(changed(&node.path)),
        Err(error) => Err(error.into()),
    }
}

async fn is_open(session: &Session, id: i64) -> Result<bool> {
    Ok(all(session).await?.iter().any(|conflict| conflict.id == id))
}

/// All conflicts that nobody has resolved, oldest first.
pub async fn all(session: &Session) -> Result<Vec<Conflict>> {
    let (mut conflicts, mut next) = (Vec::new(), None);
    loop {
        let page = session.conflicts(next.as_deref()).await?;
        conflicts.extend(page.items);
        match page.next {
            Some(cursor) => next = Some(cursor),
            None => return Ok(conflicts),
        }
    }
}
