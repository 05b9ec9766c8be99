//! Two disks, what both last had, and passes that bring them together.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fmt;
use std::sync::Arc;

use super::disk::{Disk, Node, ROOT};
use super::plan;
use crate::client::item::{Content, Item, ItemId, Kind};
use crate::client::reconcile::{Adopt, LocalOp, Plan, RemoteOp, Step, Tree};

#[derive(Clone)]
pub(super) struct World {
    pub(super) here: Disk,
    pub(super) there: Disk,
    pub(super) synced: Tree,
    /// What the server's versions hold.
    pub(super) versions: HashMap<Arc<str>, u64>,
    last: i64,
}

/// The ids that the server gave in place of others, and the tags under which it keeps what was sent.
type Given = HashMap<ItemId, (ItemId, Option<Arc<str>>)>;

/// What becomes of steps.
#[derive(Clone, Copy, Debug)]
pub(super) struct Course {
    /// The server's steps come before those here.
    pub(super) there_first: bool,
    /// Steps fail, or succeed without anybody hearing of it; from this number on it is drawn which.
    pub(super) trouble: Option<u64>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Luck {
    Good,
    Failed,
    Unheard,
}

impl Course {
    fn draw(&mut self) -> Luck {
        let Some(state) = &mut self.trouble else {
            return Luck::Good;
        };
        *state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        match *state >> 60 {
            0..=2 => Luck::Failed,
            3 => Luck::Unheard,
            _ => Luck::Good,
        }
    }
}

/// Carries out steps; tells the items whose steps did not all succeed, as far as anybody heard.
fn run<Op>(
    steps: &[Step<Op>],
    course: &mut Course,
    mut one: impl FnMut(&Op, bool),
    ids: impl Fn(&Op) -> Vec<ItemId>,
) -> HashSet<ItemId> {
    let mut failed = HashSet::new();
    let mut open = HashSet::new();
    for (index, step) in steps.iter().enumerate() {
        assert!(
            step.needs.iter().all(|need| *need < index),
            "needs what comes later"
        );
        let blocked = step.needs.iter().any(|need| failed.contains(need));
        let luck = if blocked { Luck::Failed } else { course.draw() };
        if luck != Luck::Failed {
            one(&step.op, luck == Luck::Good);
        }
        if luck != Luck::Good {
            failed.insert(index);
            open.extend(ids(&step.op));
        }
    }
    open
}

impl LocalOp {
    /// The item that it is about.
    pub(super) fn id(&self) -> ItemId {
        match self {
            Self::MakeCollection { id, .. }
            | Self::Fetch { id, .. }
            | Self::Move { id, .. }
            | Self::Remove { id, .. }
            | Self::SetExecutable { id, .. } => *id,
        }
    }
}

fn local_ids(op: &LocalOp) -> Vec<ItemId> {
    let mut ids = vec![op.id()];
    if let LocalOp::Remove { below, .. } = op {
        ids.extend(below);
    }
    ids
}

fn remote_ids(op: &RemoteOp) -> Vec<ItemId> {
    let mut ids = vec![op.id()];
    if let RemoteOp::Delete { below, .. } = op {
        ids.extend(below);
    }
    ids
}

/// Every item that a plan does something about.
pub(super) fn busy(plan: &Plan) -> BTreeSet<ItemId> {
    let here = plan.here.iter().flat_map(|step| local_ids(&step.op));
    let there = plan.there.iter().flat_map(|step| remote_ids(&step.op));
    here.chain(there)
        .chain(plan.settled.iter().copied())
        .collect()
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (side, tree) in [
            ("here", &self.here.tree()),
            ("there", &self.there.tree()),
            ("synced", &self.synced),
        ] {
            writeln!(f, "{side}:")?;
            let mut items: Vec<_> = tree.items().collect();
            items.sort_by_key(|item| item.id);
            for item in items {
                writeln!(f, "  {item:?}")?;
            }
        }
        Ok(())
    }
}

impl World {
    pub(super) fn new() -> Self {
        Self {
            here: Disk::new(),
            there: Disk::new(),
            synced: Disk::new().tree(),
            versions: HashMap::new(),
            last: 1000,
        }
    }

    pub(super) fn next_id(&mut self) -> ItemId {
        self.last += 1;
        ItemId(self.last)
    }

    pub(super) fn version(&mut self, bytes: u64) -> Arc<str> {
        self.last += 1;
        let etag: Arc<str> = format!("f{}", self.last).into();
        self.versions.insert(Arc::clone(&etag), bytes);
        etag
    }

