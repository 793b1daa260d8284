//! The sorted points of a ring, laid out for one look-up: find the first point above a hash.
//!
//! Digests with their owners come in, positions and owners go out. A point is one word: the 48 most
//! significant bits of its digest above the index of its owner, so that the comparison that finds a
//! point has fetched its owner too. What the word leaves out of the digest lies beside it and is read
//! only when 48 bits do not decide. A table of the first point of every bucket of equal top bits
//! stands in for a binary search: a bucket holds one point or fewer on average.
//!
//! Points are ordered by digest, then by the name of the owner. Must never depend on the order in
//! which nodes are listed, nor on whether points were sorted at once or merged in later.

use crate::routing::hash::{Digest, HashKind};
use crate::routing::node::NodeSpec;

/// Bits of a word that hold the owner.
const OWNER: u64 = 0xFFFF;

/// Copies of the first words behind the last one, so that a short walk never has to wrap.
const AFTER: usize = 8;

/// Bytes of a digest beyond the 48 bits of the word: of 64 bits, and of up to 160.
const NARROW: usize = 2;
const WIDE: usize = 14;

/// One point on its way into the table.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Point {
    high: u64,
    low: [u8; 12],
    /// Place of the owner among the names in order, so that comparing points needs no name.
    rank: u16,
}

/// Immutable sorted points; at least one.
#[derive(Clone, Debug)]
pub(super) struct Points {
    /// `digest[..48 bits] ‖ owner`, ascending, then the owners of the first [`AFTER`] points once more
    /// under the greatest digest: where a walk off the end arrives.
    words: Vec<u64>,
    /// The bits of every digest below those of its word, `width` bytes each, big-endian.
    rest: Vec<u8>,
    width: usize,
    /// `buckets[b]` is the first point whose top bits are at least b.
    buckets: Vec<u32>,
    /// 64 minus the number of top bits that make a bucket number.
    shift: u32,
}

impl Points {
    /// All points of these nodes, `vnodes` for each unit of weight.
    pub(super) fn of(nodes: &[NodeSpec], vnodes: u32, hash: HashKind) -> Points {
        let ranks = Ranks::of(nodes);
        let everybody = 0..nodes.len() as u16;
        let sorted = ranks.points(everybody, vnodes, hash);
        let mut merge = Merge::new(hash, sorted.len());
        for point in &sorted {
            merge.push(point, ranks.by_rank[usize::from(point.rank)]);
        }
        merge.finish()
    }

    /// The points of `nodes`, made from those of a ring that shares some of them: `kept[i]` is the new
    /// index of the old node i, `None` if its points are dropped, and `added` are the indexes of nodes
    /// whose points are new. One pass over the points, which are neither hashed nor sorted again.
    pub(super) fn changed(
        &self,
        kept: &[Option<u16>],
        nodes: &[NodeSpec],
        added: &[u16],
        vnodes: u32,
        hash: HashKind,
    ) -> Points {
        let ranks = Ranks::of(nodes);
        let fresh = ranks.points(added.iter().copied(), vnodes, hash);
        let mut merge = Merge::new(hash, self.len() + fresh.len());
        let unmoved = kept.iter().zip(0..).all(|(&new, old)| new == Some(old));
        let mut from = 0;
        for point in &fresh {
            let to = self.place_of(point, from, kept, &ranks);
            merge.take(self, from..to, kept, unmoved);
            merge.push(point, ranks.by_rank[usize::from(point.rank)]);
            from = to;
        }
        merge.take(self, from..self.len(), kept, unmoved);
        merge.finish()
    }

