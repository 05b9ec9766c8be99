//! The tree: every node hangs on a root or went to trash, has a name that can be, and states what lies
//! below it; files agree with their contents.

use std::collections::HashSet;

use super::{Finding, Going, Kind, Result, contents};
use crate::store::Store;
use crate::store::meta::audit::{self, Of, Window};
use crate::store::meta::trash::GOING;
use crate::store::meta::{Alone, Conn, mend, nodes, versions};
use crate::tree;
use crate::types::{ContentId, Millis, NodeId, NodeName, SpaceId};

/// Nodes of a window.
const PAGE: i64 = 10_000;
/// How often it is gone through: what is repaired may show what was hidden by it.
const PASSES: usize = 4;
/// Collections in circles that are looked at at once.
const CIRCLES: i64 = 1000;

pub(super) async fn check(going: &mut Going<'_>) -> Result<()> {
    for pass in 0..PASSES {
        let before = going.summary.repaired;
        circles(going).await?;
        windows(going, pass == 0).await?;
        if going.summary.repaired == before {
            break;
        }
    }
    Ok(())
}

async fn windows(going: &mut Going<'_>, counts: bool) -> Result<()> {
    let mut behind = 0;
    loop {
        let end = audit::page_end(&mut *going.store.meta.read().await?, behind, PAGE).await?;
        let Some(end) = end else {
            return Ok(());
        };
        let named = window(going, (behind, end)).await?;
        if counts {
            going.summary.nodes += named;
        }
        behind = end;
    }
}

async fn window(going: &mut Going<'_>, window: Window) -> Result<u64> {
    let (mut suspects, named) = {
        let mut conn = going.store.meta.read().await?;
        let mut suspects = Vec::new();
        for (kind, of) in [
            (Kind::Lost, Of::Lost),
            (Kind::Sum, Of::Sums),
            (Kind::Order, Of::Seqs),
        ] {
            let found = audit::nodes(&mut conn, of, window).await?;
            suspects.extend(found.into_iter().map(|(node, _)| (kind, node, 0)));
        }
        for (node, ..) in audit::files(&mut conn, window).await? {
            suspects.push((Kind::Size, node, 0));
        }
        for (node, _, number, _) in audit::versions(&mut conn, window).await? {
            suspects.push((Kind::Version, node, number));
        }
        let names = audit::names(&mut conn, window).await?;
        let wrong = names.iter().filter(|(.., name, key)| !is_named(name, key));
        suspects.extend(wrong.map(|(node, ..)| (Kind::Name, *node, 0)));
        (suspects, names.len() as u64)
    };
    // What follows from a file's size or a place is right once these are.
    suspects.sort_by_key(|(kind, node, _)| (matches!(kind, Kind::Sum | Kind::Order), *node));
    for (kind, node, number) in suspects {
        one(going, kind, NodeId(node), number).await?;
    }
    Ok(named)
}

fn is_named(name: &str, key: &str) -> bool {
    NodeName::parse(name).is_ok_and(|name| name.key() == key)
}

/// What a second look has found.
struct Sure {
    kind: Kind,
    wrong: String,
    repaired: Option<String>,
}

impl Sure {
    fn new(kind: Kind, wrong: impl Into<String>) -> Self {
        Self {
            kind,
            wrong: wrong.into(),
            repaired: None,
        }
    }

    fn done(mut self, what: impl Into<String>) -> Self {
        self.repaired = Some(what.into());
        self
    }
}

/// Looks again at one node, repairs and tells.
async fn one(going: &mut Going<'_>, kind: Kind, node: NodeId, number: i64) -> Result<()> {
    let (repair, now) = (going.how.repair, going.now());
    // Asked before: a place that is repaired is another one then.
    let mut finding = going.of_node(kind, node, String::new()).await?;
    let (space, store) = (node.space(), going.store.clone());
    let sure = going.again(move |conn| {
        Box::pin(async move {
            conn.alone(Alone::Space(space)).await?;
            // A purge of a large collection takes it apart from below; its figures do not matter.
            if audit::way(conn, node).await?.trashed == Some(GOING.0) {
                return Ok(None);
            }
            let repair = repair.then_some(now);
            look(conn, &store, kind, (node, number), repair).await
        })
    });
    let Some(sure) = sure.await? else {
        return Ok(());
    };
    if sure.repaired.is_some() {
        going.store.events.announce(space);
    }
    if kind == Kind::Version {
        finding.subject = format!("version {number} of node {node}");
    }
    told(going, finding, sure);
    Ok(())
}

