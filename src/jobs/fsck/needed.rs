//! Which files need damaged chunks: found by going through all manifests of a space, because no row
//! leads from a chunk to the contents it is in.

use std::collections::BTreeSet;

use super::{Finding, Going, Kind, Result};
use crate::chunk::Manifest;
use crate::store::meta::audit;
use crate::store::meta::chunks::Located;
use crate::store::meta::collect::{self, Holder};
use crate::store::meta::damage::{At, Record};
use crate::types::{ContentId, NodeId, SpaceId};

/// Bytes of what is gathered before the files that need it are looked for.
const PENDING_MAX: usize = 24 * 1024 * 1024;
/// What a damaged chunk takes of them: its place, and its row while files are looked for.
const CHUNK_BYTES: usize = size_of::<At>() + size_of::<(i64, usize)>();
/// What a damaged segment or record takes besides: itself, two short texts, and the first few contents.
const HURT_BYTES: usize = size_of::<Hurt>() + 160 + FILES_MAX * 16;
/// Manifests in one read.
const PAGE: i64 = 256;
/// Files that a finding names.
pub(super) const FILES_MAX: usize = 20;

/// Something that chunks lie in and that is damaged.
pub(super) struct Hurt {
    pub(super) kind: Kind,
    pub(super) space: SpaceId,
    subject: String,
    wrong: String,
    /// The chunks.
    pub(super) at: Vec<At>,
    pub(super) repaired: Option<&'static str>,
    /// Contents that need one of them, the first few.
    contents: BTreeSet<ContentId>,
    /// Unfinished uploads that do.
    uploads: BTreeSet<i64>,
    /// How many more contents and uploads do.
    hits: u64,
}

impl Hurt {
    fn new(kind: Kind, record: &Record, subject: String, wrong: String) -> Self {
        Self {
            kind,
            space: record.space,
            subject,
            wrong,
            at: vec![record.at],
            repaired: None,
            contents: BTreeSet::new(),
            uploads: BTreeSet::new(),
            hits: 0,
        }
    }

    /// A record that is not what its row says.
    pub(super) fn record(record: &Record, segment: &str, wrong: String) -> Self {
        let At { row, start, .. } = record.at;
        let subject = format!("segment {segment} at {start}, chunk {row}");
        Self::new(Kind::Record, record, subject, wrong)
    }

    /// A record with a mark that opens.
    pub(super) fn marked(record: &Record, chunk: &Located) -> Self {
        let At { row, start, .. } = record.at;
        let subject = format!("segment {} at {start}, chunk {row}", chunk.place.segment);
        let wrong = "is marked as damaged and opens".to_owned();
        Self::new(Kind::Marked, record, subject, wrong)
    }

    /// One more record of a segment whose file is not as it should be.
    pub(super) fn join(all: &mut Vec<Self>, record: &Record, subject: &str, wrong: &str) {
        let same = |hurt: &&mut Self| {
            hurt.kind == Kind::Segment && hurt.subject == subject && hurt.wrong == wrong
        };
        if let Some(hurt) = all.iter_mut().find(same) {
            hurt.at.push(record.at);
            return;
        }
        let (subject, wrong) = (subject.to_owned(), wrong.to_owned());
        all.push(Self::new(Kind::Segment, record, subject, wrong));
    }
}

/// What is damaged and not told yet.
#[derive(Default)]
pub(super) struct Pending {
    hurt: Vec<Hurt>,
    bytes: usize,
}

impl Pending {
    pub(super) fn is_full(&self) -> bool {
        self.bytes >= PENDING_MAX
    }

    pub(super) fn add(&mut self, hurt: Hurt) {
        self.bytes += hurt.at.len() * CHUNK_BYTES;
        let same = |last: &&mut Hurt| {
            hurt.kind == Kind::Segment
                && last.kind == Kind::Segment
                && last.subject == hurt.subject
                && last.wrong == hurt.wrong
        };
        if let Some(last) = self.hurt.last_mut().filter(same) {
            last.at.extend(hurt.at);
            return;
        }
        self.bytes += HURT_BYTES;
        self.hurt.push(hurt);
    }

