//! What changed in all spaces of an account since a cursor, by node id: the engine of `pull`.
//!
//! A change is the node as it is now, so ten saves of one file are one change, and a moved
//! collection is one change whatever lies below it. [`super::report`] tells the same by path.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;

use super::model::{Located, Node};
use super::{Error, Result, Tree};
use crate::store::meta::feed::{self, FeedRow, Mark};
use crate::store::meta::{Conn, changes};
use crate::types::{NodeId, NodeName, NodePath, SpaceId};

/// Most changes in one answer: about 3 MB of JSON.
pub const FEED_MAX: u32 = 10_000;
/// Longest cursor text, in bytes: room for more spaces than any account sees.
const CURSOR_MAX: usize = 4096;

/// How far a client has come in each space. Opaque to clients.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FeedCursor(Vec<(SpaceId, Mark)>);

/// Some changes: of each space oldest first, one space after the other.
#[derive(Debug)]
pub struct Feed {
    /// The changes.
    pub changes: Vec<FeedChange>,
    /// Where to go on.
    pub cursor: FeedCursor,
    /// Whether there are more already.
    pub more: bool,
}

/// One change.
#[derive(Debug)]
pub enum FeedChange {
    /// A new or changed node.
    Present {
        /// The node and its path.
        located: Box<Located>,
        /// A collection that came back from trash: what lies below it must be listed.
        restored: bool,
    },
    /// A node that is not there any more, and nothing below it.
    Gone {
        /// Its id.
        id: NodeId,
        /// The space it lay in.
        space: SpaceId,
    },
}

impl Tree {
    /// At most `limit` changes since a cursor; with none, everything that is there.
    pub async fn pull(&self, since: Option<&FeedCursor>, limit: u32) -> Result<Feed> {
        let mut conn = self.store.meta.read().await?;
        let spaces = self.spaces(&mut conn).await?;
        if since.is_some_and(|cursor| cursor.0.iter().any(|(space, _)| !spaces.contains(space))) {
            return Err(Error::StaleCursor);
        }
        let mut left = i64::from(limit.clamp(1, FEED_MAX));
        let mut feed = Feed {
            changes: vec![],
            cursor: FeedCursor::default(),
            more: false,
        };
        for space in spaces {
            let after = since.and_then(|cursor| cursor.of(space));
            let page = page(&mut conn, space, after, left).await?;
            left -= i64::try_from(page.rows.len()).unwrap_or(left);
            feed.more |= page.more;
            feed.cursor.0.push((space, page.end));
            let mut paths = Paths::default();
            for row in page.rows {
                let known = after.unwrap_or(Mark::START);
                let change = self.tell(&mut conn, &mut paths, row, space, known).await?;
                // Whoever knows nothing yet needs not hear of what is gone.
                if after.is_some() || matches!(change, FeedChange::Present { .. }) {
                    feed.changes.push(change);
                }
            }
        }
        Ok(feed)
    }

    /// Where the feed stands now: a pull with it tells what happens from now on.
    pub async fn feed_end(&self) -> Result<FeedCursor> {
        let mut conn = self.store.meta.read().await?;
        let mut end = FeedCursor::default();
        for space in self.spaces(&mut conn).await? {
            let seq = changes::last_seq(&mut conn, space).await?;
            end.0.push((space, Mark::end_of(seq)));
        }
        Ok(end)
    }

    /// Spaces that have changes after a cursor, each with its last turn.
    pub async fn changed_since(&self, cursor: &FeedCursor) -> Result<Vec<(SpaceId, i64)>> {
        let now = self.feed_end().await?;
        let newer = now.0.into_iter().filter(|(space, end)| {
            let known = cursor.of(*space).unwrap_or(Mark::START);
            known < *end
        });
        Ok(newer.map(|(space, end)| (space, end.seq)).collect())
    }

    /// Refuses a cursor that a pull would refuse.
    pub async fn check_cursor(&self, cursor: &FeedCursor) -> Result<()> {
        let now = self.feed_end().await?;
        let valid = cursor
            .0
            .iter()
            .all(|(space, mark)| now.of(*space).is_some_and(|end| mark.seq <= end.seq));
        if valid {
            Ok(())
        } else {
            Err(Error::StaleCursor)
        }
    }

    /// A receiver for each space the account sees, told of every change from now on.
    pub async fn watch(&self) -> Result<Vec<(SpaceId, tokio::sync::watch::Receiver<()>)>> {
        let mut conn = self.store.meta.read().await?;
        let spaces = self.spaces(&mut conn).await?.into_iter();
        Ok(spaces
            .map(|space| (space, self.store.events.subscribe(space)))
            .collect())
    }

