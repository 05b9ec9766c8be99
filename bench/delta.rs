//! Counts the bytes that the operations of a delta take, with and without the old content at hand.
//! `cargo run --release --example delta`

use std::convert::Infallible;
use std::error::Error;
use std::io::Write as _;
use std::ops::Range;
use std::path::Path;
use std::time::Instant;

use bytes::Bytes;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions as _, Connection as _};
use sync_server::chunk::delta::{Operation, diff};
use sync_server::chunk::plan::{Listed, Step, plan};
use sync_server::chunk::signature::{BLOCK_DEFAULT, Match, Signature, entry};
use sync_server::chunk::{Class, Cutter};
use sync_server::crypto::Blinded;
use sync_server::protocol::stream;

/// What a push has besides operations: path, version, size, times and root of the file, and the reply.
const AROUND: usize = 144;
const ROWS: u32 = 460_000;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut out = std::io::stdout();
    writeln!(
        out,
        "bytes, {AROUND} for what is around the operations included     with base    (aim)    s | without    (aim)    s"
    )?;
    let old = noise(100_000_000, 1);
    let mut one = old.clone();
    one[50_000_000] ^= 1;
    let mut ten = old.clone();
    (0..10).for_each(|nth| ten[nth * 9_876_543 + 4321] ^= 1);
    let front = [noise(4096, 2), old.clone()].concat();
    let more = [old.clone(), noise(1_000_000, 3)].concat();
    show("1 byte in 100 MB of noise", &old, &one, 188, 2_570)?;
    show("10 bytes", &old, &ten, 556, 23_469)?;
    show("4 KiB inserted at the front", &old, &front, 4_275, 5_136)?;
    show("1 MB appended", &old, &more, 1_000_199, 1_000_307)?;
    drop((old, one, ten, front, more));
    let (old, new) = database().await?;
    let name = format!("1000 row updates in {} MB of SQLite", old.len() / 1_000_000);
    show(&name, &old, &new, 23_584, 987_522)?;
    // Two files of your own: what changed between them.
    let args: Vec<_> = std::env::args().skip(1).collect();
    if let [old, new] = &args[..] {
        show(
            "the files named",
            &std::fs::read(old)?,
            &std::fs::read(new)?,
            0,
            0,
        )?;
    }
    Ok(())
}

fn show(name: &str, old: &[u8], new: &[u8], aim: usize, aim_signed: usize) -> std::io::Result<()> {
    let start = Instant::now();
    let with = with_base(old, new) + AROUND;
    let seconds = start.elapsed().as_secs_f64();
    let start = Instant::now();
    let without = with_signature(old, new) + AROUND;
    let seconds_signed = start.elapsed().as_secs_f64();
    writeln!(
        std::io::stdout(),
        "{name:<56} {with:>12} {aim:>8} {seconds:>5.2} | {without:>8} {aim_signed:>8} {seconds_signed:>5.2}"
    )
}

/// Bytes of the stream when the sender has both.
fn with_base(old: &[u8], new: &[u8]) -> usize {
    let mut out = Vec::new();
    let emit = |operation: Operation| {
        match operation {
            Operation::Copy { offset, len } => stream::copy(&mut out, offset, len),
            Operation::Literal(bytes) => stream::lit(&mut out, &bytes),
            Operation::Patch {
                base_offset,
                base_len,
                raw_len,
                packed,
            } => stream::patch(&mut out, base_offset, base_len, raw_len, &packed),
        }
        Ok::<_, Infallible>(())
    };
    let Ok(()) = diff(
        plan(list(old), list(new)),
        |range| Ok(Bytes::copy_from_slice(part(new, &range))),
        |range| Ok(Bytes::copy_from_slice(part(old, &range))),
        emit,
    );
    solid(out)
}

