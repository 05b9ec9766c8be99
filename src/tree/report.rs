//! What changed below a collection since a cursor: the engine of RFC 6578.

use std::fmt;

use super::locate::root_of;
use super::model::Node;
use super::{Error, Result, Tree};
use crate::store::meta::changes::{self, ChangeRow, Wanted};
use crate::store::meta::feed;
use crate::types::{Epoch, NodeId, NodeName, NodePath, SpaceId};

/// Most changes in one answer; the client asks again for the rest.
const CHANGES_MAX: u32 = 10_000;
/// Longest cursor text, in bytes: room for more spaces than any account sees.
const CURSOR_MAX: usize = 4096;

/// A point in the change sequences of the spaces below a collection. Opaque to clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// The database it is of.
    epoch: Option<Epoch>,
    /// The collection it was given for: elsewhere it means nothing.
    under: NodeId,
    positions: Vec<Position>,
}

/// How far a client has come in one space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Position {
    space: SpaceId,
    seq: i64,
    /// Between two pages of one report: where in turn `seq` the next page starts.
    within: Option<Within>,
}

/// A place between two pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Within {
    /// The last change told of the turn.
    mark: i64,
    /// The turn that the client knew all of when the report began; for one that knew nothing, the last
    /// one then: what went before is not in its report.
    began: i64,
}

/// Some changes, oldest first.
#[derive(Debug)]
pub struct Changes {
    /// The changes.
    pub changes: Vec<Change>,
    /// Where to go on.
    pub cursor: Cursor,
    /// Whether there are more already.
    pub more: bool,
}

/// One change.
#[derive(Debug)]
pub struct Change {
    /// Path below the collection asked about.
    pub path: NodePath,
    /// What is there now.
    pub kind: ChangeKind,
}

/// What is at a changed path.
#[derive(Debug)]
pub enum ChangeKind {
    /// A new or changed node.
    Present(Box<Node>),
    /// Nothing any more.
    Gone,
}

impl Tree {
    /// What changed below `under` since a cursor; with none, everything that is there.
    pub async fn changes(
        &self,
        under: &Node,
        since: Option<&Cursor>,
        deep: bool,
        limit: u32,
    ) -> Result<Changes> {
        if !under.is_collection() {
            return Err(Error::NotACollection);
        }
        if let Some(cursor) = since {
            self.refuse_in_report(under, cursor).await?;
        }
        let parts = self.parts(under, deep).await?;
        let mut left = i64::from(limit.clamp(1, CHANGES_MAX));
        let mut answer = Changes {
            changes: vec![],
            cursor: Cursor {
                epoch: Some(self.store.epoch),
                under: under.id,
                positions: vec![],
            },
            more: false,
        };
        for (top, mount) in parts {
            let space = top.0;
            let start = position(since, space);
            let (rows, end, more) = self.page(top, start, deep, left).await?;
            left -= i64::try_from(rows.len()).unwrap_or(left);
            answer.more |= more;
            answer.cursor.positions.push(end);
            for row in rows {
                answer.changes.push(change(row, mount.as_deref())?);
            }
        }
        Ok(answer)
    }

    /// Refuses a cursor that was not given out for all that this collection holds now.
    async fn refuse_in_report(&self, under: &Node, cursor: &Cursor) -> Result<()> {
        let mut conn = self.store.meta.read().await?;
        let positions = cursor
            .positions
            .iter()
            .map(|known| (known.space, known.seq));
        self.refuse_cursor(&mut conn, cursor.epoch, positions)
            .await?;
        if cursor.under != under.id {
            return Err(Error::ExpiredCursor);
        }
        Ok(())
    }

    /// Where the changes below a collection stand now, for clients that have just listed it.
    pub async fn cursor(&self, under: &Node) -> Result<Cursor> {
        let mut positions = vec![];
        for ((space, _), _) in self.parts(under, true).await? {
            let seq = changes::last_seq(&mut *self.store.meta.read().await?, space).await?;
            positions.push(Position {
                space,
                seq,
                within: None,
            });
        }
        Ok(Cursor {
            epoch: Some(self.store.epoch),
            under: under.id,
            positions,
        })
    }

    /// The collection itself and, at the account's root, what is mounted there.
    async fn parts(
        &self,
        under: &Node,
        deep: bool,
    ) -> Result<Vec<((SpaceId, NodeId), Option<String>)>> {
        let mut parts = vec![((under.space, under.id), None)];
        if under.id == root_of(self.user.space) && deep {
            let mut conn = self.store.meta.read().await?;
            for mount in self.store.mounts.all(&mut conn).await?.iter() {
                parts.push((
                    (SpaceId(mount.id), NodeId(mount.root)),
                    Some(mount.name.clone()),
                ));
            }
        }
        Ok(parts)
    }

