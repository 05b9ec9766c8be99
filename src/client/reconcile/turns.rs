//! Puts changes into an order in which each finds what it needs.
//!
//! Where changes wait for each other in a circle (names that are swapped), one item leaves its place under a temporary
//! name first. There always is one: places in a tree are in no circle, so something in it waits for another one to
//! leave.

use std::collections::{HashMap, VecDeque};

use super::order::{Change, Need, Node, Turn};
use crate::client::item::ItemId;

/// Orders changes. `park` gives the place where an item waits.
pub(super) fn turns(nodes: Vec<Node>, park: &dyn Fn(ItemId) -> Change) -> Vec<Turn> {
    let mut queue = Queue::of(nodes);
    let mut first = 0;
    loop {
        queue.run();
        while queue.done.get(first).is_some_and(Option::is_some) {
            first += 1;
        }
        if first == queue.nodes.len() {
            return queue.turns;
        }
        let Some(parked) = queue.circle(first) else {
            return queue.turns;
        };
        queue.park(parked, park);
    }
}

struct Queue {
    nodes: Vec<Node>,
    /// For each node, who waits for it, and whether only for it to leave.
    waiters: Vec<Vec<(usize, bool)>>,
    /// For each node, how many it still waits for.
    waits: Vec<usize>,
    /// For each node, the first of its needs that may not be met yet.
    unmet: Vec<usize>,
    /// For each node, its turn.
    done: Vec<Option<usize>>,
    /// For each node, the turn in which it was parked.
    parked: Vec<Option<usize>>,
    ready: VecDeque<usize>,
    /// What removes comes last: until then, what it removes may still be of use.
    removals: VecDeque<usize>,
    turns: Vec<Turn>,
}

impl Queue {
    fn of(nodes: Vec<Node>) -> Self {
        let mut waiters = vec![Vec::new(); nodes.len()];
        for (index, node) in nodes.iter().enumerate() {
            for need in &node.needs {
                waiters[need.on].push((index, need.leave));
            }
        }
        let mut queue = Self {
            waits: nodes.iter().map(|node| node.needs.len()).collect(),
            unmet: vec![0; nodes.len()],
            done: vec![None; nodes.len()],
            parked: vec![None; nodes.len()],
            ready: VecDeque::new(),
            removals: VecDeque::new(),
            turns: Vec::with_capacity(nodes.len()),
            waiters,
            nodes,
        };
        for index in 0..queue.nodes.len() {
            queue.enqueue(index);
        }
        queue
    }

    fn enqueue(&mut self, index: usize) {
        if self.waits[index] > 0 {
            return;
        }
        match self.nodes[index].change {
            Change::Remove(_) => self.removals.push_back(index),
            Change::Make(_)
            | Change::Move(_)
            | Change::Park(..)
            | Change::Write(_)
            | Change::SetExecutable(_) => self.ready.push_back(index),
        }
    }

    /// Gives everything its turn that waits for nothing.
    fn run(&mut self) {
        while let Some(index) = self.ready.pop_front().or_else(|| self.removals.pop_front()) {
            let node = &mut self.nodes[index];
            let change = std::mem::replace(&mut node.change, Change::SetExecutable(false));
            let id = node.id;
            let needs = self.needs_of(index);
            self.done[index] = Some(self.turns.len());
            self.turns.push(Turn { id, change, needs });
            let left = self.parked[index].is_some();
            self.release(index, |leave| !(leave && left));
        }
    }

    fn needs_of(&self, index: usize) -> Vec<usize> {
        let turn = |need: &Need| {
            let parked = self.parked[need.on].filter(|_| need.leave);
            parked.or(self.done[need.on])
        };
        let needs = self.nodes[index].needs.iter().filter_map(turn);
        needs.chain(self.parked[index]).collect()
    }

    fn release(&mut self, index: usize, whom: impl Fn(bool) -> bool) {
        for (waiter, leave) in self.waiters[index].clone() {
            if whom(leave) {
                self.waits[waiter] -= 1;
                self.enqueue(waiter);
            }
        }
    }

    fn is_met(&self, need: Need) -> bool {
        self.done[need.on].is_some() || (need.leave && self.parked[need.on].is_some())
    }

    /// Follows who waits for whom until that comes round, and finds there whom others wait for to leave.
    fn circle(&mut self, start: usize) -> Option<usize> {
        let mut path: Vec<(usize, bool)> = vec![(start, false)];
        let mut seen = HashMap::from([(start, 0)]);
        let mut index = start;
        loop {
            let needs = &self.nodes[index].needs;
            let next = needs[self.unmet[index]..]
                .iter()
                .position(|need| !self.is_met(*need))?;
            self.unmet[index] += next;
            let need = self.nodes[index].needs[self.unmet[index]];
            index = need.on;
            if let Some(round) = seen.insert(index, path.len()) {
                path.push((index, need.leave));
                let moves = |index: usize| matches!(self.nodes[index].change, Change::Move(_));
                let mut circle = path[round + 1..].iter();
                return circle
                    .find(|(on, leave)| *leave && moves(*on))
                    .map(|(on, _)| *on);
            }
            path.push((index, need.leave));
        }
    }

    fn park(&mut self, index: usize, park: &dyn Fn(ItemId) -> Change) {
        let id = self.nodes[index].id;
        self.parked[index] = Some(self.turns.len());
        self.turns.push(Turn {
            id,
            change: park(id),
            needs: Vec::new(),
        });
        self.release(index, |leave| leave);
    }
}