    /// Where a new point goes: the first of our points from `from` on that is above it.
    fn place_of(&self, point: &Point, from: usize, kept: &[Option<u16>], ranks: &Ranks) -> usize {
        let mut at = from.max(self.buckets[(point.high >> self.shift) as usize] as usize);
        let (floor, rest) = (point.high & !OWNER, point.rest());
        while at < self.len() && self.words[at] < floor {
            at += 1;
        }
        let below = |at: usize| {
            if self.words[at] & !OWNER != floor {
                return false;
            }
            match self.rest_of(at).cmp(&rest[..self.width]) {
                std::cmp::Ordering::Less => true,
                std::cmp::Ordering::Greater => false,
                // A dropped point may stand on either side.
                std::cmp::Ordering::Equal => kept[usize::from(self.owner(at))]
                    .is_none_or(|owner| ranks.rank[usize::from(owner)] < point.rank),
            }
        };
        while at < self.len() && below(at) {
            at += 1;
        }
        at
    }

    /// Number of points.
    pub(super) fn len(&self) -> usize {
        self.words.len() - AFTER
    }

    /// Owner of a point; at [`Self::len`] and the seven places after it, of the first ones.
    #[inline]
    pub(super) fn owner(&self, at: usize) -> u16 {
        (self.words[at] & OWNER) as u16
    }

    /// The 64 most significant bits of a point.
    pub(super) fn high(&self, at: usize) -> u64 {
        let rest = self.rest_of(at);
        (self.words[at] & !OWNER) | u64::from(u16::from_be_bytes([rest[0], rest[1]]))
    }

    /// Position of the first point strictly above a digest, given as its 64 upper bits and a way to get
    /// at the bits below them; [`Self::len`] where it wraps.
    #[inline]
    pub(super) fn above(&self, high: u64, low: impl FnOnce() -> [u8; 12]) -> usize {
        let bucket = self.buckets[(high >> self.shift) as usize] as usize;
        let floor = high & !OWNER;
        // Where in its bucket a hash falls is a coin toss that no branch predicts; so the first words
        // are counted instead. Few buckets have more.
        let mut at = bucket;
        if let Some(&[a, b, c]) = self.words[bucket..].first_chunk() {
            at += usize::from(a < floor) + usize::from(b < floor) + usize::from(c < floor);
        }
        // The last words are not below any floor.
        while self.words[at] < floor {
            at += 1;
        }
        if self.words[at] & !OWNER == floor {
            return self.above_slowly(at, high, low());
        }
        at
    }

    /// Goes on from the first point with the same 48 bits. Happens once in 2^48 divided by the number
    /// of points for hashes of 64 bits and more; for those of 32 bits when a key hits a point.
    #[cold]
    fn above_slowly(&self, mut at: usize, high: u64, low: [u8; 12]) -> usize {
        let rest = Point { high, low, rank: 0 }.rest();
        let floor = high & !OWNER;
        while at < self.len() && self.words[at] & !OWNER == floor && *self.rest_of(at) <= rest[..self.width] {
            at += 1;
        }
        at
    }

    /// Owners of four points that follow each other from `at` on.
    ///
    /// # Panics
    /// If a walk cannot begin there, beyond [`Self::len`].
    #[inline]
    pub(super) fn run(&self, at: usize) -> [u16; 4] {
        let words = self.words[at..].first_chunk::<4>();
        words
            .expect("as many words follow the last point")
            .map(|word| (word & OWNER) as u16)
    }

    fn rest_of(&self, at: usize) -> &[u8] {
        &self.rest[at * self.width..][..self.width]
    }
}

impl Point {
    fn new(digest: &Digest, rank: u16) -> Point {
        Point {
            high: digest.high(),
            low: digest.low(),
            rank,
        }
    }

    /// The digest below its 48 upper bits.
    fn rest(&self) -> [u8; WIDE] {
        let mut rest = [0; WIDE];
        rest[..NARROW].copy_from_slice(&(self.high as u16).to_be_bytes());
        rest[NARROW..].copy_from_slice(&self.low);
        rest
    }
}

/// The order of names, which decides between equal points.
struct Ranks<'n> {
    nodes: &'n [NodeSpec],
    /// Rank of every node.
    rank: Vec<u16>,
    /// The node of every rank.
    by_rank: Vec<u16>,
}

