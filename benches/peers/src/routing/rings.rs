//! The rings of other people behind one trait, each set up as its documentation says, with 160
//! points a node. Where a ring takes a hasher it gets xxh3, the one Atoll uses; the others keep theirs.

use std::hash::BuildHasherDefault;
use std::net::SocketAddr;

use atoll::routing::{HashKind, NodeSpec, Ring};
use xxhash_rust::xxh3::Xxh3;

/// Points of a node, for everybody.
pub const VNODES: u32 = 160;

type Hasher = BuildHasherDefault<Xxh3>;

/// Names of nodes that live as long as the program, because some peers borrow them.
#[must_use]
pub fn names(count: usize) -> &'static [String] {
    Box::leak(
        (0..count)
            .map(|i| format!("10.0.{}.{}:7400", i / 250, i % 250))
            .collect(),
    )
}

/// What every ring can do.
pub trait Peer {
    /// The crate.
    fn name(&self) -> &'static str;
    /// A number for the owner of a key: the same for the same node in another ring over the same names.
    fn owner(&self, key: &[u8]) -> u64;
    /// Whether it finds distinct further owners.
    fn has_replicas(&self) -> bool {
        false
    }
    /// A number for the first three distinct owners together.
    fn owners(&self, _key: &[u8]) -> u64 {
        unreachable!("asked only where has_replicas")
    }
    /// Adds a node in place, or builds the ring with it.
    #[expect(clippy::ptr_arg, reason = "some peers borrow the string")]
    fn add(&mut self, name: &'static String);
    /// Takes the node added last away again, untimed.
    fn undo(&mut self);
}

/// All peers over the same nodes.
#[must_use]
pub fn all(names: &'static [String]) -> Vec<Box<dyn Peer>> {
    vec![
        Box::new(Pingora::new(names)),
        Box::new(HashRing::new(names)),
        Box::new(HashRings::new(names)),
        Box::new(ConsistentHash::new(names)),
        Box::new(Conhash::new(names)),
        Box::new(Ketama::new(names)),
        Box::new(Ringlet::new(names)),
    ]
}

/// Ours.
#[must_use]
pub fn atoll(names: &[String], hash: HashKind) -> Ring {
    let nodes: Vec<NodeSpec> = names.iter().map(NodeSpec::new).collect();
    Ring::new(&nodes, VNODES, hash).expect("these nodes make a ring")
}

/// A pointer as a number: equal for equal owners, free to take.
fn id<T>(owner: &T) -> u64 {
    std::ptr::from_ref(owner) as u64
}

fn address(name: &str) -> SocketAddr {
    name.parse().expect("names are addresses")
}

struct Pingora {
    buckets: Vec<pingora_ketama::Bucket>,
    ring: pingora_ketama::Continuum,
}

impl Pingora {
    fn new(names: &[String]) -> Self {
        let bucket = |name: &String| pingora_ketama::Bucket::new(address(name), 1);
        let buckets: Vec<_> = names.iter().map(bucket).collect();
        let ring = pingora_ketama::Continuum::new(&buckets);
        Pingora { buckets, ring }
    }
}

impl Peer for Pingora {
    fn name(&self) -> &'static str {
        "pingora-ketama"
    }
    fn owner(&self, key: &[u8]) -> u64 {
        match self.ring.node(key) {
            Some(SocketAddr::V4(node)) => u32::from(*node.ip()).into(),
            _ => unreachable!("all nodes have addresses of version 4"),
        }
    }
    fn has_replicas(&self) -> bool {
        true
    }
    fn owners(&self, key: &[u8]) -> u64 {
        let mut found: [Option<&SocketAddr>; 3] = [None; 3];
        let mut count = 0;
        for node in self.ring.node_iter(key) {
            if !found[..count].contains(&Some(node)) {
                found[count] = Some(node);
                count += 1;
                if count == 3 {
                    break;
                }
            }
        }
        found.iter().flatten().map(|&node| id(node)).sum()
    }
    fn add(&mut self, name: &'static String) {
        self.buckets.push(pingora_ketama::Bucket::new(address(name), 1));
        self.ring = pingora_ketama::Continuum::new(&self.buckets);
    }
    fn undo(&mut self) {
        self.buckets.pop();
        self.ring = pingora_ketama::Continuum::new(&self.buckets);
    }
}

/// A virtual node is an entry of its own there.
type Entry = (&'static str, u32);

struct HashRing {
    ring: hashring::HashRing<Entry, Hasher>,
    last: Option<&'static str>,
}

impl HashRing {
    fn new(names: &'static [String]) -> Self {
        let mut ring = hashring::HashRing::with_hasher(Hasher::default());
        ring.batch_add(
            names
                .iter()
                .flat_map(|name| (0..VNODES).map(move |i| (name.as_str(), i)))
                .collect(),
        );
        HashRing { ring, last: None }
    }
}

impl Peer for HashRing {
    fn name(&self) -> &'static str {
        "hashring"
    }
    fn owner(&self, key: &[u8]) -> u64 {
        self.ring.get(&key).map_or(0, |entry| entry.0.as_ptr() as u64)
    }
    fn add(&mut self, name: &'static String) {
        self.ring
            .batch_add((0..VNODES).map(|i| (name.as_str(), i)).collect());
        self.last = Some(name);
    }
    fn undo(&mut self) {
        let name = self.last.expect("something was added");
        for i in 0..VNODES {
            self.ring.remove(&(name, i));
        }
    }
}

struct HashRings {
    ring: hash_rings::consistent::Ring<'static, String, Hasher>,
    last: Option<&'static String>,
}

