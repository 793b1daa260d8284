//! Options of a store.

use std::time::Duration;

use super::text::{self, OFF};
use super::{Row, Unit};
use crate::ids::{ShardId, Uuid};
use crate::store::{Compaction, StoreIdentity, StoreOptions, VerifyPayload, WritePath};

/// Options of a store on its own.
pub(super) fn defaults() -> StoreOptions {
    StoreOptions::new(StoreIdentity {
        cluster: Uuid::NIL,
        shard: ShardId(0),
        node: 1,
    })
}

pub(super) const WRITE_PATHS: [(&str, WritePath); 3] = [
    ("auto", WritePath::Auto),
    ("map", WritePath::Map),
    ("pwrite", WritePath::Pwrite),
];
const VERIFY_PAYLOAD: [(&str, VerifyPayload); 2] = [
    ("always", VerifyPayload::Always),
    ("first_touch", VerifyPayload::FirstTouch),
];
pub(super) const WRITE_PATH_WORDS: &str = "auto, map, pwrite";

pub(super) fn show_write_path(path: WritePath) -> String {
    let found = WRITE_PATHS.iter().find(|(_, other)| *other == path);
    found.map_or("auto", |(word, _)| word).to_owned()
}

fn parse_compaction(value: &str) -> Result<Compaction, String> {
    match value.trim().split_once(':') {
        None if value.trim() == "manual" => Ok(Compaction::Manual),
        None if value.trim() == "background" => Ok(Compaction::Background { rate_bytes_per_s: 0 }),
        Some(("background", rate)) => Ok(Compaction::Background {
            rate_bytes_per_s: text::parse_bytes(rate)?,
        }),
        _ => Err("it has to be manual, background, or background:BYTES for a limit a second".to_owned()),
    }
}

fn show_compaction(compaction: Compaction) -> String {
    match compaction {
        Compaction::Manual => "manual".to_owned(),
        Compaction::Background { rate_bytes_per_s: 0 } => "background".to_owned(),
        Compaction::Background { rate_bytes_per_s } => {
            format!("background:{}", text::show_bytes(rate_bytes_per_s))
        }
    }
}

fn parse_uuid(value: &str) -> Result<Uuid, String> {
    let wrong = || "32 hexadecimal digits are needed, dashes allowed".to_owned();
    let digits: Vec<u8> = value.trim().bytes().filter(|byte| *byte != b'-').collect();
    if digits.len() != 32 || !digits.iter().all(u8::is_ascii_hexdigit) {
        return Err(wrong());
    }
    let mut bytes = [0u8; 16];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        let pair = std::str::from_utf8(pair).map_err(|_| wrong())?;
        *byte = u8::from_str_radix(pair, 16).map_err(|_| wrong())?;
    }
    Ok(Uuid(bytes))
}