/// Bytes of both directions when the sender asks for signatures of what was replaced.
fn with_signature(old: &[u8], new: &[u8]) -> usize {
    let steps = plan(list(old), list(new)).steps;
    let (mut ranges, mut signed) = (Vec::new(), Vec::new());
    for step in &steps {
        if let Step::Region(region) = step {
            let range = region.after..region.before.max(region.after);
            part(old, &range)
                .chunks(BLOCK_DEFAULT)
                .for_each(|block| signed.extend(entry(block)));
            ranges.push(range);
        }
    }
    let Some(signature) = Signature::parse(&ranges, BLOCK_DEFAULT, &signed) else {
        return usize::MAX;
    };
    let mut out = Vec::new();
    for step in steps {
        match step {
            Step::Copy { base, len } => stream::copy(&mut out, base, len),
            Step::Region(region) => {
                let bytes = part(new, &region.new);
                for found in signature.match_blocks(bytes) {
                    match found {
                        Match::Copy { base, len } => stream::copy(&mut out, base, len),
                        Match::Literal(range) => stream::lit(&mut out, &bytes[range]),
                    }
                }
            }
        }
    }
    signed.len() + solid(out)
}

/// Length of the stream as HTTP's content coding packs it, or as it is if that is shorter.
fn solid(mut stream: Vec<u8>) -> usize {
    stream::end(&mut stream);
    let packed = zstd::bulk::compress(&stream, 3).map_or(usize::MAX, |packed| packed.len());
    packed.min(stream.len())
}

fn list(bytes: &[u8]) -> Vec<Listed> {
    let mut at = 0;
    let chunk = |len: usize| {
        at += len;
        let hash = blake3::hash(&bytes[at - len..at]);
        let id = hash.as_bytes().first_chunk().copied().unwrap_or_default();
        (Blinded(id), u32::try_from(len).unwrap_or(u32::MAX))
    };
    let lengths = Cutter::new(Class::Small, 7).cut(bytes, true);
    lengths.into_iter().map(chunk).collect()
}

fn part<'a>(bytes: &'a [u8], range: &Range<u64>) -> &'a [u8] {
    let place = |at: u64| usize::try_from(at).unwrap_or(usize::MAX);
    &bytes[place(range.start)..place(range.end)]
}

fn noise(size: usize, seed: u64) -> Vec<u8> {
    let mut bytes = vec![0; size];
    let mut hasher = blake3::Hasher::new();
    hasher.update(&seed.to_le_bytes());
    hasher.finalize_xof().fill(&mut bytes);
    bytes
}

/// A database file of above 50 MB before and after 1000 updates of single rows.
async fn database() -> Result<(Vec<u8>, Vec<u8>), Box<dyn Error>> {
    let folder = std::env::temp_dir().join(format!("sync-delta-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let made = change_rows(&folder.join("db")).await;
    std::fs::remove_dir_all(&folder)?;
    made
}

async fn change_rows(path: &Path) -> Result<(Vec<u8>, Vec<u8>), Box<dyn Error>> {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true);
    let mut conn = options.connect().await?;
    let make = "CREATE TABLE item (id INTEGER PRIMARY KEY, name TEXT, note TEXT, size INTEGER,
            changed INTEGER, weight REAL);
        CREATE INDEX item_name ON item (name)";
    sqlx::raw_sql(make).execute(&mut conn).await?;
    let fill = "WITH RECURSIVE nth(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM nth WHERE n < $1)
        INSERT INTO item SELECT n, 'item ' || hex(randomblob(6)),
            'note ' || n || ' on ' || hex(randomblob(16)), abs(random()) % 1000000,
            1700000000 + n, abs(random()) % 1000 / 7.0 FROM nth";
    sqlx::query(fill).bind(ROWS).execute(&mut conn).await?;
    sqlx::raw_sql("VACUUM").execute(&mut conn).await?;
    let old = std::fs::read(path)?;
    update(&mut conn).await?;
    conn.close().await?;
    Ok((old, std::fs::read(path)?))
}

async fn update(conn: &mut SqliteConnection) -> Result<(), Box<dyn Error>> {
    let sql = "UPDATE item SET size = abs(random()) % 1000000, changed = changed + 86400
        WHERE id = $1";
    let mut tx = conn.begin().await?;
    for bytes in noise(4000, 4).as_chunks().0 {
        let id = u32::from_le_bytes(*bytes) % ROWS + 1;
        sqlx::query(sql).bind(id).execute(&mut *tx).await?;
    }
    tx.commit().await?;
    Ok(())
}
