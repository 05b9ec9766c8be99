//! Each kind of verb, ended before each of its steps.

use std::collections::BTreeMap;

use super::crash::Life;
use super::is_set;
use super::perform::Stage;
use super::verbs::{At, Body, Verb, When};
use crate::store::fault::Loss;

/// What is to be ended, and what is done before so that it has something to do. The number is another one
/// each time.
struct Case {
    name: &'static str,
    /// Whether the next process does it again. If not, what it does next is the first that it does.
    again: bool,
    before: fn(u8) -> Vec<Verb>,
    verb: fn(u8) -> Verb,
}

/// Steps that there must be among all those that were met.
const STEPS: [&str; 9] = [
    "Answer", "Begin", "Commit", "Create", "Folder", "Rename", "Sync", "Unlink", "Write",
];
/// Steps from one end to the next on PostgreSQL, where each takes ten times as long; others for each case.
const STRIDE: usize = 12;
const MINE: usize = 1;

fn here(names: &str) -> At {
    At::of(MINE, false, names)
}

fn there(names: &str) -> At {
    At::of(MINE, true, names)
}

fn put(at: At, seed: u8, len: usize) -> Verb {
    Verb::Put(at, Body::of(seed, len), When::Always)
}

fn folder(at: &At, seed: u8) -> Vec<Verb> {
    let below = |name| At {
        names: [at.names.clone(), vec![String::from(name)]].concat(),
        ..at.clone()
    };
    vec![
        Verb::Mkdir(at.clone()),
        put(below("x"), seed, 20_000),
        put(below("y"), seed, 100),
    ]
}

fn files(seed: u8) -> Vec<(At, Body)> {
    vec![
        (there("a/x"), Body::of(seed, 100)),
        (there("a/y"), Body::of(seed, 70_000)),
        (there("a/z"), Body::of(seed, 9000)),
    ]
}

const CASES: &[Case] = &[
    Case {
        name: "a small file",
        again: true,
        before: |_| vec![],
        verb: |n| put(here("a/s"), n, 100),
    },
    Case {
        name: "a file over another",
        again: false,
        before: |n| vec![put(here("a/l"), n, 100)],
        verb: |n| put(here("a/l"), n ^ 128, 70_000),
    },
    Case {
        name: "an edit of a large file",
        again: true,
        before: |n| vec![put(here("a/e"), n, 400_000)],
        verb: |n| {
            let body = Body::of(n, 400_000).edited(9000);
            Verb::Put(here("a/e"), body, When::Always)
        },
    },
    Case {
        name: "an upload in parts",
        again: false,
        before: |_| vec![],
        verb: |n| Verb::Parts(here("a/p"), Body::of(n, 70_000), 2),
    },
    Case {
        name: "an upload left alone",
        again: true,
        before: |_| vec![],
        verb: |n| Verb::Park(here("a/p"), Body::of(n, 70_000)),
    },
    Case {
        name: "the rest of an upload",
        again: true,
        before: |n| vec![Verb::Park(here("a/p"), Body::of(n, 70_000))],
        verb: |_| Verb::Finish(0),
    },
    Case {
        name: "some files in one commit",
        again: false,
        before: |_| vec![],
        verb: |n| Verb::Batch(files(n)),
    },
    Case {
        name: "some files at the same time",
        again: false,
        before: |_| vec![],
        verb: |n| Verb::Together(files(n)),
    },
    Case {
        name: "a collection",
        again: true,
        before: |_| vec![Verb::Remove(here("a/d"))],
        verb: |_| Verb::Mkdir(here("a/d")),
    },
    Case {
        name: "a move",
        again: true,
        before: |n| folder(&here("a/m"), n),
        verb: |_| Verb::Move(here("a/m"), here("a/n"), true),
    },
    Case {
        name: "a move over another file",
        again: true,
        before: |n| vec![put(here("a/m"), n, 9000), put(here("a/n"), n ^ 128, 9000)],
        verb: |_| Verb::Move(here("a/m"), here("a/n"), true),
    },
    Case {
        name: "a move to another space",
        again: false,
        before: |n| folder(&here("a/m"), n),
        verb: |_| Verb::Move(here("a/m"), there("a/m"), true),
    },
    Case {
        name: "a copy",
        again: true,
        before: |n| folder(&here("a/c"), n),
        verb: |_| Verb::Copy(here("a/c"), here("a/k"), true),
    },
    Case {
        name: "a copy to another space",
        again: false,
        before: |n| folder(&here("a/c"), n),
        verb: |_| Verb::Copy(here("a/c"), there("a/c"), true),
    },
    Case {
        name: "a deletion",
        again: true,
        before: |n| folder(&here("a/r"), n),
        verb: |_| Verb::Remove(here("a/r")),
    },
    Case {
        name: "a return from trash",
        again: true,
        before: |n| [folder(&here("a/r"), n), vec![Verb::Remove(here("a/r"))]].concat(),
        verb: |_| Verb::Restore(MINE, 0),
    },
    Case {
        name: "a deletion for good",
        again: true,
        before: |n| [folder(&here("a/r"), n), vec![Verb::Remove(here("a/r"))]].concat(),
        verb: |_| Verb::Purge(MINE, 0),
    },
    Case {
        name: "a previous version",
        again: true,
        before: |n| vec![put(here("a/v"), n, 9000), put(here("a/v"), n ^ 128, 100)],
        verb: |_| Verb::RestoreVersion(here("a/v"), 0),
    },
    Case {
        name: "a property",
        again: true,
        before: |_| vec![],
        verb: |n| Verb::Colour(here("a"), n),
    },
    Case {
        name: "a lock",
        again: true,
        before: |_| vec![],
        verb: |_| Verb::Lock(here("a")),
    },
    Case {
        name: "a snapshot",
        again: true,
        before: |n| vec![put(here("a/s"), n, 9000)],
        verb: |_| Verb::Snapshot,
    },
    Case {
        name: "an end and a beginning",
        again: true,
        before: |n| vec![put(here("a/s"), n, 9000)],
        verb: |_| Verb::Reopen,
    },
    Case {
        name: "what goes with time, and collection",
        again: true,
        before: |n| {
            let mut verbs = vec![put(here("a/g"), n, 70_000), put(here("a/s"), n, 9000)];
            verbs.extend([Verb::Remove(here("a/g")), Verb::Pass(31)]);
            verbs
        },
        verb: |_| Verb::Collect,
    },
];