impl Ranks<'_> {
    fn of(nodes: &[NodeSpec]) -> Ranks<'_> {
        let mut by_rank: Vec<u16> = (0..nodes.len() as u16).collect();
        by_rank.sort_unstable_by_key(|&node| nodes[usize::from(node)].name.as_bytes());
        let mut rank = vec![0; nodes.len()];
        for (place, &node) in (0..).zip(&by_rank) {
            rank[usize::from(node)] = place;
        }
        Ranks { nodes, rank, by_rank }
    }

    /// The points of some of the nodes, sorted.
    fn points(&self, indexes: impl Iterator<Item = u16>, vnodes: u32, hash: HashKind) -> Vec<Point> {
        let mut points = Vec::new();
        let mut bytes = Vec::new();
        for index in indexes {
            let node = &self.nodes[usize::from(index)];
            let rank = self.rank[usize::from(index)];
            for i in 0..u64::from(vnodes) * u64::from(node.weight) {
                points.push(Point::new(&digest_of(hash, &node.name, i, &mut bytes), rank));
            }
        }
        points.sort_unstable();
        points
    }
}

/// Points written one after another, in order.
struct Merge {
    words: Vec<u64>,
    rest: Vec<u8>,
    width: usize,
}

impl Merge {
    fn new(hash: HashKind, points: usize) -> Merge {
        let width = match hash {
            HashKind::Sha1 | HashKind::Md5 => WIDE,
            HashKind::Xxh3 | HashKind::Xxh64 | HashKind::Crc32 | HashKind::Murmur3 => NARROW,
        };
        Merge {
            words: Vec::with_capacity(points + AFTER),
            rest: Vec::with_capacity(points * width),
            width,
        }
    }

    fn push(&mut self, point: &Point, owner: u16) {
        self.words.push((point.high & !OWNER) | u64::from(owner));
        self.rest.extend_from_slice(&point.rest()[..self.width]);
    }

    /// Takes over a run of points, with the new indexes of their owners.
    fn take(&mut self, old: &Points, run: std::ops::Range<usize>, kept: &[Option<u16>], unmoved: bool) {
        if unmoved {
            self.words.extend_from_slice(&old.words[run.clone()]);
            self.rest
                .extend_from_slice(&old.rest[run.start * self.width..run.end * self.width]);
            return;
        }
        for at in run {
            if let Some(owner) = kept[usize::from(old.owner(at))] {
                self.words.push((old.words[at] & !OWNER) | u64::from(owner));
                self.rest.extend_from_slice(old.rest_of(at));
            }
        }
    }

    fn finish(mut self) -> Points {
        let shift = 64 - (self.words.len() / 2).next_power_of_two().ilog2().max(1);
        let buckets = bucket_starts(&self.words, shift);
        let points = self.words.len();
        for at in 0..AFTER {
            self.words.push(!OWNER | (self.words[at % points] & OWNER));
        }
        Points {
            words: self.words,
            rest: self.rest,
            width: self.width,
            buckets,
            shift,
        }
    }
}

/// For every bucket the first word that is not below it.
fn bucket_starts(words: &[u64], shift: u32) -> Vec<u32> {
    let mut starts = Vec::with_capacity(1 << (64 - shift));
    for (at, word) in (0..).zip(words) {
        let bucket = (word >> shift) as usize;
        if bucket >= starts.len() {
            starts.resize(bucket + 1, at);
        }
    }
    starts.resize(1 << (64 - shift), words.len() as u32);
    starts
}

/// Digest of point `i` of a node, as the module above defines it; `bytes` is room to write in.
pub(super) fn digest_of(hash: HashKind, node: &str, i: u64, bytes: &mut Vec<u8>) -> Digest {
    use std::io::Write;
    bytes.clear();
    bytes.extend_from_slice(node.as_bytes());
    if hash == HashKind::Xxh3 {
        bytes.push(0);
        bytes.extend_from_slice(&i.to_le_bytes());
    } else {
        write!(bytes, ":{i}").expect("a vector takes what is written");
    }
    hash.digest(bytes)
}
