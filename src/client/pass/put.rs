//! Getting a file ready to be sent: what it holds, and in which way it goes.

use std::sync::Arc;

use tokio::task::block_in_place;

use super::content::{self, Out, Way, operations, whole};
use super::gather::Parts;
use super::{Engine, Error};
use crate::chunk::Class;
use crate::chunk::plan::{Step, plan};
use crate::chunk::signature::Signature;
use crate::client::item::{Item, ItemId, Kind};
use crate::client::journal::Entry;
use crate::client::local::Stamp;
use crate::client::local::cutting::Cutting;
use crate::client::local::place::read_link;
use crate::client::local::read::List;
use crate::client::local::read::{self, Opened, ReadError};
use crate::crypto::ClientKeys;
use crate::protocol::stream;
use crate::protocol::sync::{OnConflict, PushItem, PushPut, SignatureRequest};
use crate::types::hex;

/// Contents of one chunk, which need no list: they are short, and named by nothing else than their bytes.
const UNLISTED_MAX: u64 = 16 * 1024;
/// Up to here a file is written into memory together with others.
pub(super) const INLINE_MAX: u64 = 1024 * 1024;
/// From this many bytes on a content that goes whole goes in parts, so that a broken line costs little.
pub(super) const PARTS_MIN: u64 = 16 * 1024 * 1024;
/// From this many bytes on it is worth to ask whether the server has a content by chance.
const ASK_MIN: u64 = 1024 * 1024;

/// Bytes of a file without content in a push.
const SHORT: u64 = 256;

/// A file that is about to be sent.
pub(super) struct Put {
    pub(super) id: ItemId,
    /// Where both sides have it once it is sent.
    pub(super) lies: (ItemId, String),
    /// Its path on the server, without a leading slash.
    pub(super) path: String,
    pub(super) space: i64,
    pub(super) base: Option<Arc<str>>,
    pub(super) size: u64,
    pub(super) mtime: i64,
    pub(super) stamp: Option<Stamp>,
    /// Whether it may be run, when the server does not have it so anyway.
    pub(super) executable: Option<bool>,
    pub(super) content: Source,
}

/// Where the bytes come from.
pub(super) enum Source {
    File(Opened, List, Way),
    /// A large file, all of which goes and is cut on the way.
    Uncut(Opened),
    /// The target of a link.
    Link(String, List),
}

/// What has to be done for a file.
pub(super) enum Ready {
    /// It has to be sent.
    Put(Box<Put>),
    /// Both sides have its bytes: only the stamp is new.
    Known(Option<Stamp>),
    /// It cannot be sent now.
    Not(String),
}

/// How sure it has to be that what is sent suffices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Try {
    First,
    /// The server lacked what the first one referred to.
    Whole,
}

/// What both sides are to have.
pub(super) struct Aim<'a> {
    /// Where, when the server does not have it yet.
    pub(super) place: Option<(ItemId, &'a str)>,
    /// Whether it may be run.
    pub(super) executable: bool,
}

impl Engine {
    /// Reads a file and decides how it goes.
    pub(super) async fn ready(
        &self,
        id: ItemId,
        base: Option<&Arc<str>>,
        tries: Try,
        aim: &Aim<'_>,
        parts: &Parts,
    ) -> Result<Ready, Error> {
        let (Some(item), Some(stamp)) = (parts.local.get(id), parts.stamps.get(&id)) else {
            return Ok(Ready::Not("is not here any more".to_owned()));
        };
        let (lies, there) = place_there(id, aim.place, parts);
        let (Some(here), Some(there)) = (Parts::path(&parts.local, id), there) else {
            return Ok(Ready::Not("its folder is not in step yet".to_owned()));
        };
        let space = self.space_of(id, parts);
        let keys = self.keys(space).await?;
        let put = |now: Stamp, sure: bool, content: Source| Put {
            id,
            lies,
            path: there,
            space,
            base: base.cloned(),
            size: content.size(),
            mtime: now.mtime_ns.div_euclid(1_000_000),
            stamp: sure.then_some(now),
            executable: (item.kind == Kind::File)
                .then(|| executable(item, aim, parts))
                .flatten(),
            content,
        };
        if item.kind == Kind::Link {
            let link = self.link(&here, *stamp, &keys);
            let put = |link| Ready::Put(Box::new(put(*stamp, true, link)));
            return Ok(link.map_or_else(Ready::Not, put));
        }
        if base.is_none() && self.is_unheard_of(id, stamp.size, space, parts).await? {
            let opened = block_in_place(|| read::open(&self.folder, &here, stamp));
            return Ok(opened.map_or_else(
                |error| Ready::Not(error.to_string()),
                |opened| Ready::Put(Box::new(put(*stamp, false, Source::Uncut(opened)))),
            ));
        }
        let known = parts.cuts.get(&id);
        let read = block_in_place(|| self.read_and_cut(&here, stamp, known, &keys));
        let (opened, list, now, racy) = match read {
            Ok(read) => read,
            Err(error) => return Ok(Ready::Not(error.to_string())),
        };
        let sure = !racy && !parts.racy.contains(&id);
        let is_base = |row: &&Entry| base.is_some_and(|base| row.etag == *base);
        let row = parts.rows.get(&id).filter(is_base);
        let old = match row {
            Some(row) => self.journal.list(id, &row.etag).await?,
            None => None,
        };
        let gone = !parts.remote.has(id);
        let unchanged = old.as_ref().is_some_and(|old| old.root == list.root);
        if unchanged && !gone && executable(item, aim, parts).is_none() {
            return Ok(Ready::Known(sure.then_some(now)));
        }
        let mut put = put(now, sure, Source::File(opened, list, Way::Whole));
        if tries == Try::First {
            let known = unchanged || self.may_be_there(&put, parts).await?;
            let old = old.filter(|_| !gone);
            self.choose(&mut put, known, old, &keys).await?;
        }
        Ok(Ready::Put(Box::new(put)))
    }