fn told(going: &mut Going<'_>, finding: Finding, sure: Sure) {
    let whole = sure.repaired.is_some();
    if !whole && !going.left.insert((sure.kind, finding.subject.clone())) {
        return;
    }
    let finding = Finding {
        kind: sure.kind,
        wrong: sure.wrong,
        repaired: sure.repaired,
        ..finding
    };
    going.tell(&finding, whole);
}

/// With `repair`, the time, what can be repaired is.
async fn look(
    conn: &mut Conn,
    store: &Store,
    kind: Kind,
    (node, number): (NodeId, i64),
    repair: Option<Millis>,
) -> Result<Option<Sure>> {
    if kind == Kind::Lost {
        return lost(conn, node, repair).await;
    }
    if kind == Kind::Sum {
        return figure(conn, Of::Sums, node, repair.is_some()).await;
    }
    if kind == Kind::Order {
        return figure(conn, Of::Seqs, node, repair.is_some()).await;
    }
    if kind == Kind::Version {
        return version(conn, store, node, number, repair).await;
    }
    if kind == Kind::Name {
        return name(conn, node, repair.is_some()).await;
    }
    file(conn, store, node, repair).await
}

/// What a collection says of what lies below.
async fn figure(conn: &mut Conn, of: Of, node: NodeId, repair: bool) -> Result<Option<Sure>> {
    if audit::nodes(conn, of, (node.0 - 1, node.0))
        .await?
        .is_empty()
    {
        return Ok(None);
    }
    let sure = if of == Of::Sums {
        Sure::new(Kind::Sum, "states other bytes than lie in it")
    } else {
        Sure::new(Kind::Order, "changed later than what is above it says")
    };
    if !repair {
        return Ok(Some(sure));
    }
    tree::mend::sums(conn, node.space(), node).await?;
    Ok(Some(sure.done("worked out again")))
}

async fn name(conn: &mut Conn, node: NodeId, repair: bool) -> Result<Option<Sure>> {
    let names = audit::names(conn, (node.0 - 1, node.0)).await?;
    if names.iter().all(|(.., name, key)| is_named(name, key)) {
        return Ok(None);
    }
    let sure = Sure::new(Kind::Name, "its name cannot be, or has another key");
    if !repair {
        return Ok(Some(sure));
    }
    tree::mend::name(conn, node.space(), node).await?;
    Ok(Some(sure.done("named again")))
}

async fn lost(conn: &mut Conn, node: NodeId, repair: Option<Millis>) -> Result<Option<Sure>> {
    let found = audit::nodes(conn, Of::Lost, (node.0 - 1, node.0)).await?;
    if found.is_empty() {
        return Ok(None);
    }
    let sure = Sure::new(Kind::Lost, "hangs on nothing");
    let Some(now) = repair else {
        return Ok(Some(sure));
    };
    // Its own row may only name another space.
    tree::mend::sums(conn, node.space(), node).await?;
    let found = audit::nodes(conn, Of::Lost, (node.0 - 1, node.0)).await?;
    if found.is_empty() {
        return Ok(Some(sure.done("given back to its space")));
    }
    let place = tree::mend::recover(conn, node.space(), node, now).await?;
    Ok(Some(sure.done(format!("moved to {place}"))))
}

async fn file(
    conn: &mut Conn,
    store: &Store,
    node: NodeId,
    repair: Option<Millis>,
) -> Result<Option<Sure>> {
    let found = audit::files(conn, (node.0 - 1, node.0)).await?;
    let Some((_, _, size)) = found.first() else {
        return Ok(None);
    };
    let Some(size) = size else {
        return Ok(Some(Sure::new(Kind::Content, "its content is not there")));
    };
    if !of_sound(conn, store, node).await? {
        // Then it is the content that is wrong, and is told.
        return Ok(None);
    }
    let sure = Sure::new(
        Kind::Size,
        format!("states another size than its content, which has {size} bytes"),
    );
    if repair.is_none() {
        return Ok(Some(sure));
    }
    tree::mend::size(conn, node.space(), node, *size).await?;
    Ok(Some(sure.done("worked out again")))
}

