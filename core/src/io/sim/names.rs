//! Names of a simulated disk: the tree that processes see, and the one a power cut leaves.
//!
//! In: operations on names, syncs of directories, a power cut. Out: nodes. Each directory has its
//! present entries and its durable ones; operations wait in between, in order, until a sync of the
//! directory settles them. Knows nothing of bytes, calls or faults.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use super::cache::Contents;

/// A node's number; never used twice.
pub(super) type Node = u64;

const ROOT: Node = 0;

/// One entry of one directory.
type Name = (Node, String);

#[derive(Debug)]
enum Kind {
    Dir {
        now: BTreeMap<String, Node>,
        durable: BTreeMap<String, Node>,
    },
    File(Arc<Contents>),
}

impl Kind {
    fn dir() -> Kind {
        Kind::Dir {
            now: BTreeMap::new(),
            durable: BTreeMap::new(),
        }
    }
}

/// An operation that is seen but not durable; all its changes happen, or none.
#[derive(Debug)]
struct Pending {
    /// What each name leads to afterwards.
    changes: Vec<(Name, Option<Node>)>,
    /// The directory whose sync settles it.
    settled_by: Node,
    /// The directory it removes, which must be empty by then.
    removes_dir: Option<Node>,
}

/// What a path leads to.
#[derive(Clone, Debug)]
pub(super) enum Found {
    Dir,
    File(Node, Arc<Contents>),
}

/// All names of a disk.
#[derive(Debug)]
pub(super) struct Tree {
    nodes: BTreeMap<Node, Kind>,
    next: Node,
    pending: Vec<Pending>,
}

impl Tree {
    /// A tree that has only its root.
    pub(super) fn new() -> Tree {
        Tree {
            nodes: BTreeMap::from([(ROOT, Kind::dir())]),
            next: ROOT + 1,
            pending: Vec::new(),
        }
    }

    /// What `path` leads to; `NotFound` where it leads nowhere.
    pub(super) fn find(&self, path: &Path) -> io::Result<Found> {
        let node = self.node(path)?;
        Ok(match &self.nodes[&node] {
            Kind::Dir { .. } => Found::Dir,
            Kind::File(contents) => Found::File(node, Arc::clone(contents)),
        })
    }

    /// Entries of a directory, by name.
    pub(super) fn list(&self, path: &Path) -> io::Result<Vec<(String, Found)>> {
        let dir = self.dir(path)?;
        let found = |node: &Node| match &self.nodes[node] {
            Kind::Dir { .. } => Found::Dir,
            Kind::File(contents) => Found::File(*node, Arc::clone(contents)),
        };
        Ok(self
            .entries(dir)
            .iter()
            .map(|(name, node)| (name.clone(), found(node)))
            .collect())
    }

    /// All files, with absolute paths, in order.
    pub(super) fn files(&self) -> Vec<(PathBuf, Arc<Contents>)> {
        let mut files = Vec::new();
        let mut open = vec![(PathBuf::from("/"), ROOT)];
        while let Some((path, node)) = open.pop() {
            match &self.nodes[&node] {
                Kind::Dir { now, .. } => {
                    open.extend(now.iter().map(|(name, node)| (path.join(name), *node)));
                }
                Kind::File(contents) => files.push((path, Arc::clone(contents))),
            }
        }
        files.sort_by(|a, b| a.0.cmp(&b.0));
        files
    }

    /// All files that are open to some future: named now, or durably, or by a pending operation.
    pub(super) fn contents(&self) -> impl Iterator<Item = &Arc<Contents>> {
        self.nodes.values().filter_map(|kind| match kind {
            Kind::File(contents) => Some(contents),
            Kind::Dir { .. } => None,
        })
    }

