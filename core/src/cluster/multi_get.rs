//! Many point reads of a cluster at once.
//!
//! In: keys, a level. Out: the answer for each, in the order of the keys, as single reads would give them. The
//! keys of a shard are read together, so that a level is decided, and a token compared, once for a shard, and the
//! misses of memory overlap. What comes between (a slot that moves, compaction, damage) sends the keys of that
//! shard through single reads, which know what to do.

use super::consistency::{Consistency, ReadOptions};
use super::group::Group;
use super::reads::{Answer, Needs};
use super::{Cluster, ClusterError};
use crate::ids::{Lsn, ShardId};
use crate::replication::Token;

impl Cluster {
    /// The values of `keys`, each as [`Cluster::get`] would give it. The keys of one shard are read from one
    /// replica, in one order with its writers; there is no common moment for several shards.
    ///
    /// # Errors
    /// As for [`Cluster::get`], for any of the keys.
    pub fn multi_get<K: AsRef<[u8]>>(
        &self,
        keys: &[K],
        options: &ReadOptions,
    ) -> Result<Vec<Option<Answer>>, ClusterError> {
        self.multi_get_seen(keys, options, None)
    }

    /// As [`Cluster::multi_get`]; `seen` is told what a later read has to have so that it does not go back in time.
    pub(super) fn multi_get_seen<K: AsRef<[u8]>>(
        &self,
        keys: &[K],
        options: &ReadOptions,
        mut seen: Option<&mut Token>,
    ) -> Result<Vec<Option<Answer>>, ClusterError> {
        let mut places: Vec<(ShardId, usize)> = {
            let topology = self.inner.topology.load();
            let place = |(i, key): (usize, &K)| {
                topology.check_key(key.as_ref())?;
                Ok((topology.shard_of_slot(topology.slot_of(key.as_ref())), i))
            };
            keys.iter()
                .enumerate()
                .map(place)
                .collect::<Result<_, ClusterError>>()?
        };
        places.sort_unstable();
        let mut answers: Vec<Option<Answer>> = keys.iter().map(|_| None).collect();
        for of_shard in places.chunk_by(|a, b| a.0 == b.0) {
            let together: Vec<&[u8]> = of_shard.iter().map(|(_, i)| keys[*i].as_ref()).collect();
            let found = match self.inner.group(of_shard[0].0) {
                Ok(group) => self.ask_one_replica(&group, &together, options, seen.as_deref_mut())?,
                Err(_) => None,
            };
            if let Some(found) = found {
                for ((_, i), answer) in of_shard.iter().zip(found) {
                    answers[*i] = answer;
                }
            } else {
                for ((_, i), key) in of_shard.iter().zip(together) {
                    answers[*i] = self.get_seen(key, options, seen.as_deref_mut())?;
                }
            }
        }
        Ok(answers)
    }

    /// The answers for keys that were all in `group` a moment ago; `None` if they have to be asked for singly.
    fn ask_one_replica(
        &self,
        group: &Group,
        keys: &[&[u8]],
        options: &ReadOptions,
        seen: Option<&mut Token>,
    ) -> Result<Option<Vec<Option<Answer>>>, ClusterError> {
        let inner = &self.inner;
        let state = group.state.read();
        let topology = inner.topology.load();
        let slots: Vec<_> = keys.iter().map(|key| topology.slot_of(key)).collect();
        if slots
            .iter()
            .any(|slot| topology.shard_of_slot(*slot) != group.shard)
        {
            return Ok(None);
        }
        if let (Consistency::ReadYourWrites, Some(token)) = (options.consistency, &options.token)
            && token.shards().any(|shard| shard != group.shard)
            && slots.iter().any(|slot| state.arrivals.contains_key(slot))
        {
            // What became of those writes in the shard they were made in is looked at slot by slot.
            return Ok(None);
        }
        let (index, bound) = inner.choose(group, &state, Needs::All, options)?;
        let copy = &state.copies[index];
        let Some(replica) = copy.live() else {
            return Ok(None);
        };
        // Before the look-ups: what is not found was not there up to here.
        let end = bound.min(replica.store().stable());
        let Ok(versions) = replica.store().multi_get_version(keys, bound) else {
            return Ok(None);
        };
        let mut last = Lsn::ZERO;
        let answers = versions
            .into_iter()
            .zip(slots)
            .map(|(version, slot)| {
                let living = version.filter(|version| version.lsn.0 >= topology.residency(slot));
                let up_to = living.as_ref().map_or(end, |version| Lsn(version.lsn.0 + 1));
                last = last.max(up_to);
                living.and_then(|version| {
                    let (node, lsn) = (copy.node.clone(), version.lsn);
                    version.value.map(|value| Answer { value, node, lsn })
                })
            })
            .collect();
        if let Some(seen) = seen {
            inner.note_seen(group.shard, replica, last, seen)?;
        }
        Ok(Some(answers))
    }
}