impl HashRings {
    fn new(names: &'static [String]) -> Self {
        let mut ring = hash_rings::consistent::Ring::with_hasher(Hasher::default());
        names
            .iter()
            .for_each(|name| ring.insert_node(name, VNODES as usize));
        HashRings { ring, last: None }
    }
}

impl Peer for HashRings {
    fn name(&self) -> &'static str {
        "hash-rings"
    }
    fn owner(&self, key: &[u8]) -> u64 {
        id(self.ring.get_node(&key))
    }
    fn add(&mut self, name: &'static String) {
        self.ring.insert_node(name, VNODES as usize);
        self.last = Some(name);
    }
    fn undo(&mut self) {
        self.ring.remove_node(self.last.expect("something was added"));
    }
}

struct Fast;

impl consistent_hash::RingHash for Fast {
    fn hash_item<T: std::hash::Hash>(&self, item: &T) -> u64 {
        use std::hash::BuildHasher;
        Hasher::default().hash_one(item)
    }
}

struct ConsistentHash {
    nodes: Vec<&'static String>,
    ring: consistent_hash::StaticHashRing<'static, &'static String, (), Fast>,
}

impl ConsistentHash {
    fn new(names: &'static [String]) -> Self {
        let nodes: Vec<&'static String> = names.iter().collect();
        ConsistentHash {
            ring: Self::ring(&nodes),
            nodes,
        }
    }
    fn ring(
        nodes: &[&'static String],
    ) -> consistent_hash::StaticHashRing<'static, &'static String, (), Fast> {
        let node = |&name: &&'static String| consistent_hash::Node::new(name).quantity(VNODES as usize);
        consistent_hash::StaticHashRing::new(Fast, nodes.iter().map(node))
    }
}

impl Peer for ConsistentHash {
    fn name(&self) -> &'static str {
        "consistent_hash"
    }
    fn owner(&self, key: &[u8]) -> u64 {
        self.ring
            .calc_candidates(&key)
            .next()
            .map_or(0, |node| id(node.key))
    }
    fn has_replicas(&self) -> bool {
        true
    }
    fn owners(&self, key: &[u8]) -> u64 {
        let owners = self.ring.calc_candidates(&key).take(3);
        owners.map(|node| id(node.key)).sum()
    }
    fn add(&mut self, name: &'static String) {
        self.nodes.push(name);
        self.ring = Self::ring(&self.nodes);
    }
    fn undo(&mut self) {
        self.nodes.pop();
        self.ring = Self::ring(&self.nodes);
    }
}

#[derive(Clone)]
struct Named(&'static str);

impl conhash::Node for Named {
    fn name(&self) -> String {
        self.0.to_owned()
    }
}

struct Conhash {
    ring: conhash::ConsistentHash<Named>,
    last: Option<Named>,
}

impl Conhash {
    fn new(names: &'static [String]) -> Self {
        let mut ring = conhash::ConsistentHash::new();
        names
            .iter()
            .for_each(|name| ring.add(&Named(name), VNODES as usize));
        Conhash { ring, last: None }
    }
}

impl Peer for Conhash {
    fn name(&self) -> &'static str {
        "conhash (md5)"
    }
    fn owner(&self, key: &[u8]) -> u64 {
        self.ring.get(key).map_or(0, |node| node.0.as_ptr() as u64)
    }
    fn add(&mut self, name: &'static String) {
        self.ring.add(&Named(name), VNODES as usize);
        self.last = Some(Named(name));
    }
    fn undo(&mut self) {
        self.ring.remove(self.last.as_ref().expect("something was added"));
    }
}

struct Ketama {
    names: Vec<&'static str>,
    ring: ketama::Ring,
}

impl Ketama {
    fn new(names: &'static [String]) -> Self {
        let names: Vec<&'static str> = names.iter().map(String::as_str).collect();
        Ketama {
            ring: ketama::Ring::build(&names),
            names,
        }
    }
}

impl Peer for Ketama {
    fn name(&self) -> &'static str {
        "ketama (md5)"
    }
    fn owner(&self, key: &[u8]) -> u64 {
        self.ring.route(key) as u64
    }
    fn add(&mut self, name: &'static String) {
        self.names.push(name);
        self.ring = ketama::Ring::build(&self.names);
    }
    fn undo(&mut self) {
        self.names.pop();
        self.ring = ketama::Ring::build(&self.names);
    }
}

struct Ringlet {
    ring: ringlet_hash::ConsistentRing<'static, String, Hasher>,
    last: Option<&'static String>,
}

impl Ringlet {
    fn new(names: &'static [String]) -> Self {
        let config = ringlet_hash::RingConfig {
            virtual_node_base_count: VNODES as usize,
            build_hasher: Hasher::default(),
        };
        let mut ring = ringlet_hash::ConsistentRing::try_new(config).expect("160 points are a ring");
        for name in names {
            ring.add_node(name, name, 1).expect("names differ");
        }
        Ringlet { ring, last: None }
    }
}

impl Peer for Ringlet {
    fn name(&self) -> &'static str {
        "ringlet-hash"
    }
    fn owner(&self, key: &[u8]) -> u64 {
        self.ring.get_node(&key).map_or(0, id)
    }
    fn has_replicas(&self) -> bool {
        true
    }
    fn owners(&self, key: &[u8]) -> u64 {
        self.ring.get_nodes(&key, 3).into_iter().map(id).sum()
    }
    fn add(&mut self, name: &'static String) {
        self.ring.add_node(name, name, 1).expect("the name is new");
        self.last = Some(name);
    }
    fn undo(&mut self) {
        self.ring.remove_node(self.last.expect("something was added"));
    }
}