pub(super) const ROWS: &[Row<StoreOptions>] = &[
    Row {
        name: "create",
        field: "create",
        unit: Unit::Flag,
        bounds: None,
        doc: "Make the store when its directory is missing or empty; without it, opening fails then.",
        get: |options| options.create.to_string(),
        set: |options, value| text::parse_flag(value).map(|flag| options.create = flag),
    },
    Row {
        name: "cluster",
        field: "identity",
        unit: Unit::Uuid,
        bounds: None,
        doc: "Cluster the store belongs to; zeros for a store on its own. Must be what the directory says.",
        get: |options| options.identity.cluster.to_string(),
        set: |options, value| parse_uuid(value).map(|cluster| options.identity.cluster = cluster),
    },
    Row {
        name: "shard",
        field: "identity",
        unit: Unit::Number,
        bounds: Some((0, u32::MAX as u64)),
        doc: "Shard the store holds. Must be what the directory says.",
        get: |options| options.identity.shard.0.to_string(),
        set: |options, value| {
            text::parse_number(value).map(|shard| options.identity.shard = ShardId(shard as u32))
        },
    },
    Row {
        name: "node",
        field: "identity",
        unit: Unit::Number,
        bounds: None,
        doc: "Node that keeps this copy, written into every segment.",
        get: |options| options.identity.node.to_string(),
        set: |options, value| text::parse_number(value).map(|node| options.identity.node = node),
    },
    Row {
        name: "write_path",
        field: "write_path",
        unit: Unit::Choice(WRITE_PATH_WORDS),
        bounds: None,
        doc: "How records reach the file. `map` copies into a mapped file: memory speed, survives the process. `pwrite` makes a system call each. \
              `auto` maps where the file system is known to be safe for it.",
        get: |options| show_write_path(options.write_path),
        set: |options, value| text::parse_choice(value, &WRITE_PATHS).map(|path| options.write_path = path),
    },
    Row {
        name: "segment_max_bytes",
        field: "segment_max_bytes",
        unit: Unit::Bytes,
        bounds: Some((1 << 20, 512 << 20)),
        doc: "Segments of the log grow from 1 MiB up to this. Larger ones make fewer files, longer pauses when one is sealed, and more space \
              that compaction cannot give back yet.",
        get: |options| text::show_bytes(options.segment_max_bytes),
        set: |options, value| text::parse_bytes(value).map(|bytes| options.segment_max_bytes = bytes),
    },
    Row {
        name: "min_free_bytes",
        field: "min_free_bytes",
        unit: Unit::Bytes,
        bounds: Some((0, 1 << 40)),
        doc: "Writes are refused as the disk being full once they would leave less than this free on the file system (a sixteenth of it where \
              that is less), and go on when space returns. 0 for no reserve.",
        get: |options| text::show_bytes(options.min_free_bytes),
        set: |options, value| text::parse_bytes(value).map(|bytes| options.min_free_bytes = bytes),
    },
    Row {
        name: "verify_payload",
        field: "verify_payload",
        unit: Unit::Choice("always, first_touch"),
        bounds: None,
        doc: "When a value in the log is compared with its checksum: by every read, or by the first read of it since the store was opened. Keys \
              and headers are compared by every read all the same.",
        get: |options| {
            let found = VERIFY_PAYLOAD
                .iter()
                .find(|(_, other)| *other == options.verify_payload);
            found.map_or("always", |(word, _)| word).to_owned()
        },
        set: |options, value| {
            text::parse_choice(value, &VERIFY_PAYLOAD).map(|verify| options.verify_payload = verify)
        },
    },
    Row {
        name: "compaction",
        field: "compaction",
        unit: Unit::Choice("manual, background, background:BYTES"),
        bounds: None,
        doc: "Who turns sealed segments into tables: the program, or a thread of the store, writing at most so many bytes a second. A limit below \
              what is written lets space grow.",
        get: |options| show_compaction(options.compaction),
        set: |options, value| parse_compaction(value).map(|compaction| options.compaction = compaction),
    },
    Row {
        name: "table_bytes",
        field: "table_bytes",
        unit: Unit::Bytes,
        bounds: Some((64 << 10, 56 << 20)),
        doc: "Tables are cut at about this size. A merge needs about as much space beside each run it reads; a store has at most 32,768 tables.",
        get: |options| text::show_bytes(options.table_bytes),
        set: |options, value| text::parse_bytes(value).map(|bytes| options.table_bytes = bytes),
    },
    Row {
        name: "sync_interval",
        field: "sync_interval",
        unit: Unit::Time,
        bounds: Some((1, 86_400_000)),
        doc: "Buffered writes become durable after this long at the latest; `off` leaves it to synced writes and to the program. Shorter costs \
              synced writers their turns.",
        get: |options| options.sync_interval.map_or(OFF.to_owned(), text::show_time),
        set: |options, value| {
            let interval: Option<Duration> = match value {
                OFF => None,
                value => Some(text::parse_time(value)?),
            };
            options.sync_interval = interval;
            Ok(())
        },
    },
];