    /// Looks for the files that need what is damaged, and tells.
    pub(super) async fn tell(mut self, going: &mut Going<'_>) -> Result<()> {
        let mut chunks: Vec<(i64, usize)> = Vec::new();
        for (nth, hurt) in self.hurt.iter().enumerate() {
            if hurt.kind != Kind::Marked {
                chunks.extend(hurt.at.iter().map(|at| (at.row.0, nth)));
            }
        }
        chunks.sort_unstable();
        if !chunks.is_empty() {
            self.search(going, &chunks).await?;
        }
        for hurt in self.hurt {
            let mut files = Vec::new();
            let mut total = 0;
            for content in &hurt.contents {
                total += files_of(going, *content, &mut files).await?;
            }
            files.extend(hurt.uploads.iter().map(|id| format!("upload {id}")));
            total += hurt.uploads.len() as u64;
            files.truncate(FILES_MAX);
            let finding = Finding {
                kind: hurt.kind,
                space: Some(going.name(hurt.space).await?),
                subject: hurt.subject,
                wrong: hurt.wrong,
                more: (total + hurt.hits).saturating_sub(files.len() as u64),
                files,
                repaired: hurt.repaired.map(str::to_owned),
            };
            going.tell(&finding, false);
        }
        Ok(())
    }

    async fn search(&mut self, going: &Going<'_>, chunks: &[(i64, usize)]) -> Result<()> {
        let spaces: BTreeSet<_> = self.hurt.iter().map(|hurt| hurt.space).collect();
        let holders = spaces.into_iter().map(Holder::Contents);
        for holder in holders.chain([Holder::Uploads]) {
            let mut behind = 0;
            loop {
                let page = {
                    let mut conn = going.store.meta.read().await?;
                    collect::manifest_rows(&mut conn, holder, behind, PAGE).await?
                };
                let Some((last, rows)) = page else {
                    break;
                };
                behind = last;
                for (id, manifest) in rows {
                    // One that cannot be read is told with the contents.
                    let manifest = Manifest::decode(&manifest).unwrap_or_default();
                    self.hit(holder, id, &manifest, chunks);
                }
            }
        }
        Ok(())
    }

    fn hit(&mut self, holder: Holder, id: i64, manifest: &Manifest, chunks: &[(i64, usize)]) {
        let mut hit = BTreeSet::new();
        for (first, count) in manifest.runs() {
            let end = first.0.saturating_add(i64::from(*count));
            let from = chunks.partition_point(|(row, _)| *row < first.0);
            let found = chunks[from..].iter().take_while(|(row, _)| *row < end);
            hit.extend(found.map(|(_, nth)| *nth));
        }
        for nth in hit {
            let hurt = &mut self.hurt[nth];
            if hurt.contents.len() + hurt.uploads.len() >= FILES_MAX {
                hurt.hits += 1;
            } else if holder == Holder::Uploads {
                hurt.uploads.insert(id);
            } else {
                hurt.contents.insert(ContentId(id));
            }
        }
    }
}

/// Adds the files and versions that hold a content to a list, while there is room; how many there are.
pub(super) async fn files_of(
    going: &mut Going<'_>,
    content: ContentId,
    files: &mut Vec<String>,
) -> Result<u64> {
    let limit = i64::try_from(FILES_MAX).unwrap_or(i64::MAX);
    let (nodes, versions, total) = {
        let mut conn = going.store.meta.read().await?;
        audit::holders(&mut conn, content, limit).await?
    };
    for node in nodes {
        if files.len() < FILES_MAX {
            files.push(going.path(NodeId(node)).await?);
        }
    }
    for (node, number) in versions {
        if files.len() < FILES_MAX {
            let path = going.path(NodeId(node)).await?;
            files.push(format!("{path} (version {number})"));
        }
    }
    Ok(total)
}
