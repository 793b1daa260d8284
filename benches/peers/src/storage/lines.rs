//! The lines of the report, in their order, and what Atoll should reach in each.
//!
//! In: how many keys, how long values. Out: lines. The figures of targets hold for values of 100 bytes (the
//! row of 1-KiB values has one of its own); openings and space have others from 10 million keys on.

use super::engines::Named;
use super::rows::{Line, Target, Versus};
use super::unit::Unit;

/// Every line.
#[must_use]
pub fn lines(records: u64, value_bytes: usize) -> Vec<Line> {
    use Unit::{Bytes, Count, Nanoseconds, PerSecond, PerUserByte, Seconds};
    let is_small = value_bytes == 100;
    let is_large = records >= 10_000_000;
    let per_user_byte = 1.0 / (records as f64 * (16 + value_bytes) as f64);
    let mut lines: Vec<Line> = Vec::new();
    let mut add = |part, title: &str, row, figure, unit, target: Target| {
        lines.push(Line {
            part,
            title: title.to_owned(),
            row,
            figure,
            unit,
            scale: if unit == PerUserByte { per_user_byte } else { 1.0 },
            // The figures were set for values of 100 bytes.
            target: if is_small || row == "fill-1k" {
                target
            } else {
                Target::default()
            },
            compares: !matches!(
                (row, figure),
                ("open-killed", "acknowledged") | ("settle", "seconds")
            ),
        });
    };
    let none = Target::default();
    let least = |figure| Target {
        figure: Some(figure),
        ratio: None,
    };
    let both = |figure, times| Target {
        figure: Some(figure),
        ratio: Some((Versus::BestPeer, times)),
    };
    let over = |named, times| Target {
        figure: None,
        ratio: Some((Versus::One(named), times)),
    };

    let part = "Writing, buffered";
    add(
        part,
        "fill, single puts, 1 thread",
        "fill-1",
        "rate",
        PerSecond,
        both(2.5e6, 15.0),
    );
    add(
        part,
        "fill, single puts, 2 threads",
        "fill-2",
        "rate",
        PerSecond,
        none,
    );
    add(
        part,
        "… with the work in the background that is left after it",
        "fill-2",
        "sustained",
        PerSecond,
        least(1.5e6),
    );
    add(
        part,
        "burst (no compaction), 1 thread",
        "burst-1",
        "rate",
        PerSecond,
        least(2.5e6),
    );
    add(
        part,
        "burst (no compaction), 2 threads",
        "burst-2",
        "rate",
        PerSecond,
        least(4e6),
    );
    add(
        part,
        "fill, batches of 1,000",
        "fill-batch",
        "rate",
        PerSecond,
        none,
    );
    add(
        part,
        "fill, 1-KiB values",
        "fill-1k",
        "rate",
        PerSecond,
        both(1e6, 7.0),
    );
    add(
        part,
        "overwrite, 1 thread",
        "overwrite-1",
        "write_rate",
        PerSecond,
        least(1.8e6),
    );
    add(
        part,
        "overwrite, 2 threads",
        "overwrite-2",
        "write_rate",
        PerSecond,
        none,
    );
    add(
        part,
        "overwrite, zipfian, 1 thread",
        "overwrite-zipfian-1",
        "write_rate",
        PerSecond,
        none,
    );

    let part = "Writing, durable";
    add(
        part,
        "durable put, 1 thread",
        "durable-1",
        "rate",
        PerSecond,
        over(Named::Device, 0.95),
    );
    add(
        part,
        "durable put, 8 threads",
        "durable-8",
        "rate",
        PerSecond,
        over(Named::RaftEngine, 1.5),
    );

    let part = "Point reads";
    add(
        part,
        "get, hit, 1 thread",
        "get-1",
        "rate",
        PerSecond,
        both(3.5e6, 6.0),
    );
    add(part, "… its median", "get-1", "p50", Nanoseconds, least(250.0));
    add(
        part,
        "get, hit, 2 threads",
        "get-2",
        "rate",
        PerSecond,
        both(7e6, 6.0),
    );
    add(
        part,
        "get, hit, from one snapshot, 1 thread",
        "get-held-1",
        "rate",
        PerSecond,
        none,
    );
    add(
        part,
        "get, hit, from one snapshot, 2 threads",
        "get-held-2",
        "rate",
        PerSecond,
        none,
    );
    add(
        part,
        "get, hit, zipfian, 1 thread",
        "get-zipfian-1",
        "rate",
        PerSecond,
        none,
    );
    add(
        part,
        "get, hit, zipfian, 2 threads",
        "get-zipfian-2",
        "rate",
        PerSecond,
        none,
    );
    add(
        part,
        "get, miss, 1 thread",
        "miss-1",
        "rate",
        PerSecond,
        both(7e6, 5.0),
    );
    add(part, "get, miss, 2 threads", "miss-2", "rate", PerSecond, none);
    add(
        part,
        "16 keys at once, 1 thread, keys",
        "multi-get-1",
        "rate",
        PerSecond,
        both(12e6, 20.0),
    );
    add(
        part,
        "16 keys at once, 2 threads, keys",
        "multi-get-2",
        "rate",
        PerSecond,
        none,
    );

    let part = "Reading in order";
    add(
        part,
        "everything, first time after the fill, keys",
        "scan-filled-first",
        "rate",
        PerSecond,
        none,
    );
    add(
        part,
        "everything, again, keys",
        "scan-filled",
        "rate",
        PerSecond,
        over(Named::Lmdb, 1.0),
    );
    add(
        part,
        "everything, settled, keys",
        "scan-settled",
        "rate",
        PerSecond,
        both(40e6, 4.0),
    );
    add(
        part,
        "100 keys from somewhere, settled, scans",
        "scan-100",
        "rate",
        PerSecond,
        both(250e3, 3.0),
    );

    let part = "Mixed";
    add(
        part,
        "YCSB-A (50 % reads, zipfian), 1 thread",
        "ycsb-a-1",
        "all_rate",
        PerSecond,
        none,
    );
    add(
        part,
        "YCSB-A, 2 threads",
        "ycsb-a-2",
        "all_rate",
        PerSecond,
        both(3.5e6, 13.0),
    );
    add(
        part,
        "YCSB-B (95 % reads, zipfian), 1 thread",
        "ycsb-b-1",
        "all_rate",
        PerSecond,
        none,
    );
    add(
        part,
        "YCSB-B, 2 threads",
        "ycsb-b-2",
        "all_rate",
        PerSecond,
        both(5e6, 7.0),
    );

    let part = "While one thread overwrites and another reads";
    add(part, "overwrites", "beside", "write_rate", PerSecond, none);
    add(
        part,
        "… slowest of 1,000",
        "beside",
        "write_p999",
        Nanoseconds,
        none,
    );
    add(part, "reads", "beside", "rate", PerSecond, none);
    add(part, "… slowest of 1,000", "beside", "p999", Nanoseconds, none);

    let part = "Opening";
    let (clean, killed) = if is_large { (5e-3, 50e-3) } else { (1e-3, 20e-3) };
    add(
        part,
        "after a clean close, with a first get",
        "open-clean",
        "seconds",
        Seconds,
        least(clean),
    );
    add(
        part,
        "after kill -9 while writing, with a first get",
        "open-killed",
        "seconds",
        Seconds,
        least(killed),
    );
    add(
        part,
        "acknowledged puts before the kill",
        "open-killed",
        "acknowledged",
        Count,
        none,
    );
    add(
        part,
        "… of which lost",
        "open-killed",
        "missing",
        Count,
        least(0.0),
    );

    let part = "Space and memory";
    let peak = if is_large { 1.8 } else { 2.2 };
    add(
        part,
        "most disk while filling, of user bytes",
        "load",
        "peak_disk_bytes",
        PerUserByte,
        least(peak),
    );
    add(
        part,
        "disk once settled, of user bytes",
        "settle",
        "disk_bytes",
        PerUserByte,
        least(1.25),
    );
    add(
        part,
        "written to disk until then, of user bytes",
        "settle",
        "written_bytes",
        PerUserByte,
        none,
    );
    add(
        part,
        "to settle after the load",
        "settle",
        "seconds",
        Seconds,
        none,
    );
    add(
        part,
        "anonymous memory after reads",
        "memory",
        "anonymous_bytes",
        Bytes,
        least(16.0 * 1_048_576.0),
    );
    lines
}
