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
use crate::types::{Epoch, NodeId, NodeName, NodePath, SpaceId};

/// Most changes in one answer: about 3 MB of JSON.
pub const FEED_MAX: u32 = 10_000;
/// Longest cursor text, in bytes: room for more spaces than any account sees.
const CURSOR_MAX: usize = 4096;

/// How far a client has come in each space. Opaque to clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeedCursor {
    /// The database it is of.
    epoch: Option<Epoch>,
    positions: Vec<Position>,
}

/// How far a client has come in one space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Position {
    space: SpaceId,
    /// The last change told.
    mark: Mark,
    /// Between two pages: the turn that the client knew all of when it began to pull.
    began: i64,
}

impl Position {
    /// All of a turn is known.
    fn end_of(space: SpaceId, seq: i64) -> Self {
        Self {
            space,
            mark: Mark::end_of(seq),
            began: seq,
        }
    }

    /// The last turn of which the client knows what went, and so needs not hear.
    fn known(&self) -> i64 {
        let whole = self.mark == Mark::end_of(self.mark.seq);
        let told = self.mark.seq - i64::from(!whole);
        told.max(self.began)
    }
}

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
        if let Some(cursor) = since {
            self.refuse_in_feed(&mut conn, cursor).await?;
        }
        let mut left = i64::from(limit.clamp(1, FEED_MAX));
        let mut feed = Feed {
            changes: vec![],
            cursor: FeedCursor::new(self.store.epoch),
            more: false,
        };
        for space in spaces {
            let after = since.and_then(|cursor| cursor.of(space));
            let page = page(&mut conn, space, after, left).await?;
            left -= i64::try_from(page.rows.len()).unwrap_or(left);
            feed.more |= page.more;
            feed.cursor.positions.push(page.end);
            let mut paths = Paths::default();
            for row in page.rows {
                let change = self
                    .tell(&mut conn, &mut paths, row, space, page.began)
                    .await?;
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
        let mut end = FeedCursor::new(self.store.epoch);
        for space in self.spaces(&mut conn).await? {
            let seq = changes::last_seq(&mut conn, space).await?;
            end.positions.push(Position::end_of(space, seq));
        }
        Ok(end)
    }

    /// Refuses a cursor that this account was not given, or not for all that it sees now.
    async fn refuse_in_feed(&self, conn: &mut Conn, cursor: &FeedCursor) -> Result<()> {
        // Each one that an account is given names its own space.
        if cursor.of(self.user.space).is_none() {
            return Err(Error::StaleCursor);
        }
        let positions = cursor.positions.iter();
        let positions = positions.map(|known| (known.space, known.mark.seq));
        self.refuse_cursor(conn, cursor.epoch, positions).await
    }

    /// Spaces that have changes after a cursor, each with its last turn.
    pub async fn changed_since(&self, cursor: &FeedCursor) -> Result<Vec<(SpaceId, i64)>> {
        let now = self.feed_end().await?;
        let newer = now.positions.into_iter().filter(|end| {
            let known = cursor.of(end.space).map_or(Mark::START, |known| known.mark);
            known < end.mark
        });
        Ok(newer.map(|end| (end.space, end.mark.seq)).collect())
    }

    /// Refuses a cursor that a pull would refuse.
    pub async fn check_cursor(&self, cursor: &FeedCursor) -> Result<()> {
        let mut conn = self.store.meta.read().await?;
        self.refuse_in_feed(&mut conn, cursor).await?;
        for known in &cursor.positions {
            refuse_forgotten(&mut conn, known).await?;
        }
        Ok(())
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
        began: i64,
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
        let restored = row.restored > began;
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
    end: Position,
    more: bool,
    /// The turn that the client knew all of when it began to pull.
    began: i64,
}

/// Lines of one space after a position, at most `limit`.
async fn page(
    conn: &mut Conn,
    space: SpaceId,
    after: Option<Position>,
    limit: i64,
) -> Result<Lines> {
    // Asked before the rows: what happens in between is told again, never missed.
    let last = changes::last_seq(conn, space).await?;
    // Whoever begins gets all that is there now, whatever came back from trash before.
    let (start, began) = after.map_or((Mark::START, last), |known| (known.mark, known.began));
    let nothing_new = start == Mark::end_of(last);
    let mut rows = Vec::new();
    if !nothing_new && limit > 0 {
        rows = lines(conn, space, start, after.is_some(), limit + 1).await?;
    }
    if let Some(known) = after {
        // Asked after the rows: the floor rises before anything below it is forgotten.
        refuse_forgotten(conn, &known).await?;
    }
    let most = usize::try_from(limit).unwrap_or(0);
    let more = rows.len() > most || (limit <= 0 && !nothing_new);
    rows.truncate(most);
    let end = if more {
        let mark = rows.last().map_or(start, Told::mark);
        Position { space, mark, began }
    } else {
        Position::end_of(space, last)
    };
    Ok(Lines {
        rows,
        end,
        more,
        began,
    })
}

/// Refuses a position from which not everything that went since can be told any more.
async fn refuse_forgotten(conn: &mut Conn, known: &Position) -> Result<()> {
    if known.known() < feed::floor(conn, known.space).await? {
        return Err(Error::ExpiredCursor);
    }
    Ok(())
}

/// Nodes, and with `gone` also those in trash or no more, in the order of their changes.
async fn lines(
    conn: &mut Conn,
    space: SpaceId,
    start: Mark,
    gone: bool,
    limit: i64,
) -> Result<Vec<Told>> {
    let nodes = feed::since(conn, space, start, gone, limit).await?;
    let nodes = nodes.into_iter().map(|row| Told::Node(Box::new(row)));
    let mut rows: Vec<Told> = nodes.collect();
    if gone {
        let buried = feed::buried_since(conn, space, start, limit).await?;
        rows.extend(buried.into_iter().map(Told::Buried));
        rows.sort_by_key(Told::mark);
    }
    Ok(rows)
}

impl FeedCursor {
    fn new(epoch: Epoch) -> Self {
        Self {
            epoch: Some(epoch),
            positions: vec![],
        }
    }

    fn of(&self, space: SpaceId) -> Option<Position> {
        let mut positions = self.positions.iter();
        positions.find(|known| known.space == space).copied()
    }

    /// Moves on to the end of a turn in one space.
    pub fn advance(&mut self, space: SpaceId, seq: i64) {
        self.positions.retain(|known| known.space != space);
        self.positions.push(Position::end_of(space, seq));
    }

    /// Reads what [`fmt::Display`] wrote.
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() > CURSOR_MAX {
            return None;
        }
        let (epoch, rest) = Epoch::split(text);
        let positions = rest.split('_').map(parse_position);
        Some(Self {
            epoch,
            positions: positions.collect::<Option<_>>()?,
        })
    }
}

