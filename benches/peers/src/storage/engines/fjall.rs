//! fjall.

use fjall::config::{CompressionPolicy, HashRatioPolicy};
use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode, Readable, Snapshot};

use crate::storage::Result;
use crate::storage::engine::{CACHE_BYTES, Engine, Key, Promise, Reader, Setup, Store, Writer};

/// See the module.
pub struct Fjall {
    db: Database,
    keys: Keyspace,
    promise: Promise,
}

impl Fjall {
    fn persist(&self) -> Result<()> {
        if self.promise == Promise::Durable {
            self.db.persist(PersistMode::SyncData)?;
        }
        Ok(())
    }
}

impl Engine for Fjall {
    type Writer<'e> = FjallWriter<'e>;

    fn open(setup: &Setup) -> Result<Fjall> {
        let db = Database::builder(&setup.dir)
            .cache_size(CACHE_BYTES as u64)
            .worker_threads(2)
            .open()?;
        let keys = db.keyspace("kv", || {
            KeyspaceCreateOptions::default()
                .data_block_compression_policy(CompressionPolicy::disabled())
                .data_block_hash_ratio_policy(HashRatioPolicy::all(0.75))
                .max_memtable_size(64 << 20)
        })?;
        Ok(Fjall {
            db,
            keys,
            promise: setup.promise,
        })
    }

    fn writer(&self, _thread: usize) -> Result<FjallWriter<'_>> {
        Ok(FjallWriter(self))
    }

    fn settle(&mut self) -> Result<()> {
        self.keys.rotate_memtable_and_wait()?;
        Ok(self.keys.major_compact()?)
    }

    fn close(self) -> Result<()> {
        Ok(self.db.persist(PersistMode::SyncAll)?)
    }
}

/// Puts.
pub struct FjallWriter<'e>(&'e Fjall);

impl Writer for FjallWriter<'_> {
    fn put(&mut self, key: &Key, value: &[u8]) -> Result<()> {
        self.0.keys.insert(*key, value)?;
        self.0.persist()
    }

    fn put_many(&mut self, pairs: &[(Key, Vec<u8>)]) -> Result<()> {
        let mut batch = self.0.db.batch();
        for (key, value) in pairs {
            batch.insert(&self.0.keys, *key, value.as_slice());
        }
        batch.commit()?;
        self.0.persist()
    }
}

impl Store for Fjall {
    type Reader<'e> = FjallReader<'e>;

    fn reader(&self, held: bool) -> Result<FjallReader<'_>> {
        Ok(FjallReader {
            fjall: self,
            held: held.then(|| self.db.snapshot()),
        })
    }
}

/// Reads.
pub struct FjallReader<'e> {
    fjall: &'e Fjall,
    held: Option<Snapshot>,
}

impl Reader for FjallReader<'_> {
    fn get(&mut self, key: &Key, see: impl FnOnce(&[u8])) -> Result<bool> {
        let found = match &self.held {
            None => self.fjall.keys.get(key)?,
            Some(snapshot) => snapshot.get(&self.fjall.keys, key)?,
        };
        Ok(found.map(|value| see(&value)).is_some())
    }

    fn multi_get(&mut self, keys: &[Key], mut see: impl FnMut(usize, &[u8])) -> Result<()> {
        for (place, key) in keys.iter().enumerate() {
            if let Some(value) = self.fjall.keys.get(key)? {
                see(place, &value);
            }
        }
        Ok(())
    }

    fn scan(&mut self, from: &Key, limit: usize, mut see: impl FnMut(&[u8], &[u8])) -> Result<()> {
        for entry in self.fjall.keys.range(*from..).take(limit) {
            let (key, value) = entry.into_inner()?;
            see(&key, &value);
        }
        Ok(())
    }
}