    /// Whether a new file is large, and nothing says that the server has its bytes under any name.
    async fn is_unheard_of(
        &self,
        id: ItemId,
        size: u64,
        space: i64,
        parts: &Parts,
    ) -> Result<bool, Error> {
        let is_new = !parts.heads.contains_key(&id) && !parts.cuts.contains_key(&id);
        Ok(is_new && size >= PARTS_MIN && !self.journal.has_size(space, size).await?)
    }

    /// Opens a file and cuts it, unless that was done before.
    fn read_and_cut(
        &self,
        here: &str,
        stamp: &Stamp,
        known: Option<&(List, Stamp)>,
        keys: &Arc<ClientKeys>,
    ) -> Result<(Opened, List, Stamp, bool), ReadError> {
        let opened = read::open(&self.folder, here, stamp)?;
        let list = match known.filter(|(_, cut)| *cut == opened.stamp()) {
            Some((list, _)) => list.clone(),
            None => read::cut(&opened, Class::of(Some(opened.size())), keys)?,
        };
        let (now, racy) = opened.check()?;
        Ok((opened, list, now, racy))
    }

    /// Whether the server probably has these bytes.
    async fn may_be_there(&self, put: &Put, parts: &Parts) -> Result<bool, Error> {
        let Some(list) = put.content.list() else {
            return Ok(false);
        };
        // An answer that was lost: what is there is as long as what is here.
        let head = parts.heads.get(&put.id).filter(|_| put.size > 0);
        let news =
            head.is_some_and(|head| head.size == put.size && Some(&head.etag) != put.base.as_ref());
        let large = put.base.is_none() && put.size >= ASK_MIN;
        Ok(news
            || large
            || put.size > UNLISTED_MAX && self.journal.has_root(put.space, &list.root).await?)
    }

    async fn choose(
        &self,
        put: &mut Put,
        known: bool,
        old: Option<List>,
        keys: &Arc<ClientKeys>,
    ) -> Result<(), Error> {
        let Source::File(opened, new, way) = &mut put.content else {
            return Ok(());
        };
        if known {
            *way = Way::Same;
            return Ok(());
        }
        let (Some(base), Some(mut list)) = (&put.base, old) else {
            return Ok(());
        };
        let shadow = block_in_place(|| self.shadows().open(&self.folder, put.id, base));
        if let Some(old) = shadow {
            if list.class != new.class {
                list = block_in_place(|| cut_file(&old, new.class, keys)).unwrap_or(list);
            }
            *way = Way::Patched { old, list };
            return Ok(());
        }
        if list.class != new.class {
            return Ok(());
        }
        let Ok((steps, ranges)) = block_in_place(|| content::steps(opened, &list, new, keys))
        else {
            return Ok(());
        };
        let mut signature = None;
        if content::worth(&ranges) {
            signature = self.signature(put.id, base, ranges).await?;
        }
        *way = Way::Signed { steps, signature };
        Ok(())
    }

