//! Taking the bytes of one content.

use std::sync::Arc;
use std::time::SystemTime;

use bytes::{Bytes, BytesMut};

use super::checksum::Verifier;
use super::listed::{self, Coming, Subject};
use super::settle::{Cut, Settler};
use super::{Checksum, INLINE_MAX, Parked};
use crate::chunk::{Class, Cutter, Manifest};
use crate::crypto::{Blinded, RootHasher, SpaceKeys};
use crate::store::blob::blocking;
use crate::store::meta::chunks::{self, Located};
use crate::store::shares::Held;
use crate::store::snapshot::{Recent, Small};
use crate::store::{Error, Pin, Result, Store};
use crate::types::{ChunkRow, SpaceId};

/// Bytes collected before they are cut, for each class: at least twice the longest chunk.
const BUFFER_SMALL: usize = 512 * 1024;
const BUFFER_LARGE: usize = 4 * 1024 * 1024;
/// Shares of memory for uploads above inline size, each of about 2 MiB at most: a buffer, the one before and
/// its sealed form. Further uploads wait in their first `push` until others are done.
pub const UPLOAD_SHARES: usize = 48;
/// Shares an upload of large chunks takes.
const SHARES_LARGE: u32 = 6;
/// Chunk rows read at once where a root is computed from them.
const ROWS: u32 = 1024;

/// A content whose bytes are safe and which no row names yet.
pub struct Staged {
    /// The space whose keys sealed it.
    pub space: SpaceId,
    /// Stand-in for the whole content.
    pub root: Blinded,
    /// Bytes.
    pub size: u64,
    /// How it is cut.
    pub class: Class,
    /// Where the bytes are.
    pub body: StagedBody,
    /// The verified checksum, when the client stated one.
    pub checksum: Option<Checksum>,
    /// Keeps the chunks until they are named.
    pub pin: Option<Arc<Pin>>,
}

/// The two places a content's bytes can be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StagedBody {
    /// Sealed, to be put into the row itself.
    Inline(Vec<u8>),
    /// Durable chunks.
    Chunks(Manifest),
}

/// An upload in progress.
pub struct Upload {
    store: Arc<Store>,
    keys: Arc<SpaceKeys>,
    /// Keeps the chunks. `None` until there are any.
    pin: Option<Arc<Pin>>,
    class: Class,
    /// Bytes not yet cut; begins where a chunk does.
    buffer: BytesMut,
    /// Bytes at the beginning of the buffer that the verifier has seen.
    verified: usize,
    verifier: Option<Verifier>,
    written: u64,
    /// What the file will be called, for the day on which the database is lost.
    name: String,
    /// `None` while all of it may still become inline.
    chunked: Option<Box<Chunked>>,
    /// A push failed or was given up half way: what arrived is not what was sent.
    torn: bool,
}

/// What an upload above inline size needs besides.
struct Chunked {
    cutter: Arc<Cutter>,
    /// `None` when chunks of an earlier process are among them: then the rows are read at the end.
    root: Option<RootHasher>,
    coming: Coming,
    settler: Settler,
    _share: Held,
}

impl Upload {
    /// Starts an upload into `space`. `expected` (bytes) picks the chunk class; it is not enforced here.
    pub async fn start(
        store: &Arc<Store>,
        space: SpaceId,
        expected: Option<u64>,
        checksum: Option<Checksum>,
    ) -> Result<Self> {
        let keys = store.keys.of(&store.meta, space).await?;
        let verifier = checksum.map(Verifier::new);
        Ok(Self {
            verifier,
            ..Self::begin(store, keys, Class::of(expected))
        })
    }

    /// An upload that is cut as `class`, whatever its size turns out to be.
    pub(super) fn begin(store: &Arc<Store>, keys: Arc<SpaceKeys>, class: Class) -> Self {
        Self {
            store: Arc::clone(store),
            keys,
            pin: None,
            class,
            buffer: BytesMut::new(),
            verified: 0,
            verifier: None,
            written: 0,
            name: String::new(),
            chunked: None,
            torn: false,
        }
    }