/// Ends it before each step, in each way that makes a difference. How often before which.
fn end_everywhere(case: &Case, steps: impl Iterator<Item = u64>) -> BTreeMap<String, u64> {
    let mut met = BTreeMap::new();
    let mut life = Life::begin();
    let mut stage = life.run(Stage::new(&life));
    for at in At::first() {
        life.run(stage.perform(&Verb::Mkdir(at)));
    }
    // What is there once and for all, is there when the steps are counted.
    let first = (case.verb)(0);
    for verb in (case.before)(0).iter().chain([&first, &Verb::Reopen]) {
        life.run(stage.perform(verb));
    }
    // Nobody is told of anything before its end.
    let fewer = matches!(first, Verb::Collect) && !is_set("SYNC_TEST_LONG");
    let mut nth = 1;
    for step in steps {
        let mut over = true;
        for loss in [Loss::Nothing, Loss::Unsynced, Loss::Torn] {
            for verb in (case.before)(nth) {
                life.run(stage.perform(&verb));
            }
            if fewer {
                life.plan.count_fewer();
            }
            let verb = (case.verb)(nth);
            let end = stage.crash(&mut life, &verb, step, loss);
            if case.again {
                life.run(stage.perform(&verb));
            }
            nth = nth.wrapping_add(1);
            over = end.before.is_none();
            *met.entry(end.before.unwrap_or_default()).or_default() += 1;
            if !end.owed {
                break;
            }
        }
        if over {
            break;
        }
    }
    life.run(stage.perform(&Verb::Collect));
    life.run(stage.check_store(true));
    met
}

#[test]
fn whatever_step_a_process_ends_before_the_next_one_finds_all_of_it_or_nothing() {
    let few = is_set("SYNC_TEST_POSTGRES") && !is_set("SYNC_TEST_LONG");
    let mut all = BTreeMap::<String, u64>::new();
    for (nth, case) in CASES.iter().enumerate() {
        let steps = if few {
            (nth as u64 % 3..).step_by(STRIDE)
        } else {
            (0..).step_by(1)
        };
        let met = end_everywhere(case, steps);
        println!("{}: {met:?}", case.name);
        for (step, times) in met {
            *all.entry(step).or_default() += times;
        }
    }
    for step in STEPS.iter().filter(|_| !few) {
        assert!(
            all.contains_key(*step),
            "the world never ended before {step}"
        );
    }
}
