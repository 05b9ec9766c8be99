//! The folder of segments: files that no row knows.
//!
//! A crash leaves segments without rows, and after an older database was put back they may be the only
//! home of newer bytes; so they are moved, not deleted. A server may be appending to one and give its
//! records rows later. So only those are told that nobody wrote to for long, and only those are moved
//! that no process can know any more; whoever does nevertheless is refused (`gone_segment`).

use std::time::{Duration, SystemTime};

use super::{Finding, Going, Kind, Result};
use crate::crypto::SegmentId;
use crate::jobs::collect;
use crate::store::blob::Found;
use crate::store::meta::{Alone, audit, process};

/// A segment that was written to since may be somebody's. Longer than the ten minutes after which a
/// server lets go of one it does not use.
const QUIET: Duration = Duration::from_hours(1);

/// How long it waits for processes to let go of what they hold.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often it looks whether they have.
const POLL: Duration = Duration::from_millis(250);

pub(super) async fn check(going: &mut Going<'_>) -> Result<()> {
    let mut orphans = Vec::new();
    for folder in going.store.segments.folders().await? {
        if !folder.is_dir() {
            foreign(going, folder).await?;
            continue;
        }
        for found in going.store.segments.files_in(folder).await? {
            match found.segment {
                None => foreign(going, found.path).await?,
                Some(segment) if is_orphan(going, segment, &found).await? => orphans.push(found),
                Some(_) => {}
            }
        }
    }
    if orphans.is_empty() {
        return Ok(());
    }
    let free = going.how.repair && nobody_knows(going).await?;
    for found in orphans {
        orphan(going, found, free).await?;
    }
    Ok(())
}

async fn is_orphan(going: &Going<'_>, segment: SegmentId, found: &Found) -> Result<bool> {
    let quiet = SystemTime::now().duration_since(found.written);
    if !quiet.is_ok_and(|quiet| quiet >= QUIET) {
        return Ok(false);
    }
    Ok(!audit::knows_file(&mut *going.store.meta.read().await?, segment).await?)
}

/// Whether no process reaches back to the time before this question. While a collection runs it is not
/// asked: it would end that one.
async fn nobody_knows(going: &Going<'_>) -> Result<bool> {
    let Some(_lock) = collect::lock(&going.how.data)? else {
        return Ok(false);
    };
    let now = going.now();
    let next = going.again(move |conn| {
        Box::pin(async move {
            conn.alone(Alone::Collecting).await?;
            process::expire(conn, now).await?;
            Ok(process::next_epoch(conn).await?)
        })
    });
    let epoch = next.await?;
    let began = std::time::Instant::now();
    loop {
        going.store.process.beat(going.store).await?;
        let floor = process::floor(&mut *going.store.meta.read().await?).await?;
        if floor.is_none_or(|floor| floor >= epoch) {
            return Ok(true);
        }
        if began.elapsed() >= PATIENCE {
            return Ok(false);
        }
        tokio::time::sleep(POLL).await;
    }
}

async fn orphan(going: &mut Going<'_>, found: Found, free: bool) -> Result<()> {
    let Some(segment) = found.segment else {
        return Ok(());
    };
    let now = going.now();
    let known = going.again(move |conn| {
        Box::pin(async move {
            conn.alone(Alone::Collecting).await?;
            let known = audit::knows_file(conn, segment).await?;
            if !known && free {
                audit::give_up(conn, segment, now.0).await?;
            }
            Ok(known)
        })
    });
    if known.await? {
        return Ok(());
    }
    let mut wrong = "no row knows it".to_owned();
    let mut repaired = None;
    if free {
        let to = going.store.segments.set_aside(found.path).await?;
        repaired = Some(format!("moved to {}", to.display()));
    } else if going.how.repair {
        wrong.push_str("; uploads, downloads or a collection are under way, so it stays for now");
    }
    let finding = Finding {
        repaired,
        ..of_file(Kind::Orphan, format!("segment {segment}"), wrong)
    };
    going.tell(&finding, true);
    Ok(())
}

async fn foreign(going: &mut Going<'_>, path: std::path::PathBuf) -> Result<()> {
    let subject = format!("file {}", path.display());
    let mut finding = of_file(Kind::Foreign, subject, "is no segment".to_owned());
    if going.how.repair {
        let to = going.store.segments.set_aside(path).await?;
        finding.repaired = Some(format!("moved to {}", to.display()));
    }
    going.tell(&finding, true);
    Ok(())
}

fn of_file(kind: Kind, subject: String, wrong: String) -> Finding {
    Finding {
        kind,
        space: None,
        subject,
        wrong,
        files: Vec::new(),
        more: 0,
        repaired: None,
    }
}
