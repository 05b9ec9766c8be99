//! Writing a file: bytes first, then one transaction that names them.

use super::conflicts;
use super::locate::Place;
use super::model::{Base, Node, Overtaken, Precondition, Write, Written};
use super::turn::{Action, Deed};
use super::{Error, Result, Tree, touch};
use crate::store::content::{Checksum, INLINE_MAX, Staged, Upload};
use crate::store::meta::nodes::{self, COLLECTION, NewContent, NewNode, NodeRow};
use crate::store::meta::{Conn, contents, spaces, versions};
use crate::types::{ContentId, ETag, Millis, Mode, NodeId, NodePath, SpaceId};

/// Nodes a write may make: the file and a conflict copy.
pub(super) const NODES: i64 = 2;

/// What a client states for what it writes besides its bytes.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Stamp {
    pub(super) modified: Option<Millis>,
    pub(super) created: Option<Millis>,
    pub(super) executable: Option<bool>,
    pub(super) link: bool,
}

impl Stamp {
    pub(super) fn of(how: &Write) -> Self {
        Self {
            modified: how.modified,
            created: how.created,
            executable: how.executable,
            link: how.link,
        }
    }

    /// The same for a file that takes the place of another, or its looks.
    pub(super) fn like(self, mode: Mode) -> Self {
        Self {
            executable: Some(mode.executable),
            link: mode.link,
            ..self
        }
    }

    /// What becomes of the mode of the file that is there.
    pub(super) fn over(self, there: Mode) -> Mode {
        Mode {
            executable: self.executable.unwrap_or(there.executable),
            link: self.link,
        }
    }
}

impl Tree {
    /// Starts an upload to a path. Its parent must exist; a length that can never fit is refused.
    pub async fn upload(
        &self,
        at: &NodePath,
        expected: Option<u64>,
        checksum: Option<Checksum>,
    ) -> Result<Upload> {
        let place = self.place(at).await?;
        // A small body has arrived before anybody could be told that it will not fit.
        if let Some(expected) = expected.filter(|bytes| *bytes > INLINE_MAX as u64) {
            self.refuse_over_quota(&place, expected).await?;
        }
        let mut upload = Upload::start(&self.store, place.space, expected, checksum).await?;
        upload.set_name(place.name.as_str());
        Ok(upload)
    }

    /// Makes the bytes durable and the path name them; what it named before becomes a version.
    pub async fn commit(&self, at: &NodePath, upload: Upload, how: Write) -> Result<Written> {
        let staged = upload.finish().await?.ok_or(Error::Checksum)?;
        self.commit_staged(at, staged, how).await
    }

    /// The same for bytes that are durable already.
    pub async fn commit_staged(
        &self,
        at: &NodePath,
        staged: Staged,
        how: Write,
    ) -> Result<Written> {
        let place = self.place(at).await?;
        if staged.space != place.space {
            return Err(Error::NoParent);
        }
        let tree = self.clone();
        self.write_contents(place.space, move |conn| {
            Box::pin(async move { put(conn, &tree, &place, &staged, &how).await })
        })
        .await
    }

    /// An early answer for a body that would not fit; the commit has the last word.
    pub(super) async fn refuse_over_quota(&self, place: &Place, expected: u64) -> Result<()> {
        let mut conn = self.store.meta.read().await?;
        let Some(quota) = self.space(&mut conn, place.space).await?.quota else {
            return Ok(());
        };
        let root = nodes::by_id(&mut conn, super::locate::root_of(place.space)).await?;
        let old = nodes::child(&mut conn, place.parent, &place.name).await?;
        let used = root.map_or(0, |root| root.tree_size) - old.map_or(0, |old| old.size);
        let would = used.saturating_add(i64::try_from(expected).unwrap_or(i64::MAX));
        if would > quota {
            let (used, quota) = (would.unsigned_abs(), quota.unsigned_abs());
            return Err(Error::QuotaExceeded { used, quota });
        }
        Ok(())
    }

    /// The empty content of a space.
    pub(super) async fn stage_empty(&self, space: SpaceId) -> Result<Staged> {
        let upload = Upload::start(&self.store, space, Some(0), None).await?;
        upload.finish().await?.ok_or(Error::Checksum)
    }
}

