//! Many files in one answer: a request for each would cost more than the bytes of most of them.

use std::io;
use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use bytes::Bytes;

use super::super::Api;
use super::super::answer::Room;
use super::super::extract::{self, Caller, Json};
use super::super::problem::{self, Problem, Result};
use super::super::responses::{Problems, TooLarge};
use super::delta::{broke_off, send, tag};
use crate::protocol::schema;
use crate::protocol::stream;
use crate::protocol::sync::{
    DeltaHead, FETCH_MAX, FetchHead, FetchItem, FetchRefusal, FetchRequest,
};
use crate::server::pieces::{self, PIECE};
use crate::store;
use crate::store::content::INLINE_MAX;
use crate::tree::{Coming, FetchError, Fetched, Tree, Wanted};
use crate::types::{NodeId, SpaceId, hex};

/// Files looked for at once: one statement finds them, another reads what lies in the database.
const BATCH: usize = 64;
/// Memory of an answer in KiB, beside that of a delta: the small files of a batch and a piece in the making.
const HELD: u32 = 640;
/// Bytes that are sent without waiting for more: one small file more is no more than a piece.
const FULL: usize = PIECE - 2 * INLINE_MAX;

/// Sends many files in one stream: each as it is, or as what makes it from a version the device has.
///
/// The answer is the binary stream of `docs/PROTOCOL.md` with a FILE for each item, in their order, with
/// COPY, LIT and PATCH behind it. A file that cannot be given has a `problem` in its header and no
/// operations; the others go on.
#[utoipa::path(post, path = "/sync/fetch", operation_id = "fetchFiles", tag = "sync",
    request_body = FetchRequest,
    responses(
        (status = 200, body = schema::Bytes, description = "The stream",
            content_type = "application/vnd.sync-server.stream"),
        Problems, TooLarge,
    ))]
pub(in super::super) async fn fetch(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Json(asked): Json<FetchRequest>,
) -> Result<Response> {
    let wanted = wanted(&asked.items)?;
    // Three times as large, and whoever waits for room waits long.
    drop(asked);
    let room = Room::take(&api, &caller, HELD).await?;
    let mut out = Vec::new();
    stream::magic(&mut out);
    let mut answer = Answer {
        api,
        tree: caller.tree,
        wanted: wanted.into_iter(),
        found: Vec::new().into_iter(),
        coming: None,
        out,
        _room: room,
    };
    // Before the answer begins, so that what fails for all has a status.
    answer.look_up().await?;
    let state = (Bytes::new(), answer);
    let pieces = futures_util::stream::try_unfold(state, async |(mut ready, mut answer)| {
        if ready.is_empty() {
            ready = answer.next().await?;
        }
        let piece = pieces::next(&mut ready);
        Ok::<_, io::Error>((!piece.is_empty()).then_some((piece, (ready, answer))))
    });
    Ok(send(stream::MEDIA_TYPE, pieces::body(pieces)))
}

fn wanted(items: &[FetchItem]) -> Result<Vec<Wanted>> {
    if !(1..=FETCH_MAX).contains(&items.len()) {
        let text = format!("ask for 1 to {FETCH_MAX} files");
        return Err(Problem::invalid("items", text));
    }
    let wanted = |item: &FetchItem| {
        let from = item
            .from
            .as_deref()
            .map(|text| extract::content("from", text));
        if !extract::IDS.contains(&item.id) {
            return Err(Problem::invalid(
                "id",
                "an id is an integer from 1 below 2^53",
            ));
        }
        Ok(Wanted {
            node: NodeId(item.id),
            from: from.transpose()?,
            to: extract::content("to", &item.to)?,
        })
    };
    items.iter().map(wanted).collect()
}

/// An answer on its way.
struct Answer {
    api: Arc<Api>,
    tree: Tree,
    /// What was not looked for yet.
    wanted: std::vec::IntoIter<Wanted>,
    /// What was looked for and is to be sent.
    found: std::vec::IntoIter<(Wanted, Result<Fetched, FetchError>)>,
    /// The file that is being sent, and how many bytes of it are to come.
    coming: Option<(Coming, u64)>,
    /// What was made and not sent.
    out: Vec<u8>,
    _room: Room,
}

impl Answer {
    /// The next bytes; none at the end.
    async fn next(&mut self) -> io::Result<Bytes> {
        while self.out.len() < FULL {
            if let Some(coming) = self.coming.take() {
                let more = self.go_on(coming).await;
                self.coming = more.map_err(|error| broke_off(&error))?;
            } else if let Some((wanted, found)) = self.found.next() {
                self.begin(wanted, found).await?;
            } else if self.wanted.as_slice().is_empty() {
                break;
            } else {
                let looked = self.look_up().await;
                looked.map_err(|_logged| io::Error::other("the answer broke off"))?;
            }
        }
        Ok(std::mem::take(&mut self.out).into())
    }

