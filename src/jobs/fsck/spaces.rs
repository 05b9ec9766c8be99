//! Spaces: keys, roots and counters.

use super::{Finding, Going, Kind, Result, damage};
use crate::store::meta::audit::{self, SpaceFacts, Window};
use crate::store::meta::{Alone, damage as rows, mend, spaces};
use crate::tree;
use crate::types::SpaceId;

/// All of them: there are few.
const ALL: Window = (0, i64::MAX);

pub(super) async fn check(going: &mut Going<'_>) -> Result<()> {
    keys(going).await?;
    let found = audit::spaces(&mut *going.store.meta.read().await?, ALL).await?;
    for facts in found {
        let space = SpaceId(facts.id);
        for kind in [Kind::Root, Kind::Counters, Kind::Locks] {
            if wrong(kind, &facts).is_some() {
                one(going, kind, space).await?;
            }
        }
    }
    Ok(())
}

async fn keys(going: &mut Going<'_>) -> Result<()> {
    let found = rows::keys(&mut *going.store.meta.read().await?).await?;
    for (space, wrapped) in found {
        let opened = {
            let mut conn = going.store.meta.read().await?;
            going.store.keys.opens(&mut conn, space, &wrapped).await
        };
        let Err(error) = opened else {
            continue;
        };
        closed(going, space, damage(error)?).await?;
    }
    Ok(())
}

/// Tells that the keys of a space do not open, and leaves alone what is sealed by them.
pub(super) async fn closed(going: &mut Going<'_>, space: SpaceId, wrong: String) -> Result<()> {
    going.closed.push(space);
    let finding = of_space(going, Kind::Key, space, wrong).await?;
    going.tell(&finding, false);
    Ok(())
}

async fn of_space(
    going: &mut Going<'_>,
    kind: Kind,
    space: SpaceId,
    wrong: String,
) -> Result<Finding> {
    let name = going.name(space).await?;
    Ok(Finding {
        kind,
        space: Some(name.clone()),
        subject: format!("space {space}"),
        wrong,
        files: vec![name],
        more: 0,
        repaired: None,
    })
}

/// What is wrong in this way, in words.
fn wrong(kind: Kind, facts: &SpaceFacts) -> Option<String> {
    if kind == Kind::Root {
        return (!facts.rooted).then(|| "its root is missing or is none".to_owned());
    }
    let SpaceFacts {
        seq,
        last_node,
        locks,
        locked,
        ..
    } = facts;
    if kind == Kind::Locks {
        let text = format!("counts {locks} locks and has {locked}");
        return (locks != locked).then_some(text);
    }
    let (least_seq, least_nodes) = (facts.least_seq(), facts.least_nodes());
    let text = format!(
        "is at turn {seq} and node {last_node}, but {least_seq} and {least_nodes} were reached"
    );
    (*seq < least_seq || *last_node < least_nodes).then_some(text)
}

async fn one(going: &mut Going<'_>, kind: Kind, space: SpaceId) -> Result<()> {
    let (repair, now) = (going.how.repair, going.now());
    let found = going.again(move |conn| {
        Box::pin(async move {
            conn.alone(Alone::Space(space)).await?;
            let all = audit::spaces(conn, (space.0 - 1, space.0)).await?;
            let Some(facts) = all.first() else {
                return Ok(None);
            };
            let wrong = wrong(kind, facts);
            if wrong.is_some() && repair {
                if kind == Kind::Root {
                    tree::mend::root(conn, space, now).await?;
                } else if kind == Kind::Locks {
                    spaces::count_locks(conn, space).await?;
                } else {
                    mend::raise(conn, space, facts.least_seq(), facts.least_nodes()).await?;
                }
            }
            Ok(wrong)
        })
    });
    let Some(wrong) = found.await? else {
        return Ok(());
    };
    let mut finding = of_space(going, kind, space, wrong).await?;
    let done = if kind == Kind::Root {
        "made anew"
    } else {
        "worked out again"
    };
    finding.repaired = repair.then(|| done.to_owned());
    going.tell(&finding, repair);
    Ok(())
}
