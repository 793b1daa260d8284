//! No engine at all: what the disk gives to whoever writes a record and waits for it.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;

use crate::storage::Result;
use crate::storage::engine::{Engine, Key, Setup, Writer};

/// Bytes of the file that each thread has to itself.
const PART_BYTES: u64 = 16 << 20;
const PARTS: u64 = 8;
/// Bytes of a record: a key, 100 bytes of value and what an engine adds.
const RECORD_BYTES: usize = 128;

/// See the module.
pub struct Device(File);

impl Engine for Device {
    type Writer<'e> = DeviceWriter<'e>;

    fn open(setup: &Setup) -> Result<Device> {
        std::fs::create_dir_all(&setup.dir)?;
        let path = setup.dir.join("prewritten");
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(path)?;
        let zeros = vec![0; 1 << 20];
        for at in (0..PARTS * PART_BYTES).step_by(zeros.len()) {
            file.write_all_at(&zeros, at)?;
        }
        file.sync_all()?;
        Ok(Device(file))
    }

    fn writer(&self, thread: usize) -> Result<DeviceWriter<'_>> {
        let from = thread as u64 % PARTS * PART_BYTES;
        Ok(DeviceWriter {
            file: &self.0,
            from,
            at: from,
        })
    }

    fn close(self) -> Result<()> {
        Ok(self.0.sync_all()?)
    }
}

/// Puts: a record after the one before.
pub struct DeviceWriter<'e> {
    file: &'e File,
    from: u64,
    at: u64,
}

impl Writer for DeviceWriter<'_> {
    fn put(&mut self, key: &Key, value: &[u8]) -> Result<()> {
        let mut record = [0; RECORD_BYTES];
        record[..16].copy_from_slice(key);
        let len = value.len().min(RECORD_BYTES - 16);
        record[16..16 + len].copy_from_slice(&value[..len]);
        self.file.write_all_at(&record, self.at)?;
        self.file.sync_data()?;
        self.at += RECORD_BYTES as u64;
        if self.at + RECORD_BYTES as u64 > self.from + PART_BYTES {
            self.at = self.from;
        }
        Ok(())
    }

    fn put_many(&mut self, pairs: &[(Key, Vec<u8>)]) -> Result<()> {
        pairs.iter().try_for_each(|(key, value)| self.put(key, value))
    }
}