async fn of_sound(conn: &mut Conn, store: &Store, node: NodeId) -> Result<bool> {
    let row = nodes::by_id(conn, node).await?;
    let Some(content) = row.and_then(|row| row.content) else {
        return Ok(false);
    };
    contents::is_sound(conn, store, ContentId(content)).await
}

async fn version(
    conn: &mut Conn,
    store: &Store,
    node: NodeId,
    number: i64,
    repair: Option<Millis>,
) -> Result<Option<Sure>> {
    let found = audit::versions(conn, (node.0 - 1, node.0)).await?;
    let Some((.., size)) = found.iter().find(|found| found.2 == number) else {
        return Ok(None);
    };
    let Some(size) = *size else {
        let sure = Sure::new(Kind::Version, "its content is not there");
        return Ok(Some(sure));
    };
    let versions = versions::list(conn, node).await?;
    let content = versions.iter().find(|version| version.number == number);
    let Some(content) = content.map(|version| ContentId(version.content)) else {
        return Ok(None);
    };
    if !contents::is_sound(conn, store, content).await? {
        return Ok(None);
    }
    let sure = Sure::new(
        Kind::Version,
        format!("states another size than its content, which has {size} bytes"),
    );
    if repair.is_none() {
        return Ok(Some(sure));
    }
    mend::set_version_size(conn, node, number, size).await?;
    Ok(Some(sure.done("worked out again")))
}

/// Collections that hang on each other and on nothing else. One of each circle is told; what lies
/// below comes along with it.
async fn circles(going: &mut Going<'_>) -> Result<()> {
    let spaces = audit::spaces(&mut *going.store.meta.read().await?, (0, i64::MAX)).await?;
    for space in spaces {
        let space = SpaceId(space.id);
        let found = {
            let mut conn = going.store.meta.read().await?;
            audit::circles(&mut conn, space, CIRCLES).await?
        };
        let mut seen = HashSet::new();
        for (node, _) in found {
            let Some(node) = first_of_circle(going, NodeId(node)).await? else {
                continue;
            };
            if seen.insert(node) {
                circle(going, node).await?;
            }
        }
    }
    Ok(())
}

/// The least node of the circle that one hangs on.
async fn first_of_circle(going: &Going<'_>, node: NodeId) -> Result<Option<NodeId>> {
    let up = audit::up(&mut *going.store.meta.read().await?, node).await?;
    Ok(least(&up))
}

fn least(up: &[i64]) -> Option<NodeId> {
    let mut seen = HashSet::new();
    let again = up.iter().find(|node| !seen.insert(**node))?;
    let from = up.iter().position(|node| node == again)?;
    let round = up[from + 1..].iter().position(|node| node == again)?;
    up[from..=from + round]
        .iter()
        .min()
        .map(|node| NodeId(*node))
}

async fn circle(going: &mut Going<'_>, node: NodeId) -> Result<()> {
    let (repair, now) = (going.how.repair, going.now());
    let mut finding = going.of_node(Kind::Circle, node, String::new()).await?;
    // Its path has no beginning.
    finding.files.clear();
    let sure = going.again(move |conn| {
        Box::pin(async move {
            conn.alone(Alone::Space(node.space())).await?;
            if least(&audit::up(conn, node).await?) != Some(node) {
                return Ok(None);
            }
            let sure = Sure::new(Kind::Circle, "hangs on what hangs on it");
            if !repair {
                return Ok(Some(sure));
            }
            let place = tree::mend::recover(conn, node.space(), node, now).await?;
            Ok(Some(sure.done(format!("moved to {place}"))))
        })
    });
    if let Some(sure) = sure.await? {
        told(going, finding, sure);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_of_a_circle_is_found_from_wherever_the_way_up_begins() {
        assert_eq!(least(&[9, 5, 3, 7, 5, 3, 7]), Some(NodeId(3)));
        assert_eq!(least(&[4, 4, 4]), Some(NodeId(4)));
        assert_eq!(least(&[9, 5, 1]), None);
        assert_eq!(least(&[]), None);
    }
}