    async fn tell(
        &self,
        conn: &mut Conn,
        paths: &mut Paths,
        row: Told,
        space: SpaceId,
        known: Mark,
    ) -> Result<FeedChange> {
        let (id, row) = match row {
            Told::Buried(mark) => (NodeId(mark.node), None),
            Told::Node(row) => (NodeId(row.node.id), Some(row)),
        };
        let gone = FeedChange::Gone { id, space };
        let Some(row) = row.filter(|row| row.node.trashed.is_none()) else {
            return Ok(gone);
        };
        let Some(path) = self.path_in_feed(conn, paths, &row).await? else {
            return Ok(gone);
        };
        let restored = row.restored > known.seq;
        let mut node = Node::from(row.node);
        if let (None, Some(name)) = (node.parent, path.names().first()) {
            node.name = name.to_string();
        }
        Ok(FeedChange::Present {
            located: Box::new(Located { node, path }),
            restored,
        })
    }

    async fn path_in_feed(
        &self,
        conn: &mut Conn,
        paths: &mut Paths,
        row: &FeedRow,
    ) -> Result<Option<NodePath>> {
        let space = SpaceId(row.node.space);
        let Some(parent) = row.node.parent.map(NodeId) else {
            return self.path_of(conn, NodeId(row.node.id), space).await;
        };
        let above = match paths.0.entry(parent) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(vacant) => vacant.insert(self.path_of(conn, parent, space).await?),
        };
        let Some(above) = above else {
            return Ok(None);
        };
        Ok(Some(above.join(NodeName::parse(&row.node.name)?)))
    }
}

/// Paths of collections seen in this answer; `None` for those in trash.
#[derive(Default)]
struct Paths(HashMap<NodeId, Option<NodePath>>);

/// A line of the feed as it is stored.
enum Told {
    Node(Box<FeedRow>),
    Buried(Mark),
}

impl Told {
    fn mark(&self) -> Mark {
        match self {
            Self::Node(row) => Mark {
                seq: row.node.seq,
                node: row.node.id,
            },
            Self::Buried(mark) => *mark,
        }
    }
}

struct Lines {
    rows: Vec<Told>,
    end: Mark,
    more: bool,
}

/// Lines of one space after a mark, at most `limit`.
async fn page(conn: &mut Conn, space: SpaceId, after: Option<Mark>, limit: i64) -> Result<Lines> {
    // Asked before the rows: what happens in between is told again, never missed.
    let last = changes::last_seq(conn, space).await?;
    let start = after.unwrap_or(Mark::START);
    if start.seq > last {
        return Err(Error::StaleCursor);
    }
    if start == Mark::end_of(last) || limit <= 0 {
        let (rows, more) = (vec![], start != Mark::end_of(last));
        return Ok(Lines {
            rows,
            end: start,
            more,
        });
    }
    let nodes = feed::since(conn, space, start, after.is_some(), limit + 1).await?;
    let mut rows: Vec<Told> = nodes
        .into_iter()
        .map(|row| Told::Node(Box::new(row)))
        .collect();
    if after.is_some() {
        let buried = feed::buried_since(conn, space, start, limit + 1).await?;
        rows.extend(buried.into_iter().map(Told::Buried));
        rows.sort_by_key(Told::mark);
    }
    let most = usize::try_from(limit).unwrap_or(usize::MAX);
    let more = rows.len() > most;
    rows.truncate(most);
    let end = match rows.last() {
        Some(row) if more => row.mark(),
        Some(_) | None => Mark::end_of(last),
    };
    Ok(Lines { rows, end, more })
}

impl FeedCursor {
    fn of(&self, space: SpaceId) -> Option<Mark> {
        let known = self.0.iter().find(|(known, _)| *known == space);
        known.map(|(_, mark)| *mark)
    }

    /// Moves on to the end of a turn in one space.
    pub fn advance(&mut self, space: SpaceId, seq: i64) {
        self.0.retain(|(known, _)| *known != space);
        self.0.push((space, Mark::end_of(seq)));
    }

    /// Reads what [`fmt::Display`] wrote.
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() > CURSOR_MAX {
            return None;
        }
        let marks: Vec<_> = text.split('_').map(parse_mark).collect::<Option<_>>()?;
        Some(Self(marks))
    }
}

fn parse_mark(text: &str) -> Option<(SpaceId, Mark)> {
    let number = |part: &str| {
        let digits = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| part.parse::<i64>().ok()).flatten()
    };
    let parts: Vec<i64> = text.split('.').map(number).collect::<Option<_>>()?;
    match parts[..] {
        [space, seq] => Some((SpaceId(space), Mark::end_of(seq))),
        [space, seq, node] => Some((SpaceId(space), Mark { seq, node })),
        _ => None,
    }
}

impl fmt::Display for FeedCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (nth, (space, mark)) in self.0.iter().enumerate() {
            let separator = if nth == 0 { "" } else { "_" };
            write!(f, "{separator}{space}.{}", mark.seq)?;
            if *mark != Mark::end_of(mark.seq) {
                write!(f, ".{}", mark.node)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_reads_back_and_nonsense_does_not() {
        for text in ["1.0", "1.17_2.5", "1.17.68719476737_2.5"] {
            assert_eq!(FeedCursor::parse(text).unwrap().to_string(), text);
        }
        for text in [
            "",
            "1",
            "x.y",
            "1.-2",
            "1.2_",
            "1.2.3.4",
            "1.+2",
            "1.99999999999999999999",
        ] {
            assert_eq!(FeedCursor::parse(text), None, "{text}");
        }
    }
}