    /// Goes on where [`Self::park`] stopped.
    pub async fn resume(
        store: &Arc<Store>,
        space: SpaceId,
        class: Class,
        parked: Parked,
    ) -> Result<Self> {
        let keys = store.keys.of(&store.meta, space).await?;
        let mut upload = Self::begin(store, keys, class);
        upload.written = parked.written();
        upload.buffer.extend_from_slice(&parked.tail);
        if parked.covered > 0 || parked.tail.len() > INLINE_MAX {
            let mut chunked = upload.begin_chunks().await?;
            if parked.covered > 0 {
                chunked.root = None;
                chunked.coming = Coming::unknown();
            }
            chunked.settler.resume((parked.manifest, parked.covered));
            upload.chunked = Some(chunked);
        }
        Ok(upload)
    }

    /// Says what the file will be called.
    pub fn set_name(&mut self, name: &str) {
        name.clone_into(&mut self.name);
    }

    /// What keeps the chunks there are from being collected.
    pub fn pin(&self) -> Option<Arc<Pin>> {
        self.pin.clone()
    }

    /// From now on nothing goes that the upload may be given: its own chunks and those it will find.
    pub(super) async fn hold(&mut self) -> Result<Arc<Pin>> {
        let pin = match self.pin.take() {
            Some(pin) => pin,
            None => self.store.pin().await?,
        };
        self.pin = Some(Arc::clone(&pin));
        Ok(pin)
    }

    /// Bytes pushed so far.
    pub fn written(&self) -> u64 {
        self.written
    }

    /// Takes the next bytes; waits while earlier ones are being stored. After an error, or when the
    /// call was given up half way, the upload cannot be finished any more.
    pub async fn push(&mut self, bytes: Bytes) -> Result<()> {
        self.tear()?;
        self.written += bytes.len() as u64;
        self.take(bytes).await?;
        self.torn = false;
        Ok(())
    }

    /// Sends the chunks there are on their way to the disk, so that [`Self::settled`] grows.
    pub async fn send(&mut self) -> Result<()> {
        self.tear()?;
        if let Some(chunked) = &mut self.chunked {
            chunked.settler.send().await?;
        }
        self.torn = false;
        Ok(())
    }

    /// The chunks from the beginning on that are durable, and how many bytes these are.
    pub fn settled(&self) -> Option<(&Manifest, u64)> {
        let chunked = self.chunked.as_ref()?;
        Some(chunked.settler.settled())
    }

    /// Stops for now: what arrived becomes durable chunks and a rest shorter than the longest chunk,
    /// which the caller must keep. A stated checksum is forgotten.
    pub async fn park(mut self) -> Result<Parked> {
        self.cut().await?;
        let (manifest, covered) = match self.chunked.take() {
            Some(chunked) => chunked.settler.finish().await?,
            None => (Manifest::default(), 0),
        };
        let parked = Parked {
            manifest,
            covered,
            tail: self.buffer.freeze(),
        };
        if parked.written() != self.written {
            return Err(Error::Corrupt("an upload lost count of its bytes"));
        }
        Ok(parked)
    }

    /// Cuts what is there and says how many bytes at its end no cut is decided for yet.
    pub(super) async fn cut(&mut self) -> Result<usize> {
        self.tear()?;
        if let Some(mut chunked) = self.chunked.take() {
            if self.buffer.len() > self.class.min() {
                self.store_buffer(&mut chunked, false).await?;
            }
            self.chunked = Some(chunked);
        }
        self.torn = false;
        Ok(self.buffer.len())
    }

    /// Whether the next byte begins a chunk for sure.
    pub(super) fn at_cut(&self) -> bool {
        self.buffer.is_empty()
    }

    /// Forgets the last bytes; they must not be cut yet, and nothing may be verified.
    pub(super) fn take_back(&mut self, bytes: usize) {
        let kept = self.buffer.len().checked_sub(bytes);
        self.buffer
            .truncate(kept.expect("what is taken back was left over by a cut"));
        self.written -= bytes as u64;
    }

