//! Everything that can go wrong in the routing room, with the facts as fields.
//!
//! Goes out to callers, who branch on variants and never on text.

use crate::ids::{ShardId, SlotId};

/// Why a router, a topology or a plan could not be made, read or used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RoutingError {
    /// A node name that cannot be written in lists such as `a=2,b`.
    #[error("bad node name {name:?}: {reason}")]
    BadNodeName {
        /// The name as given.
        name: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A rack is told apart within its zone.
    #[error("node {name:?} has a rack and no zone: a rack is part of a zone, write NAME=WEIGHT@ZONE/RACK")]
    RackWithoutZone {
        /// The node.
        name: String,
    },
    /// Column groups that contradict each other or the topology.
    #[error("column group {name:?}: {reason}")]
    BadColumnGroup {
        /// The group.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// No column group of that number.
    #[error("no column group {group}: there are {groups}")]
    UnknownGroup {
        /// The number as given.
        group: u16,
        /// Groups there are, the main one included.
        groups: usize,
    },
    /// A hand-over between shards of different column groups.
    #[error("shard {from} and shard {to} are of different column groups")]
    GroupsDiffer {
        /// The source.
        from: ShardId,
        /// The target.
        to: ShardId,
    },
    /// A phase was set for a slot that is not on its way there.
    #[error("slot {} is not on its way to shard {to}", slot.0)]
    SlotNotMoving {
        /// The slot.
        slot: SlotId,
        /// The target as given.
        to: ShardId,
    },
    /// A topology that does not follow the published one.
    #[error("topology version {found} does not follow version {published}")]
    VersionGap {
        /// Version that readers have.
        published: u64,
        /// Version that was to be published.
        found: u64,
    },
    /// A plan made for another topology than the one it was to be applied to.
    #[error("the plan was made for topology version {planned}, this is version {found}: plan again")]
    StalePlan {
        /// Version the plan was made for.
        planned: u64,
        /// Version it was to be applied to.
        found: u64,
    },
    /// A plan that breaks the bound it is documented to keep. It is refused, never returned.
    #[error("a plan that moves {moved} where at most {bound} are needed was refused: {what}")]
    PlanBound {
        /// What the plan would have moved.
        moved: u64,
        /// What it may move.
        bound: u64,
        /// Which bound, in words.
        what: &'static str,
    },
    /// The part after `=` of a node is not a whole number from 0 to 4,294,967,295.
    #[error("bad weight {weight:?} of node {name:?}: a whole number from 0 to 4294967295 is needed")]
    BadWeight {
        /// The node.
        name: String,
        /// The weight as given.
        weight: String,
    },
    /// The same node was named twice.
    #[error("node {name:?} is named twice")]
    DuplicateNode {
        /// The name.
        name: String,
    },
    /// Two names hash to one 64-bit node id; one of them must be renamed.
    #[error("nodes {first:?} and {second:?} have the same id {id:016x}: rename one of them")]
    NodeIdCollision {
        /// The node listed first.
        first: String,
        /// The node listed later.
        second: String,
        /// The id both names hash to.
        id: u64,
    },
    /// An empty list of nodes or buckets.
    #[error("no nodes: at least one is needed")]
    NoNodes,
    /// Every node has weight 0, so none may hold anything.
    #[error("every node has weight 0: at least one must be able to hold keys")]
    NoWeight,
    /// Weights were given to an algorithm that has none.
    #[error("node {name:?} has weight {weight}: {algorithm} knows no weights, use ring or slots")]
    NoWeights {
        /// The algorithm.
        algorithm: &'static str,
        /// The first such node.
        name: String,
        /// Its weight.
        weight: u32,
    },
    /// Weight 0 was given to a foreign format that cannot express it.
    #[error("node {name:?} has weight 0, which {algorithm} cannot express: leave the node out")]
    ZeroWeight {
        /// The algorithm.
        algorithm: &'static str,
        /// The first such node.
        name: String,
    },
    /// A table size that Maglev cannot use.
    #[error("table size {size}: a prime number from the number of nodes ({nodes}) to {max} is needed")]
    BadTableSize {
        /// Entries asked for.
        size: u32,
        /// Nodes that share them.
        nodes: usize,
        /// The limit.
        max: u32,
    },
    /// More nodes than a 16-bit index can name.
    #[error("{nodes} nodes: at most {max} are supported")]
    TooManyNodes {
        /// Nodes asked for.
        nodes: usize,
        /// The limit.
        max: usize,
    },
    /// A ring needs at least one virtual node per unit of weight.
    #[error("0 virtual nodes: at least 1 is needed")]
    NoVirtualNodes,
    /// The ring would not fit in reasonable memory.
    #[error(
        "the ring would have {points} points, at most {max} are supported: lower the virtual nodes or the weights"
    )]
    TooManyPoints {
        /// Points asked for: virtual nodes times the sum of the weights.
        points: u64,
        /// The limit.
        max: u64,
    },
    /// No hash of that name.
    #[error("unknown hash {name:?}: one of xxh3, xxh64, sha1, md5, crc32, murmur3")]
    UnknownHash {
        /// The name as given.
        name: String,
    },
    /// No algorithm of that name.
    #[error(
        "unknown algorithm {name:?}: one of modulo, ring, range, slots, jump, hrw, maglev, ketama, nginx, redis, cassandra"
    )]
    UnknownAlgorithm {
        /// The name as given.
        name: String,
    },
    /// An option that the algorithm would pass over; whoever gives it expects an effect.
    #[error("option {option} has no meaning for the algorithm {algorithm}")]
    OptionUnused {
        /// Name of the option.
        option: &'static str,
        /// Name of the algorithm.
        algorithm: &'static str,
    },
    /// An option without which the algorithm answers nothing.
    #[error("the algorithm {algorithm} needs the option {option}")]
    OptionMissing {
        /// Name of the option.
        option: &'static str,
        /// Name of the algorithm.
        algorithm: &'static str,
    },
    /// Two options of which only one can be given.
    #[error("the options {first} and {second} exclude each other")]
    OptionConflict {
        /// One option.
        first: &'static str,
        /// The other.
        second: &'static str,
    },
    /// Names for ranges that are not as many as there are ranges.
    #[error("{splits} split keys make {ranges} ranges, {nodes} nodes are given")]
    RangeNodes {
        /// Split keys given.
        splits: usize,
        /// Ranges they make.
        ranges: usize,
        /// Nodes given.
        nodes: usize,
    },
    /// The router's answers are numbers: no node has a name in it.
    #[error("this {algorithm} router has no named nodes: it answers with numbers")]
    NoNames {
        /// Name of the algorithm.
        algorithm: &'static str,
    },
    /// The algorithm gives a key one place only.
    #[error("{algorithm} gives every key one place: for several distinct nodes use slots, ring or hrw")]
    OnePlace {
        /// Name of the algorithm.
        algorithm: &'static str,
    },
    /// Only `jump` spreads plain numbers.
    #[error("{algorithm} hashes keys: plain numbers are for jump alone")]
    NoNumbers {
        /// Name of the algorithm.
        algorithm: &'static str,
    },
    /// What a change of nodes would move cannot be said for this router.
    #[error("no plan for a {algorithm} router: {reason}")]
    NoPlan {
        /// Name of the algorithm.
        algorithm: &'static str,
        /// Why, and what to do.
        reason: &'static str,
    },
    /// Packed keys whose offsets do not ascend from 0 to the end of the bytes, or whose answers
    /// have no room.
    #[error("bad packed keys at offset number {index}: {reason}")]
    BadPackedKeys {
        /// Which of the offsets.
        index: usize,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// No key encoding of that name.
    #[error("unknown key encoding {name:?}: one of binary, decimal")]
    UnknownEncoding {
        /// The name as given.
        name: String,
    },
    /// No locality rule of that name.
    #[error("unknown locality {name:?}: one of none, tag, prefix:BYTES with BYTES from 1 to 65535")]
    UnknownLocality {
        /// The text as given.
        name: String,
    },
    /// A seed was given to a hash that has none, or one it cannot hold.
    #[error("hash {hash} does not take the seed {seed}")]
    BadSeed {
        /// Name of the hash.
        hash: &'static str,
        /// The seed as given.
        seed: u64,
    },
    /// A number of slots outside what a topology can carry.
    #[error(
        "{slots} slots: 1 to {max} are supported; a slot is a unit of moving that every copy of the topology lists, so more of them cost every reader and balance no better"
    )]
    SlotCount {
        /// Slots asked for.
        slots: u32,
        /// The limit.
        max: u32,
    },
    /// A number of shards that is 0 or exceeds the slots they share.
    #[error(
        "{shards} shards for {slots} slots: every shard needs at least one slot, and at least one shard is needed"
    )]
    ShardCount {
        /// Shards asked for.
        shards: u32,
        /// Slots, or ranges, there are.
        slots: u32,
    },
    /// Zero copies were asked for.
    #[error("0 replicas: the primary counts, so at least 1 is needed")]
    NoReplicas,
    /// Split keys must ascend strictly.
    #[error("split key {index} ({key}) is not above the one before it: split keys must ascend and differ")]
    UnsortedSplits {
        /// Position of the offending key, from 0.
        index: usize,
        /// The key, escaped for reading.
        key: String,
    },
    /// A split key that could never separate two keys of the domain.
    #[error("split key {index} ({key}) lies outside the domain or on its lower bound")]
    SplitOutsideDomain {
        /// Position of the offending key, from 0.
        index: usize,
        /// The key, escaped for reading.
        key: String,
    },
    /// The domain's lower bound is not below its upper bound.
    #[error("the domain is empty: its lower bound is not below its upper bound")]
    EmptyDomain,
    /// A key outside the domain of a range topology.
    #[error("key {key} lies outside the domain of this range topology")]
    OutsideDomain {
        /// The key, escaped for reading.
        key: String,
    },
    /// Locality parts decide hashing; ranges keep neighbours together by themselves.
    #[error("a range topology takes no locality rule: keys that share a prefix are neighbours already")]
    LocalityOnRange,
    /// No member of that name.
    #[error("no node named {name:?}")]
    UnknownNode {
        /// The name as given.
        name: String,
    },
    /// A member of that name exists already.
    #[error("node {name:?} is a member already")]
    NodeExists {
        /// The name as given.
        name: String,
    },
    /// A change that is about one node twice.
    #[error("the change names node {name:?} twice")]
    NodeTwice {
        /// The name.
        name: String,
    },
    /// Nothing of that name can be balanced.
    #[error("unknown balance {name:?}: one of slots, bytes, load")]
    UnknownBalance {
        /// The text as given.
        name: String,
    },
    /// The member is on its way out.
    #[error("node {name:?} is leaving: finish its removal first")]
    NodeLeaving {
        /// The name as given.
        name: String,
    },
    /// The change would leave fewer nodes than copies.
    #[error("without {name:?} {remaining} nodes would remain for {replicas} replicas: add a node first")]
    TooFewNodes {
        /// The node that would stop holding data.
        name: String,
        /// Nodes with a weight above 0 that would remain.
        remaining: usize,
        /// Copies each shard has.
        replicas: usize,
    },
    /// No shard of that number.
    #[error("no shard {shard}")]
    UnknownShard {
        /// The shard as given.
        shard: ShardId,
    },
    /// The shard has been retired and takes no slots.
    #[error("shard {shard} is retired")]
    ShardRetired {
        /// The shard as given.
        shard: ShardId,
    },
    /// No slot of that number.
    #[error("no slot {}: there are {slots}", slot.0)]
    UnknownSlot {
        /// The slot as given.
        slot: SlotId,
        /// Number of slots.
        slots: u32,
    },
    /// A hand-over named a shard that does not own the slot (any more).
    #[error("slot {} belongs to shard {owner}, not to shard {shard}", slot.0)]
    SlotNotOwned {
        /// The slot.
        slot: SlotId,
        /// The shard the caller took for the owner.
        shard: ShardId,
        /// The owner.
        owner: ShardId,
    },
    /// A plan or number would exceed what the format can count.
    #[error("too many {what}: at most {max}")]
    TooMany {
        /// What there would be too many of.
        what: &'static str,
        /// The limit.
        max: u64,
    },
    /// Bytes that are not a topology, or a damaged one.
    #[error("damaged topology at byte {offset}: {what}")]
    Damaged {
        /// Offset of the first byte that makes no sense.
        offset: usize,
        /// What was expected there.
        what: &'static str,
    },
    /// The checksum of a topology does not match.
    #[error("damaged topology: checksum {found:08x}, {computed:08x} computed")]
    Checksum {
        /// CRC-32C stored at the end.
        found: u32,
        /// CRC-32C of the bytes before it.
        computed: u32,
    },
    /// A topology written by a newer version.
    #[error("topology format {found}: this version reads {supported}")]
    Format {
        /// Format number found.
        found: u16,
        /// Format number this version reads.
        supported: u16,
    },
    /// Bytes that are not a router, or a damaged one.
    #[error("damaged router at byte {offset}: {what}")]
    DamagedRouter {
        /// Offset of the first byte that makes no sense.
        offset: usize,
        /// What is wrong there.
        what: &'static str,
    },
    /// A router written by a newer version.
    #[error("router format {found}: this version reads {supported}")]
    RouterFormat {
        /// Format number found.
        found: u16,
        /// Format number this version reads.
        supported: u16,
    },
    /// A topology that can be parsed and contradicts itself.
    #[error("inconsistent topology: {what}")]
    Inconsistent {
        /// The invariant that does not hold, with its numbers.
        what: String,
    },
    /// JSON that is neither a topology nor a router.
    #[error("not a topology or router in JSON")]
    Json(#[from] serde_json::Error),
    /// Bytes that are not an encoded tuple.
    #[error("not an encoded tuple: byte {offset}: {what}")]
    BadTuple {
        /// Offset of the first byte that makes no sense.
        offset: usize,
        /// What was expected there.
        what: &'static str,
    },
}

/// A key made readable for messages: printable ASCII as it is, the rest as `\xNN`, cut at 64 bytes.
pub(crate) fn show_key(key: &[u8]) -> String {
    const SHOWN_BYTES: usize = 64;
    let cut = key.len().min(SHOWN_BYTES);
    let mut text = format!("\"{}\"", key[..cut].escape_ascii());
    if cut < key.len() {
        text.push_str(&format!("… ({} bytes)", key.len()));
    }
    text
}