    async fn page(
        &self,
        (space, under): (SpaceId, NodeId),
        start: Position,
        deep: bool,
        limit: i64,
    ) -> Result<(Vec<ChangeRow>, Position, bool)> {
        let mut conn = self.store.meta.read().await?;
        // Asked before the rows: what happens in between is reported again, never missed.
        let last = changes::last_seq(&mut conn, space).await?;
        let began = start.within.map_or(start.seq, |within| within.began);
        if began > 0 && changes::replaced(&mut conn, under, began, deep).await? {
            return Err(Error::ExpiredCursor);
        }
        if limit <= 0 {
            return Ok((vec![], start, last > start.seq));
        }
        let wanted = Wanted {
            under,
            seq: start.seq,
            mark: start.within.map_or(i64::MAX, |within| within.mark),
            deep,
            gone: start.seq > 0,
            limit: limit + 1,
        };
        let mut rows = changes::list(&mut conn, &wanted).await?;
        // Asked after the rows: the floor rises before anything below it is forgotten.
        if wanted.gone && start.known() < feed::floor(&mut conn, space).await? {
            return Err(Error::ExpiredCursor);
        }
        let more = i64::try_from(rows.len()).is_ok_and(|count| count > limit);
        if !more {
            return Ok((
                rows,
                Position {
                    space,
                    seq: last,
                    within: None,
                },
                false,
            ));
        }
        rows.pop();
        let from = if start.seq > 0 { start.seq } else { last };
        let began = start.within.map_or(from, |within| within.began);
        let end = rows.last().map_or(start, |row| {
            let within = Some(Within {
                mark: row.mark,
                began,
            });
            Position {
                space,
                seq: row.seq,
                within,
            }
        });
        Ok((rows, end, true))
    }
}

fn position(since: Option<&Cursor>, space: SpaceId) -> Position {
    let start = Position {
        space,
        seq: 0,
        within: None,
    };
    // A space that came to be mounted since is new as a whole.
    let known = since.and_then(|cursor| cursor.positions.iter().find(|known| known.space == space));
    known.copied().unwrap_or(start)
}

fn change(row: ChangeRow, mount: Option<&str>) -> Result<Change> {
    let mut path = NodePath::root();
    if let Some(mount) = mount {
        path = path.join(NodeName::parse(mount)?);
    }
    for name in row.path.split('/').filter(|name| !name.is_empty()) {
        path = path.join(NodeName::parse(name)?);
    }
    let kind = match row.row {
        Some(node) => ChangeKind::Present(Box::new(node.into())),
        None => ChangeKind::Gone,
    };
    Ok(Change { path, kind })
}

impl Cursor {
    /// Reads what [`fmt::Display`] wrote.
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() > CURSOR_MAX {
            return None;
        }
        let (epoch, rest) = Epoch::split(text);
        let mut parts = rest.split('_');
        let under = NodeId(parts.next()?.parse().ok()?);
        let positions: Vec<_> = parts.map(Position::parse).collect::<Option<_>>()?;
        (!positions.is_empty()).then_some(Self {
            epoch,
            under,
            positions,
        })
    }
}

impl Position {
    /// The last turn of which the client knows what went.
    fn known(&self) -> i64 {
        match self.within {
            None => self.seq,
            Some(within) => within.began.max(self.seq - 1),
        }
    }

    fn parse(text: &str) -> Option<Self> {
        let number = |part: &str| part.parse::<i64>().ok().filter(|number| *number >= 0);
        let parts: Vec<i64> = text.split('.').map(number).collect::<Option<_>>()?;
        match parts[..] {
            [space, seq] => Some(Self {
                space: SpaceId(space),
                seq,
                within: None,
            }),
            [space, seq, mark, began] => {
                let within = Some(Within { mark, began });
                Some(Self {
                    space: SpaceId(space),
                    seq,
                    within,
                })
            }
            _ => None,
        }
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(epoch) = self.epoch {
            write!(f, "{epoch}_")?;
        }
        write!(f, "{}", self.under)?;
        for Position { space, seq, within } in &self.positions {
            write!(f, "_{space}.{seq}")?;
            if let Some(Within { mark, began }) = within {
                write!(f, ".{mark}.{began}")?;
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
        for text in [
            "7_1.0",
            "7_1.17_2.5",
            "00112233aabbccdd_7_1.17.68719476737.20_2.5",
        ] {
            assert_eq!(Cursor::parse(text).unwrap().to_string(), text);
        }
        for text in [
            "",
            "1",
            "x.y",
            "7_1.-2",
            "7_1.2_",
            "7_1.2.3",
            "x_1.2",
            "7_99999999999999999999.1",
        ] {
            assert_eq!(Cursor::parse(text), None, "{text}");
        }
    }
}