    /// Takes a chunk that is stored already, without its bytes; only at a cut, and only when the
    /// cutter would end it where it ends.
    pub(super) async fn push_known(&mut self, chunk: &Located) -> Result<()> {
        debug_assert!(self.at_cut() && self.verifier.is_none());
        self.tear()?;
        let mut chunked = match self.chunked.take() {
            Some(chunked) => chunked,
            None => self.begin_chunks().await?,
        };
        if let Some(root) = &mut chunked.root {
            root.push(&chunk.blinded, chunk.raw);
            chunked.coming.push(chunk.blinded);
        }
        chunked.settler.add_known(chunk).await?;
        self.written += u64::from(chunk.raw);
        self.chunked = Some(chunked);
        self.torn = false;
        Ok(())
    }

    /// Makes everything durable. `Ok(None)` when the stated checksum does not match (nothing is kept).
    pub async fn finish(mut self) -> Result<Option<Staged>> {
        self.tear()?;
        let Some(mut chunked) = self.chunked.take() else {
            return self.finish_inline().await;
        };
        self.store_buffer(&mut chunked, true).await?;
        let (proven, checksum) = prove(self.verifier.take());
        if !proven {
            return Ok(None);
        }
        let (manifest, root) = Box::pin(self.settle_and_list(*chunked)).await?;
        Ok(Some(Staged {
            space: self.keys.space,
            root,
            size: self.written,
            class: self.class,
            body: StagedBody::Chunks(manifest),
            checksum,
            pin: self.pin,
        }))
    }

    /// Waits until all chunks are durable and have rows, and so is the list of them.
    async fn settle_and_list(&mut self, chunked: Chunked) -> Result<(Manifest, Blinded)> {
        let Chunked {
            root,
            coming,
            mut settler,
            ..
        } = chunked;
        let mut subject = Subject {
            class: self.class,
            root: Blinded([0; 16]),
            size: self.written,
            name: std::mem::take(&mut self.name),
        };
        let (store, keys) = (&self.store, &self.keys);
        if let (Some(root), Some(chunks)) = (&root, coming.take()) {
            subject.root = root.finish();
            if settler.has_appended() || !subject.is_listed(store, keys).await? {
                settler.add_list(&subject.part(0, 1, chunks)).await?;
            }
            return Ok((settler.finish().await?.0, subject.root));
        }
        let (manifest, covered) = settler.finish().await?;
        subject.root = match root {
            Some(root) => root.finish(),
            None => root_of(store, keys, &manifest, covered).await?,
        };
        listed::write(store, keys, &subject, &manifest).await?;
        Ok((manifest, subject.root))
    }

    /// Marks the upload as torn until what begins here is done.
    fn tear(&mut self) -> Result<()> {
        if std::mem::replace(&mut self.torn, true) {
            return Err(torn());
        }
        Ok(())
    }

    async fn take(&mut self, mut bytes: Bytes) -> Result<()> {
        if self.chunked.is_none() && self.buffer.len() + bytes.len() > INLINE_MAX {
            self.chunked = Some(self.begin_chunks().await?);
        }
        let Some(mut chunked) = self.chunked.take() else {
            self.buffer.extend_from_slice(&bytes);
            return Ok(());
        };
        let full = buffer_len(self.class);
        while !bytes.is_empty() {
            self.buffer.reserve(full - self.buffer.len());
            let part = bytes.split_to(bytes.len().min(full - self.buffer.len()));
            self.buffer.extend_from_slice(&part);
            if self.buffer.len() == full {
                self.store_buffer(&mut chunked, false).await?;
            }
        }
        self.chunked = Some(chunked);
        Ok(())
    }

    async fn begin_chunks(&mut self) -> Result<Box<Chunked>> {
        let shares = match self.class {
            Class::Small => 1,
            Class::Large => SHARES_LARGE,
        };
        let share = self.store.uploading.take(self.keys.space, shares).await?;
        let pin = self.hold().await?;
        Ok(Box::new(Chunked {
            cutter: Arc::new(Cutter::new(self.class, self.keys.gear_seed())),
            root: Some(self.keys.root_hasher()),
            coming: Coming::new(),
            settler: Settler::new(&self.store, &self.keys, pin),
            _share: share,
        }))
    }

