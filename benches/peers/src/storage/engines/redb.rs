//! redb.

use std::sync::atomic::{AtomicU64, Ordering};

use redb::{Database, Durability, ReadOnlyTable, ReadableDatabase, TableDefinition};

use crate::storage::Result;
use crate::storage::engine::{CACHE_BYTES, Engine, Key, Promise, Reader, Setup, Store, Writer};

const TABLE: TableDefinition<'_, &[u8; 16], &[u8]> = TableDefinition::new("kv");
/// A transaction without durability stays in memory: so often one reaches the file.
const IMMEDIATE_ONE_IN: u64 = 64;

/// See the module.
pub struct Redb {
    db: Database,
    promise: Promise,
    transactions: AtomicU64,
}

impl Redb {
    fn durability(&self) -> Durability {
        let number = self.transactions.fetch_add(1, Ordering::Relaxed) + 1;
        if self.promise == Promise::Durable || number.is_multiple_of(IMMEDIATE_ONE_IN) {
            Durability::Immediate
        } else {
            Durability::None
        }
    }

    fn table(&self) -> Result<ReadOnlyTable<&'static [u8; 16], &'static [u8]>> {
        Ok(self.db.begin_read()?.open_table(TABLE)?)
    }
}

impl Engine for Redb {
    type Writer<'e> = RedbWriter<'e>;

    const BATCH: Option<usize> = Some(1000);

    fn open(setup: &Setup) -> Result<Redb> {
        std::fs::create_dir_all(&setup.dir)?;
        let db = Database::builder()
            .set_cache_size(CACHE_BYTES)
            .create(setup.dir.join("data.redb"))?;
        let txn = db.begin_write()?;
        txn.open_table(TABLE)?;
        txn.commit()?;
        Ok(Redb {
            db,
            promise: setup.promise,
            transactions: AtomicU64::new(0),
        })
    }

    fn writer(&self, _thread: usize) -> Result<RedbWriter<'_>> {
        Ok(RedbWriter(self))
    }

    fn settle(&mut self) -> Result<()> {
        self.db.compact()?;
        Ok(())
    }

    fn close(self) -> Result<()> {
        let txn = self.db.begin_write()?;
        txn.commit()?;
        Ok(self.db.close()?)
    }
}

/// Puts.
pub struct RedbWriter<'e>(&'e Redb);

impl Writer for RedbWriter<'_> {
    fn put(&mut self, key: &Key, value: &[u8]) -> Result<()> {
        let mut txn = self.0.db.begin_write()?;
        txn.set_durability(self.0.durability())?;
        txn.open_table(TABLE)?.insert(key, value)?;
        Ok(txn.commit()?)
    }

    fn put_many(&mut self, pairs: &[(Key, Vec<u8>)]) -> Result<()> {
        let mut txn = self.0.db.begin_write()?;
        txn.set_durability(self.0.durability())?;
        {
            let mut table = txn.open_table(TABLE)?;
            for (key, value) in pairs {
                table.insert(key, value.as_slice())?;
            }
        }
        Ok(txn.commit()?)
    }
}

impl Store for Redb {
    type Reader<'e> = RedbReader<'e>;

    fn reader(&self, held: bool) -> Result<RedbReader<'_>> {
        let held = held.then(|| self.table()).transpose()?;
        Ok(RedbReader { redb: self, held })
    }
}

/// Reads.
pub struct RedbReader<'e> {
    redb: &'e Redb,
    held: Option<ReadOnlyTable<&'static [u8; 16], &'static [u8]>>,
}

impl Reader for RedbReader<'_> {
    fn get(&mut self, key: &Key, see: impl FnOnce(&[u8])) -> Result<bool> {
        let fresh;
        let table = match &self.held {
            Some(table) => table,
            None => {
                fresh = self.redb.table()?;
                &fresh
            }
        };
        Ok(table.get(key)?.map(|value| see(value.value())).is_some())
    }

    fn multi_get(&mut self, keys: &[Key], mut see: impl FnMut(usize, &[u8])) -> Result<()> {
        let table = self.redb.table()?;
        for (place, key) in keys.iter().enumerate() {
            if let Some(value) = table.get(key)? {
                see(place, value.value());
            }
        }
        Ok(())
    }

    fn scan(&mut self, from: &Key, limit: usize, mut see: impl FnMut(&[u8], &[u8])) -> Result<()> {
        for entry in self.redb.table()?.range::<&[u8; 16]>(from..)?.take(limit) {
            let (key, value) = entry?;
            see(key.value(), value.value());
        }
        Ok(())
    }
}
