//! RocksDB.

use rocksdb::{
    BlockBasedOptions, Cache, ColumnFamilyDescriptor, DB, DBCompressionType, DataBlockIndexType,
    FlushOptions, Options, ReadOptions, SnapshotWithThreadMode, WriteBatch, WriteOptions,
};

use crate::storage::Result;
use crate::storage::engine::{CACHE_BYTES, Engine, Key, Promise, Reader, Setup, Store, Writer};

const FAMILY: &str = "default";

/// See the module.
pub struct Rocks {
    db: DB,
    sync: bool,
}

impl Engine for Rocks {
    type Writer<'e> = RocksWriter<'e>;

    fn open(setup: &Setup) -> Result<Rocks> {
        let mut blocks = BlockBasedOptions::default();
        blocks.set_block_cache(&Cache::new_hyper_clock_cache(CACHE_BYTES, 0));
        blocks.set_bloom_filter(10.0, false);
        blocks.set_data_block_index_type(DataBlockIndexType::BinaryAndHash);
        blocks.set_data_block_hash_ratio(0.75);
        let mut options = Options::default();
        options.create_if_missing(true);
        options.set_block_based_table_factory(&blocks);
        options.set_compression_type(DBCompressionType::None);
        options.set_write_buffer_size(64 << 20);
        options.set_max_write_buffer_number(4);
        options.set_max_background_jobs(2);
        options.set_max_open_files(-1);
        // Named, so that there is a handle of it for `batched_multi_get_cf`.
        let family = ColumnFamilyDescriptor::new(FAMILY, options.clone());
        Ok(Rocks {
            db: DB::open_cf_descriptors(&options, &setup.dir, [family])?,
            sync: setup.promise == Promise::Durable,
        })
    }

    fn writer(&self, _thread: usize) -> Result<RocksWriter<'_>> {
        let mut options = WriteOptions::default();
        options.set_sync(self.sync);
        Ok(RocksWriter {
            db: &self.db,
            options,
        })
    }

    fn settle(&mut self) -> Result<()> {
        let mut flush = FlushOptions::default();
        flush.set_wait(true);
        self.db.flush_opt(&flush)?;
        self.db.compact_range(None::<&[u8]>, None::<&[u8]>);
        Ok(())
    }

    fn close(self) -> Result<()> {
        self.db.cancel_all_background_work(true);
        Ok(())
    }
}

/// Puts.
pub struct RocksWriter<'e> {
    db: &'e DB,
    options: WriteOptions,
}

impl Writer for RocksWriter<'_> {
    fn put(&mut self, key: &Key, value: &[u8]) -> Result<()> {
        Ok(self.db.put_opt(key, value, &self.options)?)
    }

    fn put_many(&mut self, pairs: &[(Key, Vec<u8>)]) -> Result<()> {
        let mut batch = WriteBatch::default();
        for (key, value) in pairs {
            batch.put(key, value);
        }
        Ok(self.db.write_opt(batch, &self.options)?)
    }
}

impl Store for Rocks {
    type Reader<'e> = RocksReader<'e>;

    fn reader(&self, held: bool) -> Result<RocksReader<'_>> {
        Ok(RocksReader {
            db: &self.db,
            options: ReadOptions::default(),
            held: held.then(|| self.db.snapshot()),
        })
    }
}

/// Reads.
pub struct RocksReader<'e> {
    db: &'e DB,
    options: ReadOptions,
    held: Option<SnapshotWithThreadMode<'e, DB>>,
}

impl Reader for RocksReader<'_> {
    fn get(&mut self, key: &Key, see: impl FnOnce(&[u8])) -> Result<bool> {
        let found = match &self.held {
            None => self.db.get_pinned_opt(key, &self.options)?,
            Some(snapshot) => snapshot.get_pinned(key)?,
        };
        Ok(found.map(|value| see(&value)).is_some())
    }

    fn multi_get(&mut self, keys: &[Key], mut see: impl FnMut(usize, &[u8])) -> Result<()> {
        let family = self.db.cf_handle(FAMILY).ok_or("no column family")?;
        let found = self
            .db
            .batched_multi_get_cf_opt(family, keys, false, &self.options);
        for (place, value) in found.into_iter().enumerate() {
            if let Some(value) = value? {
                see(place, &value);
            }
        }
        Ok(())
    }

    fn scan(&mut self, from: &Key, limit: usize, mut see: impl FnMut(&[u8], &[u8])) -> Result<()> {
        let mut at = self.db.raw_iterator();
        at.seek(from);
        let mut left = limit;
        while let Some((key, value)) = at.item() {
            see(key, value);
            left -= 1;
            if left == 0 {
                break;
            }
            at.next();
        }
        Ok(at.status()?)
    }
}