    /// Adds a file; its name is pending.
    pub(super) fn create(&mut self, path: &Path) -> io::Result<(Node, Arc<Contents>)> {
        let (dir, name) = self.place(path)?;
        if self.entries(dir).contains_key(&name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let contents = Arc::new(Contents::empty()?);
        let node = self.add(Kind::File(Arc::clone(&contents)));
        self.perform(vec![((dir, name), Some(node))], dir, None);
        Ok((node, contents))
    }

    /// Adds a directory and its missing parents, durable at once.
    pub(super) fn create_dirs(&mut self, path: &Path) -> io::Result<()> {
        let mut at = ROOT;
        for name in parts(path)? {
            at = match self.entries(at).get(&name) {
                Some(node) if matches!(self.nodes[node], Kind::Dir { .. }) => *node,
                Some(_) => return Err(io::ErrorKind::NotADirectory.into()),
                None => {
                    // Another of this name may be on its way out.
                    self.settle(|op| op.changes.iter().any(|((dir, n), _)| *dir == at && *n == name));
                    let node = self.add(Kind::dir());
                    if let Some(Kind::Dir { now, durable }) = self.nodes.get_mut(&at) {
                        now.insert(name.clone(), node);
                        durable.insert(name, node);
                    }
                    node
                }
            };
        }
        Ok(())
    }

    /// Moves a file or directory; one pending operation.
    pub(super) fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        let node = self.node(from)?;
        let (from_dir, from_name) = self.place(from)?;
        let (to_dir, to_name) = self.place(to)?;
        let is_dir = matches!(self.nodes[&node], Kind::Dir { .. });
        if is_dir && self.lies_within(to_dir, node) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let mut removes_dir = None;
        match self.entries(to_dir).get(&to_name) {
            Some(target) if *target == node => return Ok(()),
            Some(target) => match (&self.nodes[target], is_dir) {
                (Kind::Dir { .. }, false) => return Err(io::ErrorKind::IsADirectory.into()),
                (Kind::File(_), true) => return Err(io::ErrorKind::NotADirectory.into()),
                (Kind::Dir { now, .. }, true) if !now.is_empty() => {
                    return Err(io::ErrorKind::DirectoryNotEmpty.into());
                }
                (Kind::Dir { .. }, true) => removes_dir = Some(*target),
                (Kind::File(_), false) => {}
            },
            None => {}
        }
        let changes = vec![((from_dir, from_name), None), ((to_dir, to_name), Some(node))];
        self.perform(changes, to_dir, removes_dir);
        Ok(())
    }