    /// Looks for the next files.
    async fn look_up(&mut self) -> Result<()> {
        let batch: Vec<_> = self.wanted.by_ref().take(BATCH).collect();
        let found = self.tree.fetch(&batch).await?;
        let given = found.iter().flatten();
        let given: Vec<_> = given
            .map(|found| (found.space, found.wanted.node, found.facts.size))
            .collect();
        self.note(given);
        let both: Vec<_> = batch.into_iter().zip(found).collect();
        self.found = both.into_iter();
        Ok(())
    }

    /// Writes the activity log beside the answer, which does not wait for it.
    fn note(&self, given: Vec<(SpaceId, NodeId, u64)>) {
        let tree = self.tree.clone();
        self.api.tasks.spawn(async move {
            if let Err(error) = tree.note_downloads(given).await {
                tracing::error!("downloads could not be logged: {error}");
            }
        });
    }

    /// The header of a file and the first bytes behind it. What fails before there are any is told in
    /// place of them.
    async fn begin(
        &mut self,
        wanted: Wanted,
        found: Result<Fetched, FetchError>,
    ) -> io::Result<()> {
        let begun = self.out.len();
        if let Err(problem) = self.try_begin(found).await {
            self.out.truncate(begun);
            self.coming = None;
            self.refuse(wanted, &problem)?;
        }
        Ok(())
    }

    async fn try_begin(&mut self, found: Result<Fetched, FetchError>) -> Result<()> {
        let mut found = found?;
        let coming = self.tree.open_fetched(&mut found).await?;
        self.head(&FetchHead::Given(given(&found)))?;
        let size = found.facts.size;
        if matches!(coming, Coming::Whole(_)) && size > 0 {
            stream::lit_head(&mut self.out, size);
        }
        self.coming = self.go_on((coming, size)).await?;
        Ok(())
    }

    fn refuse(&mut self, wanted: Wanted, problem: &Problem) -> io::Result<()> {
        let head = FetchHead::Refused(FetchRefusal {
            id: wanted.node.0,
            to: tag(wanted.to),
            problem: problem.body(),
        });
        let begun = self.head(&head);
        begun.map_err(|_never| io::Error::other("the header is no JSON"))?;
        stream::end(&mut self.out);
        Ok(())
    }

    fn head(&mut self, head: &FetchHead) -> Result<()> {
        let json = serde_json::to_vec(head);
        let json =
            json.map_err(|_never| Problem::new(problem::INTERNAL, "the header is no JSON"))?;
        stream::file(&mut self.out, &json);
        Ok(())
    }

    /// The next bytes of a file, `left` of which are to come, or its END.
    async fn go_on(
        &mut self,
        (mut coming, left): (Coming, u64),
    ) -> Result<Option<(Coming, u64)>, store::Error> {
        let left = match &mut coming {
            Coming::Row(bytes) => {
                if !bytes.is_empty() {
                    stream::lit(&mut self.out, bytes);
                }
                0
            }
            Coming::Whole(_) if left == 0 => 0,
            Coming::Whole(reader) => {
                let piece = reader
                    .read(PIECE.saturating_sub(self.out.len()).max(1))
                    .await?;
                self.out.extend_from_slice(&piece);
                if piece.is_empty() {
                    return Err(store::Error::Corrupt("a content ends before its size"));
                }
                left - piece.len() as u64
            }
            Coming::Way(diff) => match diff.next().await? {
                Some(operation) => {
                    stream::operation(&mut self.out, &operation);
                    return Ok(Some((coming, left)));
                }
                None => 0,
            },
        };
        if left > 0 {
            return Ok(Some((coming, left)));
        }
        stream::end(&mut self.out);
        Ok(None)
    }
}

fn given(found: &Fetched) -> DeltaHead {
    DeltaHead {
        id: found.wanted.node.0,
        from: found.wanted.from.map(tag),
        to: tag(found.wanted.to),
        size: found.facts.size,
        root: hex(&found.facts.root.0),
        class: found.facts.class.into(),
    }
}

impl From<FetchError> for Problem {
    fn from(error: FetchError) -> Self {
        let text = error.to_string();
        match error {
            FetchError::Tree(error) => error.into(),
            FetchError::NoBase => Self::new(problem::NOT_FOUND, text).at("from"),
            FetchError::NoVersion => Self::new(problem::NOT_FOUND, text).at("to"),
            FetchError::Diff(error) => error.into(),
        }
    }
}
