//! A process that writes a store, for tests of whoever reads it meanwhile.
//!
//! In: a directory, and lines `put KEY VALUE`, `int NUMBER VALUE`, `delete KEY`, `fill PREFIX COUNT` and `compact` on
//! standard input. Out: a line `done` once the store is open, and for each command once it is
//! acknowledged. Must never: close the store before its input ends.

use std::io::{BufRead, Write};
use std::path::Path;

use atoll::io::Env;
use atoll::routing::int_bytes;
use atoll::store::{CompactionLimits, Durability, Store, StoreOptions, WriteBatch};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir = std::env::args().nth(1).ok_or("usage: writer DIR")?;
    let store = Store::open_standalone(&Env::os(), Path::new(&dir), &StoreOptions::standalone())?;
    let mut out = std::io::stdout();
    writeln!(out, "done")?;
    out.flush()?;
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let mut words = line.splitn(3, ' ');
        let (verb, key, value) = (
            words.next().unwrap_or_default(),
            words.next().unwrap_or_default(),
            words.next().unwrap_or_default(),
        );
        let mut batch = WriteBatch::new();
        match verb {
            "put" => batch.put(key, value),
            "int" => batch.put(int_bytes(key.parse()?), value),
            "delete" => batch.delete(key),
            "fill" => {
                for n in 0..value.parse::<u32>()? {
                    batch.put(format!("{key}{n:08}"), format!("value {n}"));
                }
            }
            "compact" => {
                store.compact(&CompactionLimits::default(), &mut |_| {})?;
            }
            _ => return Err(format!("no such command: {line}").into()),
        }
        if !batch.is_empty() {
            store.write(&batch, Durability::Synced)?;
        }
        writeln!(out, "done")?;
        out.flush()?;
    }
    store.close()?;
    Ok(())
}
