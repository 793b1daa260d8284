//! The topology that is in force, swapped under its readers.
//!
//! Newer topologies come in, references go out. Readers take no lock and write to nothing that
//! another reader touches: a [`TopologyReader`] compares one pointer and then uses what it has. A
//! reader keeps what it has until its next look, so one answer never mixes two versions. Versions
//! only grow.

use std::sync::Arc;

use arc_swap::{ArcSwap, Cache};
use parking_lot::Mutex;

use super::Topology;
use crate::routing::error::RoutingError;

/// The topology in force. Share it by `Arc`; give each thread that looks up keys a
/// [`TopologyReader`].
#[derive(Debug)]
pub struct SharedTopology {
    current: ArcSwap<Topology>,
    /// Held by whoever publishes, so that two publishers cannot both follow one version.
    publishing: Mutex<()>,
}

impl SharedTopology {
    /// Begins with this one, whatever its version.
    #[must_use]
    pub fn new(topology: Topology) -> SharedTopology {
        SharedTopology {
            current: ArcSwap::from_pointee(topology),
            publishing: Mutex::new(()),
        }
    }

    /// The topology as of now, to keep.
    #[must_use]
    pub fn load_full(&self) -> Arc<Topology> {
        self.current.load_full()
    }

    /// The topology as of now, for a moment: cheaper than [`Self::load_full`]. Many of these held at
    /// once by one thread make it as expensive.
    #[must_use]
    pub fn load(&self) -> arc_swap::Guard<Arc<Topology>> {
        self.current.load()
    }

    /// A reader of its own for one thread.
    #[must_use]
    pub fn reader(self: &Arc<Self>) -> TopologyReader {
        TopologyReader {
            cache: Cache::new(Handle(Arc::clone(self))),
        }
    }

    /// Puts a change into force that was made from the topology in force.
    ///
    /// # Errors
    /// [`RoutingError::VersionGap`] unless its version is the next one; nothing has changed then.
    pub fn publish(&self, next: Topology) -> Result<Arc<Topology>, RoutingError> {
        let _publishing = self.publishing.lock();
        let published = self.current.load().version();
        if published.checked_add(1) != Some(next.version()) {
            return Err(RoutingError::VersionGap {
                published,
                found: next.version(),
            });
        }
        let next = Arc::new(next);
        self.current.store(Arc::clone(&next));
        Ok(next)
    }

    /// Puts a topology into force that somebody else recorded, if it is newer than the one in force:
    /// versions may have been missed. Returns whether it was newer.
    pub fn refresh(&self, recorded: Topology) -> bool {
        let _publishing = self.publishing.lock();
        let newer = recorded.version() > self.current.load().version();
        if newer {
            self.current.store(Arc::new(recorded));
        }
        newer
    }
}

/// Makes a shared handle look like the swap that [`Cache`] reads through.
#[derive(Clone, Debug)]
struct Handle(Arc<SharedTopology>);

impl std::ops::Deref for Handle {
    type Target = ArcSwap<Topology>;

    fn deref(&self) -> &ArcSwap<Topology> {
        &self.0.current
    }
}

/// Reads a [`SharedTopology`] from one thread; clone it for another.
///
/// A look costs one load and a comparison as long as nothing was published, and one counted
/// reference when something was. It holds on to the topology it saw last, until its next look.
#[derive(Clone, Debug)]
pub struct TopologyReader {
    cache: Cache<Handle, Arc<Topology>>,
}

impl TopologyReader {
    /// The topology in force.
    #[inline]
    pub fn current(&mut self) -> &Topology {
        self.cache.load()
    }

    /// The topology in force, to keep.
    #[must_use]
    pub fn current_full(&mut self) -> Arc<Topology> {
        Arc::clone(self.cache.load())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;
    use crate::ids::{ShardId, SlotId};
    use crate::routing::{NodeSpec, TopologySpec};

    fn topology() -> Topology {
        let nodes = NodeSpec::parse_list("a,b").unwrap();
        Topology::create(&TopologySpec::new(nodes, 2, 1)).unwrap().0
    }

    /// The next version: slot 0 goes to the other of the two shards.
    fn next(topology: &Topology) -> Topology {
        let from = topology.shard_of_slot(SlotId(0));
        let to = ShardId(1 - from.0);
        topology
            .with_slots_moved(&[SlotId(0)], from, to, topology.version())
            .unwrap()
    }

    #[test]
    fn a_reader_sees_what_was_published_and_versions_never_skip_or_return() {
        let shared = Arc::new(SharedTopology::new(topology()));
        let mut reader = shared.reader();
        let first = reader.current_full();
        let second = next(&first);
        let third = next(&second);
        let gap = shared.publish(third.clone()).unwrap_err();
        assert!(
            matches!(
                gap,
                RoutingError::VersionGap {
                    published: 1,
                    found: 3
                }
            ),
            "{gap}"
        );
        assert_eq!(reader.current().version(), 1);
        shared.publish(second.clone()).unwrap();
        assert_eq!(reader.current().version(), 2);
        assert!(shared.publish(second.clone()).is_err());
        assert!(!shared.refresh(Topology::clone(&first)));
        assert!(shared.refresh(third));
        assert_eq!((reader.current().version(), first.version()), (3, 1));
    }

    #[test]
    fn readers_see_whole_versions_that_only_grow_while_a_writer_publishes() {
        let shared = Arc::new(SharedTopology::new(topology()));
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    let mut reader = shared.reader();
                    let mut last = 0;
                    while !done.load(Ordering::Relaxed) {
                        let seen = reader.current();
                        assert!(seen.version() >= last);
                        last = seen.version();
                        // The floor was written by the change that made this version.
                        assert_eq!(seen.residency(SlotId(0)), last - 1);
                    }
                });
            }
            for _ in 0..2_000 {
                let topology = next(&shared.load());
                shared.publish(topology).unwrap();
            }
            done.store(true, Ordering::Relaxed);
        });
        assert_eq!(shared.load().version(), 2_001);
    }

    #[test]
    fn two_publishers_of_one_version_cannot_both_succeed() {
        let shared = Arc::new(SharedTopology::new(topology()));
        let from = shared.load_full();
        let won = std::thread::scope(|scope| {
            let attempt = || shared.publish(next(&from)).is_ok();
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(attempt)).collect();
            threads
                .into_iter()
                .map(|thread| usize::from(thread.join().unwrap()))
                .sum::<usize>()
        });
        assert_eq!((won, shared.load().version()), (1, 2));
    }
}