/// The whole of a write, in its transaction.
pub(super) async fn put(
    conn: &mut Conn,
    tree: &Tree,
    place: &Place,
    staged: &Staged,
    how: &Write,
) -> Result<Written> {
    let action = Action::begin(conn, tree, place.space, NODES).await?;
    let (written, grown) = put_in(conn, tree, &action, place, staged, how).await?;
    if !action.made(&written) {
        // A request that was sent again: nobody needs to hear of it.
        spaces::give_back(conn, place.space, NODES).await?;
        return Ok(written);
    }
    action.settle(conn, place.parent, grown).await?;
    Ok(written)
}

/// A write within an action; also returns by how many bytes the collection grew. Ancestors are left
/// to the caller. A refusal leaves at most a content behind that nothing names.
pub(super) async fn put_in(
    conn: &mut Conn,
    tree: &Tree,
    action: &Action,
    place: &Place,
    staged: &Staged,
    how: &Write,
) -> Result<(Written, i64)> {
    let stamp = Stamp::of(how);
    let refuse = how.overtaken == Overtaken::Refuse;
    let Some(old) = action.at(conn, place).await? else {
        check_new(how)?;
        action.guard(conn, tree, place.parent).await?;
        let mut node = create(conn, action, place, staged, stamp).await?;
        node.checksum = stated(staged);
        let grown = signed(node.size);
        return Ok((Written::plain(node, true), grown));
    };
    check(&how.when, Some(&old))?;
    if old.kind == COLLECTION {
        return Err(Error::IsACollection);
    }
    action.guard(conn, tree, NodeId(old.id)).await?;
    let overtaken = how.base.is_overtaken(old.content);
    if overtaken && !refuse {
        action.guard(conn, tree, place.parent).await?;
    }
    let content = name(conn, staged).await?;
    if how.base != Base::Unstated && old.content == Some(content.0.0) {
        return again(conn, action, old, stamp, overtaken).await;
    }
    if overtaken && came_before(conn, action, &old, (how, content.0)).await? {
        let node = old.into();
        let written = Written {
            content: content.0,
            ..Written::plain(node, false)
        };
        return Ok((written, 0));
    }
    if overtaken && refuse {
        return Err(Error::PreconditionFailed);
    }
    if overtaken {
        return conflicts::settle(conn, action, place, old, content, stamp).await;
    }
    action.log(conn, Deed::Upload, old.id, content.1).await?;
    let (mut node, grown) = replace(conn, action, old, content, stamp).await?;
    node.checksum = stated(staged);
    Ok((Written::plain(node, false), grown))
}

/// Whether a write may make a file where nothing is.
pub(super) fn check_new(how: &Write) -> Result<()> {
    check(&how.when, None)?;
    let overtaken = matches!(how.base, Base::Content(_));
    if overtaken && how.overtaken == Overtaken::Refuse {
        return Err(Error::PreconditionFailed);
    }
    Ok(())
}

pub(super) fn stated(staged: &Staged) -> Option<String> {
    let checksum = staged.checksum.as_ref();
    checksum.map(|checksum| checksum.as_str().to_owned())
}

/// Whether this write was done before and others went on from it: its answer was lost, and it comes
/// again.
async fn came_before(
    conn: &mut Conn,
    action: &Action,
    old: &NodeRow,
    (how, content): (&Write, ContentId),
) -> Result<bool> {
    let base = match how.base {
        Base::Unstated => return Ok(false),
        Base::Nothing => None,
        Base::Content(base) => Some(base),
    };
    let write = versions::Earlier {
        content,
        base,
        device: action.device,
        mtime: how.modified,
    };
    Ok(versions::has_earlier(conn, NodeId(old.id), write).await?)
}

/// The head has the bytes already: a request that was sent again, or two devices with one mind.
/// `overtaken`: the base was neither of them, so the first request may have won a conflict.
async fn again(
    conn: &mut Conn,
    action: &Action,
    old: NodeRow,
    stamp: Stamp,
    overtaken: bool,
) -> Result<(Written, i64)> {
    let conflict = if overtaken {
        conflicts::won(conn, action, &old).await?
    } else {
        None
    };
    let same = |stated: Option<Millis>, known| stated.is_none_or(|stated| stated.0 == known);
    let times = same(stamp.modified, old.mtime) && same(stamp.created, old.created);
    let node = if times && stamp.over(old.mode()) == old.mode() {
        old.into()
    } else {
        touch::apply(conn, action, old, stamp).await?
    };
    let written = Written {
        conflict,
        ..Written::plain(node, false)
    };
    Ok((written, 0))
}

