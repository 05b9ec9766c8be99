//! Listing everything below a collection, and finding nodes by their names.

use unicode_normalization::UnicodeNormalization;

use super::list::{PageEnd, With};
use super::model::{Located, Node};
use super::{Error, Result, Tree};
use crate::store::meta::{Conn, feed};
use crate::types::{NodeId, NodeName, NodePath, SpaceId};

/// Most nodes in one answer: a few hundred KiB of JSON.
pub const FIND_MAX: u32 = 1000;
/// Members of a collection read at once: a walk may hold so many at each of 128 levels.
const MEMBERS: i64 = 128;
/// Rows looked at for one answer: when most of what matches lies elsewhere, the answer is short and
/// says where to go on.
const LOOKED_AT_MAX: i64 = 5000;

/// Some nodes, and where to go on.
#[derive(Debug)]
pub struct Found {
    /// The nodes with their paths.
    pub nodes: Vec<Located>,
    /// Give this to get what follows; `None` at the end.
    pub next: Option<String>,
}

impl Tree {
    /// Nodes below a collection in the order of a walk, each collection before what it holds, those
    /// after `after` (a path below it). With `deep` everything, without only its members.
    pub async fn walk(
        &self,
        top: &Located,
        deep: bool,
        after: Option<&NodePath>,
        limit: u32,
    ) -> Result<Found> {
        let limit = limit.clamp(1, FIND_MAX) as usize;
        let mut open = vec![Level::of(top.clone())];
        self.descend(&mut open, after, deep).await?;
        let mut nodes = Vec::new();
        while let Some(level) = open.last_mut() {
            let Some(node) = self.next_member(level).await? else {
                open.pop();
                continue;
            };
            let path = level.top.path.join(NodeName::parse(&node.name)?);
            let located = Located { node, path };
            if nodes.len() == limit {
                let last = nodes.last().map(|last: &Located| &last.path);
                let next = last.map(|path| below(path, &top.path));
                return Ok(Found { nodes, next });
            }
            if deep && located.node.is_collection() {
                open.push(Level::of(located.clone()));
            }
            nodes.push(located);
        }
        Ok(Found { nodes, next: None })
    }

    /// Live nodes below `under` whose names hold `text` (letters of ASCII in any case), in the order
    /// of their ids, those after the id `after`.
    pub async fn search(
        &self,
        under: &Located,
        text: &str,
        after: Option<NodeId>,
        limit: u32,
    ) -> Result<Found> {
        let limit = limit.clamp(1, FIND_MAX) as usize;
        if text.contains('\0') {
            // No name holds it, and PostgreSQL does not want to hear of it.
            let (nodes, next) = (Vec::new(), None);
            return Ok(Found { nodes, next });
        }
        let pattern = pattern(text);
        let mut conn = self.store.meta.read().await?;
        let mut after = after.unwrap_or(NodeId(0));
        let mut nodes = Vec::new();
        for space in self.searched(&mut conn, under).await? {
            let rows = feed::named(&mut conn, space, &pattern, after, LOOKED_AT_MAX).await?;
            let full = i64::try_from(rows.len()).is_ok_and(|count| count == LOOKED_AT_MAX);
            for row in rows {
                after = NodeId(row.id);
                let Some(path) = self.path_of(&mut conn, after, space).await? else {
                    continue;
                };
                if !path.starts_with(&under.path) || path.depth() == under.path.depth() {
                    continue;
                }
                nodes.push(Located {
                    node: row.into(),
                    path,
                });
                if nodes.len() == limit {
                    break;
                }
            }
            if full || nodes.len() == limit {
                let next = Some(after.to_string());
                return Ok(Found { nodes, next });
            }
        }
        Ok(Found { nodes, next: None })
    }

    /// The spaces below a collection in the order of their ids, which node ids follow.
    async fn searched(&self, conn: &mut Conn, under: &Located) -> Result<Vec<SpaceId>> {
        if !under.path.is_root() {
            return Ok(vec![under.node.space]);
        }
        let mut spaces = self.spaces(conn).await?;
        spaces.sort();
        Ok(spaces)
    }

    /// Opens the levels that lead to `after`, each to go on behind it.
    async fn descend(
        &self,
        open: &mut Vec<Level>,
        after: Option<&NodePath>,
        deep: bool,
    ) -> Result<()> {
        for name in after.into_iter().flat_map(NodePath::names) {
            let Some(level) = open.last_mut() else { break };
            self.go_behind(level, name).await?;
            let path = level.top.path.join(name.clone());
            match self.lookup(&path).await {
                Ok(node) if deep && node.is_collection() => {
                    open.push(Level::of(Located { node, path }));
                }
                // When it was moved or deleted meanwhile, the walk goes on behind its name.
                Ok(_) | Err(Error::NotFound) => break,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Makes a level go on behind a name. Mounts come before all other members of the root.
    async fn go_behind(&self, level: &mut Level, name: &NodeName) -> Result<()> {
        if level.top.path.is_root() {
            self.read_on(level).await?;
            let members = level.members.as_slice();
            let is_mount = |node: &Node| node.parent.is_none() && node.name == name.key();
            if let Some(nth) = members.iter().position(is_mount) {
                let rest = level.members.by_ref().skip(nth + 1).collect::<Vec<_>>();
                level.members = rest.into_iter();
                return Ok(());
            }
        }
        *level = Level {
            after: Some(PageEnd(name.key())),
            ..Level::of(level.top.clone())
        };
        Ok(())
    }

    async fn next_member(&self, level: &mut Level) -> Result<Option<Node>> {
        if level.members.as_slice().is_empty() && !level.exhausted {
            self.read_on(level).await?;
        }
        Ok(level.members.next())
    }

    async fn read_on(&self, level: &mut Level) -> Result<()> {
        let with = With {
            checksums: true,
            ..With::default()
        };
        let after = level.after.take();
        let page = self
            .list_some(&level.top.node, with, after, MEMBERS)
            .await?;
        level.exhausted = page.next.is_none();
        level.after = page.next;
        level.members = page.nodes.into_iter();
        Ok(())
    }
}

/// A collection on the way down, and which of its members come next.
struct Level {
    top: Located,
    after: Option<PageEnd>,
    members: std::vec::IntoIter<Node>,
    exhausted: bool,
}

impl Level {
    fn of(top: Located) -> Self {
        Self {
            top,
            after: None,
            members: Vec::new().into_iter(),
            exhausted: false,
        }
    }
}

/// The path of a node below a collection, without leading slash.
fn below(path: &NodePath, top: &NodePath) -> String {
    let names = path.names().iter().skip(top.depth());
    names.map(NodeName::as_str).collect::<Vec<_>>().join("/")
}

/// A LIKE pattern for names that hold the text.
fn pattern(text: &str) -> String {
    let mut pattern = String::from("%");
    for letter in text.nfc() {
        if matches!(letter, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(letter.to_ascii_lowercase());
    }
    pattern.push('%');
    pattern
}