    /// Cuts the buffer, stores the chunks and keeps the rest, which is none at the end.
    async fn store_buffer(&mut self, chunked: &mut Chunked, end: bool) -> Result<()> {
        let bytes = std::mem::take(&mut self.buffer).freeze();
        let (keys, cutter) = (Arc::clone(&self.keys), Arc::clone(&chunked.cutter));
        let (mut verifier, seen) = (self.verifier.take(), self.verified);
        let (cuts, rest, verifier) = blocking(move || {
            if let Some(verifier) = &mut verifier {
                verifier.update(&bytes[seen..]);
            }
            let (cuts, rest) = cut(&keys, &cutter, bytes, end);
            Ok((cuts, rest, verifier))
        })
        .await?;
        self.verifier = verifier;
        if let Some(root) = &mut chunked.root {
            for cut in &cuts {
                root.push(&cut.blinded, cut.len());
                chunked.coming.push(cut.blinded);
            }
        }
        chunked.settler.add(cuts).await?;
        self.verified = rest.len();
        if !end {
            self.buffer = BytesMut::with_capacity(buffer_len(self.class));
            self.buffer.extend_from_slice(&rest);
        }
        Ok(())
    }

    async fn finish_inline(mut self) -> Result<Option<Staged>> {
        if let Some(verifier) = &mut self.verifier {
            verifier.update(&self.buffer);
        }
        let (proven, checksum) = prove(self.verifier);
        if !proven {
            return Ok(None);
        }
        let mut root = self.keys.root_hasher();
        // Shorter than the shortest chunk, so it is one, or none when there are no bytes.
        if !self.buffer.is_empty() {
            let length = u32::try_from(self.buffer.len()).expect("inline objects are small");
            let id = self.keys.chunk_id(&self.buffer);
            root.push(&self.keys.blind(&id), length);
        }
        let root = root.finish();
        let body = StagedBody::Inline(self.keys.seal_inline(root, &self.buffer)?);
        let small = Small {
            space: self.keys.space,
            at: SystemTime::now().into(),
            name: self.name,
            bytes: self.buffer.into(),
        };
        Recent::note(&self.store, small).await;
        Ok(Some(Staged {
            space: self.keys.space,
            root,
            size: self.written,
            class: self.class,
            body,
            checksum,
            pin: None,
        }))
    }
}

/// The root of chunks that have rows; they must be `size` bytes.
async fn root_of(
    store: &Store,
    keys: &SpaceKeys,
    manifest: &Manifest,
    size: u64,
) -> Result<Blinded> {
    let (mut root, mut bytes) = (keys.root_hasher(), 0);
    for &(first, count) in manifest.runs() {
        for at in (0..count).step_by(ROWS as usize) {
            let first = ChunkRow(first.0 + i64::from(at));
            let mut conn = store.meta.read().await?;
            let rows = chunks::located(&mut conn, keys.space, first, ROWS.min(count - at)).await?;
            for chunk in rows {
                root.push(&chunk.blinded, chunk.raw);
                bytes += u64::from(chunk.raw);
            }
        }
    }
    if bytes != size {
        return Err(Error::Corrupt("an upload lost count of its bytes"));
    }
    Ok(root.finish())
}

/// Whether the claim holds (also when there was none), and the claim.
fn prove(verifier: Option<Verifier>) -> (bool, Option<Checksum>) {
    let Some(verifier) = verifier else {
        return (true, None);
    };
    let checksum = verifier.finish();
    (checksum.is_some(), checksum)
}

fn cut(keys: &SpaceKeys, cutter: &Cutter, mut bytes: Bytes, end: bool) -> (Vec<Cut>, Bytes) {
    let lengths = cutter.cut(&bytes, end);
    let cuts = lengths.into_iter().map(|length| {
        let plain = bytes.split_to(length);
        let id = keys.chunk_id(&plain);
        Cut {
            id,
            blinded: keys.blind(&id),
            plain,
        }
    });
    (cuts.collect(), bytes)
}

fn buffer_len(class: Class) -> usize {
    match class {
        Class::Small => BUFFER_SMALL,
        Class::Large => BUFFER_LARGE,
    }
}

fn torn() -> Error {
    Error::writing("storing an upload")(std::io::Error::other("a part of it was not stored"))
}