    pub(super) fn plan(&self) -> Plan {
        plan(&self.here.tree(), &self.there.tree(), &self.synced)
    }

    /// The bytes of all files that are not those that the synced tree has for them, under whatever id.
    pub(super) fn precious(&self) -> BTreeSet<u64> {
        let adopted = self.plan().adopt;
        let old = |id: ItemId| {
            adopted
                .iter()
                .find(|one| one.to == id)
                .map_or(id, |one| one.from)
        };
        let files = self.here.files().chain(self.there.files());
        files
            .filter(|(id, node)| {
                let synced = self.synced.get(old(*id)).and_then(Item::etag);
                synced.and_then(|etag| self.versions.get(etag)) != Some(&node.bytes)
            })
            .map(|(_, node)| node.bytes)
            .collect()
    }

    /// One pass. Tells its plan.
    pub(super) fn pass(&mut self, mut course: Course) -> Plan {
        let plan = self.plan();
        let ids = |changes: &[Adopt]| changes.iter().map(|one| (one.from, one.to)).collect();
        self.here.renumber(&ids(&plan.strangers));
        self.here.renumber(&ids(&plan.adopt));
        self.renumber_synced(&ids(&plan.adopt));
        let mut given = HashMap::new();
        let mut open = HashSet::new();
        for there in [course.there_first, !course.there_first] {
            open.extend(if there {
                let one = |op: &RemoteOp, heard: bool| {
                    self.do_there(op, &mut given);
                    if heard {
                        self.hear(op.id(), &given);
                    } else {
                        given.remove(&op.id());
                    }
                };
                run(&plan.there, &mut course, one, remote_ids)
            } else {
                let one = |op: &LocalOp, heard: bool| {
                    self.do_here(op, &plan.merged);
                    if !heard {
                        self.forget(op);
                    }
                };
                run(&plan.here, &mut course, one, local_ids)
            });
        }
        let given: HashMap<_, _> = given.into_iter().map(|(id, (new, _))| (id, new)).collect();
        self.here.renumber(&given);
        for id in busy(&plan).difference(&open.into_iter().collect()) {
            self.settle(*id, given.get(id).copied().unwrap_or(*id));
        }
        plan
    }

    fn renumber_synced(&mut self, ids: &HashMap<ItemId, ItemId>) {
        let new = |id: ItemId| ids.get(&id).copied().unwrap_or(id);
        let mut synced = Tree::new(self.synced.get(ROOT).unwrap().clone());
        for item in self.synced.items().filter(|item| item.id != ROOT) {
            synced.insert(Item {
                id: new(item.id),
                parent: new(item.parent),
                ..item.clone()
            });
        }
        self.synced = synced;
    }

    fn settle(&mut self, old: ItemId, id: ItemId) {
        self.synced.remove(old);
        let (Some(here), Some(there)) = (self.here.nodes.get_mut(&id), self.there.nodes.get(&id))
        else {
            assert!(!self.here.nodes.contains_key(&id) && !self.there.nodes.contains_key(&id));
            return;
        };
        here.mount = there.mount;
        let executable = there.executable;
        let item = self.here.item(id).unwrap();
        self.synced.insert(Item { executable, ..item });
    }

    /// The answer to an upload says under which tag its bytes are kept.
    fn hear(&mut self, id: ItemId, given: &Given) {
        if let Some((_, Some(etag))) = given.get(&id) {
            self.here.nodes.get_mut(&id).unwrap().etag = Some(Arc::clone(etag));
        }
    }

    /// What came here without being written down is found as something changed or made here.
    fn forget(&mut self, op: &LocalOp) {
        let id = op.id();
        match op {
            LocalOp::Fetch { replaces: true, .. } => {
                self.here.nodes.get_mut(&id).unwrap().etag = None;
            }
            LocalOp::Fetch { .. } | LocalOp::MakeCollection { .. } => {
                self.here.nodes.get_mut(&id).unwrap().etag = None;
                self.last += 1;
                self.here
                    .renumber(&HashMap::from([(id, ItemId(-self.last))]));
            }
            LocalOp::Move { .. } | LocalOp::Remove { .. } | LocalOp::SetExecutable { .. } => {}
        }
    }