fn parse_position(text: &str) -> Option<Position> {
    let number = |part: &str| {
        let digits = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| part.parse::<i64>().ok()).flatten()
    };
    let parts: Vec<i64> = text.split('.').map(number).collect::<Option<_>>()?;
    match parts[..] {
        [space, seq] => Some(Position::end_of(SpaceId(space), seq)),
        [space, seq, node, began] => Some(Position {
            space: SpaceId(space),
            mark: Mark { seq, node },
            began,
        }),
        _ => None,
    }
}

impl fmt::Display for FeedCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(epoch) = self.epoch {
            write!(f, "{epoch}_")?;
        }
        for (nth, Position { space, mark, began }) in self.positions.iter().enumerate() {
            let separator = if nth == 0 { "" } else { "_" };
            write!(f, "{separator}{space}.{}", mark.seq)?;
            if *mark != Mark::end_of(mark.seq) {
                write!(f, ".{}.{began}", mark.node)?;
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
        for text in ["1.0", "1.17_2.5", "00112233aabbccdd_1.17.68719476737.3_2.5"] {
            assert_eq!(FeedCursor::parse(text).unwrap().to_string(), text);
        }
        for text in [
            "",
            "1",
            "x.y",
            "1.-2",
            "1.2_",
            "1.2.3",
            "1.2.3.4.5",
            "1.+2",
            "1.99999999999999999999",
        ] {
            assert_eq!(FeedCursor::parse(text), None, "{text}");
        }
    }
}