    async fn signature(
        &self,
        id: ItemId,
        etag: &str,
        ranges: Vec<std::ops::Range<u64>>,
    ) -> Result<Option<Signature>, Error> {
        let asked = SignatureRequest {
            id: id.0,
            etag: Some(etag.to_owned()),
            block: u32::try_from(content::BLOCK).unwrap_or(u32::MAX),
            ranges: ranges
                .iter()
                .map(|range| (range.start, range.end - range.start))
                .collect(),
        };
        match self.session.signature(&asked).await {
            Ok(bytes) => Ok(Signature::parse(&ranges, content::BLOCK, &bytes)),
            // It goes without.
            Err(error) if error.problem().is_some() => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// The target of a link, as a content.
    fn link(&self, here: &str, stamp: Stamp, keys: &Arc<ClientKeys>) -> Result<Source, String> {
        let target = block_in_place(|| read_link(&self.folder, here, &stamp));
        let target = target.map_err(|refused| refused.to_string())?;
        let list = Cutting::whole(Class::Small, target.as_bytes(), keys);
        Ok(Source::Link(target, list))
    }

    /// The space that an item lies in, or will.
    pub(super) fn space_of(&self, id: ItemId, parts: &Parts) -> i64 {
        let mut at = id;
        loop {
            if let Some(head) = parts.heads.get(&at) {
                return head.space;
            }
            match parts.local.get(at) {
                Some(item) if at != self.root => at = item.parent,
                _ => return self.home,
            }
        }
    }
}

impl Put {
    /// The header in the push.
    pub(super) fn head(&self) -> PushItem {
        PushItem::Put(PushPut {
            path: format!("/{}", self.path),
            size: self.size,
            base: Some(self.base.as_ref().map_or("none", |base| base).to_owned()),
            root: self.content.list().map(|list| hex(&list.root.0)),
            checksum: None,
            mtime: Some(self.mtime),
            created: None,
            class: None,
            source: None,
            from: None,
            conflict: OnConflict::Keep,
            executable: self.executable,
            link: matches!(self.content, Source::Link(..)),
        })
    }

    /// About how many bytes it takes in the push, at most.
    pub(super) fn estimate(&self) -> u64 {
        match &self.content {
            Source::File(_, _, Way::Same) | Source::Link(..) => SHORT,
            Source::File(_, _, Way::Whole) | Source::Uncut(_) => self.size,
            Source::File(_, new, Way::Patched { list, .. }) => {
                let new = new.chunks.iter().copied();
                SHORT + changed(&plan(list.chunks.clone(), new).steps)
            }
            Source::File(_, _, Way::Signed { steps, .. }) => SHORT + changed(steps),
        }
    }

    /// Whether it is probably far shorter than that.
    pub(super) fn is_delta(&self) -> bool {
        matches!(
            self.content,
            Source::File(_, _, Way::Patched { .. } | Way::Signed { .. })
        )
    }

    /// Whether it is large and all of it goes.
    pub(super) fn goes_in_parts(&self) -> bool {
        let whole = matches!(
            self.content,
            Source::File(_, _, Way::Whole) | Source::Uncut(_)
        );
        whole && self.size >= PARTS_MIN
    }

    /// All its records.
    pub(super) fn records(self, out: &mut Out<'_>) -> std::io::Result<()> {
        file(&mut out.buffer, &self.head());
        match self.content {
            Source::Link(target, _) => stream::lit(&mut out.buffer, target.as_bytes()),
            Source::File(opened, list, way) => operations(out, &opened, &list, way)?,
            Source::Uncut(opened) => whole(out, &opened)?,
        }
        stream::end(&mut out.buffer);
        Ok(())
    }
}

impl Source {
    /// Bytes.
    fn size(&self) -> u64 {
        match self {
            Self::File(opened, ..) | Self::Uncut(opened) => opened.size(),
            Self::Link(target, _) => target.len() as u64,
        }
    }

    /// How it is cut, when that is known.
    pub(super) fn list(&self) -> Option<&List> {
        match self {
            Self::File(_, list, _) | Self::Link(_, list) => Some(list),
            Self::Uncut(_) => None,
        }
    }

    /// The file.
    pub(super) fn opened(&self) -> Option<&Opened> {
        match self {
            Self::File(opened, ..) | Self::Uncut(opened) => Some(opened),
            Self::Link(..) => None,
        }
    }
}

/// Whether a file may be run, when the server does not have it so anyway.
fn executable(item: &Item, aim: &Aim<'_>, parts: &Parts) -> Option<bool> {
    let there = parts.remote.get(item.id);
    let there = there.is_some_and(|item| item.executable);
    (aim.executable != there).then_some(aim.executable)
}

/// Where both sides will have an item, and its path on the server: where it lies there, or where
/// it is to be made.
fn place_there(
    id: ItemId,
    place: Option<(ItemId, &str)>,
    parts: &Parts,
) -> ((ItemId, String), Option<String>) {
    if let Some(item) = parts.remote.get(id) {
        let lies = match parts.rows.get(&id) {
            Some(row) => (row.parent, row.name.clone()),
            None => (item.parent, item.name.clone()),
        };
        let path = Parts::path(&parts.remote, id);
        return (lies, path);
    }
    let of_item = parts
        .local
        .get(id)
        .map(|item| (item.parent, item.name.as_str()));
    let Some((parent, name)) = place.or(of_item) else {
        return ((ItemId(0), String::new()), None);
    };
    let parent = parts.alias(parent);
    let path = Parts::place(&parts.remote, parent, name);
    ((parent, name.to_owned()), path)
}

/// Bytes of the new content that lie in changed chunks.
fn changed(steps: &[Step]) -> u64 {
    let region = |step: &Step| match step {
        Step::Copy { .. } => 0,
        Step::Region(region) => region.new.end - region.new.start,
    };
    steps.iter().map(region).sum()
}

/// Appends the header of an item.
pub(super) fn file(out: &mut Vec<u8>, item: &PushItem) {
    // Plain texts and numbers always become JSON.
    let json = serde_json::to_vec(item).unwrap_or_default();
    stream::file(out, &json);
}

/// How a file of ours is cut.
pub(super) fn cut_file(
    file: &std::fs::File,
    class: Class,
    keys: &Arc<ClientKeys>,
) -> Result<List, ReadError> {
    read::cut(&Opened::of(file)?, class, keys)
}