    /// Gives a file a second name; pending.
    pub(super) fn link(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        let node = self.node(from)?;
        if matches!(self.nodes[&node], Kind::Dir { .. }) {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        let (dir, name) = self.place(to)?;
        if self.entries(dir).contains_key(&name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        self.perform(vec![((dir, name), Some(node))], dir, None);
        Ok(())
    }

    /// Unlinks a file; pending.
    pub(super) fn remove_file(&mut self, path: &Path) -> io::Result<()> {
        let node = self.node(path)?;
        if matches!(self.nodes[&node], Kind::Dir { .. }) {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        let (dir, name) = self.place(path)?;
        self.perform(vec![((dir, name), None)], dir, None);
        Ok(())
    }

    /// Removes a directory and all below it, name by name; each removal is pending by itself.
    pub(super) fn remove_dirs(&mut self, path: &Path) -> io::Result<()> {
        let dir = self.dir(path)?;
        let (parent, name) = self.place(path)?;
        self.remove_below(dir);
        self.perform(vec![((parent, name), None)], parent, Some(dir));
        Ok(())
    }

    fn remove_below(&mut self, dir: Node) {
        for (name, node) in self.entries(dir).clone() {
            let is_dir = matches!(self.nodes[&node], Kind::Dir { .. });
            if is_dir {
                self.remove_below(node);
            }
            self.perform(vec![((dir, name), None)], dir, is_dir.then_some(node));
        }
    }

    /// Makes the names in a directory durable.
    pub(super) fn sync(&mut self, path: &Path) -> io::Result<()> {
        let dir = self.dir(path)?;
        self.settle(|op| op.settled_by == dir);
        Ok(())
    }

    /// The tree a restarted machine finds: each pending operation is kept if `keeps` says so and
    /// every earlier one on its names was; `restart` gives what becomes of each file.
    pub(super) fn after_cut(
        mut self,
        mut keeps: impl FnMut() -> bool,
        mut restart: impl FnMut(&Contents) -> io::Result<Contents>,
    ) -> io::Result<Tree> {
        let mut overtaken: BTreeSet<Name> = BTreeSet::new();
        for op in std::mem::take(&mut self.pending) {
            let empty = op.removes_dir.is_none_or(|dir| self.durable(dir).is_empty());
            let free = !op.changes.iter().any(|(name, _)| overtaken.contains(name));
            if keeps() && empty && free {
                self.make_durable(&op);
            } else {
                overtaken.extend(op.changes.into_iter().map(|(name, _)| name));
            }
        }
        for kind in self.nodes.values_mut() {
            if let Kind::Dir { now, durable } = kind {
                now.clone_from(durable);
            }
        }
        self.forget_unreachable();
        for kind in self.nodes.values_mut() {
            if let Kind::File(contents) = kind {
                *contents = Arc::new(restart(contents)?);
            }
        }
        Ok(self)
    }

    /// Makes the chosen operations durable, and with each the earlier ones it rests on.
    fn settle(&mut self, chosen: impl Fn(&Pending) -> bool) {
        let mut names: BTreeSet<Name> = BTreeSet::new();
        let mut emptied: BTreeSet<Node> = BTreeSet::new();
        let (mut settled, mut rest) = (Vec::new(), Vec::new());
        for op in std::mem::take(&mut self.pending).into_iter().rev() {
            let needed = op
                .changes
                .iter()
                .any(|(name, _)| names.contains(name) || emptied.contains(&name.0));
            if chosen(&op) || needed {
                names.extend(op.changes.iter().map(|(name, _)| name.clone()));
                emptied.extend(op.removes_dir);
                settled.push(op);
            } else {
                rest.push(op);
            }
        }
        rest.reverse();
        self.pending = rest;
        for op in settled.iter().rev() {
            self.make_durable(op);
        }
        self.forget_unreachable();
    }

    fn make_durable(&mut self, op: &Pending) {
        for ((dir, name), node) in &op.changes {
            if let Some(Kind::Dir { durable, .. }) = self.nodes.get_mut(dir) {
                set(durable, name, *node);
            }
        }
    }

    fn perform(&mut self, changes: Vec<(Name, Option<Node>)>, settled_by: Node, removes_dir: Option<Node>) {
        for ((dir, name), node) in &changes {
            if let Some(Kind::Dir { now, .. }) = self.nodes.get_mut(dir) {
                set(now, name, *node);
            }
        }
        self.pending.push(Pending {
            changes,
            settled_by,
            removes_dir,
        });
    }

    /// Frees nodes that neither tree nor any pending operation leads to.
    fn forget_unreachable(&mut self) {
        let mut reached = BTreeSet::new();
        let mut open = vec![ROOT];
        for op in &self.pending {
            open.push(op.settled_by);
            open.extend(op.changes.iter().map(|((dir, _), _)| *dir));
            open.extend(op.changes.iter().filter_map(|(_, node)| *node));
        }
        while let Some(node) = open.pop() {
            if reached.insert(node)
                && let Some(Kind::Dir { now, durable }) = self.nodes.get(&node)
            {
                open.extend(now.values().chain(durable.values()));
            }
        }
        self.nodes.retain(|node, _| reached.contains(node));
    }

    fn add(&mut self, kind: Kind) -> Node {
        let node = self.next;
        self.next += 1;
        self.nodes.insert(node, kind);
        node
    }

    fn node(&self, path: &Path) -> io::Result<Node> {
        let mut at = ROOT;
        for name in parts(path)? {
            let Kind::Dir { now, .. } = &self.nodes[&at] else {
                return Err(io::ErrorKind::NotADirectory.into());
            };
            at = *now.get(&name).ok_or_else(|| {
                io::Error::new(
                    io::ErrorKind::NotFound,
                    format!("{} does not exist", path.display()),
                )
            })?;
        }
        Ok(at)
    }

    fn dir(&self, path: &Path) -> io::Result<Node> {
        let node = self.node(path)?;
        match &self.nodes[&node] {
            Kind::Dir { .. } => Ok(node),
            Kind::File(_) => Err(io::ErrorKind::NotADirectory.into()),
        }
    }

    /// The directory and the name within it that `path` stands for; the name may be free.
    fn place(&self, path: &Path) -> io::Result<Name> {
        let mut parts = parts(path)?;
        let name = parts
            .pop()
            .ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        Ok((self.dir(&parts.iter().collect::<PathBuf>())?, name))
    }

    fn entries(&self, dir: Node) -> &BTreeMap<String, Node> {
        static NONE: BTreeMap<String, Node> = BTreeMap::new();
        match self.nodes.get(&dir) {
            Some(Kind::Dir { now, .. }) => now,
            _ => &NONE,
        }
    }

    fn durable(&self, dir: Node) -> &BTreeMap<String, Node> {
        static NONE: BTreeMap<String, Node> = BTreeMap::new();
        match self.nodes.get(&dir) {
            Some(Kind::Dir { durable, .. }) => durable,
            _ => &NONE,
        }
    }

    fn lies_within(&self, node: Node, top: Node) -> bool {
        node == top
            || self
                .entries(top)
                .values()
                .any(|child| self.lies_within(node, *child))
    }
}

fn set(entries: &mut BTreeMap<String, Node>, name: &str, node: Option<Node>) {
    match node {
        Some(node) => entries.insert(name.to_owned(), node),
        None => entries.remove(name),
    };
}

/// The names along a path; a relative one starts at the root as well.
fn parts(path: &Path) -> io::Result<Vec<String>> {
    let mut parts = Vec::new();
    for component in path.components() {
        match component {
            Component::RootDir | Component::CurDir => {}
            Component::ParentDir => drop(parts.pop()),
            Component::Normal(name) => match name.to_str() {
                Some(name) => parts.push(name.to_owned()),
                None => return Err(io::ErrorKind::InvalidInput.into()),
            },
            Component::Prefix(_) => return Err(io::ErrorKind::InvalidInput.into()),
        }
    }
    Ok(parts)
}
