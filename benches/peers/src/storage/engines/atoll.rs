//! Atoll as a database of its own, without replicas.

use std::ops::Bound;

use atoll::ids::{ShardId, Uuid};
use atoll::io::Env;
use atoll::store::{
    Compaction, CompactionLimits, Durability, ScanOptions, Snapshot, StoreIdentity, StoreOptions, WriteBatch,
};

use crate::storage::Result;
use crate::storage::engine::{Engine, Key, Promise, Reader, Setup, Store, Writer};

/// See the module.
pub struct Atoll {
    store: atoll::store::Store,
    durability: Durability,
}

impl Engine for Atoll {
    type Writer<'e> = AtollWriter<'e>;

    fn open(setup: &Setup) -> Result<Atoll> {
        let identity = StoreIdentity {
            cluster: Uuid::NIL,
            shard: ShardId(0),
            node: 1,
        };
        let compaction = if setup.tidies {
            Compaction::Background { rate_bytes_per_s: 0 }
        } else {
            Compaction::Manual
        };
        let options = StoreOptions {
            compaction,
            ..StoreOptions::new(identity)
        };
        Ok(Atoll {
            store: atoll::store::Store::open_standalone(&Env::os(), &setup.dir, &options)?,
            durability: match setup.promise {
                Promise::Buffered => Durability::Buffered,
                Promise::Durable => Durability::Synced,
            },
        })
    }

    fn writer(&self, _thread: usize) -> Result<AtollWriter<'_>> {
        Ok(AtollWriter(self))
    }

    fn settle(&mut self) -> Result<()> {
        self.store.sync()?;
        self.store.compact(&CompactionLimits::default(), &mut |_| {})?;
        Ok(())
    }

    fn close(self) -> Result<()> {
        Ok(self.store.close()?)
    }
}

/// Puts.
pub struct AtollWriter<'e>(&'e Atoll);

impl Writer for AtollWriter<'_> {
    #[inline]
    fn put(&mut self, key: &Key, value: &[u8]) -> Result<()> {
        self.0.store.put(key, value, self.0.durability)?;
        Ok(())
    }

    fn put_many(&mut self, pairs: &[(Key, Vec<u8>)]) -> Result<()> {
        let mut batch = WriteBatch::new();
        for (key, value) in pairs {
            batch.put(*key, value.as_slice());
        }
        self.0.store.write(&batch, self.0.durability)?;
        Ok(())
    }
}

impl Store for Atoll {
    type Reader<'e> = AtollReader<'e>;

    fn reader(&self, held: bool) -> Result<AtollReader<'_>> {
        Ok(AtollReader {
            store: &self.store,
            held: held.then(|| self.store.snapshot()),
        })
    }
}

/// Reads.
pub struct AtollReader<'e> {
    store: &'e atoll::store::Store,
    held: Option<Snapshot<'e>>,
}

impl Reader for AtollReader<'_> {
    #[inline]
    fn get(&mut self, key: &Key, see: impl FnOnce(&[u8])) -> Result<bool> {
        Ok(match &self.held {
            None => self.store.get_with(key, see)?.is_some(),
            Some(snapshot) => snapshot.get(key)?.map(|value| see(&value)).is_some(),
        })
    }

    #[inline]
    fn multi_get(&mut self, keys: &[Key], mut see: impl FnMut(usize, &[u8])) -> Result<()> {
        self.store.multi_get_with(keys, |place, value| {
            if let Some(value) = value {
                see(place, value);
            }
        })?;
        Ok(())
    }

    fn scan(&mut self, from: &Key, limit: usize, mut see: impl FnMut(&[u8], &[u8])) -> Result<()> {
        let options = ScanOptions {
            limit: Some(limit as u64),
            ..ScanOptions::default()
        };
        let mut scan = self
            .store
            .snapshot()
            .scan_with(Bound::Included(from), Bound::Unbounded, options)?;
        while let Some(entry) = scan.next_entry()? {
            see(entry.key, entry.value.unwrap_or_default());
        }
        Ok(())
    }
}
