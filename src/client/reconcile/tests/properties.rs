//! What holds for any three trees.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::edits::{unrelated, worlds};
use super::part::{part, relevant};
use super::world::{Course, World, busy};
use super::{cases, conflict_name, plan, temporary_name};
use crate::client::item::{Item, ItemId};
use crate::client::reconcile::{LocalOp, Names, Plan, RemoteOp, Step, Tree, reconcile};

/// After this many smooth passes there is nothing to do, and the next one would only find that out.
const PASSES: usize = 4;

fn course() -> impl Strategy<Value = Course> {
    any::<bool>().prop_map(|there_first| Course {
        there_first,
        trouble: None,
    })
}

/// Goes on until there is nothing to do, and looks at what has come of it.
fn come_together(world: &mut World, course: Course, precious: &BTreeSet<u64>) {
    let mut passes = 0;
    while !world.pass(course).is_empty() {
        passes += 1;
        assert!(passes <= PASSES, "{passes} passes and still not done");
    }
    assert_eq!(world.here.paths(), world.there.paths());
    assert_eq!(world.here.tree(), world.there.tree());
    assert_eq!(world.here.tree(), world.synced);
    let kept: BTreeSet<_> = world.here.files().map(|(_, node)| node.bytes).collect();
    let lost: Vec<_> = precious.difference(&kept).collect();
    assert!(lost.is_empty(), "lost {lost:?}");
}

/// Ids of items that are the same in all three trees.
fn untouched(world: &World) -> BTreeSet<ItemId> {
    let (here, there) = (world.here.tree(), world.there.tree());
    let same =
        |item: &&Item| there.get(item.id) == Some(item) && world.synced.get(item.id) == Some(item);
    here.items().filter(same).map(|item| item.id).collect()
}

/// What can be said of a plan without carrying it out.
fn look_at(world: &World, plan: &Plan) {
    let (untouched, busy) = (untouched(world), busy(plan));
    let both: Vec<_> = untouched.intersection(&busy).collect();
    assert!(both.is_empty(), "nobody touched {both:?}");
    assert!(super::plan(&plan.merged, &plan.merged, &plan.merged).is_empty());
}

fn trees(world: &World) -> [Tree; 3] {
    [world.here.tree(), world.there.tree(), world.synced.clone()]
}

fn names_in(trees: &[Tree; 3]) -> BTreeSet<String> {
    let items = trees.iter().flat_map(Tree::items);
    items.map(|item| item.name.clone()).collect()
}

/// Plans from whole trees and from parts of them, and compares.
fn plan_by_parts(trees: &[Tree; 3]) {
    let taken = names_in(trees);
    // Whoever gives the names has to know the whole.
    let free = |_: ItemId, name: &str, attempt: u32| {
        let names = (0..).map(|number| conflict_name(ItemId(0), name, number));
        let mut names = names.filter(|name| !taken.contains(name));
        names.nth(usize::try_from(attempt).unwrap()).unwrap()
    };
    let names = Names {
        conflict: &free,
        temporary: &temporary_name,
    };
    let [local, remote, synced] = trees;
    let whole = reconcile(local, remote, synced, &names).unwrap();
    let ids = relevant(local, remote, synced);
    let parts = trees.each_ref().map(|tree| part(tree, &ids).unwrap());
    let [local, remote, synced] = &parts;
    let by_parts = reconcile(local, remote, synced, &names).unwrap();
    for item in by_parts.merged.items() {
        assert_eq!(whole.merged.get(item.id), Some(item));
    }
    let mut whole = whole;
    whole.merged = by_parts.merged.clone();
    assert_eq!(whole, by_parts);
}

/// Whether a step cannot do without another one; what is edited and moved needs its own move, which needs the rest.
fn needs<Op>(steps: &[Step<Op>], step: usize, other: usize) -> bool {
    let mut needed = steps[step].needs.iter();
    needed.any(|&need| need == other || needs(steps, need, other))
}

/// Steps name those that they cannot do without.
fn needs_are_told(plan: &Plan) {
    let made = |id: &ItemId| {
        plan.here.iter().position(
            |step| matches!(&step.op, LocalOp::MakeCollection { id: made, .. } if made == id),
        )
    };
    for step in &plan.here {
        if let LocalOp::MakeCollection { parent, .. }
        | LocalOp::Move { parent, .. }
        | LocalOp::Fetch {
            parent,
            replaces: false,
            ..
        } = &step.op
        {
            assert!(made(parent).is_none_or(|index| step.needs.contains(&index)));
        }
    }
    let made = |id: &ItemId| {
        plan.there.iter().position(
            |step| matches!(&step.op, RemoteOp::MakeCollection { id: made, .. } if made == id),
        )
    };
    for (index, step) in plan.there.iter().enumerate() {
        if let RemoteOp::MakeCollection { parent, .. }
        | RemoteOp::Upload { parent, .. }
        | RemoteOp::Move { parent, .. } = &step.op
        {
            assert!(made(parent).is_none_or(|other| needs(&plan.there, index, other)));
        }
    }
    for (index, step) in plan.there.iter().enumerate() {
        let RemoteOp::Move { id, temporary, .. } = &step.op else {
            continue;
        };
        let arrives = |later: &Step<RemoteOp>| {
            let last = RemoteOp::id(&later.op) == *id && later.needs.contains(&index);
            last && matches!(
                later.op,
                RemoteOp::Move {
                    temporary: false,
                    ..
                }
            )
        };
        assert!(!temporary || plan.there[index + 1..].iter().any(arrives));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(cases(256)) })]

    #[test]
    fn whatever_both_sides_did_they_come_together_and_nothing_is_lost(
        mut world in worlds(), course in course()
    ) {
        let precious = world.precious();
        look_at(&world, &world.plan());
        come_together(&mut world, course, &precious);
    }

    #[test]
    fn trees_that_have_nothing_in_common_come_together_and_nothing_is_lost(
        mut world in unrelated(), course in course()
    ) {
        let precious = world.precious();
        look_at(&world, &world.plan());
        come_together(&mut world, course, &precious);
    }

    #[test]
    fn steps_that_fail_are_made_up_for_in_later_passes(
        mut world in worlds(), there_first in any::<bool>(), seed in any::<u64>()
    ) {
        let precious = world.precious();
        for round in 0..2 {
            world.pass(Course { there_first, trouble: Some(seed ^ round) });
        }
        come_together(&mut world, Course { there_first, trouble: None }, &precious);
    }

    #[test]
    fn parts_of_trees_give_the_plan_that_whole_ones_give(world in worlds()) {
        plan_by_parts(&trees(&world));
    }

    #[test]
    fn parts_of_unrelated_trees_give_the_plan_that_whole_ones_give(world in unrelated()) {
        plan_by_parts(&trees(&world));
    }

    #[test]
    fn what_is_in_a_new_collection_needs_it_and_what_was_parked_arrives(world in worlds()) {
        let [local, remote, synced] = trees(&world);
        needs_are_told(&plan(&local, &remote, &synced));
    }
}