    fn do_here(&mut self, op: &LocalOp, merged: &Tree) {
        match op {
            LocalOp::MakeCollection { id, parent, name } => {
                let mount = self.there.nodes[id].mount;
                let node = Node::new(*parent, name, Kind::Collection);
                self.here.make(*id, Node { mount, ..node });
            }
            LocalOp::Fetch {
                id,
                parent,
                name,
                replaces,
            } => {
                let item = merged.get(*id).unwrap();
                let source = self.there.nodes[id].clone();
                assert_eq!(
                    (&source.etag.clone().map(Content::Version), source.kind),
                    (&Some(item.content.clone()), item.kind)
                );
                if *replaces {
                    let old = self.here.nodes.get_mut(id).unwrap();
                    assert_eq!(
                        (old.parent, &old.name, old.kind),
                        (*parent, name, item.kind)
                    );
                    (old.bytes, old.etag) = (source.bytes, source.etag);
                    old.executable = item.executable;
                } else {
                    let node = Node {
                        parent: *parent,
                        name: name.clone(),
                        executable: item.executable,
                        ..source
                    };
                    self.here.make(*id, node);
                }
            }
            LocalOp::Move {
                id, parent, name, ..
            } => self.here.move_to(*id, *parent, name),
            LocalOp::Remove { id, below } => self.here.remove(*id, below),
            LocalOp::SetExecutable { id, executable } => set(&mut self.here, *id, *executable),
        }
    }

    fn do_there(&mut self, op: &RemoteOp, given: &mut Given) {
        let new = |id: &ItemId| given.get(id).map_or(*id, |(new, _)| *new);
        match op {
            RemoteOp::MakeCollection { id, parent, name } => {
                let node = Node::new(new(parent), name, Kind::Collection);
                let made = self.next_id();
                self.there.make(made, node);
                given.insert(*id, (made, None));
            }
            RemoteOp::Upload {
                id,
                parent,
                name,
                base,
            } => {
                let parent = new(parent);
                let kept = self.upload(*id, parent, name, base.as_ref());
                given.insert(*id, kept);
            }
            RemoteOp::Move {
                id, parent, name, ..
            } => {
                self.there.move_to(*id, new(parent), name);
            }
            RemoteOp::Delete { id, base, below } => {
                assert_eq!(&self.there.nodes[id].etag, base);
                self.there.remove(*id, below);
            }
            RemoteOp::SetExecutable { id, executable } => set(&mut self.there, *id, *executable),
        }
    }

    /// What a server does with a content: both are kept when it is not made from what is there. Tells the node's id,
    /// and the tag under which it keeps the bytes.
    fn upload(
        &mut self,
        id: ItemId,
        parent: ItemId,
        name: &str,
        base: Option<&Arc<str>>,
    ) -> (ItemId, Option<Arc<str>>) {
        let sent = self.here.nodes[&id].clone();
        let place = Node {
            parent,
            name: name.to_owned(),
            mount: false,
            ..sent.clone()
        };
        let etag = self.version(sent.bytes);
        let fresh = self.next_id();
        let Some(current) = self.there.nodes.get_mut(&id) else {
            let etag = Some(etag);
            let node = Node {
                etag: etag.clone(),
                ..place
            };
            self.there.make(fresh, node);
            return (fresh, etag);
        };
        assert_eq!(
            (current.parent, current.name.as_str(), current.kind),
            (parent, name, sent.kind)
        );
        let mut kept = Some(etag);
        let mut beside = None;
        if current.bytes == sent.bytes {
            kept.clone_from(&current.etag);
            current.executable = sent.executable;
        } else if current.etag.as_ref() == base {
            (current.bytes, current.executable) = (sent.bytes, sent.executable);
            current.etag.clone_from(&kept);
        } else if current.bytes < sent.bytes {
            beside = Some(current.clone());
            (current.bytes, current.executable) = (sent.bytes, sent.executable);
            current.etag.clone_from(&kept);
        } else {
            let etag = kept.clone();
            beside = Some(Node { etag, ..place });
        }
        if let Some(beside) = beside {
            let names = (0..).map(|number| format!("{name}.conflict{number}"));
            let mut free = names.filter(|name| self.there.at(parent, name).is_none());
            let name = free.next().unwrap();
            self.there.make(fresh, Node { name, ..beside });
        }
        (id, kept)
    }
}

fn set(disk: &mut Disk, id: ItemId, executable: bool) {
    let node = disk.nodes.get_mut(&id).unwrap();
    assert_eq!((node.kind, node.executable), (Kind::File, !executable));
    node.executable = executable;
}
