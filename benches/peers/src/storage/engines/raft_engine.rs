//! raft-engine: a log without an index by key, so only rows about appending.

use protobuf::well_known_types::BytesValue;
use raft_engine::{Config, Engine as Log, LogBatch, MessageExt, ReadableSize};

use crate::storage::Result;
use crate::storage::engine::{Engine, Key, Promise, Setup, Writer};

/// See the module.
pub struct RaftEngine {
    log: Log,
    sync: bool,
}

/// An entry of the log: its index, then key and value.
struct Record;

impl MessageExt for Record {
    type Entry = BytesValue;

    fn index(entry: &BytesValue) -> u64 {
        u64::from_le_bytes(
            entry.value[..8]
                .try_into()
                .expect("every entry begins with its index"),
        )
    }
}

impl Engine for RaftEngine {
    type Writer<'e> = RaftWriter<'e>;

    fn open(setup: &Setup) -> Result<RaftEngine> {
        let sync = setup.promise == Promise::Durable;
        let config = Config {
            dir: setup.dir.to_str().ok_or("a path that is not UTF-8")?.to_owned(),
            prefill_for_recycle: sync,
            prefill_limit: sync.then(|| ReadableSize::mb(256)),
            ..Config::default()
        };
        Ok(RaftEngine {
            log: Log::open(config)?,
            sync,
        })
    }

    fn writer(&self, thread: usize) -> Result<RaftWriter<'_>> {
        let region = thread as u64 + 1;
        Ok(RaftWriter {
            engine: self,
            region,
            next: self.log.last_index(region).map_or(1, |last| last + 1),
            batch: LogBatch::default(),
        })
    }

    fn close(self) -> Result<()> {
        Ok(self.log.sync()?)
    }
}

/// Puts, into a region of their own.
pub struct RaftWriter<'e> {
    engine: &'e RaftEngine,
    region: u64,
    next: u64,
    batch: LogBatch,
}

impl RaftWriter<'_> {
    fn entry(&mut self, key: &Key, value: &[u8]) -> BytesValue {
        let mut bytes = Vec::with_capacity(8 + key.len() + value.len());
        bytes.extend_from_slice(&self.next.to_le_bytes());
        bytes.extend_from_slice(key);
        bytes.extend_from_slice(value);
        self.next += 1;
        let mut entry = BytesValue::default();
        entry.set_value(bytes);
        entry
    }

    fn write(&mut self, entries: &[BytesValue]) -> Result<()> {
        self.batch.add_entries::<Record>(self.region, entries)?;
        self.engine.log.write(&mut self.batch, self.engine.sync)?;
        Ok(())
    }
}

impl Writer for RaftWriter<'_> {
    fn put(&mut self, key: &Key, value: &[u8]) -> Result<()> {
        let entry = self.entry(key, value);
        self.write(&[entry])
    }

    fn put_many(&mut self, pairs: &[(Key, Vec<u8>)]) -> Result<()> {
        let entries: Vec<_> = pairs.iter().map(|(key, value)| self.entry(key, value)).collect();
        self.write(&entries)
    }
}
