//! Chunks against segments: each row's file is there and is the segment that it should be, and holds a
//! record where the row says; with `deep` the record opens.

use super::needed::{Hurt, Pending};
use super::{Going, Kind, Result, damage};
use crate::crypto::SegmentId;
use crate::store::Error;
use crate::store::content::check_chunk;
use crate::store::meta::chunks::Located;
use crate::store::meta::damage::{self as rows, At, Record};
use crate::types::{ChunkRow, SpaceId};

/// Chunk rows in one read.
const PAGE: i64 = 512;
/// Before the first.
const FIRST: At = At {
    row: ChunkRow(i64::MIN),
    segment: i64::MIN,
    start: i64::MIN,
};
/// Stands for the name of a segment that a row does not lead to.
const UNNAMED: &str = "a segment without a row";

pub(super) async fn check(going: &mut Going<'_>) -> Result<()> {
    let (mut behind, mut pending) = (FIRST, Pending::default());
    loop {
        let page = rows::records(&mut *going.store.meta.read().await?, behind, PAGE).await?;
        let Some(last) = page.last() else {
            return pending.tell(going).await;
        };
        behind = last.at;
        going.summary.chunks += page.len() as u64;
        // Only looked at after the rows, because somebody may append to it.
        let mut file = Opened {
            segment: None,
            len: Ok(0),
        };
        for held in page.chunk_by(|one, other| one.at.segment == other.at.segment) {
            let hurt = segment(going, held, &mut file).await?;
            for hurt in hurt {
                if let Some(hurt) = again(going, hurt).await? {
                    pending.add(hurt);
                }
            }
        }
        if pending.is_full() {
            std::mem::take(&mut pending).tell(going).await?;
        }
    }
}

/// The file of the segment that was looked at last: its row, and its length or what is wrong with it.
struct Opened {
    segment: Option<(i64, SpaceId)>,
    len: State,
}

/// Its length, or what is wrong with it.
type State = std::result::Result<u64, String>;

impl Opened {
    async fn of(
        &mut self,
        going: &Going<'_>,
        row: (i64, SpaceId),
        name: SegmentId,
    ) -> Result<&State> {
        if self.segment != Some(row) {
            self.len = match going.store.segments.inspect(row.1, name).await {
                Ok(len) => Ok(len),
                Err(error) => Err(judge(error)?),
            };
            self.segment = Some(row);
        }
        Ok(&self.len)
    }
}

/// What is wrong with some records of one segment.
async fn segment(going: &Going<'_>, held: &[Record], file: &mut Opened) -> Result<Vec<Hurt>> {
    let mut hurt = Vec::new();
    let (mut places, mut sound): (Vec<&Located>, Vec<&Record>) = (Vec::new(), Vec::new());
    for record in held {
        if going.is_closed(record.space) {
            continue;
        }
        let chunk = match &record.chunk {
            Ok(chunk) => chunk,
            Err(error) => {
                hurt.push(Hurt::record(record, UNNAMED, error.to_string()));
                continue;
            }
        };
        let segment = chunk.place.segment;
        let len = match file
            .of(going, (record.at.segment, record.space), segment)
            .await?
        {
            Ok(len) => *len,
            Err(wrong) => {
                Hurt::join(&mut hurt, record, &format!("segment {segment}"), wrong);
                continue;
            }
        };
        if chunk
            .place
            .offset
            .saturating_add(u64::from(chunk.place.stored))
            > len
        {
            let wrong = format!("has {len} bytes and should have more");
            Hurt::join(&mut hurt, record, &format!("segment {segment}"), &wrong);
            continue;
        }
        places.push(chunk);
        sound.push(record);
    }
    let wrong = if going.how.deep {
        opened(going, &places, &sound).await?
    } else {
        begun(going, &places, &sound).await?
    };
    for ((record, chunk), wrong) in sound.into_iter().zip(places).zip(wrong) {
        match wrong {
            Some(wrong) => {
                hurt.push(Hurt::record(
                    record,
                    &chunk.place.segment.to_string(),
                    wrong,
                ));
            }
            None if record.damaged => hurt.push(Hurt::marked(record, chunk)),
            None => {}
        }
    }
    Ok(hurt)
}

/// Opens every record.
async fn opened(
    going: &Going<'_>,
    places: &[&Located],
    of: &[&Record],
) -> Result<Vec<Option<String>>> {
    let mut wrong = Vec::with_capacity(places.len());
    for (chunk, record) in places.iter().zip(of) {
        wrong.push(open(going, chunk, record.space).await?);
    }
    Ok(wrong)
}

async fn open(going: &Going<'_>, chunk: &Located, space: SpaceId) -> Result<Option<String>> {
    let opened = match going.store.keys.of(&going.store.meta, space).await {
        Ok(keys) => check_chunk(going.store, &keys, chunk).await,
        Err(error) => Err(error),
    };
    match opened {
        Ok(()) => Ok(None),
        Err(error) => judge(error).map(Some),
    }
}

/// Looks where records begin; those with a mark are opened.
async fn begun(
    going: &Going<'_>,
    places: &[&Located],
    of: &[&Record],
) -> Result<Vec<Option<String>>> {
    let (Some(first), Some(record)) = (places.first(), of.first()) else {
        return Ok(Vec::new());
    };
    let all = places
        .iter()
        .map(|chunk| (chunk.place, chunk.raw))
        .collect();
    let segment = first.place.segment;
    let misplaced = going.store.segments.misplaced(record.space, segment, all);
    let misplaced = match misplaced.await {
        Ok(misplaced) => misplaced,
        Err(error) => {
            let wrong = judge(error)?;
            return Ok(vec![Some(wrong); places.len()]);
        }
    };
    let mut wrong = Vec::with_capacity(places.len());
    for ((chunk, record), misplaced) in places.iter().zip(of).zip(misplaced) {
        wrong.push(if misplaced {
            Some("no such record begins where the row says".to_owned())
        } else if record.damaged {
            open(going, chunk, record.space).await?
        } else {
            None
        });
    }
    Ok(wrong)
}

/// What an error says of a file; one of the system counts as damage, because the file cannot be read.
fn judge(error: Error) -> Result<String> {
    if matches!(error, Error::Io { .. }) {
        return Ok(error.to_string());
    }
    damage(error)
}

/// Whether the rows still say the same: then what was seen of the file is wrong with it.
async fn again(going: &Going<'_>, mut hurt: Hurt) -> Result<Option<Hurt>> {
    let (at, space, now) = (hurt.at.clone(), hurt.space, going.now());
    let (repair, marked) = (going.how.repair, hurt.kind == Kind::Marked);
    let standing = going.again(move |conn| {
        Box::pin(async move {
            rows::alone(conn, space).await?;
            let mut standing = Vec::new();
            for at in at {
                if rows::stands(conn, at).await? {
                    standing.push(at);
                }
            }
            if repair && marked {
                rows::clear(conn, space, &standing).await?;
            } else if repair {
                rows::mark(conn, space, &standing, now).await?;
            }
            Ok(standing)
        })
    });
    hurt.at = standing.await?;
    if repair {
        hurt.repaired = Some(if marked {
            "the mark was taken off"
        } else {
            "offered to nobody who uploads; the same bytes bring it back when they come again"
        });
    }
    Ok(Some(hurt).filter(|hurt| !hurt.at.is_empty()))
}