/// Makes a file; ancestors are left to the caller.
pub(super) async fn create(
    conn: &mut Conn,
    action: &Action,
    place: &Place,
    staged: &Staged,
    stamp: Stamp,
) -> Result<Node> {
    let content = name(conn, staged).await?;
    let id = action.turn.first_node;
    action.log(conn, Deed::Upload, id.0, content.1).await?;
    create_at(conn, action, place, id, content, stamp).await
}

/// Makes a file with a given id.
pub(super) async fn create_at(
    conn: &mut Conn,
    action: &Action,
    place: &Place,
    id: NodeId,
    content: (ContentId, i64),
    stamp: Stamp,
) -> Result<Node> {
    let new = new_file(action, place, id, content, stamp);
    nodes::insert(conn, &[new]).await?;
    Ok(created(&new, content))
}

/// A file to be made.
pub(super) fn new_file<'a>(
    action: &Action,
    place: &'a Place,
    id: NodeId,
    content: (ContentId, i64),
    stamp: Stamp,
) -> NewNode<'a> {
    NewNode {
        id,
        space: place.space,
        parent: Some(place.parent),
        name: Some(&place.name),
        content: Some(content),
        mtime: stamp.modified.unwrap_or(action.now),
        created: stamp.created.unwrap_or(action.now),
        written: action.now,
        device: action.device,
        seq: action.turn.seq,
        mode: stamp.over(Mode::default()),
    }
}

/// Gives a file other bytes and keeps the old ones as a version. Returns by how much it grew.
pub(super) async fn replace(
    conn: &mut Conn,
    action: &Action,
    old: NodeRow,
    (content, size): (ContentId, i64),
    stamp: Stamp,
) -> Result<(Node, i64)> {
    let id = NodeId(old.id);
    let mut version = old.version;
    if old.content != Some(content.0) {
        // Windows and davfs2 create, lock, then write: their empty beginnings are not history.
        if old.size > 0 {
            versions::put(conn, &old).await?;
            versions::prune(conn, id, action.keep, (action.now, action.now)).await?;
        }
        version += 1;
    }
    let new = NewContent {
        content,
        version,
        size,
        mtime: stamp.modified.unwrap_or(action.now),
        created: stamp.created.unwrap_or(Millis(old.created)),
        written: action.now,
        device: action.device,
        seq: action.turn.seq,
        mode: stamp.over(old.mode()),
    };
    nodes::set_content(conn, id, &new).await?;
    let grown = size - old.size;
    Ok((replaced_row(old, &new).into(), grown))
}

/// Makes (or finds) the row of a content; its id and size.
pub(super) async fn name(conn: &mut Conn, staged: &Staged) -> Result<(ContentId, i64)> {
    Ok((contents::insert(conn, staged).await?, signed(staged.size)))
}

fn check(when: &Precondition, there: Option<&NodeRow>) -> Result<()> {
    let holds = match when {
        Precondition::None => true,
        Precondition::Absent => there.is_none(),
        Precondition::Present => there.is_some(),
        Precondition::Match(tags) => there.is_some_and(|row| {
            row.content
                .is_some_and(|content| tags.contains(&ETag::file(ContentId(content))))
        }),
    };
    if holds {
        Ok(())
    } else {
        Err(Error::PreconditionFailed)
    }
}

/// The node of a file that was made.
pub(super) fn created(new: &NewNode<'_>, (content, size): (ContentId, i64)) -> Node {
    let row = NodeRow {
        id: new.id.0,
        space: new.space.0,
        parent: new.parent.map(|parent| parent.0),
        name: new.name.map(ToString::to_string).unwrap_or_default(),
        kind: nodes::FILE,
        content: Some(content.0),
        version: 1,
        size,
        mtime: new.mtime.0,
        created: new.created.0,
        written: new.written.0,
        device: new.device.map(|device| device.0),
        seq: new.seq.0,
        tree_seq: new.seq.0,
        tree_size: size,
        trashed: None,
        mode: new.mode.bits(),
        checksum: None,
    };
    row.into()
}

fn replaced_row(old: NodeRow, new: &NewContent) -> NodeRow {
    NodeRow {
        content: Some(new.content.0),
        version: new.version,
        size: new.size,
        tree_size: new.size,
        mtime: new.mtime.0,
        created: new.created.0,
        written: new.written.0,
        device: new.device.map(|device| device.0),
        seq: new.seq.0,
        tree_seq: new.seq.0,
        mode: new.mode.bits(),
        checksum: None,
        ..old
    }
}

/// Sizes are below 2^63 by far: no disk holds more.
pub(super) fn signed(size: u64) -> i64 {
    i64::try_from(size).unwrap_or(i64::MAX)
}
