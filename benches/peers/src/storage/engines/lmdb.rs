//! LMDB, through heed.

use std::ops::Bound;

use heed::types::Bytes;
use heed::{CommitOrAbort, Database, Env, EnvFlags, EnvOpenOptions, RoTxn, WithoutTls};

use crate::storage::Result;
use crate::storage::engine::{Engine, Key, Promise, Reader, Setup, Store, Writer};

const MAP_BYTES: usize = 64 << 30;

type Table = Database<'static, Bytes, Bytes>;

/// See the module.
pub struct Lmdb {
    env: Env<WithoutTls>,
    table: Table,
}

impl Engine for Lmdb {
    type Writer<'e> = LmdbWriter<'e>;

    const BATCH: Option<usize> = Some(1000);

    fn open(setup: &Setup) -> Result<Lmdb> {
        std::fs::create_dir_all(&setup.dir)?;
        let mut options = EnvOpenOptions::new().read_txn_without_tls();
        options.map_size(MAP_BYTES);
        if setup.promise == Promise::Buffered {
            // SAFETY: nobody else writes to these files; what a power cut does to them is not looked at.
            unsafe { options.flags(EnvFlags::NO_SYNC | EnvFlags::WRITE_MAP) };
        }
        // SAFETY: no other process has the files open, and this one opens them once.
        let env = unsafe { options.open(&setup.dir)? };
        let created = env.create_databases_and_commit(env.write_txn()?, |opener, txn| {
            opener
                .create_database::<Bytes, Bytes>(txn, None)
                .map(CommitOrAbort::<_, ()>::Commit)
        })?;
        let table = created.unwrap_commit();
        Ok(Lmdb { env, table })
    }

    fn writer(&self, _thread: usize) -> Result<LmdbWriter<'_>> {
        Ok(LmdbWriter(self))
    }

    fn close(self) -> Result<()> {
        self.env.prepare_for_closing().wait();
        Ok(())
    }
}

/// Puts.
pub struct LmdbWriter<'e>(&'e Lmdb);

impl Writer for LmdbWriter<'_> {
    fn put(&mut self, key: &Key, value: &[u8]) -> Result<()> {
        let mut txn = self.0.env.write_txn()?;
        self.0.table.put(&mut txn, key, value)?;
        Ok(txn.commit()?)
    }

    fn put_many(&mut self, pairs: &[(Key, Vec<u8>)]) -> Result<()> {
        let mut txn = self.0.env.write_txn()?;
        for (key, value) in pairs {
            self.0.table.put(&mut txn, key, value)?;
        }
        Ok(txn.commit()?)
    }
}

impl Store for Lmdb {
    type Reader<'e> = LmdbReader<'e>;

    fn reader(&self, held: bool) -> Result<LmdbReader<'_>> {
        let held = held.then(|| self.env.read_txn()).transpose()?;
        Ok(LmdbReader { lmdb: self, held })
    }
}

/// Reads.
pub struct LmdbReader<'e> {
    lmdb: &'e Lmdb,
    held: Option<RoTxn<'e, WithoutTls>>,
}

impl Reader for LmdbReader<'_> {
    fn get(&mut self, key: &Key, see: impl FnOnce(&[u8])) -> Result<bool> {
        let fresh;
        let txn = match &self.held {
            Some(txn) => txn,
            None => {
                fresh = self.lmdb.env.read_txn()?;
                &fresh
            }
        };
        Ok(self.lmdb.table.get(txn, key)?.map(see).is_some())
    }

    fn multi_get(&mut self, keys: &[Key], mut see: impl FnMut(usize, &[u8])) -> Result<()> {
        let txn = self.lmdb.env.read_txn()?;
        for (place, key) in keys.iter().enumerate() {
            if let Some(value) = self.lmdb.table.get(&txn, key)? {
                see(place, value);
            }
        }
        Ok(())
    }

    fn scan(&mut self, from: &Key, limit: usize, mut see: impl FnMut(&[u8], &[u8])) -> Result<()> {
        let txn = self.lmdb.env.read_txn()?;
        let range = (Bound::Included(&from[..]), Bound::Unbounded);
        for entry in self.lmdb.table.range(&txn, &range)?.take(limit) {
            let (key, value) = entry?;
            see(key, value);
        }
        Ok(())
    }
}
