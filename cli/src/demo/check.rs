//! Whether a cluster holds exactly what a file says: read again, record by record.
//!
//! A file and a cluster come in; the number of records that are equal byte for byte goes out, or
//! the first difference as an error. Of records with one key the last counts, as for an import.

use std::collections::HashMap;
use std::fs::File;

use atoll::cluster::{Cluster, ReadOptions};

use super::source::Source;
use crate::failure::{Failure, Outcome};
use crate::input::{self, Item, Record};
use crate::output::count;

/// What was compared.
pub struct Comparison {
    /// Keys of the file, each once.
    pub keys: u64,
    /// Bytes of keys and values compared.
    pub bytes: u64,
}

/// Calls `each` on every record of a source with its number.
pub fn each_record(source: &Source, mut each: impl FnMut(u64, Record) -> Outcome) -> Outcome {
    let unreadable = |error: input::InputError| Failure::failed(format!("{} {error}", source.file.display()));
    let file = File::open(&source.file).map_err(|error| Failure::file("read", &source.file, &error))?;
    let mut reader = input::open(Box::new(file), &source.select).map_err(unreadable)?;
    let mut number = 0;
    loop {
        match reader.next().map_err(unreadable)? {
            Item::End => return Ok(()),
            Item::Rejected(_) => {}
            Item::Record(record) => {
                each(number, record)?;
                number += 1;
            }
        }
    }
}

/// Number of the record that counts, for every key.
pub fn last_of_each_key(source: &Source) -> Outcome<HashMap<Vec<u8>, u64>> {
    let mut last = HashMap::new();
    each_record(source, |number, record| {
        last.insert(record.key, number);
        Ok(())
    })?;
    Ok(last)
}

/// Compares a cluster with a source.
pub fn compare(cluster: &Cluster, source: &Source) -> Outcome<Comparison> {
    let last = last_of_each_key(source)?;
    let held = cluster.count(&ReadOptions::default())?;
    if held != last.len() as u64 {
        return Err(Failure::failed(format!(
            "the cluster holds {} keys, {} has {}",
            count(held),
            source.file.display(),
            count(last.len() as u64)
        )));
    }
    let mut bytes = 0;
    each_record(source, |number, record| {
        if last.get(&record.key) != Some(&number) {
            return Ok(());
        }
        bytes += (record.key.len() + record.value.len()) as u64;
        let key = String::from_utf8_lossy(&record.key);
        match cluster.get(&record.key, &ReadOptions::default())? {
            None => Err(Failure::failed(format!(
                "the key {key:?} is in the file and not in the cluster"
            ))),
            Some(answer) if *answer.value == *record.value => Ok(()),
            Some(answer) => Err(Failure::failed(format!(
                "the value of {key:?} has {} bytes in the cluster on {}, {} in the file, and differs from it",
                answer.value.len(),
                answer.node,
                record.value.len()
            ))),
        }
    })?;
    Ok(Comparison {
        keys: last.len() as u64,
        bytes,
    })
}
