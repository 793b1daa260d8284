//! Options of a cluster.

use super::store::{WRITE_PATH_WORDS, WRITE_PATHS, show_write_path};
use super::{Row, Unit, text};
use crate::cluster::{ClusterCompaction, ClusterOptions};

const COMPACTIONS: [(&str, ClusterCompaction); 3] = [
    ("manual", ClusterCompaction::Manual),
    ("background", ClusterCompaction::Background { release_log: false }),
    (
        "background+release_log",
        ClusterCompaction::Background { release_log: true },
    ),
];

pub(super) const ROWS: &[Row<ClusterOptions>] = &[
    Row {
        name: "write_path",
        field: "write_path",
        unit: Unit::Choice(WRITE_PATH_WORDS),
        bounds: None,
        doc: "As of a store, for every replica.",
        get: |options| show_write_path(options.write_path),
        set: |options, value| text::parse_choice(value, &WRITE_PATHS).map(|path| options.write_path = path),
    },
    Row {
        name: "segment_max_bytes",
        field: "segment_max_bytes",
        unit: Unit::Bytes,
        bounds: Some((1 << 20, 512 << 20)),
        doc: "As of a store, for every replica.",
        get: |options| text::show_bytes(options.segment_max_bytes),
        set: |options, value| text::parse_bytes(value).map(|bytes| options.segment_max_bytes = bytes),
    },
    Row {
        name: "background",
        field: "background",
        unit: Unit::Flag,
        bounds: None,
        doc: "A thread keeps followers up to date, and the replicas of a shard sync at the same time. Without it only writes and the program \
              move anything, in one order: for tests.",
        get: |options| options.background.to_string(),
        set: |options, value| text::parse_flag(value).map(|flag| options.background = flag),
    },
    Row {
        name: "allow_data_loss",
        field: "allow_data_loss",
        unit: Unit::Flag,
        bounds: None,
        doc: "A shard may elect a leader although acknowledged writes may exist only on members that are missing. An event tells.",
        get: |options| options.allow_data_loss.to_string(),
        set: |options, value| text::parse_flag(value).map(|flag| options.allow_data_loss = flag),
    },
    Row {
        name: "freeze_wait",
        field: "freeze_wait",
        unit: Unit::Time,
        bounds: Some((0, 86_400_000)),
        doc: "How long a write waits for a slot that is being handed over before it is refused as unavailable.",
        get: |options| text::show_time(options.freeze_wait),
        set: |options, value| text::parse_time(value).map(|time| options.freeze_wait = time),
    },
    Row {
        name: "sync_every",
        field: "sync_every",
        unit: Unit::Time,
        bounds: Some((1, 86_400_000)),
        doc: "How often buffered writes are synced in the background.",
        get: |options| text::show_time(options.sync_every),
        set: |options, value| text::parse_time(value).map(|time| options.sync_every = time),
    },
    Row {
        name: "compaction",
        field: "compaction",
        unit: Unit::Choice("manual, background, background+release_log"),
        bounds: None,
        doc: "Who compacts the replicas: the program, or a thread of the cluster. With `release_log` it removes log records that every member has; \
              a replica that is emptied later cannot be copied from the first record then.",
        get: |options| {
            let found = COMPACTIONS.iter().find(|(_, other)| *other == options.compaction);
            found.map_or("manual", |(word, _)| word).to_owned()
        },
        set: |options, value| {
            text::parse_choice(value, &COMPACTIONS).map(|chosen| options.compaction = chosen)
        },
    },
];
